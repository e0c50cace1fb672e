
#include "sink/sqlite/worker.h"
