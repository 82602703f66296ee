/* SPDX-License-Identifier: BSD-2-Clause */
/* clock.c - see clock.h. */
#include "util/clock.h"

#include <stddef.h>
#include <stdio.h>
#include <sys/timex.h>

#include "util/mutant.h"

static uint64_t read_ms(clockid_t id)
{
	struct timespec t;

	clock_gettime(id, &t);
	return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

uint64_t clock_wall_ms(void)
{
	return read_ms(CLOCK_REALTIME);
}

uint64_t clock_monotonic_ms(void)
{
	return read_ms(CLOCK_MONOTONIC);
}

void clock_after(unsigned ms, struct timespec *end)
{
	clock_gettime(CLOCK_MONOTONIC, end);
	end->tv_sec += ms / 1000;
	end->tv_nsec += (long)(ms % 1000) * 1000000;
	if (end->tv_nsec >= 1000000000) {
		end->tv_sec++;
		end->tv_nsec -= 1000000000;
	}
}

static uint64_t clock_boot_ms(void)
{
	return read_ms(CLOCK_BOOTTIME);
}

uint64_t clock_boot(void)
{
	FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
	unsigned long long a = 0, b = 0;

	if (!f)
		return 0;
	if (fscanf(f, "%8llx-%4llx", &a, &b) != 2)
		a = b = 0;
	fclose(f);
	return a << 16 | b;
}

/* Whether the kernel says that the clock is synchronised; false if it may not be asked. */
static bool clock_synced(void)
{
	struct timex t = { .modes = 0 };

	return adjtimex(&t) >= 0 && !(t.status & STA_UNSYNC);
}

static bool settled(const struct clock_watch *c, uint64_t boot)
{
	uint64_t wait = c->age_ms < CLOCK_BOOT_MS ? c->age_ms : CLOCK_BOOT_MS;

	return boot >= CLOCK_BOOT_MS || boot - c->start_ms >= wait || !c->synced || c->synced() ||
	       MUTANT(clock_unsynced);
}

enum clock_trust clock_watch(struct clock_watch *c, uint64_t *now)
{
	uint64_t slack = c->age_ms / 8 < CLOCK_SLACK_MS ? c->age_ms / 8 : CLOCK_SLACK_MS;
	uint64_t boot, wall, gone;

	*now = c->now_ms();
	if (!c->boot_ms)
		return CLOCK_TRUSTED;
	boot = c->boot_ms();
	if (!c->based && !settled(c, boot))
		return CLOCK_UNSYNCED;
	if (!c->based) {
		c->based = true;
		c->base_now = *now;
		c->base_boot = boot;
	}
	wall = *now > c->base_now ? *now - c->base_now : 0;
	gone = boot - c->base_boot;
	c->ahead_ms = wall > gone ? wall - gone : 0;
	return c->ahead_ms > slack && !MUTANT(clock_ahead) ? CLOCK_AHEAD : CLOCK_TRUSTED;
}

void clock_watch_init(struct clock_watch *c, uint64_t (*now_ms)(void), uint64_t (*boot_ms)(void),
		      bool (*synced)(void), uint64_t age_ms)
{
	uint64_t now;

	*c = (struct clock_watch){ .now_ms = now_ms, .boot_ms = boot_ms, .synced = synced,
		.age_ms = age_ms };
	if (now_ms == clock_wall_ms && !boot_ms)
		c->boot_ms = clock_boot_ms;
	if (now_ms == clock_wall_ms && !synced)
		c->synced = clock_synced;
	if (!c->boot_ms)
		return;
	c->start_ms = c->boot_ms();
	clock_watch(c, &now);		/* if it is trusted by now, jumps count from here on */
}
