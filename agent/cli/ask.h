/*
 * A question to the running agent, over its unix socket or at its address, from a
 * command's side: blocking, one request, the answer's body in pieces. A wait of more than a
 * second is shown (progress.h).
 */
#pragma once

#include "base/buf.h"
#include "base/str.h"
#include "cli/progress.h"
#include "config/option.h"
#include "serve/serve.h"

#include <jansson.h>
#include <signal.h>

#include <stdbool.h>
#include <stdint.h>

#define ASK_PATIENCE_S 30 /* without a byte, unless the answer has no end */

struct ask_where {
	const char *socket;
	const char *server; /* URL; NULL: the socket */
	const char *token_file, *ca_file;
	const char *hint; /* what else may be done when nobody answers; NULL: nothing */
	/* Set by a signal: who waits gives up with -EINTR, and that it waits is not shown, for the
	 * terminal is the command's own. NULL: none. */
	const volatile sig_atomic_t *stop;
};

/* The options about it, of a command whose struct has a `member` of that type. */
#define ASK_FIELD(owner, member) .flags = OPTION_FLAG_ONLY, OPTION_FIELD(owner, member)
#define ASK_OPTIONS(owner, member)                                                                \
	{.group = "Which agent",                                                                  \
	 .flag = "--socket",                                                                      \
	 .type = OPTION_STRING,                                                                   \
	 .arg = "PATH",                                                                           \
	 .def = SERVE_SOCKET,                                                                     \
	 ASK_FIELD(owner, member.socket),                                                         \
	 .help = "The socket of the agent on this node."},                                        \
		{.flag = "--server",                                                              \
		 .type = OPTION_STRING,                                                           \
		 .arg = "URL",                                                                    \
		 .def_words = "the socket",                                                       \
		 ASK_FIELD(owner, member.server),                                                 \
		 .help = "The address of an agent instead, its --listen: http://127.0.0.1:9901, " \
			 "https://HOST:PORT."},                                                   \
		{.flag = "--token-file",                                                          \
		 .type = OPTION_STRING,                                                           \
		 .arg = "FILE",                                                                   \
		 .def_words = "none",                                                             \
		 ASK_FIELD(owner, member.token_file),                                             \
		 .help = "With --server: the token that the agent's --listen-token-file holds."}, \
	{                                                                                         \
		.flag = "--ca-file", .type = OPTION_STRING, .arg = "FILE",                        \
		.def_words = "the system's", ASK_FIELD(owner, member.ca_file),                    \
		.help = "With --server https: who has signed the agent's certificate, PEM."       \
	}

struct ask {
	int fd;
	void *tls;	     /* an SSL; NULL: none */
	int status;	     /* of HTTP */
	bool chunked, whole; /* whole: the body has come to its end */
	bool in_chunk;
	bool endless;
	const volatile sig_atomic_t *stop; /* as ask_where */
	uint64_t left; /* bytes of this chunk, or of the body; UINT64_MAX: up to the end */
	uint64_t got;  /* bytes read */
	struct buf in; /* read and not yet taken apart */
	struct progress progress;
};

/* Asks for `target` ("/api/v1/flows?…") and reads the answer's head. 0; or -errno with a sentence
 * in ret_error. `endless`: the body may pause as long as it likes. */
int ask_open(const struct ask_where *w, const char *target, bool endless, struct ask *ret,
	     struct buf *ret_error);
void ask_close(struct ask *a);
#define _ask_ _cleanup_(ask_close)

/* Appends a piece of the body. 1: there may be more; 0: that was all; -ECONNRESET: cut short;
 * -EBADMSG, -ETIMEDOUT, -EMSGSIZE (body is full), -ENOMEM. */
int ask_read(struct ask *a, struct buf *body);
/* The whole body: 0 or as above. */
int ask_all(struct ask *a, struct buf *body);

/* NAME=VALUE behind a target, with '?' or '&' and percent-encoded; nothing where `value` is NULL.
 * 0, -EMSGSIZE or -ENOMEM. */
int ask_param(struct buf *target, const char *name, const char *value);
/* The "error" of an answer that is no 200, or all of it when it has none; a command prints it. */
void ask_complain(const char *command, struct ask *a);

/*
 * For commands, whose name goes before what is wrong: EXIT_OK, or the exit code when that was said
 * on standard error. EXIT_ABSENT: nobody answers; EXIT_USAGE: the agent does not understand the
 * question; EXIT_FAILED: it answers with an error.
 */
int ask_begin(const char *command, const struct ask_where *w, struct str target, bool endless,
	      struct ask *ret);
/* An answer with status 200, else as above; any other is closed. */
int ask_good(const char *command, const struct ask_where *w, struct str target, bool endless,
	     struct ask *ret);
/* The body of such an answer. */
int ask_body(const char *command, const struct ask_where *w, struct str target, struct buf *body);
/* The same as JSON, which is the caller's. */
int ask_json(const char *command, const struct ask_where *w, struct str target, json_t **ret);
/* The target could not be made, for `r`: EXIT_USAGE. */
int ask_cannot(const char *command, int r);
