// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * buf.c - who has a buffer.
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
 * The stack is done with a buffer when nobody but us refers to its tag, an empty skb on the
 * packet's frag_list.  A retransmission queue, a capture or a reordering qdisc may keep the
 * packet long after the socket's reader has had the bytes.  So may they a pskb_copy(), or a
 * clone whose header was rewritten: these have data of their own and the same page
 * fragment, and the first packet does not show that they exist.  But each refers to the
 * tag: code that gives fragments to one more skb gives it the list too, and no code moves
 * fragments between packets one of which has a list (TCP's coalescing, GRO).  Once the tag
 * is ours alone there is no such packet, nor can there be one again.
 *
 * The tag is looked at twice.  At the end of the pass that named the buffer nearly every
 * packet is gone, and its tag can be used for another one while the process still holds the
 * buffer; otherwise it is looked at when the buffer would become FREE.
 *
 * Two cases are not seen, and there the reader finds later bytes in the buffer: splice(2) has
 * taken a page out of its packet, which is why only a ring's own sockets get buffers
 * (flow.c); or the filter of a packet socket (not libpcap's mapped ring) has trimmed a packet,
 * which lost its list.
 *
 * PASTE_UNTRACKED is for a test: a module that was built with it corrupts data under loss
 * and reordering, and the test must find that.
 */
#include <linux/slab.h>

#include "core.h"

#define SOME 64u		/* buffers that are looked at under one lock */
#define IDLE_TAGS 512u		/* tags kept for later packets: a pass needs about so many */

/* Buffers that a device may not take: with all of them in its queue nothing could be copied. */
static u32 buf_reserve(const struct paste_ring *r)
{
	return min(r->nbufs / 8, 64u);
}

static struct paste_buf *buf_of(const struct paste_ring *r, u32 buf)
{
	return &r->bufs[buf - r->first_buf];
}

static u32 buf_number(const struct paste_ring *r, const struct paste_buf *b)
{
	return r->first_buf + (u32)(b - r->bufs);
}

static bool buf_in_stack(const struct paste_buf *b)
{
#ifdef PASTE_UNTRACKED
	return false;
#else
	if (refcount_read(&b->tag->users) > 1)
		return true;
	smp_acquire__after_ctrl_dep();	/* its last user has read it before it is written again */
	return false;
#endif
}

/* A tag is a clone of r->blank, and shares all but the sk_buff itself with it. */
static struct sk_buff *buf_get_tag(struct paste_ring *r)
{
	return __skb_dequeue(&r->tags) ?: skb_clone(r->blank, GFP_ATOMIC | __GFP_NOWARN);
}

static void buf_drop_tag(struct paste_ring *r, struct paste_buf *b)
{
	if (b->tag && !skb_shared(b->tag) && skb_queue_len(&r->tags) < IDLE_TAGS)
		__skb_queue_head(&r->tags, b->tag);
	else
		consume_skb(b->tag);
	b->tag = NULL;
}

/* The buffer has left STACK: it does not count against its connection's `held` any more. */
static void buf_let_go(struct paste_ring *r, struct paste_buf *b)
{
	struct paste_conn *c = paste_conn_of(r, b->conn);

	r->nheld--;
	if (c && c->gen == b->gen)
		c->held--;
	b->gen = 0;
}

static void buf_make_free(struct paste_ring *r, struct paste_buf *b)
{
	b->state = BUF_FREE;
	r->free[r->nfree++] = buf_number(r, b);
}

/* Takes the buffer that was freed last, which is still in the cache, if more than `leave` are free.
 * Its state is DEVICE even if it is to be copied into. */
static u32 buf_take(struct paste_ring *r, u32 leave)
{
	u32 buf;

	if (r->nfree <= leave)
		return PASTE_NO_BUF;
	buf = r->free[--r->nfree];
	buf_of(r, buf)->state = BUF_DEVICE;
	return buf;
}

int paste_bufs_init(struct paste_ring *r)
{
	r->bufs = kvcalloc(r->nbufs, sizeof(*r->bufs), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	r->free = kvmalloc_array(r->nbufs, sizeof(*r->free), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	r->blank = alloc_skb(0, GFP_KERNEL_ACCOUNT);
	if (!r->bufs || !r->free || !r->blank)
		return -ENOMEM;
	for (u32 i = 0; i < r->nbufs; i++)
		INIT_LIST_HEAD(&r->bufs[i].link);
	return 0;
}

/* The source is detached.  Packets that are still in the stack hold their pages themselves. */
void paste_bufs_exit(struct paste_ring *r)
{
	for (u32 i = 0; r->bufs && i < r->nbufs; i++)
		consume_skb(r->bufs[i].tag);
	__skb_queue_purge(&r->tags);
	consume_skb(r->blank);
	kvfree(r->free);
	kvfree(r->bufs);
	r->blank = NULL;
	r->free = NULL;
	r->bufs = NULL;
}

u32 paste_buf_take(struct paste_ring *r)
{
	u32 buf;

	spin_lock_bh(&r->buf_lock);
	buf = buf_take(r, 0);
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
		buf_let_go(r, b);
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
	struct paste_buf *b;
	unsigned int n;

	while (!list_empty(&r->named)) {	/* it changes only under the mutex, which we hold */
		spin_lock_bh(&r->buf_lock);
		for (n = 0; n < SOME && (b = list_first_entry_or_null(&r->named, struct paste_buf, link)); n++) {
			list_del_init(&b->link);
			if (!buf_in_stack(b))
				buf_drop_tag(r, b);
		}
		spin_unlock_bh(&r->buf_lock);
	}
}

u32 paste_buf_injected(struct paste_ring *r, const void *data, u32 len, u32 *off)
{
	const struct paste_region *g = r->region;
	u32 at = offset_in_page(data), buf;
	long page;

	/* Bytes in the kernel's own memory or in another ring's share are copied. */
	page = paste_region_find(g, virt_to_page(data));
	if (page < 0)
		return PASTE_NO_BUF;
	buf = (u32)(((u64)page * PAGE_SIZE + at) / g->buf_size);
	*off = at % g->buf_size;
	if (buf < r->first_buf || buf - r->first_buf >= r->nbufs || *off + len > g->buf_size)
		return PASTE_NO_BUF;
	/* The process may have sent a page of its region to itself: that was not injected. */
	return READ_ONCE(buf_of(r, buf)->state) == BUF_STACK ? buf : PASTE_NO_BUF;
}

bool paste_buf_release(struct paste_ring *r, u32 buf)
{
	struct paste_conn *c;
	struct paste_buf *b;

	if (buf < r->first_buf || buf - r->first_buf >= r->nbufs)
		return false;
	b = &r->bufs[array_index_nospec(buf - r->first_buf, r->nbufs)];
	if (b->state != BUF_USER)	/* a buffer enters and leaves USER only under the mutex */
		return false;
	r->nkernel++;
	if (b->tag && buf_in_stack(b)) {
		b->state = BUF_LINGER;
		list_add_tail(&b->link, &r->stack);
		r->nstack++;
	} else {
		buf_drop_tag(r, b);
		buf_make_free(r, b);
	}
	c = paste_conn_of(r, b->conn);
	if (b->gen && c && c->gen == b->gen) {
		b->gen = 0;
		if (c->used-- == c->quota)
			paste_conn_look(c);
	}
	return true;
}

static void buf_reap_some(struct paste_ring *r, unsigned int max)
{
	struct paste_buf *b;

	spin_lock_bh(&r->buf_lock);
	while (max-- && (b = list_first_entry_or_null(&r->stack, struct paste_buf, link))) {
		if (buf_in_stack(b)) {
			list_move_tail(&b->link, &r->stack);
			continue;
		}
		list_del_init(&b->link);
		r->nstack--;
		if (b->state == BUF_STACK)
			buf_let_go(r, b);
		buf_drop_tag(r, b);
		buf_make_free(r, b);
	}
	spin_unlock_bh(&r->buf_lock);
}

void paste_bufs_reap(struct paste_ring *r, unsigned int max)
{
	max = min(max, READ_ONCE(r->nstack));
	for (; max > SOME; max -= SOME)
		buf_reap_some(r, SOME);
	buf_reap_some(r, max);
}

/* ---- for a source ---- */

u32 paste_buf_bytes(const struct paste_ring *r)
{
	return r->region->buf_size;
}

u32 paste_buf_get(struct paste_ring *r)
{
	u32 buf;

	spin_lock_bh(&r->buf_lock);
	buf = buf_take(r, buf_reserve(r));
	spin_unlock_bh(&r->buf_lock);
	return buf;
}

/* Of eight parts the stack may hold four (flow.c), and one is the reserve. */
u32 paste_buf_share(const struct paste_ring *r)
{
	return READ_ONCE(r->nkernel) / 8 * 3;
}

void paste_buf_back(struct paste_ring *r, u32 buf)
{
	spin_lock_bh(&r->buf_lock);
	if (!WARN_ON_ONCE(buf_of(r, buf)->state != BUF_DEVICE))
		buf_make_free(r, buf_of(r, buf));
	spin_unlock_bh(&r->buf_lock);
}

struct page *paste_buf_page(const struct paste_ring *r, u32 buf, unsigned int *off)
{
	const struct paste_region *g = r->region;
	u64 at = (u64)buf * g->buf_size;

	*off = offset_in_page(at);
	return g->pages[at >> PAGE_SHIFT];
}

bool paste_buf_inject(struct paste_ring *r, u32 buf, struct sk_buff *skb, const struct paste_segment *s,
		      enum paste_copy *why)
{
	struct paste_buf *b = buf_of(r, buf);
	struct sk_buff *tag = NULL;
	struct paste_conn *c;

	*why = PASTE_COPY_MEMORY;
	spin_lock(&r->buf_lock);
	c = WARN_ON_ONCE(b->state != BUF_DEVICE) ? NULL : paste_flow_admit(r, s, why);
	if (c)
		tag = buf_get_tag(r);
	if (tag) {
		skb_shinfo(skb)->frag_list = skb_get(tag);
		b->tag = tag;
		b->state = BUF_STACK;
		b->conn = c->handle;
		b->gen = c->gen;
		c->held++;
		r->nheld++;
		list_add_tail(&b->link, &r->stack);
		r->nstack++;
	}
	spin_unlock(&r->buf_lock);
	return tag;
}
