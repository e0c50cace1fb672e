#include "kube/backoff.h"
