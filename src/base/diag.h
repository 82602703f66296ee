/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * diag.h - messages to the people who run the server, on standard error.
 *
 * A message is one line, "pasted: text".  A thread of its own (std.h) writes each with one
 * write(), so that lines are not mixed and no other thread waits for the reader.  There are no
 * time stamps: the program that collects standard error adds them.  Under systemd
 * (JOURNAL_STREAM is set) a line starts with its level, "<3>" for an error.  A message is
 * written once, where the decision is taken, and says what to do.
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

/* For messages that a client can cause over and over: at most one line a second for each limit;
 * the next line says how many were left out. */
struct diag_limit {
	_Atomic uint64_t next_ms;	/* no line before then (monotonic clock) */
	_Atomic uint64_t skipped;	/* lines left out since the last one */
};
void diag_limited(struct diag_limit *l, enum diag_level level, const char *fmt, ...)
	__attribute__((format(printf, 3, 4)));

#endif
