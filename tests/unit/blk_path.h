/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blk_path.h - folders of the seam (wal/media/blk.h) by their paths, for tests: opened, used
 * once, closed.
 */
#ifndef TESTS_BLK_PATH_H
#define TESTS_BLK_PATH_H

#include "media/blk.h"

static inline int path_sync_dir(const struct blk_ops *blk, const char *path)
{
	struct blk_dir *d;
	int err = blk->dir_open(blk->ctx, NULL, path, &d);

	if (!err) {
		err = blk->sync_dir(d);
		blk->dir_close(d);
	}
	return err;
}

static inline int path_list(const struct blk_ops *blk, const char *path,
			    int (*cb)(void *arg, const char *name), void *arg)
{
	struct blk_dir *d;
	int err = blk->dir_open(blk->ctx, NULL, path, &d);

	if (!err) {
		err = blk->list(d, cb, arg);
		blk->dir_close(d);
	}
	return err;
}

#endif
