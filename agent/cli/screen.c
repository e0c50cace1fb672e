#include "cli/screen.h"

#include "base/buf.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#define ENTER	   "\033[?1049h\033[?25l"
#define LEAVE	   "\033[?25h\033[?1049l"
#define ESCAPE_MS  25 /* what comes within it belongs to one key */
#define ESCAPE_MAX 8
#define ROWS	   24 /* where nobody says how many there are */
#define FRAME_MAX  (1UL << 22)

volatile sig_atomic_t screen_stop;
static volatile sig_atomic_t resized;
static struct termios before;

bool screen_possible(void)
{
	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
}

static void on_signal(int number)
{
	if (number == SIGWINCH)
		resized = 1;
	else
		screen_stop = 1;
}

static void write_all(struct str s)
{
	while (s.n) {
		ssize_t n = write(STDOUT_FILENO, s.p, s.n);

		if (n < 0 && errno != EINTR)
			return;
		s = str_from(s, n < 0 ? 0 : (size_t)n);
	}
}

int screen_begin(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH};
	const struct sigaction act = {.sa_handler = on_signal};
	struct termios raw;

	if (tcgetattr(STDIN_FILENO, &before) < 0)
		return -errno;
	for (size_t i = 0; i < sizeof(signals) / sizeof(signals[0]); i++)
		(void)sigaction(signals[i], &act, NULL);
	raw = before;
	raw.c_lflag &= ~(tcflag_t)(ICANON | ECHO);
	raw.c_cc[VSUSP] = _POSIX_VDISABLE; /* who stops here would leave the terminal as it is */
	raw.c_cc[VMIN] = 1;
	raw.c_cc[VTIME] = 0;
	if (tcsetattr(STDIN_FILENO, TCSANOW, &raw) < 0)
		return -errno;
	write_all(STR(ENTER));
	return 0;
}

void screen_end(void)
{
	write_all(STR(LEAVE));
	(void)tcsetattr(STDIN_FILENO, TCSANOW, &before);
}

unsigned screen_rows(void)
{
	struct winsize w;

	return ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0 && w.ws_row ? w.ws_row : ROWS;
}

/* Each line is written over the one that was there: nothing flickers. */
void screen_show(struct str lines)
{
	_buf_ struct buf out = {.max = FRAME_MAX};
	struct str line;
	bool more;
	int r = buf_append_str(&out, STR("\033[H"));

	do {
		more = str_split(&lines, '\n', &line);
		r = r ?: buf_append_str(&out, line);
		r = r ?: buf_append_str(&out, more ? STR("\033[K\r\n") : STR("\033[K\033[J"));
	} while (more && r == 0);
	if (r == 0)
		write_all(buf_str(&out));
}

/* ---- keys ------------------------------------------------------------------------------------ */

/* 1: there is something to read, 0: not, -EINTR. */
static int wait_input(int milliseconds)
{
	struct pollfd p = {.fd = STDIN_FILENO, .events = POLLIN};
	int n = poll(&p, 1, milliseconds);

	return n < 0 ? -errno : n;
}

/* "[" or "O", and what follows up to a letter or '~'. */
static bool is_whole(const char *text, size_t n)
{
	return (n == 1 && text[0] != '[' && text[0] != 'O') ||
	       (n > 1 && text[n - 1] >= '@' && text[n - 1] <= '~');
}

static int escape_key(void)
{
	static const struct {
		const char *text;
		int key;
	} keys[] = {{"[A", KEY_UP},   {"OA", KEY_UP},	    {"[B", KEY_DOWN},
		    {"OB", KEY_DOWN}, {"[5~", KEY_PAGE_UP}, {"[6~", KEY_PAGE_DOWN}};
	char text[ESCAPE_MAX] = "";
	size_t n = 0;

	while (n + 1 < sizeof(text) && !is_whole(text, n) && wait_input(ESCAPE_MS) > 0 &&
	       read(STDIN_FILENO, &text[n], 1) == 1)
		n++;
	if (!n)
		return KEY_ESCAPE;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		if (strncmp(text, keys[i].text, strlen(keys[i].text)) == 0)
			return keys[i].key;
	return KEY_OTHER;
}

int screen_key(int milliseconds)
{
	unsigned char c;
	int r = screen_stop || resized ? -EINTR : wait_input(milliseconds);

	if (screen_stop)
		return KEY_END;
	if (resized) {
		resized = 0;
		return KEY_RESIZE;
	}
	if (r <= 0)
		return r == 0 || r == -EINTR ? KEY_NONE : KEY_END;
	if (read(STDIN_FILENO, &c, 1) != 1)
		return KEY_END;
	return c == KEY_ESCAPE ? escape_key() : c;
}
