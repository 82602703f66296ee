/* SPDX-License-Identifier: BSD-2-Clause */
/* test_endpoint.c - which row of the table a request has, and what follows from the row. */
#include "admin/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "admin/health.h"

static const struct endpoint *find(const char *target)
{
	static struct http_req q;

	memset(q.target, '/', sizeof(q.target));	/* of a longer target before it */
	q.target_len = (uint32_t)strlen(target);
	memcpy(q.target, target, q.target_len < sizeof(q.target) ? q.target_len : sizeof(q.target));
	return endpoint_find(&q);
}

static void test_find(void **state)
{
	static const struct { const char *target; enum endpoint_id id; enum endpoint_by by; } t[] = {
		{ "/-/livez", ENDPOINT_ID_LIVEZ, ENDPOINT_AT_ONCE }, { "/-/livez?a", ENDPOINT_ID_LIVEZ, ENDPOINT_AT_ONCE },
		{ "/-/livez?/x", ENDPOINT_ID_LIVEZ, ENDPOINT_AT_ONCE }, { "/-/livez/", ENDPOINT_ID_NOWHERE, ENDPOINT_NOWHERE },
		{ "/-/live", ENDPOINT_ID_NOWHERE, ENDPOINT_NOWHERE }, { "/-/livezx", ENDPOINT_ID_NOWHERE, ENDPOINT_NOWHERE },
		{ "/-/readyz", ENDPOINT_ID_READYZ, ENDPOINT_AT_ONCE }, { "/-/readyz?", ENDPOINT_ID_READYZ, ENDPOINT_AT_ONCE },
		{ "/-/metrics", ENDPOINT_ID_METRICS, ENDPOINT_PAGES }, { "/-/stats?t=1", ENDPOINT_ID_STATS, ENDPOINT_PAGES },
		{ "/-/stats/", ENDPOINT_ID_NOWHERE, ENDPOINT_NOWHERE }, { "/-/", ENDPOINT_ID_HTML, ENDPOINT_PAGES },
		{ "/-/?x=/../", ENDPOINT_ID_HTML, ENDPOINT_PAGES }, { "/-", ENDPOINT_ID_HTML_TOO, ENDPOINT_PAGES },
		{ "/-?x", ENDPOINT_ID_HTML_TOO, ENDPOINT_PAGES }, { "/-/records", ENDPOINT_ID_RECORDS, ENDPOINT_RECORDS },
		{ "/-/records?tail=1", ENDPOINT_ID_RECORDS, ENDPOINT_RECORDS },
		{ "/-/records/", ENDPOINT_ID_RECORDS, ENDPOINT_RECORDS },
		{ "/-/records/0-1..", ENDPOINT_ID_RECORDS, ENDPOINT_RECORDS },
		{ "/-/recordsx", ENDPOINT_ID_NOWHERE, ENDPOINT_NOWHERE }, { "/-/record", ENDPOINT_ID_NOWHERE, ENDPOINT_NOWHERE },
		{ "/-/../etc/passwd", ENDPOINT_ID_NOWHERE, ENDPOINT_NOWHERE }, { "/-//", ENDPOINT_ID_NOWHERE, ENDPOINT_NOWHERE },
		{ "/-x", ENDPOINT_ID_OTHERS, ENDPOINT_OTHERS }, { "/", ENDPOINT_ID_OTHERS, ENDPOINT_OTHERS },
		{ "*", ENDPOINT_ID_OTHERS, ENDPOINT_OTHERS }, { "", ENDPOINT_ID_OTHERS, ENDPOINT_OTHERS },
		{ "/x/-/livez", ENDPOINT_ID_OTHERS, ENDPOINT_OTHERS }, { "/?/-/livez", ENDPOINT_ID_OTHERS, ENDPOINT_OTHERS },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		const struct endpoint *e = find(t[i].target);

		if (e->id != t[i].id || e->by != t[i].by)
			fail_msg("%s is %s", t[i].target, e->path);
		assert_int_equal(e->at_once != NULL, e->by == ENDPOINT_AT_ONCE);
		assert_int_equal(e->type != NULL, e->by == ENDPOINT_PAGES);
	}
}

/* No more than its first bytes are known of a long target. */
static void test_long(void **state)
{
	char t[600];

	(void)state;
	for (size_t n = HTTP_TARGET_KEEP - 2; n < sizeof(t); n += n < HTTP_TARGET_KEEP + 2 ? 1 : 100) {
		memset(t, 'a', n);
		t[n] = '\0';
		memcpy(t, "/-/records/", 11);
		assert_int_equal(find(t)->id, ENDPOINT_ID_RECORDS);
		memcpy(t, "/-/livez?xx", 11);
		assert_int_equal(find(t)->id, ENDPOINT_ID_LIVEZ);
		memcpy(t, "/-/livezxxx", 11);
		assert_int_equal(find(t)->id, ENDPOINT_ID_NOWHERE);
		memcpy(t, "/a/livez?xx", 11);
		assert_int_equal(find(t)->id, ENDPOINT_ID_OTHERS);
	}
}

static void test_methods(void **state)
{
	static const char *const own[] = { "/-/livez", "/-/records/0-1", "/-/stats", "/-", "/-/nowhere" };
	char allow[ENDPOINT_ALLOW];

	(void)state;
	for (unsigned m = HTTP_NONE; m < HTTP_METHODS; m++) {
		assert_int_equal(endpoint_takes(find("/x"), m), m != HTTP_NONE);
		for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
			assert_int_equal(endpoint_takes(find(own[i]), m), m >= HTTP_GET && m <= HTTP_OPTIONS);
	}
	for (size_t i = 0; i < sizeof(own) / sizeof(own[0]); i++)
		assert_string_equal(endpoint_allow(find(own[i]), allow), "Allow: GET, HEAD, OPTIONS\r\n");
	assert_string_equal(endpoint_allow(find("*"), allow),
			    "Allow: GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE\r\n");
}

static void test_at_once(void **state)
{
	struct health h = { 0 };
	char text[HEALTH_TEXT];
	size_t len;

	(void)state;
	for (int stuck = 0; stuck < 2; stuck++) {
		if (stuck)
			health_set(&h, HEALTH_STARTING, 0);
		assert_int_equal(find("/-/livez")->at_once(&h, text, sizeof(text), &len), 200);
		assert_string_equal(text, "alive\n");
		assert_int_equal(len, 6);
		assert_int_equal(find("/-/readyz")->at_once(&h, text, sizeof(text), &len), stuck ? 503 : 200);
		assert_int_equal(strncmp(text, stuck ? "not ready: starting" : "ready\n", stuck ? 19 : 7), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find), cmocka_unit_test(test_long), cmocka_unit_test(test_methods),
		cmocka_unit_test(test_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
