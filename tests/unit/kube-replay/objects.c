/*
 * Objects that were not recorded: what discovery says of their kinds, what lists and
 * watches tell, and what becomes of what a test writes and deletes.
 */
#include "tests/unit/kube-replay/client.h"

#include <jansson.h>

#define AGGREGATED  "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
#define MADE	    "tests/fixtures/objects"
#define DEPLOYMENTS "/apis/apps/v1/deployments"

static struct replay r;

static int begin(void **state)
{
	const char *more[] = {"--objects", MADE, "--speed", "0", NULL};

	(void)state;
	start(&r, DIR, more);
	return 0;
}

static int end(void **state)
{
	(void)state;
	stop(&r);
	return 0;
}

/* A JSON answer of status 200. */
static json_t *got(const char *target, const char *accept)
{
	struct answer a;
	json_t *doc;

	get(&r, target, accept, &a);
	if (a.status != 200 || !a.complete)
		fail_msg("%s: %d", target, a.status);
	doc = json_loadb(a.body.p, a.body.n, 0, NULL);
	assert_non_null(doc);
	answer_done(&a);
	return doc;
}

static int status_of(const char *method, const char *target, const char *accept, const char *data)
{
	struct answer a;

	ask_with(&r, method, target, accept, data, &a);
	answer_done(&a);
	return a.status;
}

static const char *text_at(json_t *o, const char *a, const char *b)
{
	json_t *inner = b ? json_object_get(json_object_get(o, a), b) : json_object_get(o, a);
	const char *text = json_string_value(inner);

	return text ? text : "";
}

static unsigned long long written(const char *method, const char *target, const char *data)
{
	unsigned long long rv;
	struct answer a;

	ask_with(&r, method, target, "*/*", data, &a);
	put(&a.body, "", 1);
	if (a.status != 200)
		fail_msg("%s %s: %d %s", method, target, a.status, a.body.p);
	assert_int_equal(sscanf(a.body.p, "{\"resourceVersion\":\"%llu\"}", &rv), 1);
	answer_done(&a);
	return rv;
}

static unsigned long long write_object(const char *api, const char *kind, const char *ns,
				       const char *name, const char *more)
{
	char data[2048];

	(void)snprintf(
		data, sizeof(data),
		"{\"apiVersion\":\"%s\",\"kind\":\"%s\",\"metadata\":{\"name\":\"%s\"%s%s%s}%s}",
		api, kind, name, *ns ? ",\"namespace\":\"" : "", ns, *ns ? "\"" : "", more);
	return written("POST", "/replay/object", data);
}

static unsigned long long delete_object(const char *api, const char *kind, const char *ns,
					const char *name)
{
	char target[512];

	(void)snprintf(target, sizeof(target),
		       "/replay/object?apiVersion=%s&kind=%s&namespace=%s&name=%s", api, kind, ns,
		       name);
	return written("DELETE", target, "");
}

/* ---- discovery ------------------------------------------------------------------------------- */

static json_t *version_of(json_t *doc, const char *group, const char *version)
{
	json_t *g, *v;
	size_t i, j;

	json_array_foreach(json_object_get(doc, "items"), i, g) json_array_foreach(
		json_object_get(g, "versions"), j,
		v) if (strcmp(text_at(g, "metadata", "name"), group) == 0 &&
		       strcmp(text_at(v, "version", NULL), version) == 0) return v;
	return NULL;
}

static json_t *resource_of(json_t *version, const char *plural)
{
	json_t *res;
	size_t i;

	json_array_foreach(json_object_get(version, "resources"), i,
			   res) if (strcmp(text_at(res, "resource", NULL), plural) == 0) return res;
	return NULL;
}

/* Every listable resource that discovery names is served, under the kind that it is said to be. */
static void check_served(json_t *doc, size_t *ret_n)
{
	json_t *g, *v, *res;
	size_t i, j, k;

	json_array_foreach(json_object_get(doc, "items"), i, g)
		json_array_foreach(json_object_get(g, "versions"), j, v)
			json_array_foreach(json_object_get(v, "resources"), k, res)
	{
		const char *group = text_at(g, "metadata", "name");
		char target[512], list_kind[256];
		json_t *list;

		(void)snprintf(target, sizeof(target), "/%s%s%s/%s/%s", *group ? "apis" : "api",
			       *group ? "/" : "", group, text_at(v, "version", NULL),
			       text_at(res, "resource", NULL));
		list = got(target, "application/json");
		(void)snprintf(list_kind, sizeof(list_kind), "%sList",
			       text_at(res, "responseKind", "kind"));
		assert_string_equal(text_at(list, "kind", NULL), list_kind);
		json_decref(list);
		++*ret_n;
	}
}

static void discovery_names_what_is_there(void **state)
{
	json_t *core = got("/api", AGGREGATED), *named = got("/apis", AGGREGATED);
	json_t *legacy = got("/apis", "application/json"), *hpas, *group;
	size_t n = 0, i;

	(void)state;
	check_served(core, &n);
	check_served(named, &n);
	assert_true(n > 25);
	assert_non_null(resource_of(version_of(core, "", "v1"), "pods"));
	assert_non_null(resource_of(version_of(core, "", "v1"), "secrets"));
	assert_null(resource_of(version_of(core, "", "v1"), "endpoints")); /* none are there */
	assert_null(version_of(named, "coordination.k8s.io", "v1"));
	hpas = resource_of(version_of(named, "autoscaling", "v1"), "horizontalpodautoscalers");
	assert_non_null(hpas);
	assert_string_equal(text_at(hpas, "scope", NULL), "Namespaced");
	assert_true(json_array_size(json_object_get(hpas, "verbs")) >= 8);
	json_array_foreach(json_object_get(legacy, "groups"), i,
			   group) if (strcmp(text_at(group, "name", NULL), "autoscaling") == 0)
		assert_string_equal(text_at(group, "preferredVersion", "version"), "v2");
	json_decref(core);
	json_decref(named);
	json_decref(legacy);
	legacy = got("/apis/autoscaling", "application/json");
	assert_int_equal(json_array_size(json_object_get(legacy, "versions")), 2);
	json_decref(legacy);
	legacy = got("/apis/autoscaling/v1", "application/json");
	assert_string_equal(
		text_at(json_array_get(json_object_get(legacy, "resources"), 0), "name", NULL),
		"horizontalpodautoscalers");
	json_decref(legacy);
	assert_int_equal(status_of("GET", "/apis/nobody.example.com/v1", "*/*", ""), 404);
}

/* ---- reading --------------------------------------------------------------------------------- */

/* All that the files have is there, and nothing else, whatever the page. */
static void lists_are_the_files(void **state)
{
	json_t *files = json_object(), *list, *o;
	char target[2400] = DEPLOYMENTS "?limit=7";
	struct {
		const char *file;
	} all[] = {{"shop"},	      {"payments"},    {"auth"},   {"ci"},	{"crm"},
		   {"data-platform"}, {"edge"},	       {"mail"},   {"media"},	{"ml-batch"},
		   {"monitoring"},    {"kube-system"}, {"policy"}, {"_cluster"}};
	size_t i, seen = 0, pages = 0;

	(void)state;
	for (size_t f = 0; f < ARRAY_SIZE(all); f++) {
		char path[256];

		(void)snprintf(path, sizeof(path), MADE "/%s.json", all[f].file);
		list = json_load_file(path, 0, NULL);
		assert_non_null(list);
		json_array_foreach(json_object_get(list, "items"), i,
				   o) if (strcmp(text_at(o, "kind", NULL), "Deployment") == 0)
			json_object_set(files, text_at(o, "metadata", "uid"), o);
		json_decref(list);
	}
	while (*target) {
		const char *cont;

		list = got(target, "application/json");
		json_array_foreach(json_object_get(list, "items"), i, o)
		{
			json_t *want = json_object_get(files, text_at(o, "metadata", "uid"));

			assert_non_null(want);
			assert_true(json_equal(json_object_get(o, "metadata"),
					       json_object_get(want, "metadata")));
			assert_true(json_equal(json_object_get(o, "spec"),
					       json_object_get(want, "spec")));
			assert_null(json_object_get(o, "kind")); /* as in all lists */
			seen++;
		}
		cont = text_at(list, "metadata", "continue");
		pages++;
		if (*cont)
			(void)snprintf(target, sizeof(target), DEPLOYMENTS "?limit=7&continue=%s",
				       cont);
		else
			target[0] = '\0';
		json_decref(list);
	}
	assert_int_equal(seen, json_object_size(files));
	assert_true(seen > 20 && pages > 2);
	json_decref(files);
}

static void one_object_in_each_form(void **state)
{
	json_t *o = got("/apis/apps/v1/namespaces/shop/deployments/cart", "application/json");
	struct answer a;

	(void)state;
	assert_string_equal(text_at(o, "kind", NULL), "Deployment");
	assert_non_null(json_object_get(o, "spec"));
	json_decref(o);
	o = got("/apis/apps/v1/namespaces/shop/deployments/cart", "application/json" META);
	assert_string_equal(text_at(o, "kind", NULL), "PartialObjectMetadata");
	assert_null(json_object_get(o, "spec"));
	json_decref(o);
	o = got("/apis/autoscaling/v1/horizontalpodautoscalers", "application/json");
	assert_string_equal(text_at(o, "apiVersion", NULL), "autoscaling/v1");
	assert_true(json_array_size(json_object_get(o, "items")) > 0);
	json_decref(o);
	get(&r, DEPLOYMENTS, PB ";as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", &a);
	assert_int_equal(a.status, 200);
	assert_true(a.body.n > 100 && memcmp(a.body.p, "k8s\0", 4) == 0);
	answer_done(&a);
	/* whole in protobuf: nobody here can make it */
	assert_int_equal(status_of("GET", DEPLOYMENTS, PB, ""), 406);
	assert_int_equal(status_of("GET", DEPLOYMENTS, PB ",application/json", ""), 200);
	assert_int_equal(
		status_of("GET", "/apis/apps/v1/namespaces/shop/deployments/none", "*/*", ""), 404);
	assert_int_equal(status_of("GET", "/apis/apps/v1/nothings", "*/*", ""), 404);
}

/* How many Deployments a label selector (percent-encoded) chooses. */
static size_t chosen(const char *selector)
{
	char target[256];
	json_t *list;
	size_t n;

	(void)snprintf(target, sizeof(target), DEPLOYMENTS "?labelSelector=%s", selector);
	list = got(target, "*/*");
	n = json_array_size(json_object_get(list, "items"));
	json_decref(list);
	return n;
}

static void label_selectors(void **state)
{
	size_t all = chosen(""), tier = chosen("tier");

	(void)state;
	(void)write_object("apps/v1", "Deployment", "mail", "none", "");
	assert_int_equal(chosen(""), all + 1);
	assert_int_equal(chosen("tier"), tier);
	assert_int_equal(chosen("!tier"), all + 1 - tier);
	assert_int_equal(chosen("app=cart"), 1);
	assert_int_equal(chosen("app!=cart"), all);
	assert_int_equal(chosen("app%20in%20(cart,checkout)"), 2);
	assert_int_equal(chosen("app%20in%20(cart,%20checkout),tier=backend"), 2);
	assert_int_equal(chosen("app%20notin%20(cart,checkout)"), all - 1);
	assert_int_equal(status_of("GET", DEPLOYMENTS "?labelSelector=a%20b", "*/*", ""), 400);
	assert_int_equal(status_of("GET", DEPLOYMENTS "?labelSelector=a,,b", "*/*", ""), 400);
	(void)delete_object("apps/v1", "Deployment", "mail", "none");
}

/* ---- writing --------------------------------------------------------------------------------- */

/* The events of a watch as "TYPE name value rv" lines. */
static void watched(const char *target, struct buf *out)
{
	struct answer a;
	struct str rest, line;

	get(&r, target, "application/json", &a);
	assert_int_equal(a.status, 200);
	rest = buf_str(&a.body);
	while (str_split(&rest, '\n', &line)) {
		json_t *e = json_loadb(line.p, line.n, 0, NULL), *o = json_object_get(e, "object");

		assert_non_null(e);
		if (strcmp(text_at(e, "type", NULL), "BOOKMARK") != 0)
			put_f(out, "%s %s %s %s\n", text_at(e, "type", NULL),
			      text_at(o, "metadata", "name"), text_at(o, "spec", "value"),
			      text_at(o, "metadata", "resourceVersion"));
		else if (json_object_get(json_object_get(o, "metadata"), "annotations"))
			put_z(out, "MARK\n");
		json_decref(e);
	}
	put(out, "", 1);
	answer_done(&a);
}

static void writes_are_events(void **state)
{
	_buf_ struct buf seen = {.max = 1 << 20}, want = {.max = 1 << 20};
	unsigned long long rv[5];
	char target[256];
	json_t *list = got("/api/v1/configmaps?limit=1", "*/*"), *first, *second;

	(void)state;
	(void)snprintf(target, sizeof(target),
		       "/api/v1/namespaces/shop/configmaps?watch=1&timeoutSeconds=1&"
		       "allowWatchBookmarks=true&resourceVersion=%s",
		       text_at(list, "metadata", "resourceVersion"));
	json_decref(list);
	rv[0] = write_object("v1", "ConfigMap", "shop", "x", ",\"spec\":{\"value\":\"a\"}");
	first = got("/api/v1/namespaces/shop/configmaps/x", "*/*");
	rv[1] = write_object("v1", "ConfigMap", "shop", "x", ",\"spec\":{\"value\":\"b\"}");
	(void)write_object("v1", "ConfigMap", "auth", "x", ",\"spec\":{\"value\":\"c\"}");
	second = got("/api/v1/namespaces/shop/configmaps/x", "*/*");
	assert_string_equal(text_at(first, "metadata", "uid"), text_at(second, "metadata", "uid"));
	assert_string_equal(text_at(second, "spec", "value"), "b");
	rv[2] = delete_object("v1", "ConfigMap", "shop", "x");
	assert_int_equal(status_of("GET", "/api/v1/namespaces/shop/configmaps/x", "*/*", ""), 404);
	rv[3] = write_object("v1", "ConfigMap", "shop", "x", ",\"spec\":{\"value\":\"d\"}");
	json_decref(second);
	second = got("/api/v1/namespaces/shop/configmaps/x", "*/*");
	assert_string_not_equal(text_at(first, "metadata", "uid"),
				text_at(second, "metadata", "uid"));
	watched(target, &seen);
	put_f(&want, "ADDED x a %llu\nMODIFIED x b %llu\nDELETED x b %llu\nADDED x d %llu\n", rv[0],
	      rv[1], rv[2], rv[3]);
	put(&want, "", 1);
	assert_string_equal(seen.p, want.p);
	assert_true(rv[0] < rv[1] && rv[1] < rv[2] && rv[2] < rv[3]);
	rv[4] = delete_object("v1", "ConfigMap", "shop", "x");
	assert_true(rv[4] > rv[3]);
	(void)delete_object("v1", "ConfigMap", "auth", "x");
	json_decref(first);
	json_decref(second);
}

/* A streaming list is the state, in the order of lists, then the mark, then what comes. */
static void a_streaming_list(void **state)
{
	_buf_ struct buf seen = {.max = 1 << 20};
	json_t *list = got("/api/v1/namespaces/shop/secrets", "*/*"), *o;
	const char *at;
	size_t i;

	(void)state;
	watched("/api/v1/namespaces/shop/secrets?watch=1&timeoutSeconds=1&allowWatchBookmarks=true&"
		"sendInitialEvents=true&resourceVersionMatch=NotOlderThan",
		&seen);
	at = seen.p;
	json_array_foreach(json_object_get(list, "items"), i, o)
	{
		char want[320];

		(void)snprintf(want, sizeof(want), "ADDED %s ", text_at(o, "metadata", "name"));
		assert_int_equal(strncmp(at, want, strlen(want)), 0);
		at = strchr(at, '\n') + 1;
	}
	assert_true(i > 0);
	assert_string_equal(at, "MARK\n");
	json_decref(list);
}

/* Another uid under a name is another object. */
static void a_name_taken_over(void **state)
{
	_buf_ struct buf seen = {.max = 1 << 20};
	unsigned long long rv = write_object("v1", "ConfigMap", "mail", "y", "");
	char target[256], data[512];

	(void)state;
	(void)snprintf(data, sizeof(data),
		       "{\"apiVersion\":\"v1\",\"kind\":\"List\",\"items\":[{\"apiVersion\":\"v1\","
		       "\"kind\":\"ConfigMap\",\"metadata\":{\"name\":\"y\",\"namespace\":\"mail\","
		       "\"uid\":\"00000000-0000-4000-8000-00000000abcd\"}}]}");
	(void)written("POST", "/replay/object", data);
	(void)snprintf(target, sizeof(target),
		       "/api/v1/namespaces/mail/configmaps?watch=1&timeoutSeconds=1&"
		       "resourceVersion=%llu",
		       rv);
	watched(target, &seen);
	assert_int_equal(strncmp(seen.p, "DELETED y ", 10), 0);
	assert_int_equal(strncmp(strchr(seen.p, '\n') + 1, "ADDED y ", 8), 0);
	(void)delete_object("v1", "ConfigMap", "mail", "y");
}

static void what_cannot_be_written(void **state)
{
	(void)state;
	assert_int_equal(status_of("POST", "/replay/object", "*/*", "{"), 400);
	assert_int_equal(status_of("POST", "/replay/object", "*/*", ""), 400);
	assert_int_equal(
		status_of("POST", "/replay/object", "*/*",
			  "{\"apiVersion\":\"v9\",\"kind\":\"X\",\"metadata\":{\"name\":\"x\"}}"),
		400);
	assert_int_equal(status_of("POST", "/replay/object", "*/*",
				   "{\"apiVersion\":\"v1\",\"kind\":\"Secret\",\"metadata\":{}}"),
			 400);
	assert_int_equal(
		status_of("DELETE",
			  "/replay/object?apiVersion=v1&kind=Secret&namespace=shop&name=no", "*/*",
			  ""),
		404);
	assert_int_equal(status_of("DELETE", "/replay/object", "*/*", ""), 400);
	/* the recording tells what pods do until it is over */
	assert_int_equal(
		status_of("POST", "/replay/object", "*/*",
			  "{\"apiVersion\":\"v1\",\"kind\":\"Pod\",\"metadata\":{\"name\":\"p\"}}"),
		409);
	assert_int_equal(status_of("POST", "/replay/advance?end=1", "*/*", ""), 200);
	assert_true(write_object("v1", "Pod", "shop", "p", "") > 4000);
	assert_int_equal(status_of("GET", "/api/v1/namespaces/shop/pods/p", PB, ""), 200);
	(void)delete_object("v1", "Pod", "shop", "p");
}

/* ---- kinds and namespaces come and go -------------------------------------------------------- */

#define CRD                                                                                    \
	"{\"apiVersion\":\"apiextensions.k8s.io/v1\",\"kind\":\"CustomResourceDefinition\","   \
	"\"metadata\":{\"name\":\"widgets.example.com\"},\"spec\":{\"group\":\"example.com\"," \
	"\"scope\":\"Cluster\",\"names\":{\"plural\":\"widgets\",\"kind\":\"Widget\","         \
	"\"singular\":\"widget\",\"shortNames\":[\"wd\"]},\"versions\":["                      \
	"{\"name\":\"v1beta1\",\"served\":true},{\"name\":\"v1\",\"served\":true},"            \
	"{\"name\":\"v2\",\"served\":%s}]}}"

static void define(const char *v2)
{
	char data[1024];

	(void)snprintf(data, sizeof(data), CRD, v2);
	(void)written("POST", "/replay/object", data);
}

static void preferred(const char *version)
{
	json_t *group = got("/apis/example.com", "*/*");

	assert_string_equal(text_at(group, "preferredVersion", "version"), version);
	json_decref(group);
}

static void a_definition_comes_and_goes(void **state)
{
	_buf_ struct buf seen = {.max = 1 << 20};
	json_t *doc, *entry;
	unsigned long long rv;
	char target[256];

	(void)state;
	assert_int_equal(status_of("GET", "/apis/example.com/v1/widgets", "*/*", ""), 404);
	define("false");
	preferred("v1");
	doc = got("/apis", AGGREGATED);
	entry = resource_of(version_of(doc, "example.com", "v1beta1"), "widgets");
	assert_string_equal(text_at(entry, "scope", NULL), "Cluster");
	assert_string_equal(text_at(entry, "responseKind", "kind"), "Widget");
	assert_null(version_of(doc, "example.com", "v2"));
	json_decref(doc);
	rv = write_object("example.com/v1", "Widget", "", "w", ",\"spec\":{\"value\":\"a\"}");
	doc = got("/apis/example.com/v1beta1/widgets/w", "*/*"); /* the same object */
	assert_string_equal(text_at(doc, "apiVersion", NULL), "example.com/v1beta1");
	assert_string_equal(text_at(doc, "spec", "value"), "a");
	json_decref(doc);
	define("true");
	preferred("v2");
	doc = got("/apis/example.com/v2/widgets", "*/*");
	assert_int_equal(json_array_size(json_object_get(doc, "items")), 1);
	json_decref(doc);
	(void)snprintf(target, sizeof(target),
		       "/apis/example.com/v1/widgets?watch=1&timeoutSeconds=1&resourceVersion=%llu",
		       rv);
	watched(target, &seen);
	assert_string_equal(seen.p, "");
	(void)delete_object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "",
			    "widgets.example.com");
	assert_int_equal(status_of("GET", "/apis/example.com", "*/*", ""), 404);
	assert_int_equal(status_of("GET", "/apis/example.com/v1/widgets", "*/*", ""), 404);
	define("false"); /* and again, empty */
	doc = got("/apis/example.com/v1/widgets", "*/*");
	assert_int_equal(json_array_size(json_object_get(doc, "items")), 0);
	json_decref(doc);
	(void)delete_object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "",
			    "widgets.example.com");
}

/* A watch that is open when its kind goes is told of the end of each object, and ends. */
static void open_watches_end_with_their_kind(void **state)
{
	static const char request[] = "GET /apis/example.com/v1/widgets?watch=1 HTTP/1.1\r\n"
				      "Host: x\r\nConnection: close\r\n\r\n";
	_buf_ struct buf in = {.max = 1 << 20};
	_close_ int fd = -1;
	ssize_t n;

	(void)state;
	define("false");
	(void)write_object("example.com/v1", "Widget", "", "w", "");
	fd = dial(&r);
	assert_int_equal(send(fd, request, sizeof(request) - 1, 0), sizeof(request) - 1);
	do { /* until its first event: then the watch is open */
		assert_int_equal(buf_reserve(&in, 65536), 0);
		n = recv(fd, buf_tail(&in), 65536, 0);
		assert_true(n > 0);
		buf_commit(&in, (size_t)n);
	} while (!memmem(in.p, in.n, "ADDED", 5));
	(void)delete_object("apiextensions.k8s.io/v1", "CustomResourceDefinition", "",
			    "widgets.example.com");
	do {
		assert_int_equal(buf_reserve(&in, 65536), 0);
		n = recv(fd, buf_tail(&in), 65536, 0);
		buf_commit(&in, n > 0 ? (size_t)n : 0);
	} while (n > 0);
	assert_int_equal(n, 0);
	assert_non_null(memmem(in.p, in.n, "DELETED", 7));
	assert_memory_equal(in.p + in.n - 5, "0\r\n\r\n", 5);
}

static void a_namespace_takes_its_objects_along(void **state)
{
	json_t *list;

	(void)state;
	(void)write_object("v1", "Namespace", "", "short", "");
	(void)write_object("v1", "Secret", "short", "s", "");
	(void)write_object("apps/v1", "Deployment", "short", "d", "");
	list = got("/apis/apps/v1/namespaces/short/deployments", "*/*");
	assert_int_equal(json_array_size(json_object_get(list, "items")), 1);
	json_decref(list);
	(void)delete_object("v1", "Namespace", "", "short");
	list = got("/apis/apps/v1/namespaces/short/deployments", "*/*");
	assert_int_equal(json_array_size(json_object_get(list, "items")), 0);
	json_decref(list);
	assert_int_equal(status_of("GET", "/api/v1/namespaces/short/secrets/s", "*/*", ""), 404);
	assert_int_equal(status_of("GET", "/api/v1/namespaces/short", "*/*", ""), 404);
	/* those of recorded pods are there, too */
	assert_int_equal(status_of("GET", "/api/v1/namespaces/doomed", "*/*", ""), 200);
}

/* ---- faults ---------------------------------------------------------------------------------- */

static void faults_of_one_kind(void **state)
{
	struct answer a;

	(void)state;
	assert_int_equal(status_of("POST",
				   "/replay/fault?set=403=secrets,404=configmaps,"
				   "500=certificates.cert-manager.io,garbage=services:64,"
				   "503-discovery",
				   "*/*", ""),
			 400); /* there is no fault 503 */
	assert_int_equal(status_of("POST",
				   "/replay/fault?set=403=secrets,404=configmaps,"
				   "500=certificates.cert-manager.io,garbage=services:64,"
				   "500-discovery@times=1",
				   "*/*", ""),
			 200);
	assert_int_equal(status_of("GET", "/api/v1/secrets", "*/*", ""), 403);
	assert_int_equal(status_of("GET", "/api/v1/configmaps", "*/*", ""), 404);
	assert_int_equal(status_of("GET", "/apis/cert-manager.io/v1/certificates", "*/*", ""), 500);
	assert_int_equal(status_of("GET", "/apis/cert-manager.io/v1/clusterissuers", "*/*", ""),
			 200);
	assert_int_equal(status_of("GET", DEPLOYMENTS, "*/*", ""), 200);
	get(&r, "/api/v1/services", "*/*", &a);
	assert_int_equal(a.status, 200);
	assert_int_equal(a.body.n, 64);
	answer_done(&a);
	assert_int_equal(status_of("GET", "/apis", "*/*", ""), 500);
	assert_int_equal(status_of("GET", "/apis", "*/*", ""), 200);
	assert_int_equal(status_of("POST", "/replay/fault?set=silent=secrets", "*/*", ""), 200);
	assert_int_equal(status_of("GET", DEPLOYMENTS, "*/*", ""), 200);
	assert_int_equal(status_of("POST", "/replay/fault?set=500", "*/*", ""), 200);
	assert_int_equal(status_of("GET", DEPLOYMENTS, "*/*", ""), 500);
	assert_int_equal(status_of("GET", "/api", "*/*", ""), 200); /* only when it is named */
	assert_int_equal(status_of("POST", "/replay/fault?clear=1", "*/*", ""), 200);
}

/* What is compacted is too old, but never the present. */
static void compacted(void **state)
{
	struct answer a;
	char target[256];
	json_t *list;

	(void)state;
	(void)write_object("v1", "ConfigMap", "mail", "z", "");
	(void)delete_object("v1", "ConfigMap", "mail", "z");
	assert_int_equal(status_of("POST", "/replay/compact?now=1", "*/*", ""), 200);
	get(&r, "/api/v1/configmaps?watch=1&timeoutSeconds=1&resourceVersion=3000", "*/*", &a);
	put(&a.body, "", 1);
	assert_non_null(strstr(a.body.p, "\"code\":410"));
	answer_done(&a);
	list = got("/apis/policy/v1/poddisruptionbudgets", "*/*");
	(void)snprintf(target, sizeof(target),
		       "/apis/policy/v1/poddisruptionbudgets?watch=1&timeoutSeconds=1&"
		       "resourceVersion=%s",
		       text_at(list, "metadata", "resourceVersion"));
	json_decref(list);
	get(&r, target, "*/*", &a);
	put(&a.body, "", 1);
	assert_int_equal(a.status, 200);
	assert_null(strstr(a.body.p, "ERROR"));
	answer_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(discovery_names_what_is_there),
		cmocka_unit_test(lists_are_the_files),
		cmocka_unit_test(one_object_in_each_form),
		cmocka_unit_test(label_selectors),
		cmocka_unit_test(writes_are_events),
		cmocka_unit_test(a_streaming_list),
		cmocka_unit_test(a_name_taken_over),
		cmocka_unit_test(what_cannot_be_written),
		cmocka_unit_test(a_definition_comes_and_goes),
		cmocka_unit_test(open_watches_end_with_their_kind),
		cmocka_unit_test(a_namespace_takes_its_objects_along),
		cmocka_unit_test(faults_of_one_kind),
		cmocka_unit_test(compacted),
	};

	return cmocka_run_group_tests(tests, begin, end);
}
