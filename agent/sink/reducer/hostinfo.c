/* The host about itself; see hostinfo.h. */
#include "sink/reducer/hostinfo.h"

#include "base/mem.h"

#include <ifaddrs.h>
#include <inttypes.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/utsname.h>
#include <unistd.h>

void hostinfo_name(char out[HOSTINFO_NAME_MAX])
{
	if (gethostname(out, HOSTINFO_NAME_MAX) < 0 || !out[0])
		(void)snprintf(out, HOSTINFO_NAME_MAX, "unknown");
	out[HOSTINFO_NAME_MAX - 1] = '\0'; /* POSIX leaves it open for a name that is cut */
}

uint32_t hostinfo_cpus(void)
{
	const long n = sysconf(_SC_NPROCESSORS_ONLN);

	return n > 0 ? (uint32_t)n : 1;
}

/* 169.254.0.0/16 (RFC 3927) and fe80::/10 mean nothing to others. */
static bool of_interest(const struct ifaddrs *i, struct addr *ret)
{
	*ret = (struct addr){.b = {[10] = 0xff, [11] = 0xff}};
	if (!i->ifa_addr || !(i->ifa_flags & IFF_UP) || (i->ifa_flags & IFF_LOOPBACK))
		return false;
	if (i->ifa_addr->sa_family == AF_INET) {
		const struct sockaddr_in *sa = (const void *)i->ifa_addr;

		memcpy(ret->b + 12, &sa->sin_addr, 4);
		return ret->b[12] != 127 && !(ret->b[12] == 169 && ret->b[13] == 254);
	}
	if (i->ifa_addr->sa_family == AF_INET6) {
		const struct sockaddr_in6 *sa = (const void *)i->ifa_addr;

		memcpy(ret->b, &sa->sin6_addr, sizeof(ret->b));
		return !IN6_IS_ADDR_LINKLOCAL(&sa->sin6_addr) &&
		       !IN6_IS_ADDR_LOOPBACK(&sa->sin6_addr);
	}
	return false;
}

uint32_t hostinfo_addrs(struct addr *ret, uint32_t max)
{
	struct ifaddrs *list = NULL;
	uint32_t n = 0;

	if (getifaddrs(&list) < 0)
		return 0;
	for (const struct ifaddrs *i = list; i && n < max; i = i->ifa_next)
		if (of_interest(i, &ret[n]))
			n++;
	freeifaddrs(list);
	return n;
}

/* The first line of /proc/stat: "cpu user nice system idle iowait irq softirq steal ...". */
static void machine_time(uint64_t *ret_idle, uint64_t *ret_all)
{
	uint64_t v[8] = {0};
	FILE *f = fopen("/proc/stat", "re");

	*ret_idle = *ret_all = 0;
	if (!f)
		return;
	if (fscanf(f,
		   "cpu %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
		   " %" SCNu64 " %" SCNu64,
		   &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) >= 4) {
		*ret_idle = v[3];
		for (size_t i = 0; i < ARRAY_SIZE(v); i++)
			*ret_all += v[i];
	}
	(void)fclose(f);
}

static uint64_t us(struct timeval tv)
{
	return (uint64_t)tv.tv_sec * 1000000 + (uint64_t)tv.tv_usec;
}

/* part / whole in percent x 100. */
static uint16_t share(uint64_t part, uint64_t whole)
{
	return whole ? (uint16_t)MIN(part * 10000 / whole, (uint64_t)10000) : 0;
}

void hostinfo_usage(struct hostinfo_usage *last, nsec_t now, struct session_usage *ret)
{
	struct hostinfo_usage cur = {.at = now};
	struct rusage u = {0};

	(void)getrusage(RUSAGE_SELF, &u);
	machine_time(&cur.idle, &cur.all);
	*ret = (struct session_usage){
		.minor_faults = (uint32_t)u.ru_minflt,
		.major_faults = (uint32_t)u.ru_majflt,
		.blocks_in = (uint32_t)u.ru_inblock,
		.blocks_out = (uint32_t)u.ru_oublock,
		.voluntary = (uint32_t)u.ru_nvcsw,
		.involuntary = (uint32_t)u.ru_nivcsw,
		.user_us = us(u.ru_utime),
		.kernel_us = us(u.ru_stime),
		.max_rss = (uint64_t)u.ru_maxrss * 1024,
	};
	cur.cpu_us = ret->user_us + ret->kernel_us;
	if (last->at) {
		ret->cpu_agent = share(cur.cpu_us - last->cpu_us,
				       (now - last->at) / NSEC_PER_USEC * hostinfo_cpus());
		ret->cpu_idle = share(cur.idle - last->idle, cur.all - last->all);
	}
	*last = cur;
}

struct str hostinfo_release(struct str file, struct str name)
{
	struct str line, key;

	while (file.n) {
		(void)str_split(&file, '\n', &line);
		line = str_trim(line);
		if (!str_split(&line, '=', &key) || !str_eq(key, name))
			continue;
		if (line.n >= 2 && (line.p[0] == '"' || line.p[0] == '\'') &&
		    line.p[line.n - 1] == line.p[0])
			line = str_make(line.p + 1, line.n - 2);
		return line;
	}
	return (struct str){0};
}

static uint8_t flavor_of(struct str id)
{
	static const struct {
		struct str id;
		uint8_t flavor;
	} known[] = {
		{STR("debian"), 1}, {STR("ubuntu"), 2}, {STR("rhel"), 3},
		{STR("centos"), 4}, {STR("amzn"), 5},	{STR("cos"), 6},
	};

	for (size_t i = 0; i < ARRAY_SIZE(known); i++)
		if (str_eq(known[i].id, id))
			return known[i].flavor;
	return 0;
}

uint8_t hostinfo_flavor(struct str id, struct str id_like)
{
	uint8_t flavor = flavor_of(id);
	struct str word;

	while (!flavor && id_like.n) { /* nearest relative first (os-release(5)) */
		(void)str_split(&id_like, ' ', &word);
		flavor = flavor_of(word);
	}
	return flavor;
}

static struct str read_release(char *out, size_t max)
{
	static const char *const paths[] = {"/host/etc/os-release", "/etc/os-release",
					    "/usr/lib/os-release"};
	size_t n = 0;

	for (size_t i = 0; !n && i < ARRAY_SIZE(paths); i++) {
		FILE *f = fopen(paths[i], "re");

		if (!f)
			continue;
		n = fread(out, 1, max, f);
		(void)fclose(f);
	}
	return str_make(out, n);
}

void hostinfo_os(struct hostinfo_os *text, struct session_os *ret)
{
	char file[4096];
	const struct str release = read_release(file, sizeof(file));
	const struct str version = hostinfo_release(release, STR("VERSION_ID"));
	const long page = sysconf(_SC_PAGESIZE), ticks = sysconf(_SC_CLK_TCK);
	struct utsname u = {0};

	(void)uname(&u);
	(void)snprintf(text->version, sizeof(text->version), "%.*s",
		       (int)MIN(version.n, sizeof(text->version) - 1), version.n ? version.p : "");
	(void)snprintf(text->kernel, sizeof(text->kernel), "%s", u.release);
	*ret = (struct session_os){
		.flavor = hostinfo_flavor(hostinfo_release(release, STR("ID")),
					  hostinfo_release(release, STR("ID_LIKE"))),
		.version = str_of(text->version),
		.kernel = str_of(text->kernel),
		.page_size = page > 0 ? (uint64_t)page : 4096,
		.clock_ticks = ticks > 0 ? (uint64_t)ticks : 100,
	};
}
