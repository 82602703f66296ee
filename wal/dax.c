/* SPDX-License-Identifier: BSD-2-Clause */
/* dax.c - device-dax as sysfs shows it (dax.h). */
#include "dax.h"

#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "format.h"

void dax_read_word(const char *path, char *word, size_t len)
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
	char path[128], word[32];

	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/%s", major(dev), minor(dev), name);
	dax_read_word(path, word, sizeof(word));
	return strtoull(word, NULL, 0);
}

bool dax_is(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && dax_attr(st->st_rdev, "size") > 0;
}

/* virtio-pmem behind a device-dax: the host's page cache, which no flush of ours
 * empties. */
bool dax_is_virtual(dev_t dev)
{
	char link[64], target[PATH_MAX];

	snprintf(link, sizeof(link), "/sys/dev/char/%u:%u", major(dev), minor(dev));
	return realpath(link, target) && strstr(target, "/virtio");
}

/* Offsets and lengths of mappings are multiples of it. */
uint64_t dax_align(dev_t dev)
{
	uint64_t align = dax_attr(dev, "align");

	if (!align)
		align = dax_attr(dev, "device/align");
	return align < DAX_ALIGN ? DAX_ALIGN : align;
}
