#include "kube/reflector.h"
