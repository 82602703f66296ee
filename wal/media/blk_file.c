/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blk_file.c - block storage as the kernel gives it: struct blk_ops over plain files.
 *
 * Each operation is its system call, continued where the kernel may stop half way (short
 * reads and writes, EINTR), without decisions of its own.  fdatasync is never repeated:
 * after one has failed, the result of another says nothing.
 */
#include "media/blk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "util/error.h"
#include "util/mutant.h"

#ifndef IOV_MAX
#define IOV_MAX 1024
#endif

struct blk_file {
	int fd;
	int direct;		/* the same file, opened with O_DIRECT; -1: it is not */
};
struct blk_dir {
	int fd;
};

static int fd_of(const struct blk_dir *at)
{
	return at ? at->fd : AT_FDCWD;
}

static int open_at(const struct blk_dir *at, const char *name, int how)
{
	int fd;

	do
		fd = openat(fd_of(at), name, how | O_CLOEXEC | O_NOCTTY, 0640);
	while (fd < 0 && errno == EINTR);
	return fd < 0 ? -errno : fd;
}

static int file_dir_open(void *ctx, struct blk_dir *at, const char *name, struct blk_dir **out)
{
	struct blk_dir *d = malloc(sizeof(*d));
	int err;

	(void)ctx;
	if (!d)
		return -ENOMEM;
	d->fd = err = open_at(at, name, O_RDONLY | O_DIRECTORY |
			      (at && !MUTANT(file_dir_link) ? O_NOFOLLOW : 0));
	if (err < 0) {
		free(d);
		return at && (err == -ENOTDIR || err == -ELOOP) ? STORE_ENOTDIR : err;
	}
	*out = d;
	return 0;
}

static void file_dir_close(struct blk_dir *d)
{
	close(d->fd);
	free(d);
}

/* Asks a file system that writes a changed block to a new place (btrfs) to write in place.
 * Otherwise the blocks allocated beforehand would be no room for what is written over them, and
 * a full disk would fail a commit instead of the preparing of the next segment.  This works only
 * while the file is empty; then, or on other file systems, nothing changes.  The file loses the
 * checksums of btrfs; everything that we write has checksums of its own. */
static void in_place(int fd)
{
	struct statfs fs;
	int flags;

	if (!fstatfs(fd, &fs) && fs.f_type == BTRFS_SUPER_MAGIC && !ioctl(fd, FS_IOC_GETFLAGS, &flags)) {
		flags |= FS_NOCOW_FL;
		(void)ioctl(fd, FS_IOC_SETFLAGS, &flags);
	}
}

/* Whether what was opened is a regular file and, for writing, has no other name. */
static int regular(int fd, bool writing)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) && !MUTANT(file_kind_check))
		return STORE_ENOTFILE;
	return writing && st.st_nlink > 1 && !MUTANT(file_links_check) ? STORE_ELINKED : 0;
}

static int open_regular(const struct blk_dir *at, const char *name, int how)
{
	int fd = open_at(at, name, how | O_NONBLOCK | (MUTANT(file_follow) ? 0 : O_NOFOLLOW)), err;

	/* The name is a link; a folder, for writing; a socket, or a device that does not exist. */
	if (fd == -ELOOP || fd == -EISDIR || fd == -ENXIO)
		return STORE_ENOTFILE;
	if (fd < 0)
		return fd;
	err = regular(fd, (how & O_ACCMODE) != O_RDONLY);
	if (!err)
		return fd;
	close(fd);
	return err;
}

static int file_open(void *ctx, struct blk_dir *at, const char *name, int flags,
		     struct blk_file **out)
{
	int how = flags & BLK_RDWR ? O_RDWR : O_RDONLY;
	struct blk_file *f = malloc(sizeof(*f));

	(void)ctx;
	if (!f)
		return -ENOMEM;
	if (flags & BLK_CREATE)
		how |= O_RDWR | O_CREAT | O_EXCL;
	f->fd = open_regular(at, name, how);
	if (f->fd < 0) {
		int err = f->fd;

		free(f);
		return err;
	}
	if (flags & BLK_CREATE)
		in_place(f->fd);
	/* Not every file system can do this: then direct is below 0. */
	f->direct = flags & BLK_DIRECT ? open_regular(at, name, O_WRONLY | O_DIRECT) : -1;
	*out = f;
	return 0;
}

static void file_close(struct blk_file *f)
{
	if (f->direct >= 0)
		close(f->direct);
	close(f->fd);
	free(f);
}

static int id_of(const struct stat *st, struct blk_id *id)
{
	*id = (struct blk_id){ st->st_dev, st->st_ino, (unsigned)st->st_nlink, (uint64_t)st->st_size };
	return st->st_nlink ? 0 : -ENOENT;
}

static int file_id(struct blk_file *f, struct blk_id *id)
{
	struct stat st;

	return fstat(f->fd, &st) < 0 ? -errno : id_of(&st, id);
}

static int file_id_at(void *ctx, struct blk_dir *at, const char *name, struct blk_id *id)
{
	struct stat st;

	(void)ctx;
	return fstatat(fd_of(at), name, &st, 0) < 0 ? -errno : id_of(&st, id);
}

static int file_where(struct blk_dir *d, char *path, size_t n, uint64_t *fsid)
{
	char link[64];
	struct statfs fs;
	ssize_t len;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", d->fd);
	len = readlink(link, path, n - 1);
	path[len > 0 ? len : 0] = '\0';
	if (fstatfs(d->fd, &fs))
		return -errno;
	memcpy(fsid, &fs.f_fsid, sizeof(*fsid));
	return 0;
}

static int file_size(struct blk_file *f, uint64_t *bytes)
{
	struct stat st;

	if (fstat(f->fd, &st) < 0)
		return -errno;
	*bytes = (uint64_t)st.st_size;
	return 0;
}

static int file_read(struct blk_file *f, void *p, size_t n, uint64_t off)
{
	uint8_t *to = p;

	while (n) {
		ssize_t got = pread(f->fd, to, n, (off_t)off);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (got == 0)
			return -ENODATA;
		to += got;
		off += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

/* Steps over `done` bytes of *iov; entries that are used up are dropped. */
static void iov_advance(struct iovec **iov, unsigned *n, size_t done)
{
	while (*n && done >= (*iov)->iov_len) {
		done -= (*iov)->iov_len;
		++*iov;
		--*n;
	}
	if (*n) {
		(*iov)->iov_base = (uint8_t *)(*iov)->iov_base + done;
		(*iov)->iov_len -= done;
	}
}

static bool whole_blocks(const struct iovec *iov, unsigned n, uint64_t off)
{
	uint64_t bits = off;

	for (unsigned i = 0; i < n && i < IOV_MAX; i++)
		bits |= (uintptr_t)iov[i].iov_base | iov[i].iov_len;
	return !(bits % BLK_BLOCK);
}

static ssize_t write_some(struct blk_file *f, struct iovec *iov, unsigned n, uint64_t off)
{
	int cnt = n < IOV_MAX ? (int)n : IOV_MAX;

	if (f->direct >= 0 && whole_blocks(iov, n, off)) {
		ssize_t put = pwritev(f->direct, iov, cnt, (off_t)off);

		if (put >= 0 || errno != EINVAL)
			return put;
		/* The device's blocks are larger, or the file system cannot after all; nothing
		 * was written. */
		close(f->direct);
		f->direct = -1;
	}
	return pwritev(f->fd, iov, cnt, (off_t)off);
}

static int file_write(struct blk_file *f, struct iovec *iov, unsigned n, uint64_t off)
{
	iov_advance(&iov, &n, 0);		/* drops empty entries in front */
	while (n) {
		ssize_t put = write_some(f, iov, n, off);

		if (put < 0 && errno == EINTR)
			continue;
		if (put < 0)
			return MUTANT(file_write_result) ? 0 : -errno;
		if (MUTANT(file_write_rest))
			break;
		if (put == 0) {			/* only empty entries, or a full device */
			size_t left = 0;

			for (unsigned i = 0; i < n && i < IOV_MAX; i++)
				left += iov[i].iov_len;
			if (left)
				return -ENOSPC;
		}
		off += (uint64_t)put;
		iov_advance(&iov, &n, (size_t)put);
	}
	return 0;
}

static int file_sync(struct blk_file *f)
{
	if (MUTANT(file_sync))
		return 0;
	return fdatasync(f->fd) < 0 && !MUTANT(file_sync_result) ? -errno : 0;
}

static int file_allocate(struct blk_file *f, uint64_t off, uint64_t bytes)
{
	int err;

	do
		err = posix_fallocate(f->fd, (off_t)off, (off_t)bytes);
	while (err == EINTR);
	return -err;
}

static int file_mkdir(void *ctx, struct blk_dir *at, const char *name)
{
	struct stat st;

	(void)ctx;
	if (mkdirat(fd_of(at), name, 0750) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (fstatat(fd_of(at), name, &st, 0) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

/* Where the file system cannot refuse to overwrite (NFS), a look at the new name before the
 * rename must do: the lock on the store keeps every other pasted from making that name in
 * between; only a strange program that makes it at that moment loses its file. */
static int file_rename(void *ctx, struct blk_dir *at, const char *from, const char *to)
{
	int fd = fd_of(at);
	struct stat st;

	(void)ctx;
	if (!renameat2(fd, from, fd, to, MUTANT(file_rename_over) ? 0 : RENAME_NOREPLACE))
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (!fstatat(fd, to, &st, AT_SYMLINK_NOFOLLOW))
		return -EEXIST;
	if (errno != ENOENT)
		return -errno;
	return renameat(fd, from, fd, to) < 0 ? -errno : 0;
}

static int file_unlink(void *ctx, struct blk_dir *at, const char *name)
{
	(void)ctx;
	return unlinkat(fd_of(at), name, 0) < 0 ? -errno : 0;
}

static int file_sync_dir(struct blk_dir *d)
{
	if (MUTANT(file_sync_dir))
		return 0;
	return fsync(d->fd) < 0 && !MUTANT(file_sync_dir_result) ? -errno : 0;
}

static int file_list(struct blk_dir *at, int (*cb)(void *arg, const char *name), void *arg)
{
	int fd = open_at(at, ".", O_RDONLY | O_DIRECTORY);	/* with its own read position */
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;
	int res = 0;

	if (fd < 0)
		return fd;
	if (!d) {
		res = -errno;
		close(fd);
		return res;
	}
	while (!res) {
		errno = 0;
		e = readdir(d);
		if (!e) {
			res = -errno;
			break;
		}
		if (strcmp(e->d_name, ".") && strcmp(e->d_name, ".."))
			res = cb(arg, e->d_name);
	}
	closedir(d);
	return res;
}

static int file_lock(struct blk_file *f)
{
	int res;

	do
		res = flock(f->fd, LOCK_EX | LOCK_NB);
	while (res < 0 && errno == EINTR);
	return res < 0 && !MUTANT(file_lock_result) ? -errno : 0;
}

const struct blk_ops blk_file_ops = {
	.dir_open = file_dir_open,
	.dir_close = file_dir_close,
	.open = file_open,
	.close = file_close,
	.id = file_id,
	.id_at = file_id_at,
	.where = file_where,
	.size = file_size,
	.read = file_read,
	.write = file_write,
	.sync = file_sync, .allocate = file_allocate,
	.mkdir = file_mkdir,
	.rename = file_rename,
	.unlink = file_unlink,
	.sync_dir = file_sync_dir,
	.list = file_list,
	.lock = file_lock,
};
