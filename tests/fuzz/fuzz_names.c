/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * fuzz_names.c - any target behind /-/records: its name taken apart, and its answer.
 *
 * Byte 0 says how it is asked and how large the pieces are, byte 1 what the store
 * holds; the rest is the target.  A name that is accepted is the one way to write
 * it; the answer is well-formed HTTP, whatever is asked for.
 */
#include <inttypes.h>

#include "admin/readback.h"
#include "fake_store.h"
#include "fuzz.h"
#include "http/head.h"

static void check_name(const struct read_name *n, const char *rest)
{
	char again[128];

	switch (n->kind) {
	case READ_LANES:
		fuzz_check(!*rest || !strcmp(rest, "/"), "%s", rest);
		return;
	case READ_LANE:
		snprintf(again, sizeof(again), "/%u", n->lane);
		break;
	case READ_TAIL:
		snprintf(again, sizeof(again), "/%u?tail=%" PRIu64, n->lane, n->from);
		break;
	case READ_ONE:
		snprintf(again, sizeof(again), "/%u-%" PRIu64, n->lane, n->from);
		break;
	case READ_RANGE:
		if (n->to == UINT64_MAX)
			snprintf(again, sizeof(again), "/%u-%" PRIu64 "..", n->lane, n->from);
		else
			snprintf(again, sizeof(again), "/%u-%" PRIu64 "..%" PRIu64, n->lane, n->from, n->to);
		fuzz_check(n->to >= n->from, "backwards");
		break;
	}
	fuzz_check(n->lane <= LANES_MAX && n->from <= 1ull << 63, "%s", rest);
	if (n->lane < LANES_MAX && n->from < 1ull << 63 && n->to != 1ull << 63)	/* else cut to that */
		fuzz_check(!strcmp(again, rest), "%s is %s", rest, again);
}

/* Numbers with holes, damage, what has expired, what is not settled yet; large records. */
static void fill(uint8_t how)
{
	static const char head[] = "POST /b HTTP/1.1\r\nContent-Type: x\ny\r\nHost: \xff\r\n\r\n";
	static char big[200000];

	fake_reset();
	memset(big, 'b', sizeof(big));
	memcpy(big, head, sizeof(head) - 1);
	for (unsigned i = 0; i < (how & 15u); i++) {
		fake_add(0, "Content-Type: text/plain\r\n", "hello");
		fake_add_bytes(0, i % 3 ? NULL : big, sizeof(big));
		fake_add_bytes(0, "no head", 7);
	}
	if (how & 16)
		fake.rec[0][2].damaged = true;
	if (how & 32)
		fake.oldest[0] = 2 + (how & 7u);
	if (how & 64 && fake.settled[0])
		fake.settled[0]--;
	if (how & 128)
		fake.break_at = 5;
}

/* ---- the answer ---- */

static const char *value_of(const char *head, const char *name)
{
	const char *at = strstr(head, name);

	return at ? at + strlen(name) : NULL;
}

static void check_chunks(const char *p, const char *end)
{
	for (;;) {
		char *data;
		unsigned long n = strtoul(p, &data, 16);

		fuzz_check(data - p == 6 || (data - p == 1 && !n), "a size of %d digits", (int)(data - p));
		fuzz_check((size_t)(end - data) >= n + 4 && !memcmp(data, "\r\n", 2), "a chunk of %lu", n);
		p = data + 2 + n;
		fuzz_check(!memcmp(p, "\r\n", 2), "no end of a chunk of %lu", n);
		p += 2;
		if (!n)
			break;
	}
	fuzz_check(p == end, "bytes behind the last chunk");
}

static const struct head_common common = {
	.class = "fsync", .fields = "Pasted-Class: fsync\r\n", .fields_len = sizeof("Pasted-Class: fsync\r\n") - 1,
};

static void check_answer(struct text *t, const struct admin_client *ask, const struct readback *r)
{
	char *empty, *body, *end = t->p + t->n;
	const char *v;

	text_add(t, "", 1);
	end = t->p + t->n - 1;
	empty = strstr(t->p, "\r\n\r\n");
	fuzz_check(empty && !memcmp(t->p, "HTTP/1.", 7), "no head");
	body = empty + 4;
	empty[2] = '\0';
	for (const char *p = t->p; *p; p++)	/* no client's byte makes a line of its own */
		fuzz_check(*p >= 0x20 ? *p != 0x7f && (signed char)*p > 0 :
			   *p == '\r' ? p[1] == '\n' : *p == '\n' && p > t->p && p[-1] == '\r', "byte %d", *p);
	fuzz_check(r->status >= 200 && r->status <= 599, "%d", r->status);
	if (ask->head) {
		fuzz_check(body == end, "a body for HEAD");
	} else if ((v = value_of(t->p, "\r\nContent-Length: "))) {
		fuzz_check(strtoul(v, NULL, 10) == (size_t)(end - body), "%s and %zu bytes", v, (size_t)(end - body));
	} else if (value_of(t->p, "\r\nTransfer-Encoding: chunked\r\n")) {
		fuzz_check(ask->http11, "chunks for HTTP/1.0");
		check_chunks(body, end);
	} else {
		fuzz_check(r->close_after, "a body without an end");
	}
}

static void answer(const struct read_name *name, uint8_t how)
{
	uint64_t absent[ABSENT_REASONS] = { 0 };
	struct readback_shared shared = { .store = FAKE_STORE, .class = CLASS_FSYNC, .absent = absent };
	struct admin_client ask = { .http11 = how & 1, .keep_alive = how & 2, .head = how & 4,
			     .common = &common };
	size_t room = 16384 + (how >> 3) * 1000u;
	struct text all = { 0 }, t = { 0 };
	enum readback_step s;
	struct readback r;

	readback_open(&r, &shared, name, &ask);
	do {
		t.n = 0;
		s = readback_step(&r, &t, room);
		if (s == READBACK_WAIT)
			readback_give_up(&r, &t);
		fuzz_check(t.n <= room && !t.failed, "%zu in %zu", t.n, room);
		text_add(&all, t.p, t.n);
	} while (s == READBACK_MORE || s == READBACK_AGAIN);
	if (!r.truncated)
		check_answer(&all, &ask, &r);
	readback_close(&r);
	fuzz_check(!fake.cursors, "%d cursors", fake.cursors);
	text_free(&t);
	text_free(&all);
}

int LLVMFuzzerTestOneInput(const uint8_t *in, size_t n)
{
	struct read_name name;
	char rest[260];

	if (n < 2 || n > 256)
		return 0;
	memcpy(rest, in + 2, n - 2);
	rest[n - 2] = '\0';
	if (read_name_parse(&name, rest))
		return 0;
	check_name(&name, rest);
	fill(in[1]);
	answer(&name, in[0]);
	fake_reset();
	return 0;
}
