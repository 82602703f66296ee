/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* core.h - what the files of the core share; a source of packets includes paste.h only. */
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

/* Locked pages that count against a user's RLIMIT_MEMLOCK. */
struct paste_charge {
	const struct cred *cred;	/* of that user; NULL: nothing is charged */
	long		   pages;
};

/* Pinned memory of one process, shared by its rings; never changes once it is made. */
struct paste_region {
	struct kref	  ref;
	struct list_head  link;		/* in the list of all regions; regions_lock */
	struct list_head  rings;	/* the rings that share it; regions_lock */
	struct mm_struct *mm;		/* a reference to the struct, not to the memory */
	u64		  addr, len;
	u32		  buf_size, nbufs;
	unsigned long	  npages;
	int		  gup;		/* the FOLL_ flags that its pages are pinned with */
	struct paste_charge charge;
	struct page	**pages;
	struct xarray	  by_pfn;	/* from a page's pfn to its index in pages */
};

enum paste_buf_state {
	BUF_USER,	/* the process has it */
	BUF_FREE,	/* it may be filled; in ring->free */
	BUF_DEVICE,	/* a source, or a copy in the making, has it */
	BUF_STACK,	/* injected, but no event has named it yet; on ring->stack */
	BUF_LINGER,	/* released, but packets still refer to it; on ring->stack */
};

struct paste_buf {
	struct list_head link;
	struct sk_buff	*tag;	/* in the frag_list of its packets (buf.c): STACK, USER, LINGER */
	u32		 conn, gen;	/* the connection that it counts against: STACK, USER */
	u8		 state;
};

enum paste_place { NOWHERE, ON_READY, ON_STALLED };

struct paste_conn {
	struct paste_ring *ring;
	struct file	  *file;
	struct socket	  *sock;
	u32		   handle, gen;
	u32		   quota, used;	/* used: buffers named by events; quota 0: no limit */
	bool		   listener, paused;
	bool		   ended;	/* an EOF or ERR event was given */
	bool		   want_write;	/* a SEND was short: a WRITABLE event is due */
	/* The next four are protected by ring->lock. */
	bool		   deaf;	/* ignore wake-ups: no buffer or no quota to read with */
	u8		   place;
	struct list_head   link;	/* in ring->ready or ring->stalled */
	wait_queue_entry_t wait;
	/* The next three are protected by ring->buf_lock. */
	struct hlist_node  by_sock;	/* in ring->socks */
	u32		   held;	/* buffers injected for it that no event has named yet */
	u32		   next_seq;	/* the number behind the last segment that was in order */
	wait_queue_head_t *head;	/* of the socket; lives as long as the file */
};

struct paste_ring {
	struct mutex	     mutex;
	struct paste_region *region;	/* set last by SETUP, with release; not to be
					 * dereferenced when the ring is dead */
	struct paste_charge  charge;	/* for the arrays */
	struct list_head     sibling;	/* in region->rings */
	struct mm_struct    *mm;
	bool		     dead;	/* its mapping is gone; never cleared */
	bool		     left;	/* it has left its region; mutex */
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
	struct paste_buf     *bufs;		/* of its share; from here to tags: buf_lock */
	u32		     *free;		/* numbers of the nfree free buffers */
	struct list_head      stack, named;	/* named: STACK to USER in this pass; mutex too */
	u32		      nfree, nkernel, nstack;
	u32		      nheld;	/* of nstack, those that no event has named yet */
	struct sk_buff	     *blank;		/* tags are clones of it */
	struct sk_buff_head   tags;		/* unused ones; its own lock is not used */

	const struct paste_source_ops *source;	/* NULL: the sockets' queues only */
	void		     *source_data;

	spinlock_t	      lock;
	struct list_head      ready;	/* connections to which something has happened */
	struct list_head      stalled;	/* connections with data but without a buffer for it */
	bool		      woken;	/* WAKE was called: a WOKEN event is due */
	bool		      kicked;	/* the source has called paste_ring_wake() */
	wait_queue_head_t     wait;	/* a SYNC that sleeps waits here, and poll() */

	struct paste_stats    stats;
};

/* ---- region.c ---- */
int  paste_region_check(const struct paste_setup *s);
struct paste_region *paste_region_join(struct paste_ring *r, const struct paste_setup *s);
void paste_region_leave(struct paste_ring *r, struct paste_region *g);
int  paste_charge(struct paste_charge *c, u64 pages);
void paste_uncharge(struct paste_charge *c);
/* The index of a page in the region, or -1. */
long paste_region_find(const struct paste_region *g, const struct page *page);

/* ---- buf.c ---- */
int  paste_bufs_init(struct paste_ring *r);
void paste_bufs_exit(struct paste_ring *r);
/* A free buffer to copy into, or PASTE_NO_BUF. */
u32  paste_buf_take(struct paste_ring *r);
/* Gives the buffer to the process: an event is about to name it. */
void paste_buf_name(struct paste_ring *r, u32 buf, struct paste_conn *c);
/* At the end of a pass: takes the tags back from packets that the stack has freed. */
void paste_bufs_named(struct paste_ring *r);
/* The injected buffer that these bytes are in, or PASTE_NO_BUF. */
u32  paste_buf_injected(struct paste_ring *r, const void *data, u32 len, u32 *off);
/* The process gives a buffer back.  False: the process does not have it.  Under buf_lock. */
bool paste_buf_release(struct paste_ring *r, u32 buf);
/* Frees buffers that the stack does not refer to any more; looks at `max` of them at most. */
#define REAP_FEW	64u	/* in each pass */
#define REAP_MANY	1024u	/* when a buffer is needed */
void paste_bufs_reap(struct paste_ring *r, unsigned int max);

static inline void *paste_buf_bytes_at(const struct paste_ring *r, u32 buf)
{
	unsigned int off;
	struct page *page = paste_buf_page(r, buf, &off);

	return page_address(page) + off;
}

/* ---- ring.c ---- */
long paste_ring_sync(struct paste_ring *r, const struct paste_sync *a);
/* Adds an event; there must be room for it. */
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
/* Makes c ready, so that this SYNC or the next looks at it: what kept it from being read may have
 * changed. */
void paste_conn_look(struct paste_conn *c);
/* Gives events for what has happened to c, as far as there are room and buffers. */
void paste_conn_serve(struct paste_conn *c);

static inline struct paste_conn *paste_conn_of(const struct paste_ring *r, u32 handle)
{
	return handle < r->conns_max ? r->conns[array_index_nospec(handle, r->conns_max)] : NULL;
}

/* ---- flow.c ---- */
int  paste_flows_init(struct paste_ring *r);
void paste_flows_exit(struct paste_ring *r);
/* Between these two calls the segments of c may stay in the ring's buffers. */
void paste_flow_add(struct paste_conn *c);
void paste_flow_del(struct paste_conn *c);
/* Under buf_lock: the connection or listener that the buffer of this segment is to count
 * against.  NULL: the segment must be copied, for the reason *why. */
struct paste_conn *paste_flow_admit(struct paste_ring *r, const struct paste_segment *s, enum paste_copy *why);
/* The reason that was noted in a packet for its being a copy. */
enum paste_copy paste_copy_noted(const struct sk_buff *skb);

/* ---- read.c ---- */
enum paste_read {
	READ_DRY,	/* nothing is left */
	READ_NO_BUFFER,	/* this and the next two: something is left */
	READ_OVER_QUOTA,
	READ_NO_ROOM,	/* there is no room for an event */
	READ_EOF,
	READ_FAILED,	/* the error is in *err */
};
enum paste_read paste_read(struct paste_conn *c, int *err);
int paste_may_read(struct socket *sock);

/* ---- tx.c ---- */
void paste_commands(struct paste_ring *r);

#endif
