/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conn_end.c - how a connection ends.
 *
 *	conn_linger	The last reply has been made, or there was no request: all replies are sent,
 *			then FIN, and then the client's FIN is waited for.
 *	conn_kill	The connection ends at once, and its unsent replies are dropped.
 *	conn_cut	The same with a reset, for a client that does not take its replies.
 *	conn_closed	The ring does not know the connection any more; the last step of all.
 */
#include "admin/admin.h"
#include "admin/counters.h"
#include "base/must.h"
#include "server/conn_priv.h"
#include "server/ingest.h"
#include "server/worker.h"
#include "util/mutant.h"

#define LINGER_MS	2000u		/* from our FIN to the client's */
#define LINGER_MORE_MS	5000u		/* the same for a client that is still sending; begins anew
					 * while it sends at body-rate */
#define LINGER_END_MS	300000u		/* from our FIN, whatever the client sends */

/* ---- lingering ---- */

/*
 * The time of LINGER runs from our FIN; before that the connection has only the deadline of its
 * output.  The time is short if all requests were read whole.  A client that is still sending a
 * request may read nothing before it has sent everything, so it has longer.  For both the time
 * begins anew as long as they send at body-rate, until LINGER_END_MS are over.
 */
void conn_linger(struct conn *c)
{
	c->state = CONN_LINGER;
	c->linger_ms = c->in_body || !http_idle(&c->http) ? LINGER_MORE_MS : LINGER_MS;
}

/* True, and the time begins anew: the client has sent what body-rate demands in LINGER_MORE_MS, and
 * LINGER_END_MS are not over. */
static bool goes_on(const struct worker *w, struct conn *c, uint64_t came)
{
	uint64_t step = w->env->body_step * LINGER_MORE_MS / w->env->body_timeout_ms;

	c->body_came += came;
	if (!came || c->body_came < step || w->fair_ns >= c->linger_end_ns)
		return false;
	c->body_came = 0;
	return true;
}

/*
 * If the server closes a connection with bytes unread, TCP resets it, and the client may lose the
 * reply before it has read it; many clients read nothing before they have sent everything.  So
 * what a client still sends is read and thrown away until it closes (RFC 9112 section 9.6), as
 * long as it sends at body-rate.  That holds no buffer.
 */
bool conn_step_LINGER(struct worker *w, struct conn *c)
{
	uint64_t came = 0;

	while (c->in_first != FRAG_NIL) {
		came += w->slots[c->in_first].len;
		conn_pop_slot(w, c);
	}
	if (c->sending || c->npending || c->out.sent != c->out.end)
		return false;
	if (c->eof) {
		conn_kill(w, c);
		return false;
	}
	if (!c->fin) {
		c->fin = true;
		c->body_came = 0;
		c->linger_end_ns = w->fair_ns + LINGER_END_MS * 1000000ull;
		w->ops->shutdown(w->ring, c->handle);
		c->since_ns = w->fair_ns;
	} else if (goes_on(w, c, came)) {
		c->since_ns = w->fair_ns;
	}
	return false;
}

bool conn_passed_lingered(struct worker *w, struct conn *c)
{
	conn_kill(w, c);
	return false;
}

/* ---- what leads to LINGER ---- */

void conn_drain(struct worker *w, struct conn *c)
{
	if (c->state != CONN_REQUEST || c->in_body || !http_idle(&c->http) || c->in_first != FRAG_NIL ||
	    w->ops->unread(w->ring, c->handle))
		return;			/* the request being read, or waiting there, is its last */
	if (!c->out.end && w->fair_ns < conn_after(c->since_ns, CONN_LATE_MS)) {
		c->late = true;		/* the client has only just come: its request is on its way */
		w->late++;
		conn_due(w, c);
		return;
	}
	conn_linger(c);
	conn_run(w, c);
}

void conn_unpromise(struct worker *w, struct conn *c, int status, const char *why)
{
	if (c->closing)
		return;
	ingest_drop(w, c);
	c->npending = 0;
	if (!MUTANT(unpromise))
		reply_truncate(&w->replies, &c->out, c->out.ready);
	if (!reply_room(&w->replies, &c->out)) {
		conn_kill(w, c);
		return;
	}
	if (status == 507)
		COUNT(w->count, refused_nospace, 1);
	else
		COUNT(w->count, refused_failed, 1);
	conn_refuse(w, c, status, why, true);
	conn_run(w, c);
}

/* ---- at once ---- */

void conn_kill(struct worker *w, struct conn *c)
{
	if (c->closing)
		return;
	c->closing = true;
	c->state = CONN_CLOSED;
	timers_del(&w->timers, &c->timer);
	ingest_drop(w, c);
	while (c->in_first != FRAG_NIL)
		conn_pop_slot(w, c);
	if (c->on_sendq)
		TAILQ_REMOVE(&w->sendq, c, sendq);
	if (c->on_pieceq)
		TAILQ_REMOVE(&w->pieceq, c, sendq);
	c->on_sendq = c->on_pieceq = false;
	conn_unwait(c);
	if (c->admin && !c->admin_sending) {
		admin_end(c->admin);
		c->admin = NULL;
	}
	w->ops->close_conn(w->ring, c->handle);
}

void conn_cut(struct worker *w, struct conn *c)
{
	COUNT(w->count, timeout_send, 1);
	w->ops->forget(w->ring, c->handle);
	conn_kill(w, c);
}

bool conn_step_CLOSED(struct worker *w, struct conn *c)
{
	(void)w;
	(void)c;
	return false;
}

void conn_closed(struct worker *w, struct conn *c)
{
	must(c->closing);
	if (c->admin)
		admin_end(c->admin);
	reply_free(&w->replies, &c->out);
	c->magic = 0;
	w->late -= c->late;
	w->open--;
	COUNT(w->count, conns_closed, 1);
	COUNT_SET(w->count, conns_open, w->open);
}
