/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * progress.c - the progress line of pasted-recover (progress.h).
 */
#include <stdio.h>
#include <string.h>

#include "tool/progress.h"
#include "util/clock.h"
#include "util/std.h"

#define QUIET_MS	1000u	/* shorter work shows nothing */
#define AGAIN_MS	250u	/* between two lines */
#define MB		1000000.0

void progress_init(struct progress *p, bool terminal)
{
	*p = (struct progress){ .terminal = terminal, .clock_ms = clock_monotonic_ms };
}

unsigned progress_line(char *buf, unsigned n, const char *what, uint64_t done,
		       uint64_t total, uint64_t elapsed_ms)
{
	double rate = elapsed_ms ? done / (elapsed_ms / 1000.0) : 0;
	int len;

	if (total && done > total)
		done = total;
	if (!total || rate <= 0)
		len = snprintf(buf, n, "%s: %.0f MB, %.0f MB/s", what, done / MB, rate / MB);
	else
		len = snprintf(buf, n, "%s: %.0f of %.0f MB (%.0f %%), %.0f MB/s, %.0f s left",
			       what, done / MB, total / MB, 100.0 * done / total, rate / MB,
			       (total - done) / rate);
	if (len < 0)
		return 0;
	return (unsigned)len < n ? (unsigned)len : n - 1;
}

void progress_report(void *arg, const char *what, uint64_t done, uint64_t total)
{
	struct progress *p = arg;
	char line[160] = "\r\033[K";
	uint64_t now;
	unsigned n;

	if (!p->terminal)
		return;
	now = p->clock_ms();
	if (!p->what || strcmp(p->what, what)) {
		p->what = what;
		p->start_ms = p->last_ms = now;
	}
	if (now - p->start_ms < QUIET_MS || now - p->last_ms < AGAIN_MS)
		return;
	p->last_ms = now;
	n = progress_line(line + 4, sizeof(line) - 4, what, done, total, now - p->start_ms);
	std_show(line, n + 4);
	p->shown = true;
}

void progress_end(struct progress *p)
{
	if (p->shown)
		std_say("\r\033[K", 4);
	p->shown = false;
}
