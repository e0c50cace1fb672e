/* Writing an object's constants; see knobs.h. */
#include "flow/knobs.h"

#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>

static void set_knob(const struct btf *btf, const struct btf_type *sec, uint8_t *data, size_t size,
		     const struct knob *k)
{
	const struct btf_var_secinfo *v = btf_var_secinfos(sec);

	for (uint16_t i = 0; i < btf_vlen(sec); i++, v++) {
		const struct btf_type *t = btf__type_by_id(btf, v->type);
		const char *name = t ? btf__name_by_offset(btf, t->name_off) : NULL;

		if (!name || strcmp(name, k->name) != 0 || v->offset + (size_t)v->size > size)
			continue;
		switch (v->size) {
		case 1:
			data[v->offset] = (uint8_t)k->value;
			break;
		case 4:
			memcpy(data + v->offset, &(uint32_t){(uint32_t)k->value}, 4);
			break;
		case 8:
			memcpy(data + v->offset, &k->value, 8);
			break;
		default:
			break;
		}
	}
}

int knobs_set(struct bpf_object *obj, const struct knob *knobs, size_t n)
{
	const struct btf *btf = bpf_object__btf(obj);
	const int id = btf ? btf__find_by_name_kind(btf, ".rodata", BTF_KIND_DATASEC) : -1;
	const struct btf_type *sec = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;
	struct bpf_map *map;

	bpf_object__for_each_map(map, obj)
	{
		size_t size = 0;
		const void *old = bpf_map__initial_value(map, &size);

		if (!sec || !old || !str_ends(str_of(bpf_map__name(map)), STR(".rodata")))
			continue;
		_free_ uint8_t *data = malloc(size);

		if (!data)
			return -ENOMEM;
		memcpy(data, old, size);
		for (size_t i = 0; i < n; i++)
			set_knob(btf, sec, data, size, &knobs[i]);
		return bpf_map__set_initial_value(map, data, size);
	}
	return 0;
}
