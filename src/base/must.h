/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * must.h - assertions that are checked in every build; one that fails ends the process.
 *
 * They are for invariants of the program only: what a client, a disk or an
 * administrator can cause is an error, not a must().
 */
#ifndef BASE_MUST_H
#define BASE_MUST_H

_Noreturn void must_fail(const char *expr, const char *file, int line, const char *func);

#define must(e) ((e) ? (void)0 : must_fail(#e, __FILE__, __LINE__, __func__))

#endif
