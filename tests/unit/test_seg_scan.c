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
	for (int first = 0; first < 2; first++)
		for (int used = 0; used < 2; used++) {
			struct blk_sim *sim = blk_sim_new();
			struct seg_scan_options o = { .blk = blk_sim_ops(sim), .dir = LANE_DIR,
				.uuid = model_uuid, .lane = LANE, .all_used = used };
			bool there = first || used;
			struct seg_lane l;
			struct seglog *s;

			model_dirs(o.blk);
			s = model_start(o.blk);
			assert_int_equal(model_append(s, 1, 5), 0);
			seglog_close(s);
			overwrite(sim, LANE_DIR "/00000001.seg", 0, SEG_DATA, 0);
			if (!first)
				blk_sim_flip(sim, LANE_DIR "/00000001.seg", (SEG_DATA + 40) * 8);
			assert_int_equal(seg_scan_lane(&o, &l), 0);
			assert_int_equal(l.records, there ? 4 + first : 0);
			assert_int_equal(l.next_seq, there ? 6 : 1);
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
			assert_int_equal(model_scan(blk_sim_ops(sim), true, &l, NULL), WAL_EVERSION);
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
	assert_int_equal(model_scan(blk_sim_ops(sim), false, &l, NULL), WAL_EVERSION);
	for (int ours = 0; ours < 2; ours++) {		/* beside one of ours it is the same */
		memcpy(file, was_there, sizeof(was_there));
		memcpy(file + (ours ? SEG_HDR_A : SEG_HDR_B), &h, sizeof(h));
		blk_sim_put(sim, path, file, len);
		assert_int_equal(model_scan(blk_sim_ops(sim), false, &l, NULL), WAL_EVERSION);
	}
	h.magic = __builtin_bswap64(SEG_MAGIC);
	memcpy(file + SEG_HDR_A, &h, sizeof(h));
	memcpy(file + SEG_HDR_B, &h, sizeof(h));
	blk_sim_put(sim, path, file, len);
	assert_int_equal(model_scan(blk_sim_ops(sim), false, &l, NULL), WAL_EBYTEORDER);
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
static const struct blk_ops *below;

static int refusing_read(struct blk_file *f, void *p, size_t n, uint64_t off)
{
	if (off < refused_to && off + n > refused_from)
		return -EIO;
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
		cmocka_unit_test(test_frames_in_data),
		cmocka_unit_test(test_any_bytes),
		cmocka_unit_test(test_callback_stops),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
