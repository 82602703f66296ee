/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * std.h - the three descriptors that a program is given, and messages on the third.
 *
 * A daemon is often started with some of 0, 1 and 2 closed.  The next file that it opens
 * then has one of these numbers, and what is meant for a terminal goes into it.  So
 * std_open() comes before anything else in main().
 *
 * Nobody may read standard error: a pipe whose reader has stopped, a terminal under ^S, a
 * file on a disk that is full or frozen.  poll() does not tell (another process may fill
 * the pipe in between, a disk is always "ready"), and O_NONBLOCK would be set for everybody
 * who shares the descriptor.  So a thread of its own writes, and it alone may wait.  Whoever
 * has a message puts it into a queue of QUEUE_LINES lines and goes on; what finds no place
 * there, or could not be written, is lost, counted, and told as soon as something can be.
 */
#ifndef UTIL_STD_H
#define UTIL_STD_H

#include <stddef.h>
#include <stdint.h>

#define STD_LINE 1024u		/* bytes that are written at once; a longer text in pieces */

/* Makes 0, 1 and 2 open: first of all, in every program. */
void std_open(void);

/* From here on messages are written by the thread; before, and if it cannot be started,
 * by whoever has them.  What waits at exit() gets STD_END_MS.  name: the program's. */
void std_start(const char *name);
#define STD_END_MS 1000

/* A text with its newline to standard error.  Any thread; waits for nobody. */
void std_say(const char *text, size_t n);
/* The same, only if nothing waits: a decoration, which is not counted. */
void std_show(const char *text, size_t n);
/* Until all is written or lost, ms at most. */
void std_flush(unsigned ms);
/* Texts that were lost since the start. */
uint64_t std_lost(void);

#endif
