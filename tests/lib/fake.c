/* Stand-ins; see fake.h. */
#include "tests/lib/fake.h"

#include "base/buf.h"
#include "tests/lib/http_probe.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PATIENCE (60 * NSEC_PER_SEC)

static void die(const char *what, const char *more)
{
	(void)fprintf(stderr, "stand-in: %s %s\n", what, more);
	abort();
}

static bool in_path(const char *program)
{
	char path[4096], full[4400], *save = NULL;

	(void)snprintf(path, sizeof(path), "%s", getenv("PATH") ? getenv("PATH") : "");
	for (char *dir = strtok_r(path, ":", &save); dir; dir = strtok_r(NULL, ":", &save)) {
		(void)snprintf(full, sizeof(full), "%s/%s", dir, program);
		if (access(full, X_OK) == 0)
			return true;
	}
	return false;
}

bool fake_possible(void)
{
	if (in_path("python3"))
		return true;
	(void)printf("skipped: no python3 (cannot run here)\n");
	return false;
}

static const char *find(const char *script, char *ret, size_t n)
{
	char up[64] = "";

	for (int i = 0; i < 8; i++) {
		(void)snprintf(ret, n, "%stests/fake/%s", up, script);
		if (access(ret, R_OK) == 0)
			return ret;
		(void)snprintf(up + strlen(up), sizeof(up) - strlen(up), "../");
	}
	die("not found:", script);
	return NULL;
}

static void write_file(const char *path, const char *text)
{
	FILE *f = fopen(path, "w");

	if (!f || fputs(text, f) < 0 || fclose(f) != 0)
		die("cannot write", path);
}

void fake_start(struct fake *f, struct event_base *base, struct http *http,
		const struct fake_opts *o)
{
	char script[256], port[128], cert[128], key[128];
	const char *argv[PROC_MAX_ARGS] = {"/usr/bin/env", "python3",
					   "-B",	   find(o->script, script, sizeof(script)),
					   "--port-file",  port};
	size_t n = 6;

	*f = (struct fake){.base = base, .http = http, .host = "127.0.0.1", .tls = o->cert};
	(void)snprintf(f->folder, sizeof(f->folder), "/tmp/kindred-fake-XXXXXX");
	if (!mkdtemp(f->folder))
		die("no folder:", strerror(errno));
	(void)snprintf(port, sizeof(port), "%s/port", f->folder);
	(void)snprintf(cert, sizeof(cert), "%s/cert.pem", f->folder);
	(void)snprintf(key, sizeof(key), "%s/key.pem", f->folder);
	if (o->host) {
		f->host = strchr(o->host, ':') ? "[::1]" : o->host;
		argv[n++] = "--host";
		argv[n++] = o->host;
	}
	if (o->cert) {
		write_file(cert, o->cert);
		write_file(key, o->key);
		argv[n++] = "--tls-cert";
		argv[n++] = cert;
		argv[n++] = "--tls-key";
		argv[n++] = key;
	}
	for (size_t i = 0; o->args && o->args[i]; i++)
		argv[n++] = o->args[i];
	if (proc_start(&f->proc, f->folder, "fake", argv, NULL) < 0 ||
	    proc_port(port, PATIENCE, &f->port) < 0)
		die("does not start:", proc_text(f->proc.err));
}

void fake_stop(struct fake *f)
{
	static const char *const files[] = {"port", "cert.pem", "key.pem", "fake.out", "fake.err"};
	char path[128];

	if (!f->folder[0])
		return;
	if (proc_running(&f->proc))
		(void)proc_stop(&f->proc, SIGKILL, PATIENCE, NULL);
	for (size_t i = 0; i < sizeof(files) / sizeof(*files); i++) {
		(void)snprintf(path, sizeof(path), "%s/%s", f->folder, files[i]);
		(void)unlink(path);
	}
	(void)rmdir(f->folder);
	f->folder[0] = '\0';
}

const char *fake_url(const struct fake *f, const char *path, char *ret, size_t n)
{
	(void)snprintf(ret, n, "%s://%s:%u%s", f->tls ? "https" : "http", f->host, f->port, path);
	return ret;
}

json_t *fake_ask(struct fake *f, const char *method, const char *path, const char *body)
{
	struct http_tls tls = {.insecure = true};
	struct probe p;
	char url[256];
	json_t *root;

	probe_init(&p, f->base, f->http);
	if (probe_begin(&p, (struct http_request){
				    .url = fake_url(f, path, url, sizeof(url)),
				    .method = method,
				    .body = str_of(body),
				    .content_type = "application/json",
				    .tls = &tls,
				    .proxy = "",
			    }) < 0)
		die("cannot be asked:", path);
	probe_wait(&p);
	root = p.status == 200 ? json_loadb(buf_str(&p.body).p, buf_str(&p.body).n, 0, NULL) : NULL;
	if (!root) {
		(void)fprintf(stderr, "%s", proc_text(f->proc.err));
		die(path, p.text);
	}
	probe_done(&p);
	return root;
}

void fake_tell(struct fake *f, const char *path, const char *body)
{
	json_decref(fake_ask(f, "POST", path, body));
}

void fake_fault(struct fake *f, const char *fault)
{
	fake_tell(f, "/_fake/fault", fault);
}

static size_t faults(struct fake *f)
{
	json_t *list = fake_ask(f, "GET", "/_fake/faults", NULL);
	const size_t n = json_array_size(list);

	json_decref(list);
	return n;
}

void fake_wait_taken(struct fake *f)
{
	const nsec_t until = clock_mono() + PATIENCE;

	while (faults(f)) {
		if (clock_mono() > until)
			die("is asked for nothing:", "a fault is left");
		probe_turn(f->base, 2);
	}
}

unsigned fake_complaints(struct fake *f)
{
	json_t *list = fake_ask(f, "GET", "/_fake/complaints", NULL);
	unsigned n = (unsigned)json_array_size(list);

	for (unsigned i = 0; i < n; i++)
		(void)fprintf(stderr, "stand-in: %s\n", json_string_value(json_array_get(list, i)));
	json_decref(list);
	return n;
}

unsigned fake_requests(struct fake *f)
{
	json_t *list = fake_ask(f, "GET", "/_fake/requests", NULL);
	unsigned n = (unsigned)json_array_size(list);

	json_decref(list);
	return n;
}
