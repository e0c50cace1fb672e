/* See file_watch.h. */
#include "cli/file_watch.h"

#include "base/mem.h"
#include "base/str.h"

#include <errno.h>
#include <event2/event.h>
#include <limits.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>

/* A file that is only begun says nothing yet: IN_CREATE and IN_MODIFY are left out. */
#define EVENTS (IN_CLOSE_WRITE | IN_MOVED_TO | IN_ONLYDIR)

struct file_watch {
	struct file_watch_opts o;
	char *path, *folder;
	const char *name; /* the path's last part */
	int fd;		  /* inotify; -1: none */
	int watch;	  /* of the folder; -1: it is to be made again */
	struct event *told, *poll, *settled;
	struct stat seen;
};

static void arm(struct event *e, nsec_t t)
{
	const struct timeval tv = clock_timeval(t);

	(void)evtimer_add(e, &tv);
}

/* More events do not put the look off: a folder may be busy for ever. */
static void look_soon(struct file_watch *w)
{
	if (!evtimer_pending(w->settled, NULL))
		arm(w->settled, FILE_WATCH_SETTLE);
}

static void on_settled(evutil_socket_t fd, short what, void *ctx)
{
	struct file_watch *w = ctx;

	(void)fd, (void)what;
	w->o.look(w->o.ctx);
}

/* The file itself, or what kubelet swaps: "..data", and folders that begin like that. */
static bool is_ours(const struct file_watch *w, const struct inotify_event *e)
{
	return e->len && (strcmp(e->name, w->name) == 0 || strncmp(e->name, "..", 2) == 0);
}

static void on_told(evutil_socket_t fd, short what, void *ctx)
{
	_Alignas(struct inotify_event) char room[4096];
	struct file_watch *w = ctx;
	ssize_t n;

	(void)what;
	while ((n = read(fd, room, sizeof(room))) > 0) {
		for (char *p = room; p < room + n;) {
			const struct inotify_event *e = (const void *)p;

			if (e->mask & IN_IGNORED) /* the folder is gone: it may come again */
				w->watch = -1;
			if (is_ours(w, e) || e->mask & (IN_IGNORED | IN_Q_OVERFLOW))
				look_soon(w);
			p += sizeof(*e) + e->len;
		}
	}
}

static void watch_folder(struct file_watch *w)
{
	if (w->fd >= 0 && w->watch < 0)
		w->watch = inotify_add_watch(w->fd, w->folder, EVENTS);
}

static bool is_same(const struct stat *a, const struct stat *b)
{
	return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
	       a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

static void on_poll(evutil_socket_t fd, short what, void *ctx)
{
	struct file_watch *w = ctx;
	struct stat now = {0};

	(void)fd, (void)what;
	watch_folder(w);
	(void)stat(w->path, &now);
	if (!is_same(&now, &w->seen))
		look_soon(w);
	w->seen = now;
	arm(w->poll, w->o.poll);
}

static int take_path(struct file_watch *w, const char *path)
{
	const char *slash = strrchr(path, '/');

	w->path = str_dup(str_of(path));
	w->folder = slash ? str_dup(str_make(path, MAX((size_t)(slash - path), (size_t)1)))
			  : str_dup(STR("."));
	if (!w->path || !w->folder)
		return -ENOMEM;
	w->name = w->path + (slash ? slash + 1 - path : 0);
	return 0;
}

static int make_events(struct file_watch *w)
{
	w->poll = evtimer_new(w->o.base, on_poll, w);
	w->settled = evtimer_new(w->o.base, on_settled, w);
	if (!w->poll || !w->settled)
		return -ENOMEM;
	w->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
	watch_folder(w);
	if (w->fd >= 0) {
		w->told = event_new(w->o.base, w->fd, EV_READ | EV_PERSIST, on_told, w);
		if (!w->told || event_add(w->told, NULL) < 0)
			return -ENOMEM;
	}
	(void)stat(w->path, &w->seen);
	arm(w->poll, w->o.poll);
	return 0;
}

int file_watch_new(const struct file_watch_opts *o, struct file_watch **ret)
{
	struct file_watch *w = calloc(1, sizeof(*w));
	int r;

	if (!w)
		return -ENOMEM;
	w->o = *o;
	w->o.poll = o->poll ? o->poll : FILE_WATCH_POLL;
	w->fd = w->watch = -1;
	r = take_path(w, o->path);
	if (r == 0)
		r = make_events(w);
	if (r < 0) {
		file_watch_free(&w);
		return r;
	}
	*ret = w;
	return 0;
}

void file_watch_free(struct file_watch **wp)
{
	struct file_watch *w = *wp;

	if (!w)
		return;
	if (w->told)
		event_free(w->told);
	if (w->poll)
		event_free(w->poll);
	if (w->settled)
		event_free(w->settled);
	if (w->fd >= 0)
		(void)close(w->fd);
	free(w->path);
	free(w->folder);
	free(w);
	*wp = NULL;
}
