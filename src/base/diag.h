/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * diag.h - messages to the people who run the server, on standard error.
 *
 * One line each, "pasted: text", written with one write() by a thread of its own (std.h),
 * so that threads neither mix theirs nor wait for who reads them.  No time stamps: whoever collects standard error adds them.  Under
 * systemd (JOURNAL_STREAM is set) a line starts with its level, "<3>" for an error.
 * A message is written once, where the decision is taken, and says what to do.
 */
#ifndef BASE_DIAG_H
#define BASE_DIAG_H

#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>

enum diag_level {		/* syslog's numbers */
	DIAG_ERR = 3,
	DIAG_WARN = 4,
	DIAG_NOTE = 5,
};

void diag(enum diag_level level, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* At most one line a second for each limit; the next one says how many were left
 * out.  For what a client can cause over and over. */
struct diag_limit {
	_Atomic uint64_t next_ms;	/* monotonic; nothing before it */
	_Atomic uint64_t skipped;
};
void diag_limited(struct diag_limit *l, enum diag_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
