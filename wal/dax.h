/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dax.h - device-dax: a character device that is memory.  What it is, how large, and in
 * which units it maps is in sysfs only.
 */
#ifndef WAL_DAX_H
#define WAL_DAX_H

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
/* The first word of a small file, such as those in /sys; "" if there is none. */
void dax_read_word(const char *path, char *word, size_t len);

#endif
