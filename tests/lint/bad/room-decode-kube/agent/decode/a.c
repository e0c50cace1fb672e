#include "kube/budget.h"
