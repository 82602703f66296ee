/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * seg_scan.c - the scan of a lane: which segments there are, what is in them, what is
 * missing, where to go on (seg_scan.h).
 *
 * Three passes.  Headers: each file gets a state; they decide which segment is the last
 * one used.  Frames: of each used segment in order (quick: only of the last), noting
 * holes and gaps as they come.  Verdict: only now is the last batch known, so only now
 * can a hole be called torn or damage, or explained.
 */
#include "segment/seg_scan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/crc32c.h"
#include "util/error.h"
#include "util/mutant.h"

struct scan {
	const struct seg_scan_options *o;
	struct blk_dir *dir;	/* of the lane; NULL: there is none */
	struct seg_lane *l;
	uint64_t expect;	/* the number after the highest named so far; 0 unknown */
	uint64_t synced_batch;	/* batches before this one were synced, for a record of it is there.
				 * A segment that was begun after them would prove nothing: a
				 * recovery begins one where its GAP frame has no room */
	uint64_t begun_batch;	/* the batch that the last segment was begun with */
	size_t	 from;		/* quick: index of the first segment that is read */
	uint64_t total, done;	/* bytes to read, bytes read; for progress */
	size_t	 open_hole;	/* index + 1 of a hole whose numbers are not known yet */
};

/* Also called for each file: the callee may end the work on the way, and a slow disk may take long
 * for few bytes. */
static void tell_progress(struct scan *sc, uint64_t in_segment)
{
	if (sc->o->progress)
		sc->o->progress(sc->o->arg, sc->done + in_segment, sc->total);
}

/* ---- pass 1: headers ---- */

/* Whether the error is this process's own trouble, which says nothing about the file. */
static bool own_trouble(int err)
{
	return err == -ENOMEM || err == -EMFILE || err == -ENFILE || err == -EBADF || err == -EINTR;
}

static int with_file(struct scan *sc, struct seg_info *si,
		     int (*fn)(struct scan *sc, struct seg_info *si, struct blk_file *f))
{
	char name[SEG_NAME_MAX];
	struct blk_file *f;
	int err;

	seg_name(name, si->segno);
	err = sc->o->blk->open(sc->o->blk->ctx, sc->dir, name, BLK_RDONLY, &f);
	if (err)
		return err;
	err = fn(sc, si, f);
	sc->o->blk->close(f);
	tell_progress(sc, 0);
	return err;
}

/* Reads one copy.  0, -ENODATA: it is all zero, or STORE_E*: STORE_EFORMAT also where the file is
 * too short for it, or where it cannot be read, and *refused is then why not. */
static int seg_scan_read_copy(const struct blk_ops *blk, struct blk_file *f, uint64_t off,
			      struct seg_header *h, int *refused)
{
	int err = blk->read(f, h, sizeof(*h), off);

	if (own_trouble(err))
		return err;
	if (err && err != -ENODATA)
		*refused = err;
	return err ? STORE_EFORMAT : seg_header_check(h);
}

static bool seg_scan_of_another_format(int err)
{
	return err == STORE_EVERSION || err == STORE_EBYTEORDER;
}

/* Whether the first page of frames is zero, as in a prepared file.  (Each start finds one or more
 * of these, and does not read all of them.) */
static bool untouched(const struct scan *sc, struct blk_file *f)
{
	uint8_t page[WAL_PAGE];

	if (sc->o->blk->read(f, page, sizeof(page), SEG_DATA))
		return false;
	return !page[0] && !memcmp(page, page + 1, sizeof(page) - 1);
}

/* Whether a file with frames whose header copies are zero was used (seg_scan.h).  Its frames must
 * have numbers that can follow those of the segment before it. */
static bool was_used(const struct scan *sc, const struct seg_header *h, const struct seg_again *a)
{
	const struct seg_lane *l = sc->l;
	const struct seg_header *before = l->tail == SIZE_MAX ? NULL : &l->segs[l->tail].h;

	if (sc->o->all_used || a->batches > 1)
		return true;
	if (MUTANT(seg_again_one) || (!a->first && !MUTANT(seg_again_whole)))
		return false;
	return !before || (h->first_seq >= before->first_seq && h->first_batch > before->first_batch);
}

/* Finds the header from the frames, where no copy is left.  si->state is what the file counts as
 * if that fails. */
static int header_again(struct scan *sc, struct seg_info *si, struct blk_file *f)
{
	struct seg_header h = { .lane = sc->o->lane, .segno = si->segno };
	struct seg_again again;
	int got;

	if (si->bytes > SEG_BYTES_MAX || MUTANT(seg_again))
		return 0;
	if (si->state == SEG_PREPARED && untouched(sc, f))
		return 0;
	if (sc->o->uuid)
		memcpy(h.store_uuid, sc->o->uuid, sizeof(h.store_uuid));
	got = seg_header_again(sc->o->blk, f, si->bytes, &h, &again);
	if (got < 0)
		return got;
	/* While the header or the first frames cannot be read, the later frames are not enough: the
	 * first may be readable again later, and a header found here is written over theirs. */
	if (got && !again.first && (si->err || again.refused) && !MUTANT(seg_again_unread)) {
		si->state = SEG_UNREADABLE;
		if (!si->err)
			si->err = again.refused;
		return 0;
	}
	if (!got || (si->state == SEG_PREPARED && !was_used(sc, &h, &again))) {
		sc->l->in_doubt |= si->state == SEG_PREPARED;
		return 0;
	}
	si->batch_only = si->state == SEG_PREPARED && again.batches < 2;
	si->h = h;
	si->a_bad = si->b_bad = true;
	si->state = SEG_USED;
	return 0;
}

static int seg_scan_read_header(struct scan *sc, struct seg_info *si, struct blk_file *f)
{
	struct seg_header a, b;
	int ea, eb, refused = 0, err = sc->o->blk->size(f, &si->bytes);

	/* An error here must not count as an empty file: its numbers would be given again. */
	if (err)
		return err;
	ea = seg_scan_read_copy(sc->o->blk, f, SEG_HDR_A, &a, &refused);
	eb = seg_scan_read_copy(sc->o->blk, f, SEG_HDR_B, &b, &refused);
	if (ea == -ENODATA && si->bytes < SEG_HDR_B + sizeof(b))
		eb = ea;		/* cut; if it had been used, copy A would be there */
	/* Also where the other copy is ours: this is no damage that may be written over. */
	if ((seg_scan_of_another_format(ea) || seg_scan_of_another_format(eb)) && !MUTANT(seg_newer_check))
		return seg_scan_of_another_format(ea) ? ea : eb;
	/* Of a copy that this process could not read nothing is known: it is not damaged. */
	if (own_trouble(ea) || own_trouble(eb))
		return own_trouble(ea) ? ea : eb;
	if (ea && eb) {
		si->state = ea == -ENODATA && eb == -ENODATA ? SEG_PREPARED : SEG_HEADER_LOST;
		si->err = refused;
		err = header_again(sc, si, f);
		if (refused && si->state != SEG_USED && !MUTANT(seg_unread)) {
			si->state = SEG_UNREADABLE;
			si->err = refused;
		}
		return err;
	}
	si->h = ea ? b : a;
	si->a_bad = ea;
	si->b_bad = eb;
	si->state = seg_header_is(&si->h, sc->o->uuid, sc->o->lane, si->segno) ? SEG_USED : SEG_FOREIGN;
	return 0;
}

static int find_segments(struct scan *sc)
{
	struct seg_lane *l = sc->l;
	char name[SEG_NAME_MAX];
	uint64_t *segnos;
	size_t n;
	int err = seg_list(sc->o->blk, sc->dir, &segnos, &n);

	if (!err && n) {
		l->segs = calloc(n, sizeof(*l->segs));
		if (!l->segs)
			err = -ENOMEM;
	}
	for (size_t i = 0; i < n && !err; i++) {
		struct seg_info *si = &l->segs[l->nsegs++];
		struct blk_file *f;

		si->segno = segnos[i];
		seg_name(name, si->segno);
		err = sc->o->blk->open(sc->o->blk->ctx, sc->dir, name, BLK_RDONLY, &f);
		if (err && !own_trouble(err) && err != -ENOENT) {
			si->state = SEG_UNREADABLE;
			si->err = err;
			err = 0;
			continue;
		}
		if (err)
			break;
		err = seg_scan_read_header(sc, si, f);
		sc->o->blk->close(f);
		tell_progress(sc, 0);
		if (si->state == SEG_USED)
			l->tail = i;
	}
	free(segnos);
	for (size_t i = 0; i < l->nsegs; i++)
		l->unread_last |= l->segs[i].state == SEG_UNREADABLE && (l->tail == SIZE_MAX || i > l->tail);
	for (size_t i = 0; l->tail != SIZE_MAX && i < l->tail && !err; i++)
		if (l->segs[i].state == SEG_PREPARED) {	/* a later one was used, so this one was */
			l->segs[i].state = SEG_HEADER_LOST;
			err = with_file(sc, &l->segs[i], header_again);
		}
	return err;
}

/* ---- pass 2: frames ---- */

static struct seg_hole *hole_add(struct scan *sc, const struct seg_info *si, uint8_t kind,
				 uint64_t off, uint64_t bytes)
{
	struct seg_lane *l = sc->l;
	struct seg_hole *more;

	if ((l->nholes & (l->nholes - 1)) == 0) {
		more = realloc(l->holes, (l->nholes ? l->nholes * 2 : 1) * sizeof(*more));
		if (!more)
			return NULL;
		l->holes = more;
	}
	more = &l->holes[l->nholes++];
	*more = (struct seg_hole){ .segno = si->segno, .off = off, .bytes = bytes,
		.kind = kind, .from_seq = 1, .to_seq = 0 };
	return more;
}

static int gap_add(struct scan *sc, const struct seg_info *si, const struct seg_frame *fr,
		   const struct gap_data *g)
{
	struct seg_lane *l = sc->l;
	struct seg_gap *more;

	if ((l->ngaps & (l->ngaps - 1)) == 0) {
		more = realloc(l->gaps, (l->ngaps ? l->ngaps * 2 : 1) * sizeof(*more));
		if (!more)
			return -ENOMEM;
		l->gaps = more;
	}
	more = &l->gaps[l->ngaps++];
	*more = (struct seg_gap){ .segno = si->segno, .off = fr->off, .batch = fr->h.batch,
		.g = *g };
	return 0;
}

/* Notes the hole in front of a frame, if there is one.  A hole in front of a GAP frame gets the
 * numbers that turn out to be missing at the next record. */
static int note_hole(struct scan *sc, const struct seg_info *si, const struct seg_frame *fr)
{
	bool record = fr->h.kind == FRAME_RECORD;
	bool missing = record && sc->expect && fr->h.seq > sc->expect;
	struct seg_hole *h;

	if (!fr->hole_bytes && missing && sc->open_hole) {
		h = &sc->l->holes[sc->open_hole - 1];
	} else if (fr->hole_bytes || missing) {
		h = hole_add(sc, si, fr->hole_unreadable ? SEG_HOLE_UNREADABLE : SEG_HOLE_HEADER,
			     fr->hole_off, fr->hole_bytes);
		if (!h)
			return -ENOMEM;
		h->batch = fr->h.batch;
		if (!record)
			sc->open_hole = sc->l->nholes;
	} else {
		return 0;
	}
	if (missing) {
		h->from_seq = sc->expect;
		h->to_seq = fr->h.seq - 1;
	}
	return 0;
}

/* A start could not read what is in front of this GAP frame, and skipped as many numbers as could
 * have stood there.  Where that still cannot be read, the numbers are the hole's; else those found
 * there are records, and the others were never given. */
static int note_skipped(struct scan *sc, const struct seg_info *si, struct seg_walk *w,
			const struct seg_frame *fr, const struct gap_data *gap)
{
	struct gap_data g = *gap;
	const uint8_t *p;
	int err;

	if (g.from_seq <= w->last_seq && !MUTANT(seg_skipped_part))	/* some can be read now */
		g.from_seq = w->last_seq + 1;
	if (fr->hole_unreadable && sc->l->nholes && g.from_seq <= g.to_seq && !MUTANT(seg_skipped)) {
		sc->l->holes[sc->l->nholes - 1].from_seq = g.from_seq;
		sc->l->holes[sc->l->nholes - 1].to_seq = g.to_seq;
		return 0;
	}
	if (fr->hole_bytes && !fr->hole_unreadable) {	/* zeros up to the frame are no hole */
		err = seg_walk_look(w, fr->hole_off, fr->hole_bytes, &p);
		if (err)
			return err;
		if (!p[0] && !memcmp(p, p + 1, fr->hole_bytes - 1)) {
			sc->l->nholes--;
			sc->open_hole = 0;
		}
	}
	return g.from_seq > g.to_seq ? 0 : gap_add(sc, si, fr, &g);
}

static int take_frame(struct scan *sc, struct seg_info *si, struct seg_walk *w,
		      const struct seg_frame *fr)
{
	struct seg_lane *l = sc->l;
	struct gap_data g = { 0 };
	struct seg_hole *h;
	int err = note_hole(sc, si, fr);

	if (err)
		return err;
	if (fr->h.batch != l->last_batch) {
		l->last_batch = fr->h.batch;
		l->batch_off = fr->off;
	}
	/* A GAP frame does not prove that batches before it were synced: recovery writes it behind
	 * a batch that may be torn, and may be stopped before it has explained all holes. */
	if (fr->h.kind == FRAME_RECORD)
		sc->synced_batch = fr->h.batch;
	if (fr->h.kind == FRAME_RECORD && frame_bytes(fr->h.len) > l->longest)
		l->longest = frame_bytes(fr->h.len);
	l->newest_ms = fr->h.time_ms;
	if (!fr->data_ok) {
		h = hole_add(sc, si, fr->data_unreadable ? SEG_HOLE_UNREADABLE : SEG_HOLE_DATA,
			     fr->off, frame_bytes(fr->h.len));
		if (!h)
			return -ENOMEM;
		h->batch = fr->h.batch;
		if (fr->h.kind == FRAME_RECORD)
			h->from_seq = h->to_seq = fr->h.seq;
	} else if (fr->h.kind == FRAME_GAP) {
		memcpy(&g, fr->data, sizeof(g));
		err = g.reason == GAP_SKIPPED ? note_skipped(sc, si, w, fr, &g) : gap_add(sc, si, fr, &g);
		if (g.to_seq > w->last_seq && g.to_seq < 1ull << 62)
			w->last_seq = g.to_seq;
	} else {
		si->records++;
		si->record_bytes += fr->h.len;
		if (sc->o->record)
			err = sc->o->record(sc->o->arg, si, fr);
	}
	if (fr->h.kind == FRAME_RECORD)
		sc->open_hole = 0;
	if (w->last_seq >= sc->expect)
		sc->expect = w->last_seq + 1;
	return err;
}

static int walk_segment(struct scan *sc, struct seg_info *si, struct blk_file *f, bool tail)
{
	uint64_t limit = si->h.bytes < si->bytes ? si->h.bytes : si->bytes, told = 0, dirty, refused;
	struct seg_lane *l = sc->l;
	struct seg_hole *h;
	struct seg_frame fr;
	struct seg_walk w;
	int err = seg_walk_init(&w, sc->o->blk, f, &si->h, SEG_DATA, limit, 0);

	if (err)
		return err;
	w.last_seq = si->h.first_seq - 1;
	w.last_batch = si->h.first_batch;
	l->batch_off = SEG_DATA;
	sc->open_hole = 0;
	while ((err = seg_walk_next(&w, &fr, true)) > 0) {
		err = take_frame(sc, si, &w, &fr);
		if (err)
			break;
		if (w.read_bytes - told >= 64u << 20)
			tell_progress(sc, told = w.read_bytes);
	}
	si->read = true;
	si->end = w.off;
	dirty = seg_walk_tail(&w);
	refused = MUTANT(seg_end_unreadable) ? w.off : seg_walk_unreadable_end(&w);
	if (refused > dirty)
		dirty = refused;
	l->read_bytes += w.read_bytes;
	seg_walk_fini(&w);
	if (err)
		return err;
	if (limit < si->h.bytes) {	/* the file was cut: what was there is not known */
		h = hole_add(sc, si, SEG_HOLE_CUT, si->end, si->h.bytes - si->end);
		if (!h)
			return -ENOMEM;
		dirty = si->h.bytes;
		l->numbers_lost |= tail;
		sc->open_hole = l->nholes;
	} else if (dirty > si->end && !tail) {
		h = hole_add(sc, si, SEG_HOLE_HEADER, si->end, dirty - si->end);
		if (!h)
			return -ENOMEM;
		sc->open_hole = l->nholes;
	}
	if (tail) {
		l->end = si->end;
		l->dirty_end = dirty;
		l->unreadable = refused > si->end;
		if (l->last_batch < si->h.first_batch)
			l->batch_off = l->end;
	}
	return 0;
}

/* Notes a hole if files or numbers are missing between the segment before and si. */
static int note_seam(struct scan *sc, const struct seg_info *before, const struct seg_info *si)
{
	uint64_t first = si->h.first_seq;
	bool missing = sc->expect && first > sc->expect;
	struct seg_info gone = { .segno = before ? before->segno + 1 : 0 };
	struct seg_hole *h;

	if (!before)
		return 0;
	if (gone.segno != si->segno)
		h = hole_add(sc, &gone, SEG_HOLE_SEGMENT, 0, 0);
	else if (missing && sc->open_hole)
		h = &sc->l->holes[sc->open_hole - 1];
	else if (missing)
		h = hole_add(sc, before, SEG_HOLE_TAIL, before->end, 0);
	else
		return 0;
	if (!h)
		return -ENOMEM;
	if (missing) {
		h->from_seq = sc->expect;
		h->to_seq = first - 1;
	}
	return 0;
}

static int note_copies(struct scan *sc, const struct seg_info *si)
{
	struct seg_hole *h = NULL;

	if (!si->a_bad && !si->b_bad)
		return 0;
	if (si->a_bad && si->b_bad)
		h = hole_add(sc, si, SEG_HOLE_BOTH, SEG_HDR_A, SEG_DATA);
	else
		h = hole_add(sc, si, SEG_HOLE_COPY, si->a_bad ? SEG_HDR_A : SEG_HDR_B, WAL_PAGE);
	if (!h)
		return -ENOMEM;
	if (h->kind == SEG_HOLE_COPY || si->batch_only)
		h->batch = si->h.first_batch;	/* the batch that the copies were written with */
	return 0;
}

/* The frames in a file whose header is lost do not count as records, for without the salt they
 * cannot be checked; but none of their numbers may be given to another record. */
static int skim_lost(struct scan *sc, struct seg_info *si, struct blk_file *f)
{
	struct seg_lane *l = sc->l;
	uint64_t seq = l->next_seq, batch = l->next_batch;
	struct frame_header h;
	uint8_t *page = malloc(WAL_PAGE + sizeof(h));

	if (!page)
		return -ENOMEM;
	for (uint64_t off = 0; off + sizeof(h) <= si->bytes; off += WAL_PAGE) {
		size_t n = si->bytes - off < WAL_PAGE + sizeof(h) ? si->bytes - off :
			   WAL_PAGE + sizeof(h);

		if (sc->o->blk->read(f, page, n, off))
			continue;
		for (size_t i = 0; i < WAL_PAGE && i + sizeof(h) <= n; i += FRAME_ALIGN) {
			memcpy(&h, page + i, sizeof(h));
			if (h.magic != FRAME_MAGIC || h.lane != sc->o->lane || h.flags ||
			    h.seq < seq || h.seq - seq > 1ull << 40 ||
			    h.batch < batch || h.batch - batch > 1ull << 40)
				continue;
			if (h.seq >= l->next_seq)
				l->next_seq = h.seq + 1;
			if (h.batch >= l->next_batch)
				l->next_batch = h.batch + 1;
		}
	}
	free(page);
	return 0;
}

static int walk_one(struct scan *sc, struct seg_info *si, struct blk_file *f)
{
	return walk_segment(sc, si, f, si == &sc->l->segs[sc->l->tail]);
}

static bool to_be_read(const struct scan *sc, size_t i)
{
	return sc->l->segs[i].state == SEG_USED && (!sc->o->quick || i >= sc->from);
}

static int any_record(struct scan *sc, struct seg_info *si, struct blk_file *f)
{
	uint64_t limit = si->h.bytes < si->bytes ? si->h.bytes : si->bytes;
	struct seg_frame fr;
	struct seg_walk w;
	int err = seg_walk_init(&w, sc->o->blk, f, &si->h, SEG_DATA, limit, 64u << 10);

	while (!err && (err = seg_walk_next(&w, &fr, false)) == 1)
		err = fr.h.kind == FRAME_RECORD;
	seg_walk_fini(&w);
	return err;
}

/* For a quick scan: it reads from the last segment with a record on, for this record proves that
 * all before it was synced. */
static int read_from(struct scan *sc)
{
	int found = 0;

	for (size_t i = sc->l->tail; i != SIZE_MAX && !found; i--) {
		if (sc->l->segs[i].state != SEG_USED)
			continue;
		sc->from = i;
		found = MUTANT(seg_read_from) ? 1 : with_file(sc, &sc->l->segs[i], any_record);
	}
	return found < 0 ? found : 0;
}

static int read_segments(struct scan *sc)
{
	struct seg_lane *l = sc->l;
	struct seg_info *before = NULL;
	int err = sc->o->quick ? read_from(sc) : 0;

	for (size_t i = 0; i < l->nsegs; i++)
		if (to_be_read(sc, i))
			sc->total += l->segs[i].bytes;
	for (size_t i = 0; i < l->nsegs && !err; i++) {
		struct seg_info *si = &l->segs[i];

		if (si->state != SEG_USED)
			continue;
		err = note_seam(sc, before, si);
		if (!err)
			err = note_copies(sc, si);
		if (!before)
			l->oldest_seq = si->h.first_seq;
		before = si;
		sc->begun_batch = si->h.first_batch;
		if (!sc->synced_batch || MUTANT(seg_begun_proves))
			sc->synced_batch = si->h.first_batch;
		sc->open_hole = 0;
		if (!to_be_read(sc, i)) {
			sc->expect = 0;
			continue;
		}
		if (sc->expect < si->h.first_seq)
			sc->expect = si->h.first_seq;
		if (!err)
			err = with_file(sc, si, walk_one);
		sc->done += si->bytes;
		tell_progress(sc, 0);
		l->records += si->records;
		l->bytes += si->record_bytes;
	}
	return err;
}

/* How many GAP frames in the last segment skip numbers for a lost end of the log: a recovery has
 * written one for each. */
static size_t skips(const struct seg_lane *l)
{
	size_t n = 0;

	for (size_t i = 0; i < l->ngaps; i++) {
		const struct gap_data *g = &l->gaps[i].g;

		/* (Many GAP frames name a place and no number: from > to.) */
		n += l->gaps[i].segno == l->segs[l->tail].segno && g->from_seq <= g->to_seq &&
		     g->to_seq - g->from_seq >= REC_LOST_SKIP - 1;
	}
	return n;
}

/* Notes the files without a usable header; note_seam() has noted those between used segments. */
static int note_lost(struct scan *sc)
{
	struct seg_lane *l = sc->l;
	size_t first = 0, lost_behind = 0;
	int err = 0;

	while (l->tail != SIZE_MAX && l->segs[first].state != SEG_USED)
		first++;
	for (size_t i = 0; i < l->nsegs && !err; i++) {
		struct seg_info *si = &l->segs[i];
		bool behind = l->tail == SIZE_MAX || i > l->tail;
		bool lost = si->state == SEG_HEADER_LOST || si->state == SEG_FOREIGN ||
			    si->state == SEG_UNREADABLE;

		if (!lost || (!behind && i > first))
			continue;
		if (!hole_add(sc, si, SEG_HOLE_SEGMENT, 0, si->bytes))
			return -ENOMEM;
		if (behind && si->state == SEG_HEADER_LOST) {
			err = with_file(sc, si, skim_lost);
			lost_behind++;
		}
	}
	if (lost_behind && (l->tail == SIZE_MAX || lost_behind > skips(l)))
		l->numbers_lost = true;
	return err;
}

/* ---- pass 3: verdict ---- */

/* Whether the GAP frame names the hole's place.  The frame may be in a later segment than the
 * hole, if a recovery had more to explain than the segment had room for. */
static bool explains_place(const struct seg_gap *g, const struct seg_hole *h)
{
	return h->bytes && g->g.offset == h->off && g->g.bytes == h->bytes &&
	       (g->segno == h->segno || (g->segno > h->segno && g->batch >= h->batch));
}

static bool explained(const struct seg_lane *l, const struct seg_hole *h)
{
	uint64_t n = h->from_seq;

	if (h->from_seq > h->to_seq) {		/* no number is missing: the place decides */
		for (size_t i = 0; i < l->ngaps; i++)
			if (explains_place(&l->gaps[i], h))
				return true;
		return false;
	}
	while (n <= h->to_seq) {
		uint64_t next = n;

		for (size_t i = 0; i < l->ngaps; i++)
			if (l->gaps[i].g.from_seq <= n && l->gaps[i].g.to_seq >= next)
				next = l->gaps[i].g.to_seq + 1;
		if (next == n)
			return false;
		n = next;
	}
	return true;
}

static void give_verdict(struct scan *sc)
{
	struct seg_lane *l = sc->l;
	uint64_t last = sc->synced_batch;

	for (size_t i = 0; i < l->nholes; i++) {
		struct seg_hole *h = &l->holes[i];

		if (h->kind != SEG_HOLE_COPY && h->kind != SEG_HOLE_BOTH && explained(l, h))
			h->state = SEG_HOLE_EXPLAINED;
		else if (h->batch >= last && last)
			h->state = SEG_HOLE_TORN;
		else
			h->state = SEG_HOLE_DAMAGE;
	}
}

static int seg_scan_look(struct scan *sc)
{
	const struct blk_ops *blk = sc->o->blk;
	int err = blk->dir_open(blk->ctx, sc->o->at, sc->o->dir, &sc->dir);

	if (err)
		return err == -ENOENT ? 0 : err;
	err = find_segments(sc);
	if (!err)
		err = read_segments(sc);
	return err;
}

int seg_scan_lane(const struct seg_scan_options *o, struct seg_lane *l)
{
	struct scan sc = { .o = o, .l = l };
	int err;

	*l = (struct seg_lane){ .lane = o->lane, .next_seq = 1, .next_batch = 1,
		.tail = SIZE_MAX };
	err = seg_scan_look(&sc);
	if (sc.expect > l->next_seq)
		l->next_seq = sc.expect;
	l->next_batch = l->last_batch + 1 > sc.begun_batch ? l->last_batch + 1 : sc.begun_batch;
	if (!l->next_batch)
		l->next_batch = 1;
	if (!err)
		err = note_lost(&sc);
	if (sc.dir)
		o->blk->dir_close(sc.dir);
	if (err) {
		seg_lane_free(l);
		return err;
	}
	give_verdict(&sc);
	return 0;
}

void seg_lane_free(struct seg_lane *l)
{
	free(l->segs);
	free(l->holes);
	free(l->gaps);
	memset(l, 0, sizeof(*l));
}

void seg_lane_resume(const struct seg_lane *l, struct seglog_resume *r)
{
	*r = (struct seglog_resume){ .next_seq = l->next_seq, .next_batch = l->next_batch,
		.newest_ms = l->newest_ms };
	if (l->tail == SIZE_MAX)
		return;
	r->segno = l->segs[l->tail].segno;
	r->end = l->end;
	r->dirty_end = l->dirty_end;
	r->batch_off = l->batch_off;
}

const char *seg_hole_words(enum seg_hole_kind k)
{
	static const char *const words[] = {
		[SEG_HOLE_HEADER] = "bytes that are no frame",
		[SEG_HOLE_DATA] = "data with a wrong checksum",
		[SEG_HOLE_UNREADABLE] = "the device cannot read it",
		[SEG_HOLE_TAIL] = "records missing at the end of the segment",
		[SEG_HOLE_CUT] = "the file is cut short, here or further on",
		[SEG_HOLE_SEGMENT] = "the segment's file is missing",
		[SEG_HOLE_COPY] = "one copy of the segment's header is damaged",
		[SEG_HOLE_BOTH] = "both copies of the segment's header are damaged; it is found "
				  "again from its frames",
	};

	return (size_t)k < sizeof(words) / sizeof(words[0]) ? words[k] : "?";
}
