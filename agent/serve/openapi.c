#include "serve/openapi.h"

/* The assembler puts the file's bytes here; the Makefile knows that it is one of the sources. */
__asm__(".pushsection .rodata\n"
	".global openapi_begin, openapi_end\n"
	"openapi_begin: .incbin \"include/openapi.json\"\n"
	"openapi_end:\n"
	".popsection\n");
extern const char openapi_begin[], openapi_end[];

struct str openapi_text(void)
{
	return str_make(openapi_begin, (size_t)(openapi_end - openapi_begin));
}
