/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * pm.h - the seam to persistent memory: every map, store, flush and fence that
 * the promise depends on goes through this table.  pm_nvmm.c is libpmem (and the
 * only file that includes it); tests/sim/pm_sim.c records and can produce any state
 * that a power cut may leave.
 *
 * Model (x86): an aligned 8-byte store is atomic; stores to one cache line (64
 * bytes) become durable in program order; a line that was written may reach the
 * medium at any time by itself; flush (clwb, clflushopt or clflush, whichever the
 * CPU has) starts its way, and it counts only after the next fence (sfence).
 */
#ifndef MEDIA_PM_H
#define MEDIA_PM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/class.h"

struct pm_map {
	uint8_t *addr;
	size_t	 len;
	bool	 memory;	/* its pages are memory: DAX, tmpfs */
	void	*priv;
};

enum { PM_SYNC = 1, PM_CREATE = 2 };

struct pm_hold;			/* a lock on a wal and its buffers; defined by each provider */

struct pm_ops {
	void *ctx;
	/* Nobody else may open the wal at path (a folder or a device-dax) as long as it is held:
	 * 0, -EWOULDBLOCK, -ENOENT no such folder, -errno; STORE_ELINKED: it is held, but one of the
	 * files has another name, so nothing may be written to it.  hold_files: again, once the files
	 * have been made. */
	int  (*hold)(void *ctx, const char *path, struct pm_hold **h);
	int  (*hold_files)(void *ctx, struct pm_hold *h);
	void (*release)(void *ctx, struct pm_hold *h);
	/* Whether path is the folder or device that is held; whether the files in it still have
	 * their names; whether one of them has another one besides. */
	bool (*leads)(void *ctx, const struct pm_hold *h, const char *path);
	bool (*there)(void *ctx, const struct pm_hold *h);
	bool (*linked)(void *ctx, const struct pm_hold *h);
	/* The first `end` bytes of the file are there: every block allocated, that and the
	 * file's name durable.  Idempotent, and needed before each map for writing: a file
	 * that is long enough may be a copy with holes, or one whose making was cut before it
	 * was synced.  flags: PM_CREATE: created or grown (never shrunk); without it a
	 * missing or empty file is -ENOENT, a shorter one -EFBIG.  -ENOSPC: no room for it.
	 * 0 or -errno. */
	int  (*allocate)(void *ctx, const char *path, uint64_t end, unsigned flags);
	/* Map `len` bytes of path from `off`, shared; allocate has been called.  flags:
	 * PM_SYNC: MAP_SYNC or device-dax must be proven, else -EOPNOTSUPP.  path NULL:
	 * anonymous memory.  0 or -errno. */
	int  (*map)(void *ctx, const char *path, uint64_t off, size_t len,
		    unsigned flags, struct pm_map *m);
	void (*unmap)(void *ctx, struct pm_map *m);
	/* May be NULL.  Where the pages are memory anyway (DAX, tmpfs) they are made present,
	 * so that the first lap through them takes no page faults.  -EFAULT: one of them
	 * cannot be touched; its memory is bad. */
	int  (*populate)(void *ctx, const struct pm_map *m);
	/* Without a mapping, which a bad line of memory would end with a signal: open (the size
	 * of what is there; -ENOENT where there is nothing), read exactly n bytes (-ENODATA at
	 * the end; -EIO: not all of them can be read), close.  Nothing is written. */
	int  (*open)(void *ctx, const char *path, uint64_t *size, void **h);
	int  (*read)(void *ctx, void *h, void *dst, size_t n, uint64_t off);
	void (*close)(void *ctx, void *h);
	/* What was in the pages of [off, off + n) is given up: they can be read and written
	 * again, durably; zeros.  Not while they are mapped. */
	int  (*clear)(void *ctx, const char *path, uint64_t off, size_t n);
	/* Store n bytes (n, dst and src multiples of 8) as ascending 8-byte stores. */
	void (*store)(void *ctx, void *dst, const void *src, size_t n);
	void (*zero)(void *ctx, void *dst, size_t n);		/* the same, of zeros */
	void (*flush)(void *ctx, const void *p, size_t n);	/* no fence in it */
	void (*fence)(void *ctx);
};
extern const struct pm_ops pm_nvmm;

/* pm_hold.c, for pm_nvmm. */
int  pm_hold_take(void *ctx, const char *path, struct pm_hold **h);
int  pm_hold_files(void *ctx, struct pm_hold *h);
void pm_hold_release(void *ctx, struct pm_hold *h);
bool pm_hold_leads(void *ctx, const struct pm_hold *h, const char *path);
bool pm_hold_there(void *ctx, const struct pm_hold *h);
bool pm_hold_linked(void *ctx, const struct pm_hold *h);

/* What class `path` (a directory for files, or a device-dax) can give: one that needs
 * persistent memory, or fsync (a directory on something with a sync that means something),
 * or volatile (tmpfs, ramfs).  why: one sentence.  PMEM_IS_PMEM_FORCE in the
 * environment is refused (-EPERM) rather than honoured.  0 or -errno (why: "" where that
 * says it all). */
int pm_probe(const char *path, enum durability_class *found, char *why, size_t why_len);

#endif
