#include "sink/sqlite/bm25.h"

#include "base/mem.h"
#include "sink/sqlite/db.h"
#include "sink/sqlite/matrix.h"
#include "sink/sqlite/scan.h"

#include <errno.h>
#include <math.h>
#include <sqlite3.h>

#define K1     1.2 /* both as in FTS5 */
#define B      0.75
#define NO_IDF 1e-6 /* of a word that half of the documents hold; FTS5's, too */

static const double weights[] = {BM25_WEIGHTS};

struct entry { /* a document that holds the phrase */
	uint32_t row;
	float frequency; /* by column, with its weight */
};

struct ranking {
	const struct matrix *m;
	double mean;	/* tokens of a document */
	double *scores; /* of the matrix's rows; 0: matches nothing */
	struct entry *list;
	uint32_t n;    /* of the list */
	uint32_t near; /* the document found last, as matrix_find_near has it */
	uint64_t hits; /* documents with the phrase, also those of other collections */
};

static float frequency_of(const Fts5ExtensionApi *api, Fts5Context *fts)
{
	Fts5PhraseIter at;
	float sum = 0;
	int column, offset;

	if (api->xPhraseFirst(fts, 0, &at, &column, &offset) != SQLITE_OK)
		return 0;
	for (; column >= 0; api->xPhraseNext(fts, &at, &column, &offset))
		if ((size_t)column < ARRAY_SIZE(weights))
			sum += (float)weights[column];
	return sum;
}

static int on_document(const Fts5ExtensionApi *api, Fts5Context *fts, void *ctx)
{
	struct ranking *k = ctx;
	uint32_t row = matrix_find_near(k->m, api->xRowid(fts), k->near);

	k->hits++;
	if (!row)
		return SQLITE_OK;
	k->near = row;
	k->list[k->n++] = (struct entry){row - 1, frequency_of(api, fts)};
	return SQLITE_OK;
}

static void add_phrase(struct ranking *k, double documents)
{
	const double hits = (double)k->hits;
	double idf = log((documents - hits + 0.5) / (hits + 0.5));

	if (idf <= 0)
		idf = NO_IDF;
	for (uint32_t i = 0; i < k->n; i++) {
		const struct entry *e = &k->list[i];
		const double f = (double)e->frequency, d = matrix_tokens(k->m, e->row);

		k->scores[e->row] +=
			idf * ((f * (K1 + 1.0)) / (f + K1 * (1 - B + B * d / k->mean)));
	}
}

/* The auxiliary function, called for the first document that matches. */
static void rank(const Fts5ExtensionApi *api, Fts5Context *fts, sqlite3_context *sql, int n,
		 sqlite3_value **args)
{
	struct ranking *k = n == 1 ? sqlite3_value_pointer(args[0], "kindred_rank") : NULL;
	sqlite3_int64 documents, tokens;
	int r = k ? api->xRowCount(fts, &documents) : SQLITE_MISUSE;

	if (r == SQLITE_OK)
		r = api->xColumnTotalSize(fts, -1, &tokens);
	if (r == SQLITE_OK)
		k->mean = (double)tokens / (double)documents;
	for (int i = 0; r == SQLITE_OK && i < api->xPhraseCount(fts); i++) {
		k->n = 0;
		k->hits = 0;
		r = api->xQueryPhrase(fts, i, k, on_document);
		if (r == SQLITE_OK)
			add_phrase(k, (double)documents);
	}
	if (r != SQLITE_OK)
		sqlite3_result_error_code(sql, r);
}

int bm25_register(struct sqlite3 *db, struct buf *error)
{
	_stmt_ struct sqlite3_stmt *s = NULL;
	fts5_api *api = NULL;
	int r = db_prepare(db, "SELECT fts5(?)", false, &s, error);

	if (r < 0)
		return r;
	(void)sqlite3_bind_pointer(s, 1, (void *)&api, "fts5_api_ptr", NULL);
	r = db_step(s, error);
	if (r < 0)
		return r;
	if (!api)
		return db_say(db, error, -ENOTSUP, "this SQLite has no FTS5");
	return api->xCreateFunction(api, "kindred_rank", NULL, rank, NULL) == SQLITE_OK ? 0
											: -ENOMEM;
}

const char bm25_sql[] = "SELECT kindred_rank(document_fts, ?2) FROM document_fts "
			"WHERE document_fts MATCH ?1 LIMIT 1";

static int run(struct sqlite3_stmt *s, struct str match, struct ranking *k, struct buf *error)
{
	int r;

	db_bind_text(s, 1, match);
	(void)sqlite3_bind_pointer(s, 2, k, "kindred_rank", NULL);
	r = db_step(s, error);
	(void)sqlite3_reset(s);
	return MIN(r, 0);
}

int bm25_rank(struct sqlite3_stmt *s, struct str match, const struct matrix *m, struct str kind,
	      struct str ns, struct scan_top *top, struct buf *error)
{
	const size_t rows = matrix_rows(m);
	_free_ double *scores = calloc(rows + 1, sizeof(*scores));
	_free_ struct entry *list = calloc(rows + 1, sizeof(*list));
	struct ranking k = {.m = m, .scores = scores, .list = list};
	int r = scores && list ? run(s, match, &k, error) : -ENOMEM;

	if (r == 0)
		matrix_put(m, scores, kind, ns, top);
	return r;
}
