/* SPDX-License-Identifier: BSD-2-Clause */
/* reply.c - see reply.h. */
#include "http/reply.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include "base/must.h"
#include "base/status.h"

#define REPLY_TEXT_MAX	300u
#define ROOM(b) (sizeof((b)->data) - (b)->used)

_Static_assert(HEAD_RECORDED <= REPLY_MAX, "a reply has room");

int reply_init(struct reply_pool *p, unsigned conns_max, const struct head_common *common,
	       unsigned lane, bool named)
{
	memset(p, 0, sizeof(*p));
	p->blocks = (size_t)conns_max + REPLY_EXTRA;
	p->mem_len = p->blocks * sizeof(*p->mem);
	p->extra_left = REPLY_EXTRA;
	p->common = common;
	p->date = HEAD_DATE_NONE;
	head_recorded_init(&p->recorded, common, lane, named);
	p->mem = mmap(NULL, p->mem_len, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p->mem == MAP_FAILED) {
		p->mem = NULL;
		return -errno;
	}
	return 0;
}

void reply_fini(struct reply_pool *p)
{
	if (p->mem)
		munmap(p->mem, p->mem_len);
	p->mem = NULL;
}

void reply_clock(struct reply_pool *p, uint64_t wall_ms)
{
	if (head_date_set(&p->date, wall_ms))
		head_recorded_clock(&p->recorded, &p->date);
}

static struct reply_block *block_get(struct reply_pool *p, struct reply_out *o)
{
	struct reply_block *b;

	if (o->first) {		/* one block more than its first: pipelining */
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
	b->start = o->end;
	b->used = 0;
	if (o->last)
		o->last->next = b;
	else
		o->first = b;
	o->last = b;
	return b;
}

/* Gives back the first block of o; if o has more, one of REPLY_EXTRA is free again. */
static void block_drop_first(struct reply_pool *p, struct reply_out *o)
{
	struct reply_block *b = o->first;

	o->first = b->next;
	if (o->first)
		p->extra_left++;
	else
		o->last = NULL;
	b->next = p->free;
	p->free = b;
}

bool reply_room(struct reply_pool *p, struct reply_out *o)
{
	if (o->last && ROOM(o->last) >= REPLY_MAX)
		return true;
	return block_get(p, o) != NULL;
}

static char *reply_start(struct reply_out *o)
{
	must(o->last && ROOM(o->last) >= REPLY_MAX);
	return o->last->data + o->last->used;
}

static void reply_end(struct reply_out *o, const char *end)
{
	struct reply_block *b = o->last;
	size_t n = (size_t)(end - (b->data + b->used));

	must(n <= REPLY_MAX);
	b->used += (uint32_t)n;
	o->end += n;
}

void reply_recorded(struct reply_pool *p, struct reply_out *o, uint64_t seq, bool close, bool old)
{
	reply_end(o, head_recorded_write(reply_start(o), &p->recorded, seq, close, old));
}

static void reply_any(struct reply_pool *p, struct reply_out *o, int status, const char *type,
		      const char *body, size_t len, struct reply_opt r)
{
	const struct status *s = status_of(status);
	const struct head h = { .status = status, .type = s->body ? type : NULL, .len = len, .close = r.close,
				.old = r.old, .front = { r.extra, s->retry } };
	char *at = head_write(reply_start(o), &h, p->common, &p->date);

	if (s->body && !r.head) {
		memcpy(at, body, len);
		at += len;
	}
	reply_end(o, at);
}

void reply_status(struct reply_pool *p, struct reply_out *o, int status, const char *why, struct reply_opt r)
{
	char body[128];
	int n = snprintf(body, sizeof(body), "{\"status\":%d,\"error\":\"%.80s\"}\n", status, why);

	reply_any(p, o, status, "application/json", body, (size_t)n, r);
}

void reply_text(struct reply_pool *p, struct reply_out *o, int status, const char *text, size_t len,
		struct reply_opt r)
{
	reply_any(p, o, status, "text/plain", text, len < REPLY_TEXT_MAX ? len : REPLY_TEXT_MAX, r);
}

void reply_continue(struct reply_pool *p, struct reply_out *o)
{
	(void)p;
	reply_end(o, head_continue_write(reply_start(o)));
}

unsigned reply_iov(const struct reply_out *o, struct iovec *iov, unsigned n, uint64_t *end)
{
	unsigned k = 0;

	*end = o->sent;
	for (struct reply_block *b = o->first; b && k < n; b = b->next) {
		uint64_t stop = b->start + b->used;

		if (stop > o->ready)
			stop = o->ready;
		if (stop <= *end)
			break;
		iov[k].iov_base = b->data + (*end - b->start);
		iov[k].iov_len = stop - *end;
		*end = stop;
		k++;
	}
	return k;
}

void reply_sent(struct reply_pool *p, struct reply_out *o, uint64_t upto)
{
	o->sent = upto;
	while (o->first && o->first->start + o->first->used <= upto &&
	       (o->first->next || upto == o->end))
		block_drop_first(p, o);
}

void reply_truncate(struct reply_pool *p, struct reply_out *o, uint64_t to)
{
	struct reply_block *b, *keep = NULL;

	for (b = o->first; b && b->start <= to; b = b->next)
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
	o->last = keep;
	o->end = to;
}

void reply_free(struct reply_pool *p, struct reply_out *o)
{
	while (o->first)
		block_drop_first(p, o);
}
