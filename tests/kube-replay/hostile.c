/*
 * Objects no honest cluster has, for the bad-object faults. Each is one more
 * version that the usual encoders serve in every encoding. They live in the
 * namespace "replay-hostile", so that a test can tell them from the recorded
 * ones; field and label selectors do not hide them.
 */
#include "server.h"

#include "pb.h"
#include "read.h"

#include <stdio.h>
#include <stdlib.h>

#define HOSTILE_NS "replay-hostile"
#define HOSTILE_RV "1" /* replaced when it is sent as an event */
#define HOSTILE_IP "10.255.255.1"
#define DEEP_FIELD 99 /* a field no message has */

struct maker {
	struct hostile *h;
	size_t used;
	enum kind kind;
	struct str node;
};

static struct buf *mem(struct maker *m)
{
	struct buf *b = &m->h->mem[m->used++];

	if (m->used > ARRAY_SIZE(m->h->mem))
		abort();
	buf_init(b, READ_MAX);
	return b;
}

static void put_repeat(struct buf *b, char c, size_t n)
{
	if (buf_reserve(b, n) < 0)
		abort();
	memset(buf_tail(b), c, n);
	buf_commit(b, n);
}

static void pod_json(struct buf *b, struct str node)
{
	put_f(b,
	      ",\"spec\":{\"containers\":[{\"name\":\"app\",\"image\":\"hostile:1\"}],"
	      "\"nodeName\":\"%.*s\"},\"status\":{\"phase\":\"Running\",\"podIP\":\"" HOSTILE_IP
	      "\",\"podIPs\":[{\"ip\":\"" HOSTILE_IP
	      "\"}],\"containerStatuses\":[{\"name\":\"app\","
	      "\"state\":{\"running\":{}},\"image\":\"hostile:1\",\"imageID\":\"\","
	      "\"containerID\":\"containerd://%064x\"}]}",
	      STR_ARG(node), 0xbad);
}

/* core.Pod: spec=2 { nodeName=10 }, status=3 { phase=1, podIP=6, containerStatuses=8, podIPs=12 }
 */
static void pod_pb(struct buf *b, struct str node)
{
	_buf_ struct buf m, c;
	char id[96];

	buf_init(&m, 65536);
	buf_init(&c, 65536);
	pb_put_len(&m, 10, node);
	pb_put_len(b, 2, buf_str(&m));
	buf_reset(&m);
	pb_put_len(&m, 1, STR("Running"));
	pb_put_len(&m, 6, STR(HOSTILE_IP));
	snprintf(id, sizeof(id), "containerd://%064x", 0xbad);
	pb_put_len(&c, 1, STR("app"));
	pb_put_len(&c, 6, STR("hostile:1"));
	pb_put_len(&c, 8, str_of(id));
	pb_put_len(&m, 8, buf_str(&c));
	buf_reset(&c);
	pb_put_len(&c, 1, STR(HOSTILE_IP));
	pb_put_len(&m, 12, buf_str(&c));
	pb_put_len(b, 3, buf_str(&m));
}

/*
 * Puts one object together. name_json is the name as JSON text, name_pb its bytes; the extra
 * parts end the metadata and may be large.
 */
static void make(struct maker *m, struct str name_json, struct str name_pb, unsigned int uid,
		 const struct buf *extra_json, const struct buf *extra_pb)
{
	struct version *v = &m->h->v[m->h->n++];
	struct buf *json = mem(m), *pb = mem(m);
	_buf_ struct buf meta;
	char uid_text[40];
	size_t meta_at, rv_at;

	*v = (struct version){.rv = 1, .uid = {0}, .ns = STR(HOSTILE_NS), .name = name_pb};
	snprintf(uid_text, sizeof(uid_text), "badbad00-0000-4000-8000-%012x", uid);
	put_z(json, "\"metadata\":");
	meta_at = json->n;
	put_z(json, "{\"name\":\"");
	put_str(json, name_json);
	put_f(json, "\",\"namespace\":\"" HOSTILE_NS "\",\"uid\":\"%s\",\"resourceVersion\":\"",
	      uid_text);
	rv_at = json->n;
	put_z(json, HOSTILE_RV "\",\"creationTimestamp\":\"2026-11-20T17:50:00Z\"");
	put_str(json, buf_str(extra_json));
	put_z(json, "}");
	v->meta_json = str_make(json->p + meta_at, json->n - meta_at);
	if (m->kind == KIND_PODS)
		pod_json(json, m->node);
	put_z(json, "}");
	/* The text may have moved while it grew. */
	v->meta_json.p = json->p + meta_at;
	v->rv_text = str_make(json->p + rv_at, strlen(HOSTILE_RV));
	v->json = buf_str(json);

	buf_init(&meta, READ_MAX);
	pb_put_len(&meta, 1, name_pb);
	pb_put_len(&meta, 3, STR(HOSTILE_NS));
	pb_put_len(&meta, 5, str_of(uid_text));
	pb_put_len(&meta, 6, STR(HOSTILE_RV));
	pb_put_len(&meta, 8, STR("\x08\x88\x92\x82\xd8\x06"));
	put_str(&meta, buf_str(extra_pb));
	pb_put_len(pb, 1, buf_str(&meta));
	if (m->kind == KIND_PODS)
		pod_pb(pb, m->node);
	v->pb = buf_str(pb);
	v->meta_pb = pb_get(v->pb, 1);
}

static void make_plain(struct maker *m, const char *name, unsigned int uid,
		       const struct buf *extra_json, const struct buf *extra_pb)
{
	make(m, str_of(name), str_of(name), uid, extra_json, extra_pb);
}

static void oversized(struct maker *m, long mb)
{
	struct buf *json = mem(m), *pb = mem(m);
	size_t n = (size_t)mb << 20;

	put_z(json, ",\"annotations\":{\"big\":\"");
	put_repeat(json, 'x', n);
	put_z(json, "\"}");
	/* annotations=12 { key=1, value=2 }; a varint of n takes at most 5 bytes */
	{
		_buf_ struct buf entry;

		buf_init(&entry, READ_MAX);
		pb_put_len(&entry, 1, STR("big"));
		pb_put_head(&entry, 2, n);
		put_repeat(&entry, 'x', n);
		pb_put_len(pb, 12, buf_str(&entry));
	}
	make_plain(m, "oversized", 1, json, pb);
}

static void depth(struct maker *m, long n)
{
	struct buf *json = mem(m), *pb = mem(m);
	size_t *sizes = must_calloc((size_t)n + 1, sizeof(*sizes));

	put_z(json, ",\"deep\":");
	put_repeat(json, '[', (size_t)n);
	put_repeat(json, ']', (size_t)n);
	for (long i = 1; i <= n; i++) {
		_buf_ struct buf head;

		buf_init(&head, 64);
		pb_put_head(&head, DEEP_FIELD, sizes[i - 1]);
		sizes[i] = sizes[i - 1] + head.n;
	}
	for (long i = n; i > 0; i--)
		pb_put_head(pb, DEEP_FIELD, sizes[i - 1]);
	free(sizes);
	make_plain(m, "deep", 2, json, pb);
}

/* A label with these bytes in both encodings. */
static void put_label(struct buf *json, struct buf *pb, struct str value_json, struct str value_pb)
{
	_buf_ struct buf entry;

	buf_init(&entry, 65536);
	put_z(json, ",\"labels\":{\"app\":\"");
	put_str(json, value_json);
	put_z(json, "\"}");
	pb_put_len(&entry, 1, STR("app"));
	pb_put_len(&entry, 2, value_pb);
	pb_put_len(pb, 11, buf_str(&entry));
}

/* A stray continuation byte, an overlong slash, a lone surrogate, a byte that never occurs. */
static void bad_utf8(struct maker *m)
{
	static const char bad[] = "x\x80y\xc0\xafz\xed\xa0\x80\xff";
	static const char name[] = "bad-utf8-\xff\xfe";
	struct buf *json = mem(m), *pb = mem(m);

	put_label(json, pb, STR(bad), STR(bad));
	make_plain(m, name, 3, json, pb);
}

static void nul(struct maker *m)
{
	struct buf *json = mem(m), *pb = mem(m);

	put_label(json, pb, STR("a\0b"), STR("a\0b"));
	make(m, STR("nul-\\u0000-name"), STR("nul-\0-name"), 4, json, pb);
}

static void put_owner(struct buf *json, struct buf *pb, const char *sep, const char *name,
		      unsigned int uid, bool controller)
{
	_buf_ struct buf o;
	char uid_text[40];

	buf_init(&o, 4096);
	snprintf(uid_text, sizeof(uid_text), "badbad00-0000-4000-8000-%012x", uid);
	put_f(json,
	      "%s{\"apiVersion\":\"apps/"
	      "v1\",\"kind\":\"ReplicaSet\",\"name\":\"%s\",\"uid\":\"%s\","
	      "\"controller\":%s,\"blockOwnerDeletion\":true}",
	      sep, name, uid_text, controller ? "true" : "false");
	pb_put_len(&o, 1, STR("ReplicaSet"));
	pb_put_len(&o, 3, str_of(name));
	pb_put_len(&o, 4, str_of(uid_text));
	pb_put_len(&o, 5, STR("apps/v1"));
	pb_put_num(&o, 6, controller);
	pb_put_num(&o, 7, 1);
	pb_put_len(pb, 13, buf_str(&o));
}

static void many_owners(struct maker *m, long n)
{
	struct buf *json = mem(m), *pb = mem(m);

	put_z(json, ",\"ownerReferences\":[");
	for (long i = 0; i < n; i++) {
		char name[40];

		snprintf(name, sizeof(name), "owner-%ld", i);
		put_owner(json, pb, i ? "," : "", name, 0x1000 + (unsigned int)i, i == n - 1);
	}
	put_z(json, "]");
	make_plain(m, "many-owners", 5, json, pb);
}

static void owned(struct maker *m, const char *name, unsigned int uid, const char *owner,
		  unsigned int owner_uid)
{
	struct buf *json = mem(m), *pb = mem(m);

	put_z(json, ",\"ownerReferences\":[");
	put_owner(json, pb, "", owner, owner_uid, true);
	put_z(json, "]");
	make_plain(m, name, uid, json, pb);
}

static void owner_cycle(struct maker *m)
{
	if (m->kind == KIND_PODS)
		owned(m, "cycle-pod", 6, "cycle-a", 7);
	if (m->kind != KIND_REPLICASETS)
		return;
	owned(m, "cycle-a", 7, "cycle-b", 8);
	owned(m, "cycle-b", 8, "cycle-a", 7);
}

static void fill(struct maker *m, const struct fault *f)
{
	if (f->id == FAULT_OVERSIZED)
		oversized(m, f->num);
	else if (f->id == FAULT_DEPTH)
		depth(m, f->num);
	else if (f->id == FAULT_BAD_UTF8)
		bad_utf8(m);
	else if (f->id == FAULT_NUL)
		nul(m);
	else if (f->id == FAULT_MANY_OWNERS)
		many_owners(m, f->num);
	else if (f->id == FAULT_OWNER_CYCLE)
		owner_cycle(m);
}

static void free_one(struct hostile **h)
{
	for (size_t i = 0; *h && i < ARRAY_SIZE((*h)->mem); i++)
		buf_done(&(*h)->mem[i]);
	free(*h);
	*h = NULL;
}

/* The node a request asks for; the pod claims to run there. */
static struct str node_of(const struct selector *sel)
{
	for (size_t i = 0; i < sel->n; i++)
		if (str_eq(sel->req[i].key, STR("spec.nodeName")))
			return sel->req[i].value;
	return STR("node-11.fixture.internal");
}

const struct hostile *hostile_get(struct server *s, const struct fault *f, enum kind k,
				  const struct selector *sel)
{
	struct hostile **slot;
	struct maker m = {.kind = k, .node = node_of(sel)};

	if (k >= KIND_NODES || (sel->ns.n && !str_eq(sel->ns, STR(HOSTILE_NS))))
		return NULL;
	slot = &s->hostile[f->id][k];
	free_one(slot);
	*slot = m.h = must_calloc(1, sizeof(**slot));
	fill(&m, f);
	return *slot;
}

void hostile_free(struct server *s)
{
	for (size_t i = 0; i < _FAULT_MAX; i++)
		for (size_t k = 0; k < KIND_RECORDED; k++)
			free_one(&s->hostile[i][k]);
}
