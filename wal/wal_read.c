/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wal_read.c - looking at an open store: read-back, who follows it, figures (wal.h).  Any
 * thread.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "seg_read.h"
#include "wal_priv.h"

#define relaxed(v) atomic_load_explicit(&(v), memory_order_relaxed)

struct wal_cursor {
	struct seg_cursor *c;
	unsigned lane;
};

static struct seglog *log_of(const struct wal *w, unsigned lane)
{
	return lane < w->known ? w->log[lane] : NULL;
}

bool wal_unsettled(const struct wal *w, unsigned lane, uint64_t seq)
{
	const struct lane *l;

	if (!w->wal || lane >= w->nlanes)
		return false;
	l = &w->lane[lane];
	return seq > relaxed(l->settled_seq) && seq <= lane_durable(l);
}

int wal_follow(struct wal *w, unsigned lane, enum follow_level level, uint64_t seq, struct follower *f)
{
	return lane < w->nlanes ? follow(&w->lane[lane].mark[level], seq, f) : -ENOENT;
}

uint64_t wal_reached(const struct wal *w, unsigned lane, enum follow_level level)
{
	return lane < w->nlanes ? relaxed(*w->lane[lane].mark[level].reached) : 0;
}

int wal_floor(struct wal *w, unsigned lane, uint64_t seq, struct floor *f)
{
	struct seglog *log = log_of(w, lane);

	if (!log)
		return -ENOENT;
	f->lane = lane;
	seglog_floor(log, f, seq);
	return 0;
}

void wal_floor_drop(struct wal *w, struct floor *f)
{
	if (f->held)
		seglog_floor_drop(log_of(w, f->lane), f);
}

int wal_read_open(struct wal *w, unsigned lane, uint64_t seq, struct wal_cursor **out)
{
	struct seglog *log = log_of(w, lane);
	struct wal_cursor *c;
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

int wal_read_next(struct wal_cursor *c, struct wal_record *r)
{
	struct frame_header h;
	const uint8_t *data;
	int got = seg_read_next(c->c, &h, &data);

	if (got == 1)
		*r = (struct wal_record){ c->lane, h.seq, h.time_ms, data, h.len, h.len };
	return got;
}

int wal_read_find(struct wal_cursor *c, struct wal_record *r)
{
	struct frame_header h;
	const uint8_t *data;
	uint32_t have;
	int got = seg_read_find(c->c, &h, &data, &have);

	static_assert(WAL_READ_AGAIN == SEG_READ_AGAIN, "passed on as it is");
	if (got == 1)
		*r = (struct wal_record){ c->lane, h.seq, h.time_ms, data, h.len, have };
	return got;
}

int wal_read_more(struct wal_cursor *c, void *to, uint32_t n)
{
	return seg_read_more(c->c, to, n);
}

void wal_read_close(struct wal_cursor *c)
{
	if (!c)
		return;
	seg_read_close(c->c);
	free(c);
}

int wal_read_bounds(struct wal *w, unsigned lane, uint64_t *oldest, uint64_t *newest)
{
	struct seglog *log = log_of(w, lane);

	if (!log)
		return -ENOENT;
	seg_read_bounds(log, oldest, newest);
	if (lane < w->nlanes && lane_durable(&w->lane[lane]) > *newest)
		*newest = lane_durable(&w->lane[lane]);
	return 0;
}

int wal_read_absent(struct wal *w, unsigned lane, uint64_t seq, struct wal_absent *a)
{
	struct seglog *log = log_of(w, lane);

	return log ? seg_read_why(log, seq, a) : -ENOENT;
}

unsigned wal_lanes(const struct wal *w)
{
	return w->known > w->nlanes ? w->known : w->nlanes;
}

static void lane_stats(const struct wal *w, unsigned i, struct wal_lane_stats *s)
{
	const struct lane *l = &w->lane[i];

	s->records = relaxed(l->records);
	s->bytes = relaxed(l->bytes);
	s->commits = relaxed(l->commits);
	s->durable_seq = lane_durable(l);
	s->settled_seq = relaxed(l->settled_seq);
	s->checkpoints = relaxed(l->checkpoints);
	s->checkpoint_bytes = relaxed(l->checkpoint_bytes);
	/* The worker's plain counter: a figure, read as it happens to be. */
	s->gathered_bytes = __atomic_load_n(&w->pool[i].gathered_bytes, __ATOMIC_RELAXED);
	s->failed = lane_failed(l);
	s->nospace |= relaxed(l->nospace) != 0;
	s->fill_pct = lane_fill_pct(l);
}

int wal_stats(struct wal *w, unsigned lane, struct wal_lane_stats *s)
{
	struct seglog *log = log_of(w, lane);
	struct seglog_stats st;

	memset(s, 0, sizeof(*s));
	if (!log && lane >= w->nlanes)
		return -ENOENT;
	if (log) {
		seglog_stat(log, &st);
		s->segments = st.segments;
		s->segment_bytes = st.bytes;
		s->oldest_seq = st.oldest_seq;
		s->oldest_ms = st.oldest_ms;
		s->durable_seq = s->settled_seq = st.durable_seq;
		s->expired_records = st.expired_records;
		s->floor_seq = st.floor;
		s->held_segments = st.held;
		s->nospace = blk_nospace(st.prepare_err);
		s->prepare_err = st.prepare_err;
		s->retain_err = st.retain_err;
		s->turn = seglog_wants_turn(log);
	}
	if (lane < w->nlanes)
		lane_stats(w, lane, s);
	return 0;
}
