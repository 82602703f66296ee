/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * storefile.c - the file STORE/store and the directories of the lanes (storefile.h).
 *
 * Creation, each step synced before the next: STORE, STORE/log, the file with both
 * copies, the file's name.  No lane is made before the last step, so a store whose
 * creation was cut is BLANK or not there, and is created again.
 */
#include "files/storefile.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "files/bond.h"
#include "segment/seg_scan.h"
#include "util/crc32c.h"
#include "util/dice.h"
#include "util/error.h"
#include "util/mutant.h"

#define COPY_A 0u
#define COPY_B 4096u

__attribute__((format(printf, 4, 5)))
static int storefile_say(char *why, size_t n, int err, const char *fmt, ...)
{
	va_list ap;

	if (why && n) {
		va_start(ap, fmt);
		vsnprintf(why, n, fmt, ap);
		va_end(ap);
	}
	return err;
}

/* ---- codec ---- */

static uint32_t block_crc(const struct storefile_block *b)
{
	return crc32c(b, offsetof(struct storefile_block, crc));
}

void storefile_block_encode(struct storefile_block *b)
{
	b->magic = STOREFILE_MAGIC;
	b->version = WAL_VERSION;
	b->byte_order = WAL_BYTE_ORDER;
	b->crc = block_crc(b);
}

int storefile_block_check(const struct storefile_block *b)
{
	static const struct storefile_block zeros;

	if (!memcmp(b, &zeros, sizeof(zeros)))
		return -ENODATA;
	if (b->magic == __builtin_bswap64(STOREFILE_MAGIC))
		return STORE_EBYTEORDER;
	if (b->magic != STOREFILE_MAGIC)
		return STORE_EFORMAT;
	if (b->crc != block_crc(b) && !MUTANT(store_crc_check))
		return STORE_EFORMAT;
	if (b->byte_order != WAL_BYTE_ORDER)
		return STORE_EBYTEORDER;
	if (b->version != WAL_VERSION && !MUTANT(store_version_check))
		return STORE_EVERSION;
	if (!memchr(b->nvmm_path, 0, sizeof(b->nvmm_path)))
		return STORE_EVERSION;	/* by an older program, where paths could be longer */
	if (b->segment_bytes < SEG_BYTES_MIN || b->segment_bytes > SEG_BYTES_MAX ||
	    b->segment_bytes % WAL_PAGE)
		return STORE_EFORMAT;
	return 0;
}

/* ---- the two copies ---- */

struct copies {
	struct storefile_block a, b;
	int	 ea, eb;	/* 0, -ENODATA zero or not there, -EIO, STORE_E* */
};

static int storefile_read_copy(const struct blk_ops *blk, struct blk_file *f, uint64_t off,
			       struct storefile_block *b)
{
	int err = blk->read(f, b, sizeof(*b), off);

	if (err == -EIO && MUTANT(store_unreadable))
		return STORE_EFORMAT;
	return err ? err : storefile_block_check(b);
}

static bool storefile_of_another_format(int err)
{
	return err == STORE_EVERSION || err == STORE_EBYTEORDER;
}

/* Picks the copy that counts: 0 and *best, or what is wrong with both.  A copy of another
 * format beside one of ours is no damage that may be written over: it was left by a program
 * that was killed while it converted the store. */
static int pick_copy(const struct blk_ops *blk, struct blk_file *f, struct copies *c,
		     struct storefile_block *best)
{
	c->ea = storefile_read_copy(blk, f, COPY_A, &c->a);
	c->eb = storefile_read_copy(blk, f, COPY_B, &c->b);
	if ((storefile_of_another_format(c->ea) || storefile_of_another_format(c->eb)) && !MUTANT(store_newer_check))
		return storefile_of_another_format(c->ea) ? c->ea : c->eb;
	if (!c->ea && (c->eb || c->a.gen >= c->b.gen || MUTANT(store_gen_check)))
		*best = c->a;
	else if (!c->eb)
		*best = c->b;
	else if (c->ea == -EIO || c->eb == -EIO)
		return -EIO;
	else if (c->ea == -ENODATA)
		return c->eb;
	else
		return c->ea;
	return 0;
}

static int write_copy(struct storefile *s, uint64_t off)
{
	struct iovec iov = { &s->b, sizeof(s->b) };

	return s->blk->write(s->file, &iov, 1, off);
}

/* Writes both copies, one after the other: at any moment one is whole on the disk. */
static int write_both(struct storefile *s)
{
	int err;

	storefile_block_encode(&s->b);
	err = write_copy(s, COPY_A);
	if (!err && !MUTANT(store_sync_a))
		err = s->blk->sync(s->file);
	if (!err)
		err = write_copy(s, COPY_B);
	if (!err && !MUTANT(store_sync_b))
		err = s->blk->sync(s->file);
	if (!err)
		s->a_bad = s->b_bad = false;
	return MUTANT(store_write_result) ? 0 : err;
}

/* Writes every block of the file that the device refuses to read, as a whole: such a block
 * cannot be written in part.  It held no valid copy, so nothing that counts is lost. */
static int heal(struct storefile *s)
{
	uint8_t block[BLK_BLOCK];
	bool any = s->a_bad || s->b_bad;
	int err = 0;

	for (unsigned i = 0; i < LANES_MAX; i++)
		any |= s->lane_bad[i];
	if (MUTANT(store_heal))
		return 0;
	for (uint64_t off = COPY_A; any && off < STOREFILE_LANES_B + sizeof(s->lane) && !err; off += sizeof(block)) {
		struct iovec iov = { block, sizeof(block) };

		if (s->blk->read(s->file, block, sizeof(block), off) != -EIO)
			continue;
		memset(block, 0, sizeof(block));
		if (off < STOREFILE_LANES_A)
			memcpy(block, &s->b, sizeof(s->b));
		else
			memcpy(block, (uint8_t *)s->lane + (off - STOREFILE_LANES_A) % sizeof(s->lane), sizeof(block));
		err = s->blk->write(s->file, &iov, 1, off);
	}
	return err;
}

/* ---- lanes ---- */

struct lanes {
	bool	*set;
	unsigned n;
};

static int lane_one(void *arg, const char *name)
{
	struct lanes *l = arg;
	unsigned lane;

	if (strlen(name) != 3 || strspn(name, "0123456789") != 3)
		return 0;
	lane = (unsigned)atoi(name);
	if (lane >= LANES_MAX)
		return 0;
	if (l->set)
		l->set[lane] = true;
	if (lane >= l->n)
		l->n = lane + 1;
	return 0;
}

static int list_lanes(const struct blk_ops *blk, struct blk_dir *log, bool *set, unsigned *n)
{
	struct lanes l = { .set = set };
	int err;

	if (set)
		memset(set, 0, LANES_MAX * sizeof(*set));
	err = log ? blk->list(log, lane_one, &l) : 0;
	*n = l.n;
	return err;
}

int storefile_lanes_list(const struct storefile *s, bool *set, unsigned *n)
{
	return list_lanes(s->blk, s->log, set, n);
}

void storefile_lane_name(char name[STOREFILE_LANE_NAME], unsigned lane)
{
	snprintf(name, STOREFILE_LANE_NAME, "%03u", lane);
}

/* ---- folders ---- */

static int storefile_open_log(const struct blk_ops *blk, struct blk_dir *root, struct blk_dir **log)
{
	int err = blk->dir_open(blk->ctx, root, "log/.", log);	/* "/.": log may be a link */

	return err == -ENOENT ? 0 : err;
}

/* Syncs the folder that the store's folder is in now, wherever it was moved to. */
static int storefile_sync_parent(const struct storefile *s)
{
	struct blk_dir *up;
	int err = s->blk->dir_open(s->blk->ctx, s->root, "..", &up);

	if (err == -EACCES)	/* we may not open it, so somebody else made the store's folder */
		return 0;
	if (err)
		return err;
	if (!MUTANT(store_parent_dir_sync))
		err = s->blk->sync_dir(up);
	s->blk->dir_close(up);
	return err;
}

/* Syncs the names above the lanes first: the process that created the store may have been
 * killed before it did, and nothing may be built on a name that a power cut takes away.  Lanes
 * without the file `store` would look like a store that is lost. */
int storefile_lanes_make(struct storefile *s, unsigned n)
{
	char name[STOREFILE_LANE_NAME];
	int err = n <= LANES_MAX ? 0 : -EINVAL;

	if (!err)
		err = s->blk->mkdir(s->blk->ctx, s->root, "log");
	if (!err && !s->log)
		err = storefile_open_log(s->blk, s->root, &s->log);
	if (!err && !MUTANT(store_dir_sync))
		err = s->blk->sync_dir(s->root);
	for (unsigned i = 0; i < n && !err; i++) {
		storefile_lane_name(name, i);
		err = s->blk->mkdir(s->blk->ctx, s->log, name);
	}
	if (!err && !MUTANT(store_lanes_dir_sync))
		err = s->blk->sync_dir(s->log);
	if (MUTANT(store_lanes_result))
		err = 0;
	return err ? err : storefile_sync_parent(s);
}

/* ---- looking ---- */

static enum storefile_found found_of(int err)
{
	switch (err) {
	case 0:
		return STOREFILE_GOOD;
	case -ENODATA:
		return STOREFILE_BLANK;
	case STORE_EVERSION:
		return STOREFILE_VERSION;
	case STORE_EBYTEORDER:
		return STOREFILE_ORDER;
	case -EIO:
		return STOREFILE_UNREADABLE;
	default:
		return STOREFILE_BAD;
	}
}

static int probe_in(const struct blk_ops *blk, struct blk_dir *root, enum storefile_found *found,
		    struct storefile_block *b)
{
	struct blk_dir *log = NULL;
	struct storefile_block best;
	struct blk_file *f;
	struct copies c;
	unsigned lanes = 0;
	int err = storefile_open_log(blk, root, &log);

	if (err == STORE_ENOTDIR) {
		*found = STOREFILE_BAD;
		return 0;
	}
	if (!err)
		err = list_lanes(blk, log, NULL, &lanes);
	if (log)
		blk->dir_close(log);
	if (!err)
		err = blk->open(blk->ctx, root, "store", BLK_RDONLY, &f);
	if (err == -ENOENT) {
		*found = lanes ? STOREFILE_BAD : STOREFILE_NONE;
		return 0;
	}
	if (err)
		return err;
	err = pick_copy(blk, f, &c, &best);
	blk->close(f);
	if (err < 0 && err > -1000 && err != -ENODATA && err != -EIO)
		return err;
	*found = found_of(err);
	if (*found == STOREFILE_BLANK && lanes)
		*found = STOREFILE_BAD;
	if (!err && b)
		*b = best;
	return 0;
}

int storefile_probe(const struct blk_ops *blk, const char *dir, enum storefile_found *found,
		    struct storefile_block *b)
{
	struct blk_dir *root;
	int err = blk->dir_open(blk->ctx, NULL, dir, &root);

	*found = STOREFILE_NONE;
	if (err)
		return err == -ENOENT ? 0 : err == -ENOTDIR ? STORE_ENOTDIR : err;
	err = probe_in(blk, root, found, b);
	blk->dir_close(root);
	return err;
}

/* ---- creating ---- */

static int list_foreign(void *arg, const char *name)
{
	static const char *const fine[] = { "store", "log", "lost+found", "wal", "pktbufs" };

	for (size_t i = 0; i < sizeof(fine) / sizeof(fine[0]); i++)
		if (!strcmp(name, fine[i]))
			return 0;
	snprintf(arg, 64, "%s", name);
	return STORE_EFORMAT;
}

/* Makes the directory if need be, and its name durable; refuses one with foreign files. */
static int make_dir(struct storefile *s, char *why, size_t why_len)
{
	const struct blk_ops *blk = s->blk;
	char name[64] = "";
	int err = blk->dir_open(blk->ctx, NULL, s->dir, &s->root);

	if (err == -ENOENT) {
		err = blk->mkdir(blk->ctx, NULL, s->dir);
		if (err == -ENOENT)
			return storefile_say(why, why_len, err, "%s: the directory that it is to be made in does not "
					     "exist: make it first", s->dir);
		if (err)
			return storefile_say(why, why_len, err, "cannot make the directory %s: %s", s->dir,
					     strerror(-err));
		err = blk->dir_open(blk->ctx, NULL, s->dir, &s->root);
	}
	if (!err)
		err = blk->list(s->root, list_foreign, name);
	if (err == STORE_EFORMAT)
		return storefile_say(why, why_len, err, "%s is not empty and not a store (there is %s in it): "
				     "name an empty or a new directory", s->dir, name);
	if (err)
		return storefile_say(why, why_len, err, "cannot read the directory %s: %s", s->dir,
				     strerror(-err));
	/* Synced even if it was there: whoever made it may have crashed before the sync. */
	err = storefile_sync_parent(s);
	return err ? storefile_say(why, why_len, err, "cannot sync the directory of %s: %s", s->dir,
				   strerror(-err)) : 0;
}

/* Looks again under the lock: since this process found the folder empty, another one may have
 * made a store in it, and ended. */
static int still_blank(struct storefile *s)
{
	struct storefile_block best;
	struct copies c;
	int err = pick_copy(s->blk, s->file, &c, &best);

	if (err == -ENODATA || MUTANT(store_create_look))
		return 0;
	if (!err)
		return STORE_EBUSY;
	return err == STORE_EFORMAT ? -EIO : err;		/* it is not blank any more */
}

static int make_file(struct storefile *s)
{
	const struct blk_ops *blk = s->blk;
	int err = blk->mkdir(blk->ctx, s->root, "log");

	if (!err)
		err = storefile_open_log(blk, s->root, &s->log);
	if (!err)
		err = blk->open(blk->ctx, s->root, "store", BLK_RDWR | BLK_CREATE, &s->file);
	if (err == -EEXIST)
		err = blk->open(blk->ctx, s->root, "store", BLK_RDWR, &s->file);
	if (err)
		return err;
	err = MUTANT(store_create_lock) ? 0 : blk->lock(s->file);
	if (err)
		return err == -EWOULDBLOCK ? STORE_EBUSY : err;
	err = still_blank(s);
	if (!err)
		err = write_both(s);
	/* The file gets its final length now, so no later write of the table needs room. */
	if (!err)
		err = seg_write_zeros(blk, s->file, STOREFILE_LANES_A, 2 * sizeof(s->lane));
	if (!err && !MUTANT(store_table_sync))
		err = blk->sync(s->file);
	if (!err && !MUTANT(store_create_dir_sync))
		err = blk->sync_dir(s->root);
	return err;
}

static int start(struct storefile *s, const struct blk_ops *blk, const char *dir)
{
	size_t n = strlen(dir);

	*s = (struct storefile){ .blk = blk };
	while (n > 1 && dir[n - 1] == '/')
		n--;
	if (!n || n >= sizeof(s->dir))
		return n ? -ENAMETOOLONG : -ENOENT;
	memcpy(s->dir, dir, n);
	return 0;
}

int storefile_create(struct storefile *s, const struct blk_ops *blk, const char *dir,
		     const struct storefile_block *b, char *why, size_t why_len)
{
	enum storefile_found found;
	int err = start(s, blk, dir);

	if (!err)
		err = storefile_probe(blk, s->dir, &found, NULL);
	if (err)
		return storefile_say(why, why_len, err, "cannot look at %s: %s", dir, store_strerror(err));
	if (found != STOREFILE_NONE && found != STOREFILE_BLANK)
		return storefile_say(why, why_len, STORE_EFORMAT, "%s holds a store (or what is left of one) "
				     "already: nothing was changed", dir);
	err = make_dir(s, why, why_len);
	if (err) {
		storefile_close(s);
		return err;
	}
	/* Flagged open from the start: a copy that a crash left unwritten is no damage then. */
	s->b = (struct storefile_block){ .gen = 1, .created_ms = b->created_ms,
		.flags = MUTANT(store_create_open) ? 0 : STOREFILE_OPEN,
		.segment_bytes = b->segment_bytes, .class = b->class };
	dice_bytes(s->b.uuid, sizeof(s->b.uuid));
	err = make_file(s);
	if (!err)
		return 0;
	storefile_close(s);
	return storefile_say(why, why_len, err, "cannot create a store in %s: %s", dir, store_strerror(err));
}

/* ---- opening ---- */

static int complain(const struct storefile *s, int err, char *why, size_t n)
{
	switch (err) {
	case -ENOENT:
	case -ENOTDIR:
		return storefile_say(why, n, STORE_ENODIR, "there is no store in %s", s->dir);
	case -EWOULDBLOCK:
		return storefile_say(why, n, STORE_EBUSY, "another process has the store %s open", s->dir);
	case -ENODATA:
	case STORE_EFORMAT:
		return storefile_say(why, n, STORE_EFORMAT, "%s/store has no valid copy of its block: it is "
				     "not a store, or damaged beyond use", s->dir);
	case STORE_EVERSION:
		return storefile_say(why, n, err, "the store %s is of another format version than this "
				     "program's (%u)", s->dir, WAL_VERSION);
	case STORE_EBYTEORDER:
		return storefile_say(why, n, err, "the store %s was written on a machine of the other byte "
				     "order", s->dir);
	case STORE_ENOTDIR:
		return storefile_say(why, n, err, "%s/log is neither a folder nor a link to one, but a file, a pipe, a socket or "
				     "a device, so it is left alone: put the folder there that has the store's segments",
				     s->dir);
	case -EROFS:
		return storefile_say(why, n, err, "%s is on a file system that is mounted read-only, and has to be "
				     "written: mount it for writing (`pasted-recover check` and `dump` only read)",
				     s->dir);
	default:
		return storefile_say(why, n, err, "cannot open %s/store: %s", s->dir, store_strerror(err));
	}
}

int storefile_open(struct storefile *s, const struct blk_ops *blk, const char *dir, bool readonly,
		   char *why, size_t why_len)
{
	struct copies c;
	int err = start(s, blk, dir);

	s->readonly = readonly;
	if (!err)
		err = blk->dir_open(blk->ctx, NULL, s->dir, &s->root);
	if (!err)
		err = blk->open(blk->ctx, s->root, "store", readonly ? BLK_RDONLY : BLK_RDWR, &s->file);
	if (!err && !MUTANT(store_open_lock))
		err = blk->lock(s->file);
	if (!err)
		err = pick_copy(blk, s->file, &c, &s->b);
	if (!err)
		err = storefile_lanes_read(s);
	if (!err)
		err = storefile_open_log(blk, s->root, &s->log);
	if (!err) {
		s->a_bad = c.ea;
		s->b_bad = c.eb;
		s->a_unread = c.ea == -EIO;
		s->b_unread = c.eb == -EIO;
		/* Writes both copies again: one may be behind or bad, and what was read may
		 * not be on the disk yet. */
		if (!readonly)
			err = heal(s);
		if (!err && !readonly && !MUTANT(store_open_rewrite))
			err = write_both(s);
		s->a_bad = c.ea;
		s->b_bad = c.eb;
	}
	if (!err)
		return 0;
	err = complain(s, err, why, why_len);
	storefile_close(s);
	return err;
}

int storefile_open_lost(struct storefile *s, const struct blk_ops *blk, const char *dir, bool readonly,
			char *why, size_t why_len)
{
	int err = start(s, blk, dir);

	s->readonly = readonly;
	s->a_bad = s->b_bad = true;
	if (!err)
		err = blk->dir_open(blk->ctx, NULL, s->dir, &s->root);
	if (!err)
		err = storefile_open_log(blk, s->root, &s->log);
	if (!err)
		err = blk->open(blk->ctx, s->root, "store", readonly ? BLK_RDONLY : BLK_RDWR, &s->file);
	if (err == -ENOENT && s->root)
		return 0;
	if (!err && !MUTANT(store_lost_lock))
		err = blk->lock(s->file);
	if (!err)
		err = storefile_lanes_read(s);	/* for the generations only, without a block */
	if (!err)
		return 0;
	err = complain(s, err, why, why_len);
	storefile_close(s);
	return err;
}

int storefile_write_again(struct storefile *s)
{
	int err = s->readonly ? -EROFS : 0;

	if (!err && !s->file) {
		err = s->blk->open(s->blk->ctx, s->root, "store", BLK_RDWR | BLK_CREATE, &s->file);
		if (!err)
			err = s->blk->lock(s->file);
	}
	if (!err)
		err = heal(s);
	if (!err)
		err = storefile_lanes_write(s);
	return err ? err : write_both(s);	/* storefile_lanes_make syncs the file's name */
}

int storefile_update(struct storefile *s, uint32_t flags, uint32_t class, const char *nvmm_path,
		     uint64_t segment_bytes)
{
	size_t n = nvmm_path ? strlen(nvmm_path) : 0;

	if (s->readonly)
		return -EROFS;
	if (n >= sizeof(s->b.nvmm_path))
		return -ENAMETOOLONG;
	s->b.gen++;
	s->b.flags = flags | (s->lanes_on ? STOREFILE_LANES : 0);
	s->b.class = class;
	s->b.segment_bytes = segment_bytes;
	memset(s->b.nvmm_path, 0, sizeof(s->b.nvmm_path));
	if (n)
		memcpy(s->b.nvmm_path, nvmm_path, n);
	return write_both(s);
}

int storefile_mark_open(struct storefile *s)
{
	s->b.gen++;
	s->b.flags |= STOREFILE_OPEN;
	return write_both(s);
}

int storefile_bond(const struct storefile *s, struct wal_bond *b)
{
	struct blk_id id = { 0 };
	int err;

	*b = (struct wal_bond){ 0 };
	memcpy(b->uuid, s->b.uuid, sizeof(b->uuid));
	err = s->blk->where(s->root, b->path, sizeof(b->path), &b->fsid);
	if (!err && s->file)
		err = s->blk->id(s->file, &id);
	b->ino = id.ino;
	bond_encode(b);
	return err;
}

void storefile_close(struct storefile *s)
{
	if (s->file)
		s->blk->close(s->file);
	if (s->log)
		s->blk->dir_close(s->log);
	if (s->root)
		s->blk->dir_close(s->root);
	s->file = NULL;
	s->log = s->root = NULL;
}

/* ---- a running store ---- */

bool storefile_moved(const struct storefile *s)
{
	struct blk_id is, at_path;
	int err = s->blk->id_at(s->blk->ctx, s->root, ".", &is);

	if (!err)
		err = s->blk->id_at(s->blk->ctx, NULL, s->dir, &at_path);
	return err == -ENOENT || err == -ENOTDIR || (!err && !blk_same(&is, &at_path));
}

/* Whether `name` in `at` is not *want any more.  held: the result of finding out *want.  Where
 * an error leaves it open, the name is taken to be there. */
static bool storefile_lost_name(const struct storefile *s, struct blk_dir *at, const char *name, int held,
				const struct blk_id *want)
{
	struct blk_id id;
	int err = held ? held : s->blk->id_at(s->blk->ctx, at, name, &id);

	return err == -ENOENT || (!err && !blk_same(&id, want));
}

bool storefile_linked(const struct storefile *s)
{
	struct blk_id id;

	return !s->blk->id(s->file, &id) && id.names > 1;
}

int storefile_watch(const struct storefile *s, const char **what)
{
	struct blk_id id;
	int err = s->blk->id_at(s->blk->ctx, s->root, ".", &id);

	*what = "the store's folder";
	if (err == -ENOENT)
		return err;
	*what = "the file `store`";
	err = s->blk->id(s->file, &id);
	if (storefile_lost_name(s, s->root, "store", err, &id) && !MUTANT(watch_store))
		return -ENOENT;
	*what = "the folder `log`";
	err = s->blk->id_at(s->blk->ctx, s->log, ".", &id);
	return storefile_lost_name(s, s->root, "log", err, &id) ? -ENOENT : 0;
}
