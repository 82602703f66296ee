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
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cmocka.h>

#include "blk.h"
#include "blk_path.h"
#include "pm.h"
#include "wal.h"

/* ---- the calls, ours instead of the libraries' ---- */

static struct {
	unsigned fdatasync, fsync_file, fsync_dir, pwritev, flush, drain;
	int	 fail;			/* errno of the next one; 0: it works */
	unsigned most;			/* bytes that a pwritev takes; 0: all */
	unsigned direct;		/* of them around the cache */
	bool	 cannot;		/* EINVAL for those */
	const void *flushed;
	size_t	 flushed_n;
} calls;

static int failing(void)
{
	int err = calls.fail;

	calls.fail = 0;
	errno = err;
	return err ? -1 : 0;
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
	assert_int_equal(blk->open(NULL, held, "x", BLK_RDONLY, &f), WAL_ENOTFILE);
	assert_int_equal(blk->open(NULL, held, "x", BLK_RDWR, &f), WAL_ENOTFILE);
	unlink(path);
	assert_int_equal(mkfifo(path, 0600), 0);
	assert_int_equal(blk->open(NULL, held, "x", BLK_RDONLY, &f), WAL_ENOTFILE);
	assert_int_equal(blk->open(NULL, held, "x", BLK_RDWR, &f), WAL_ENOTFILE);
	unlink(path);
	assert_int_equal(mkdir(path, 0700), 0);
	assert_int_equal(blk->open(NULL, held, "x", BLK_RDONLY, &f), WAL_ENOTFILE);
	assert_int_equal(blk->open(NULL, held, "x", BLK_RDWR, &f), WAL_ENOTFILE);
	assert_int_equal(symlink("x", other), 0);
	assert_int_equal(blk->dir_open(NULL, held, "y", &in), WAL_ENOTDIR);
	assert_int_equal(blk->dir_open(NULL, held, "y/.", &in), 0);
	blk->dir_close(in);
	unlink(other);
	rmdir(path);
	assert_int_equal(link(d->file, path), 0);
	assert_int_equal(blk->open(NULL, held, "x", BLK_RDWR, &f), WAL_ELINKED);
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

	assert_int_equal(blk_file_ops.lock(d->f), 0);
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
	assert_int_equal(pm_nvmm.hold(NULL, away, &other), WAL_ELINKED);
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
	assert_int_equal(pm_nvmm.hold(NULL, d->dir, &h), WAL_ENOTFILE);
	assert_int_equal(pm_nvmm.allocate(NULL, wal, 16384, PM_CREATE), WAL_ENOTFILE);
	assert_int_equal(pm_nvmm.open(NULL, wal, &size, &r), WAL_ENOTFILE);
	unlink(wal);
	assert_int_equal(mkfifo(bufs, 0600), 0);
	assert_int_equal(pm_nvmm.hold(NULL, d->dir, &h), WAL_ENOTFILE);
	assert_int_equal(pm_nvmm.open(NULL, bufs, &size, &r), WAL_ENOTFILE);
	unlink(bufs);
	assert_int_equal(link(other, wal), 0);
	assert_int_equal(pm_nvmm.hold(NULL, d->dir, &h), WAL_ELINKED);
	pm_nvmm.release(NULL, h);
	assert_int_equal(pm_nvmm.allocate(NULL, wal, 16384, 0), WAL_ELINKED);
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
		cmocka_unit_test_setup_teardown(whole_blocks_go_around_the_cache, setup, teardown),
		cmocka_unit_test_setup_teardown(without_direct, setup, teardown),
		cmocka_unit_test_setup_teardown(a_lock_is_for_one, setup, teardown),
		cmocka_unit_test_setup_teardown(a_wal_is_held_by_one, setup, teardown),
		cmocka_unit_test_setup_teardown(the_wal_is_a_file_of_one_name, setup, teardown),
		cmocka_unit_test_setup_teardown(a_new_file_is_durable, setup, teardown),
		cmocka_unit_test_setup_teardown(what_is_cleared_is_synced, setup, teardown),
		cmocka_unit_test_setup_teardown(memory_is_no_persistent_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(flush_and_fence_reach_the_cpu, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
