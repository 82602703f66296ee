/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rule_client.c - requests of every shape, drawn: bodies with a length, chunked in odd
 * pieces, empty; credentials, which must not be in the record; among them requests that
 * record nothing and ones that must be refused.  Replies are matched in order.
 */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rule.h"

#define REQS_MAX 4096u

void rule_fail(struct rule *r, const char *fmt, ...)
{
	va_list ap;

	if (r->failed)
		return;
	r->failed = true;
	va_start(ap, fmt);
	vsnprintf(r->why, sizeof(r->why), fmt, ap);
	va_end(ap);
}

uint32_t rule_draw(struct rule *r, uint32_t n)
{
	return (uint32_t)(sim_rng_next(&r->rng) >> 33) % n;
}

/* ---- a request ---- */

struct text {			/* grows within what was allocated for the largest */
	uint8_t *p;
	uint32_t n;
};

static void add(struct text *t, const void *p, uint32_t n)
{
	memcpy(t->p + t->n, p, n);
	t->n += n;
}

static void say(struct text *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct text *t, const char *fmt, ...)
{
	char line[256];
	va_list ap;

	va_start(ap, fmt);
	add(t, line, (uint32_t)vsnprintf(line, sizeof(line), fmt, ap));
	va_end(ap);
}

static uint32_t draw_len(struct rule *r)
{
	static const uint32_t upto[] = { 1, 40, 300, 2100, RULE_BODY };

	return rule_draw(r, upto[rule_draw(r, 5)] + 1);
}

/* Payload of both, framed for the wire. */
static void add_body(struct rule *r, struct text *wire, struct text *rec, uint32_t len, bool chunked)
{
	uint8_t b[RULE_BODY] = { 0 };	/* set for the compiler: a body may be empty */

	for (uint32_t i = 0; i < len; i++)
		b[i] = (uint8_t)sim_rng_next(&r->rng);
	add(rec, b, len);
	if (!chunked) {
		add(wire, b, len);
		return;
	}
	for (uint32_t at = 0, n; at < len; at += n) {
		n = 1 + rule_draw(r, rule_draw(r, 4) ? 900 : 20);
		if (n > len - at)
			n = len - at;
		say(wire, "%x%s\r\n", n, rule_draw(r, 5) ? "" : ";x=y");
		add(wire, b + at, n);
		say(wire, "\r\n");
	}
	say(wire, "0\r\n%s\r\n", rule_draw(r, 3) ? "" : "Trailer: gone\r\n");
}

static void make_record(struct rule *r, struct req *q, struct text *wire, struct text *rec)
{
	static const char *const methods[] = { "POST", "PUT", "PATCH", "DELETE" };
	bool chunked = rule_draw(r, 3) == 0, secret = rule_draw(r, 3) == 0;
	uint32_t len = draw_len(r);

	say(wire, "%s /r%u HTTP/1.1\r\nHost: h\r\n", methods[rule_draw(r, 4)], r->nall);
	if (q->last)
		say(wire, "Connection: close\r\n");
	if (chunked)
		say(wire, "Transfer-Encoding: chunked\r\n");
	else
		say(wire, "Content-Length: %u\r\n", len);
	add(rec, wire->p, wire->n);
	if (secret) {
		say(wire, "Authorization: Basic %08x\r\n", rule_draw(r, UINT32_MAX));
		say(rec, "Authorization: **************\r\n");
	}
	say(wire, "\r\n");
	say(rec, "\r\n");
	add_body(r, wire, rec, len, chunked);
}

static void make(struct rule *r, struct req *q, bool last)
{
	struct text wire = { malloc(4 * RULE_BODY + 1024), 0 };
	struct text rec = { malloc(RULE_BODY + 1024), 0 };
	unsigned what = rule_draw(r, 10);

	if (!wire.p || !rec.p)
		abort();
	*q = (struct req){ .last = last };
	if (what == 0) {
		q->kind = REQ_READYZ;
		say(&wire, "GET /-/readyz HTTP/1.1\r\nHost: h\r\n%s\r\n", last ? "Connection: close\r\n" : "");
	} else if (what == 1) {
		q->kind = REQ_NOTHING;
		say(&wire, "GET /nothing HTTP/1.1\r\nHost: h\r\n%s\r\n", last ? "Connection: close\r\n" : "");
	} else if (what == 2 && last) {
		q->kind = REQ_BAD;
		say(&wire, "POST /bad HTTP/1.1\r\nHost : h\r\n\r\n");
	} else {
		q->kind = REQ_RECORD;
		make_record(r, q, &wire, &rec);
	}
	q->wire = wire.p;
	q->wire_len = wire.n;
	q->record = rec.p;
	q->record_len = rec.n;
	r->nall++;
}

void client_connect(struct rule *r, struct client *c, uint32_t handle)
{
	unsigned n = 1 + rule_draw(r, 12);

	if (!r->all) {
		r->all = calloc(REQS_MAX, sizeof(*r->all));
		r->cap = REQS_MAX;
	}
	if (!r->all || r->nall + n > r->cap)
		abort();
	*c = (struct client){ .open = true, .handle = handle, .req = r->all + r->nall, .n = n,
		.conns_left = c->conns_left - 1, .fickle = rule_draw(r, 4) == 0 };
	for (unsigned i = 0; i < n; i++)
		make(r, &c->req[i], i + 1 == n);
}

void rule_requests_free(struct rule *r)
{
	for (unsigned i = 0; i < r->nall; i++) {
		free(r->all[i].wire);
		free(r->all[i].record);
	}
	free(r->all);
	r->all = NULL;
	r->nall = 0;
}

/* ---- sending ---- */

bool client_all_sent(const struct client *c)
{
	return c->sent == c->n;
}

uint32_t client_bytes(struct rule *r, struct client *c, uint8_t *p, uint32_t n)
{
	uint32_t got = 0;

	while (got < n && c->sent < c->n) {
		struct req *q = &c->req[c->sent];
		uint32_t part = q->wire_len - c->off;

		if (part > n - got)
			part = n - got;
		memcpy(p + got, q->wire + c->off, part);
		got += part;
		c->off += part;
		if (c->off < q->wire_len)
			break;
		q->delivered = true;
		q->late = r->failed_lane;
		c->sent++;
		c->off = 0;
	}
	return got;
}

/* ---- replies ---- */

static const char *field(const char *head, const char *name)
{
	const char *p = strstr(head, name);

	return p ? p + strlen(name) : NULL;
}

static void judge_reply(struct rule *r, struct req *q, int status, const char *head)
{
	const char *name = field(head, "\r\nPasted-Record: 0-");

	q->status = status;
	if ((status == 200 && q->kind == REQ_RECORD) != (name != NULL))
		rule_fail(r, "a %d to a request of kind %d %s a record", status, q->kind,
			  name ? "names" : "does not name");
	if (name)
		q->seq = strtoull(name, NULL, 10);
	if (name && r->failed_lane && q->seq > r->failed_durable)
		rule_fail(r, "record %" PRIu64 " was acknowledged after the lane had failed", q->seq);
	switch (q->kind) {
	case REQ_RECORD:
		if (status != 200 && status != 503 && status != 507)
			rule_fail(r, "a recorded request got %d", status);
		if (!q->delivered && status == 200)
			rule_fail(r, "a request that is not complete got 200");
		r->refused += status == 503 || status == 507;
		break;
	case REQ_READYZ:
		if (q->late && status != 503)
			rule_fail(r, "readyz says %d though the lane has failed", status);
		r->readyz_bad += status == 503;
		break;
	case REQ_NOTHING:
		if (status != 404 && !(status == 503 && r->failed_lane))
			rule_fail(r, "a request for nothing got %d", status);
		break;
	default:
		if (status != 400 && !(status == 503 && r->failed_lane))
			rule_fail(r, "a malformed request got %d", status);
	}
}

bool client_reply(struct rule *r, struct client *c, const uint8_t *p, size_t n)
{
	bool acked = false;

	while (n && !r->failed) {
		char *in = (char *)c->in, *end;
		const char *len;
		uint32_t whole;

		/* byte by byte: a reply is judged as soon as it can be understood */
		c->in[c->in_len++] = *p++;
		c->in[c->in_len] = '\0';
		n--;
		end = strstr(in, "\r\n\r\n");
		if (!end) {
			if (c->in_len + 1 == sizeof(c->in))
				rule_fail(r, "a reply's head does not end");
			continue;
		}
		if (strncmp(in, "HTTP/1.1 ", 9)) {
			rule_fail(r, "not a reply: %.40s", in);
			break;
		}
		if (c->answered == c->n) {
			rule_fail(r, "more replies than requests");
			break;
		}
		if (end + 4 == in + c->in_len) {
			struct req *q = &c->req[c->answered];

			judge_reply(r, q, atoi(in + 9), in);
			acked |= q->seq != 0;
		}
		len = field(in, "\r\nContent-Length: ");
		whole = (uint32_t)(end + 4 - in) + (len ? (uint32_t)atoi(len) : 0);
		if (whole >= sizeof(c->in)) {
			rule_fail(r, "a reply of %u bytes", whole);
			break;
		}
		if (c->in_len == whole) {
			r->acked += c->req[c->answered].seq != 0;
			c->answered++;
			c->in_len = 0;
		}
	}
	return acked;
}
