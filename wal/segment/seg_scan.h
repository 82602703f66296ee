/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * seg_scan.h - reading segment files: total on any bytes, writes nothing.
 *
 * Three layers: the codec of headers and frames; the walker, which goes through one
 * file frame by frame and finds its way again after bytes that are no frame; the scan
 * of a lane, which puts the files together and gives a verdict.
 *
 * After a bad header the walker looks at every multiple of 8 for the next header that
 * has the segment's salt, its lane, a right checksum, and neither a sequence number
 * nor a batch that was passed already.  What lies between is a HOLE.  A frame whose
 * header is right but whose data are not is a hole too (of kind SEG_HOLE_DATA): its
 * number is known and its place stays taken.
 *
 * A hole is DAMAGE if a frame of a later batch than the first one behind it exists
 * (what is behind it was synced), also in a later segment; else it is TORN: it may be
 * what a crash left of the last batch, which nobody was promised.  A hole whose
 * numbers (or, if none is missing, whose place) a GAP frame names is EXPLAINED.
 * What is not zero behind the last frame of the last segment is the DIRTY tail.
 *
 * A header is found again from the frames if both of its copies are lost.  If both are
 * zero in the last file, its first batch may have been on its way when the machine stopped,
 * or that batch was synced and the header was lost later; nothing in the file tells one from
 * the other.  So what is whole counts as a record in both cases, for it may have been
 * acknowledged; and the lost header counts as TORN, as a hole of that batch does.  Only if
 * the first frame itself is not whole, there is no second batch, and nothing else proves that
 * the file was used, the file counts as prepared (in doubt): bytes that a client sent must
 * not be taken for a frame in what is left of it.
 */
#ifndef SEGMENT_SEG_SCAN_H
#define SEGMENT_SEG_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "format/format.h"
#include "media/blk.h"

/* ---- codec: all checks of a header, none of its place among others ---- */
void seg_header_encode(struct seg_header *h);		/* fills magic, version, crc .. */
/* 0; -ENODATA all zero; STORE_EFORMAT; STORE_EVERSION; STORE_EBYTEORDER (checksum right or
 * in both cases not knowable) */
int  seg_header_check(const struct seg_header *h);
/* Whether a header that passed it is that of this segment; uuid NULL: of any store. */
bool seg_header_is(const struct seg_header *h, const uint8_t *uuid, uint32_t lane, uint64_t segno);
void frame_header_encode(struct frame_header *h, uint64_t salt);
/* Makes the header again, both copies of which are lost, from the frames of the file, which has
 * that many bytes (fewer than the header said, if it was cut).  The caller sets uuid, lane and
 * number in h; the salt that is found is one that fits all true frames, not the lost one.
 * 1: *h is complete; 0: there is no frame to find it by; -errno. */
struct seg_again {
	unsigned batches;	/* 1, or 2: more than one */
	bool	 first;		/* the frame at SEG_DATA is whole: no bytes of a client were taken
				 * for a frame */
	int	 refused;	/* why the page at SEG_DATA cannot be read now; 0: it can */
};
int  seg_header_again(const struct blk_ops *blk, struct blk_file *f, uint64_t bytes,
		      struct seg_header *h, struct seg_again *a);
bool frame_header_check(const struct frame_header *h, uint64_t salt);

/* ---- walker ---- */
struct seg_walk {
	const struct blk_ops *blk;	/* set by the owner through seg_walk_init */
	struct blk_file *file;
	uint64_t salt, limit;		/* nothing at or beyond limit is looked at */
	uint32_t lane;
	uint64_t off;			/* of the next frame */
	uint64_t last_seq, last_batch;	/* of the last record; of the last frame */
	uint8_t *buf;			/* the window */
	size_t	 cap, want;		/* its size; how much to read at a time */
	uint64_t base;
	size_t	 have;
	uint64_t read_bytes;		/* counters */
	uint64_t bad_pages;		/* that could not be read */
	int	 bad_err;		/* why the last one could not */
	uint64_t tail;			/* see seg_walk_tail */
};
struct seg_frame {
	struct frame_header h;
	uint64_t off;
	const uint8_t *data;		/* h.len bytes, until the next call; NULL if not asked for */
	bool	 data_ok;		/* its checksum is right (when asked for) */
	uint64_t hole_off, hole_bytes;	/* right in front of it; 0 bytes: none */
	bool	 hole_unreadable;	/* the device refused some of it */
	bool	 data_unreadable;	/* likewise, of the data (if not data_ok) */
};
/* From `off` (SEG_DATA or the start of a frame); read_bytes: piece size (0: 1 MiB).
 * 0 or -ENOMEM. */
int  seg_walk_init(struct seg_walk *w, const struct blk_ops *blk, struct blk_file *f,
		   const struct seg_header *h, uint64_t off, uint64_t limit, size_t want);
/* 1: *fr; 0: no more frame (w->off is behind the last one; see seg_walk_tail); -errno
 * (not for pages that cannot be read: those are holes).  data: read and check it. */
int  seg_walk_next(struct seg_walk *w, struct seg_frame *fr, bool data);
/* Makes n bytes at off, in front of the limit, readable at *p until the next call.  0 or -errno;
 * pages that cannot be read are zeros, as everywhere here. */
int  seg_walk_look(struct seg_walk *w, uint64_t off, size_t n, const uint8_t **p);
/* Whether the device refuses some of these bytes. */
bool seg_walk_unreadable(struct seg_walk *w, uint64_t off, uint64_t n);
/* The end of the last block from w->off on that the device cannot read; w->off: there is none. */
uint64_t seg_walk_unreadable_end(struct seg_walk *w);
/* Whether crc is the checksum of the data that the header has. */
bool frame_data_check(const struct frame_header *h, uint32_t crc);
/* After 0: the end of the last non-zero byte in [w->off, limit), rounded up to 8; w->off
 * if there is none. */
uint64_t seg_walk_tail(const struct seg_walk *w);
void seg_walk_extend(struct seg_walk *w, uint64_t limit);	/* there is more to look at */
void seg_walk_fini(struct seg_walk *w);

/* ---- a lane ---- */
enum seg_state {
	SEG_USED,		/* a valid header */
	SEG_PREPARED,		/* both copies zero: never used */
	SEG_HEADER_LOST,	/* no valid copy, and no frame to find the header by */
	SEG_FOREIGN,		/* a valid header of another store, lane or number */
	SEG_UNREADABLE,		/* it cannot be opened, or its header cannot be read, now: nothing is
				 * known of it */
};
struct seg_info {
	uint64_t segno;
	uint64_t bytes;		/* of the file */
	enum seg_state state;
	int	 err;		/* SEG_UNREADABLE: -errno, why */
	bool	 a_bad, b_bad;	/* SEG_USED: this copy is not valid (both: h was found again) */
	bool	 batch_only;	/* both were zero, and only the batch they came with is there */
	bool	 read;		/* in full; else only the header */
	struct seg_header h;	/* SEG_USED */
	uint64_t records, record_bytes;		/* if read */
	uint64_t end;				/* if read: behind the last frame */
};
enum seg_hole_kind {
	SEG_HOLE_HEADER,	/* bytes that are no frame */
	SEG_HOLE_DATA,		/* a frame with wrong data: from_seq is its number */
	SEG_HOLE_UNREADABLE,	/* the device refused to read some of it */
	SEG_HOLE_TAIL,		/* numbers missing in front of the next segment: nothing
				 * but zeros (or bytes that are no frame) there */
	SEG_HOLE_CUT,		/* the file is shorter than its header says, and whole up to here */
	SEG_HOLE_SEGMENT,	/* a segment file that is missing or has no valid header */
	SEG_HOLE_COPY,		/* one of a segment's header copies: costs nothing */
	SEG_HOLE_BOTH,		/* both copies, but the header was found again: no loss either */
};
enum seg_hole_state { SEG_HOLE_DAMAGE, SEG_HOLE_TORN, SEG_HOLE_EXPLAINED };
struct seg_hole {
	uint64_t segno, off, bytes;
	uint8_t	 kind, state;
	uint64_t from_seq, to_seq;	/* missing numbers; from > to: none */
	uint64_t batch;			/* of the frame itself (DATA) or the first one behind */
};
struct seg_gap {		/* a GAP frame */
	struct gap_data g;
	uint64_t segno, off, batch;
};
struct seg_lane {
	uint32_t lane;
	size_t	 nsegs, nholes, ngaps;
	struct seg_info *segs;		/* by rising segno */
	struct seg_hole *holes;		/* by segno and offset */
	struct seg_gap	*gaps;
	uint64_t records, bytes;	/* of the segments that were read */
	uint64_t oldest_seq;		/* what the first used segment starts with; 0: no used segment */
	uint64_t next_seq;		/* beyond every number seen (1 in an empty lane) */
	uint64_t last_batch;		/* 0: none */
	uint64_t next_batch;
	uint64_t newest_ms;		/* time of the last frame; 0 unknown */
	size_t	 tail;			/* index of the last used segment; SIZE_MAX: none */
	uint64_t end;			/* there: behind its last frame */
	uint64_t dirty_end;		/* >= end: zeros from here on */
	bool	 unreadable;		/* there: the device refuses a block between end and
					 * dirty_end, so nothing can be written to a part of it */
	uint64_t batch_off;		/* there: where the last batch starts (end: it is not here) */
	uint64_t read_bytes;
	uint64_t longest;		/* frame of a record that was read, in bytes */
	bool	 numbers_lost;		/* an unknown count of numbers was behind what was read */
	bool	 unread_last;		/* a file behind the last used one is SEG_UNREADABLE */
	bool	 in_doubt;		/* a file counts as prepared, and something is in it */
};

struct seg_scan_options {
	const struct blk_ops *blk;
	struct blk_dir	*at;		/* of STORE/log; NULL: dir is a path */
	const char	*dir;		/* LLL */
	const uint8_t	*uuid;		/* [16]; NULL: take any store's */
	uint32_t	 lane;
	bool		 quick;		/* only the last used segment in full, the others by header */
	bool		 all_used;	/* it is known that every file with frames in it was used */
	/* Called for each good record in order, with its data.  If it returns other than 0, that
	 * ends the scan and is its result.  May be NULL. */
	int		(*record)(void *arg, const struct seg_info *seg, const struct seg_frame *fr);
	/* Called now and then, and for each file: bytes read of this lane, and all there are. */
	void		(*progress)(void *arg, uint64_t done, uint64_t total);
	void		*arg;
};

/* Where to go on: seg_lane_resume() proposes what a scan found; recovery may choose an
 * earlier `end` (and next_seq) when the WAL holds what follows it. */
struct seglog_resume {
	uint64_t segno;		/* the last used segment */
	uint64_t end;		/* file offset where the next frame goes; 0: no used segment */
	uint64_t dirty_end;	/* zeros from here to the end of the file (>= end) */
	uint64_t batch_off;	/* where the last batch starts (<= end) */
	uint64_t next_seq, next_batch;
	uint64_t newest_ms;
};

/* 0, -errno, or STORE_EVERSION or STORE_EBYTEORDER when a segment is of another format.  A
 * directory that is not there is an empty lane. */
int  seg_scan_lane(const struct seg_scan_options *o, struct seg_lane *l);
void seg_lane_free(struct seg_lane *l);
void seg_lane_resume(const struct seg_lane *l, struct seglog_resume *r);
const char *seg_hole_words(enum seg_hole_kind k);

int  seg_write_zeros(const struct blk_ops *blk, struct blk_file *f, uint64_t off, uint64_t n);
/* The numbers of the segment files in dir, rising, from malloc.  0 or -errno. */
int  seg_list(const struct blk_ops *blk, struct blk_dir *dir, uint64_t **segnos, size_t *n);
/* "00000001.seg", the name of a segment's file in its lane's folder. */
#define SEG_NAME_MAX 32
void seg_name(char name[SEG_NAME_MAX], uint64_t segno);
/* The same behind a path of at most SEG_PATH_MAX bytes, for messages; -ENAMETOOLONG. */
#define SEG_PATH_MAX 4096
int  seg_path(char *path, const char *dir, uint64_t segno);
/* Whether name is N.seg: its number. */
bool seg_name_parse(const char *name, uint64_t *segno);

#endif
