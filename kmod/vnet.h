/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * vnet.h - our virtio-net driver (vnet_dev.c, vnet_tx.c), and the ring that may be
 * attached to one of its devices (src_vnet.c).
 *
 * Without a ring the device is an ordinary one, and its receive queue is always full.
 * Two kinds of buffers stand in the queue, each as a token:
 *
 *   plain    a buffer of the driver.  A frame in it is copied into an skb, and the buffer
 *            is posted again at once.  There are as many as the queue has entries and none
 *            ever leaves, so that refilling cannot fail and the device can always receive.
 *   region   a buffer of the ring's region.  The payload of a TCP segment for one of the
 *            ring's sockets stays in the buffer, as a page fragment of the skb, unless it is
 *            small.  Any other frame is copied, and the buffer is posted again.
 *
 * With a ring the queue need not be full.  Only a part of the ring's buffers is posted
 * (paste_buf_share()): otherwise a long queue would take all of them, those that were
 * filled could only be replaced with plain ones, and these would be posted for ever.
 * Plain ones are posted only when fewer than VNET_FEW of both kinds are.
 *
 * WHO TAKES FRAMES FROM THE RECEIVE QUEUE is in vnet->mode, which changes under rx_lock:
 *
 *   NIC      no ring: NAPI, as in any driver
 *   SYNC     the ring's thread, inside SYNC.  No lock is needed then.
 *   AWAKE    nobody.  The ring's thread runs and will SYNC again; interrupts stay off.
 *            A timer checks that it does.
 *   ARMED    nobody.  The ring sleeps; the interrupt wakes it and starts the timer.
 *   SOFT     NAPI, with the ring's buffers, because the ring's thread did not come in
 *            time.  The next SYNC ends this mode, and waits until NAPI has delivered the
 *            frames that it took, so that the order of frames is kept.
 *
 *   NIC --attach--> AWAKE --begin--> SYNC --end--> AWAKE --deadline--> SOFT --begin--> SYNC
 *                                    SYNC --arm--> ARMED --poll--> SYNC
 *                                                  ARMED --interrupt, deadline--> SOFT
 *
 * STOPPING.  A device may write into a posted buffer at any time, so buffers leave the
 * queue in two ways only: used by the device, or after a reset of the device.  Attaching,
 * detaching, `ip link set down` and unbinding reset the device and set it up again: not every
 * device can reset a single queue, no known device needs more than some milliseconds for a
 * reset, and TCP sends lost frames again.
 *
 * LOCKS.  rtnl: which ring a device has, and up or down.  port->gate: keeps SYNC out meanwhile.
 * Order: the ring's mutex, rtnl, gate, rx_lock or the lock of the transmit queue.
 */
#ifndef PASTE_VNET_H
#define PASTE_VNET_H

#include <linux/mutex.h>
#include <linux/netdevice.h>
#include <linux/timer.h>
#include <linux/virtio.h>
#include <linux/virtio_net.h>

#include "paste.h"

#define VNET_BUF	2048u		/* a plain buffer */
#define VNET_HDR	sizeof(struct virtio_net_hdr_v1)
#define VNET_SMALL	512u		/* a frame to send that fits with its header is copied */
#define VNET_FEW	64u		/* posted buffers with which a device can still receive */
#define VNET_DEADLINE	(msecs_to_jiffies(4) + 1)

enum vnet_mode { VNET_NIC, VNET_SYNC, VNET_AWAKE, VNET_ARMED, VNET_SOFT };

struct vnet_counts {
	u64 packets, bytes, region;	/* taken by NAPI without a ring, or in SYNC */
	u64 fallback;			/* taken in mode SOFT */
	u64 irqs, doorbells_tx, doorbells_rx;
};

/* The link between a ring and a device.  It is freed when both have let go of it. */
struct vnet_port {
	struct mutex gate;
	struct vnet *v;			/* gate; NULL when the device is gone */
	struct paste_ring *ring;
	struct vnet_counts seen;	/* the part of v->n that the ring's counters have */
	unsigned int nstash;		/* region buffers that are not posted any more: to be */
	u32 *stash;			/* posted again, or given back by the ring's thread */
	int users;			/* rtnl: one for the ring, one for the device */
	bool fresh;			/* the ring has had no free buffer yet */
};

struct vnet {
	struct virtio_device *vdev;
	struct net_device *dev;
	struct virtqueue *rx, *tx;
	struct napi_struct napi;
	struct work_struct link;

	spinlock_t rx_lock;
	enum vnet_mode mode;
	bool woken;			/* ARMED, and the interrupt came */
	bool delivering;		/* NAPI is giving frames that it took to the stack */
	bool starved;			/* not all buffers could be posted */
	bool up;			/* the queues are in use; see vnet_stop() */
	unsigned long last;		/* jiffies: when the ring's thread was last seen */
	struct timer_list timer;
	struct vnet_port *port;		/* changes only while the device is stopped */

	void **spare;			/* plain buffers that are not posted */
	unsigned int nspare, nplain;	/* nplain: all plain buffers */
	unsigned int nregion;		/* region buffers that are posted */
	unsigned int nrx, ntx;		/* entries of the queues when they were first found */

	/* The next four are protected by the lock of the transmit queue. */
	struct task_struct *hold;	/* frames of this task wait for vnet_flush_tx() */
	bool unrung;			/* something was queued since the last doorbell */
	void **slot;			/* free slots of VNET_SMALL bytes */
	unsigned int nslot;

	struct vnet_counts n;
};

static inline void *vnet_token(u32 buf)
{
	return (void *)((unsigned long)buf << 1 | 1);
}

static inline bool vnet_is_region(const void *token)
{
	return (unsigned long)token & 1;
}

static inline u32 vnet_buf(const void *token)
{
	return (unsigned long)token >> 1;
}

/* vnet_dev.c; functions that use the receive queue are for its owner in the mode, see above */
struct vnet *vnet_of(struct net_device *dev);		/* NULL: not a device of ours */
bool vnet_has_plain_posted(const struct vnet *v);
void *vnet_data(const struct vnet *v, const void *token);
bool vnet_length_ok(const struct vnet *v, const void *token, unsigned int len);
bool vnet_judge(struct vnet *v, struct sk_buff *skb, const struct virtio_net_hdr_v1 *hdr);
struct sk_buff *vnet_copy(struct vnet *v, const void *token, unsigned int len, enum paste_copy why);
bool vnet_post(struct vnet *v, void *token);
void vnet_fill(struct vnet *v);
void vnet_ring_rx(struct vnet *v);
void vnet_stop(struct vnet *v);
int  vnet_start(struct vnet *v);

/* vnet_sock.c */
struct sock *vnet_sock_find(struct vnet *v, const struct sk_buff *skb, const u8 *h, struct paste_segment *s);
void vnet_sock_hand_on(struct sk_buff *skb, struct sock *sk);

/* vnet_tx.c */
netdev_tx_t vnet_xmit(struct sk_buff *skb, struct net_device *dev);
void vnet_tx_irq(struct virtqueue *vq);
void vnet_flush_tx(struct vnet *v);
void vnet_empty_tx(struct vnet *v);

/* src_vnet.c */
void vnet_source_init(void);
unsigned int vnet_take(struct vnet *v, unsigned int budget, struct list_head *list);
void vnet_port_gone(struct vnet *v);
void vnet_port_stash(struct vnet_port *port, u32 buf);

#endif
