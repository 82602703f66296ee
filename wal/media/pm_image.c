/* SPDX-License-Identifier: BSD-2-Clause */
/* pm_image.c - see pm_image.h. */
#include "media/pm_image.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "format/format.h"
#include "util/mutant.h"

#define LINE	64u
#define RUN	(64u << 10)	/* bytes read at once */
#define SMALL	(256u << 10)	/* an image up to this size is on the heap: a new mapping for each
				 * would mean a page fault for every page */

/* Memory of zeros, aligned to a line. */
static uint8_t *room(uint64_t len)
{
	void *p;

	if (len > SMALL) {
		p = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
		return p == MAP_FAILED ? NULL : p;
	}
	p = aligned_alloc(LINE, len);
	return p ? memset(p, 0, len) : NULL;
}

int pm_image_open(struct pm_image *m, const struct pm_ops *pm, const char *path, uint64_t off,
		  uint64_t len)
{
	int err;

	*m = (struct pm_image){ .pm = pm, .off = off, .len = (len + WAL_PAGE - 1) / WAL_PAGE * WAL_PAGE };
	err = pm->open(pm->ctx, path, &m->size, &m->h);
	if (!err && !m->size)
		err = -ENOENT;
	if (err) {
		if (m->h)
			pm->close(pm->ctx, m->h);
		*m = (struct pm_image){ 0 };
		return err;
	}
	m->addr = room(m->len);
	m->have = calloc(m->len / WAL_PAGE, 1);
	m->line = calloc(m->len / LINE / 8, 1);
	if (m->addr && m->have && m->line)
		return 0;
	pm_image_close(m);
	return -ENOMEM;
}

void pm_image_close(struct pm_image *m)
{
	if (m->h)
		m->pm->close(m->pm->ctx, m->h);
	if (m->len <= SMALL)
		free(m->addr);
	else if (m->addr)
		munmap(m->addr, m->len);
	free(m->have);
	free(m->line);
	free(m->bad);
	*m = (struct pm_image){ 0 };
}

static bool is_bad(const struct pm_image *m, uint64_t at)
{
	return m->line[at / LINE / 8] >> at / LINE % 8 & 1;
}

static void note_bad(struct pm_image *m, uint64_t at)
{
	if (is_bad(m, at))
		return;			/* it was dropped, and is fetched again */
	if (m->nbad == m->cap) {
		size_t cap = m->cap ? 2 * m->cap : 16;
		uint64_t *more = realloc(m->bad, cap * sizeof(*more));

		if (!more) {		/* no memory: call the rest of the file bad, too */
			m->size = m->off + at;
			return;
		}
		m->bad = more;
		m->cap = cap;
	}
	m->bad[m->nbad++] = at;
	m->line[at / LINE / 8] |= (uint8_t)(1u << at / LINE % 8);
}

/* Reads up to n bytes at `at`, as far as the file goes. */
static int get(struct pm_image *m, uint64_t at, size_t n)
{
	uint64_t left = m->off + at < m->size ? m->size - m->off - at : 0;

	return left ? m->pm->read(m->pm->ctx, m->h, m->addr + at, n < left ? n : left, m->off + at) : 0;
}

static void get_lines(struct pm_image *m, uint64_t at, size_t n)
{
	for (uint64_t end = at + n; at < end; at += LINE)
		if (get(m, at, LINE)) {
			memset(m->addr + at, 0, LINE);
			if (!MUTANT(image_bad))
				note_bad(m, at);
		}
}

/* Reads the run of pages that `at` is in. */
static void get_run(struct pm_image *m, uint64_t at)
{
	uint64_t from = at / RUN * RUN, to = m->len - from < RUN ? m->len : from + RUN;
	bool whole = !get(m, from, to - from);

	for (uint64_t p = from; p < to; p += WAL_PAGE) {
		if (!whole && get(m, p, WAL_PAGE))
			get_lines(m, p, WAL_PAGE);
		m->have[p / WAL_PAGE] = 1;
	}
}

static bool any_bad(const struct pm_image *m, uint64_t at, size_t n)
{
	if (m->off + at + n > m->size)
		return true;
	for (uint64_t i = at / LINE * LINE; m->nbad && i < at + n; i += LINE)
		if (is_bad(m, i))
			return true;
	return false;
}

bool pm_image_fetch(struct pm_image *m, const void *p, size_t n)
{
	uint64_t at = (uint64_t)((const uint8_t *)p - m->addr);

	if (!n)
		return true;
	for (uint64_t page = at / WAL_PAGE; page <= (at + n - 1) / WAL_PAGE; page++)
		if (!m->have[page])
			get_run(m, page * WAL_PAGE);
	return !any_bad(m, at, n);
}

void pm_image_drop(struct pm_image *m)
{
	if (m->addr && m->len > SMALL && !madvise(m->addr, m->len, MADV_DONTNEED))
		memset(m->have, 0, m->len / WAL_PAGE);
}
