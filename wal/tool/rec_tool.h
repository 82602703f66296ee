/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rec_tool.h - a store looked at and repaired as files alone, with no server on it: what
 * pasted-recover does.
 */
#ifndef TOOL_REC_TOOL_H
#define TOOL_REC_TOOL_H

#include <stdbool.h>
#include <stdint.h>

#include "media/blk.h"
#include "media/pm.h"
#include "recovery/recover.h"

struct rec_tool {
	const char *store_dir;
	const char *nvmm_path;		/* NULL: the one in the store file */
	bool	 quick;			/* of store_check: look as a start does, not at every byte */
	bool	 adopt;			/* take a wal over that is bonded to a copy of the store */
	bool	 give_up;		/* of store_repair: go on without a lasting wal that is
					 * missing or damaged, and lose what only it held */
	const struct pm_ops  *pm;	/* NULL: the product's */
	const struct blk_ops *blk;
	uint64_t (*now_ms)(void);
	uint64_t boot;			/* as in struct store_options */
	void	(*progress)(void *arg, const char *what, uint64_t done, uint64_t total);
	void	*progress_arg;
};
/* All fill *r (report_fini it), whatever they return; 0, -errno or STORE_E* (which
 * is r->error too, and r->why has the words).
 *
 * Look only: nothing is written. */
int  store_check(const struct rec_tool *t, struct report *r);
/* Every surviving record, lane by lane, in order, once, whether it is in the segments
 * or only in the wal; and the numbers between them that have none.  data is len bytes,
 * valid until the call returns; non-zero ends the dump and is returned (negative: as
 * an error). */
struct rec_dump {
	void	*arg;
	int	(*record)(void *arg, unsigned lane, uint64_t seq, uint64_t time_ms,
			  const uint8_t *data, uint32_t len);
	int	(*gap)(void *arg, const struct rec_finding *g);	/* may be NULL */
};
int  store_dump(const struct rec_tool *t, struct report *r, const struct rec_dump *to);
/* What a start does, and then a clean close: no wal is attached afterwards. */
int  store_repair(const struct rec_tool *t, struct report *r);

#endif
