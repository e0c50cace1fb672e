/*
 * The description of the API, include/openapi.json, as it was when this was built. Static.
 */
#pragma once

#include "base/str.h"

struct str openapi_text(void);
