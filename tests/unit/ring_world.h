/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring_world.h - a small worker around one ring, for test_ring.c: a pool whose
 * buffers are accounted for one by one, a server per connection, and clients.
 *
 * A buffer is FREE, GIVEN (the ring's) or HELD (delivered, not freed yet); DATA that
 * names a buffer which is not GIVEN fails the test, and so does at the end of each
 * world a buffer that is GIVEN and does not come out again (world_end drains the
 * window through a connection), and a descriptor more than at the start.
 */
#ifndef RING_WORLD_H
#define RING_WORLD_H

#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <sys/socket.h>

#include <cmocka.h>

#include "ring/ring.h"

extern const struct ring_ops *ring_ops;		/* the one under test */

enum { LISTEN_4, LISTEN_6, LISTEN_UNIX, LISTENERS };
enum { BUF_FREE, BUF_GIVEN, BUF_HELD };

struct wbuf {
	uint8_t state;
	uint16_t off, len;
	uint32_t next;		/* in the queue of its connection */
};

struct wconn {
	bool open, eof, error, closing, sending, paused, fin;
	int listener;
	int sent_res;		/* of the last RING_SENT */
	unsigned sent;		/* number of RING_SENT */
	unsigned flight;	/* buffers of the send in flight */
	uint32_t first, last;	/* received, not echoed yet; NIL: none */
	uint64_t got;		/* bytes received */
	uint64_t check;		/* sum over what was received (world_sum) */
	unsigned closed_at;	/* the turn in which it was closed */
};

struct world {
	struct ring *ring;
	unsigned nbufs, buf_size, first_buf, conns_max, ev_max;
	uint8_t *mem;
	struct wbuf *buf;	/* [nbufs] */
	uint32_t *free;
	unsigned nfree, given, held;
	int listener[LISTENERS];
	struct sockaddr_storage addr[LISTENERS];
	socklen_t addr_len[LISTENERS];
	struct wconn *c;	/* [conns_max] */
	unsigned open, accepted, closed, woken, synced;
	int sync_res;
	uint32_t last_conn;	/* of the last ACCEPT */
	bool echo;		/* send back what comes, close at the end of the stream */
	bool keep;		/* do not give buffers to the ring */
	bool close_at_accept;
	unsigned turns;
	int fds;		/* open when the world began */
};

#define WNIL UINT32_MAX

struct world *world_new(unsigned nbufs, unsigned buf_size, unsigned conns_max);
void world_end(struct world *w);	/* checks, frees */
void world_forget(struct world *w);	/* frees only */
/* One ring_wait and what follows from it. */
int  world_turn(struct world *w, int timeout_ms);
/* Turns until the expression is true; fails the test when that takes for ever. */
#define WORLD_UNTIL(w, expr) do { \
	for (unsigned turns_ = 0; !(expr); turns_++) { \
		assert_true(turns_ < 2000000); \
		world_turn(w, 100); \
		world_watchdog(#expr, !(expr)); \
	} \
	world_watchdog(NULL, false); \
} while (0)
void world_watchdog(const char *what, bool waiting);
/* Turns while nothing is expected to happen. */
void world_idle(struct world *w, unsigned turns);
void world_close_conn(struct world *w, uint32_t conn);
void world_send(struct world *w, uint32_t conn, const void *p, size_t n);

int  client_connect(const struct world *w, int listener);	/* blocking, with a time limit */
void client_reset(int fd);				/* closes with a RST */
/* All bytes, or false. */
bool client_write(int fd, const void *p, size_t n);
bool client_read(int fd, void *p, size_t n);
bool client_eof(int fd);
uint8_t pattern(uint32_t seed, uint64_t at);		/* the byte at `at` of a stream */
uint64_t world_sum(uint64_t sum, uint64_t at, const uint8_t *p, size_t n);
int  fds_open(void);

int  ring_ends_run(void);	/* test_ring_ends.c */

#endif
