#include "tests/fuzz/fuzz.h"
#include "tests/lib/decode_fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	decode_fuzz(DECODE_PROTOBUF, data, size);
	return 0;
}
