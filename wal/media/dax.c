/* SPDX-License-Identifier: BSD-2-Clause */
/* dax.c - device-dax as sysfs shows it (dax.h). */
#include "media/dax.h"

#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "format/format.h"

const char *dax_sysfs = "/sys";

/* The first word of a small file, such as those in /sys; "" if there is none. */
static void dax_read_word(const char *path, char *word, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	if (fd >= 0) {
		n = read(fd, word, len - 1);
		close(fd);
	}
	word[n > 0 ? n : 0] = '\0';
	word[strcspn(word, " \n")] = '\0';
}

/* A sysfs attribute of a character device, as a number; 0 if it has none. */
uint64_t dax_attr(dev_t dev, const char *name)
{
	char path[PATH_MAX], word[32];

	snprintf(path, sizeof(path), "%s/dev/char/%u:%u/%s", dax_sysfs, major(dev), minor(dev), name);
	dax_read_word(path, word, sizeof(word));
	return strtoull(word, NULL, 0);
}

bool dax_is(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && dax_attr(st->st_rdev, "size") > 0;
}

/* The device of virtio-pmem lies below a virtio device in sysfs. */
bool dax_is_virtual(dev_t dev)
{
	char link[PATH_MAX], target[PATH_MAX];

	snprintf(link, sizeof(link), "%s/dev/char/%u:%u", dax_sysfs, major(dev), minor(dev));
	return realpath(link, target) && strstr(target, "/virtio");
}

/* At least DAX_ALIGN, which is also the answer if the device names none. */
uint64_t dax_align(dev_t dev)
{
	uint64_t align = dax_attr(dev, "align");

	if (!align)
		align = dax_attr(dev, "device/align");
	return align < DAX_ALIGN ? DAX_ALIGN : align;
}

/* ---- what memory is behind a device ---- */

/* The domain of the region, on the NVDIMMs' bus, that the device's folder lies in. */
static enum dax_domain domain_at(const char *folder, char *why, size_t n)
{
	char region[PATH_MAX + 32], word[64];
	const char *bus = strstr(folder, "/ndbus"), *at = bus ? strstr(bus, "/region") : NULL;
	size_t len = at ? (size_t)(at - folder) + 1 + strcspn(at + 1, "/") : 0;

	if (!at) {
		snprintf(why, n, "no NVDIMM and no persistent region of CXL is behind it (%s)", folder);
		return DAX_FORGETS;
	}
	snprintf(region, sizeof(region), "%.*s/persistence_domain", (int)len, folder);
	dax_read_word(region, word, sizeof(word));
	if (!strcmp(word, "cpu_cache"))
		return DAX_CPU_CACHE;
	if (!strcmp(word, "memory_controller"))
		return DAX_MEMORY_CONTROLLER;
	snprintf(why, n, "the platform does not say that what is flushed survives a power cut (%s: \"%s\")",
		 region, word);
	return DAX_FORGETS;
}

enum dax_domain dax_domain_of_char(dev_t dev, char *why, size_t n)
{
	char link[PATH_MAX], folder[PATH_MAX];

	snprintf(link, sizeof(link), "%s/dev/char/%u:%u", dax_sysfs, major(dev), minor(dev));
	if (realpath(link, folder))
		return domain_at(folder, why, n);
	snprintf(why, n, "the kernel does not tell what is behind it");
	return DAX_FORGETS;
}

/* The domain of a device's folder; of a device mapper's or a RAID's device the weakest of those
 * that it is made of. */
static enum dax_domain domain_of_folder(const char *folder, int depth, char *why, size_t n)
{
	enum dax_domain weakest = DAX_CPU_CACHE, one;
	char pattern[PATH_MAX + 16], below[PATH_MAX];
	glob_t g;

	snprintf(pattern, sizeof(pattern), "%s/slaves/*", folder);
	if (depth > 8 || glob(pattern, 0, NULL, &g))
		return domain_at(folder, why, n);
	for (size_t i = 0; i < g.gl_pathc; i++) {
		one = realpath(g.gl_pathv[i], below) ? domain_of_folder(below, depth + 1, why, n) : DAX_FORGETS;
		if (one < weakest)
			weakest = one;
	}
	globfree(&g);
	return weakest;
}

enum dax_domain dax_domain_of_block(dev_t dev, char *why, size_t n)
{
	char link[PATH_MAX], folder[PATH_MAX];

	snprintf(link, sizeof(link), "%s/dev/block/%u:%u", dax_sysfs, major(dev), minor(dev));
	if (realpath(link, folder))
		return domain_of_folder(folder, 0, why, n);
	snprintf(why, n, "the kernel does not tell what is behind it");
	return DAX_FORGETS;
}
