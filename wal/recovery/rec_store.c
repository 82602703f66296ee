/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rec_store.c - makes the file `store` again where it is lost.
 *
 * Almost all that it says is elsewhere too: the store's identity in the header of every
 * segment and in the superblock of its wal; the segments' size in their headers; the class
 * in the header of the last segment of each lane.  Only where the wal is must be said by the
 * user (--nvmm).  If a segment's class has a wal, or the segment does not say its class (an
 * older program wrote it), and no wal is given, the user must give it up explicitly: what
 * only the wal holds must not be lost without a word.
 *
 *	no valid copy; cut, empty, absent	the block is made from what is found
 *	a valid block of another store		the same, if no segment has its identity, the
 *						wal that it names is not there either, and
 *						the segments agree on another one
 *	the same, but its table says that	either that, or another store's segments were
 *	it never had a record			put into a new store: --adopt decides
 *
 * check and dump do this in memory, repair writes it; a start refuses and points to repair.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "recovery/rec_priv.h"
#include "util/mutant.h"

#define REC_SEGMENT_BYTES (64ull << 20)	/* where no segment says how large they are */
#define VOTES 16u		/* so many identities are counted; further ones are ignored */

struct vote {
	uint8_t uuid[16];
	uint64_t n, created_ms, newest_ms, segment_bytes;
	uint32_t cls;		/* the class in the lanes' last segments; one with a wal wins */
	bool	 unknown;	/* a lane's last segment does not say its class */
	unsigned lanes;		/* the class of lanes below this one was counted */
};

struct count {
	struct rec *r;
	struct storefile *s;
	struct vote v[VOTES];
	unsigned n;
	int	 other_format;	/* a header is of another one: STORE_EVERSION, STORE_EBYTEORDER */
	bool	 one_is_enough;	/* stop at the first segment with the uuid in r->storefile */
	bool	 mine;		/* there is one */
};

/* 0 and *h; else what is wrong with the copies. */
static int rec_store_read_header(struct count *c, struct blk_dir *dir, uint64_t segno, struct seg_header *h)
{
	static const uint64_t at[2] = { SEG_HDR_A, SEG_HDR_B };
	const struct blk_ops *blk = c->r->blk;
	char name[SEG_NAME_MAX];
	struct blk_file *f;
	int err, res = STORE_EFORMAT;

	seg_name(name, segno);
	err = blk->open(blk->ctx, dir, name, BLK_RDONLY, &f);
	if (err)
		return err;
	for (int i = 0; i < 2 && res; i++) {
		err = blk->read(f, h, sizeof(*h), at[i]);
		res = err ? STORE_EFORMAT : seg_header_check(h);
		if (res == STORE_EVERSION || res == STORE_EBYTEORDER)
			c->other_format = res;
	}
	blk->close(f);
	return res;
}

static struct vote *vote_of(struct count *c, const uint8_t uuid[16])
{
	for (unsigned i = 0; i < c->n; i++)
		if (!memcmp(c->v[i].uuid, uuid, 16))
			return &c->v[i];
	if (c->n == VOTES)
		return NULL;
	memcpy(c->v[c->n].uuid, uuid, 16);
	c->v[c->n].created_ms = UINT64_MAX;
	return &c->v[c->n++];
}

/* Called lane by lane, and in a lane from the newest segment to the oldest. */
static void vote(struct count *c, const struct seg_header *h)
{
	struct vote *v = vote_of(c, h->store_uuid);

	if (!v)
		return;
	v->n++;
	if (h->created_ms < v->created_ms)
		v->created_ms = h->created_ms;
	if (h->created_ms >= v->newest_ms) {
		v->newest_ms = h->created_ms;
		v->segment_bytes = h->bytes;
	}
	if (h->lane < v->lanes)
		return;
	v->lanes = h->lane + 1;
	if (!class_known(h->class))
		v->unknown = true;
	else if (!v->cls || (!class_has_wal(v->cls) && class_has_wal(h->class)))
		v->cls = h->class;
}

static int count_lane(struct count *c, unsigned lane)
{
	const struct blk_ops *blk = c->r->blk;
	char name[STOREFILE_LANE_NAME];
	struct blk_dir *dir;
	struct seg_header h;
	uint64_t *no;
	size_t n;
	int err;

	storefile_lane_name(name, lane);
	err = blk->dir_open(blk->ctx, c->s->log, name, &dir);
	if (err)
		return err == -ENOENT ? 0 : err;
	err = seg_list(blk, dir, &no, &n);
	for (size_t i = n; i-- > 0 && !err && !(c->one_is_enough && c->mine); ) {
		rec_progress(c->r, 0);
		if (rec_store_read_header(c, dir, no[i], &h) || h.lane != lane || h.segno != no[i])
			continue;
		vote(c, &h);
		c->mine |= !memcmp(h.store_uuid, c->s->b.uuid, sizeof(h.store_uuid));
	}
	free(no);
	blk->dir_close(dir);
	return err;
}

static int count_all(struct count *c)
{
	bool set[LANES_MAX];
	unsigned n;
	int err = storefile_lanes_list(c->s, set, &n);

	c->r->what = "looking for the store's identity";
	for (unsigned i = 0; i < n && !err && !(c->one_is_enough && c->mine); i++)
		if (set[i])
			err = count_lane(c, i);
	return err;
}

static const struct vote *winner(const struct count *c)
{
	const struct vote *best = NULL;

	for (unsigned i = 0; i < c->n; i++)
		if (!best || c->v[i].n > best->n)
			best = &c->v[i];
	return best;
}

/* Takes class and id from the wal at the place that was given, if it is this store's: 0; 1: there
 * is none; -errno.  Where no segment has told the store's identity (!known), the wal does. */
static int ask_wal(struct rec *r, struct storefile_block *b, bool known)
{
	struct walfile *w;
	int err;

	if (!r->nvmm_path)
		return 1;
	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	err = walfile_open_ro(w, r->pm_custom ? r->pm : NULL, r->nvmm_path, known ? b->uuid : NULL);
	if (!err) {
		memcpy(b->uuid, w->super.store_uuid, sizeof(b->uuid));
		b->class = w->super.class;
		b->wal_id = w->super.crc;
		if (!known)
			b->created_ms = w->super.created_ms;
		walfile_close(w);
	}
	free(w);
	return err ? 1 : 0;
}

/* Makes the block as it must have been; false: nothing tells the store's identity. */
static bool make_block(struct rec *r, const struct count *c, struct storefile_block *b, uint64_t gen)
{
	const struct vote *v = winner(c);
	uint64_t size = v ? v->segment_bytes : r->segment_bytes;
	size_t len = r->nvmm_path ? strlen(r->nvmm_path) : 0;

	*b = (struct storefile_block){ .gen = gen + 1, .flags = STOREFILE_OPEN,
		.segment_bytes = size ? size : REC_SEGMENT_BYTES };
	if (v) {
		memcpy(b->uuid, v->uuid, sizeof(b->uuid));
		b->created_ms = v->created_ms;
		b->class = v->cls;
	}
	if (len < sizeof(b->nvmm_path) && !ask_wal(r, b, v)) {
		memcpy(b->nvmm_path, r->nvmm_path, len);
		b->flags |= STOREFILE_WAL_ATTACHED;
	} else if (!v) {
		return false;
	} else if ((v->unknown || class_has_wal(v->cls)) && !MUTANT(rebuild_asks_wal)) {
		b->flags |= STOREFILE_WAL_ATTACHED;		/* at an unknown place */
		if (!class_has_wal(v->cls)) {
			b->class = CLASS_NVMM;
			r->class_unknown = true;
		}
	}
	return true;
}

static int rebuild(struct rec *r, struct rec_facts *f, uint64_t gen, const char *what)
{
	struct count c = { .r = r, .s = &r->storefile };
	struct storefile_block b;
	int err = count_all(&c);

	if (err)
		return rec_fail(r, err, "%s/log: cannot be read: %s", r->store_dir, store_strerror(err));
	if (c.other_format) {
		f->store = c.other_format == STORE_EVERSION ? RS_VERSION : RS_ORDER;
		return 0;
	}
	if (!make_block(r, &c, &b, gen))
		return 0;
	if (!r->rebuild) {
		f->store = f->store == RS_BAD ? RS_LOST : f->store;
		return 0;
	}
	storefile_block_encode(&b);
	if (f->store == RS_FOREIGN)
		storefile_lanes_forget(&r->storefile);
	r->storefile.b = b;
	r->rebuilt = true;
	r->rep->unclean = true;
	r->rep->class = b.class;
	f->store = RS_GOOD;
	return rec_note(r, &(struct rec_finding){ .from_seq = 1, .to_seq = 0, .place = RP_STORE,
		.reason = GAP_DAMAGE, .state = RF_DAMAGE, .what = what });
}

int rec_store_lost(struct rec *r, struct rec_facts *f)
{
	char why[512] = "";
	int err = storefile_open_lost(&r->storefile, r->blk, r->store_dir, r->read_only || !r->rebuild, why,
				      sizeof(why));

	f->store = RS_BAD;
	if (err == STORE_EBUSY) {
		f->store = RS_BUSY;
		return 0;
	}
	if (err == STORE_ENODIR)		/* it stays RS_BAD */
		return 0;
	if (err)
		return rec_fail(r, err, "%s", why);
	if (r->storefile.file && (err = rec_store_names(r))) {
		storefile_close(&r->storefile);
		return err;
	}
	err = rebuild(r, f, 0, "the store's file is lost: it is found again from its segments and its wal");
	if (f->store == RS_GOOD && !err)
		r->storefile_open = true;
	else
		storefile_close(&r->storefile);
	return err;
}

static bool has_its_wal(struct rec *r)
{
	const struct storefile_block *b = &r->storefile.b;
	const char *path[2] = { b->nvmm_path, r->nvmm_path };
	bool there = false;

	for (int i = 0; i < 2 && !there && b->flags & STOREFILE_WAL_ATTACHED; i++) {
		struct walfile *w = path[i] && *path[i] ? calloc(1, sizeof(*w)) : NULL;

		if (w && !walfile_open_ro(w, r->pm_custom ? r->pm : NULL, path[i], b->uuid)) {
			there = true;
			walfile_close(w);
		}
		free(w);
	}
	return there;
}

/* Whether no lane of the store ever had a record, by its table, if that is valid. */
static bool never_had_one(const struct storefile *s)
{
	for (unsigned i = 0; i < LANES_MAX; i++)
		if (storefile_lane(s, i) && storefile_lane(s, i)->next_seq > 1)
			return false;
	return s->lanes_on && !MUTANT(store_fresh_asks);
}

int rec_store_owner(struct rec *r, struct rec_facts *f)
{
	struct count c = { .r = r, .s = &r->storefile, .one_is_enough = true };
	int err = count_all(&c);

	/* An error here is not reported: rec_lane_find() will read the same files and report it. */
	if (err || c.mine || !c.n || c.other_format || has_its_wal(r) || MUTANT(store_owner_check))
		return 0;
	f->store = RS_FOREIGN;
	r->fresh = never_had_one(&r->storefile);
	if (r->fresh && !r->adopt)
		return 0;
	return rebuild(r, f, r->storefile.b.gen, "the store's file is of another store: it is found again from "
		       "the segments and the wal");
}
