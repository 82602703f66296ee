/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * progress.h - one line on a terminal for what takes longer than a second: what is
 * done, how far, how fast, how long still.  Nothing when stderr is no terminal.
 */
#ifndef TOOL_PROGRESS_H
#define TOOL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool	 terminal;	/* else nothing is shown */
	bool	 shown;
	uint64_t start_ms, last_ms;
	const char *what;	/* the step under way; a new one starts the rate anew */
	uint64_t (*clock_ms)(void);	/* monotonic */
};
void progress_init(struct progress *p, bool terminal);
/* Fits store_options.progress; arg is a struct progress. */
void progress_report(void *arg, const char *what, uint64_t done, uint64_t total);
void progress_end(struct progress *p);		/* wipes the line */

/* The line itself, without the carriage return: pure. */
unsigned progress_line(char *buf, unsigned n, const char *what, uint64_t done,
		       uint64_t total, uint64_t elapsed_ms);

#endif
