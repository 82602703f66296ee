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
 * Names are relative to a folder that is held open.  A path is looked up only once, for
 * the folder of the store: if the store is moved and another is made in its place, the
 * program that has the first one open goes on with its files, and makes none in the other.
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

/* BLK_DIRECT: a write of whole blocks (its offset, length and memory are multiples) goes around
 * the kernel's cache, where the file system can do that; like any write it is durable after
 * the next sync. */
enum { BLK_RDONLY = 0, BLK_RDWR = 1, BLK_CREATE = 2 /* O_EXCL */, BLK_DIRECT = 4 };
#define BLK_BLOCK 4096u

/* No room on the disk, or none that a quota leaves. */
static inline bool blk_nospace(int err)
{
	return err == -ENOSPC || err == -EDQUOT;
}

struct blk_id {			/* which file or folder this is */
	uint64_t dev, ino;
	unsigned names;		/* how many names (hard links) it has */
	uint64_t bytes;		/* its size */
};
static inline bool blk_same(const struct blk_id *a, const struct blk_id *b)
{
	return a->dev == b->dev && a->ino == b->ino;
}

struct blk_ops {
	void *ctx;
	/* Opens a folder; `name` is looked up in `at`, even "..".  at NULL, here and below: name
	 * is a path as the process sees it.  In `at` a link is followed only if the name ends in
	 * "/.", else it is STORE_ENOTDIR. */
	int	(*dir_open)(void *ctx, struct blk_dir *at, const char *name, struct blk_dir **d);
	void	(*dir_close)(struct blk_dir *d);
	/* Opens a regular file, else STORE_ENOTFILE: it follows no link, and does not wait if a
	 * pipe has the name.  BLK_RDWR: STORE_ELINKED if the file has another name, since it may be
	 * somebody else's, too. */
	int	(*open)(void *ctx, struct blk_dir *at, const char *name, int flags,
			struct blk_file **f);
	void	(*close)(struct blk_file *f);
	int	(*id)(struct blk_file *f, struct blk_id *id);
	/* The id of what the name leads to now; "." is the folder itself, -ENOENT when that has no
	 * name any more. */
	int	(*id_at)(void *ctx, struct blk_dir *at, const char *name, struct blk_id *id);
	/* The folder's absolute path as it is now ("" if it cannot be found out; cut if it is too
	 * long), and the id of its file system. */
	int	(*where)(struct blk_dir *d, char *path, size_t n, uint64_t *fsid);
	int	(*size)(struct blk_file *f, uint64_t *bytes);
	/* Read exactly n bytes (0) or -errno; -ENODATA at the end of the file. */
	int	(*read)(struct blk_file *f, void *p, size_t n, uint64_t off);
	/* Write all of iov (any n; split at IOV_MAX inside; short writes and EINTR
	 * continued).  0 or -errno.  iov may be modified. */
	int	(*write)(struct blk_file *f, struct iovec *iov, unsigned n, uint64_t off);
	int	(*sync)(struct blk_file *f);		/* fdatasync */
	/* May be NULL.  Makes a new file longer by [off, off + bytes): the blocks are allocated and
	 * read as zeros, but are not written, so the first write and sync of a block changes
	 * metadata. */
	int	(*allocate)(struct blk_file *f, uint64_t off, uint64_t bytes);
	/* 0 also if the folder is there already. */
	int	(*mkdir)(void *ctx, struct blk_dir *at, const char *name);
	/* Renames within one folder, and never over another file: -EEXIST. */
	int	(*rename)(void *ctx, struct blk_dir *at, const char *from, const char *to);
	int	(*unlink)(void *ctx, struct blk_dir *at, const char *name);
	int	(*sync_dir)(struct blk_dir *d);
	/* Calls cb with each name except . and .. until cb returns not 0: that, 0 or -errno. */
	int	(*list)(struct blk_dir *d, int (*cb)(void *arg, const char *name), void *arg);
	/* An exclusive lock for the life of the process: 0, -EWOULDBLOCK. */
	int	(*lock)(struct blk_file *f);
};
extern const struct blk_ops blk_file_ops;

/*
 * A commit to block storage that completes later: write all of iov, then sync, as one
 * chain; a short or failed write must not be followed by a sync that reports success.
 * -ENOSPC and -EDQUOT say that the write found no room and nothing was synced; a sync that
 * fails with one of them is reported as -EIO.  The rings provide this, each with a thread of
 * its own beside the worker, so the worker never waits for a disk.  Completion (0 or -errno)
 * is reported in the submitting thread, never from inside submit or call (the rings: event
 * RING_SYNCED; the owner then calls lane_synced).  The caller leaves memory and files alone
 * until then.  At most one is in flight per lane.
 */
struct blk_aio {
	int (*submit)(struct blk_aio *a, const struct blk_ops *blk, struct blk_file *f,
		      struct iovec *iov, unsigned n, uint64_t off);
	/* Calls fn(arg), which may have to wait for the disk, in place of a chain.  May be NULL:
	 * then the caller calls fn itself. */
	int (*call)(struct blk_aio *a, int (*fn)(void *arg), void *arg);
};

#endif
