#include "flow/flows.h"
