/*
 * Certificates and keys in PEM, looked at before they are used, so that a
 * broken one is told in words and not by a failing handshake.
 */
#pragma once

#include "base/str.h"

#include <stddef.h>

/* Standard base64 (RFC 4648 section 4) with line breaks and blanks anywhere. 0, -EBADMSG or
 * -ENOMEM; the heap bytes have a NUL behind. */
int base64_decode(struct str text, char **ret, size_t *ret_n);
/* Without line breaks; heap. NULL when memory is short. */
char *base64_encode(struct str bytes);

/* NULL when all is well, else what is wrong, in words. Static texts. */
const char *pem_check_authorities(struct str ca);	       /* one certificate or more */
const char *pem_check_client(struct str cert, struct str key); /* and that they belong together */
