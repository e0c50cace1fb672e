#include "sink/events/message.h"

#include "base/json_out.h"
#include "base/mem.h"

/* Of an object that is gone, and nothing more known. */
static void put_names(struct json_out *j, const struct relay_item *item)
{
	json_open(j, "object", '{');
	json_text(j, "apiVersion", item->api_version);
	json_text(j, "kind", item->kind);
	json_open(j, "metadata", '{');
	json_text(j, "name", item->name);
	json_some(j, "namespace", item->ns);
	json_some(j, "uid", item->uid);
	json_close(j, '{');
	json_close(j, '{');
}

int message_put(struct buf *b, struct str cluster, const struct relay_item *item)
{
	struct json_out j = {.out = b};
	_buf_ struct buf object;
	int r = 0;

	buf_init(&object, MESSAGE_MAX);
	if (item->object)
		r = tree_write(&object, item->object);
	json_open(&j, NULL, '{');
	json_text(&j, "action", str_of(relay_action_name(item->action)));
	json_text(&j, "cluster", cluster);
	json_text(&j, "namespace", item->ns);
	json_time(&j, "time", item->time);
	json_text(&j, "kind", item->kind);
	if (item->object)
		json_raw(&j, "object", buf_str(&object));
	else
		put_names(&j, item);
	json_close(&j, '{');
	return r < 0 ? r : j.r;
}
