/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blk_sim_files.c - bytes, sector versions and names of the simulated file system.
 */
#include "blk_sim_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memory: a simulator that has none cannot go on ---- */

void *sim_need(void *p)
{
	if (!p)
		abort();
	return p;
}

void *sim_grow(void *p, size_t n, size_t size)
{
	return sim_need(realloc(p, (n ? n : 1) * size));
}

/* ---- names ---- */

struct name *sim_name_find(const struct names *l, const char *path)
{
	for (size_t i = 0; i < l->n; i++)
		if (!strcmp(l->v[i].path, path))
			return &l->v[i];
	return NULL;
}

void sim_name_set(struct names *l, const char *path, unsigned ino)
{
	struct name *e = sim_name_find(l, path);

	if (!e) {
		l->v = sim_grow(l->v, l->n + 1, sizeof(*l->v));
		e = &l->v[l->n++];
		e->path = sim_need(strdup(path));
	}
	e->ino = ino;
}

void sim_name_remove(struct names *l, const char *path)
{
	struct name *e = sim_name_find(l, path);

	if (!e)
		return;
	free(e->path);
	*e = l->v[--l->n];
}

void sim_names_copy(struct names *to, const struct names *from)
{
	to->n = from->n;
	to->v = sim_grow(NULL, from->n, sizeof(*to->v));
	for (size_t i = 0; i < from->n; i++)
		to->v[i] = (struct name){ sim_need(strdup(from->v[i].path)), from->v[i].ino };
}

void sim_names_free(struct names *l)
{
	for (size_t i = 0; i < l->n; i++)
		free(l->v[i].path);
	free(l->v);
	memset(l, 0, sizeof(*l));
}

/* The directory of path: "/a/b" -> "/a", "/a" -> "/", "a" -> ".". */
void sim_parent_of(const char *path, char *out, size_t n)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash && slash != path ? (size_t)(slash - path) : 1;

	if (!slash)
		path = ".";
	if (len >= n)
		abort();
	memcpy(out, path, len);
	out[len] = 0;
}

bool sim_is_root(const char *path)
{
	return !strcmp(path, "/") || !strcmp(path, ".");
}

bool sim_dir_there(const struct blk_sim *s, const struct names *l, const char *path)
{
	const struct name *e;

	if (sim_is_root(path))
		return true;
	e = sim_name_find(l, path);
	return e && s->ino[e->ino].dir;
}

/* ---- inodes ---- */

unsigned sim_inode_new(struct blk_sim *s, bool dir)
{
	unsigned i;

	for (i = 0; i < s->nino && s->ino[i].used; i++)
		;
	if (i == s->nino)
		s->ino = sim_grow(s->ino, ++s->nino, sizeof(*s->ino));
	memset(&s->ino[i], 0, sizeof(s->ino[i]));
	s->ino[i].used = true;
	s->ino[i].dir = dir;
	return i;
}

void sim_inode_free(struct inode *n)
{
	sim_pages_free(&n->seen);
	sim_pages_free(&n->dur);
	free(n->flat);
	free(n->ver);
	free(n->size);
	memset(n, 0, sizeof(*n));
}

/* Free the inodes that nothing names and nobody has open. */
void sim_inodes_collect(struct blk_sim *s)
{
	bool *keep = sim_need(calloc(s->nino ? s->nino : 1, sizeof(bool)));

	for (size_t i = 0; i < s->seen.n; i++)
		keep[s->seen.v[i].ino] = true;
	for (size_t i = 0; i < s->dur.n; i++)
		keep[s->dur.v[i].ino] = true;
	for (size_t i = 0; i < s->nop; i++)
		keep[s->op[i].ino] = true;
	for (unsigned i = 0; i < s->nino; i++)
		if (s->ino[i].used && !keep[i] && !s->ino[i].handles)
			sim_inode_free(&s->ino[i]);
	free(keep);
}

static void version_add(struct inode *n, uint64_t sector)
{
	static const uint8_t zeros[SIM_SECTOR];
	uint64_t at = sector * SIM_SECTOR;
	const uint8_t *now = sim_pages_at(&n->seen, at);	/* zeros behind the end */
	const uint8_t *was = at < n->dur.len ? sim_pages_at(&n->dur, at) : zeros;
	struct version *v;
	bool doomed = false;

	for (size_t i = n->nver; i-- > 0; )
		if (n->ver[i].sector == sector) {
			was = n->ver[i].data;
			doomed = n->ver[i].doomed;
			break;
		}
	if (!doomed && !memcmp(was, now, SIM_SECTOR))
		return;				/* nothing to choose between */
	if (n->nver == n->ver_cap) {
		n->ver_cap = n->ver_cap ? n->ver_cap * 2 : 16;
		n->ver = sim_grow(n->ver, n->ver_cap, sizeof(*n->ver));
	}
	v = &n->ver[n->nver++];
	v->sector = sector;
	v->doomed = false;
	memcpy(v->data, now, SIM_SECTOR);
}

/* Whether a read or a write of these bytes meets a page that cannot be read; what a write
 * covers whole is not one any more. */
bool sim_inode_bad(struct inode *n, uint64_t len, uint64_t off, bool write)
{
	for (unsigned i = 0; i < n->nbad; i++) {
		uint64_t at = n->bad[i];
		bool whole = off <= at && off + len >= at + SIM_BLOCK;

		if (len && off < at + SIM_BLOCK && off + len > at && !(write && whole))
			return true;
	}
	for (unsigned i = 0; write && i < n->nbad; )
		if (off <= n->bad[i] && off + len >= n->bad[i] + SIM_BLOCK)
			n->bad[i] = n->bad[--n->nbad];
		else
			i++;
	return false;
}

void sim_inode_write(struct inode *n, const uint8_t *p, uint64_t len, uint64_t off)
{
	uint64_t end = off + len;

	if (!len)
		return;
	if (end > n->seen.len) {
		sim_pages_resize(&n->seen, end);
		n->size = sim_grow(n->size, n->nsize + 1, sizeof(*n->size));
		n->size[n->nsize++] = end;
	}
	sim_pages_write(&n->seen, off, p, len);
	for (uint64_t i = off / SIM_SECTOR; i * SIM_SECTOR < end; i++)
		version_add(n, i);
}

void sim_put_sector(struct sim_pages *b, const struct version *v)
{
	uint64_t at = v->sector * SIM_SECTOR;

	if (at < b->len)
		sim_pages_write(b, at, v->data, b->len - at < SIM_SECTOR ? b->len - at : SIM_SECTOR);
}

/* A successful sync: the newest version of each sector is durable, unless it is doomed. */
void sim_inode_synced(struct inode *n)
{
	uint64_t sectors = (n->seen.len + SIM_SECTOR - 1) / SIM_SECTOR;
	uint8_t *done = sim_need(calloc(sectors + 1, 1));	/* 1 hardened, 2 doomed */
	size_t kept = 0;

	sim_pages_resize(&n->dur, n->seen.len);
	n->nsize = 0;
	for (size_t i = n->nver; i-- > 0; ) {
		struct version *v = &n->ver[i];

		if (done[v->sector])
			continue;
		done[v->sector] = v->doomed ? 2 : 1;
		if (!v->doomed)
			sim_put_sector(&n->dur, v);
	}
	for (size_t i = 0; i < n->nver; i++)
		if (done[n->ver[i].sector] == 2)
			n->ver[kept++] = n->ver[i];
	n->nver = kept;
	free(done);
	if (!kept) {			/* the same bytes: the same pages */
		sim_pages_free(&n->dur);
		sim_pages_copy(&n->dur, &n->seen);
	}
}

/* Do a directory operation in a list of names, if it applies there. */
void sim_op_apply(struct names *l, const struct dir_op *o)
{
	const struct name *e = sim_name_find(l, o->path);

	switch (o->op) {
	case SIM_OPEN:
	case SIM_MKDIR:
		if (!e)
			sim_name_set(l, o->path, o->ino);
		break;
	case SIM_UNLINK:
		if (e && e->ino == o->ino)
			sim_name_remove(l, o->path);
		break;
	case SIM_RENAME:
		if (e && e->ino == o->ino) {
			sim_name_remove(l, o->path);
			sim_name_set(l, o->to, o->ino);
		}
		break;
	default:
		abort();
	}
}
