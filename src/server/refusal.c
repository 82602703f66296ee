/* SPDX-License-Identifier: BSD-2-Clause */
/* refusal.c - see refusal.h. */
#include "server/refusal.h"

#include <errno.h>

static const struct {
	int status;
	const char *why;
} answers[] = {
	[REFUSAL_LARGE] = { 413, "larger than a record can be" },
	[REFUSAL_FAILED] = { 503, "the log of this worker has failed" },
	[REFUSAL_NOSPACE] = { 507, "no room on the disk" },
	[REFUSAL_POOL] = { 503, "no free buffers; try again later" },
	[REFUSAL_LANE] = { 503, "the log waits for the disk, which makes no progress; try again later" },
};

enum refusal refusal_first(const struct refusal_facts *f)
{
	return f->large ? REFUSAL_LARGE : f->failed ? REFUSAL_FAILED : f->nospace ? REFUSAL_NOSPACE :
		f->pool ? REFUSAL_POOL : REFUSAL_LANE;
}

int refusal_answer(const struct refusal_facts *f, const char **why)
{
	enum refusal first = refusal_first(f);

	*why = answers[first].why;
	if (first == REFUSAL_NOSPACE && f->nospace == -EDQUOT)
		*why = "the quota on the disk is used up";
	if (first == REFUSAL_LANE && f->unmade)
		*why = "the next segment of the log cannot be made; try again later";
	return answers[first].status;
}
