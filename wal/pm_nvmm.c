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
#include <glob.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <libpmem.h>

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

/* The first word of a small file, such as those in /sys; "" if there is none. */
static void read_word(const char *path, char *word, size_t len)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = -1;

	if (fd >= 0) {
		n = read(fd, word, len - 1);
		close(fd);
	}
	word[n > 0 ? n : 0] = '\0';
	word[strcspn(word, " \n")] = '\0';
}

/* A sysfs attribute of a character device, as a number; 0 if it has none. */
static uint64_t dax_attr(dev_t dev, const char *name)
{
	char path[128], word[32];

	snprintf(path, sizeof(path), "/sys/dev/char/%u:%u/%s", major(dev), minor(dev), name);
	read_word(path, word, sizeof(word));
	return strtoull(word, NULL, 0);
}

static bool is_dax(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && dax_attr(st->st_rdev, "size") > 0;
}

/* virtio-pmem behind a device-dax: the host's page cache, which no flush of ours
 * empties. */
static bool is_virtual(dev_t dev)
{
	char link[64], target[PATH_MAX];

	snprintf(link, sizeof(link), "/sys/dev/char/%u:%u", major(dev), minor(dev));
	return realpath(link, target) && strstr(target, "/virtio");
}

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
	} else if (!is_dax(st))
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
		uint64_t align = dax_attr(st.st_rdev, "align");

		if (flags & PM_SYNC && is_virtual(st.st_rdev)) {
			close(fd);
			return -EOPNOTSUPP;
		}
		if (!align)
			align = dax_attr(st.st_rdev, "device/align");
		if (align < DAX_ALIGN)
			align = DAX_ALIGN;
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

/* ---- what a place can give ---- */

/* Every region of persistent memory must say cpu_cache: which region a file is in
 * cannot be told through every device mapper in between. */
static bool caches_are_flushed(void)
{
	glob_t g;
	size_t n = 0, cpu_cache = 0;

	if (glob("/sys/bus/nd/devices/region*/persistence_domain", 0, NULL, &g))
		return false;
	for (; n < g.gl_pathc; n++) {
		char word[64];

		read_word(g.gl_pathv[n], word, sizeof(word));
		cpu_cache += !strcmp(word, "cpu_cache");
	}
	globfree(&g);
	return n && cpu_cache == n;
}

static void found_nvmm(const char *path, const char *proof, enum wal_class *found,
		       char *why, size_t why_len)
{
	if (caches_are_flushed()) {
		*found = WAL_NVMM_EADR;
		snprintf(why, why_len, "%s %s, and the platform flushes its caches at power loss",
			 path, proof);
	} else {
		*found = WAL_NVMM;
		snprintf(why, why_len, "%s %s", path, proof);
	}
}

static const char *fs_name(long type)
{
	switch (type) {
	case EXT4_SUPER_MAGIC: return "ext4";
	case XFS_SUPER_MAGIC: return "xfs";
	case BTRFS_SUPER_MAGIC: return "btrfs";
	case OVERLAYFS_SUPER_MAGIC: return "overlayfs";
	case NFS_SUPER_MAGIC: return "nfs";
	case 0x65735546: return "fuse";
	case 0x2fc12fc1: return "zfs";
	default: return "this file system";
	}
}

/* A page of a file without a name: does it map with MAP_SYNC? */
static int probe_map_sync(const char *dir)
{
	int fd = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600);
	int err = 0;
	void *p;

	if (fd < 0) {
		char name[PATH_MAX];

		if (snprintf(name, sizeof(name), "%s/.probe-XXXXXX", dir) >= (int)sizeof(name))
			return -ENAMETOOLONG;
		fd = mkostemp(name, O_CLOEXEC);
		if (fd < 0)
			return -errno;
		unlink(name);
	}
	err = -posix_fallocate(fd, 0, WAL_PAGE);
	if (!err) {
		p = mmap(NULL, WAL_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);
		if (p == MAP_FAILED)
			err = errno == ENOSPC ? -ENOSPC : -EOPNOTSUPP;
		else
			munmap(p, WAL_PAGE);
	}
	close(fd);
	return err;
}

static int probe_dir(const char *path, enum wal_class *found, char *why, size_t why_len)
{
	struct statfs fs;
	int err;

	if (statfs(path, &fs))
		return -errno;
	if (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC) {
		*found = WAL_VOLATILE;
		snprintf(why, why_len, "%s is in memory (%s)", path,
			 fs.f_type == TMPFS_MAGIC ? "tmpfs" : "ramfs");
		return 0;
	}
	err = probe_map_sync(path);
	if (err == 0) {
		found_nvmm(path, "maps with MAP_SYNC", found, why, why_len);
		return 0;
	}
	if (err != -EOPNOTSUPP)
		return err;
	*found = WAL_FSYNC;
	snprintf(why, why_len,
		 "%s refuses MAP_SYNC (%s: not mounted with dax, or not on persistent memory, or on virtio-pmem)",
		 path, fs_name((long)fs.f_type));
	return 0;
}

static bool env_is_one(const char *name)
{
	const char *v = getenv(name);

	return v && atoi(v) == 1;
}

int pm_probe(const char *path, enum wal_class *found, char *why, size_t why_len)
{
	struct stat st;

	if (env_is_one("PMEM_IS_PMEM_FORCE") || env_is_one("PMEM_NO_FLUSH")) {
		snprintf(why, why_len, "%s=1 in the environment would make a promise that "
			 "nothing keeps: unset it", env_is_one("PMEM_NO_FLUSH") ?
			 "PMEM_NO_FLUSH" : "PMEM_IS_PMEM_FORCE");
		return -EPERM;
	}
	if (stat(path, &st))
		return -errno;
	if (S_ISDIR(st.st_mode))
		return probe_dir(path, found, why, why_len);
	if (is_dax(&st) && is_virtual(st.st_rdev)) {
		snprintf(why, why_len, "%s is virtio-pmem: only its host can make it durable; put a "
			 "file system on it and give a directory", path);
		return -EOPNOTSUPP;
	}
	if (is_dax(&st)) {
		found_nvmm(path, "is a device-dax", found, why, why_len);
		return 0;
	}
	snprintf(why, why_len, "%s is neither a directory nor a device-dax", path);
	return -ENOTDIR;
}
