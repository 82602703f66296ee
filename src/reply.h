/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * reply.h - fixed replies, and a connection's output in order.
 *
 * Output lives in blocks of REPLY_BLOCK bytes from the worker's pool: never
 * allocated on the way.  There is one block for each connection that may be open
 * and REPLY_EXTRA more that pipelining may use; a reply is made only when
 * reply_room() said yes.
 */
#ifndef REPLY_H
#define REPLY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REPLY_BLOCK	2048u
#define REPLY_EXTRA	8192u
#define REPLY_MAX	600u		/* bytes of the largest reply made here */

struct conn;
struct reply_block {
	struct reply_block *next;
	uint64_t start;			/* position in the connection's output */
	uint32_t used;
	char data[REPLY_BLOCK - 24];
};

struct reply_pool {
	struct reply_block *mem;
	size_t mem_len;
	struct reply_block *free;	/* given back */
	size_t fresh, blocks;		/* never used yet: from index fresh on */
	size_t extra_left;
	char class_name[16];
	unsigned lane;
	bool named;			/* records have names (all classes but none) */
	uint64_t date_s;		/* the second that date[] is for */
	char date[40];			/* "Date: ...\r\n" */
	unsigned date_len;
	/* of the 200 of a recorded request, what stands before and behind its numbers */
	char head[128], class_line[40], tail[40];
	unsigned head_len, class_line_len, tail_len;
	char keep[80];			/* for a connection that stays: how long it does */
	unsigned keep_len;
};

/* idle_ms: how long a connection may be idle; clients are told less (Keep-Alive). */
int  reply_init(struct reply_pool *p, unsigned conns_max, const char *class_name, unsigned lane, bool named,
		unsigned idle_ms);
/* "Connection: keep-alive" and "Keep-Alive: timeout=N" as lines; 0: too short to name. */
unsigned reply_keep_alive(char *buf, size_t n, unsigned idle_ms);
void reply_fini(struct reply_pool *p);
void reply_clock(struct reply_pool *p, uint64_t wall_ms);	/* once per batch */

/* Room for one more reply of REPLY_MAX bytes in c's output. */
bool reply_room(struct reply_pool *p, struct conn *c);
/* The 200 of a recorded request. close: say so. old: HTTP/1.0. */
void reply_recorded(struct reply_pool *p, struct conn *c, uint64_t seq, bool close, bool old);
/* Any other status, with a short JSON body that says why (204: none). head: no
 * body is sent. why: no quotes or control bytes in it. */
struct reply_opt { bool close, old, head; const char *extra; };
void reply_status(struct reply_pool *p, struct conn *c, int status, const char *why, struct reply_opt o);
/* The same with a text/plain body; it is cut to fit. */
void reply_text(struct reply_pool *p, struct conn *c, int status, const char *text, size_t len,
		struct reply_opt o);
void reply_continue(struct reply_pool *p, struct conn *c);

/* Up to n iovecs of what may leave ([out_sent, out_ready)); *end is where they end. */
struct iovec;
unsigned reply_iov(const struct conn *c, struct iovec *iov, unsigned n, uint64_t *end);
void reply_sent(struct reply_pool *p, struct conn *c, uint64_t upto);	/* frees what has left */
void reply_truncate(struct reply_pool *p, struct conn *c, uint64_t to);	/* forgets what follows */
void reply_free(struct reply_pool *p, struct conn *c);

#endif
