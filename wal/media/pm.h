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
 * CPU has) sends it there, which is certain only after the next fence (sfence).
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
	bool	 memory;	/* its pages are no cache of a disk: DAX, tmpfs */
	void	*priv;
};

enum { PM_SYNC = 1, PM_CREATE = 2 };

struct pm_hold;			/* a lock on a wal and its buffers; defined by each provider */

struct pm_ops {
	void *ctx;
	/* Locks the wal at path (a folder or a device-dax), so that nobody else opens it: 0,
	 * -EWOULDBLOCK, -ENOENT no such folder, -errno; STORE_ELINKED: it is held, but one of the
	 * files has another name, so nothing may be written to it.  hold_files locks the files
	 * likewise, once they have been made. */
	int  (*hold)(void *ctx, const char *path, struct pm_hold **h);
	int  (*hold_files)(void *ctx, struct pm_hold *h);
	void (*release)(void *ctx, struct pm_hold *h);
	/* leads: path is the folder or device that is held; there: the files in it still have their
	 * names; linked: one of them has another name, too. */
	bool (*leads)(void *ctx, const struct pm_hold *h, const char *path);
	bool (*there)(void *ctx, const struct pm_hold *h);
	bool (*linked)(void *ctx, const struct pm_hold *h);
	/* Allocates every block of the first `end` bytes of the file, and makes them and the
	 * file's name durable.  Idempotent, and needed before each map for writing: a file
	 * that is long enough may be a copy with holes, or a crash may have cut its making
	 * before the sync.  flags: PM_CREATE: it is created or grown (never shrunk); without
	 * it a missing or empty file is -ENOENT, a shorter one -EFBIG.  -ENOSPC: no room for
	 * it.  0 or -errno. */
	int  (*allocate)(void *ctx, const char *path, uint64_t end, unsigned flags);
	/* Maps `len` bytes of path from `off`, shared; allocate has been called.  flags:
	 * PM_SYNC: MAP_SYNC or device-dax must be proven, else -EOPNOTSUPP.  path NULL:
	 * anonymous memory.  0 or -errno. */
	int  (*map)(void *ctx, const char *path, uint64_t off, size_t len,
		    unsigned flags, struct pm_map *m);
	void (*unmap)(void *ctx, struct pm_map *m);
	/* May be NULL.  If m->memory, makes the pages present, so that the first lap through
	 * them takes no page faults.  -EFAULT: one of them cannot be touched; its memory is
	 * bad. */
	int  (*populate)(void *ctx, const struct pm_map *m);
	/* Reading without a mapping, in which a bad line of memory would mean a signal: open
	 * (*size: of the file; -ENOENT: there is none), read exactly n bytes (-ENODATA at the
	 * end; -EIO: not all of them can be read), close.  Nothing is written. */
	int  (*open)(void *ctx, const char *path, uint64_t *size, void **h);
	int  (*read)(void *ctx, void *h, void *dst, size_t n, uint64_t off);
	void (*close)(void *ctx, void *h);
	/* Gives up the pages of [off, off + n): they become durable zeros that can be read and
	 * written again.  Not while they are mapped. */
	int  (*clear)(void *ctx, const char *path, uint64_t off, size_t n);
	/* Store n bytes (n, dst and src multiples of 8) as ascending 8-byte stores. */
	void (*store)(void *ctx, void *dst, const void *src, size_t n);
	void (*zero)(void *ctx, void *dst, size_t n);		/* stores zeros, in any order */
	void (*flush)(void *ctx, const void *p, size_t n);	/* without a fence */
	void (*fence)(void *ctx);
};
extern const struct pm_ops pm_nvmm;

/* In pm_hold.c: operations of pm_nvmm. */
int  pm_hold_take(void *ctx, const char *path, struct pm_hold **h);
int  pm_hold_files(void *ctx, struct pm_hold *h);
void pm_hold_release(void *ctx, struct pm_hold *h);
bool pm_hold_leads(void *ctx, const struct pm_hold *h, const char *path);
bool pm_hold_there(void *ctx, const struct pm_hold *h);
bool pm_hold_linked(void *ctx, const struct pm_hold *h);

/* Finds the strongest class that `path` (a directory for files, or a device-dax) can give: one
 * that needs persistent memory, or fsync (a sync in the directory makes durable, place.h), or
 * volatile.  why: the reason, in one sentence.  PMEM_IS_PMEM_FORCE and PMEM_NO_FLUSH in the
 * environment are refused (-EPERM).  0 or -errno (why: "" where the errno says enough). */
int pm_probe(const char *path, enum durability_class *found, char *why, size_t why_len);

#endif
