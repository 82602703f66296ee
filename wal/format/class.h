/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * class.h - the one table of the durability classes: what each promises, and what it needs.  Code
 * that treats classes differently asks for a property; only three files name a class by its
 * constant: pm_probe.c (the class that a place can give), the server's choose.c (fsync, which any
 * disk can give), and rec_store.c (nvmm, for a lasting wal whose class is not known).
 *
 * A new class is a row here and, where no lane of those there are does what it needs, a file with
 * its struct lane_ops (lane_priv.h).
 */
#ifndef FORMAT_CLASS_H
#define FORMAT_CLASS_H

#include <stdbool.h>

/* What a class needs of the place where the store and its wal are. */
enum class_needs {
	NEEDS_NOTHING,		/* no place: nothing is stored, no record is named */
	NEEDS_ANYTHING,		/* any place, also memory that forgets when the machine restarts */
	NEEDS_DISK,		/* a folder on a medium where a sync makes data durable */
	NEEDS_NVMM,		/* that, and for the wal proven persistent memory (pm_probe.c) */
};

/* Strongest first.  X(constant, number, name, lane, needs, wal, asked, automatic, promise):
 *
 *   number	stands in the durable formats: never given again, and no measure of strength
 *   name	stands in settings, replies, messages, metrics and on the page
 *   lane	which struct lane_ops commits: lane_none, lane_fsync, lane_wal
 *   needs	enum class_needs, without its NEEDS_
 *   wal	WAL or BARE: whether a wal, with the buffers that it names, stands in front of the
 *		segments
 *   asked	ASKED or FOUND: whether the class can be asked for by its own name
 *   automatic	AUTO or NAMED: whether the class may be taken when nobody asked for it
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

/* All of these take any number, for it may come from a file: for a number that is not in the table
 * they return false, and its name is "unknown". */
bool class_known(unsigned c);
const char *class_name(enum durability_class c);
const char *class_promise(enum durability_class c);
bool class_stores(enum durability_class c);
bool class_has_wal(enum durability_class c);
/* Whether a commit is a write and a sync of the segment log by the worker: the class stores, but
 * without a wal. */
bool class_syncs(enum durability_class c);
bool class_needs_nvmm(enum durability_class c);
/* Whether what was acknowledged survives a power cut. */
bool class_lasts(enum durability_class c);
/* Whether the class stores, but may lose what was acknowledged when the machine is restarted. */
bool class_forgets(enum durability_class c);
bool class_automatic(enum durability_class c);
/* Whether c promises less than other. */
bool class_weaker(enum durability_class c, enum durability_class other);

/* CLASS_WORDS is "|nvmm|fsync|..": the classes that can be asked for, as the choices of a setting.
 * class_of_word() gives the class of the word at that place. */
#define CLASS_WORD(constant, number, name, lane, needs, wal, asked, ...) CLASS_WORD_##asked(name)
#define CLASS_WORD_ASKED(name) "|" name
#define CLASS_WORD_FOUND(name)
#define CLASS_WORDS CLASS_TABLE(CLASS_WORD)
enum durability_class class_of_word(unsigned place);

#endif
