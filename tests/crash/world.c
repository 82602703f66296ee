/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * world.c - a small store over the simulators (world.h).
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "../unit/blk_path.h"
#include "segment/segment.h"
#include "world.h"

static uint64_t clock_ms;	/* a test has one thread, and the clock only has to rise */

static uint64_t now_ms(void)
{
	return 1700000000000ull + clock_ms++;
}

uint64_t world_clock(void)
{
	return 1700000000000ull + clock_ms;
}

void world_clock_set(uint64_t ms)
{
	clock_ms = ms - 1700000000000ull;
}

/* Nothing changes any more, on either side.  The sync of a directory makes the block
 * simulator notice: a write would count as begun. */
static void power_off(struct world *x)
{
	const struct blk_ops *blk = blk_sim_ops(x->blk);

	x->dead = true;
	pm_sim_freeze(x->pm);
	path_sync_dir(blk, "/");
}

static int pm_step(void *arg, enum pm_sim_op op)
{
	struct world *x = arg;

	(void)op;
	if (!x->dead && x->step && x->step(x->step_arg))
		power_off(x);
	return x->dead;
}

static int blk_step(void *arg, enum sim_op op)
{
	struct world *x = arg;

	(void)op;
	if (!x->dead && x->step && x->step(x->step_arg)) {
		x->dead = true;
		pm_sim_freeze(x->pm);
	}
	return x->dead;
}

void world_init(struct world *x, enum durability_class cls, struct pm_sim *pm, struct blk_sim *blk,
		struct model *model)
{
	*x = (struct world){ .cls = cls, .nvmm = WORLD_NVMM, .pm = pm, .blk = blk,
		.model = model, .stream = 1 };
	pm_sim_step(pm, pm_step, x);
	blk_sim_step(blk, blk_step, x);
}

void world_fini(struct world *x)
{
	if (x->w)
		world_kill(x);
	pm_sim_free(x->pm);
	blk_sim_free(x->blk);
}

void world_tool(const struct world *x, struct rec_tool *t)
{
	*t = (struct rec_tool){ .store_dir = WORLD_STORE, .pm = pm_sim_ops(x->pm),
		.blk = blk_sim_ops(x->blk), .now_ms = now_ms, .boot = x->boot };
}

/* ---- commits that complete later ---- */

static int late_submit(struct blk_aio *aio, const struct blk_ops *blk, struct blk_file *f,
		       struct iovec *iov, unsigned n, uint64_t off)
{
	struct late_aio *a = (struct late_aio *)aio;

	if (a->busy)
		abort();	/* one in flight at a time */
	*a = (struct late_aio){ { late_submit, NULL }, blk, f, iov, n, off, true };
	return 0;
}

static bool late_complete(struct late_aio *a, int *res)
{
	if (!a->busy)
		return false;
	a->busy = false;
	*res = a->blk->write(a->file, a->iov, a->n, a->off);
	if (!*res)
		*res = seg_final(a->blk->sync(a->file));
	return true;
}

/* ---- open and close ---- */

int world_open(struct world *x, unsigned lanes)
{
	struct store_options o = {
		.store_dir = WORLD_STORE, .class = x->cls, .lanes = lanes,
		.nvmm_path = class_has_wal(x->cls) ? x->nvmm : NULL,
		.pool_bytes = (uint64_t)lanes * WORLD_BUFS * WORLD_BUF, .buf_size = WORLD_BUF,
		.segment_bytes = WORLD_SEGMENT, .record_bytes_max = WORLD_RECORD,
		.retain_bytes = x->retain_bytes, .retain_ms = x->retain_ms,
		.adopt = x->adopt, .boot = x->boot,
		.pm = pm_sim_ops(x->pm), .blk = blk_sim_ops(x->blk), .now_ms = now_ms,
	};
	int err = store_open(&x->w, &o, x->why, sizeof(x->why));

	x->lanes = lanes;
	for (unsigned i = 0; i < MODEL_LANES; i++) {
		x->buf[i] = FRAG_NIL;
		x->aio[i] = (struct late_aio){ .aio = { late_submit } };
		if (!err && i < lanes)
			store_lane_aio(x->w, i, &x->aio[i].aio);
	}
	return err;
}

int world_close(struct world *x)
{
	struct store *w = x->w;

	x->w = NULL;
	return store_close(w);
}

void world_kill(struct world *x)
{
	power_off(x);
	world_close(x);
}

void world_die(struct world *x)
{
	struct pm_sim *pm = pm_sim_killed(x->pm);
	struct blk_sim *blk = blk_sim_killed(x->blk);
	struct world old = *x;

	world_fini(x);
	world_init(x, old.cls, pm, blk, old.model);
	x->nvmm = old.nvmm;
	x->stream = old.stream;
}

/* ---- a worker ---- */

static void acked(struct world *x, unsigned lane)
{
	if (!x->dead)
		model_ack(x->model, lane, lane_durable(store_lane(x->w, lane)), world_clock());
}

/* The client's stream goes on in the buffer of the last piece, or in a new one. */
static int more_room(struct world *x, unsigned lane, bool fresh)
{
	struct pool *p = store_pool(x->w, lane);

	if (x->buf[lane] != FRAG_NIL && !fresh && x->off[lane] < WORLD_BUF)
		return 0;
	if (x->buf[lane] != FRAG_NIL)
		pool_drop(p, x->buf[lane]);
	x->buf[lane] = pool_take(p);
	if (x->buf[lane] == FRAG_NIL) {
		lane_reclaim(store_lane(x->w, lane));
		x->buf[lane] = pool_take(p);
	}
	if (x->buf[lane] == FRAG_NIL)
		return -ENOBUFS;
	pool_hold(p, x->buf[lane]);
	x->off[lane] = 0;
	return 0;
}

static void fill(struct world *x, uint8_t *p, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		x->stream = x->stream * 6364136223846793005ull + 1442695040888963407ull;
		p[i] = (uint8_t)(x->stream >> 56);
	}
}

/* chunks: pieces with the framing of a chunk between them, which is not recorded. */
static int receive(struct world *x, unsigned lane, struct frags *r, uint8_t *data, uint32_t len,
		   bool fresh, bool chunks)
{
	static const uint32_t piece[] = { 1, 300, 17, 257, 3, 700, 256 };
	struct pool *p = store_pool(x->w, lane);
	uint32_t at = 0;

	fill(x, data, len);
	for (unsigned k = 0; at < len; k++) {
		int err = more_room(x, lane, fresh && !at);
		uint32_t n = WORLD_BUF - x->off[lane];

		if (err)
			return err;
		if (chunks && n > 8) {
			x->off[lane] += 8;
			n -= 8;
		}
		if (n > len - at)
			n = len - at;
		if (chunks && n > piece[k % 7])
			n = piece[k % 7];
		memcpy(pool_addr(p, x->buf[lane]) + x->off[lane], data + at, n);
		err = lane_add(store_lane(x->w, lane), r, x->buf[lane], x->off[lane], n);
		if (err)
			return err;
		x->off[lane] += n;
		at += n;
	}
	return 0;
}

/* Room, as a worker gets it: what is appended becomes durable and then elsewhere. */
static int relieve(struct world *x, unsigned lane)
{
	int err = world_commit(x, lane);

	for (int i = 0; i < 2 && !err; i++)	/* what is in flight, and what it held up */
		err = world_synced(x, lane);
	if (!err)
		err = world_background(x, 1u << 20);
	lane_reclaim(store_lane(x->w, lane));
	return err;
}

static int record(struct world *x, unsigned lane, uint32_t len, bool fresh, bool chunks,
		  bool relief)
{
	struct lane *l = store_lane(x->w, lane);
	uint8_t *data = malloc(len);
	struct frags r = FRAGS_INIT;
	uint64_t seq = 0;
	int err = data ? receive(x, lane, &r, data, len, fresh, chunks) : -ENOMEM;

	if (err == -ENOBUFS && relief) {
		lane_drop(l, &r);
		err = relieve(x, lane);
		if (!err)
			err = receive(x, lane, &r, data, len, fresh, chunks);
	}
	for (int tries = 0; !err && !seq && tries < 4; tries++) {
		seq = lane_append(l, &r);
		if (seq || !relief)
			break;
		err = relieve(x, lane);
	}
	if (seq)
		model_append(x->model, lane, seq, world_clock(), data, len);
	else
		lane_drop(l, &r);
	free(data);
	return err ? err : seq ? 0 : -EAGAIN;
}

int world_record(struct world *x, unsigned lane, uint32_t len, bool fresh)
{
	return record(x, lane, len, fresh, false, true);
}

int world_chunks(struct world *x, unsigned lane, uint32_t len)
{
	return record(x, lane, len, false, true, true);
}

void world_full(struct world *x, unsigned lane, uint32_t len, bool fresh)
{
	while (!record(x, lane, len, fresh, false, false))
		;
}

int world_commit(struct world *x, unsigned lane)
{
	int err = lane_commit(store_lane(x->w, lane), now_ms());

	acked(x, lane);
	return err;
}

int world_synced(struct world *x, unsigned lane)
{
	int res, err = 0;

	if (late_complete(&x->aio[lane], &res))
		err = lane_synced(store_lane(x->w, lane), res, now_ms());
	acked(x, lane);
	if (err == -ENOSPC && !x->dead)
		model_take_back(x->model, lane);
	return err;
}

int world_put(struct world *x, unsigned lane, uint32_t len)
{
	int err = world_record(x, lane, len, false);

	if (!err)
		err = world_commit(x, lane);
	return err ? err : world_synced(x, lane);
}

int world_background(struct world *x, uint64_t slice_bytes)
{
	int r;

	do
		r = store_background(x->w, slice_bytes);
	while (r > 0);
	return r;
}

void world_read(struct world *x, struct got *g)
{
	got_clear(g);
	for (unsigned i = 0; i < store_lanes(x->w); i++) {
		struct store_cursor *c;
		struct store_record r;

		if (store_read_open(x->w, i, 1, &c))
			continue;
		while (store_read_next(c, &r) == 1)
			got_add(g, r.lane, r.seq, r.time_ms, r.data, r.len);
		store_read_close(c);
	}
}
