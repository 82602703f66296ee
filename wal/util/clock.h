/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * clock.h - the time, the one place in wal/ that asks the system for it; and whether the wall
 * clock can be trusted to say that something is old.
 *
 * Retention by age deletes, and a clock that jumps ahead makes everything old at once.  So
 * nothing expires by age while the wall clock has run further ahead of the time since boot
 * than a slack allows, counted from the moment when it was first trusted; and it is not
 * trusted in the first hour after the machine has booted (or for as long as records are kept,
 * if that is shorter) until the kernel says that it is synchronised.
 */
#ifndef UTIL_CLOCK_H
#define UTIL_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

#define CLOCK_SLACK_MS	(10u * 60 * 1000)	/* or an eighth of the age, if that is less */
#define CLOCK_BOOT_MS	(60u * 60 * 1000)

enum clock_trust { CLOCK_TRUSTED, CLOCK_UNSYNCED, CLOCK_AHEAD };

struct clock_watch {
	uint64_t (*now_ms)(void);	/* wall clock */
	uint64_t (*boot_ms)(void);	/* since boot, suspended or not; NULL: trust the wall clock */
	bool	 (*synced)(void);
	uint64_t age_ms;
	uint64_t start_ms;		/* of boot_ms, when this began */
	bool	 based;			/* it was trusted once, at: */
	uint64_t base_now, base_boot;
	uint64_t ahead_ms;		/* as last seen */
};
/* now_ms: the caller's; boot_ms and synced NULL: the system's, or none if now_ms is not its
 * clock. */
void clock_watch_init(struct clock_watch *c, uint64_t (*now_ms)(void), uint64_t (*boot_ms)(void),
		      bool (*synced)(void), uint64_t age_ms);
enum clock_trust clock_watch(struct clock_watch *c, uint64_t *now);
/* The system's. */
uint64_t clock_wall_ms(void);
uint64_t clock_monotonic_ms(void);
void clock_after(unsigned ms, struct timespec *end);	/* of the monotonic clock */
/* Which boot of the machine this is: the first bytes of its boot id, another one each time;
 * 0: not known. */
uint64_t clock_boot(void);

#endif
