/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * sim_pages.c - pages of simulated files (sim_pages.h).
 */
#include "sim_pages.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static const struct sim_page zeros;

static void *need(void *p)
{
	if (!p)
		abort();
	return p;
}

static size_t pages_of(uint64_t len)
{
	return (len + SIM_PAGE - 1) / SIM_PAGE;
}

static void drop(struct sim_page *p)
{
	if (p && !--p->refs)
		free(p);
}

void sim_pages_free(struct sim_pages *b)
{
	for (size_t i = 0; i < b->n; i++)
		drop(b->page[i]);
	free(b->page);
	*b = (struct sim_pages){ 0 };
}

void sim_pages_copy(struct sim_pages *to, const struct sim_pages *from)
{
	*to = *from;
	to->page = need(malloc((from->n + 1) * sizeof(struct sim_page *)));
	for (size_t i = 0; i < from->n; i++) {
		to->page[i] = from->page[i];
		if (to->page[i])
			to->page[i]->refs++;
	}
}

/* A page of one's own. */
static uint8_t *own(struct sim_pages *b, size_t i)
{
	struct sim_page *p = b->page[i];

	if (p && p->refs == 1)
		return p->data;
	b->page[i] = need(malloc(sizeof(*p)));
	b->page[i]->refs = 1;
	memcpy(b->page[i]->data, p ? p->data : zeros.data, SIM_PAGE);
	drop(p);
	return b->page[i]->data;
}

void sim_pages_resize(struct sim_pages *b, uint64_t len)
{
	size_t n = pages_of(len);

	for (size_t i = n; i < b->n; i++)
		drop(b->page[i]);
	if (n != b->n)
		b->page = need(realloc(b->page, (n + 1) * sizeof(struct sim_page *)));
	for (size_t i = b->n; i < n; i++)
		b->page[i] = NULL;
	b->n = n;
	b->len = len;
	if (len % SIM_PAGE && b->page[n - 1])
		memset(own(b, n - 1) + len % SIM_PAGE, 0, SIM_PAGE - len % SIM_PAGE);
}

void sim_pages_write(struct sim_pages *b, uint64_t off, const void *p, size_t n)
{
	const uint8_t *from = p;

	assert(off + n <= b->len);
	while (n) {
		size_t i = off / SIM_PAGE, at = off % SIM_PAGE, part = SIM_PAGE - at;

		if (part > n)
			part = n;
		if (b->page[i] || memcmp(from, zeros.data, part))
			memcpy(own(b, i) + at, from, part);
		from += part;
		off += part;
		n -= part;
	}
}

const uint8_t *sim_pages_at(const struct sim_pages *b, uint64_t off)
{
	const struct sim_page *p = b->page[off / SIM_PAGE];

	return (p ? p : &zeros)->data + off % SIM_PAGE;
}

void sim_pages_read(const struct sim_pages *b, uint64_t off, void *p, size_t n)
{
	uint8_t *to = p;

	assert(off + n <= b->len);
	while (n) {
		size_t part = SIM_PAGE - off % SIM_PAGE;

		if (part > n)
			part = n;
		memcpy(to, sim_pages_at(b, off), part);
		to += part;
		off += part;
		n -= part;
	}
}

bool sim_pages_same(const struct sim_pages *a, const struct sim_pages *b)
{
	if (a->len != b->len)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->page[i] != b->page[i] &&
		    memcmp((a->page[i] ? a->page[i] : &zeros)->data,
			   (b->page[i] ? b->page[i] : &zeros)->data, SIM_PAGE))
			return false;
	return true;
}
