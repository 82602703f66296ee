/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blk_sim_cut.c - what a SIGKILL or a power cut leaves of a simulated file system;
 * looking at one and damaging it.
 */
#include "blk_sim_priv.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- crashes ---- */

struct blk_sim *blk_sim_killed(const struct blk_sim *s)
{
	struct blk_sim *t = blk_sim_new();

	t->capacity = s->capacity;
	sim_names_copy(&t->seen, &s->seen);
	sim_names_copy(&t->dur, &s->dur);
	t->nop = s->nop;
	t->op = sim_grow(NULL, s->nop, sizeof(*t->op));
	for (size_t i = 0; i < s->nop; i++) {
		t->op[i] = s->op[i];
		t->op[i].path = sim_need(strdup(s->op[i].path));
		t->op[i].to = s->op[i].to ? sim_need(strdup(s->op[i].to)) : NULL;
	}
	t->nino = s->nino;
	t->ino = sim_need(calloc(s->nino ? s->nino : 1, sizeof(*t->ino)));
	for (unsigned i = 0; i < s->nino; i++) {
		const struct inode *a = &s->ino[i];
		struct inode *b = &t->ino[i];

		if (!a->used)
			continue;
		b->used = true;
		b->dir = a->dir;
		sim_pages_copy(&b->seen, &a->seen);
		sim_pages_copy(&b->dur, &a->dur);
		b->nver = b->ver_cap = a->nver;
		b->ver = sim_grow(NULL, a->nver, sizeof(*b->ver));
		if (a->nver)
			memcpy(b->ver, a->ver, a->nver * sizeof(*b->ver));
		memcpy(b->bad, a->bad, sizeof(b->bad));
		b->nbad = a->nbad;
		b->nsize = a->nsize;
		b->size = sim_grow(NULL, a->nsize, sizeof(*b->size));
		if (a->nsize)
			memcpy(b->size, a->size, a->nsize * sizeof(*b->size));
	}
	sim_inodes_collect(t);
	return t;
}

/* What is left of one file: its size, then each sector that is in doubt. */
static void inode_cut(const struct inode *a, struct inode *b, struct sim_pick *p)
{
	uint64_t len = a->dur.len, sectors = (a->seen.len + SIM_SECTOR - 1) / SIM_SECTOR;
	uint32_t *versions = sim_need(calloc(sectors + 1, sizeof(*versions)));

	if (a->nsize) {
		uint32_t k = p->pick(p, (uint32_t)a->nsize + 1);

		len = k ? a->size[k - 1] : len;
	}
	memcpy(b->bad, a->bad, sizeof(b->bad));
	b->nbad = a->nbad;
	sim_pages_copy(&b->dur, &a->dur);
	sim_pages_resize(&b->dur, len);
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
				sim_put_sector(&b->dur, &a->ver[j]);
	}
	free(versions);
	sim_pages_copy(&b->seen, &b->dur);
}

/* Names in a directory that is not there are not there. */
static void names_prune(struct blk_sim *s, struct names *l)
{
	char dir[4096];

	for (size_t i = 0; i < l->n; ) {
		sim_parent_of(l->v[i].path, dir, sizeof(dir));
		if (sim_dir_there(s, l, dir)) {
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
	t->ino = sim_need(calloc(s->nino ? s->nino : 1, sizeof(*t->ino)));
	sim_names_copy(&t->dur, &s->dur);
	for (size_t i = 0; i < s->nop; i++)
		if (s->op[i].must || p->pick(p, 2))
			sim_op_apply(&t->dur, &s->op[i]);
	for (unsigned i = 0; i < s->nino; i++) {
		t->ino[i].used = s->ino[i].used;
		t->ino[i].dir = s->ino[i].dir;
	}
	names_prune(t, &t->dur);
	sim_names_copy(&t->seen, &t->dur);
	for (size_t i = 0; i < t->dur.n; i++) {
		unsigned ino = t->dur.v[i].ino;

		if (!s->ino[ino].dir)
			inode_cut(&s->ino[ino], &t->ino[ino], p);
	}
	sim_inodes_collect(t);
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

/* ---- looking and damaging ---- */

static struct inode *inode_at(const struct blk_sim *s, const char *path)
{
	const struct name *e = sim_name_find(&s->seen, path);

	return e && !s->ino[e->ino].dir ? &s->ino[e->ino] : NULL;
}

const uint8_t *blk_sim_bytes(const struct blk_sim *s, const char *path, uint64_t *len)
{
	struct inode *n = inode_at(s, path);

	if (!n)
		return NULL;
	*len = n->seen.len;
	n->flat = sim_grow(n->flat, n->seen.len, 1);
	sim_pages_read(&n->seen, 0, n->flat, n->seen.len);
	return n->flat;
}

static void flip(struct sim_pages *b, uint64_t bit)
{
	uint8_t c = *sim_pages_at(b, bit / 8) ^ (uint8_t)(1u << (bit % 8));

	sim_pages_write(b, bit / 8, &c, 1);
}

int blk_sim_flip(struct blk_sim *s, const char *path, uint64_t bit)
{
	struct inode *n = inode_at(s, path);

	if (!n)
		return -ENOENT;
	if (bit / 8 >= n->seen.len)
		return -ENODATA;
	flip(&n->seen, bit);
	if (bit / 8 < n->dur.len)
		flip(&n->dur, bit);
	return 0;
}

int blk_sim_bad(struct blk_sim *s, const char *path, uint64_t off)
{
	struct inode *n = inode_at(s, path);

	if (!n)
		return -ENOENT;
	if (n->nbad == SIM_BAD || off % SIM_BLOCK)
		return -EINVAL;
	n->bad[n->nbad++] = off;
	return 0;
}

int blk_sim_well(struct blk_sim *s, const char *path)
{
	struct name *e = sim_name_find(&s->seen, path);

	if (!e)
		return -ENOENT;
	s->ino[e->ino].nbad = 0;
	return 0;
}

int blk_sim_link(struct blk_sim *s, const char *path, bool linked)
{
	struct inode *n = inode_at(s, path);

	if (!n)
		return -ENOENT;
	n->linked = linked;
	return 0;
}

int blk_sim_truncate(struct blk_sim *s, const char *path, uint64_t len)
{
	struct inode *n = inode_at(s, path);

	if (!n)
		return -ENOENT;
	sim_pages_resize(&n->seen, len);
	sim_pages_resize(&n->dur, len);
	n->nver = n->nsize = 0;
	return 0;
}

int blk_sim_put(struct blk_sim *s, const char *path, const void *p, uint64_t len)
{
	struct inode *n = inode_at(s, path);
	char dir[4096];

	sim_parent_of(path, dir, sizeof(dir));
	if (!n) {
		unsigned ino = sim_inode_new(s, false);

		if (!sim_is_root(dir) && !sim_name_find(&s->seen, dir)) {
			unsigned d = sim_inode_new(s, true);

			sim_name_set(&s->seen, dir, d);
			sim_name_set(&s->dur, dir, d);
		}
		sim_name_set(&s->seen, path, ino);
		sim_name_set(&s->dur, path, ino);
		n = &s->ino[ino];
	}
	sim_pages_resize(&n->seen, len);
	sim_pages_resize(&n->dur, len);
	n->nver = n->nsize = 0;
	sim_pages_write(&n->seen, 0, p, len);
	sim_pages_write(&n->dur, 0, p, len);
	return 0;
}

static bool covers(const struct blk_sim *a, const struct blk_sim *b, char *where, size_t n)
{
	for (size_t i = 0; i < a->seen.n; i++) {
		const char *path = a->seen.v[i].path;
		const struct name *e = sim_name_find(&b->seen, path);
		const struct sim_pages *x = &a->ino[a->seen.v[i].ino].seen, *y;

		y = e ? &b->ino[e->ino].seen : NULL;
		if (y && sim_pages_same(x, y))
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
