#include "cli/process_series.h"

#include "base/clock.h"
#include "base/mem.h"
#include "sink/metrics/prom.h"

#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define LINE_MAX_  4096
#define STAT_START 22 /* fields of /proc/PID/stat, proc(5) */
#define STAT_VSIZE 23

/* ---- what /proc says ------------------------------------------------------------------------- */

static size_t read_file(const char *path, char ret[LINE_MAX_])
{
	FILE *f = fopen(path, "re");
	size_t n = f ? fread(ret, 1, LINE_MAX_ - 1, f) : 0;

	ret[n] = '\0';
	if (f)
		(void)fclose(f);
	return n;
}

/* A field of /proc/self/stat; the second is a name in brackets that may hold anything. */
static uint64_t stat_field(int number)
{
	char text[LINE_MAX_];
	const char *end;
	struct str rest, field = {0};
	unsigned long long v = 0;

	(void)read_file("/proc/self/stat", text);
	end = strrchr(text, ')');
	rest = str_of(end ? end + 2 : "");
	for (int i = 3; i <= number; i++)
		(void)str_split(&rest, ' ', &field);
	return str_to_u64(field, &v) == 0 ? v : 0;
}

/* "VmRSS:     1234 kB" */
static size_t status_bytes(const char *text, const char *key)
{
	const char *at = strstr(text, key);
	struct str rest, number;
	unsigned long long v = 0;

	if (!at)
		return 0;
	rest = str_trim(str_of(at + strlen(key)));
	(void)str_split(&rest, ' ', &number);
	return str_to_u64(number, &v) == 0 ? (size_t)v * 1024 : 0;
}

void process_memory(struct process_memory *ret)
{
	char text[LINE_MAX_];

	(void)read_file("/proc/self/status", text);
	*ret = (struct process_memory){.rss = status_bytes(text, "\nVmRSS:"),
				       .anon = status_bytes(text, "\nRssAnon:"),
				       .swap = status_bytes(text, "\nVmSwap:")};
}

static uint64_t open_files(void)
{
	DIR *d = opendir("/proc/self/fd");
	uint64_t n = 0;

	if (!d)
		return 0;
	for (const struct dirent *e; (e = readdir(d));)
		n += e->d_name[0] != '.';
	(void)closedir(d);
	return n - 1; /* the folder itself */
}

/* Seconds since 1970, from ticks since the machine's start. */
static uint64_t start_time(void)
{
	const long ticks = sysconf(_SC_CLK_TCK);

	if (ticks <= 0)
		return 0;
	return (clock_wall() - clock_boot()) / NSEC_PER_SEC +
	       stat_field(STAT_START) / (uint64_t)ticks;
}

/* ---- series ---------------------------------------------------------------------------------- */

static uint64_t microseconds(const struct timeval *t)
{
	return (uint64_t)t->tv_sec * 1000000 + (uint64_t)t->tv_usec;
}

static void put_cpu(struct prom *p)
{
	struct rusage u = {0};

	(void)getrusage(RUSAGE_SELF, &u);
	prom_family(p, "process_cpu_seconds_total", "counter", "CPU time, user and system.");
	prom_seconds(p, "process_cpu_seconds_total", (struct str){0},
		     microseconds(&u.ru_utime) + microseconds(&u.ru_stime), 1000000);
}

int process_series(struct buf *out)
{
	struct prom p = {.out = out};
	struct process_memory m;
	struct rlimit files = {0};

	process_memory(&m);
	(void)getrlimit(RLIMIT_NOFILE, &files);
	put_cpu(&p);
	prom_one(&p, "process_resident_memory_bytes", "gauge", "Resident memory.", m.rss);
	prom_one(&p, "process_virtual_memory_bytes", "gauge", "Address space.",
		 stat_field(STAT_VSIZE));
	prom_one(&p, "process_open_fds", "gauge", "Open files and sockets.", open_files());
	prom_one(&p, "process_max_fds", "gauge", "Most of them.", files.rlim_cur);
	prom_one(&p, "process_start_time_seconds", "gauge", "When the process began, since 1970.",
		 start_time());
	return p.r;
}
