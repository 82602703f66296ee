/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * paste.h - inside the module: its files and locks, and the interface between the core and
 * a source of packets.
 *
 *   main.c      the device node: open, ioctl, mmap, poll, release
 *   region.c    pinned pages, and which place in the region a page has
 *   buf.c       the state of a buffer: who has it
 *   ring.h      the index arithmetic and its checks; no kernel headers, so that the
 *               tests compile it in user space
 *   ring.c      SYNC
 *   conn.c      handles, the hook on a socket's wait queue
 *   flow.c      which sockets belong to a ring, and how many buffers one may hold
 *   read.c      moves what the stack has queued on a socket into buffers, with any source
 *   tx.c        commands
 *   core.h      what the files above share
 *   vnet_dev.c  our virtio-net driver; vnet_tx.c is its sending half
 *   vnet_sock.c finds the socket of a segment that the device has written
 *   src_vnet.c  the source that fills its receive queue from the region
 *   compat.h    what differs between kernels
 *
 * LOCKS.  ring->mutex: everything of a ring that SYNC touches; SYNC never waits for it.
 * ring->lock (spin, irq-safe): the lists of ready and stalled connections; taken by
 * wait-queue callbacks and interrupts.  ring->buf_lock (spin, bottom halves): the states
 * of the ring's buffers, and which sockets belong to the ring.  Order: mutex, mmap_lock,
 * socket lock, buf_lock, ring->lock.
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
 *   attach      if it returns 0, the core sets ring->source
 *   detach      gives every buffer that the source has back (paste_buf_back)
 *   begin       SYNC starts: turns receive interrupts off, and holds the doorbells back
 *   poll        takes packets and injects them into the stack; returns how many
 *   refill      posts free buffers to the device, as there may be new ones
 *   flush       rings the doorbells for what was queued; reaps completed transmissions
 *   end         SYNC ends.  The worker will call SYNC again, so interrupts stay off; if it
 *               does not come in time, softirq takes the packets
 *   arm         SYNC is about to sleep: turns interrupts on, which then call
 *               paste_ring_wake().  True: packets are there already, do not sleep
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

/* The private data of a source. */
void *paste_source_data(struct paste_ring *r);
void paste_source_set_data(struct paste_ring *r, void *data);
/* The counters of the ring, which are written under its mutex only. */
struct paste_stats *paste_ring_stats(struct paste_ring *r);
/* Wakes the ring's SYNC if it sleeps.  May be called from any context. */
void paste_ring_wake(struct paste_ring *r);

/* ---- buffers, for a source while it is attached; softirq may call these too ---- */

#define PASTE_NO_BUF U32_MAX
u32 paste_buf_bytes(const struct paste_ring *r);	/* 2048 or 4096 */
/* A free buffer for the device to fill, which leaves a reserve for copies; or PASTE_NO_BUF. */
u32 paste_buf_get(struct paste_ring *r);
/* How many the device should have at a time; the others are for the stack and for copies. */
u32 paste_buf_share(const struct paste_ring *r);
/* Gives back a buffer that was not filled, or whose bytes never reached a socket. */
void paste_buf_back(struct paste_ring *r, u32 buf);
/* The buffer's page and its offset in that; a buffer lies in one page. */
struct page *paste_buf_page(const struct paste_ring *r, u32 buf, unsigned int *off);
/*
 * A TCP segment, and the socket that gets it: that of its connection or, before there is one
 * that could be attached, the listener that the connection will be accepted from.
 */
struct paste_segment {
	const struct sock *sk;
	u32 seq, len;		/* len: of the payload */
};
/*
 * To be called before injection, with bottom halves off.  The skb holds the segment's payload
 * in the buffer (one page frag), and has no frag_list.
 *
 * True: the skb has got a frag_list, an empty skb by which the core tracks its copies.  The
 * buffer may be filled again when no event names it and no packet has that list any more
 * (buf.c).  False: the skb must not go to the stack, the source keeps the buffer, and the
 * payload must be copied, for the reason *why.
 */
bool paste_buf_inject(struct paste_ring *r, u32 buf, struct sk_buff *skb, const struct paste_segment *s,
		      enum paste_copy *why);
/* Tells the ring of a segment for a socket that is copied without paste_buf_inject(). */
void paste_flow_copied(struct paste_ring *r, const struct paste_segment *s);
/* Notes in a packet, whose device is set, why it is a copy, for the statistics.  The note is in
 * front of the headers, and stays there as long as it is the same packet. */
void paste_copy_note(struct sk_buff *skb, enum paste_copy why);

int  paste_vnet_init(void);
void paste_vnet_exit(void);

#endif
