/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * lane_none.c - a lane of a class that stores nothing (lane.h): requests are counted, and get no
 * name.  No record has a frag (frags_max is 0), so no record holds a buffer.
 */
#include "lane/lane_priv.h"

static uint64_t lane_none_append(struct lane *l, struct frags *r)
{
	(void)l;
	(void)r;
	return LANE_UNNAMED;
}

static int lane_none_commit(struct lane *l, uint64_t now_ms)
{
	(void)l;
	(void)now_ms;
	return 0;
}

const struct lane_ops lane_none = { .append = lane_none_append, .commit = lane_none_commit };
