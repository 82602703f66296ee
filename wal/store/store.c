/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store.c - opens a store for work (recovery, then the lanes), runs the checkpointer's
 * pass, and closes the store cleanly.
 *
 * Opening, in this order, each step durable before the next:
 *
 *	recovery		every record is in synced segments (rec_act.c)
 *	the wal			one that is kept: its heads move to the next lap, its rings
 *				are zeroed.  A new one, or one of another shape or place:
 *				the store file says that none is attached, then it is
 *				created, its heads with the numbers that come next.  Either
 *				is locked since recovery looked at it, and bonded to this
 *				store before anything in it changes
 *	the store file		STOREFILE_OPEN, and where the wal is: before the first append
 *
 * Closing is the reverse: everything goes into the segments, then the store file says that
 * no wal is attached and that it was closed.  If a step fails, the flags stay, and the next
 * start recovers.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/bond.h"
#include "recovery/rec_priv.h"
#include "store/store_priv.h"
#include "util/mutant.h"

#define ENTRIES_MIN	64u
#define ENTRIES_PER_BUF	4u	/* so the buffers run out before the words */
#define CLOSE_SLICE	(8u << 20)

/* ---- what was asked for ---- */

struct opening {
	struct store *s;
	const struct store_options *o;
	char	*why;
	size_t	 why_len;
	uint32_t share;		/* buffers per lane */
	uint64_t entries;	/* words per lane */
};

static int store_refuse(struct opening *p, int err, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));
static int store_refuse(struct opening *p, int err, const char *fmt, ...)
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
	const struct store_options *o = p->o;
	uint64_t frags = o->record_bytes_max / (o->buf_size / 2) + 8;

	if (o->lanes < 1 || o->lanes > LANES_MAX)
		return store_refuse(p, -EINVAL, "%u lanes: 1 to %u are possible", o->lanes, LANES_MAX);
	if (o->buf_size != 2048 && o->buf_size != 4096)
		return store_refuse(p, -EINVAL, "buffers of %u bytes: 2048 or 4096 are possible", o->buf_size);
	if (o->pool_bytes / o->buf_size > BUFS_MAX)
		return store_refuse(p, -EINVAL, "a pool of %llu bytes: at most %llu are possible with buffers "
				    "of %u", (unsigned long long)o->pool_bytes,
				    (unsigned long long)BUFS_MAX * o->buf_size, o->buf_size);
	p->share = (uint32_t)(o->pool_bytes / o->buf_size / o->lanes);
	p->entries = (uint64_t)p->share * ENTRIES_PER_BUF;
	p->entries = p->entries < ENTRIES_MIN ? ENTRIES_MIN : (p->entries + 7) & ~7ull;
	if ((uint64_t)p->share * o->buf_size / 2 < o->record_bytes_max ||
	    (class_has_wal(o->class) && frags > p->entries / 2))
		return store_refuse(p, -EINVAL, "a pool of %llu bytes for %u workers is too small for records "
				    "of %llu bytes: make it at least %llu, or the records smaller",
				    (unsigned long long)o->pool_bytes, o->lanes,
				    (unsigned long long)o->record_bytes_max,
				    (unsigned long long)(2 * o->record_bytes_max + 16ull * o->buf_size) *
				    o->lanes);
	if (frags > FRAGS_MAX)
		return store_refuse(p, -EINVAL, "records of %llu bytes: at most %llu are possible with buffers "
				    "of %u", (unsigned long long)o->record_bytes_max,
				    (unsigned long long)(FRAGS_MAX - 8ull) * (o->buf_size / 2), o->buf_size);
	return 0;
}

static int check_segments(struct opening *p)
{
	const struct store_options *o = p->o;

	if (o->segment_bytes < SEG_BYTES_MIN || o->segment_bytes > SEG_BYTES_MAX ||
	    o->segment_bytes % WAL_PAGE)
		return store_refuse(p, -EINVAL, "segments of %llu bytes: %llu to %llu are possible, multiples "
				    "of %u", (unsigned long long)o->segment_bytes,
				    (unsigned long long)SEG_BYTES_MIN, (unsigned long long)SEG_BYTES_MAX,
				    WAL_PAGE);
	if (seg_record_max(o->segment_bytes) < o->record_bytes_max)
		return store_refuse(p, -EINVAL, "segments of %llu bytes hold records of at most %llu, and %llu "
				    "were asked for: make the segments larger or the records smaller",
				    (unsigned long long)o->segment_bytes,
				    (unsigned long long)seg_record_max(o->segment_bytes),
				    (unsigned long long)o->record_bytes_max);
	if (o->retain_bytes && o->retain_bytes / o->lanes < RETAIN_SEGMENTS * o->segment_bytes)
		return store_refuse(p, -EINVAL, "a log of %llu bytes is too small for %u lanes with segments "
				    "of %llu: keep at least %llu, or make the segments smaller",
				    (unsigned long long)o->retain_bytes, o->lanes,
				    (unsigned long long)o->segment_bytes,
				    (unsigned long long)RETAIN_SEGMENTS * o->segment_bytes * o->lanes);
	return 0;
}

/* pm_probe of `path`, or of its parent if `path` is still to be made. */
static int store_probe(const char *path, enum durability_class *found, char *why, size_t n)
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

/* Refuses a folder of the store on something that forgets.  err, found, why: what pm_probe said. */
static int check_lasts(struct opening *p, const char *dir, int err, enum durability_class found, const char *why)
{
	if (err)
		return store_refuse(p, err, "%s: %s", dir, *why ? why : store_strerror(err));
	if (!class_lasts(found))
		return store_refuse(p, STORE_EWEAK, "%s: %s, so the store would not survive a reboot, and "
				    "class %s cannot be had; give a store on a disk, or ask for class "
				    "volatile", dir, why, class_name(p->o->class));
	return 0;
}

static int check_place(struct opening *p)
{
	const struct store_options *o = p->o;
	enum durability_class found;
	char why[256] = "";
	int err;

	if (class_has_wal(o->class) && (!o->nvmm_path || !*o->nvmm_path))
		return store_refuse(p, -EINVAL, "class %s needs a place for the wal: give --nvmm",
				    class_name(o->class));
	if (class_has_wal(o->class) &&
	    strlen(o->nvmm_path) >= sizeof(((struct storefile_block *)0)->nvmm_path))
		return store_refuse(p, -ENAMETOOLONG, "%s: a path this long does not fit the store file",
				    o->nvmm_path);
	if (o->pm == NULL && !class_forgets(o->class)) {	/* a simulator is not probed */
		char log[SEG_PATH_MAX];

		err = store_probe(o->store_dir, &found, why, sizeof(why));
		if (err == -ENOENT)
			return store_refuse(p, err, "%s: the directory that it is to be made in does not exist: "
					    "make it first", o->store_dir);
		err = check_lasts(p, o->store_dir, err, found, why);
		/* The folder log may be a link, or another file system be mounted on it. */
		if (!err && snprintf(log, sizeof(log), "%s/log", o->store_dir) < (int)sizeof(log) &&
		    (err = pm_probe(log, &found, strcpy(why, ""), sizeof(why))) != -ENOENT && err != -ENOTDIR)
			err = check_lasts(p, log, err, found, why);
		if (err && err != -ENOENT && err != -ENOTDIR)
			return err;
	}
	if (o->pm == NULL && class_needs_nvmm(o->class)) {
		err = pm_probe(o->nvmm_path, &found, why, sizeof(why));
		if (err)
			return store_refuse(p, err, "%s: %s", o->nvmm_path, why[0] ? why : store_strerror(err));
		if (class_weaker(found, o->class))
			return store_refuse(p, STORE_EWEAK, "%s: %s, so it gives class %s, not %s", o->nvmm_path,
					    why, class_name(found), class_name(o->class));
	}
	return 0;
}

/* ---- the wal ---- */

static bool same_shape(const struct opening *p, const struct rec *r)
{
	const struct wal_super *st = &r->wal->super;

	return !strcmp(r->wal_path, r->nvmm_path) && st->lanes == p->o->lanes &&
	       st->buf_size == p->o->buf_size && st->entries == p->entries &&
	       st->bufs == (uint64_t)p->share * p->o->lanes && st->class == p->o->class;
}

static int new_wal(struct opening *p, struct rec *r, const struct wal_bond *me)
{
	struct pm_hold *h = r->target ? r->target : r->hold;
	uint64_t next[LANES_MAX];
	struct walfile_want want = {
		.lanes = p->o->lanes, .buf_size = p->o->buf_size, .entries = p->entries,
		.bufs = (uint64_t)p->share * p->o->lanes, .cls = p->o->class,
		.now_ms = p->s->now_ms(), .next_seq = next, .bond = me,
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
		err = STORE_EBUSY;
	return store_refuse(p, err, "%s: the wal cannot be made: %s", r->nvmm_path,
			    err == -EOPNOTSUPP ? "no MAP_SYNC there: it is not persistent memory"
					 : store_strerror(err));
}

/* Opens for writing the wal that recovery has only read. */
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
	return rec_fail(r, err, "%s: the wal cannot be opened for writing: %s%s", r->wal_path, store_strerror(err),
			err == -EHWPOISON || err == -EIO ? "; if some of its memory is bad and stays so, `ndctl "
			"clear-errors`, or another place (--nvmm), helps: nothing in it is needed any more" : "");
}

/* Attaches a wal after recovery, when everything is in the segments. */
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
		return store_refuse(p, opened, "%s", r->rep->why);
	/* Detach the old wal before one at the same place is overwritten; a lost one, too. */
	if (!keep && r->storefile.b.flags & STOREFILE_WAL_ATTACHED && !MUTANT(open_detach)) {
		err = storefile_update(&r->storefile, r->storefile.b.flags & ~STOREFILE_WAL_ATTACHED,
				       r->storefile.b.class, "", p->o->segment_bytes);
		if (err)
			return err;
	}
	if (!keep && r->wal)
		rec_wal_leave(r, *path && !strcmp(r->wal_path, r->nvmm_path));
	/* The bond comes before any new record, which a copy of the store could take away. */
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
	const struct store_options *o = p->o;
	struct rec *r = calloc(1, sizeof(*r));

	if (!r)
		return NULL;
	r->pm = p->s->pm;
	r->blk = p->s->blk;
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
	r->now_ms = p->s->now_ms;
	r->boot = o->boot || o->pm ? o->boot : clock_boot();
	r->progress = o->progress;
	r->progress_arg = o->progress_arg;
	r->rep = &p->s->report;
	return r;
}

static int recover(struct opening *p)
{
	struct store *s = p->s;
	struct rec *r = rec_for(p);
	int err;

	if (!r)
		return -ENOMEM;
	err = rec_find(r);
	if (!err)
		err = rec_act(r);
	if (err)
		store_refuse(p, err, "%s", s->report.why);
	else
		err = attach(p, r);
	if (!err) {
		s->file = r->storefile;
		s->file_open = true;
		r->storefile_open = false;
		s->wal = r->wal;
		r->wal = NULL;
		if (s->wal) {
			struct pm_hold **h = r->target ? &r->target : &r->hold;

			s->hold = *h;
			*h = NULL;
		}
		s->known = r->lanes;
		for (unsigned i = 0; i < r->lanes; i++) {
			s->log[i] = r->lane[i].log;
			r->lane[i].log = NULL;
			if (s->log[i])
				seglog_note_to(s->log[i], &s->file);
			s->logs += s->log[i] != NULL;
		}
	}
	rec_end(r);
	free(r);
	return err;
}

static int open_pool(struct opening *p)
{
	struct store *s = p->s;
	int err;

	if (s->wal) {
		s->base = s->wal->bufs.addr;
		s->base_len = (size_t)s->wal->super.bufs * s->wal->super.buf_size;
		if (s->pm->populate) {
			s->pm->populate(s->pm->ctx, &s->wal->wal);
			s->pm->populate(s->pm->ctx, &s->wal->bufs);
		}
		return 0;
	}
	s->base_len = (size_t)p->share * p->o->lanes * p->o->buf_size;
	err = s->pm->map(s->pm->ctx, NULL, 0, s->base_len, 0, &s->memory);
	s->base = s->memory.addr;
	return err;
}

static int open_lanes(struct opening *p)
{
	const struct store_options *o = p->o;
	struct store *s = p->s;
	int err;

	s->pool = calloc(o->lanes, sizeof(*s->pool));
	s->lane = aligned_alloc(_Alignof(struct lane), o->lanes * sizeof(*s->lane));
	if (!s->pool || !s->lane)
		return -ENOMEM;
	for (unsigned i = 0; i < o->lanes; i++, s->nlanes++) {
		struct lane_params lp = {
			.id = i, .cls = s->cls, .pm = s->pm, .blk = s->blk, .pool = &s->pool[i],
			.seg = s->log[i], .wal = s->wal, .record_bytes_max = o->record_bytes_max,
			.segment_bytes = o->segment_bytes,
			.next_seq = s->log[i] ? seglog_next_seq(s->log[i]) : 1,
		};

		err = pool_init(&s->pool[i], s->base, o->buf_size, i * p->share, p->share);
		if (err)
			return err;
		err = lane_init(&s->lane[i], &lp);
		if (err) {
			pool_fini(&s->pool[i]);
			return err;
		}
	}
	return 0;
}

static void store_release(struct store *s)
{
	for (unsigned i = 0; i < s->nlanes; i++) {
		lane_fini(&s->lane[i]);
		pool_fini(&s->pool[i]);
	}
	free(s->lane);
	free(s->pool);
	if (s->settle)
		lane_checkpoint_free(s->settle);
	for (unsigned i = 0; i < LANES_MAX; i++)
		if (s->log[i])
			seglog_close(s->log[i]);
	if (s->memory.addr)
		s->pm->unmap(s->pm->ctx, &s->memory);
	if (s->wal)
		walfile_close(s->wal);
	free(s->wal);
	if (s->hold)
		s->pm->release(s->pm->ctx, s->hold);
	if (s->file_open)
		storefile_close(&s->file);
	report_fini(&s->report);
	free(s);
}

int store_open(struct store **out, const struct store_options *o, char *why, size_t why_len)
{
	struct opening p = { .o = o, .why = why, .why_len = why_len };
	struct store *s = calloc(1, sizeof(*s));
	int err;

	*out = NULL;
	if (why && why_len)
		*why = '\0';
	if (!s)
		return -ENOMEM;
	p.s = s;
	s->cls = o->class;
	s->pm = o->pm ? o->pm : &pm_nvmm;
	s->blk = o->blk ? o->blk : &blk_file_ops;
	s->now_ms = o->now_ms ? o->now_ms : clock_wall_ms;
	clock_watch_init(&s->clock, s->now_ms, o->boot_ms, o->clock_synced, o->retain_ms);
	s->segment_bytes = o->segment_bytes;
	s->retain_bytes = o->retain_bytes;
	s->retain_ms = o->retain_ms;
	err = check_shape(&p);
	if (!err && class_stores(s->cls)) {
		if (!(err = check_segments(&p)) && !(err = check_place(&p)))
			err = recover(&p);
	}
	if (!err)
		err = open_pool(&p);
	if (!err)
		err = open_lanes(&p);
	if (!err && s->wal)
		err = lane_checkpoint_new(&s->settle);
	if (err) {
		if (why && why_len && !*why)
			store_refuse(&p, err, "%s: %s", o->store_dir ? o->store_dir : "", store_strerror(err));
		store_release(s);
		return err;
	}
	*out = s;
	return 0;
}

/* ---- the checkpointer ---- */

/* 0: nothing is left; 1: more; -EAGAIN, -ENOSPC: the next segment has to be made first; another
 * -errno is final for the lane. */
static int settle_lane(struct store *s, unsigned i, uint64_t slice_bytes)
{
	struct lane *l = &s->lane[i];
	if (!s->wal || lane_failed(l))
		return 0;
	return lane_checkpoint_slice(l, s->settle, slice_bytes);
}

/* How long a segment is added to: a quarter of the time that its records are kept, but at least
 * a second (or all of that time, if that is less, as in tests).  The oldest record of a segment
 * may stay so much longer than it should. */
static uint64_t turn_ms(const struct store *s)
{
	uint64_t least = s->retain_ms < 1000 ? s->retain_ms : 1000;

	return s->retain_ms / 4 > least ? s->retain_ms / 4 : least;
}

enum clock_trust store_clock_trust(const struct store *s)
{
	return (enum clock_trust)atomic_load_explicit(&s->clock_trust, memory_order_relaxed);
}

/* The time to judge the age of records by; 0: the clock is not to be trusted. */
static uint64_t now_for_age(struct store *s)
{
	enum clock_trust trust = CLOCK_TRUSTED;
	uint64_t now = 0;

	if (s->retain_ms)
		trust = clock_watch(&s->clock, &now);
	atomic_store_explicit(&s->clock_trust, (int)trust, memory_order_relaxed);
	return trust == CLOCK_TRUSTED ? now : 0;
}

/* Applies retention to a lane.  1: there is more to do.  now 0: nothing expires by age. */
static int retain_lane(struct store *s, unsigned i, uint64_t now)
{
	bool writer = s->wal || i >= s->nlanes;
	int more = 0;
	uint64_t bytes = store_retain_share(s->retain_bytes, s->logs);

	if (s->retain_ms && now > s->retain_ms)
		more = seglog_turn(s->log[i], now - turn_ms(s), writer);
	if (s->retain_bytes || s->retain_ms)
		seglog_retain(s->log[i], bytes, s->retain_ms && now > s->retain_ms ?
			      now - s->retain_ms : 0);
	return more > 0;
}

int store_background(struct store *s, uint64_t slice_bytes)
{
	int more = 0, failed = 0;
	uint64_t now = now_for_age(s);

	for (unsigned i = 0; i < s->known; i++) {
		/* What is durable in a lane that failed is not known: all of it stays. */
		if (!s->log[i] || (i < s->nlanes && lane_failed(&s->lane[i]) &&
				   !MUTANT(background_failed)))
			continue;
		if (i < s->nlanes) {
			int r = settle_lane(s, i, slice_bytes);
			bool ready = seglog_ready(s->log[i]);
			/* One slice of the next segment at most.  If that fails, there is none
			 * for now: the lane pushes back, and what was promised is safe. */
			int p = seglog_prepare(s->log[i]);

			/* The segment that the lane waits for is or will be ready: call again.  Not if
			 * it was ready, and what was written found no room: the next pass tries that. */
			if (r == -EAGAIN || r == -ENOSPC)
				r = p >= 0 && !(r == -ENOSPC && ready);
			if (r < 0 && !failed)
				failed = r;
			more |= r > 0 || p > 0;
		}
		more |= retain_lane(s, i, now);
	}
	return failed ? failed : more;
}

unsigned store_passed(struct store *s)
{
	unsigned n = 0;

	for (unsigned i = 0; i < s->nlanes; i++) {
		struct lane *l = &s->lane[i];

		relaxed_add(l->passes, 1);
		n += follow_moved(&l->mark[FOLLOW_PASS]);
		if (!s->log[i] || !seglog_wants_turn(s->log[i]))
			continue;
		relaxed_add(l->turns, 1);
		n += follow_moved(&l->mark[FOLLOW_TURN]);
	}
	return n;
}

/* ---- close ---- */

/* Moves everything into the segments.  0 or why it could not. */
static int store_drain(struct store *s)
{
	int err = 0;

	for (unsigned i = 0; i < s->nlanes; i++) {
		int r = lane_failed(&s->lane[i]);
		bool asked = false;

		/* A write that found no room left bytes that must not look like a synced batch. */
		if (!r && s->log[i] && seglog_spoiled(s->log[i]) && !MUTANT(close_spoiled)) {
			seglog_prepare(s->log[i]);
			r = seglog_spoiled(s->log[i]);
		}
		while (!r && s->wal) {
			r = lane_checkpoint_slice(&s->lane[i], s->settle, CLOSE_SLICE);
			/* The next segment has to be made first.  Where there was no room for it,
			 * one more try shows whether there is now. */
			if (r == -EAGAIN || (r == -ENOSPC && !asked)) {
				asked = r == -ENOSPC;
				do
					r = seglog_prepare(s->log[i]);
				while (r > 0);
			} else if (r == 0) {
				break;
			} else if (r > 0) {
				r = asked = 0;
			}
		}
		if (!r && class_syncs(s->cls) && lane_pending(&s->lane[i]) && !MUTANT(close_pending))
			r = -EIO;	/* not acknowledged, but perhaps half written */
		if (r && !err)
			err = r;
	}
	return err;
}

int store_close(struct store *s)
{
	int err = 0;

	if (!s)
		return 0;
	if (class_stores(s->cls)) {
		err = MUTANT(close_drain) ? 0 : store_drain(s);
		s->file.b.wal_id = 0;
		for (unsigned i = 0; i < s->known && !err; i++)
			if (s->log[i])
				err = seglog_note_end(s->log[i]);
		if (!err || MUTANT(close_drain_result))
			err = storefile_update(&s->file, 0, s->cls, "", s->segment_bytes);
		if (!err && s->wal)
			walfile_bond_clear(s->wal);	/* it is empty: any store may take it */
	}
	store_release(s);
	return err;
}

/* ---- parts ---- */

const struct report *store_open_report(const struct store *s)
{
	return &s->report;
}

enum durability_class store_class(const struct store *s)
{
	return s->cls;
}

struct lane *store_lane(struct store *s, unsigned i)
{
	return i < s->nlanes ? &s->lane[i] : NULL;
}

struct pool *store_pool(struct store *s, unsigned i)
{
	return i < s->nlanes ? &s->pool[i] : NULL;
}

uint8_t *store_pool_base(const struct store *s, size_t *len)
{
	*len = s->base_len;
	return s->base;
}

unsigned store_memory(const struct store *s, struct store_memory m[STORE_MEMORIES])
{
	const char *at = s->file.b.nvmm_path;

	if (!s->wal)
		return 0;
	m[0] = (struct store_memory){ .addr = s->wal->wal.addr, .len = s->wal->wal.len };
	m[1] = (struct store_memory){ .addr = s->wal->bufs.addr, .len = s->wal->bufs.len };
	walfile_parts(at, s->wal, m[0].path, m[1].path, sizeof(m[0].path), &m[1].off);
	return 2;
}

void store_lane_aio(struct store *s, unsigned i, struct blk_aio *aio)
{
	s->lane[i].aio = aio;
}
