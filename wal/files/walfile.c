/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * walfile.c - the wal and its packet buffers: maps, judges and creates them, writes heads.
 *
 * Whatever decides is there twice, and one copy is certain at any moment: a copy is
 * stored, flushed and fenced before the other is touched.
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "files/bond.h"
#include "files/walfile.h"
#include "format/codec.h"
#include "media/dax.h"
#include "util/error.h"
#include "util/mutant.h"

#define SUPERS_BYTES (2 * WAL_PAGE)
#define WAL_LINE 64u
#define DROP_BYTES (16u << 20)
#define REMAINS_BYTES (16u << 20)	/* heads and words are at the start */

struct place {			/* where a path's two parts are */
	char	 wal[PATH_MAX], bufs[PATH_MAX];
	bool	 device;	/* one device: buffers behind the wal */
	uint64_t align;		/* of the device */
};

static int place_of(struct place *p, const char *path)
{
	struct stat st;

	p->device = stat(path, &st) == 0 && S_ISCHR(st.st_mode);
	p->align = p->device ? dax_align(st.st_rdev) : 1;
	if (snprintf(p->wal, sizeof(p->wal), p->device ? "%s" : "%s/wal", path) >= PATH_MAX ||
	    snprintf(p->bufs, sizeof(p->bufs), p->device ? "%s" : "%s/pktbufs", path) >= PATH_MAX)
		return -ENAMETOOLONG;
	return 0;
}

uint64_t walfile_bytes(uint32_t lanes, uint64_t entries)
{
	return WAL_RINGS + lanes * entries * sizeof(uint64_t);
}

static uint64_t bufs_off(const struct place *p, uint32_t lanes, uint64_t entries)
{
	uint64_t end = walfile_bytes(lanes, entries);

	return p->device ? (end + p->align - 1) / p->align * p->align : 0;
}

uint64_t walfile_bufs_off(const char *path, uint32_t lanes, uint64_t entries)
{
	struct place p;

	return place_of(&p, path) ? 0 : bufs_off(&p, lanes, entries);
}

void walfile_parts(const char *path, const struct walfile *w, char *wal, char *bufs, size_t n,
		   uint64_t *off)
{
	struct place p;

	*wal = *bufs = '\0';
	if (place_of(&p, path))
		return;
	snprintf(wal, n, "%s", p.wal);
	snprintf(bufs, n, "%s", p.bufs);
	*off = bufs_off(&p, w->super.lanes, w->super.entries);
}

/* ---- mapping ---- */

/* Makes the bad lines of a part, which must not be mapped, zeros that can be written. */
static int cure(struct walfile *w, const char *path, uint64_t off, size_t len)
{
	struct pm_image m;
	int err = pm_image_open(&m, w->pm, path, off, len);

	if (err)
		return err;
	for (uint64_t at = 0; at < len; at += DROP_BYTES) {
		size_t n = len - at < DROP_BYTES ? len - at : DROP_BYTES;

		pm_image_fetch(&m, m.addr + at, n);
		pm_image_drop(&m);
	}
	for (size_t i = 0; i < m.nbad && !err; i++)
		err = w->pm->clear(w->pm->ctx, path, off + m.bad[i], WAL_LINE);
	pm_image_close(&m);
	return err;
}

/* Maps a part for writing: allocated, durable, and every page of it can be touched. */
static int map_part(struct walfile *w, const char *path, uint64_t off, size_t len, unsigned flags,
		    struct pm_map *m)
{
	const struct pm_ops *pm = w->pm;
	int err = MUTANT(walfile_allocate) && !(flags & PM_CREATE) ? 0 :
		  pm->allocate(pm->ctx, path, off + len, flags & PM_CREATE);

	for (int turn = 0; turn < 2 && !err; turn++) {
		err = pm->map(pm->ctx, path, off, len, flags & PM_SYNC, m);
		if (err || !pm->populate || !pm->populate(pm->ctx, m))
			return err;
		pm->unmap(pm->ctx, m);
		err = turn ? -EIO : cure(w, path, off, len);
	}
	return err;
}

static void unmap_part(struct walfile *w, struct pm_map *m)
{
	if (m->addr)
		w->pm->unmap(w->pm->ctx, m);
	*m = (struct pm_map){ 0 };
}

static int map_both(struct walfile *w, const struct place *p, unsigned flags)
{
	const struct wal_super *s = &w->super;
	int err = map_part(w, p->wal, 0, walfile_bytes(s->lanes, s->entries), flags, &w->wal);

	if (err)
		return err;
	err = map_part(w, p->bufs, bufs_off(p, s->lanes, s->entries), s->bufs * s->buf_size, flags,
		       &w->bufs);
	if (err)
		unmap_part(w, &w->wal);
	return err;
}

/* ---- images ---- */

static int show(struct walfile *w, struct pm_image *image, const char *path, uint64_t off, size_t len,
		struct pm_map *m)
{
	int err = pm_image_open(image, w->pm, path, off, len);

	if (!err && image->size < off + len)
		err = -EFBIG;
	if (!err)
		*m = (struct pm_map){ .addr = image->addr, .len = len };
	return err;
}

static int show_both(struct walfile *w, const struct place *p)
{
	const struct wal_super *s = &w->super;
	int err = show(w, &w->wal_image, p->wal, 0, walfile_bytes(s->lanes, s->entries), &w->wal);

	if (!err)
		err = show(w, &w->bufs_image, p->bufs, bufs_off(p, s->lanes, s->entries),
			   s->bufs * s->buf_size, &w->bufs);
	if (err)
		walfile_close(w);
	else
		pm_image_fetch(&w->wal_image, w->wal.addr, w->wal.len);
	return err;
}

bool walfile_fetch(struct walfile *w, const void *p, size_t n)
{
	const uint8_t *at = p;

	if (!w->read_only)
		return true;
	if (at >= w->wal.addr && at < w->wal.addr + w->wal.len)
		return !w->wal_image.nbad || pm_image_fetch(&w->wal_image, p, n);
	return pm_image_fetch(&w->bufs_image, p, n);
}

void walfile_drop(struct walfile *w)
{
	pm_image_drop(&w->bufs_image);
}

void walfile_close(struct walfile *w)
{
	if (w->read_only) {
		pm_image_close(&w->bufs_image);
		pm_image_close(&w->wal_image);
		w->wal = w->bufs = (struct pm_map){ 0 };
		return;
	}
	unmap_part(w, &w->bufs);
	unmap_part(w, &w->wal);
}

/* ---- storing ---- */

static void persist(struct walfile *w, uint64_t off, const void *src, size_t n)
{
	w->pm->store(w->pm->ctx, w->wal.addr + off, src, n);
	if (!MUTANT(super_flush))
		w->pm->flush(w->pm->ctx, w->wal.addr + off, n);
	if (!MUTANT(super_fence))
		w->pm->fence(w->pm->ctx);
}

static const uint32_t super_off[2] = { WAL_SUPER_A, WAL_SUPER_B };

static uint32_t head_off(int copy, unsigned lane)
{
	return (copy ? WAL_HEADS_B : WAL_HEADS_A) + lane * (uint32_t)sizeof(struct wal_head);
}

void walfile_head(struct walfile *w, unsigned lane, uint64_t pos, uint64_t seq)
{
	struct walfile_lane *l = &w->lane[lane];
	const struct pm_ops *pm = w->pm;
	/* A crash may tear the copy that is written first, so the only good one is never the
	 * first (a crash may have torn B, and this may be the first head since). */
	int first = l->bad_b && !MUTANT(head_bad_first);
	uint8_t *a = w->wal.addr + head_off(first, lane);
	uint8_t *b = w->wal.addr + head_off(!first, lane);
	struct wal_head h;

	head_encode(&h, lane, l->gen + 1, pos, seq);
	pm->store(pm->ctx, a, &h, sizeof(h));
	if (!MUTANT(head_a_flush))
		pm->flush(pm->ctx, a, sizeof(h));
	/* A is durable before B changes, so that a torn A leaves B as it was. */
	if (!MUTANT(head_a_fence))
		pm->fence(pm->ctx);
	if (!MUTANT(head_b_store))
		pm->store(pm->ctx, b, &h, sizeof(h));
	/* B is durable before words and buffers are used again: B alone must do if A is
	 * damaged, and if the next A is torn, B may not be older than what was freed. */
	if (!MUTANT(head_b_flush))
		pm->flush(pm->ctx, b, sizeof(h));
	if (!MUTANT(head_b_fence))
		pm->fence(pm->ctx);
	*l = (struct walfile_lane){ .gen = l->gen + 1, .pos = pos, .seq = seq };
}

static void zero_ring(struct walfile *w, unsigned lane)
{
	const struct pm_ops *pm = w->pm;
	size_t n = w->super.entries * sizeof(uint64_t);

	if (MUTANT(restart_zero))
		return;
	pm->zero(pm->ctx, walfile_ring(w, lane), n);
	if (!MUTANT(restart_zero_flush))
		pm->flush(pm->ctx, walfile_ring(w, lane), n);
	if (!MUTANT(restart_zero_fence))
		pm->fence(pm->ctx);
}

void walfile_restart(struct walfile *w, unsigned lane, uint64_t seq)
{
	uint64_t entries = w->super.entries;
	uint64_t lap = (w->lane[lane].pos + entries - 1) / entries + 1;

	if (w->lane[lane].lost) {
		zero_ring(w, lane);
		walfile_head(w, lane, 0, seq);
		return;
	}
	/* The head comes first: until it has moved, recovery would need the words. */
	if (MUTANT(restart_order))
		zero_ring(w, lane);
	walfile_head(w, lane, MUTANT(restart_lap) ? w->lane[lane].pos : lap * entries, seq);
	zero_ring(w, lane);
}

/* ---- the bond ---- */

void walfile_bond_load(struct walfile *w)
{
	unsigned copies = bond_find(w->wal.addr, &w->bond);

	w->bonded = copies;
	w->bond_twice = copies == BOND_TWICE;
	w->bond_bad_b = copies == 1;
}

static void bond_persist(struct walfile *w, uint64_t off, const void *src, size_t n)
{
	w->pm->store(w->pm->ctx, w->wal.addr + off, src, n);
	if (!MUTANT(bond_flush))
		w->pm->flush(w->pm->ctx, w->wal.addr + off, n);
	/* So one copy is whole at any moment, and the wal is changed only afterwards. */
	if (!MUTANT(bond_fence))
		w->pm->fence(w->pm->ctx);
}

void walfile_bond_write(struct walfile *w, const struct wal_bond *b)
{
	/* A crash may tear the copy that is written first: never the only good one. */
	bool first = w->bond_bad_b && !MUTANT(bond_bad_first);

	if (w->bond_twice && !memcmp(&w->bond, b, sizeof(*b)))
		return;
	bond_persist(w, bond_off(first), b, sizeof(*b));
	bond_persist(w, bond_off(!first), b, sizeof(*b));
	w->bond = *b;
	w->bonded = w->bond_twice = true;
	w->bond_bad_b = false;
}

void walfile_bond_clear(struct walfile *w)
{
	static const uint64_t none = 0;

	for (unsigned i = 0; i < 2 && w->bonded; i++)
		bond_persist(w, bond_off(i), &none, sizeof(none));
	w->bonded = w->bond_twice = false;
}

/* ---- what is there ---- */

static int super_error(enum super_state a, enum super_state b)
{
	if (a == SUPER_VERSION || b == SUPER_VERSION)
		return STORE_EVERSION;
	if (a == SUPER_ORDER || b == SUPER_ORDER)
		return STORE_EBYTEORDER;
	return STORE_EFORMAT;
}

/* Decides by the table in walfile.h.  base: the first two pages of the wal. */
static int judge_supers(struct walfile *w, const uint8_t *base)
{
	struct wal_super s[2];
	enum super_state st[2] = { SUPER_BAD, SUPER_BAD };

	for (int i = 0; i < 2; i++) {
		memcpy(&s[i], base + super_off[i], sizeof(s[i]));
		st[i] = super_decode(&s[i]);
	}
	if (st[0] == SUPER_BLANK && st[1] == SUPER_BLANK)
		return -ENOENT;
	if (!MUTANT(super_newer_check))
		for (int i = 0; i < 2; i++)
			if (st[i] == SUPER_VERSION || st[i] == SUPER_ORDER)
				return super_error(st[0], st[1]);
	if (st[0] != SUPER_VALID && st[1] != SUPER_VALID)
		return super_error(st[0], st[1]);
	if (st[0] == SUPER_VALID && st[1] == SUPER_VALID && memcmp(&s[0], &s[1], sizeof(s[0])) &&
	    !MUTANT(super_same_check))
		return STORE_EFORMAT;
	w->super = s[st[0] != SUPER_VALID];
	w->super_bad_a = st[0] != SUPER_VALID;
	w->super_bad_b = st[1] != SUPER_VALID;
	return 0;
}

static void load_head(struct walfile *w, unsigned lane)
{
	struct walfile_lane *l = &w->lane[lane];
	struct wal_head h[2];
	bool ok[2];

	for (int i = 0; i < 2; i++) {
		memcpy(&h[i], w->wal.addr + head_off(i, lane), sizeof(h[i]));
		ok[i] = head_decode(&h[i], lane);
	}
	*l = (struct walfile_lane){ .lost = !ok[0] && !ok[1], .bad_a = !ok[0], .bad_b = !ok[1] };
	if (!l->lost) {
		const struct wal_head *best = &h[!ok[0] || (ok[1] && h[1].gen > h[0].gen &&
								!MUTANT(head_gen_check))];

		l->gen = best->gen;
		l->pos = best->pos;
		l->seq = best->seq;
	}
}

/* Reads the superblock, to see which wal this is. */
static int walfile_look(struct walfile *w, const struct place *p, const uint8_t *uuid)
{
	struct pm_image peek;
	int err = pm_image_open(&peek, w->pm, p->wal, 0, SUPERS_BYTES);

	if (err)
		return err;
	pm_image_fetch(&peek, peek.addr, SUPERS_BYTES);
	err = peek.size < SUPERS_BYTES ? STORE_EFORMAT : judge_supers(w, peek.addr);
	for (int i = 0; i < 2 && peek.size >= SUPERS_BYTES && (err == -ENOENT || err == STORE_EFORMAT); i++)
		if (!pm_image_fetch(&peek, peek.addr + super_off[i], sizeof(w->super)) && !MUTANT(super_unreadable))
			err = -EIO;
	pm_image_close(&peek);
	if (!err && uuid && memcmp(uuid, w->super.store_uuid, 16) && !MUTANT(super_uuid_check))
		err = STORE_EMISMATCH;
	return err;
}

static bool any_byte(const uint8_t *p, size_t n)
{
	return n && (p[0] || memcmp(p, p + 1, n - 1));
}

bool walfile_remains(const struct pm_ops *pm, const char *path, struct wal_bond *bond)
{
	struct pm_image m;
	struct place p;
	bool any = false;

	memset(bond, 0, sizeof(*bond));
	if (place_of(&p, path) || pm_image_open(&m, pm, p.wal, 0, REMAINS_BYTES))
		return false;
	for (uint64_t at = 0; at < REMAINS_BYTES && at < m.size && !any; at += WAL_PAGE) {
		size_t n = m.size - at < WAL_PAGE ? m.size - at : WAL_PAGE;

		any = !pm_image_fetch(&m, m.addr + at, n) || any_byte(m.addr + at, n);
	}
	if (any && m.size >= SUPERS_BYTES) {
		pm_image_fetch(&m, m.addr, SUPERS_BYTES);
		bond_find(m.addr, bond);
	}
	pm_image_close(&m);
	return any;
}

static int walfile_load(struct walfile *w, int err)
{
	if (err)	/* -EFBIG: it was cut short; -ENOENT: the buffers are gone */
		return err == -EFBIG || err == -ENOENT ? STORE_EFORMAT : err;
	for (unsigned i = 0; i < w->super.lanes; i++)
		load_head(w, i);
	walfile_bond_load(w);
	return 0;
}

int walfile_open(struct walfile *w, const struct pm_ops *pm, const char *path,
		 bool want_sync, const uint8_t uuid[16])
{
	struct place p;
	int err = place_of(&p, path);

	*w = (struct walfile){ .pm = pm };
	if (!err)
		err = walfile_look(w, &p, uuid);
	if (err)
		return err;
	err = walfile_load(w, map_both(w, &p, want_sync ? PM_SYNC : 0));
	if (err)
		return err;
	/* Compared with what is mapped now: curing a bad line may have zeroed a copy's page. */
	for (int i = 0; i < 2; i++)
		if (memcmp(w->wal.addr + super_off[i], &w->super, sizeof(w->super)) && !MUTANT(super_repair))
			persist(w, super_off[i], &w->super, sizeof(w->super));
	return 0;
}

int walfile_open_ro(struct walfile *w, const struct pm_ops *pm, const char *path,
		    const uint8_t uuid[16])
{
	struct place p;
	int err = place_of(&p, path);

	*w = (struct walfile){ .pm = pm ? pm : &pm_nvmm, .read_only = true };
	if (!err)
		err = walfile_look(w, &p, uuid);
	return err ? err : walfile_load(w, show_both(w, &p));
}

/* ---- creation ---- */

static void fill_super(struct wal_super *s, const struct walfile_want *want)
{
	*s = (struct wal_super){
		.lanes = want->lanes, .buf_size = want->buf_size, .entries = want->entries,
		.bufs = want->bufs, .created_ms = want->now_ms, .class = want->cls,
	};
	memcpy(s->store_uuid, want->uuid, 16);
	super_encode(s);
}

/* Writes everything but the magics, in any order, with one fence at the end. */
static void write_body(struct walfile *w, const struct walfile_want *want)
{
	const struct pm_ops *pm = w->pm;
	struct wal_super s = w->super;
	uint64_t len = walfile_bytes(s.lanes, s.entries);
	struct wal_head h;

	if (!MUTANT(create_order))
		s.magic = 0;
	pm->zero(pm->ctx, w->wal.addr + WAL_HEADS_A, len - WAL_HEADS_A);
	for (int copy = 0; copy < 2; copy++) {
		pm->store(pm->ctx, w->wal.addr + super_off[copy], &s, sizeof(s));
		for (unsigned i = 0; i < s.lanes; i++) {
			head_encode(&h, i, 1, 0, want->next_seq ? want->next_seq[i] : 1);
			pm->store(pm->ctx, w->wal.addr + head_off(copy, i), &h, sizeof(h));
		}
	}
	if (!MUTANT(create_body_flush))
		pm->flush(pm->ctx, w->wal.addr, len);
	if (!MUTANT(create_body_fence))
		pm->fence(pm->ctx);
	for (unsigned i = 0; i < s.lanes; i++)
		w->lane[i] = (struct walfile_lane){ .gen = 1, .seq = want->next_seq ? want->next_seq[i] : 1 };
}

int walfile_create(struct walfile *w, const struct pm_ops *pm, const char *path,
		   const struct walfile_want *want)
{
	static const uint64_t none = 0;
	struct place p;
	int err = place_of(&p, path);

	*w = (struct walfile){ .pm = pm };
	fill_super(&w->super, want);
	if (!err && super_decode(&w->super) != SUPER_VALID)
		err = -EINVAL;
	if (!err)
		err = map_both(w, &p, PM_CREATE | (class_needs_nvmm(want->cls) ? PM_SYNC : 0));
	if (err)
		return err;
	for (int i = 0; i < 2; i++)
		if (!MUTANT(create_magic_zero))
			persist(w, super_off[i], &none, sizeof(none));
	w->bonded = true;		/* a bond that may be there is another store's: clear it */
	if (want->bond)
		walfile_bond_write(w, want->bond);
	else
		walfile_bond_clear(w);
	write_body(w, want);
	for (int i = 0; i < 2; i++)
		persist(w, super_off[i], &w->super.magic, sizeof(w->super.magic));
	return 0;
}
