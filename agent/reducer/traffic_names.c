/* Names of addresses, out of DNS answers; see traffic.h. */
#include "reducer/traffic.h"

#include "base/mem.h"
#include "reducer/traffic_state.h"

#include <errno.h>
#include <stdlib.h>

#define NAMES_FIRST 256

static uint32_t hash_ip(const struct traffic *t, const struct addr *ip)
{
	return (uint32_t)hash_bytes(&t->seed, ip, sizeof(*ip));
}

static uint32_t find_name(const struct traffic *t, const struct addr *ip)
{
	const uint32_t h = hash_ip(t, ip);
	uint32_t at, id;

	for (id = index_first(&t->by_ip, h, &at); id; id = index_next(&t->by_ip, h, &at))
		if (addr_eq(&t->names[id - 1].ip, ip))
			break;
	return id;
}

static int grow_names(struct traffic *t)
{
	const uint32_t cap =
		MIN(MAX(t->cap_names * 2, (uint32_t)NAMES_FIRST), (uint32_t)TRAFFIC_MAX_NAMES);
	struct name *names;

	if (t->n_names < t->cap_names || t->cap_names == TRAFFIC_MAX_NAMES)
		return 0;
	names = realloc(t->names, cap * sizeof(*names));
	if (!names)
		return -ENOMEM;
	t->names = names;
	t->cap_names = cap;
	return 0;
}

void traffic_name(struct traffic *t, const struct addr *ip, struct str name)
{
	uint32_t id = find_name(t, ip);
	struct name *n;

	if (!id) {
		if (grow_names(t) < 0 || index_reserve(&t->by_ip, 1) < 0)
			return; /* only a name is missing */
		id = t->next_name + 1;
		t->next_name = id == TRAFFIC_MAX_NAMES ? 0 : id;
		if (id <= t->n_names)
			index_del(&t->by_ip, hash_ip(t, &t->names[id - 1].ip), id);
		else
			t->n_names = id;
		(void)index_put(&t->by_ip, hash_ip(t, ip), id);
	}
	if (name.n > TRAFFIC_NAME_MAX)
		name = str_from(name, name.n - TRAFFIC_NAME_MAX);
	n = &t->names[id - 1];
	n->ip = *ip;
	n->n = (uint8_t)name.n;
	if (name.n)
		memcpy(n->text, name.p, name.n);
}

struct str traffic_name_of(const struct traffic *t, const struct addr *ip)
{
	const uint32_t id = find_name(t, ip);

	return id ? str_make(t->names[id - 1].text, t->names[id - 1].n) : (struct str){0};
}
