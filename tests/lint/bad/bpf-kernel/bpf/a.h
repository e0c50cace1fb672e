#pragma once
#include <linux/bpf.h>
