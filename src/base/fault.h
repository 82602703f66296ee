/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fault.h - the wal or the packet buffers cannot be touched any more: a line of the memory
 * has gone bad, or somebody has cut the file short.
 *
 * The processor says so with a signal, in the middle of whatever the thread did.  There is
 * nothing to go on with: the server says which byte of which file it was, and ends with a
 * status of its own.  What was acknowledged is where it was, and the next start, which
 * reads instead of mapping, goes round the place.  A signal for any other address is a
 * mistake of this program, and ends it as ever.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include "store/store.h"

#define FAULT_STATUS 74		/* EX_IOERR */

/* From now on, until the process ends. */
void fault_watch(const struct store *w);
/* A system call said EFAULT where this program would have got the signal: find the place. */
void fault_look(void);
void fault_forget(void);	/* the memory is about to be given back */

#endif
