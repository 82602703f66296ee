/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fault.h - the end of the server when the wal or the packet buffers cannot be accessed any
 * more, because a line of the memory has gone bad or somebody has cut the file short.
 *
 * The kernel reports that with a signal, in the middle of whatever the thread did.  The
 * server cannot go on: it says which byte of which file it was, and ends with the exit status
 * FAULT_STATUS.  All else that was acknowledged is still there, and the next start, which
 * reads instead of mapping, leaves out the bad place.  A signal for any other address is a
 * bug of this program, and ends it as usual.
 */
#ifndef BASE_FAULT_H
#define BASE_FAULT_H

#include "store/store.h"

#define FAULT_STATUS 74		/* EX_IOERR */

/* Catches these signals from now on. */
void fault_watch(const struct store *w);
/* A system call has failed with EFAULT, so no signal came: touches all the memory to get it. */
void fault_look(void);
void fault_forget(void);	/* the memory is about to be given back */

#endif
