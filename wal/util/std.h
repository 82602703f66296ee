/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * std.h - the three descriptors that a program is given, and messages on the third.
 *
 * A daemon is often started with some of 0, 1 and 2 closed.  The next file that it opens
 * then gets one of these numbers, and messages meant for a terminal go into that file.  So
 * std_open() comes before anything else in main().
 *
 * It may be that nobody reads standard error: a pipe whose reader has stopped, a terminal
 * under ^S, a file on a disk that is full or frozen.  poll() does not tell (another process
 * may fill the pipe in between, a disk is always "ready"), and O_NONBLOCK would be set for
 * every process that shares the descriptor.  So one thread does all the writing, and it alone
 * may wait.  The others put their messages into a queue of QUEUE_LINES lines and go on.  A
 * message that finds no place there, or cannot be written, is lost and counted, and the count
 * is written as soon as possible.
 */
#ifndef UTIL_STD_H
#define UTIL_STD_H

#include <stddef.h>
#include <stdint.h>

#define STD_LINE 1024u		/* bytes written at once; a longer text is written in pieces */

/* Opens those of 0, 1 and 2 that are closed.  Every program calls this first of all. */
void std_open(void);

/* From here on the thread writes the messages; before, or if it cannot be started, the caller
 * of std_say does.  exit() waits for up to STD_END_MS until all are written.  name: the
 * program's. */
void std_start(const char *name);
#define STD_END_MS 1000

/* Writes a text, which ends with a newline, to standard error.  Any thread; does not wait. */
void std_say(const char *text, size_t n);
/* The same for a text that may be left out: if others wait it is dropped, and not counted. */
void std_show(const char *text, size_t n);
/* Waits until all texts are written or lost, ms at most. */
void std_flush(unsigned ms);
/* How many texts were lost since the start. */
uint64_t std_lost(void);

#endif
