/* SPDX-License-Identifier: BSD-2-Clause */
/* test_crc32c.c - known values, instruction against table, pieces, rewind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "util/crc32c.h"

static uint8_t bytes[9000];

static void fill(void)
{
	uint32_t x = 12345;

	for (size_t i = 0; i < sizeof(bytes); i++) {
		x = x * 1664525 + 1013904223;
		bytes[i] = x >> 24;
	}
}

static void known(void **state)
{
	uint8_t b[32];

	(void)state;
	assert_int_equal(crc32c("123456789", 9), 0xe3069283);
	assert_int_equal(crc32c("", 0), 0);
	/* RFC 3720, B.4 */
	memset(b, 0, 32);
	assert_int_equal(crc32c(b, 32), 0x8a9136aa);
	memset(b, 0xff, 32);
	assert_int_equal(crc32c(b, 32), 0x62a8ab43);
	for (int i = 0; i < 32; i++)
		b[i] = i;
	assert_int_equal(crc32c(b, 32), 0x46dd794e);
}

static void same_as_table(void **state)
{
	(void)state;
	fill();
	for (size_t n = 0; n < 4000; n++)
		assert_int_equal(crc32c_update(n, bytes + n % 9, n), crc32c_table(n, bytes + n % 9, n));
	for (size_t n = 4000; n < sizeof(bytes); n += 37)
		assert_int_equal(crc32c_update(~0u, bytes, n), crc32c_table(~0u, bytes, n));
	for (size_t n = 0; n < 1000; n++) {
		uint64_t w;

		memcpy(&w, bytes + n, sizeof(w));
		assert_int_equal(crc32c_word(n, w), crc32c_table(n, bytes + n, sizeof(w)));
	}
}

static void in_pieces(void **state)
{
	uint32_t whole;

	(void)state;
	fill();
	whole = crc32c(bytes, 5000);
	for (size_t cut = 0; cut <= 5000; cut += 61) {
		uint32_t s = crc32c_update(CRC32C_INIT, bytes, cut);

		s = crc32c_update(s, bytes + cut, 5000 - cut);
		assert_int_equal(crc32c_final(s), whole);
	}
}

static void rewinds(void **state)
{
	(void)state;
	fill();
	for (size_t n = 0; n < 300; n++) {
		uint32_t s = 0xdeadbeef + (uint32_t)n * 77;

		assert_int_equal(crc32c_rewind(crc32c_update(s, bytes, n), bytes, n), s);
		assert_int_equal(crc32c_rewind(crc32c_table(s, bytes + 1, n), bytes + 1, n), s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known),
		cmocka_unit_test(same_as_table),
		cmocka_unit_test(in_pieces),
		cmocka_unit_test(rewinds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
