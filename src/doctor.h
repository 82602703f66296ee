/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * doctor.h - pasted --doctor: what durability this machine gives, why, and what to
 * change.  It only looks: it starts no server, and writes nothing that stays.
 */
#ifndef DOCTOR_H
#define DOCTOR_H

#include <stdio.h>

#include "config.h"

int doctor_run(const struct config *c, FILE *out);	/* the exit status: 0 */

#endif
