/* Who may ask; see guard.h. */
#include "serve/guard.h"

#include "base/mem.h"
#include "model/address.h"

#include <openssl/crypto.h>
#include <openssl/sha.h>

/* Host without its port; an IPv6 address without its brackets. */
static struct str host_name(struct str s)
{
	struct str rest = s, name;

	if (str_starts(s, STR("["))) {
		rest = str_from(s, 1);
		return str_split(&rest, ']', &name) ? name : (struct str){0};
	}
	(void)str_split(&rest, ':', &name);
	return name;
}

bool guard_is_here(struct str host)
{
	static const struct addr six = {.b = {[15] = 1}};
	struct str name = host_name(host);
	struct addr a;

	if (str_ieq(name, STR("localhost")))
		return true;
	if (addr_parse(name, &a) < 0)
		return false;
	return addr_eq(&a, &six) || (addr_is_v4(&a) && addr_v4(&a) >> 24 == 127);
}

/* The page that asks came from here: its Origin is what it calls us. */
static bool same_origin(const struct web_request *r)
{
	struct str rest = r->origin;

	if (str_starts(rest, STR("https://")))
		rest = str_from(rest, 8);
	else if (str_starts(rest, STR("http://")))
		rest = str_from(rest, 7);
	else
		return false;
	return r->host.n && str_ieq(rest, r->host);
}

/* What a form can send without asking first (Fetch standard, "CORS-safelisted"). */
static bool is_simple(struct str type)
{
	struct str name;

	(void)str_split(&type, ';', &name);
	name = str_trim(name);
	return !name.n || str_ieq(name, STR("text/plain")) ||
	       str_ieq(name, STR("multipart/form-data")) ||
	       str_ieq(name, STR("application/x-www-form-urlencoded"));
}

int guard_browser(const struct web_request *r, bool here, const char **ret_words)
{
	if (here && r->host.n && !guard_is_here(r->host)) {
		*ret_words = "the Host header names another machine: ask for localhost, or an "
			     "address of it";
		return 403;
	}
	if (!r->origin.n)
		return 0;
	if (!same_origin(r)) {
		*ret_words = "the Origin header names another site";
		return 403;
	}
	if (r->post && is_simple(r->content_type)) {
		*ret_words = "a POST from a page needs Content-Type: application/json";
		return 403;
	}
	return 0;
}

bool guard_bearer(struct str authorization, struct str *ret_token)
{
	struct str scheme, rest = authorization;

	if (!str_split(&rest, ' ', &scheme) || !str_ieq(scheme, STR("Bearer")))
		return false;
	*ret_token = str_trim(rest);
	return ret_token->n > 0;
}

bool guard_same(struct str a, struct str b)
{
	uint8_t x[SHA256_DIGEST_LENGTH], y[SHA256_DIGEST_LENGTH];

	/* Digests have one length, whatever the tokens have. */
	return SHA256((const uint8_t *)(a.n ? a.p : ""), a.n, x) &&
	       SHA256((const uint8_t *)(b.n ? b.p : ""), b.n, y) &&
	       CRYPTO_memcmp(x, y, sizeof(x)) == 0;
}
