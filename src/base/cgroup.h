/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * cgroup.h - what the control groups that the process is in allow it: memory and CPU time.
 *
 * Both versions, and both at once: /proc/self/cgroup says where, the limits of all groups
 * above count too.  A path that cannot be seen, as in a container that has its host's, is
 * taken for the root of what is mounted.
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
/* list, root: CGROUP_LIST, CGROUP_ROOT.  What cannot be read is no limit. */
void cgroup_read(struct cgroup *g, const char *list, const char *root);

#endif
