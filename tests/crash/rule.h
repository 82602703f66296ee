/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rule.h - the server's part of the promise under test: the real worker over a ring
 * that is a script, over a store in the two simulators.
 *
 *	server_rule.c	the store, its restarts, the power cut at every 2xx, the judge
 *	rule_ring.c	struct ring_ops: what clients, disk and checkpointer do, drawn from
 *			the seed, all in the worker's thread
 *	rule_client.c	requests as bytes, the records they should become, replies read
 */
#ifndef CRASH_RULE_H
#define CRASH_RULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../sim/blk_sim.h"
#include "ring/ring.h"

#define RULE_CLIENTS	4u
#define RULE_CONNS	6u	/* handles */
#define RULE_HEAD	2048u
#define RULE_BODY	12000u

enum req_kind { REQ_RECORD, REQ_READYZ, REQ_NOTHING, REQ_BAD, REQ_KINDS };

struct req {
	enum req_kind kind;
	uint8_t *wire;		/* what the client sends */
	uint32_t wire_len;
	uint8_t *record;	/* what is to be found */
	uint32_t record_len;
	bool	 last;		/* says Connection: close, or must be closed upon */
	bool	 delivered;	/* its last byte was handed to the worker */
	bool	 late;		/* ... after the lane had failed */
	int	 status;	/* of the reply; 0: none yet */
	uint64_t seq;		/* acknowledged under this number; 0: not */
};

struct client {			/* one connection of it after the other */
	bool	 open;
	bool	 fickle;	/* may vanish at any time; the others stay for every reply */
	uint32_t handle;
	struct req *req;	/* of this connection */
	unsigned n, sent, answered;
	uint32_t off;		/* into req[sent].wire */
	uint8_t	 in[1024];	/* replies, not yet understood */
	uint32_t in_len;
	unsigned conns_left;
};

struct rule {
	struct sim_rng rng;
	struct client client[RULE_CLIENTS];
	struct req *all;	/* of all connections; never moved: clients point into it */
	unsigned nall, cap;
	unsigned acked, refused, readyz_bad;
	unsigned in_ring;	/* buffers that the ring has */
	bool	 failed_lane;	/* the script has seen the lane fail */
	uint64_t failed_durable;	/* what was durable then */
	bool	 failed;	/* the test */
	char	 why[512];
};

void rule_fail(struct rule *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
uint32_t rule_draw(struct rule *r, uint32_t n);		/* 0 .. n - 1 */

/* rule_client.c */
void client_connect(struct rule *r, struct client *c, uint32_t handle);
/* The next bytes: how many of at most n, in p; the request they end is delivered. */
uint32_t client_bytes(struct rule *r, struct client *c, uint8_t *p, uint32_t n);
bool client_all_sent(const struct client *c);
/* Bytes that the server sends.  true: a record was acknowledged in them. */
bool client_reply(struct rule *r, struct client *c, const uint8_t *p, size_t n);
void rule_requests_free(struct rule *r);

/* rule_ring.c */
struct store;
struct worker;
struct rule_disk {		/* what the ring's script may do besides */
	struct store *store;
	struct blk_sim *blk;
	int	 fault;		/* enum sim_op that is to fail once, -1: none */
	int	 err;		/* with this errno */
	unsigned fault_in;	/* at the how manyth commit or checkpoint */
	void	(*acked)(struct rule *r);	/* a 2xx is about to leave */
};
extern const struct ring_ops rule_ring;
void rule_ring_set(struct rule *r, const struct rule_disk *d);	/* before worker_start */
void rule_ring_go(struct worker *w);				/* after it */

#endif
