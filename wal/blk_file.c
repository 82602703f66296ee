/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blk_file.c - block storage as the kernel gives it: struct blk_ops over plain files.
 *
 * Nothing here decides anything: each operation is its system call, continued where the
 * kernel may stop half way (short reads and writes, EINTR).  fdatasync is never
 * repeated: after a failure its result says nothing any more.
 */
#include "blk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mutant.h"

#ifndef IOV_MAX
#define IOV_MAX 1024
#endif

struct blk_file {
	int fd;
	int direct;		/* the same file, around the cache; -1: not */
};

static int file_open(void *ctx, const char *path, int flags, struct blk_file **out)
{
	int how = flags & BLK_RDWR ? O_RDWR : O_RDONLY;
	struct blk_file *f = malloc(sizeof(*f));

	(void)ctx;
	if (!f)
		return -ENOMEM;
	if (flags & BLK_CREATE)
		how |= O_RDWR | O_CREAT | O_EXCL;
	do
		f->fd = open(path, how | O_CLOEXEC | O_NOCTTY, 0640);
	while (f->fd < 0 && errno == EINTR);
	if (f->fd < 0) {
		int err = -errno;

		free(f);
		return err;
	}
	/* Not every file system can. */
	f->direct = flags & BLK_DIRECT ? open(path, O_WRONLY | O_DIRECT | O_CLOEXEC | O_NOCTTY) : -1;
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

/* Step over `done` bytes of *iov; entries used up are dropped. */
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
		/* Its blocks are larger, or it cannot after all; nothing was written. */
		close(f->direct);
		f->direct = -1;
	}
	return pwritev(f->fd, iov, cnt, (off_t)off);
}

static int file_write(struct blk_file *f, struct iovec *iov, unsigned n, uint64_t off)
{
	iov_advance(&iov, &n, 0);		/* empty entries in front */
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

static int file_fd(struct blk_file *f)
{
	return f->fd;
}

static int file_mkdir(void *ctx, const char *path)
{
	struct stat st;

	(void)ctx;
	if (mkdir(path, 0750) == 0)
		return 0;
	if (errno != EEXIST)
		return -errno;
	if (stat(path, &st) < 0)
		return -errno;
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

static int file_rename(void *ctx, const char *from, const char *to)
{
	(void)ctx;
	return rename(from, to) < 0 ? -errno : 0;
}

static int file_unlink(void *ctx, const char *path)
{
	(void)ctx;
	return unlink(path) < 0 ? -errno : 0;
}

static int file_sync_dir(void *ctx, const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int res = 0;

	(void)ctx;
	if (fd < 0)
		return -errno;
	if (!MUTANT(file_sync_dir) && fsync(fd) < 0 && !MUTANT(file_sync_dir_result))
		res = -errno;
	close(fd);
	return res;
}

static int file_list(void *ctx, const char *path, int (*cb)(void *arg, const char *name),
		     void *arg)
{
	DIR *d = opendir(path);
	struct dirent *e;
	int res = 0;

	(void)ctx;
	if (!d)
		return -errno;
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
	.open = file_open,
	.close = file_close,
	.size = file_size,
	.read = file_read,
	.write = file_write,
	.sync = file_sync, .allocate = file_allocate,
	.fd = file_fd,
	.mkdir = file_mkdir,
	.rename = file_rename,
	.unlink = file_unlink,
	.sync_dir = file_sync_dir,
	.list = file_list,
	.lock = file_lock,
};
