#include "match/end.h"
