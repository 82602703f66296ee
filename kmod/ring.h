/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * ring.h - the indices of the shared rings, and how those that the process writes are checked.
 *
 *	          kernel's own copy                   shared page
 *	out:      tail, and head as last accepted     head (user)   tail (kernel)
 *	in:       head, and tail as last accepted     head (kernel) tail (user)
 *
 * All four are free-running: only differences between them mean something.  The legal values
 * of the user's index follow from the kernel's own copies:
 *
 *	out.head:  out.head (accepted before) ... out.tail      it never goes back
 *	in.tail:   in.tail (accepted before) ... in.head + entries
 *
 * A user's index is loaded once per SYNC, and the loaded value is checked and used.  The
 * kernel never reads the indices that it writes.  Without the kernel this file needs none of
 * its headers, as the fuzzer of the tests compiles it in user space.
 */
#ifndef PASTE_RING_H
#define PASTE_RING_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <asm/barrier.h>
/* Acquire: entries are read, or freed room is used, only after the index was read. */
#define paste_load(p)		smp_load_acquire(p)
/* Release: entries are written, or were read, before the index says so. */
#define paste_store(p, v)	smp_store_release(p, v)
#else
#include <stdbool.h>
#define paste_load(p)		__atomic_load_n(p, __ATOMIC_ACQUIRE)
#define paste_store(p, v)	__atomic_store_n(p, v, __ATOMIC_RELEASE)
#endif

#include "uapi/paste.h"

#define PASTE_ENTRIES_MIN	8u
#define PASTE_ENTRIES_MAX	(1u << 20)

struct paste_out {		/* the kernel produces: EVENT */
	__u32 entries;
	__u32 tail;
	__u32 head;
};

struct paste_in {		/* the kernel consumes: COMMAND, RELEASE */
	__u32 entries;
	__u32 head;
	__u32 tail;
};

static inline bool paste_entries_ok(__u32 n)
{
	return n >= PASTE_ENTRIES_MIN && n <= PASTE_ENTRIES_MAX && !(n & (n - 1));
}

static inline __u32 paste_out_room(const struct paste_out *o)
{
	return o->entries - (o->tail - o->head);
}

static inline __u32 paste_in_ready(const struct paste_in *i)
{
	return i->tail - i->head;
}

/* The place of the next entry; there must be room for one (out), or one ready (in). */
static inline __u32 paste_out_next(struct paste_out *o)
{
	return o->tail++ & (o->entries - 1);
}

static inline __u32 paste_in_peek(const struct paste_in *i)
{
	return i->head & (i->entries - 1);
}

static inline __u32 paste_in_next(struct paste_in *i)
{
	return i->head++ & (i->entries - 1);
}

static inline bool paste_head_ok(const struct paste_out *o, __u32 head)
{
	return head - o->head <= o->tail - o->head;
}

static inline bool paste_tail_ok(const struct paste_in *i, __u32 tail)
{
	__u32 n = tail - i->head;

	return n <= i->entries && n >= i->tail - i->head;
}

/* Takes over the user's three indices, or, if one is not legal, none of them. */
static inline bool paste_look(struct paste_out *ev, struct paste_in *cmd, struct paste_in *rel,
			      const struct paste_shared *s)
{
	__u32 ev_head = paste_load(&s->ev_head.v);
	__u32 cmd_tail = paste_load(&s->cmd_tail.v);
	__u32 rel_tail = paste_load(&s->rel_tail.v);

	if (!paste_head_ok(ev, ev_head) || !paste_tail_ok(cmd, cmd_tail) || !paste_tail_ok(rel, rel_tail))
		return false;
	ev->head = ev_head;
	cmd->tail = cmd_tail;
	rel->tail = rel_tail;
	return true;
}

/* Shows the process the kernel's indices, all at the end of SYNC. */
static inline void paste_publish(const struct paste_out *ev, const struct paste_in *cmd,
				 const struct paste_in *rel, struct paste_shared *s)
{
	paste_store(&s->ev_tail.v, ev->tail);
	paste_store(&s->cmd_head.v, cmd->head);
	paste_store(&s->rel_head.v, rel->head);
}

/* An entry is copied word by word, each read once, and only the copy is looked at. */
static inline void paste_copy_command(struct paste_command *to, const struct paste_command *shared)
{
	union {
		struct paste_command c;
		__u64 w[sizeof(struct paste_command) / sizeof(__u64)];
	} copy;
	const volatile __u64 *from = (const volatile __u64 *)shared;

	for (unsigned int i = 0; i < sizeof(copy) / sizeof(__u64); i++)
		copy.w[i] = from[i];
	*to = copy.c;
}

/* Where the arrays are in the mapping. */
struct paste_layout {
	__u32 ev_off, cmd_off, rel_off;
	__u64 bytes;
};

static inline struct paste_layout paste_lay_out(__u32 ev_entries, __u32 cmd_entries, __u32 rel_entries)
{
	struct paste_layout l;

	/* All are multiples of a cache line, because an entry count is a multiple of 8. */
	l.ev_off = sizeof(struct paste_shared);
	l.cmd_off = l.ev_off + ev_entries * (__u32)sizeof(struct paste_event);
	l.rel_off = l.cmd_off + cmd_entries * (__u32)sizeof(struct paste_command);
	l.bytes = (__u64)l.rel_off + rel_entries * sizeof(__u32);
	return l;
}

#endif
