/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dax.h - memory as sysfs shows it: device-dax, a character device that is memory (what it
 * is, how large, in which units it maps), and what stands behind a device at all.
 *
 * A /dev/dax may be any memory that the firmware sets apart: HBM, CXL memory, a part of the
 * DRAM.  Persistent is only what hangs on the bus of NVDIMMs (a persistent region of CXL
 * does, too), in a region whose persistence_domain says that what was flushed to the memory
 * controller, or what is in the CPU's caches, survives a power cut.
 */
#ifndef MEDIA_DAX_H
#define MEDIA_DAX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

bool dax_is(const struct stat *st);
/* virtio-pmem behind it: the host's page cache, which no flush of ours empties. */
bool dax_is_virtual(dev_t dev);
/* A sysfs attribute of the device, as a number; 0 if it has none. */
uint64_t dax_attr(dev_t dev, const char *name);
uint64_t dax_align(dev_t dev);

/* What a power cut leaves of what was stored there. */
enum dax_domain {
	DAX_FORGETS,		/* nobody says that it does not; or it is no such memory */
	DAX_MEMORY_CONTROLLER,	/* what was flushed */
	DAX_CPU_CACHE,		/* everything */
};
/* Of a device-dax, and of a block device: the weakest of what is below it.  why: the reason of
 * DAX_FORGETS. */
enum dax_domain dax_domain_of_char(dev_t dev, char *why, size_t n);
enum dax_domain dax_domain_of_block(dev_t dev, char *why, size_t n);

extern const char *dax_sysfs;	/* "/sys"; a test's own */

#endif
