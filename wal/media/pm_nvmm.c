/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pm_nvmm.c - persistent memory by libpmem's flushes and our own mappings.
 *
 * libpmem picks the instruction (clwb, clflushopt, clflush; none where the platform
 * flushes its caches by itself, eADR).  The mapping is ours because the proof that a
 * file system lets user space flush is MAP_SYNC with MAP_SHARED_VALIDATE, and libpmem
 * would fall back to a mapping without it.
 *
 * Two environment variables of libpmem would take the promise away behind our back:
 * PMEM_IS_PMEM_FORCE and PMEM_NO_FLUSH.  Both are refused by pm_probe.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <libpmem.h>

#include "format/format.h"
#include "media/dax.h"
#include "media/pm.h"
#include "util/error.h"
#include "util/mutant.h"

#ifndef MAP_SHARED_VALIDATE
#define MAP_SHARED_VALIDATE 0x03
#endif
#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif
#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#endif

/* ---- files and devices ---- */

static int pm_nvmm_sync_parent(const char *path)
{
	char dir[PATH_MAX];
	char *slash;
	int fd, err = 0;

	if (strlen(path) >= sizeof(dir))
		return -ENAMETOOLONG;
	strcpy(dir, path);
	slash = strrchr(dir, '/');
	if (!slash)
		strcpy(dir, ".");
	else
		slash[slash == dir] = '\0';
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (!MUTANT(nvmm_create_dir_sync) && fsync(fd))
		err = -errno;
	close(fd);
	return err;
}

/* Makes the file allocated and durable, even if it seems to be: a page without a block would be
 * a SIGBUS on a full disk, and a block that a power cut takes away would be lost records. */
static int make_sure(int fd, const char *path, uint64_t end)
{
	int err;

	do {
		err = posix_fallocate(fd, 0, (off_t)end);
	} while (err == EINTR);
	if (err)
		return -err;
	if (!MUTANT(nvmm_create_sync) && fsync(fd))
		return -errno;
	return pm_nvmm_sync_parent(path);
}

/* A link to a device-dax is followed, a link to a file is not: the file may be somebody else's. */
static int open_file(const char *path, int how, struct stat *st)
{
	bool device = !stat(path, st) && dax_is(st);
	int fd = TEMP_FAILURE_RETRY(open(path, how | O_CLOEXEC | O_NONBLOCK |
					 (device || MUTANT(nvmm_follow) ? 0 : O_NOFOLLOW), 0600));
	int err = 0;

	if (fd < 0)
		return errno == ELOOP || errno == EISDIR || errno == ENXIO ? STORE_ENOTFILE : -errno;
	if (fstat(fd, st))
		err = -errno;
	else if (!S_ISREG(st->st_mode) && !dax_is(st))
		err = STORE_ENOTFILE;
	else if (S_ISREG(st->st_mode) && (how & O_ACCMODE) != O_RDONLY && st->st_nlink > 1 &&
		 !MUTANT(nvmm_links_check))
		err = STORE_ELINKED;
	if (!err)
		return fd;
	close(fd);
	return err;
}

static int nvmm_allocate(void *ctx, const char *path, uint64_t end, unsigned flags)
{
	struct stat st;
	int fd = open_file(path, O_RDWR | (flags & PM_CREATE ? O_CREAT : 0), &st), err;

	(void)ctx;
	if (fd < 0)
		return fd;
	if (S_ISCHR(st.st_mode))
		err = dax_attr(st.st_rdev, "size") < end ? -EFBIG : 0;
	else if (!(flags & PM_CREATE) && (uint64_t)st.st_size < end)
		err = st.st_size ? -EFBIG : -ENOENT;
	else
		err = make_sure(fd, path, end);
	close(fd);
	return err;
}

static bool on_tmpfs(int fd)
{
	struct statfs fs;

	return !fstatfs(fd, &fs) && (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC);
}

static int map_file(const char *path, uint64_t off, size_t len, unsigned flags, struct pm_map *m)
{
	int how = flags & PM_SYNC && !MUTANT(nvmm_map_sync) ? MAP_SHARED_VALIDATE | MAP_SYNC : MAP_SHARED;
	struct stat st;
	void *p;
	int fd = open_file(path, O_RDWR, &st);

	if (fd < 0)
		return fd;
	if (S_ISCHR(st.st_mode)) {	/* a device-dax maps multiples of its alignment only */
		uint64_t align = dax_align(st.st_rdev);

		if (flags & PM_SYNC && dax_is_virtual(st.st_rdev)) {
			close(fd);
			return -EOPNOTSUPP;
		}
		len = (len + align - 1) / align * align;
		how = MAP_SHARED;
	}
	p = mmap(NULL, len, PROT_READ | PROT_WRITE, how, fd, (off_t)off);
	if (p == MAP_FAILED) {
		int err = -errno;

		close(fd);
		/* Kernels without MAP_SHARED_VALIDATE say EINVAL. */
		return flags & PM_SYNC && err == -EINVAL ? -EOPNOTSUPP : err;
	}
	m->memory = flags & PM_SYNC || on_tmpfs(fd);
	close(fd);
	m->addr = p;
	m->len = len;
	return 0;
}

static int nvmm_map(void *ctx, const char *path, uint64_t off, size_t len, unsigned flags,
		    struct pm_map *m)
{
	void *p;

	(void)ctx;
	*m = (struct pm_map){ 0 };
	if (path)
		return map_file(path, off, len, flags, m);
	p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (p == MAP_FAILED)
		return -errno;
	m->addr = p;
	m->len = len;
	return 0;
}

static int nvmm_populate(void *ctx, const struct pm_map *m)
{
	(void)ctx;
	/* Not for a page cache, of which it would make every page dirty.  An old kernel does
	 * not know this advice; then the first lap is slower. */
	if (!m->memory || !madvise(m->addr, m->len, MADV_POPULATE_WRITE))
		return 0;
	return errno == EFAULT || errno == EHWPOISON ? -EFAULT : 0;
}

static void nvmm_unmap(void *ctx, struct pm_map *m)
{
	(void)ctx;
	if (m->addr)
		munmap(m->addr, m->len);
	*m = (struct pm_map){ 0 };
}

/* ---- without a mapping ---- */

struct reader {
	int	 fd;
	uint8_t	*addr;		/* a device-dax has no read: its mapping */
	size_t	 len;
};

/* Tries the system call of copy_out, which a container may forbid: then nothing is known of the
 * memory, and it must not be reported as bad. */
static int may_copy_out(void)
{
	char a = 0, b = 0;
	struct iovec to = { &a, 1 }, from = { &b, 1 };

	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == 1 ? 0 : -errno;
}

static int map_device(struct reader *r, const struct stat *st)
{
	uint64_t size = dax_attr(st->st_rdev, "size");
	int err = may_copy_out();
	void *p;

	if (err)
		return err;
	p = mmap(NULL, size, PROT_READ, MAP_SHARED, r->fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	r->addr = p;
	r->len = size;
	return 0;
}

static void nvmm_close(void *ctx, void *h)
{
	struct reader *r = h;

	(void)ctx;
	if (r->addr)
		munmap(r->addr, r->len);
	close(r->fd);
	free(r);
}

static int nvmm_open(void *ctx, const char *path, uint64_t *size, void **h)
{
	struct reader *r = calloc(1, sizeof(*r));
	struct stat st;
	int err;

	if (!r)
		return -ENOMEM;
	r->fd = open_file(path, O_RDONLY, &st);
	if (r->fd < 0) {
		err = r->fd;
		free(r);
		return err;
	}
	err = S_ISCHR(st.st_mode) ? map_device(r, &st) : 0;
	if (err) {
		nvmm_close(ctx, r);
		return err;
	}
	*size = r->addr ? r->len : (uint64_t)st.st_size;
	*h = r;
	return 0;
}

/* Has the kernel copy out of the mapping: where the memory is bad, that fails with EFAULT, and a
 * read of our own would get a signal. */
static int copy_out(const struct reader *r, void *dst, size_t n, uint64_t off)
{
	struct iovec to = { dst, n }, from = { r->addr + off, n };

	if (off > r->len || n > r->len - off)
		return -ENODATA;
	return process_vm_readv(getpid(), &to, 1, &from, 1, 0) == (ssize_t)n ? 0 : -EIO;
}

static int nvmm_read(void *ctx, void *h, void *dst, size_t n, uint64_t off)
{
	const struct reader *r = h;
	uint8_t *to = dst;

	(void)ctx;
	if (r->addr)
		return copy_out(r, dst, n, off);
	while (n) {
		ssize_t got = TEMP_FAILURE_RETRY(pread(r->fd, to, n, (off_t)off));

		if (got <= 0)
			return got ? -errno : -ENODATA;
		to += got;
		off += (uint64_t)got;
		n -= (size_t)got;
	}
	return 0;
}

/* Writes zeros over the bad lines, upon which the driver has the device make them good.  (If the
 * device cannot, nvmm_clear gives the file other blocks.) */
static int write_zeros(int fd, uint64_t off, size_t n)
{
	static const uint8_t zeros[WAL_PAGE];
	int err = 0;

	for (uint64_t at = off; at < off + n && !err; at += sizeof(zeros)) {
		ssize_t put = TEMP_FAILURE_RETRY(pwrite(fd, zeros, sizeof(zeros), (off_t)at));

		err = put == (ssize_t)sizeof(zeros) ? 0 : put < 0 ? -errno : -EIO;
	}
	return err;
}

static int nvmm_clear(void *ctx, const char *path, uint64_t off, size_t n)
{
	uint64_t from = off / WAL_PAGE * WAL_PAGE;
	size_t len = (off + n - from + WAL_PAGE - 1) / WAL_PAGE * WAL_PAGE;
	struct stat st;
	int fd = open_file(path, O_RDWR, &st), err;

	(void)ctx;
	if (fd < 0)
		return fd;
	if (S_ISCHR(st.st_mode)) {
		close(fd);
		return -EHWPOISON;	/* only `ndctl clear-errors` clears a device */
	}
	err = write_zeros(fd, from, len);
	if (err == -EIO && !fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)from, (off_t)len) &&
	    !fallocate(fd, 0, (off_t)from, (off_t)len))
		err = write_zeros(fd, from, len);
	if (!err && !MUTANT(nvmm_clear_sync) && fsync(fd))
		err = -errno;
	close(fd);
	return err;
}

/* ---- stores, flushes, fences ---- */

static void nvmm_store(void *ctx, void *dst, const void *src, size_t n)
{
	uint64_t *d = dst;
	const uint64_t *s = src;

	(void)ctx;
	assert((n & 7) == 0 && ((uintptr_t)dst & 7) == 0 && ((uintptr_t)src & 7) == 0);
	for (size_t i = 0; i < n / 8; i++)	/* relaxed: one store each, never merged or torn */
		__atomic_store_n(&d[i], s[i], __ATOMIC_RELAXED);
}

static void nvmm_zero(void *ctx, void *dst, size_t n)
{
	(void)ctx;
	/* The order is free: nobody may rely on these zeros before the fence. */
	memset(dst, 0, n);
}

static void nvmm_flush(void *ctx, const void *p, size_t n)
{
	(void)ctx;
	if (!MUTANT(nvmm_flush))
		pmem_flush(p, n);
}

static void nvmm_fence(void *ctx)
{
	(void)ctx;
	if (!MUTANT(nvmm_fence))
		pmem_drain();
}

const struct pm_ops pm_nvmm = {
	.hold = pm_hold_take, .hold_files = pm_hold_files, .release = pm_hold_release,
	.leads = pm_hold_leads, .there = pm_hold_there, .linked = pm_hold_linked,
	.allocate = nvmm_allocate, .map = nvmm_map, .unmap = nvmm_unmap, .populate = nvmm_populate,
	.open = nvmm_open, .read = nvmm_read, .close = nvmm_close, .clear = nvmm_clear,
	.store = nvmm_store, .zero = nvmm_zero, .flush = nvmm_flush, .fence = nvmm_fence,
};
