/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_json.c - a record as a line of JSON: the exact line, the same line in
 * however small pieces, and odd records.
 */
#include "format/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static size_t encode(const void *data, size_t len, char *out, size_t room, size_t step)
{
	struct json_record j;
	size_t at = 0, n;

	json_record_start(&j, 3, 17, 1795221500123u, data, len, len);
	while (assert_true(at + step <= room), n = json_record_more(&j, out + at, step))
		at += n;
	out[at] = 0;
	return at;
}

/* The same, of which only `have` bytes are there at first, and then no more than `part`. */
static size_t encode_fed(const char *data, size_t len, char *out, size_t room, size_t step,
			 size_t have, size_t part)
{
	struct json_record j;
	size_t at = 0, n, k;
	char *fed;

	json_record_start(&j, 3, 17, 1795221500123u, (const uint8_t *)data, have, len);
	do {
		assert_true(at + step <= room);
		n = json_record_more(&j, out + at, step);
		at += n;
		k = json_record_hungry(&j, step - n);
		if (!k)
			continue;
		if (k > part)
			k = part;
		assert_true(k <= len - have);
		fed = malloc(k);		/* of its size, and gone afterwards */
		memcpy(fed, data + have, k);
		at += json_record_feed(&j, (uint8_t *)fed, k, out + at, step - n);
		have += k;
		free(fed);
		n = 1;				/* feeding may write nothing yet */
	} while (n);
	assert_int_equal(have, len);
	out[at] = 0;
	return at;
}

static void expect(const char *record, size_t len, const char *rest)
{
	char whole[4096], piece[4096], want[4096];
	size_t n = encode(record, len, whole, sizeof whole, 2048), step;

	snprintf(want, sizeof want, "{\"record\":\"3-17\",\"time\":\"2026-11-21T00:38:20.123Z\",%s\n", rest);
	assert_string_equal(whole, want);
	for (step = JSON_ROOM; step < JSON_ROOM + 20; step++) {
		assert_int_equal(encode(record, len, piece, sizeof piece, step), n);
		assert_string_equal(piece, whole);
	}
}
#define EXPECT(record, rest) expect(record, sizeof(record) - 1, rest)

static void test_lines(void **state)
{
	(void)state;
	EXPECT("POST /orders HTTP/1.1\r\nHost: x\r\nContent-Type:text/plain \r\n\r\nhello",
	       "\"method\":\"POST\",\"target\":\"/orders\",\"headers\":[[\"Host\",\"x\"],"
	       "[\"Content-Type\",\"text/plain\"]],\"body\":\"aGVsbG8=\"}");
	EXPECT("PUT /a HTTP/1.0\r\n\r\n",
	       "\"method\":\"PUT\",\"target\":\"/a\",\"headers\":[],\"body\":\"\"}");
	/* repeated and empty headers survive, in order */
	EXPECT("POST / HTTP/1.1\r\nA: 1\r\nA:\r\na: \t 2\r\n\r\nab",
	       "\"method\":\"POST\",\"target\":\"/\",\"headers\":[[\"A\",\"1\"],[\"A\",\"\"],[\"a\",\"2\"]],"
	       "\"body\":\"YWI=\"}");
	/* quotes, backslashes, controls and high bytes */
	EXPECT("POST /\"\\ HTTP/1.1\r\nX: \x01\xc3\xa9\xff\x7f\r\n\r\n\x00\xff\x80",
	       "\"method\":\"POST\",\"target\":\"/\\\"\\\\\",\"headers\":"
	       "[[\"X\",\"\\u0001\\u00c3\\u00a9\\u00ff\\u007f\"]],\"body\":\"AP+A\"}");
	/* the body may look like a head */
	EXPECT("POST / HTTP/1.1\r\nA: b\r\n\r\nC: d\r\n\r\n",
	       "\"method\":\"POST\",\"target\":\"/\",\"headers\":[[\"A\",\"b\"]],\"body\":\"QzogZA0KDQo=\"}");
}

static void test_no_head(void **state)
{
	static const char none[] = "\"method\":null,\"target\":null,\"headers\":[],\"body\":\"";
	static const struct { const char *record, *b64; } t[] = {
		{ "", "" }, { "f", "Zg==" }, { "fo", "Zm8=" }, { "foo", "Zm9v" },
		{ "foob", "Zm9vYg==" },
		{ "POST / HTTP/1.1\r\nA: b\r\n", "UE9TVCAvIEhUVFAvMS4xDQpBOiBiDQo=" },
		{ "POST /\r\n\r\n", "UE9TVCAvDQoNCg==" },
		{ " / HTTP/1.1\r\n\r\n", "IC8gSFRUUC8xLjENCg0K" },
		{ "A  HTTP/1.1\r\n\r\n", "QSAgSFRUUC8xLjENCg0K" },
		{ "\r\n\r\n", "DQoNCg==" },
	};
	char want[256];

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		snprintf(want, sizeof want, "%s%s\"}", none, t[i].b64);
		expect(t[i].record, strlen(t[i].record), want);
	}
}

/* Far more than one piece; every length modulo 3. */
static void test_large(void **state)
{
	static const char head[] = "POST /big HTTP/1.1\r\n\r\n";
	size_t body, h = strlen(head);

	(void)state;
	for (body = 60000; body < 60003; body++) {
		char *rec = malloc(h + body), *a = malloc(200000), *b = malloc(200000);
		size_t n;

		memcpy(rec, head, h);
		for (size_t i = 0; i < body; i++)
			rec[h + i] = (char)(i * 7 + i / 251);
		n = encode(rec, h + body, a, 200000, 90000);
		assert_int_equal(encode(rec, h + body, b, 200000, 1000), n);
		assert_memory_equal(a, b, n + 1);
		assert_int_equal(strlen(strstr(a, "\"body\":\"") + 8) - 3, (body + 2) / 3 * 4);
		free(rec), free(a), free(b);
	}
}

static void test_find(void **state)
{
	static const char rec[] = "POST / HTTP/1.1\r\ncontent-TYPE:  a/b ; c\r\nno colon\r\n\r\n";
	struct record_header h;
	struct record_view v;

	(void)state;
	record_view(&v, (const uint8_t *)rec, sizeof rec - 1);
	assert_true(record_header_find(&v, "Content-Type", &h));
	assert_int_equal(h.value_len, 7);
	assert_memory_equal(h.value, "a/b ; c", 7);
	assert_true(record_header_find(&v, "No Colon", &h));
	assert_int_equal(h.value_len, 0);
	assert_false(record_header_find(&v, "Content", &h));
}

static void test_time(void **state)
{
	static const struct { uint64_t ms; const char *text; } t[] = {
		{ 0, "1970-01-01T00:00:00.000Z" },
		{ 951782400000u, "2000-02-29T00:00:00.000Z" },
		{ 951868799999u, "2000-02-29T23:59:59.999Z" },
		{ 951868800000u, "2000-03-01T00:00:00.000Z" },
		{ 1704067199001u, "2023-12-31T23:59:59.001Z" },
		{ 4107542400000u, "2100-03-01T00:00:00.000Z" },
		{ UINT64_MAX, "9999-12-31T23:59:59.999Z" },
	};
	char b[JSON_TIME];

	(void)state;
	for (size_t i = 0; i < sizeof t / sizeof *t; i++) {
		json_time(b, t[i].ms);
		assert_string_equal(b, t[i].text);
	}
}

static void test_gap(void **state)
{
	char b[256];
	size_t n;

	(void)state;
	n = json_gap(b, sizeof b, 0, 5, 7, "damaged");
	assert_int_equal(n, strlen(b));
	assert_string_equal(b, "{\"gap\":\"0-5..7\",\"reason\":\"damaged\"}\n");
	json_gap(b, sizeof b, 2, 5, 5, "x");
	assert_string_equal(b, "{\"gap\":\"2-5\",\"reason\":\"x\"}\n");
	json_gap(b, sizeof b, 255, UINT64_MAX, 0, "x");
	assert_string_equal(b, "{\"gap\":\"255-18446744073709551615\",\"reason\":\"x\"}\n");
}

/* The body comes in parts of any size, from any place in it on. */
static void test_fed(void **state)
{
	static const char head[] = "POST /fed HTTP/1.1\r\nA: b\r\n\r\n";
	size_t h = strlen(head), len, have, part, step, n;
	char rec[1024], a[4096], b[4096];

	(void)state;
	memcpy(rec, head, h);
	for (size_t i = h; i < sizeof rec; i++)
		rec[i] = (char)(i * 7 + i / 251);
	for (len = h + 300; len < h + 303; len++)
		for (have = h; have <= len; have += have < h + 7 ? 1 : 41)
			for (part = 1; part < 400; part += part < 8 ? 1 : 131)
				for (step = JSON_ROOM; step < 600; step += 149) {
					n = encode(rec, len, a, sizeof a, 2048);
					assert_int_equal(encode_fed(rec, len, b, sizeof b, step, have, part), n);
					assert_memory_equal(a, b, n + 1);
				}
}

/* How many bytes of the body are asked for, whatever room there is: none before the body, or while
 * there are enough of them for a group, or where the room takes no group; and never more than are
 * left or than the room takes with those that wait for a group. */
static void test_hungry(void **state)
{
	static const char rec[] = "POST /a-long-target-so-that-the-room-ends-in-the-field HTTP/1.1\r\nA: \"\001\r\n\r\n"
				  "0123456789012345678901234567890123456789";
	size_t len = sizeof(rec) - 1, head = (size_t)(strstr(rec, "012") - rec), begins, have, room;
	struct json_record j;
	char out[512];

	(void)state;
	encode(rec, len, out, sizeof(out), 256);
	begins = (size_t)(strstr(out, "\"body\":\"") + 8 - out);
	for (have = head; have <= len; have++)
		for (room = JSON_ROOM; room < JSON_ROOM + 128; room++) {
			size_t wrote, waits, rest = len - have;

			json_record_start(&j, 3, 17, 1795221500123u, (const uint8_t *)rec, have, len);
			wrote = json_record_more(&j, out, room);
			if (!rest || wrote < begins) {
				for (size_t n = 0; n < 64; n++)
					assert_int_equal(json_record_hungry(&j, n), 0);
				continue;
			}
			waits = have - head - (wrote - begins) / 4 * 3;
			for (size_t n = 0; n < 64; n++) {
				size_t most = n / 4 * 3, want = most > waits && waits < 3 ? most - waits : 0;

				assert_int_equal(json_record_hungry(&j, n), want < rest ? want : rest);
			}
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lines), cmocka_unit_test(test_no_head),
		cmocka_unit_test(test_large), cmocka_unit_test(test_fed), cmocka_unit_test(test_hungry),
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_time), cmocka_unit_test(test_gap),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
