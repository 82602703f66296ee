/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * storefile_lanes.c - the table in the file `store` of what each lane once had (storefile.h).
 *
 * An entry is kept twice and written like the block: copy A, a sync, copy B, a sync, the valid
 * one with the higher generation counts.  (Copy B comes first where it alone is not valid,
 * since a crash may tear the copy that is written first.)  The table is written by the thread
 * that opens or closes the store and by the checkpointer's, never by a worker.
 *
 * The flag STOREFILE_LANES in the block says that the table is true.  A program that does not
 * know the table writes the block without the flag, and the next program that knows it makes
 * the table anew from the files that it finds.
 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "files/storefile.h"
#include "util/crc32c.h"
#include "util/mutant.h"

#define NUMBER_MAX (1ull << 62)

static uint32_t entry_crc(const struct storefile_lane *e)
{
	return crc32c(e, offsetof(struct storefile_lane, crc));
}

static bool entry_ok(const struct storefile_lane *e, unsigned lane)
{
	return e->magic == LANE_MAGIC && e->lane == lane &&
	       (e->crc == entry_crc(e) || MUTANT(store_lane_crc)) && e->gen && e->low_seq >= 1 &&
	       e->low_seq <= e->next_seq && e->next_seq < NUMBER_MAX && e->next_batch >= 1 &&
	       e->next_batch < NUMBER_MAX && e->high_segno < NUMBER_MAX && e->low_segno < NUMBER_MAX;
}

static bool entry_blank(const struct storefile_lane *e)
{
	static const struct storefile_lane zeros;

	return !memcmp(e, &zeros, sizeof(zeros));
}

static uint64_t lanes_place(unsigned copy, unsigned lane)
{
	return (copy ? STOREFILE_LANES_B : STOREFILE_LANES_A) + lane * sizeof(struct storefile_lane);
}

/* Reads one copy of all entries.  An entry behind the end of the file is blank; one that cannot
 * be read is not valid, so the other copy counts. */
static int lanes_read_copy(struct storefile *s, unsigned copy, struct storefile_lane *all)
{
	int err = s->blk->read(s->file, all, LANES_MAX * sizeof(*all), lanes_place(copy, 0));

	for (unsigned i = 0; i < LANES_MAX && (err == -EIO || err == -ENODATA); i++) {
		int one = s->blk->read(s->file, &all[i], sizeof(*all), lanes_place(copy, i));

		if (one)
			memset(&all[i], 0, sizeof(*all));
		if (one == -EIO) {
			all[i].magic = ~0u;
			s->lane_unread[i] |= copy ? 2 : 1;
		}
		if (one && one != -EIO && one != -ENODATA)
			return one;
	}
	return err == -EIO || err == -ENODATA ? 0 : err;
}

int storefile_lanes_read(struct storefile *s)
{
	struct storefile_lane b[LANES_MAX];
	int err;

	memset(s->lane_unread, 0, sizeof(s->lane_unread));
	err = lanes_read_copy(s, 0, s->lane);

	if (!err)
		err = lanes_read_copy(s, 1, b);
	for (unsigned i = 0; i < LANES_MAX && !err; i++) {
		bool blank = entry_blank(&s->lane[i]) && entry_blank(&b[i]);
		bool a_ok = entry_ok(&s->lane[i], i), b_ok = entry_ok(&b[i], i);

		s->lane_bad[i] = blank ? 0 : (uint8_t)((a_ok ? 0 : 1) | (b_ok ? 0 : 2));
		if (b_ok && (!a_ok || (b[i].gen > s->lane[i].gen && !MUTANT(store_lane_gen))))
			s->lane[i] = b[i];
		else if (!a_ok)
			memset(&s->lane[i], 0, sizeof(s->lane[i]));
	}
	s->lanes_on = s->b.flags & STOREFILE_LANES;
	return err;
}

const struct storefile_lane *storefile_lane(const struct storefile *s, unsigned lane)
{
	return s->lanes_on && s->lane[lane].gen ? &s->lane[lane] : NULL;
}

static int write_entry(struct storefile *s, unsigned copy, unsigned lane)
{
	struct iovec iov = { &s->lane[lane], sizeof(s->lane[lane]) };

	return s->blk->write(s->file, &iov, 1, lanes_place(copy, lane));
}

int storefile_lane_write(struct storefile *s, const struct storefile_lane *want)
{
	struct storefile_lane *e = &s->lane[want->lane];
	uint64_t gen = e->gen + 1;
	unsigned first = s->lane_bad[want->lane] == 2 && !MUTANT(store_lane_bad_first);
	int err;

	if (s->readonly)
		return -EROFS;
	*e = *want;
	e->magic = LANE_MAGIC;
	e->gen = gen;
	e->crc = entry_crc(e);
	err = write_entry(s, first, want->lane);
	if (!err && !MUTANT(store_lane_sync_a))
		err = s->blk->sync(s->file);
	if (!err)
		err = write_entry(s, !first, want->lane);
	if (!err && !MUTANT(store_lane_sync_b))
		err = s->blk->sync(s->file);
	if (!err)
		s->lane_bad[want->lane] = 0;
	return MUTANT(store_lane_result) ? 0 : err;
}

void storefile_lanes_forget(struct storefile *s)
{
	memset(s->lane, 0, sizeof(s->lane));
	memset(s->lane_bad, 0, sizeof(s->lane_bad));
	s->lanes_on = false;
}

/* Where the disk has no room for the table, the store goes without it.  (Both copies may be
 * written at once, since the block says that the table is true only after this.) */
int storefile_lanes_write(struct storefile *s)
{
	struct iovec a = { s->lane, sizeof(s->lane) }, b = a;
	int err = s->blk->write(s->file, &a, 1, STOREFILE_LANES_A);

	if (!err)
		err = s->blk->write(s->file, &b, 1, STOREFILE_LANES_B);
	if (blk_nospace(err)) {
		s->lanes_off = true;
		return 0;
	}
	/* The table is synced before the block says that it is true. */
	return err || MUTANT(store_lanes_sync) ? err : s->blk->sync(s->file);
}

int storefile_lane_note(void *store, const struct storefile_lane *want)
{
	return storefile_lane_write(store, want);
}
