// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * vnet_dev.c - a virtio-net driver: the device, its queues, and NAPI.  See vnet.h.
 *
 * The driver takes virtio network devices that no other driver has.  The module has no alias
 * for a device, so that it is never loaded because of one.
 */
#include <linux/etherdevice.h>
#include <linux/ethtool.h>
#include <linux/module.h>
#include <linux/rtnetlink.h>
#include <linux/slab.h>
#include <linux/virtio_config.h>

#include "compat.h"
#include "vnet.h"

static_assert(sizeof(unsigned long) >= 8);	/* a token holds any buffer's number */

/* ---- receiving ---- */

void *vnet_data(const struct vnet *v, const void *token)
{
	unsigned int off;
	struct page *page;

	if (!vnet_is_region(token))
		return (void *)token;
	page = paste_buf_page(v->port->ring, vnet_buf(token), &off);
	return page_address(page) + off;
}

static unsigned int vnet_room(const struct vnet *v, const void *token)
{
	return vnet_is_region(token) ? paste_buf_bytes(v->port->ring) : VNET_BUF;
}

/* The length comes from the device, so it is checked. */
bool vnet_length_ok(const struct vnet *v, const void *token, unsigned int len)
{
	if (len >= VNET_HDR + ETH_HLEN && len <= vnet_room(v, token))
		return true;
	v->dev->stats.rx_length_errors++;
	return false;
}

/* Applies virtio's header to skb, which begins with the Ethernet header.  False: the header is not
 * one that we asked for. */
bool vnet_judge(struct vnet *v, struct sk_buff *skb, const struct virtio_net_hdr_v1 *hdr)
{
	if (hdr->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return false;
	if (hdr->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		if (!skb_partial_csum_set(skb, __virtio16_to_cpu(true, hdr->csum_start),
					  __virtio16_to_cpu(true, hdr->csum_offset)))
			return false;
	} else if (hdr->flags & VIRTIO_NET_HDR_F_DATA_VALID) {
		skb->ip_summed = CHECKSUM_UNNECESSARY;
	}
	skb->protocol = eth_type_trans(skb, v->dev);
	return true;
}

/* An skb with a copy of the frame, whose length was checked.  NULL: it was dropped and counted. */
struct sk_buff *vnet_copy(struct vnet *v, const void *token, unsigned int len, enum paste_copy why)
{
	const u8 *data = vnet_data(v, token);
	struct virtio_net_hdr_v1 hdr;
	struct sk_buff *skb;

	memcpy(&hdr, data, sizeof(hdr));
	skb = netdev_alloc_skb_ip_align(v->dev, len - VNET_HDR);
	if (!skb) {
		v->dev->stats.rx_dropped++;
		return NULL;
	}
	if (v->port)
		paste_copy_note(skb, why);
	skb_put_data(skb, data + VNET_HDR, len - VNET_HDR);
	if (vnet_judge(v, skb, &hdr))
		return skb;
	v->dev->stats.rx_frame_errors++;
	kfree_skb(skb);
	return NULL;
}

static void vnet_lay_aside(struct vnet *v, void *token)
{
	if (vnet_is_region(token))
		vnet_port_stash(v->port, vnet_buf(token));
	else
		v->spare[v->nspare++] = token;
}

/* Posts the buffer.  False: that failed, and the buffer was laid aside. */
bool vnet_post(struct vnet *v, void *token)
{
	struct scatterlist sg;

	/* sg_init_one() cannot be used: some of its checks do not take a page of a DAX file for
	 * kernel memory. */
	sg_init_table(&sg, 1);
	if (vnet_is_region(token)) {
		unsigned int off;
		struct page *page = paste_buf_page(v->port->ring, vnet_buf(token), &off);

		sg_set_page(&sg, page, vnet_room(v, token), off);
	} else {
		sg_set_buf(&sg, token, VNET_BUF);
	}
	if (!virtqueue_add_inbuf(v->rx, &sg, 1, token, GFP_ATOMIC)) {
		v->nregion += vnet_is_region(token);
		return true;
	}
	vnet_lay_aside(v, token);	/* the DMA layer has no bounce buffer now */
	return false;
}

bool vnet_has_plain_posted(const struct vnet *v)
{
	return v->nspare < v->nplain;
}

static unsigned int vnet_posted(const struct vnet *v)
{
	return v->nregion + v->nplain - v->nspare;
}

/* The next region buffer to post.  Those in the stash come first, so that it never grows beyond the
 * queue. */
static u32 vnet_next_region(struct vnet *v, u32 share)
{
	struct vnet_port *port = v->port;

	if (port->nstash)
		return port->stash[--port->nstash];
	return v->nregion < share ? paste_buf_get(port->ring) : PASTE_NO_BUF;
}

/* The next buffer to post, one of the ring's if possible.  NULL: there is none, or enough are. */
static void *vnet_next(struct vnet *v, u32 share)
{
	u32 buf = v->port ? vnet_next_region(v, share) : PASTE_NO_BUF;

	if (buf != PASTE_NO_BUF)
		return vnet_token(buf);
	if (!v->nspare || (v->port && vnet_posted(v) >= VNET_FEW))
		return NULL;
	return v->spare[--v->nspare];
}

/* Posts all buffers that the queue is to have.  If the DMA layer has no room, the timer makes NAPI
 * or the ring's thread try again soon. */
void vnet_fill(struct vnet *v)
{
	u32 share = v->port ? max(paste_buf_share(v->port->ring), VNET_FEW) : 0;
	void *token;

	while (v->rx->num_free && (token = vnet_next(v, share))) {
		if (vnet_post(v, token))
			continue;
		WRITE_ONCE(v->starved, true);
		mod_timer(&v->timer, jiffies + VNET_DEADLINE);
		return;
	}
}

void vnet_ring_rx(struct vnet *v)
{
	if (virtqueue_kick_prepare(v->rx)) {
		v->n.doorbells_rx++;
		virtqueue_notify(v->rx);
	}
}

/* ---- NAPI, the interrupt and the timer ---- */

static bool vnet_is_napis(const struct vnet *v)
{
	return v->mode == VNET_NIC || v->mode == VNET_SOFT;
}

/* Turns receive interrupts on.  False: frames are there already, and they are off again. */
static bool vnet_enable_irq(struct vnet *v)
{
	if (virtqueue_enable_cb(v->rx))
		return true;
	virtqueue_disable_cb(v->rx);
	return false;
}

static void vnet_gro(struct napi_struct *napi, struct list_head *list)
{
	struct sk_buff *skb, *next;

	list_for_each_entry_safe(skb, next, list, list) {
		skb_list_del_init(skb);
		napi_gro_receive(napi, skb);
	}
}

static int vnet_napi(struct napi_struct *napi, int budget)
{
	struct vnet *v = container_of(napi, struct vnet, napi);
	LIST_HEAD(list);
	bool gro = false;
	bool again = false;
	int n = 0;

	spin_lock(&v->rx_lock);
	if (vnet_is_napis(v)) {
		gro = v->mode == VNET_NIC;
		n = vnet_take(v, budget, &list);
		vnet_fill(v);
		vnet_ring_rx(v);
		WRITE_ONCE(v->delivering, true);
	}
	spin_unlock(&v->rx_lock);

	/* GRO is of no use for a ring's packets: it never merges packets with a frag_list. */
	if (gro)
		vnet_gro(napi, &list);
	else
		netif_receive_skb_list(&list);
	smp_store_release(&v->delivering, false);	/* vnet_own() waits for this */
	if (n < budget && napi_complete_done(napi, n)) {
		spin_lock(&v->rx_lock);
		again = vnet_is_napis(v) && !vnet_enable_irq(v);
		spin_unlock(&v->rx_lock);
		if (again)
			napi_schedule(napi);
	}
	return n;
}

/* In hard interrupt context, so the mode is read without the lock.  Whoever changes it meanwhile
 * looks into the queue afterwards. */
static void vnet_rx_irq(struct virtqueue *vq)
{
	struct vnet *v = vq->vdev->priv;
	enum vnet_mode mode = READ_ONCE(v->mode);

	v->n.irqs++;
	virtqueue_disable_cb(vq);
	if (mode == VNET_NIC || mode == VNET_SOFT) {
		napi_schedule(&v->napi);
	} else if (mode == VNET_ARMED) {
		WRITE_ONCE(v->last, jiffies);
		WRITE_ONCE(v->woken, true);
		mod_timer(&v->timer, jiffies + VNET_DEADLINE);
		paste_ring_wake(v->port->ring);
	}
}

/* If the ring's thread was not seen in time, NAPI takes over.  If buffers could not be posted, NAPI
 * or the ring's thread tries again. */
static void vnet_deadline(struct timer_list *timer)
{
	struct vnet *v = timer_container_of(v, timer, timer);
	bool soft, wake = false;

	spin_lock(&v->rx_lock);
	soft = vnet_is_napis(v) && v->starved;
	if (v->mode == VNET_AWAKE || (v->mode == VNET_ARMED && READ_ONCE(v->woken))) {
		soft = time_after_eq(jiffies, READ_ONCE(v->last) + VNET_DEADLINE);
		if (soft)
			v->mode = VNET_SOFT;
		else
			mod_timer(&v->timer, READ_ONCE(v->last) + VNET_DEADLINE);
	} else if (v->mode == VNET_ARMED) {
		wake = v->starved;
	}
	v->starved = false;
	spin_unlock(&v->rx_lock);
	if (soft)
		napi_schedule(&v->napi);
	if (wake)
		paste_ring_wake(v->port->ring);
}

/* ---- the queues ---- */

static int vnet_find_queues(struct vnet *v)
{
	struct virtqueue *vq[2];
	struct virtqueue_info info[2] = { { "input", vnet_rx_irq }, { "output", vnet_tx_irq } };
	int err = find_vqs(v->vdev, 2, vq, info);

	if (err)
		return err;
	v->rx = vq[0];
	v->tx = vq[1];
	v->nregion = 0;
	/* After a reset the queues may be larger: then the arrays made at first are too short. */
	if (!v->nrx || (virtqueue_get_vring_size(v->rx) <= v->nrx && virtqueue_get_vring_size(v->tx) <= v->ntx))
		return 0;
	v->vdev->config->del_vqs(v->vdev);
	v->rx = v->tx = NULL;
	return -EIO;
}

/* Takes all buffers out of the queues of a device that was reset. */
static void vnet_empty_queues(struct vnet *v)
{
	void *token;

	vnet_empty_tx(v);
	/* This includes buffers that the device has used and nobody has taken. */
	while ((token = virtqueue_detach_unused_buf(v->rx)))
		vnet_lay_aside(v, token);
}

/* Sets the device up after a reset as when it was probed, with empty queues. */
static int vnet_set_up_again(struct vnet *v)
{
	struct virtio_device *vdev = v->vdev;
	int err;

	virtio_add_status(vdev, VIRTIO_CONFIG_S_ACKNOWLEDGE);
	virtio_add_status(vdev, VIRTIO_CONFIG_S_DRIVER);
	err = vdev->config->finalize_features(vdev);
	if (err)
		return err;
	virtio_add_status(vdev, VIRTIO_CONFIG_S_FEATURES_OK);
	if (!(vdev->config->get_status(vdev) & VIRTIO_CONFIG_S_FEATURES_OK))
		return -ENODEV;
	err = vnet_find_queues(v);
	if (err)
		return err;
	virtio_device_ready(vdev);
	return 0;
}

static void vnet_drop_queues(struct vnet *v)
{
	virtio_reset_device(v->vdev);		/* waits for running interrupts; none comes later */
	if (!v->rx)
		return;
	vnet_empty_queues(v);
	v->vdev->config->del_vqs(v->vdev);
	v->rx = v->tx = NULL;
}

/* Under rtnl and the gate of the port.  Afterwards the device has no buffer any more. */
void vnet_stop(struct vnet *v)
{
	v->up = false;
	netif_tx_disable(v->dev);	/* takes the queue's lock, so vnet_xmit() sees `up` false */
	napi_disable(&v->napi);
	vnet_drop_queues(v);
	timer_delete_sync(&v->timer);
	v->mode = VNET_NIC;
	v->hold = NULL;
	v->unrung = v->woken = v->starved = false;
	if (vnet_set_up_again(v)) {
		netdev_err(v->dev, "the device does not come back after a reset\n");
		vnet_drop_queues(v);
		virtio_add_status(v->vdev, VIRTIO_CONFIG_S_FAILED);
	}
}

int vnet_start(struct vnet *v)
{
	if (!v->rx)
		return -EIO;
	v->mode = v->port ? VNET_AWAKE : VNET_NIC;
	v->last = jiffies;
	/* With a ring the queue stays empty until the ring's thread comes with buffers or the
	 * deadline is over: otherwise all the first frames would be copied. */
	if (!v->port) {
		vnet_fill(v);
		vnet_ring_rx(v);
	}
	virtqueue_disable_cb(v->rx);
	virtqueue_disable_cb(v->tx);
	napi_enable(&v->napi);
	v->up = true;
	if (v->port)
		mod_timer(&v->timer, v->last + VNET_DEADLINE);
	netif_tx_wake_all_queues(v->dev);
	local_bh_disable();
	if (!v->port)
		napi_schedule(&v->napi);
	local_bh_enable();
	return 0;
}

/* ---- the network device ---- */

static void vnet_show_link(struct vnet *v)
{
	u16 status = VIRTIO_NET_S_LINK_UP;

	if (virtio_has_feature(v->vdev, VIRTIO_NET_F_STATUS))
		virtio_cread(v->vdev, struct virtio_net_config, status, &status);
	if (status & VIRTIO_NET_S_LINK_UP)
		netif_carrier_on(v->dev);
	else
		netif_carrier_off(v->dev);
}

static void vnet_link_work(struct work_struct *work)
{
	vnet_show_link(container_of(work, struct vnet, link));
}

static void vnet_config_changed(struct virtio_device *vdev)
{
	struct vnet *v = vdev->priv;

	schedule_work(&v->link);
}

static int vnet_open(struct net_device *dev)
{
	struct vnet *v = netdev_priv(dev);
	struct vnet_port *port = v->port;
	int err;

	if (port)
		mutex_lock(&port->gate);
	err = vnet_start(v);
	if (port)
		mutex_unlock(&port->gate);
	return err;
}

static int vnet_close(struct net_device *dev)
{
	struct vnet *v = netdev_priv(dev);
	struct vnet_port *port = v->port;

	if (port)
		mutex_lock(&port->gate);
	if (v->up)
		vnet_stop(v);
	if (port)
		mutex_unlock(&port->gate);
	return 0;
}

static const struct net_device_ops vnet_netdev_ops = {
	.ndo_open = vnet_open,
	.ndo_stop = vnet_close,
	.ndo_start_xmit = vnet_xmit,
	.ndo_set_mac_address = eth_mac_addr,
	.ndo_validate_addr = eth_validate_addr,
};

struct vnet *vnet_of(struct net_device *dev)
{
	return dev->netdev_ops == &vnet_netdev_ops ? netdev_priv(dev) : NULL;
}

static void vnet_drvinfo(struct net_device *dev, struct ethtool_drvinfo *info)
{
	struct vnet *v = netdev_priv(dev);

	strscpy(info->driver, "paste_vnet", sizeof(info->driver));
	strscpy(info->bus_info, virtio_bus_name(v->vdev), sizeof(info->bus_info));
}

static const char vnet_count_names[][ETH_GSTRING_LEN] = {
	"packets", "bytes", "region", "fallback", "irqs", "doorbells_tx", "doorbells_rx",
};
static_assert(sizeof(struct vnet_counts) == ARRAY_SIZE(vnet_count_names) * sizeof(u64));

static int vnet_count_number(struct net_device *dev, int set)
{
	return set == ETH_SS_STATS ? ARRAY_SIZE(vnet_count_names) : -EOPNOTSUPP;
}

static void vnet_count_strings(struct net_device *dev, u32 set, u8 *out)
{
	if (set == ETH_SS_STATS)
		memcpy(out, vnet_count_names, sizeof(vnet_count_names));
}

static void vnet_count_values(struct net_device *dev, struct ethtool_stats *stats, u64 *out)
{
	struct vnet *v = netdev_priv(dev);

	memcpy(out, &v->n, sizeof(v->n));
}

static const struct ethtool_ops vnet_ethtool_ops = {
	.get_drvinfo = vnet_drvinfo,
	.get_link = ethtool_op_get_link,
	.get_sset_count = vnet_count_number,
	.get_strings = vnet_count_strings,
	.get_ethtool_stats = vnet_count_values,
};

/* ---- probe and remove ---- */

static void vnet_free_buffers(struct vnet *v)
{
	while (v->nspare)
		kfree(v->spare[--v->nspare]);
	while (v->nslot)
		kfree(v->slot[--v->nslot]);
	kfree(v->spare);
	kfree(v->slot);
}

static bool vnet_alloc_buffers(struct vnet *v)
{
	unsigned int nrx = virtqueue_get_vring_size(v->rx), ntx = virtqueue_get_vring_size(v->tx);
	void *p;

	v->nrx = nrx;
	v->ntx = ntx;
	v->spare = kcalloc(nrx, sizeof(*v->spare), GFP_KERNEL);
	v->slot = kcalloc(ntx, sizeof(*v->slot), GFP_KERNEL);
	if (!v->spare || !v->slot)
		return false;
	/* Zeroed, so that a device that lies about a length cannot put old memory into a frame. */
	while (v->nspare < nrx && (p = kzalloc(VNET_BUF, GFP_KERNEL)))
		v->spare[v->nspare++] = p;
	while (v->nslot < ntx && (p = kzalloc(VNET_SMALL, GFP_KERNEL)))
		v->slot[v->nslot++] = p;
	v->nplain = v->nspare;
	return v->nspare == nrx && v->nslot == ntx;
}

static void vnet_set_features(struct vnet *v)
{
	struct net_device *dev = v->dev;

	dev->hw_features = NETIF_F_SG;
	if (virtio_has_feature(v->vdev, VIRTIO_NET_F_CSUM)) {
		dev->hw_features |= NETIF_F_HW_CSUM;
		if (virtio_has_feature(v->vdev, VIRTIO_NET_F_HOST_TSO4))
			dev->hw_features |= NETIF_F_TSO;
		if (virtio_has_feature(v->vdev, VIRTIO_NET_F_HOST_TSO6))
			dev->hw_features |= NETIF_F_TSO6;
	}
	dev->features = dev->hw_features | NETIF_F_HIGHDMA;
	if (virtio_has_feature(v->vdev, VIRTIO_NET_F_GUEST_CSUM))
		dev->features |= NETIF_F_RXCSUM;
	dev->vlan_features = dev->hw_features;
}

static void vnet_set_address(struct vnet *v)
{
	u8 mac[ETH_ALEN];

	if (!virtio_has_feature(v->vdev, VIRTIO_NET_F_MAC)) {
		eth_hw_addr_random(v->dev);
		return;
	}
	virtio_cread_bytes(v->vdev, offsetof(struct virtio_net_config, mac), mac, sizeof(mac));
	if (is_valid_ether_addr(mac))
		eth_hw_addr_set(v->dev, mac);
	else
		eth_hw_addr_random(v->dev);
}

static void vnet_set_mtu(struct vnet *v)
{
	struct net_device *dev = v->dev;
	u16 mtu = 0;

	dev->min_mtu = ETH_MIN_MTU;
	dev->max_mtu = VNET_BUF - VNET_HDR - ETH_HLEN - VLAN_HLEN;
	if (virtio_has_feature(v->vdev, VIRTIO_NET_F_MTU))
		virtio_cread(v->vdev, struct virtio_net_config, mtu, &mtu);
	if (mtu >= ETH_MIN_MTU)
		dev->mtu = dev->max_mtu = min_t(unsigned int, mtu, dev->max_mtu);
}

static int vnet_validate(struct virtio_device *vdev)
{
	/* Before version 1 the header has another size and the guest's byte order. */
	return virtio_has_feature(vdev, VIRTIO_F_VERSION_1) && vdev->config->get ? 0 : -ENODEV;
}

static int vnet_probe(struct virtio_device *vdev)
{
	struct net_device *dev = alloc_etherdev(sizeof(struct vnet));
	struct vnet *v;
	int err;

	if (!dev)
		return -ENOMEM;
	v = netdev_priv(dev);
	v->dev = dev;
	v->vdev = vdev;
	vdev->priv = v;
	spin_lock_init(&v->rx_lock);
	timer_setup(&v->timer, vnet_deadline, 0);
	INIT_WORK(&v->link, vnet_link_work);
	SET_NETDEV_DEV(dev, &vdev->dev);
	dev->netdev_ops = &vnet_netdev_ops;
	dev->ethtool_ops = &vnet_ethtool_ops;
	vnet_set_features(v);
	vnet_set_address(v);
	vnet_set_mtu(v);
	netif_napi_add(dev, &v->napi, vnet_napi);

	err = vnet_find_queues(v);
	if (err)
		goto free_dev;
	err = -ENOMEM;
	if (!vnet_alloc_buffers(v))
		goto drop_queues;
	virtio_device_ready(vdev);
	netif_carrier_off(dev);
	err = register_netdev(dev);
	if (err)
		goto drop_queues;
	vnet_show_link(v);
	return 0;

drop_queues:
	vnet_drop_queues(v);
	vnet_free_buffers(v);
free_dev:
	free_netdev(dev);
	return err;
}

static void vnet_remove(struct virtio_device *vdev)
{
	struct vnet *v = vdev->priv;

	rtnl_lock();
	unregister_netdevice(v->dev);		/* this stops the device */
	vnet_port_gone(v);
	rtnl_unlock();
	cancel_work_sync(&v->link);
	vnet_drop_queues(v);
	vnet_free_buffers(v);
	free_netdev(v->dev);
}

/* Called before the machine sleeps or its image is written. */
static int __maybe_unused vnet_freeze(struct virtio_device *vdev)
{
	struct vnet *v = vdev->priv;

	cancel_work_sync(&v->link);
	rtnl_lock();
	netif_device_detach(v->dev);
	if (netif_running(v->dev))
		vnet_close(v->dev);
	vnet_drop_queues(v);
	rtnl_unlock();
	return 0;
}

static int __maybe_unused vnet_restore(struct virtio_device *vdev)
{
	struct vnet *v = vdev->priv;
	int err;

	rtnl_lock();
	err = vnet_find_queues(v);
	if (!err) {
		virtio_device_ready(vdev);
		netif_device_attach(v->dev);
		if (netif_running(v->dev))
			err = vnet_open(v->dev);
	}
	rtnl_unlock();
	return err;
}

static const struct virtio_device_id vnet_ids[] = {
	{ VIRTIO_ID_NET, VIRTIO_DEV_ANY_ID },
	{ 0 },
};

static const unsigned int vnet_features[] = {
	VIRTIO_NET_F_MAC, VIRTIO_NET_F_STATUS, VIRTIO_NET_F_MTU,
	VIRTIO_NET_F_CSUM, VIRTIO_NET_F_HOST_TSO4, VIRTIO_NET_F_HOST_TSO6,
	VIRTIO_NET_F_GUEST_CSUM,
};

static struct virtio_driver vnet_driver = {
	.driver.name = "paste_vnet",
	.driver.owner = THIS_MODULE,
	.feature_table = vnet_features,
	.feature_table_size = ARRAY_SIZE(vnet_features),
	.id_table = vnet_ids,
	.validate = vnet_validate,
	.probe = vnet_probe,
	.remove = vnet_remove,
	.config_changed = vnet_config_changed,
#ifdef CONFIG_PM_SLEEP
	.freeze = vnet_freeze,
	.restore = vnet_restore,
#endif
};

/* A device that goes away, or to another network namespace, loses its ring: the ring's owner had
 * the right to see packets only in the namespace where it attached. */
static int vnet_goes(struct notifier_block *nb, unsigned long event, void *info)
{
	struct vnet *v = vnet_of(netdev_notifier_info_to_dev(info));

	if (event == NETDEV_UNREGISTER && v)
		vnet_port_gone(v);
	return NOTIFY_DONE;
}

static struct notifier_block vnet_notifier = { .notifier_call = vnet_goes };

int paste_vnet_init(void)
{
	int err;

	vnet_source_init();
	err = register_netdevice_notifier(&vnet_notifier);
	if (err)
		return err;
	err = register_virtio_driver(&vnet_driver);
	if (err)
		unregister_netdevice_notifier(&vnet_notifier);
	return err;
}

void paste_vnet_exit(void)
{
	unregister_virtio_driver(&vnet_driver);
	unregister_netdevice_notifier(&vnet_notifier);
}
