/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pm_sim.c - a recorder of stores, flushes and fences, and the states between them
 * (pm_sim.h).
 *
 * Each file has three images of the same size: `mem` is what is mapped, `known` is
 * what of it has been noted (they differ by what was written past us), `durable` is
 * what no power cut takes away.  known = durable + all noted stores, in order.  Only
 * mem is memory of its own; the others share pages with each other and with the images
 * that they were cut from.
 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "pm_sim.h"
#include "sim_pages.h"

/* gcc 12 loses sight of what the lists of files and notes own. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wanalyzer-malloc-leak"
#endif

#define LINE 64u
#define WORDS (LINE / 8)
#define LINES (SIM_PAGE / LINE)		/* of a page */

struct note {			/* one store */
	uint64_t value;
	uint8_t word;		/* in the line */
};

struct line {
	struct note *notes;
	uint32_t n, cap;
	uint32_t flushed;	/* the first so many are under way */
	bool listed;		/* in the file's list of lines with notes */
};

struct file {
	struct file *next;
	char	*path;
	uint64_t len, room;	/* room: len rounded up to lines */
	uint8_t	*mem;
	struct sim_pages known, durable;	/* room bytes */
	struct line **lines;	/* per page; NULL: never noted */
	uint32_t *dirty;	/* lines with notes */
	uint32_t ndirty, dirty_cap;
	unsigned mapped;
	uint64_t sure;		/* of len; less: not synced yet; 0: nor the name */
	uint8_t	*state;		/* per line: LINE_BAD, LINE_HOLE; NULL: none is */
};
enum { LINE_BAD = 1, LINE_HOLE = 2 };

struct pm_hold {
	struct pm_hold *next;
	char	*path;
};

struct pm_sim {
	struct pm_ops ops;
	struct pm_hold *holds;
	const char *forgotten;	/* the path of a file whose name is gone */
	struct file *files;	/* in the order of creation */
	uint64_t count, capacity;
	int	(*step)(void *arg, enum pm_sim_op op);
	void	*step_arg;
	bool	 frozen, refuse_sync, linked;
	bool	 compared;	/* nothing happened since all files were compared */
};

const char *pm_sim_op_name(enum pm_sim_op op)
{
	static const char *const name[] = { "map", "store", "zero", "flush", "fence", "make" };

	return op < PM_SIM_OPS ? name[op] : "?";
}

static void *must_have(void *p)
{
	if (!p)
		abort();
	return p;
}

/* ---- files ---- */

static struct file *find(const struct pm_sim *s, const char *path)
{
	for (struct file *f = s->files; f; f = f->next)
		if (!strcmp(f->path, path))
			return f;
	return NULL;
}

/* The file that p is mapped from, and where in it; NULL: ordinary memory. */
static struct file *find_addr(const struct pm_sim *s, const void *p, uint64_t *off)
{
	for (struct file *f = s->files; f; f = f->next)
		if ((const uint8_t *)p >= f->mem && (const uint8_t *)p < f->mem + f->len) {
			*off = (uint64_t)((const uint8_t *)p - f->mem);
			return f;
		}
	return NULL;
}

static uint8_t *memory(uint64_t room)
{
	return must_have(aligned_alloc(4096, (room + 4095) / 4096 * 4096 + 4096));
}

static uint8_t *image(uint64_t room, const uint8_t *from, uint64_t len)
{
	uint8_t *p = memory(room);

	if (!from)
		len = 0;
	if (len)
		memcpy(p, from, len);
	memset(p + len, 0, room - len);
	return p;
}

static void resize_image(uint8_t **p, uint64_t room, uint64_t len)
{
	uint8_t *old = *p;

	*p = image(room, old, len);
	free(old);
}

static uint64_t pages_of(const struct file *f)
{
	return (f->room + SIM_PAGE - 1) / SIM_PAGE;
}

static void forget_notes(struct file *f)
{
	for (uint64_t p = 0; p < pages_of(f); p++) {
		for (unsigned i = 0; f->lines[p] && i < LINES; i++)
			free(f->lines[p][i].notes);
		free(f->lines[p]);
	}
	free(f->lines);
	free(f->dirty);
	f->lines = NULL;
	f->dirty = NULL;
	f->ndirty = f->dirty_cap = 0;
}

static void new_notes(struct file *f)
{
	f->lines = must_have(calloc(pages_of(f) + 1, sizeof(struct line *)));
}

/* A line that may have no notes, and one that is about to. */
static struct line *has_line(const struct file *f, uint64_t i)
{
	return f->lines[i / LINES] ? &f->lines[i / LINES][i % LINES] : NULL;
}

static struct line *line(struct file *f, uint64_t i)
{
	if (!f->lines[i / LINES])
		f->lines[i / LINES] = must_have(calloc(LINES, sizeof(struct line)));
	return &f->lines[i / LINES][i % LINES];
}

/* What is seen is known, and durable. */
static void settle_all(struct file *f)
{
	sim_pages_resize(&f->known, f->room);
	sim_pages_write(&f->known, 0, f->mem, f->room);
	sim_pages_free(&f->durable);
	sim_pages_copy(&f->durable, &f->known);
}

static struct file *add_file(struct pm_sim *s, const char *path, uint64_t len)
{
	struct file *f = must_have(calloc(1, sizeof(*f))), **end = &s->files;

	while (*end)
		end = &(*end)->next;
	*end = f;
	f->path = must_have(strdup(path));
	f->len = len;
	f->room = (len + LINE - 1) / LINE * LINE;
	new_notes(f);
	return f;
}

static struct file *new_file(struct pm_sim *s, const char *path, const uint8_t *from, uint64_t len)
{
	struct file *f = add_file(s, path, len);

	f->mem = image(f->room, from, len);
	f->sure = len;
	settle_all(f);
	return f;
}

/* With the bytes of a file of another simulator.  What is known of it is still to be set. */
static struct file *copy_file(struct pm_sim *s, const struct file *from, const struct sim_pages *b)
{
	struct file *f = add_file(s, from->path, from->len);

	f->mem = memory(f->room);
	f->sure = from->sure;
	if (from->state) {
		f->state = must_have(malloc(f->room / LINE + 1));
		memcpy(f->state, from->state, f->room / LINE + 1);
	}
	sim_pages_read(b, 0, f->mem, f->room);
	sim_pages_copy(&f->durable, b);
	return f;
}

static void free_file(struct file *f)
{
	forget_notes(f);
	free(f->mem);
	sim_pages_free(&f->known);
	sim_pages_free(&f->durable);
	free(f->path);
	free(f->state);
	free(f);
}

/* To another length; what was in doubt is settled (a map that grows syncs). */
static void set_len(struct file *f, uint64_t len)
{
	uint64_t room = (len + LINE - 1) / LINE * LINE, keep = len < f->len ? len : f->len;

	assert(!f->mapped);
	forget_notes(f);
	resize_image(&f->mem, room, keep);
	if (f->state) {
		uint8_t *more = must_have(calloc(room / LINE + 1, 1));

		memcpy(more, f->state, (room < f->room ? room : f->room) / LINE);
		free(f->state);
		f->state = more;
	}
	if (f->sure > len)
		f->sure = len;
	f->len = len;
	f->room = room;
	settle_all(f);
	new_notes(f);
}

void pm_sim_free(struct pm_sim *s)
{
	while (s->files) {
		struct file *next = s->files->next;

		free_file(s->files);
		s->files = next;
	}
	free(s);
}

/* ---- notes ---- */

static void note(struct file *f, uint64_t i, uint8_t word, uint64_t value)
{
	struct line *l = line(f, i);

	if (l->n == l->cap) {
		l->cap = l->cap ? 2 * l->cap : WORDS;
		l->notes = must_have(realloc(l->notes, l->cap * sizeof(*l->notes)));
	}
	l->notes[l->n++] = (struct note){ value, word };
	sim_pages_write(&f->known, i * LINE + 8u * word, &value, 8);
	if (!l->listed) {
		l->listed = true;
		if (f->ndirty == f->dirty_cap) {
			f->dirty_cap = f->dirty_cap ? 2 * f->dirty_cap : 64;
			f->dirty = must_have(realloc(f->dirty, f->dirty_cap * sizeof(*f->dirty)));
		}
		f->dirty[f->ndirty++] = (uint32_t)i;
	}
}

/* What changed in a line without a store. */
static void compare_line(struct file *f, uint64_t i)
{
	uint64_t seen[WORDS], known[WORDS];

	memcpy(seen, f->mem + i * LINE, LINE);
	memcpy(known, sim_pages_at(&f->known, i * LINE), LINE);
	for (unsigned w = 0; w < WORDS; w++)
		if (seen[w] != known[w])
			note(f, i, (uint8_t)w, seen[w]);
}

static void compare_file(struct file *f)
{
	for (uint64_t off = 0; off < f->room; off += SIM_PAGE) {
		uint64_t n = f->room - off < SIM_PAGE ? f->room - off : SIM_PAGE;

		if (!memcmp(f->mem + off, sim_pages_at(&f->known, off), n))
			continue;
		for (uint64_t i = off / LINE; i < (off + n) / LINE; i++)
			compare_line(f, i);
	}
}

static void compare_all(struct pm_sim *s)
{
	if (s->frozen || s->compared)
		return;
	for (struct file *f = s->files; f; f = f->next)
		compare_file(f);
	s->compared = true;
}

/* A word that keeps its value leaves no other state behind: not noted. */
static void store_word(struct file *f, uint64_t off, uint64_t value)
{
	uint64_t i = off / LINE, known;

	memcpy(f->mem + off, &value, 8);
	memcpy(&known, sim_pages_at(&f->known, off), 8);
	if (known != value)
		note(f, i, (uint8_t)(off % LINE / 8), value);
}

static void apply(uint8_t *line, const struct note *notes, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		memcpy(line + 8u * notes[i].word, &notes[i].value, 8);
}

static void fence_file(struct file *f)
{
	uint32_t kept = 0;

	for (uint32_t d = 0; d < f->ndirty; d++) {
		uint64_t at = (uint64_t)f->dirty[d] * LINE;
		struct line *l = line(f, f->dirty[d]);
		uint8_t now[LINE];

		if (l->flushed) {
			memcpy(now, sim_pages_at(&f->durable, at), LINE);
			apply(now, l->notes, l->flushed);
			sim_pages_write(&f->durable, at, now, LINE);
		}
		l->n -= l->flushed;
		memmove(l->notes, l->notes + l->flushed, l->n * sizeof(*l->notes));
		l->flushed = 0;
		if (l->n)
			f->dirty[kept++] = f->dirty[d];
		else
			l->listed = false;
	}
	f->ndirty = kept;
}

/* ---- the operations ---- */

void pm_sim_freeze(struct pm_sim *s)
{
	compare_all(s);
	s->frozen = true;
}

bool pm_sim_frozen(const struct pm_sim *s)
{
	return s->frozen;
}

/* True: it happens in a live machine. */
static bool begin(struct pm_sim *s, enum pm_sim_op op)
{
	if (s->frozen)
		return false;
	s->compared = false;
	if (s->step && s->step(s->step_arg, op))
		pm_sim_freeze(s);
	s->compared = false;
	s->count += !s->frozen;
	return !s->frozen;
}

static bool any(const struct file *f, uint64_t off, uint64_t n, uint8_t what)
{
	for (uint64_t i = off / LINE; f->state && n && i <= (off + n - 1) / LINE; i++)
		if (f->state[i] & what)
			return true;
	return false;
}

static uint64_t used(const struct pm_sim *s)
{
	uint64_t n = 0;

	for (const struct file *f = s->files; f; f = f->next) {
		n += f->len;
		for (uint64_t i = 0; f->state && i < f->room / LINE; i++)
			n -= f->state[i] & LINE_HOLE ? LINE : 0;
	}
	return n;
}

/* What is taken when [0, end) of it has blocks. */
static uint64_t missing(const struct file *f, uint64_t end)
{
	uint64_t n = !f ? end : end > f->len ? end - f->len : 0;

	for (uint64_t i = 0; f && f->state && i < f->room / LINE && i * LINE < end; i++)
		n += f->state[i] & LINE_HOLE ? LINE : 0;
	return n;
}

static int sim_allocate(void *ctx, const char *path, uint64_t end, unsigned flags)
{
	struct pm_sim *s = ctx;
	struct file *f = find(s, path);
	uint64_t more = missing(f, end);

	if (!(flags & PM_CREATE) && (!f || f->len < end))
		return f && f->len ? -EFBIG : -ENOENT;
	if (s->capacity && more && used(s) + more > s->capacity)
		return -ENOSPC;
	if (f && f->len < end && f->mapped)
		return -EBUSY;
	if ((more || !f) && !begin(s, PM_SIM_MAKE))
		return -EIO;
	if (!f) {
		f = new_file(s, path, NULL, end);
		f->sure = 0;
	} else if (f->len < end) {
		set_len(f, end);
	}
	for (uint64_t i = 0; f->state && i < f->room / LINE && i * LINE < end; i++)
		f->state[i] &= (uint8_t)~LINE_HOLE;
	if (f->sure < f->len && !begin(s, PM_SIM_MAP))
		return -EIO;
	f->sure = f->len;
	return 0;
}

static int sim_map(void *ctx, const char *path, uint64_t off, size_t len, unsigned flags,
		   struct pm_map *m)
{
	struct pm_sim *s = ctx;
	struct file *f = path ? find(s, path) : NULL;

	*m = (struct pm_map){ .len = len };
	if (!path) {
		m->addr = mmap(NULL, len, PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		return m->addr == MAP_FAILED ? -ENOMEM : 0;
	}
	if (flags & PM_SYNC && s->refuse_sync)
		return -EOPNOTSUPP;
	if (!f || !f->len)
		return -ENOENT;
	if (f->len < off + len)
		return -EFBIG;
	if (any(f, off, len, LINE_HOLE) && s->capacity && used(s) >= s->capacity)
		abort();	/* SIGBUS, sooner or later */
	f->mapped++;
	m->addr = f->mem + off;
	m->priv = f;
	return 0;
}

static int sim_populate(void *ctx, const struct pm_map *m)
{
	const struct file *f = m->priv;

	(void)ctx;
	return f && any(f, (uint64_t)(m->addr - f->mem), m->len, LINE_BAD) ? -EFAULT : 0;
}

static int sim_open(void *ctx, const char *path, uint64_t *size, void **h)
{
	struct file *f = find(ctx, path);

	if (!f)
		return -ENOENT;
	*size = f->len;
	*h = f;
	return 0;
}

static int sim_read(void *ctx, void *h, void *dst, size_t n, uint64_t off)
{
	const struct file *f = h;

	(void)ctx;
	if (off + n > f->len)
		return -ENODATA;
	if (any(f, off, n, LINE_BAD))
		return -EIO;
	memcpy(dst, f->mem + off, n);
	return 0;
}

static void sim_close(void *ctx, void *h)
{
	(void)ctx;
	(void)h;
}

static int sim_clear(void *ctx, const char *path, uint64_t off, size_t n)
{
	struct pm_sim *s = ctx;
	struct file *f = find(s, path);

	if (!f || f->mapped || off + n > f->len)
		return f ? -EBUSY : -ENOENT;
	if (!begin(s, PM_SIM_MAP))
		return -EIO;
	/* Whole pages, as the kernel has it. */
	for (uint64_t i = off / SIM_PAGE * LINES, end = (off + n + SIM_PAGE - 1) / SIM_PAGE * LINES;
	     f->state && i < end && (i + 1) * LINE <= f->room; i++) {
		f->state[i] = 0;
		memset(f->mem + i * LINE, 0, LINE);
		sim_pages_write(&f->known, i * LINE, f->mem + i * LINE, LINE);
		sim_pages_write(&f->durable, i * LINE, f->mem + i * LINE, LINE);
	}
	return 0;
}

static void sim_unmap(void *ctx, struct pm_map *m)
{
	struct file *f = m->priv;

	(void)ctx;
	if (f)
		f->mapped--;
	else if (m->addr)
		munmap(m->addr, m->len);
	*m = (struct pm_map){ 0 };
}

static void store_any(struct pm_sim *s, enum pm_sim_op op, void *dst, const uint8_t *src, size_t n)
{
	uint64_t off = 0, value = 0;
	struct file *f = find_addr(s, dst, &off);

	assert(n % 8 == 0 && (uintptr_t)dst % 8 == 0);
	if (!f || !begin(s, op)) {
		if (src)
			memcpy(dst, src, n);
		else
			memset(dst, 0, n);
		return;
	}
	assert(off + n <= f->len);
	if (any(f, off, n, LINE_BAD))
		abort();	/* SIGBUS */
	for (uint64_t i = off / LINE; i <= (off + n - 1) / LINE; i++)
		compare_line(f, i);
	for (size_t at = 0; at < n; at += 8) {
		if (src)
			memcpy(&value, src + at, 8);
		store_word(f, off + at, value);
	}
}

static void sim_store(void *ctx, void *dst, const void *src, size_t n)
{
	store_any(ctx, PM_SIM_STORE, dst, src, n);
}

static void sim_zero(void *ctx, void *dst, size_t n)
{
	store_any(ctx, PM_SIM_ZERO, dst, NULL, n);
}

static void sim_flush(void *ctx, const void *p, size_t n)
{
	struct pm_sim *s = ctx;
	uint64_t off = 0;
	struct file *f = find_addr(s, p, &off);

	if (!n || !f || !begin(s, PM_SIM_FLUSH))
		return;
	assert(off + n <= f->len);
	for (uint64_t i = off / LINE; i <= (off + n - 1) / LINE; i++) {
		compare_line(f, i);
		if (has_line(f, i))
			line(f, i)->flushed = line(f, i)->n;
	}
}

static void sim_fence(void *ctx)
{
	struct pm_sim *s = ctx;

	if (!begin(s, PM_SIM_FENCE))
		return;
	for (struct file *f = s->files; f; f = f->next)
		fence_file(f);
}

void pm_sim_dma(struct pm_sim *s, const void *p, size_t n)
{
	uint64_t off = 0;
	struct file *f = find_addr(s, p, &off);

	if (!n || !f || s->frozen)
		return;
	for (uint64_t i = off / LINE; i <= (off + n - 1) / LINE; i++)
		compare_line(f, i);
}

/* ---- locks: by the path ---- */

static int sim_hold(void *ctx, const char *path, struct pm_hold **out)
{
	struct pm_sim *s = ctx;
	struct pm_hold *h;

	for (h = s->holds; h; h = h->next)
		if (!strcmp(h->path, path))
			return -EWOULDBLOCK;
	h = must_have(malloc(sizeof(*h)));
	h->path = must_have(strdup(path));
	h->next = s->holds;
	*out = s->holds = h;
	return 0;
}

static int sim_hold_files(void *ctx, struct pm_hold *h)
{
	(void)ctx;
	(void)h;
	return 0;
}

static void sim_release(void *ctx, struct pm_hold *h)
{
	struct pm_sim *s = ctx;
	struct pm_hold **p = &s->holds;

	while (*p != h)
		p = &(*p)->next;
	*p = h->next;
	free(h->path);
	free(h);
}

static bool sim_leads(void *ctx, const struct pm_hold *h, const char *path)
{
	(void)ctx;
	return !strcmp(h->path, path);
}

static bool sim_there(void *ctx, const struct pm_hold *h)
{
	const struct pm_sim *s = ctx;
	char path[4096];

	snprintf(path, sizeof(path), "%s/wal", h->path);
	return !s->forgotten || strcmp(s->forgotten, path);
}

static bool sim_linked(void *ctx, const struct pm_hold *h)
{
	const struct pm_sim *s = ctx;

	(void)h;
	return s->linked;
}

void pm_sim_link(struct pm_sim *s, bool linked)
{
	s->linked = linked;
}

void pm_sim_forget(struct pm_sim *s, const char *path, bool gone)
{
	s->forgotten = gone ? path : NULL;
}

struct pm_sim *pm_sim_new(void)
{
	struct pm_sim *s = must_have(calloc(1, sizeof(*s)));

	s->ops = (struct pm_ops){
		.ctx = s, .allocate = sim_allocate, .map = sim_map, .unmap = sim_unmap,
		.populate = sim_populate, .open = sim_open, .read = sim_read, .close = sim_close,
		.clear = sim_clear, .store = sim_store, .zero = sim_zero, .flush = sim_flush,
		.fence = sim_fence,
		.hold = sim_hold, .hold_files = sim_hold_files, .release = sim_release,
		.leads = sim_leads, .there = sim_there, .linked = sim_linked,
	};
	return s;
}

const struct pm_ops *pm_sim_ops(struct pm_sim *s)
{
	return &s->ops;
}

void pm_sim_refuse_sync(struct pm_sim *s, bool refuse)
{
	s->refuse_sync = refuse;
}

void pm_sim_capacity(struct pm_sim *s, uint64_t bytes)
{
	s->capacity = bytes;
}

void pm_sim_step(struct pm_sim *s, int (*step)(void *arg, enum pm_sim_op op), void *arg)
{
	s->step = step;
	s->step_arg = arg;
}

uint64_t pm_sim_count(const struct pm_sim *s)
{
	return s->count;
}

/* ---- crashes ---- */

unsigned pm_sim_choices(struct pm_sim *s, uint64_t *states)
{
	unsigned n = 0;

	s->compared = false;
	compare_all(s);
	*states = 1;
	for (struct file *f = s->files; f; f = f->next) {
		if (f->sure < f->len) {		/* its making, as a whole */
			n++;
			if (__builtin_mul_overflow(*states, 2, states))
				*states = UINT64_MAX;
		}
		for (uint32_t d = 0; d < f->ndirty; d++, n++)
			if (__builtin_mul_overflow(*states, has_line(f, f->dirty[d])->n + 1ull, states))
				*states = UINT64_MAX;
	}
	return n;
}

struct pm_sim *pm_sim_killed(struct pm_sim *s)
{
	struct pm_sim *k = pm_sim_new();

	compare_all(s);
	for (struct file *f = s->files; f; f = f->next)
		sim_pages_copy(&copy_file(k, f, &f->known)->known, &f->known);
	return k;
}

struct pm_sim *pm_sim_cut(struct pm_sim *s, struct sim_pick *p)
{
	struct pm_sim *k = pm_sim_new();

	compare_all(s);
	for (struct file *f = s->files; f; f = f->next) {
		bool made = f->sure == f->len || p->pick(p, 2);
		struct file *g = copy_file(k, f, &f->durable);

		for (uint32_t d = 0; d < f->ndirty; d++) {
			const struct line *l = has_line(f, f->dirty[d]);
			uint64_t at = (uint64_t)f->dirty[d] * LINE;
			uint32_t n = p->pick(p, l->n + 1);

			if (!n)
				continue;
			apply(g->mem + at, l->notes, n);
			sim_pages_write(&g->durable, at, g->mem + at, LINE);
		}
		sim_pages_copy(&g->known, &g->durable);
		if (!made && !f->sure)
			pm_sim_remove(k, f->path);
		else if (!made)
			set_len(g, f->sure);
		else
			g->sure = g->len;
	}
	return k;
}

static uint32_t edge_pick(struct sim_pick *p, uint32_t n)
{
	struct sim_edge *e = (struct sim_edge *)p;
	unsigned at = e->at++;

	if (e->which < 2)
		return e->which ? n - 1 : 0;
	return (at == (e->which - 2) / 2) == (e->which % 2 == 0) ? n - 1 : 0;
}

void sim_edge_init(struct sim_edge *e, unsigned which)
{
	*e = (struct sim_edge){ .p.pick = edge_pick, .which = which };
}

static int judge(struct pm_sim *s, struct sim_pick *p,
		 int (*cb)(void *arg, struct pm_sim *image), void *arg, uint64_t *seen)
{
	struct pm_sim *k = pm_sim_cut(s, p);
	int err = cb(arg, k);

	pm_sim_free(k);
	if (seen)
		++*seen;
	return err;
}

int pm_sim_states(struct pm_sim *s, uint64_t limit, uint64_t samples, uint64_t seed,
		  int (*cb)(void *arg, struct pm_sim *image), void *arg, uint64_t *seen)
{
	uint64_t states;
	unsigned n = pm_sim_choices(s, &states);
	struct sim_edge edge;
	struct sim_odo odo;
	struct sim_rng rng;
	int err = 0;

	if (states <= limit) {
		sim_odo_init(&odo);
		do {
			err = judge(s, &odo.p, cb, arg, seen);
		} while (!err && sim_odo_next(&odo));
		sim_odo_fini(&odo);
		return err;
	}
	for (unsigned i = 0; !err && i < 2 * n + 2 && i < samples; i++) {
		sim_edge_init(&edge, i);
		err = judge(s, &edge.p, cb, arg, seen);
	}
	for (uint64_t i = 0; !err && i < samples; i++) {
		sim_rng_init(&rng, seed + i);
		err = judge(s, &rng.p, cb, arg, seen);
	}
	return err;
}

/* ---- looking and damaging ---- */

uint8_t *pm_sim_bytes(struct pm_sim *s, const char *path, uint64_t *len)
{
	struct file *f = find(s, path);

	if (f && len)
		*len = f->len;
	return f ? f->mem : NULL;
}

static void flip(struct sim_pages *b, uint64_t bit)
{
	uint8_t c = *sim_pages_at(b, bit / 8) ^ (uint8_t)(1u << bit % 8);

	sim_pages_write(b, bit / 8, &c, 1);
}

int pm_sim_flip(struct pm_sim *s, const char *path, uint64_t bit)
{
	struct file *f = find(s, path);

	if (!f || bit / 8 >= f->len)
		return -ENOENT;
	f->mem[bit / 8] ^= (uint8_t)(1u << bit % 8);
	flip(&f->known, bit);
	flip(&f->durable, bit);
	return 0;
}

int pm_sim_truncate(struct pm_sim *s, const char *path, uint64_t len)
{
	struct file *f = find(s, path);

	if (!f)
		return -ENOENT;
	if (f->mapped)
		return -EBUSY;
	set_len(f, len);
	return 0;
}

static uint8_t *states_of(struct file *f)
{
	if (!f->state)
		f->state = must_have(calloc(f->room / LINE + 1, 1));
	return f->state;
}

int pm_sim_bad(struct pm_sim *s, const char *path, uint64_t off)
{
	struct file *f = find(s, path);

	if (!f || off >= f->len || f->mapped)
		return f && f->mapped ? -EBUSY : -ENOENT;
	states_of(f)[off / LINE] |= LINE_BAD;
	memset(f->mem + off / LINE * LINE, 0xdb, LINE);		/* who looks all the same */
	sim_pages_write(&f->known, off / LINE * LINE, f->mem + off / LINE * LINE, LINE);
	sim_pages_write(&f->durable, off / LINE * LINE, f->mem + off / LINE * LINE, LINE);
	return 0;
}

int pm_sim_punch(struct pm_sim *s, const char *path, uint64_t off, uint64_t n)
{
	struct file *f = find(s, path);

	if (!f || off + n > f->len || f->mapped)
		return f && f->mapped ? -EBUSY : -ENOENT;
	memset(f->mem + off, 0, n);
	settle_all(f);
	memset(states_of(f) + off / LINE, LINE_HOLE, n / LINE);
	return 0;
}

int pm_sim_remove(struct pm_sim *s, const char *path)
{
	for (struct file **at = &s->files; *at; at = &(*at)->next) {
		struct file *f = *at;

		if (strcmp(f->path, path))
			continue;
		if (f->mapped)
			return -EBUSY;
		*at = f->next;
		free_file(f);
		return 0;
	}
	return -ENOENT;
}

int pm_sim_put(struct pm_sim *s, const char *path, const void *p, uint64_t len)
{
	int err = pm_sim_remove(s, path);

	if (err && err != -ENOENT)
		return err;
	new_file(s, path, p, len);
	return 0;
}

bool pm_sim_same(struct pm_sim *a, struct pm_sim *b, char *where, size_t n)
{
	for (int turn = 0; turn < 2; turn++) {
		for (struct file *f = a->files; f; f = f->next) {
			struct file *g = find(b, f->path);
			uint64_t at = 0;

			if (g && g->len == f->len && !memcmp(f->mem, g->mem, f->len))
				continue;
			while (g && at < f->len && at < g->len && f->mem[at] == g->mem[at])
				at++;
			snprintf(where, n, "%s at %llu", f->path, (unsigned long long)at);
			return false;
		}
		struct pm_sim *t = a;

		a = b;
		b = t;
	}
	return true;
}
