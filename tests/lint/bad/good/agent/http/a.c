#include <curl/curl.h>

#include "base/buf.h"
