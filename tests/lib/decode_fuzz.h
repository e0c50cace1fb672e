/*
 * What the fuzz harnesses of both decoders do with an input.
 */
#pragma once

#include "decode/decode.h"

/*
 * One decoder over one input: its first byte says which body, shape and limits (0x20: raw bytes are
 * wanted, 0x40: labels are wanted, 0x80: objects of at most 256 bytes), the rest is the body. It is
 * fed whole, byte by byte and in random cuts; aborts when they do not say the same.
 */
void decode_fuzz(enum decode_format format, const uint8_t *data, size_t size);
