/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rec_wal.c - what a lane of the wal still has, and how it gets into the segments.
 *
 * The records go in the order of their numbers, in batches of a few MiB, each
 * written and synced before the next.  Nothing is changed in the wal before everything
 * is in the segments, so a crash on the way loses nothing, and the next recovery goes
 * on behind what it finds in the segments.
 */
#include <errno.h>
#include <stdlib.h>

#include "files/bond.h"
#include "recovery/rec_priv.h"
#include "util/crc32c.h"
#include "util/mutant.h"

#define BATCH_BYTES	(4u << 20)
#define BATCH_RECS	4096u
#define BATCH_IOVS	(FRAGS_MAX + BATCH_RECS)

int rec_wal_walk(struct rec *r, unsigned lane, uint64_t from, struct scan *s,
		 int (*cb)(void *arg, const struct rec_item *x), void *arg)
{
	struct scan_item it;
	enum scan_kind kind;
	uint64_t bytes = 0;
	int err = 0;

	scan_start(s, r->wal, lane);
	while (!err && (kind = scan_next(s, &it)) != SCAN_END) {
		struct rec_item x = { .seq = it.seq, .to_seq = it.seq, .s = s, .it = &it };

		if (kind == SCAN_RECORD) {
			bytes += it.bytes;
			rec_progress(r, bytes);
			if (it.seq < from && !MUTANT(replay_from))
				continue;
			x.time_ms = it.time_ms;
			x.len = (uint32_t)it.bytes;
			x.data_crc = it.data_crc;
			x.nfrags = it.nfrags;
		} else {
			x.to_seq = it.seq + it.records - 1;
			if (x.seq < from)
				x.seq = from;
			if (x.to_seq < x.seq)	/* all of them are below it, or there was none */
				x.to_seq = x.seq - 1;
		}
		err = cb(arg, &x);
	}
	r->base_done += bytes;
	return err;
}

struct seg_rec rec_gap(const struct rec *r, const struct gap_data *g, struct iovec *iov)
{
	*iov = (struct iovec){ (void *)g, sizeof(*g) };
	return (struct seg_rec){ .kind = FRAME_GAP, .seq = g->from_seq, .time_ms = r->now_ms(),
		.len = sizeof(*g), .data_crc = crc32c(g, sizeof(*g)), .iov = iov, .niov = 1 };
}

/* ---- replay ---- */

struct replay {
	struct rec *r;
	struct seglog *log;
	struct seg_rec *rec;		/* [BATCH_RECS]; their iovs follow each other in iov */
	struct iovec *iov;		/* [BATCH_IOVS] */
	unsigned n, niov;
	uint64_t bytes, time_ms;
};

static int flush(struct replay *p)
{
	const struct iovec *iov = p->iov;
	int err;

	if (!p->n)
		return 0;
	for (unsigned i = 0; i < p->n; i++) {
		p->rec[i].iov = iov;
		iov += p->rec[i].niov;
	}
	err = seglog_append(p->log, p->rec, p->n, NULL);
	p->n = p->niov = 0;
	p->bytes = 0;
	walfile_drop(p->r->wal);
	return MUTANT(replay_result) ? 0 : err;
}

static int replay_gap(struct replay *p, const struct rec_item *x)
{
	struct gap_data g = { .from_seq = x->seq, .to_seq = x->to_seq, .reason = GAP_DAMAGE };
	int err = flush(p);

	if (err || x->seq > x->to_seq)
		return err;
	return seglog_append_gap(p->log, &g);
}

static int replay_item(void *arg, const struct rec_item *x)
{
	struct replay *p = arg;
	int err = 0;

	if (!x->nfrags)
		return replay_gap(p, x);
	if (p->n == BATCH_RECS || p->niov + x->nfrags > BATCH_IOVS ||
	    (p->n && p->bytes + x->len > BATCH_BYTES))
		err = flush(p);
	if (err)
		return err;
	if (x->time_ms)
		p->time_ms = x->time_ms;	/* 0: its CLOCK is lost, the time before is taken */
	p->rec[p->n++] = (struct seg_rec){ .kind = FRAME_RECORD, .seq = x->seq,
		.time_ms = p->time_ms, .len = x->len, .data_crc = x->data_crc, .niov = x->nfrags };
	for (uint32_t i = 0; i < x->nfrags; i++) {
		struct frag f = scan_frag(x->s, x->it, i);

		p->iov[p->niov++] = (struct iovec){ (void *)scan_addr(x->s, &f), f.len };
	}
	p->bytes += x->len;
	return 0;
}

int rec_wal_replay(struct rec *r, unsigned lane, uint64_t from)
{
	struct rec_lane *l = &r->lane[lane];
	struct replay p = { .r = r, .log = l->log, .time_ms = l->segs.newest_ms };
	struct scan s;
	int err = -ENOMEM;

	p.rec = malloc(BATCH_RECS * sizeof(*p.rec));
	p.iov = malloc(BATCH_IOVS * sizeof(*p.iov));
	if (p.rec && p.iov) {
		err = rec_wal_walk(r, lane, from, &s, replay_item, &p);
		if (!err)
			err = flush(&p);
	}
	free(p.rec);
	free(p.iov);
	return err;
}

/* If the bond cannot be cleared, the wal stays this store's: another store that wants the place is
 * refused, with a message that says what to do. */
void rec_wal_leave(struct rec *r, bool here)
{
	bool bonded = r->wal->bonded && !here;

	walfile_close(r->wal);
	if (bonded && !walfile_open(r->wal, r->pm, r->wal_path, false, r->storefile.b.uuid)) {
		walfile_bond_clear(r->wal);
		walfile_close(r->wal);
	}
	free(r->wal);
	r->wal = NULL;
}
