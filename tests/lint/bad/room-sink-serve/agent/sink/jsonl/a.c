#include "serve/history.h"
