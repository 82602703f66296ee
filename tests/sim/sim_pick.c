/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim_pick.c - the pickers of blk_sim.h (all choices in turn, or from a seed), and the
 * blk_aio whose completions wait to be asked for.
 */
#include "blk_sim.h"

#include <stdlib.h>
#include <string.h>

/* ---- from a seed ---- */

uint64_t sim_rng_next(struct sim_rng *r)	/* splitmix64 */
{
	uint64_t z = r->state += 0x9e3779b97f4a7c15ull;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
	return z ^ (z >> 31);
}

/* Runs of one temper, so that all-but-one, a prefix and nothing-at-all turn up as often
 * as an even mix does. */
static uint32_t rng_pick(struct sim_pick *p, uint32_t n)
{
	struct sim_rng *r = (struct sim_rng *)p;
	uint64_t x = sim_rng_next(r);

	if (!r->left) {
		r->mode = (x >> 8) % 5;
		r->left = 1u << ((x >> 16) % 10);
	}
	r->left--;
	x >>= 32;
	switch (r->mode) {
	case 0:
		return 0;
	case 1:
		return n - 1;
	case 2:
		if (x % 8)
			return n - 1;
		break;
	case 3:
		if (x % 8)
			return 0;
		break;
	}
	return (uint32_t)((x >> 3) % n);
}

void sim_rng_init(struct sim_rng *r, uint64_t seed)
{
	*r = (struct sim_rng){ .p = { rng_pick }, .state = seed };
}

/* ---- all of them ---- */

static uint32_t odo_pick(struct sim_pick *p, uint32_t n)
{
	struct sim_odo *o = (struct sim_odo *)p;

	if (o->at == o->n) {
		if (o->n == o->cap) {
			o->cap = o->cap ? o->cap * 2 : 64;
			o->digit = realloc(o->digit, o->cap * sizeof(*o->digit));
			o->radix = realloc(o->radix, o->cap * sizeof(*o->radix));
			if (!o->digit || !o->radix)
				abort();
		}
		o->digit[o->n] = 0;
		o->radix[o->n++] = n;
	}
	if (o->radix[o->at] != n)
		abort();		/* the same state must ask the same questions */
	return o->digit[o->at++];
}

void sim_odo_init(struct sim_odo *o)
{
	*o = (struct sim_odo){ .p = { odo_pick } };
}

bool sim_odo_next(struct sim_odo *o)
{
	o->at = 0;
	while (o->n) {
		if (++o->digit[o->n - 1] < o->radix[o->n - 1])
			return true;
		o->n--;
	}
	return false;
}

void sim_odo_fini(struct sim_odo *o)
{
	free(o->digit);
	free(o->radix);
	memset(o, 0, sizeof(*o));
}

/* ---- commits that complete later ---- */

static int aio_submit(struct blk_aio *aio, const struct blk_ops *blk, struct blk_file *f,
		      struct iovec *iov, unsigned n, uint64_t off)
{
	struct sim_aio *a = (struct sim_aio *)aio;

	if (a->busy)
		abort();		/* one in flight at a time */
	a->res = blk->write(f, iov, n, off);
	if (!a->res) {
		a->res = blk->sync(f);
		if (blk_nospace(a->res))
			a->res = -EIO;		/* blk.h: said of a write only */
	}
	a->busy = true;
	return 0;
}

void sim_aio_init(struct sim_aio *a)
{
	*a = (struct sim_aio){ .aio = { aio_submit } };
}

bool sim_aio_poll(struct sim_aio *a, int *res)
{
	if (!a->busy)
		return false;
	a->busy = false;
	*res = a->res;
	return true;
}
