/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz.h - what the fuzz targets share.
 *
 * A target is one function of bytes that never fails on any of them: what must hold
 * is checked with fuzz_check.  With libFuzzer (make fuzz) it is driven by coverage;
 * with replay.c it takes the corpus in the tree, file by file, and is a test.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t n);

#define fuzz_check(cond, ...) do { \
	if (!(cond)) { \
		fprintf(stderr, "%s:%d: %s: ", __FILE__, __LINE__, #cond); \
		fprintf(stderr, __VA_ARGS__); \
		fputc('\n', stderr); \
		abort(); \
	} \
} while (0)

/* The input, eaten from the front; behind its end there are zeros. */
struct taste {
	const uint8_t *p;
	size_t n;
};

static inline void taste_bytes(struct taste *t, void *to, size_t n)
{
	size_t k = n < t->n ? n : t->n;

	memset(to, 0, n);
	if (k)
		memcpy(to, t->p, k);
	t->p += k;
	t->n -= k;
}

static inline uint8_t taste8(struct taste *t)
{
	uint8_t v;

	taste_bytes(t, &v, sizeof(v));
	return v;
}

static inline uint16_t taste16(struct taste *t)
{
	uint16_t v;

	taste_bytes(t, &v, sizeof(v));
	return v;
}

static inline uint32_t taste32(struct taste *t)
{
	uint32_t v;

	taste_bytes(t, &v, sizeof(v));
	return v;
}

static inline uint64_t taste64(struct taste *t)
{
	uint64_t v;

	taste_bytes(t, &v, sizeof(v));
	return v;
}

#endif
