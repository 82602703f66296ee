/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blk_sim.c - the operations of the file system in memory of blk_sim.h, its steps and
 * faults.
 */
#include "blk_sim_priv.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/store.h"

/* ---- steps, faults ---- */

/* In front of every operation: 0, or the -errno it fails with.  *begun: it fails
 * because of the crash, as an operation that had begun. */
static int op_enter(struct blk_sim *s, enum sim_op op, bool changes, bool *begun)
{
	struct fault *f = &s->fault[op];

	*begun = false;
	if (s->crashed)
		return -EIO;
	s->calls[op]++;
	if (changes) {
		s->count++;
		if (s->step && s->step(s->step_arg, op)) {
			s->crashed = true;
			*begun = true;
			return -EIO;
		}
	}
	if (!f->err)
		return 0;
	if (f->nth > 1) {
		f->nth--;
		return 0;
	}
	int err = -f->err;

	if (!f->forever && --f->times == 0)
		f->err = 0;
	return err;
}

static void op_pending(struct blk_sim *s, enum sim_op op, const char *path, const char *to,
		       unsigned ino)
{
	s->op = sim_grow(s->op, s->nop + 1, sizeof(*s->op));
	s->op[s->nop++] = (struct dir_op){ .op = op, .path = sim_need(strdup(path)),
		.to = to ? sim_need(strdup(to)) : NULL, .ino = ino };
}

/* ---- the operations ---- */

/* The whole name in path; 0 or -ENOENT: the folder is gone, or another has its name. */
static int path_of(const struct blk_sim *s, const struct blk_dir *at, const char *name,
		   char path[4096])
{
	const struct name *e;

	if (!at) {
		snprintf(path, 4096, "%s", name);
		return 0;
	}
	e = sim_name_find(&s->seen, at->path);
	if (!sim_is_root(at->path) && (!e || e->ino != at->ino))
		return -ENOENT;
	if (!strcmp(name, ".."))
		sim_parent_of(at->path, path, 4096);
	else if (!strcmp(name, "."))
		snprintf(path, 4096, "%s", at->path);
	else if (sim_is_root(at->path))
		snprintf(path, 4096, "%s%s", at->path[0] == '/' ? "/" : "", name);
	else
		snprintf(path, 4096, "%s/%s", at->path, name);
	if (strlen(path) > 2 && !strcmp(path + strlen(path) - 2, "/."))	/* there are no links */
		path[strlen(path) - 2] = '\0';
	return 0;
}

static int sim_dir_open(void *ctx, struct blk_dir *at, const char *name, struct blk_dir **out)
{
	struct blk_sim *s = ctx;
	bool begun;
	int err = op_enter(s, SIM_OPEN, false, &begun);
	const struct name *e;
	struct blk_dir *d;
	char path[4096];

	if (!err)
		err = path_of(s, at, name, path);
	if (err)
		return err;
	e = sim_name_find(&s->seen, path);
	if (!sim_dir_there(s, &s->seen, path))
		return !e ? -ENOENT : at ? STORE_ENOTDIR : -ENOTDIR;
	d = sim_need(calloc(1, sizeof(*d)));
	d->s = s;
	d->path = sim_need(strdup(path));
	d->ino = e ? e->ino : UINT_MAX;
	if (e)
		s->ino[e->ino].handles++;
	*out = d;
	return 0;
}

static void sim_dir_close(struct blk_dir *d)
{
	if (d->ino != UINT_MAX) {
		d->s->ino[d->ino].handles--;
		sim_inodes_collect(d->s);
	}
	free(d->path);
	free(d);
}

static int sim_open(void *ctx, struct blk_dir *at, const char *name, int flags,
		    struct blk_file **out)
{
	struct blk_sim *s = ctx;
	bool create = flags & BLK_CREATE, begun;
	int err = op_enter(s, SIM_OPEN, create, &begun);
	struct name *e;
	char dir[4096], path[4096];

	if (err && !begun)
		return err;
	if (path_of(s, at, name, path))
		return err ? err : -ENOENT;
	e = sim_name_find(&s->seen, path);
	sim_parent_of(path, dir, sizeof(dir));
	if (create && e)
		return err ? err : -EEXIST;
	if (!sim_dir_there(s, &s->seen, dir) || (!create && !e))
		return err ? err : -ENOENT;
	if (e && s->ino[e->ino].dir)
		return err ? err : STORE_ENOTFILE;
	if (create) {
		unsigned ino = sim_inode_new(s, false);

		sim_name_set(&s->seen, path, ino);
		op_pending(s, SIM_OPEN, path, NULL, ino);
		e = sim_name_find(&s->seen, path);
	}
	if (err)
		return err;
	*out = sim_need(calloc(1, sizeof(**out)));
	(*out)->s = s;
	(*out)->ino = e->ino;
	(*out)->writable = create || flags & BLK_RDWR;
	s->ino[e->ino].handles++;
	return 0;
}

static void sim_close(struct blk_file *f)
{
	struct inode *n = &f->s->ino[f->ino];

	n->handles--;
	if (n->locked == f)
		n->locked = NULL;
	sim_inodes_collect(f->s);
	free(f);
}

static int id_of(const struct blk_sim *s, unsigned ino, struct blk_id *id)
{
	*id = (struct blk_id){ 1, ino, ino < s->nino && s->ino[ino].linked ? 2 : 1, ino < s->nino ? s->ino[ino].seen.len : 0 };
	return 0;
}

static int sim_id(struct blk_file *f, struct blk_id *id)
{
	const struct blk_sim *s = f->s;

	id_of(s, f->ino, id);
	for (size_t i = 0; i < s->seen.n; i++)
		if (s->seen.v[i].ino == f->ino)
			return 0;
	return -ENOENT;
}

static int sim_id_at(void *ctx, struct blk_dir *at, const char *name, struct blk_id *id)
{
	struct blk_sim *s = ctx;
	const struct name *e;
	char path[4096];
	int err = s->crashed ? -EIO : path_of(s, at, name, path);

	if (err)
		return err;
	e = sim_name_find(&s->seen, path);
	if (e || sim_is_root(path))
		return id_of(s, e ? e->ino : UINT_MAX, id);
	return -ENOENT;
}

static int sim_where(struct blk_dir *d, char *path, size_t n, uint64_t *fsid)
{
	snprintf(path, n, "%s", d->path);
	*fsid = 1;
	return 0;
}

static int sim_size(struct blk_file *f, uint64_t *bytes)
{
	if (f->s->crashed)
		return -EIO;
	*bytes = f->s->ino[f->ino].seen.len;
	return 0;
}

static int sim_read(struct blk_file *f, void *p, size_t n, uint64_t off)
{
	const struct sim_pages *b;
	bool begun;
	int err = op_enter(f->s, SIM_READ, false, &begun);

	if (err)
		return err;
	b = &f->s->ino[f->ino].seen;
	if (off + n > b->len)
		return -ENODATA;
	if (sim_inode_bad(&f->s->ino[f->ino], n, off, false))
		return -EIO;
	sim_pages_read(b, off, p, n);
	return 0;
}

/* How much of n bytes at off there is room for. */
static uint64_t room_for(const struct blk_sim *s, const struct inode *n, uint64_t len, uint64_t off)
{
	uint64_t left, used = blk_sim_used(s);

	if (!s->capacity || off + len <= n->seen.len)
		return len;
	left = used < s->capacity ? s->capacity - used : 0;
	if (off + len - n->seen.len <= left)
		return len;
	left += n->seen.len;
	return left > off ? left - off : 0;
}

static int sim_write(struct blk_file *f, struct iovec *iov, unsigned cnt, uint64_t off)
{
	struct blk_sim *s = f->s;
	uint64_t total = 0, left;
	bool begun;
	int err;

	if (!f->writable)
		return -EBADF;
	err = op_enter(s, SIM_WRITE, true, &begun);
	if (err && s->crashed && !begun)
		return err;
	for (unsigned i = 0; i < cnt; i++)
		total += iov[i].iov_len;
	if (!err && sim_inode_bad(&s->ino[f->ino], total, off, true))
		return -EIO;
	left = room_for(s, &s->ino[f->ino], total, off);
	if (!err && left < total)
		err = -ENOSPC;
	else if (err && !begun)
		left = left < total / 2 ? left : total / 2;
	for (unsigned i = 0; i < cnt && left; i++) {
		uint64_t n = iov[i].iov_len < left ? iov[i].iov_len : left;

		sim_inode_write(&s->ino[f->ino], iov[i].iov_base, n, off);
		off += n;
		left -= n;
	}
	return err;
}

static int sim_sync(struct blk_file *f)
{
	bool begun;
	int err = op_enter(f->s, SIM_SYNC, true, &begun);
	struct inode *n = &f->s->ino[f->ino];

	if (err && f->s->crashed)
		return err;
	if (!err)
		sim_inode_synced(n);
	else
		for (size_t i = 0; i < n->nver; i++)
			n->ver[i].doomed = true;
	return err;
}

static int sim_mkdir(void *ctx, struct blk_dir *at, const char *name)
{
	struct blk_sim *s = ctx;
	bool begun;
	int err = op_enter(s, SIM_MKDIR, true, &begun);
	const struct name *e;
	char dir[4096], path[4096];
	unsigned ino;

	if (err && !begun)
		return err;
	if (path_of(s, at, name, path))
		return err ? err : -ENOENT;
	e = sim_name_find(&s->seen, path);
	sim_parent_of(path, dir, sizeof(dir));
	if (sim_is_root(path) || (e && s->ino[e->ino].dir))
		return err;
	if (e || !sim_dir_there(s, &s->seen, dir))
		return err ? err : e ? -ENOTDIR : -ENOENT;
	ino = sim_inode_new(s, true);
	sim_name_set(&s->seen, path, ino);
	op_pending(s, SIM_MKDIR, path, NULL, ino);
	return err;
}

static int sim_rename(void *ctx, struct blk_dir *at, const char *a, const char *b)
{
	struct blk_sim *s = ctx;
	bool begun;
	int err = op_enter(s, SIM_RENAME, true, &begun);
	const struct name *e;
	char dir[4096], from[4096], to[4096];
	unsigned ino;

	if (err && !begun)
		return err;
	if (path_of(s, at, a, from) || path_of(s, at, b, to))
		return err ? err : -ENOENT;
	e = sim_name_find(&s->seen, from);
	sim_parent_of(to, dir, sizeof(dir));
	if (!e || !sim_dir_there(s, &s->seen, dir))
		return err ? err : -ENOENT;
	if (sim_name_find(&s->seen, to))
		return err ? err : -EEXIST;
	ino = e->ino;
	sim_name_remove(&s->seen, from);
	sim_name_set(&s->seen, to, ino);
	op_pending(s, SIM_RENAME, from, to, ino);
	return err;
}

static int sim_unlink(void *ctx, struct blk_dir *at, const char *name)
{
	struct blk_sim *s = ctx;
	bool begun;
	int err = op_enter(s, SIM_UNLINK, true, &begun);
	const struct name *e;
	char path[4096];
	unsigned ino;

	if (err && !begun)
		return err;
	if (path_of(s, at, name, path))
		return err ? err : -ENOENT;
	e = sim_name_find(&s->seen, path);
	if (!e || s->ino[e->ino].dir)
		return err ? err : e ? -EISDIR : -ENOENT;
	ino = e->ino;
	sim_name_remove(&s->seen, path);
	op_pending(s, SIM_UNLINK, path, NULL, ino);
	return err;
}

static bool op_in_dir(const struct dir_op *o, const char *dir)
{
	char parent[4096];

	sim_parent_of(o->path, parent, sizeof(parent));
	return !strcmp(parent, dir);
}

static int sim_sync_dir(struct blk_dir *d)
{
	struct blk_sim *s = d->s;
	bool begun, behind = false;
	int err = op_enter(s, SIM_SYNC_DIR, true, &begun);
	char path[4096];
	size_t kept = 0;

	if (err && s->crashed)
		return err;
	if (path_of(s, d, ".", path))
		return -ENOENT;
	for (size_t i = 0; i < s->nop; i++) {
		struct dir_op *o = &s->op[i];
		bool mine = op_in_dir(o, path);

		if (mine && err && !o->must)
			o->doomed = true;
		behind |= mine && o->doomed;
		if (mine && !err && !o->doomed && behind)
			o->must = true;
		if (!mine || err || behind) {
			s->op[kept++] = *o;
			continue;
		}
		sim_op_apply(&s->dur, o);
		free(o->path);
		free(o->to);
	}
	s->nop = kept;
	sim_inodes_collect(s);
	return err;
}

static int sim_list(struct blk_dir *d, int (*cb)(void *arg, const char *name), void *arg)
{
	struct blk_sim *s = d->s;
	bool begun;
	int err = op_enter(s, SIM_LIST, false, &begun);
	struct names copy = { 0 };
	char dir[4096], path[4096];

	if (!err)
		err = path_of(s, d, ".", path);
	if (err)
		return err;
	sim_names_copy(&copy, &s->seen);		/* cb may change the directory */
	for (size_t i = 0; i < copy.n && !err; i++) {
		const char *slash = strrchr(copy.v[i].path, '/');

		sim_parent_of(copy.v[i].path, dir, sizeof(dir));
		if (!strcmp(dir, path))
			err = cb(arg, slash ? slash + 1 : copy.v[i].path);
	}
	sim_names_free(&copy);
	return err;
}

static int sim_lock(struct blk_file *f)
{
	bool begun;
	int err = op_enter(f->s, SIM_LOCK, false, &begun);
	struct inode *n = &f->s->ino[f->ino];

	if (err)
		return err;
	if (n->locked && n->locked != f)
		return -EWOULDBLOCK;
	n->locked = f;
	return 0;
}

static const struct blk_ops sim_ops = {
	.dir_open = sim_dir_open, .dir_close = sim_dir_close, .open = sim_open, .close = sim_close,
	.id = sim_id, .id_at = sim_id_at, .where = sim_where, .size = sim_size, .read = sim_read,
	.write = sim_write, .sync = sim_sync, .mkdir = sim_mkdir,
	.rename = sim_rename, .unlink = sim_unlink, .sync_dir = sim_sync_dir,
	.list = sim_list, .lock = sim_lock,
};

/* ---- simulators ---- */

struct blk_sim *blk_sim_new(void)
{
	struct blk_sim *s = sim_need(calloc(1, sizeof(*s)));

	s->ops = sim_ops;
	s->ops.ctx = s;
	return s;
}

void blk_sim_free(struct blk_sim *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->nino; i++)
		sim_inode_free(&s->ino[i]);
	for (size_t i = 0; i < s->nop; i++) {
		free(s->op[i].path);
		free(s->op[i].to);
	}
	free(s->op);
	free(s->ino);
	sim_names_free(&s->seen);
	sim_names_free(&s->dur);
	free(s);
}

const struct blk_ops *blk_sim_ops(struct blk_sim *s)
{
	return &s->ops;
}

void blk_sim_step(struct blk_sim *s, int (*step)(void *arg, enum sim_op op), void *arg)
{
	s->step = step;
	s->step_arg = arg;
}

uint64_t blk_sim_count(const struct blk_sim *s)
{
	return s->count;
}

void blk_sim_fault(struct blk_sim *s, enum sim_op op, unsigned nth, unsigned times, int err)
{
	s->fault[op] = (struct fault){ nth, times, times == 0, err };
}

uint64_t blk_sim_calls(const struct blk_sim *s, enum sim_op op)
{
	return s->calls[op];
}

void blk_sim_capacity(struct blk_sim *s, uint64_t bytes)
{
	s->capacity = bytes;
}

uint64_t blk_sim_used(const struct blk_sim *s)
{
	uint64_t used = 0;

	for (size_t i = 0; i < s->seen.n; i++)
		used += s->ino[s->seen.v[i].ino].seen.len;
	return used;
}

const char *sim_op_name(enum sim_op op)
{
	static const char *const names[SIM_OPS] = {
		"open", "read", "write", "sync", "mkdir", "rename", "unlink", "sync_dir",
		"list", "lock",
	};

	return op < SIM_OPS ? names[op] : "?";
}
