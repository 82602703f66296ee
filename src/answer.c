/* SPDX-License-Identifier: BSD-2-Clause */
/* answer.c - see answer.h. */
#include "answer.h"

#include "head.h"
#include "now.h"
#include "status.h"

enum answer_framing answer_head(struct text *t, const struct answer *a,
				const struct asker *k, bool *close)
{
	enum answer_framing f = ANSWER_PLAIN;
	struct head_date date = HEAD_DATE_NONE;
	struct head h = {
		.status = a->status, .type = a->type, .len = a->len, .old = !k->http11,
		.front = { "Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n" },
		.back = { a->headers, status_of(a->status)->retry },
	};

	if (a->len == ANSWER_STREAM && !k->head)
		f = k->http11 ? ANSWER_CHUNKS : ANSWER_UNTIL_CLOSE;
	if (a->len == ANSWER_STREAM)
		h.len = f == ANSWER_CHUNKS ? HEAD_CHUNKS : HEAD_UNTOLD;
	*close = h.close = !k->keep_alive || f == ANSWER_UNTIL_CLOSE;
	head_date_set(&date, now_wall_ms());
	if (text_room(t, head_room(&h, k->common)))
		t->n = (size_t)(head_write(t->p + t->n, &h, k->common, &date) - t->p);
	return f;
}

void answer_error(struct text *t, int status, const char *why, const char *headers,
		  const struct asker *k, bool *close)
{
	struct answer a = { .status = status, .type = "application/json", .headers = headers };
	struct text body = { 0 };

	text_f(&body, "{\"status\":%d,\"error\":", status);
	text_json(&body, why);
	text_str(&body, "}\n");
	a.len = body.n;
	answer_head(t, &a, k, close);
	if (!k->head)
		text_add(t, body.p, body.n);
	t->failed |= body.failed;
	text_free(&body);
}
