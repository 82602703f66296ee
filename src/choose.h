/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * choose.h - chooses the durability class and the ring, from what was asked for and what is there.
 *
 * A class is found out, never assumed, and never weaker than what was asked for:
 *
 *   asked     store on     persistent memory    becomes
 *   none      anything     anything             none
 *   volatile  anything     anything             volatile
 *   others    tmpfs, ..    anything             refused: the store would be lost at a power cut
 *                                               (place.h)
 *   auto      disk         MAP_SYNC proven      nvmm or nvmm-eadr, if the platform says that
 *                                               flushed stores survive; else fsync
 *   auto      disk         none, or not proven  fsync
 *   fsync     disk         anything             fsync
 *   nvmm      disk         MAP_SYNC proven      nvmm or nvmm-eadr
 *   nvmm      disk         none, or not proven  refused, with the reason
 *
 * Persistent memory is looked for at --nvmm, else in the store itself (which may be
 * on a DAX file system).
 */
#ifndef CHOOSE_H
#define CHOOSE_H

#include <stddef.h>

#include "config.h"
#include "media/pm.h"
#include "ring/ring.h"

#define CHOOSE_WHY 1024u

struct choice {
	enum durability_class class;
	const char *nvmm;		/* where wal and pktbufs go; NULL: nowhere */
	char	 why[CHOOSE_WHY];	/* why this class, or why none */
};

/* What was found; together with the settings it determines the decision. */
struct findings {
	int	 store_err, nvmm_err;	/* pm_probe's */
	enum durability_class store, nvmm;
	char	 store_why[CHOOSE_WHY / 2], nvmm_why[CHOOSE_WHY / 2];
};
void choose_probe(const struct config *c, struct findings *f);
/* Writes path, or the nearest folder above it that exists, to buf: a store may not exist yet. */
void choose_nearest(const char *path, char *buf, size_t n);

/* 0, or -EOPNOTSUPP with the reason and what would be accepted in why. */
int  choose_class(const struct config *c, const struct findings *f, struct choice *out);

/* The ring that was asked for; for auto the first of paste, uring and socket that can be opened.
 * NULL: it cannot be had, and why tells the reason.  With auto, why also tells the reason if a ring
 * that this machine should have cannot be opened. */
const struct ring_ops *choose_ring(const struct config *c, char *why, size_t why_len);
/* 0, or -errno with the reason: could this ring be had? */
int  choose_try_ring(const struct ring_ops *ops, const struct config *c, char *why, size_t why_len);

#endif
