/* A file that may change; see watched_file.h. */
#include "http/watched_file.h"

#include "base/mem.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int watched_file_init(struct watched_file *f, const char *path)
{
	*f = (struct watched_file){.path = str_dup(str_of(path))};
	return f->path ? 0 : -ENOMEM;
}

static void bytes_drop(struct watched_file *f)
{
	if (f->bytes)
		explicit_bzero(f->bytes, f->n);
	free(f->bytes);
	f->bytes = NULL;
	f->n = 0;
}

void watched_file_done(struct watched_file *f)
{
	bytes_drop(f);
	free(f->path);
	f->path = NULL;
}

bool watched_file_changed(const struct watched_file *f)
{
	const struct stat *a = &f->seen;
	struct stat b;

	if (stat(f->path, &b) < 0)
		return false;
	return a->st_dev != b.st_dev || a->st_ino != b.st_ino || a->st_size != b.st_size ||
	       a->st_mtim.tv_sec != b.st_mtim.tv_sec || a->st_mtim.tv_nsec != b.st_mtim.tv_nsec;
}

/* Whole, up to one byte over the limit so that a file that grows is noticed. */
static ssize_t read_all(int fd, char *p, size_t cap)
{
	size_t n = 0;

	while (n < cap) {
		ssize_t got = read(fd, p + n, cap - n);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			break;
		n += (size_t)got;
	}
	return (ssize_t)n;
}

static int complain(struct buf *e, int r, const char *what, const char *path, const char *why)
{
	(void)buf_printf(e, "%s %s: %s", what, path, why);
	return r;
}

int watched_file_read(struct watched_file *f, const char *what, struct buf *ret_error)
{
	_close_ int fd = open(f->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* it may be a FIFO */
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0) {
		int r = -errno;

		return complain(ret_error, r, what, f->path, strerror(-r));
	}
	if (!S_ISREG(st.st_mode))
		return complain(ret_error, -EINVAL, what, f->path, "is no regular file");
	if (st.st_size > WATCHED_FILE_MAX)
		return complain(ret_error, -EFBIG, what, f->path, "is larger than 1 MiB");
	/* Room for growth since fstat; what is longer is cut and seen again as changed. */
	size_t cap = (size_t)st.st_size + 1;
	char *p = malloc(cap + 1);
	if (!p)
		return complain(ret_error, -ENOMEM, what, f->path, strerror(ENOMEM));
	n = read_all(fd, p, cap);
	if (n <= 0) {
		free(p);
		return complain(ret_error, n < 0 ? (int)n : -EINVAL, what, f->path,
				n < 0 ? strerror((int)-n) : "is empty");
	}
	bytes_drop(f);
	p[n] = '\0';
	f->bytes = p;
	f->n = (size_t)n;
	f->seen = st;
	return 0;
}

struct str watched_file_str(const struct watched_file *f)
{
	return str_make(f->bytes, f->n);
}
