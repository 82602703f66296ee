// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * vnet_tx.c - sending over a device of vnet_dev.c.
 *
 * A small frame (an acknowledgement, a reply of the server) is copied into a slot together
 * with virtio's header: it takes one descriptor, and its skb is free at once.  Frames that
 * the ring's thread sends inside SYNC wait for its flush, which rings one doorbell for all.
 * Interrupts for completions are on only while the queue is full.
 */
#include <linux/etherdevice.h>
#include <net/netfilter/nf_conntrack.h>

#include "vnet.h"

static void vnet_sent(struct vnet *v, void *token)
{
	if ((unsigned long)token & 1)
		v->slot[v->nslot++] = token - 1;
	else
		dev_consume_skb_any(token);
}

static void vnet_reap(struct vnet *v)
{
	unsigned int len;
	void *token;

	while ((token = virtqueue_get_buf(v->tx, &len)))
		vnet_sent(v, token);
}

/* To be called after a reset: frames that the device has not sent are lost. */
void vnet_empty_tx(struct vnet *v)
{
	void *token;

	vnet_reap(v);
	while ((token = virtqueue_detach_unused_buf(v->tx)))
		vnet_sent(v, token);
}

static int vnet_header(struct sk_buff *skb, struct virtio_net_hdr_v1 *hdr)
{
	hdr->num_buffers = 0;
	return virtio_net_hdr_from_skb(skb, (struct virtio_net_hdr *)hdr, true, false, 0);
}

static int vnet_queue_small(struct vnet *v, struct sk_buff *skb)
{
	struct scatterlist sg;
	u8 *slot = v->slot[v->nslot - 1];
	int err = vnet_header(skb, (struct virtio_net_hdr_v1 *)slot);

	if (err)
		return err;
	skb_copy_bits(skb, 0, slot + VNET_HDR, skb->len);
	sg_init_one(&sg, slot, VNET_HDR + skb->len);
	err = virtqueue_add_outbuf(v->tx, &sg, 1, slot + 1, GFP_ATOMIC);
	if (err)
		return err;
	v->nslot--;
	dev_consume_skb_any(skb);
	return 0;
}

static int vnet_queue_large(struct vnet *v, struct sk_buff *skb)
{
	struct scatterlist sg[MAX_SKB_FRAGS + 2];
	struct virtio_net_hdr_v1 *hdr = (struct virtio_net_hdr_v1 *)skb->cb;
	int n, err;

	BUILD_BUG_ON(sizeof(*hdr) > sizeof(skb->cb));
	err = vnet_header(skb, hdr);
	if (err)
		return err;
	/* Its pages may be a user's, who may change them.  And the skb may stay here for long, so
	 * it gives up all that others may wait for. */
	if (skb_orphan_frags_rx(skb, GFP_ATOMIC))
		return -ENOMEM;
	sg_init_table(sg, skb_shinfo(skb)->nr_frags + 2);
	sg_set_buf(sg, hdr, VNET_HDR);
	n = skb_to_sgvec(skb, sg + 1, 0, skb->len);
	if (n < 0)
		return n;
	err = virtqueue_add_outbuf(v->tx, sg, n + 1, skb, GFP_ATOMIC);
	if (err)
		return err;
	skb_orphan(skb);
	skb_dst_drop(skb);
	nf_reset_ct(skb);
	return 0;
}

static void vnet_ring_tx(struct vnet *v)
{
	v->unrung = false;
	if (virtqueue_kick_prepare(v->tx)) {
		v->n.doorbells_tx++;
		virtqueue_notify(v->tx);
	}
}

static bool vnet_tx_full(const struct vnet *v)
{
	return v->tx->num_free < MAX_SKB_FRAGS + 2;
}

netdev_tx_t vnet_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct vnet *v = netdev_priv(dev);
	struct netdev_queue *txq = netdev_get_tx_queue(dev, 0);
	unsigned int len = skb->len;
	bool held = v->hold == current;
	int err;

	if (unlikely(!v->up)) {		/* vnet_tx_irq() may have undone netif_tx_disable() */
		dev_kfree_skb_any(skb);
		return NETDEV_TX_OK;
	}
	/* Inside SYNC the flush will reap, so do it here only if the queue is full. */
	if (!held || vnet_tx_full(v))
		vnet_reap(v);
	if (len <= VNET_SMALL - VNET_HDR && v->nslot && !skb_is_gso(skb))
		err = vnet_queue_small(v, skb);
	else
		err = vnet_queue_large(v, skb);
	if (err) {
		dev->stats.tx_dropped++;
		dev_kfree_skb_any(skb);
	} else {
		dev->stats.tx_packets++;
		dev->stats.tx_bytes += len;
		v->unrung = true;
	}
	if (vnet_tx_full(v)) {
		netif_tx_stop_queue(txq);
		if (!virtqueue_enable_cb_delayed(v->tx)) {
			vnet_reap(v);
			if (!vnet_tx_full(v)) {
				netif_tx_start_queue(txq);
				virtqueue_disable_cb(v->tx);
			}
		}
	}
	if (v->unrung && (netif_xmit_stopped(txq) || (!held && !netdev_xmit_more())))
		vnet_ring_tx(v);
	return NETDEV_TX_OK;
}

/* The queue was full, and the device has sent frames since. */
void vnet_tx_irq(struct virtqueue *vq)
{
	struct vnet *v = vq->vdev->priv;

	v->n.irqs++;
	virtqueue_disable_cb(vq);
	netif_wake_queue(v->dev);
}

/* Rings one doorbell for all held frames and reaps completions.  Frames are held again only after
 * v->hold is set again. */
void vnet_flush_tx(struct vnet *v)
{
	struct netdev_queue *txq = netdev_get_tx_queue(v->dev, 0);

	__netif_tx_lock_bh(txq);
	v->hold = NULL;
	vnet_reap(v);
	if (v->unrung)
		vnet_ring_tx(v);
	if (netif_tx_queue_stopped(txq) && !vnet_tx_full(v)) {
		virtqueue_disable_cb(v->tx);
		netif_tx_wake_queue(txq);
	}
	__netif_tx_unlock_bh(txq);
}
