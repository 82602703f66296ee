/* SPDX-License-Identifier: BSD-2-Clause */
/* readback.c - see readback.h. */
#include "admin/readback.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define CHUNK_HEAD	8u		/* "00abcd\r\n" */
#define CHUNK_END	7u		/* "\r\n" and "0\r\n\r\n" */
#define GAP_ROOM	(JSON_ROOM + 128u)	/* a gap line with the longest reason */

/* ---- names ---- */

/* Reads a decimal number without leading zeros and moves *p behind it.  A number above max is
 * taken for max, which no record or lane has: the answer is 404 then, while -EINVAL means 400. */
static int readback_number(const char **p, uint64_t max, uint64_t *v)
{
	const char *s = *p;
	uint64_t x = 0;

	if (*s < '0' || *s > '9' || (*s == '0' && s[1] >= '0' && s[1] <= '9'))
		return -EINVAL;
	for (; *s >= '0' && *s <= '9'; s++) {
		if (x > max / 10 || x * 10 > max - (uint64_t)(*s - '0'))
			x = max;
		else
			x = x * 10 + (uint64_t)(*s - '0');
	}
	*p = s;
	*v = x;
	return 0;
}

#define SEQ_MAX (UINT64_C(1) << 63)

int read_name_parse(struct read_name *n, const char *rest)
{
	uint64_t lane;

	memset(n, 0, sizeof *n);
	n->kind = READ_LANES;
	if (!*rest || !strcmp(rest, "/"))
		return 0;
	if (*rest++ != '/' || readback_number(&rest, LANES_MAX, &lane))
		return -EINVAL;
	n->lane = (unsigned)lane;
	n->kind = READ_LANE;
	if (!*rest)
		return 0;
	if (!strncmp(rest, "?tail=", 6)) {
		rest += 6;
		n->kind = READ_TAIL;
		return readback_number(&rest, SEQ_MAX, &n->from) || *rest ? -EINVAL : 0;
	}
	if (*rest++ != '-' || readback_number(&rest, SEQ_MAX, &n->from))
		return -EINVAL;
	n->kind = READ_ONE;
	if (!*rest)
		return 0;
	n->kind = READ_RANGE;
	n->to = UINT64_MAX;
	if (strncmp(rest, "..", 2))
		return -EINVAL;
	rest += 2;
	if (!*rest)
		return 0;
	return readback_number(&rest, SEQ_MAX, &n->to) || *rest || n->to < n->from ? -EINVAL : 0;
}

/* ---- the cursor ---- */

static void readback_let_go(struct readback *r)
{
	if (r->cursor)
		store_read_close(r->cursor);
	r->cursor = NULL;
}

static int readback_look(struct readback *r, uint64_t seq)
{
	if (r->cursor)
		return 0;
	return store_read_open(r->shared->store, r->name.lane, seq, &r->cursor);
}

/* ---- one record ---- */

static void error(struct readback *r, struct text *t, int status, const char *why)
{
	r->status = status;
	admin_reply_error(t, status, why, NULL, &r->ask, &r->close_after);
}

/* Adds a header field with a value that a client has sent, if that value is safe to send. */
static bool add_value(struct text *t, const char *name, const char *p, size_t n)
{
	if (!n || n > 2048)
		return false;
	for (size_t i = 0; i < n; i++)
		if (p[i] < 0x20 || p[i] > 0x7e)
			return false;
	text_f(t, "%s: %.*s\r\n", name, (int)n, p);
	return true;
}

static void one_head(struct readback *r, struct text *t, const struct record_view *v)
{
	struct admin_reply a = { .status = 200, .len = r->body_have + r->body_rest };
	struct text h = { 0 };
	struct record_header x;
	char buf[64];
	bool typed;

	typed = record_header_find(v, "Content-Type", &x) &&
		add_value(&h, "Content-Type", x.value, x.value_len);
	if (!typed)
		text_str(&h, "Content-Type: application/octet-stream\r\n");
	if (record_header_find(v, "Content-Encoding", &x))
		add_value(&h, "Content-Encoding", x.value, x.value_len);
	text_str(&h, "Content-Security-Policy: sandbox; default-src 'none'\r\n");
	text_f(&h, "Pasted-Record: %u-%" PRIu64 "\r\n", r->rec.lane, r->rec.seq);
	json_time(buf, r->rec.time_ms);
	text_f(&h, "Pasted-Time: %s\r\n", buf);
	/* A record is always given whole, and no validator is sent. */
	text_str(&h, "Accept-Ranges: none\r\n");
	add_value(&h, "Pasted-Method", v->method, v->method_len);
	add_value(&h, "Pasted-Target", v->target, v->target_len);
	text_add(&h, "", 1);
	r->status = 200;
	a.headers = h.p;
	admin_reply_head(t, &a, &r->ask, &r->close_after);
	t->failed |= h.failed;
	text_free(&h);
}

/* ---- what cannot be given ---- */

/* Relaxed is enough: only one thread counts, and the counts order nothing else. */
static void count_absent(struct readback_shared *s, enum absent_reason reason)
{
	__atomic_store_n(&s->absent[reason], s->absent[reason] + 1, __ATOMIC_RELAXED);
}

static void trouble(struct readback *r, uint64_t seq, int err)
{
	struct readback_shared *s = r->shared;

	count_absent(s, err == -EBADMSG ? ABSENT_DAMAGE : ABSENT_UNREADABLE);
	if (err == -EBADMSG || s->trouble.now)
		return;
	s->trouble = (struct read_trouble){ true, r->name.lane, seq, err };
}

/* Finds out why there is no record of this number; pasted-recover gives the same reasons. */
static void readback_absent(struct readback *r, uint64_t seq, struct absence *a)
{
	int err = store_read_absent(r->shared->store, r->name.lane, seq, a);

	if (err)
		*a = (struct absence){ ABSENT_UNREADABLE, err, seq, seq };
	if (a->reason == ABSENT_UNREADABLE)
		trouble(r, seq, a->err);
	else
		count_absent(r->shared, a->reason);
}

/* The status says: there never was a record (404), it has expired (410), it is lost (500), it
 * cannot be read now (503).  A sequence number that a recovery skipped counts as lost, because a
 * client may have been told that number. */
static int absent_status(enum absent_reason reason)
{
	switch (reason) {
	case ABSENT_NEVER:
	case ABSENT_TORN:
		return 404;
	case ABSENT_EXPIRED:
		return 410;
	case ABSENT_DAMAGE:
	case ABSENT_MISSING:
	case ABSENT_WAL_LOST:
	case ABSENT_SKIPPED:
	case ABSENT_GONE:
		return 500;
	default:
		return 503;
	}
}

static int missed(struct readback *r, enum absent_reason reason)
{
	count_absent(r->shared, reason);
	return absent_status(reason);
}

static int one_absent(struct readback *r, const char **why)
{
	struct absence a;
	int status;

	readback_absent(r, r->name.from, &a);
	if (a.reason == ABSENT_NOT && r->again != r->name.from) {	/* it is there now */
		r->again = r->name.from;
		readback_let_go(r);
		return -EAGAIN;
	}
	status = absent_status(a.reason);
	*why = r->words;
	switch (status) {
	case 404:
		snprintf(r->words, sizeof r->words, "no such record: %s", absent_words(a.reason));
		break;
	case 410:
		*why = "the record has expired";
		break;
	case 500:
		snprintf(r->words, sizeof r->words, "the record is %s: %s; pasted-recover check says "
			 "where", a.reason == ABSENT_GONE ? "gone" : absent_maybe(a.reason) ?
			 "lost, if there was one" : "lost", absent_words(a.reason));
		break;
	default:
		snprintf(r->words, sizeof r->words, "the record cannot be read now: %s",
			 a.reason == ABSENT_UNREADABLE ? store_strerror(a.err) : "try again");
	}
	return status;
}

/* The status if the lane's bounds say that there is no such record, or 0: it should be there. */
static int one_status(struct readback *r, const char **why)
{
	uint64_t oldest, newest;
	int e = store_read_bounds(r->shared->store, r->name.lane, &oldest, &newest);

	*why = "no such record";
	if (e == -ENOENT || r->name.from == 0)
		return missed(r, ABSENT_NEVER);
	*why = "the log cannot be read";
	if (e)
		return 500;
	*why = "no such record: the number was not acknowledged yet";
	if (r->name.from > newest)
		return missed(r, ABSENT_NEVER);
	return r->name.from < oldest ? one_absent(r, why) : 0;
}

/* Finds the record.  0, the status that says why it cannot be given, or -EAGAIN: call again. */
static int one_find(struct readback *r, const char **why)
{
	int e, status = one_status(r, why);

	if (status)
		return status;
	e = readback_look(r, r->name.from);
	if (!e)
		e = store_read_find(r->cursor, &r->rec);
	if (e == STORE_READ_AGAIN)
		return -EAGAIN;
	if (e == 1 && r->rec.seq == r->name.from)
		return 0;
	return one_absent(r, why);
}

/* Appends the next n bytes of the body, first those in memory.  False: they could not be read. */
static bool one_body(struct readback *r, struct text *t, size_t n)
{
	size_t k = n < r->body_have ? n : (size_t)r->body_have;
	int err;

	text_add(t, r->body, k);
	r->body += k;
	r->body_have -= k;
	n -= k;
	if (n > r->body_rest)
		n = (size_t)r->body_rest;
	if (!n || !text_room(t, n))
		return true;
	err = store_read_more(r->cursor, t->p + t->n, (uint32_t)n);
	if (err) {
		trouble(r, r->rec.seq, err);
		return false;
	}
	t->n += n;
	r->body_rest -= n;
	return true;
}

static enum readback_step one(struct readback *r, struct text *t, size_t room)
{
	struct record_view v;
	const char *why;
	int status;

	status = r->begun ? 0 : one_find(r, &why);
	if (status == -EAGAIN)
		return READBACK_AGAIN;
	if (status) {
		error(r, t, status, why);
		return READBACK_LAST;
	}
	if (!r->begun) {
		record_view(&v, r->rec.data, r->rec.have);
		r->body = v.body;
		r->body_have = v.body_len;
		r->body_rest = r->rec.len - r->rec.have;
		one_head(r, t, &v);
	}
	r->begun = true;
	if (r->ask.head)
		return READBACK_LAST;
	r->truncated = !one_body(r, t, room - t->n);
	return r->truncated || !(r->body_have + r->body_rest) ? READBACK_LAST : READBACK_MORE;
}

/* ---- ranges ---- */

/* Sets r->next and r->last.  0, or the status that says why no record can be given. */
static int range_bounds(struct readback *r, const char **why)
{
	uint64_t oldest, newest, n = r->name.from;
	struct absence a;
	int e = store_read_bounds(r->shared->store, r->name.lane, &oldest, &newest);

	*why = e == -ENOENT ? "no such lane" : "the log cannot be read";
	if (e)
		return e == -ENOENT ? 404 : 500;
	r->last = r->name.to < newest ? r->name.to : newest;
	r->next = r->name.from ? r->name.from : 1;
	if (r->name.kind == READ_TAIL) {
		r->last = newest;
		r->next = n > newest ? 1 : newest - n + 1;
		if (r->next < oldest)
			r->next = oldest;
		return 0;
	}
	*why = "these records have expired";
	if (r->name.to >= oldest || r->name.to == 0)
		return 0;
	return store_read_absent(r->shared->store, r->name.lane, r->name.to, &a) || a.reason == ABSENT_EXPIRED ? 410 : 0;
}

static void readback_gap(struct text *t, const struct readback *r, uint64_t to, const char *reason)
{
	if (text_room(t, GAP_ROOM))
		t->n += json_gap(t->p + t->n, GAP_ROOM, r->name.lane, r->next, to, reason);
}

/* Writes a line for the numbers from r->next on, `to` at most, that are absent for one reason.  If
 * the record r->next is there after all, it is looked for once more instead. */
static void range_gap(struct readback *r, struct text *t, uint64_t to)
{
	struct absence a;

	readback_absent(r, r->next, &a);
	if (a.reason == ABSENT_NOT && r->again != r->next) {
		r->again = r->next;
		readback_let_go(r);
		return;
	}
	if (a.reason == ABSENT_NOT)
		a.reason = ABSENT_UNREADABLE;
	if (to > a.to)
		to = a.to < r->next ? r->next : a.to;
	readback_gap(t, r, to, absent_name(a.reason));
	r->next = to + 1;
	if (r->got < 0)			/* the cursor cannot pass what it could not read */
		readback_let_go(r);
}

/* Goes to the next record, or writes a line for what is missing before it.  1: r->rec is the
 * record; 0: call again; -EAGAIN: call again when others had their turn. */
static int range_next(struct readback *r, struct text *t)
{
	uint64_t to = r->last;

	if (!r->cursor || r->got == STORE_READ_AGAIN) {
		r->got = readback_look(r, r->next);
		if (!r->got)
			r->got = store_read_find(r->cursor, &r->rec);
	}
	if (r->got == STORE_READ_AGAIN)
		return -EAGAIN;
	if (r->got == 1 && r->rec.seq <= r->next) {
		r->next = r->rec.seq + 1;
		r->got = STORE_READ_AGAIN;	/* the next call moves the cursor */
		return 1;
	}
	if (r->got == 1 && r->rec.seq <= to)
		to = r->rec.seq - 1;
	range_gap(r, t, to);
	return 0;
}

/* Writes the next part of a record's line and clears in_record at its end.  False: the record
 * could not be read. */
static bool range_record(struct readback *r, struct text *t, size_t room)
{
	size_t n = room - t->n, k, want;
	int err;

	if (!text_room(t, n))
		return true;
	k = json_record_more(&r->json, t->p + t->n, n);
	t->n += k;
	if (k)
		return true;
	want = json_record_hungry(&r->json, n);
	r->in_record = want > 0;
	if (want > sizeof(r->shared->part))
		want = sizeof(r->shared->part);
	if (!want)
		return true;
	err = store_read_more(r->cursor, r->shared->part, (uint32_t)want);
	if (err) {
		trouble(r, r->rec.seq, err);
		return false;
	}
	t->n += json_record_feed(&r->json, r->shared->part, want, t->p + t->n, n);
	return true;
}

/* Writes lines until there is no room for another one. */
static enum readback_step range_lines(struct readback *r, struct text *t, size_t room)
{
	int e;

	while (!t->failed && room - t->n >= 2 * GAP_ROOM) {
		if (r->in_record) {
			r->truncated = !range_record(r, t, room);
			if (r->truncated)
				return READBACK_LAST;
			continue;
		}
		if (r->next > r->last || r->next == 0)
			return READBACK_LAST;
		e = range_next(r, t);
		if (e == -EAGAIN)
			return READBACK_AGAIN;
		if (!e)
			continue;
		json_record_start(&r->json, r->rec.lane, r->rec.seq, r->rec.time_ms,
				  r->rec.data, r->rec.have, r->rec.len);
		r->in_record = true;
	}
	return READBACK_MORE;
}

static void chunk_size(char *p, size_t n)
{
	static const char hex[] = "0123456789abcdef";

	for (int i = 5; i >= 0; i--, n >>= 4)
		p[i] = hex[n & 15];
	memcpy(p + 6, "\r\n", 2);
}

static enum readback_step range(struct readback *r, struct text *t, size_t room)
{
	static const struct admin_reply lines = {
		200, "application/x-ndjson",
		"Content-Security-Policy: sandbox; default-src 'none'\r\n", ADMIN_REPLY_STREAM
	};
	enum readback_step step;
	size_t chunk, start;

	if (!r->begun) {
		if (r->refused) {
			error(r, t, r->refused, r->why);
			return READBACK_LAST;
		}
		r->status = 200;
		r->begun = true;
		r->framing = admin_reply_head(t, &lines, &r->ask, &r->close_after);
		if (r->ask.head)
			return READBACK_LAST;
	}
	chunk = t->n;
	if (r->framing == ADMIN_REPLY_CHUNKS)
		text_add(t, "........", CHUNK_HEAD);	/* chunk_size() overwrites it below */
	start = t->n;
	step = range_lines(r, t, room - CHUNK_END);
	if (t->failed)
		return READBACK_LAST;
	if (r->framing == ADMIN_REPLY_CHUNKS && t->n == start)
		t->n = chunk;
	else if (r->framing == ADMIN_REPLY_CHUNKS) {
		chunk_size(t->p + chunk, t->n - start);
		text_str(t, "\r\n");
	}
	if (step == READBACK_LAST && !r->truncated && r->framing == ADMIN_REPLY_CHUNKS)
		text_str(t, "0\r\n\r\n");
	return step == READBACK_AGAIN && t->n ? READBACK_MORE : step;
}

/* ---- bounds ---- */

static bool bounds_json(struct readback *r, struct text *t, unsigned lane)
{
	uint64_t oldest, newest;

	if (store_read_bounds(r->shared->store, lane, &oldest, &newest))
		return false;
	text_f(t, "{\"lane\":%u,\"oldest\":%" PRIu64 ",\"newest\":%" PRIu64 "}", lane, oldest, newest);
	return true;
}

static enum readback_step bounds(struct readback *r, struct text *t)
{
	struct text b = { 0 };
	struct admin_reply a = { .status = 200, .type = "application/json" };
	unsigned i, n = store_lanes(r->shared->store), shown = 0;

	if (r->name.kind == READ_LANE) {
		if (!bounds_json(r, &b, r->name.lane)) {
			text_free(&b);
			error(r, t, 404, "no such lane");
			return READBACK_LAST;
		}
		text_str(&b, "\n");
	} else {
		text_f(&b, "{\"class\":\"%s\",\"lanes\":[", class_name(r->shared->class));
		for (i = 0; i < n; i++) {
			size_t before = b.n;

			if (shown)
				text_str(&b, ",");
			if (bounds_json(r, &b, i))
				shown++;
			else
				b.n = before;
		}
		text_str(&b, "]}\n");
	}
	r->status = 200;
	a.len = b.n;
	admin_reply_head(t, &a, &r->ask, &r->close_after);
	if (!r->ask.head)
		text_add(t, b.p, b.n);
	t->failed |= b.failed;
	text_free(&b);
	return READBACK_LAST;
}

/* ---- */

void readback_open(struct readback *r, struct readback_shared *shared,
		   const struct read_name *name, const struct admin_client *ask)
{
	memset(r, 0, sizeof *r);
	r->shared = shared;
	r->name = *name;
	r->ask = *ask;
}

/* True: the newest record asked for is durable but not in a segment yet.  The end of a range is
 * fixed before it waits, because under load there is always a newer record. */
static bool must_wait(struct readback *r)
{
	if (r->begun || r->name.kind < READ_ONE)
		return false;
	if (r->name.kind != READ_ONE) {
		if (!r->fixed)
			r->refused = range_bounds(r, &r->why);
		r->fixed = true;
		if (r->refused || r->next > r->last)
			return false;
	}
	r->awaits = r->name.kind == READ_ONE ? r->name.from : r->last;
	return store_unsettled(r->shared->store, r->name.lane, r->awaits);
}

enum readback_step readback_step(struct readback *r, struct text *t, size_t room)
{
	enum readback_step s;

	if (!class_stores(r->shared->class) || !r->shared->store) {
		error(r, t, 404, "class none stores nothing");
		return READBACK_LAST;
	}
	if (must_wait(r))
		return READBACK_WAIT;
	if (r->name.kind < READ_ONE)
		return bounds(r, t);
	s = r->name.kind == READ_ONE ? one(r, t, room) : range(r, t, room);
	if (s == READBACK_LAST)
		readback_let_go(r);
	return s;
}

void readback_give_up(struct readback *r, struct text *t)
{
	error(r, t, 503, "no checkpoint has moved the record to the segments yet; try again");
}

void readback_close(struct readback *r)
{
	readback_let_go(r);
}
