/* Identity, fields and hashes of a document; its text is document_text.c's. */
#include "sink/vector/document.h"

#include "base/buf.h"
#include "base/json_out.h"
#include "base/mem.h"
#include "base/uid.h"
#include "sink/vector/document_text.h"

#include <errno.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#define FIELD_MAX  8192 /* bytes of a field: labels and images are cut behind a comma */
#define NOTES_MAX  65536
#define OBJECT_MAX (8UL << 20)

static const char *const field_names[_DOC_FIELD_MAX] = {
	[DOC_CLUSTER] = "cluster",
	[DOC_NAMESPACE] = "namespace",
	[DOC_NAME] = "name",
	[DOC_KIND] = "kind",
	[DOC_API_GROUP] = "api_group",
	[DOC_API_VERSION] = "api_version",
	[DOC_UID] = "uid",
	[DOC_RESOURCE_VERSION] = "resource_version",
	[DOC_CREATED_AT] = "created_at",
	[DOC_OWNER_KIND] = "owner_kind",
	[DOC_OWNER_NAME] = "owner_name",
	[DOC_NODE] = "node",
	[DOC_PHASE] = "phase",
	[DOC_IMAGES] = "images",
	[DOC_LABELS] = "labels",
	[DOC_CONTENT_ID] = "content_id",
};

const char *doc_field_name(enum doc_field f)
{
	return (size_t)f < ARRAY_SIZE(field_names) ? field_names[f] : "unknown";
}

/* ---- identity -------------------------------------------------------------------------------- */

int document_id(const struct doc_opts *o, struct str api_version, struct str kind, struct str ns,
		struct str name, struct arena *a, struct str *ret)
{
	_buf_ struct buf b = {.max = 4096};
	int r = 0;

	if (o->cluster.n)
		r = buf_printf(&b, "%.*s/", STR_ARG(o->cluster));
	if (!ns.n)
		ns = STR("_cluster");
	if (r == 0)
		r = buf_printf(&b, "%.*s/%.*s/%.*s/%.*s", STR_ARG(ns), STR_ARG(api_version),
			       STR_ARG(kind), STR_ARG(name));
	return r < 0 ? r : arena_dup(a, buf_str(&b), ret);
}

/* RFC 9562 section 5.5 in the namespace of section 6.6, 6ba7b810-9dad-11d1-80b4-00c04fd430c8. */
void document_uuid(struct str id, char ret[37])
{
	static const uint8_t dns[16] = {0x6b, 0xa7, 0xb8, 0x10, 0x9d, 0xad, 0x11, 0xd1,
					0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8};
	uint8_t h[EVP_MAX_MD_SIZE] = {0};
	char text[UID_TEXT_MAX + 1];
	struct uid u;
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();

	if (ctx && EVP_DigestInit_ex(ctx, EVP_sha1(), NULL) == 1) {
		(void)EVP_DigestUpdate(ctx, dns, sizeof(dns));
		(void)EVP_DigestUpdate(ctx, id.p, id.n);
		(void)EVP_DigestFinal_ex(ctx, h, NULL);
	}
	EVP_MD_CTX_free(ctx);
	h[6] = (uint8_t)((h[6] & 0x0f) | 0x50);
	h[8] = (uint8_t)((h[8] & 0x3f) | 0x80);
	memcpy(u.b, h, sizeof(u.b));
	memcpy(ret, text, uid_print(UID_RFC4122, &u, text) + 1);
}

/* Lower hex SHA-256 of "UID:canonical JSON". */
static int content_id(const struct tree *object, struct str uid, struct arena *a, struct str *ret)
{
	_buf_ struct buf b = {.max = OBJECT_MAX};
	uint8_t h[SHA256_DIGEST_LENGTH];
	char hex[2 * SHA256_DIGEST_LENGTH];
	int r = buf_printf(&b, "%.*s:", STR_ARG(uid));

	if (r == 0)
		r = tree_write_canonical(&b, object);
	if (r < 0)
		return r;
	(void)SHA256((const uint8_t *)buf_str(&b).p, b.n, h);
	(void)uid_print_hex(h, sizeof(h), hex);
	return arena_dup(a, str_make(hex, sizeof(hex)), ret);
}

/* ---- fields ---------------------------------------------------------------------------------- */

static int cmp_key(const void *a, const void *b)
{
	const struct tree *const *x = a, *const *y = b;

	return str_cmp((*x)->key, (*y)->key);
}

int document_sorted(const struct tree *object, const struct tree ***ret, uint32_t *ret_n)
{
	const struct tree **v;
	uint32_t n = 0;

	*ret = NULL;
	*ret_n = 0;
	if (!object || !object->n)
		return 0;
	v = calloc(object->n, sizeof(*v));
	if (!v)
		return -ENOMEM;
	tree_each(child, object) v[n++] = child;
	qsort(v, n, sizeof(*v), cmp_key);
	*ret = v;
	*ret_n = n;
	return 0;
}

/* ",k=v,k=v,": a label is found by its text with a comma on either side. */
static int label_field(const struct tree *object, struct arena *a, struct str *ret)
{
	_buf_ struct buf b = {.max = FIELD_MAX};
	_free_ const struct tree **labels = NULL;
	uint32_t n;
	int r = document_sorted(tree_at(object, "metadata.labels"), &labels, &n);

	for (uint32_t i = 0; r == 0 && i < n; i++)
		r = buf_printf(&b, "%s%.*s=%.*s,", i ? "" : ",", STR_ARG(labels[i]->key),
			       STR_ARG(labels[i]->text));
	if (r < 0 && r != -EMSGSIZE)
		return r;
	return arena_dup(a, buf_str(&b), ret);
}

static int images_of(struct buf *b, const struct tree *containers)
{
	int r = 0;

	tree_each(c, containers)
	{
		struct str image = tree_text_at(c, "image");

		if (r == 0 && image.n)
			r = buf_printf(b, "%s%.*s", b->n ? "," : "", STR_ARG(image));
	}
	return r;
}

static int image_field(const struct tree *object, struct arena *a, struct str *ret)
{
	_buf_ struct buf b = {.max = FIELD_MAX};
	const struct tree *spec = document_pod_spec(object);
	int r = images_of(&b, tree_get(spec, "initContainers"));

	if (r == 0)
		r = images_of(&b, tree_get(spec, "containers"));
	if (r == 0)
		r = images_of(&b, tree_get(spec, "ephemeralContainers"));
	if (r < 0 && r != -EMSGSIZE)
		return r;
	return arena_dup(a, buf_str(&b), ret);
}

static struct str group_of(struct str api_version)
{
	struct str group = {0}, rest = api_version;

	return str_split(&rest, '/', &group) ? group : (struct str){0};
}

static int make_fields(const struct doc_opts *o, const struct tree *object,
		       const struct doc_owner *owners, uint32_t n_owners, struct arena *a,
		       struct document *d)
{
	struct str *f = d->fields;
	int r;

	f[DOC_CLUSTER] = o->cluster;
	f[DOC_NAMESPACE] = tree_text_at(object, "metadata.namespace");
	f[DOC_NAME] = tree_text_at(object, "metadata.name");
	f[DOC_KIND] = tree_text_at(object, "kind");
	f[DOC_API_VERSION] = tree_text_at(object, "apiVersion");
	f[DOC_API_GROUP] = group_of(f[DOC_API_VERSION]);
	f[DOC_UID] = tree_text_at(object, "metadata.uid");
	f[DOC_RESOURCE_VERSION] = tree_text_at(object, "metadata.resourceVersion");
	f[DOC_CREATED_AT] = tree_text_at(object, "metadata.creationTimestamp");
	if (n_owners) {
		f[DOC_OWNER_KIND] = owners[n_owners - 1].kind;
		f[DOC_OWNER_NAME] = owners[n_owners - 1].name;
	}
	f[DOC_NODE] = tree_text_at(object, "spec.nodeName");
	f[DOC_PHASE] = document_phase(object);
	r = image_field(object, a, &f[DOC_IMAGES]);
	if (r == 0)
		r = label_field(object, a, &f[DOC_LABELS]);
	if (r == 0)
		r = content_id(object, f[DOC_UID], a, &f[DOC_CONTENT_ID]);
	for (int i = 0; r == 0 && i < _DOC_FIELD_MAX; i++) /* the tree may go before the document */
		r = arena_dup(a, f[i], &f[i]);
	return r;
}

static int make_annotations(const struct tree *object, struct arena *a, struct str *ret)
{
	const struct tree *annotations = tree_at(object, "metadata.annotations");
	_buf_ struct buf b = {.max = NOTES_MAX};
	int r;

	*ret = (struct str){0};
	if (!annotations || !annotations->n)
		return 0;
	r = tree_write_canonical(&b, annotations);
	if (r == -EMSGSIZE)
		return 0;
	return r < 0 ? r : arena_dup(a, buf_str(&b), ret);
}

/* ---- hashes ---------------------------------------------------------------------------------- */

/* Each text with its length before it, so that no two lists of texts look alike. */
static void hash_text(EVP_MD_CTX *ctx, struct str s)
{
	uint8_t n[8];

	for (int i = 0; i < 8; i++)
		n[i] = (uint8_t)((uint64_t)s.n >> (8 * i));
	(void)EVP_DigestUpdate(ctx, n, sizeof(n));
	(void)EVP_DigestUpdate(ctx, s.p, s.n);
}

static int make_hashes(const struct doc_opts *o, struct document *d)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	const char mode = (char)('0' + o->mode);
	int ok = ctx && EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;

	if (ok) {
		hash_text(ctx, STR(DOC_TEMPLATE));
		hash_text(ctx, str_make(&mode, 1));
		hash_text(ctx, d->text);
		ok = EVP_DigestFinal_ex(ctx, d->text_hash, NULL) == 1 &&
		     EVP_DigestInit_ex(ctx, EVP_sha256(), NULL) == 1;
	}
	if (ok) {
		for (int i = 0; i < _DOC_FIELD_MAX; i++)
			if (i != DOC_RESOURCE_VERSION && i != DOC_CONTENT_ID)
				hash_text(ctx, d->fields[i]);
		hash_text(ctx, d->annotations);
		ok = EVP_DigestFinal_ex(ctx, d->meta_hash, NULL) == 1;
	}
	EVP_MD_CTX_free(ctx);
	return ok ? 0 : -ENOMEM;
}

int document_make(const struct doc_opts *o, const struct tree *object,
		  const struct doc_owner *owners, uint32_t n_owners, struct arena *a,
		  struct document *ret)
{
	struct document d = {0};
	int r;

	if (!tree_text_at(object, "metadata.name").n || !tree_text_at(object, "kind").n)
		return -EINVAL;
	r = make_fields(o, object, owners, n_owners, a, &d);
	if (r == 0 && o->id == DOC_ID_CONTENT)
		d.id = d.fields[DOC_CONTENT_ID];
	else if (r == 0)
		r = document_id(o, d.fields[DOC_API_VERSION], d.fields[DOC_KIND],
				d.fields[DOC_NAMESPACE], d.fields[DOC_NAME], a, &d.id);
	if (r == 0)
		r = make_annotations(object, a, &d.annotations);
	if (r == 0)
		r = document_text(o, object, owners, n_owners, a, &d.text);
	if (r == 0)
		r = make_hashes(o, &d);
	if (r < 0)
		return r;
	document_uuid(d.id, d.uuid);
	*ret = d;
	return 0;
}
