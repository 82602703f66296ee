/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * kinds.h - small stores of each kind over the simulators, to be damaged.
 */
#ifndef DAMAGE_KINDS_H
#define DAMAGE_KINDS_H

#include "world.h"

struct storefile {			/* nothing of it is open */
	struct pm_sim *pm;
	struct blk_sim *blk;
};
struct storefile store_copy(const struct storefile *s);
void store_free(struct storefile *s);
void store_flip(struct storefile *s, bool pm, const char *path, uint64_t bit);

struct kind {
	const char *name;
	enum durability_class cls;
	unsigned lanes;
	bool	 clean;		/* was closed */
	bool	 damaged;	/* has damage (and lives with it) before the test begins */
	void	(*build)(struct world *x);
};
extern const struct kind kinds[];	/* ends with name NULL */
void kind_build(const struct kind *k, struct storefile *s);

#endif
