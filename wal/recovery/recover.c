/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * recover.c - recovery of a store as a whole: finds the facts, looks up the decision
 * (rec_table.c), puts a refusal into words.  rec_lane.c does that for each lane;
 * rec_act.c does what was decided.
 *
 * Which wal is the attached one: the store file names a path and the wal's id; the
 * caller may name another path, because a file system can be mounted at another place.
 * A wal counts as attached only if it has the store's uuid and that id: a wal that an
 * earlier attachment left behind has the uuid too.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/bond.h"
#include "recovery/rec_priv.h"
#include "util/mutant.h"

int rec_fail(struct rec *r, int err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(r->rep->why, sizeof(r->rep->why), fmt, ap);
	va_end(ap);
	r->rep->error = err;
	return err;
}

int rec_note(struct rec *r, const struct rec_finding *f)
{
	struct report *p = r->rep;
	struct rec_finding *more;

	if (!(p->findings & (p->findings - 1))) {	/* 0, 1, 2, 4 ..: grow */
		unsigned cap = p->findings ? 2 * p->findings : 1;

		more = realloc(p->finding, cap * sizeof(*more));
		if (!more)
			return -ENOMEM;
		p->finding = more;
	}
	p->finding[p->findings++] = *f;
	return 0;
}

void rec_progress(struct rec *r, uint64_t done)
{
	r->done = r->base_done + done;
	if (r->progress)
		r->progress(r->progress_arg, r->what, r->done, r->total);
}

/* Notes that one of two copies is not valid.  Nothing is lost: the other one counts, and a
 * start writes this one again.  TORN: a crash may have left it so. */
enum copy { TORN, DAMAGED, UNREADABLE };

static int bad_copy(struct rec *r, enum rec_place place, unsigned lane, uint64_t offset,
		    enum copy how, const char *what)
{
	static const uint32_t reason[] = { [TORN] = GAP_TORN, [DAMAGED] = GAP_DAMAGE,
		[UNREADABLE] = ABSENT_UNREADABLE };

	return rec_note(r, &(struct rec_finding){
		.lane = lane, .from_seq = 1, .to_seq = 0, .place = place, .offset = offset,
		.reason = reason[how], .state = how == TORN ? RF_NEW : RF_DAMAGE, .what = what });
}

/* ---- the store file ---- */

/* Refuses a file with a second name (a hard link): what is written here would change that file too.
 * A check refuses it as well, as a start would. */
static int one_name(struct rec *r, const struct blk_id *id, const char *in, const char *name)
{
	if (id->names < 2 || r->dump)
		return 0;
	return rec_fail(r, STORE_ELINKED, "%s%s/%s: %s", r->store_dir, in, name, store_strerror(STORE_ELINKED));
}

int rec_store_names(struct rec *r)
{
	struct blk_id id;
	int err = r->blk->id_at(r->blk->ctx, r->storefile.root, "store", &id);

	return err ? 0 : one_name(r, &id, "", "store");
}

/* The same for the lane's last segment, in which a start goes on unless the lane stays as it is. */
static int lane_names(struct rec *r, unsigned lane)
{
	const struct seg_lane *s = &r->lane[lane].segs;
	char in[32], name[SEG_NAME_MAX];
	struct blk_dir *dir;
	struct blk_id id;
	int err = 0;

	if (s->tail == SIZE_MAX || r->dump || r->lane[lane].aside)
		return 0;
	snprintf(in, sizeof(in), "%03u", lane);
	if (r->blk->dir_open(r->blk->ctx, r->storefile.log, in, &dir))
		return 0;
	seg_name(name, s->segs[s->tail].segno);
	snprintf(in, sizeof(in), "/log/%03u", lane);
	if (!r->blk->id_at(r->blk->ctx, dir, name, &id))
		err = one_name(r, &id, in, name);
	r->blk->dir_close(dir);
	return err;
}

static int store_copies(struct rec *r)
{
	const struct storefile *s = &r->storefile;
	enum copy torn = r->rep->unclean ? TORN : DAMAGED;
	int err = 0;

	if (s->a_bad)
		err = bad_copy(r, RP_STORE, 0, 0, s->a_unread ? UNREADABLE : torn, "copy A of the store block");
	if (!err && s->b_bad)
		err = bad_copy(r, RP_STORE, 0, 4096, s->b_unread ? UNREADABLE : torn,
			       "copy B of the store block");
	for (unsigned i = 0; i < LANES_MAX && !err && s->lanes_on; i++) {
		enum copy how = s->lane_bad[i] == 3 ? DAMAGED : torn;
		uint64_t at = i * sizeof(struct storefile_lane);

		if (s->lane_bad[i] & 1)
			err = bad_copy(r, RP_STORE, i, STOREFILE_LANES_A + at, s->lane_unread[i] & 1 ? UNREADABLE : how,
				       "copy A of the lane's entry in the table");
		if (!err && s->lane_bad[i] & 2)
			err = bad_copy(r, RP_STORE, i, STOREFILE_LANES_B + at, s->lane_unread[i] & 2 ? UNREADABLE : how,
				       "copy B of the lane's entry in the table");
	}
	return err;
}

static int find_store(struct rec *r, struct rec_facts *f)
{
	static const uint8_t map[] = {
		[STOREFILE_NONE] = RS_NONE, [STOREFILE_BLANK] = RS_BLANK, [STOREFILE_GOOD] = RS_GOOD,
		[STOREFILE_BAD] = RS_BAD, [STOREFILE_UNREADABLE] = RS_UNREADABLE, [STOREFILE_VERSION] = RS_VERSION, [STOREFILE_ORDER] = RS_ORDER,
	};
	enum storefile_found found;
	struct storefile_block b;
	char why[512] = "";
	int err;

	err = storefile_probe(r->blk, r->store_dir, &found, &b);
	if (err == STORE_ENOTFILE)
		return rec_fail(r, err, "%s/store: %s", r->store_dir, store_strerror(err));
	if (err == STORE_ENOTDIR)
		return rec_fail(r, err, "%s is neither a folder nor a link to one, but a file, a pipe, a socket or a "
				"device, or below one: a store is a folder, give the path of that",
				r->store_dir);
	if (err)
		return rec_fail(r, err, "%s: it, the folder log in it, or the file `store` cannot be read: %s",
				r->store_dir, store_strerror(err));
	f->store = map[found];
	if (found == STOREFILE_BAD)
		return rec_store_lost(r, f);
	if (found != STOREFILE_GOOD)
		return 0;
	err = storefile_open(&r->storefile, r->blk, r->store_dir, r->read_only, why, sizeof(why));
	if (err == STORE_EBUSY) {
		f->store = RS_BUSY;
		return 0;
	}
	if (err)
		return rec_fail(r, err, "%s", why[0] ? why : store_strerror(err));
	r->storefile_open = true;
	err = rec_store_names(r);
	if (err)
		return err;
	r->rep->class = r->storefile.b.class;
	r->rep->unclean = r->storefile.b.flags & STOREFILE_OPEN;
	err = rec_store_owner(r, f);
	if (err || r->rebuilt)
		return err;
	return store_copies(r);
}

/* ---- the attached wal ---- */

/* Whether the bond is with another store than this one. */
static bool of_another(struct rec *r, const struct wal_bond *bond)
{
	struct wal_bond me;

	if (!bond->magic || MUTANT(bond_check))
		return false;
	if (!storefile_bond(&r->storefile, &me) && bond_fits(bond, &me))
		return false;
	snprintf(r->taken_by, sizeof(r->taken_by), "%s", bond->path);
	return true;
}

/* Sets r->taken_by to the path of the store that the wal there is bonded to, or "". */
static void ask_owner(struct rec *r, const char *path)
{
	struct wal_bond bond;

	walfile_remains(r->pm, path, &bond);
	snprintf(r->taken_by, sizeof(r->taken_by), "%s", bond.path);
}

static bool taken(struct rec *r, const struct walfile *w)
{
	return w->bonded && of_another(r, &w->bond);
}

/* Locks the wal at path.  0: done; 1: it is not locked, *verdict says why, if known; -errno. */
static int hold_wal(struct rec *r, const char *path, uint8_t *verdict)
{
	int err = r->pm->hold(r->pm->ctx, path, &r->hold);

	if (err == -EWOULDBLOCK) {
		ask_owner(r, path);
		*verdict = RW_BUSY;
		return 1;
	}
	if (err == -ENOENT || err == -ENOTDIR)
		return 1;
	if (err == STORE_ELINKED && r->dump)	/* a dump writes nothing; the lock is taken */
		return 0;
	if (err == STORE_ENOTFILE || err == STORE_ELINKED)
		return rec_fail(r, err, "%s: wal or pktbufs there: %s", path, store_strerror(err));
	return err ? rec_fail(r, err, "%s: the wal or its buffers cannot be opened and locked: %s", path,
			      store_strerror(err)) : 0;
}

static void recover_let_go(struct rec *r, struct pm_hold **h)
{
	if (*h)
		r->pm->release(r->pm->ctx, *h);
	*h = NULL;
}

static int try_wal(struct rec *r, const char *path, uint8_t *verdict)
{
	const struct storefile_block *b = &r->storefile.b;
	struct wal_bond bond;
	struct walfile *w;
	bool ours;
	int err;

	if (!path || !*path || *verdict == RW_FOUND || *verdict == RW_HEADLESS)
		return 0;
	err = hold_wal(r, path, verdict);
	if (err)
		return err < 0 ? err : 0;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	err = walfile_open_ro(w, r->pm_custom ? r->pm : NULL, path, b->uuid);
	ours = !err && (w->super.crc == b->wal_id || MUTANT(wal_id_check));
	r->adopted = ours && taken(r, w);
	if (r->adopted && !r->adopt) {
		*verdict = RW_TAKEN;
	} else if (ours) {
		*verdict = RW_FOUND;
		for (unsigned i = 0; i < w->super.lanes; i++)
			if (w->lane[i].lost)
				*verdict = RW_HEADLESS;
		r->wal = w;
		snprintf(r->wal_path, sizeof(r->wal_path), "%s", path);
		return 0;
	}
	recover_let_go(r, &r->hold);
	if (!err)
		walfile_close(w);
	free(w);
	/* Where both magics are zero, the wal was never used; but this one was, or another store is
	 * just taking it over. */
	if (err == -ENOENT && walfile_remains(r->pm, path, &bond) && !MUTANT(wal_remains_check)) {
		if (!of_another(r, &bond))
			err = STORE_EFORMAT;
		else if (!r->adopt)
			*verdict = RW_TAKEN;
	}
	switch (err) {
	case 0:			/* a copy has it; or it is of an earlier attachment of ours */
	case -ENOENT:
	case -ENOTDIR:
	case STORE_EMISMATCH:
		return 0;
	case -EIO:
	case STORE_EFORMAT:
	case STORE_EVERSION:
	case STORE_EBYTEORDER:
		if (!*b->nvmm_path || !strcmp(path, b->nvmm_path)) {
			*verdict = err == -EIO ? RW_UNREADABLE : RW_BAD;
			r->wal_error = err;
			snprintf(r->wal_path, sizeof(r->wal_path), "%s", path);
		}
		return 0;
	}
	return rec_fail(r, err, "%s: the wal cannot be read: %s", path, store_strerror(err));
}

/* UNREADABLE where the memory cannot be read, else `how`. */
static enum copy in_wal(struct rec *r, uint64_t off, size_t n, enum copy how)
{
	return walfile_fetch(r->wal, r->wal->wal.addr + off, n) ? how : UNREADABLE;
}

static int wal_copies(struct rec *r)
{
	const struct walfile *w = r->wal;
	int err = 0;

	if (w->super_bad_a)
		err = bad_copy(r, RP_WAL_SUPER, 0, WAL_SUPER_A, in_wal(r, WAL_SUPER_A, sizeof(w->super), DAMAGED),
			       "copy A of the superblock");
	if (!err && w->super_bad_b)
		err = bad_copy(r, RP_WAL_SUPER, 0, WAL_SUPER_B, in_wal(r, WAL_SUPER_B, sizeof(w->super), DAMAGED),
			       "copy B of the superblock");
	for (unsigned i = 0; i < w->super.lanes && !err; i++) {
		const struct walfile_lane *l = &w->lane[i];
		uint64_t a = WAL_HEADS_A + i * sizeof(struct wal_head);
		uint64_t b = WAL_HEADS_B + i * sizeof(struct wal_head);
		enum copy how = l->lost ? DAMAGED : TORN;

		if (l->bad_a)
			err = bad_copy(r, RP_WAL_HEAD, i, a, in_wal(r, a, sizeof(struct wal_head), how),
				       "copy A of the head");
		if (!err && l->bad_b)
			err = bad_copy(r, RP_WAL_HEAD, i, b, in_wal(r, b, sizeof(struct wal_head), how),
				       "copy B of the head");
	}
	return err;
}

static int find_wal(struct rec *r, struct rec_facts *f)
{
	const struct storefile_block *b = &r->storefile.b;
	int err;

	if (f->store != RS_GOOD || !(b->flags & STOREFILE_WAL_ATTACHED))
		return 0;
	/* Where the block was made again, the wal counts as lasting: it may hold records. */
	f->attached = !class_forgets(b->class) || r->rebuilt ? RA_LASTING :
		      b->boot && r->boot && b->boot != r->boot && !MUTANT(rec_boot) ? RA_FORGOTTEN : RA_VOLATILE;
	snprintf(r->rep->nvmm_path, sizeof(r->rep->nvmm_path), "%s", b->nvmm_path);
	err = try_wal(r, b->nvmm_path, &f->wal);
	if (!err)
		err = try_wal(r, r->nvmm_path, &f->wal);
	if (*r->wal_path)
		snprintf(r->rep->nvmm_path, sizeof(r->rep->nvmm_path), "%s", r->wal_path);
	return err || !r->wal ? err : wal_copies(r);
}

int rec_hold_target(struct rec *r)
{
	/* The path in the store file must not depend on the working directory. */
	if (!r->pm_custom && !r->nvmm_abs && (r->nvmm_abs = realpath(r->nvmm_path, NULL)))
		r->nvmm_path = r->nvmm_abs;
	return r->pm->hold(r->pm->ctx, r->nvmm_path, &r->target);
}

static int no_place(struct rec *r, int err)
{
	return rec_fail(r, err, "%s: cannot hold the wal: %s%s", r->nvmm_path, err == -ENOTDIR ?
			"it is neither a directory nor a device-dax" : store_strerror(err), err == -EIO ?
			"; where that stays so, give another place, or remove the files wal and pktbufs there if "
			"nothing needs them" : "");
}

/* Looks at the place where a new wal shall go. */
static int find_target(struct rec *r, struct rec_facts *f)
{
	static const uint8_t nobody[16];
	const uint8_t *me = r->storefile_open ? r->storefile.b.uuid : nobody;
	struct wal_bond bond;
	struct walfile *w;
	bool copy, cut;
	int err;

	f->want = r->read_only ? RT_READ : r->want_wal ? RT_WAL_FREE : RT_STORE;
	if (f->want != RT_WAL_FREE || (r->wal && !strcmp(r->wal_path, r->nvmm_path)))
		return 0;
	if ((f->store != RS_GOOD && f->store != RS_NONE && f->store != RS_BLANK) || f->wal == RW_UNREADABLE)
		return 0;		/* recovery is refused for that reason */
	if (!r->hold || !r->pm->leads(r->pm->ctx, r->hold, r->nvmm_path)) {
		err = rec_hold_target(r);
		/* The place is the store's folder, which rec_act is still to make. */
		if (err == -ENOENT && f->store == RS_NONE)
			return 0;
		if (err == -EWOULDBLOCK) {
			ask_owner(r, r->nvmm_path);
			f->want = RT_WAL_BUSY;
			return 0;
		}
		if (err)
			return no_place(r, err);
	}
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	err = walfile_open_ro(w, r->pm_custom ? r->pm : NULL, r->nvmm_path, me);
	copy = !err && r->storefile_open && taken(r, w);	/* not to be adopted */
	if (!err)
		walfile_close(w);
	free(w);
	/* The superblock says nothing, but the bond says whose the wal is.  (cut: a restart of the
	 * machine has damaged our volatile wal, and to know that it was ours is enough.) */
	cut = f->attached == RA_FORGOTTEN && f->wal == RW_BAD && err == STORE_EFORMAT;
	if ((err == -ENOENT || err == -EIO || cut) && walfile_remains(r->pm, r->nvmm_path, &bond) && bond.magic &&
	    !MUTANT(target_bond_check)) {
		copy = r->storefile_open && of_another(r, &bond);
		err = memcmp(bond.uuid, me, sizeof(bond.uuid)) ? STORE_EMISMATCH : 0;
	}
	switch (err) {
	case 0:
		if (copy)
			f->want = RT_WAL_TAKEN;
		return 0;
	case -ENOENT:
		return 0;
	case STORE_EMISMATCH:
		ask_owner(r, r->nvmm_path);
		f->want = RT_WAL_OTHER;
		return 0;
	case STORE_EFORMAT:
	case STORE_EVERSION:
	case STORE_EBYTEORDER:
		f->want = RT_WAL_BAD;
		return 0;
	}
	return no_place(r, err);
}

/* ---- words ---- */

static int recover_refuse(struct rec *r)
{
	const struct rec_facts *f = &r->rep->facts;
	const struct rec_row *row = r->rep->row;
	const char *wal = r->rep->nvmm_path, *dir = r->store_dir;

	if (f->store == RS_FOREIGN && r->fresh)
		return rec_fail(r, row->error, "%s: its file `store` is of a store that never had a record, and "
				"the segments in log/ are another one's: move them away, or, if it is the file "
				"that does not belong here, `pasted-recover repair --adopt` makes it again "
				"from them", dir);
	if (f->store == RS_FOREIGN)
		return rec_fail(r, row->error, "%s: its file `store` is another store's, no segment has that "
				"identity: put the right one back, or `pasted-recover repair` makes it "
				"again from the segments", dir);
	if (f->store == RS_LOST)
		return rec_fail(r, row->error, "%s: its file `store` is lost, or damaged beyond use; the "
				"segments are there: `pasted-recover repair` makes it again from them", dir);
	if (f->store == RS_UNREADABLE)
		return rec_fail(r, row->error, "%s/store: the device cannot read it now (%s): no segment was written; "
				"where it never will again, move the file away, and `pasted-recover repair` "
				"makes it again from the segments", dir, store_strerror(-EIO));
	if (f->store == RS_GOOD && f->wal == RW_UNREADABLE)
		return rec_fail(r, row->error, "%s: %s (%s): no segment was written; where it never can be again, "
				"`pasted-recover repair --give-up-wal` goes on without what only it held", wal,
				row->words, store_strerror(-EIO));
	if (f->store == RS_GOOD && f->wal == RW_TAKEN)
		return rec_fail(r, row->error, "%s: the wal there belongs to the store at %s, which may be "
				"alive, and %s may be a copy of it: what is only in the wal would be "
				"taken from it; if that store is gone, or is this one, moved or restored, "
				"say --adopt", wal, r->taken_by, dir);
	if (f->store == RS_GOOD && f->wal == RW_BUSY)
		return rec_fail(r, row->error, "%s: the wal there is in use by another process, %s%s; stop it "
				"first", wal, *r->taken_by ? "for the store at " : "perhaps for a copy of the "
				"store ", *r->taken_by ? r->taken_by : dir);
	if (f->want == RT_WAL_TAKEN)
		return rec_fail(r, row->error, "%s: has the wal of the store at %s, of which %s may be a "
				"copy; give another place, or remove the files wal and pktbufs there if "
				"nothing needs them", r->nvmm_path, r->taken_by, dir);
	if (f->want == RT_WAL_BUSY)
		return rec_fail(r, row->error, "%s: in use by another process%s%s; give another place for the "
				"wal, or stop it first", r->nvmm_path, *r->taken_by ? ", for the store at " : "",
				r->taken_by);
	switch (row->error) {
	case STORE_EBUSY:
		return rec_fail(r, row->error, "%s: in use by another process; stop it first, or "
				"give another store", dir);
	case STORE_ENODIR:
		return rec_fail(r, row->error, "%s: no store there", dir);
	case STORE_EVERSION:
		return rec_fail(r, row->error, "%s: made by a version of pasted with another format; "
				"use that version", dir);
	case STORE_EBYTEORDER:
		return rec_fail(r, row->error, "%s: made on a machine with another byte order; "
				"read it there", dir);
	case STORE_EWALMISSING:
		if (r->rebuilt)
			return rec_fail(r, row->error, "%s: its file `store` is lost, and with it where the wal "
					"is (%s); records may be in it: say --nvmm with its place; if there is "
					"none, or it is gone for ever, `pasted-recover repair --give-up-wal` "
					"goes on without it", dir, r->class_unknown ? "no segment says whether "
					"there was one" : class_name(r->storefile.b.class));
		return rec_fail(r, row->error, "%s: records may be in the wal at %s (class %s), which "
				"is not there; mount it, or say --nvmm with its new place; if it is "
				"gone for ever, `pasted-recover repair --give-up-wal` goes on without it",
				dir, wal, class_name(r->storefile.b.class));
	case STORE_EMISMATCH:
		return rec_fail(r, row->error, "%s: has the wal of another store%s%s%s; give another place, "
				"or remove the files wal and pktbufs there if nothing needs them",
				r->nvmm_path, *r->taken_by ? " (" : "", r->taken_by, *r->taken_by ? ")" : "");
	}
	if (f->store != RS_GOOD && f->store != RS_NONE && f->store != RS_BLANK)
		return rec_fail(r, row->error, "%s: not a store, or damaged beyond use: no copy in its "
				"file `store` is valid", dir);
	if (f->want == RT_WAL_BAD && f->wal != RW_BAD)
		return rec_fail(r, row->error, "%s: holds something that is no wal; give another place, "
				"or remove (device-dax: zero the start of) it", r->nvmm_path);
	/* A wal of another format is not lost: the message does not say --give-up-wal. */
	if (r->wal_error == STORE_EVERSION || r->wal_error == STORE_EBYTEORDER)
		return rec_fail(r, row->error, "%s: the attached wal was %s; start or repair the store "
				"%s", wal, store_strerror(r->wal_error), r->wal_error == STORE_EVERSION ?
				"with that version" : "there");
	return rec_fail(r, row->error, "%s: %s; if it cannot be restored, `pasted-recover repair "
			"--give-up-wal` goes on without what only it held", wal, row->words);
}

/* ---- all together ---- */

static int lanes_there(struct rec *r)
{
	bool set[LANES_MAX] = { false };
	unsigned n = 0;
	int err;

	if (r->storefile_open) {
		err = storefile_lanes_list(&r->storefile, set, &n);
		if (err)
			return rec_fail(r, err, "%s/log: cannot be listed: %s", r->store_dir,
					store_strerror(err));
	}
	for (unsigned i = 0; i < LANES_MAX; i++) {
		struct rec_lane *l = &r->lane[i];

		l->has_wal = r->wal && i < r->wal->super.lanes && !r->wal->lane[i].lost;
		l->there = set[i] || i < r->lanes_wanted || (r->storefile_open && storefile_lane(&r->storefile, i)) || (r->wal && i < r->wal->super.lanes);
		l->cut = REC_NO_CUT;
		if (l->there)
			r->lanes = i + 1;
	}
	r->rep->lane = calloc(r->lanes ? r->lanes : 1, sizeof(*r->rep->lane));
	if (!r->rep->lane)
		return -ENOMEM;
	r->rep->lanes = r->lanes;
	return 0;
}

/* Estimates how much there is to read, for the progress line only. */
static void estimate(struct rec *r)
{
	char name[STOREFILE_LANE_NAME];
	struct blk_dir *dir;
	uint64_t *no;
	size_t n;
	int err;

	r->what = r->read_only ? "checking" : "recovering";
	for (unsigned i = 0; r->storefile_open && r->storefile.log && i < r->lanes; i++) {
		storefile_lane_name(name, i);
		if (!r->lane[i].there || r->blk->dir_open(r->blk->ctx, r->storefile.log, name, &dir))
			continue;
		err = seg_list(r->blk, dir, &no, &n);
		r->blk->dir_close(dir);
		if (err)
			continue;
		if (!r->full && n > 1)
			n = 1;
		r->total += n * r->storefile.b.segment_bytes;
		free(no);
	}
	if (r->wal)
		r->total += r->wal->super.bufs * r->wal->super.buf_size;
}

int rec_find(struct rec *r)
{
	struct rec_facts *f = &r->rep->facts;
	int err;

	*f = (struct rec_facts){ .give_up = r->give_up };
	/* The path in the store file must not depend on the working directory. */
	if (r->nvmm_path && !r->pm_custom && (r->nvmm_abs = realpath(r->nvmm_path, NULL)))
		r->nvmm_path = r->nvmm_abs;
	if ((err = find_store(r, f)) || (err = find_wal(r, f)) || (err = find_target(r, f)))
		goto out;
	r->rep->row = rec_decide(f);
	if (r->rep->row->action == REC_REFUSE)
		return recover_refuse(r);
	if ((err = lanes_there(r)))
		goto out;
	estimate(r);
	for (unsigned i = 0; i < r->lanes && !err; i++)
		if (r->lane[i].there && !(err = rec_lane_find(r, i)))
			err = lane_names(r, i);
out:
	if (err && !r->rep->error)
		rec_fail(r, err, "%s: %s", r->store_dir, store_strerror(err));
	return err;
}

void rec_end(struct rec *r)
{
	for (unsigned i = 0; i < r->lanes; i++) {
		seg_lane_free(&r->lane[i].segs);
		if (r->lane[i].log)
			seglog_close(r->lane[i].log);
		r->lane[i].log = NULL;
	}
	if (r->wal) {
		walfile_close(r->wal);
		free(r->wal);
		r->wal = NULL;
	}
	recover_let_go(r, &r->hold);
	recover_let_go(r, &r->target);
	if (r->storefile_open)
		storefile_close(&r->storefile);
	r->storefile_open = false;
	free(r->nvmm_abs);
	r->nvmm_abs = NULL;
}

/* ---- the report ---- */

bool rec_is_damage(const struct rec_finding *f)
{
	return f->state == RF_DAMAGE || f->reason == ABSENT_DAMAGE || f->reason == ABSENT_MISSING ||
	       f->reason == ABSENT_UNREADABLE ||
	       (f->reason == GAP_WAL_LOST && f->state == RF_NEW);
}

uint64_t report_damaged(const struct report *r)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < r->findings; i++)
		n += rec_is_damage(&r->finding[i]);
	return n;
}

uint64_t report_unread(const struct report *r)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < r->findings; i++)
		n += r->finding[i].reason == ABSENT_UNREADABLE;
	return n;
}

static bool report_pending(const struct report *r)
{
	if (r->unclean)
		return true;
	for (unsigned i = 0; i < r->lanes; i++)
		if (r->lane[i].row && r->lane[i].row->actions & ~(unsigned)RL_RESET)
			return true;
	return false;
}

int report_verdict(const struct report *r)
{
	if (r->error)
		return 3;
	if (report_damaged(r))
		return 2;
	return report_pending(r);
}

void report_fini(struct report *r)
{
	free(r->lane);
	free(r->finding);
	r->lane = NULL;
	r->finding = NULL;
	r->lanes = r->findings = 0;
}
