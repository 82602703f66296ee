/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clock.h - the time (only this asks the system for it in wal/), and whether the wall clock can
 * be trusted to say that something is old.
 *
 * Retention by age deletes, and a clock that jumps ahead makes everything old at once.  So
 * nothing expires by age while the wall clock has run further ahead of the time since boot
 * than a slack allows, counted from the moment when the clock was first trusted.  And in the
 * first hour after the machine has booted (or for as long as records are kept, if that is
 * shorter) the clock is not trusted until the kernel says that it is synchronised.
 */
#ifndef UTIL_CLOCK_H
#define UTIL_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define CLOCK_SLACK_MS	(10u * 60 * 1000)	/* or an eighth of age_ms, if that is less */
#define CLOCK_BOOT_MS	(60u * 60 * 1000)

enum clock_trust { CLOCK_TRUSTED, CLOCK_UNSYNCED, CLOCK_AHEAD };

struct clock_watch {
	uint64_t (*now_ms)(void);	/* wall clock */
	uint64_t (*boot_ms)(void);	/* since boot, with suspends; NULL: trust the wall clock */
	bool	 (*synced)(void);
	uint64_t age_ms;		/* how long records are kept */
	uint64_t start_ms;		/* boot_ms() at clock_watch_init */
	bool	 based;			/* the clock was trusted once, first at: */
	uint64_t base_now, base_boot;
	uint64_t ahead_ms;		/* how far the wall clock was ahead when last looked at */
};
/* boot_ms and synced NULL: the system's, if now_ms is clock_wall_ms, else there are none. */
void clock_watch_init(struct clock_watch *c, uint64_t (*now_ms)(void), uint64_t (*boot_ms)(void),
		      bool (*synced)(void), uint64_t age_ms);
enum clock_trust clock_watch(struct clock_watch *c, uint64_t *now);
/* The system's clocks. */
uint64_t clock_wall_ms(void);
uint64_t clock_monotonic_ms(void);
void clock_after(unsigned ms, struct timespec *end);	/* *end: ms from now, monotonic clock */
/* Which boot of the machine this is: the first bytes of its boot id, which differs from boot to
 * boot; 0: not known. */
uint64_t clock_boot(void);

#endif
