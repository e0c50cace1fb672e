/*
 * What a name says about its value, and which values give nothing away whatever
 * their name.
 */
#include "base/mem.h"
#include "tree/redact_parts.h"

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

static bool is_lower(char c)
{
	return c >= 'a' && c <= 'z';
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* A noun at the end of a name. `inside`: letters may stand right before it ("PGPASSWORD"). */
struct noun {
	struct str text; /* without separators */
	enum name_says says;
	bool inside;
};

/* By the last letter, so that nearly all names are told apart at once. */
static const struct noun ends_d[] = {{STR("password"), NAME_SECRET, true},
				     {STR("passwd"), NAME_SECRET, true},
				     {STR("pwd"), NAME_SECRET, false}};
static const struct noun ends_e[] = {{STR("passphrase"), NAME_SECRET, true},
				     {STR("passcode"), NAME_SECRET, true}};
static const struct noun ends_g[] = {{STR("connectionstring"), NAME_SECRET, true}};
static const struct noun ends_h[] = {{STR("masterauth"), NAME_SECRET, false}};
static const struct noun ends_n[] = {
	{STR("accesstoken"), NAME_SECRET, true}, {STR("authtoken"), NAME_SECRET, true},
	{STR("bearertoken"), NAME_SECRET, true}, {STR("refreshtoken"), NAME_SECRET, true},
	{STR("token"), NAME_VAGUE, false},	 {STR("dsn"), NAME_VAGUE, false}};
static const struct noun ends_s[] = {{STR("credentials"), NAME_VAGUE, false},
				     {STR("pass"), NAME_SECRET, false},
				     {STR("requirepass"), NAME_SECRET, true}};
static const struct noun ends_t[] = {{STR("secret"), NAME_VAGUE, false}};
static const struct noun ends_w[] = {{STR("pw"), NAME_SECRET, false}};
static const struct noun ends_y[] = {
	{STR("apikey"), NAME_SECRET, true},    {STR("secretaccesskey"), NAME_SECRET, true},
	{STR("secretkey"), NAME_VAGUE, true},  {STR("accesskey"), NAME_VAGUE, true},
	{STR("accountkey"), NAME_VAGUE, true}, {STR("privatekey"), NAME_VAGUE, true},
	{STR("signingkey"), NAME_VAGUE, true}, {STR("masterkey"), NAME_VAGUE, true},
	{STR("authkey"), NAME_VAGUE, true},    {STR("encryptionkey"), NAME_VAGUE, true}};

/* Whether `name` ends with the noun, separators within it passed over. */
static bool ends_with(struct str name, const struct noun *noun)
{
	size_t i = name.n, k = noun->text.n;
	char first, before;

	while (k && i) {
		char c = name.p[i - 1];

		if (c == '-' || c == '_') {
			i--;
			continue;
		}
		if (lower(c) != noun->text.p[k - 1])
			return false;
		i--;
		k--;
	}
	if (k)
		return false;
	if (!i || noun->inside)
		return true;
	first = name.p[i];
	before = name.p[i - 1];
	return !(is_lower(before) || is_upper(before) || is_digit(before)) ||
	       (is_lower(before) && is_upper(first));
}

/* By the last two letters of all nouns: most names end otherwise. */
static bool may_be_noun(char a, char b)
{
	static const char ends[][2] = {{'r', 'd'}, {'w', 'd'}, {'s', 'e'}, {'d', 'e'}, {'n', 'g'},
				       {'t', 'h'}, {'e', 'n'}, {'s', 'n'}, {'l', 's'}, {'s', 's'},
				       {'e', 't'}, {'p', 'w'}, {'e', 'y'}};

	for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
		if (ends[i][1] == b && ends[i][0] == a)
			return true;
	return false;
}

enum name_says name_says(struct str name)
{
	const struct noun *list;
	size_t n;

	if (name.n < 2 || !may_be_noun(lower(name.p[name.n - 2]), lower(name.p[name.n - 1])))
		return NAME_HARMLESS;
#define LIST(c, nouns)                 \
	case c:                        \
		list = nouns;          \
		n = ARRAY_SIZE(nouns); \
		break
	switch (lower(name.p[name.n - 1])) {
		LIST('d', ends_d);
		LIST('e', ends_e);
		LIST('g', ends_g);
		LIST('h', ends_h);
		LIST('n', ends_n);
		LIST('s', ends_s);
		LIST('t', ends_t);
		LIST('w', ends_w);
		LIST('y', ends_y);
	default:
		return NAME_HARMLESS;
	}
#undef LIST
	for (size_t i = 0; i < n; i++)
		if (ends_with(name, &list[i]))
			return list[i].says;
	return NAME_HARMLESS;
}

bool name_is_sensitive(struct str name)
{
	static const struct str words[] = {
		STR("pass"), STR("pwd"),     STR("secret"), STR("token"), STR("key"),
		STR("cred"), STR("auth"),    STR("cookie"), STR("salt"),  STR("dsn"),
		STR("conn"), STR("private"), STR("cert"),
	};

	for (size_t at = 0; at < name.n; at++)
		for (size_t i = 0; i < ARRAY_SIZE(words); i++)
			if (lower(name.p[at]) == words[i].p[0] && name.n - at >= words[i].n &&
			    strncasecmp(name.p + at, words[i].p, words[i].n) == 0)
				return true;
	return false;
}

bool value_is_reference(struct str value)
{
	static const struct str words[] = {STR(""),	STR("true"), STR("false"), STR("null"),
					   STR("none"), STR("yes"),  STR("no")};

	value = str_trim(value);
	if (value.n > 256)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (str_ieq(value, words[i]))
			return true;
	if (str_eq(value, REDACT_MASK))
		return true;
	/* One reference and nothing else. */
	if (str_starts(value, STR("$(")))
		return memchr(value.p, ')', value.n) == value.p + value.n - 1;
	if (str_starts(value, STR("${")))
		return memchr(value.p, '}', value.n) == value.p + value.n - 1;
	if (str_starts(value, STR("{{")))
		return str_ends(value, STR("}}")) && !memchr(value.p, '"', value.n);
	if (value.p[0] != '$' || value.n < 2)
		return false;
	for (size_t i = 1; i < value.n; i++)
		if (!is_upper(value.p[i]) && value.p[i] != '_' && !(i > 1 && is_digit(value.p[i])))
			return false;
	return true;
}

bool value_is_path(struct str value)
{
	size_t slashes = 0;

	if (value.n < 3 || value.n > 256 || (value.p[0] != '/' && value.p[0] != '.'))
		return false;
	for (size_t i = 0; i < value.n; i++) {
		char c = value.p[i];

		slashes += c == '/';
		if (!is_lower(c) && !is_upper(c) && !is_digit(c) && c != '/' && c != '.' &&
		    c != '-' && c != '_')
			return false;
	}
	return slashes >= 2;
}

/* A part of a name: letters, "v2", or a few digits. */
static bool is_word(struct str part)
{
	size_t i = 0;

	if (part.n > 1 && part.p[0] == 'v')
		i = 1;
	if (i < part.n && is_digit(part.p[i])) {
		while (i < part.n && is_digit(part.p[i]))
			i++;
		return i == part.n && part.n <= 4;
	}
	for (i = 0; i < part.n && is_lower(part.p[i]);)
		i++;
	return part.n && i == part.n;
}

bool value_is_name(struct str value)
{
	size_t from = 0;

	if (value.n > 253)
		return false;
	for (size_t i = 0; i <= value.n; i++) {
		if (i < value.n && value.p[i] != '-' && value.p[i] != '.' && value.p[i] != '/')
			continue;
		if (!is_word(str_make(value.p + from, i - from)))
			return false;
		from = i + 1;
	}
	return true;
}
