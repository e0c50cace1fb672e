/* Documents as flat JSON objects; see doc_json.h. */
#include "sink/vector/doc_json.h"

#include "base/json_in.h"
#include "base/uid.h"
#include "sink/sqlite/docs.h"

#include <errno.h>
#include <math.h>
#include <openssl/evp.h>

static void put_hash(struct json_out *j, const char *key, const uint8_t hash[DOC_HASH_SIZE])
{
	char hex[2 * DOC_HASH_SIZE];

	(void)uid_print_hex(hash, DOC_HASH_SIZE, hex);
	json_text(j, key, str_make(hex, sizeof(hex)));
}

static bool read_hash(const json_t *o, const char *key, uint8_t ret[DOC_HASH_SIZE])
{
	struct str s = json_in_member(o, key);

	return s.n == 2 * DOC_HASH_SIZE && uid_hex(s.p, s.n, ret);
}

static void put_content_hash(struct json_out *j, const struct document *d)
{
	uint8_t both[2 * DOC_HASH_SIZE], hash[DOC_HASH_SIZE];

	memcpy(both, d->text_hash, DOC_HASH_SIZE);
	memcpy(both + DOC_HASH_SIZE, d->meta_hash, DOC_HASH_SIZE);
	if (EVP_Digest(both, sizeof(both), hash, NULL, EVP_sha256(), NULL) != 1)
		j->r = j->r ? j->r : -ENOMEM;
	else
		put_hash(j, "content_hash", hash);
}

void doc_json_put(struct json_out *j, const struct document *d, const struct doc_origin *o)
{
	for (enum doc_field f = 0; f < _DOC_FIELD_MAX; f++) {
		if (d->fields[f].n)
			json_text(j, doc_field_name(f), d->fields[f]);
		else
			json_none(j, doc_field_name(f));
	}
	put_hash(j, "text_hash", d->text_hash);
	put_hash(j, "meta_hash", d->meta_hash);
	put_content_hash(j, d);
	json_text(j, "template", o->template_);
	json_text(j, "model", o->model);
	json_text(j, "source", STR("kindred"));
}

bool doc_json_known(const json_t *o, struct str cluster, uint8_t hashes[2][DOC_HASH_SIZE],
		    struct backend_known *ret)
{
	if (!json_is_object(o) || !str_eq(json_in_member(o, "source"), STR("kindred")) ||
	    !str_eq(json_in_member(o, doc_field_name(DOC_CLUSTER)), cluster))
		return false;
	ret->cluster = cluster;
	ret->api_version = json_in_member(o, doc_field_name(DOC_API_VERSION));
	ret->uid = json_in_member(o, doc_field_name(DOC_UID));
	ret->kind = json_in_member(o, doc_field_name(DOC_KIND));
	ret->ns = json_in_member(o, doc_field_name(DOC_NAMESPACE));
	ret->text_hash = read_hash(o, "text_hash", hashes[0]) ? hashes[0] : NULL;
	ret->meta_hash = read_hash(o, "meta_hash", hashes[1]) ? hashes[1] : NULL;
	return true;
}

void doc_json_hit(struct json_out *j, struct str id, double score, struct str text, const json_t *o)
{
	struct docs_hit h = {.id = id, .text = text, .score = isfinite(score) ? score : 0};

	for (enum doc_field f = 0; f < _DOC_FIELD_MAX; f++)
		h.fields[f] = json_in_member(o, doc_field_name(f));
	json_raw(j, NULL, STR("")); /* the comma */
	if (j->r == 0)
		j->r = docs_hit_json(&h, j->out);
}

static bool other(struct buf *words, const char *what, struct str there, struct str want)
{
	if (str_eq(there, want))
		return false;
	(void)buf_printf(words, "%s %s \"%.*s\", but \"%.*s\" is in use",
			 buf_str(words).n ? ", and of" : "it holds documents of", what,
			 STR_ARG(there), STR_ARG(want));
	return true;
}

bool doc_json_other(const json_t *o, const struct doc_origin *want, struct buf *words)
{
	struct str model = json_in_member(o, "model"), template_ = json_in_member(o, "template");
	bool a, b;

	if (!model.n && !template_.n) {
		(void)buf_printf(words,
				 "it holds entries without model and template: another "
				 "program's, while model \"%.*s\", template \"%.*s\" are in use",
				 STR_ARG(want->model), STR_ARG(want->template_));
		return true;
	}
	a = other(words, "model", model, want->model);
	b = other(words, "template", template_, want->template_);
	return a || b;
}
