/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * now.h - the time: the one place in src/ that asks the system for it (wal/util/clock.h is that
 * of wal/).
 *
 * Deadlines, intervals and latencies are of the monotonic clock, which goes on whatever is
 * set; dates are of the wall clock, which may jump either way.  Tests let both jump
 * (tests/edges/clock.c).
 */
#ifndef BASE_NOW_H
#define BASE_NOW_H

#include <stdint.h>

uint64_t now_ns(void);		/* monotonic */
uint64_t now_ms(void);		/* the same */
uint64_t now_coarse_ms(void);	/* the same as of the last tick, and cheaper */
uint64_t now_wall_ms(void);	/* since 1970 */

#endif
