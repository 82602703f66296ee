/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_seams.c - what the two real seams ask of the kernel and of the CPU: the calls
 * that make something durable are taken over here, counted, and made to fail.  No
 * simulator sees a sync that blk_file.c or pm_nvmm.c leaves out.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "blk_path.h"
#include "media/blk.h"
#include "media/pm.h"
#include "store/store.h"

/* ---- the calls, ours instead of the libraries' ---- */

static struct {
	unsigned fdatasync, fsync_file, fsync_dir, pwritev, flush, drain;
	int	 fail;			/* errno of the next one; 0: it works */
	unsigned most;			/* bytes that a pwritev takes; 0: all */
	unsigned direct;		/* of them around the cache */
	bool	 cannot;		/* EINVAL for those */
	const void *flushed;
	size_t	 flushed_n;
	int	 no_rename;		/* renameat2 fails with it: this file system cannot */
	unsigned interrupted;		/* so many calls are, before the next goes through */
	unsigned reads, allocates;
	bool	 full;			/* a write takes nothing, and says so by 0 */
} calls;

static int failing(void)
{
	int err = calls.fail;

	calls.fail = 0;
	errno = err;
	return err ? -1 : 0;
}

static bool interrupted(void)
{
	if (!calls.interrupted)
		return false;
	calls.interrupted--;
	errno = EINTR;
	return true;
}

ssize_t pread(int fd, void *p, size_t n, off_t off)
{
	calls.reads++;
	if (interrupted() || failing())
		return -1;
	if (calls.most && n > calls.most)
		n = calls.most;
	return syscall(SYS_pread64, fd, p, n, off);
}

int posix_fallocate(int fd, off_t off, off_t len)
{
	calls.allocates++;
	if (interrupted() || failing())
		return errno;
	return syscall(SYS_fallocate, fd, 0, off, len) ? errno : 0;
}

int renameat2(int at, const char *from, int to_at, const char *to, unsigned flags)
{
	errno = calls.no_rename;
	return calls.no_rename ? -1 : (int)syscall(SYS_renameat2, at, from, to_at, to, flags);
}

int flock(int fd, int how)
{
	return interrupted() || failing() ? -1 : (int)syscall(SYS_flock, fd, how);
}

int fdatasync(int fd)
{
	calls.fdatasync++;
	return failing() ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int fsync(int fd)
{
	struct stat st;

	fstat(fd, &st);
	calls.fsync_file += S_ISREG(st.st_mode);
	calls.fsync_dir += S_ISDIR(st.st_mode);
	return failing() ? -1 : (int)syscall(SYS_fsync, fd);
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t off)
{
	ssize_t sum = 0;

	calls.pwritev++;
	if (failing())
		return -1;
	if (calls.full)
		return 0;
	if (fcntl(fd, F_GETFL) & O_DIRECT) {
		calls.direct++;
		errno = EINVAL;
		if (calls.cannot)
			return -1;
	}
	for (int i = 0; i < n; i++) {
		size_t len = iov[i].iov_len;

		if (calls.most && len > calls.most - (size_t)sum)
			len = calls.most - (size_t)sum;
		if (pwrite(fd, iov[i].iov_base, len, off + sum) != (ssize_t)len)
			return -1;
		sum += (ssize_t)len;
	}
	return sum;
}

void pmem_flush(const void *p, size_t n);
void pmem_flush(const void *p, size_t n)
{
	calls.flush++;
	calls.flushed = p;
	calls.flushed_n = n;
}

void pmem_drain(void);
void pmem_drain(void)
{
	calls.drain++;
}

/* ---- a folder ---- */

struct folder {
	char dir[64], file[80];
	struct blk_file *f;
};

static int setup(void **state)
{
	struct folder *d = calloc(1, sizeof(*d));

	assert_non_null(d);
	strcpy(d->dir, "/dev/shm/seams.XXXXXX");	/* tmpfs: certainly no DAX */
	assert_non_null(mkdtemp(d->dir));
	snprintf(d->file, sizeof(d->file), "%s/f", d->dir);
	assert_int_equal(blk_file_ops.open(NULL, NULL, d->file, BLK_RDWR | BLK_CREATE, &d->f), 0);
	memset(&calls, 0, sizeof(calls));
	*state = d;
	return 0;
}

static int teardown(void **state)
{
	struct folder *d = *state;

	blk_file_ops.close(d->f);
	unlink(d->file);
	rmdir(d->dir);
	free(d);
	return 0;
}

/* ---- block storage ---- */

static unsigned descriptors(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += fcntl(fd, F_GETFD) >= 0;
	return n;
}

static void sync_is_one_fdatasync(void **state)
{
	struct folder *d = *state;

	assert_int_equal(blk_file_ops.sync(d->f), 0);
	assert_int_equal(calls.fdatasync, 1);
	/* whatever it fails with, also with what others would try again */
	for (int i = 0; i < 4; i++) {
		static const int errs[] = { EIO, ENOSPC, EINTR, EAGAIN };

		calls.fail = errs[i];
		assert_int_equal(blk_file_ops.sync(d->f), -errs[i]);
		assert_int_equal(calls.fdatasync, 2 + i);
	}
}

static void sync_dir_is_one_fsync(void **state)
{
	struct folder *d = *state;

	assert_int_equal(path_sync_dir(&blk_file_ops, d->dir), 0);
	assert_int_equal(calls.fsync_dir, 1);
	calls.fail = EIO;
	assert_int_equal(path_sync_dir(&blk_file_ops, d->dir), -EIO);
	assert_int_equal(calls.fsync_dir, 2);
	assert_int_equal(path_sync_dir(&blk_file_ops, "/nowhere"), -ENOENT);
}

/* Where the folder's path leads to meanwhile does not matter. */
static void files_are_named_in_a_folder_that_is_held(void **state)
{
	struct folder *d = *state;
	const struct blk_ops *blk = &blk_file_ops;
	char moved[80], path[160];
	struct blk_dir *held;
	struct blk_file *f;

	snprintf(moved, sizeof(moved), "%s.moved", d->dir);
	assert_int_equal(blk->dir_open(NULL, NULL, d->dir, &held), 0);
	assert_int_equal(rename(d->dir, moved), 0);
	assert_int_equal(mkdir(d->dir, 0700), 0);
	assert_int_equal(blk->open(NULL, held, "new", BLK_RDWR | BLK_CREATE, &f), 0);
	blk->close(f);
	assert_int_equal(blk->rename(NULL, held, "new", "f"), -EEXIST);
	assert_int_equal(blk->rename(NULL, held, "new", "g"), 0);
	snprintf(path, sizeof(path), "%s/g", moved);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(blk->unlink(NULL, held, "g"), 0);
	assert_int_equal(access(path, F_OK), -1);
	assert_int_equal(rmdir(d->dir), 0);		/* nothing was made in it */
	assert_int_equal(rename(moved, d->dir), 0);
	blk->dir_close(held);
}

/* What has the name and is no file of the store's own is neither waited for nor written to. */
static void only_a_regular_file_of_one_name(void **state)
{
	struct folder *d = *state;
	const struct blk_ops *blk = &blk_file_ops;
	char path[96], other[96];
	struct blk_dir *held, *in;
	struct blk_file *f;

	snprintf(path, sizeof(path), "%s/x", d->dir);
	snprintf(other, sizeof(other), "%s/y", d->dir);
	assert_int_equal(blk->dir_open(NULL, NULL, d->dir, &held), 0);
	assert_int_equal(symlink(d->file, path), 0);
	assert_int_equal(blk->open(NULL, held, "x", BLK_RDONLY, &f), STORE_ENOTFILE);
	assert_int_equal(blk->open(NULL, held, "x", BLK_RDWR, &f), STORE_ENOTFILE);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(blk->open(NULL, held, "x", BLK_RDONLY, &f), STORE_ENOTFILE);
	assert_int_equal(blk->open(NULL, held, "x", BLK_RDWR, &f), STORE_ENOTFILE);
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(blk->open(NULL, held, "x", BLK_RDONLY, &f), STORE_ENOTFILE);
	assert_int_equal(blk->open(NULL, held, "x", BLK_RDWR, &f), STORE_ENOTFILE);
	assert_int_equal(symlink("x", other), 0);
	assert_int_equal(blk->dir_open(NULL, held, "y", &in), STORE_ENOTDIR);
	assert_int_equal(blk->dir_open(NULL, held, "y/.", &in), 0);
	blk->dir_close(in);
	unlink(other);
	rmdir(path);
	assert_int_equal(link(d->file, path), 0);
	assert_int_equal(blk->open(NULL, held, "x", BLK_RDWR, &f), STORE_ELINKED);
	assert_int_equal(blk->open(NULL, held, "x", BLK_RDONLY, &f), 0);
	blk->close(f);
	unlink(path);
	blk->dir_close(held);
}

static void short_writes_go_on(void **state)
{
	char a[1000], b[700], back[1700];
	struct iovec iov[4] = { { a, 0 }, { a, sizeof(a) }, { b, 0 }, { b, sizeof(b) } };
	struct folder *d = *state;

	memset(a, 'a', sizeof(a));
	memset(b, 'b', sizeof(b));
	calls.most = 300;
	assert_int_equal(blk_file_ops.write(d->f, iov, 4, 0), 0);
	assert_int_equal(calls.pwritev, 6);
	assert_int_equal(blk_file_ops.read(d->f, back, sizeof(back), 0), 0);
	assert_memory_equal(back, a, sizeof(a));
	assert_memory_equal(back + sizeof(a), b, sizeof(b));
}

static void a_failed_write_is_told(void **state)
{
	char a[10] = "0123456789";
	struct iovec iov = { a, sizeof(a) };
	struct folder *d = *state;

	calls.fail = EIO;
	assert_int_equal(blk_file_ops.write(d->f, &iov, 1, 0), -EIO);
	assert_int_equal(calls.pwritev, 1);
	calls.fail = EINTR;			/* nothing was written: it goes on */
	assert_int_equal(blk_file_ops.write(d->f, &iov, 1, 0), 0);
	assert_int_equal(calls.pwritev, 3);
}

/* A device that takes nothing is full; pieces of nothing are written by doing nothing. */
static void nothing_is_written(void **state)
{
	char a[10] = "0123456789";
	struct iovec iov[2] = { { a, sizeof(a) }, { a, 0 } };
	struct folder *d = *state;

	calls.full = true;
	assert_int_equal(blk_file_ops.write(d->f, iov, 2, 0), -ENOSPC);
	iov[0].iov_len = 0;
	assert_int_equal(blk_file_ops.write(d->f, iov, 2, 0), 0);
	assert_int_equal(blk_file_ops.write(d->f, NULL, 0, 0), 0);
}

/* More pieces than a call takes. */
static void many_pieces(void **state)
{
	enum { N = 2500 };
	static char from[N * 3], to[N * 3];
	static struct iovec iov[N];
	struct folder *d = *state;
	uint64_t size;

	for (unsigned i = 0; i < N; i++) {
		memset(from + 3 * i, 'a' + (int)(i % 26), 3);
		iov[i] = (struct iovec){ from + 3 * i, 3 };
	}
	assert_int_equal(blk_file_ops.write(d->f, iov, N, 7), 0);
	assert_int_equal(calls.pwritev, 3);		/* a thousand and some at a time */
	assert_int_equal(blk_file_ops.size(d->f, &size), 0);
	assert_int_equal(size, 7 + sizeof(from));
	assert_int_equal(blk_file_ops.read(d->f, to, sizeof(to), 7), 0);
	assert_memory_equal(from, to, sizeof(to));
}

/* Read in pieces, interrupted, to the end and not beyond; a failure is told. */
static void reads_go_on(void **state)
{
	char a[1000], back[1000] = { 0 };
	struct iovec iov = { a, sizeof(a) };
	struct folder *d = *state;
	uint64_t size;
	void *h;

	for (unsigned i = 0; i < sizeof(a); i++)
		a[i] = (char)(i * 7);
	assert_int_equal(blk_file_ops.write(d->f, &iov, 1, 0), 0);
	for (int pm = 0; pm < 2; pm++) {
		if (pm)
			assert_int_equal(pm_nvmm.open(NULL, d->file, &size, &h), 0);
#define READ(n, off) (pm ? pm_nvmm.read(NULL, h, back, n, off) : blk_file_ops.read(d->f, back, n, off))
		memset(back, 0, sizeof(back));
		memset(&calls, 0, sizeof(calls));
		calls.most = 300;
		calls.interrupted = 2;
		assert_int_equal(READ(1000, 0), 0);
		assert_memory_equal(back, a, 1000);
		assert_int_equal(calls.reads, 6);
		assert_int_equal(READ(10, 990), 0);
		assert_memory_equal(back, a + 990, 10);
		assert_int_equal(READ(11, 990), -ENODATA);
		assert_int_equal(READ(1, 1000), -ENODATA);
		assert_int_equal(READ(0, 5000), 0);
		calls.fail = EIO;
		assert_int_equal(READ(10, 0), -EIO);
#undef READ
		if (pm)
			pm_nvmm.close(NULL, h);
	}
}

/* Blocks for what is to come: there, zeros, and no bytes written. */
static void room_is_made(void **state)
{
	struct folder *d = *state;
	struct stat st;
	uint64_t size;
	char byte = 1;

	calls.interrupted = 3;
	assert_int_equal(blk_file_ops.allocate(d->f, 4096, 8192), 0);
	assert_int_equal(calls.allocates, 4);
	assert_int_equal(blk_file_ops.size(d->f, &size), 0);
	assert_int_equal(size, 12288);
	assert_int_equal(stat(d->file, &st), 0);
	assert_int_equal(st.st_blocks, 16);
	assert_int_equal(blk_file_ops.read(d->f, &byte, 1, 12287), 0);
	assert_int_equal(byte, 0);
	calls.fail = ENOSPC;
	assert_int_equal(blk_file_ops.allocate(d->f, 0, 1), -ENOSPC);
	assert_int_equal(calls.allocates, 5);
}

/* Which file it is, how large, and under how many names. */
static void what_a_file_is(void **state)
{
	struct folder *d = *state;
	const struct blk_ops *blk = &blk_file_ops;
	struct iovec iov = { d->file, 5 };
	struct blk_id a, b, c;
	struct blk_dir *held;
	char path[4096], other[96];
	uint64_t fsid = 0, fsid2 = 1;
	struct stat st;

	assert_int_equal(stat(d->file, &st), 0);
	assert_int_equal(st.st_mode, S_IFREG | (0640 & ~umask(umask(0) & 0777)));
	assert_int_equal(blk->write(d->f, &iov, 1, 0), 0);
	assert_int_equal(blk->id(d->f, &a), 0);
	assert_int_equal(a.dev, st.st_dev);
	assert_int_equal(a.ino, st.st_ino);
	assert_int_equal(a.names, 1);
	assert_int_equal(a.bytes, 5);
	assert_int_equal(blk->dir_open(NULL, NULL, d->dir, &held), 0);
	assert_int_equal(blk->id_at(NULL, held, "f", &b), 0);
	assert_true(blk_same(&a, &b));
	assert_int_equal(blk->id_at(NULL, held, ".", &c), 0);
	assert_false(blk_same(&a, &c));
	assert_int_equal(blk->id_at(NULL, NULL, d->dir, &b), 0);
	assert_true(blk_same(&c, &b));
	assert_int_equal(blk->id_at(NULL, held, "g", &b), -ENOENT);
	snprintf(other, sizeof(other), "%s/g", d->dir);
	assert_int_equal(link(d->file, other), 0);
	assert_int_equal(blk->id_at(NULL, held, "g", &b), 0);
	assert_true(blk_same(&a, &b));
	assert_int_equal(b.names, 2);
	unlink(d->file);
	assert_int_equal(blk->id(d->f, &b), 0);
	unlink(other);
	assert_int_equal(blk->id(d->f, &b), -ENOENT);	/* it has no name any more */
	/* Where the folder is, and on what. */
	assert_int_equal(blk->where(held, path, sizeof(path), &fsid), 0);
	assert_string_equal(path, d->dir);
	assert_int_not_equal(fsid, 0);
	assert_int_equal(blk->where(held, path, 5, &fsid2), 0);
	assert_string_equal(path, "/dev");		/* as much as there is room for */
	assert_int_equal(fsid, fsid2);
	blk->dir_close(held);
}

static int count_names(void *arg, const char *name)
{
	(void)name;
	++*(int *)arg;
	return 0;
}

static int stop_at(void *arg, const char *name)
{
	(void)name;
	return ++*(int *)arg == 2 ? 77 : 0;
}

/* Folders: made, listed, and what is none. */
static void folders(void **state)
{
	struct folder *d = *state;
	const struct blk_ops *blk = &blk_file_ops;
	struct blk_dir *held, *in;
	char path[96];
	struct stat st;
	int n = 0;

	assert_int_equal(blk->dir_open(NULL, NULL, d->dir, &held), 0);
	assert_int_equal(blk->mkdir(NULL, held, "sub"), 0);
	assert_int_equal(blk->mkdir(NULL, held, "sub"), 0);	/* it is there */
	assert_int_equal(blk->mkdir(NULL, held, "f"), -ENOTDIR);
	assert_int_equal(blk->mkdir(NULL, held, "no/sub"), -ENOENT);
	snprintf(path, sizeof(path), "%s/sub", d->dir);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 0007, 0);		/* no business of others */
	assert_int_equal(blk->list(held, count_names, &n), 0);
	assert_int_equal(n, 2);
	assert_int_equal(blk->list(held, count_names, &n), 0);	/* from its beginning */
	assert_int_equal(n, 4);
	n = 0;
	assert_int_equal(blk->list(held, stop_at, &n), 77);
	assert_int_equal(n, 2);
	assert_int_equal(blk->dir_open(NULL, held, "f", &in), STORE_ENOTDIR);
	assert_int_equal(blk->dir_open(NULL, NULL, d->file, &in), -ENOTDIR);
	assert_int_equal(blk->dir_open(NULL, held, "no", &in), -ENOENT);
	assert_int_equal(blk->dir_open(NULL, NULL, "/nowhere/at/all", &in), -ENOENT);
	assert_int_equal(blk->dir_open(NULL, held, "sub", &in), 0);
	rmdir(path);
	n = 0;
	assert_int_equal(blk->list(in, count_names, &n), 0);	/* it is gone */
	assert_int_equal(n, 0);
	blk->dir_close(in);
	assert_int_equal(blk->unlink(NULL, held, "no"), -ENOENT);
	blk->dir_close(held);
}

/* A file system that cannot rename without overwriting is asked first. */
static void a_name_is_not_taken_away(void **state)
{
	static const int how[] = { 0, EINVAL, ENOSYS };
	struct folder *d = *state;
	const struct blk_ops *blk = &blk_file_ops;
	struct blk_dir *held;
	struct blk_file *f;
	struct blk_id a, b;

	assert_int_equal(blk->dir_open(NULL, NULL, d->dir, &held), 0);
	assert_int_equal(blk->open(NULL, held, "g", BLK_RDWR | BLK_CREATE, &f), 0);
	assert_int_equal(blk->id(f, &a), 0);
	blk->close(f);
	assert_int_equal(blk->open(NULL, held, "g", BLK_RDWR | BLK_CREATE, &f), -EEXIST);
	for (unsigned i = 0; i < 3; i++) {
		calls.no_rename = how[i];
		assert_int_equal(blk->rename(NULL, held, "g", "f"), -EEXIST);
		assert_int_equal(blk->rename(NULL, held, "g", "no/f"), -ENOENT);
		assert_int_equal(blk->rename(NULL, held, "no", "h"), -ENOENT);
		assert_int_equal(blk->id_at(NULL, held, "h", &b), -ENOENT);
		assert_int_equal(blk->rename(NULL, held, "g", "h"), 0);
		assert_int_equal(blk->id_at(NULL, held, "h", &b), 0);
		assert_true(blk_same(&a, &b));
		assert_int_equal(blk->id_at(NULL, held, "g", &b), -ENOENT);
		assert_int_equal(blk->rename(NULL, held, "h", "g"), 0);
	}
	calls.no_rename = EROFS;
	assert_int_equal(blk->rename(NULL, held, "g", "h"), -EROFS);
	assert_int_equal(blk->id_at(NULL, held, "g", &b), 0);
	assert_int_equal(blk->unlink(NULL, held, "g"), 0);
	blk->dir_close(held);
}

/* Only what is whole blocks, in all three respects, and only where it is asked for. */
static void whole_blocks_go_around_the_cache(void **state)
{
	static _Alignas(BLK_BLOCK) char mem[3 * BLK_BLOCK], back[3 * BLK_BLOCK];
	static const struct { uint32_t mem, len, off; bool direct; } rows[] = {
		{ 0, 2 * BLK_BLOCK, BLK_BLOCK, true }, { 0, BLK_BLOCK, 0, true },
		{ 512, BLK_BLOCK, 0, false }, { 0, BLK_BLOCK + 512, 0, false },
		{ 0, BLK_BLOCK, 512, false },
	};
	char path[] = "seams.XXXXXX";		/* on a disk, as a rule */
	struct blk_file *f;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	close(fd);
	fd = open(path, O_WRONLY | O_DIRECT);
	if (fd < 0) {
		unlink(path);
		skip();
	}
	close(fd);
	for (int want = 0; want < 3; want++) {
		unsigned had = descriptors();
		int err = blk_file_ops.open(NULL, NULL, path, want ? BLK_RDWR | BLK_DIRECT : BLK_RDWR, &f);

		assert_int_equal(err, 0);
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			struct iovec iov = { mem + rows[i].mem, rows[i].len };

			memset(&calls, 0, sizeof(calls));
			calls.cannot = want == 2;	/* the first is refused: no more of them */
			memset(mem, (int)('a' + i), sizeof(mem));
			assert_int_equal(blk_file_ops.write(f, &iov, 1, rows[i].off), 0);
			assert_int_equal(calls.direct, want == 2 ? i == 0 : want && rows[i].direct);
			assert_int_equal(blk_file_ops.read(f, back, rows[i].len, rows[i].off), 0);
			assert_memory_equal(back, mem, rows[i].len);
		}
		memset(&calls, 0, sizeof(calls));
		blk_file_ops.close(f);
		assert_int_equal(descriptors(), had);
	}
	unlink(path);
}

/* A file system without it, here tmpfs (until Linux 6.6): as if it had not been asked for. */
static void without_direct(void **state)
{
	static _Alignas(BLK_BLOCK) char mem[BLK_BLOCK] = "here", back[BLK_BLOCK];
	struct iovec iov = { mem, sizeof(mem) };
	struct folder *d = *state;
	struct blk_file *f;

	assert_int_equal(blk_file_ops.open(NULL, NULL, d->file, BLK_RDWR | BLK_DIRECT, &f), 0);
	assert_int_equal(blk_file_ops.write(f, &iov, 1, 0), 0);
	assert_int_equal(blk_file_ops.read(f, back, sizeof(back), 0), 0);
	assert_memory_equal(back, mem, sizeof(mem));
	blk_file_ops.close(f);
}

static void a_lock_is_for_one(void **state)
{
	struct folder *d = *state;
	struct blk_file *other;

	calls.interrupted = 2;
	assert_int_equal(blk_file_ops.lock(d->f), 0);
	assert_int_equal(calls.interrupted, 0);
	calls.fail = ENOLCK;
	assert_int_equal(blk_file_ops.lock(d->f), -ENOLCK);
	assert_int_equal(blk_file_ops.open(NULL, NULL, d->file, BLK_RDWR, &other), 0);
	assert_int_equal(blk_file_ops.lock(other), -EWOULDBLOCK);
	blk_file_ops.close(other);
}

/* ---- persistent memory ---- */

static void a_wal_is_held_by_one(void **state)
{
	struct folder *d = *state;
	struct pm_hold *h, *other;
	char wal[80], away[80];

	assert_int_equal(pm_nvmm.hold(NULL, d->dir, &h), 0);
	assert_int_equal(pm_nvmm.hold(NULL, d->dir, &other), -EWOULDBLOCK);
	snprintf(wal, sizeof(wal), "%s/wal", d->dir);
	snprintf(away, sizeof(away), "%s/away", d->dir);
	assert_int_equal(close(open(wal, O_CREAT | O_RDWR, 0600)), 0);
	assert_int_equal(pm_nvmm.hold_files(NULL, h), 0);
	assert_true(pm_nvmm.there(NULL, h));
	assert_false(pm_nvmm.linked(NULL, h));
	assert_true(pm_nvmm.leads(NULL, h, d->dir));
	assert_false(pm_nvmm.leads(NULL, h, "/dev/shm"));
	assert_int_equal(rename(wal, away), 0);
	assert_false(pm_nvmm.there(NULL, h));
	assert_int_equal(rename(away, wal), 0);
	assert_true(pm_nvmm.there(NULL, h));

	/* The same file by another path. */
	assert_int_equal(mkdir(away, 0700), 0);
	strcat(away, "/wal");
	assert_int_equal(link(wal, away), 0);
	away[strlen(away) - 4] = '\0';
	assert_int_equal(pm_nvmm.hold(NULL, away, &other), -EWOULDBLOCK);
	pm_nvmm.release(NULL, h);
	assert_int_equal(pm_nvmm.hold(NULL, away, &other), STORE_ELINKED);
	assert_int_equal(pm_nvmm.hold(NULL, away, &h), -EWOULDBLOCK);
	assert_true(pm_nvmm.linked(NULL, other));
	pm_nvmm.release(NULL, other);
	assert_int_equal(pm_nvmm.hold(NULL, "/nowhere/at/all", &h), -ENOENT);
	strcat(away, "/wal");
	unlink(away);
	away[strlen(away) - 4] = '\0';
	rmdir(away);
	unlink(wal);
}

/* Each file by its name: gone, another's, or what nobody can find out; and nothing stays open. */
static void what_is_held(void **state)
{
	static const char *const names[] = { "wal", "pktbufs" };
	struct folder *d = *state;
	unsigned had = descriptors();
	struct pm_hold *h, *other;
	char path[96], away[96], moved[96];

	assert_int_equal(pm_nvmm.hold(NULL, "/nowhere/at/all", &h), -ENOENT);
	calls.fail = ENOLCK;
	assert_int_equal(pm_nvmm.hold(NULL, d->dir, &h), -ENOLCK);
	calls.interrupted = 3;
	assert_int_equal(pm_nvmm.hold(NULL, d->dir, &h), 0);
	assert_int_equal(calls.interrupted, 0);
	assert_true(pm_nvmm.there(NULL, h));		/* nothing is, yet */
	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", d->dir, names[i]);
		assert_int_equal(close(open(path, O_CREAT | O_RDWR, 0600)), 0);
	}
	assert_int_equal(pm_nvmm.hold_files(NULL, h), 0);
	assert_int_equal(descriptors(), had + 3);
	assert_int_equal(pm_nvmm.hold_files(NULL, h), 0);
	assert_int_equal(descriptors(), had + 3);
	assert_int_equal(pm_nvmm.hold(NULL, d->dir, &other), -EWOULDBLOCK);
	assert_int_equal(descriptors(), had + 3);
	snprintf(away, sizeof(away), "%s/away", d->dir);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", d->dir, names[i]);
		assert_true(pm_nvmm.there(NULL, h));
		assert_int_equal(rename(path, away), 0);
		assert_false(pm_nvmm.there(NULL, h));
		assert_int_equal(close(open(path, O_CREAT | O_RDWR, 0600)), 0);
		assert_false(pm_nvmm.there(NULL, h));		/* another one */
		assert_int_equal(rename(away, path), 0);
	}
	assert_true(pm_nvmm.there(NULL, h));
	assert_true(pm_nvmm.leads(NULL, h, d->dir));
	snprintf(moved, sizeof(moved), "%s.moved", d->dir);
	assert_int_equal(rename(d->dir, moved), 0);
	assert_false(pm_nvmm.leads(NULL, h, d->dir));
	assert_true(pm_nvmm.leads(NULL, h, moved));
	assert_true(pm_nvmm.there(NULL, h));
	assert_false(pm_nvmm.leads(NULL, h, "/dev/null/x"));
	assert_int_equal(rename(moved, d->dir), 0);
	/* Either file under another name. */
	pm_nvmm.release(NULL, h);
	assert_int_equal(descriptors(), had);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", d->dir, names[i]);
		assert_int_equal(link(path, away), 0);
		assert_int_equal(pm_nvmm.hold(NULL, d->dir, &h), STORE_ELINKED);	/* it is held */
		assert_int_equal(unlink(away), 0);
		pm_nvmm.release(NULL, h);
		assert_int_equal(descriptors(), had);
		assert_int_equal(rename(path, away), 0);
		assert_int_equal(mkdir(path, 0700), 0);
		assert_int_equal(pm_nvmm.hold(NULL, d->dir, &h), STORE_ENOTFILE);
		assert_int_equal(rmdir(path), 0);
		assert_int_equal(rename(away, path), 0);
	}
	/* What is no folder has no files in it: a device. */
	assert_int_equal(pm_nvmm.hold(NULL, "/dev/null", &h), 0);
	assert_int_equal(pm_nvmm.hold_files(NULL, h), 0);
	assert_int_equal(descriptors(), had + 1);
	assert_true(pm_nvmm.there(NULL, h));
	pm_nvmm.release(NULL, h);
	assert_int_equal(descriptors(), had);
	for (unsigned i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", d->dir, names[i]);
		unlink(path);
	}
}

/* The folder or either file has the descriptor 0, where the standard input was closed: it is looked
 * at, locked and closed as with any other. */
static void descriptor_0_is_held_as_any(void **state)
{
	enum { FOLDER, WAL, PKTBUFS, WHICH };
	struct folder *d = *state;
	char path[96], away[96], folder[112];
	int keep = dup(STDIN_FILENO);
	struct pm_hold *h, *other;

	snprintf(away, sizeof(away), "%s/away", d->dir);
	for (int which = FOLDER; which < WHICH; which++) {
		unsigned had = descriptors(), held = which == FOLDER ? 1 : 2;

		snprintf(path, sizeof(path), "%s/%s", d->dir, which == PKTBUFS ? "pktbufs" : "wal");
		if (which == FOLDER)
			close(STDIN_FILENO);
		assert_int_equal(pm_nvmm.hold(NULL, d->dir, &h), 0);
		if (which != FOLDER) {
			assert_int_equal(close(open(path, O_CREAT | O_RDWR, 0600)), 0);
			close(STDIN_FILENO);
		}
		for (int again = 0; again < 2; again++) {
			assert_int_equal(pm_nvmm.hold_files(NULL, h), 0);
			assert_int_equal(descriptors(), had - 1 + held);
			assert_true(fcntl(STDIN_FILENO, F_GETFD) >= 0);
		}
		assert_true(pm_nvmm.leads(NULL, h, d->dir));
		assert_true(pm_nvmm.there(NULL, h));
		assert_false(pm_nvmm.linked(NULL, h));
		assert_int_equal(pm_nvmm.hold(NULL, d->dir, &other), -EWOULDBLOCK);
		if (which != FOLDER) {
			assert_int_equal(link(path, away), 0);
			assert_true(pm_nvmm.linked(NULL, h));
			assert_int_equal(unlink(path), 0);
			assert_false(pm_nvmm.there(NULL, h));
			assert_int_equal(rename(away, path), 0);
		}
		if (which == WAL) {		/* by another path */
			assert_int_equal(mkdir(away, 0700), 0);
			snprintf(folder, sizeof(folder), "%s/wal", away);
			assert_int_equal(link(path, folder), 0);
			assert_int_equal(pm_nvmm.hold(NULL, away, &other), -EWOULDBLOCK);
			assert_int_equal(unlink(folder), 0);
			assert_int_equal(rmdir(away), 0);
		}
		pm_nvmm.release(NULL, h);
		assert_int_equal(descriptors(), had - 1);
		assert_true(fcntl(STDIN_FILENO, F_GETFD) < 0);
		assert_int_equal(dup2(keep, STDIN_FILENO), STDIN_FILENO);
		unlink(path);
	}
	close(keep);
}

static void the_wal_is_a_file_of_one_name(void **state)
{
	struct folder *d = *state;
	char wal[80], bufs[80], other[80];
	struct pm_hold *h;
	uint64_t size;
	void *r;

	snprintf(wal, sizeof(wal), "%s/wal", d->dir);
	snprintf(bufs, sizeof(bufs), "%s/pktbufs", d->dir);
	snprintf(other, sizeof(other), "%s/other", d->dir);
	assert_int_equal(pm_nvmm.allocate(NULL, other, 8192, PM_CREATE), 0);
	assert_int_equal(symlink("other", wal), 0);
	assert_int_equal(pm_nvmm.hold(NULL, d->dir, &h), STORE_ENOTFILE);
	assert_int_equal(pm_nvmm.allocate(NULL, wal, 16384, PM_CREATE), STORE_ENOTFILE);
	assert_int_equal(pm_nvmm.open(NULL, wal, &size, &r), STORE_ENOTFILE);
	unlink(wal);
	assert_int_equal(mkfifo(bufs, 0600), 0);
	assert_int_equal(pm_nvmm.hold(NULL, d->dir, &h), STORE_ENOTFILE);
	assert_int_equal(pm_nvmm.open(NULL, bufs, &size, &r), STORE_ENOTFILE);
	unlink(bufs);
	assert_int_equal(link(other, wal), 0);
	assert_int_equal(pm_nvmm.hold(NULL, d->dir, &h), STORE_ELINKED);
	pm_nvmm.release(NULL, h);
	assert_int_equal(pm_nvmm.allocate(NULL, wal, 16384, 0), STORE_ELINKED);
	unlink(wal);
	unlink(other);
}

static void a_new_file_is_durable(void **state)
{
	struct folder *d = *state;
	struct pm_map m;
	struct stat st;
	char path[96];

	snprintf(path, sizeof(path), "%s/wal", d->dir);
	assert_int_equal(pm_nvmm.allocate(NULL, path, 8192, 0), -ENOENT);
	assert_int_equal(pm_nvmm.allocate(NULL, path, 8192, PM_CREATE), 0);
	assert_int_equal(calls.fsync_file, 1);
	assert_int_equal(calls.fsync_dir, 1);
	/* That it is there, and long enough, says nothing: who made it may have been killed in
	 * front of the sync, and a copy may have holes. */
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(truncate(path, 8192), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_blocks, 0);
	assert_int_equal(pm_nvmm.allocate(NULL, path, 8192, 0), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_true(st.st_blocks >= 16);
	assert_int_equal(calls.fsync_file, 2);
	assert_int_equal(calls.fsync_dir, 2);
	assert_int_equal(pm_nvmm.map(NULL, path, 0, 8192, 0, &m), 0);
	pm_nvmm.unmap(NULL, &m);
	calls.fail = EIO;
	assert_int_equal(pm_nvmm.allocate(NULL, path, 8192, PM_CREATE), -EIO);
	assert_int_equal(pm_nvmm.allocate(NULL, path, 16384, 0), -EFBIG);
	unlink(path);
}

static void what_is_cleared_is_synced(void **state)
{
	struct folder *d = *state;
	uint8_t bytes[8192];
	uint64_t size;
	char path[96];
	void *h;

	snprintf(path, sizeof(path), "%s/wal", d->dir);
	assert_int_equal(pm_nvmm.allocate(NULL, path, 8192, PM_CREATE), 0);
	memset(bytes, 7, sizeof(bytes));
	assert_int_equal(pm_nvmm.open(NULL, path, &size, &h), 0);
	assert_int_equal(size, 8192);
	assert_int_equal(pm_nvmm.read(NULL, h, bytes, 8192, 4096), -ENODATA);
	assert_int_equal(pm_nvmm.read(NULL, h, bytes, 4096, 4096), 0);
	pm_nvmm.close(NULL, h);
	assert_int_equal(bytes[4095], 0);
	assert_int_equal(bytes[4096], 7);
	calls.fsync_file = 0;
	assert_int_equal(pm_nvmm.clear(NULL, path, 4096 + 64, 64), 0);
	assert_int_equal(calls.fsync_file, 1);
	unlink(path);
}

/* The pages that a bad line is in, and no others: as zeros, however it may lie. */
static void whole_pages_are_cleared(void **state)
{
	static const struct { uint64_t off; size_t n; unsigned from, to; } rows[] = {
		{ 4096, 64, 1, 2 }, { 4096 + 4032, 64, 1, 2 }, { 4096 + 4032, 65, 1, 3 }, { 0, 1, 0, 1 },
		{ 8192, 8192, 2, 4 }, { 8191, 8194, 1, 5 }, { 100, 4096, 0, 2 },
	};
	struct folder *d = *state;
	static uint8_t was[6 * 4096], now[6 * 4096];
	struct iovec iov = { was, sizeof(was) };
	char path[96];
	uint64_t size;

	memset(was, 7, sizeof(was));
	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(blk_file_ops.write(d->f, &iov, 1, 0), 0);
		iov = (struct iovec){ was, sizeof(was) };
		memset(&calls, 0, sizeof(calls));
		assert_int_equal(pm_nvmm.clear(NULL, d->file, rows[i].off, rows[i].n), 0);
		assert_int_equal(calls.fsync_file, 1);
		assert_int_equal(blk_file_ops.size(d->f, &size), 0);
		assert_int_equal(size, sizeof(was));
		assert_int_equal(blk_file_ops.read(d->f, now, sizeof(now), 0), 0);
		for (unsigned p = 0; p < 6; p++)
			for (unsigned k = 0; k < 4096; k++)
				assert_int_equal(now[p * 4096 + k], p >= rows[i].from && p < rows[i].to ? 0 : 7);
	}
	calls.fail = EIO;
	assert_int_equal(pm_nvmm.clear(NULL, d->file, 0, 64), -EIO);
	snprintf(path, sizeof(path), "%s/no", d->dir);
	assert_int_equal(pm_nvmm.clear(NULL, path, 0, 64), -ENOENT);
}

/* Memory of nobody's: as much as was asked for, zeros, and given back. */
static void anonymous_memory(void **state)
{
	static const _Alignas(8) char words[] = "0123456789abcdef";
	struct pm_map m;

	(void)state;
	assert_int_equal(pm_nvmm.map(NULL, NULL, 0, 3 * 4096, 0, &m), 0);
	assert_int_equal(m.len, 3 * 4096);
	assert_false(m.memory);
	for (unsigned i = 0; i < m.len; i++)
		assert_int_equal(m.addr[i], 0);
	memset(m.addr, 1, m.len);
	pm_nvmm.zero(NULL, m.addr + 8, 4096);
	assert_int_equal(m.addr[7] + m.addr[8] + m.addr[8 + 4095] + m.addr[8 + 4096], 2);
	pm_nvmm.store(NULL, m.addr, words, 16);
	assert_memory_equal(m.addr, words, 16);
	assert_int_equal(pm_nvmm.populate(NULL, &m), 0);
	pm_nvmm.unmap(NULL, &m);
	assert_null(m.addr);
	assert_int_equal(m.len, 0);
	pm_nvmm.unmap(NULL, &m);		/* once is enough */
	assert_int_equal(pm_nvmm.map(NULL, NULL, 0, 0, 0, &m), -EINVAL);
}

/* What is mapped of a file is the file. */
static void a_mapped_file(void **state)
{
	struct folder *d = *state;
	char path[96], back[8];
	struct pm_map m;
	struct stat st;
	uint64_t size;
	void *h;

	snprintf(path, sizeof(path), "%s/wal", d->dir);
	calls.interrupted = 1;
	assert_int_equal(pm_nvmm.allocate(NULL, path, 3 * 4096, PM_CREATE), 0);
	assert_int_equal(calls.allocates, 2);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 3 * 4096);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_int_equal(pm_nvmm.map(NULL, path, 4096, 8192, 0, &m), 0);
	assert_true(m.memory);			/* tmpfs */
	assert_int_equal(m.len, 8192);
	memcpy(m.addr, "page one", 8);
	assert_int_equal(pm_nvmm.populate(NULL, &m), 0);
	pm_nvmm.unmap(NULL, &m);
	assert_int_equal(pm_nvmm.open(NULL, path, &size, &h), 0);
	assert_int_equal(pm_nvmm.read(NULL, h, back, 8, 4096), 0);
	assert_memory_equal(back, "page one", 8);
	pm_nvmm.close(NULL, h);
	/* Never shorter; longer where it may be made so. */
	assert_int_equal(pm_nvmm.allocate(NULL, path, 4096, PM_CREATE), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 3 * 4096);
	assert_int_equal(pm_nvmm.allocate(NULL, path, 3 * 4096, 0), 0);
	assert_int_equal(pm_nvmm.allocate(NULL, path, 3 * 4096 + 1, 0), -EFBIG);
	assert_int_equal(pm_nvmm.allocate(NULL, path, 4 * 4096, PM_CREATE), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_size, 4 * 4096);
	assert_int_equal(truncate(path, 0), 0);
	assert_int_equal(pm_nvmm.allocate(NULL, path, 1, 0), -ENOENT);
	calls.fail = ENOSPC;
	assert_int_equal(pm_nvmm.allocate(NULL, path, 4096, PM_CREATE), -ENOSPC);
	unlink(path);
	assert_int_equal(pm_nvmm.open(NULL, path, &size, &h), -ENOENT);
	assert_int_equal(pm_nvmm.map(NULL, path, 0, 4096, 0, &m), -ENOENT);
	/* In the current folder its name is all there is of a path. */
	{
		char cwd[1024];

		assert_non_null(getcwd(cwd, sizeof(cwd)));
		assert_int_equal(chdir(d->dir), 0);
		memset(&calls, 0, sizeof(calls));
		assert_int_equal(pm_nvmm.allocate(NULL, "wal", 4096, PM_CREATE), 0);
		assert_int_equal(calls.fsync_dir, 1);
		unlink("wal");
		assert_int_equal(chdir(cwd), 0);
	}
}

static void memory_is_no_persistent_memory(void **state)
{
	struct folder *d = *state;
	struct pm_map m;
	char path[96];

	snprintf(path, sizeof(path), "%s/wal", d->dir);
	assert_int_equal(pm_nvmm.allocate(NULL, path, 8192, PM_CREATE), 0);
	assert_int_equal(pm_nvmm.map(NULL, path, 0, 8192, PM_SYNC, &m), -EOPNOTSUPP);
	unlink(path);
}

static void flush_and_fence_reach_the_cpu(void **state)
{
	uint64_t line[16] = { 0 };

	(void)state;
	pm_nvmm.flush(NULL, line + 1, 40);
	assert_int_equal(calls.flush, 1);
	assert_ptr_equal(calls.flushed, line + 1);
	assert_int_equal(calls.flushed_n, 40);
	assert_int_equal(calls.drain, 0);
	pm_nvmm.fence(NULL);
	assert_int_equal(calls.drain, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(sync_is_one_fdatasync, setup, teardown),
		cmocka_unit_test_setup_teardown(sync_dir_is_one_fsync, setup, teardown),
		cmocka_unit_test_setup_teardown(files_are_named_in_a_folder_that_is_held, setup, teardown),
		cmocka_unit_test_setup_teardown(only_a_regular_file_of_one_name, setup, teardown),
		cmocka_unit_test_setup_teardown(short_writes_go_on, setup, teardown),
		cmocka_unit_test_setup_teardown(a_failed_write_is_told, setup, teardown),
		cmocka_unit_test_setup_teardown(nothing_is_written, setup, teardown),
		cmocka_unit_test_setup_teardown(many_pieces, setup, teardown),
		cmocka_unit_test_setup_teardown(reads_go_on, setup, teardown),
		cmocka_unit_test_setup_teardown(room_is_made, setup, teardown),
		cmocka_unit_test_setup_teardown(what_a_file_is, setup, teardown),
		cmocka_unit_test_setup_teardown(folders, setup, teardown),
		cmocka_unit_test_setup_teardown(a_name_is_not_taken_away, setup, teardown),
		cmocka_unit_test_setup_teardown(whole_pages_are_cleared, setup, teardown),
		cmocka_unit_test_setup_teardown(anonymous_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(a_mapped_file, setup, teardown),
		cmocka_unit_test_setup_teardown(whole_blocks_go_around_the_cache, setup, teardown),
		cmocka_unit_test_setup_teardown(without_direct, setup, teardown),
		cmocka_unit_test_setup_teardown(a_lock_is_for_one, setup, teardown),
		cmocka_unit_test_setup_teardown(a_wal_is_held_by_one, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_held, setup, teardown),
		cmocka_unit_test_setup_teardown(descriptor_0_is_held_as_any, setup, teardown),
		cmocka_unit_test_setup_teardown(the_wal_is_a_file_of_one_name, setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_file_is_durable, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_cleared_is_synced, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_is_no_persistent_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(flush_and_fence_reach_the_cpu, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
