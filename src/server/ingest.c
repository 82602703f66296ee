/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ingest.c - the durability rule: no 2xx before the record is durable, and none after the
 * lane has failed (lane.h has the order of flushes and fences below it).
 *
 * A reply to a recorded request is made as soon as the record has its name, but in
 * the part of the connection's output that may not leave: between out.ready and
 * out.end.  A FIFO (worker.pending), in the order of the sequence numbers, says where each
 * reply ends.  Replies leave the FIFO only when lane_durable() has reached their record:
 * nothing here decides by itself that something is durable.
 *
 * When the lane has failed, the replies in that part are taken back: the records
 * may or may not be on the medium, so the clients get a 503, never a 2xx.
 */
#include "server/ingest.h"

#include <errno.h>

#include "admin/counters.h"
#include "admin/health.h"
#include "base/diag.h"
#include "base/must.h"
#include "base/now.h"
#include "server/conn.h"
#include "server/refusal.h"
#include "server/worker.h"
#include "util/mutant.h"

/* r: why the lane did not take the request, -errno of lane_admit() or lane_add(). */
static int ingest_refuse(struct worker *w, int r, const char **why)
{
	bool unmade = lane_prepare_err(w->lane) != 0;
	struct refusal_facts f = {
		.large = r == -EFBIG, .failed = lane_failed(w->lane) != 0,
		.nospace = lane_nospace(w->lane), .unmade = unmade,
		/* Or no record waits for the disk: incomplete requests hold all buffers then. */
		.pool = w->refusing || r == -ENOBUFS || (!unmade && !lane_owes(w->lane)),
	};

	if (r == -ENOSPC && !f.nospace)
		f.nospace = r;
	switch (refusal_first(&f)) {
	case REFUSAL_LARGE:
		break;
	case REFUSAL_FAILED:
		COUNT(w->count, refused_failed, 1);
		break;
	case REFUSAL_NOSPACE:
		COUNT(w->count, refused_nospace, 1);
		break;
	case REFUSAL_POOL:
		COUNT(w->count, refused_pool, 1);
		break;
	case REFUSAL_LANE:
		COUNT(w->count, refused_lane, 1);
		break;
	}
	return refusal_answer(&f, why);
}

int ingest_no_buffers(struct worker *w, const char **why)
{
	return ingest_refuse(w, -ENOBUFS, why);
}

int ingest_log_full(struct worker *w, const char **why)
{
	return ingest_refuse(w, -EAGAIN, why);
}

int ingest_admit(struct worker *w, struct conn *c, const char **why)
{
	const struct http_req *q = &c->http.req;
	uint64_t bytes = q->headers_bytes + (q->chunked || !q->has_body ? 0 : q->content_length);
	int r = lane_admit(w->lane, bytes);

	if (!w->refusing && (!r || r == -EAGAIN))
		return r;
	return ingest_refuse(w, r, why);
}

int ingest_add(struct worker *w, struct conn *c, uint32_t buf, uint32_t off, uint32_t len, const char **why)
{
	int r = len ? lane_add(w->lane, &c->rec, buf, off, len) : 0;

	if (!r)
		return 0;
	if (r == -ENOBUFS && !w->refusing)
		return -EAGAIN;
	ingest_drop(w, c);
	return ingest_refuse(w, r, why);
}

void ingest_drop(struct worker *w, struct conn *c)
{
	lane_drop(w->lane, &c->rec);
	c->record = false;
}

bool ingest_done(struct worker *w, struct conn *c)
{
	const struct http_req *q = &c->http.req;
	bool close = !q->keep_alive || w->draining;
	uint64_t bytes = c->rec.bytes, seq;

	if (w->pend_tail - w->pend_head == PENDING_MAX)
		return false;
	seq = lane_append(w->lane, &c->rec);
	if (!seq)
		return false;
	c->record = false;
	reply_recorded(&w->replies, &c->out, seq, close, q->minor == 0);
	COUNT(w->count, recorded_bytes, bytes);
	if (q->chunked)
		COUNT(w->count, chunked, 1);
	c->npending++;
	w->pending[w->pend_tail++ & (PENDING_MAX - 1)] = (struct pending){
		.conn = c->handle, .gen = c->gen, .seq = seq, .out_end = c->out.end, .t_ns = w->now_ns,
	};
	return true;
}

/* Takes back the replies for all records that are not durable. */
static void take_back(struct worker *w, int status, const char *why)
{
	struct pending *p;

	while (w->pend_head != w->pend_tail) {
		p = &w->pending[w->pend_head++ & (PENDING_MAX - 1)];
		struct conn *c = &w->conns[p->conn];

		if (c->magic == CONN_MAGIC && c->gen == p->gen && c->npending)
			conn_unpromise(w, c, status, why);
	}
}

/* The lane acknowledges nothing any more. */
static void ingest_fail(struct worker *w)
{
	if (w->lane_dead)
		return;
	w->lane_dead = true;
	health_set(w->env->health, HEALTH_LANE_FAILED, lane_failed(w->lane));
	diag(DIAG_ERR, "worker %u: %s; it acknowledges nothing any more: a failed write or sync is never "
	     "retried. Look at the storage, then restart", w->index, store_strerror(lane_failed(w->lane)));
	take_back(w, 503, "the log of this worker has failed");
	/* New clients go to the others, if there are any. */
	if (atomic_fetch_sub(w->env->serving, 1) > 1)
		worker_door_last(w);
}

/* The write of a batch found no room, and nothing of the batch was synced.  Replies for earlier
 * batches have left, as each turn ends with a release.  The lane goes on when there is room. */
static void ingest_no_room(struct worker *w)
{
	struct refusal_facts f = { .nospace = lane_nospace(w->lane) };
	const char *why;
	int status;

	if (!health_is(w->env->health, HEALTH_NOSPACE)) {
		health_set(w->env->health, HEALTH_NOSPACE, lane_nospace(w->lane));
		diag(DIAG_ERR, "worker %u: a write of the log found no room: %s: requests that change state get "
		     "507 until there is", w->index, store_strerror(lane_nospace(w->lane)));
	}
	status = refusal_answer(&f, &why);	/* conn_unpromise() counts each refusal */
	take_back(w, status, why);
}

void ingest_commit(struct worker *w)
{
	/* Called even if there is nothing to commit, because a lane without room looks here
	 * whether there is room again. */
	if (!w->lane_dead)
		lane_commit(w->lane, w->wall_ms);
	if (lane_failed(w->lane))
		ingest_fail(w);
}

void ingest_synced(struct worker *w, int res)
{
	res = lane_synced(w->lane, MUTANT(ingest_result) ? 0 : res, w->wall_ms);
	if (lane_failed(w->lane))
		ingest_fail(w);
	else if (res == -ENOSPC)
		ingest_no_room(w);
}

static void latency(struct worker *w, uint64_t t_ns, uint64_t now_ns, uint64_t n)
{
	if (n)
		count_latency(w->count, (now_ns - t_ns) / 1000, n);
}

void ingest_release(struct worker *w)
{
	uint64_t durable, now, run_t = 0, run_n = 0, n = 0;

	if (w->pend_head == w->pend_tail)
		return;
	durable = lane_durable(w->lane);
	now = now_ns();
	while (w->pend_head != w->pend_tail) {
		struct pending *p = &w->pending[w->pend_head & (PENDING_MAX - 1)];

		if (p->seq > durable && p->seq != LANE_UNNAMED && !MUTANT(release_wait))
			break;
		w->pend_head++;
		n++;
		if (p->t_ns != run_t) {
			latency(w, run_t, now, run_n);
			run_t = p->t_ns;
			run_n = 0;
		}
		run_n++;
		struct conn *c = &w->conns[p->conn];
		if (c->magic != CONN_MAGIC || (c->gen != p->gen && !MUTANT(release_gen)) || c->closing)
			continue;
		must(c->npending > 0);
		c->out.ready = --c->npending && !MUTANT(release_upto) ? p->out_end : c->out.end;
		conn_sendable(w, c);
	}
	if (!n)
		return;
	latency(w, run_t, now, run_n);
	COUNT(w->count, recorded, n);
	COUNT(w->count, status[COUNTER_STATUS_200], n);
}
