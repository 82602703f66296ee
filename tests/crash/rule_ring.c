/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rule_ring.c - a ring that plays clients, disk and checkpointer by turns, drawn from
 * the seed.  Everything happens inside the calls of the worker's one thread, so a run
 * is the same every time.  The way of a commit is the socket rings' own (struct raio).
 *
 * What a ring may do, it does: pieces of any size in buffers at any offset, several
 * connections in one batch, sends that complete late, a handle closed and taken again in
 * one batch, peers that vanish, commits that take their time.
 */
#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

#include "lane/lane.h"
#include "ring/ring_conn.h"
#include "rule.h"
#include "server/worker.h"
#include "store/store.h"

#define STUCK 20000u		/* turns without an end */

enum { SHUT = 1, CLOSING = 2, EOF_SENT = 4, SENDING = 8, PAUSED = 16, OPEN = 32 };

static struct ring {
	struct ring_params p;
	struct raio aio;
	struct rule *r;
	struct rule_disk d;
	struct worker *worker;
	sem_t	 go;
	bool	 going, accepting, stopped;
	uint8_t	 conn[RULE_CONNS];	/* flags */
	struct client *client[RULE_CONNS];	/* NULL: it has vanished */
	uint32_t *window;
	unsigned nwindow;
	unsigned turns, slow;		/* turns that the disk still takes its time */
	struct ring_event *ev;		/* of the wait */
	unsigned n, max;
} the;

static struct lane *lane(const struct ring *k)
{
	return store_lane(k->d.store, 0);
}

void rule_ring_set(struct rule *r, const struct rule_disk *d)
{
	memset(&the, 0, sizeof(the));
	the.r = r;
	the.d = *d;
	the.accepting = true;
	sem_init(&the.go, 0, 0);
}

void rule_ring_go(struct worker *w)
{
	the.worker = w;
	sem_post(&the.go);
}

/* ---- the disk ---- */

static void note_failure(struct ring *k)
{
	if (k->r->failed_lane || !lane_failed(lane(k)))
		return;
	k->r->failed_lane = true;
	k->r->failed_durable = lane_durable(lane(k));
}

static void maybe_fault(struct ring *k)
{
	if (k->d.fault >= 0 && k->d.fault_in && !--k->d.fault_in)
		blk_sim_fault(k->d.blk, (enum sim_op)k->d.fault, 1, 1, k->d.err);
}

static void put(struct ring *k, struct ring_event e)
{
	k->ev[k->n++] = e;
}

static void commit(struct ring *k)
{
	struct ring_event e;

	if (k->aio.state != RAIO_QUEUED || k->n == k->max || k->slow)
		return;
	maybe_fault(k);
	raio_go(&k->aio);		/* no thread was started: it is done here */
	if (!raio_take(&k->aio, &e))
		abort();
	put(k, e);
	if (e.res < 0 && !blk_nospace(e.res) && !k->r->failed_lane) {	/* what the worker is told in this batch */
		k->r->failed_lane = true;
		k->r->failed_durable = lane_durable(lane(k));
	}
}

static void checkpoint(struct ring *k)
{
	if (class_has_wal(store_class(k->d.store)) && store_unsettled(k->d.store, 0, lane_durable(lane(k))))
		maybe_fault(k);
	store_background(k->d.store, 1 + rule_draw(k->r, 20000));
	note_failure(k);
}

/* ---- clients ---- */

static void connect_one(struct ring *k, struct client *c)
{
	for (uint32_t h = 0; h < k->p.conns_max && h < RULE_CONNS; h++)
		if (!k->conn[h]) {
			client_connect(k->r, c, h);
			k->conn[h] = OPEN;
			k->client[h] = c;
			put(k, (struct ring_event){ .kind = RING_ACCEPT, .conn = h });
			return;
		}
}

static void data(struct ring *k, uint32_t h)
{
	struct client *c = k->client[h];
	uint32_t most = rule_draw(k->r, 3) ? k->p.buf_size : 1 + rule_draw(k->r, 300);
	uint32_t off = rule_draw(k->r, 4) ? 0 : rule_draw(k->r, k->p.buf_size / 2);
	uint32_t at, buf, n;

	if (!k->nwindow || client_all_sent(c))
		return;
	at = rule_draw(k->r, k->nwindow);
	buf = k->window[at];
	if (most > k->p.buf_size - off)
		most = k->p.buf_size - off;
	n = client_bytes(k->r, c, k->p.pool_base + (size_t)buf * k->p.buf_size + off, most);
	k->window[at] = k->window[--k->nwindow];
	put(k, (struct ring_event){ .kind = RING_DATA, .conn = h, .buf = buf, .off = (uint16_t)off,
		.len = (uint16_t)n });
}

static void vanish(struct ring *k, uint32_t h)
{
	k->client[h]->open = false;
	k->client[h] = NULL;
	put(k, (struct ring_event){ .kind = RING_ERROR, .conn = h, .res = -ECONNRESET });
}

/* One connection's turn. */
static void turn(struct ring *k, uint32_t h)
{
	struct client *c = k->client[h];

	if (k->conn[h] & CLOSING) {
		k->conn[h] = 0;
		if (c)
			c->open = false;
		k->client[h] = NULL;
		put(k, (struct ring_event){ .kind = RING_CLOSED, .conn = h });
		return;
	}
	if (k->conn[h] & SENDING && rule_draw(k->r, 2)) {
		bool broken = c && c->fickle && rule_draw(k->r, 10) == 0;

		k->conn[h] &= (uint8_t)~SENDING;
		put(k, (struct ring_event){ .kind = RING_SENT, .conn = h, .res = broken ? -EPIPE : 0 });
		if (broken) {		/* what had come stands in the same batch */
			data(k, h);
			c->open = false;
			k->client[h] = NULL;
			return;
		}
	}
	if (!c)
		return;
	if (c->fickle && rule_draw(k->r, 20) == 0) {
		vanish(k, h);
		return;
	}
	for (unsigned i = rule_draw(k->r, 4); i && !(k->conn[h] & PAUSED); i--)
		data(k, h);
	if (!(k->conn[h] & EOF_SENT) && client_all_sent(c) &&
	    (k->conn[h] & SHUT || rule_draw(k->r, 6) == 0)) {
		k->conn[h] |= EOF_SENT;
		put(k, (struct ring_event){ .kind = RING_EOF, .conn = h });
	}
	if (k->conn[h] & SHUT && !(k->conn[h] & EOF_SENT)) {	/* it does not care for the rest */
		k->conn[h] |= EOF_SENT;
		put(k, (struct ring_event){ .kind = RING_EOF, .conn = h });
	}
}

static bool all_over(const struct ring *k)
{
	for (unsigned i = 0; i < RULE_CLIENTS; i++)
		if (k->r->client[i].open || k->r->client[i].conns_left)
			return false;
	return true;
}

/* ---- the ring ---- */

static int rr_open(struct ring **r, const struct ring_params *p, char *why, size_t why_len)
{
	(void)why;
	(void)why_len;
	the.p = *p;
	the.window = calloc(p->nbufs, sizeof(*the.window));
	raio_init(&the.aio);
	*r = &the;
	return the.window ? 0 : -ENOMEM;
}

static void rr_end(struct ring *k)
{
	(void)k;
}

static void rr_close(struct ring *k)
{
	free(k->window);
	k->window = NULL;
}

static bool rr_give(struct ring *k, uint32_t buf)
{
	if (k->nwindow == k->p.nbufs)
		return false;
	k->window[k->nwindow++] = buf;
	return true;
}

static int rr_wait(struct ring *k, struct ring_event *ev, unsigned max, int timeout_ms)
{
	(void)timeout_ms;
	if (!k->going)
		sem_wait(&k->go);
	k->going = true;
	k->ev = ev;
	k->n = 0;
	k->max = max;
	note_failure(k);
	if (++k->turns > STUCK)
		rule_fail(k->r, "no end after %u turns", k->turns);
	if (k->r->failed)
		exit(2);	/* the caller's atexit tells: nothing else is of interest */
	k->slow = k->slow ? k->slow - 1 : rule_draw(k->r, 12) ? 0 : rule_draw(k->r, 30);
	if (rule_draw(k->r, 3) == 0)
		commit(k);
	for (uint32_t h = 0; h < RULE_CONNS; h++)
		if (k->conn[h] && rule_draw(k->r, 2))
			turn(k, h);
	for (unsigned i = 0; i < RULE_CLIENTS && k->accepting; i++)
		if (!k->r->client[i].open && k->r->client[i].conns_left && rule_draw(k->r, 4) == 0)
			connect_one(k, &k->r->client[i]);
	if (rule_draw(k->r, 6) == 0 || !k->nwindow)
		checkpoint(k);
	if (rule_draw(k->r, 3) == 0)
		commit(k);
	k->r->in_ring = k->nwindow;
	if (!k->stopped && all_over(k)) {
		k->stopped = true;
		worker_stop(k->worker, false);
	}
	return (int)k->n;
}

static void rr_send(struct ring *k, uint32_t conn, const struct iovec *iov, unsigned n)
{
	bool acked = false;

	if (k->conn[conn] & (SENDING | CLOSING | SHUT))
		rule_fail(k->r, "a send on a connection that is sending, shut or closed");
	k->conn[conn] |= SENDING;
	for (unsigned i = 0; i < n; i++)	/* a peer that has vanished may be sent to */
		if (k->client[conn])
			acked |= client_reply(k->r, k->client[conn], iov[i].iov_base, iov[i].iov_len);
	if (acked)
		k->d.acked(k->r);
}

static void rr_pause(struct ring *k, uint32_t conn)
{
	k->conn[conn] |= PAUSED;
}

static void rr_resume(struct ring *k, uint32_t conn)
{
	k->conn[conn] &= (uint8_t)~PAUSED;
}

static void rr_shutdown(struct ring *k, uint32_t conn)
{
	k->conn[conn] |= SHUT;
}

static void rr_close_conn(struct ring *k, uint32_t conn)
{
	k->conn[conn] |= CLOSING;
}

static void rr_accept(struct ring *k, bool on)
{
	k->accepting = on;
}

static void rr_wake(struct ring *k)
{
	(void)k;
}

static bool rr_unread(struct ring *k, uint32_t conn)
{
	(void)k;
	(void)conn;
	return false;
}

static void rr_forget(struct ring *k, uint32_t conn)
{
	(void)k;
	(void)conn;
}

static void rr_ack(struct ring *k, uint32_t conn)
{
	(void)k;
	(void)conn;
}

static struct blk_aio *rr_aio(struct ring *k)
{
	return &k->aio.aio;
}

static void rr_stats(struct ring *k, struct ring_stats *s)
{
	(void)k;
	memset(s, 0, sizeof(*s));
}

const struct ring_ops rule_ring = {
	.name = "script", .open = rr_open, .end = rr_end, .close = rr_close, .give = rr_give, .wait = rr_wait,
	.send = rr_send, .pause = rr_pause, .resume = rr_resume, .shutdown = rr_shutdown,
	.close_conn = rr_close_conn, .accept = rr_accept, .wake = rr_wake,
	.unread = rr_unread, .ack = rr_ack, .forget = rr_forget, .aio = rr_aio, .stats = rr_stats,
};
