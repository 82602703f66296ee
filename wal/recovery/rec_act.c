/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rec_act.c - does what recovery has decided.
 *
 * Order: each lane's segments are put in order and synced, then get the wal's records;
 * only when all lanes have everything may the caller change the wal (next lap, another
 * geometry) or the store file's flag that one is attached.  So after a crash before the
 * last step, the next recovery finds the same facts, or ones that lead to the same
 * records.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "recovery/rec_priv.h"
#include "segment/seg_read.h"
#include "util/crc32c.h"
#include "util/mutant.h"

/* The size of all lanes' first segments together, where records are small enough for that. */
#define FIRST_ALL (512u << 20)

/* Makes the store file, or makes a lost one again; else rec_find has opened it. */
static int rec_act_open_store(struct rec *r)
{
	struct storefile_block b = { .segment_bytes = r->segment_bytes, .class = r->cls,
				 .created_ms = r->now_ms() };
	char why[256] = "";
	int err;

	if (r->storefile_open && r->rebuilt) {
		err = storefile_write_again(&r->storefile);
		return err ? rec_fail(r, err, "%s/store: cannot be made again: %s", r->store_dir,
				      store_strerror(err)) : 0;
	}
	if (r->storefile_open)
		return 0;
	err = storefile_create(&r->storefile, r->blk, r->store_dir, &b, why, sizeof(why));
	if (err)
		return rec_fail(r, err, "%s", why[0] ? why : store_strerror(err));
	r->storefile_open = true;
	/* The wal's place may be the folder that was made just now. */
	if (r->want_wal && !r->target && !r->hold && (err = rec_hold_target(r)))
		return rec_fail(r, err == -EWOULDBLOCK ? STORE_EBUSY : err, "%s: cannot hold the wal: %s",
				r->nvmm_path, store_strerror(err == -EWOULDBLOCK ? STORE_EBUSY : err));
	return 0;
}

/* ---- one lane ---- */

static unsigned new_holes(const struct rec_lane *l)
{
	uint32_t reason;
	unsigned n = 0;

	for (size_t i = 0; i < l->segs.nholes; i++)
		n += rec_hole_is_new(l, i, &reason);
	return n;
}

static int explain(struct rec *r, unsigned lane, unsigned n)
{
	struct rec_lane *l = &r->lane[lane];
	struct gap_data *g = calloc(n + 1, sizeof(*g));
	struct seg_rec *rec = calloc(n + 1, sizeof(*rec));
	struct iovec *iov = calloc(n + 1, sizeof(*iov));
	unsigned k = 0;
	uint32_t reason;
	int err = -ENOMEM;

	if (!g || !rec || !iov)
		goto out;
	if (l->keep_tail)		/* this is the first frame behind the tail */
		g[k++] = (struct gap_data){ l->base, rec_tail_last(l), l->segs.unreadable ? GAP_SKIPPED :
					    GAP_DAMAGE, 0, l->segs.end, l->segs.dirty_end - l->segs.end };
	for (size_t i = 0; i < l->segs.nholes; i++) {
		const struct seg_hole *h = &l->segs.holes[i];

		if (rec_hole_is_new(l, i, &reason))
			g[k++] = (struct gap_data){ h->from_seq, h->to_seq, reason, 0, h->off,
						    h->bytes };
	}
	for (unsigned i = 0; i < k; i++)
		rec[i] = rec_gap(r, &g[i], &iov[i]);
	err = seglog_append(l->log, rec, k, NULL);
out:
	free(g);
	free(rec);
	free(iov);
	return err;
}

static int skip(struct rec_lane *l, uint64_t to_seq, uint32_t reason)
{
	struct gap_data g = { .from_seq = seglog_next_seq(l->log), .to_seq = to_seq,
			      .reason = reason };

	return seglog_append_gap(l->log, &g);
}

/* Segments may have been larger when the wal was written.  Its records must fit all the same,
 * so this lane's new segments are larger than asked for until the next start. */
static uint64_t segment_bytes(const struct rec *r, const struct rec_lane *l)
{
	uint64_t wanted = r->segment_bytes ? r->segment_bytes : r->storefile.b.segment_bytes;
	uint64_t need = l->wal_longest + SEG_BYTES_MIN - seg_record_max(SEG_BYTES_MIN);

	need = (need + WAL_PAGE - 1) / WAL_PAGE * WAL_PAGE;
	return wanted < need ? need : wanted;
}

/* The size of a new lane's first segment: a share of FIRST_ALL, so that they are made soon, but
 * enough for the largest record.  0: the size of the others. */
static uint64_t first_bytes(const struct rec *r, const struct rec_lane *l, uint64_t bytes)
{
	uint64_t record = r->record_max > l->wal_longest ? r->record_max : l->wal_longest;
	uint64_t least = record + SEG_BYTES_MIN - seg_record_max(SEG_BYTES_MIN);
	uint64_t share = FIRST_ALL / (r->lanes_wanted ? r->lanes_wanted : 1);

	if (share < least)
		share = least;
	if (share < SEG_BYTES_MIN)
		share = SEG_BYTES_MIN;
	share = (share + WAL_PAGE - 1) / WAL_PAGE * WAL_PAGE;
	return share < bytes ? share : 0;
}

/* Each lane's share of retain_bytes, the same as later in store.c: where the log is at its limit,
 * its oldest segment is removed to make room for the records of the wal. */
static uint64_t bytes_max(const struct rec *r)
{
	unsigned logs = 0;

	for (unsigned i = 0; i < r->lanes; i++)
		logs += r->lane[i].there;
	return store_retain_share(r->retain_bytes, logs);
}

static void tick(void *arg)
{
	struct rec *r = arg;

	if (r->progress)
		r->progress(r->progress_arg, r->what, r->done, r->total);
}

static int rec_act_open_log(struct rec *r, unsigned lane, bool idle)
{
	struct rec_lane *l = &r->lane[lane];
	struct seglog_resume at;
	char name[STOREFILE_LANE_NAME];
	enum durability_class cls = r->cls ? r->cls : r->storefile.b.class;
	struct seglog_options o = {
		.blk = r->blk, .at = r->storefile.log, .dir = name, .lane = lane, .idle = idle,
		.now_ms = r->now_ms, .tick = tick, .tick_arg = r,
		.cls = r->class_unknown ? 0 : cls,
		.swift = class_forgets(cls), .direct = !class_syncs(cls),	/* who writes frags in place */
		.segment_bytes = segment_bytes(r, l), .bytes_max = bytes_max(r),
	};

	if (l->aside) {
		o.aside = true;
		o.aside_open = rec_aside_open(l);
	}
	o.first_bytes = first_bytes(r, l, o.segment_bytes);
	if (!r->storefile.lanes_off) {
		o.note = storefile_lane_note;
		o.note_arg = &r->storefile;
		o.had = r->storefile.lane[lane];
	}
	o.index_bytes = SEG_INDEX_ALL / r->lanes < SEG_INDEX_BYTES ? SEG_INDEX_ALL / r->lanes : SEG_INDEX_BYTES;
	storefile_lane_name(name, lane);
	memcpy(o.uuid, r->storefile.b.uuid, sizeof(o.uuid));
	seg_lane_resume(&l->segs, &at);
	if (l->aside) {			/* go on behind every number that is known */
		if (l->had_known && l->had.next_seq > at.next_seq)
			at.next_seq = l->had.next_seq;
		if (l->has_wal && l->head_seq > at.next_seq)
			at.next_seq = l->head_seq;
		return seglog_open(&l->log, &o, &l->segs, &at);
	}
	if (l->cut != REC_NO_CUT) {
		at.end = l->segs.holes[l->cut].off;
		at.next_seq = l->base;
		if (at.batch_off > at.end)
			at.batch_off = at.end;
	} else if (l->keep_tail) {
		at.end = at.dirty_end;
	}
	return seglog_open(&l->log, &o, &l->segs, &at);
}

/* Writes the lane's entry.  A store of an older program has no table: if there is no room for one,
 * it goes on without. */
static int note_lane(struct rec *r, unsigned lane)
{
	struct storefile_lane e;
	int err;

	if (r->storefile.lanes_off)
		return 0;
	rec_lane_had(r, lane, &e);
	err = MUTANT(rec_note_lane) ? 0 : storefile_lane_write(&r->storefile, &e);
	if (!blk_nospace(err) || r->storefile.lanes_on || r->rep->row->action == REC_CREATE)
		return err;
	r->storefile.lanes_off = true;
	return 0;
}

static int act_lane(struct rec *r, unsigned lane)
{
	struct rec_lane *l = &r->lane[lane];
	unsigned actions = r->rep->lane[lane].row->actions;
	unsigned holes = new_holes(l);
	bool gone = l->gone_from <= l->gone_to;
	bool idle = lane >= r->lanes_wanted && !holes && !l->keep_tail && !gone &&
		    !(actions & (RL_GAP | RL_SKIP | RL_REPLAY)) && !rec_numbers_lost(r, lane);
	int err = note_lane(r, lane);

	if (!err)
		err = rec_act_open_log(r, lane, idle || l->aside);
	if (!err && l->aside) {
		l->next_seq = seglog_next_seq(l->log);
		return 0;
	}
	if (!err && (holes || l->keep_tail))
		err = explain(r, lane, holes);
	if (!err && actions & RL_GAP && seglog_next_seq(l->log) < l->head_seq)
		err = skip(l, l->head_seq - 1, rec_gone_reason(l));
	if (!err && actions & RL_REPLAY)
		err = rec_wal_replay(r, lane, actions & RL_GAP ? l->head_seq : l->base);
	if (!err && gone && seglog_next_seq(l->log) <= l->gone_to)
		err = skip(l, l->gone_to, l->gone_reason);
	if (!err && actions & RL_SKIP)
		err = skip(l, seglog_next_seq(l->log) + REC_LOST_SKIP - 1, GAP_WAL_LOST);
	if (!err && rec_numbers_lost(r, lane))
		err = skip(l, seglog_next_seq(l->log) + REC_LOST_SKIP - 1,
			   rec_lost_reason(l));
	if (err == -ENOSPC)
		return rec_fail(r, STORE_ENOROOM, "%s/log/%03u: %s; nothing is lost, what the wal has stays "
				"there: make room, or start with a retain-bytes that is reached", r->store_dir,
				lane, store_strerror(STORE_ENOROOM));
	if (err)
		return rec_fail(r, err, "%s/log/%03u: %s", r->store_dir, lane, store_strerror(err));
	l->next_seq = seglog_next_seq(l->log);
	seglog_note_explained(l->log);
	return 0;
}

/* Blanks the entries of lanes that are not there: those that cannot be read, which the report has
 * named, and what an older program left.  The entries of the other lanes have been written by now,
 * so writing the whole table changes only these. */
static int blank_entries(struct rec *r)
{
	struct storefile *s = &r->storefile;
	bool any = false;

	for (unsigned i = 0; i < LANES_MAX; i++) {
		if ((i < r->lanes && r->lane[i].there) || (!s->lane_bad[i] && (s->lanes_on || !s->lane[i].gen)))
			continue;
		memset(&s->lane[i], 0, sizeof(s->lane[i]));
		any = true;
	}
	return any && !s->lanes_off && !MUTANT(rec_blank_entries) ? storefile_lanes_write(s) : 0;
}

int rec_act(struct rec *r)
{
	int err = rec_act_open_store(r);

	/* The store is marked as open before a frame is written: else one that a crash tears now
	 * would be reported as damage.  (Not without the table: then only the missing flag says
	 * that the store was closed cleanly.) */
	if (!err && !(r->storefile.b.flags & STOREFILE_OPEN) && r->storefile.lanes_on && !MUTANT(rec_open_first))
		err = storefile_mark_open(&r->storefile);
	if (!err)
		err = storefile_lanes_make(&r->storefile, r->lanes);
	for (unsigned i = 0; i < r->lanes && !err; i++)
		if (r->lane[i].there)
			err = act_lane(r, i);
	if (!err)
		err = blank_entries(r);
	r->storefile.lanes_on = !err && !r->storefile.lanes_off;
	if (err && !r->rep->error)
		rec_fail(r, err, "%s: %s", r->store_dir, store_strerror(err));
	return err;
}
