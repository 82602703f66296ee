/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * place.h - whether a sync in a folder means anything, as far as this machine can tell.
 *
 * A sync is only as good as every layer below it.  This looks at what the kernel shows of
 * them, down to the disk: mount options (an overlay that is `volatile`, a file system without
 * barriers), the upper folder of an overlay, what a device mapper or a RAID is made of, all
 * devices of a btrfs, devices for a log or a journal, the file behind a loop device (one that
 * was deleted is gone with the loop), disks that are memory.  What it cannot see (a
 * hypervisor's cache, a drive that lies, an upper folder of another namespace) it takes as
 * good; pasted --doctor says so.
 */
#ifndef MEDIA_PLACE_H
#define MEDIA_PLACE_H

#include <stdbool.h>
#include <stddef.h>

/* Whether what is synced there is gone after a power cut; why: half a sentence. */
bool place_forgets(const char *path, char *why, size_t n);

/* Where the kernel shows mounts and threads: "/proc", in the unit test a folder of its own.
 * (Devices are in dax_sysfs.) */
extern const char *place_proc;

#endif
