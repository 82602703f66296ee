/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_lane.c - append, commit, checkpoint and reclaim over simulated memory and
 * storage: what is durable when, through every crash, and who gets which buffer back.
 */
#include "lane/lane_priv.h"
#include "segment/segment_priv.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../sim/blk_sim.h"
#include "../sim/pm_sim.h"
#include "format/codec.h"
#include "lane/lane_checkpoint.h"
#include "lane/scan.h"
#include "segment/seg_read.h"
#include "segment/seg_scan.h"
#include "store/store.h"

#define LOG_DIR "/log"
#define BUF 2048u
#define SEG_BYTES (64u << 10)

static uint64_t seg_bytes = SEG_BYTES;

static struct world {
	struct blk_sim *disk;
	const struct blk_ops *blk;
	struct pm_sim *sim;
	struct pm_map memory;		/* the pool of fsync */
	struct walfile wal;
	struct pool pool;
	struct seglog *seg;
	struct sim_aio aio;
	struct lane_checkpoint *settle;
	struct lane lane;
	uint64_t now;
} w;

static struct lane *const l = &w.lane;

static uint64_t rnd(void)
{
	static uint64_t x = 88172645463325252ull;

	x ^= x << 13;
	x ^= x >> 7;
	return x ^= x << 17;
}

static uint64_t clock_ms(void)
{
	return w.now;
}

static uint64_t salt(void)
{
	return 0x1234567812345678;
}

static void open_log(void)
{
	struct seg_scan_options so = { .dir = LOG_DIR };
	struct seglog_options o = { .dir = LOG_DIR, .segment_bytes = seg_bytes,
				    .now_ms = clock_ms, .random = salt };
	struct seglog_resume r;
	struct seg_lane found;

	w.disk = blk_sim_new();
	w.blk = so.blk = o.blk = blk_sim_ops(w.disk);
	assert_int_equal(w.blk->mkdir(w.blk->ctx, NULL, LOG_DIR), 0);
	assert_int_equal(seg_scan_lane(&so, &found), 0);
	seg_lane_resume(&found, &r);
	assert_int_equal(seglog_open(&w.seg, &o, &found, &r), 0);
	seg_lane_free(&found);
}

static void setup(enum durability_class cls, uint64_t entries, uint32_t bufs)
{
	struct walfile_want want = { .lanes = 1, .buf_size = BUF, .entries = entries, .bufs = bufs,
				     .cls = cls };
	struct lane_params p = { .cls = cls, .pool = &w.pool, .next_seq = 1, .wal = &w.wal,
				 .record_bytes_max = 40000, .segment_bytes = seg_bytes };
	uint8_t *base;

	memset(&w, 0, sizeof(w));
	w.now = 1000;
	open_log();
	w.sim = pm_sim_new();
	p.pm = pm_sim_ops(w.sim);
	p.blk = w.blk;
	p.seg = w.seg;
	sim_aio_init(&w.aio);
	p.aio = &w.aio.aio;
	if (class_has_wal(cls)) {
		assert_int_equal(walfile_create(&w.wal, p.pm, "/pm", &want), 0);
		base = w.wal.bufs.addr;
	} else {
		assert_int_equal(p.pm->map(p.pm->ctx, NULL, 0, (size_t)bufs * BUF, 0, &w.memory), 0);
		base = w.memory.addr;
	}
	assert_int_equal(pool_init(&w.pool, base, BUF, 0, bufs), 0);
	assert_int_equal(lane_checkpoint_new(&w.settle), 0);
	assert_int_equal(lane_init(l, &p), 0);
}

/* Everything is given back first, or the test fails. */
static void teardown(bool all_back)
{
	if (all_back) {
		assert_int_equal(w.pool.nfree, w.pool.n);
		assert_int_equal(w.pool.nodes_left, 2 * w.pool.n + 1024);
	}
	lane_fini(l);
	pool_fini(&w.pool);
	lane_checkpoint_free(w.settle);
	seglog_close(w.seg);
	if (w.wal.wal.addr)
		walfile_close(&w.wal);
	else
		pm_sim_ops(w.sim)->unmap(w.sim, &w.memory);
	pm_sim_free(w.sim);
	blk_sim_free(w.disk);
}

/* ---- records ---- */

/* The bytes of record `seq`: its length and content follow from the number. */
static uint32_t length_of(uint64_t seq)
{
	static const uint32_t some[] = { 1, 70, 300, 1200, 2048, 2500, 5000, 64, 9000, 130 };

	return some[seq % 10];
}

static uint8_t byte_of(uint64_t seq, uint32_t i)
{
	return (uint8_t)(seq * 131 + i * 7 + (i >> 8));
}

/* The kernel fills a buffer at off; NULL-like FRAG_NIL when there is none. */
static uint32_t fill(uint64_t seq, uint32_t from, uint32_t off, uint32_t len)
{
	uint32_t idx = pool_take(&w.pool);

	if (idx == FRAG_NIL)
		return idx;
	memset(pool_addr(&w.pool, idx), 0xee, BUF);
	for (uint32_t i = 0; i < len; i++)
		pool_addr(&w.pool, idx)[off + i] = byte_of(seq, from + i);
	pool_hold(&w.pool, idx);
	return idx;
}

/* Received in buffers, each in one piece.  0 or what lane_add said. */
static int receive(struct frags *r, uint64_t seq, uint32_t off)
{
	uint32_t len = length_of(seq), at = 0;
	int err = 0;

	*r = FRAGS_INIT;
	while (at < len && !err) {
		uint32_t n = len - at < BUF - off ? len - at : BUF - off;
		uint32_t idx = fill(seq, at, off, n);

		if (idx == FRAG_NIL)
			err = -ENOBUFS;
		else {
			err = lane_add(l, r, idx, off, n);
			pool_drop(&w.pool, idx);
		}
		at += n;
		off = 0;
	}
	if (err)
		lane_drop(l, r);
	return err;
}

/* One record of the next number, or false when there is no room now. */
static bool append(void)
{
	struct frags r;
	uint64_t seq = l->next_seq;

	if (receive(&r, seq, (uint32_t)(seq % 3 * 500)))
		return false;
	if (!lane_append(l, &r)) {
		lane_drop(l, &r);
		return false;
	}
	assert_int_equal(r.n, 0);
	assert_int_equal(r.first, FRAG_NIL);
	return true;
}

static void check_bytes(uint64_t seq, const uint8_t *data, uint32_t len, uint32_t from)
{
	for (uint32_t i = 0; i < len; i++)
		if (data[i] != byte_of(seq, from + i))
			fail_msg("record %u differs at %u", (unsigned)seq, from + i);
}

static void prepare(void)
{
	while (seglog_prepare(w.seg) > 0)
		;
}

static void checkpoint(uint64_t slice)
{
	int r;

	do {
		r = lane_checkpoint_slice(l, w.settle, slice);
		if (r == -EAGAIN) {
			prepare();
			r = 1;
		}
		assert_in_range(r, 0, 1);
	} while (r);
}

/* Every number from 1 to `last` is in the segments, once, in order, with its bytes. */
static void check_segments(uint64_t last)
{
	struct seg_cursor *c;
	struct frame_header h;
	const uint8_t *data;
	uint64_t seq = 1;

	assert_int_equal(seg_read_open(w.seg, 1, &c), 0);
	for (; seg_read_next(c, &h, &data) == 1; seq++) {
		assert_int_equal(h.seq, seq);
		assert_int_equal(h.len, length_of(seq));
		check_bytes(seq, data, h.len, 0);
	}
	assert_int_equal(seq, last + 1);
	assert_int_equal(seg_read_damaged(c), 0);
	seg_read_close(c);
}

/* ---- naming ---- */

static void adjacent_pieces_are_one(void **state)
{
	struct frags r = FRAGS_INIT;
	uint32_t a, b;

	(void)state;
	setup(CLASS_NVMM, 128, 16);
	a = fill(1, 0, 0, 600);
	b = fill(1, 600, 0, 300);
	assert_int_equal(lane_add(l, &r, a, 0, 100), 0);
	assert_int_equal(lane_add(l, &r, a, 100, 500), 0);
	assert_int_equal(r.n, 1);
	assert_int_equal(lane_add(l, &r, b, 0, 300), 0);
	assert_int_equal(lane_add(l, &r, b, 0, 0), 0);
	assert_int_equal(r.n, 2);
	assert_int_equal(r.bytes, 900);
	assert_int_equal(w.pool.holds[a], 2);
	assert_int_equal(w.pool.holds[b], 2);
	pool_drop(&w.pool, a);
	pool_drop(&w.pool, b);
	lane_drop(l, &r);
	assert_int_equal(r.n, 0);
	teardown(true);
}

/* A byte at a time, each in a buffer of its own: two buffers are held, not a thousand. */
static void tiny_pieces_hold_no_buffers(void **state)
{
	struct frags r = FRAGS_INIT;
	struct scan s;
	struct scan_item it;
	uint32_t at = 0;

	(void)state;
	setup(CLASS_NVMM, 128, 16);
	while (at < 5000) {
		uint32_t n = at % 1000 == 400 ? 600 : 1 + at % 7;	/* now and then a large one */
		uint32_t idx = fill(1, at, 9, n);

		assert_int_equal(lane_add(l, &r, idx, 9, n), 0);
		pool_drop(&w.pool, idx);
		at += n;
	}
	assert_in_range(w.pool.n - w.pool.nfree, 2, 10);
	assert_in_range(r.n, 2, 16);
	assert_in_range(w.pool.gathered_bytes, 1000, 5000);
	assert_int_equal(lane_append(l, &r), 1);
	assert_int_equal(lane_commit(l, 1), 0);
	scan_start(&s, &w.wal, 0);
	assert_int_equal(scan_next(&s, &it), SCAN_RECORD);
	at = 0;
	for (uint32_t i = 0; i < it.nfrags; i++) {
		struct frag f = scan_frag(&s, &it, i);

		check_bytes(1, scan_addr(&s, &f), f.len, at);
		at += f.len;
	}
	assert_int_equal(at, it.bytes);
	checkpoint(1 << 20);
	lane_reclaim(l);
	teardown(true);
}

/* Two records of one buffer; small pieces of the second are not copied into a buffer
 * that the first has a part in. */
static void a_buffer_shared_by_two(void **state)
{
	struct frags r = FRAGS_INIT, q = FRAGS_INIT;
	uint32_t a, b;

	(void)state;
	setup(CLASS_NVMM, 128, 16);
	a = fill(1, 0, 0, 1000);
	b = fill(1, 0, 0, 1000);
	assert_int_equal(lane_add(l, &r, a, 0, 500), 0);
	assert_int_equal(lane_add(l, &q, a, 500, 10), 0);	/* the first piece is never copied */
	assert_int_equal(w.pool.gathered_bytes, 0);
	assert_int_equal(lane_add(l, &q, b, 0, 10), 0);
	assert_int_equal(lane_add(l, &r, b, 20, 10), 0);
	assert_int_equal(w.pool.gathered_bytes, 20);
	assert_int_not_equal(q.gather, r.gather);
	assert_int_not_equal(q.gather, a);
	assert_int_equal(w.pool.holds[b], 1);
	lane_drop(l, &q);
	assert_int_equal(w.pool.holds[a], 2);
	lane_drop(l, &r);
	pool_drop(&w.pool, a);
	pool_drop(&w.pool, b);
	teardown(true);
}

/* Adds to r one byte after the other of idx, every other one, until it cannot. */
static int add_scattered(struct frags *r, uint32_t idx, uint32_t from, uint32_t n)
{
	int err = 0;

	for (uint32_t i = 0; i < n && !err; i++)
		err = lane_add(l, r, idx, from + 2 * i, 1);
	return err;
}

/* With no buffer to copy into, small pieces stay where they lie if that costs none. */
static void small_pieces_without_a_free_buffer(void **state)
{
	struct frags r = FRAGS_INIT, q = FRAGS_INIT;
	uint32_t a, b, last = FRAG_NIL, idx;

	(void)state;
	setup(CLASS_NVMM, 128, 16);
	a = fill(1, 0, 0, 1000);
	b = fill(1, 0, 0, 1000);
	while ((idx = pool_take(&w.pool)) != FRAG_NIL) {
		pool_hold(&w.pool, idx);
		last = idx;
	}
	assert_int_equal(lane_add(l, &r, a, 0, 1), 0);
	assert_int_equal(add_scattered(&r, a, 2, 10), 0);	/* its own buffer already */
	assert_int_equal(r.n, 11);
	assert_int_equal(r.bytes, 11);
	assert_int_equal(w.pool.gathered_bytes, 0);
	/* Another one would be held for one byte. */
	assert_int_equal(lane_add(l, &r, b, 0, 1), -ENOBUFS);
	assert_int_equal(r.n, 11);
	assert_int_equal(r.bytes, 11);
	assert_int_equal(w.pool.holds[b], 1);
	/* Unless there are plenty, with the kernel. */
	w.pool.lent = w.pool.n / 4;
	assert_int_equal(lane_add(l, &r, b, 0, 1), -ENOBUFS);
	w.pool.lent++;
	assert_int_equal(lane_add(l, &r, b, 0, 1), 0);
	assert_int_equal(w.pool.holds[b], 2);
	w.pool.lent = 0;
	/* Not so many pieces that large ones find no frag of a record or no node. */
	assert_int_equal(add_scattered(&r, b, 2, 200), -ENOBUFS);
	assert_int_equal(r.n, l->frags_max / 2);
	w.pool.nodes_left = w.pool.n;
	assert_int_equal(lane_add(l, &q, a, 600, 1), 0);
	assert_int_equal(lane_add(l, &q, a, 602, 1), -ENOBUFS);
	w.pool.nodes_left = 2 * w.pool.n + 1024 - r.n - q.n;
	/* With a free buffer they are copied again. */
	pool_drop(&w.pool, last);
	assert_int_equal(add_scattered(&r, b, 500, 200), 0);
	assert_int_equal(w.pool.gathered_bytes, 200);
	assert_int_equal(r.n, l->frags_max / 2 + 1);
	lane_drop(l, &q);
	lane_drop(l, &r);
	for (uint32_t i = 0; i < w.pool.n; i++)
		if (w.pool.holds[i])
			pool_drop(&w.pool, w.pool.first + i);
	teardown(true);
}

static void too_large(void **state)
{
	struct frags r = FRAGS_INIT;
	uint32_t a;
	int err = 0;

	(void)state;
	setup(CLASS_NVMM, 64, 64);
	assert_int_equal(lane_admit(l, 40001), -EFBIG);
	assert_int_equal(lane_admit(l, 1000), 0);
	a = fill(1, 0, 0, BUF);
	for (unsigned i = 0; i < 40 && !err; i++)	/* never adjacent, too large to copy */
		err = lane_add(l, &r, a, i % 2 * 1000, 300);
	assert_int_equal(err, -EFBIG);
	assert_int_equal(r.n, 32);
	lane_drop(l, &r);
	pool_drop(&w.pool, a);
	teardown(true);
}

/* The largest record itself is taken, whole or in pieces; a byte more is not, and the record is
 * as it was. */
static void the_largest(void **state)
{
	static const enum durability_class classes[] = { CLASS_NVMM, CLASS_FSYNC };

	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		struct frags r = FRAGS_INIT;
		uint32_t at = 0, idx;

		setup(classes[k], 512, 64);
		assert_int_equal(lane_admit(l, 40000), 0);
		assert_int_equal(lane_admit(l, 40001), -EFBIG);
		while (at < 40000) {
			uint32_t n = 40000 - at < BUF ? 40000 - at : BUF;

			idx = fill(1, at, 0, n);
			assert_int_equal(lane_add(l, &r, idx, 0, n), 0);
			pool_drop(&w.pool, idx);
			at += n;
		}
		assert_int_equal(r.bytes, 40000);
		idx = fill(1, at, 0, 1);
		assert_int_equal(lane_add(l, &r, idx, 0, 1), -EFBIG);
		pool_drop(&w.pool, idx);
		assert_int_equal(r.bytes, 40000);
		assert_int_equal(lane_append(l, &r), 1);
		assert_int_equal(r.bytes, 0);
		teardown(false);
	}
}

static bool is_init(const struct frags *r)
{
	const struct frags none = FRAGS_INIT;

	return !memcmp(r, &none, sizeof(none));
}

/* What is small is copied, into one buffer until that is full to its last byte, then into the
 * next. */
static void what_is_small(void **state)
{
	struct frags r = FRAGS_INIT;
	uint32_t a, nfree;

	(void)state;
	setup(CLASS_NVMM, 512, 16);
	a = fill(1, 0, 0, BUF);
	assert_int_equal(lane_add(l, &r, a, 0, 1), 0);
	assert_int_equal(lane_add(l, &r, a, 1000, LANE_GATHER + 1), 0);
	assert_int_equal(w.pool.gathered_bytes, 0);
	assert_int_equal(r.n, 2);
	nfree = w.pool.nfree;
	for (uint32_t i = 0; i < BUF / LANE_GATHER; i++) {
		assert_int_equal(lane_add(l, &r, a, i % 2 * 300, LANE_GATHER), 0);
		assert_int_equal(w.pool.nfree, nfree - 1);
		assert_int_equal(r.n, 3);
	}
	assert_int_equal(w.pool.gathered_bytes, BUF);
	assert_int_equal(lane_add(l, &r, a, 7, 1), 0);
	assert_int_equal(w.pool.nfree, nfree - 2);
	assert_int_equal(r.n, 4);
	assert_int_equal(w.pool.gathered_bytes, BUF + 1);
	lane_drop(l, &r);
	assert_true(is_init(&r));
	pool_drop(&w.pool, a);
	teardown(true);
}

/* A piece that finds no node, or whose record has its frags: nothing was done, and nothing is
 * kept, whether it would have been copied or not.  What joins the last frag needs neither. */
static void refused_pieces_keep_nothing(void **state)
{
	static const struct { uint32_t off, len; } piece[] = { { 700, 5 }, { 700, 500 } };

	(void)state;
	for (int k = 0; k < 4; k++) {
		bool frags = k & 1;
		struct frags r = FRAGS_INIT, was;
		uint32_t a, nfree, nodes, holds;

		setup(CLASS_NVMM, 512, 16);
		a = fill(1, 0, 0, BUF);
		assert_int_equal(lane_add(l, &r, a, 0, 600), 0);
		was = r;
		nfree = w.pool.nfree;
		nodes = w.pool.nodes_left;
		holds = w.pool.holds[a];
		if (frags)
			l->frags_max = r.n;
		else
			w.pool.nodes_left = 0;
		assert_int_equal(lane_add(l, &r, a, piece[k / 2].off, piece[k / 2].len),
				 frags ? -EFBIG : -ENOBUFS);
		assert_memory_equal(&r, &was, sizeof(r));
		assert_int_equal(w.pool.nfree, nfree);
		assert_int_equal(w.pool.nodes_left, frags ? nodes : 0);
		assert_int_equal(w.pool.holds[a], holds);
		assert_int_equal(w.pool.gathered_bytes, 0);
		assert_int_equal(lane_add(l, &r, a, 600, 100), 0);
		assert_int_equal(r.n, 1);
		assert_int_equal(r.bytes, 700);
		w.pool.nodes_left = nodes;
		lane_drop(l, &r);
		pool_drop(&w.pool, a);
		teardown(true);
	}
}

/* ---- admission ---- */

/* The words that are left, as if so many were used. */
static void words_left(uint64_t n)
{
	atomic_store(&l->committed_pos, atomic_load(&l->reclaimed_pos) + l->entries - n);
}

/* Where each bound is, and which answer is given where two apply. */
static void admission(void **state)
{
	(void)state;
	setup(CLASS_NVMM, 512, 64);
	words_left(50);			/* 18 frags are guessed, and a sixteenth of the ring is left */
	assert_int_equal(lane_admit(l, 10240), 0);
	assert_int_equal(lane_admit(l, 11264), -EAGAIN);
	l->nstaged = 1;
	assert_int_equal(lane_admit(l, 10240), -EAGAIN);
	l->nstaged = 0;
	words_left(49);
	assert_int_equal(lane_admit(l, 10240), -EAGAIN);
	words_left(512);
	w.pool.nodes_left = 18;
	assert_int_equal(lane_admit(l, 10240), 0);
	w.pool.nodes_left = 17;
	assert_int_equal(lane_admit(l, 10240), -EAGAIN);
	w.pool.nodes_left = 2 * 64 + 1024;
	/* A disk without room matters from half of the ring on, or three quarters of the buffers. */
	atomic_store(&l->nospace, -ENOSPC);
	w.pool.nfree = 16;
	words_left(256);
	assert_int_equal(lane_admit(l, 10), 0);
	words_left(255);
	assert_int_equal(lane_admit(l, 10), -ENOSPC);
	words_left(0);
	assert_int_equal(lane_admit(l, 10), -ENOSPC);
	words_left(256);
	w.pool.nfree = 15;
	assert_int_equal(lane_admit(l, 10), -ENOSPC);
	atomic_store(&l->nospace, 0);
	assert_int_equal(lane_admit(l, 10), 0);
	w.pool.nfree = 64;
	w.pool.nodes_left = 0;
	atomic_store(&l->settle_failed, -EBADMSG);
	assert_int_equal(lane_admit(l, 10), -EIO);
	assert_int_equal(lane_failed(l), -EBADMSG);
	atomic_store(&l->failed, STORE_EGONE);
	assert_int_equal(lane_failed(l), STORE_EGONE);
	words_left(512);
	w.pool.nodes_left = 2 * 64 + 1024;
	teardown(true);

	setup(CLASS_NVMM, 512, 16);		/* half of the buffers for one record at most */
	assert_int_equal(lane_admit(l, 16384), 0);
	assert_int_equal(lane_admit(l, 16385), -EFBIG);
	teardown(true);
	setup(CLASS_NVMM, 64, 64);		/* half of the words */
	assert_int_equal(lane_admit(l, 25599), 0);
	assert_int_equal(lane_admit(l, 25600), -EFBIG);
	teardown(true);
	setup(CLASS_FSYNC, 0, 64);
	assert_int_equal(lane_admit(l, 40000), 0);
	l->batch[0].nrec = LANE_BATCH_RECS;	/* nothing can be gathered while the other is on its way */
	assert_int_equal(lane_admit(l, 10), 0);
	l->flight = true;
	assert_int_equal(lane_admit(l, 10), -EAGAIN);
	l->batch[0].nrec--;
	assert_int_equal(lane_admit(l, 10), 0);
	l->batch[0].nrec = 0;
	l->flight = false;
	/* Without room on the disk, what still goes into the active segment. */
	atomic_store(&l->nospace, -EDQUOT);
	l->batch[0].bytes = seglog_room(w.seg) - 1056;
	assert_int_equal(lane_admit(l, 1000), 0);
	assert_int_equal(lane_admit(l, 1001), -ENOSPC);
	l->turning = true;
	assert_int_equal(lane_admit(l, 1001), 0);
	l->turning = false;
	atomic_store(&l->nospace, 0);
	assert_int_equal(lane_admit(l, 1001), 0);
	l->batch[0].bytes = 0;
	teardown(true);
}

/* ---- nvmm ---- */

/* A record of so many frags, none of them small, in one buffer. */
static uint64_t append_frags(uint32_t n)
{
	struct frags r = FRAGS_INIT;
	uint32_t a = fill(1, 0, 0, BUF);
	uint64_t seq;

	for (uint32_t i = 0; i < n; i++)
		assert_int_equal(lane_add(l, &r, a, i % 2 * 1000, 300), 0);
	pool_drop(&w.pool, a);
	seq = lane_append(l, &r);
	assert_int_equal(is_init(&r), seq != 0);
	if (!seq)
		lane_drop(l, &r);
	return seq;
}

/* What fills the ring to its last word is taken, in any lap; a word more is not. */
static void a_ring_to_the_last_word(void **state)
{
	struct scan s;
	struct scan_item it;

	(void)state;
	setup(CLASS_NVMM, 64, 64);
	for (uint64_t seq = 1; seq < 9; seq += 2) {
		assert_int_equal(append_frags(31), seq);	/* CLOCK, 31, SEAL */
		assert_int_equal(append_frags(31), 0);
		assert_int_equal(append_frags(30), seq + 1);
		assert_int_equal(append_frags(1), 0);
		assert_int_equal(lane_fill_pct(l), 0);
		assert_int_equal(lane_commit(l, 1), 0);
		assert_int_equal(lane_fill_pct(l), 100);
		assert_int_equal(append_frags(1), 0);
		scan_start(&s, &w.wal, 0);
		for (uint64_t i = 0; i < 2; i++) {
			assert_int_equal(scan_next(&s, &it), SCAN_RECORD);
			assert_int_equal(it.seq, seq + i);
			assert_int_equal(it.nfrags, 31 - i);
		}
		assert_int_equal(scan_next(&s, &it), SCAN_END);
		prepare();
		assert_int_equal(lane_checkpoint_slice(l, w.settle, 1), 1);
		assert_int_equal(lane_fill_pct(l), 100);
		assert_int_equal(lane_reclaim(l), 1);
		assert_int_equal(lane_fill_pct(l), 48);		/* 31 of 64 */
		checkpoint(1);
		assert_int_equal(lane_reclaim(l), 1);
		assert_int_equal(lane_reclaim(l), 0);
		assert_int_equal(lane_fill_pct(l), 0);
	}
	teardown(true);
}

/* The staged words of a batch in a ring that has far more. */
static void a_stage_to_the_last_word(void **state)
{
	struct frags r = FRAGS_INIT;
	uint32_t a;

	(void)state;
	setup(CLASS_NVMM, 1 << 17, 8);
	assert_int_equal(l->frags_max, FRAGS_MAX);
	a = fill(1, 0, 0, BUF);
	for (int turn = 0; turn < 2; turn++) {
		for (uint32_t i = 0; i < (FRAGS_MAX + 1024) / 2; i++) {
			assert_int_equal(lane_add(l, &r, a, 0, 1), 0);
			assert_int_not_equal(lane_append(l, &r), 0);
		}
		assert_int_equal(l->nstaged, FRAGS_MAX + 1024);
		assert_int_equal(lane_add(l, &r, a, 0, 1), 0);
		assert_int_equal(lane_append(l, &r), 0);
		lane_drop(l, &r);
		if (turn)
			break;
		assert_int_equal(lane_commit(l, 1), 0);
		for (uint32_t i = 0; i < (FRAGS_MAX + 1024) / 2; i++)
			pool_drop(&w.pool, a);		/* as if they were reclaimed */
		atomic_store(&l->reclaimed_pos, atomic_load(&l->committed_pos));
	}
	teardown(false);
}

/* Each counter, through two turns, in each class. */
static void counters(void **state)
{
	static const enum durability_class classes[] = { CLASS_NVMM, CLASS_VOLATILE, CLASS_NONE };

	(void)state;
	for (size_t k = 0; k < 3; k++) {
		bool none = classes[k] == CLASS_NONE;
		uint64_t bytes = 0, moved = 0;

		setup(classes[k], 512, 64);
		for (unsigned turn = 1; turn <= 3; turn++) {
			for (unsigned i = 0; i < 4; i++) {
				struct frags r = FRAGS_INIT;
				uint32_t a = fill(1, 0, 0, 700);

				bytes += 600 + turn;
				assert_int_equal(lane_add(l, &r, a, 0, 600 + turn), 0);
				pool_drop(&w.pool, a);
				assert_int_not_equal(lane_append(l, &r), 0);
				assert_true(is_init(&r));
			}
			assert_int_equal(lane_commit(l, turn), 0);
			assert_int_equal(lane_commit(l, turn), 0);	/* nothing to do */
			assert_int_equal(atomic_load(&l->records), 4 * turn);
			assert_int_equal(atomic_load(&l->bytes), bytes);
			assert_int_equal(atomic_load(&l->commits), none ? 0 : turn);
			assert_int_equal(lane_durable(l), none ? 0 : 4 * turn);
			if (none)
				continue;
			assert_int_equal(atomic_load(&l->checkpoint_bytes), moved);
			assert_int_equal(lane_checkpoint_slice(l, w.settle, 600 + turn + 1), 1);	/* two */
			assert_int_equal(atomic_load(&l->checkpoints), 2 * turn - 1);
			assert_int_equal(atomic_load(&l->checkpoint_bytes), moved + 2 * (600 + turn));
			assert_int_equal(atomic_load(&l->settled_seq), 4 * turn - 2);
			assert_int_equal(lane_checkpoint_slice(l, w.settle, 1 << 20), 0);
			assert_int_equal(lane_checkpoint_slice(l, w.settle, 1 << 20), 0);	/* nothing to do */
			moved += 4 * (600 + turn);
			assert_int_equal(atomic_load(&l->checkpoints), 2 * turn);
			assert_int_equal(atomic_load(&l->checkpoint_bytes), moved);
			assert_int_equal(atomic_load(&l->settled_seq), 4 * turn);
			assert_int_equal(lane_reclaim(l), 4);
		}
		teardown(true);
	}
}

/* How many records one slice moves: until it has its bytes, and one in any case. */
static void a_slice_has_its_bytes(void **state)
{
	(void)state;
	setup(CLASS_NVMM, 512, 64);
	for (unsigned i = 0; i < 6; i++) {
		struct frags r = FRAGS_INIT;
		uint32_t a = fill(1, 0, 0, 1000);

		assert_int_equal(lane_add(l, &r, a, 0, 1000), 0);
		pool_drop(&w.pool, a);
		assert_int_not_equal(lane_append(l, &r), 0);
	}
	assert_int_equal(lane_commit(l, 1), 0);
	assert_int_equal(lane_checkpoint_slice(l, w.settle, 0), 1);
	assert_int_equal(atomic_load(&l->settled_seq), 1);
	assert_int_equal(lane_checkpoint_slice(l, w.settle, 1000), 1);
	assert_int_equal(atomic_load(&l->settled_seq), 2);
	assert_int_equal(lane_checkpoint_slice(l, w.settle, 1001), 1);
	assert_int_equal(atomic_load(&l->settled_seq), 4);
	assert_int_equal(lane_checkpoint_slice(l, w.settle, 2000), 0);
	assert_int_equal(atomic_load(&l->settled_seq), 6);
	assert_int_equal(lane_reclaim(l), 6);
	teardown(true);
}

/* Each record has the time of its batch, wherever a slice or a segment ends. */
static void times(void **state)
{
	(void)state;
	for (uint64_t slice = 1; slice < 100000; slice *= 10) {
		struct seg_cursor *c;
		struct frame_header h;
		const uint8_t *data;
		uint64_t last[8];

		setup(CLASS_NVMM, 512, 128);
		for (unsigned batch = 0; batch < 8; batch++) {
			for (unsigned i = 0; i < 5; i++)
				assert_true(append());
			last[batch] = l->next_seq - 1;
			assert_int_equal(lane_commit(l, 5000 + batch), 0);
			if (batch % 3 == 2) {
				checkpoint(slice);
				lane_reclaim(l);
			}
		}
		checkpoint(slice);
		lane_reclaim(l);
		assert_int_equal(seg_read_open(w.seg, 1, &c), 0);
		for (unsigned batch = 0; batch < 8; batch++)
			do {
				assert_int_equal(seg_read_next(c, &h, &data), 1);
				assert_int_equal(h.time_ms, 5000 + batch);
			} while (h.seq < last[batch]);
		seg_read_close(c);
		teardown(true);
	}
}

/* A word that went bad in the memory after the checkpoint: its buffer stays, and no other is
 * given back for it. */
static void reclaim_looks_at_its_words(void **state)
{
	uint32_t nfree;

	(void)state;
	for (int how = 0; how < 2; how++) {
		setup(CLASS_NVMM, 128, 32);
		assert_true(append() && append());	/* a frag each: CLOCK, FRAG, SEAL, FRAG, SEAL */
		assert_int_equal(lane_commit(l, 1), 0);
		checkpoint(1 << 20);
		nfree = w.pool.nfree;
		l->ring[1] = how ? 0 : l->ring[1] ^ 1ull << 24;
		assert_int_equal(lane_reclaim(l), 2);
		assert_int_equal(w.pool.nfree, nfree + 1);
		assert_int_equal(lane_fill_pct(l), 0);
		teardown(false);
	}
}

/* The wal is asked to be moved once for what is in it, and again for what came since. */
static void the_background_is_asked(void **state)
{
	(void)state;
	setup(CLASS_NVMM, 256, 32);
	assert_false(lane_asks(l, false) || lane_asks(l, true));
	for (int turn = 0; turn < 3; turn++) {
		assert_false(lane_owes(l));
		assert_true(append());
		assert_true(lane_owes(l) && lane_pending(l));
		assert_false(lane_asks(l, true));		/* it is not committed */
		assert_int_equal(lane_commit(l, 1), 0);
		assert_false(lane_asks(l, false));
		assert_true(lane_asks(l, true));
		assert_false(lane_asks(l, true));
		assert_true(append());
		assert_int_equal(lane_commit(l, 1), 0);
		assert_false(lane_asks(l, true));		/* it has something to do yet */
		assert_int_equal(lane_checkpoint_slice(l, w.settle, 1), 1);
		assert_true(lane_asks(l, true));		/* and has done it */
		assert_false(lane_asks(l, true));
		assert_int_equal(lane_checkpoint_slice(l, w.settle, 1), 0);
		assert_false(lane_asks(l, true));
		assert_false(lane_pending(l));
		assert_true(lane_owes(l));
		assert_int_equal(lane_reclaim(l), 2);
		assert_false(lane_owes(l) || lane_waits(l));
		assert_int_equal(lane_moves(l), atomic_load(&l->checkpoints) + seglog_steps(w.seg));
	}
	l->took = true;
	assert_true(lane_asks(l, false));
	assert_false(lane_asks(l, false));
	atomic_store(&l->nospace, -ENOSPC);
	assert_true(lane_waits(l) && lane_owes(l));
	atomic_store(&l->nospace, 0);
	assert_false(lane_owes(l));
	teardown(true);
}

/* What is staged when a lane fails will never be durable. */
static void nothing_is_pending_in_a_failed_lane(void **state)
{
	(void)state;
	setup(CLASS_NVMM, 128, 32);
	assert_true(append());
	assert_true(lane_pending(l));
	atomic_store(&l->failed, -EIO);
	assert_false(lane_pending(l));
	teardown(false);
	setup(CLASS_FSYNC, 0, 32);
	assert_true(append());
	assert_int_equal(lane_commit(l, 1), 0);
	assert_true(append());
	atomic_store(&l->failed, -EIO);
	assert_true(lane_pending(l));		/* it is still on its way */
	l->flight = false;
	assert_false(lane_pending(l));
	l->turning = true;
	assert_true(lane_pending(l));
	teardown(false);
}

/* ---- opening ---- */

/* A lane goes on where its head says, with a share of the pool that does not begin at nought. */
static void opens_at_the_head(void **state)
{
	struct walfile_want want = { .lanes = 2, .buf_size = BUF, .entries = 64, .bufs = 16, .cls = CLASS_NVMM };
	struct lane_params p = { .id = 1, .cls = CLASS_NVMM, .pool = &w.pool, .record_bytes_max = 1ull << 40 };
	struct walfile wal;

	(void)state;
	setup(CLASS_NVMM, 64, 16);
	lane_fini(l);
	p.pm = pm_sim_ops(w.sim);
	p.wal = &wal;
	p.seg = w.seg;
	assert_int_equal(walfile_create(&wal, p.pm, "/other", &want), 0);
	walfile_head(&wal, 1, 640, 77);
	for (p.id = 0; p.id < 4; p.id++)
		assert_int_equal(lane_init(l, &p), p.id < 2 ? 0 : -EINVAL), lane_fini(l);
	p.id = 1;
	wal.lane[1].lost = true;
	assert_int_equal(lane_init(l, &p), -EINVAL);
	wal.lane[1].lost = false;
	assert_int_equal(lane_init(l, &p), 0);
	assert_int_equal(l->record_max, UINT32_MAX);
	assert_int_equal(l->next_seq, 77);
	assert_int_equal(lane_durable(l), 76);
	assert_int_equal(atomic_load(&l->settled_seq), 76);
	assert_int_equal(atomic_load(&l->committed_pos), 640);
	assert_int_equal(atomic_load(&l->settled_pos), 640);
	assert_int_equal(atomic_load(&l->reclaimed_pos), 640);
	assert_ptr_equal(l->ring, walfile_ring(&wal, 1));
	assert_int_equal(l->frags_max, 32);
	assert_int_equal(lane_nospace(l), 0);
	walfile_close(&wal);
	teardown(true);
}

/* A disk that was full at the start is told at once where there is no segment; one that is full
 * by then, while there is one, only when it is needed. */
static void full_at_the_start(void **state)
{
	struct lane_params p = { .cls = CLASS_FSYNC, .pool = &w.pool, .next_seq = 5, .record_bytes_max = 100,
				 .segment_bytes = SEG_BYTES };

	(void)state;
	setup(CLASS_FSYNC, 0, 16);
	lane_fini(l);
	p.blk = w.blk;
	p.seg = w.seg;
	atomic_store(&w.seg->prepare_err, -EDQUOT);
	assert_int_equal(lane_init(l, &p), 0);
	assert_int_equal(atomic_load(&l->nospace), 0);
	assert_int_equal(lane_nospace(l), -EDQUOT);
	assert_int_equal(lane_prepare_err(l), -EDQUOT);
	assert_int_equal(lane_admit(l, 10), 0);
	assert_int_equal(lane_durable(l), 4);
	lane_fini(l);
	struct seg *active = w.seg->active;

	w.seg->active = NULL;
	assert_int_equal(lane_init(l, &p), 0);
	assert_int_equal(atomic_load(&l->nospace), -EDQUOT);
	assert_int_equal(lane_admit(l, 10), -ENOSPC);
	lane_fini(l);
	atomic_store(&w.seg->prepare_err, -EIO);	/* that is another matter */
	assert_int_equal(lane_init(l, &p), 0);
	assert_int_equal(atomic_load(&l->nospace), 0);
	assert_int_equal(lane_nospace(l), 0);
	assert_int_equal(lane_prepare_err(l), -EIO);
	w.seg->active = active;
	atomic_store(&w.seg->prepare_err, 0);
	teardown(true);
}

static void durable_when_commit_returns(void **state)
{
	(void)state;
	setup(CLASS_NVMM, 256, 32);
	assert_int_equal(lane_commit(l, 5), 0);
	assert_int_equal(lane_durable(l), 0);
	assert_true(append() && append());
	assert_true(lane_pending(l));
	assert_int_equal(lane_durable(l), 0);
	assert_int_equal(lane_commit(l, 5), 0);
	assert_int_equal(lane_durable(l), 2);
	assert_false(lane_pending(l));
	assert_int_equal(atomic_load(&l->commits), 1);
	assert_int_equal(lane_reclaim(l), 0);
	checkpoint(1 << 20);
	assert_int_equal(lane_reclaim(l), 2);
	assert_int_equal(lane_fill_pct(l), 0);
	check_segments(2);
	teardown(true);
}

/* Many laps of a small ring, pushed back again and again, nothing lost or leaked. */
static void laps(void **state)
{
	unsigned pushed = 0;

	(void)state;
	setup(CLASS_NVMM, 64, 24);
	while (l->next_seq < 400) {
		while (append())
			if (rnd() % 4 == 0)
				assert_int_equal(lane_commit(l, w.now++), 0);
		pushed++;
		assert_int_equal(lane_commit(l, w.now++), 0);
		assert_in_range(lane_fill_pct(l), 0, 100);
		checkpoint(1 + rnd() % 20000);
		lane_reclaim(l);
	}
	assert_in_range(pushed, 20, 400);
	assert_in_range(atomic_load(&l->committed_pos), 10 * 64, 10000);
	check_segments(l->next_seq - 1);
	teardown(true);
}

static void pushed_back_when_full(void **state)
{
	struct frags r;

	(void)state;
	setup(CLASS_NVMM, 64, 128);
	while (lane_admit(l, 100) == 0)
		assert_true(append());
	assert_int_equal(lane_admit(l, 100), -EAGAIN);
	while (append())
		;
	assert_int_equal(receive(&r, l->next_seq, 0), 0);
	assert_int_equal(lane_append(l, &r), 0);
	assert_int_not_equal(r.n, 0);			/* untouched, to be tried again */
	assert_int_equal(lane_commit(l, 1), 0);
	checkpoint(1 << 20);
	lane_reclaim(l);
	assert_int_equal(lane_admit(l, 100), 0);
	assert_int_not_equal(lane_append(l, &r), 0);
	assert_int_equal(lane_commit(l, 1), 0);
	checkpoint(1 << 20);
	lane_reclaim(l);
	check_segments(l->next_seq - 1);
	teardown(true);
}

/* A record of more frags than one write takes vectors. */
static void many_frags(void **state)
{
	struct frags r = FRAGS_INIT;
	struct seg_cursor *c;
	struct frame_header h;
	const uint8_t *data;
	uint32_t a, n = 0;

	(void)state;
	setup(CLASS_NVMM, 8192, 24);
	a = fill(1, 0, 0, BUF);
	for (; n < 2500; n++) {			/* the pool's nodes do not last longer */
		uint32_t len = n % 2 ? 13 : 11;
		int err = (l->frags_max > r.n) ? 0 : -EFBIG;

		assert_int_equal(err, 0);
		/* past lane_add's gathering, which would join them */
		if (w.pool.nodes_left == 0)
			break;
		uint32_t node = w.pool.node_free;

		w.pool.node_free = w.pool.nodes[node].next;
		w.pool.nodes_left--;
		w.pool.nodes[node] = (struct frag_node){ { a, (uint16_t)(n % 100), (uint16_t)len }, FRAG_NIL };
		if (r.n++)
			w.pool.nodes[r.last].next = node;
		else
			r.first = node;
		r.last = node;
		r.bytes += len;
		r.crc = crc32c_update(r.crc, pool_addr(&w.pool, a) + n % 100, len);
		pool_hold(&w.pool, a);
	}
	assert_in_range(n, 1025, 2500);
	assert_int_equal(lane_append(l, &r), 1);
	assert_int_equal(lane_commit(l, 7), 0);
	checkpoint(1);
	lane_reclaim(l);
	assert_int_equal(seg_read_open(w.seg, 1, &c), 0);
	assert_int_equal(seg_read_next(c, &h, &data), 1);	/* its checksum was checked */
	assert_int_equal(h.time_ms, 7);
	assert_in_range(h.len, 1025 * 11, 2500 * 13);
	seg_read_close(c);
	pool_drop(&w.pool, a);
	teardown(true);
}

/* ---- crashes of the memory ---- */

static uint64_t looked;
static unsigned steps;

/* A state that a cut may leave: every acknowledged record is in the segments (before
 * the head) or in the wal, whole, with its bytes. */
static int judge(void *arg, struct pm_sim *image)
{
	static struct walfile v;
	uint64_t acked = lane_durable(l), seq, before;
	struct scan s;
	struct scan_item it;
	enum scan_kind kind;

	(void)arg;
	assert_int_equal(walfile_open(&v, pm_sim_ops(image), "/pm", true, NULL), 0);
	assert_false(v.lane[0].lost);
	seq = before = v.lane[0].seq;
	assert_true(before <= seglog_next_seq(w.seg));		/* only what is synced */
	/* nor is anything free before both copies of the head say so */
	assert_true(v.lane[0].pos >= atomic_load(&l->settled_pos));
	scan_start(&s, &v, 0);
	while ((kind = scan_next(&s, &it)) != SCAN_END) {
		uint32_t at = 0;

		if (kind != SCAN_RECORD)
			fail_msg("damage at %u: %s", (unsigned)it.pos, scan_why_text(it.why));
		assert_int_equal(it.seq, seq++);
		assert_int_equal(it.bytes, length_of(it.seq));
		for (uint32_t i = 0; i < it.nfrags; i++) {
			struct frag f = scan_frag(&s, &it, i);

			check_bytes(it.seq, scan_addr(&s, &f), f.len, at);
			at += f.len;
		}
	}
	assert_true(seq > acked);
	walfile_close(&v);
	return 0;
}

static int at_step(void *arg, enum pm_sim_op op)
{
	(void)arg, (void)op;
	steps++;
	return pm_sim_states(w.sim, 40, 12, steps, judge, NULL, &looked);
}

static void every_crash(void **state)
{
	(void)state;
	setup(CLASS_NVMM, 64, 16);
	looked = steps = 0;
	pm_sim_step(w.sim, at_step, NULL);
	while (l->next_seq < 50) {
		for (unsigned i = 0; i < 3; i++)
			append();
		assert_int_equal(lane_commit(l, w.now++), 0);
		if (rnd() % 2)
			checkpoint(1 + rnd() % 8000);
		if (rnd() % 2)
			lane_reclaim(l);
	}
	at_step(NULL, PM_SIM_FENCE);
	print_message("%u crash points, %u states\n", steps, (unsigned)looked);
	assert_in_range(steps, 300, 100000);
	assert_in_range(looked, 2000, 10000000);
	pm_sim_step(w.sim, NULL, NULL);
	checkpoint(1 << 20);
	lane_reclaim(l);
	check_segments(l->next_seq - 1);
	teardown(true);
}

/* ---- two threads ---- */

static void plain_store(void *ctx, void *dst, const void *src, size_t n)
{
	(void)ctx;
	for (size_t i = 0; i < n / 8; i++)
		__atomic_store_n((uint64_t *)dst + i, ((const uint64_t *)src)[i], __ATOMIC_RELAXED);
}

static void no_flush(void *ctx, const void *p, size_t n)
{
	(void)ctx, (void)p, (void)n;
}

static void no_fence(void *ctx)
{
	(void)ctx;
}

static atomic_bool stop;

static void *checkpointer(void *arg)
{
	bool last = false;

	(void)arg;
	while (!last) {
		int r;

		last = atomic_load(&stop);
		do {
			r = lane_checkpoint_slice(l, w.settle, 5000);
			while (seglog_prepare(w.seg) > 0)
				;
		} while (r == 1 || r == -EAGAIN);
		if (r)
			return "lane_checkpoint_slice failed";
	}
	return NULL;
}

/* The worker and the checkpointer share a lane; the sanitizer of threads looks on. */
static void worker_and_checkpointer(void **state)
{
	struct pm_ops pm;
	pthread_t t;
	void *failure;

	(void)state;
	setup(CLASS_VOLATILE, 256, 64);
	pm = *l->pm;
	pm.store = plain_store;
	pm.flush = no_flush;
	pm.fence = no_fence;
	l->pm = w.wal.pm = &pm;
	atomic_store(&stop, false);
	assert_int_equal(pthread_create(&t, NULL, checkpointer, NULL), 0);
	while (l->next_seq < 2000) {
		while (append() && l->next_seq % 5)
			;
		assert_int_equal(lane_commit(l, w.now), 0);
		lane_reclaim(l);
		assert_in_range(lane_fill_pct(l), 0, 100);
	}
	atomic_store(&stop, true);
	pthread_join(t, &failure);
	assert_null(failure);
	lane_reclaim(l);
	check_segments(l->next_seq - 1);
	w.wal.pm = pm_sim_ops(w.sim);
	teardown(true);
}

/* ---- checkpoints that fail ---- */

/* Elsewhere these mean that it is to be tried again. */
static void not_now_is_final_too(void **state)
{
	static const struct { enum sim_op op; int err; } rows[] = {
		{ SIM_WRITE, EAGAIN }, { SIM_SYNC, EAGAIN }, { SIM_SYNC, ENOSPC }, { SIM_SYNC, EDQUOT },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		setup(CLASS_NVMM, 128, 32);
		assert_true(append());
		assert_int_equal(lane_commit(l, 1), 0);
		blk_sim_fault(w.disk, rows[i].op, 1, 1, rows[i].err);
		assert_int_equal(lane_checkpoint_slice(l, w.settle, 1000), -EIO);
		assert_int_equal(lane_failed(l), -EIO);
		assert_int_equal(w.wal.lane[0].seq, 1);
		assert_int_equal(lane_checkpoint_slice(l, w.settle, 1000), -EIO);
		teardown(false);
	}
}

/* But nothing was synced after a write that found no room: what it left goes, and the same
 * records are written when there is some. */
static void a_checkpoint_without_room(void **state)
{
	uint64_t writes, syncs;

	(void)state;
	setup(CLASS_NVMM, 128, 32);
	assert_true(append());
	assert_int_equal(lane_commit(l, 1), 0);
	checkpoint(1000);
	assert_true(append() && append());
	assert_int_equal(lane_commit(l, 2), 0);
	syncs = blk_sim_calls(w.disk, SIM_SYNC);
	blk_sim_fault(w.disk, SIM_WRITE, 1, 1, EDQUOT);
	assert_int_equal(lane_checkpoint_slice(l, w.settle, 100000), -ENOSPC);
	writes = blk_sim_calls(w.disk, SIM_WRITE);
	assert_int_equal(lane_checkpoint_slice(l, w.settle, 100000), -ENOSPC);
	assert_int_equal(blk_sim_calls(w.disk, SIM_WRITE), writes);
	assert_int_equal(blk_sim_calls(w.disk, SIM_SYNC), syncs);
	assert_int_equal(lane_nospace(l), -EDQUOT);
	assert_int_equal(lane_failed(l), 0);
	assert_int_equal(w.wal.lane[0].seq, 2);		/* the head has not moved */
	blk_sim_fault(w.disk, SIM_WRITE, 1, 1, ENOSPC);
	assert_int_equal(seglog_prepare(w.seg), -ENOSPC);	/* nor do zeros find any */
	assert_int_equal(lane_checkpoint_slice(l, w.settle, 100000), -ENOSPC);
	prepare();
	checkpoint(100000);
	assert_int_equal(lane_nospace(l), 0);
	assert_int_equal(lane_reclaim(l), 3);
	check_segments(3);
	teardown(true);
}

static void a_failed_sync_is_final(void **state)
{
	uint64_t syncs, writes;

	(void)state;
	setup(CLASS_NVMM, 128, 32);
	assert_true(append());
	assert_int_equal(lane_commit(l, 1), 0);
	blk_sim_fault(w.disk, SIM_SYNC, 1, 1, EIO);
	assert_int_equal(lane_checkpoint_slice(l, w.settle, 1000), -EIO);
	assert_int_equal(lane_failed(l), -EIO);
	assert_int_equal(w.wal.lane[0].seq, 1);		/* the head has not moved */
	syncs = blk_sim_calls(w.disk, SIM_SYNC);
	writes = blk_sim_calls(w.disk, SIM_WRITE);
	assert_int_equal(lane_checkpoint_slice(l, w.settle, 1000), -EIO);
	assert_int_equal(blk_sim_calls(w.disk, SIM_SYNC), syncs);
	assert_int_equal(blk_sim_calls(w.disk, SIM_WRITE), writes);
	assert_int_equal(lane_reclaim(l), 0);
	assert_int_equal(lane_admit(l, 10), -EIO);
	assert_int_equal(lane_admit(l, 1 << 30), -EFBIG);	/* that a restart would not mend */
	append();
	assert_int_equal(lane_commit(l, 2), -EIO);
	assert_int_equal(lane_durable(l), 1);
	teardown(false);
}

static void a_damaged_word_ends_the_checkpoint(void **state)
{
	(void)state;
	setup(CLASS_NVMM, 128, 32);
	assert_true(append() && append());
	assert_int_equal(lane_commit(l, 1), 0);
	l->ring[1] ^= 2;
	assert_int_equal(lane_checkpoint_slice(l, w.settle, 1), -EBADMSG);
	assert_int_equal(lane_failed(l), -EBADMSG);
	teardown(false);
}

static void no_room_for_a_segment(void **state)
{
	int r;

	(void)state;
	setup(CLASS_NVMM, 1024, 256);
	blk_sim_capacity(w.disk, blk_sim_used(w.disk) + 4096);
	for (;;) {
		while (l->next_seq % 64 && append())
			;
		append();
		assert_int_equal(lane_commit(l, 1), 0);
		do {
			seglog_prepare(w.seg);
			r = lane_checkpoint_slice(l, w.settle, 10000);
		} while (r == 1);
		if (r == -ENOSPC)
			break;
		assert_int_equal(r, 0);
		lane_reclaim(l);
		assert_in_range(l->next_seq, 1, 3000);
	}
	assert_int_equal(lane_failed(l), 0);
	while (append())
		;
	assert_int_equal(lane_admit(l, 100), -ENOSPC);
	assert_int_equal(lane_commit(l, 1), 0);		/* what was admitted is kept */
	blk_sim_capacity(w.disk, 0);
	prepare();
	checkpoint(100000);
	lane_reclaim(l);
	assert_int_equal(lane_admit(l, 100), 0);
	check_segments(l->next_seq - 1);
	teardown(true);
}

/* ---- fsync ---- */

static int complete(void)
{
	int res;

	assert_true(sim_aio_poll(&w.aio, &res));
	return lane_synced(l, res, w.now++);
}

static void durable_when_synced(void **state)
{
	(void)state;
	setup(CLASS_FSYNC, 0, 64);
	assert_true(append() && append());
	assert_int_equal(lane_commit(l, 1), 0);
	assert_int_equal(lane_durable(l), 0);
	assert_true(append());				/* gathers while the others sync */
	assert_int_equal(lane_commit(l, 2), 0);
	assert_int_equal(lane_durable(l), 0);
	assert_int_equal(complete(), 0);
	assert_int_equal(lane_durable(l), 2);
	check_segments(2);
	assert_true(lane_pending(l));
	assert_int_equal(complete(), 0);		/* started by itself */
	assert_int_equal(lane_durable(l), 3);
	assert_false(lane_pending(l));
	assert_int_equal(lane_fill_pct(l), 0);
	check_segments(3);
	teardown(true);
}

static void groups_and_segments(void **state)
{
	unsigned groups = 0;

	(void)state;
	setup(CLASS_FSYNC, 0, 64);
	while (l->next_seq < 600) {
		while (rnd() % 6 && append())
			;
		assert_int_equal(lane_commit(l, w.now++), 0);
		if (rnd() % 2)
			prepare();
		if (w.aio.busy && rnd() % 2) {
			assert_int_equal(complete(), 0);
			groups++;
		}
	}
	lane_commit(l, w.now);
	while (lane_pending(l)) {
		prepare();
		assert_int_equal(lane_commit(l, w.now), 0);
		if (w.aio.busy)
			assert_int_equal(complete(), 0);
	}
	assert_in_range(groups, 50, 600);
	assert_int_equal(lane_durable(l), l->next_seq - 1);
	check_segments(l->next_seq - 1);
	teardown(true);
}

/* The wish for another segment, because all in this one is old, may come when the worker
 * has just taken the one that was prepared: nobody waits for the next. */
static void old_without_another(void **state)
{
	(void)state;
	setup(CLASS_FSYNC, 0, 64);
	assert_true(append());
	assert_int_equal(lane_commit(l, 1), 0);
	assert_int_equal(complete(), 0);
	assert_false(seglog_ready(w.seg));
	atomic_store(&w.seg->want_rotate, true);
	assert_true(append());
	assert_int_equal(lane_commit(l, 2), 0);
	assert_true(w.aio.busy);
	assert_int_equal(complete(), 0);
	assert_int_equal(lane_durable(l), 2);
	check_segments(2);
	teardown(true);
}

static void a_failed_commit_is_final(void **state)
{
	uint64_t syncs;

	(void)state;
	for (int write = 0; write < 2; write++) {
		setup(CLASS_FSYNC, 0, 64);
		assert_true(append());
		assert_int_equal(lane_commit(l, 1), 0);
		assert_int_equal(complete(), 0);
		assert_true(append());
		blk_sim_fault(w.disk, write ? SIM_WRITE : SIM_SYNC, 1, 1, EIO);
		assert_int_equal(lane_commit(l, 2), 0);
		assert_true(append());
		syncs = blk_sim_calls(w.disk, SIM_SYNC);
		assert_int_equal(complete(), -EIO);
		assert_int_equal(lane_durable(l), 1);
		assert_int_equal(lane_failed(l), -EIO);
		assert_int_equal(lane_commit(l, 3), -EIO);
		assert_false(append());
		assert_int_equal(lane_admit(l, 10), -EIO);
	assert_int_equal(lane_admit(l, 1 << 30), -EFBIG);	/* that a restart would not mend */
		assert_false(w.aio.busy);
		assert_int_equal(blk_sim_calls(w.disk, SIM_SYNC), syncs);
		check_segments(1);
		teardown(false);
	}
}

/* What waits is refused, nothing is written until zeros are where the write was, and then
 * the lane goes on with the numbers behind the last durable one. */
static void a_commit_without_room(void **state)
{
	(void)state;
	for (int again = 0; again < 2; again++) {
		setup(CLASS_FSYNC, 0, 64);
		assert_true(append());
		assert_int_equal(lane_commit(l, 1), 0);
		assert_int_equal(complete(), 0);
		assert_true(append() && append());
		blk_sim_fault(w.disk, SIM_WRITE, 1, again ? 2 : 1, EDQUOT);
		assert_int_equal(lane_commit(l, 2), 0);
		assert_true(append());		/* gathers meanwhile */
		assert_int_equal(complete(), -ENOSPC);
		assert_int_equal(lane_failed(l), 0);
		assert_int_equal(lane_durable(l), 1);
		assert_int_equal(l->next_seq, 2);
		assert_false(lane_pending(l));
		assert_int_equal(lane_admit(l, 10), -ENOSPC);
		assert_int_equal(lane_nospace(l), -EDQUOT);
		assert_false(append());
		assert_int_equal(lane_commit(l, 3), 0);
		assert_false(w.aio.busy);
		if (again)
			assert_int_equal(seglog_prepare(w.seg), -ENOSPC);
		assert_int_equal(lane_commit(l, 3), 0);
		assert_int_equal(lane_admit(l, 10), -ENOSPC);
		prepare();
		assert_int_equal(lane_commit(l, 4), 0);
		assert_int_equal(lane_nospace(l), 0);
		assert_int_equal(lane_admit(l, 10), 0);
		assert_true(append());
		assert_int_equal(lane_commit(l, 5), 0);
		assert_int_equal(complete(), 0);
		assert_int_equal(lane_durable(l), 2);
		check_segments(2);
		teardown(true);
	}
}

/* The zeros' sync is a sync: when it fails, that is the end. */
static void zeros_that_are_not_synced(void **state)
{
	(void)state;
	setup(CLASS_FSYNC, 0, 64);
	assert_true(append());
	blk_sim_fault(w.disk, SIM_WRITE, 1, 1, ENOSPC);
	assert_int_equal(lane_commit(l, 2), 0);
	assert_int_equal(complete(), -ENOSPC);
	blk_sim_fault(w.disk, SIM_SYNC, 1, 1, ENOSPC);
	assert_int_equal(seglog_prepare(w.seg), -EIO);
	assert_int_equal(seglog_prepare(w.seg), -EIO);
	assert_int_equal(lane_commit(l, 3), -EIO);
	assert_int_equal(lane_failed(l), -EIO);
	teardown(false);
}

static void no_room_on_the_disk(void **state)
{
	struct frags r;

	(void)state;
	setup(CLASS_FSYNC, 0, 64);
	blk_sim_capacity(w.disk, blk_sim_used(w.disk) + 4096);
	seglog_prepare(w.seg);
	for (;;) {
		seglog_prepare(w.seg);
		if (!append())
			break;
		assert_int_equal(lane_commit(l, 1), 0);
		assert_int_equal(complete(), 0);
	}
	/* the next is larger than what is left */
	assert_int_equal(lane_admit(l, length_of(l->next_seq)), -ENOSPC);
	assert_int_equal(lane_failed(l), 0);
	blk_sim_capacity(w.disk, 0);
	prepare();
	assert_int_equal(lane_commit(l, 2), 0);
	assert_int_equal(lane_admit(l, length_of(l->next_seq)), 0);
	assert_int_equal(receive(&r, l->next_seq, 0), 0);
	assert_int_not_equal(lane_append(l, &r), 0);
	assert_int_equal(lane_commit(l, 3), 0);
	assert_int_equal(complete(), 0);
	check_segments(l->next_seq - 1);
	teardown(true);
}

/* A record of that many bytes, whatever they are. */
static uint64_t append_bytes(uint32_t len)
{
	struct frags r = FRAGS_INIT;
	uint64_t seq;

	while (r.bytes < len) {
		uint32_t n = len - r.bytes < BUF ? (uint32_t)(len - r.bytes) : BUF, idx = fill(1, 0, 0, n);

		assert_int_equal(lane_add(l, &r, idx, 0, n), 0);
		pool_drop(&w.pool, idx);
	}
	seq = lane_append(l, &r);
	if (!seq)
		lane_drop(l, &r);
	return seq;
}

/* How many records can be read, and of how many bytes. */
static uint64_t records_there(uint64_t *bytes)
{
	struct seg_cursor *c;
	struct frame_header h;
	const uint8_t *data;
	uint64_t n = 0;

	*bytes = 0;
	assert_int_equal(seg_read_open(w.seg, 1, &c), 0);
	for (; seg_read_next(c, &h, &data) == 1; n++)
		*bytes += h.len;
	seg_read_close(c);
	return n;
}

static uint64_t rotations(void)
{
	struct seglog_stats st;

	seglog_stat(w.seg, &st);
	return st.rotations;
}

/* Frames that fill a segment to its last byte are in it; one byte more, and the last is in the
 * next. */
static void a_segment_to_the_last_byte(void **state)
{
	static const enum durability_class classes[] = { CLASS_FSYNC, CLASS_NVMM };
	const uint32_t rest = SEG_BYTES - SEG_DATA - 2 * sizeof(struct frame_header) - 40000;

	(void)state;
	for (int k = 0; k < 6; k++) {
		bool nvmm = k % 2, more = k / 2 == 1;
		uint32_t bytes = rest + more;
		uint64_t sum;

		setup(classes[nvmm], 512, 128);
		prepare();
		assert_int_equal(append_bytes(40000), 1);
		if (more || k / 2 == 2) {		/* of a batch of its own */
			assert_int_equal(lane_commit(l, 1), 0);
			if (nvmm)
				checkpoint(1);
			else
				assert_int_equal(complete(), 0);
		}
		for (uint64_t seq = 2; seq < 4; seq++) {
			assert_int_equal(append_bytes(seq == 2 ? bytes : 1), seq);
			assert_int_equal(lane_commit(l, 1), 0);
			if (nvmm) {
				checkpoint(1 << 20);
				lane_reclaim(l);
			} else {
				assert_int_equal(complete(), 0);
			}
			assert_int_equal(rotations(), seq == 2 ? 1 + more : 2);
			if (!more && seq == 2)
				assert_int_equal(seglog_room(w.seg), 0);
			assert_false(lane_waits(l));
		}
		assert_int_equal(records_there(&sum), 3);
		assert_int_equal(sum, 40000 + bytes + 1);
		teardown(true);
	}
}

/* What waits for the next segment keeps its place: nothing smaller goes past it into this one. */
static void no_smaller_one_goes_first(void **state)
{
	uint64_t sum;

	(void)state;
	setup(CLASS_FSYNC, 0, 128);
	prepare();
	for (uint64_t seq = 1; seq < 10; seq += 3) {
		assert_int_equal(append_bytes(30000), seq);
		assert_int_equal(lane_commit(l, 1), 0);
		assert_int_equal(complete(), 0);
		prepare();
		assert_int_equal(append_bytes(10), seq + 1);
		assert_int_equal(append_bytes(30000), 0);
		assert_true(lane_waits(l));
		assert_int_equal(append_bytes(10), 0);
		assert_int_equal(lane_commit(l, 1), 0);
		assert_int_equal(append_bytes(10), 0);		/* the other one is on its way */
		assert_int_equal(complete(), 0);
		assert_false(lane_waits(l));			/* it went to the next */
		assert_int_equal(append_bytes(30000), seq + 2);
		assert_int_equal(lane_commit(l, 1), 0);
		assert_int_equal(complete(), 0);
		prepare();
	}
	assert_int_equal(records_there(&sum), 9);
	teardown(true);
}

/* A batch on its way has its room in the segment: what comes next goes behind it, if it fits. */
static void room_behind_what_is_on_its_way(void **state)
{
	const uint32_t rest = SEG_BYTES - SEG_DATA - 2 * sizeof(struct frame_header) - 30000;

	(void)state;
	for (uint32_t more = 0; more < 2; more++) {
		uint64_t sum;

		setup(CLASS_FSYNC, 0, 128);
		assert_int_equal(append_bytes(30000), 1);
		assert_int_equal(lane_commit(l, 1), 0);
		assert_int_equal(append_bytes(rest + more), more ? 0 : 2);
		assert_int_equal(lane_waits(l), more);
		assert_int_equal(complete(), 0);
		prepare();
		if (more)
			assert_int_equal(append_bytes(rest + more), 2);
		assert_int_equal(lane_commit(l, 1), 0);
		assert_int_equal(complete(), 0);
		assert_int_equal(rotations(), 1 + more);
		assert_int_equal(records_there(&sum), 2);
		assert_int_equal(sum, 30000 + rest + more);
		teardown(true);
	}
}

/* A record that not even an empty segment takes ends the checkpoint: it is not tried for ever. */
static void larger_than_a_segment(void **state)
{
	(void)state;
	setup(CLASS_NVMM, 512, 64);
	l->record_max = 1 << 20;
	prepare();
	assert_int_equal(append_bytes(SEG_BYTES - SEG_DATA), 1);
	assert_int_equal(lane_commit(l, 1), 0);
	assert_int_equal(lane_checkpoint_slice(l, w.settle, 1), -EFBIG);
	assert_int_equal(lane_failed(l), -EFBIG);
	teardown(false);
}

/* What one batch holds at most: records, vectors, bytes. */
static void what_a_batch_holds(void **state)
{
	struct lane_batch *b = &l->batch[0];
	struct frags r = FRAGS_INIT;
	uint64_t bytes, seq = 1;
	uint32_t a;

	(void)state;
	seg_bytes = 1 << 20;
	setup(CLASS_FSYNC, 0, 4200);
	prepare();
	a = fill(1, 0, 0, 1);
	for (int batch = 0; batch < 2; batch++) {
		for (unsigned n = 0; n < LANE_BATCH_RECS; n++) {
			assert_int_equal(lane_admit(l, 1), 0);
			assert_int_equal(lane_add(l, &r, a, 0, 1), 0);
			assert_int_equal(lane_append(l, &r), seq++);
		}
		assert_int_equal(append_bytes(1), 0);
		assert_int_equal(lane_admit(l, 1), batch ? -EAGAIN : 0);
		assert_int_equal(lane_commit(l, 1), 0);
	}
	for (int batch = 0; batch < 2; batch++) {
		assert_int_equal(atomic_load(&l->commits), batch);
		assert_int_equal(complete(), 0);
	}
	assert_int_equal(atomic_load(&l->commits), 2);
	assert_int_equal(atomic_load(&l->records), 2 * LANE_BATCH_RECS);
	assert_int_equal(atomic_load(&l->bytes), 2 * LANE_BATCH_RECS);
	assert_int_equal(lane_durable(l), 2 * LANE_BATCH_RECS);
	assert_int_equal(atomic_load(&l->settled_seq), 2 * LANE_BATCH_RECS);
	assert_int_equal(records_there(&bytes), 2 * LANE_BATCH_RECS);
	pool_drop(&w.pool, a);
	teardown(true);

	/* as if so many were in it */
	seg_bytes = 16u << 20;
	setup(CLASS_FSYNC, 0, 64);
	assert_int_equal(l->batch_max, LANE_BATCH_BYTES);
	b->niov = LANE_BATCH_IOVS - 2;
	assert_int_equal(append_bytes(300), 0);
	b->niov--;
	assert_int_equal(append_bytes(300), 1);
	assert_int_equal(b->niov, LANE_BATCH_IOVS - 1);	/* and one for the zeros at the end */
	b->niov = 2;
	b->bytes = LANE_BATCH_BYTES - 400;
	assert_int_equal(append_bytes(353), 0);
	assert_int_equal(append_bytes(352), 2);
	assert_int_equal(b->bytes, LANE_BATCH_BYTES);
	teardown(false);
	seg_bytes = SEG_BYTES;
	setup(CLASS_FSYNC, 0, 64);
	assert_int_equal(l->batch_max, SEG_BYTES - SEG_DATA);
	teardown(true);
}

/* ---- fsync: to the next segment beside the worker ---- */

static int (*turn_fn)(void *arg);
static void *turn_arg;
static int turn_err;

static int call_later(struct blk_aio *a, int (*fn)(void *arg), void *arg)
{
	assert_ptr_equal(a, &w.aio.aio);
	assert_null(turn_fn);
	if (turn_err)
		return turn_err;
	turn_fn = fn;
	turn_arg = arg;
	return 0;
}

/* It has been done. */
static int turn_done(void)
{
	int (*fn)(void *arg) = turn_fn;

	assert_non_null(fn);
	turn_fn = NULL;
	return lane_synced(l, fn(turn_arg), w.now++);
}

static void setup_beside(void)
{
	turn_err = 0;
	turn_fn = NULL;
	setup(CLASS_FSYNC, 0, 128);
	w.aio.aio.call = call_later;
	prepare();
}

static void commit_one(uint32_t len)
{
	assert_int_not_equal(append_bytes(len), 0);
	assert_int_equal(lane_commit(l, w.now++), 0);
	assert_int_equal(complete(), 0);
}

/* Nothing is appended and nothing started until it is done; then all goes on, and the background
 * is asked, once each time, for the one behind it.  Three times in one life. */
static void turns_beside_the_worker(void **state)
{
	uint64_t bytes, moves = 0;

	(void)state;
	setup_beside();
	for (unsigned turn = 1; turn <= 3; turn++) {
		commit_one(40000);
		assert_false(lane_waits(l) || lane_owes(l) || lane_asks(l, true));
		assert_true(lane_moves(l) > moves);
		moves = lane_moves(l);
		assert_int_equal(append_bytes(30000), 0);
		assert_true(l->turning && lane_waits(l) && lane_pending(l) && lane_owes(l));
		assert_int_equal(append_bytes(1), 0);
		assert_int_equal(lane_commit(l, w.now++), 0);
		assert_int_equal(rotations(), turn);
		assert_int_equal(turn_done(), 0);
		assert_int_equal(rotations(), turn + 1);
		assert_false(l->turning || lane_waits(l) || lane_pending(l) || lane_owes(l));
		assert_true(lane_asks(l, false));
		assert_false(lane_asks(l, false));
		commit_one(10);
		assert_true(lane_moves(l) > moves);
		moves = lane_moves(l);
		prepare();
		assert_true(lane_moves(l) > moves);
	}
	assert_int_equal(records_there(&bytes), 6);
	assert_int_equal(bytes, 3 * 40010);
	teardown(true);
}

/* Because all in it is old, with a batch that waits meanwhile, and with none. */
static void turns_for_age(void **state)
{
	uint64_t bytes;

	(void)state;
	for (int beside = 0; beside < 2; beside++) {
		setup_beside();
		if (!beside)
			w.aio.aio.call = NULL;
		commit_one(100);
		for (unsigned turn = 1; turn <= 4; turn++) {
			bool waits = turn % 2;

			atomic_store(&w.seg->want_rotate, true);
			if (waits)
				assert_int_not_equal(append_bytes(100), 0);
			assert_int_equal(lane_commit(l, w.now++), 0);
			if (beside) {
				assert_false(w.aio.busy);
				assert_int_equal(rotations(), turn);
				assert_int_equal(turn_done(), 0);
			}
			assert_int_equal(rotations(), turn + 1);
			assert_false(seglog_wants_turn(w.seg));
			assert_int_equal(w.aio.busy, waits);
			if (waits)
				assert_int_equal(complete(), 0);
			else
				commit_one(100);
			assert_int_equal(lane_durable(l), turn + 1);
			assert_false(lane_waits(l));
			assert_true(lane_asks(l, false));
			prepare();
		}
		assert_int_equal(records_there(&bytes), 5);
		teardown(true);
	}
}

/* The header of the next segment cannot be written, or the call cannot be made. */
static void a_turn_that_fails(void **state)
{
	(void)state;
	for (int how = 0; how < 3; how++) {
		setup_beside();
		if (how == 2)
			w.aio.aio.call = NULL;
		commit_one(40000);
		turn_err = how == 1 ? -ENOMEM : 0;
		blk_sim_fault(w.disk, SIM_WRITE, 1, 1, EIO);
		assert_int_equal(append_bytes(30000), 0);
		if (!how)
			assert_int_equal(turn_done(), -EIO);
		assert_int_equal(lane_failed(l), how == 1 ? -ENOMEM : -EIO);
		assert_int_equal(lane_admit(l, 1), -EIO);
		assert_false(lane_pending(l));
		teardown(false);
	}
	/* for age, and a batch waits: it does not go out */
	setup_beside();
	w.aio.aio.call = NULL;
	commit_one(100);
	atomic_store(&w.seg->want_rotate, true);
	assert_int_not_equal(append_bytes(100), 0);
	blk_sim_fault(w.disk, SIM_WRITE, 1, 1, EIO);
	assert_int_equal(lane_commit(l, w.now++), -EIO);
	assert_int_equal(lane_failed(l), -EIO);
	assert_false(w.aio.busy || l->flight);
	teardown(false);
	for (int how = 0; how < 4; how++) {		/* no room for it now, and some later */
		int err = how & 1 ? EDQUOT : ENOSPC;
		bool beside = how & 2;

		setup_beside();
		for (int again = 0; again < 2; again++) {
			w.aio.aio.call = beside ? call_later : NULL;
			if (!again)
				commit_one(40000);
			blk_sim_fault(w.disk, SIM_WRITE, 1, 1, err);
			assert_int_equal(append_bytes(30000), 0);
			if (beside) {
				assert_int_equal(turn_done(), 0);
				assert_null(turn_fn);	/* it would go round and round: */
				assert_int_equal(append_bytes(30000), 0);
				assert_int_equal(lane_commit(l, w.now++), 0);
				assert_null(turn_fn);	/* not in the turn that is told so */
				blk_sim_fault(w.disk, SIM_WRITE, 1, 1, err);
				assert_int_equal(lane_commit(l, w.now++), 0);
				assert_non_null(turn_fn);
				assert_int_equal(turn_done(), 0);
			}
			assert_null(turn_fn);
			assert_int_equal(lane_failed(l), 0);
			assert_int_equal(atomic_load(&l->nospace), -err);
			assert_int_equal(lane_nospace(l), -err);
			assert_true(lane_waits(l) && lane_owes(l) && lane_asks(l, false));
			assert_int_equal(lane_admit(l, 30000), -ENOSPC);
			assert_int_equal(lane_admit(l, 10), 0);
			assert_int_not_equal(append_bytes(10), 0);	/* into what is left */
			assert_int_equal(lane_commit(l, w.now++), 0);
			assert_int_equal(complete(), 0);
			assert_int_equal(lane_commit(l, w.now++), 0);
			if (beside)
				assert_int_equal(turn_done(), 0);
			assert_int_equal(lane_nospace(l), 0);
			assert_false(lane_waits(l));
			assert_int_equal(lane_admit(l, 30000), 0);
			commit_one(30000);
			prepare();
			w.aio.aio.call = NULL;		/* and once more */
			commit_one(40000);
			prepare();
			lane_asks(l, false);
		}
		teardown(true);
	}
}

/* What ended a lane first is told for ever; and no batch that completes then is taken for
 * durable. */
static void the_first_failure_stays(void **state)
{
	(void)state;
	setup(CLASS_FSYNC, 0, 64);
	assert_true(append());
	blk_sim_fault(w.disk, SIM_SYNC, 1, 1, EIO);
	assert_int_equal(lane_commit(l, 1), 0);
	atomic_store(&l->failed, STORE_EGONE);
	assert_int_equal(complete(), STORE_EGONE);
	assert_int_equal(lane_failed(l), STORE_EGONE);
	assert_int_equal(lane_commit(l, 1), STORE_EGONE);
	assert_int_equal(lane_durable(l), 0);
	teardown(false);
	setup(CLASS_NVMM, 128, 32);
	assert_true(append());
	assert_int_equal(lane_commit(l, 1), 0);
	atomic_store(&l->failed, STORE_EGONE);
	assert_int_equal(lane_checkpoint_slice(l, w.settle, 1), STORE_EGONE);
	assert_int_equal(lane_commit(l, 1), STORE_EGONE);
	assert_int_equal(atomic_load(&l->settle_failed), 0);
	teardown(false);
}

/* ---- none ---- */

static void none_names_nothing(void **state)
{
	struct frags r = FRAGS_INIT;
	uint32_t a;

	(void)state;
	setup(CLASS_NONE, 0, 16);
	a = fill(1, 0, 0, 500);
	assert_int_equal(lane_admit(l, 500), 0);
	assert_int_equal(lane_add(l, &r, a, 0, 500), 0);
	assert_int_equal(r.bytes, 500);
	assert_int_equal(w.pool.holds[a], 1);
	assert_int_equal(lane_append(l, &r), LANE_UNNAMED);
	assert_int_equal(r.bytes, 0);
	assert_int_equal(lane_commit(l, 1), 0);
	assert_int_equal(lane_durable(l), 0);
	assert_false(lane_pending(l));
	assert_int_equal(lane_reclaim(l), 0);
	pool_drop(&w.pool, a);
	teardown(true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(adjacent_pieces_are_one),
		cmocka_unit_test(tiny_pieces_hold_no_buffers),
		cmocka_unit_test(a_buffer_shared_by_two),
		cmocka_unit_test(small_pieces_without_a_free_buffer),
		cmocka_unit_test(too_large),
		cmocka_unit_test(the_largest),
		cmocka_unit_test(what_is_small),
		cmocka_unit_test(refused_pieces_keep_nothing),
		cmocka_unit_test(admission),
		cmocka_unit_test(a_ring_to_the_last_word),
		cmocka_unit_test(a_stage_to_the_last_word),
		cmocka_unit_test(counters),
		cmocka_unit_test(a_slice_has_its_bytes),
		cmocka_unit_test(times),
		cmocka_unit_test(reclaim_looks_at_its_words),
		cmocka_unit_test(the_background_is_asked),
		cmocka_unit_test(nothing_is_pending_in_a_failed_lane),
		cmocka_unit_test(opens_at_the_head),
		cmocka_unit_test(full_at_the_start),
		cmocka_unit_test(durable_when_commit_returns),
		cmocka_unit_test(laps),
		cmocka_unit_test(pushed_back_when_full),
		cmocka_unit_test(many_frags),
		cmocka_unit_test(every_crash),
		cmocka_unit_test(worker_and_checkpointer),
		cmocka_unit_test(a_failed_sync_is_final),
		cmocka_unit_test(not_now_is_final_too),
		cmocka_unit_test(a_damaged_word_ends_the_checkpoint),
		cmocka_unit_test(no_room_for_a_segment),
		cmocka_unit_test(durable_when_synced),
		cmocka_unit_test(groups_and_segments),
		cmocka_unit_test(old_without_another),
		cmocka_unit_test(a_failed_commit_is_final),
		cmocka_unit_test(a_checkpoint_without_room),
		cmocka_unit_test(a_commit_without_room),
		cmocka_unit_test(zeros_that_are_not_synced),
		cmocka_unit_test(no_room_on_the_disk),
		cmocka_unit_test(a_segment_to_the_last_byte),
		cmocka_unit_test(no_smaller_one_goes_first),
		cmocka_unit_test(room_behind_what_is_on_its_way),
		cmocka_unit_test(larger_than_a_segment),
		cmocka_unit_test(what_a_batch_holds),
		cmocka_unit_test(turns_beside_the_worker),
		cmocka_unit_test(turns_for_age),
		cmocka_unit_test(a_turn_that_fails),
		cmocka_unit_test(the_first_failure_stays),
		cmocka_unit_test(none_names_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
