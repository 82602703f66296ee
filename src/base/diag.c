/* SPDX-License-Identifier: BSD-2-Clause */
/* diag.c - see diag.h; with must_fail() of must.h. */
#include "base/diag.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/must.h"
#include "base/now.h"
#include "util/std.h"

#define LINE_BYTES STD_LINE
#define TAIL_BYTES 64		/* kept free for the count of messages that were left out */

static size_t diag_add(char *line, size_t at, size_t cap, const char *fmt, va_list ap)
{
	int n = vsnprintf(line + at, cap - at, fmt, ap);

	if (n < 0)
		return at;
	return (size_t)n < cap - at ? at + (size_t)n : cap - 1;
}

static void put_line(enum diag_level level, uint64_t skipped, const char *fmt, va_list ap)
{
	char line[LINE_BYTES];
	size_t n = 0;

	if (getenv("JOURNAL_STREAM"))
		n = (size_t)snprintf(line, sizeof(line), "<%d>", level);
	n += (size_t)snprintf(line + n, sizeof(line) - n, "pasted: ");
	n = diag_add(line, n, sizeof(line) - TAIL_BYTES, fmt, ap);
	if (skipped)
		n += (size_t)snprintf(line + n, sizeof(line) - n, " (%llu more not shown)",
				      (unsigned long long)skipped);
	for (size_t i = 0; i < n; i++)			/* it may contain bytes of a client */
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
	line[n++] = '\n';
	std_say(line, n);
}

void diag(enum diag_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	put_line(level, 0, fmt, ap);
	va_end(ap);
}

/* Relaxed is enough: the counters guard nothing else, and it does no harm if a race prints or
 * leaves out one line too many. */
void diag_limited(struct diag_limit *l, enum diag_level level, const char *fmt, ...)
{
	uint64_t now = now_ms();
	uint64_t next = atomic_load_explicit(&l->next_ms, memory_order_relaxed);
	va_list ap;

	if (now < next || !atomic_compare_exchange_strong_explicit(&l->next_ms, &next,
			now + 1000, memory_order_relaxed, memory_order_relaxed)) {
		atomic_fetch_add_explicit(&l->skipped, 1, memory_order_relaxed);
		return;
	}
	va_start(ap, fmt);
	put_line(level, atomic_exchange_explicit(&l->skipped, 0, memory_order_relaxed), fmt, ap);
	va_end(ap);
}

void must_fail(const char *expr, const char *file, int line, const char *func)
{
	diag(DIAG_ERR, "%s:%d: %s: this cannot happen: %s", file, line, func, expr);
	std_flush(STD_END_MS);
	abort();
}
