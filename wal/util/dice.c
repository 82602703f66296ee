/* SPDX-License-Identifier: BSD-2-Clause */
/* dice.c - see dice.h. */
#include "util/dice.h"

#include <bsd/stdlib.h>

void dice_bytes(void *p, size_t n)
{
	arc4random_buf(p, n);
}

uint64_t dice_u64(void)
{
	uint64_t v;

	dice_bytes(&v, sizeof(v));
	return v;
}
