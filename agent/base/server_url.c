/* The URL of a server; see server_url.h. */
#include "base/server_url.h"

static bool port_ok(struct str s)
{
	unsigned long long port;

	return str_to_u64(s, &port) == 0 && port > 0 && port < 65536;
}

/* "host", "host:443", "10.0.0.1", "[::1]:443". */
static const char *authority_wrong(struct str s)
{
	struct str host;
	bool port;

	if (memchr(s.p, '@', s.n))
		return "expected no user or password in the URL; use a token or a certificate";
	if (s.p[0] == '[') {
		if (!str_split(&s, ']', &host) || (s.n && s.p[0] != ':'))
			return "expected [IPv6 address]:PORT";
		port = s.n > 0;
		s = str_from(s, 1);
		host = str_from(host, 1);
	} else {
		port = str_split(&s, ':', &host);
	}
	if (!host.n)
		return "has no host; expected https://HOST:PORT";
	return !port || port_ok(s) ? NULL : "has a bad port; expected a number from 1 to 65535";
}

const char *server_url_wrong(struct str url)
{
	struct str s = url, authority;

	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] > '~')
			return "holds a blank or another byte that no URL has";
	if (str_starts(s, STR("https://")))
		s = str_from(s, 8);
	else if (str_starts(s, STR("http://")))
		s = str_from(s, 7);
	else
		return "expected https://HOST:PORT or http://HOST:PORT";
	if (s.n && (memchr(s.p, '?', s.n) || memchr(s.p, '#', s.n)))
		return "expected no query (?) or fragment (#)";
	(void)str_split(&s, '/', &authority);
	return authority.n ? authority_wrong(authority) : "has no host; expected https://HOST:PORT";
}

void server_url_trim(char *url)
{
	for (size_t n = strlen(url); n && url[n - 1] == '/'; n--)
		url[n - 1] = '\0';
}
