/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * health.c - see health.h.
 *
 * The errno is stored before the bit (release) and read after it (acquire): a thread that
 * sees the condition also sees why it is set.
 */
#include "admin/health.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "store/store.h"

static const struct words {
	const char *word, *what, *todo;
} words[HEALTH_CONDITIONS] = {
#define X(name, word, what, todo) [HEALTH_##name] = { word, what, todo },
	HEALTH_TABLE(X)
#undef X
};

void health_set(struct health *h, enum health_condition c, int err)
{
	int32_t none = 0;

	/* The first reason is kept: later failures follow from it. */
	__atomic_compare_exchange_n(&h->err[c], &none, err, false,
				    __ATOMIC_RELAXED, __ATOMIC_RELAXED);
	__atomic_or_fetch(&h->set, 1u << c, __ATOMIC_RELEASE);
}

void health_change(struct health *h, enum health_condition c, int err)
{
	__atomic_store_n(&h->err[c], err, __ATOMIC_RELAXED);
}

void health_clear(struct health *h, enum health_condition c)
{
	__atomic_and_fetch(&h->set, ~(1u << c), __ATOMIC_RELEASE);
	__atomic_store_n(&h->err[c], 0, __ATOMIC_RELAXED);
}

/* A reader may see one number new and the other old; that is good enough, they are only shown. */
void health_progress(struct health *h, uint64_t done, uint64_t total)
{
	__atomic_store_n(&h->done, done, __ATOMIC_RELAXED);
	__atomic_store_n(&h->total, total, __ATOMIC_RELAXED);
}

void health_silent(struct health *h, unsigned ms)
{
	__atomic_store_n(&h->silent_ms, ms, __ATOMIC_RELAXED);
	if (ms)
		health_set(h, HEALTH_SILENT, 0);
	else if (health_is(h, HEALTH_SILENT))
		health_clear(h, HEALTH_SILENT);
}

const char *health_condition_word(enum health_condition c)
{
	return words[c].word;
}

const char *health_word(const struct health *h)
{
	uint32_t set = __atomic_load_n(&h->set, __ATOMIC_ACQUIRE);

	if (set >> HEALTH_DRAINING & 1)
		return words[HEALTH_DRAINING].word;
	if (set >> HEALTH_RECOVERING & 1)
		return words[HEALTH_RECOVERING].word;
	if (set >> HEALTH_STARTING & 1)
		return words[HEALTH_STARTING].word;
	return set & ~HEALTH_NOTES ? "stuck" : "ready";
}

/* Appends to buf at *at and moves *at, which stays below n. */
static void health_add(char *buf, size_t n, size_t *at, const char *fmt, ...)
	__attribute__((format(printf, 4, 5)));

static void health_add(char *buf, size_t n, size_t *at, const char *fmt, ...)
{
	va_list ap;
	int k;

	va_start(ap, fmt);
	k = vsnprintf(buf + *at, n - *at, fmt, ap);
	va_end(ap);
	if (k > 0)
		*at = (size_t)k < n - *at ? *at + (size_t)k : n - 1;
}

int health_text(const struct health *h, char *buf, size_t n, size_t *len)
{
	uint32_t set = __atomic_load_n(&h->set, __ATOMIC_ACQUIRE);
	uint64_t done, total;
	int err;

	*len = 0;
	if (!(set & ~HEALTH_NOTES))
		health_add(buf, n, len, "ready\n");
	for (unsigned c = 0; c < HEALTH_CONDITIONS; c++) {
		if (!(set >> c & 1))
			continue;
		err = __atomic_load_n(&h->err[c], __ATOMIC_RELAXED);
		health_add(buf, n, len, "%s: %s: %s", HEALTH_NOTES >> c & 1 ? "note" : "not ready",
			   words[c].word, words[c].what);
		if (err)
			health_add(buf, n, len, " (%s)", store_strerror(err));
		total = __atomic_load_n(&h->total, __ATOMIC_RELAXED);
		done = __atomic_load_n(&h->done, __ATOMIC_RELAXED);
		if (c == HEALTH_RECOVERING && total)
			health_add(buf, n, len, " (%" PRIu64 " of %" PRIu64 " MiB)", done >> 20, total >> 20);
		if (c == HEALTH_SILENT)
			health_add(buf, n, len, " for %u s", __atomic_load_n(&h->silent_ms, __ATOMIC_RELAXED) / 1000);
		health_add(buf, n, len, "; %s\n", words[c].todo);
	}
	return set & ~HEALTH_NOTES ? 503 : 200;
}

int health_alive(const struct health *h, char *buf, size_t n, size_t *len)
{
	(void)h;
	*len = 0;
	health_add(buf, n, len, "alive\n");
	return 200;
}
