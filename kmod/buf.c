// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * buf.c - whose a buffer is.
 *
 *	         release                    take + name
 *	  USER  --------->  FREE  -------------------------------->  USER    a copy
 *	   |                | ^
 *	   |             get| |back            name
 *	   |                v |        inject
 *	   |               DEVICE  ----------------->  STACK  ---->  USER    no copy
 *	   |                                             |
 *	   |  release, and packets refer to it           | no socket took it
 *	   +------------->  LINGER  ------------------>  +---->  FREE        reap
 *
 * A packet's shadow, a clone that nobody but us sees, tells whether the stack is done
 * with it.  A retransmission queue, a capture or a reordering qdisc may keep a packet long
 * after the socket's reader has had the bytes, so it is asked twice: at the end of the
 * pass that named the buffer, where nearly every packet is gone, and the shadow goes too,
 * rather than stay as long as the process holds the buffer; else when the buffer would
 * become FREE.  Done is done: nobody can get at a packet that nobody has.  It is when
 * both is true:
 *
 *	skb_cloned(shadow) is false	no other clone (a capture's) shares the data
 *	fclone_ref is 1			the skb itself, the other half of the fclone, was
 *					freed; who rewrites a header (NAT, a TTL) gives it
 *					data of its own, with the same page fragment
 *
 * PASTE_UNTRACKED is for the test of this: built with it, the module corrupts data under
 * loss and reordering, and the test must say so.
 */
#include <linux/slab.h>

#include "core.h"

/* What a device may not take: with every buffer in its queue nothing could be copied. */
static u32 reserve(const struct paste_ring *r)
{
	return min(r->nbufs / 8, 64u);
}

static struct paste_buf *buf_of(const struct paste_ring *r, u32 buf)
{
	return &r->bufs[buf - r->first_buf];
}

static u32 number(const struct paste_ring *r, const struct paste_buf *b)
{
	return r->first_buf + (u32)(b - r->bufs);
}

static bool in_stack(const struct paste_buf *b)
{
#ifdef PASTE_UNTRACKED
	return false;
#else
	const struct sk_buff_fclones *f = container_of(b->shadow, struct sk_buff_fclones, skb2);

	return (b->shadow->fclone == SKB_FCLONE_CLONE && refcount_read(&f->fclone_ref) > 1) ||
	       skb_cloned(b->shadow);
#endif
}

static void make_free(struct paste_ring *r, struct paste_buf *b)
{
	b->state = BUF_FREE;
	list_add(&b->link, &r->free);	/* the last one is still in the cache: take it first */
	r->nfree++;
}

static struct paste_buf *take(struct paste_ring *r)
{
	struct paste_buf *b = list_first_entry(&r->free, struct paste_buf, link);

	list_del_init(&b->link);
	r->nfree--;
	return b;
}

int paste_bufs_init(struct paste_ring *r)
{
	r->bufs = kvcalloc(r->nbufs, sizeof(*r->bufs), GFP_KERNEL_ACCOUNT);
	if (!r->bufs)
		return -ENOMEM;
	for (u32 i = 0; i < r->nbufs; i++)
		INIT_LIST_HEAD(&r->bufs[i].link);
	return 0;
}

/* The source is gone.  Packets that are still under way hold their pages themselves. */
void paste_bufs_exit(struct paste_ring *r)
{
	for (u32 i = 0; r->bufs && i < r->nbufs; i++)
		consume_skb(r->bufs[i].shadow);
	kvfree(r->bufs);
	r->bufs = NULL;
}

u32 paste_buf_take(struct paste_ring *r)
{
	u32 buf = PASTE_NO_BUF;

	spin_lock_bh(&r->buf_lock);
	if (r->nfree) {
		struct paste_buf *b = take(r);

		b->state = BUF_DEVICE;	/* for a moment: not FREE, not the user's */
		buf = number(r, b);
	}
	spin_unlock_bh(&r->buf_lock);
	return buf;
}

void paste_buf_name(struct paste_ring *r, u32 buf, struct paste_conn *c)
{
	struct paste_buf *b = buf_of(r, buf);

	spin_lock_bh(&r->buf_lock);
	if (b->state == BUF_STACK) {
		list_move_tail(&b->link, &r->named);
		r->nstack--;
	}
	b->state = BUF_USER;
	b->conn = c->handle;
	b->gen = c->gen;
	r->nkernel--;
	spin_unlock_bh(&r->buf_lock);
	c->used++;
}

void paste_bufs_named(struct paste_ring *r)
{
	struct paste_buf *b, *next;

	list_for_each_entry_safe(b, next, &r->named, link) {
		list_del_init(&b->link);
		if (in_stack(b))
			continue;
		consume_skb(b->shadow);
		b->shadow = NULL;
	}
}

u32 paste_buf_injected(struct paste_ring *r, const void *data, u32 len, u32 *off)
{
	const struct paste_region *g = r->region;
	u32 at = offset_in_page(data), buf;
	long page;

	/* A packet in the kernel's own memory, or in another ring's share, is copied. */
	page = paste_region_find(g, virt_to_page(data));
	if (page < 0)
		return PASTE_NO_BUF;
	buf = (u32)(((u64)page * PAGE_SIZE + at) / g->buf_size);
	*off = at % g->buf_size;
	if (buf < r->first_buf || buf - r->first_buf >= r->nbufs || *off + len > g->buf_size)
		return PASTE_NO_BUF;
	/* The process may have sent its own region's page to itself: not injected. */
	return READ_ONCE(buf_of(r, buf)->state) == BUF_STACK ? buf : PASTE_NO_BUF;
}

bool paste_buf_release(struct paste_ring *r, u32 buf)
{
	struct paste_conn *c;
	struct paste_buf *b;

	if (buf < r->first_buf || buf - r->first_buf >= r->nbufs)
		return false;
	b = &r->bufs[array_index_nospec(buf - r->first_buf, r->nbufs)];
	if (b->state != BUF_USER)	/* into and out of USER: only under the mutex */
		return false;
	spin_lock_bh(&r->buf_lock);
	r->nkernel++;
	if (b->shadow && in_stack(b)) {
		b->state = BUF_LINGER;
		list_add_tail(&b->link, &r->stack);
		r->nstack++;
	} else {
		consume_skb(b->shadow);
		b->shadow = NULL;
		make_free(r, b);
	}
	spin_unlock_bh(&r->buf_lock);
	c = paste_conn_of(r, b->conn);
	if (b->gen && c && c->gen == b->gen) {
		b->gen = 0;
		if (c->used-- == c->quota)
			paste_conn_look(c);
	}
	return true;
}

void paste_bufs_reap(struct paste_ring *r, unsigned int max)
{
	struct paste_buf *b;

	spin_lock_bh(&r->buf_lock);
	if (max > r->nstack)
		max = r->nstack;
	while (max-- && (b = list_first_entry_or_null(&r->stack, struct paste_buf, link))) {
		if (in_stack(b)) {
			list_move_tail(&b->link, &r->stack);
			continue;
		}
		list_del_init(&b->link);
		r->nstack--;
		consume_skb(b->shadow);
		b->shadow = NULL;
		make_free(r, b);
	}
	spin_unlock_bh(&r->buf_lock);
}

/* ---- for a source ---- */

u32 paste_buf_bytes(const struct paste_ring *r)
{
	return r->region->buf_size;
}

u32 paste_buf_get(struct paste_ring *r)
{
	u32 buf = PASTE_NO_BUF;

	spin_lock_bh(&r->buf_lock);
	if (r->nfree > reserve(r)) {
		struct paste_buf *b = take(r);

		b->state = BUF_DEVICE;
		buf = number(r, b);
	}
	spin_unlock_bh(&r->buf_lock);
	return buf;
}

void paste_buf_back(struct paste_ring *r, u32 buf)
{
	spin_lock_bh(&r->buf_lock);
	if (!WARN_ON_ONCE(buf_of(r, buf)->state != BUF_DEVICE))
		make_free(r, buf_of(r, buf));
	spin_unlock_bh(&r->buf_lock);
}

struct page *paste_buf_page(const struct paste_ring *r, u32 buf, unsigned int *off)
{
	const struct paste_region *g = r->region;
	u64 at = (u64)buf * g->buf_size;

	*off = offset_in_page(at);
	return g->pages[at >> PAGE_SHIFT];
}

void paste_buf_inject(struct paste_ring *r, u32 buf, struct sk_buff *shadow)
{
	struct paste_buf *b = buf_of(r, buf);

	spin_lock_bh(&r->buf_lock);
	if (!WARN_ON_ONCE(b->state != BUF_DEVICE)) {
		b->state = BUF_STACK;
		b->shadow = shadow;
		list_add_tail(&b->link, &r->stack);
		r->nstack++;
		shadow = NULL;
	}
	spin_unlock_bh(&r->buf_lock);
	consume_skb(shadow);
}
