/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * class.h - the durability classes: what a commit is worth, and what it takes to be had.  The one
 * table of them.  Whoever treats classes differently asks for a property; a class by its constant
 * is known to three only: to pm_probe.c (what a place gives), to the server's choose.c for
 * "any disk", and to rec_store.c for a wal of which nobody knows more than that it lasts.
 *
 * A new class is a row here and, where no lane of those there are does what it needs, a file with
 * its struct lane_ops (lane_priv.h).
 */
#ifndef FORMAT_CLASS_H
#define FORMAT_CLASS_H

#include <stdbool.h>

/* What the place of a class has to be. */
enum class_needs {
	NEEDS_NOTHING,		/* no place: nothing is stored, no record is named */
	NEEDS_ANYTHING,		/* memory too, which forgets when the machine is restarted */
	NEEDS_DISK,		/* a folder on what lasts, whose sync means something */
	NEEDS_NVMM,		/* that, and for the wal persistent memory that has proven itself */
};

/* Strongest first.  X(constant, number, name, lane, needs, wal, asked, automatic, promise):
 *
 *   number	in the durable formats: never given again, and no measure of strength
 *   name	in settings, replies, messages, metrics, on the page
 *   lane	which struct lane_ops commits: lane_none, lane_fsync, lane_wal
 *   needs	enum class_needs, without its NEEDS_
 *   wal	WAL or BARE: whether a wal stands in front of the segments, and the buffers that it
 *		names are its
 *   asked	ASKED or FOUND: whether it can be asked for by its own name
 *   automatic	AUTO or NAMED: whether it may be taken when nobody asked for it
 *   promise	what an acknowledged record survives, for messages
 */
#define CLASS_TABLE(X) \
	X(CLASS_NVMM_EADR, 5, "nvmm-eadr", wal, NVMM, WAL, FOUND, AUTO, \
	  "survives a power cut: what is stored is durable") \
	X(CLASS_NVMM, 4, "nvmm", wal, NVMM, WAL, ASKED, AUTO, \
	  "survives a power cut: what is flushed is durable") \
	X(CLASS_FSYNC, 3, "fsync", fsync, DISK, BARE, ASKED, AUTO, \
	  "survives a power cut: what is written and synced is durable") \
	X(CLASS_VOLATILE, 2, "volatile", wal, ANYTHING, WAL, ASKED, NAMED, \
	  "survives a crash of the process, not of the machine") \
	X(CLASS_NONE, 1, "none", none, NOTHING, BARE, ASKED, NAMED, \
	  "nothing is stored")

enum durability_class {
#define CLASS_NUMBER(constant, number, ...) constant = (number),
	CLASS_TABLE(CLASS_NUMBER)
#undef CLASS_NUMBER
};

/* All of these take any number, for it may come from a file: of one that is not in the table
 * nothing is true, and its name is "unknown". */
bool class_known(unsigned c);
const char *class_name(enum durability_class c);
const char *class_promise(enum durability_class c);
bool class_stores(enum durability_class c);
bool class_has_wal(enum durability_class c);
/* A commit is a write and a sync of the segment log, by the worker: it stores, without a wal. */
bool class_syncs(enum durability_class c);
bool class_needs_nvmm(enum durability_class c);
/* What was acknowledged survives a power cut. */
bool class_lasts(enum durability_class c);
/* It stores, but what was acknowledged may be lost when the machine is restarted. */
bool class_forgets(enum durability_class c);
bool class_automatic(enum durability_class c);
/* Whether the promise of c is less than that of other. */
bool class_weaker(enum durability_class c, enum durability_class other);

/* "|nvmm|fsync|..": those that can be asked for, as the words of a setting; and the class of
 * each, by its place in these words. */
#define CLASS_WORD(constant, number, name, lane, needs, wal, asked, ...) CLASS_WORD_##asked(name)
#define CLASS_WORD_ASKED(name) "|" name
#define CLASS_WORD_FOUND(name)
#define CLASS_WORDS CLASS_TABLE(CLASS_WORD)
enum durability_class class_of_word(unsigned place);

#endif
