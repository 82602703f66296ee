/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disk.h - how long the disk has not answered.
 *
 * A struct blk_ops (wal/media/blk.h) that notes the time of each call that may have to wait for
 * the disk, whichever thread makes it: the workers' commits, the checkpointer, a reader, the
 * close at the end.  A server cannot make a silent disk answer; but it can report it, and a
 * stop need not wait for it.
 */
#ifndef BASE_DISK_H
#define BASE_DISK_H

#include "media/blk.h"

/* After so long a disk counts as silent: a message and readyz say so. */
#define DISK_SILENT_MS 2000u

const struct blk_ops *disk_ops(void);	/* blk_file_ops, timed */
/* How long the call that waits longest has been waiting; 0: none waits. */
unsigned disk_waits_ms(void);

#endif
