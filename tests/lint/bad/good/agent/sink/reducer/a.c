#include "base/backoff.h"
#include "match/match.h"
#include "proto/wire.h"
