/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * place.h - whether a sync in a folder means anything, as far as this machine can tell.
 *
 * A sync is only as good as every layer below it.  What the kernel shows of them is looked
 * at, down to the disk: mount options (an overlay that is `volatile`, a file system without
 * barriers), the upper folder of an overlay, what a device mapper or a RAID is made of, all
 * devices of a btrfs, devices for a log or a journal, the file behind a loop device (one that
 * was deleted is gone with the loop), disks that are memory.  What cannot be seen from here (a
 * hypervisor's cache, a drive that lies, an upper folder of another namespace) is taken as
 * good; pasted --doctor says so.
 */
#ifndef MEDIA_PLACE_H
#define MEDIA_PLACE_H

#include <stdbool.h>
#include <stddef.h>

/* Whether what is synced there is gone after a power cut; why: half a sentence. */
bool place_forgets(const char *path, char *why, size_t n);

/* Where the kernel tells of mounts and threads: "/proc", and for its devices dax_sysfs; the unit
 * test has its own. */
extern const char *place_proc;

#endif
