/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * paste.h - inside the module: who owns what, and the seam between the core and a
 * source of packets.
 *
 *   main.c      the device node: open, ioctl, mmap, poll, release
 *   region.c    pinned pages, pfn -> place in the region
 *   buf.c       a buffer's state: whose it is
 *   ring.h      the index arithmetic and its checks; no kernel headers, so that the
 *               tests compile it in user space
 *   ring.c      SYNC
 *   conn.c      handles, the hook on a socket's wait queue
 *   flow.c      which sockets are this ring's, and how many buffers one may hold
 *   read.c      what the stack queued on a socket, into buffers: the source that is
 *               always there
 *   tx.c        commands
 *   core.h      what those share
 *   vnet_dev.c  our virtio-net driver; vnet_tx.c is its sending half
 *   vnet_sock.c whose a segment is that the device has written
 *   src_vnet.c  the source that fills its receive queue from the region
 *   compat.h    what differs between kernels
 *
 * LOCKS.  ring->mutex: everything of a ring that SYNC touches; SYNC tries it only.
 * ring->lock (spin, irq-safe): the list of ready connections, the wake-up flags; taken by
 * wait-queue callbacks and interrupts.  ring->buf_lock (spin, bottom halves): the states
 * of the ring's buffers, and which sockets are its.  Order: mutex, mmap_lock, socket lock,
 * buf_lock, ring->lock.
 * A region never changes once it is made.
 */
#ifndef PASTE_H
#define PASTE_H

#include <linux/netdevice.h>
#include <linux/skbuff.h>

#include "uapi/paste.h"

struct paste_ring;

/*
 * A source of packets, attached to one ring.  All but wake-ups run in SYNC, with the
 * ring's mutex held, in process context.
 *
 *   attach      ring->source is set by the core when it returns 0
 *   detach      gives every buffer back (paste_buf_back); after it no packet names one
 *   begin       SYNC starts: no receive interrupt from here on, hold the doorbells
 *   poll        takes packets and injects them into the stack; how many
 *   refill      there may be new free buffers: post them to the device
 *   flush       ring the doorbells for what was queued; reap completed transmissions
 *   end         SYNC ends.  awake: the worker runs now and will SYNC again; keep the
 *               interrupts off, but see to it that the interface is not deaf if it does
 *               not (a deadline, after which softirq takes over)
 *   arm         before sleeping: interrupts on; true: packets are there already, do not
 *               sleep.  An interrupt then calls paste_ring_wake().
 */
struct paste_source_ops {
	const char *name;
	int  (*attach)(struct paste_ring *r, u32 ifindex);
	void (*detach)(struct paste_ring *r);
	void (*begin)(struct paste_ring *r);
	unsigned int (*poll)(struct paste_ring *r, unsigned int budget);
	void (*refill)(struct paste_ring *r);
	void (*flush)(struct paste_ring *r);
	void (*end)(struct paste_ring *r);
	bool (*arm)(struct paste_ring *r);
};
extern const struct paste_source_ops paste_src_vnet;

/* For a source's private data. */
void *paste_source_data(struct paste_ring *r);
void paste_source_set_data(struct paste_ring *r, void *data);
/* The counters of the ring: written under its mutex only. */
struct paste_stats *paste_ring_stats(struct paste_ring *r);
/* Wakes the ring's SYNC, if it sleeps; from any context. */
void paste_ring_wake(struct paste_ring *r);

/* ---- buffers, for a source; also in softirq, as long as it is attached ---- */

#define PASTE_NO_BUF U32_MAX
u32 paste_buf_bytes(const struct paste_ring *r);	/* 2048 or 4096 */
/* A free buffer for the device to fill, which leaves a reserve for copies; or PASTE_NO_BUF. */
u32 paste_buf_get(struct paste_ring *r);
/* So many the device should have at a time; the others are for the stack, and for copies. */
u32 paste_buf_share(const struct paste_ring *r);
/* It was not filled, or what it held never reached a socket. */
void paste_buf_back(struct paste_ring *r, u32 buf);
/* Its page and the offset in it; a buffer lies in one page. */
struct page *paste_buf_page(const struct paste_ring *r, u32 buf, unsigned int *off);
/*
 * A segment of TCP, and the socket that gets it: an established one; or, before there is
 * one that could be attached, the listener that it will be accepted from.
 */
struct paste_segment {
	const struct sock *sk;
	u32 seq, len;		/* len: of the payload */
};
/*
 * Before injection, with bottom halves off: the skb holds the segment's payload in the
 * buffer (one page frag), and has no frag_list.  It gets one, an empty skb that the core
 * knows it by: the buffer may be filled again when no event names it and no packet has that
 * list any more (buf.c).  Else the skb is not for the stack, the buffer still the source's,
 * and *why the payload must be copied: the socket is not this ring's, or has enough.
 */
bool paste_buf_inject(struct paste_ring *r, u32 buf, struct sk_buff *skb, const struct paste_segment *s,
		      enum paste_copy *why);
/* So is it here: a segment that was never offered to paste_buf_inject(), but is for a socket. */
void paste_flow_copied(struct paste_ring *r, const struct paste_segment *s);
/* Of a packet that is a copy, with its device set: why, for the statistics.  It is noted in
 * front of its headers, where it stays as long as it is the same packet. */
void paste_copy_note(struct sk_buff *skb, enum paste_copy why);

int  paste_vnet_init(void);
void paste_vnet_exit(void);

#endif
