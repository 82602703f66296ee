/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conn_due.c - the deadline of a connection: when it is (the column `due` of conn_steps.h), when
 * the timer expires, and what is done then.
 *
 * The one rule: output that may leave has to move within write-timeout.  When the client owes
 * the server something, it has the time for that; when it waits for room of the server's, it is
 * refused after pushback-timeout in which the log made no progress; when the server owes it
 * something (a commit, a piece that the admin thread makes) there is no deadline.  The timer
 * of the connection is for the earlier of the deadlines of its output and of its state.
 */
#include "base/must.h"
#include "server/conn_priv.h"
#include "server/worker.h"

/* ---- of the output ---- */

static bool out_pending(const struct conn *c)
{
	return c->sending || c->out.ready != c->out.sent;
}

static uint64_t out_due(const struct worker *w, const struct conn *c)
{
	return out_pending(c) ? conn_after(c->out_ns, w->env->write_timeout_ms) : 0;
}

bool conn_hoards(const struct worker *w, const struct conn *c, uint64_t ns)
{
	return !c->closing && c->in_first != FRAG_NIL && out_pending(c) && !c->admin_sending &&
	       w->fair_ns - c->out_ns >= ns;
}

/* ---- of the states: the column `due`.  0: none. ---- */

static uint64_t due_client(const struct worker *w, const struct conn *c)
{
	const struct worker_env *e = w->env;

	if (c->in_body)
		return conn_after(c->since_ns, e->body_timeout_ms);
	if (c->first_byte)
		return conn_after(c->since_ns, e->header_timeout_ms);
	/* A client need not send the next request before it has the reply to the last. */
	if (c->npending || out_pending(c))
		return 0;
	if (c->late && e->idle_timeout_ms > CONN_LATE_MS)
		return conn_after(c->since_ns, CONN_LATE_MS);
	return conn_after(c->since_ns, e->idle_timeout_ms);
}

static uint64_t due_log(const struct worker *w, const struct conn *c)
{
	return worker_refuse_ns(w, c->wait_ns);
}

static uint64_t due_slot(const struct worker *w, const struct conn *c)
{
	return conn_after(c->wait_ns, w->env->pushback_ms);
}

/* There is no deadline before our FIN, as the last replies are on their way or await a commit. */
static uint64_t due_linger(const struct worker *w, const struct conn *c)
{
	(void)w;
	return c->fin ? conn_after(c->since_ns, c->linger_ms) : 0;
}

static uint64_t due_none(const struct worker *w, const struct conn *c)
{
	(void)w;
	(void)c;
	return 0;
}

bool conn_passed_none(struct worker *w, struct conn *c)
{
	(void)w;
	(void)c;
	must(!"a deadline where there is none");
	return false;
}

static const struct {
	uint64_t (*due)(const struct worker *, const struct conn *);
	bool (*passed)(struct worker *, struct conn *);
} deadlines[] = {
#define STEP(name, waits, due, passed, what) { due_##due, conn_passed_##passed },
#include "server/conn_steps.h"
#undef STEP
};

static uint64_t state_due(const struct worker *w, const struct conn *c)
{
	return deadlines[c->state].due(w, c);
}

/* ---- the timer ---- */

uint64_t conn_shortest_ns(const struct worker_env *e)
{
	const unsigned all[] = { e->header_timeout_ms, e->body_timeout_ms, e->idle_timeout_ms, e->write_timeout_ms };
	unsigned ms = all[0];

	for (unsigned i = 1; i < sizeof(all) / sizeof(all[0]); i++)
		ms = all[i] < ms ? all[i] : ms;
	return ms * 1000000ull;
}

/*
 * A timer expires after the shortest of the timeouts at the latest and is set anew then.  Nothing
 * that begins now can be due before that, so that most changes in the state REQUEST need no
 * computation of a deadline.
 */
void conn_due(struct worker *w, struct conn *c)
{
	uint64_t out, in, soon = w->fair_ns + w->shortest_ns;

	if (c->state == CONN_REQUEST && !c->late && timer_keeps(&c->timer, soon))
		return;
	out = out_due(w, c);
	in = state_due(w, c);
	if (out && (!in || out < in))
		in = out;
	timers_set(&w->timers, &c->timer, in < soon ? in : soon);
}

/* Bytes that lie in the socket were sent in time; the worker has not read them yet, and will before
 * the next tick.  So the client is spared, but once for each deadline, or a client that never
 * stops sending would have none.  While the kernel has no buffer of ours nothing is read, and a
 * client is spared again and again.  That ends when buffers come back or, after
 * pushback-timeout, when the worker refuses the requests that wait (`refusing`). */
bool conn_spared(struct worker *w, struct conn *c)
{
	uint64_t due = state_due(w, c);

	if ((c->spared_ns == due && w->pool->lent) || !w->ops->unread(w->ring, c->handle))
		return false;
	c->spared_ns = w->pool->lent ? due : 0;
	timers_set(&w->timers, &c->timer, w->fair_ns + TIMER_TICK_MS * 1000000ull);
	return true;
}

void conn_timeout(struct worker *w, struct conn *c)
{
	uint64_t out = out_due(w, c), in = state_due(w, c);

	if (out && out <= w->fair_ns) {
		conn_cut(w, c);
		return;
	}
	if (!in || in > w->fair_ns) {
		conn_due(w, c);
		return;
	}
	conn_unwait(c);
	if (deadlines[c->state].passed(w, c))
		conn_run(w, c);
}
