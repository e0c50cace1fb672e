/* The skeletons that bpftool makes, for their bytes alone; see elf.h. */
#include "flow/elf.h"

#include "base/mem.h"

#include <stdint.h>
#include <string.h>

/* What the programs call their integers, and so the skeletons. */
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;

/* Generated code: its casts are its own. */
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wcast-qual"
#pragma GCC diagnostic ignored "-Wshadow"
#include "bpf/asked.skel.h"
#include "bpf/cgroups.skel.h"
#include "bpf/found.skel.h"
#include "bpf/procs.skel.h"
#include "bpf/refresh.skel.h"
#include "bpf/resets.skel.h"
#include "bpf/retransmits.skel.h"
#include "bpf/tcp.skel.h"
#include "bpf/tcp_plain.skel.h"
#include "bpf/udp.skel.h"
#include "bpf/udp_drops.skel.h"
#pragma GCC diagnostic pop

/* clang-format off: one a line */
static const struct {
	const char *name;
	const void *(*bytes)(size_t *n);
} elves[] = {
	{"asked", asked_bpf__elf_bytes},
	{"cgroups", cgroups_bpf__elf_bytes},
	{"found", found_bpf__elf_bytes},
	{"procs", procs_bpf__elf_bytes},
	{"refresh", refresh_bpf__elf_bytes},
	{"resets", resets_bpf__elf_bytes},
	{"retransmits", retransmits_bpf__elf_bytes},
	{"tcp", tcp_bpf__elf_bytes},
	{"tcp_plain", tcp_plain_bpf__elf_bytes}, /* for kernels before 6.2 */
	{"udp", udp_bpf__elf_bytes},
	{"udp_drops", udp_drops_bpf__elf_bytes},
};
/* clang-format on */

struct elf elf_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(elves); i++) {
		struct elf e;

		if (strcmp(elves[i].name, name) != 0)
			continue;
		e.p = elves[i].bytes(&e.n);
		return e;
	}
	return (struct elf){0};
}
