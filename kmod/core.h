/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* core.h - what the files of the core share; a source sees paste.h only. */
#ifndef PASTE_CORE_H
#define PASTE_CORE_H

#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kref.h>
#include <linux/mutex.h>
#include <linux/net.h>
#include <linux/nospec.h>
#include <linux/poll.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <linux/xarray.h>
#include <net/sock.h>

#include "compat.h"
#include "paste.h"
#include "ring.h"

/* Pages on a user's account. */
struct paste_charge {
	const struct cred *cred;	/* of that user; NULL: none */
	long		   pages;
};

/* Pinned memory of one process, shared by its rings; never changes once it is made. */
struct paste_region {
	struct kref	  ref;
	struct list_head  link;		/* of all regions; regions_lock */
	struct list_head  rings;	/* that share it; regions_lock */
	struct mm_struct *mm;		/* a reference to the struct, not to the memory */
	u64		  addr, len;
	u32		  buf_size, nbufs;
	unsigned long	  npages;
	int		  gup;		/* FOLL_ flags that it is pinned with */
	struct paste_charge charge;
	struct page	**pages;
	struct xarray	  by_pfn;	/* -> index in pages */
};

enum paste_buf_state {
	BUF_USER,	/* the process's */
	BUF_FREE,	/* to be filled; in ring->free */
	BUF_DEVICE,	/* a source has it */
	BUF_STACK,	/* injected, not named by an event yet; on ring->stack */
	BUF_LINGER,	/* released, but packets still refer to it; on ring->stack */
};

struct paste_buf {
	struct list_head link;
	struct sk_buff	*tag;	/* of its packets, while it may be needed: in STACK, USER, LINGER */
	u32		 conn, gen;	/* whom it counts against: STACK, USER */
	u8		 state;
};

enum paste_place { NOWHERE, ON_READY, ON_STALLED };

struct paste_conn {
	struct paste_ring *ring;
	struct file	  *file;
	struct socket	  *sock;
	u32		   handle, gen;
	u32		   quota, used;	/* buffers that events name; quota 0: no limit */
	bool		   listener, paused;
	bool		   ended;	/* EOF or ERR was given out */
	bool		   want_write;	/* a SEND was short: WRITABLE is owed */
	/* below: ring->lock */
	bool		   deaf;	/* that there is data is no news: it cannot be taken now */
	u8		   place;
	struct list_head   link;	/* of ring->ready or ring->stalled */
	wait_queue_entry_t wait;
	/* below: ring->buf_lock */
	struct hlist_node  by_sock;	/* of ring->socks */
	u32		   held;	/* buffers in the stack, injected for it and not named yet */
	u32		   next_seq;	/* behind the last segment that was in order */
	wait_queue_head_t *head;	/* the socket's; lives as long as the file */
};

struct paste_ring {
	struct mutex	     mutex;
	struct paste_region *region;	/* set last by SETUP, with release; not to be
					 * followed when dead */
	struct paste_charge  charge;	/* for the arrays */
	struct list_head     sibling;	/* of region->rings */
	struct mm_struct    *mm;
	bool		     dead;	/* its mapping is gone; mutex */
	bool		     left;	/* and with it the region */
	atomic_t	     maps;
	struct work_struct   end_work;

	struct paste_shared  *shared;
	struct paste_event   *events;
	struct paste_command *commands;
	u32		     *releases;
	u32		      map_bytes;
	struct paste_out      ev;
	struct paste_in	      cmd, rel;

	struct paste_conn   **conns;	/* changed under the mutex and buf_lock */
	u32		      conns_max, last_gen;
	struct hlist_head    *socks;	/* 1 << socks_bits heads; buf_lock */
	u32		      socks_bits;

	u32		      first_buf, nbufs;
	spinlock_t	      buf_lock;
	struct paste_buf     *bufs;		/* of the share; the rest to tags: buf_lock */
	u32		     *free;		/* nfree of them */
	struct list_head      stack, named;	/* named: in this pass; mutex */
	u32		      nfree, nkernel, nstack;
	u32		      nheld;	/* of nstack: no event has named them yet */
	struct sk_buff	     *blank;		/* what tags are clones of */
	struct sk_buff_head   tags;		/* idle ones; buf_lock, not its own */

	const struct paste_source_ops *source;	/* NULL: the sockets' queues only */
	void		     *source_data;

	spinlock_t	      lock;
	struct list_head      ready;	/* something happened */
	struct list_head      stalled;	/* data is there, but no buffer */
	bool		      woken;	/* WAKE was called: WOKEN is owed */
	bool		      kicked;	/* by the source */
	wait_queue_head_t     wait;	/* SYNC asleep, and poll() */

	struct paste_stats    stats;
};

/* ---- region.c ---- */
int  paste_region_check(const struct paste_setup *s);
struct paste_region *paste_region_join(struct paste_ring *r, const struct paste_setup *s);
void paste_region_leave(struct paste_ring *r, struct paste_region *g);
int  paste_charge(struct paste_charge *c, u64 pages);
void paste_uncharge(struct paste_charge *c);
/* The place of a page's bytes in the region, in pages; or -1. */
long paste_region_find(const struct paste_region *g, const struct page *page);

/* ---- buf.c ---- */
int  paste_bufs_init(struct paste_ring *r);
void paste_bufs_exit(struct paste_ring *r);
/* A free buffer to copy into; PASTE_NO_BUF. */
u32  paste_buf_take(struct paste_ring *r);
/* An event names it from now on: it is the process's. */
void paste_buf_name(struct paste_ring *r, u32 buf, struct paste_conn *c);
/* The pass is over: the tags of packets that nobody has any more are let go of. */
void paste_bufs_named(struct paste_ring *r);
/* The buffer that the source injected with these bytes in it, or PASTE_NO_BUF. */
u32  paste_buf_injected(struct paste_ring *r, const void *data, u32 len, u32 *off);
/* The process gives it; false: it is not its to give.  Under buf_lock. */
bool paste_buf_release(struct paste_ring *r, u32 buf);
/* Takes back what the stack does not refer to any more, looking at `max` at most. */
#define REAP_FEW	64u	/* in passing */
#define REAP_MANY	1024u	/* a buffer is needed */
void paste_bufs_reap(struct paste_ring *r, unsigned int max);

static inline void *paste_buf_bytes_at(const struct paste_ring *r, u32 buf)
{
	unsigned int off;
	struct page *page = paste_buf_page(r, buf, &off);

	return page_address(page) + off;
}

/* ---- ring.c ---- */
long paste_ring_sync(struct paste_ring *r, const struct paste_sync *a);
/* There must be room. */
void paste_event_push(struct paste_ring *r, const struct paste_event *e);
static inline bool paste_event_room(const struct paste_ring *r)
{
	return paste_out_room(&r->ev) > 0;
}
static inline void paste_event_res(struct paste_ring *r, u32 conn, u16 kind, s32 res)
{
	paste_event_push(r, &(struct paste_event){ .conn = conn, .kind = kind, .res = res });
}

/* ---- conn.c ---- */
int  paste_conns_init(void);
void paste_conns_exit(void);
int  paste_conn_attach(struct paste_ring *r, u32 handle, int fd, u32 quota, bool listener);
void paste_conn_detach(struct paste_conn *c);
void paste_conns_detach_all(struct paste_ring *r);
/* Have a look at it in this SYNC or the next: whatever was in the way may be gone. */
void paste_conn_look(struct paste_conn *c);
/* Gives out what has happened to it, as far as there are room and buffers. */
void paste_conn_serve(struct paste_conn *c);

static inline struct paste_conn *paste_conn_of(const struct paste_ring *r, u32 handle)
{
	return handle < r->conns_max ? r->conns[array_index_nospec(handle, r->conns_max)] : NULL;
}

/* ---- flow.c ---- */
int  paste_flows_init(struct paste_ring *r);
void paste_flows_exit(struct paste_ring *r);
/* From here on its segments may stay in the ring's buffers; to here. */
void paste_flow_add(struct paste_conn *c);
void paste_flow_del(struct paste_conn *c);
/* Under buf_lock: the connection, or listener, that the buffer of this segment is to count
 * against; NULL: it must be copied, *why. */
struct paste_conn *paste_flow_admit(struct paste_ring *r, const struct paste_segment *s, enum paste_copy *why);
/* Why the ring finds in it what it has to copy. */
enum paste_copy paste_copy_noted(const struct sk_buff *skb);

/* ---- read.c ---- */
enum paste_read {
	READ_DRY,	/* nothing is left */
	READ_NO_BUFFER,	/* something is left; so are the next two */
	READ_OVER_QUOTA,
	READ_NO_ROOM,	/* for an event */
	READ_EOF,
	READ_FAILED,	/* *err */
};
enum paste_read paste_read(struct paste_conn *c, int *err);
int paste_may_read(struct socket *sock);

/* ---- tx.c ---- */
void paste_commands(struct paste_ring *r);

#endif
