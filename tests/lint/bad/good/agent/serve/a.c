#include "sink/jsonl/line.h"
