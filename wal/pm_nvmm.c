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
#include <sys/vfs.h>
#include <unistd.h>

#include <libpmem.h>

#include "dax.h"
#include "format.h"
#include "mutant.h"
#include "pm.h"

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

static int sync_parent(const char *path)
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

/* At least `end` bytes, all allocated: a full disk must not become a SIGBUS. */
static int grow(int fd, const char *path, uint64_t end)
{
	int err;

	do {
		err = posix_fallocate(fd, 0, (off_t)end);
	} while (err == EINTR);
	if (err)
		return -err;
	if (!MUTANT(nvmm_create_sync) && fsync(fd))
		return -errno;
	return sync_parent(path);
}

static int open_file(const char *path, uint64_t end, unsigned flags, struct stat *st)
{
	int fd = TEMP_FAILURE_RETRY(open(path, O_RDWR | O_CLOEXEC | (flags & PM_CREATE ? O_CREAT : 0), 0600));
	int err = 0;

	if (fd < 0)
		return -errno;
	if (fstat(fd, st))
		err = -errno;
	else if (S_ISREG(st->st_mode)) {
		if ((uint64_t)st->st_size < end)
			err = flags & PM_CREATE ? grow(fd, path, end) : -EFBIG;
		if (!st->st_size && !(flags & PM_CREATE))
			err = -ENOENT;
	} else if (!dax_is(st))
		err = -EOPNOTSUPP;
	else if (dax_attr(st->st_rdev, "size") < end)
		err = -EFBIG;
	if (err) {
		close(fd);
		return err;
	}
	return fd;
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
	int fd = open_file(path, off + len, flags, &st);

	if (fd < 0)
		return fd;
	m->created = S_ISREG(st.st_mode) && st.st_size == 0;
	if (S_ISCHR(st.st_mode)) {	/* is memory; maps in units of its alignment only */
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
	m->created = true;
	return 0;
}

static void nvmm_populate(void *ctx, const struct pm_map *m)
{
	(void)ctx;
	/* Not in a page cache, where it would make every page dirty.  An old kernel does
	 * not know it; then the first lap is slower. */
	if (m->memory)
		madvise(m->addr, m->len, MADV_POPULATE_WRITE);
}

static void nvmm_unmap(void *ctx, struct pm_map *m)
{
	(void)ctx;
	if (m->addr)
		munmap(m->addr, m->len);
	*m = (struct pm_map){ 0 };
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
	/* In any order: what is zeroed must not be relied on before the fence. */
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
	.map = nvmm_map, .unmap = nvmm_unmap, .populate = nvmm_populate, .store = nvmm_store, .zero = nvmm_zero,
	.flush = nvmm_flush, .fence = nvmm_fence,
};
