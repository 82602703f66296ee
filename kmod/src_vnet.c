// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * src_vnet.c - the source "vnet": a ring's buffers stand in the receive queue of a device of
 * vnet_dev.c, and the ring's own thread injects frames into the stack.  See vnet.h.
 *
 * The device writes a frame into a region buffer, and the payload of a TCP segment for a
 * socket of the ring (vnet_sock.c, flow.c) is never moved again.  The process may write
 * into the same page at any moment, so the headers are copied out once, and only the copy is
 * looked at and given to the stack.  Any other frame is copied whole, and its buffer goes
 * back to the device.  So is a small one: that costs less than tracking a buffer, and a
 * client that sends tiny segments holds no buffers with them.
 *
 * When the ring has no free buffer the queue gets plain buffers of the driver.  Their
 * payload is copied by the core as soon as there is a buffer for it, while acknowledgements,
 * ARP and other connections go on.  Region buffers are preferred again as soon as there
 * are any.
 */
#include <linux/etherdevice.h>
#include <linux/nsproxy.h>
#include <linux/rtnetlink.h>
#include <linux/sched.h>
#include <linux/slab.h>
#include <net/net_namespace.h>

#include "compat.h"
#include "vnet.h"
#include "vnet_parse.h"

#define BATCH 64u

static struct mem_cgroup *nobodys;	/* the memory group for what is nobody's: the root */

void vnet_source_init(void)
{
	nobodys = paste_root_group();
}

/* ---- the port ---- */

static void vnet_port_put(struct vnet_port *port)
{
	ASSERT_RTNL();
	if (--port->users)
		return;
	mutex_destroy(&port->gate);
	kfree(port->stash);
	kfree(port);
}

static struct vnet_port *vnet_port_new(struct vnet *v, struct paste_ring *r)
{
	struct vnet_port *port = kzalloc(sizeof(*port), GFP_KERNEL);

	if (!port)
		return NULL;
	/* Room for all buffers that the queue holds, and for one that could not be posted. */
	port->stash = kcalloc(virtqueue_get_vring_size(v->rx) + 1, sizeof(u32), GFP_KERNEL);
	if (!port->stash) {
		kfree(port);
		return NULL;
	}
	mutex_init(&port->gate);
	port->v = v;
	port->ring = r;
	port->seen = v->n;
	port->users = 2;
	port->fresh = true;
	return port;
}

void vnet_port_stash(struct vnet_port *port, u32 buf)
{
	port->stash[port->nstash++] = buf;
}

static void vnet_port_unstash(struct vnet_port *port)
{
	while (port->nstash)
		paste_buf_back(port->ring, port->stash[--port->nstash]);
}

/* The device is being removed.  It is stopped, and rtnl is held. */
void vnet_port_gone(struct vnet *v)
{
	struct vnet_port *port = v->port;

	if (!port)
		return;
	mutex_lock(&port->gate);
	port->v = NULL;
	mutex_unlock(&port->gate);
	v->port = NULL;
	vnet_port_put(port);
}

/* ---- receiving ---- */

/* An empty skb with room for a frame's headers.  The room is cut from a page, as NAPI does it,
 * which takes half the instructions of the slab.  In softirq, or with bottom halves off. */
static struct sk_buff *vnet_head_skb(unsigned int head)
{
	/* It is as small as possible: a copy (pskb_expand_head()) gets the slab's next size, and
	 * the room which that leaves behind the headers would be used for a payload. */
	unsigned int size = SKB_DATA_ALIGN(NET_SKB_PAD + NET_IP_ALIGN + head) +
			    SKB_DATA_ALIGN(sizeof(struct skb_shared_info));
	void *data = napi_alloc_frag(size);
	struct sk_buff *skb;

	if (!data)
		return NULL;
	skb = napi_build_skb(data, size);
	if (!skb)
		skb_free_frag(data);
	return skb;
}

/* An skb whose payload is in the region page itself.  NULL: the frame must be copied, for the
 * reason *why, and nothing was changed. */
static struct sk_buff *vnet_zero_copy(struct vnet *v, u32 buf, unsigned int len, enum paste_copy *why)
{
	struct paste_ring *r = v->port->ring;
	unsigned int frame = len - VNET_HDR, off, head, end;
	struct page *page = paste_buf_page(r, buf, &off);
	const u8 *data = page_address(page) + off;
	struct virtio_net_hdr_v1 hdr;
	struct paste_segment s;
	struct sk_buff *skb;
	struct sock *sk;
	u8 h[VNET_HEAD];

	memcpy(&hdr, data, sizeof(hdr));
	memcpy(h, data + VNET_HDR, min_t(unsigned int, frame, sizeof(h)));
	head = vnet_tcp_payload(h, min_t(unsigned int, frame, sizeof(h)), frame, &end);
	*why = PASTE_COPY_HEADERS;
	if (!head)
		return NULL;
	*why = PASTE_COPY_SMALL;
	if (end - head < PASTE_SMALL)
		return NULL;
	*why = PASTE_COPY_MEMORY;
	skb = vnet_head_skb(head);
	if (!skb)
		return NULL;
	/* There must be no room behind the headers, to which TCP would copy a short payload
	 * (skb_condense()).  The IP header is at a multiple of four all the same. */
	skb_reserve(skb, skb_tailroom(skb) - head);
	skb_put_data(skb, h, head);
	get_page(page);
	skb_fill_page_desc_noacc(skb, 0, page, off + VNET_HDR + head, end - head);
	skb->len += end - head;
	skb->data_len = end - head;
	skb->truesize += paste_buf_bytes(r);	/* the rest of the buffer is of no other use */
	*why = PASTE_COPY_HEADERS;
	if (!vnet_judge(v, skb, &hdr))
		goto copy;
	*why = PASTE_COPY_UNATTACHED;
	sk = vnet_sock_find(v, skb, h, &s);
	if (!sk)
		goto copy;
	s.len = end - head;
	if (paste_buf_inject(r, buf, skb, &s, why)) {
		vnet_sock_hand_on(skb, sk);
		return skb;
	}
	sock_gen_put(sk);
copy:
	kfree_skb(skb);
	return NULL;
}

/*
 * Tells the connection of an skb that was copied because it is small or came in a plain
 * buffer; otherwise the next segment in a region buffer would seem to be behind a hole.  The
 * socket had to be looked up for that, so it is handed on to the stack.
 */
static void vnet_copied(struct vnet *v, struct sk_buff *skb)
{
	const u8 *h = skb_mac_header(skb);
	unsigned int frame = skb->len + ETH_HLEN, head, end;
	struct paste_segment s;
	struct sock *sk;

	head = vnet_tcp_payload(h, frame, frame, &end);
	sk = head ? vnet_sock_find(v, skb, h, &s) : NULL;
	if (!sk)
		return;
	s.len = end - head;
	paste_flow_copied(v->port->ring, &s);
	vnet_sock_hand_on(skb, sk);
}

static void vnet_count_frame(struct vnet *v, const void *token, unsigned int len)
{
	if (v->mode == VNET_SOFT) {
		v->n.fallback++;
		return;
	}
	v->n.packets++;
	v->n.bytes += len - VNET_HDR;
	v->n.region += vnet_is_region(token);
}

/* Takes one frame.  Returns its token if the device may have that back, else NULL. */
static void *vnet_receive(struct vnet *v, void *token, unsigned int len, struct list_head *list)
{
	enum paste_copy why = PASTE_COPY_SPARE;
	struct sk_buff *skb = NULL;

	if (vnet_is_region(token))
		v->nregion--;
	if (!vnet_length_ok(v, token, len))
		return token;
	vnet_count_frame(v, token, len);
	if (vnet_is_region(token))
		skb = vnet_zero_copy(v, vnet_buf(token), len, &why);
	if (skb)
		token = NULL;
	else
		skb = vnet_copy(v, token, len, why);
	if (!skb)
		return token;
	if (v->port && (why == PASTE_COPY_SMALL || why == PASTE_COPY_SPARE))
		vnet_copied(v, skb);
	v->dev->stats.rx_packets++;
	v->dev->stats.rx_bytes += len - VNET_HDR;
	list_add_tail(&skb->list, list);
	return token;
}

/* Takes up to BATCH frames, makes skbs of them and returns their number.  For the owner of the
 * queue, with bottom halves off. */
unsigned int vnet_take(struct vnet *v, unsigned int budget, struct list_head *list)
{
	void *back[BATCH], *token;
	unsigned int n = 0, nback = 0, len;

	rcu_read_lock();
	while (n < min(budget, BATCH) && (token = virtqueue_get_buf(v->rx, &len))) {
		token = vnet_receive(v, token, len, list);
		if (token)
			back[nback++] = token;
		n++;
	}
	rcu_read_unlock();
	/* Region buffers are posted at once, plain ones by vnet_fill() if it needs any. */
	while (nback) {
		token = back[--nback];
		if (vnet_is_region(token))
			vnet_post(v, token);
		else
			v->spare[v->nspare++] = token;
	}
	return n;
}

/* ---- the source's operations ---- */

/* Returns the device with its gate locked, until vnet_leave(); NULL: it is gone or not up. */
static struct vnet *vnet_enter(struct paste_ring *r)
{
	struct vnet_port *port = paste_source_data(r);

	mutex_lock(&port->gate);
	if (port->v && port->v->up)
		return port->v;
	vnet_port_unstash(port);
	mutex_unlock(&port->gate);
	return NULL;
}

static void vnet_leave(struct vnet *v)
{
	mutex_unlock(&v->port->gate);
}

/* Makes the caller the owner of the receive queue, whoever was it before. */
static void vnet_own(struct vnet *v)
{
	v->hold = current;
	if (v->mode == VNET_SYNC)
		return;
	spin_lock_bh(&v->rx_lock);
	v->mode = VNET_SYNC;
	v->woken = false;
	virtqueue_disable_cb(v->rx);
	spin_unlock_bh(&v->rx_lock);
	/* Frames that NAPI has taken must reach TCP first, or it would see a hole.  NAPI runs on
	 * another CPU and takes no more frames, so this does not last long. */
	while (smp_load_acquire(&v->delivering)) {
		cond_resched();
		cpu_relax();
	}
}

/* From here on nobody owns the receive queue; the timer checks that the thread comes back. */
static void vnet_leave_awake(struct vnet *v)
{
	spin_lock_bh(&v->rx_lock);
	v->mode = VNET_AWAKE;
	v->last = jiffies;
	spin_unlock_bh(&v->rx_lock);
	if (!timer_pending(&v->timer))
		mod_timer(&v->timer, v->last + VNET_DEADLINE);
}

static void vnet_begin(struct paste_ring *r)
{
	struct vnet *v = vnet_enter(r);

	if (!v)
		return;
	vnet_own(v);
	vnet_port_unstash(v->port);
	vnet_leave(v);
}

/*
 * Called until the ring has its first free buffers.  If the deadline came before them the queue
 * is full of plain ones: then the device is restarted, or hundreds of frames would be copied.
 */
static void vnet_first_buffers(struct paste_ring *r, struct vnet_port *port)
{
	u32 buf = paste_buf_get(r);
	struct vnet *v;

	if (buf == PASTE_NO_BUF)
		return;
	paste_buf_back(r, buf);
	port->fresh = false;
	rtnl_lock();
	v = vnet_enter(r);
	if (v) {
		if (vnet_has_plain_posted(v)) {
			vnet_stop(v);
			vnet_start(v);
		}
		mutex_unlock(&port->gate);
	}
	rtnl_unlock();
}

static void vnet_refill(struct paste_ring *r)
{
	struct vnet_port *port = paste_source_data(r);
	struct vnet *v;

	if (port->fresh)
		vnet_first_buffers(r, port);
	v = vnet_enter(r);
	if (!v)
		return;
	vnet_own(v);
	vnet_fill(v);
	vnet_ring_rx(v);
	vnet_leave(v);
}

/*
 * The stack charges what it allocates, sockets of new connections above all, to the memory
 * group of the running task, and in softirq to none.  Here that task is the ring's thread, but
 * the packets may be for another server.  So nothing is charged here either.  The process that
 * accepts a connection is charged with the data queued on it, and with its file.
 */
static unsigned int vnet_poll(struct paste_ring *r, unsigned int budget)
{
	struct vnet *v = vnet_enter(r);
	unsigned int all = 0, n;
	struct mem_cgroup *group;

	if (!v)
		return 0;
	group = set_active_memcg(nobodys);
	vnet_own(v);
	do {
		LIST_HEAD(list);

		local_bh_disable();
		n = vnet_take(v, budget - all, &list);
		netif_receive_skb_list(&list);
		local_bh_enable();
		all += n;
		if (n)
			vnet_fill(v);
	} while (n == BATCH && all < budget);
	if (all)
		vnet_ring_rx(v);
	set_active_memcg(group);
	vnet_leave(v);
	return all;
}

static void vnet_flush(struct paste_ring *r)
{
	struct vnet *v = vnet_enter(r);

	if (!v)
		return;
	vnet_flush_tx(v);
	vnet_leave(v);
}

static void vnet_count(struct vnet *v, struct paste_stats *s)
{
	struct vnet_counts *seen = &v->port->seen, now = v->n;

	s->src_packets += now.packets - seen->packets;
	s->src_bytes += now.bytes - seen->bytes;
	s->src_region += now.region - seen->region;
	s->irqs += now.irqs - seen->irqs;
	s->doorbells_tx += now.doorbells_tx - seen->doorbells_tx;
	s->doorbells_rx += now.doorbells_rx - seen->doorbells_rx;
	s->src_fallback += now.fallback - seen->fallback;
	*seen = now;
}

static void vnet_end(struct paste_ring *r)
{
	struct vnet *v = vnet_enter(r);

	if (!v)
		return;
	if (v->hold || v->unrung)	/* reading may have sent window updates */
		vnet_flush_tx(v);
	vnet_leave_awake(v);
	vnet_count(v, paste_ring_stats(r));
	vnet_leave(v);
}

/* The task's state is not TASK_RUNNING any more, so nothing here may sleep. */
static bool vnet_arm(struct paste_ring *r)
{
	struct vnet_port *port = paste_source_data(r);
	struct vnet *v;
	bool more;

	if (!mutex_trylock(&port->gate))
		return true;		/* the device is being stopped or started: look again */
	v = port->v && port->v->up ? port->v : NULL;
	if (!v) {
		mutex_unlock(&port->gate);
		return false;
	}
	if (v->hold || v->unrung)
		vnet_flush_tx(v);
	spin_lock_bh(&v->rx_lock);
	v->woken = false;
	v->mode = VNET_ARMED;		/* set before an interrupt can come */
	more = !virtqueue_enable_cb(v->rx);
	if (more) {
		virtqueue_disable_cb(v->rx);
		v->mode = VNET_SYNC;
	}
	spin_unlock_bh(&v->rx_lock);
	vnet_leave(v);
	return more;
}

/* Attaches the ring to the device, under rtnl.  The device is reset, so that its queue holds only
 * buffers of the ring. */
static int vnet_join(struct vnet *v, struct paste_ring *r)
{
	struct vnet_port *port;
	bool up;

	if (!ns_capable(dev_net(v->dev)->user_ns, CAP_NET_ADMIN))
		return -EPERM;
	if (v->port)
		return -EBUSY;
	if (!v->rx)
		return -EIO;
	port = vnet_port_new(v, r);
	if (!port)
		return -ENOMEM;
	up = v->up;
	if (up)
		vnet_stop(v);
	v->port = port;
	paste_source_set_data(r, port);
	if (!up || !vnet_start(v))
		return 0;
	v->port = NULL;
	kfree(port->stash);
	kfree(port);
	return -EIO;
}

static int vnet_attach(struct paste_ring *r, u32 ifindex)
{
	struct net_device *dev;
	struct vnet *v;
	int err = -ENODEV;

	rtnl_lock();
	dev = __dev_get_by_index(current->nsproxy->net_ns, ifindex);
	v = dev ? vnet_of(dev) : NULL;
	if (v)
		err = vnet_join(v, r);
	rtnl_unlock();
	return err;
}

static void vnet_detach(struct paste_ring *r)
{
	struct vnet_port *port = paste_source_data(r);
	struct vnet *v;

	rtnl_lock();
	mutex_lock(&port->gate);
	v = port->v;
	if (v) {
		bool up = v->up;

		if (up)
			vnet_stop(v);
		vnet_count(v, paste_ring_stats(r));
		v->port = NULL;
		port->v = NULL;
		if (up && vnet_start(v))
			netdev_err(v->dev, "not usable any more; unbind and bind it\n");
		port->users--;
	}
	vnet_port_unstash(port);
	mutex_unlock(&port->gate);
	vnet_port_put(port);
	rtnl_unlock();
	paste_source_set_data(r, NULL);
}

const struct paste_source_ops paste_src_vnet = {
	.name = "vnet",
	.attach = vnet_attach,
	.detach = vnet_detach,
	.begin = vnet_begin,
	.poll = vnet_poll,
	.refill = vnet_refill,
	.flush = vnet_flush,
	.end = vnet_end,
	.arm = vnet_arm,
};
