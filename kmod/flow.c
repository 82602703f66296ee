// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * flow.c - which sockets belong to a ring, and how many buffers one of them may hold.
 *
 * A page of the region may be put only into the receive queue of a socket that is attached
 * to the ring: a process that reads a socket with splice(2) takes the page out of its
 * packet, keeps it, and later finds in it what other clients send.  So a source asks about
 * each segment, with the socket that will get it.
 *
 * One client must not keep all buffers from the others.  Data in order is soon read, and
 * if it is not, TCP's window closes; but data out of order waits for as long as the client
 * likes.  Of the buffers that the kernel has (those that the process does not hold), a
 * connection may hold:
 *
 *	                 in order             out of order, or behind a hole
 *	held by all connections
 *	.. a quarter     as many as come      OUT_OF_ORDER
 *	.. a half        as many as come      none
 *	.. three fourth  a sixteenth          none
 *	more             none                 none
 *
 * and, together with those that events have named, never more than its quota.  A payload
 * that may not stay is copied, and its buffer goes back to the device: nothing is
 * refused, and nobody waits.  So the process needs no quota to keep one connection from
 * ending zero copy for the others.  Buffers that events have named are the process's own
 * business: it knows which it keeps, and for how long.
 *
 * THE NOTE says why a packet is a copy.  It is read, for the statistics, when the packet's
 * bytes are copied once more, into a buffer.  It stands at the very start of the packet's
 * memory, in room for headers that nobody will push.  The number of the device is in it,
 * because an earlier packet in the same memory may have left a note.
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

/* Buffers that still count against c show by its generation that it is gone. */
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
 * The socket is not locked: TCP may be working on it, or earlier segments of this batch have
 * not reached it yet, which is why next_seq is kept here as well.  So each segment of a
 * connection that comes from the device has to pass here, whether it stays in the buffer or
 * not.  A wrong answer costs a copy.
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
