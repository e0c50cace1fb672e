/*
 * A flow's JSON line as a row for people. Pure text; no I/O. Rows come one by one, so
 * columns have their width before what stands in them is known.
 */
#pragma once

#include "base/buf.h"
#include "cli/sheet.h"

#include <jansson.h>

/* Columns: TIME FROM TO PROTO STATE SENT RECEIVED RTT RETRANS, and with `wide` LASTED, the two ends
 * as POD@ADDRESS:PORT, and how their names are known. The client stands left; sent and received are
 * its. In a terminal of less than 113 columns some go: at 60 FROM, TO, STATE and SENT are left. */
int flow_table_head(const struct sheet_look *look, struct buf *out);
/* 0, -EBADMSG (no flow: a line about lost ones, for example), -EMSGSIZE, -ENOMEM. */
int flow_table_row(const json_t *flow, const struct sheet_look *look, struct buf *out);
