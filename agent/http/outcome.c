/*
 * How a transfer ended, as a result and in words. The words name the address
 * or the certificate and what is wrong with it, for people who have to fix it.
 */
#include "http/xfer.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static const char *const result_names[_HTTP_RESULT_MAX] = {
	[HTTP_DONE] = "done",
	[HTTP_CONNECT_FAILED] = "connect failed",
	[HTTP_TLS_FAILED] = "tls failed",
	[HTTP_TIMEOUT] = "timeout",
	[HTTP_CUT] = "cut",
	[HTTP_BAD_ANSWER] = "bad answer",
	[HTTP_ABORTED] = "aborted",
};

const char *http_result_name(enum http_result how)
{
	return how < _HTTP_RESULT_MAX ? result_names[how] : "?";
}

__attribute__((format(printf, 3, 4))) static enum http_result
say(struct http_xfer *x, enum http_result how, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)vsnprintf(x->text, sizeof(x->text), fmt, ap);
	va_end(ap);
	return how;
}

/* libcurl's own words, or those of the code when it has none. It keeps the first complaint only,
 * and complains first that a peer which has gone already has no name any more. */
static const char *curl_words(const struct http_xfer *x, CURLcode code)
{
	bool telling = x->curl_text[0] && strncmp(x->curl_text, "getpeername()", 13) != 0;

	return telling ? x->curl_text : curl_easy_strerror(code);
}

/* "10.0.0.1:443 (api.example:443)", one of the two when they are the same or unknown. */
static const char *peer(const struct http_xfer *x, char *p, size_t n)
{
	if (!x->address[0] || strcmp(x->address, x->where) == 0)
		return x->where;
	(void)snprintf(p, n, "%s (%s)", x->where, x->address);
	return p;
}
#define PEER(x) peer(x, (char[512]){0}, 512)

static enum http_result outcome_connect(struct http_xfer *x, CURLcode code)
{
	long err = 0;

	(void)curl_easy_getinfo(x->easy, CURLINFO_OS_ERRNO, &err);
	if (code == CURLE_COULDNT_CONNECT && err)
		return say(x, HTTP_CONNECT_FAILED, "cannot connect to %s: %s", PEER(x),
			   strerror((int)err));
	return say(x, HTTP_CONNECT_FAILED, "cannot connect to %s: %s", PEER(x),
		   curl_words(x, code));
}

static enum http_result outcome_certificate(struct http_xfer *x, CURLcode code)
{
	static const struct http_certs none;
	const struct http_certs *c = x->certs ? x->certs : &none;
	char reason[256];

	if (c->error) {
		http_certs_reason(c, reason, sizeof(reason));
		return say(x, HTTP_TLS_FAILED,
			   "certificate of %s is not accepted: %s (subject \"%s\", issuer \"%s\")",
			   PEER(x), reason, c->bad.subject, c->bad.issuer);
	}
	if (!c->leaf.subject[0] && !c->leaf.issuer[0])
		return say(x, HTTP_TLS_FAILED, "TLS with %s failed: %s", PEER(x),
			   curl_words(x, code));
	return say(x, HTTP_TLS_FAILED,
		   "certificate of %s is for another host: it names %s (subject \"%s\", issuer "
		   "\"%s\"); %s",
		   PEER(x), c->names[0] ? c->names : "no host", c->leaf.subject, c->leaf.issuer,
		   curl_words(x, code));
}

static bool has_alert(const struct http_xfer *x)
{
	return x->certs && x->certs->alert;
}

static enum http_result outcome_alert(struct http_xfer *x)
{
	return say(x, HTTP_TLS_FAILED,
		   "%s refused TLS with the alert \"%s\" (is the client certificate the right "
		   "one?)",
		   PEER(x), x->certs->alert);
}

static enum http_result outcome_handshake(struct http_xfer *x, CURLcode code)
{
	const char *words = curl_words(x, code);

	if (has_alert(x))
		return outcome_alert(x);
	/* OpenSSL's reasons for bytes that are no TLS record, and for plain HTTP. */
	if (strstr(words, "wrong version number") || strstr(words, "http request") ||
	    strstr(words, "packet length too long"))
		return say(x, HTTP_TLS_FAILED, "%s does not speak TLS on this port (%s)", PEER(x),
			   words);
	return say(x, HTTP_TLS_FAILED, "TLS with %s failed: %s", PEER(x), words);
}

static enum http_result outcome_cut(struct http_xfer *x, CURLcode code)
{
	/* In TLS 1.3 a refused client certificate shows only when the answer is read. */
	if (x->stage == HTTP_STAGE_WAIT && has_alert(x))
		return outcome_alert(x);
	if (x->head.complete)
		return say(x, HTTP_CUT, "connection to %s broke after %llu bytes of the body: %s",
			   PEER(x), (unsigned long long)x->bytes, curl_words(x, code));
	return say(x, HTTP_CUT, "connection to %s broke before an answer: %s", PEER(x),
		   curl_words(x, code));
}

static enum http_result outcome_abort(struct http_xfer *x, CURLcode code)
{
	if (x->abort_code == -EBADMSG)
		return say(x, HTTP_BAD_ANSWER, "answer of %s is no HTTP", PEER(x));
	if (x->abort_code == -EMSGSIZE && !x->head.complete)
		return say(x, HTTP_BAD_ANSWER, "head of the answer of %s is over %zu bytes",
			   PEER(x), x->head.lines.max);
	if (x->abort_code)
		return say(x, HTTP_ABORTED, "given up while reading from %s: %s", PEER(x),
			   strerror(-x->abort_code));
	return say(x, HTTP_ABORTED, "request to %s failed: %s", PEER(x), curl_words(x, code));
}

enum http_result http_outcome(struct http_xfer *x, CURLcode code)
{
	x->text[0] = '\0';
	/* libcurl has a hundred codes; those not named here are faults of the request. */
	switch ((int)code) {
	case CURLE_OK:
		return x->head.complete
			       ? HTTP_DONE
			       : say(x, HTTP_BAD_ANSWER, "answer of %s has no head", PEER(x));
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_CONNECT:
	case CURLE_PROXY:
	case CURLE_INTERFACE_FAILED:
		return outcome_connect(x, code);
	case CURLE_PEER_FAILED_VERIFICATION:
		return outcome_certificate(x, code);
	case CURLE_SSL_CONNECT_ERROR:
	case CURLE_SSL_CERTPROBLEM:
	case CURLE_SSL_CIPHER:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
	case CURLE_SSL_CLIENTCERT:
		return x->certs && x->certs->error ? outcome_certificate(x, code)
						   : outcome_handshake(x, code);
	case CURLE_OPERATION_TIMEDOUT:
		return http_outcome_late(x, x->started + x->connect);
	case CURLE_GOT_NOTHING:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_PARTIAL_FILE:
		return x->stage == HTTP_STAGE_CONNECT ? outcome_connect(x, code)
						      : outcome_cut(x, code);
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_UNSUPPORTED_PROTOCOL:
	case CURLE_HTTP2:
		return say(x, HTTP_BAD_ANSWER, "answer of %s is no HTTP/1.1: %s", PEER(x),
			   curl_words(x, code));
	default:
		return outcome_abort(x, code);
	}
}

/* How far a connection has come. */
static const char *connect_stage(const struct http_xfer *x)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);

	if (!x->address[0])
		return "resolving the host name";
	return getpeername(x->fd, (struct sockaddr *)&a, &n) == 0 ? "TLS or proxy handshake"
								  : "connecting";
}

static double seconds(nsec_t t)
{
	return (double)t / (double)NSEC_PER_SEC;
}

enum http_result http_outcome_late(struct http_xfer *x, nsec_t now)
{
	if (x->total && now >= x->started + x->total)
		return say(x, HTTP_TIMEOUT, "request to %s took more than %g s", PEER(x),
			   seconds(x->total));
	if (x->stage == HTTP_STAGE_CONNECT)
		return say(x, HTTP_TIMEOUT, "no connection to %s within %g s (%s)", PEER(x),
			   seconds(x->connect), connect_stage(x));
	if (x->stage == HTTP_STAGE_WAIT)
		return say(x, HTTP_TIMEOUT, "no answer from %s within %g s", PEER(x),
			   seconds(x->first_byte));
	return say(x, HTTP_TIMEOUT, "%s was silent for %g s after %llu bytes", PEER(x),
		   seconds(x->idle), (unsigned long long)x->bytes);
}
