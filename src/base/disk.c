/* SPDX-License-Identifier: BSD-2-Clause */
/* disk.c - see disk.h. */
#include "base/disk.h"

#include <stdatomic.h>

#include "base/now.h"

/* Each thread has one for its life; threads beyond that number are not timed. */
#define SLOTS 512u

static struct {
	_Alignas(64) _Atomic uint64_t since_ns;	/* 0: its thread does not wait */
} slots[SLOTS];
static atomic_uint used;
static _Thread_local unsigned mine;	/* index of this thread's slot + 1; 0: none yet */

/* Relaxed is enough: the time guards nothing else. */
static void set(uint64_t since_ns)
{
	if (!mine)
		mine = atomic_fetch_add_explicit(&used, 1, memory_order_relaxed) + 1;
	if (mine <= SLOTS)
		atomic_store_explicit(&slots[mine - 1].since_ns, since_ns, memory_order_relaxed);
}

unsigned disk_waits_ms(void)
{
	unsigned n = atomic_load_explicit(&used, memory_order_relaxed);
	uint64_t now = now_ns(), oldest = now;

	for (unsigned i = 0; i < n && i < SLOTS; i++) {
		uint64_t t = atomic_load_explicit(&slots[i].since_ns, memory_order_relaxed);

		if (t && t < oldest)
			oldest = t;
	}
	return (unsigned)((now - oldest) / 1000000);
}

/* TIMED(name, parameters, arguments): calls blk_file_ops.name and notes since when it waits. */
#define TIMED(name, params, args) \
	static int timed_##name params \
	{ \
		int res; \
		set(now_ns()); \
		res = blk_file_ops.name args; \
		set(0); \
		return res; \
	}

TIMED(dir_open, (void *ctx, struct blk_dir *at, const char *name, struct blk_dir **d), (ctx, at, name, d))
TIMED(open, (void *ctx, struct blk_dir *at, const char *name, int flags, struct blk_file **f),
      (ctx, at, name, flags, f))
TIMED(read, (struct blk_file *f, void *p, size_t n, uint64_t off), (f, p, n, off))
TIMED(write, (struct blk_file *f, struct iovec *iov, unsigned n, uint64_t off), (f, iov, n, off))
TIMED(sync, (struct blk_file *f), (f))
TIMED(allocate, (struct blk_file *f, uint64_t off, uint64_t bytes), (f, off, bytes))
TIMED(mkdir, (void *ctx, struct blk_dir *at, const char *name), (ctx, at, name))
TIMED(rename, (void *ctx, struct blk_dir *at, const char *from, const char *to), (ctx, at, from, to))
TIMED(unlink, (void *ctx, struct blk_dir *at, const char *name), (ctx, at, name))
TIMED(sync_dir, (struct blk_dir *d), (d))

const struct blk_ops *disk_ops(void)
{
	static struct blk_ops ops;

	ops = blk_file_ops;
	ops.dir_open = timed_dir_open;
	ops.open = timed_open;
	ops.read = timed_read;
	ops.write = timed_write;
	ops.sync = timed_sync;
	if (ops.allocate)
		ops.allocate = timed_allocate;
	ops.mkdir = timed_mkdir;
	ops.rename = timed_rename;
	ops.unlink = timed_unlink;
	ops.sync_dir = timed_sync_dir;
	return &ops;
}
