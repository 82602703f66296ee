/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * model.h - the reference: which records were appended, which were acknowledged, and
 * whether what a recovery brings back is allowed.
 *
 * Allowed is: in each lane, by rising number, only records that were appended under
 * that number, byte for byte, with a time between its append and its acknowledgement, and all
 * that were acknowledged.  With retention the oldest
 * may be missing, without a hole: a record that was old enough, or that had as many bytes
 * behind it as retention keeps (which the last one that was acknowledged never has).  And no
 * number is given again that was acknowledged once, whether its record is still kept or not.
 */
#ifndef CRASH_MODEL_H
#define CRASH_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MODEL_LANES 4u

struct model_rec {
	uint64_t seq;
	uint8_t	*data;
	uint32_t len;
	uint64_t ms;		/* when it was appended, or a moment before */
	uint64_t upto_ms;	/* when it was acknowledged; UINT64_MAX: not yet */
	bool	 acked;
};
struct model_lane {
	struct model_rec *v;	/* by rising seq */
	size_t	 n, cap;
	uint64_t top;		/* the highest number that was ever acknowledged */
	bool	 taken_back;	/* what is not acknowledged: its numbers may be given again */
};
struct model {
	struct model_lane lane[MODEL_LANES];
	uint64_t keep_bytes;	/* retention leaves so many bytes of records in a lane; 0: all */
	uint64_t keep_ms;	/* and every record that is younger; 0: all */
	uint64_t now_ms;	/* of the judgement */
};
void model_free(struct model *m);
/* A record that was appended. */
void model_append(struct model *m, unsigned lane, uint64_t seq, uint64_t ms, const uint8_t *data,
		  uint32_t len);
void model_ack(struct model *m, unsigned lane, uint64_t upto, uint64_t ms);
/* What was appended and is not acknowledged was refused after all: until its number is given
 * to another record it may come back or not. */
void model_take_back(struct model *m, unsigned lane);
bool model_any_acked(const struct model *m);

/* A list of what came back, and the judge. */
struct got_rec {
	unsigned lane;
	uint64_t seq, ms;
	uint32_t len, crc;
	uint8_t	*data;
};
struct got {
	struct got_rec *v;
	size_t	 n, cap;
};
void got_add(struct got *g, unsigned lane, uint64_t seq, uint64_t ms, const uint8_t *data, uint32_t len);
void got_clear(struct got *g);
void got_free(struct got *g);
bool got_same(const struct got *a, const struct got *b, char *why, size_t n);
/* NULL: allowed; else what is wrong, in why. */
const char *model_judge(const struct model *m, const struct got *g, char *why, size_t n);
/* A restart that is part of the workload: what came back counts as acknowledged from
 * now on (it was served), what did not is gone. */
void model_restart(struct model *m, const struct got *g);

#endif
