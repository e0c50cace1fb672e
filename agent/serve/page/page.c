#include "serve/page/page.h"

#include "serve/web.h"

#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdio.h>

/* The Makefile knows that these files are among the sources. */
#define AT(name)   #name ":\n"
#define TEXT(text) ".ascii \"" text "\"\n"
#define PART(name) ".incbin \"agent/serve/page/" name "\"\n"
/* clang-format off */
__asm__(".pushsection .rodata\n"
	".global page_begin, page_style, page_style_end, page_script, page_script_end, page_end\n"
	AT(page_begin) PART("head.html") TEXT("<style>")
	AT(page_style) PART("style.css")
	AT(page_style_end) TEXT("</style>") PART("body.html") TEXT("<script>")
	AT(page_script) PART("text.js") PART("model.js") PART("layout.js") PART("map.js")
	PART("table.js") PART("details.js") PART("ask.js") PART("stream.js") PART("main.js")
	AT(page_script_end) TEXT("</script>\\n")
	AT(page_end)
	".popsection\n");
/* clang-format on */
extern const char page_begin[], page_style[], page_style_end[], page_script[], page_script_end[],
	page_end[];

#define HASH_TEXT 45 /* base64 of 32 bytes, and a NUL */

static const char *hash_of(const char *begin, const char *end, char ret[HASH_TEXT])
{
	uint8_t hash[SHA256_DIGEST_LENGTH];

	(void)SHA256((const uint8_t *)begin, (size_t)(end - begin), hash);
	(void)EVP_EncodeBlock((uint8_t *)ret, hash, sizeof(hash));
	return ret;
}

void serve_page(struct serve *s, struct web_client *c, const struct web_request *r)
{
	char more[WEB_MORE_MAX], style[HASH_TEXT], script[HASH_TEXT];

	(void)s;
	(void)r;
	(void)snprintf(more, sizeof(more),
		       "Content-Security-Policy: default-src 'none'; script-src 'sha256-%s'; "
		       "style-src 'sha256-%s'; connect-src 'self'; img-src data:; base-uri 'none'; "
		       "form-action 'none'; frame-ancestors 'none'; trusted-types 'none'; "
		       "require-trusted-types-for 'script'\r\n"
		       "Cache-Control: no-cache\r\nReferrer-Policy: no-referrer\r\n"
		       "Cross-Origin-Resource-Policy: same-origin\r\nX-Frame-Options: DENY\r\n",
		       hash_of(page_script, page_script_end, script),
		       hash_of(page_style, page_style_end, style));
	web_reply_more(c, 200, "text/html; charset=utf-8", more,
		       str_make(page_begin, (size_t)(page_end - page_begin)));
}
