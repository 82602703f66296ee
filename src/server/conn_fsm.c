/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conn_fsm.c - what a connection does with its input: one loop over the step functions of
 * conn_steps.h, and those of a request; with each, what happens when its deadline has passed.
 */
#include <errno.h>
#include <string.h>

#include "admin/admin.h"
#include "admin/admin_slots.h"
#include "admin/counters.h"
#include "admin/endpoint.h"
#include "admin/health.h"
#include "base/must.h"
#include "server/conn_priv.h"
#include "server/ingest.h"
#include "server/worker.h"
#include "util/mutant.h"

/* So many bytes of a refused request are read and thrown away, for the connection to be kept. */
#define DISCARD_MAX	(256u << 10)

static const struct {
	bool (*step)(struct worker *, struct conn *);
	bool waits;
} states[] = {
#define STEP(name, waits, due, passed, what) { conn_step_##name, waits },
#include "server/conn_steps.h"
#undef STEP
};

/* ---- replies that promise nothing ---- */

/* Queue a refusal.  close: it is the last reply, and nothing more of this connection is parsed. */
void conn_refuse(struct worker *w, struct conn *c, int status, const char *why, bool close)
{
	const struct http_req *q = &c->http.req;
	char allow[ENDPOINT_ALLOW];

	reply_status(&w->replies, &c->out, status, why, (struct reply_opt){
		.close = close, .old = q->minor == 0 && q->method != HTTP_NONE,
		.head = q->method == HTTP_HEAD_METHOD,
		.extra = status == 405 ? endpoint_allow(endpoint_find(q), allow) : NULL,
	});
	count_status(w->count, status);
	conn_said(w, c);
	if (close)
		conn_linger(c);
}

/* A request was answered: the connection goes on to the next one, or to its end. */
static void next_request(struct worker *w, struct conn *c)
{
	bool close = !c->http.req.keep_alive || w->draining;

	c->refuse = 0;
	c->first_byte = c->maybe_record = c->in_body = c->expect = c->append_wait = false;
	c->discarded = 0;
	c->state = CONN_REQUEST;
	c->since_ns = w->fair_ns;
	if (close)
		conn_linger(c);
}

/* A request that was read whole is refused; the connection goes on, unless this was its last. */
static void refuse_request(struct worker *w, struct conn *c, int status, const char *why)
{
	bool close = !c->http.req.keep_alive || w->draining;

	conn_refuse(w, c, status, why, close);
	if (!close)
		next_request(w, c);
}

static void refuse_later(struct worker *w, struct conn *c, int status, const char *why)
{
	ingest_drop(w, c);
	c->refuse = status;
	c->refuse_why = why;
}

/* ---- requests that change nothing ---- */

static struct reply_opt answer_opt(const struct worker *w, const struct http_req *q)
{
	return (struct reply_opt){ .close = !q->keep_alive || w->draining, .old = q->minor == 0,
				   .head = q->method == HTTP_HEAD_METHOD };
}

static void answered(struct worker *w, struct conn *c, int status)
{
	count_status(w->count, status);
	conn_said(w, c);
	next_request(w, c);
}

static void conn_answer_at_once(struct worker *w, struct conn *c, const struct endpoint *e)
{
	char text[HEALTH_TEXT];
	size_t len;
	int status = e->at_once(w->env->health, text, sizeof(text), &len);

	reply_text(&w->replies, &c->out, status, text, len, answer_opt(w, &c->http.req));
	answered(w, c, status);
}

static void answer_options(struct worker *w, struct conn *c, const struct endpoint *e)
{
	struct reply_opt o = answer_opt(w, &c->http.req);
	char allow[ENDPOINT_ALLOW];

	o.extra = endpoint_allow(e, allow);
	reply_status(&w->replies, &c->out, 204, "", o);
	answered(w, c, 204);
}

static void answer_read(struct worker *w, struct conn *c)
{
	struct http_req *q = &c->http.req;
	const struct endpoint *e = endpoint_find(q);

	/* The parser leaves what a longer target before it left behind. */
	if (q->target_len < HTTP_TARGET_KEEP)
		q->target[q->target_len] = '\0';
	if (q->method == HTTP_OPTIONS) {
		answer_options(w, c, e);
	} else if (e->by == ENDPOINT_AT_ONCE) {
		conn_answer_at_once(w, c, e);
	} else if (e->by == ENDPOINT_OTHERS || q->target_len >= HTTP_TARGET_KEEP) {
		conn_refuse(w, c, 404, ENDPOINT_404, !q->keep_alive || w->draining);
		if (c->state != CONN_LINGER)
			next_request(w, c);
	} else {
		c->state = CONN_SLOT;
		c->endpoint = e;
		c->wait_ns = w->fair_ns;
		admin_slots_begin(&c->claim);
	}
}

/* ---- the steps of a request ---- */

/* The connection waits for something of the server's, in a state that waits. */
static void push_back(struct worker *w, struct conn *c, enum conn_state state)
{
	c->state = state;
	c->wait_ns = w->fair_ns;
}

/* The wait is over, and the request goes on.  The client's deadline moves by the time it took. */
static void waited(struct worker *w, struct conn *c)
{
	c->state = CONN_REQUEST;
	c->since_ns += w->fair_ns - c->wait_ns;
}

/* Add the piece to the record.  If it cannot be added, the request is refused or waits in PIECE. */
static void take_piece(struct worker *w, struct conn *c)
{
	const char *why = NULL;
	int r = ingest_add(w, c, c->piece.buf, c->piece.off, c->piece.len, &why);

	if (r == -EAGAIN)
		push_back(w, c, CONN_PIECE);
	else if (r)
		refuse_later(w, c, r, why);
}

/* The whole head is in the record: ask the lane whether there is room for the body too.  If not,
 * the request is refused or waits in ADMIT. */
static void admit(struct worker *w, struct conn *c)
{
	const char *why = NULL;
	int r = ingest_admit(w, c, &why);

	if (r == -EAGAIN) {
		push_back(w, c, CONN_ADMIT);
		return;
	}
	if (r)
		refuse_later(w, c, r, why);
}

/* The head was read whole; its last bytes are the piece. */
static void head_read(struct worker *w, struct conn *c)
{
	const struct http_req *q = &c->http.req;

	c->in_body = true;
	c->expect = q->expect_continue;
	c->body_came = 0;
	c->since_ns = w->fair_ns;
	if (c->late && endpoint_find(q)->by != ENDPOINT_AT_ONCE) {
		COUNT(w->count, refused_draining, 1);
		refuse_later(w, c, 503, "the server is shutting down");
		return;
	}
	if (c->refuse)			/* while the head was being read */
		return;
	if (q->own)
		COUNT(w->count, requests_own, 1);
	else if (q->recorded)
		COUNT(w->count, requests_record, 1);
	else
		COUNT(w->count, requests_read, 1);
	if (!q->recorded || q->own) {
		if (MUTANT(flush_reads))
			take_piece(w, c);
		ingest_drop(w, c);
		if (q->recorded && !endpoint_takes(endpoint_find(q), q->method))
			refuse_later(w, c, 405, ENDPOINT_405);
		return;
	}
	if (q->if_match || (q->content_range && q->method == HTTP_PUT)) {
		refuse_later(w, c, q->if_match ? 412 : 400, q->if_match ?
			     "If-Match: there is nothing yet that could match" :
			     "a part of a thing (Content-Range) cannot be put");
		return;
	}
	c->record = true;
	take_piece(w, c);
	if (c->state == CONN_REQUEST && !c->refuse)
		admit(w, c);
}

/* After the head, once the request was admitted or refused: send 100 Continue if the client waits
 * for it, or refuse at once so that the client need not send its body.  false: it was refused so,
 * and nothing more is read. */
static bool answer_expect(struct worker *w, struct conn *c, bool more_input)
{
	const struct http_req *q = &c->http.req;

	if (c->refuse && (c->expect || (q->has_body && (q->chunked ? c->discarded > DISCARD_MAX
							: q->content_length > DISCARD_MAX)))) {
		conn_refuse(w, c, c->refuse, c->refuse_why, true);
		return false;
	}
	if (c->expect && !more_input) {
		reply_continue(&w->replies, &c->out);
		count_status(w->count, 100);
		conn_said(w, c);
	}
	c->expect = false;
	return true;
}

/* body-timeout begins anew whenever body_step bytes have come within it.  What came sooner than
 * it had to does not count for later: else a client that sent much at once could then send a
 * byte now and then, and hold the buffers of a large body. */
static void body_came(struct worker *w, struct conn *c, uint32_t bytes)
{
	c->body_came += bytes;
	if (c->body_came < w->env->body_step)
		return;
	c->body_came = 0;
	c->since_ns = w->fair_ns;
}

static void body_read(struct worker *w, struct conn *c)
{
	body_came(w, c, c->piece.len);
	if (c->record && w->refusing) {
		const char *why;
		int status = ingest_no_buffers(w, &why);

		refuse_later(w, c, status, why);
	}
	if (c->record)
		take_piece(w, c);
	if (c->refuse)
		c->discarded += c->piece.len;
}

static void request_complete(struct worker *w, struct conn *c)
{
	if (c->refuse) {
		refuse_request(w, c, c->refuse, c->refuse_why);
	} else if (c->record) {
		c->state = CONN_APPEND;
	} else {
		answer_read(w, c);
	}
}

static bool request_bad(struct worker *w, struct conn *c)
{
	COUNT(w->count, requests_bad, 1);
	ingest_drop(w, c);
	conn_refuse(w, c, c->http.err.status, c->http.err.reason, true);
	return true;
}

/* The client has sent its last byte: requests that are complete are answered, and one that is not
 * is dropped. */
static bool input_ended(struct worker *w, struct conn *c)
{
	if (!http_idle(&c->http) || c->in_body) {
		COUNT(w->count, vanished, 1);
		ingest_drop(w, c);
	}
	conn_linger(c);
	return true;
}

bool conn_step_REQUEST(struct worker *w, struct conn *c)
{
	static uint8_t none[1];
	struct slot_node *s = c->in_first == FRAG_NIL ? NULL : &w->slots[c->in_first];
	struct slot_node empty = { 0 };
	struct http_span sp;
	enum http_what what;
	size_t used;
	uint8_t *p;

	if (!s && !c->in_body)
		return c->eof ? input_ended(w, c) : false;
	if (!reply_room(&w->replies, &c->out)) {
		push_back(w, c, CONN_REPLY);
		return true;
	}
	if (!s)
		s = &empty;
	p = s == &empty ? none : pool_addr(w->pool, s->buf) + s->off;
	what = http_step(&c->http, p, s->len, &used, &sp);
	c->piece.buf = s->buf;
	c->piece.off = s->off + sp.off;
	c->piece.len = sp.len;
	c->piece.what = what;

	if (!c->first_byte && used && !http_idle(&c->http)) {
		c->first_byte = true;
		c->maybe_record = sp.len && (p[sp.off] == 'P' || p[sp.off] == 'D');
		c->since_ns = w->fair_ns;
	}
	switch (what) {
	case HTTP_HEAD:
		/* So far the method may be one that is recorded: these bytes are part of the record. */
		if (c->maybe_record && !c->refuse)
			take_piece(w, c);
		break;
	case HTTP_HEADERS:
		head_read(w, c);
		if (c->state == CONN_REQUEST && !answer_expect(w, c, s->len > used))
			return true;
		/* The body is yet to come.  The client's TCP may hold it back until the head has been
		 * acknowledged, which the kernel would otherwise do 40 ms later. */
		if (c->http.req.has_body && s->len == used && s->next == FRAG_NIL && !c->http.req.expect_continue)
			w->ops->ack(w->ring, c->handle);
		break;
	case HTTP_BODY:
		body_read(w, c);
		if (c->refuse && c->discarded > DISCARD_MAX && !answer_expect(w, c, true))
			return true;
		break;
	case HTTP_DONE:
		c->in_body = false;
		request_complete(w, c);
		break;
	case HTTP_ERROR:
		return request_bad(w, c);
	case HTTP_MORE:
		break;
	}
	if (s == &empty) {
		/* There was no input left, and the parser wants more. */
		if (what == HTTP_MORE || what == HTTP_HEAD)
			return c->eof && c->state == CONN_REQUEST ? input_ended(w, c) : false;
		return true;
	}
	s->off += (uint16_t)used;
	s->len -= (uint16_t)used;
	if (!s->len && c->state != CONN_PIECE)
		conn_pop_slot(w, c);
	return true;
}

/* The client did not send what it owed. */
bool conn_passed_client_late(struct worker *w, struct conn *c)
{
	if (conn_spared(w, c))
		return false;
	if (!c->first_byte && !c->in_body) {
		COUNT(w->count, timeout_idle, 1);
		conn_linger(c);
		return true;
	}
	if (c->in_body)
		COUNT(w->count, timeout_body, 1);
	else
		COUNT(w->count, timeout_head, 1);
	ingest_drop(w, c);
	if (!reply_room(&w->replies, &c->out)) {
		conn_kill(w, c);
		return false;
	}
	conn_refuse(w, c, 408, c->in_body ? "the body came too slowly" : "the head came too slowly", true);
	return true;
}

/* The wait for room for the piece is over: it is in the record, or the request is refused with that
 * status (0: it is not).  The request goes on behind the piece. */
static void piece_over(struct worker *w, struct conn *c, int status, const char *why)
{
	waited(w, c);
	if (status)
		refuse_later(w, c, status, why);
	if (c->refuse && c->piece.what == HTTP_BODY)
		c->discarded += c->piece.len;
	if (!w->slots[c->in_first].len)
		conn_pop_slot(w, c);
	if (c->piece.what != HTTP_HEADERS)
		return;
	if (!c->refuse)
		admit(w, c);
	if (c->state == CONN_REQUEST)
		answer_expect(w, c, c->in_first != FRAG_NIL);
}

/* Try once more to add the piece to the record.  last: the deadline has passed, and the request is
 * refused if there still is no buffer; there may be one, for another request whose deadline passed
 * in this very turn may have given buffers back. */
static bool piece_again(struct worker *w, struct conn *c, bool last)
{
	const char *why = NULL;
	int r = ingest_add(w, c, c->piece.buf, c->piece.off, c->piece.len, &why);

	if (r == -EAGAIN && !last) {
		conn_wait(c, &w->waitq);
		return false;
	}
	if (r == -EAGAIN)
		r = ingest_no_buffers(w, &why);
	piece_over(w, c, r, why);
	return true;
}

bool conn_step_PIECE(struct worker *w, struct conn *c)
{
	return piece_again(w, c, false);
}

bool conn_passed_no_buffers(struct worker *w, struct conn *c)
{
	return piece_again(w, c, true);
}

bool conn_step_ADMIT(struct worker *w, struct conn *c)
{
	const char *why = NULL;
	int r = ingest_admit(w, c, &why);

	if (r == -EAGAIN) {
		conn_wait(c, &w->waitq);
		return false;
	}
	if (r)
		refuse_later(w, c, r, why);
	waited(w, c);
	answer_expect(w, c, c->in_first != FRAG_NIL);
	return true;
}

bool conn_passed_not_admitted(struct worker *w, struct conn *c)
{
	const char *why;
	int status = ingest_log_full(w, &why);

	waited(w, c);
	refuse_later(w, c, status, why);
	answer_expect(w, c, true);
	return true;
}

bool conn_step_APPEND(struct worker *w, struct conn *c)
{
	if (lane_failed(w->lane) && !MUTANT(append_failed)) {
		ingest_drop(w, c);
		COUNT(w->count, refused_failed, 1);
		conn_refuse(w, c, 503, "the log of this worker has failed", true);
		return true;
	}
	if (!ingest_done(w, c)) {
		if (!c->waits_in && !c->append_wait) {
			c->append_wait = true;
			push_back(w, c, CONN_APPEND);
		}
		conn_wait(c, &w->waitq);
		return false;
	}
	c->append_wait = false;
	next_request(w, c);
	return true;
}

bool conn_passed_not_appended(struct worker *w, struct conn *c)
{
	const char *why;
	int status = ingest_log_full(w, &why);

	ingest_drop(w, c);
	refuse_request(w, c, status, why);
	return true;
}

bool conn_step_REPLY(struct worker *w, struct conn *c)
{
	if (!reply_room(&w->replies, &c->out))
		return false;
	waited(w, c);
	return true;
}

bool conn_step_SLOT(struct worker *w, struct conn *c)
{
	const struct http_req *q = &c->http.req;
	struct admin *s = c->endpoint->by == ENDPOINT_RECORDS ? w->env->records : w->env->pages;
	struct admin_claim *cut;

	c->admin = admin_ask(s, w->index, c->handle, c->gen, c->endpoint, q->target,
			     q->method == HTTP_HEAD_METHOD, q->minor > 0, q->keep_alive && !w->draining);
	if (!c->admin) {
		cut = admin_slots_wait(&w->admin_slots, &c->claim, w->fair_ns);
		if (cut)
			conn_cut(w, conn_of_claim(cut));
		return false;
	}
	conn_unwait(c);		/* not in waitq either: retry_waiters() may cut off who has a slot */
	c->status_counted = false;
	c->state = CONN_ADMIN;
	return true;
}

bool conn_passed_no_slot(struct worker *w, struct conn *c)
{
	COUNT(w->count, refused_busy, 1);
	refuse_request(w, c, 503, "too many read-backs at once");
	return true;
}

/* The pieces of an answer leave one at a time, behind the replies to earlier requests. */
bool conn_step_ADMIN(struct worker *w, struct conn *c)
{
	struct admin_req *r = c->admin;

	if (c->admin_sending && !c->sending) {	/* a piece has left */
		bool last = r->last, close = r->close_after;

		c->admin_sending = false;
		admin_slots_leave(&c->claim);
		if (!last) {
			c->admin_ready = false;
			admin_next(r);
			return false;
		}
		c->admin_ready = false;
		if (r->truncated) {
			conn_kill(w, c);
			return false;
		}
		admin_end(r);
		c->admin = NULL;
		next_request(w, c);
		if (close)
			conn_linger(c);
		return true;
	}
	if (c->admin_ready && !c->sending && c->out.sent == c->out.end) {
		if (r->len)
			conn_send_piece(w, c);
		else			/* it broke off between two pieces */
			conn_kill(w, c);
	}
	return false;
}

void conn_admin_ready(struct worker *w, struct conn *c)
{
	if (!c->status_counted)
		count_status(w->count, c->admin->status);
	c->status_counted = true;
	c->admin_ready = true;
	admin_slots_piece_there(&w->admin_slots, &c->claim, w->fair_ns);
	conn_run(w, c);
}

/* ---- the loop ---- */

void conn_run(struct worker *w, struct conn *c)
{
	while (states[c->state].step(w, c))
		;
	if (c->closing)
		return;
	conn_due(w, c);
	if (states[c->state].waits) {
		if (!c->paused && c->in_first != FRAG_NIL) {
			c->paused = true;
			COUNT(w->count, paused, 1);
			w->ops->pause(w->ring, c->handle);
		}
	} else if (c->paused) {
		c->paused = false;
		w->ops->resume(w->ring, c->handle);
	}
}
