/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reply.h - a worker's fixed replies, and a connection's output in order.
 *
 * Output lives in blocks of REPLY_BLOCK bytes from the worker's pool, so that nothing is
 * allocated while requests are served.  There is one block for each connection that may be
 * open and REPLY_EXTRA more that pipelining may use.  Before a reply is made, reply_room()
 * must have returned true.  Heads are written by head.h.
 */
#ifndef HTTP_REPLY_H
#define HTTP_REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "http/head.h"

#define REPLY_BLOCK	2048u
#define REPLY_EXTRA	8192u
#define REPLY_MAX	(536u + HEAD_FIELDS)	/* bytes of the largest reply made here */

struct reply_block {
	struct reply_block *next;
	uint64_t start;			/* position in the connection's output */
	uint32_t used;
	char data[REPLY_BLOCK - 24];
};

/*
 * A connection's output: a stream of bytes with three marks, all counted from the start of the
 * connection.  All zero: empty.
 *
 *     sent  <=  ready  <=  end
 *      |          |         `- replies made so far
 *      |          `- replies may leave up to here: what they promise is durable
 *      `- has left
 */
struct reply_out {
	struct reply_block *first, *last;
	uint64_t sent, ready, end;
};

struct reply_pool {
	struct reply_block *mem;
	size_t mem_len;
	struct reply_block *free;	/* the list of blocks that were given back */
	size_t fresh, blocks;		/* blocks from index fresh on were never used */
	size_t extra_left;		/* of REPLY_EXTRA */
	const struct head_common *common;
	struct head_date date;
	struct head_recorded recorded;
};

/* common outlives p.  lane and named: see head_recorded_init().  0 or -errno. */
int  reply_init(struct reply_pool *p, unsigned conns_max, const struct head_common *common,
		unsigned lane, bool named);
void reply_fini(struct reply_pool *p);
void reply_clock(struct reply_pool *p, uint64_t wall_ms);	/* once per batch */

/* Room for one more reply of REPLY_MAX bytes in o. */
bool reply_room(struct reply_pool *p, struct reply_out *o);
/* The 200 of a recorded request.  close: the connection closes after it.  old: HTTP/1.0. */
void reply_recorded(struct reply_pool *p, struct reply_out *o, uint64_t seq, bool close, bool old);
/* Any other status, with a short JSON body that says why (204: none).  head: no body is sent.
 * extra: more fields, or NULL.  why has no quotes or control bytes. */
struct reply_opt { bool close, old, head; const char *extra; };
void reply_status(struct reply_pool *p, struct reply_out *o, int status, const char *why, struct reply_opt r);
/* The same with a text/plain body; it is cut to fit. */
void reply_text(struct reply_pool *p, struct reply_out *o, int status, const char *text, size_t len,
		struct reply_opt r);
void reply_continue(struct reply_pool *p, struct reply_out *o);

/* Fills up to n iovecs with output that may leave, [sent, ready); *end is where they end. */
struct iovec;
unsigned reply_iov(const struct reply_out *o, struct iovec *iov, unsigned n, uint64_t *end);
void reply_sent(struct reply_pool *p, struct reply_out *o, uint64_t upto);	/* frees it */
void reply_truncate(struct reply_pool *p, struct reply_out *o, uint64_t to);	/* drops the rest */
void reply_free(struct reply_pool *p, struct reply_out *o);

#endif
