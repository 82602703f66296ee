/* SPDX-License-Identifier: BSD-2-Clause */
/* admin_reply.c - see admin_reply.h. */
#include "admin/admin_reply.h"

#include "base/now.h"
#include "base/status.h"
#include "http/head.h"

enum admin_reply_framing admin_reply_head(struct text *t, const struct admin_reply *a,
					  const struct admin_client *k, bool *close)
{
	enum admin_reply_framing f = ADMIN_REPLY_PLAIN;
	struct head_date date = HEAD_DATE_NONE;
	struct head h = {
		.status = a->status, .type = a->type, .len = a->len, .old = !k->http11,
		.front = { "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n" },
		.back = { a->headers, status_of(a->status)->retry },
	};

	if (a->len == ADMIN_REPLY_STREAM && !k->head)
		f = k->http11 ? ADMIN_REPLY_CHUNKS : ADMIN_REPLY_UNTIL_CLOSE;
	if (a->len == ADMIN_REPLY_STREAM)
		h.len = f == ADMIN_REPLY_CHUNKS ? HEAD_CHUNKS : HEAD_UNTOLD;
	*close = h.close = !k->keep_alive || f == ADMIN_REPLY_UNTIL_CLOSE;
	head_date_set(&date, now_wall_ms());
	if (text_room(t, head_room(&h, k->common)))
		t->n = (size_t)(head_write(t->p + t->n, &h, k->common, &date) - t->p);
	return f;
}

void admin_reply_error(struct text *t, int status, const char *why, const char *headers,
		       const struct admin_client *k, bool *close)
{
	struct admin_reply a = { .status = status, .type = "application/json", .headers = headers };
	struct text body = { 0 };

	text_f(&body, "{\"status\":%d,\"error\":", status);
	text_json(&body, why);
	text_str(&body, "}\n");
	a.len = body.n;
	admin_reply_head(t, &a, k, close);
	if (!k->head)
		text_add(t, body.p, body.n);
	t->failed |= body.failed;
	text_free(&body);
}
