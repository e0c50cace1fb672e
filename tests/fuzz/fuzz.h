/*
 * A harness is one file that defines LLVMFuzzerTestOneInput: with clang it runs
 * under libFuzzer, with main.c it replays its corpus under any compiler.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
