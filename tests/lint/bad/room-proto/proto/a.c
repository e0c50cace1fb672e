#include "sink/reducer/session.h"
