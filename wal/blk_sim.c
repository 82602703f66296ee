/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blk_sim.c - the file system in memory of blk_sim.h.
 *
 * An inode is kept as what reads see (`seen`), what is durable (`dur`), and the list of
 * sector versions since (`ver`, oldest first).  Names are two lists, seen and durable,
 * and the list of directory operations between them.  Inodes are numbers, so that a
 * copy of a simulator is a copy of its arrays.
 */
#include "blk_sim.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct version {		/* a sector as one write left it */
	uint64_t sector;
	bool	 doomed;	/* its sync failed: no later sync covers it */
	uint8_t	 data[SIM_SECTOR];
};

struct bytes {
	uint8_t *p;
	uint64_t len, cap;
};

struct inode {
	bool	 used, dir;
	unsigned handles;
	struct blk_file *locked;
	struct bytes seen, dur;
	struct version *ver;
	size_t	 nver, ver_cap;
	uint64_t *size;		/* after each write since the sync that made it longer */
	size_t	 nsize;
};

struct name {
	char	*path;
	unsigned ino;
};
struct names {
	struct name *v;
	size_t	 n;
};

struct dir_op {			/* done in what is seen, not yet durable */
	enum sim_op op;		/* SIM_OPEN: created; MKDIR, RENAME, UNLINK */
	char	*path, *to;	/* to: of a rename */
	unsigned ino;
	bool	 doomed, must;	/* must: synced, but behind a doomed one */
};

struct fault {
	unsigned nth, times;
	bool	 forever;
	int	 err;
};

struct blk_sim {
	struct blk_ops ops;
	struct inode *ino;
	unsigned nino;
	struct names seen, dur;
	struct dir_op *op;
	size_t	 nop;
	uint64_t capacity, count, calls[SIM_OPS];
	struct fault fault[SIM_OPS];
	int	(*step)(void *arg, enum sim_op op);
	void	*step_arg;
	bool	 crashed;
};

struct blk_file {
	struct blk_sim *s;
	unsigned ino;
	bool	 writable;
};

/* ---- memory: a simulator that has none cannot go on ---- */

static void *need(void *p)
{
	if (!p)
		abort();
	return p;
}

static void *grow(void *p, size_t n, size_t size)
{
	return need(realloc(p, (n ? n : 1) * size));
}

static void bytes_resize(struct bytes *b, uint64_t len)
{
	if (len > b->cap) {
		uint64_t cap = b->cap ? b->cap : 4096;

		while (cap < len)
			cap *= 2;
		b->p = grow(b->p, cap, 1);
		b->cap = cap;
	}
	if (len > b->len)
		memset(b->p + b->len, 0, len - b->len);
	b->len = len;
}

static void bytes_copy(struct bytes *to, const struct bytes *from)
{
	memset(to, 0, sizeof(*to));
	if (!from->len)
		return;
	to->p = need(malloc(from->len));
	to->len = to->cap = from->len;
	memcpy(to->p, from->p, from->len);
}

/* ---- names ---- */

static struct name *name_find(const struct names *l, const char *path)
{
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->v[i].path, path))
			return &l->v[i];
	return NULL;
}

static void name_set(struct names *l, const char *path, unsigned ino)
{
	struct name *e = name_find(l, path);

	if (!e) {
		l->v = grow(l->v, l->n + 1, sizeof(*l->v));
		e = &l->v[l->n++];
		e->path = need(strdup(path));
	}
	e->ino = ino;
}

static void name_remove(struct names *l, const char *path)
{
	struct name *e = name_find(l, path);

	if (!e)
		return;
	free(e->path);
	*e = l->v[--l->n];
}

static void names_copy(struct names *to, const struct names *from)
{
	to->n = from->n;
	to->v = grow(NULL, from->n, sizeof(*to->v));
	for (size_t i = 0; i < from->n; i++)
		to->v[i] = (struct name){ need(strdup(from->v[i].path)), from->v[i].ino };
}

static void names_free(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].path);
	free(l->v);
	memset(l, 0, sizeof(*l));
}

/* The directory of path: "/a/b" -> "/a", "/a" -> "/", "a" -> ".". */
static void parent_of(const char *path, char *out, size_t n)
{
	const char *slash = strrchr(path, '/');

	if (!slash)
		snprintf(out, n, ".");
	else if (slash == path)
		snprintf(out, n, "/");
	else
		snprintf(out, n, "%.*s", (int)(slash - path), path);
}

static bool is_root(const char *path)
{
	return !strcmp(path, "/") || !strcmp(path, ".");
}

static bool dir_there(const struct blk_sim *s, const struct names *l, const char *path)
{
	const struct name *e;

	if (is_root(path))
		return true;
	e = name_find(l, path);
	return e && s->ino[e->ino].dir;
}

/* ---- inodes ---- */

static unsigned inode_new(struct blk_sim *s, bool dir)
{
	unsigned i;

	for (i = 0; i < s->nino && s->ino[i].used; i++)
		;
	if (i == s->nino)
		s->ino = grow(s->ino, ++s->nino, sizeof(*s->ino));
	memset(&s->ino[i], 0, sizeof(s->ino[i]));
	s->ino[i].used = true;
	s->ino[i].dir = dir;
	return i;
}

static void inode_free(struct inode *n)
{
	free(n->seen.p);
	free(n->dur.p);
	free(n->ver);
	free(n->size);
	memset(n, 0, sizeof(*n));
}

/* Free the inodes that nothing names and nobody has open. */
static void inodes_collect(struct blk_sim *s)
{
	bool *keep = need(calloc(s->nino ? s->nino : 1, sizeof(bool)));

	for (size_t i = 0; i < s->seen.n; i++)
		keep[s->seen.v[i].ino] = true;
	for (size_t i = 0; i < s->dur.n; i++)
		keep[s->dur.v[i].ino] = true;
	for (size_t i = 0; i < s->nop; i++)
		keep[s->op[i].ino] = true;
	for (unsigned i = 0; i < s->nino; i++)
		if (s->ino[i].used && !keep[i] && !s->ino[i].handles)
			inode_free(&s->ino[i]);
	free(keep);
}

static void version_add(struct inode *n, uint64_t sector, const uint8_t *data, uint64_t len)
{
	static const uint8_t zeros[SIM_SECTOR];
	struct version v = { .sector = sector };
	const uint8_t *was = zeros;
	uint8_t pad[SIM_SECTOR] = { 0 };
	bool doomed = false;

	memcpy(v.data, data, len);
	if (sector * SIM_SECTOR < n->dur.len) {
		uint64_t have = n->dur.len - sector * SIM_SECTOR;

		memcpy(pad, n->dur.p + sector * SIM_SECTOR, have < SIM_SECTOR ? have : SIM_SECTOR);
		was = pad;
	}
	for (size_t i = n->nver; i-- > 0; )
		if (n->ver[i].sector == sector) {
			was = n->ver[i].data;
			doomed = n->ver[i].doomed;
			break;
		}
	if (!doomed && !memcmp(was, v.data, SIM_SECTOR))
		return;				/* nothing to choose between */
	if (n->nver == n->ver_cap) {
		n->ver_cap = n->ver_cap ? n->ver_cap * 2 : 16;
		n->ver = grow(n->ver, n->ver_cap, sizeof(*n->ver));
	}
	n->ver[n->nver++] = v;
}

static void inode_write(struct inode *n, const uint8_t *p, uint64_t len, uint64_t off)
{
	uint64_t end = off + len;

	if (!len)
		return;
	if (end > n->seen.len) {
		bytes_resize(&n->seen, end);
		n->size = grow(n->size, n->nsize + 1, sizeof(*n->size));
		n->size[n->nsize++] = end;
	}
	memcpy(n->seen.p + off, p, len);
	for (uint64_t i = off / SIM_SECTOR; i * SIM_SECTOR < end; i++) {
		uint64_t left = n->seen.len - i * SIM_SECTOR;

		version_add(n, i, n->seen.p + i * SIM_SECTOR,
			    left < SIM_SECTOR ? left : SIM_SECTOR);
	}
}

static void put_sector(struct bytes *b, const struct version *v)
{
	uint64_t at = v->sector * SIM_SECTOR;

	if (at < b->len)
		memcpy(b->p + at, v->data, b->len - at < SIM_SECTOR ? b->len - at : SIM_SECTOR);
}

/* A successful sync: the newest version of each sector is durable, unless it is doomed. */
static void inode_synced(struct inode *n)
{
	uint64_t sectors = (n->seen.len + SIM_SECTOR - 1) / SIM_SECTOR;
	uint8_t *done = need(calloc(sectors + 1, 1));	/* 1 hardened, 2 doomed */
	size_t kept = 0;

	bytes_resize(&n->dur, n->seen.len);
	n->nsize = 0;
	for (size_t i = n->nver; i-- > 0; ) {
		struct version *v = &n->ver[i];

		if (done[v->sector])
			continue;
		done[v->sector] = v->doomed ? 2 : 1;
		if (!v->doomed)
			put_sector(&n->dur, v);
	}
	for (size_t i = 0; i < n->nver; i++)
		if (done[n->ver[i].sector] == 2)
			n->ver[kept++] = n->ver[i];
	n->nver = kept;
	free(done);
}

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
	s->op = grow(s->op, s->nop + 1, sizeof(*s->op));
	s->op[s->nop++] = (struct dir_op){ .op = op, .path = need(strdup(path)),
		.to = to ? need(strdup(to)) : NULL, .ino = ino };
}

/* Do a directory operation in a list of names, if it applies there. */
static void op_apply(struct names *l, const struct dir_op *o)
{
	const struct name *e = name_find(l, o->path);

	switch (o->op) {
	case SIM_OPEN:
	case SIM_MKDIR:
		if (!e)
			name_set(l, o->path, o->ino);
		break;
	case SIM_UNLINK:
		if (e && e->ino == o->ino)
			name_remove(l, o->path);
		break;
	case SIM_RENAME:
		if (e && e->ino == o->ino) {
			name_remove(l, o->path);
			name_set(l, o->to, o->ino);
		}
		break;
	default:
		abort();
	}
}

/* ---- the operations ---- */

static int sim_open(void *ctx, const char *path, int flags, struct blk_file **out)
{
	struct blk_sim *s = ctx;
	bool create = flags & BLK_CREATE, begun;
	int err = op_enter(s, SIM_OPEN, create, &begun);
	struct name *e = name_find(&s->seen, path);
	char dir[4096];

	if (err && !begun)
		return err;
	parent_of(path, dir, sizeof(dir));
	if (create && e)
		return err ? err : -EEXIST;
	if (!dir_there(s, &s->seen, dir) || (!create && !e))
		return err ? err : -ENOENT;
	if (e && s->ino[e->ino].dir)
		return err ? err : -EISDIR;
	if (create) {
		unsigned ino = inode_new(s, false);

		name_set(&s->seen, path, ino);
		op_pending(s, SIM_OPEN, path, NULL, ino);
		e = name_find(&s->seen, path);
	}
	if (err)
		return err;
	*out = need(calloc(1, sizeof(**out)));
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
	inodes_collect(f->s);
	free(f);
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
	const struct bytes *b;
	bool begun;
	int err = op_enter(f->s, SIM_READ, false, &begun);

	if (err)
		return err;
	b = &f->s->ino[f->ino].seen;
	if (off + n > b->len)
		return -ENODATA;
	if (n)
		memcpy(p, b->p + off, n);
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
	left = room_for(s, &s->ino[f->ino], total, off);
	if (!err && left < total)
		err = -ENOSPC;
	else if (err && !begun)
		left = left < total / 2 ? left : total / 2;
	for (unsigned i = 0; i < cnt && left; i++) {
		uint64_t n = iov[i].iov_len < left ? iov[i].iov_len : left;

		inode_write(&s->ino[f->ino], iov[i].iov_base, n, off);
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
		inode_synced(n);
	else
		for (size_t i = 0; i < n->nver; i++)
			n->ver[i].doomed = true;
	return err;
}

static int sim_fd(struct blk_file *f)
{
	(void)f;
	return -1;
}

static int sim_mkdir(void *ctx, const char *path)
{
	struct blk_sim *s = ctx;
	bool begun;
	int err = op_enter(s, SIM_MKDIR, true, &begun);
	const struct name *e = name_find(&s->seen, path);
	char dir[4096];
	unsigned ino;

	if (err && !begun)
		return err;
	parent_of(path, dir, sizeof(dir));
	if (is_root(path) || (e && s->ino[e->ino].dir))
		return err;
	if (e || !dir_there(s, &s->seen, dir))
		return err ? err : e ? -ENOTDIR : -ENOENT;
	ino = inode_new(s, true);
	name_set(&s->seen, path, ino);
	op_pending(s, SIM_MKDIR, path, NULL, ino);
	return err;
}

static int sim_rename(void *ctx, const char *from, const char *to)
{
	struct blk_sim *s = ctx;
	bool begun;
	int err = op_enter(s, SIM_RENAME, true, &begun);
	const struct name *e = name_find(&s->seen, from);
	char dir[4096];
	unsigned ino;

	if (err && !begun)
		return err;
	parent_of(to, dir, sizeof(dir));
	if (!e || !dir_there(s, &s->seen, dir))
		return err ? err : -ENOENT;
	ino = e->ino;
	name_remove(&s->seen, from);
	name_set(&s->seen, to, ino);
	op_pending(s, SIM_RENAME, from, to, ino);
	return err;
}

static int sim_unlink(void *ctx, const char *path)
{
	struct blk_sim *s = ctx;
	bool begun;
	int err = op_enter(s, SIM_UNLINK, true, &begun);
	const struct name *e = name_find(&s->seen, path);
	unsigned ino;

	if (err && !begun)
		return err;
	if (!e || s->ino[e->ino].dir)
		return err ? err : e ? -EISDIR : -ENOENT;
	ino = e->ino;
	name_remove(&s->seen, path);
	op_pending(s, SIM_UNLINK, path, NULL, ino);
	return err;
}

static bool op_in_dir(const struct dir_op *o, const char *dir)
{
	char parent[4096];

	parent_of(o->path, parent, sizeof(parent));
	return !strcmp(parent, dir);
}

static int sim_sync_dir(void *ctx, const char *path)
{
	struct blk_sim *s = ctx;
	bool begun, behind = false;
	int err = op_enter(s, SIM_SYNC_DIR, true, &begun);
	size_t kept = 0;

	if (err && s->crashed)
		return err;
	if (!dir_there(s, &s->seen, path))
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
		op_apply(&s->dur, o);
		free(o->path);
		free(o->to);
	}
	s->nop = kept;
	inodes_collect(s);
	return err;
}

static int sim_list(void *ctx, const char *path, int (*cb)(void *arg, const char *name), void *arg)
{
	struct blk_sim *s = ctx;
	bool begun;
	int err = op_enter(s, SIM_LIST, false, &begun);
	struct names copy = { 0 };
	char dir[4096];

	if (err)
		return err;
	if (!dir_there(s, &s->seen, path))
		return name_find(&s->seen, path) ? -ENOTDIR : -ENOENT;
	names_copy(&copy, &s->seen);		/* cb may change the directory */
	for (size_t i = 0; i < copy.n && !err; i++) {
		const char *slash = strrchr(copy.v[i].path, '/');

		parent_of(copy.v[i].path, dir, sizeof(dir));
		if (!strcmp(dir, path))
			err = cb(arg, slash ? slash + 1 : copy.v[i].path);
	}
	names_free(&copy);
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
	.open = sim_open, .close = sim_close, .size = sim_size, .read = sim_read,
	.write = sim_write, .sync = sim_sync, .fd = sim_fd, .mkdir = sim_mkdir,
	.rename = sim_rename, .unlink = sim_unlink, .sync_dir = sim_sync_dir,
	.list = sim_list, .lock = sim_lock,
};

/* ---- simulators ---- */

struct blk_sim *blk_sim_new(void)
{
	struct blk_sim *s = need(calloc(1, sizeof(*s)));

	s->ops = sim_ops;
	s->ops.ctx = s;
	return s;
}

void blk_sim_free(struct blk_sim *s)
{
	if (!s)
		return;
	for (unsigned i = 0; i < s->nino; i++)
		inode_free(&s->ino[i]);
	for (size_t i = 0; i < s->nop; i++) {
		free(s->op[i].path);
		free(s->op[i].to);
	}
	free(s->op);
	free(s->ino);
	names_free(&s->seen);
	names_free(&s->dur);
	free(s);
}

const struct blk_ops *blk_sim_ops(struct blk_sim *s)
{
	return &s->ops;
}

struct blk_sim *blk_sim_killed(const struct blk_sim *s)
{
	struct blk_sim *t = blk_sim_new();

	t->capacity = s->capacity;
	names_copy(&t->seen, &s->seen);
	names_copy(&t->dur, &s->dur);
	t->nop = s->nop;
	t->op = grow(NULL, s->nop, sizeof(*t->op));
	for (size_t i = 0; i < s->nop; i++) {
		t->op[i] = s->op[i];
		t->op[i].path = need(strdup(s->op[i].path));
		t->op[i].to = s->op[i].to ? need(strdup(s->op[i].to)) : NULL;
	}
	t->nino = s->nino;
	t->ino = need(calloc(s->nino ? s->nino : 1, sizeof(*t->ino)));
	for (unsigned i = 0; i < s->nino; i++) {
		const struct inode *a = &s->ino[i];
		struct inode *b = &t->ino[i];

		if (!a->used)
			continue;
		b->used = true;
		b->dir = a->dir;
		bytes_copy(&b->seen, &a->seen);
		bytes_copy(&b->dur, &a->dur);
		b->nver = b->ver_cap = a->nver;
		b->ver = grow(NULL, a->nver, sizeof(*b->ver));
		if (a->nver)
			memcpy(b->ver, a->ver, a->nver * sizeof(*b->ver));
		b->nsize = a->nsize;
		b->size = grow(NULL, a->nsize, sizeof(*b->size));
		if (a->nsize)
			memcpy(b->size, a->size, a->nsize * sizeof(*b->size));
	}
	inodes_collect(t);
	return t;
}

/* What is left of one file: its size, then each sector that is in doubt. */
static void inode_cut(const struct inode *a, struct inode *b, struct sim_pick *p)
{
	uint64_t len = a->dur.len, sectors = (a->seen.len + SIM_SECTOR - 1) / SIM_SECTOR;
	uint32_t *versions = need(calloc(sectors + 1, sizeof(*versions)));

	if (a->nsize) {
		uint32_t k = p->pick(p, (uint32_t)a->nsize + 1);

		len = k ? a->size[k - 1] : len;
	}
	bytes_copy(&b->dur, &a->dur);
	bytes_resize(&b->dur, len);
	for (size_t i = 0; i < a->nver; i++)
		if (a->ver[i].sector * SIM_SECTOR < len)
			versions[a->ver[i].sector]++;
	for (size_t i = 0; i < a->nver; i++) {	/* the first version of a sector decides */
		uint64_t sector = a->ver[i].sector;
		uint32_t k;

		if (!versions[sector])
			continue;
		k = p->pick(p, versions[sector] + 1);
		versions[sector] = 0;
		for (size_t j = i; k && j < a->nver; j++)
			if (a->ver[j].sector == sector && --k == 0)
				put_sector(&b->dur, &a->ver[j]);
	}
	free(versions);
	bytes_copy(&b->seen, &b->dur);
}

/* Names in a directory that is not there are not there. */
static void names_prune(struct blk_sim *s, struct names *l)
{
	char dir[4096];

	for (size_t i = 0; i < l->n; ) {
		parent_of(l->v[i].path, dir, sizeof(dir));
		if (dir_there(s, l, dir)) {
			i++;
			continue;
		}
		free(l->v[i].path);
		l->v[i] = l->v[--l->n];
		i = 0;
	}
}

struct blk_sim *blk_sim_cut(const struct blk_sim *s, struct sim_pick *p)
{
	struct blk_sim *t = blk_sim_new();

	t->capacity = s->capacity;
	t->nino = s->nino;
	t->ino = need(calloc(s->nino ? s->nino : 1, sizeof(*t->ino)));
	names_copy(&t->dur, &s->dur);
	for (size_t i = 0; i < s->nop; i++)
		if (s->op[i].must || p->pick(p, 2))
			op_apply(&t->dur, &s->op[i]);
	for (unsigned i = 0; i < s->nino; i++) {
		t->ino[i].used = s->ino[i].used;
		t->ino[i].dir = s->ino[i].dir;
	}
	names_prune(t, &t->dur);
	names_copy(&t->seen, &t->dur);
	for (size_t i = 0; i < t->dur.n; i++) {
		unsigned ino = t->dur.v[i].ino;

		if (!s->ino[ino].dir)
			inode_cut(&s->ino[ino], &t->ino[ino], p);
	}
	inodes_collect(t);
	return t;
}

struct counter {
	struct sim_pick p;
	unsigned n;
	uint64_t states;
};

static uint32_t counter_pick(struct sim_pick *p, uint32_t n)
{
	struct counter *c = (struct counter *)p;

	c->n++;
	c->states = c->states > UINT64_MAX / n ? UINT64_MAX : c->states * n;
	return n - 1;
}

unsigned blk_sim_choices(const struct blk_sim *s, uint64_t *states)
{
	struct counter c = { { counter_pick }, 0, 1 };

	blk_sim_free(blk_sim_cut(s, &c.p));
	if (states)
		*states = c.states;
	return c.n;
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

/* ---- looking and damaging ---- */

static struct inode *inode_at(const struct blk_sim *s, const char *path)
{
	const struct name *e = name_find(&s->seen, path);

	return e && !s->ino[e->ino].dir ? &s->ino[e->ino] : NULL;
}

const uint8_t *blk_sim_bytes(const struct blk_sim *s, const char *path, uint64_t *len)
{
	static const uint8_t none[1];
	const struct inode *n = inode_at(s, path);

	if (!n)
		return NULL;
	*len = n->seen.len;
	return n->seen.p ? n->seen.p : none;
}

int blk_sim_flip(struct blk_sim *s, const char *path, uint64_t bit)
{
	struct inode *n = inode_at(s, path);

	if (!n)
		return -ENOENT;
	if (bit / 8 >= n->seen.len)
		return -ENODATA;
	n->seen.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	if (bit / 8 < n->dur.len)
		n->dur.p[bit / 8] ^= (uint8_t)(1u << (bit % 8));
	return 0;
}

int blk_sim_truncate(struct blk_sim *s, const char *path, uint64_t len)
{
	struct inode *n = inode_at(s, path);

	if (!n)
		return -ENOENT;
	bytes_resize(&n->seen, len);
	bytes_resize(&n->dur, len);
	n->nver = n->nsize = 0;
	return 0;
}

int blk_sim_put(struct blk_sim *s, const char *path, const void *p, uint64_t len)
{
	struct inode *n = inode_at(s, path);
	char dir[4096];

	parent_of(path, dir, sizeof(dir));
	if (!n) {
		unsigned ino = inode_new(s, false);

		if (!is_root(dir) && !name_find(&s->seen, dir)) {
			unsigned d = inode_new(s, true);

			name_set(&s->seen, dir, d);
			name_set(&s->dur, dir, d);
		}
		name_set(&s->seen, path, ino);
		name_set(&s->dur, path, ino);
		n = &s->ino[ino];
	}
	bytes_resize(&n->seen, len);
	bytes_resize(&n->dur, len);
	n->nver = n->nsize = 0;
	if (len) {
		memcpy(n->seen.p, p, len);
		memcpy(n->dur.p, p, len);
	}
	return 0;
}

static bool covers(const struct blk_sim *a, const struct blk_sim *b, char *where, size_t n)
{
	for (size_t i = 0; i < a->seen.n; i++) {
		const char *path = a->seen.v[i].path;
		const struct name *e = name_find(&b->seen, path);
		const struct bytes *x = &a->ino[a->seen.v[i].ino].seen, *y;

		y = e ? &b->ino[e->ino].seen : NULL;
		if (y && x->len == y->len && (!x->len || !memcmp(x->p, y->p, x->len)))
			continue;
		if (where)
			snprintf(where, n, "%s", path);
		return false;
	}
	return true;
}

bool blk_sim_same(const struct blk_sim *a, const struct blk_sim *b, char *where, size_t n)
{
	return covers(a, b, where, n) && covers(b, a, where, n);
}

const char *sim_op_name(enum sim_op op)
{
	static const char *const names[SIM_OPS] = {
		"open", "read", "write", "sync", "mkdir", "rename", "unlink", "sync_dir",
		"list", "lock",
	};

	return op < SIM_OPS ? names[op] : "?";
}
