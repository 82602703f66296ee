/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * dice.h - random bytes that nobody can guess and that do not come twice, for a store's
 * identity and a segment's salt.
 *
 * They are from libbsd's arc4random(3), which takes its seed from the kernel, or from
 * /dev/urandom where getrandom(2) is refused, and ends the program where there is neither,
 * rather than wait for ever.
 */
#ifndef UTIL_DICE_H
#define UTIL_DICE_H

#include <stddef.h>
#include <stdint.h>

void dice_bytes(void *p, size_t n);
uint64_t dice_u64(void);

#endif
