/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * counters.h - what a worker counts, as one table that makes the struct, the
 * names in /-/metrics, their help and their types.
 *
 * One struct counters per worker, written by that worker only: a count is a plain
 * addition and a relaxed store, so that the admin thread, which reads the counters at
 * any time, never sees half a number.  Relaxed is enough because no count orders anything
 * else: a reader may see two counters as they were at different moments.
 *
 * A counter that is not in a table here does not exist: add the row, count with
 * COUNT(), and metrics, help text and tests follow.
 */
#ifndef ADMIN_COUNTERS_H
#define ADMIN_COUNTERS_H

#include <stdint.h>
#include <string.h>

#include "base/status.h"
#include "ring/ring.h"

/*
 * X(field, metric, labels, type, help).  Rows with the same metric name stand
 * next to each other and share the first one's help.  The name in /-/metrics is
 * pasted_<metric>{worker="N",<labels>}.
 */
#define COUNTER_TABLE(X) \
	X(conns_accepted, "connections_accepted_total", "", counter, "Connections accepted.") \
	X(conns_closed, "connections_closed_total", "", counter, "Connections that are over.") \
	X(conns_open, "connections_open", "", gauge, "Connections open now.") \
	X(requests_record, "requests_total", "kind=\"record\"", counter, \
	  "Requests whose head was understood: record (POST PUT PATCH DELETE), read (GET HEAD OPTIONS), own (under /-/).") \
	X(requests_read, "requests_total", "kind=\"read\"", counter, "") \
	X(requests_own, "requests_total", "kind=\"own\"", counter, "") \
	X(requests_bad, "requests_bad_total", "", counter, "Requests refused by the parser; the connection was closed.") \
	X(recorded, "recorded_requests_total", "", counter, "Requests acknowledged after they were durable in the class announced.") \
	X(recorded_bytes, "recorded_bytes_total", "", counter, "Bytes of those requests, head and body.") \
	X(chunked, "chunked_requests_total", "", counter, "Recorded requests that came with chunk framing.") \
	X(batches, "batches_total", "", counter, "Turns of the worker's loop that had work.") \
	X(refused_pool, "refused_total", "reason=\"pool\"", counter, \
	  "Requests refused although nothing was wrong with them: pool (503, buffers), lane (503, log full), failed (503, lane failed), nospace (507), draining (503), busy (503, too many read-backs).") \
	X(refused_lane, "refused_total", "reason=\"lane\"", counter, "") \
	X(refused_failed, "refused_total", "reason=\"failed\"", counter, "") \
	X(refused_nospace, "refused_total", "reason=\"nospace\"", counter, "") \
	X(refused_draining, "refused_total", "reason=\"draining\"", counter, "") \
	X(refused_busy, "refused_total", "reason=\"busy\"", counter, "") \
	X(timeout_head, "timeouts_total", "what=\"head\"", counter, \
	  "Clients given up on: slow with the head, slow with the body, idle between requests, slow to read replies.") \
	X(timeout_body, "timeouts_total", "what=\"body\"", counter, "") \
	X(timeout_idle, "timeouts_total", "what=\"idle\"", counter, "") \
	X(timeout_send, "timeouts_total", "what=\"send\"", counter, "") \
	X(vanished, "connections_vanished_total", "", counter, "Connections that ended inside a request.") \
	X(paused, "read_pauses_total", "", counter, "Times that reading of a connection stopped (push-back).") \
	X(gathered_bytes, "gathered_bytes_total", "", counter, "Bytes copied so that a client of tiny pieces holds no buffer per piece.") \
	X(pool_buffers, "pool_buffers", "", gauge, "Packet buffers of the worker.") \
	X(pool_free, "pool_buffers_free", "", gauge, "Packet buffers that nobody holds.") \
	X(pool_kernel, "pool_buffers_kernel", "", gauge, "Packet buffers given to the kernel, to be filled.") \
	X(ring_syscalls, "ring_syscalls_total", "", counter, "Entries into the kernel.") \
	X(ring_waits, "ring_waits_total", "", counter, "Batches of events taken from the ring.") \
	X(ring_data, "ring_data_total", "", counter, "Pieces of payload received.") \
	X(ring_bytes_in, "ring_received_bytes_total", "", counter, "Payload bytes received.") \
	X(ring_bytes_out, "ring_sent_bytes_total", "", counter, "Payload bytes sent.") \
	X(ring_sends, "ring_sends_total", "", counter, "Sends.") \
	X(accept_failed, "accept_failures_total", "", counter, "Times that accepting stopped for want of descriptors or memory.") \
	X(turned_away, "connections_turned_away_total", "", counter, "Connections closed at once: there were as many as may be.") \
	X(ring_starved, "ring_starved_total", "", counter, "Times that receiving stopped for want of buffers.") \
	X(ring_copied_other, "ring_copied_bytes_total", "reason=\"other\"", counter, \
	  "Payload bytes copied on the way into the buffers, by reason (paste(4)); all of them (other) where no network device fills these.") \
	X(ring_copied_protocol, "ring_copied_bytes_total", "reason=\"protocol\"", counter, "") \
	X(ring_copied_small, "ring_copied_bytes_total", "reason=\"small\"", counter, "") \
	X(ring_copied_unattached, "ring_copied_bytes_total", "reason=\"unattached\"", counter, "") \
	X(ring_copied_flow, "ring_copied_bytes_total", "reason=\"flow\"", counter, "") \
	X(ring_copied_pool, "ring_copied_bytes_total", "reason=\"pool\"", counter, "") \
	X(ring_copied_spare, "ring_copied_bytes_total", "reason=\"spare\"", counter, "") \
	X(ring_copied_headers, "ring_copied_bytes_total", "reason=\"headers\"", counter, "") \
	X(ring_copied_memory, "ring_copied_bytes_total", "reason=\"memory\"", counter, "") \
	X(ring_zero_copy, "ring_zero_copy_bytes_total", "", counter, "Payload bytes that the network device put into the buffers.") \
	X(latency_sum_us, "latency_sum_microseconds", "", internal, "The histogram's sum.")

/* Replies are counted by the rows of STATUS_TABLE, and others as "other". */
enum {
#define X(code, reason, body, retry_s) COUNTER_STATUS_##code,
	STATUS_TABLE(X)
#undef X
	COUNTER_STATUS_OTHER, COUNTER_STATUSES
};

/*
 * Latency of a durable request, from the moment that its last byte was seen to
 * the moment that its reply was handed to the ring: 4 buckets to the power of
 * two, in microseconds.  Bucket i < 4 holds exactly i us; from there bucket
 * 4 * o + q holds [(4 + q) << (o - 1), (5 + q) << (o - 1)).
 */
#define LATENCY_BUCKETS 96u		/* the last is for all from 29 s on */

struct counters {
#define X(field, metric, labels, type, help) uint64_t field;
	COUNTER_TABLE(X)
#undef X
	uint64_t status[COUNTER_STATUSES];
	uint64_t latency[LATENCY_BUCKETS];
} __attribute__((aligned(128)));	/* no line shared with another worker's */

/* COUNT and COUNT_SET are for the worker that owns the counters, COUNT_GET for any thread. */
#define COUNT(c, field, n) \
	__atomic_store_n(&(c)->field, (c)->field + (uint64_t)(n), __ATOMIC_RELAXED)
#define COUNT_SET(c, field, v) \
	__atomic_store_n(&(c)->field, (uint64_t)(v), __ATOMIC_RELAXED)
#define COUNT_GET(c, field) __atomic_load_n(&(c)->field, __ATOMIC_RELAXED)

/* Most replies are 200, so that test comes first. */
static inline void count_status(struct counters *c, int status)
{
	unsigned i;

	if (status == 200) {
		COUNT(c, status[COUNTER_STATUS_200], 1);
		return;
	}
	switch (status) {
#define X(code, reason, body, retry_s) case code: i = COUNTER_STATUS_##code; break;
	STATUS_TABLE(X)
#undef X
	default: i = COUNTER_STATUS_OTHER;
	}
	COUNT(c, status[i], 1);
}

static inline unsigned latency_bucket(uint64_t us)
{
	unsigned o, i;

	if (us < 4)
		return (unsigned)us;
	o = 61u - (unsigned)__builtin_clzll(us);	/* 4..7: 0, 8..15: 1, .. */
	i = 4u * (o + 1) + (unsigned)((us >> o) & 3);
	return i < LATENCY_BUCKETS ? i : LATENCY_BUCKETS - 1;
}

/* The first microsecond above bucket i; UINT64_MAX for the last. */
static inline uint64_t latency_above(unsigned i)
{
	if (i >= LATENCY_BUCKETS - 1)
		return UINT64_MAX;
	return i < 4 ? i + 1u : (uint64_t)(5 + i % 4) << (i / 4 - 1);
}

/* Counts n requests that took `us` microseconds each: those that were acknowledged together
 * share one reading of the clock. */
static inline void count_latency(struct counters *c, uint64_t us, uint64_t n)
{
	unsigned i = latency_bucket(us);

	COUNT(c, latency[i], n);
	COUNT(c, latency_sum_us, us * n);
}

/* Copies the ring's own counters, once a batch, so that no other thread has to touch the ring. */
static inline void count_ring(struct counters *c, const struct ring_stats *s)
{
	COUNT_SET(c, ring_syscalls, s->syscalls);
	COUNT_SET(c, ring_waits, s->waits);
	COUNT_SET(c, ring_data, s->data);
	COUNT_SET(c, ring_bytes_in, s->bytes_in);
	COUNT_SET(c, ring_bytes_out, s->bytes_out);
	COUNT_SET(c, ring_sends, s->sends);
	COUNT_SET(c, accept_failed, s->no_files);
	COUNT_SET(c, turned_away, s->turned_away);
	COUNT_SET(c, ring_starved, s->starved);
#define X(name, label) COUNT_SET(c, ring_copied_##label, s->bytes_copied[RING_COPY_##name]);
	RING_COPY_TABLE(X)
#undef X
	COUNT_SET(c, ring_zero_copy, s->bytes_zero_copy);
}

#endif
