/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * conn.h - a connection's life.
 *
 * There is one struct conn for each handle of the ring, in the worker's array; only the worker's
 * thread touches it.  Input comes as filled buffers, which are parsed in place in the order they
 * came.  While a connection may not go on (conn_steps.h: a state that waits), they queue from
 * in_first on and the ring is told to pause.
 *
 * Output is a stream of bytes with three marks (reply.h): out.sent <= out.ready <= out.end.  At
 * most one send is in flight, which ends at out_flight.
 */
#ifndef SERVER_CONN_H
#define SERVER_CONN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "admin/admin_slots.h"
#include "base/timers.h"
#include "http/http.h"
#include "http/reply.h"
#include "lane/pool.h"

struct worker;
struct worker_env;
struct admin_req;
struct endpoint;

enum conn_state {
#define STEP(name, waits, due, passed, what) CONN_##name,
#include "server/conn_steps.h"
#undef STEP
	CONN_STATES
};

TAILQ_HEAD(conn_list, conn);

#define CONN_MAGIC 0x434f4e4eu

struct conn {
	uint32_t magic;			/* CONN_MAGIC while open */
	uint32_t handle;
	uint32_t gen;			/* of the handle's uses */
	uint16_t linger_ms;		/* in LINGER, after FIN: until the deadline */
	uint16_t listener;		/* the index of the worker's listener that the client came to */
	uint8_t  state;			/* enum conn_state */

	bool eof : 1;			/* the client has sent its last byte */
	bool paused : 1;		/* the ring was told not to read */
	bool sending : 1;		/* a send is in flight .. */
	bool admin_sending : 1;	/* .. and what it sends is a piece of the admin thread's answer */
	bool fin : 1;			/* our side is shut down */
	bool closing : 1;		/* the ring's close_conn was called */
	bool record : 1;		/* the request is being recorded */
	bool first_byte : 1;		/* of a request has come */
	bool maybe_record : 1;		/* to judge by that byte, the method may be one that is recorded */
	bool on_sendq : 1, on_pieceq : 1;
	bool expect : 1;		/* the client may wait for 100 Continue */
	bool in_body : 1;		/* the head was read: between HTTP_HEADERS and HTTP_DONE */
	bool append_wait : 1;		/* the wait in APPEND has begun: wait_ns is set */
	bool admin_ready : 1;		/* a piece of the answer is there, to be sent */
	bool status_counted : 1;	/* the status of the admin thread's answer was counted */
	bool late : 1;			/* the client came while draining, and is told to go elsewhere */

	TAILQ_ENTRY(conn) sendq, waitq;
	struct conn_list *waits_in;	/* the worker's list that waitq is in; NULL: in none */
	struct http http;
	struct frags rec;		/* the record being received */
	int refuse;			/* status to answer when the request is read, 0: none */
	const char *refuse_why;
	struct {			/* what the parser returned last */
		uint32_t buf, off, len;	/* these bytes; while in PIECE the first slot still holds them */
		uint8_t what;		/* enum http_what */
	} piece;

	uint32_t in_first, in_last;	/* not parsed yet: indices of worker.slots; FRAG_NIL: none */

	struct reply_out out;
	uint64_t out_flight;
	uint32_t npending;		/* replies that wait to be durable */
	struct admin_req *admin;
	const struct endpoint *endpoint;	/* what is asked of the admin thread */
	struct admin_claim claim;		/* for a slot of the admin thread's, or with one (admin_slots.h) */

	/* All on the clients' clock (worker.h: fair_ns). */
	uint64_t since_ns;		/* since when the client owes us a request, the rest of a head,
					 * more of a body, or its end */
	uint64_t wait_ns;		/* since when the connection is in a state that waits for us */
	uint64_t out_ns;		/* since when none of the output that may leave has left */
	uint64_t spared_ns;		/* the deadline that passed while something lay in the socket */

	uint64_t discarded;		/* bytes read only to be thrown away */
	uint64_t body_came;		/* bytes of the body since since_ns */
	uint64_t linger_end_ns;		/* after FIN: when bytes that come no longer renew the deadline */

	struct timer timer;		/* conn_due's deadline, or before that */
};

/* The connection that a timer of the worker's wheel is of. */
static inline struct conn *conn_of_timer(struct timer *n)
{
	return (struct conn *)((char *)n - offsetof(struct conn, timer));
}

/* The connection that asks for a slot, or has one. */
static inline struct conn *conn_of_claim(struct admin_claim *g)
{
	return (struct conn *)((char *)g - offsetof(struct conn, claim));
}

/* Events of the ring. */
/* listener: its index among the worker's, which says what the client may be asked for first. */
void conn_open(struct worker *w, uint32_t handle, unsigned listener);
void conn_data(struct worker *w, struct conn *c, uint32_t buf, uint16_t off, uint16_t len);
void conn_eof(struct worker *w, struct conn *c);
void conn_error(struct worker *w, struct conn *c);
void conn_sent(struct worker *w, struct conn *c, int res);
void conn_closed(struct worker *w, struct conn *c);
void conn_timeout(struct worker *w, struct conn *c);

/* The admin thread has made the next piece of the answer. */
void conn_admin_ready(struct worker *w, struct conn *c);
/* Whether the connection has requests in our buffers, and the client has taken none of its replies
 * for ns.  false while a piece of the admin thread's answer is on its way: on a slow link that takes
 * longer, and of such connections there are no more than the admin thread has slots. */
bool conn_hoards(const struct worker *w, const struct conn *c, uint64_t ns);
/* The server stops: an idle connection lingers, any other gets its last reply first. */
void conn_drain(struct worker *w, struct conn *c);
/* End the connection at once because the client does not take its replies; what is unsent goes. */
void conn_cut(struct worker *w, struct conn *c);
/* End the connection at once, whatever state it is in. */
void conn_kill(struct worker *w, struct conn *c);
/* Append the connection to one of the worker's lists; it stays where it is if it is in one. */
void conn_wait(struct conn *c, struct conn_list *list);
void conn_unwait(struct conn *c);	/* also for a slot of the admin thread's */
/* Some output may leave: it is handed to the ring at the end of the batch. */
void conn_sendable(struct worker *w, struct conn *c);
/* Hand the output to the ring; called for each connection of w->sendq. */
void conn_flush(struct worker *w, struct conn *c);
/* Hand the piece of the admin thread's answer to the ring; called for some connections of w->pieceq. */
void conn_flush_piece(struct worker *w, struct conn *c);
/* Take back the replies that were not ready (the lane failed, or had no room): the last reply has
 * this status. */
void conn_unpromise(struct worker *w, struct conn *c, int status, const char *why);

/* Run the steps of conn_steps.h for as long as they can do something, then set the deadline. */
void conn_run(struct worker *w, struct conn *c);
/* Set the connection's timer anew: called after whatever may change a deadline of conn_steps.h, or
 * what may leave of the output. */
void conn_due(struct worker *w, struct conn *c);
/* The shortest of the settings that a request and its reply are measured by: nothing that begins
 * now is due before that.  worker.h has it as shortest_ns. */
uint64_t conn_shortest_ns(const struct worker_env *e);

#endif
