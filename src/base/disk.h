/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * disk.h - how long the disk has not answered.
 *
 * The seam's table (wal/media/blk.h) with a clock around each call that may have to wait for the
 * disk, whichever thread makes it: the workers' commits, the checkpointer, a reader, the close
 * at the end.  Nothing can be done about a disk that is silent; but it can be told, and a stop
 * need not wait for it.
 */
#ifndef BASE_DISK_H
#define BASE_DISK_H

#include "media/blk.h"

/* From here on a disk counts as silent: it is told, and readyz says so. */
#define DISK_SILENT_MS 2000u

const struct blk_ops *disk_ops(void);	/* blk_file_ops, timed */
/* For how long the call that waits longest has been waiting; 0: none waits. */
unsigned disk_waits_ms(void);

#endif
