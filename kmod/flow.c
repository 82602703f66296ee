// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * flow.c - which sockets are this ring's, and how many buffers one of them may hold.
 *
 * A page of the region may be put into the receive queue of a socket that is attached to
 * the ring, and of no other: who reads a socket with splice(2) takes the page out of its
 * packet, keeps it, and finds in it later what other clients send.  So a source asks for
 * each segment, with the socket that will get it.
 *
 * Nor may one client keep the buffers from all others.  What is in order is soon read, and
 * where it is not, TCP's window closes; what is out of order waits for as long as the
 * client likes.  A connection may hold, of the buffers that are the kernel's:
 *
 *	                 in order             out of order, or behind a hole
 *	held by all
 *	.. a quarter     as many as come      OUT_OF_ORDER
 *	.. a half        as many as come      none
 *	.. three fourth  a sixteenth          none
 *	more             none                 none
 *
 * and never more, with those that events have named, than its quota.  What may not stay is
 * copied out, and its buffer goes back to the device: nothing is refused, nobody waits.  So a
 * process needs no quota for that one connection does not end zero copy for the others; what
 * events have named is the process's, which knows what it keeps, and for how long.
 *
 * THE NOTE.  Why a packet is a copy is told to the statistics when its bytes are copied
 * once more, into a buffer.  It stands at the very start of the packet's memory, where
 * there is room for headers that nobody will push; with the number of the device, because
 * the memory may have been another packet's before.
 */
#include <linux/hash.h>
#include <linux/log2.h>
#include <linux/slab.h>
#include <net/tcp.h>

#include "core.h"

#define OUT_OF_ORDER	16u
#define SOCKS_BITS_MAX	14u

int paste_flows_init(struct paste_ring *r)
{
	r->socks_bits = clamp_t(u32, order_base_2(r->conns_max), 1, SOCKS_BITS_MAX);
	r->socks = kvcalloc(1u << r->socks_bits, sizeof(*r->socks), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	return r->socks ? 0 : -ENOMEM;
}

void paste_flows_exit(struct paste_ring *r)
{
	kvfree(r->socks);
	r->socks = NULL;
}

static struct hlist_head *flow_head_of(const struct paste_ring *r, const struct sock *sk)
{
	return &r->socks[hash_ptr((void *)sk, r->socks_bits)];
}

void paste_flow_add(struct paste_conn *c)
{
	struct paste_ring *r = c->ring;

	spin_lock_bh(&r->buf_lock);
	r->conns[c->handle] = c;
	hlist_add_head(&c->by_sock, flow_head_of(r, c->sock->sk));
	spin_unlock_bh(&r->buf_lock);
}

/* Buffers that still count against it find, by its generation, that it is gone. */
void paste_flow_del(struct paste_conn *c)
{
	struct paste_ring *r = c->ring;

	spin_lock_bh(&r->buf_lock);
	hlist_del(&c->by_sock);
	r->conns[c->handle] = NULL;
	spin_unlock_bh(&r->buf_lock);
}

static struct paste_conn *flow_find(const struct paste_ring *r, const struct sock *sk)
{
	struct paste_conn *c;

	hlist_for_each_entry(c, flow_head_of(r, sk), by_sock)
		if (c->sock->sk == sk)
			break;
	return c;
}

/*
 * The socket is not locked: TCP may be at work on it, or packets of this very batch wait in
 * front of this one, which are behind next_seq then.  So every segment of a connection that
 * comes from the device is shown to this, whether it stays in the buffer or not.  A wrong
 * answer costs a copy.
 */
static bool flow_in_order(struct paste_conn *c, const struct paste_segment *s)
{
	const struct tcp_sock *tp = tcp_sk(s->sk);
	bool old;

	if (c->listener)
		return true;
	old = !after(s->seq, READ_ONCE(tp->rcv_nxt));
	if (READ_ONCE(tp->out_of_order_queue.rb_node))
		return old;
	if (!old && s->seq != c->next_seq)
		return false;
	c->next_seq = s->seq + s->len;
	return true;
}

static bool flow_has_enough(struct paste_conn *c, bool in_order)
{
	const struct paste_ring *r = c->ring;
	u32 all = r->nheld, of = r->nkernel;

	if (c->quota && c->held + READ_ONCE(c->used) >= c->quota)
		return true;
	if (!in_order)
		return all >= of / 4 || c->held >= OUT_OF_ORDER;
	return all >= of / 2 && c->held >= of / 16;
}

struct paste_conn *paste_flow_admit(struct paste_ring *r, const struct paste_segment *s, enum paste_copy *why)
{
	struct paste_conn *c = flow_find(r, s->sk);
	bool in_order;

	if (!c) {
		*why = PASTE_COPY_UNATTACHED;
		return NULL;
	}
	in_order = flow_in_order(c, s);
	if (r->nheld >= r->nkernel - r->nkernel / 4)
		*why = PASTE_COPY_POOL;
	else if (flow_has_enough(c, in_order))
		*why = PASTE_COPY_FLOW;
	else
		return c;
	return NULL;
}

void paste_flow_copied(struct paste_ring *r, const struct paste_segment *s)
{
	struct paste_conn *c;

	spin_lock(&r->buf_lock);
	c = flow_find(r, s->sk);
	if (c)
		flow_in_order(c, s);
	spin_unlock(&r->buf_lock);
}

/* ---- the note ---- */

#define NOTE 0x70617374u

struct note {
	u32 magic;
	int ifindex;
	u32 why;
};

void paste_copy_note(struct sk_buff *skb, enum paste_copy why)
{
	if (skb_headroom(skb) >= sizeof(struct note))
		*(struct note *)skb->head = (struct note){ NOTE, skb->dev->ifindex, why };
}

enum paste_copy paste_copy_noted(const struct sk_buff *skb)
{
	const struct note *n = (const struct note *)skb->head;

	if (skb_headroom(skb) < sizeof(*n) || n->magic != NOTE || n->ifindex != skb->skb_iif || n->why >= PASTE_COPIES)
		return PASTE_COPY_OTHER;
	return n->why;
}
