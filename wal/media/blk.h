/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blk.h - the seam to block storage: every open, write, sync, rename that the
 * promise depends on goes through this table.  blk_file.c is the kernel's;
 * tests/sim/blk_sim.c records, injects faults, and can produce any state that a power cut
 * may leave: unsynced writes dropped, kept, reordered, torn at sectors (512
 * bytes); directory operations not yet synced done or not done; after a sync
 * that failed, any of these for ever (the pages are clean: a retry writes
 * nothing, though reads still show the data).
 *
 * Names are relative to a folder that is held open.  A path is looked up once, for the
 * folder of the store: whoever moves the store, and makes another in its place, neither
 * takes files away from the program that has it open nor gets files from it.
 */
#ifndef MEDIA_BLK_H
#define MEDIA_BLK_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

struct blk_file;		/* an open file; defined by each provider */
struct blk_dir;			/* an open folder; likewise */

/* BLK_DIRECT: what is written in whole blocks (place, length and memory) goes around the
 * kernel's cache, where the file system can do that; it is as durable as any write, that
 * is, after the next sync. */
enum { BLK_RDONLY = 0, BLK_RDWR = 1, BLK_CREATE = 2 /* O_EXCL */, BLK_DIRECT = 4 };
#define BLK_BLOCK 4096u

/* No room on the disk, or none that a quota leaves. */
static inline bool blk_nospace(int err)
{
	return err == -ENOSPC || err == -EDQUOT;
}

struct blk_id {			/* which file or folder it is */
	uint64_t dev, ino;
	unsigned names;		/* how many it has: hard links */
	uint64_t bytes;		/* its size */
};
static inline bool blk_same(const struct blk_id *a, const struct blk_id *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

struct blk_ops {
	void *ctx;
	/* A folder; `name` is looked up in `at`, the name ".." too.  at NULL, here and below:
	 * name is a path as the process sees it.  In `at` a link is followed only where the name
	 * ends in "/.": STORE_ENOTDIR. */
	int	(*dir_open)(void *ctx, struct blk_dir *at, const char *name, struct blk_dir **d);
	void	(*dir_close)(struct blk_dir *d);
	/* A regular file, or STORE_ENOTFILE: no link is followed, and nothing is waited for that
	 * may stand there instead (a pipe).  BLK_RDWR: STORE_ELINKED where it has another name, for
	 * somebody else may count on what is there. */
	int	(*open)(void *ctx, struct blk_dir *at, const char *name, int flags,
			struct blk_file **f);
	void	(*close)(struct blk_file *f);
	int	(*id)(struct blk_file *f, struct blk_id *id);
	/* Of what the name leads to now; "." is the folder itself, -ENOENT when that has no name
	 * any more. */
	int	(*id_at)(void *ctx, struct blk_dir *at, const char *name, struct blk_id *id);
	/* The folder's absolute path as it is now ("" if that is not to be had; cut if it is too
	 * long), and the id of its file system. */
	int	(*where)(struct blk_dir *d, char *path, size_t n, uint64_t *fsid);
	int	(*size)(struct blk_file *f, uint64_t *bytes);
	/* Read exactly n bytes (0) or -errno; -ENODATA at the end of the file. */
	int	(*read)(struct blk_file *f, void *p, size_t n, uint64_t off);
	/* Write all of iov (any n; split at IOV_MAX inside; short writes and EINTR
	 * continued).  0 or -errno.  iov may be modified. */
	int	(*write)(struct blk_file *f, struct iovec *iov, unsigned n, uint64_t off);
	int	(*sync)(struct blk_file *f);		/* fdatasync */
	/* May be NULL.  Makes a new file longer by [off, off + bytes), its blocks allocated,
	 * zeros to a reader, without writing them: the first write and sync of a block then
	 * changes metadata. */
	int	(*allocate)(struct blk_file *f, uint64_t off, uint64_t bytes);
	int	(*mkdir)(void *ctx, struct blk_dir *at, const char *name);	/* 0 if it is there */
	/* Within one folder, and never over a file: -EEXIST. */
	int	(*rename)(void *ctx, struct blk_dir *at, const char *from, const char *to);
	int	(*unlink)(void *ctx, struct blk_dir *at, const char *name);
	int	(*sync_dir)(struct blk_dir *d);
	/* Calls back with each name but . and ..; 0 or -errno (or what cb returned). */
	int	(*list)(struct blk_dir *d, int (*cb)(void *arg, const char *name), void *arg);
	/* An exclusive lock for the life of the process: 0, -EWOULDBLOCK. */
	int	(*lock)(struct blk_file *f);
};
extern const struct blk_ops blk_file_ops;

/*
 * A commit to block storage that completes later: write all of iov, then sync, as one
 * chain; a short or failed write must not be followed by a sync that reports success.
 * -ENOSPC and -EDQUOT say that the write found no room and nothing was synced; a sync that
 * fails with one of them is told as -EIO.  The rings provide it, each by a thread of its own
 * beside the worker, which never waits for a disk.  Completion (0 or -errno) is reported in
 * the submitting thread, never from inside submit or call (the rings: event RING_SYNCED; the
 * owner then calls lane_synced).  Memory and files stay untouched until then.  One is in
 * flight per lane at a time.
 */
struct blk_aio {
	int (*submit)(struct blk_aio *a, const struct blk_ops *blk, struct blk_file *f,
		      struct iovec *iov, unsigned n, uint64_t off);
	/* The same for fn(arg), which may have to wait for the disk; in place of a chain.  May
	 * be NULL: the caller calls it. */
	int (*call)(struct blk_aio *a, int (*fn)(void *arg), void *arg);
};

#endif
