/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * vnet.h - our virtio-net driver (vnet_dev.c, vnet_tx.c), and the ring that may be
 * attached to a device of it (src_vnet.c).
 *
 * Without a ring it is an ordinary network device.  Its receive queue is full at all
 * times; what stands in it is a token:
 *
 *   plain    a buffer of ours.  A frame in it is copied into an skb and the buffer is
 *            posted again at once: there are as many as the queue has entries and none
 *            ever leaves, so that refilling cannot fail and the device is never deaf.
 *   region   a buffer of the ring's region.  The payload of a TCP segment for one of its
 *            sockets stays in it, as a page fragment of the skb, unless it is small; any
 *            other frame is copied, and it is posted again.
 *
 * With a ring the queue need not be full.  The ring's buffers are a part of those that it
 * has (paste_buf_share()): a device with a larger queue would take all of them, and those
 * that it filled could only be replaced with plain ones, which would then go round and
 * round.  Plain ones are posted only when fewer than VNET_FEW of either kind are.
 *
 * WHO TAKES FROM THE RECEIVE QUEUE is told by vnet->mode, changed under rx_lock:
 *
 *   NIC      no ring: NAPI, as in any driver
 *   SYNC     the ring's thread, inside SYNC.  No lock is needed then.
 *   AWAKE    nobody.  The ring's thread runs and will SYNC again; interrupts stay off.
 *            A timer looks whether it does.
 *   ARMED    nobody.  The ring sleeps; the interrupt wakes it, and starts the timer.
 *   SOFT     NAPI, because the ring's thread did not come in time; with the ring's
 *            buffers all the same.  The next SYNC ends it, and waits until NAPI has
 *            delivered what it took: what it takes itself comes behind that.
 *
 *   NIC --attach--> AWAKE --begin--> SYNC --end--> AWAKE --deadline--> SOFT --begin--> SYNC
 *                                    SYNC --arm--> ARMED --poll--> SYNC
 *                                                  ARMED --interrupt, deadline--> SOFT
 *
 * STOPPING.  A device may write into a posted buffer at any time, so buffers leave the
 * queue in two ways only: used by the device, or after a reset of the device.  Attaching,
 * detaching, `ip link set down` and unbinding reset it and set it up again: not every
 * device can reset a single queue, none that we know needs more than some milliseconds
 * for all, and what is lost in them TCP sends again.
 *
 * LOCKS.  rtnl: which ring a device has, up or down.  port->gate: SYNC against those.
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
#define VNET_FEW	64u		/* posted buffers that keep the interface from being deaf */
#define VNET_DEADLINE	(msecs_to_jiffies(4) + 1)

enum vnet_mode { VNET_NIC, VNET_SYNC, VNET_AWAKE, VNET_ARMED, VNET_SOFT };

struct vnet_counts {
	u64 packets, bytes, region;	/* taken by NAPI without a ring, or in SYNC */
	u64 fallback;			/* taken in mode SOFT */
	u64 irqs, doorbells_tx, doorbells_rx;
};

/* The end of a ring in a device.  It outlives either. */
struct vnet_port {
	struct mutex gate;
	struct vnet *v;			/* gate; NULL when the device is gone */
	struct paste_ring *ring;
	struct vnet_counts seen;	/* what of v->n is in the ring's counters */
	unsigned int nstash;		/* region buffers taken out of the queue by a stop, */
	u32 *stash;			/* to be given back by the next who may */
	int users;			/* rtnl: the ring, the device */
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
	bool delivering;		/* NAPI gives frames to the stack that it took in mode SOFT */
	bool starved;			/* not all that was wanted could be posted */
	bool up;			/* the queues are in use; see vnet_stop() */
	unsigned long last;		/* jiffies: when the ring's thread was last seen */
	struct timer_list timer;
	struct vnet_port *port;		/* changed while the device is stopped only */

	void **spare;			/* plain buffers that are not posted */
	unsigned int nspare, nplain;	/* of so many */
	unsigned int nregion;		/* region buffers that are posted */
	unsigned int nrx, ntx;		/* entries of the queues when they were found first */

	/* under the lock of the transmit queue */
	struct task_struct *hold;	/* what this task sends waits for its flush */
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

/* vnet_dev.c; what takes from or posts to the receive queue is for its owner, see above */
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
