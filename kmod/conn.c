// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * conn.c - handles, and the hook on a socket's wait queue.
 *
 * The hook is a wait queue entry of our own, added through the file's poll method as
 * epoll does it: no callback of the socket is replaced, the children of a listener inherit
 * nothing, and after remove_wait_queue() nothing refers to us.  The queue is in the
 * socket's inode, which our reference to the file keeps, so that it cannot go away before
 * the entry does (POLLFREE is for queues that can).
 *
 * The callback runs in interrupts and under the queue's lock, so it only puts the
 * connection on the ready list and wakes SYNC.  SYNC looks at the socket to find out what
 * has happened, so that a superfluous wake-up does no harm.
 */
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <net/tcp_states.h>

#include "core.h"

#define NEWS_IN		(EPOLLIN | EPOLLPRI | EPOLLRDNORM | EPOLLRDBAND)
#define NEWS_OUT	(EPOLLOUT | EPOLLWRNORM | EPOLLWRBAND)

static struct kmem_cache *conn_cache;

int paste_conns_init(void)
{
	conn_cache = kmem_cache_create("paste_conn", sizeof(struct paste_conn), 0,
				       SLAB_HWCACHE_ALIGN | SLAB_ACCOUNT, NULL);
	return conn_cache ? 0 : -ENOMEM;
}

void paste_conns_exit(void)
{
	kmem_cache_destroy(conn_cache);
}

/* ---- ready or not ---- */

static void conn_make_ready(struct paste_conn *c)
{
	struct paste_ring *r = c->ring;
	bool first;

	if (c->place == ON_READY)
		return;
	first = list_empty(&r->ready);
	c->place = ON_READY;
	list_move_tail(&c->link, &r->ready);
	if (first)
		wake_up_poll(&r->wait, EPOLLIN | EPOLLRDNORM);
}

static int conn_woken(wait_queue_entry_t *wait, unsigned int mode, int flags, void *key)
{
	struct paste_conn *c = container_of(wait, struct paste_conn, wait);
	__poll_t mask = key_to_poll(key);	/* 0: the socket's state has changed */
	unsigned long irq;

	if (mask && !(mask & ~NEWS_OUT) && !READ_ONCE(c->want_write))
		return 0;
	spin_lock_irqsave(&c->ring->lock, irq);
	if (!mask || (mask & ~NEWS_IN) || !c->deaf)
		conn_make_ready(c);
	spin_unlock_irqrestore(&c->ring->lock, irq);
	return 0;
}

void paste_conn_look(struct paste_conn *c)
{
	spin_lock_irq(&c->ring->lock);
	c->deaf = false;
	conn_make_ready(c);
	spin_unlock_irq(&c->ring->lock);
}

/* Ignores wake-ups for data, which cannot be taken now, until paste_conn_look(); with stall until
 * there are buffers. */
static void conn_set_deaf(struct paste_conn *c, bool stall)
{
	struct paste_ring *r = c->ring;

	spin_lock_irq(&r->lock);
	c->deaf = true;
	/* If it is on the ready list again, perhaps because it can write, it is served once more
	 * and stalled after that. */
	if (stall && c->place == NOWHERE) {
		list_move_tail(&c->link, &r->stalled);
		c->place = ON_STALLED;
	}
	spin_unlock_irq(&r->lock);
}

/* ---- attach and detach ---- */

struct hook {
	poll_table pt;
	struct paste_conn *c;
	bool twice;
};

static void conn_add_hook(struct file *file, wait_queue_head_t *head, poll_table *pt)
{
	struct hook *h = container_of(pt, struct hook, pt);

	if (h->c->head) {
		h->twice = true;
		return;
	}
	h->c->head = head;
	add_wait_queue(head, &h->c->wait);
}

static void conn_unhook(struct paste_conn *c)
{
	struct paste_ring *r = c->ring;

	if (c->head)
		remove_wait_queue(c->head, &c->wait);
	spin_lock_irq(&r->lock);
	list_del_init(&c->link);
	spin_unlock_irq(&r->lock);
}

static int conn_hook(struct paste_conn *c)
{
	struct hook h = { .c = c };

	init_waitqueue_func_entry(&c->wait, conn_woken);
	init_poll_funcptr(&h.pt, conn_add_hook);
	vfs_poll(c->file, &h.pt);
	if (c->head && !h.twice)
		return 0;
	conn_unhook(c);
	return -EOPNOTSUPP;
}

static int conn_suits(const struct socket *sock, bool listener)
{
	const struct sock *sk = sock->sk;

	/* Other sockets may have several wait queues, or one that goes away before the file. */
	if (sock->type != SOCK_STREAM || !sk ||
	    (sk->sk_family != AF_INET && sk->sk_family != AF_INET6 && sk->sk_family != AF_UNIX))
		return -ESOCKTNOSUPPORT;
	return (sk->sk_state == TCP_LISTEN) == listener ? 0 : -EINVAL;
}

int paste_conn_attach(struct paste_ring *r, u32 handle, int fd, u32 quota, bool listener)
{
	struct paste_conn *c;
	struct socket *sock;
	struct file *file;
	int err;

	if (handle >= r->conns_max)
		return -EINVAL;
	if (r->conns[handle])
		return -EEXIST;
	file = fget(fd);
	if (!file)
		return -EBADF;
	sock = sock_from_file(file);
	err = sock ? conn_suits(sock, listener) : -ENOTSOCK;
	if (!err && !listener)
		err = paste_may_read(sock);
	if (err)
		goto put;
	err = -ENOMEM;
	c = kmem_cache_zalloc(conn_cache, GFP_KERNEL);
	if (!c)
		goto put;
	c->ring = r;
	c->file = file;
	c->sock = sock;
	c->handle = handle;
	/* Generation 0 is for buffers that count against no connection. */
	c->gen = ++r->last_gen ?: ++r->last_gen;
	c->quota = quota;
	c->listener = listener;
	INIT_LIST_HEAD(&c->link);
	err = conn_hook(c);
	if (err)
		goto free;
	paste_flow_add(c);
	r->stats.connections++;
	/* For what came before there was a hook, the callback was not called. */
	paste_conn_look(c);
	return 0;
free:
	kmem_cache_free(conn_cache, c);
put:
	fput(file);
	return err;
}

void paste_conn_detach(struct paste_conn *c)
{
	struct paste_ring *r = c->ring;

	conn_unhook(c);
	paste_flow_del(c);
	r->stats.connections--;
	fput(c->file);
	kmem_cache_free(conn_cache, c);
}

void paste_conns_detach_all(struct paste_ring *r)
{
	for (u32 i = 0; r->conns && i < r->conns_max; i++) {
		if (r->conns[i])
			paste_conn_detach(r->conns[i]);
		if (!(i % 4096))
			cond_resched();
	}
}

/* ---- in SYNC ---- */

static void conn_serve_listener(struct paste_conn *c)
{
	if (!(vfs_poll(c->file, NULL) & EPOLLIN))
		return;
	paste_event_res(c->ring, c->handle, PASTE_EV_ACCEPT, 0);
}

static void conn_end(struct paste_conn *c, u16 kind, s32 res)
{
	if (!paste_event_room(c->ring)) {
		paste_conn_look(c);
		return;
	}
	c->ended = true;
	conn_set_deaf(c, false);
	paste_event_res(c->ring, c->handle, kind, res);
}

static void conn_serve_data(struct paste_conn *c)
{
	int err = 0;

	switch (paste_read(c, &err)) {
	case READ_DRY:
		break;
	case READ_NO_BUFFER:
		conn_set_deaf(c, true);
		break;
	case READ_NO_ROOM:
		paste_conn_look(c);	/* it stays ready; with a full ring SYNC does not sleep */
		break;
	case READ_OVER_QUOTA:
		conn_set_deaf(c, false);
		break;
	case READ_EOF:
		conn_end(c, PASTE_EV_EOF, 0);
		break;
	case READ_FAILED:
		conn_end(c, PASTE_EV_ERR, err);
		break;
	}
}

static void conn_serve_writable(struct paste_conn *c)
{
	if (!(vfs_poll(c->file, NULL) & EPOLLOUT))
		return;
	WRITE_ONCE(c->want_write, false);
	paste_event_res(c->ring, c->handle, PASTE_EV_WRITABLE, 0);
}

void paste_conn_serve(struct paste_conn *c)
{
	if (c->want_write)
		conn_serve_writable(c);
	if (c->paused || c->ended)
		conn_set_deaf(c, false);
	else if (!paste_event_room(c->ring))
		paste_conn_look(c);
	else if (c->listener)
		conn_serve_listener(c);
	else
		conn_serve_data(c);
}
