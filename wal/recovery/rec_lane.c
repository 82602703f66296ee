/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rec_lane.c - finds, for one lane, what its segments and its part of the wal hold, the
 * row of the decision table, and the findings for the report.  Writes nothing.
 *
 * With a wal, head.seq divides the numbers: those below it are in the segments alone
 * (everything was synced, so a hole is damage); from it on the wal counts, and what the
 * segments hold of them is from a checkpoint that a crash stopped.  Its batch is kept
 * as far as it is whole; at its first hole (the `cut`) the segments are cut, and the
 * wal's records follow.
 */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "recovery/rec_priv.h"
#include "util/mutant.h"

/* Whether the hole is torn and has no explanation yet.  (A torn header needs none: it is written
 * again at open.) */
static bool hole_open(const struct seg_hole *h)
{
	return h->state == SEG_HOLE_TORN && h->kind != SEG_HOLE_COPY && h->kind != SEG_HOLE_BOTH;
}

bool rec_hole_is_new(const struct rec_lane *l, size_t i, uint32_t *reason)
{
	const struct seg_hole *h = &l->segs.holes[i];
	bool missing = h->from_seq <= h->to_seq;
	bool synced = !l->unclean || (missing && l->has_wal && h->from_seq < l->head_seq) ||
		      (missing && l->had_known && h->from_seq < l->had.next_seq) ||
		      (l->has_wal && (l->segs.tail == SIZE_MAX || h->segno != l->segs.segs[l->segs.tail].segno));

	/* What cannot be read now may be readable again later: no frame explains it. */
	if (!hole_open(h) || i >= l->cut || (h->kind == SEG_HOLE_UNREADABLE && !MUTANT(rec_unread_hole)))
		return false;
	*reason = synced ? GAP_DAMAGE : GAP_TORN;
	return true;
}

/* An upper bound for the number of frames in the tail, as if all records in it were empty. */
static uint64_t frames_in_tail(const struct rec_lane *l)
{
	return (l->segs.dirty_end - l->segs.end - 1) / sizeof(struct frame_header) + 1;
}

/* An upper bound for the last number in the tail: after a clean close each frame there was
 * acknowledged, and its number must not be given to another record.  Where the wal or the lane
 * table knows the last number, that one. */
uint64_t rec_tail_last(const struct rec_lane *l)
{
	if (l->has_wal)			/* the wal has all records from its head on */
		return l->segs.unreadable && l->head_seq > l->base ? l->head_seq - 1 : l->base - 1;
	if (l->had_known && l->closed)
		return l->had.next_seq > l->base ? l->had.next_seq - 1 : l->base - 1;
	/* The tail may have frames behind numbers that an earlier start skipped. */
	if (l->had_known && l->had.next_seq > l->base && !MUTANT(rec_tail_had))
		return l->had.next_seq + frames_in_tail(l) - 1;
	return l->base + frames_in_tail(l) - 1;
}

/* The first hole that the wal may fill: its numbers are not below the wal's head, and it is
 * in the segment that recovery goes on with. */
static size_t cut_candidate(const struct rec_lane *l)
{
	for (size_t i = 0; l->segs.tail != SIZE_MAX && i < l->segs.nholes; i++) {
		const struct seg_hole *h = &l->segs.holes[i];

		if (hole_open(h) && h->from_seq <= h->to_seq && h->from_seq >= l->head_seq &&
		    h->segno == l->segs.segs[l->segs.tail].segno)
			return i;
	}
	return REC_NO_CUT;
}

/* ---- the wal's part ---- */

#define DROP_BYTES (16u << 20)	/* after so many bytes of records the wal's pages are dropped */

struct count {
	struct rec *r;
	struct rec_lane_report *rep;
	unsigned lane;
};

static int count_item(void *arg, const struct rec_item *x)
{
	struct count *c = arg;
	struct rec_finding g = {
		.lane = c->lane, .from_seq = x->seq, .to_seq = x->to_seq, .reason = GAP_DAMAGE,
		.state = x->seq <= x->to_seq ? RF_NEW : RF_DAMAGE, .place = RP_WAL_RING,
		.offset = x->it->pos, .bytes = x->it->end - x->it->pos,
		.what = scan_why_text(x->it->why),
	};

	if (!x->nfrags)
		return rec_note(c->r, &g);
	if (c->rep->replay_bytes / DROP_BYTES != (c->rep->replay_bytes + x->len) / DROP_BYTES)
		walfile_drop(c->r->wal);
	c->rep->replay_records++;
	c->rep->replay_bytes += x->len;
	if (x->len > c->r->lane[c->lane].wal_longest)
		c->r->lane[c->lane].wal_longest = x->len;
	return 0;
}

static int find_ring(struct rec *r, unsigned lane, struct rec_lane_report *rep)
{
	struct rec_lane *l = &r->lane[lane];
	struct count c = { r, rep, lane };
	struct scan s;
	size_t cand;
	int err;

	cand = cut_candidate(l);
	l->base = cand == REC_NO_CUT ? l->segs.next_seq : l->segs.holes[cand].from_seq;
	err = rec_wal_walk(r, lane, l->base, &s, count_item, &c);
	if (err)
		return err;
	l->wal_next = s.next_seq;
	rep->tail_words = s.torn_words;
	if (cand != REC_NO_CUT && l->wal_next > l->base)
		l->cut = cand;
	else
		l->base = l->segs.next_seq;
	return 0;
}

/* ---- facts ---- */

static uint8_t segs_fact(const struct seg_lane *s)
{
	if (s->unread_last)
		return RSEG_UNREAD;
	if (s->tail == SIZE_MAX)
		return RSEG_NONE;
	for (size_t i = 0; i < s->nholes; i++)
		if (hole_open(&s->holes[i]))
			return RSEG_TORN;
	return s->dirty_end > s->end ? RSEG_TORN : RSEG_WHOLE;
}

static uint8_t wal_fact(const struct rec *r, unsigned lane)
{
	const struct rec_lane *l = &r->lane[lane];

	if (r->rep->row->action == REC_LOST)
		return RLW_LOST;
	if (!r->wal || lane >= r->wal->super.lanes)
		return RLW_NONE;
	if (!l->has_wal)
		return RLW_LOST;	/* the lane's head is lost, and was given up */
	if (l->head_seq > l->base)
		return RLW_APART;
	if (l->wal_next > l->base)
		return RLW_AHEAD;
	return l->wal_next == l->head_seq ? RLW_EMPTY : RLW_BEHIND;
}

/* ---- findings ---- */

/* Numbers below the result were durable in segments; 1: nothing is known of that. */
static uint64_t durable_below(const struct rec_lane *l)
{
	uint64_t seq = l->had_known ? l->had.next_seq : 1;

	return l->has_wal && l->head_seq > seq ? l->head_seq : seq;
}

/* Whether a crash may have torn the header copies: they are written with the first batch of their
 * segment, or by a start that stopped before it had marked the store as open.  Once a record of
 * that batch is known to have been durable, both copies can only be missing by damage. */
static bool copy_torn(const struct rec_lane *l, const struct seg_hole *h)
{
	const struct seg_info *last = l->segs.tail == SIZE_MAX ? NULL : &l->segs.segs[l->segs.tail];
	bool of_last = last && last->segno == h->segno;

	if (h->state != SEG_HOLE_TORN)
		return false;
	if (h->kind == SEG_HOLE_BOTH)
		return of_last && l->unclean && last->h.first_seq >= durable_below(l) &&
		       !MUTANT(rec_again_torn);
	return h->kind == SEG_HOLE_COPY && (l->unclean || (of_last && l->segs.end == SEG_DATA));
}

static const struct seg_info *file_of(const struct seg_lane *s, uint64_t segno)
{
	for (size_t i = 0; i < s->nsegs; i++)
		if (s->segs[i].segno == segno)
			return &s->segs[i];
	return NULL;
}

/* The last segment that cannot be read; there is one. */
static const struct seg_info *last_unread(const struct seg_lane *s)
{
	size_t i = s->nsegs;

	while (s->segs[i - 1].state != SEG_UNREADABLE)
		i--;
	return &s->segs[i - 1];
}

/* Why the segment's file cannot be read; 0: it can, or there is none. */
static int unread_why(const struct seg_lane *s, uint64_t segno)
{
	const struct seg_info *si = file_of(s, segno);

	return si && si->state == SEG_UNREADABLE ? si->err : 0;
}

static uint32_t hole_reason(const struct seg_lane *s, const struct seg_hole *h)
{
	if (h->kind == SEG_HOLE_UNREADABLE)
		return ABSENT_UNREADABLE;
	/* Of several files in a row that are lost, one that cannot be read may have the numbers. */
	for (size_t i = 0; h->kind == SEG_HOLE_SEGMENT && i < s->nsegs; i++) {
		if (s->segs[i].segno >= h->segno && s->segs[i].state == SEG_USED)
			break;
		if (s->segs[i].segno >= h->segno && s->segs[i].state == SEG_UNREADABLE)
			return ABSENT_UNREADABLE;
	}
	return h->kind == SEG_HOLE_SEGMENT && !file_of(s, h->segno) ? ABSENT_MISSING : ABSENT_DAMAGE;
}

static const char *hole_words(const struct seg_lane *s, const struct seg_hole *h)
{
	const struct seg_info *si = h->kind == SEG_HOLE_SEGMENT ? file_of(s, h->segno) : NULL;

	if (!si)
		return seg_hole_words(h->kind);
	if (si->state == SEG_UNREADABLE)
		return "the segment's file cannot be opened, or its header not be read, now";
	if (si->state == SEG_FOREIGN)
		return "the file is another segment's, by its header";
	return si->bytes <= SEG_DATA ? "the file is cut short, and nothing of a segment is left in it" :
	       "the segment has no valid header, and no frame to find it by";
}

static int note_holes(struct rec *r, unsigned lane)
{
	struct rec_lane *l = &r->lane[lane];
	int err = 0;

	for (size_t i = 0; i < l->segs.nholes && !err; i++) {
		const struct seg_hole *h = &l->segs.holes[i];
		struct rec_finding g = {
			.lane = lane, .from_seq = h->from_seq, .to_seq = h->to_seq,
			.reason = hole_reason(&l->segs, h), .state = RF_DAMAGE, .place = RP_SEGMENT,
			.segno = h->segno, .offset = h->off, .bytes = h->bytes,
			.what = hole_words(&l->segs, h), .err = unread_why(&l->segs, h->segno),
		};

		if (rec_hole_is_new(l, i, &g.reason)) {
			g.state = RF_NEW;
		} else if (copy_torn(l, h)) {
			g.state = RF_NEW;	/* written again */
			g.reason = GAP_TORN;
		} else if (h->state != SEG_HOLE_DAMAGE && h->kind != SEG_HOLE_COPY && h->kind != SEG_HOLE_BOTH &&
			   !(h->kind == SEG_HOLE_UNREADABLE && i < l->cut)) {
			continue;	/* explained (see its gap), or cut */
		}
		err = rec_note(r, &g);
	}
	return err;
}

static int note_gaps(struct rec *r, unsigned lane)
{
	const struct seg_lane *s = &r->lane[lane].segs;
	int err = 0;

	for (size_t i = 0; i < s->ngaps && !err; i++) {
		const struct seg_gap *p = &s->gaps[i];
		struct rec_finding g = {
			.lane = lane, .from_seq = p->g.from_seq, .to_seq = p->g.to_seq,
			.reason = p->g.reason, .state = RF_EXPLAINED, .place = RP_SEGMENT,
			.segno = p->segno, .offset = p->g.bytes ? p->g.offset : p->off,
			.bytes = p->g.bytes, .what = "explained by a frame in the log",
		};

		err = rec_note(r, &g);
	}
	return err;
}

uint32_t rec_gone_reason(const struct rec_lane *l)
{
	return l->had_known ? l->gone_reason : ABSENT_DAMAGE;
}

/* Notes the numbers that the decision explains or skips, which have no place in any file. */
static int note_numbers(struct rec *r, unsigned lane)
{
	const struct rec_lane *l = &r->lane[lane];
	struct rec_finding g = { .lane = lane, .state = l->aside ? RF_DAMAGE : RF_NEW, .from_seq = l->base };
	unsigned actions = r->rep->lane[lane].row->actions;
	int err = 0;

	if (l->keep_tail && g.from_seq <= rec_tail_last(l))
		g.from_seq = rec_tail_last(l) + 1;
	if (actions & RL_GAP && g.from_seq < l->head_seq) {
		g.to_seq = l->head_seq - 1;
		g.reason = rec_gone_reason(l);
		g.what = "segments that the wal counts on are missing";
		err = rec_note(r, &g);
	}
	if (actions & RL_SKIP && !err) {
		g.to_seq = g.from_seq + REC_LOST_SKIP - 1;
		g.reason = GAP_WAL_LOST;
		g.what = "the wal is lost; more numbers than it can have held";
		err = rec_note(r, &g);
	}
	return err;
}

static int note_tail(struct rec *r, unsigned lane, struct rec_lane_report *rep)
{
	struct rec_lane *l = &r->lane[lane];
	struct seg_lane *s = &l->segs;
	uint64_t end = l->cut == REC_NO_CUT ? s->end : s->holes[l->cut].off;

	if (s->tail == SIZE_MAX || s->dirty_end <= end || l->aside)
		return 0;
	/* After a clean close nothing is torn: bytes that are no frame were acknowledged. */
	l->closed = !l->unclean;
	l->keep_tail = (l->closed || s->unreadable) && l->cut == REC_NO_CUT;
	if (!l->keep_tail) {
		rep->tail_bytes = s->dirty_end - end;
		return 0;
	}
	/* Each frame there may have had a batch of its own.  If they can be read again later, no
	 * frame behind them may have a lower batch number than theirs. */
	if (l->had_known && l->had.next_batch > s->next_batch && !MUTANT(rec_tail_had_batch))
		s->next_batch = l->had.next_batch;
	if (!MUTANT(rec_tail_batches))
		s->next_batch += frames_in_tail(l);
	rep->next_seq = rec_tail_last(l) + 1;
	return rec_note(r, &(struct rec_finding){
		.lane = lane, .from_seq = l->base, .to_seq = rec_tail_last(l),
		.reason = s->unreadable ? ABSENT_UNREADABLE : ABSENT_DAMAGE,
		.state = RF_NEW, .place = RP_SEGMENT, .segno = s->segs[s->tail].segno,
		.offset = end, .bytes = s->dirty_end - end,
		.what = s->unreadable ? "the device cannot read it, behind the last frame; at most so many "
			"records" : "bytes that are no frame, behind the last one; at most so many records" });
}

bool rec_aside_open(const struct rec_lane *l)
{
	return l->aside && !l->has_wal && (l->unclean || !l->had_known);
}

bool rec_numbers_lost(const struct rec *r, unsigned lane)
{
	const struct rec_lane *l = &r->lane[lane];

	/* How old the content of a volatile wal is, is not known after a restart of the machine. */
	if (l->forgotten && l->has_wal)
		return true;
	return (l->segs.numbers_lost || l->end_gone || rec_aside_open(l)) && !l->has_wal && !(r->rep->lane[lane].row->actions & RL_SKIP);
}

uint32_t rec_lost_reason(const struct rec_lane *l)
{
	if (l->aside)
		return ABSENT_UNREADABLE;
	if (l->forgotten && l->has_wal)
		return GAP_WAL_LOST;
	if (!l->end_gone)
		return GAP_DAMAGE;
	return l->had_known && !l->end_unused ? GAP_MISSING : GAP_SKIPPED;
}

static int note_lost_numbers(struct rec *r, unsigned lane, struct rec_lane_report *rep)
{
	const struct rec_lane *l = &r->lane[lane];
	uint64_t from = rep->next_seq;

	if (!rec_numbers_lost(r, lane))
		return 0;
	if (!l->aside)
		rep->next_seq += REC_LOST_SKIP;
	return rec_note(r, &(struct rec_finding){
		.lane = lane, .state = l->aside ? RF_DAMAGE : RF_NEW, .from_seq = from,
		.to_seq = from + REC_LOST_SKIP - 1,
		.reason = rec_lost_reason(l),
		.err = l->aside ? last_unread(&l->segs)->err : 0,
		.what = l->aside ? "the last segment; more numbers than it can have held" :
			l->forgotten && l->has_wal ? "the wal is of an earlier boot of the machine; more numbers than it "
			"can have held" : !l->end_gone ? "the end of the log is lost; more numbers than it can have held" :
			l->end_unused ? "they would have been in a file that is missing, if it was used" :
			l->had_known ? "a file that was ready for use is missing, and whether it held records "
			"nobody knows; more numbers than it can have held" :
			"the lane's entry in the table is lost, and no file shows where the log ends; more "
			"numbers than can have been there" });
}

/* ---- what the lane once had ---- */

static const struct seg_info *first_used(const struct seg_lane *s)
{
	for (size_t i = 0; i < s->nsegs; i++)
		if (s->segs[i].state == SEG_USED)
			return &s->segs[i];
	return NULL;
}

/* Notes the oldest records if they are missing though the table says that they have not expired. */
static int note_begin_gone(struct rec *r, unsigned lane)
{
	struct rec_lane *l = &r->lane[lane];
	const struct seg_info *first = first_used(&l->segs);
	bool file = l->segs.nsegs && l->segs.segs[0].segno <= l->had.low_segno;
	int unread = 0;

	for (size_t i = 0; i < l->segs.nsegs && &l->segs.segs[i] != first && !unread; i++)
		unread = unread_why(&l->segs, l->segs.segs[i].segno);

	if (!first || first->h.first_seq <= l->had.low_seq)
		return 0;
	return rec_note(r, &(struct rec_finding){
		.lane = lane, .state = RF_DAMAGE, .from_seq = l->had.low_seq,
		.to_seq = first->h.first_seq - 1,
		.reason = unread ? ABSENT_UNREADABLE : file ? ABSENT_DAMAGE : ABSENT_MISSING,
		.place = RP_SEGMENT, .segno = l->had.low_segno,
		.what = file || unread ? "the lane's first records" : "the lane's oldest segments are missing",
		.err = unread });
}

/* The first segment number behind the last used one, up to `high`, that has no file; 0: none. */
static uint64_t rec_lane_absent(const struct seg_lane *s, uint64_t low, uint64_t high)
{
	uint64_t next = low;

	for (size_t i = 0; i < s->nsegs; i++) {
		uint64_t segno = s->segs[i].segno;

		if (s->segs[i].state != SEG_PREPARED)
			next = segno + 1;
		else if (segno > next)
			break;
		else if (segno == next)
			next++;
	}
	return next <= high ? next : 0;
}

/* Whether the last segment, the one before `file`, has room for a record as long as its longest.
 * Then `file` was hardly used yet: the log goes on to a next segment before the last one is full
 * only after a full disk, or where records expire by age.  (As that is possible, the numbers are
 * skipped all the same; this decides only how that is reported.) */
static bool has_room(const struct seg_lane *s, uint64_t file)
{
	const struct seg_info *last = s->tail == SIZE_MAX ? NULL : &s->segs[s->tail];

	return last && last->segno + 1 == file && !s->numbers_lost && s->longest &&
	       last->h.bytes - s->dirty_end >= s->longest;
}

/* Notes the newest records if they are missing: numbers that were durable by the table, and where
 * a file is missing after a crash perhaps more. */
static int note_end_gone(struct rec *r, unsigned lane, struct rec_lane_report *rep)
{
	struct rec_lane *l = &r->lane[lane];
	uint64_t file = rec_lane_absent(&l->segs, l->had.low_segno, l->had.high_segno);
	bool files = file || l->had.flags & LANE_MISSING;

	l->gone_reason = l->segs.unread_last ? ABSENT_UNREADABLE : files ? ABSENT_MISSING :
			 l->had.flags & LANE_SKIPPED ? ABSENT_SKIPPED : ABSENT_DAMAGE;
	l->gone_from = rep->next_seq;
	l->gone_to = l->had.next_seq - 1;
	l->end_gone = file && l->unclean && !l->has_wal && !l->aside;
	if (l->gone_from > l->gone_to) {
		l->end_unused = l->end_gone && file == l->had.high_segno && has_room(&l->segs, file) &&
				!MUTANT(rec_end_unused);
		return !l->end_unused ? 0 : rec_note(r, &(struct rec_finding){
			.lane = lane, .state = RF_DAMAGE, .from_seq = 1, .to_seq = 0, .reason = ABSENT_MISSING,
			.place = RP_SEGMENT, .segno = file, .what = "a file that was ready for use is missing; "
			"the one before it has room, so it was hardly used" });
	}
	rep->next_seq = l->had.next_seq;
	return rec_note(r, &(struct rec_finding){
		.lane = lane, .state = l->aside ? RF_DAMAGE : RF_NEW, .from_seq = l->gone_from, .to_seq = l->gone_to,
		.reason = l->gone_reason, .place = files ? RP_SEGMENT : RP_NOWHERE,
		.segno = file, .what = l->segs.unread_last ? "the lane's last records" : files ? "the lane's newest segments are missing" :
		"the lane's last records", .err = l->segs.unread_last ? last_unread(&l->segs)->err : 0 });
}

/* Whether the files themselves show that no later one was used: the file behind the last used one
 * is there, and is prepared. */
static bool ends_here(const struct seg_lane *s)
{
	uint64_t next = s->tail == SIZE_MAX ? 1 : s->segs[s->tail].segno + 1;

	for (size_t i = 0; i < s->nsegs; i++)
		if (s->segs[i].segno == next)
			return s->segs[i].state == SEG_PREPARED;
	return false;
}

/* Whether it is unknown if the records before the first segment expired or had their files removed:
 * only the table knew, and it is lost, or was lost before and made again (LANE_LOW). */
static bool begin_unknown(const struct rec *r, const struct rec_lane *l)
{
	const struct seg_info *first = first_used(&l->segs);

	if (MUTANT(rec_low_unknown))
		return false;
	if (l->had_known)
		return l->had.flags & LANE_LOW;
	return (r->storefile.lanes_on || r->rebuilt) && first && first->h.first_seq > 1;
}

static int note_begin_unknown(struct rec *r, unsigned lane)
{
	const struct rec_lane *l = &r->lane[lane];
	uint64_t low;

	if (!begin_unknown(r, l))
		return 0;
	low = l->had_known ? l->had.low_seq : first_used(&l->segs)->h.first_seq;
	return low <= 1 ? 0 : rec_note(r, &(struct rec_finding){
		.lane = lane, .state = RF_EXPLAINED, .from_seq = 1, .to_seq = low - 1,
		.reason = ABSENT_GONE, .place = RP_NOWHERE,
		.what = "they have expired, or their files were removed: what would tell is lost" });
}

static int note_gone(struct rec *r, unsigned lane, struct rec_lane_report *rep)
{
	struct rec_lane *l = &r->lane[lane];
	int err;

	l->gone_from = 1;
	if (!l->had_known && (r->storefile.lanes_on || r->rebuilt) && l->segs.nsegs)
		l->end_gone = !l->has_wal && !ends_here(&l->segs) && !MUTANT(rec_end_unknown);
	err = note_begin_unknown(r, lane);
	if (err)
		return err;
	if (!l->had_known && r->storefile.lanes_on && l->segs.nsegs && !r->storefile.lane_bad[lane])
		return rec_note(r, &(struct rec_finding){
			.lane = lane, .from_seq = 1, .to_seq = 0, .reason = ABSENT_DAMAGE,
			.state = RF_DAMAGE, .place = RP_STORE,
			.offset = STOREFILE_LANES_A + lane * sizeof(struct storefile_lane),
			.what = "the lane's entry in the table is gone" });
	if (!l->had_known)
		return 0;
	err = note_begin_gone(r, lane);
	return err ? err : note_end_gone(r, lane, rep);
}

/* Puts into the entry of a lane that is left as it is what so far only the store's flag, or the
 * head of its wal, knew.  Nothing else of an existing entry changes. */
static void aside_had(const struct rec_lane *l, struct storefile_lane *e)
{
	if (l->unclean && !MUTANT(rec_aside_flag))
		e->flags |= LANE_OPEN;
	if (l->has_wal && l->head_seq > e->next_seq && !MUTANT(rec_aside_head))
		e->next_seq = l->head_seq;
}

/* The entry holds what must stay known even if this recovery is cut short: also that numbers are
 * skipped, for the next recovery may not find the facts again from which that was decided. */
void rec_lane_had(const struct rec *r, unsigned lane, struct storefile_lane *e)
{
	const struct rec_lane *l = &r->lane[lane];
	const struct seg_lane *s = &l->segs;
	const struct seg_info *first = first_used(s);

	if (l->aside && l->had_known) {
		*e = l->had;
		aside_had(l, e);
		return;
	}
	/* What was found in the files is not known to be durable yet. */
	*e = (struct storefile_lane){ .lane = lane, .low_segno = 1, .low_seq = 1, .next_seq = 1,
		.next_batch = s->next_batch };
	if (l->had_known) {
		e->low_segno = l->had.low_segno;
		e->low_seq = l->had.low_seq;
		e->next_seq = l->had.next_seq;
		if (l->had.next_batch > e->next_batch)
			e->next_batch = l->had.next_batch;
	}
	/* Retention had written that the segment expired, and was stopped before it removed it. */
	if (first && (!l->had_known || first->h.first_seq < e->low_seq)) {
		e->low_segno = first->segno;
		e->low_seq = first->h.first_seq;
	}
	for (size_t i = 0; i < s->nsegs; i++)	/* seglog_prepare() notes the prepared one */
		if (s->segs[i].state != SEG_PREPARED)
			e->high_segno = s->segs[i].segno;
	if (rec_gone_reason(l) == ABSENT_MISSING && !l->end_unused)
		e->flags = LANE_MISSING;
	if (rec_gone_reason(l) == ABSENT_SKIPPED || (l->end_gone && (l->aside || rec_lost_reason(l) == GAP_SKIPPED)))
		e->flags = LANE_SKIPPED;
	if (begin_unknown(r, l) && e->low_seq > 1)
		e->flags |= LANE_LOW;
	if (e->next_seq < e->low_seq)
		e->next_seq = e->low_seq;
	/* Also the numbers that are skipped for the tail: the GAP frame that says so may not be
	 * readable the next time. */
	if (l->keep_tail && !l->has_wal && rec_tail_last(l) >= e->next_seq && !MUTANT(rec_tail_note)) {
		e->next_seq = rec_tail_last(l) + 1;
		if (l->segs.unreadable && !e->flags)
			e->flags = LANE_SKIPPED;
	}
	if (l->aside)
		aside_had(l, e);
	if (l->end_gone)
		e->next_seq = (l->base > e->next_seq ? l->base : e->next_seq) + REC_LOST_SKIP;
}

/* ---- all together ---- */

static void lane_progress(void *arg, uint64_t done, uint64_t total)
{
	(void)total;
	rec_progress(arg, done);
}

static int find_segs(struct rec *r, unsigned lane)
{
	struct seg_lane *s = &r->lane[lane].segs;
	char name[STOREFILE_LANE_NAME];
	struct seg_scan_options o = {
		.blk = r->blk, .at = r->storefile.log, .dir = name, .uuid = r->storefile.b.uuid, .lane = lane,
		.quick = !r->full, .all_used = r->lane[lane].all_used,
		.progress = lane_progress, .arg = r,
	};
	int err;

	if (!r->storefile_open || !r->storefile.log) {	/* to be created */
		memset(s, 0, sizeof(*s));
		s->tail = SIZE_MAX;
		s->next_seq = s->next_batch = 1;
		return 0;
	}
	storefile_lane_name(name, lane);
	err = seg_scan_lane(&o, s);
	if (err)
		return rec_fail(r, err, "%s/log/%s: %s", r->store_dir, name, store_strerror(err));
	r->base_done += s->read_bytes;
	return 0;
}

/* Whether a lane whose last segment cannot be read may be left as it is.  To write behind it would
 * give its numbers again, or skip numbers for ever that may be readable the next time.  So only a
 * start that has no worker for the lane may; repair may not, for it closes every lane. */
static bool rec_lane_may_stay(const struct rec *r, unsigned lane)
{
	return r->read_only || (r->lanes_wanted && (lane >= r->lanes_wanted || MUTANT(rec_aside_worker)));
}

/* Whether the wal has records for this lane, which must go behind the unread segment: they would be
 * lost once the wal is used again. */
static bool wal_wants(const struct rec *r, unsigned lane)
{
	const struct rec_lane *l = &r->lane[lane];

	if (MUTANT(rec_aside_wal))
		return false;
	if (r->rep->row->action == REC_LOST)
		return true;
	return l->has_wal ? l->forgotten || l->wal_next > l->head_seq : r->wal && lane < r->wal->super.lanes;
}

static int refuse_unread(struct rec *r, unsigned lane)
{
	const struct seg_info *si = last_unread(&r->lane[lane].segs);

	return rec_fail(r, si->err, "%s/log/%03u/%08" PRIx64 ".seg, the last of its lane, cannot be read now: %s; "
			"no segment was written: try again when it can; if it never can, move it away, and what was "
			"in it is told as missing", r->store_dir, lane, si->segno, store_strerror(si->err));
}

int rec_lane_find(struct rec *r, unsigned lane)
{
	struct rec_lane *l = &r->lane[lane];
	struct rec_lane_report *rep = &r->rep->lane[lane];
	int err;

	rep->lane = lane;
	l->forgotten = r->rep->facts.attached == RA_FORGOTTEN;
	if (r->storefile_open && storefile_lane(&r->storefile, lane)) {
		l->had_known = true;
		l->had = *storefile_lane(&r->storefile, lane);
	}
	if (l->has_wal)
		l->head_seq = r->wal->lane[lane].seq;
	l->unclean = r->rep->unclean || (l->had_known && l->had.flags & LANE_OPEN && !MUTANT(rec_aside_open));
	l->all_used = r->storefile_open && !l->unclean;
	err = find_segs(r, lane);
	l->aside = !err && l->segs.unread_last && !MUTANT(rec_unread_last);
	if (l->aside) {
		rep->unread_segno = last_unread(&l->segs)->segno;
		rep->unread_err = last_unread(&l->segs)->err;
	}
	if (l->aside && !rec_lane_may_stay(r, lane))
		return refuse_unread(r, lane);
	/* The used files lack numbers that were durable: then the file in doubt was used, too. */
	if (!err && l->segs.in_doubt && l->segs.next_seq < durable_below(l) && !MUTANT(rec_again_used)) {
		seg_lane_free(&l->segs);
		l->all_used = true;
		err = find_segs(r, lane);
	}
	if (err)
		return err;
	if (l->had_known && l->segs.tail == SIZE_MAX && l->segs.next_seq < l->had.low_seq)
		l->segs.next_seq = l->had.low_seq;
	l->base = l->segs.next_seq;
	if (l->has_wal)
		err = find_ring(r, lane, rep);
	if (!err && l->aside && !r->read_only && wal_wants(r, lane))
		err = refuse_unread(r, lane);
	if (err)
		return err;
	l->facts = (struct rec_lane_facts){ segs_fact(&l->segs), wal_fact(r, lane) };
	rep->row = rec_lane_decide(&l->facts);
	rep->records = l->segs.records;
	rep->bytes = l->segs.bytes;
	rep->segments = l->segs.nsegs;
	rep->oldest_seq = l->segs.oldest_seq;
	rep->next_seq = l->base;
	if (l->has_wal && l->wal_next > rep->next_seq)
		rep->next_seq = l->wal_next;
	err = note_gaps(r, lane);
	if (!err)
		err = note_holes(r, lane);
	if (!err)
		err = note_tail(r, lane, rep);
	if (!err)
		err = note_gone(r, lane, rep);
	if (rep->row->actions & RL_SKIP)
		rep->next_seq += REC_LOST_SKIP;
	if (!err)
		err = note_numbers(r, lane);
	return err ? err : note_lost_numbers(r, lane, rep);
}
