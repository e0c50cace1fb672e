/*
 * The embedded store: documents of 60 words, as common and as rare as words are, with
 * the built-in embedder's vectors. One thread. What is written is told in its CPU time, with
 * that of the clock behind it, which the disk has its part in; questions by the clock, with
 * CPU time behind it.
 *
 *   sqlite_fill_DIM_BATCH        documents a second into tables and FTS5, a batch a transaction
 * (they are their own ledger); making text and vector is not counted sqlite_update_DIM_BATCH the
 * same documents again, with another text sqlite_bytes_DIM             of the file, a document
 *   sqlite_question_DIM_N        a question of four words to N documents as the agent asks it, by
 *                                words and vectors, to its answer in JSON: median of 100, 95th
 *   sqlite_vectors_DIM_N         by vectors alone, of eight words
 *   sqlite_words_DIM_N           by BM25 alone, of four words
 *   sqlite_first_DIM_N           the first question, which reads all vectors
 *   sqlite_disk_DIM_N            by vectors without a matrix (a cap of 0)
 *   sqlite_recall_loss_DIM_N     of the ten best by all floats, those that int8 missed
 *   sqlite_matrix_DIM_N          bytes a document
 */
#include "tests/bench/bench.h"

#include "base/clock.h"
#include "base/mem.h"
#include "base/rng.h"
#include "sink/sqlite/db.h"
#include "sink/sqlite/docs.h"
#include "sink/sqlite/ledger.h"
#include "sink/vector/embed_hash.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#define VOCABULARY 20000U
#define WORD_MAX   12U
#define DOC_WORDS  60U
#define TEXT_MAX   (DOC_WORDS * (WORD_MAX + 1))
#define BATCH_MAX  500U
#define QUESTIONS  100U
#define EXACT	   30U /* of them are answered from all floats, too */
#define TOP	   10U

struct store_bench {
	struct rng rng;
	char (*vocabulary)[WORD_MAX];
	uint32_t dim;
	char folder[64], file[96];
	struct sqlite3 *db;
	struct docs *docs;
	struct buf error;
	/* a batch */
	char (*texts)[TEXT_MAX];
	char (*names)[64];
	float *vectors;
	uint8_t hashes[BATCH_MAX][DOC_HASH_SIZE];
};

struct took {
	nsec_t cpu, wall;
};

static struct took now(void)
{
	struct timespec t;

	(void)clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (struct took){.cpu = (nsec_t)t.tv_sec * NSEC_PER_SEC + (nsec_t)t.tv_nsec,
			     .wall = clock_mono()};
}

static struct took since(struct took start)
{
	struct took t = now();

	return (struct took){.cpu = t.cpu - start.cpu, .wall = t.wall - start.wall};
}

static void must(struct store_bench *b, int r)
{
	if (r >= 0)
		return;
	printf("sqlite_error %d %.*s\n", r, STR_ARG(buf_str(&b->error)));
	exit(1);
}

/* ---- texts ----------------------------------------------------------------------------------- */

static void make_vocabulary(struct store_bench *b)
{
	b->vocabulary = calloc(VOCABULARY, sizeof(*b->vocabulary));
	assert(b->vocabulary);
	for (uint32_t i = 0; i < VOCABULARY; i++) {
		uint32_t n = 3 + (uint32_t)rng_below(&b->rng, WORD_MAX - 4);

		for (uint32_t k = 0; k < n; k++)
			b->vocabulary[i][k] = (char)('a' + rng_below(&b->rng, 26));
	}
}

/* The word of rank r is as common as 1 / (r + 10), about. */
static const char *draw_word(struct store_bench *b)
{
	const uint64_t span = 11; /* log2 of VOCABULARY / 10 */
	uint64_t octave = rng_below(&b->rng, span), width = 10ULL << octave;
	uint64_t r = width - 10 + rng_below(&b->rng, width);

	return b->vocabulary[MIN(r, (uint64_t)VOCABULARY - 1)];
}

static void make_text(struct store_bench *b, char text[TEXT_MAX], uint32_t words)
{
	size_t n = 0;

	for (uint32_t i = 0; i < words; i++)
		n += (size_t)snprintf(text + n, TEXT_MAX - n, "%s ", draw_word(b));
}

static void make_row(struct store_bench *b, uint32_t number, uint32_t at, struct docs_row *row)
{
	static const char *const kinds[] = {"Pod", "Deployment", "ConfigMap", "Secret", "Service"};
	float *v = b->vectors + (size_t)at * b->dim;

	make_text(b, b->texts[at], DOC_WORDS);
	(void)snprintf(b->names[at], sizeof(b->names[at]), "team-%u/apps/v1/Thing/object-%u",
		       number % 50, number * 2654435761U);
	embed_hash(str_of(b->texts[at]), b->dim, v);
	memcpy(b->hashes[at], &number, sizeof(number));
	*row = (struct docs_row){.id = str_of(b->names[at]),
				 .uuid = STR("00000000-0000-5000-8000-000000000000"),
				 .text = str_of(b->texts[at]),
				 .text_hash = b->hashes[at],
				 .meta_hash = b->hashes[at],
				 .vector = v};
	row->fields[DOC_NAMESPACE] = str_of(b->names[at]);
	row->fields[DOC_NAMESPACE].n = strcspn(b->names[at], "/");
	row->fields[DOC_NAME] = str_of(strrchr(b->names[at], '/') + 1);
	row->fields[DOC_KIND] = str_of(kinds[number % ARRAY_SIZE(kinds)]);
	row->fields[DOC_API_VERSION] = STR("apps/v1");
	row->fields[DOC_UID] = STR("0b9be4a2-5a1f-4d4e-9d0c-0a6c3f1f2b11");
	row->fields[DOC_CREATED_AT] = STR("2026-11-21T09:30:00Z");
	row->fields[DOC_LABELS] = STR(",app=object,team=one,");
}

/* ---- filling --------------------------------------------------------------------------------- */

static void open_store(struct store_bench *b, uint32_t dim, size_t cache)
{
	const struct docs_opts o = {.collection = STR("kindred"),
				    .model = STR("bench"),
				    .dim = dim,
				    .template_ = STR("t1"),
				    .cache = cache};

	must(b, db_open(b->file, false, &b->db, &b->error));
	must(b, docs_open(b->db, &o, &b->docs, &b->error));
	must(b, ledger_backend_set(b->db, STR("bench"), o.model, dim, o.template_, &b->error));
	must(b, ledger_set_home(b->db, STR("bench"), o.collection, &b->error));
}

static void close_store(struct store_bench *b)
{
	docs_close(&b->docs);
	db_close(&b->db);
}

static void remove_store(struct store_bench *b)
{
	static const char *const ends[] = {"", "-wal", "-shm"};
	char path[128];

	close_store(b);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		(void)snprintf(path, sizeof(path), "%s%s", b->file, ends[i]);
		(void)unlink(path);
	}
}

static void write_batch(struct store_bench *b, const struct docs_row *rows, uint32_t n)
{
	must(b, db_exec(b->db, "BEGIN IMMEDIATE", &b->error));
	must(b, docs_upsert(b->docs, rows, n, &b->error));
	must(b, db_exec(b->db, "COMMIT", &b->error));
}

/* Documents from..to-1; how long writing took. */
static struct took fill(struct store_bench *b, uint32_t from, uint32_t to, uint32_t batch)
{
	struct docs_row rows[BATCH_MAX];
	struct took took = {0}, one;

	for (uint32_t i = from; i < to; i += batch) {
		uint32_t n = MIN(batch, to - i);

		for (uint32_t k = 0; k < n; k++)
			make_row(b, i + k, k, &rows[k]);
		one = now();
		write_batch(b, rows, n);
		one = since(one);
		took.cpu += one.cpu;
		took.wall += one.wall;
	}
	return took;
}

static void report_rate(const char *what, uint32_t dim, uint32_t batch, uint32_t n,
			struct took took)
{
	const double all = n * (double)NSEC_PER_SEC;

	printf("sqlite_%s_%u_%u %.0f documents/s (clock: %.0f)\n", what, dim, batch,
	       all / (double)took.cpu, all / (double)took.wall);
}

static void bench_fill(struct store_bench *b, uint32_t dim, uint32_t batch, uint32_t n)
{
	struct stat st;

	b->dim = dim;
	open_store(b, dim, 0);
	report_rate("fill", dim, batch, n, fill(b, 0, n, batch));
	report_rate("update", dim, batch, n / 4, fill(b, 0, n / 4, batch));
	close_store(b);
	if (stat(b->file, &st) == 0)
		printf("sqlite_bytes_%u %.0f bytes/document\n", dim, (double)st.st_size / n);
	remove_store(b);
}

/* ---- asking ---------------------------------------------------------------------------------- */

struct best {
	char ids[TOP][64];
	uint32_t n;
	struct buf *json;
};

static int on_hit(void *ctx, const struct docs_hit *h)
{
	struct best *best = ctx;

	(void)snprintf(best->ids[best->n++], 64, "%.*s", STR_ARG(h->id));
	return docs_hit_json(h, best->json);
}

static int compare(const void *a, const void *b)
{
	const nsec_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static double middle(nsec_t *times, uint32_t count)
{
	qsort(times, count, sizeof(*times), compare);
	return (double)times[count / 2] / NSEC_PER_MSEC;
}

static void report_times(const char *what, uint32_t dim, uint32_t n, nsec_t *cpu, nsec_t *wall,
			 uint32_t count)
{
	double median = middle(wall, count), of_cpu = middle(cpu, count);

	printf("sqlite_%s_%u_%u %.3f ms, 95th %.3f (CPU: %.3f)\n", what, dim, n, median,
	       (double)wall[count * 95 / 100] / NSEC_PER_MSEC, of_cpu);
}

static void ask(struct store_bench *b, const char *what, uint32_t n, enum docs_rank rank,
		struct best *answers, uint32_t count)
{
	nsec_t cpu[QUESTIONS], wall[QUESTIONS];
	struct buf json = {.max = 1UL << 20};
	float v[EMBED_HASH_MAX_DIM];
	char words[TEXT_MAX];

	rng_seed(&b->rng, 7);
	for (uint32_t i = 0; i < count; i++) {
		struct docs_query q = {
			.words = {.p = words}, .dim = b->dim, .rank = rank, .n = TOP};
		struct took took;

		make_text(b, words, rank == DOCS_VECTOR ? 8 : 4);
		q.words = str_of(words);
		embed_hash(q.words, b->dim, v);
		q.vector = rank == DOCS_BM25 ? NULL : v;
		answers[i] = (struct best){.json = &json};
		buf_reset(&json);
		took = now();
		must(b, docs_search(b->docs, &q, on_hit, &answers[i], &b->error));
		took = since(took);
		cpu[i] = took.cpu;
		wall[i] = took.wall;
	}
	buf_done(&json);
	report_times(what, b->dim, n, cpu, wall, count);
}

static bool among(const struct best *a, const char *id)
{
	for (uint32_t i = 0; i < a->n; i++)
		if (strcmp(a->ids[i], id) == 0)
			return true;
	return false;
}

static double loss(const struct best *exact, const struct best *seen)
{
	uint32_t all = 0, missed = 0;

	for (uint32_t i = 0; i < EXACT; i++)
		for (uint32_t k = 0; k < exact[i].n; k++, all++)
			missed += !among(&seen[i], exact[i].ids[k]);
	return (double)missed / all;
}

static void bench_questions(struct store_bench *b, uint32_t n)
{
	static struct best seen[QUESTIONS], exact[QUESTIONS];
	struct docs_info info;

	close_store(b);
	open_store(b, b->dim, 1UL << 30);
	ask(b, "first", n, DOCS_HYBRID, seen, 1);
	ask(b, "question", n, DOCS_HYBRID, seen, QUESTIONS);
	ask(b, "words", n, DOCS_BM25, seen, QUESTIONS);
	ask(b, "vectors", n, DOCS_VECTOR, seen, QUESTIONS);
	must(b, docs_info(b->docs, &info, &b->error));
	printf("sqlite_matrix_%u_%u %.0f bytes/document\n", b->dim, n, (double)info.cache / n);
	close_store(b);
	open_store(b, b->dim, 0);
	ask(b, "disk", n, DOCS_VECTOR, exact, EXACT);
	printf("sqlite_recall_loss_%u_%u %.4f\n", b->dim, n, loss(exact, seen));
}

static void bench_dim(struct store_bench *b, uint32_t dim)
{
	b->dim = dim;
	rng_seed(&b->rng, 3);
	open_store(b, dim, 0);
	(void)fill(b, 0, 10000, BATCH_MAX);
	bench_questions(b, 10000);
	rng_seed(&b->rng, 5);
	(void)fill(b, 10000, 100000, BATCH_MAX);
	bench_questions(b, 100000);
	remove_store(b);
}

void bench_sqlite(void)
{
	struct store_bench b = {.folder = "/tmp/kindred-bench-XXXXXX",
				.error = {.max = DB_ERROR_MAX}};

	rng_seed(&b.rng, 1);
	b.texts = calloc(BATCH_MAX, sizeof(*b.texts));
	b.names = calloc(BATCH_MAX, sizeof(*b.names));
	b.vectors = calloc((size_t)BATCH_MAX * EMBED_HASH_MAX_DIM, sizeof(*b.vectors));
	assert(b.texts && b.names && b.vectors && mkdtemp(b.folder));
	(void)snprintf(b.file, sizeof(b.file), "%s/store.db", b.folder);
	make_vocabulary(&b);
	bench_fill(&b, 384, 500, 60000);
	bench_fill(&b, 384, 100, 30000);
	bench_fill(&b, 1024, 500, 30000);
	bench_dim(&b, 384);
	bench_dim(&b, 1024);
	(void)rmdir(b.folder);
	free(b.vocabulary);
	free(b.texts);
	free(b.names);
	free(b.vectors);
	buf_done(&b.error);
}
