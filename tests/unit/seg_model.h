/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * seg_model.h - what the tests of the segment log share: records whose bytes follow
 * from their number, a lane in a simulated file system, and a recovery in small.
 */
#ifndef SEG_MODEL_H
#define SEG_MODEL_H

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../sim/blk_sim.h"
#include "blk_path.h"
#include "segment/seg_scan.h"
#include "segment/segment.h"
#include "store/store.h"
#include "util/crc32c.h"

#define LANE_DIR "/s/log/007"
#define LANE 7
#define SEG_TEST_BYTES (64u << 10)

static const uint8_t model_uuid[16] = "model of a store";
static uint64_t model_clock = 1000000;
static uint64_t model_salt;

static inline uint64_t model_now(void)
{
	return model_clock++;
}

static inline uint64_t model_random(void)
{
	return model_salt += 0x9e3779b97f4a7c15ull;
}

/* Record seq: its length and bytes.  Some are long, some empty. */
static inline uint32_t model_len(uint64_t seq)
{
	uint64_t x = seq * 0x9e3779b97f4a7c15ull >> 40;

	return x % 16 == 0 ? 0 : x % 16 == 1 ? 5000 + x % 9000 : x % 1200;
}

static inline void model_fill(uint64_t seq, uint8_t *p, uint32_t len)
{
	uint64_t x = seq;

	for (uint32_t i = 0; i < len; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		p[i] = (uint8_t)(x >> 56);
	}
}

static inline bool model_is(uint64_t seq, const uint8_t *p, uint32_t len)
{
	static uint8_t want[65536];

	if (len != model_len(seq))
		return false;
	model_fill(seq, want, len);
	return !memcmp(want, p, len);
}

/* Append records [seq, seq + n) as one call. */
static inline int model_append(struct seglog *s, uint64_t seq, unsigned n)
{
	struct seg_rec r[64] = { 0 };
	struct iovec iov[64];
	int err;

	for (unsigned i = 0; i < n; i++) {
		uint32_t len = model_len(seq + i);

		iov[i] = (struct iovec){ malloc(len + 1), len };
		model_fill(seq + i, iov[i].iov_base, len);
		r[i] = (struct seg_rec){ .kind = FRAME_RECORD, .seq = seq + i,
			.time_ms = model_now(), .len = len,
			.data_crc = crc32c(iov[i].iov_base, len), .iov = &iov[i], .niov = 1 };
	}
	err = seglog_append(s, r, n, NULL);
	for (unsigned i = 0; i < n; i++)
		free((void *)r[i].iov->iov_base);
	return err;
}

/* What a scan finds: a bit per number. */
#define MODEL_SEQS 4096
struct model_found {
	uint8_t	 there[MODEL_SEQS];
	uint64_t last, n;
	bool	 wrong;		/* bytes that were never sent, or not in order */
};

static inline int model_see(void *arg, const struct seg_info *si, const struct seg_frame *fr)
{
	struct model_found *f = arg;

	(void)si;
	if (fr->h.seq >= MODEL_SEQS || fr->h.seq <= f->last ||
	    !model_is(fr->h.seq, fr->data, fr->h.len)) {
		f->wrong = true;
		return 0;
	}
	f->there[fr->h.seq] = 1;
	f->last = fr->h.seq;
	f->n++;
	return 0;
}

static inline int model_scan(const struct blk_ops *blk, bool quick, struct seg_lane *l,
			     struct model_found *f)
{
	struct seg_scan_options o = { .blk = blk, .dir = LANE_DIR, .uuid = model_uuid,
		.lane = LANE, .quick = quick, .record = f ? model_see : NULL, .arg = f };

	if (f)
		memset(f, 0, sizeof(*f));
	return seg_scan_lane(&o, l);
}

static inline unsigned model_holes(const struct seg_lane *l, enum seg_hole_state st)
{
	unsigned n = 0;

	for (size_t i = 0; i < l->nholes; i++)
		n += l->holes[i].state == st;
	return n;
}

static inline int model_open_as(const struct blk_ops *blk, const struct seg_lane *l,
				bool swift, struct seglog **s)
{
	struct seglog_options o = { .blk = blk, .dir = LANE_DIR, .lane = LANE, .swift = swift,
		.segment_bytes = SEG_TEST_BYTES, .now_ms = model_now, .random = model_random };
	struct seglog_resume r;

	memcpy(o.uuid, model_uuid, sizeof(o.uuid));
	seg_lane_resume(l, &r);
	return seglog_open(s, &o, l, &r);
}

static inline int model_open(const struct blk_ops *blk, const struct seg_lane *l,
			     struct seglog **s)
{
	return model_open_as(blk, l, false, s);
}

/* A GAP frame for each torn hole, as recovery writes them. */
static inline int model_explain(struct seglog *s, const struct seg_lane *l)
{
	int err = 0;

	for (size_t i = 0; i < l->nholes && !err; i++) {
		const struct seg_hole *h = &l->holes[i];
		struct gap_data g = { .from_seq = h->from_seq, .to_seq = h->to_seq,
			.reason = GAP_TORN, .offset = h->off, .bytes = h->bytes };

		if (h->state != SEG_HOLE_TORN || h->kind == SEG_HOLE_COPY)
			continue;
		if (h->from_seq > h->to_seq) {
			g.from_seq = seglog_next_seq(s);
			g.to_seq = g.from_seq - 1;
		}
		err = seglog_append_gap(s, &g);
	}
	return err;
}

/* Directories, durable. */
static inline void model_dirs(const struct blk_ops *blk)
{
	assert_int_equal(blk->mkdir(blk->ctx, NULL, "/s"), 0);
	assert_int_equal(blk->mkdir(blk->ctx, NULL, "/s/log"), 0);
	assert_int_equal(blk->mkdir(blk->ctx, NULL, LANE_DIR), 0);
	assert_int_equal(path_sync_dir(blk, "/"), 0);
	assert_int_equal(path_sync_dir(blk, "/s"), 0);
	assert_int_equal(path_sync_dir(blk, "/s/log"), 0);
}

/* Scan and open: the start of a server. */
static inline struct seglog *model_start(const struct blk_ops *blk)
{
	struct seg_lane l;
	struct seglog *s = NULL;

	assert_int_equal(model_scan(blk, false, &l, NULL), 0);
	assert_int_equal(model_open(blk, &l, &s), 0);
	seg_lane_free(&l);
	return s;
}

static inline void model_prepare(struct seglog *s)
{
	int err;

	while ((err = seglog_prepare(s)) == 1)
		;
	assert_int_equal(err, 0);
}

#endif
