/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * blk_sim_priv.h - what a simulated file system is made of; for blk_sim*.c only.
 *
 * An inode is kept as what reads see (`seen`), what is durable (`dur`), and the list of
 * sector versions since (`ver`, oldest first).  Names are two lists, seen and durable,
 * and the list of directory operations between them.  Inodes are numbers, so that a
 * copy of a simulator is a copy of its arrays.
 */
#ifndef BLK_SIM_PRIV_H
#define BLK_SIM_PRIV_H

#include "blk_sim.h"
#include "sim_pages.h"

struct version {		/* a sector as one write left it */
	uint64_t sector;
	bool	 doomed;	/* its sync failed: no later sync covers it */
	uint8_t	 data[SIM_SECTOR];
};

#define SIM_BAD 16u
struct inode {
	bool	 used, dir, linked;
	unsigned handles;
	struct blk_file *locked;
	struct sim_pages seen, dur;
	uint8_t	*flat;		/* what blk_sim_bytes gave out */
	struct version *ver;
	size_t	 nver, ver_cap;
	uint64_t *size;		/* after each write since the sync that made it longer */
	size_t	 nsize;
	uint64_t bad[SIM_BAD];	/* pages that cannot be read */
	unsigned nbad;
};

struct name {
	char	*path;
	unsigned ino;
};
struct names {
	struct name *v;
	size_t	 n;
};

struct dir_op {			/* done in what is seen, not yet durable */
	enum sim_op op;		/* SIM_OPEN: created; MKDIR, RENAME, UNLINK */
	char	*path, *to;	/* to: of a rename */
	unsigned ino;
	bool	 doomed, must;	/* must: synced, but behind a doomed one */
};

struct fault {
	unsigned nth, times;
	bool	 forever;
	int	 err;
};

struct blk_sim {
	struct blk_ops ops;
	struct inode *ino;
	unsigned nino;
	struct names seen, dur;
	struct dir_op *op;
	size_t	 nop;
	uint64_t capacity, count, calls[SIM_OPS];
	struct fault fault[SIM_OPS];
	int	(*step)(void *arg, enum sim_op op);
	void	*step_arg;
	bool	 crashed;
};

struct blk_file {
	struct blk_sim *s;
	unsigned ino;
	bool	 writable;
};

/* The simulator's folders are known by their path; a handle that outlives its folder, or
 * whose path has become another's, finds nothing any more. */
struct blk_dir {
	struct blk_sim *s;
	char	*path;
	unsigned ino;		/* UINT_MAX: "/" or "." */
};

void *sim_need(void *p);
void *sim_grow(void *p, size_t n, size_t size);
struct name *sim_name_find(const struct names *l, const char *path);
void sim_name_set(struct names *l, const char *path, unsigned ino);
void sim_name_remove(struct names *l, const char *path);
void sim_names_copy(struct names *to, const struct names *from);
void sim_names_free(struct names *l);
void sim_parent_of(const char *path, char *out, size_t n);
bool sim_is_root(const char *path);
bool sim_dir_there(const struct blk_sim *s, const struct names *l, const char *path);
unsigned sim_inode_new(struct blk_sim *s, bool dir);
void sim_inode_free(struct inode *n);
void sim_inodes_collect(struct blk_sim *s);
bool sim_inode_bad(struct inode *n, uint64_t len, uint64_t off, bool write);
void sim_inode_write(struct inode *n, const uint8_t *p, uint64_t len, uint64_t off);
void sim_put_sector(struct sim_pages *b, const struct version *v);
void sim_inode_synced(struct inode *n);
void sim_op_apply(struct names *l, const struct dir_op *o);

#endif
