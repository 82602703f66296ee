/* SPDX-License-Identifier: BSD-2-Clause */
/* head.c - see head.h. */
#include "http/head.h"

#include <stdio.h>
#include <string.h>

#include "base/must.h"
#include "base/status.h"
#include "format/json.h"

static char *head_put(char *o, const char *s, size_t n)
{
	memcpy(o, s, n);
	return o + n;
}
#define PUT(o, lit) head_put((o), (lit), sizeof(lit) - 1)

static char *head_put_str(char *o, const char *s)
{
	return s ? head_put(o, s, strlen(s)) : o;
}

static char *head_put_u64(char *o, uint64_t v)
{
	char d[20];
	unsigned n = 0;

	do
		d[n++] = (char)('0' + v % 10);
	while (v /= 10);
	while (n)
		*o++ = d[--n];
	return o;
}

/* ---- the fields that all replies have ---- */

static void head_common_add(struct head_common *c, const char *name, const char *value)
{
	size_t room = sizeof(c->fields) - c->fields_len;
	int n = snprintf(c->fields + c->fields_len, room, "%s: %s\r\n", name, value);

	must(n > 0 && (size_t)n < room);
	c->fields_len += (unsigned)n;
}

void head_common_init(struct head_common *c, const char *class, unsigned idle_ms)
{
	unsigned s = idle_ms ? (idle_ms - 1) / 1000 : 0;

	*c = (struct head_common){ .class = class };
	head_common_add(c, "Pasted-Class", class);
	if (s)
		c->keep_len = (unsigned)snprintf(c->keep, sizeof(c->keep), "Connection: keep-alive\r\n"
						 "Keep-Alive: timeout=%u\r\n", s);
	must(c->keep_len < sizeof(c->keep));
}

/* gmtime(3) is not used, because under TZ=right/UTC it subtracts leap seconds. */
void head_date_text(char buf[HEAD_DATE], uint64_t ms)
{
	static const char days[] = "ThuFriSatSunMonTueWed";	/* 1970-01-01 was a Thursday */
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	unsigned month, day = (unsigned)(ms / 86400000 % 7);
	char t[JSON_TIME];

	json_time(t, ms);
	month = (unsigned)((t[5] - '0') * 10 + t[6] - '0' - 1);
	snprintf(buf, HEAD_DATE, "%.3s, %.2s %.3s %.4s %.8s GMT", days + 3 * day, t + 8,
		 months + 3 * month, t, t + 11);
}

bool head_date_set(struct head_date *d, uint64_t wall_ms)
{
	char text[HEAD_DATE];

	if (wall_ms / 1000 == d->second)
		return false;
	d->second = wall_ms / 1000;
	head_date_text(text, wall_ms);
	d->len = (unsigned)snprintf(d->line, sizeof(d->line), "Date: %s\r\n", text);
	return true;
}

/* ---- any head ---- */

static char *head_status(char *o, const struct status *s, int code)
{
	o = PUT(o, "HTTP/1.1 ");
	o = head_put_u64(o, (uint64_t)code);
	*o++ = ' ';
	o = head_put_str(o, s->reason);
	return PUT(o, "\r\n");
}

static char *head_date(char *o, const struct head_date *d)
{
	return head_put(o, d->line, d->len);
}

static char *head_type(char *o, const char *type)
{
	o = PUT(o, "Content-Type: ");
	o = head_put_str(o, type);
	return PUT(o, "\r\n");
}

/* Without a field Connection an HTTP/1.1 connection stays open, an HTTP/1.0 one does not. */
static char *head_connection(char *o, const struct head_common *c, bool close, bool old)
{
	if (close)
		return PUT(o, "Connection: close\r\n");
	if (old && !c->keep_len)
		return PUT(o, "Connection: keep-alive\r\n");
	return head_put(o, c->keep, c->keep_len);
}

static size_t head_len(const char *s)
{
	return s ? strlen(s) : 0;
}

/* 160: the status line but for the reason, the date, the names of Content-Type and Content-Length,
 * 20 digits and the empty line. */
size_t head_room(const struct head *h, const struct head_common *c)
{
	return 160 + strlen(status_of(h->status)->reason) + c->fields_len + sizeof(c->keep) +
		head_len(h->type) + head_len(h->front[0]) + head_len(h->front[1]) + head_len(h->back[0]) + head_len(h->back[1]);
}

char *head_write(char *o, const struct head *h, const struct head_common *c, const struct head_date *d)
{
	const struct status *s = status_of(h->status);

	o = head_status(o, s, h->status);
	o = head_date(o, d);
	o = head_put(o, c->fields, c->fields_len);
	if (h->type)
		o = head_type(o, h->type);
	if (h->len == HEAD_CHUNKS) {
		o = PUT(o, "Transfer-Encoding: chunked\r\n");
	} else if (h->len != HEAD_UNTOLD && s->body) {
		o = PUT(o, "Content-Length: ");
		o = head_put_u64(o, h->len);
		o = PUT(o, "\r\n");
	}
	o = head_put_str(o, h->front[0]);
	o = head_put_str(o, h->front[1]);
	o = head_connection(o, c, h->close, h->old);
	o = head_put_str(o, h->back[0]);
	o = head_put_str(o, h->back[1]);
	return PUT(o, "\r\n");
}

char *head_continue_write(char *o)
{
	return PUT(head_status(o, status_of(100), 100), "\r\n");
}

/* ---- the 200 of a recorded request ---- */

enum { STAYS, STAYS_OLD, CLOSES };	/* the indices of head_recorded.end */

void head_recorded_init(struct head_recorded *r, const struct head_common *c, unsigned lane, bool named)
{
	*r = (struct head_recorded){ .named = named };
	r->lane_len = (unsigned)snprintf(r->lane, sizeof(r->lane), "%u-", lane);
	r->tail_len = (unsigned)snprintf(r->tail, sizeof(r->tail), "%s\"class\":\"%s\"}\n",
					 named ? "\"," : "", c->class);
	must(r->tail_len < sizeof(r->tail));
	for (int how = STAYS; how <= CLOSES; how++) {
		char *o = r->end[how];

		o = PUT(o, "\r\n");
		o = head_put(o, c->fields, c->fields_len);
		o = head_connection(o, c, how == CLOSES, how == STAYS_OLD);
		o = PUT(o, "\r\n{");
		o = head_put_str(o, named ? "\"record\":\"" : NULL);
		r->end_len[how] = (unsigned)(o - r->end[how]);
		must(r->end_len[how] <= sizeof(r->end[how]));
	}
	r->body_len = (named ? (unsigned)sizeof("{\"record\":\"") - 1 + r->lane_len : 1) + r->tail_len;
}

void head_recorded_clock(struct head_recorded *r, const struct head_date *d)
{
	char *o = head_status(r->start, status_of(200), 200);

	o = head_date(o, d);
	o = head_type(o, "application/json");
	o = PUT(o, "Content-Length: ");
	r->start_len = (unsigned)(o - r->start);
	must(r->start_len <= sizeof(r->start));
}

char *head_recorded_write(char *o, const struct head_recorded *r, uint64_t seq, bool close, bool old)
{
	unsigned how = close ? CLOSES : old ? STAYS_OLD : STAYS;
	char name[48], *e = name;

	o = head_put(o, r->start, r->start_len);
	if (!r->named) {
		o = head_put_u64(o, r->body_len);
		o = head_put(o, r->end[how], r->end_len[how]);
		return head_put(o, r->tail, r->tail_len);
	}
	e = head_put(e, r->lane, r->lane_len);
	e = head_put_u64(e, seq);
	o = head_put_u64(o, r->body_len - r->lane_len + (unsigned)(e - name));
	o = PUT(o, "\r\nPasted-Record: ");
	o = head_put(o, name, (size_t)(e - name));
	o = head_put(o, r->end[how], r->end_len[how]);
	o = head_put(o, name, (size_t)(e - name));
	return head_put(o, r->tail, r->tail_len);
}
