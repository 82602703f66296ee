// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * read.c - moves what is queued on a socket into buffers and events.
 *
 * TCP's queue is walked by its own tcp_read_sock(): TCP knows which bytes are next, what a
 * retransmission overlaps, when a window update is due and when the FIN is reached.  The
 * walker takes payload in one of two ways, block by block:
 *
 *	a block in a buffer that this ring's source injected	the event names the buffer
 *	anything else						copied; one buffer takes as many
 *								blocks as fit
 *
 * It takes fewer bytes than it is offered when there is no buffer, no room for the event
 * or no quota left: the rest stays queued, and TCP advertises a smaller window.
 *
 * Other streams (AF_UNIX, TCP with a protocol on top) and TCP with urgent data are read
 * with their own recvmsg into a buffer.
 *
 * recvmsg asks the security module each time.  The walk does not, so the module is asked
 * once, when the socket is attached.
 */
#include <linux/skbuff.h>
#include <linux/tcp.h>
#include <net/tcp.h>

#include "core.h"

struct walk {
	struct paste_ring *r;
	struct paste_conn *c;
	const struct sk_buff *skb;
	u32 buf, fill;		/* the buffer that is being copied into, or PASTE_NO_BUF */
	u16 first;		/* why the first bytes in it were copied */
	u8 *at;
	enum paste_read why;	/* why the walk stopped; READ_DRY: it did not */
};

static void read_give_data(struct paste_conn *c, u32 buf, u32 off, u32 len, u16 flags)
{
	struct paste_ring *r = c->ring;

	paste_buf_name(r, buf, c);
	paste_event_push(r, &(struct paste_event){
		.conn = c->handle, .buf = buf, .off = off, .len = len, .kind = PASTE_EV_DATA, .flags = flags });
	r->stats.data_events++;
	r->stats.bytes += len;
	if (flags & PASTE_F_COPIED)
		r->stats.copied_bytes += len;
	else
		r->stats.zero_copy_bytes += len;
}

/* Whether the connection may get another buffer. */
static bool read_may_take(struct walk *w)
{
	struct paste_stats *s = &w->r->stats;

	if (w->c->quota && w->c->used >= w->c->quota) {
		w->why = READ_OVER_QUOTA;
		s->over_quota++;
	} else if (!paste_event_room(w->r)) {
		w->why = READ_NO_ROOM;
		s->ring_full++;
	}
	return w->why == READ_DRY;
}

static bool read_open_copy(struct walk *w)
{
	if (!read_may_take(w))
		return false;
	w->buf = paste_buf_take(w->r);
	if (w->buf == PASTE_NO_BUF && w->r->nstack) {
		paste_bufs_reap(w->r, REAP_MANY);
		w->buf = paste_buf_take(w->r);
	}
	if (w->buf == PASTE_NO_BUF) {
		w->why = READ_NO_BUFFER;
		w->r->stats.no_buffer++;
		return false;
	}
	w->at = paste_buf_bytes_at(w->r, w->buf);
	w->fill = 0;
	return true;
}

static void read_close_copy(struct walk *w)
{
	if (w->buf == PASTE_NO_BUF)
		return;
	if (w->fill)
		read_give_data(w->c, w->buf, 0, w->fill, PASTE_F_COPIED | w->first << 8);
	else
		paste_buf_back(w->r, w->buf);
	w->buf = PASTE_NO_BUF;
}

static u32 read_copy_block(struct walk *w, const u8 *data, u32 len)
{
	const enum paste_copy by = w->r->source ? paste_copy_noted(w->skb) : PASTE_COPY_OTHER;
	const u32 size = paste_buf_bytes(w->r);
	u32 done = 0;

	while (done < len) {
		u32 n;

		if (w->buf != PASTE_NO_BUF && w->fill == size)
			read_close_copy(w);
		if (w->buf == PASTE_NO_BUF && !read_open_copy(w))
			break;
		n = min(len - done, size - w->fill);
		memcpy(w->at + w->fill, data + done, n);
		if (!w->fill)
			w->first = by;
		w->r->stats.copied_by[by] += n;
		w->fill += n;
		done += n;
	}
	return done;
}

static u32 read_take_block(struct walk *w, const u8 *data, u32 len)
{
	u32 buf = PASTE_NO_BUF, off;

	if (w->r->source)
		buf = paste_buf_injected(w->r, data, len, &off);
	if (buf == PASTE_NO_BUF)
		return read_copy_block(w, data, len);
	read_close_copy(w);		/* the bytes copied so far come first */
	if (!read_may_take(w))
		return 0;
	read_give_data(w->c, buf, off, len, 0);
	return len;
}

/* Called by tcp_read_sock(): takes bytes [offset, offset + len) of a packet of any shape. */
static int read_walk_packet(read_descriptor_t *desc, struct sk_buff *skb, unsigned int offset, size_t len)
{
	struct walk *w = desc->arg.data;
	struct skb_seq_state st;
	u32 done = 0, n, took;
	const u8 *data;

	w->skb = skb;
	skb_prepare_seq_read(skb, offset, offset + len, &st);
	while (done < len) {
		n = skb_seq_read(done, &data, &st);
		if (!n)
			break;
		n = min_t(u32, n, len - done);
		took = read_take_block(w, data, n);
		done += took;
		if (took < n)
			break;
	}
	skb_abort_seq_read(&st);
	return done;
}

/* Nothing is left to read now: finds out whether more can come. */
static enum paste_read read_tcp_end(struct walk *w, struct sock *sk, int *err)
{
	bool left = !skb_queue_empty(&sk->sk_receive_queue);

	if (!left && !READ_ONCE(sk->sk_err) && !(sk->sk_shutdown & RCV_SHUTDOWN) && sk->sk_state != TCP_CLOSE)
		return READ_DRY;
	/* sock_error() clears the error, so it is not read before there is room for its event. */
	if (!paste_event_room(w->r))
		return READ_NO_ROOM;
	*err = left ? -EIO :	/* payload that only its device can read */
		sock_error(sk);
	if (*err)
		return READ_FAILED;
	if (sk->sk_shutdown & RCV_SHUTDOWN)
		return READ_EOF;
	*err = -ENOTCONN;
	return READ_FAILED;
}

static enum paste_read read_tcp(struct walk *w, int *err)
{
	struct sock *sk = w->c->sock->sk;
	read_descriptor_t desc = { .arg.data = w, .count = 1 };
	int rc;

	rc = tcp_read_sock(sk, &desc, read_walk_packet);
	read_close_copy(w);
	if (rc < 0) {
		*err = rc;
		return READ_FAILED;
	}
	return w->why == READ_DRY ? read_tcp_end(w, sk, err) : w->why;
}

/* ---- any stream ---- */

static int read_receive(struct socket *sock, void *to, size_t n, int flags)
{
	struct kvec v = { .iov_base = to, .iov_len = n };
	/* There is no room for control data: descriptors that were sent along are dropped. */
	struct msghdr msg = { .msg_flags = MSG_DONTWAIT };

	return kernel_recvmsg(sock, &msg, &v, 1, n, MSG_DONTWAIT | flags);
}

static enum paste_read read_plain_end(int rc, int *err)
{
	if (rc == -EAGAIN)
		return READ_DRY;
	if (!rc)
		return READ_EOF;
	*err = rc;
	return READ_FAILED;
}

static enum paste_read read_plain(struct walk *w, int *err)
{
	struct socket *sock = w->c->sock;
	char one;
	int rc;

	while (read_open_copy(w)) {
		rc = read_receive(sock, w->at, paste_buf_bytes(w->r), 0);
		w->fill = rc > 0 ? rc : 0;
		w->first = PASTE_COPY_PROTOCOL;
		w->r->stats.copied_by[w->first] += w->fill;
		read_close_copy(w);
		if (rc <= 0)
			return read_plain_end(rc, err);
	}
	if (w->why == READ_NO_ROOM)
		return w->why;
	/* There is no buffer or no quota: look whether there is anything to read at all. */
	rc = read_receive(sock, &one, 1, MSG_PEEK);
	return rc > 0 ? w->why : read_plain_end(rc, err);
}

/* Protocols on top of TCP (TLS, sockmap) install a recvmsg of their own, under the socket's lock.
 * And tcp_read_sock() never gets past an urgent byte, which recvmsg steps over. */
static bool read_is_plain_tcp(const struct sock *sk)
{
	return READ_ONCE(sk->sk_prot)->recvmsg == tcp_prot.recvmsg && !tcp_sk(sk)->urg_data;
}

/* 0, or the error with which the security module forbids reading.  The same call also takes the
 * socket's own error away, so that is put back. */
int paste_may_read(struct socket *sock)
{
	int had = READ_ONCE(sock->sk->sk_err), err = read_receive(sock, NULL, 0, MSG_PEEK);

	if (had && err == -had)
		cmpxchg(&sock->sk->sk_err, 0, had);
	else if (err == -EACCES || err == -EPERM)
		return err;
	return 0;
}

enum paste_read paste_read(struct paste_conn *c, int *err)
{
	struct walk w = { .r = c->ring, .c = c, .buf = PASTE_NO_BUF, .why = READ_DRY };
	struct sock *sk = c->sock->sk;
	enum paste_read rc;

	if (!sk_is_tcp(sk))
		return read_plain(&w, err);
	lock_sock(sk);
	if (!read_is_plain_tcp(sk)) {
		release_sock(sk);
		return read_plain(&w, err);
	}
	rc = read_tcp(&w, err);
	release_sock(sk);
	return rc;
}
