/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * progress.h - a progress line on the terminal for work that takes longer than a second:
 * the step, how far it is, its rate, the time left.  Nothing if stderr is no terminal.
 */
#ifndef TOOL_PROGRESS_H
#define TOOL_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

struct progress {
	bool	 terminal;	/* else nothing is shown */
	bool	 shown;
	uint64_t start_ms, last_ms;
	const char *what;	/* the current step; with a new one the rate starts anew */
	uint64_t (*clock_ms)(void);	/* monotonic */
};
void progress_init(struct progress *p, bool terminal);
/* For store_options.progress; arg is a struct progress. */
void progress_report(void *arg, const char *what, uint64_t done, uint64_t total);
void progress_end(struct progress *p);		/* wipes the line */

/* Makes the line itself, without the carriage return; returns its length. */
unsigned progress_line(char *buf, unsigned n, const char *what, uint64_t done,
		       uint64_t total, uint64_t elapsed_ms);

#endif
