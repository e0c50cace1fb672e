#include "base/json_out.h"
#include "sink/sqlite/docs.h"

#include <stdio.h>

int docs_hit_json(const struct docs_hit *h, struct buf *out)
{
	struct json_out j = {.out = out};
	char score[32];

	(void)snprintf(score, sizeof(score), "%.6g", h->score);
	json_open(&j, NULL, '{');
	json_text(&j, "id", h->id);
	json_raw(&j, "score", str_of(score));
	json_text(&j, "found_by", h->by_words ? STR("words") : STR("vector"));
	json_text(&j, "text", h->text);
	for (enum doc_field f = 0; f < _DOC_FIELD_MAX; f++)
		json_some(&j, doc_field_name(f), h->fields[f]);
	json_close(&j, '{');
	return j.r;
}
