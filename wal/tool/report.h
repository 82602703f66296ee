/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * report.h - a recovery report in words: a table for people, one JSON object for
 * programs.  pasted-recover(8) is the specification of both.
 */
#ifndef TOOL_REPORT_H
#define TOOL_REPORT_H

#include <stdio.h>

#include "recovery/recover.h"

/* did: the report is of what was done (repair), else of what a start would do. */
void report_people(FILE *f, const struct report *r, const char *store, bool did);
void report_json(FILE *f, const struct report *r, const char *store, bool did);
const char *report_verdict_name(int verdict);	/* "clean", "pending", "damaged", "unusable" */

#endif
