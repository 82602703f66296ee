/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * now.h - the time.  Only this file asks the system for it in src/, and wal/util/clock.h in wal/.
 *
 * Deadlines, intervals and latencies use the monotonic clock, which does not change when the
 * time is set; dates use the wall clock, which may jump either way.  Tests let both jump
 * (tests/edges/clock.c).
 */
#ifndef BASE_NOW_H
#define BASE_NOW_H

#include <stdint.h>

uint64_t now_ns(void);		/* monotonic */
uint64_t now_ms(void);		/* monotonic */
uint64_t now_coarse_ms(void);	/* monotonic, at the kernel's last tick: cheaper */
uint64_t now_wall_ms(void);	/* since 1970 */

#endif
