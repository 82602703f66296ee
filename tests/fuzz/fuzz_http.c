/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_http.c - any bytes to the request parser (libFuzzer).
 *
 * Byte 0 of the input chooses the limits, byte 1 where the stream is cut; the rest
 * is the stream.  What holds, and is checked in http_outcome.h: every step makes
 * progress and keeps its spans within bounds, nothing but secrets is written, an
 * accepted head agrees with a second opinion on its framing; and here: the outcome
 * does not depend on the cut.
 */
#include "fuzz.h"
#include "http_outcome.h"

static const struct http_limits limits[] = {
	{ 16384, 8192, 100, 8192, 1 << 20 },
	{ 200, 60, 5, 30, 100 },
	{ UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT32_MAX, UINT64_MAX },
	{ 40, 10, 1, 0, 0 },
};

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
	struct outcome whole, other;
	const struct http_limits *lim;
	struct cut cuts[4];

	if (n < 2 || n > 4096)
		return 0;
	lim = &limits[in[0] % 4];
	cuts[0] = (struct cut){ 0, 1 };
	cuts[1] = (struct cut){ in[1], 0 };
	cuts[2] = (struct cut){ in[1] % 16, 1 + in[1] / 16 };
	cuts[3] = (struct cut){ n / 2, 1 + in[1] };
	in += 2;
	n -= 2;
	whole = outcome_of(in, n, lim, (struct cut){ 0, 0 });
	for (size_t k = 0; k < sizeof(cuts) / sizeof(cuts[0]); k++) {
		other = outcome_of(in, n, lim, cuts[k]);
		if (!outcome_same(&whole, &other)) {
			fprintf(stderr, "cut %zu/%zu\n%s\nwhole\n%s\n", cuts[k].first, cuts[k].step,
				other.text, whole.text);
			abort();
		}
		free(other.text);
	}
	free(whole.text);
	return 0;
}
