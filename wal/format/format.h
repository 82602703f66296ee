/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * format.h - every durable byte of a pasted store.  This file is the
 * specification; pasted-wal(5) says the same in prose.
 *
 * All integers are little-endian.  A store is three things:
 *
 *   STORE/store          the store's identity: struct storefile_block, twice; and what each
 *                        lane has had: struct storefile_lane[LANES_MAX], twice
 *   STORE/log/LLL/N.seg  per lane (LLL, 3 decimal digits) the segment log: the
 *                        one durable format on block storage (N: 8 hex digits)
 *   NVMM/wal, NVMM/pktbufs
 *                        classes nvmm, nvmm-eadr and volatile only: the WAL
 *                        that stands in front of the segment log, and the
 *                        packet buffers it names.  On a device-dax both live in
 *                        the one device: the wal first, the buffers at the next
 *                        multiple of DAX_ALIGN, or of the device's alignment
 *                        where that is larger.
 *
 * A RECORD is one request as it came: head (request line .. empty line,
 * CRLF CRLF included) and body, chunk framing and trailers removed, the values
 * of Authorization, Proxy-Authorization and Cookie overwritten.  It is named
 * <lane>-<sequence>; sequences start at 1, rise by one, go on across restarts
 * and are never used twice for an acknowledged record.
 *
 * CHECKSUMS are CRC32C (Castagnoli, reflected, init and final xor ~0).
 *   data_crc = crc32c over the bytes of the record, frags in order.
 *
 * ---------------------------------------------------------------------------
 * The WAL (file `wal`)
 *
 *   offset 0      struct wal_super, copy A      (one page)
 *   offset 4096   struct wal_super, copy B
 *   offset 8192   struct wal_head[LANES_MAX], copy A   (64 bytes each)
 *   offset 24576  struct wal_head[LANES_MAX], copy B
 *   offset 40960  lane 0's ring of `entries` 8-byte words, then lane 1's ...
 *
 * A lane counts its words in an absolute POSITION (64 bits) that only rises;
 * position p lives in slot p % entries and carries lap (p / entries) % 64.
 *
 * An entry word, bit 63 first:
 *
 *   kind:2 | lap:6 | check:8 | payload:48
 *
 *   kind 0 NONE   the word is all zero: never written
 *   kind 1 FRAG   payload = idx:24 | off:12 | len-1:12   bytes of one buffer
 *   kind 2 SEAL   payload = nfrags:16 | crc:32           closes a record
 *   kind 3 CLOCK  payload = time_ms:48                   opens a batch
 *
 *   check = the low byte of rol(c,4) ^ rol(c,5) ^ rol(c,6), where c = crc32c of
 *   the word with its check bits zero and rol rotates 32 bits to the left (no byte
 *   of c alone would do: with this one, as the unit test shows, every word that has one
 *   or two of its 64 bits flipped fails its check).
 *
 * A record is the nfrags (>= 1) FRAG words right before its SEAL.  It is valid
 * if and only if all of them and the SEAL carry the lap of their position, and
 *
 *   SEAL.crc = data_crc ^ crc32c(lane:u32, nfrags:u32, seq:u64, frag words:u64[])
 *
 * where the frag words are taken with lap and check bits zero.  (So data_crc can be
 * computed from the words alone, and is written to the segment's frame without
 * reading the data again: the checksum made on arrival is the one that is checked
 * on read-back.)
 *
 * ORDER.  The data are flushed, fence; then the batch's words (one CLOCK, then
 * FRAG.. SEAL of each record) are flushed, fence; then the replies are sent.  Hence
 * in any state that a power cut can leave:
 *   - a word of a batch is there only if the data of its batch is;
 *   - a CLOCK is there only if every word before it is.
 * So a stale or empty word with a later CLOCK of the current lap behind it is
 * DAMAGE; a stale or empty word in the last batch is the unacknowledged TAIL.
 * A word whose check fails is damage wherever it stands.
 *
 * The head says how far the lane has been moved into the segment log:
 *   pos, seq   everything before position pos, i.e. all records with a sequence
 *              number below seq, is in synced segments; the record that starts
 *              at pos (if any) has sequence number seq.
 * A checkpoint writes copy A, flushes, fences, then does the same with copy B; only
 * then are buffers and words free.  The valid copy with the higher `gen` counts.
 *
 * CREATION.  All of the wal but the magics is written, flushed and fenced; then
 * the 8-byte magic of copy A, flushed, fenced; then that of copy B.  If both magics
 * are zero, nothing was ever acknowledged, and the wal is created afresh.  At start,
 * after everything was replayed into the segments, the head goes to the first position
 * of the lap behind all that the ring can hold (position head.pos + entries - 1 is
 * the last), and then the ring is zeroed, so that no stale word is ever read in a
 * lap that has its lap number again.
 *
 * ---------------------------------------------------------------------------
 * The segment log
 *
 * A segment file has a fixed size, is written with zeros before its first use
 * (so a sync changes no metadata), and is recycled (renamed and overwritten)
 * when retention frees it.
 *
 *   offset 0      struct seg_header, copy A
 *   offset 4096   struct seg_header, copy B
 *   offset 8192   frames, each at a multiple of 8
 *
 *   frame = struct frame_header, `len` bytes of data, zeros up to a multiple of 8
 *
 * header_crc is over the segment's salt (8 bytes) and the header's bytes before it.
 * The salt is random and new for every use of a file: neither a stale frame of an
 * earlier use nor a frame that a client sent as data can be taken for a true one.
 *
 * Frames are written in BATCHES: one write, one sync, then the replies (class
 * fsync) or the head (checkpoint).  `batch` rises by one with each batch of a lane,
 * and a batch is started only after the one before it was synced.  So a hole in
 * front of a frame of a LATER batch is damage; a hole within the LAST batch may
 * be a torn write of what was never acknowledged.
 *
 * A GAP frame (append only, nothing is overwritten) explains sequence numbers
 * that do not exist.  Its data are a struct gap_data, and the seq in its header is
 * gap_data.from_seq.
 *
 * A segment ends where no valid frame follows.  The next segment's first_seq tells
 * whether records are missing in front of it.
 */
#ifndef FORMAT_FORMAT_H
#define FORMAT_FORMAT_H

#include <assert.h>
#include <stdint.h>

#define WAL_VERSION	1u
#define WAL_BYTE_ORDER	0x0a0b0c0du	/* has another value where the byte order is another */
#define LANES_MAX	256u
#define WAL_PAGE	4096u
#define DAX_ALIGN	(2u << 20)

#define WAL_MAGIC	0x314c41572d545350ull	/* "PST-WAL1" */
#define STOREFILE_MAGIC	0x315254532d545350ull	/* "PST-STR1" */
#define SEG_MAGIC	0x314745532d545350ull	/* "PST-SEG1" */
#define HEAD_MAGIC	0x44414548u		/* "HEAD" */
#define LANE_MAGIC	0x454e414cu		/* "LANE" */
#define FRAME_MAGIC	0x46545350u		/* "PSTF" */

/* ---- entry words ---- */
enum { ENT_NONE, ENT_FRAG, ENT_SEAL, ENT_CLOCK };
#define ENT_LAPS	64u
#define FRAGS_MAX	65535u			/* in one record */
#define BUFS_MAX	(1u << 24)

/* ---- file `wal` ---- */
struct wal_super {
	uint64_t magic;			/* WAL_MAGIC, written last: it makes the wal valid */
	uint32_t version;
	uint32_t byte_order;
	uint8_t  store_uuid[16];	/* must equal the uuid in the file `store` */
	uint32_t lanes;
	uint32_t buf_size;		/* 2048 or 4096 */
	uint64_t entries;		/* per lane */
	uint64_t bufs;			/* of all lanes together; each lane owns an equal share */
	uint64_t created_ms;
	uint32_t class;		/* enum durability_class of the creator */
	uint32_t crc;			/* over all before, with WAL_MAGIC as magic even while that
					 * field is still zero */
};
static_assert(sizeof(struct wal_super) == 72, "wal_super");

/* The bond says to which store the wal belongs; it is written behind each copy of the superblock
 * (bond.c).  Where it is absent or not valid, no store has the wal, or an older program has. */
#define BOND_MAGIC	0x31444e422d545350ull	/* "PST-BND1" */
#define WAL_BOND	512u		/* offset in the superblock's page */
struct wal_bond {
	uint64_t magic;			/* BOND_MAGIC; 0: the store was closed and left it */
	uint8_t  uuid[16];		/* of the store */
	uint64_t ino;			/* inode number of its file `store` */
	uint64_t fsid;			/* of the file system that this file is in */
	char     path[440];		/* of the store's folder; NUL-terminated */
	uint8_t  zero[28];
	uint32_t crc;			/* over all before */
};
static_assert(sizeof(struct wal_bond) == 512, "wal_bond");

struct wal_head {			/* one cache line */
	uint32_t magic;			/* HEAD_MAGIC */
	uint32_t lane;
	uint64_t gen;
	uint64_t pos;
	uint64_t seq;
	uint8_t  zero[28];
	uint32_t crc;			/* over the 60 bytes before */
};
static_assert(sizeof(struct wal_head) == 64, "wal_head");

#define WAL_SUPER_A	0u
#define WAL_SUPER_B	4096u
#define WAL_HEADS_A	8192u
#define WAL_HEADS_B	(WAL_HEADS_A + LANES_MAX * 64u)
#define WAL_RINGS	(WAL_HEADS_B + LANES_MAX * 64u)
static_assert(WAL_RINGS == 40960, "rings");

/* ---- file `store`: the block's copies are at 0 and 4096, and are written one after the
 * other, with a sync after each; the valid one with the higher gen counts ---- */
enum {
	STOREFILE_WAL_ATTACHED = 1,	/* records may be in the wal at nvmm_path: do not
				 * start without it */
	STOREFILE_OPEN = 2,		/* open for writing, now or when the machine stopped; without
				 * this flag every segment ends cleanly, or it is damaged */
	STOREFILE_LANES = 4,	/* the lane table behind the blocks is true */
};
struct storefile_block {
	uint64_t magic;
	uint32_t version;
	uint32_t byte_order;
	uint8_t  uuid[16];
	uint64_t gen;
	uint64_t created_ms;
	uint64_t segment_bytes;	/* of segments created from now on */
	uint32_t flags;
	uint32_t class;	/* enum durability_class of the last start */
	char     nvmm_path[432];/* NUL-terminated; of the attached wal */
	uint64_t boot;		/* the boot of the machine that an attached volatile wal is of: the
				 * first bytes of its boot id; 0: not known */
	uint32_t wal_id;	/* wal_super.crc of the attached wal: a wal that was left
				 * behind by an earlier attachment is not taken for it */
	uint32_t crc;		/* over all before */
};
static_assert(sizeof(struct storefile_block) == 512, "storefile_block");

/* The lane table says what each lane has had, so that what is missing is reported as missing and
 * no number is given twice.  It is written when a segment is ready for use (after the file and its
 * name are durable, and before the writer gets it), before retention removes one, and at open and
 * close; copy A and copy B are written like those of the block. */
#define STOREFILE_LANES_A	8192u
#define STOREFILE_LANES_B	(STOREFILE_LANES_A + LANES_MAX * 64u)
enum {
	LANE_MISSING = 1,	/* files were missing when a recovery began, and it has not yet
				 * explained the numbers below next_seq that were in them */
	LANE_SKIPPED = 2,	/* likewise, but whether any file held those numbers is not known */
	LANE_OPEN = 4,		/* as STOREFILE_OPEN, for this lane alone: a start could not read
				 * its end, and left it as it was after a crash */
	LANE_LOW = 8,		/* the table was lost, and whether the records below low_seq expired
				 * or their files were removed is not known.  Retention clears this
				 * with the next segment: by then they would have expired too */
};
struct storefile_lane {
	uint32_t magic;		/* LANE_MAGIC */
	uint32_t lane;
	uint64_t gen;
	uint64_t low_segno;	/* the oldest segment: every one below has expired */
	uint64_t low_seq;	/* every number below this one has expired */
	uint64_t high_segno;	/* the newest segment that was ever ready for use; after a clean
				 * close the last one that was used */
	uint64_t next_seq;	/* numbers below this one were durable when the entry was written;
				 * after a clean close these are all that were given */
	uint64_t next_batch;
	uint32_t flags;
	uint32_t crc;		/* over all before */
};
static_assert(sizeof(struct storefile_lane) == 64, "storefile_lane");

/* ---- segments ---- */
#define SEG_HDR_A	0u
#define SEG_HDR_B	4096u
#define SEG_DATA	8192u
#define FRAME_ALIGN	8u
/* The bounds of a segment file's size, which is a multiple of WAL_PAGE. */
#define SEG_BYTES_MIN	(64u << 10)
#define SEG_BYTES_MAX	(4ull << 30)	/* offsets / 8 fit 32 bits with room to spare */

struct seg_header {
	uint64_t magic;
	uint32_t version;
	uint32_t byte_order;
	uint8_t  store_uuid[16];
	uint32_t lane;
	uint32_t class;	/* enum durability_class of the start that wrote it last; 0 unknown */
	uint64_t segno;		/* rises by one in a lane; also the file's name */
	uint64_t first_seq;	/* the number that the first record would get */
	uint64_t first_batch;
	uint64_t salt;		/* random */
	uint64_t bytes;		/* the file's fixed size */
	uint64_t created_ms;
	uint32_t zero2;
	uint32_t crc;		/* over all before */
};
static_assert(sizeof(struct seg_header) == 96, "seg_header");

enum { FRAME_RECORD = 1, FRAME_GAP = 2 };
struct frame_header {
	uint32_t magic;
	uint16_t kind;
	uint16_t flags;		/* zero */
	uint64_t seq;
	uint64_t time_ms;	/* wall clock of the batch it was committed in */
	uint64_t batch;
	uint32_t len;		/* bytes of data */
	uint32_t data_crc;
	uint32_t lane;
	uint32_t header_crc;	/* over salt, then the 44 bytes before */
};
static_assert(sizeof(struct frame_header) == 48, "frame_header");

/* How many bytes of the file a frame with `len` bytes of data takes; how many of them are the
 * zeros at its end. */
static inline uint64_t frame_bytes(uint64_t len)
{
	return (sizeof(struct frame_header) + len + FRAME_ALIGN - 1) & ~(uint64_t)(FRAME_ALIGN - 1);
}

static inline uint32_t frame_pad(uint64_t len)
{
	return (uint32_t)(frame_bytes(len) - sizeof(struct frame_header) - len);
}

enum gap_reason {
	GAP_TORN = 1,		/* a crash tore the record before it was acknowledged */
	GAP_DAMAGE = 2,		/* the record was damaged, in the WAL or in a segment */
	GAP_WAL_LOST = 3,	/* the numbers were skipped, for the WAL is lost */
	GAP_MISSING = 4,	/* the record was in a segment whose file is missing */
	GAP_SKIPPED = 5,	/* the numbers were skipped, and perhaps no record had them: a start
				 * could not read what is in front of this frame and went on behind
				 * (when it can be read again, the records in it count); or the lane
				 * table was lost, and no file showed where the log ended */
};
struct gap_data {
	uint64_t from_seq, to_seq;	/* inclusive */
	uint32_t reason;
	uint32_t zero;
	uint64_t offset, bytes;		/* of the hole that the frame explains, in this segment or
					 * one before; 0: no hole */
};
static_assert(sizeof(struct gap_data) == 40, "gap_data");

/* How many numbers a recovery skips and explains where a wal or the end of the log is lost, and
 * with it an unknown count of records: more than a ring may have words (store_open refuses larger
 * rings) and than a segment has frames, and easy to recognise. */
#define REC_LOST_SKIP	1000000000ull

#endif
