/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dax.h - memory as sysfs shows it: device-dax, a character device that is memory (its size
 * and the alignment of its mappings), and what memory is behind any device.
 *
 * A /dev/dax may be any memory that the firmware sets apart: HBM, CXL memory, a part of the
 * DRAM.  Only memory on the NVDIMMs' bus is persistent (a persistent region of CXL is on it,
 * too), and only in a region whose persistence_domain says that what was flushed to the memory
 * controller, or what is in the CPU's caches, survives a power cut.
 */
#ifndef MEDIA_DAX_H
#define MEDIA_DAX_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

bool dax_is(const struct stat *st);
/* Whether it is virtio-pmem: the host's page cache, which no flush of ours empties. */
bool dax_is_virtual(dev_t dev);
/* A sysfs attribute of the device, as a number; 0 if it has none. */
uint64_t dax_attr(dev_t dev, const char *name);
uint64_t dax_align(dev_t dev);	/* offsets and lengths of mappings are multiples of it */

/* What a power cut leaves of what was stored there. */
enum dax_domain {
	DAX_FORGETS,		/* nothing for sure: no persistent memory, or nobody says so */
	DAX_MEMORY_CONTROLLER,	/* what was flushed */
	DAX_CPU_CACHE,		/* everything */
};
/* The domain of a device-dax, and of a block device: the weakest of all that are below it.  why:
 * the reason for DAX_FORGETS. */
enum dax_domain dax_domain_of_char(dev_t dev, char *why, size_t n);
enum dax_domain dax_domain_of_block(dev_t dev, char *why, size_t n);

extern const char *dax_sysfs;	/* "/sys"; in a test a folder of its own */

#endif
