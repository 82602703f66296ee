/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fake_store.h - a store in memory behind the reading half of store.h, for tests of
 * what reads it.  Every record that a cursor shows is a fresh copy that dies with
 * the next call, so that a pointer kept too long is found by the sanitizer.
 *
 * It defines all of store.h's symbols that src/ reads with, so the linker takes
 * none of them from the library.
 */
#ifndef FAKE_STORE_H
#define FAKE_STORE_H

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/store.h"

#define FAKE_LANES	2u
#define FAKE_SEQS	64u

struct fake_rec {
	char  *data;		/* NULL: the number was skipped */
	size_t len;
	bool   damaged;
	enum absent_reason skipped;	/* why there is none; 0: a crash tore it */
};

static struct fake {
	struct fake_rec rec[FAKE_LANES][FAKE_SEQS];	/* [0] unused */
	uint64_t oldest[FAKE_LANES], newest[FAKE_LANES];
	_Atomic uint64_t settled[FAKE_LANES];
	bool gone;		/* what is below oldest has not expired, or nobody knows */
	uint64_t break_at;	/* reading this number is -EIO; 0: none */
	int	 break_err;	/* and why, for who asks; 0: that */
	size_t have;		/* of a record at once; 0: 4096 */
	unsigned slices;	/* that checking a larger one takes */
	bool more_breaks;	/* what is behind that cannot be read */
	uint64_t hidden;	/* this number is there, and not found by the first `hides` cursors */
	int hides;
	uint64_t expires;	/* looking why a number is absent finds that all up to it have gone */
	int bounds_err;		/* of every lane but the last */
	int cursors, opened;
} fake;
static struct follow_mark fake_settled[FAKE_LANES];	/* of fake.settled */

struct store_cursor {
	unsigned lane;
	uint64_t seq, damaged, found;
	size_t at;
	unsigned slice;
	char *copy;
};

static void fake_reset(void)
{
	for (unsigned l = 0; l < FAKE_LANES; l++)
		for (unsigned i = 0; i < FAKE_SEQS; i++)
			free(fake.rec[l][i].data);
	memset(&fake, 0, sizeof fake);
	for (unsigned l = 0; l < FAKE_LANES; l++) {
		fake.oldest[l] = 1;
		follow_init(&fake_settled[l], &fake.settled[l]);
	}
}

static uint64_t fake_add_bytes(unsigned lane, const void *data, size_t len)
{
	uint64_t seq = ++fake.newest[lane];
	struct fake_rec *r = &fake.rec[lane][seq];

	if (data) {
		r->data = malloc(len + 1);
		memcpy(r->data, data, len);
		r->len = len;
	}
	fake.settled[lane] = seq;
	return seq;
}

/* A POST with that body, and more header lines if any. */
static uint64_t fake_add(unsigned lane, const char *headers, const char *body)
{
	char b[4096];
	int n = snprintf(b, sizeof b, "POST /a HTTP/1.1\r\nHost: x\r\n%s\r\n%s", headers, body);

	return fake_add_bytes(lane, b, (size_t)n);
}

const char *store_strerror(int err)
{
	return strerror(-err);
}

int store_read_open(struct store *w, unsigned lane, uint64_t seq, struct store_cursor **c)
{
	(void)w;
	*c = calloc(1, sizeof **c);
	(*c)->lane = lane;
	(*c)->seq = seq > fake.oldest[lane] ? seq : fake.oldest[lane];
	fake.cursors++;
	fake.opened++;
	return 0;
}

int store_read_find(struct store_cursor *c, struct store_record *r)
{
	size_t have = fake.have ? fake.have : 4096;

	free(c->copy);
	c->copy = NULL;
	for (; c->seq <= fake.settled[c->lane]; c->seq++) {
		struct fake_rec *f = &fake.rec[c->lane][c->seq];

		if (fake.break_at == c->seq)
			return -EIO;
		if (fake.hidden == c->seq && fake.opened <= fake.hides)
			continue;
		if (f->damaged)
			c->damaged++;
		if (!f->data || f->damaged)
			continue;
		if (f->len > have && c->slice++ < fake.slices)
			return STORE_READ_AGAIN;
		c->slice = 0;
		c->at = have < f->len ? have : f->len;
		c->copy = malloc(c->at + 1);
		memcpy(c->copy, f->data, c->at);
		c->found = c->seq++;
		*r = (struct store_record){ c->lane, c->found, 1700000000000u, (uint8_t *)c->copy,
					  (uint32_t)f->len, (uint32_t)c->at };
		return 1;
	}
	return 0;
}

int store_read_more(struct store_cursor *c, void *to, uint32_t n)
{
	struct fake_rec *f = &fake.rec[c->lane][c->found];

	if (!n || n > f->len - c->at)
		abort();
	memcpy(to, f->data + c->at, n);
	c->at += n;
	return fake.more_breaks ? -EIO : 0;
}

/* Neighbours of one kind are told together. */
static bool fake_like(unsigned lane, uint64_t a, uint64_t b)
{
	const struct fake_rec *x = &fake.rec[lane][a], *y = &fake.rec[lane][b];

	return b >= fake.oldest[lane] && b <= fake.newest[lane] && b != fake.break_at &&
	       !x->data == !y->data && x->damaged == y->damaged;
}

int store_read_absent(struct store *w, unsigned lane, uint64_t seq, struct absence *a)
{
	const struct fake_rec *f;

	(void)w;
	if (lane >= FAKE_LANES)
		return -ENOENT;
	if (fake.expires)
		fake.oldest[lane] = fake.expires + 1;
	*a = (struct absence){ ABSENT_NEVER, 0, seq, seq };
	if (!seq || seq > fake.newest[lane])
		return 0;
	f = &fake.rec[lane][seq];
	a->reason = f->damaged ? ABSENT_DAMAGE : f->data ? ABSENT_NOT : f->skipped ? f->skipped : ABSENT_TORN;
	if (seq < fake.oldest[lane])
		*a = (struct absence){ fake.gone ? ABSENT_GONE : ABSENT_EXPIRED, 0, 1, fake.oldest[lane] - 1 };
	else if (seq == fake.break_at)
		*a = (struct absence){ ABSENT_UNREADABLE, fake.break_err ? fake.break_err : -EIO, seq, seq };
	else if (a->reason != ABSENT_NOT) {
		while (fake_like(lane, seq, a->from - 1))
			a->from--;
		while (fake_like(lane, seq, a->to + 1))
			a->to++;
	}
	return 0;
}

void store_read_close(struct store_cursor *c)
{
	fake.cursors--;
	free(c->copy);
	free(c);
}

int store_read_bounds(struct store *w, unsigned lane, uint64_t *oldest, uint64_t *newest)
{
	(void)w;
	if (lane >= FAKE_LANES)
		return -ENOENT;
	if (fake.bounds_err && lane + 1 < FAKE_LANES)
		return fake.bounds_err;
	*oldest = fake.oldest[lane];
	*newest = fake.newest[lane];
	return 0;
}

bool store_unsettled(const struct store *w, unsigned lane, uint64_t seq)
{
	(void)w;
	return lane < FAKE_LANES && seq <= fake.newest[lane] &&
	       seq > fake.settled[lane];
}

int store_follow(struct store *w, unsigned lane, enum follow_level level, uint64_t seq, struct follower *f)
{
	(void)w;
	if (level != FOLLOW_SETTLED || lane >= FAKE_LANES)
		abort();
	return follow(&fake_settled[lane], seq, f);
}

unsigned store_lanes(const struct store *w)
{
	(void)w;
	return FAKE_LANES;
}

int store_stats(struct store *w, unsigned lane, struct store_lane_stats *s)
{
	(void)w;
	*s = (struct store_lane_stats){
		.bytes = 101 + lane, .commits = 201 + lane, .checkpoints = 301 + lane, .checkpoint_bytes = 401 + lane,
		.segments = 501 + lane, .segment_bytes = 601 + lane, .oldest_ms = 701 + lane,
		.gathered_bytes = 801 + lane, .expired_records = 901 + lane, .nospace = (int)lane,
	};
	s->records = fake.newest[lane];
	s->durable_seq = fake.newest[lane];
	s->settled_seq = fake.settled[lane];
	s->oldest_seq = fake.oldest[lane];
	s->fill_pct = 7 + lane;
	s->failed = lane ? -EIO : 0;
	return 0;
}

/* The store: never looked into. */
#define FAKE_STORE ((struct store *)&fake)

#endif
