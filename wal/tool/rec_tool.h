/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rec_tool.h - checks, dumps and repairs a store's files while no server runs on it: the work
 * of pasted-recover.
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
	bool	 quick;			/* for store_check: read as little as a start does */
	bool	 adopt;			/* take a wal over that is bonded to a copy of the store */
	bool	 give_up;		/* for store_repair: go on without a lasting wal that is
					 * missing or damaged, and lose what only it held */
	const struct pm_ops  *pm;	/* NULL (this and the next): the real ones, no simulator */
	const struct blk_ops *blk;
	uint64_t (*now_ms)(void);
	uint64_t boot;			/* as in struct store_options */
	void	(*progress)(void *arg, const char *what, uint64_t done, uint64_t total);
	void	*progress_arg;
};
/* All of these fill *r, whatever they return; the caller frees it with report_fini.  They return
 * 0, -errno or STORE_E*; an error is in r->error too, and in words in r->why.
 *
 * store_check only looks: it writes nothing. */
int  store_check(const struct rec_tool *t, struct report *r);
/* store_dump gives every surviving record once, lane by lane, in order, whether it is in the
 * segments or only in the wal; and the numbers between them that have no record.  data is
 * len bytes, valid until the callback returns.  If a callback returns other than 0, that
 * ends the dump and is its result. */
struct rec_dump {
	void	*arg;
	int	(*record)(void *arg, unsigned lane, uint64_t seq, uint64_t time_ms,
			  const uint8_t *data, uint32_t len);
	int	(*gap)(void *arg, const struct rec_finding *g);	/* may be NULL */
};
int  store_dump(const struct rec_tool *t, struct report *r, const struct rec_dump *to);
/* store_repair does what a start does, and closes cleanly: no wal is attached afterwards. */
int  store_repair(const struct rec_tool *t, struct report *r);

#endif
