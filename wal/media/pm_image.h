/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pm_image.h - a file of persistent memory as recovery sees it: read, not mapped.
 *
 * Memory goes bad line by line, and a program that touches a bad line through a mapping gets a
 * signal; a read fails with EIO instead.  So the bytes are read into ordinary memory of the
 * same size, each page when it is first asked for.  A line that cannot be read is zeros there
 * and is noted as bad; what is behind the end of the file counts as bad, too.  (The kernel may
 * refuse a whole page for one line.)
 */
#ifndef MEDIA_PM_IMAGE_H
#define MEDIA_PM_IMAGE_H

#include <stdbool.h>

#include "media/pm.h"

struct pm_image {
	const struct pm_ops *pm;
	void	*h;
	uint8_t	*addr;		/* NULL: not open */
	uint64_t off, len;	/* what is shown of the file */
	uint64_t size;		/* of the file */
	uint8_t	*have;		/* per page: it was read */
	uint8_t	*line;		/* a bit per line: the line is bad */
	uint64_t *bad;		/* offsets of lines in addr, rising within each page */
	size_t	 nbad, cap;
};

/* 0; -ENOENT missing or empty, or another -errno.  A file that ends early is no error. */
int  pm_image_open(struct pm_image *m, const struct pm_ops *pm, const char *path, uint64_t off,
		   uint64_t len);
void pm_image_close(struct pm_image *m);
/* Reads the n bytes at p, an address in the image.  false: some of them cannot be read. */
bool pm_image_fetch(struct pm_image *m, const void *p, size_t n);
/* Frees what was fetched, but keeps what is known of bad lines. */
void pm_image_drop(struct pm_image *m);

#endif
