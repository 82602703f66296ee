/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_json.c - any bytes as a stored record: taken apart, and written as JSON.
 *
 * The line is read back by a reader of our own, and what it holds must be the parts
 * that the record was taken apart into, byte for byte; it must not depend on the sizes
 * of the pieces, nor on whether the body is there at first or comes in parts.
 */
#include "format/json.h"
#include "fuzz.h"

struct line {
	char  *p;
	size_t n;
};

/* have: so many bytes are there at first, the others are fed. */
static struct line encode(const uint8_t *rec, size_t n, uint64_t time, size_t piece, size_t have)
{
	struct line l = { malloc(8 * n + 1024), 0 };
	size_t cap = 8 * n + 1024, k, want;
	uint8_t *data = malloc(have ? have : 1), *part;
	struct json_record j;

	memcpy(data, rec, have);
	json_record_start(&j, 255, UINT64_MAX, time, data, have, n);
	do {
		char *room = malloc(piece);	/* of its size: the sanitizer sees the end */

		k = json_record_more(&j, room, piece);
		want = k ? 0 : json_record_hungry(&j, piece);
		if (want) {
			fuzz_check(want <= n - have, "hungry for %zu of %zu", want, n - have);
			part = malloc(want);
			memcpy(part, rec + have, want);
			k = json_record_feed(&j, part, want, room, piece);
			have += want;
			free(part);
		}
		fuzz_check(k <= piece && k <= cap - l.n, "%zu bytes in %zu", k, piece);
		memcpy(l.p + l.n, room, k);
		free(room);
		l.n += k;
	} while (k || want);
	fuzz_check(have == n, "%zu bytes of %zu were taken", have, n);
	free(data);
	return l;
}

/* ---- a reader ---- */

struct reader {
	const char *p, *end;
};

static void literal(struct reader *r, const char *text)
{
	size_t n = strlen(text);

	fuzz_check((size_t)(r->end - r->p) >= n && !memcmp(r->p, text, n), "no %s at %.40s", text, r->p);
	r->p += n;
}

static bool comes(const struct reader *r, const char *text)
{
	size_t n = strlen(text);

	return (size_t)(r->end - r->p) >= n && !memcmp(r->p, text, n);
}

static unsigned hex(char c)
{
	fuzz_check((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'), "%c is no digit", c);
	return c <= '9' ? (unsigned)(c - '0') : (unsigned)(c - 'a') + 10;
}

/* A string whose bytes are these. */
static void string(struct reader *r, const char *want, size_t n)
{
	size_t i = 0;

	literal(r, "\"");
	for (; !comes(r, "\""); i++) {
		unsigned char c;

		fuzz_check(r->p < r->end && *r->p >= 0x20 && *r->p < 0x7f, "a bare byte %d", *r->p);
		if (comes(r, "\\u00")) {
			fuzz_check(r->end - r->p >= 6, "half an escape");
			c = (unsigned char)(hex(r->p[4]) << 4 | hex(r->p[5]));
			r->p += 6;
		} else if (*r->p == '\\') {
			fuzz_check(r->p[1] == '"' || r->p[1] == '\\', "escape of %c", r->p[1]);
			c = (unsigned char)r->p[1];
			r->p += 2;
		} else {
			c = (unsigned char)*r->p++;
		}
		fuzz_check(i < n && c == (unsigned char)want[i], "byte %zu of %zu", i, n);
	}
	fuzz_check(i == n, "%zu bytes instead of %zu", i, n);
	literal(r, "\"");
}

static unsigned digit64(char c)
{
	static const char set[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const char *at = c ? strchr(set, c) : NULL;

	fuzz_check(at, "%d is not of base64", c);
	return (unsigned)(at - set);
}

static void base64(struct reader *r, const uint8_t *want, size_t n)
{
	literal(r, "\"");
	for (size_t i = 0; i < n; i += 3, r->p += 4) {
		unsigned k = n - i < 3 ? (unsigned)(n - i) : 3;
		uint32_t w = 0;

		fuzz_check(r->end - r->p >= 4, "half a group");
		for (unsigned d = 0; d < 4; d++)
			w = w << 6 | (d <= k ? digit64(r->p[d]) : 0);
		for (unsigned d = k + 1; d < 4; d++)
			fuzz_check(r->p[d] == '=', "no padding");
		for (unsigned d = 0; d < 3; d++)
			fuzz_check((uint8_t)(w >> (16 - 8 * d)) == (d < k ? want[i + d] : 0), "byte %zu", i + d);
	}
	literal(r, "\"");
}

static void read_line(const struct line *l, const uint8_t *rec, size_t n, uint64_t time)
{
	struct reader r = { l->p, l->p + l->n };
	struct record_header h, first;
	struct record_view v;
	char t[JSON_TIME];
	size_t at = 0, count = 0;

	record_view(&v, rec, n);
	json_time(t, time);
	fuzz_check(strlen(t) == JSON_TIME - 1, "%s", t);
	literal(&r, "{\"record\":\"255-18446744073709551615\",\"time\":\"");
	literal(&r, t);
	literal(&r, "\",\"method\":");
	if (v.method)
		string(&r, v.method, v.method_len);
	else
		literal(&r, "null");
	literal(&r, ",\"target\":");
	if (v.method)
		string(&r, v.target, v.target_len);
	else
		literal(&r, "null");
	literal(&r, ",\"headers\":[");
	while (record_header_next(&v, &at, &h)) {
		literal(&r, count++ ? ",[" : "[");
		string(&r, h.name, h.name_len);
		literal(&r, ",");
		string(&r, h.value, h.value_len);
		literal(&r, "]");
	}
	if (record_header_find(&v, "Content-Type", &first))
		fuzz_check(first.name_len == 12 && count, "a header out of nothing");
	literal(&r, "],\"body\":");
	base64(&r, v.body, v.body_len);
	literal(&r, "}\n");
	fuzz_check(r.p == r.end, "more than a line");
	/* the parts lie in the record, the body ends it */
	fuzz_check(v.body >= rec && v.body + v.body_len == rec + n, "the body");
	if (v.headers)
		fuzz_check((const uint8_t *)v.headers > rec &&
			   (const uint8_t *)v.headers + v.headers_len + 2 == v.body, "the headers");
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
	struct taste t = { in, n };
	uint64_t time = taste64(&t);
	size_t piece = JSON_ROOM + taste8(&t), have;
	struct line whole, pieces, fed;
	struct record_view v;

	if (n > 20000)
		return 0;
	record_view(&v, t.p, t.n);
	have = v.headers ? (size_t)(v.body - t.p) + v.body_len / 3 : t.n;
	whole = encode(t.p, t.n, time, 8 * t.n + 1024, t.n);
	pieces = encode(t.p, t.n, time, piece, t.n);
	fed = encode(t.p, t.n, time, piece, have);
	read_line(&whole, t.p, t.n, time);
	fuzz_check(whole.n == pieces.n && !memcmp(whole.p, pieces.p, whole.n), "pieces of %zu", piece);
	fuzz_check(whole.n == fed.n && !memcmp(whole.p, fed.p, whole.n), "fed, pieces of %zu", piece);
	free(whole.p);
	free(pieces.p);
	free(fed.p);
	return 0;
}
