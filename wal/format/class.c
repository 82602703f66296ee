/* SPDX-License-Identifier: BSD-2-Clause */
/* class.c - the properties of the durability classes, taken from their table (class.h). */
#include "format/class.h"

#include <stddef.h>

struct class_row {
	const char *name, *promise;
	enum class_needs needs;
	bool	 wal, automatic;
	unsigned weakness;		/* its place in the table, from 1; 0: it has none */
};

enum { BARE, WAL };		/* the table's words for false and true, here and below */
enum { NAMED, AUTO };

enum {				/* the order of the rows */
	PLACE_BEFORE_ALL,
#define CLASS_PLACE(constant, ...) PLACE_##constant,
	CLASS_TABLE(CLASS_PLACE)
#undef CLASS_PLACE
};

static const struct class_row rows[] = {		/* by the class's number */
#define CLASS_ROW(constant, number, name, lane, needs, wal, asked, automatic, promise) \
	[number] = { name, promise, NEEDS_##needs, wal, automatic, PLACE_##constant },
	CLASS_TABLE(CLASS_ROW)
#undef CLASS_ROW
};
#define ROWS (sizeof(rows) / sizeof(rows[0]))

static const struct class_row *row(unsigned c)
{
	static const struct class_row unknown = { .name = "unknown", .promise = "nothing is known of it" };

	return c < ROWS && rows[c].weakness ? &rows[c] : &unknown;
}

bool class_known(unsigned c)
{
	return row(c)->weakness;
}

const char *class_name(enum durability_class c)
{
	return row(c)->name;
}

const char *class_promise(enum durability_class c)
{
	return row(c)->promise;
}

bool class_stores(enum durability_class c)
{
	return row(c)->needs != NEEDS_NOTHING;
}

bool class_has_wal(enum durability_class c)
{
	return row(c)->wal;
}

bool class_syncs(enum durability_class c)
{
	return class_stores(c) && !class_has_wal(c);
}

bool class_needs_nvmm(enum durability_class c)
{
	return row(c)->needs == NEEDS_NVMM;
}

bool class_lasts(enum durability_class c)
{
	return row(c)->needs == NEEDS_DISK || class_needs_nvmm(c);
}

bool class_forgets(enum durability_class c)
{
	return row(c)->needs == NEEDS_ANYTHING;
}

bool class_automatic(enum durability_class c)
{
	return row(c)->automatic;
}

bool class_weaker(enum durability_class c, enum durability_class other)
{
	return row(c)->weakness > row(other)->weakness;
}

enum durability_class class_of_word(unsigned place)
{
	static const enum durability_class asked_for[] = {
#define CLASS_OF_WORD(constant, number, name, lane, needs, wal, asked, ...) CLASS_IF_##asked(constant)
#define CLASS_IF_ASKED(constant) constant,
#define CLASS_IF_FOUND(constant)
		CLASS_TABLE(CLASS_OF_WORD)
	};

	return asked_for[place];
}
