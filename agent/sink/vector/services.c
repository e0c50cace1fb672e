/* From words to embedders and databases; see services.h. */
#include "sink/vector/services_parts.h"

#include "base/mem.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#define MIN_COLLECTION 3 /* of Chroma's names */
#define MAX_COLLECTION 200

static const struct embedder_kind {
	const char *name, *example;
	bool needs_http;
	int (*make)(const struct embedder_opts *o, struct str rest, struct embedder **ret,
		    struct buf *ret_error);
} embedders[] = {
	{"hash", "hash, hash:1024", false, embed_builtin_new},
	{"triton", "triton:http://HOST:8000", true, embed_triton_new},
	{"openai", "openai:http://HOST:PORT", true, embed_openai_new},
};

static const struct backend_kind {
	const char *name, *example;
	bool needs_http;
	int (*make)(const struct backend_opts *o, struct str rest, struct backend **ret,
		    struct buf *ret_error);
} backends[] = {
	{"sqlite", "sqlite:FILE", false, backend_sqlite_new},
	{"qdrant", "qdrant:http://HOST:6333", true, backend_qdrant_new},
	{"chroma", "chroma:http://HOST:8000", true, backend_chroma_new},
	{"http", "http:http://HOST:3000/api/v1/instances/sync", true, backend_http_new},
};

/* The spec may hold a password where none belongs; only what stands before the colon is quoted. */
static int unknown(struct buf *e, const char *option, struct str name, bool rest)
{
	(void)buf_printf(e, "%s %.*s%s: expected one of", option, (int)MIN(name.n, (size_t)40),
			 name.p ? name.p : "", rest ? ":..." : "");
	return -EINVAL;
}

/* `what` before the words of a maker that has left any. */
static int explain(struct buf *e, int r, const char *option, const char *name, struct buf *why)
{
	if (r == -ENOMEM)
		return r;
	if (r < 0 && buf_str(why).n)
		(void)buf_printf(e, "%s %s: %.*s", option, name, STR_ARG(buf_str(why)));
	return r;
}

static int need_http(struct buf *e, const char *option, const char *name)
{
	(void)buf_printf(e, "%s %s: needs the network, which this command does not use", option,
			 name);
	return -EINVAL;
}

int embedder_new(const struct embedder_opts *o, struct embedder **ret, struct buf *ret_error)
{
	struct str rest = str_trim(o->spec), name;
	bool colon = str_split(&rest, ':', &name);
	_buf_ struct buf why = {.max = 2048};

	for (size_t i = 0; i < ARRAY_SIZE(embedders); i++) {
		const struct embedder_kind *k = &embedders[i];

		if (!str_eq(name, str_of(k->name)))
			continue;
		if (k->needs_http && !o->http)
			return need_http(ret_error, "--embed", k->name);
		return explain(ret_error, k->make(o, rest, ret, &why), "--embed", k->name, &why);
	}
	(void)unknown(ret_error, "--embed", name, colon);
	for (size_t i = 0; i < ARRAY_SIZE(embedders); i++)
		(void)buf_printf(ret_error, "%s %s", i ? "," : "", embedders[i].example);
	return -EINVAL;
}

static bool collection_ok(struct str s)
{
	if (s.n < MIN_COLLECTION || s.n > MAX_COLLECTION || !isalnum((unsigned char)s.p[0]) ||
	    !isalnum((unsigned char)s.p[s.n - 1]))
		return false;
	for (size_t i = 0; i < s.n; i++)
		if (!isalnum((unsigned char)s.p[i]) && !(s.p[i] && strchr("._-", s.p[i])))
			return false;
	return true;
}

int backend_new(const struct backend_opts *o, struct backend **ret, struct buf *ret_error)
{
	struct str rest = str_trim(o->spec), name;
	bool colon = str_split(&rest, ':', &name);
	_buf_ struct buf why = {.max = 2048};

	if (!collection_ok(o->collection)) {
		(void)buf_printf(
			ret_error,
			"--vector-collection %.*s: expected %d to %d letters, digits, "
			"dots, underscores and hyphens, beginning and ending with a letter "
			"or digit",
			(int)MIN(o->collection.n, (size_t)MAX_COLLECTION),
			o->collection.p ? o->collection.p : "", MIN_COLLECTION, MAX_COLLECTION);
		return -EINVAL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++) {
		const struct backend_kind *k = &backends[i];

		if (!str_eq(name, str_of(k->name)))
			continue;
		if (k->needs_http && !o->http)
			return need_http(ret_error, "--vector", k->name);
		return explain(ret_error, k->make(o, rest, ret, &why), "--vector", k->name, &why);
	}
	(void)unknown(ret_error, "--vector", name, colon);
	for (size_t i = 0; i < ARRAY_SIZE(backends); i++)
		(void)buf_printf(ret_error, "%s %s", i ? "," : "", backends[i].example);
	return -EINVAL;
}
