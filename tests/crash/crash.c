/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crash.c - the crash test over both seams: small workloads, every crash point, every
 * legal state where they are few (explore.h).
 *
 *	SEED=n		what is drawn (default 1); a failure prints it
 *	POINT=n		only this crash point of each workload (printed by a failure)
 *	LOAD=name	only this workload
 *	LIMIT, SAMPLES, USE, AGAIN, DEPTH	how much (explore.h)
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "explore.h"

/* Records of one buffer, pipelined in it, and one over several; two commits. */
static const struct step basic[] = {
	{ OPEN, 0, 1 },
	{ REC, 0, 60 }, { REC, 0, 900 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 },
	{ REC, 0, 5000 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 },
	{ CLOSE, 0, 0 }, { END, 0, 0 }
};

/* A batch gathers while the last one syncs (fsync); the checkpointer between (nvmm). */
static const struct step overlap[] = {
	{ OPEN, 0, 2 },
	{ REC, 0, 300 }, { COMMIT, 0, 0 }, { REC, 0, 700 }, { REC, 0, 1 }, { COMMIT, 0, 0 },
	{ REC, 1, 3000 }, { COMMIT, 1, 0 }, { SYNCED, 0, 0 }, { SYNCED, 0, 0 }, { SYNCED, 1, 0 },
	{ BACK, 0, 512 }, { FRESH, 0, 400 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 },
	{ FRESH, 1, 2049 }, { COMMIT, 1, 0 }, { BACK, 0, 1 << 20 }, { SYNCED, 1, 0 },
	{ CLOSE, 0, 0 }, { END, 0, 0 }
};

/* Many small batches with checkpoints: the ring of 64 words goes round. */
static const struct step lap_round[] = {
	{ OPEN, 0, 1 },
	{ REC, 0, 40 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { REC, 0, 50 }, { REC, 0, 1500 },
	{ COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { REC, 0, 1000 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 },
	{ FRESH, 0, 70 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { FRESH, 0, 80 }, { REC, 0, 3000 },
	{ COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { BACK, 0, 1000 },
	{ KILL, 0, 0 }, { END, 0, 0 }
};
static const struct step lap[] = {
	{ OPEN, 0, 1 },
	{ REC, 0, 40 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { REC, 0, 50 }, { COMMIT, 0, 0 },
	{ SYNCED, 0, 0 }, { REC, 0, 60 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { REC, 0, 70 },
	{ COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { REC, 0, 80 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 },
	{ REC, 0, 90 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { BACK, 0, 100 },
	{ REC, 0, 40 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { REC, 0, 50 }, { COMMIT, 0, 0 },
	{ SYNCED, 0, 0 }, { REC, 0, 60 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { REC, 0, 70 },
	{ COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { REC, 0, 80 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 },
	{ REC, 0, 90 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { BACK, 0, 1 << 20 },
	{ REC, 0, 40 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { REC, 0, 50 }, { COMMIT, 0, 0 },
	{ SYNCED, 0, 0 }, { REC, 0, 60 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { REC, 0, 70 },
	{ COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { REC, 0, 80 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 },
	{ REC, 0, 90 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { REC, 0, 95 }, { COMMIT, 0, 0 },
	{ SYNCED, 0, 0 }, { REC, 0, 96 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 },
	{ END, 0, 0 }
};

/* Segments of 64 KiB fill up and the next one is begun. */
static const struct step rotate[] = {
	{ OPEN, 0, 1 },
	{ FRESH, 0, 15000 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { BACK, 0, 1 << 20 },
	{ FRESH, 0, 15000 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { BACK, 0, 1 << 20 },
	{ FRESH, 0, 15000 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { BACK, 0, 1 << 20 },
	{ FRESH, 0, 15000 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { BACK, 0, 1 << 20 },
	{ FRESH, 0, 3000 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 },
	{ END, 0, 0 }
};

/* Restarts with more and fewer lanes, by a clean close, a SIGKILL, a power cut. */
static const struct step restart[] = {
	{ OPEN, 0, 1 }, { REC, 0, 200 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { CLOSE, 0, 0 },
	{ OPEN, 0, 3 }, { REC, 2, 2500 }, { COMMIT, 2, 0 }, { SYNCED, 2, 0 }, { REC, 0, 100 },
	{ COMMIT, 0, 0 }, { KILL, 0, 0 },
	{ OPEN, 0, 2 }, { REC, 1, 80 }, { COMMIT, 1, 0 }, { SYNCED, 1, 0 }, { BACK, 0, 1 << 20 },
	{ REC, 0, 90 }, { COMMIT, 0, 0 }, { CUT, 0, 0 },
	{ OPEN, 0, 3 }, { REC, 2, 70 }, { COMMIT, 2, 0 }, { SYNCED, 2, 0 }, { CLOSE, 0, 0 },
	{ END, 0, 0 }
};

/* A write, then a sync that fails: nothing of that lane is acknowledged any more, the
 * reads still show what the disk may not have, and the next start must not build on it. */
static const struct step failing[] = {
	{ OPEN, 0, 1 }, { REC, 0, 200 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 },
	{ REC, 0, 1000 }, { COMMIT, 0, 0 }, { FAIL_SYNC, 0, 0 }, { SYNCED, 0, 0 },
	{ BACK, 0, 1 << 20 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { KILL, 0, 0 },
	{ OPEN, 0, 1 }, { REC, 0, 90 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { BACK, 0, 1 << 20 },
	{ REC, 0, 3000 }, { COMMIT, 0, 0 }, { FAIL_WRITE, 0, 0 }, { SYNCED, 0, 0 },
	{ BACK, 0, 1 << 20 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { KILL, 0, 0 },
	{ OPEN, 0, 1 }, { REC, 0, 80 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { CUT, 0, 0 },
	{ END, 0, 0 }
};

static const struct workload loads[] = {
	{ "basic-fsync", WAL_FSYNC, basic, 1 },
	{ "basic-nvmm", WAL_NVMM, basic, 1 },
	{ "overlap-fsync", WAL_FSYNC, overlap, 1 },
	{ "overlap-nvmm", WAL_NVMM, overlap, 1 },
	{ "lap-fsync", WAL_FSYNC, lap_round, 3 },
	{ "lap-nvmm", WAL_NVMM, lap, 1 },
	{ "laps-nvmm", WAL_NVMM, lap_round, 4 },
	{ "rotate-fsync", WAL_FSYNC, rotate, 1 },
	{ "rotate-nvmm", WAL_NVMM, rotate, 1 },
	{ "restart-fsync", WAL_FSYNC, restart, 1 },
	{ "restart-nvmm", WAL_NVMM, restart, 1 },
	{ "failing-fsync", WAL_FSYNC, failing, 2 },
	{ "failing-nvmm", WAL_NVMM, failing, 2 },
};

static uint64_t env(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);

	return s && *s ? strtoull(s, NULL, 0) : otherwise;
}

static double cpu_s(void)
{
	return (double)clock() / CLOCKS_PER_SEC;
}

int main(void)
{
	struct explore e = {
		.seed = env("SEED", 1), .limit = env("LIMIT", 32),
		.samples = (unsigned)env("SAMPLES", 6), .use = (unsigned)env("USE", 1),
		.again = (unsigned)env("AGAIN", 4),
		.depth = (unsigned)env("DEPTH", 2), .only_point = env("POINT", UINT64_MAX),
	};
	const char *only = getenv("LOAD");
	unsigned ran = 0;

	/* Images come and go a million times: their memory stays. */
	mallopt(M_MMAP_THRESHOLD, 64 << 20);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_TOP_PAD, 16 << 20);
	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
		uint64_t points = e.points, states = e.states;
		double from = cpu_s();

		if (only && *only && strcmp(only, loads[i].name))
			continue;
		ran++;
		if (!explore_run(&e, &loads[i])) {
			printf("FAILED: %s\nreplay: SEED=%" PRIu64 " POINT=%" PRIu64 " LOAD=%s LIMIT=%"
			       PRIu64 " SAMPLES=%u USE=%u AGAIN=%u DEPTH=%u\n", e.why, e.seed, e.point,
			       loads[i].name, e.limit, e.samples, e.use, e.again, e.depth);
			return 1;
		}
		printf("%-14s %5" PRIu64 " crash points, %7" PRIu64 " states, %5.1f s CPU\n",
		       loads[i].name, e.points - points, e.states - states, cpu_s() - from);
		fflush(stdout);
	}
	printf("%" PRIu64 " crash points (%" PRIu64 " with every state), %" PRIu64 " states (%" PRIu64
	       " inside recovery), %" PRIu64 " recoveries, seed %" PRIu64 ", %.1f s CPU\n", e.points,
	       e.all_points, e.states, e.again_states, e.recoveries, e.seed, cpu_s());
	return !ran;
}
