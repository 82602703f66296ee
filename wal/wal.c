/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wal.c - a store opened for work: recovery, then the lanes; the checkpointer's
 * pass; a clean close.
 *
 * Opening, in this order, each step durable before the next:
 *
 *	recovery		every record is in synced segments (rec_act.c)
 *	the wal			kept: heads to the next lap, rings zeroed.  New, or of
 *				another shape or place: detached in the store file, then
 *				created, its heads with the numbers that come next.  It is
 *				locked since it was looked at, and bonded to this store
 *				before anything in it changes
 *	the store file		STOREFILE_OPEN, and where the wal is: before the first append
 *
 * Closing mirrors it: everything into the segments, then the store file says that no
 * wal is attached and that it was closed.  What fails on the way leaves the flags,
 * and the next start recovers.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bond.h"
#include "mutant.h"
#include "rec_priv.h"
#include "wal_priv.h"

#define ENTRIES_MIN	64u
#define ENTRIES_PER_BUF	4u	/* so the buffers run out before the words */
#define CLOSE_SLICE	(8u << 20)

/* ---- what was asked for ---- */

struct opening {
	struct wal *w;
	const struct wal_options *o;
	char	*why;
	size_t	 why_len;
	uint32_t share;		/* buffers per lane */
	uint64_t entries;	/* words per lane */
};

static int refuse(struct opening *p, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int refuse(struct opening *p, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (p->why && p->why_len)
		vsnprintf(p->why, p->why_len, fmt, ap);
	va_end(ap);
	return err;
}

static int check_shape(struct opening *p)
{
	const struct wal_options *o = p->o;
	uint64_t frags = o->record_bytes_max / (o->buf_size / 2) + 8;

	if (o->lanes < 1 || o->lanes > LANES_MAX)
		return refuse(p, -EINVAL, "%u lanes: 1 to %u are possible", o->lanes, LANES_MAX);
	if (o->buf_size != 2048 && o->buf_size != 4096)
		return refuse(p, -EINVAL, "buffers of %u bytes: 2048 or 4096 are possible", o->buf_size);
	if (o->pool_bytes / o->buf_size > BUFS_MAX)
		return refuse(p, -EINVAL, "a pool of %llu bytes: at most %llu are possible with buffers "
			      "of %u", (unsigned long long)o->pool_bytes,
			      (unsigned long long)BUFS_MAX * o->buf_size, o->buf_size);
	p->share = (uint32_t)(o->pool_bytes / o->buf_size / o->lanes);
	p->entries = (uint64_t)p->share * ENTRIES_PER_BUF;
	p->entries = p->entries < ENTRIES_MIN ? ENTRIES_MIN : (p->entries + 7) & ~7ull;
	if ((uint64_t)p->share * o->buf_size / 2 < o->record_bytes_max ||
	    (class_has_wal(o->class) && frags > p->entries / 2))
		return refuse(p, -EINVAL, "a pool of %llu bytes for %u workers is too small for records "
			      "of %llu bytes: make it at least %llu, or the records smaller",
			      (unsigned long long)o->pool_bytes, o->lanes,
			      (unsigned long long)o->record_bytes_max,
			      (unsigned long long)(2 * o->record_bytes_max + 16ull * o->buf_size) *
			      o->lanes);
	if (frags > FRAGS_MAX)
		return refuse(p, -EINVAL, "records of %llu bytes: at most %llu are possible with buffers "
			      "of %u", (unsigned long long)o->record_bytes_max,
			      (unsigned long long)(FRAGS_MAX - 8ull) * (o->buf_size / 2), o->buf_size);
	return 0;
}

static int check_segments(struct opening *p)
{
	const struct wal_options *o = p->o;

	if (o->segment_bytes < SEG_BYTES_MIN || o->segment_bytes > SEG_BYTES_MAX ||
	    o->segment_bytes % WAL_PAGE)
		return refuse(p, -EINVAL, "segments of %llu bytes: %llu to %llu are possible, multiples "
			      "of %u", (unsigned long long)o->segment_bytes,
			      (unsigned long long)SEG_BYTES_MIN, (unsigned long long)SEG_BYTES_MAX,
			      WAL_PAGE);
	if (seg_record_max(o->segment_bytes) < o->record_bytes_max)
		return refuse(p, -EINVAL, "segments of %llu bytes hold records of at most %llu, and %llu "
			      "were asked for: make the segments larger or the records smaller",
			      (unsigned long long)o->segment_bytes,
			      (unsigned long long)seg_record_max(o->segment_bytes),
			      (unsigned long long)o->record_bytes_max);
	if (o->retain_bytes && o->retain_bytes / o->lanes < RETAIN_SEGMENTS * o->segment_bytes)
		return refuse(p, -EINVAL, "a log of %llu bytes is too small for %u lanes with segments "
			      "of %llu: keep at least %llu, or make the segments smaller",
			      (unsigned long long)o->retain_bytes, o->lanes,
			      (unsigned long long)o->segment_bytes,
			      (unsigned long long)RETAIN_SEGMENTS * o->segment_bytes * o->lanes);
	return 0;
}

/* What `path` gives, or its parent where it is still to be made. */
static int probe(const char *path, enum wal_class *found, char *why, size_t n)
{
	int err = pm_probe(path, found, why, n);
	char parent[3072], *slash;

	if (err != -ENOENT || snprintf(parent, sizeof(parent), "%s", path) >= (int)sizeof(parent))
		return err;
	for (slash = parent + strlen(parent); slash > parent && slash[-1] == '/'; )
		*--slash = '\0';
	slash = strrchr(parent, '/');
	if (!slash)
		return pm_probe(".", found, why, n);
	slash[slash == parent] = '\0';
	return pm_probe(parent, found, why, n);
}

/* Whether a folder of the store is on something that lasts; err, found and why: of its probe. */
static int check_lasts(struct opening *p, const char *dir, int err, enum wal_class found, const char *why)
{
	if (err)
		return refuse(p, err, "%s: %s", dir, *why ? why : wal_strerror(err));
	if (!class_lasts(found))
		return refuse(p, WAL_EWEAK, "%s: %s, so the store would not survive a reboot, and "
			      "class %s cannot be had; give a store on a disk, or ask for class "
			      "volatile", dir, why, wal_class_name(p->o->class));
	return 0;
}

static int check_place(struct opening *p)
{
	const struct wal_options *o = p->o;
	enum wal_class found;
	char why[256] = "";
	int err;

	if (class_has_wal(o->class) && (!o->nvmm_path || !*o->nvmm_path))
		return refuse(p, -EINVAL, "class %s needs a place for the wal: give --nvmm",
			      wal_class_name(o->class));
	if (class_has_wal(o->class) &&
	    strlen(o->nvmm_path) >= sizeof(((struct storefile_block *)0)->nvmm_path))
		return refuse(p, -ENAMETOOLONG, "%s: a path this long does not fit the store file",
			      o->nvmm_path);
	if (o->pm == NULL && !class_forgets(o->class)) {	/* else simulators */
		char log[SEG_PATH_MAX];

		err = probe(o->store_dir, &found, why, sizeof(why));
		if (err == -ENOENT)
			return refuse(p, err, "%s: the directory that it is to be made in does not exist: "
				      "make it first", o->store_dir);
		err = check_lasts(p, o->store_dir, err, found, why);
		/* The records' own folder may be a link, or something else be mounted there. */
		if (!err && snprintf(log, sizeof(log), "%s/log", o->store_dir) < (int)sizeof(log) &&
		    (err = pm_probe(log, &found, strcpy(why, ""), sizeof(why))) != -ENOENT && err != -ENOTDIR)
			err = check_lasts(p, log, err, found, why);
		if (err && err != -ENOENT && err != -ENOTDIR)
			return err;
	}
	if (o->pm == NULL && class_needs_nvmm(o->class)) {
		err = pm_probe(o->nvmm_path, &found, why, sizeof(why));
		if (err)
			return refuse(p, err, "%s: %s", o->nvmm_path, why[0] ? why : wal_strerror(err));
		if (class_weaker(found, o->class))
			return refuse(p, WAL_EWEAK, "%s: %s, so it gives class %s, not %s", o->nvmm_path,
				      why, wal_class_name(found), wal_class_name(o->class));
	}
	return 0;
}

/* ---- the wal ---- */

static bool same_shape(const struct opening *p, const struct rec *r)
{
	const struct wal_super *s = &r->wal->super;

	return !strcmp(r->wal_path, r->nvmm_path) && s->lanes == p->o->lanes &&
	       s->buf_size == p->o->buf_size && s->entries == p->entries &&
	       s->bufs == (uint64_t)p->share * p->o->lanes && s->wal_class == p->o->class;
}

static int new_wal(struct opening *p, struct rec *r, const struct wal_bond *me)
{
	struct pm_hold *h = r->target ? r->target : r->hold;
	uint64_t next[LANES_MAX];
	struct walfile_want want = {
		.lanes = p->o->lanes, .buf_size = p->o->buf_size, .entries = p->entries,
		.bufs = (uint64_t)p->share * p->o->lanes, .cls = p->o->class,
		.now_ms = p->w->now_ms(), .next_seq = next, .bond = me,
	};
	int err;

	memcpy(want.uuid, r->storefile.b.uuid, sizeof(want.uuid));
	for (unsigned i = 0; i < p->o->lanes; i++)
		next[i] = r->lane[i].next_seq;
	r->wal = calloc(1, sizeof(*r->wal));
	if (!r->wal)
		return -ENOMEM;
	err = walfile_create(r->wal, r->pm, r->nvmm_path, &want);
	if (!err && h) {
		err = r->pm->hold_files(r->pm->ctx, h);
		if (err)
			walfile_close(r->wal);
	}
	if (!err)
		return 0;
	free(r->wal);
	r->wal = NULL;
	if (err == -EWOULDBLOCK)
		err = WAL_EBUSY;
	return refuse(p, err, "%s: the wal cannot be made: %s", r->nvmm_path,
		      err == -EOPNOTSUPP ? "no MAP_SYNC there: it is not persistent memory"
					 : wal_strerror(err));
}

/* Recovery only read it. */
static int open_wal(struct rec *r)
{
	int err;

	walfile_close(r->wal);
	err = walfile_open(r->wal, r->pm, r->wal_path, r->want_sync, r->storefile.b.uuid);
	if (!err)
		return 0;
	free(r->wal);
	r->wal = NULL;
	if (blk_nospace(err))
		return rec_fail(r, err, "%s: the wal or its buffers have holes, as a sparse copy has, and there "
				"is no room to fill them: make room there", r->wal_path);
	return rec_fail(r, err, "%s: the wal cannot be opened for writing: %s%s", r->wal_path, wal_strerror(err),
			err == -EHWPOISON || err == -EIO ? "; if some of its memory is bad and stays so, `ndctl "
			"clear-errors`, or another place (--nvmm), helps: nothing in it is needed any more" : "");
}

/* After recovery: everything is in the segments. */
static int attach(struct opening *p, struct rec *r)
{
	bool keep = r->wal && class_has_wal(p->o->class) && same_shape(p, r) && !r->adopted &&
		    r->rep->facts.attached != RA_FORGOTTEN;
	int opened = keep ? open_wal(r) : 0;
	const char *path = class_has_wal(p->o->class) ? r->nvmm_path : "";
	uint32_t flags = MUTANT(open_flag) ? 0 : STOREFILE_OPEN;
	struct wal_bond me;
	int err = storefile_bond(&r->storefile, &me);

	if (err)
		return err;
	if (opened)
		return refuse(p, opened, "%s", r->rep->why);
	/* Before a wal at the same place is overwritten; after a loss, too. */
	if (!keep && r->storefile.b.flags & STOREFILE_WAL_ATTACHED && !MUTANT(open_detach)) {
		err = storefile_update(&r->storefile, r->storefile.b.flags & ~STOREFILE_WAL_ATTACHED,
				       r->storefile.b.wal_class, "", p->o->segment_bytes);
		if (err)
			return err;
	}
	if (!keep && r->wal)
		rec_wal_leave(r, *path && !strcmp(r->wal_path, r->nvmm_path));
	/* Before it has a record that a copy of the store could take away. */
	if (keep && !MUTANT(open_bond))
		walfile_bond_write(r->wal, &me);
	for (unsigned i = 0; keep && i < r->wal->super.lanes && !MUTANT(open_restart); i++)
		walfile_restart(r->wal, i, r->lane[i].next_seq);
	if (!keep && *path) {
		err = new_wal(p, r, &me);
		if (err)
			return err;
	}
	if (*path) {
		flags |= STOREFILE_WAL_ATTACHED;
		r->storefile.b.wal_id = r->wal->super.crc;
	} else {
		r->storefile.b.wal_id = 0;
	}
	r->storefile.b.boot = *path && class_forgets(p->o->class) && !MUTANT(open_boot) ? r->boot : 0;
	if (MUTANT(open_attach))
		return 0;
	return storefile_update(&r->storefile, flags, p->o->class, path, p->o->segment_bytes);
}

/* ---- open ---- */

static struct rec *rec_for(const struct opening *p)
{
	const struct wal_options *o = p->o;
	struct rec *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->pm = p->w->pm;
	r->blk = p->w->blk;
	r->pm_custom = o->pm != NULL;
	r->store_dir = o->store_dir;
	r->nvmm_path = o->nvmm_path;
	r->adopt = o->adopt;
	r->want_wal = class_has_wal(o->class);
	r->want_sync = class_needs_nvmm(o->class);
	r->lanes_wanted = o->lanes;
	r->record_max = o->record_bytes_max;
	r->segment_bytes = o->segment_bytes;
	r->retain_bytes = o->retain_bytes;
	r->cls = o->class;
	r->now_ms = p->w->now_ms;
	r->boot = o->boot || o->pm ? o->boot : clock_boot();
	r->progress = o->progress;
	r->progress_arg = o->progress_arg;
	r->rep = &p->w->report;
	return r;
}

static int recover(struct opening *p)
{
	struct wal *w = p->w;
	struct rec *r = rec_for(p);
	int err;

	if (!r)
		return -ENOMEM;
	err = rec_find(r);
	if (!err)
		err = rec_act(r);
	if (err)
		refuse(p, err, "%s", w->report.why);
	else
		err = attach(p, r);
	if (!err) {
		w->store = r->storefile;
		w->storefile_open = true;
		r->storefile_open = false;
		w->wal = r->wal;
		r->wal = NULL;
		if (w->wal) {
			struct pm_hold **h = r->target ? &r->target : &r->hold;

			w->hold = *h;
			*h = NULL;
		}
		w->known = r->lanes;
		for (unsigned i = 0; i < r->lanes; i++) {
			w->log[i] = r->lane[i].log;
			r->lane[i].log = NULL;
			if (w->log[i])
				seglog_note_to(w->log[i], &w->store);
			w->logs += w->log[i] != NULL;
		}
	}
	rec_end(r);
	free(r);
	return err;
}

static int open_pool(struct opening *p)
{
	struct wal *w = p->w;
	int err;

	if (w->wal) {
		w->base = w->wal->bufs.addr;
		w->base_len = (size_t)w->wal->super.bufs * w->wal->super.buf_size;
		if (w->pm->populate) {
			w->pm->populate(w->pm->ctx, &w->wal->wal);
			w->pm->populate(w->pm->ctx, &w->wal->bufs);
		}
		return 0;
	}
	w->base_len = (size_t)p->share * p->o->lanes * p->o->buf_size;
	err = w->pm->map(w->pm->ctx, NULL, 0, w->base_len, 0, &w->memory);
	w->base = w->memory.addr;
	return err;
}

static int open_lanes(struct opening *p)
{
	const struct wal_options *o = p->o;
	struct wal *w = p->w;
	int err;

	w->pool = calloc(o->lanes, sizeof(*w->pool));
	w->lane = aligned_alloc(_Alignof(struct lane), o->lanes * sizeof(*w->lane));
	if (!w->pool || !w->lane)
		return -ENOMEM;
	for (unsigned i = 0; i < o->lanes; i++, w->nlanes++) {
		struct lane_params lp = {
			.id = i, .cls = w->cls, .pm = w->pm, .blk = w->blk, .pool = &w->pool[i],
			.seg = w->log[i], .wal = w->wal, .record_bytes_max = o->record_bytes_max,
			.segment_bytes = o->segment_bytes,
			.next_seq = w->log[i] ? seglog_next_seq(w->log[i]) : 1,
		};

		err = pool_init(&w->pool[i], w->base, o->buf_size, i * p->share, p->share);
		if (err)
			return err;
		err = lane_init(&w->lane[i], &lp);
		if (err) {
			pool_fini(&w->pool[i]);
			return err;
		}
	}
	return 0;
}

static void release(struct wal *w)
{
	for (unsigned i = 0; i < w->nlanes; i++) {
		lane_fini(&w->lane[i]);
		pool_fini(&w->pool[i]);
	}
	free(w->lane);
	free(w->pool);
	if (w->settle)
		settle_free(w->settle);
	for (unsigned i = 0; i < LANES_MAX; i++)
		if (w->log[i])
			seglog_close(w->log[i]);
	if (w->memory.addr)
		w->pm->unmap(w->pm->ctx, &w->memory);
	if (w->wal)
		walfile_close(w->wal);
	free(w->wal);
	if (w->hold)
		w->pm->release(w->pm->ctx, w->hold);
	if (w->storefile_open)
		storefile_close(&w->store);
	wal_report_fini(&w->report);
	free(w);
}

int wal_open(struct wal **out, const struct wal_options *o, char *why, size_t why_len)
{
	struct opening p = { .o = o, .why = why, .why_len = why_len };
	struct wal *w = calloc(1, sizeof(*w));
	int err;

	*out = NULL;
	if (why && why_len)
		*why = '\0';
	if (!w)
		return -ENOMEM;
	p.w = w;
	w->cls = o->class;
	w->pm = o->pm ? o->pm : &pm_nvmm;
	w->blk = o->blk ? o->blk : &blk_file_ops;
	w->now_ms = o->now_ms ? o->now_ms : clock_wall_ms;
	clock_watch_init(&w->clock, w->now_ms, o->boot_ms, o->clock_synced, o->retain_ms);
	w->segment_bytes = o->segment_bytes;
	w->retain_bytes = o->retain_bytes;
	w->retain_ms = o->retain_ms;
	err = check_shape(&p);
	if (!err && class_stores(w->cls)) {
		if (!(err = check_segments(&p)) && !(err = check_place(&p)))
			err = recover(&p);
	}
	if (!err)
		err = open_pool(&p);
	if (!err)
		err = open_lanes(&p);
	if (!err && w->wal)
		err = settle_new(&w->settle);
	if (err) {
		if (why && why_len && !*why)
			refuse(&p, err, "%s: %s", o->store_dir ? o->store_dir : "", wal_strerror(err));
		release(w);
		return err;
	}
	*out = w;
	return 0;
}

/* ---- the checkpointer ---- */

/* 0 nothing left, 1 more, -EAGAIN or -ENOSPC the next segment comes first, else -errno final
 * for the lane. */
static int settle_lane(struct wal *w, unsigned i, uint64_t slice_bytes)
{
	struct lane *l = &w->lane[i];
	if (!w->wal || lane_failed(l))
		return 0;
	return settle_slice(l, w->settle, slice_bytes);
}

/* A segment is added to for a quarter of the time that its records are kept, a second at
 * least (or all of that time, which only tests make less): so much longer may the oldest of
 * them stay. */
static uint64_t turn_ms(const struct wal *w)
{
	uint64_t least = w->retain_ms < 1000 ? w->retain_ms : 1000;

	return w->retain_ms / 4 > least ? w->retain_ms / 4 : least;
}

enum clock_trust wal_clock_trust(const struct wal *w)
{
	return (enum clock_trust)atomic_load_explicit(&w->clock_trust, memory_order_relaxed);
}

/* The time by which records are old; 0: the clock is not trusted to say. */
static uint64_t now_for_age(struct wal *w)
{
	enum clock_trust trust = CLOCK_TRUSTED;
	uint64_t now = 0;

	if (w->retain_ms)
		trust = clock_watch(&w->clock, &now);
	atomic_store_explicit(&w->clock_trust, (int)trust, memory_order_relaxed);
	return trust == CLOCK_TRUSTED ? now : 0;
}

/* 1: there is more to do.  now: 0, nothing is old. */
static int retain_lane(struct wal *w, unsigned i, uint64_t now)
{
	bool writer = w->wal || i >= w->nlanes;
	int more = 0;
	uint64_t bytes = wal_retain_share(w->retain_bytes, w->logs);

	if (w->retain_ms && now > w->retain_ms)
		more = seglog_turn(w->log[i], now - turn_ms(w), writer);
	if (w->retain_bytes || w->retain_ms)
		seglog_retain(w->log[i], bytes, w->retain_ms && now > w->retain_ms ?
			      now - w->retain_ms : 0);
	return more > 0;
}

int wal_background(struct wal *w, uint64_t slice_bytes)
{
	int more = 0, failed = 0;
	uint64_t now = now_for_age(w);

	for (unsigned i = 0; i < w->known; i++) {
		/* Of a lane that failed nobody knows what is durable any more: it stays. */
		if (!w->log[i] || (i < w->nlanes && lane_failed(&w->lane[i]) &&
				   !MUTANT(background_failed)))
			continue;
		if (i < w->nlanes) {
			int r = settle_lane(w, i, slice_bytes);
			/* At most a slice of it.  A failure means that there is none for now:
			 * the lane pushes back, nothing that was promised is touched. */
			int p = seglog_prepare(w->log[i]);

			/* The segment that it waited for is there, or will be: once more. */
			if (r == -EAGAIN || r == -ENOSPC)
				r = p >= 0;
			if (r < 0 && !failed)
				failed = r;
			more |= r > 0 || p > 0;
		}
		more |= retain_lane(w, i, now);
	}
	return failed ? failed : more;
}

unsigned wal_passed(struct wal *w)
{
	unsigned n = 0;

	for (unsigned i = 0; i < w->nlanes; i++) {
		struct lane *l = &w->lane[i];

		relaxed_add(l->passes, 1);
		n += follow_moved(&l->mark[FOLLOW_PASS]);
		if (!w->log[i] || !seglog_wants_turn(w->log[i]))
			continue;
		relaxed_add(l->turns, 1);
		n += follow_moved(&l->mark[FOLLOW_TURN]);
	}
	return n;
}

/* ---- close ---- */

/* Everything into the segments.  0 or why not. */
static int drain(struct wal *w)
{
	int err = 0;

	for (unsigned i = 0; i < w->nlanes; i++) {
		int r = lane_failed(&w->lane[i]);
		bool asked = false;

		/* What a write without room left must not look like something that was synced. */
		if (!r && w->log[i] && seglog_spoiled(w->log[i]) && !MUTANT(close_spoiled)) {
			seglog_prepare(w->log[i]);
			r = seglog_spoiled(w->log[i]);
		}
		while (!r && w->wal) {
			r = settle_slice(&w->lane[i], w->settle, CLOSE_SLICE);
			/* The next segment comes first.  Where there was no room it is asked once
			 * whether there is now. */
			if (r == -EAGAIN || (r == -ENOSPC && !asked)) {
				asked = r == -ENOSPC;
				do
					r = seglog_prepare(w->log[i]);
				while (r > 0);
			} else if (r == 0) {
				break;
			} else if (r > 0) {
				r = asked = 0;
			}
		}
		if (!r && class_syncs(w->cls) && lane_pending(&w->lane[i]) && !MUTANT(close_pending))
			r = -EIO;	/* never acknowledged, perhaps half written */
		if (r && !err)
			err = r;
	}
	return err;
}

int wal_close(struct wal *w)
{
	int err = 0;

	if (!w)
		return 0;
	if (class_stores(w->cls)) {
		err = MUTANT(close_drain) ? 0 : drain(w);
		w->store.b.wal_id = 0;
		for (unsigned i = 0; i < w->known && !err; i++)
			if (w->log[i])
				err = seglog_note_end(w->log[i]);
		if (!err || MUTANT(close_drain_result))
			err = storefile_update(&w->store, 0, w->cls, "", w->segment_bytes);
		if (!err && w->wal)
			walfile_bond_clear(w->wal);	/* nothing in it is needed: any store may have it */
	}
	release(w);
	return err;
}

/* ---- parts ---- */

const struct wal_report *wal_open_report(const struct wal *w)
{
	return &w->report;
}

enum wal_class wal_class(const struct wal *w)
{
	return w->cls;
}

struct lane *wal_lane(struct wal *w, unsigned i)
{
	return i < w->nlanes ? &w->lane[i] : NULL;
}

struct pool *wal_pool(struct wal *w, unsigned i)
{
	return i < w->nlanes ? &w->pool[i] : NULL;
}

uint8_t *wal_pool_base(const struct wal *w, size_t *len)
{
	*len = w->base_len;
	return w->base;
}

unsigned wal_memory(const struct wal *w, struct wal_memory m[WAL_MEMORIES])
{
	const char *at = w->store.b.nvmm_path;

	if (!w->wal)
		return 0;
	m[0] = (struct wal_memory){ .addr = w->wal->wal.addr, .len = w->wal->wal.len };
	m[1] = (struct wal_memory){ .addr = w->wal->bufs.addr, .len = w->wal->bufs.len };
	walfile_parts(at, w->wal, m[0].path, m[1].path, sizeof(m[0].path), &m[1].off);
	return 2;
}

void wal_lane_aio(struct wal *w, unsigned i, struct blk_aio *aio)
{
	w->lane[i].aio = aio;
}
