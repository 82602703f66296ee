/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store_read.c - looking at an open store: read-back, followers, floors, figures (store.h).
 * Any thread may call these functions.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "segment/seg_read.h"
#include "store/store_priv.h"

#define relaxed(v) atomic_load_explicit(&(v), memory_order_relaxed)

struct store_cursor {
	struct seg_cursor *c;
	unsigned lane;
};

static struct seglog *log_of(const struct store *s, unsigned lane)
{
	return lane < s->known ? s->log[lane] : NULL;
}

bool store_unsettled(const struct store *s, unsigned lane, uint64_t seq)
{
	const struct lane *l;

	if (!s->wal || lane >= s->nlanes)
		return false;
	l = &s->lane[lane];
	return seq > relaxed(l->settled_seq) && seq <= lane_durable(l);
}

int store_follow(struct store *s, unsigned lane, enum follow_level level, uint64_t seq, struct follower *f)
{
	return lane < s->nlanes ? follow(&s->lane[lane].mark[level], seq, f) : -ENOENT;
}

uint64_t store_reached(const struct store *s, unsigned lane, enum follow_level level)
{
	return lane < s->nlanes ? relaxed(*s->lane[lane].mark[level].reached) : 0;
}

int store_floor(struct store *s, unsigned lane, uint64_t seq, struct floor *f)
{
	struct seglog *log = log_of(s, lane);

	if (!log)
		return -ENOENT;
	f->lane = lane;
	seglog_floor(log, f, seq);
	return 0;
}

void store_floor_drop(struct store *s, struct floor *f)
{
	if (f->held)
		seglog_floor_drop(log_of(s, f->lane), f);
}

int store_read_open(struct store *s, unsigned lane, uint64_t seq, struct store_cursor **out)
{
	struct seglog *log = log_of(s, lane);
	struct store_cursor *c;
	int err;

	*out = NULL;
	if (!log)
		return -ENOENT;
	c = malloc(sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->lane = lane;
	err = seg_read_open(log, seq, &c->c);
	if (err) {
		free(c);
		return err;
	}
	*out = c;
	return 0;
}

int store_read_next(struct store_cursor *c, struct store_record *r)
{
	struct frame_header h;
	const uint8_t *data;
	int got = seg_read_next(c->c, &h, &data);

	if (got == 1)
		*r = (struct store_record){ c->lane, h.seq, h.time_ms, data, h.len, h.len };
	return got;
}

int store_read_find(struct store_cursor *c, struct store_record *r)
{
	struct frame_header h;
	const uint8_t *data;
	uint32_t have;
	int got = seg_read_find(c->c, &h, &data, &have);

	static_assert(STORE_READ_AGAIN == SEG_READ_AGAIN, "passed on as it is");
	if (got == 1)
		*r = (struct store_record){ c->lane, h.seq, h.time_ms, data, h.len, have };
	return got;
}

int store_read_more(struct store_cursor *c, void *to, uint32_t n)
{
	return seg_read_more(c->c, to, n);
}

void store_read_close(struct store_cursor *c)
{
	if (!c)
		return;
	seg_read_close(c->c);
	free(c);
}

int store_read_bounds(struct store *s, unsigned lane, uint64_t *oldest, uint64_t *newest)
{
	struct seglog *log = log_of(s, lane);

	if (!log)
		return -ENOENT;
	seg_read_bounds(log, oldest, newest);
	if (lane < s->nlanes && lane_durable(&s->lane[lane]) > *newest)
		*newest = lane_durable(&s->lane[lane]);
	return 0;
}

int store_read_absent(struct store *s, unsigned lane, uint64_t seq, struct absence *a)
{
	struct seglog *log = log_of(s, lane);

	return log ? seg_read_why(log, seq, a) : -ENOENT;
}

unsigned store_lanes(const struct store *s)
{
	return s->known > s->nlanes ? s->known : s->nlanes;
}

static void lane_stats(const struct store *s, unsigned i, struct store_lane_stats *st)
{
	const struct lane *l = &s->lane[i];

	st->records = relaxed(l->records);
	st->bytes = relaxed(l->bytes);
	st->commits = relaxed(l->commits);
	st->durable_seq = lane_durable(l);
	st->settled_seq = relaxed(l->settled_seq);
	st->checkpoints = relaxed(l->checkpoints);
	st->checkpoint_bytes = relaxed(l->checkpoint_bytes);
	/* The worker counts this without synchronisation: the figure may lag behind. */
	st->gathered_bytes = __atomic_load_n(&s->pool[i].gathered_bytes, __ATOMIC_RELAXED);
	st->failed = lane_failed(l);
	st->nospace |= relaxed(l->nospace) != 0;
	st->fill_pct = lane_fill_pct(l);
}

int store_stats(struct store *s, unsigned lane, struct store_lane_stats *st)
{
	struct seglog *log = log_of(s, lane);
	struct seglog_stats seg;

	memset(st, 0, sizeof(*st));
	if (!log && lane >= s->nlanes)
		return -ENOENT;
	if (log) {
		seglog_stat(log, &seg);
		st->segments = seg.segments;
		st->segment_bytes = seg.bytes;
		st->oldest_seq = seg.oldest_seq;
		st->oldest_ms = seg.oldest_ms;
		st->durable_seq = st->settled_seq = seg.durable_seq;
		st->expired_records = seg.expired_records;
		st->floor_seq = seg.floor;
		st->held_segments = seg.held;
		st->nospace = blk_nospace(seg.prepare_err);
		st->prepare_err = seg.prepare_err;
		st->retain_err = seg.retain_err;
		st->turn = seglog_wants_turn(log);
	}
	if (lane < s->nlanes)
		lane_stats(s, lane, st);
	return 0;
}
