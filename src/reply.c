/* SPDX-License-Identifier: BSD-2-Clause */
/* reply.c - see reply.h. */
#include "reply.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "answer.h"
#include "conn.h"
#include "must.h"
#include "status.h"

#define REPLY_TEXT_MAX	300u
#define ROOM(b) (sizeof((b)->data) - (b)->used)

int reply_init(struct reply_pool *p, unsigned conns_max, const char *class_name, unsigned lane, bool named,
	       unsigned idle_ms)
{
	memset(p, 0, sizeof(*p));
	p->blocks = (size_t)conns_max + REPLY_EXTRA;
	p->mem_len = p->blocks * sizeof(*p->mem);
	p->extra_left = REPLY_EXTRA;
	p->date_s = UINT64_MAX;
	p->lane = lane;
	p->named = named;
	snprintf(p->class_name, sizeof(p->class_name), "%s", class_name);
	p->class_line_len = (unsigned)snprintf(p->class_line, sizeof(p->class_line), "Pasted-Class: %s\r\n",
					       p->class_name);
	p->keep_len = reply_keep_alive(p->keep, sizeof(p->keep), idle_ms);
	p->tail_len = (unsigned)snprintf(p->tail, sizeof(p->tail), "\"class\":\"%s\"}\n", p->class_name);
	p->mem = mmap(NULL, p->mem_len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p->mem == MAP_FAILED) {
		p->mem = NULL;
		return -errno;
	}
	return 0;
}

/* A second less than the truth, so that a client does not send when we close. */
unsigned reply_keep_alive(char *buf, size_t n, unsigned idle_ms)
{
	unsigned s = idle_ms ? (idle_ms - 1) / 1000 : 0;

	*buf = '\0';
	return s ? (unsigned)snprintf(buf, n, "Connection: keep-alive\r\nKeep-Alive: timeout=%u\r\n", s) : 0;
}

void reply_fini(struct reply_pool *p)
{
	if (p->mem)
		munmap(p->mem, p->mem_len);
	p->mem = NULL;
}

void reply_clock(struct reply_pool *p, uint64_t wall_ms)
{
	char date[ANSWER_DATE];

	if (wall_ms / 1000 == p->date_s)
		return;
	p->date_s = wall_ms / 1000;
	answer_date(date, wall_ms);
	p->date_len = (unsigned)snprintf(p->date, sizeof(p->date), "Date: %s\r\n", date);
	p->head_len = (unsigned)snprintf(p->head, sizeof(p->head), "HTTP/1.1 200 OK\r\n%s"
					 "Content-Type: application/json\r\nContent-Length: ", p->date);
	must(p->head_len < sizeof(p->head));
}

static struct reply_block *block_get(struct reply_pool *p, struct conn *c)
{
	struct reply_block *b;

	if (c->out_first) {		/* not its first: pipelining */
		if (!p->extra_left)
			return NULL;
		p->extra_left--;
	}
	if ((b = p->free)) {
		p->free = b->next;
	} else {
		must(p->fresh < p->blocks);
		b = &p->mem[p->fresh++];
	}
	b->next = NULL;
	b->start = c->out_end;
	b->used = 0;
	if (c->out_last)
		c->out_last->next = b;
	else
		c->out_first = b;
	c->out_last = b;
	return b;
}

/* The first of the list goes; if more follow, one extra is free again. */
static void block_drop_first(struct reply_pool *p, struct conn *c)
{
	struct reply_block *b = c->out_first;

	c->out_first = b->next;
	if (c->out_first)
		p->extra_left++;
	else
		c->out_last = NULL;
	b->next = p->free;
	p->free = b;
}

bool reply_room(struct reply_pool *p, struct conn *c)
{
	if (c->out_last && ROOM(c->out_last) >= REPLY_MAX)
		return true;
	return block_get(p, c) != NULL;
}

static char *put(char *o, const char *s, size_t n)
{
	memcpy(o, s, n);
	return o + n;
}
#define PUT(o, lit) put((o), (lit), sizeof(lit) - 1)

static char *put_u64(char *o, uint64_t v)
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

static char *head_start(struct conn *c)
{
	must(c->out_last && ROOM(c->out_last) >= REPLY_MAX);
	return c->out_last->data + c->out_last->used;
}

static void head_end(struct conn *c, const char *end)
{
	struct reply_block *b = c->out_last;
	size_t n = (size_t)(end - (b->data + b->used));

	must(n <= REPLY_MAX);
	b->used += (uint32_t)n;
	c->out_end += n;
}

/* In every reply: nobody should take a weak class for a strong one. */
static char *put_class(char *o, const struct reply_pool *p)
{
	return put(o, p->class_line, p->class_line_len);
}

static char *put_connection(char *o, const struct reply_pool *p, bool close, bool old)
{
	if (close)
		return PUT(o, "Connection: close\r\n");
	if (old && !p->keep_len)
		return PUT(o, "Connection: keep-alive\r\n");
	return put(o, p->keep, p->keep_len);
}

void reply_recorded(struct reply_pool *p, struct conn *c, uint64_t seq, bool close, bool old)
{
	char name[32], *e = name, *o = head_start(c);
	size_t nlen;

	if (p->named) {
		e = put_u64(e, p->lane);
		*e++ = '-';
		e = put_u64(e, seq);
	}
	nlen = (size_t)(e - name);
	o = put(o, p->head, p->head_len);
	o = put_u64(o, (p->named ? sizeof("{\"record\":\"\",") - 1 + nlen : sizeof("{") - 1) + p->tail_len);
	if (p->named) {
		o = PUT(o, "\r\nPasted-Record: ");
		o = put(o, name, nlen);
	}
	o = PUT(o, "\r\n");
	o = put_class(o, p);
	o = put_connection(o, p, close, old);
	if (p->named) {
		o = PUT(o, "\r\n{\"record\":\"");
		o = put(o, name, nlen);
		o = PUT(o, "\",");
	} else {
		o = PUT(o, "\r\n{");
	}
	head_end(c, put(o, p->tail, p->tail_len));
}

/* type NULL: no body, and no length of one. */
static void reply_any(struct reply_pool *p, struct conn *c, int status, const char *type,
		      const char *body, size_t len, struct reply_opt r)
{
	const struct status *s = status_of(status);
	char *o = head_start(c);

	o = PUT(o, "HTTP/1.1 ");
	o = put_u64(o, (uint64_t)status);
	*o++ = ' ';
	o = put(o, s->reason, strlen(s->reason));
	o = PUT(o, "\r\n");
	o = put(o, p->date, p->date_len);
	o = put_class(o, p);
	if (type) {
		o = PUT(o, "Content-Type: ");
		o = put(o, type, strlen(type));
		o = PUT(o, "\r\nContent-Length: ");
		o = put_u64(o, len);
		o = PUT(o, "\r\n");
	}
	if (r.extra)
		o = put(o, r.extra, strlen(r.extra));
	if (s->retry)
		o = put(o, s->retry, strlen(s->retry));
	o = put_connection(o, p, r.close, r.old);
	o = PUT(o, "\r\n");
	if (type && !r.head)
		o = put(o, body, len);
	head_end(c, o);
}

void reply_status(struct reply_pool *p, struct conn *c, int status, const char *why, struct reply_opt r)
{
	char body[128];
	int n = snprintf(body, sizeof(body), "{\"status\":%d,\"error\":\"%.80s\"}\n", status, why);

	reply_any(p, c, status, status_of(status)->body ? "application/json" : NULL, body, (size_t)n, r);
}

void reply_text(struct reply_pool *p, struct conn *c, int status, const char *text, size_t len,
		struct reply_opt r)
{
	reply_any(p, c, status, "text/plain", text, len < REPLY_TEXT_MAX ? len : REPLY_TEXT_MAX, r);
}

void reply_continue(struct reply_pool *p, struct conn *c)
{
	(void)p;
	head_end(c, PUT(head_start(c), "HTTP/1.1 100 Continue\r\n\r\n"));
}

unsigned reply_iov(const struct conn *c, struct iovec *iov, unsigned n, uint64_t *end)
{
	unsigned k = 0;

	*end = c->out_sent;
	for (struct reply_block *b = c->out_first; b && k < n; b = b->next) {
		uint64_t stop = b->start + b->used;

		if (stop > c->out_ready)
			stop = c->out_ready;
		if (stop <= *end)
			break;
		iov[k].iov_base = b->data + (*end - b->start);
		iov[k].iov_len = stop - *end;
		*end = stop;
		k++;
	}
	return k;
}

void reply_sent(struct reply_pool *p, struct conn *c, uint64_t upto)
{
	c->out_sent = upto;
	while (c->out_first && c->out_first->start + c->out_first->used <= upto &&
	       (c->out_first->next || upto == c->out_end))
		block_drop_first(p, c);
}

void reply_truncate(struct reply_pool *p, struct conn *c, uint64_t to)
{
	struct reply_block *b, *keep = NULL;

	for (b = c->out_first; b && b->start <= to; b = b->next)
		keep = b;
	if (!keep)
		return;
	while ((b = keep->next)) {
		keep->next = b->next;
		b->next = p->free;
		p->free = b;
		p->extra_left++;
	}
	keep->used = (uint32_t)(to - keep->start);
	c->out_last = keep;
	c->out_end = to;
}

void reply_free(struct reply_pool *p, struct conn *c)
{
	while (c->out_first)
		block_drop_first(p, c);
}
