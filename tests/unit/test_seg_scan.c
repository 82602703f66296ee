/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_seg_scan.c - the scan of a lane on whole, torn, damaged and senseless files: what
 * is damaged costs the records that it touches and no other, and is reported with its
 * place; the scan ends on any bytes.
 */
#include "seg_model.h"

#define RECORDS 210u

/* A lane of several segments, one batch per 7 records. */
static struct blk_sim *make_lane(void)
{
	struct blk_sim *sim = blk_sim_new();
	struct seglog *s;

	model_dirs(blk_sim_ops(sim));
	s = model_start(blk_sim_ops(sim));
	for (uint64_t seq = 1; seq < RECORDS; seq += 7)
		assert_int_equal(model_append(s, seq, 7), 0);
	seglog_close(s);
	return sim;
}

static void scan(struct blk_sim *sim, struct seg_lane *l, struct model_found *f)
{
	assert_int_equal(model_scan(blk_sim_ops(sim), false, l, f), 0);
	assert_false(f->wrong);
}

struct place {			/* where a frame is */
	uint64_t segno, off, batch, seq;
	uint32_t len;
};
static struct place places[RECORDS + 1];
static unsigned nplaces;

static int note_place(void *arg, const struct seg_info *si, const struct seg_frame *fr)
{
	(void)arg;
	places[nplaces++] = (struct place){ si->segno, fr->off, fr->h.batch, fr->h.seq, fr->h.len };
	return 0;
}

static void find_places(struct blk_sim *sim)
{
	struct seg_scan_options o = { .blk = blk_sim_ops(sim), .dir = LANE_DIR, .lane = LANE,
		.record = note_place };
	struct seg_lane l;

	nplaces = 0;
	assert_int_equal(seg_scan_lane(&o, &l), 0);
	assert_int_equal(nplaces, RECORDS);
	seg_lane_free(&l);
}

static void path_of(char *path, uint64_t segno)
{
	assert_int_equal(seg_path(path, LANE_DIR, segno), 0);
}

static void test_names(void **state)
{
	char path[SEG_PATH_MAX];
	uint64_t n;

	(void)state;
	assert_int_equal(seg_path(path, "d", 0x1a), 0);
	assert_string_equal(path, "d/0000001a.seg");
	assert_true(seg_name_parse("0000001a.seg", &n));
	assert_int_equal(n, 0x1a);
	assert_true(seg_name_parse("123456789.seg", &n));
	assert_false(seg_name_parse("000000001.seg", &n));
	assert_false(seg_name_parse("0000001A.seg", &n));
	assert_false(seg_name_parse("0000001a.se", &n));
	assert_false(seg_name_parse("new-0000001a", &n));
	assert_false(seg_name_parse("", &n));
}

static void test_no_lane(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct model_found f;
	struct seg_lane l;
	struct seglog_resume r;

	(void)state;
	scan(sim, &l, &f);
	assert_int_equal(l.nsegs, 0);
	assert_int_equal(l.next_seq, 1);
	assert_int_equal(l.next_batch, 1);
	seg_lane_resume(&l, &r);
	assert_int_equal(r.end, 0);
	seg_lane_free(&l);
	blk_sim_free(sim);
}

/* Flip a bit of a frame: exactly that record is lost, and the place is told. */
static void flip_one(struct blk_sim *sim, const struct place *p, uint64_t bit, bool header)
{
	char path[SEG_PATH_MAX];
	struct model_found f;
	struct seg_lane l;
	const struct seg_hole *h;

	path_of(path, p->segno);
	assert_int_equal(blk_sim_flip(sim, path, bit), 0);
	scan(sim, &l, &f);
	assert_int_equal(f.there[p->seq], 0);
	assert_int_equal(f.n, RECORDS - 1);
	if (l.nholes) {
		h = &l.holes[0];
		assert_int_equal(l.nholes, 1);
		assert_int_equal(h->segno, p->segno);
		assert_int_equal(h->off, p->off);
		if (!header)
			assert_int_equal(h->bytes, frame_bytes(p->len));
		assert_int_equal(h->kind, header ? h->bytes ? SEG_HOLE_HEADER : SEG_HOLE_TAIL :
				 SEG_HOLE_DATA);
		assert_int_equal(h->from_seq, p->seq);
		assert_int_equal(h->to_seq, p->seq);
		assert_int_equal(h->state, p->batch == l.last_batch ? SEG_HOLE_TORN :
				 SEG_HOLE_DAMAGE);
	} else {			/* the very last frame */
		assert_int_equal(p->seq, RECORDS);
		assert_int_equal(l.end, p->off);
		assert_true(l.dirty_end > l.end);
	}
	seg_lane_free(&l);
	assert_int_equal(blk_sim_flip(sim, path, bit), 0);
}

static void test_every_bit_of_frame_headers(void **state)
{
	struct blk_sim *sim = make_lane();
	unsigned last_of_segment = 0;

	(void)state;
	find_places(sim);
	while (places[last_of_segment + 1].segno == places[0].segno)
		last_of_segment++;
	unsigned which[] = { 0, 3, last_of_segment, last_of_segment + 1, RECORDS - 7,
			     RECORDS - 3, RECORDS - 1 };

	for (size_t i = 0; i < sizeof(which) / sizeof(which[0]); i++) {
		const struct place *p = &places[which[i]];

		for (unsigned bit = 0; bit < 8 * sizeof(struct frame_header); bit++)
			flip_one(sim, p, p->off * 8 + bit, true);
	}
	blk_sim_free(sim);
}

static void test_bits_of_data(void **state)
{
	struct blk_sim *sim = make_lane();
	struct sim_rng rng;

	(void)state;
	find_places(sim);
	sim_rng_init(&rng, 99);
	for (unsigned i = 0; i < RECORDS; i++) {
		const struct place *p = &places[i];

		if (p->len)
			flip_one(sim, p, (p->off + sizeof(struct frame_header)) * 8 +
				 sim_rng_next(&rng) % (p->len * 8ull), false);
	}
	blk_sim_free(sim);
}

static void test_every_bit_of_segment_headers(void **state)
{
	struct blk_sim *sim = make_lane();
	uint64_t segnos[2];

	(void)state;
	find_places(sim);
	segnos[0] = places[0].segno;
	segnos[1] = places[RECORDS - 1].segno;
	for (unsigned s = 0; s < 2; s++)
		for (unsigned bit = 0; bit < 2 * 8 * sizeof(struct seg_header); bit++) {
			uint64_t at = bit / 8 < sizeof(struct seg_header) ? bit :
				      bit - 8 * sizeof(struct seg_header) + 8 * SEG_HDR_B;
			char path[SEG_PATH_MAX];
			struct model_found f;
			struct seg_lane l;

			path_of(path, segnos[s]);
			assert_int_equal(blk_sim_flip(sim, path, at), 0);
			scan(sim, &l, &f);
			assert_int_equal(f.n, RECORDS);		/* the other copy is enough */
			assert_int_equal(l.nholes, 1);
			assert_int_equal(l.holes[0].kind, SEG_HOLE_COPY);
			assert_int_equal(l.holes[0].segno, segnos[s]);
			assert_int_equal(l.holes[0].off, at < 8 * SEG_HDR_B ? SEG_HDR_A : SEG_HDR_B);
			assert_int_equal(l.holes[0].state, SEG_HOLE_DAMAGE);
			seg_lane_free(&l);
			assert_int_equal(blk_sim_flip(sim, path, at), 0);
		}
	blk_sim_free(sim);
}

static void test_damaged_copies_are_healed(void **state)
{
	struct blk_sim *sim = make_lane(), *cut;
	char path[SEG_PATH_MAX];
	struct model_found f;
	struct seg_lane l;
	struct sim_rng rng;

	(void)state;
	find_places(sim);
	path_of(path, places[0].segno);
	blk_sim_flip(sim, path, 100);
	path_of(path, places[RECORDS - 1].segno);
	blk_sim_flip(sim, path, SEG_HDR_B * 8 + 100);
	seglog_close(model_start(blk_sim_ops(sim)));
	for (uint64_t seed = 1; seed < 20; seed++) {
		sim_rng_init(&rng, seed);
		cut = blk_sim_cut(sim, &rng.p);
		scan(cut, &l, &f);
		assert_int_equal(l.nholes, 0);
		assert_int_equal(f.n, RECORDS);
		seg_lane_free(&l);
		blk_sim_free(cut);
	}
	blk_sim_free(sim);
}

/* A file gone or cut: that segment's records, and only they; told as a missing segment.  Both
 * copies of its header damaged: none. */
static void test_segment_lost(void **state)
{
	(void)state;
	for (int how = 0; how < 4; how++)
		for (int which = 0; which < 3; which++) {
			struct blk_sim *sim = make_lane();
			uint64_t segno, lost = 0;
			char path[SEG_PATH_MAX];
			struct model_found f;
			struct seg_lane l;
			struct seglog *s;

			find_places(sim);
			segno = which == 0 ? places[0].segno : which == 1 ?
				places[RECORDS / 2].segno : places[RECORDS - 1].segno;
			for (unsigned i = 0; i < RECORDS; i++)
				lost += places[i].segno == segno;
			path_of(path, segno);
			if (how == 0) {
				blk_sim_flip(sim, path, 100);
				blk_sim_flip(sim, path, SEG_HDR_B * 8 + 100);
			} else if (how == 1) {
				blk_sim_truncate(sim, path, 0);
			} else if (how == 2) {
				blk_sim_truncate(sim, path, 4096);
			} else {
				assert_int_equal(blk_sim_ops(sim)->unlink(blk_sim_ops(sim)->ctx, NULL, path), 0);
			}
			lost = how ? lost : 0;
			scan(sim, &l, &f);
			assert_int_equal(f.n, RECORDS - lost);
			if (how < 3 || which == 1) {
				const struct seg_hole *h = &l.holes[how == 2];	/* behind copy B */

				assert_int_equal(l.nholes, 1 + (how == 2));
				assert_int_equal(h->kind, how == 2 ? SEG_HOLE_CUT : how ? SEG_HOLE_SEGMENT : SEG_HOLE_BOTH);
				assert_int_equal(h->segno, segno);
				assert_int_equal(h->state, SEG_HOLE_DAMAGE);
				if (which == 1)
					assert_int_equal(h->to_seq - h->from_seq + 1, lost);
			}
			if (which == 2 && how == 0)	/* no number is given twice */
				assert_int_equal(l.next_seq, RECORDS + 1);
			seg_lane_free(&l);
			/* and the lane goes on */
			s = model_start(blk_sim_ops(sim));
			assert_int_equal(model_append(s, seglog_next_seq(s), 9), 0);
			seglog_close(s);
			scan(sim, &l, &f);
			assert_int_equal(f.n, RECORDS - lost + 9);
			if (!how)
				assert_int_equal(l.nholes, 0);
			seg_lane_free(&l);
			blk_sim_free(sim);
		}
}

/* n bytes at off: zeros, ones, or anything. */
static void overwrite(struct blk_sim *sim, const char *path, uint64_t off, uint64_t n, int how)
{
	uint64_t len, x = 1;
	const uint8_t *now = blk_sim_bytes(sim, path, &len);
	uint8_t *file = malloc(len);

	memcpy(file, now, len);
	for (uint64_t i = off; i < off + n; i++) {
		x = x * 6364136223846793005ull + 1442695040888963407ull;
		file[i] = how == 0 ? 0 : how == 1 ? 0xff : (uint8_t)(x >> 56);
	}
	assert_int_equal(blk_sim_put(sim, path, file, len), 0);
	free(file);
}

/* Both blocks of a header gone: no record is lost, the header is what it was but for the
 * salt, and a start writes it again. */
static void test_header_again(void **state)
{
	(void)state;
	for (int how = 0; how < 3; how++)
		for (size_t which = 0; which < 3; which++) {
			struct blk_sim *sim = make_lane();
			struct seg_header was;
			struct model_found f;
			struct seg_lane l;
			char path[SEG_PATH_MAX];
			size_t i;

			assert_int_equal(model_scan(blk_sim_ops(sim), true, &l, NULL), 0);
			i = which == 0 ? 0 : which == 1 ? l.nsegs / 2 : l.tail;
			was = l.segs[i].h;
			path_of(path, was.segno);
			seg_lane_free(&l);
			overwrite(sim, path, 0, SEG_DATA, how);
			assert_int_equal(model_scan(blk_sim_ops(sim), true, &l, NULL), 0);
			assert_int_equal(l.next_seq, RECORDS + 1);
			seg_lane_free(&l);
			scan(sim, &l, &f);
			assert_int_equal(f.n, RECORDS);
			assert_int_equal(l.nholes, 1);
			assert_int_equal(l.holes[0].kind, SEG_HOLE_BOTH);
			assert_int_equal(l.holes[0].state, SEG_HOLE_DAMAGE);
			assert_int_equal(l.holes[0].segno, was.segno);
			assert_int_equal(l.holes[0].off, SEG_HDR_A);
			assert_int_equal(l.holes[0].bytes, SEG_DATA);
			assert_true(l.holes[0].from_seq > l.holes[0].to_seq);
			assert_int_equal(l.segs[i].h.first_seq, was.first_seq);
			assert_int_equal(l.segs[i].h.first_batch, was.first_batch);
			assert_int_equal(l.segs[i].h.bytes, was.bytes);
			seg_lane_free(&l);
			seglog_close(model_start(blk_sim_ops(sim)));
			scan(sim, &l, &f);
			assert_int_equal(f.n, RECORDS);
			assert_int_equal(l.nholes, 0);
			seg_lane_free(&l);
			blk_sim_free(sim);
		}
}

/* Zeros in the last file with one batch: it may have been acknowledged, and is there, as torn.
 * Where its first frame is not whole that is known of it only if somebody else says so. */
static void test_header_again_one_batch(void **state)
{
	(void)state;
	for (int first = 0; first < 3; first++)		/* its header damaged, its data, whole */
		for (int used = 0; used < 2; used++) {
			struct blk_sim *sim = blk_sim_new();
			struct seg_scan_options o = { .blk = blk_sim_ops(sim), .dir = LANE_DIR,
				.uuid = model_uuid, .lane = LANE, .all_used = used };
			bool there = first == 2 || used;
			uint64_t seq = 1;
			struct seg_lane l;
			struct seglog *s;

			model_dirs(o.blk);
			s = model_start(o.blk);
			while (!model_len(seq))
				seq++;
			assert_int_equal(model_append(s, seq, 5), 0);
			seglog_close(s);
			overwrite(sim, LANE_DIR "/00000001.seg", 0, SEG_DATA, 0);
			if (first < 2)
				blk_sim_flip(sim, LANE_DIR "/00000001.seg", (SEG_DATA + 40 + 8 * first) * 8);
			assert_int_equal(seg_scan_lane(&o, &l), 0);
			assert_int_equal(l.records, !there ? 0 : first == 2 ? 5 : 4);
			assert_int_equal(l.next_seq, there ? seq + 5 : 1);
			assert_int_equal(l.segs[0].state, there ? SEG_USED : SEG_PREPARED);
			assert_int_equal(l.in_doubt, !there);
			if (there) {
				assert_int_equal(l.holes[0].kind, SEG_HOLE_BOTH);
				assert_int_equal(l.holes[0].state, SEG_HOLE_TORN);
			}
			seg_lane_free(&l);
			blk_sim_free(sim);
		}
}

/* What a client sends to be taken for a segment: headers that lie in each other, each with
 * all behind it as its data, whole. */
static void attack(uint8_t *p, size_t n, unsigned depth)
{
	memset(p, 'x', n);
	for (unsigned i = depth; i-- > 0; ) {
		uint8_t *at = p + i * sizeof(struct frame_header);
		uint32_t len = (uint32_t)(n - (i + 1) * sizeof(struct frame_header));
		struct frame_header h = { .kind = FRAME_RECORD, .seq = 1000 + i, .batch = 2,
			.lane = LANE, .len = len, .data_crc = crc32c(at + sizeof(h), len) };

		frame_header_encode(&h, 0x1234567);
		memcpy(at, &h, sizeof(h));
	}
}

/* It must not win: not where all else is whole, not where the frame around it is damaged or
 * the segment's first one is. */
static void test_header_again_attacked(void **state)
{
	static const struct {
		uint64_t flip;		/* offset of the frame that is damaged; 0: none */
		uint64_t records;
	} rows[] = { { 0, 3 }, { SEG_DATA, 2 }, { SEG_DATA + 56, 2 }, { SEG_DATA - 30, 2 } };
	size_t n = 30000;
	uint8_t *body = malloc(n);

	(void)state;
	attack(body, n, 100);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct blk_sim *sim = blk_sim_new();
		struct iovec iov[3] = { { "abc", 3 }, { body, n }, { body, 600 } };
		struct seg_lane l;
		struct seglog *s;

		model_dirs(blk_sim_ops(sim));
		s = model_start(blk_sim_ops(sim));
		for (uint64_t k = 0; k < 3; k++) {
			struct seg_rec r = { .kind = FRAME_RECORD, .seq = k + 1, .time_ms = 1,
				.len = (uint32_t)iov[k].iov_len, .niov = 1, .iov = &iov[k],
				.data_crc = crc32c(iov[k].iov_base, iov[k].iov_len) };

			assert_int_equal(seglog_append(s, &r, 1, NULL), 0);
		}
		seglog_close(s);
		if (rows[i].flip)
			blk_sim_flip(sim, LANE_DIR "/00000001.seg", (rows[i].flip + 40) * 8);
		overwrite(sim, LANE_DIR "/00000001.seg", 0, SEG_DATA, 2);
		assert_int_equal(model_scan(blk_sim_ops(sim), false, &l, NULL), 0);
		assert_int_equal(l.records, rows[i].records);
		assert_int_equal(l.next_seq, 4);
		seg_lane_free(&l);
		blk_sim_free(sim);
	}
	free(body);
}

/* Nor in a first batch that a crash tore, header and first frame and all: then nothing is there. */
static void test_header_again_attacked_and_torn(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	struct iovec iov = { malloc(30000), 30000 };
	struct seg_rec r = { .kind = FRAME_RECORD, .seq = 1, .time_ms = 1, .len = 30000, .niov = 1,
		.iov = &iov };
	struct seg_lane l;
	struct seglog *s;

	(void)state;
	attack(iov.iov_base, iov.iov_len, 1);
	r.data_crc = crc32c(iov.iov_base, iov.iov_len);
	model_dirs(blk_sim_ops(sim));
	s = model_start(blk_sim_ops(sim));
	assert_int_equal(seglog_append(s, &r, 1, NULL), 0);
	seglog_close(s);
	overwrite(sim, LANE_DIR "/00000001.seg", 0, SEG_DATA + 40, 0);
	assert_int_equal(model_scan(blk_sim_ops(sim), false, &l, NULL), 0);
	assert_int_equal(l.records, 0);
	assert_int_equal(l.next_seq, 1);
	assert_true(l.in_doubt);
	seg_lane_free(&l);
	blk_sim_free(sim);
	free(iov.iov_base);
}

/* A copy of a newer version is no damage to be written over, whatever the other one is. */
static void test_copy_of_another_version(void **state)
{
	(void)state;
	for (int copy = 0; copy < 2; copy++)
		for (int other = 0; other < 2; other++) {
			struct blk_sim *sim = make_lane();
			static uint8_t file[SEG_TEST_BYTES];
			struct seg_header *h = (void *)(file + (copy ? SEG_HDR_B : SEG_HDR_A));
			struct seg_lane l;
			uint64_t len;

			memcpy(file, blk_sim_bytes(sim, LANE_DIR "/00000001.seg", &len), sizeof(file));
			h->version++;
			h->crc = crc32c(h, offsetof(struct seg_header, crc));
			if (other)
				file[copy ? 70 : SEG_HDR_B + 70] ^= 4;
			blk_sim_put(sim, LANE_DIR "/00000001.seg", file, sizeof(file));
			assert_int_equal(model_scan(blk_sim_ops(sim), true, &l, NULL), STORE_EVERSION);
			blk_sim_free(sim);
		}
}

static void test_torn_batch(void **state)
{
	struct blk_sim *sim = make_lane();
	const struct place *p;
	char path[SEG_PATH_MAX];
	struct model_found f;
	struct seg_lane l;
	struct seglog *s;

	(void)state;
	find_places(sim);
	p = &places[RECORDS - 4];
	path_of(path, p->segno);
	blk_sim_flip(sim, path, p->off * 8 + 70);
	scan(sim, &l, &f);
	assert_int_equal(model_holes(&l, SEG_HOLE_TORN), 1);
	assert_int_equal(l.next_seq, RECORDS + 1);
	assert_int_equal(model_open(blk_sim_ops(sim), &l, &s), 0);
	assert_int_equal(model_explain(s, &l), 0);
	seg_lane_free(&l);
	assert_int_equal(model_append(s, RECORDS + 1, 7), 0);
	seglog_close(s);
	scan(sim, &l, &f);
	assert_int_equal(f.n, RECORDS + 6);
	assert_int_equal(l.nholes, 1);
	assert_int_equal(l.holes[0].state, SEG_HOLE_EXPLAINED);
	assert_int_equal(l.gaps[0].g.from_seq, p->seq);
	assert_int_equal(l.gaps[0].g.to_seq, p->seq);
	seg_lane_free(&l);
	blk_sim_free(sim);
}

static void test_truncated(void **state)
{
	struct blk_sim *sim = make_lane();
	char path[SEG_PATH_MAX];
	struct model_found f;
	struct seg_lane l;
	struct seglog *s;

	(void)state;
	find_places(sim);
	path_of(path, places[RECORDS - 1].segno);
	/* too short to be ours, but with a header and a frame or two */
	blk_sim_truncate(sim, path, SEG_BYTES_MIN - 1);
	scan(sim, &l, &f);
	assert_int_equal(model_holes(&l, SEG_HOLE_DAMAGE), 1);
	seg_lane_free(&l);
	s = model_start(blk_sim_ops(sim));
	assert_int_equal(model_append(s, seglog_next_seq(s), 3), 0);
	seglog_close(s);
	blk_sim_free(sim);
}

static void test_other_formats(void **state)
{
	struct blk_sim *sim = make_lane();
	struct seg_header h;
	char path[SEG_PATH_MAX];
	static uint8_t file[SEG_TEST_BYTES], was_there[SEG_DATA];
	const uint8_t *was;
	struct seg_lane l;
	uint64_t len;

	(void)state;
	find_places(sim);
	path_of(path, places[0].segno);
	was = blk_sim_bytes(sim, path, &len);
	assert_int_equal(len, sizeof(file));
	memcpy(file, was, len);
	memcpy(was_there, was, sizeof(was_there));
	memcpy(&h, file, sizeof(h));
	h.version = WAL_VERSION + 1;
	h.crc = crc32c(&h, offsetof(struct seg_header, crc));
	memcpy(file + SEG_HDR_A, &h, sizeof(h));
	memcpy(file + SEG_HDR_B, &h, sizeof(h));
	blk_sim_put(sim, path, file, len);
	assert_int_equal(model_scan(blk_sim_ops(sim), false, &l, NULL), STORE_EVERSION);
	for (int ours = 0; ours < 2; ours++) {		/* beside one of ours it is the same */
		memcpy(file, was_there, sizeof(was_there));
		memcpy(file + (ours ? SEG_HDR_A : SEG_HDR_B), &h, sizeof(h));
		blk_sim_put(sim, path, file, len);
		assert_int_equal(model_scan(blk_sim_ops(sim), false, &l, NULL), STORE_EVERSION);
	}
	h.magic = __builtin_bswap64(SEG_MAGIC);
	memcpy(file + SEG_HDR_A, &h, sizeof(h));
	memcpy(file + SEG_HDR_B, &h, sizeof(h));
	blk_sim_put(sim, path, file, len);
	assert_int_equal(model_scan(blk_sim_ops(sim), false, &l, NULL), STORE_EBYTEORDER);
	blk_sim_free(sim);
}

static void test_foreign_segment(void **state)
{
	struct blk_sim *sim = make_lane();
	static const uint8_t other[16] = "somebody else's";
	struct seg_scan_options o = { .blk = blk_sim_ops(sim), .dir = LANE_DIR, .lane = LANE,
		.uuid = other };
	struct seg_lane l;

	(void)state;
	assert_int_equal(seg_scan_lane(&o, &l), 0);
	assert_int_equal(l.tail, SIZE_MAX);
	assert_int_equal(l.records, 0);
	assert_int_equal(l.segs[0].state, SEG_FOREIGN);
	assert_int_equal(l.nholes, l.nsegs);
	seg_lane_free(&l);
	o.uuid = model_uuid;
	o.lane = LANE + 1;		/* another lane's files in this directory */
	assert_int_equal(seg_scan_lane(&o, &l), 0);
	assert_int_equal(l.records, 0);
	assert_int_equal(l.segs[0].state, SEG_FOREIGN);
	seg_lane_free(&l);
	o.lane = LANE;			/* the right file under a wrong name */
	assert_int_equal(o.blk->rename(o.blk->ctx, NULL, LANE_DIR "/00000001.seg",
				       LANE_DIR "/00000077.seg"), 0);
	assert_int_equal(seg_scan_lane(&o, &l), 0);
	assert_int_equal(l.segs[l.nsegs - 1].state, SEG_FOREIGN);
	assert_true(l.records < RECORDS && l.records > 0);
	seg_lane_free(&l);
	blk_sim_free(sim);
}

/* A frame of the right salt that does not belong where it stands is not taken: of another
 * lane, or of a number or a batch that was passed already. */
static void test_misplaced_frames(void **state)
{
	static const struct {
		uint32_t lane;
		uint64_t seq, batch;
		bool taken;
	} rows[] = {
		{ LANE, RECORDS + 1, 1000, true },
		{ LANE + 1, RECORDS + 1, 1000, false },
		{ LANE, RECORDS, 1000, false },
		{ LANE, 3, 1000, false },
		{ LANE, RECORDS + 1, 1, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct blk_sim *sim = make_lane();
		static uint8_t file[SEG_TEST_BYTES];
		struct frame_header h = { .kind = FRAME_RECORD, .seq = rows[i].seq,
			.batch = rows[i].batch, .lane = rows[i].lane, .data_crc = crc32c(NULL, 0) };
		struct seg_header sh;
		struct seg_lane l;
		char path[SEG_PATH_MAX];
		uint64_t len;

		assert_int_equal(model_scan(blk_sim_ops(sim), false, &l, NULL), 0);
		path_of(path, l.segs[l.tail].segno);
		memcpy(file, blk_sim_bytes(sim, path, &len), sizeof(file));
		memcpy(&sh, file, sizeof(sh));
		frame_header_encode(&h, sh.salt);
		memcpy(file + l.end + 64, &h, sizeof(h));
		seg_lane_free(&l);
		blk_sim_put(sim, path, file, sizeof(file));
		assert_int_equal(model_scan(blk_sim_ops(sim), false, &l, NULL), 0);
		assert_int_equal(l.records, RECORDS + rows[i].taken);
		seg_lane_free(&l);
		blk_sim_free(sim);
	}
}

/* A device that refuses some pages: what stood in them is lost, the rest is read. */
static uint64_t refused_from, refused_to;
static int refused_err = EIO;
static const struct blk_ops *below;

static int refusing_read(struct blk_file *f, void *p, size_t n, uint64_t off)
{
	if (off < refused_to && off + n > refused_from)
		return -refused_err;
	return below->read(f, p, n, off);
}

static void test_unreadable_pages(void **state)
{
	struct blk_sim *sim = make_lane();
	struct blk_ops ops = *blk_sim_ops(sim);
	struct model_found f;
	uint64_t lost = 0, segs = 0;
	struct seg_lane l;

	(void)state;
	find_places(sim);
	below = blk_sim_ops(sim);
	ops.read = refusing_read;
	refused_from = 5 * WAL_PAGE;
	refused_to = 6 * WAL_PAGE;
	for (unsigned i = 0; i < RECORDS; i++)
		lost += places[i].off < refused_to &&
			places[i].off + frame_bytes(places[i].len) > refused_from;
	assert_int_equal(model_scan(&ops, false, &l, &f), 0);
	assert_false(f.wrong);
	assert_in_range(f.n, RECORDS - lost - 1, RECORDS - lost + 1);	/* padding, empty ones */
	for (size_t i = 0; i < l.nholes; i++) {
		assert_true(l.holes[i].kind == SEG_HOLE_UNREADABLE || l.holes[i].kind == SEG_HOLE_DATA);
		segs++;
	}
	assert_true(segs >= l.nsegs);
	seg_lane_free(&l);
	blk_sim_free(sim);
}

/* Whatever errno a device or a file system says it with; but what is wrong with this process is no
 * word on the file, and ends the scan. */
static void test_errnos_of_a_page(void **state)
{
	static const struct { int err; bool page; } rows[] = {
		{ EIO, true }, { EBADMSG, true }, { EILSEQ, true }, { EUCLEAN, true },
		{ ENOMEM, false }, { EMFILE, false }, { EINTR, false }, { EBADF, false }, { ENFILE, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (int header = 0; header < 1 + rows[i].page; header++) {
			struct blk_sim *sim = make_lane();
			struct blk_ops ops = *blk_sim_ops(sim);
			struct model_found f;
			struct seg_lane l;
			int err;

			below = blk_sim_ops(sim);
			ops.read = refusing_read;
			refused_err = rows[i].err;
			refused_from = header ? 0 : 5 * WAL_PAGE;
			refused_to = refused_from + WAL_PAGE;
			err = model_scan(&ops, false, &l, &f);
			assert_int_equal(err, rows[i].page ? 0 : -rows[i].err);
			if (!err) {		/* of a header the other copy is enough */
				assert_in_range(f.n, header ? RECORDS : RECORDS / 2, header ? RECORDS : RECORDS - 1);
				seg_lane_free(&l);
			}
			blk_sim_free(sim);
		}
	refused_err = EIO;
}

/* The process has not what it takes to read one copy of a header: nothing is known of that copy, and
 * this is what is said, be the other one damaged or well; it is not told as damage. */
static void test_trouble_beside_a_copy(void **state)
{
	static const int errs[] = { ENOMEM, EMFILE, ENFILE, EBADF, EINTR };

	(void)state;
	for (size_t i = 0; i < sizeof(errs) / sizeof(errs[0]); i++)
		for (unsigned k = 0; k < 4; k++) {
			bool b = k & 1, well = k & 2;
			struct blk_sim *sim = make_lane();
			struct blk_ops ops = *blk_sim_ops(sim);
			struct seg_lane l;

			if (!well)
				assert_int_equal(blk_sim_flip(sim, LANE_DIR "/00000001.seg",
							      ((b ? SEG_HDR_B : SEG_HDR_A) + 20) * 8), 0);
			below = blk_sim_ops(sim);
			ops.read = refusing_read;
			refused_err = errs[i];
			refused_from = b ? SEG_HDR_A : SEG_HDR_B;
			refused_to = refused_from + sizeof(struct seg_header);
			assert_int_equal(model_scan(&ops, false, &l, NULL), -errs[i]);
			blk_sim_free(sim);
		}
	refused_err = EIO;
}

/* Of a hole that is larger than what is read of it at once, each piece is asked whether it can be
 * read: none beside it, and none where nothing was refused. */
static void test_unreadable_pieces(void **state)
{
	static const struct { uint64_t bad, off, n; bool lost; } rows[] = {
		{ 0, 0, 256 << 10, true }, { 60 << 10, 0, 64 << 10, true }, { 64 << 10, 0, 64 << 10, false },
		{ 64 << 10, 0, (64 << 10) + 1, true }, { 100 << 10, 0, 128 << 10, true },
		{ 100 << 10, 0, 100 << 10, false }, { 100 << 10, 104 << 10, 152 << 10, false },
		{ 200 << 10, 8 << 10, 200 << 10, true }, { 252 << 10, 8 << 10, 248 << 10, true },
		{ 100 << 10, 0, 0, false },
	};
	static const uint8_t file[256 << 10];

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct blk_sim *sim = blk_sim_new();
		const struct blk_ops *blk = blk_sim_ops(sim);
		struct seg_header h = { .lane = LANE };
		struct blk_file *f;
		struct seg_walk w;

		assert_int_equal(blk_sim_put(sim, "/f", file, sizeof(file)), 0);
		assert_int_equal(blk_sim_bad(sim, "/f", rows[i].bad), 0);
		assert_int_equal(blk->open(blk->ctx, NULL, "/f", BLK_RDONLY, &f), 0);
		assert_int_equal(seg_walk_init(&w, blk, f, &h, 0, sizeof(file), 0), 0);
		assert_false(seg_walk_unreadable(&w, rows[i].off, rows[i].n));
		w.bad_pages = 1;
		assert_int_equal(seg_walk_unreadable(&w, rows[i].off, rows[i].n), rows[i].lost);
		seg_walk_fini(&w);
		blk->close(f);
		blk_sim_free(sim);
	}
}

/* A record that holds what looks like frames is data and nothing else. */
static void test_frames_in_data(void **state)
{
	struct blk_sim *sim = make_lane(), *lane = blk_sim_new();
	char path[SEG_PATH_MAX];
	const uint8_t *bytes;
	struct iovec iov;
	struct seg_rec r;
	struct seglog *s;
	struct seg_lane l;
	uint64_t len;

	(void)state;
	find_places(sim);
	path_of(path, places[0].segno);
	bytes = blk_sim_bytes(sim, path, &len);
	model_dirs(blk_sim_ops(lane));
	s = model_start(blk_sim_ops(lane));
	iov = (struct iovec){ (void *)(bytes + SEG_DATA), 40000 };
	r = (struct seg_rec){ .kind = FRAME_RECORD, .seq = 1, .len = 40000,
		.data_crc = crc32c(bytes + SEG_DATA, 40000), .iov = &iov, .niov = 1 };
	assert_int_equal(seglog_append(s, &r, 1, NULL), 0);
	r.seq = 2;
	r.len = 0;
	r.data_crc = crc32c(NULL, 0);
	r.niov = 0;
	assert_int_equal(seglog_append(s, &r, 1, NULL), 0);
	seglog_close(s);
	/* its header damaged: the search goes through all of it */
	path_of(path, 1);
	blk_sim_flip(lane, path, SEG_DATA * 8 + 99);
	assert_int_equal(model_scan(blk_sim_ops(lane), false, &l, NULL), 0);
	assert_int_equal(l.records, 1);
	assert_int_equal(l.nholes, 1);
	assert_int_equal(l.holes[0].from_seq, 1);
	assert_int_equal(l.holes[0].to_seq, 1);
	assert_int_equal(l.next_seq, 3);
	seg_lane_free(&l);
	blk_sim_free(lane);
	blk_sim_free(sim);
}

static void test_any_bytes(void **state)
{
	struct sim_rng rng;

	(void)state;
	sim_rng_init(&rng, 4711);
	for (int round = 0; round < 60; round++) {
		struct blk_sim *sim = make_lane();
		struct model_found f;
		struct seg_lane l;
		char path[SEG_PATH_MAX];

		find_places(sim);
		for (unsigned i = 0; i < 40; i++) {	/* bursts of noise */
			uint64_t segno = places[sim_rng_next(&rng) % RECORDS].segno;
			uint64_t at = sim_rng_next(&rng) % SEG_TEST_BYTES * 8;
			unsigned n = sim_rng_next(&rng) % (round % 2 ? 2000 : 20);

			path_of(path, segno);
			for (unsigned k = 0; k < n; k++)
				if (at + k < SEG_TEST_BYTES * 8ull && sim_rng_next(&rng) % 2)
					blk_sim_flip(sim, path, at + k);
		}
		assert_int_equal(model_scan(blk_sim_ops(sim), round % 3 == 0, &l, &f), 0);
		assert_false(f.wrong);
		seg_lane_free(&l);
		/* whatever it was: one can go on */
		struct seglog *s = model_start(blk_sim_ops(sim));
		uint64_t seq = seglog_next_seq(s);

		assert_int_equal(model_append(s, seq, 3), 0);
		seglog_close(s);
		scan(sim, &l, &f);
		assert_true(f.there[seq] && f.there[seq + 1] && f.there[seq + 2]);
		seg_lane_free(&l);
		blk_sim_free(sim);
	}
}

static int stop_at_ten(void *arg, const struct seg_info *si, const struct seg_frame *fr)
{
	(void)arg;
	(void)si;
	return fr->h.seq == 10 ? 123 : 0;
}

static void test_callback_stops(void **state)
{
	struct blk_sim *sim = make_lane();
	struct seg_scan_options o = { .blk = blk_sim_ops(sim), .dir = LANE_DIR, .lane = LANE,
		.record = stop_at_ten };
	struct seg_lane l;

	(void)state;
	assert_int_equal(seg_scan_lane(&o, &l), 123);
	blk_sim_free(sim);
}

/* ---- codec and names, at their edges ---- */

static void test_header_checks(void **state)
{
	static const struct { uint64_t bytes, seq, batch; int err; } rows[] = {
		{ SEG_BYTES_MIN, 1, 1, 0 }, { SEG_BYTES_MAX, (1ull << 62) - 1, (1ull << 62) - 1, 0 },
		{ SEG_BYTES_MIN - 4096, 1, 1, STORE_EFORMAT }, { SEG_BYTES_MAX + 4096, 1, 1, STORE_EFORMAT },
		{ SEG_BYTES_MIN + 8, 1, 1, STORE_EFORMAT }, { SEG_BYTES_MIN, 0, 1, STORE_EFORMAT },
		{ SEG_BYTES_MIN, 1ull << 62, 1, STORE_EFORMAT }, { SEG_BYTES_MIN, 1, 0, STORE_EFORMAT },
		{ SEG_BYTES_MIN, 1, 1ull << 62, STORE_EFORMAT },
	};
	struct seg_header h = { 0 };

	(void)state;
	assert_int_equal(seg_header_check(&h), -ENODATA);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		h = (struct seg_header){ .bytes = rows[i].bytes, .first_seq = rows[i].seq,
					 .first_batch = rows[i].batch, .salt = 5, .zero2 = 9 };
		seg_header_encode(&h);
		assert_int_equal(h.zero2, 0);
		assert_int_equal(seg_header_check(&h), rows[i].err);
	}
	h = (struct seg_header){ .bytes = SEG_BYTES_MIN, .first_seq = 1, .first_batch = 1 };
	seg_header_encode(&h);
	h.byte_order = __builtin_bswap32(h.byte_order);
	h.crc = crc32c(&h, offsetof(struct seg_header, crc));
	assert_int_equal(seg_header_check(&h), STORE_EBYTEORDER);
	h.crc++;
	assert_int_equal(seg_header_check(&h), STORE_EFORMAT);
}

static void test_frame_checks(void **state)
{
	static const struct { uint16_t kind, flags; uint64_t seq, batch; uint32_t len; bool ok; } rows[] = {
		{ FRAME_RECORD, 0, 1, 1, 0, true }, { FRAME_RECORD, 0, 1, 1, UINT32_MAX, true },
		{ FRAME_RECORD, 0, (1ull << 62) - 1, (1ull << 62) - 1, 7, true },
		{ FRAME_GAP, 0, 1, 1, sizeof(struct gap_data), true },
		{ FRAME_GAP, 0, 1, 1, sizeof(struct gap_data) - 1, false },
		{ FRAME_GAP, 0, 1, 1, sizeof(struct gap_data) + 1, false },
		{ 0, 0, 1, 1, 0, false }, { 3, 0, 1, 1, 0, false }, { FRAME_RECORD, 1, 1, 1, 0, false },
		{ FRAME_RECORD, 0, 0, 1, 0, false }, { FRAME_RECORD, 0, 1ull << 62, 1, 0, false },
		{ FRAME_RECORD, 0, 1, 0, 0, false }, { FRAME_RECORD, 0, 1, 1ull << 62, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct frame_header h = { .kind = rows[i].kind, .seq = rows[i].seq, .batch = rows[i].batch,
					  .len = rows[i].len, .lane = 3 };
		uint32_t c;

		frame_header_encode(&h, 77);
		h.flags = rows[i].flags;
		c = crc32c_update(crc32c_word(CRC32C_INIT, 77), &h, offsetof(struct frame_header, header_crc));
		h.header_crc = crc32c_final(c);
		assert_int_equal(frame_header_check(&h, 77), rows[i].ok);
		assert_false(frame_header_check(&h, 78));
		h.magic++;
		assert_false(frame_header_check(&h, 77));
	}
	assert_int_equal(frame_bytes(0), 48);
	assert_int_equal(frame_bytes(1), 56);
	assert_int_equal(frame_bytes(8), 56);
	assert_int_equal(frame_bytes(9), 64);
	assert_int_equal(frame_bytes(UINT32_MAX), (1ull << 32) + 48);
}

static void test_names_at_their_edges(void **state)
{
	static const struct { const char *name; uint64_t n; } rows[] = {
		{ "00000000.seg", 0 }, { "ffffffff.seg", 0xffffffff }, { "100000000.seg", 1ull << 32 },
		{ "1fffffffffffffff.seg", (1ull << 61) - 1 },
	};
	static const char *const bad[] = { "2000000000000000.seg", "10000000000000000.seg", "0000000.seg", "00000001.segx",
					   "0x000001.seg", " 0000001.seg", "+0000001.seg", "00000001seg", ".seg" };
	static char dir[SEG_PATH_MAX + 1], path[SEG_PATH_MAX];
	char name[SEG_NAME_MAX];
	uint64_t n;

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		n = 99;
		assert_true(seg_name_parse(rows[i].name, &n));
		assert_int_equal(n, rows[i].n);
		seg_name(name, n);
		assert_string_equal(name, rows[i].name);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(seg_name_parse(bad[i], &n));
	memset(dir, 'd', SEG_PATH_MAX - 14);
	assert_int_equal(seg_path(path, dir, 7), 0);
	assert_int_equal(strlen(path), SEG_PATH_MAX - 1);
	assert_string_equal(path + SEG_PATH_MAX - 14, "/00000007.seg");
	dir[SEG_PATH_MAX - 14] = 'd';
	assert_int_equal(seg_path(path, dir, 7), -ENAMETOOLONG);
	for (int a = SEG_HOLE_HEADER; a <= SEG_HOLE_BOTH; a++) {
		assert_true(strlen(seg_hole_words(a)) > 5);
		for (int b = SEG_HOLE_HEADER; b < a; b++)
			assert_string_not_equal(seg_hole_words(a), seg_hole_words(b));
	}
	assert_string_equal(seg_hole_words(SEG_HOLE_BOTH + 1), "?");
	assert_string_equal(seg_hole_words(-1), "?");
}

/* ---- figures ---- */

struct progress {
	uint64_t done, total;
	unsigned calls, records;
};

static void hear(void *arg, uint64_t done, uint64_t total)
{
	struct progress *p = arg;

	assert_true(done >= p->done && total >= p->total);
	assert_true(done <= total || !total);
	p->done = done;
	p->total = total;
	p->calls++;
}

static int hear_record(void *arg, const struct seg_info *si, const struct seg_frame *fr)
{
	struct progress *p = arg;

	assert_true(fr->data_ok && si->state == SEG_USED);
	p->records++;
	return 0;
}

/* What a scan sums up, whole and quick; who listens hears of each file twice, and of all bytes. */
static void test_sums(void **state)
{
	struct blk_sim *sim = make_lane();
	struct progress p = { 0 };
	struct seg_scan_options o = { .blk = blk_sim_ops(sim), .dir = LANE_DIR, .lane = LANE, .record = hear_record,
				      .progress = hear, .arg = &p };
	uint64_t bytes = 0, longest = 0, in[64] = { 0 }, in_bytes[64] = { 0 };
	struct seg_lane l;
	size_t tail;

	(void)state;
	find_places(sim);
	for (unsigned i = 0; i < RECORDS; i++) {
		bytes += places[i].len;
		if (frame_bytes(places[i].len) > longest)
			longest = frame_bytes(places[i].len);
		in[places[i].segno - 1]++;
		in_bytes[places[i].segno - 1] += places[i].len;
	}
	assert_int_equal(seg_scan_lane(&o, &l), 0);
	assert_int_equal(l.lane, LANE);
	assert_int_equal(l.records, RECORDS);
	assert_int_equal(p.records, RECORDS);
	assert_int_equal(l.bytes, bytes);
	assert_int_equal(l.longest, longest);
	assert_int_equal(l.oldest_seq, 1);
	assert_int_equal(l.next_seq, RECORDS + 1);
	assert_int_equal(l.last_batch, places[RECORDS - 1].batch);
	assert_int_equal(l.next_batch, l.last_batch + 1);
	assert_true(l.newest_ms > 1000000 && l.newest_ms < model_clock);
	assert_int_equal(l.tail, l.nsegs - 1);
	assert_int_equal(l.end, places[RECORDS - 1].off + frame_bytes(places[RECORDS - 1].len));
	assert_int_equal(l.dirty_end, l.end);
	assert_in_range(l.batch_off, places[RECORDS - 7].off, places[RECORDS - 1].off);
	assert_false(l.unreadable || l.numbers_lost || l.unread_last || l.in_doubt);
	assert_int_equal(p.done, l.nsegs * SEG_TEST_BYTES);
	assert_int_equal(p.total, l.nsegs * SEG_TEST_BYTES);
	assert_in_range(p.calls, 3 * l.nsegs, 3 * l.nsegs);	/* its header; its frames, and behind them */
	assert_in_range(l.read_bytes, l.nsegs * (SEG_TEST_BYTES - SEG_DATA), l.nsegs * SEG_TEST_BYTES);
	for (size_t i = 0; i < l.nsegs; i++) {
		assert_true(l.segs[i].read && !l.segs[i].a_bad && !l.segs[i].b_bad && !l.segs[i].batch_only);
		assert_int_equal(l.segs[i].records, in[i]);
		assert_int_equal(l.segs[i].record_bytes, in_bytes[i]);
		assert_int_equal(l.segs[i].bytes, SEG_TEST_BYTES);
	}
	tail = l.tail;
	seg_lane_free(&l);
	p = (struct progress){ 0 };
	o.quick = true;
	assert_int_equal(seg_scan_lane(&o, &l), 0);
	assert_int_equal(l.records, in[tail]);
	assert_int_equal(p.records, in[tail]);
	assert_int_equal(p.total, SEG_TEST_BYTES);
	assert_int_equal(l.next_seq, RECORDS + 1);
	assert_int_equal(l.oldest_seq, 1);
	for (size_t i = 0; i < l.nsegs; i++)
		assert_int_equal(l.segs[i].read, i == tail);
	seg_lane_free(&l);
	blk_sim_free(sim);
}

/* ---- the walker's window ---- */

static uint64_t walk_sum(struct blk_sim *sim, const char *path, const struct seg_header *h, uint64_t limit, size_t want,
			 bool data)
{
	const struct blk_ops *blk = blk_sim_ops(sim);
	struct seg_frame fr;
	struct blk_file *f;
	struct seg_walk w;
	uint64_t sum = 0;

	assert_int_equal(blk->open(blk->ctx, NULL, path, BLK_RDONLY, &f), 0);
	assert_int_equal(seg_walk_init(&w, blk, f, h, SEG_DATA, limit, want), 0);
	while (seg_walk_next(&w, &fr, data) == 1) {
		sum = sum * 31 + fr.off;
		sum = sum * 31 + fr.h.seq;
		sum = sum * 31 + fr.hole_off + fr.hole_bytes * 3;
		sum = sum * 31 + (data ? fr.data_ok + crc32c(fr.data, fr.h.len) : 0);
		assert_int_equal(w.off, fr.off + frame_bytes(fr.h.len));
		assert_int_equal(w.last_batch, fr.h.batch);
		assert_true(w.off <= (limit & ~7ull));
	}
	sum = sum * 31 + w.off;
	sum = sum * 31 + seg_walk_tail(&w);
	seg_walk_fini(&w);
	blk->close(f);
	return sum;
}

/* However much is read at a time, the same is found, on whole and on damaged files, and behind any
 * limit nothing. */
static void test_any_window(void **state)
{
	static const size_t want[] = { 48, 49, 64, 200, 4096, 5000, 65536 };
	struct sim_rng rng;

	(void)state;
	sim_rng_init(&rng, 5);
	for (int round = 0; round < 6; round++) {
		struct blk_sim *sim = make_lane();
		struct seg_header h;
		uint64_t len;

		memcpy(&h, blk_sim_bytes(sim, LANE_DIR "/00000001.seg", &len), sizeof(h));
		for (int i = 0; i < round * 4; i++)
			blk_sim_flip(sim, LANE_DIR "/00000001.seg",
				     8 * SEG_DATA + sim_rng_next(&rng) % (8 * (SEG_TEST_BYTES - SEG_DATA)));
		for (uint64_t limit = SEG_TEST_BYTES; limit > SEG_TEST_BYTES - 4000; limit -= 1331)
			for (int data = 0; data < 2; data++) {
				uint64_t sum = walk_sum(sim, LANE_DIR "/00000001.seg", &h, limit, 0, data);

				for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++)
					assert_int_equal(walk_sum(sim, LANE_DIR "/00000001.seg", &h, limit, want[i], data), sum);
			}
		blk_sim_free(sim);
	}
}

/* ---- the header again, where the segment begins with GAP frames ---- */

static void test_header_again_behind_gaps(void **state)
{
	static const struct { uint64_t gap[4][2], record, first; } rows[] = {
		{ { { 10, 20 } }, 21, 10 }, { { { 10, 20 }, { 21, 30 } }, 31, 10 },
		{ { { 3, 3 }, { 10, 20 } }, 21, 10 },		/* of a hole in the segment before */
		{ { { 10, 20 } }, 0, 10 }, { { { 10, 20 }, { 21, 22 } }, 0, 10 },
		{ { { 10, 20 } }, 25, 25 }, { { { 0 } }, 10, 10 }, { { { 10, 9 } }, 10, 10 },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct blk_sim *sim = blk_sim_new();
		uint64_t made;
		struct seg_lane l;
		struct seglog *s;

		model_dirs(blk_sim_ops(sim));
		s = model_start(blk_sim_ops(sim));
		for (uint64_t seq = 1; seq < 10; seq++)
			assert_int_equal(model_append(s, seq, 1), 0);
		model_prepare(s);
		assert_int_equal(seglog_rotate(s), 0);
		made = model_clock;
		for (unsigned k = 0; k < 4 && rows[i].gap[k][0]; k++) {
			struct gap_data g = { .from_seq = rows[i].gap[k][0], .to_seq = rows[i].gap[k][1],
					      .reason = GAP_TORN };

			assert_int_equal(seglog_append_gap(s, &g), 0);
		}
		for (uint64_t seq = rows[i].record; seq && seq < 101; seq += 50)
			assert_int_equal(model_append(s, seq, 1), 0);
		seglog_close(s);
		overwrite(sim, LANE_DIR "/00000002.seg", 0, SEG_DATA, 2);
		assert_int_equal(model_scan(blk_sim_ops(sim), false, &l, NULL), 0);
		assert_int_equal(l.segs[1].state, SEG_USED);
		assert_true(l.segs[1].a_bad && l.segs[1].b_bad);
		assert_int_equal(l.segs[1].h.first_seq, rows[i].first);
		assert_int_equal(l.segs[1].h.first_batch, 10);
		assert_in_range(l.segs[1].h.created_ms, made, made + 1);
		assert_int_equal(l.segs[1].h.bytes, SEG_TEST_BYTES);
		assert_int_equal(l.segs[1].h.lane, LANE);
		seg_lane_free(&l);
		blk_sim_free(sim);
	}
}

/* A file with zeros for a header and frames that cannot come behind those of the segment before it:
 * what is left of its life before. */
static void test_stale_frames_behind_a_lost_header(void **state)
{
	static uint8_t file[SEG_TEST_BYTES];
	struct blk_sim *sim = blk_sim_new();
	struct seg_lane l;
	struct seglog *s;
	uint64_t len;

	(void)state;
	model_dirs(blk_sim_ops(sim));
	s = model_start(blk_sim_ops(sim));
	assert_int_equal(model_append(s, 1, 5), 0);
	model_prepare(s);
	seglog_close(s);
	memcpy(file, blk_sim_bytes(sim, LANE_DIR "/00000001.seg", &len), sizeof(file));
	memset(file, 0, SEG_DATA);
	assert_int_equal(blk_sim_put(sim, LANE_DIR "/00000002.seg", file, sizeof(file)), 0);
	assert_int_equal(model_scan(blk_sim_ops(sim), false, &l, NULL), 0);
	assert_int_equal(l.segs[1].state, SEG_PREPARED);
	assert_true(l.in_doubt);
	assert_int_equal(l.records, 5);
	assert_int_equal(l.tail, 0);
	seg_lane_free(&l);
	blk_sim_free(sim);
}

/* Frames of many keys in what a client sent: none of them wins, and all of them have room. */
static void test_many_keys(void **state)
{
	size_t n = 30000;
	struct blk_sim *sim = blk_sim_new();
	struct iovec iov = { malloc(n), n };
	struct seg_rec r = { .kind = FRAME_RECORD, .seq = 2, .time_ms = 1, .len = (uint32_t)n, .niov = 1, .iov = &iov };
	struct seg_lane l;
	struct seglog *s;

	(void)state;
	memset(iov.iov_base, 'x', n);
	for (unsigned i = 0; i < 100; i++) {
		uint8_t *at = (uint8_t *)iov.iov_base + i * 64;
		struct frame_header h = { .kind = FRAME_RECORD, .seq = 1000 + i, .batch = 2, .lane = LANE, .len = 16,
					  .data_crc = crc32c(at + sizeof(h), 16) };

		frame_header_encode(&h, 0x1234567 * (i + 1));
		memcpy(at, &h, sizeof(h));
	}
	r.data_crc = crc32c(iov.iov_base, n);
	model_dirs(blk_sim_ops(sim));
	s = model_start(blk_sim_ops(sim));
	for (uint64_t seq = 1; !model_len(seq); seq++)
		assert_int_equal(model_len(seq), 0);
	assert_int_equal(model_append(s, 1, 1), 0);
	assert_int_equal(seglog_append(s, &r, 1, NULL), 0);
	assert_int_equal(model_append(s, 3, 20), 0);
	seglog_close(s);
	/* the first frame is lost, and the header of the one with all of them */
	blk_sim_flip(sim, LANE_DIR "/00000001.seg", (SEG_DATA + 40) * 8);
	blk_sim_flip(sim, LANE_DIR "/00000001.seg", (SEG_DATA + frame_bytes(model_len(1)) + 40) * 8);
	overwrite(sim, LANE_DIR "/00000001.seg", 0, SEG_DATA, 2);
	assert_int_equal(model_scan(blk_sim_ops(sim), false, &l, NULL), 0);
	assert_int_equal(l.records, 20);
	assert_int_equal(l.next_seq, 23);
	seg_lane_free(&l);
	blk_sim_free(sim);
	free(iov.iov_base);
}

/* A hole is explained when each of its numbers is, by one frame or by several. */
static void test_explained_in_part(void **state)
{
	static const struct { uint64_t gap[3][2]; bool all; } rows[] = {
		{ { { 5, 8 } }, true }, { { { 8, 8 } }, false }, { { { 5, 5 } }, false }, { { { 6, 7 } }, false },
		{ { { 5, 7 } }, false }, { { { 6, 8 } }, false }, { { { 7, 8 }, { 5, 6 } }, true },
		{ { { 5, 5 }, { 7, 8 } }, false }, { { { 5, 6 }, { 8, 8 }, { 7, 7 } }, true },
		{ { { 1, 6 }, { 6, 20 } }, true },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct blk_sim *sim = blk_sim_new();
		struct seg_lane l;
		struct seglog *s;

		model_dirs(blk_sim_ops(sim));
		s = model_start(blk_sim_ops(sim));
		assert_int_equal(model_append(s, 1, 4), 0);
		assert_int_equal(model_append(s, 9, 3), 0);
		for (unsigned k = 0; k < 3 && rows[i].gap[k][0]; k++) {
			struct gap_data g = { .from_seq = rows[i].gap[k][0], .to_seq = rows[i].gap[k][1],
					      .reason = GAP_DAMAGE };

			assert_int_equal(seglog_append_gap(s, &g), 0);
		}
		assert_int_equal(model_append(s, 30, 3), 0);
		seglog_close(s);
		assert_int_equal(model_scan(blk_sim_ops(sim), false, &l, NULL), 0);
		assert_int_equal(l.holes[0].from_seq, 5);
		assert_int_equal(l.holes[0].to_seq, 8);
		assert_int_equal(l.holes[0].state, rows[i].all ? SEG_HOLE_EXPLAINED : SEG_HOLE_DAMAGE);
		seg_lane_free(&l);
		blk_sim_free(sim);
	}
}

/* A hole that no number is missing for is explained by its place: by the frame that has its offset
 * and its bytes, in its segment or, with a batch behind it, in a later one. */
static void test_explained_by_its_place(void **state)
{
	static const struct { int off, bytes; unsigned segment; bool explained; } rows[] = {
		{ 0, 0, 2, true }, { 8, 0, 2, false }, { -8, 0, 2, false }, { 0, 8, 2, false }, { 0, -8, 2, false },
		{ 8, 8, 2, false }, { 0, 0, 3, true }, { 8, 0, 3, false }, { 0, 8, 3, false }, { 0, 0, 1, false },
		{ 0, 0, 0, false },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct gap_data lost = { .from_seq = 12, .to_seq = 11, .reason = GAP_TORN };
		struct blk_sim *sim = blk_sim_new();
		struct gap_data g = lost;
		struct seg_lane l;
		struct seglog *s;
		uint64_t off = SEG_DATA, bytes;

		model_dirs(blk_sim_ops(sim));
		s = model_start(blk_sim_ops(sim));
		model_prepare(s);
		for (uint64_t seq = 8; seq < 12; seq++)
			off += frame_bytes(model_len(seq));
		bytes = frame_bytes(sizeof(lost));
		g.offset = off + (uint64_t)rows[i].off;
		g.bytes = bytes + (uint64_t)rows[i].bytes;
		assert_int_equal(model_append(s, 1, 7), 0);
		g.from_seq = 8;
		g.to_seq = 7;
		if (rows[i].segment == 1)
			assert_int_equal(seglog_append_gap(s, &g), 0);
		assert_int_equal(seglog_rotate(s), 0);
		assert_int_equal(model_append(s, 8, 4), 0);
		assert_int_equal(seglog_place(s).off, off);
		assert_int_equal(seglog_append_gap(s, &lost), 0);
		assert_int_equal(seglog_place(s).off, off + bytes);
		assert_int_equal(model_append(s, 12, 3), 0);
		g.from_seq = 15;
		g.to_seq = 14;
		if (rows[i].segment == 2)
			assert_int_equal(seglog_append_gap(s, &g), 0);
		model_prepare(s);
		assert_int_equal(seglog_rotate(s), 0);
		if (rows[i].segment == 3)
			assert_int_equal(seglog_append_gap(s, &g), 0);
		assert_int_equal(model_append(s, 15, 3), 0);
		seglog_close(s);
		assert_int_equal(blk_sim_flip(sim, LANE_DIR "/00000002.seg", (off + 20) * 8), 0);
		assert_int_equal(model_scan(blk_sim_ops(sim), false, &l, NULL), 0);
		assert_int_equal(l.nholes, 1);
		assert_int_equal(l.holes[0].off, off);
		assert_int_equal(l.holes[0].bytes, bytes);
		assert_true(l.holes[0].from_seq > l.holes[0].to_seq);
		assert_int_equal(l.holes[0].state, rows[i].explained ? SEG_HOLE_EXPLAINED : SEG_HOLE_DAMAGE);
		seg_lane_free(&l);
		blk_sim_free(sim);
	}
}

/* So it is with one at the end of its segment, whose batch nobody knows: the frame that has its offset
 * and its bytes is of it in a later segment, and in an earlier one of another hole. */
static void test_explained_at_the_end(void **state)
{
	(void)state;
	for (unsigned segment = 1; segment <= 3; segment += 2) {
		struct gap_data lost = { .from_seq = 12, .to_seq = 11, .reason = GAP_TORN, .offset = 8, .bytes = 8 };
		struct blk_sim *sim = blk_sim_new();
		struct gap_data g = { .from_seq = 8, .to_seq = 7, .reason = GAP_TORN, .offset = SEG_DATA };
		struct seg_lane l;
		struct seglog *s;

		g.bytes = frame_bytes(sizeof(lost));
		model_dirs(blk_sim_ops(sim));
		s = model_start(blk_sim_ops(sim));
		model_prepare(s);
		for (uint64_t seq = 8; seq < 12; seq++)
			g.offset += frame_bytes(model_len(seq));
		assert_int_equal(model_append(s, 1, 7), 0);
		if (segment == 1)
			assert_int_equal(seglog_append_gap(s, &g), 0);
		assert_int_equal(seglog_rotate(s), 0);
		assert_int_equal(model_append(s, 8, 4), 0);
		assert_int_equal(seglog_append_gap(s, &lost), 0);
		model_prepare(s);
		assert_int_equal(seglog_rotate(s), 0);
		if (segment == 3)
			assert_int_equal(seglog_append_gap(s, &g), 0);
		assert_int_equal(model_append(s, 12, 3), 0);
		seglog_close(s);
		assert_int_equal(blk_sim_flip(sim, LANE_DIR "/00000002.seg", (g.offset + 20) * 8), 0);
		assert_int_equal(model_scan(blk_sim_ops(sim), false, &l, NULL), 0);
		assert_int_equal(l.nholes, 1);
		assert_int_equal(l.holes[0].segno, 2);
		assert_int_equal(l.holes[0].off, g.offset);
		assert_int_equal(l.holes[0].bytes, g.bytes);
		assert_int_equal(l.holes[0].state == SEG_HOLE_EXPLAINED, segment == 3);
		seg_lane_free(&l);
		blk_sim_free(sim);
	}
}

/* The last file is cut in its first frame: no number that stands there is given again, however many
 * batches there were; and once a recovery has skipped enough numbers none is lost any more. */
static void test_numbers_of_a_cut_file(void **state)
{
	struct blk_sim *sim = blk_sim_new();
	const struct blk_ops *blk = blk_sim_ops(sim);
	struct gap_data place = { .reason = GAP_TORN, .offset = SEG_DATA, .bytes = 8 }, skip = { .reason = GAP_MISSING };
	struct iovec iov = { calloc(1, 9000), 9000 };
	struct seg_rec r = { .kind = FRAME_RECORD, .seq = 6, .time_ms = 1, .len = 9000, .niov = 1, .iov = &iov,
			     .data_crc = crc32c(iov.iov_base, 9000) };
	struct seg_lane l;
	struct seglog *s;

	(void)state;
	model_dirs(blk);
	s = model_start(blk);
	assert_int_equal(model_append(s, 1, 5), 0);
	for (int i = 0; i < 30; i++) {		/* a batch each, and no number */
		place.from_seq = 6;
		place.to_seq = 5;
		assert_int_equal(seglog_append_gap(s, &place), 0);
	}
	model_prepare(s);
	assert_int_equal(seglog_rotate(s), 0);
	assert_int_equal(seglog_append(s, &r, 1, NULL), 0);
	seglog_close(s);
	blk_sim_truncate(sim, LANE_DIR "/00000002.seg", SEG_DATA + 4000);
	overwrite(sim, LANE_DIR "/00000002.seg", 0, SEG_DATA, 2);
	assert_int_equal(model_scan(blk, false, &l, NULL), 0);
	assert_int_equal(l.segs[1].state, SEG_HEADER_LOST);
	assert_true(l.numbers_lost);
	assert_int_equal(l.next_seq, 7);
	assert_int_equal(l.next_batch, 33);
	assert_int_equal(model_open(blk, &l, &s), 0);
	seg_lane_free(&l);
	skip.from_seq = 7;
	skip.to_seq = 7 + REC_LOST_SKIP - 1;
	assert_int_equal(seglog_append_gap(s, &skip), 0);
	seglog_close(s);
	assert_int_equal(model_scan(blk, false, &l, NULL), 0);
	assert_false(l.numbers_lost);
	assert_int_equal(l.next_seq, 7 + REC_LOST_SKIP);
	seg_lane_free(&l);
	blk_sim_free(sim);
	free(iov.iov_base);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_no_lane),
		cmocka_unit_test(test_every_bit_of_frame_headers),
		cmocka_unit_test(test_bits_of_data),
		cmocka_unit_test(test_every_bit_of_segment_headers),
		cmocka_unit_test(test_damaged_copies_are_healed),
		cmocka_unit_test(test_segment_lost),
		cmocka_unit_test(test_header_again),
		cmocka_unit_test(test_header_again_one_batch),
		cmocka_unit_test(test_header_again_attacked),
		cmocka_unit_test(test_header_again_attacked_and_torn),
		cmocka_unit_test(test_copy_of_another_version),
		cmocka_unit_test(test_torn_batch),
		cmocka_unit_test(test_truncated),
		cmocka_unit_test(test_other_formats),
		cmocka_unit_test(test_foreign_segment),
		cmocka_unit_test(test_misplaced_frames),
		cmocka_unit_test(test_unreadable_pages),
		cmocka_unit_test(test_errnos_of_a_page),
		cmocka_unit_test(test_trouble_beside_a_copy),
		cmocka_unit_test(test_unreadable_pieces),
		cmocka_unit_test(test_frames_in_data),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_callback_stops),
		cmocka_unit_test(test_header_checks),
		cmocka_unit_test(test_frame_checks),
		cmocka_unit_test(test_names_at_their_edges),
		cmocka_unit_test(test_sums),
		cmocka_unit_test(test_any_window),
		cmocka_unit_test(test_header_again_behind_gaps),
		cmocka_unit_test(test_stale_frames_behind_a_lost_header),
		cmocka_unit_test(test_many_keys),
		cmocka_unit_test(test_explained_in_part),
		cmocka_unit_test(test_explained_by_its_place),
		cmocka_unit_test(test_explained_at_the_end),
		cmocka_unit_test(test_numbers_of_a_cut_file),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
