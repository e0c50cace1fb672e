#include "config/version.h"

const char kindred_version[] = KINDRED_VERSION;
const char kindred_commit[] = KINDRED_COMMIT;
