#pragma once
#include "sink/reducer/session.h"
