/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pm_probe.c - what class a place can give (pm.h): found out by looking and by mapping a
 * file there, never by writing.
 */
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

#include "format/format.h"
#include "media/dax.h"
#include "media/place.h"
#include "media/pm.h"

#ifndef MAP_SHARED_VALIDATE
#define MAP_SHARED_VALIDATE 0x03
#endif
#ifndef MAP_SYNC
#define MAP_SYNC 0x80000
#endif

/* The class of a place that can be flushed from user space; whether what was flushed outlasts a
 * power cut is for the platform to say. */
static void found_memory(const char *path, const char *proof, enum dax_domain domain, const char *not,
			 enum durability_class *found, char *why, size_t why_len)
{
	switch (domain) {
	case DAX_CPU_CACHE:
		*found = CLASS_NVMM_EADR;
		snprintf(why, why_len, "%s %s, and the platform flushes its caches at power loss",
			 path, proof);
		return;
	case DAX_MEMORY_CONTROLLER:
		*found = CLASS_NVMM;
		snprintf(why, why_len, "%s %s", path, proof);
		return;
	case DAX_FORGETS:
		*found = CLASS_VOLATILE;
		snprintf(why, why_len, "%s %s, but %s", path, proof, not);
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

/* Whether this file maps with MAP_SYNC.  No page is touched, so the file needs no block, and a
 * full file system answers, too. */
static int maps_with_sync(int fd)
{
	void *p = mmap(NULL, WAL_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED_VALIDATE | MAP_SYNC, fd, 0);

	if (p == MAP_FAILED)
		return -EOPNOTSUPP;
	munmap(p, WAL_PAGE);
	return 0;
}

/* Tries a file that an earlier start left there; -ENOENT: there is none to try. */
static int probe_old(const char *dir, const char *file)
{
	char path[PATH_MAX];
	struct stat st;
	int fd, err = -ENOENT;

	if (snprintf(path, sizeof(path), "%s/%s", dir, file) >= (int)sizeof(path))
		return -ENAMETOOLONG;
	fd = open(path, O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return -ENOENT;
	if (!fstat(fd, &st) && S_ISREG(st.st_mode))
		err = maps_with_sync(fd);
	close(fd);
	return err;
}

/* Tries a new file without a name, or whose name is removed at once. */
static int probe_new(const char *dir)
{
	int fd = open(dir, O_RDWR | O_TMPFILE | O_CLOEXEC, 0600), err;

	if (fd < 0) {
		char name[PATH_MAX];

		if (snprintf(name, sizeof(name), "%s/.probe-XXXXXX", dir) >= (int)sizeof(name))
			return -ENAMETOOLONG;
		fd = mkostemp(name, O_CLOEXEC);
		if (fd < 0)
			return -errno;
		unlink(name);
	}
	err = maps_with_sync(fd);
	close(fd);
	return err;
}

/* Tries the file that will be mapped; if there is none yet, a new file; and if there is no room
 * for that, the file `store`. */
static int probe_map_sync(const char *dir)
{
	int err = probe_old(dir, "wal");

	if (err == -ENOENT)
		err = probe_new(dir);
	if (err == -ENOSPC || err == -EDQUOT) {
		int old = probe_old(dir, "store");

		err = old == -ENOENT ? err : old;
	}
	return err;
}

static int probe_dir(const char *path, enum durability_class *found, char *why, size_t why_len)
{
	enum dax_domain domain;
	struct statfs fs;
	struct stat st;
	char not[PATH_MAX + 128];
	char below[2 * PATH_MAX];
	int err;

	if (statfs(path, &fs) || stat(path, &st))
		return -errno;
	if (fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC) {
		*found = CLASS_VOLATILE;
		snprintf(why, why_len, "%s is in memory (%s)", path,
			 fs.f_type == TMPFS_MAGIC ? "tmpfs" : "ramfs");
		return 0;
	}
	if (place_forgets(path, below, sizeof(below))) {
		*found = CLASS_VOLATILE;
		snprintf(why, why_len, "%s: %s", path, below);
		return 0;
	}
	err = probe_map_sync(path);
	if (err == 0) {
		domain = dax_domain_of_block(st.st_dev, not, sizeof(not));
		found_memory(path, "maps with MAP_SYNC", domain, not, found, why, why_len);
		return 0;
	}
	*found = CLASS_FSYNC;
	if (err == -ENOSPC || err == -EDQUOT)
		snprintf(why, why_len, "%s has no room for a file to try MAP_SYNC with (%s)", path,
			 fs_name((long)fs.f_type));
	else if (err == -EOPNOTSUPP)
		snprintf(why, why_len, "%s refuses MAP_SYNC (%s: not mounted with dax, or not on "
			 "persistent memory, or on virtio-pmem)", path, fs_name((long)fs.f_type));
	else
		return err;
	return 0;
}

static bool env_is_one(const char *name)
{
	const char *v = getenv(name);

	return v && atoi(v) == 1;
}

int pm_probe(const char *path, enum durability_class *found, char *why, size_t why_len)
{
	enum dax_domain domain;
	char not[PATH_MAX + 128];
	struct stat st;

	if (why_len)
		*why = '\0';
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
	if (dax_is(&st) && dax_is_virtual(st.st_rdev)) {
		snprintf(why, why_len, "%s is virtio-pmem: only its host can make it durable; put a "
			 "file system on it and give a directory", path);
		return -EOPNOTSUPP;
	}
	if (dax_is(&st)) {
		domain = dax_domain_of_char(st.st_rdev, not, sizeof(not));
		found_memory(path, "is a device-dax", domain, not, found, why, why_len);
		return 0;
	}
	snprintf(why, why_len, "%s is neither a directory nor a device-dax", path);
	return -ENOTDIR;
}
