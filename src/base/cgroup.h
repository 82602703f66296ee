/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cgroup.h - how much memory and CPU time the control groups of the process allow it.
 *
 * Version 1, version 2 and both at once are understood.  /proc/self/cgroup lists the groups,
 * and the limits of all groups above count too.  In a container that list may have paths of
 * the host, which cannot be seen: then the root of the mount is what counts.
 */
#ifndef BASE_CGROUP_H
#define BASE_CGROUP_H

#include <stdint.h>

#define CGROUP_LIST "/proc/self/cgroup"
#define CGROUP_ROOT "/sys/fs/cgroup"

struct cgroup {
	uint64_t memory_bytes;	/* UINT64_MAX: no limit */
	unsigned cpus;		/* CPU time, rounded up; UINT32_MAX: no limit */
};
/* list, root: CGROUP_LIST, CGROUP_ROOT.  A limit that cannot be read is none. */
void cgroup_read(struct cgroup *g, const char *list, const char *root);

#endif
