/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * crash.c - the crash test over both seams: small workloads, every crash point, every
 * legal state where they are few (explore.h).
 *
 *	SEED=n		what is drawn; a failure prints it.  Without it seed 1, and then a new
 *			one with half as many samples
 *	POINT=n		only this crash point of each workload (printed by a failure)
 *	LOAD=name	only this workload
 *	PART=k, PARTS=n	each nth workload from the kth on, for n processes
 *	LIMIT, SAMPLES, USE, AGAIN, DEPTH	how much (explore.h)
 */
#include <inttypes.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
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

/* A write that finds no room, half done, and that nothing is synced after: what waits is
 * refused, zeros end what it left, and the lane goes on; also when they find no room, when
 * a header is what was to be written, and when a stop or a crash comes before. */
#define ONE(a) { REC, 0, a }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { BACK, 0, 1 << 20 }
static const struct step no_room[] = {
	{ OPEN, 0, 1 }, ONE(200),
	{ REC, 0, 100 }, { REC, 0, 60 }, { REC, 0, 1500 }, { COMMIT, 0, 0 }, { REC, 0, 700 },
	{ FAIL_ROOM, 0, 0 }, { SYNCED, 0, 0 }, { BACK, 0, 1 << 20 }, { BACK, 0, 1 << 20 }, ONE(90),
	{ REC, 0, 900 }, { COMMIT, 0, 0 }, { FAIL_ROOM, 1, 0 }, { SYNCED, 0, 0 },
	{ FAIL_ROOM, 0, 0 }, { BACK, 0, 1 << 20 }, { BACK, 0, 1 << 20 }, { BACK, 0, 1 << 20 }, ONE(70),
	{ REC, 0, 80 }, { REC, 0, 500 }, { COMMIT, 0, 0 }, { FAIL_ROOM, 0, 0 }, { SYNCED, 0, 0 },
	{ CLOSE, 0, 0 }, { OPEN, 0, 1 }, ONE(60),
	{ REC, 0, 80 }, { REC, 0, 600 }, { COMMIT, 0, 0 }, { FAIL_ROOM, 0, 0 }, { SYNCED, 0, 0 },
	{ BACK, 0, 1 << 20 }, { KILL, 0, 0 }, { OPEN, 0, 1 }, ONE(300),
	{ REC, 0, 80 }, { REC, 0, 400 }, { COMMIT, 0, 0 }, { FAIL_ROOM, 0, 0 }, { SYNCED, 0, 0 },
	{ FAIL_SYNC, 0, 0 }, { BACK, 0, 1 << 20 }, { COMMIT, 0, 0 }, { KILL, 0, 0 },
	{ OPEN, 0, 1 }, ONE(80), { END, 0, 0 }
};
static const struct step no_room_turn[] = {
	{ OPEN, 0, 1 }, ONE(15000), ONE(15000), ONE(15000), ONE(14000),
	{ FAIL_ROOM, 0, 0 }, { REC, 0, 3000 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { BACK, 0, 1 << 20 },
	{ COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { BACK, 0, 1 << 20 }, ONE(100), { END, 0, 0 }
};

/* Bodies in chunks: many small pieces, gathered and named, in buffers that others share. */
static const struct step chunks[] = {
	{ OPEN, 0, 1 },
	{ CHUNKS, 0, 900 }, { REC, 0, 40 }, { COMMIT, 0, 0 }, { CHUNKS, 0, 5000 },
	{ SYNCED, 0, 0 }, { COMMIT, 0, 0 }, { REC, 0, 3 }, { CHUNKS, 0, 2 }, { CHUNKS, 0, 2500 },
	{ SYNCED, 0, 0 }, { BACK, 0, 700 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 },
	{ KILL, 0, 0 }, { OPEN, 0, 1 }, { CHUNKS, 0, 1300 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 },
	{ END, 0, 0 }
};

/* Pipelined requests in one buffer, committed apart, checkpointed one by one: a buffer is
 * held by records that are elsewhere, that wait, that are staged. */
static const struct step share[] = {
	{ OPEN, 0, 1 },
	{ REC, 0, 100 }, { REC, 0, 100 }, { COMMIT, 0, 0 }, { REC, 0, 100 }, { SYNCED, 0, 0 },
	{ COMMIT, 0, 0 }, { REC, 0, 100 }, { BACK, 0, 1 }, { REC, 0, 100 }, { SYNCED, 0, 0 },
	{ COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { REC, 0, 1800 }, { COMMIT, 0, 0 }, { BACK, 0, 150 },
	{ SYNCED, 0, 0 }, { END, 0, 0 }
};

/* Three lanes whose commits and checkpoints cross. */
static const struct step lanes[] = {
	{ OPEN, 0, 3 },
	{ REC, 0, 200 }, { REC, 1, 200 }, { REC, 2, 3000 }, { COMMIT, 1, 0 }, { COMMIT, 2, 0 },
	{ COMMIT, 0, 0 }, { SYNCED, 2, 0 }, { REC, 2, 90 }, { SYNCED, 0, 0 }, { BACK, 0, 100 },
	{ REC, 1, 70 }, { COMMIT, 2, 0 }, { SYNCED, 1, 0 }, { COMMIT, 1, 0 }, { SYNCED, 1, 0 },
	{ BACK, 0, 1 << 20 }, { REC, 0, 60 }, { COMMIT, 0, 0 }, { SYNCED, 2, 0 }, { SYNCED, 0, 0 },
	{ CUT, 0, 0 }, { OPEN, 0, 3 }, { REC, 1, 50 }, { COMMIT, 1, 0 }, { SYNCED, 1, 0 },
	{ END, 0, 0 }
};

/* A checkpoint of one record at a time, and retention, between and in the middle of
 * commits, while segments fill: files expire and are used again. */
#define TURN(a) { FRESH, 0, a }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { BACK, 0, 1 }, \
	{ FRESH, 0, a }, { BACK, 0, 1 }, { COMMIT, 0, 0 }, { BACK, 0, 1 << 20 }, { SYNCED, 0, 0 }
static const struct step retain[] = {
	{ OPEN, 0, 1 },
	TURN(15000), TURN(14000), TURN(12000), TURN(15000), TURN(15000), TURN(9000), TURN(15000),
	{ KILL, 0, 0 }, { OPEN, 0, 1 }, TURN(15000), TURN(15000), { CLOSE, 0, 0 },
	{ OPEN, 0, 1 }, TURN(15000), { CUT, 0, 0 }, { OPEN, 0, 1 }, TURN(14000),
	{ END, 0, 0 }
};

/* Files that lanes of earlier starts have count too: few are left for a lane that is
 * written to.  Retention comes while the first batch of a segment is on its way, while a
 * batch that will need the next one gathers, and between. */
#define FLIGHT(a, b) { FRESH, 0, a }, { COMMIT, 0, 0 }, { BACK, 0, 1 << 20 }, { FRESH, 0, b }, \
	{ BACK, 0, 1 }, { SYNCED, 0, 0 }, { COMMIT, 0, 0 }, { BACK, 0, 1 << 20 }, { SYNCED, 0, 0 }
#define FLIGHTS(n) { OPEN, 0, 2 }, { REC, 1, 40 }, { COMMIT, 1, 0 }, { SYNCED, 1, 0 }, \
	{ CLOSE, 0, 0 }, { RETAIN, 0, n }, { OPEN, 0, 1 }, FLIGHT(14000, 15000), \
	FLIGHT(15000, 13000), FLIGHT(15000, 15000), FLIGHT(9000, 15000), FLIGHT(15000, 15000), \
	{ KILL, 0, 0 }, { OPEN, 0, 1 }, FLIGHT(15000, 14000), FLIGHT(15000, 15000), \
	{ CUT, 0, 0 }, { OPEN, 0, 1 }, FLIGHT(15000, 14000), { CLOSE, 0, 0 }, { END, 0, 0 }
static const struct step flight_two[] = { FLIGHTS(4) };
static const struct step flight_three[] = { FLIGHTS(6) };
static const struct step flight_four[] = { FLIGHTS(8) };
static const struct step flight_age[] = { FLIGHTS(0) };

/* Nothing comes any more: what is there expires by the clock, the last one too, in a lane
 * that is written to and in one that an earlier start had. */
#define REST(n) { BACK, 0, 1 << 20 }, { COMMIT, n, 0 }, { BACK, 0, 1 << 20 }
#define RESTS(n) REST(n), REST(n), REST(n), REST(n), REST(n)
#define ALONE(a) { REC, 0, a }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }
static const struct step idle_age[] = {
	{ OPEN, 0, 2 }, { REC, 1, 40 }, { COMMIT, 1, 0 }, { SYNCED, 1, 0 }, ALONE(300), RESTS(0), RESTS(1),
	{ KILL, 0, 0 }, { OPEN, 0, 1 }, ALONE(200), RESTS(0), ALONE(100), ALONE(50), RESTS(0),
	{ CLOSE, 0, 0 }, { OPEN, 0, 1 }, RESTS(0), ALONE(100), { CUT, 0, 0 },
	{ OPEN, 0, 2 }, RESTS(1), RESTS(0), { REC, 1, 70 }, { COMMIT, 1, 0 }, ALONE(90),
	{ SYNCED, 1, 0 }, { CLOSE, 0, 0 }, { END, 0, 0 }
};

/* No buffer, no word is left; then there is room again, and a crash comes with both. */
static const struct step full[] = {
	{ OPEN, 0, 1 },
	{ FULL_BUFS, 0, 100 }, { COMMIT, 0, 0 }, { FULL_BUFS, 0, 50 }, { SYNCED, 0, 0 },
	{ BACK, 0, 300 }, { FULL_WORDS, 0, 30 }, { COMMIT, 0, 0 }, { FULL_WORDS, 0, 30 },
	{ SYNCED, 0, 0 }, { BACK, 0, 1 << 20 }, { REC, 0, 3000 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 },
	{ SYNCED, 0, 0 }, { FULL_BUFS, 0, 2048 }, { COMMIT, 0, 0 }, { CUT, 0, 0 },
	{ OPEN, 0, 2 }, { FULL_BUFS, 1, 2000 }, { COMMIT, 1, 0 }, { REC, 0, 10 }, { COMMIT, 0, 0 },
	{ SYNCED, 1, 0 }, { BACK, 0, 5000 }, { SYNCED, 0, 0 }, { CLOSE, 0, 0 },
	{ END, 0, 0 }
};

/* From one class to the other and back, with records in the wal that is left. */
static const struct step classes[] = {
	{ OPEN, 0, 1 }, { REC, 0, 200 }, { COMMIT, 0, 0 }, { SYNCED, 0, 0 }, { REC, 0, 80 },
	{ COMMIT, 0, 0 }, { KILL, 0, 0 },
	{ CLASS, 0, CLASS_FSYNC }, { OPEN, 0, 2 }, { REC, 1, 300 }, { COMMIT, 1, 0 }, { REC, 0, 9 },
	{ COMMIT, 0, 0 }, { SYNCED, 1, 0 }, { CUT, 0, 0 },
	{ CLASS, 0, CLASS_NVMM }, { OPEN, 0, 1 }, { REC, 0, 2500 }, { COMMIT, 0, 0 }, { CUT, 0, 0 },
	{ CLASS, 0, CLASS_NVMM_EADR }, { OPEN, 0, 2 }, { REC, 1, 40 }, { COMMIT, 1, 0 },
	{ END, 0, 0 }
};

#define SEGMENTS(n) ((uint64_t)(n) * WORLD_SEGMENT)
static const struct workload loads[] = {
	{ "basic-fsync", CLASS_FSYNC, basic, 1, 0, 0, 0, 0 },
	{ "basic-nvmm", CLASS_NVMM, basic, 1, 0, 0, 0, 0 },
	{ "basic-volatile", CLASS_VOLATILE, basic, 1, 0, 0, 0, 0 },
	{ "overlap-nvmm", CLASS_NVMM, overlap, 1, 0, 0, 0, 0 },
	{ "overlap-fsync", CLASS_FSYNC, overlap, 1, 0, 0, 0, 0 },
	{ "chunks-nvmm", CLASS_NVMM, chunks, 1, 0, 0, 0, 0 },
	{ "lap-fsync", CLASS_FSYNC, lap_round, 3, 0, 0, 0, 0 },
	{ "lap-nvmm", CLASS_NVMM, lap, 1, 0, 0, 0, 0 },
	{ "laps-nvmm", CLASS_NVMM, lap_round, 4, 0, 0, 0, 0 },
	{ "chunks-fsync", CLASS_FSYNC, chunks, 1, 0, 0, 0, 0 },
	{ "rotate-fsync", CLASS_FSYNC, rotate, 1, 0, 0, 0, 0 },
	{ "rotate-nvmm", CLASS_NVMM, rotate, 1, 0, 0, 0, 0 },
	{ "restart-nvmm", CLASS_NVMM, restart, 1, 0, 0, 0, 0 },
	{ "restart-fsync", CLASS_FSYNC, restart, 1, 0, 0, 0, 0 },
	{ "failing-fsync", CLASS_FSYNC, failing, 2, 0, 0, 0, 0 },
	{ "failing-nvmm", CLASS_NVMM, failing, 2, 0, 0, 0, 0 },
	{ "no-room-fsync", CLASS_FSYNC, no_room, 1, 0, 0, 0, 0 },
	{ "no-room-nvmm", CLASS_NVMM, no_room, 1, 0, 0, 0, 0 },
	{ "turn-fsync", CLASS_FSYNC, no_room_turn, 1, 0, 0, 0, 0 },
	{ "turn-nvmm", CLASS_NVMM, no_room_turn, 1, 0, 0, 0, 0 },
	{ "share-nvmm", CLASS_NVMM, share, 1, 0, 0, 0, 0 },
	{ "share-fsync", CLASS_FSYNC, share, 1, 0, 0, 0, 0 },
	{ "lanes-fsync", CLASS_FSYNC, lanes, 1, 0, 0, 0, 0 },
	{ "lanes-nvmm", CLASS_NVMM, lanes, 1, 0, 0, 0, 0 },
	{ "retain-fsync", CLASS_FSYNC, retain, 1, SEGMENTS(4), 0, 80000, 0 },
	{ "retain-nvmm", CLASS_NVMM, retain, 1, SEGMENTS(4), 0, 80000, 0 },
	{ "flight-two-fsync", CLASS_FSYNC, flight_two, 1, 0, 0, 1, 0 },
	{ "flight-two-nvmm", CLASS_NVMM, flight_two, 1, 0, 0, 1, 0 },
	{ "flight-age-fsync", CLASS_FSYNC, flight_age, 1, 0, 4, 0, 0 },
	{ "flight-age-nvmm", CLASS_NVMM, flight_age, 1, 0, 4, 0, 0 },
	{ "idle-age-fsync", CLASS_FSYNC, idle_age, 1, 0, 4, 0, 0 },
	{ "idle-age-nvmm", CLASS_NVMM, idle_age, 1, 0, 4, 0, 0 },
	{ "flight-three-fsync", CLASS_FSYNC, flight_three, 1, 0, 0, 40000, 0 },
	{ "flight-three-nvmm", CLASS_NVMM, flight_three, 1, 0, 0, 40000, 0 },
	{ "flight-four-fsync", CLASS_FSYNC, flight_four, 1, 0, 0, 80000, 0 },
	{ "flight-four-nvmm", CLASS_NVMM, flight_four, 1, 0, 0, 80000, 0 },
	{ "age-fsync", CLASS_FSYNC, retain, 1, 0, 8, 0, 0 },
	{ "age-nvmm", CLASS_NVMM, retain, 1, 0, 8, 0, 0 },
	{ "full-nvmm", CLASS_NVMM, full, 1, 0, 0, 0, 0 },
	{ "full-fsync", CLASS_FSYNC, full, 1, 0, 0, 0, 0 },
	{ "classes-nvmm", CLASS_NVMM, classes, 1, 0, 0, 0, 0 },
	{ "lap-volatile", CLASS_VOLATILE, lap_round, 4, 0, 0, 0, 0 },
	{ "full-volatile", CLASS_VOLATILE, full, 1, 0, 0, 0, 0 },
	{ "drawn-volatile", CLASS_VOLATILE, NULL, 1, 0, 0, 0, 45 },
	{ "drawn-nvmm", CLASS_NVMM, NULL, 1, 0, 0, 0, 45 },
	{ "drawn-fsync", CLASS_FSYNC, NULL, 1, 0, 0, 0, 45 },
};

static uint64_t env(const char *name, uint64_t otherwise)
{
	const char *s = getenv(name);

	return s && *s ? strtoull(s, NULL, 0) : otherwise;
}

static double cpu_s(void)
{
	return (double)clock() / CLOCKS_PER_SEC;	/* clock: printed */
}

/* 0, or 1: a workload failed, or there is none of that name. */
static int run(uint64_t seed, unsigned less)
{
	struct explore e = {
		.seed = seed, .limit = env("LIMIT", 32) / less,
		.samples = (unsigned)env("SAMPLES", 6) / less, .use = (unsigned)env("USE", 1),
		.again = (unsigned)env("AGAIN", 4),
		.depth = (unsigned)env("DEPTH", 2), .only_point = env("POINT", UINT64_MAX),
	};
	const char *only = getenv("LOAD");
	uint64_t part = env("PART", 0), parts = env("PARTS", 1);
	unsigned ran = 0;
	double begun = cpu_s();

	for (size_t i = 0; i < sizeof(loads) / sizeof(loads[0]); i++) {
		uint64_t points = e.points, states = e.states;
		double from = cpu_s();

		/* In the table a small one, of class fsync, stands by a large one. */
		if (only && *only ? strcmp(only, loads[i].name) : (i + i / parts) % parts != part)
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
	       e.all_points, e.states, e.again_states, e.recoveries, e.seed, cpu_s() - begun);
	return !ran;
}

int main(void)
{
	uint64_t drawn = 0;
	const char *s = getenv("SEED");
	int bad;

	/* Images come and go a million times: their memory stays. */
	mallopt(M_MMAP_THRESHOLD, 64 << 20);
	mallopt(M_TRIM_THRESHOLD, 1 << 30);
	mallopt(M_TOP_PAD, 16 << 20);
	bad = run(env("SEED", 1), 1);
	if (bad || (s && *s))
		return bad;
	while (getrandom(&drawn, sizeof(drawn), 0) != sizeof(drawn))
		;
	drawn = drawn % 1000000 + 2;
	printf("a new seed: %" PRIu64 "\n", drawn);
	return run(drawn, 2);
}
