/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_worker.c - the worker's times and numbers, on a clock that the test moves: each
 * deadline when it is due and not before, twice in one life; what renews one and what
 * does not; each counter, and the latencies against a delay that was made.
 */
#include <sched.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "admin/admin_slots.h"
#include "base/diag.h"
#include "base/fault.h"
#include "server/checkpoint.h"
#include "worker_world.h"

#define GET_LIVE "GET /-/livez HTTP/1.1\r\nHost: h\r\n\r\n"

static char told[4096];		/* messages, with their level */

static int nvmm(void **state)
{
	(void)state;
	begin(CLASS_NVMM);
	return 0;
}

static int fsync_class(void **state)
{
	(void)state;
	begin(CLASS_FSYNC);
	return 0;
}

static int over(void **state)
{
	(void)state;
	end();
	*told = '\0';
	return 0;
}

/* ---- beside the worker ---- */

static unsigned kicks, faults;
static const char *no_more;		/* of this: the nth call fails */
static unsigned nth, seen;
static size_t mapped;			/* bytes of memory */

static bool fails(const char *call)
{
	if (!no_more || strcmp(call, no_more) || ++seen != nth)
		return false;
	errno = ENOMEM;
	return true;
}

void *__real_mmap(void *a, size_t n, int prot, int flags, int fd, off_t off);
void *__wrap_mmap(void *a, size_t n, int prot, int flags, int fd, off_t off);
void *__wrap_mmap(void *a, size_t n, int prot, int flags, int fd, off_t off)
{
	if (fails("mmap"))
		return MAP_FAILED;
	mapped += n;
	return __real_mmap(a, n, prot, flags, fd, off);
}

int __real_munmap(void *p, size_t n);
int __wrap_munmap(void *p, size_t n);
int __wrap_munmap(void *p, size_t n)
{
	mapped -= n;
	return __real_munmap(p, n);
}

void *__real_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_calloc(size_t n, size_t size)
{
	return fails("calloc") ? NULL : __real_calloc(n, size);
}

int __real_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg);
int __wrap_pthread_create(pthread_t *t, const pthread_attr_t *a, void *(*fn)(void *), void *arg)
{
	return fails("pthread_create") ? ENOMEM : __real_pthread_create(t, a, fn, arg);
}

static void tell(enum diag_level level, const char *fmt, va_list ap)
{
	size_t n = strlen(told);

	n += (size_t)snprintf(told + n, sizeof(told) - n, "%d ", level);
	n += (size_t)vsnprintf(told + n, sizeof(told) - n, fmt, ap);
	snprintf(told + n, sizeof(told) - n, "\n");
}

void __wrap_diag(enum diag_level level, const char *fmt, ...);
void __wrap_diag(enum diag_level level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	tell(level, fmt, ap);
	va_end(ap);
}

void __wrap_diag_limited(struct diag_limit *l, enum diag_level level, const char *fmt, ...);
void __wrap_diag_limited(struct diag_limit *l, enum diag_level level, const char *fmt, ...)
{
	va_list ap;

	assert_non_null(l);
	va_start(ap, fmt);
	tell(level, fmt, ap);
	va_end(ap);
}

/* This and nothing else; or nothing. */
static void was_told(const char *words)
{
	if (!*words)
		assert_string_equal(told, "");
	else if (strncmp(told, words, strlen(words)) || strchr(told, '\n') != told + strlen(told) - 1)
		fail_msg("\"%s\", not \"%s\"", told, words);
	*told = '\0';
}

void checkpoint_kick(struct checkpoint *c)
{
	assert_ptr_equal(c, &kicks);
	kicks++;
}

void fault_look(void)
{
	faults++;
}

/* ---- deadlines ---- */

/* Whichever is the shortest, also for what begins when a longer one was waited for. */
static void test_shortest(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		const unsigned ms = 700, slow = 20000;

		other.header_ms = i == 0 ? ms : slow;
		other.body_ms = i == 1 ? ms : slow;
		other.idle_ms = i == 2 ? ms : slow;
		other.write_ms = i == 3 ? ms : slow;
		begin(CLASS_NVMM);
		client(0);
		pass(i == 2 ? ms / 2 : 5000);
		the.line[0].hold = i == 3;
		if (i == 0)
			say(0, "POST /x HT");
		else if (i == 1)
			say(0, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
		else
			post(0, 1);
		settle();
		pass(ms - LATE);
		assert_false(the.line[0].shut || gone_by_now(0));
		pass(3 * LATE);
		settle();
		assert_true(the.line[0].shut || gone_by_now(0));
		assert_int_equal(the.count.timeout_head, i == 0);
		assert_int_equal(the.count.timeout_body, i == 1);
		assert_int_equal(the.count.timeout_idle, i == 2);
		assert_int_equal(the.count.timeout_send, i == 3);
		end();
	}
	memset(&other, 0, sizeof(other));
}

/* Nothing is done for those who do nothing: a server with idle clients sleeps. */
static void test_sleeps(void **state)
{
	unsigned turns;

	(void)state;
	turn();
	assert_int_equal(the.asked_ms, -1);
	for (uint32_t h = 0; h < CONNS; h++) {
		client(h);
		post(h, 1);
		settle();
		assert_int_equal(status(h), 200);
	}
	turns = the.turns;
	pass(IDLE_MS - 2 * LATE);
	assert_true(the.turns - turns < 30);
	assert_int_equal(the.count.timeout_idle, 0);
}

/* From the answer on, not from the beginning; a second connection has a time of its own. */
static void test_idle(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++) {
		client(0);
		pass(IDLE_MS - LATE);
		assert_false(gone_by_now(0));
		post(0, 10);
		settle();
		assert_int_equal(status(0), 200);
		client(1);
		pass(IDLE_MS - LATE);
		assert_false(the.line[0].shut || gone_by_now(0));
		assert_int_equal(the.count.timeout_idle, round * 2);
		pass(3 * LATE);
		assert_true(the.line[0].shut && the.line[1].shut);
		assert_int_equal(the.count.timeout_idle, round * 2 + 2);
		put((struct ring_event){ .kind = RING_EOF, .conn = 0 });
		put((struct ring_event){ .kind = RING_EOF, .conn = 1 });
		settle();
		assert_true(gone_by_now(0) && gone_by_now(1));
	}
	assert_int_equal(the.count.timeout_head + the.count.timeout_body + the.count.timeout_send, 0);
}

/* From its first byte, and bytes that come meanwhile buy no time. */
static void test_head(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++) {
		client(0);
		pass(IDLE_MS / 2);
		say(0, "POST /x HT");
		pass(HEADER_MS / 2);
		say(0, "TP/1.1\r\nHo");
		pass(HEADER_MS / 2 - LATE);
		assert_int_equal(the.line[0].n, 0);
		pass(3 * LATE);
		assert_int_equal(status(0), 408);
		assert_int_equal(the.count.timeout_head, round + 1);
		assert_true(the.line[0].shut);
		put((struct ring_event){ .kind = RING_EOF, .conn = 0 });
		settle();
		assert_true(gone_by_now(0));
	}
	assert_int_equal(the.count.status[COUNTER_STATUS_408], 2);
	assert_int_equal(the.count.timeout_idle + the.count.timeout_body + the.count.timeout_send, 0);
}

/* Each BODY_STEP bytes buy BODY_MS, fewer buy nothing. */
static void test_body(void **state)
{
	char piece[BODY_STEP];

	(void)state;
	memset(piece, 'p', sizeof(piece));
	for (int round = 0; round < 2; round++) {
		client(0);
		pass(HEADER_MS);
		say(0, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
		for (int i = 0; i < 3; i++) {
			pass(BODY_MS - LATE);
			assert_int_equal(the.line[0].n, 0);
			bytes(0, piece, BODY_STEP / 2);
			bytes(0, piece, BODY_STEP - BODY_STEP / 2);
		}
		pass(BODY_MS - LATE);
		bytes(0, piece, BODY_STEP - 1);
		assert_int_equal(the.line[0].n, 0);
		pass(3 * LATE);
		assert_int_equal(status(0), 408);
		assert_int_equal(the.count.timeout_body, round + 1);
		put((struct ring_event){ .kind = RING_EOF, .conn = 0 });
		settle();
		assert_true(gone_by_now(0));
	}
	assert_int_equal(the.count.timeout_idle + the.count.timeout_head + the.count.timeout_send, 0);
	assert_int_equal(the.w->pool->nfree + the.w->pool->lent, the.w->pool->n);
}

/* A reply that is not taken; what leaves of the output renews it. */
static void test_write(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++) {
		client(0);
		the.line[0].hold = true;
		post(0, 1);
		post(0, 1);
		pass(WRITE_MS - LATE);
		assert_true(the.line[0].sending);
		the.line[0].hold = false;
		turn();				/* one has left, the other is on its way */
		the.line[0].hold = true;
		turn();
		pass(WRITE_MS - 2 * LATE);
		assert_false(gone_by_now(0));
		assert_int_equal(the.count.timeout_send, round);
		pass(4 * LATE);
		settle();
		assert_true(gone_by_now(0) && the.line[0].forgotten);
		assert_int_equal(the.count.timeout_send, round + 1);
	}
	assert_int_equal(the.count.timeout_idle + the.count.timeout_head + the.count.timeout_body, 0);
}

/* Who waits for an answer of ours is not idle, however long it takes. */
static void test_no_deadline_for_us(void **state)
{
	(void)state;
	client(0);
	the.hold_commits = true;
	post(0, 1);
	pass(5 * IDLE_MS);
	assert_false(the.line[0].shut || gone_by_now(0));
	assert_int_equal(the.line[0].n, 0);
	the.hold_commits = false;
	settle();
	assert_int_equal(status(0), 200);
	pass(IDLE_MS - 2 * LATE);
	assert_false(the.line[0].shut);
	pass(4 * LATE);
	assert_true(the.line[0].shut);
}

/* What lies in the socket when its time is over was sent in time: once for each deadline. */
static void test_unread(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++) {
		client(0);
		say(0, "POST /x HT");
		the.line[0].unread = true;
		pass(HEADER_MS + 40);
		assert_int_equal(the.line[0].n, 0);
		say(0, "TP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
		settle();
		assert_int_equal(status(0), 200);
		say(0, "POST /x HT");
		pass(HEADER_MS + 4 * LATE);
		assert_int_equal(status(0), 408);
		the.line[0].unread = false;
		put((struct ring_event){ .kind = RING_EOF, .conn = 0 });
		settle();
		assert_true(gone_by_now(0));
	}
	assert_int_equal(the.count.timeout_head, 2);
}

/* The loop was away, not the client. */
static void test_away(void **state)
{
	(void)state;
	client(0);
	say(0, "POST /x HT");
	for (int i = 0; i < 3; i++) {
		atomic_fetch_add(&the.ns, 60000000000u);
		turn();
		assert_int_equal(the.line[0].n, 0);
	}
	say(0, "TP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
	settle();
	assert_int_equal(status(0), 200);
}

/* ---- the beginning ---- */

/* Whom it came to is known of each connection, also of the next one with the same handle. */
static void test_listener(void **state)
{
	(void)state;
	for (int i = 0; i < 6; i++) {
		uint32_t h = i / 2 % 2;

		if (the.line[h].open) {
			put((struct ring_event){ .kind = RING_ERROR, .conn = h, .res = -ECONNRESET });
			settle();
		}
		put((struct ring_event){ .kind = RING_ACCEPT, .conn = h, .res = 1 + 7 * i });
		the.line[h] = (struct line){ .open = true };
		turn();
		post(h, 1);
		settle();
		assert_int_equal(status(h), 200);
		assert_int_equal(the.w->conns[h].listener, 1 + 7 * i);
	}
}

/* ---- the last reply, and after it ---- */

static void refused_while_sending(uint32_t h)
{
	client(h);
	say(h, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\n");
	settle();
	assert_int_equal(status(h), 413);
	assert_true(the.line[h].shut);
}

/* Without another byte it is closed after a while; each time. */
static void test_linger(void **state)
{
	(void)state;
	for (int round = 0; round < 2; round++) {
		client(0);
		say(0, "GET /-/livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
		settle();
		assert_int_equal(status(0), 200);
		assert_true(the.line[0].shut);
		pass(2000 - LATE);
		assert_false(gone_by_now(0));
		pass(3 * LATE);
		settle();
		assert_true(gone_by_now(0));
		refused_while_sending(1);
		pass(5000 - LATE);
		assert_false(gone_by_now(1));
		pass(3 * LATE);
		settle();
		assert_true(gone_by_now(1));
	}
}

/* Whatever led there, the time after the FIN is one of two: two seconds where all requests were read
 * whole, five where one was not. */
static void test_linger_ways(void **state)
{
	static const struct { const char *text; unsigned wait_ms, linger_ms; int status; } way[] = {
		{ "GET /-/livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 0, 2000, 200 },
		{ "GET /nothing HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 0, 2000, 404 },
		{ "OPTIONS /x HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", 0, 2000, 204 },
		{ "POST /x HTTP/1.0\r\nContent-Length: 1\r\n\r\nx", 0, 2000, 200 },
		{ "POST /-/x HTTP/1.0\r\nContent-Length: 1\r\n\r\nx", 0, 2000, 405 },
		{ "", IDLE_MS, 2000, 0 },
		{ "POST /x HT", HEADER_MS, 5000, 408 },
		{ "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx", BODY_MS, 5000, 408 },
		{ "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\n", 0, 5000, 413 },
		{ "PUT /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nIf-Match: 1\r\nContent-Length: 9\r\n\r\n", 0, 5000, 412 },
		{ "nonsense\r\n\r\n", 0, 5000, 501 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(way) / sizeof(way[0]); i++) {
		uint32_t h = i % CONNS;

		client(h);
		if (*way[i].text)
			say(h, way[i].text);
		if (way[i].wait_ms)
			pass(way[i].wait_ms + 2 * LATE);
		settle();
		assert_int_equal(way[i].status ? status(h) : 0, way[i].status);
		assert_true(the.line[h].shut);
		pass(way[i].linger_ms - 3 * LATE);
		assert_false(gone_by_now(h));
		pass(4 * LATE);
		settle();
		assert_true(gone_by_now(h));
	}
}

/* Who still sends is read, as long as it sends at the rate of a body, and five minutes in all. */
static void test_linger_rate(void **state)
{
	char piece[BODY_STEP];
	uint64_t ms = 0;

	(void)state;
	memset(piece, 'p', sizeof(piece));
	refused_while_sending(0);
	while (!gone_by_now(0) && ms < 400000) {
		bytes(0, piece, BODY_STEP);
		pass(4000);
		ms += 4000;
		settle();
	}
	assert_in_range(ms, 300000, 310000);
	refused_while_sending(1);
	for (int i = 0; i < 2; i++) {
		bytes(1, piece, BODY_STEP / 2);
		pass(2000);
		assert_false(gone_by_now(1));
	}
	bytes(1, piece, BODY_STEP / 2 - 1);	/* it had its time for what came before */
	pass(5000 + LATE);
	settle();
	assert_true(gone_by_now(1));
	assert_int_equal(the.w->pool->nfree + the.w->pool->lent, the.w->pool->n);
}

/* ---- the stop ---- */

static void test_drain(void **state)
{
	(void)state;
	for (uint32_t h = 0; h < 4; h++)
		client(h);
	post(0, 1);				/* 0 idle, 1 in a head, 2 in a body, 3 just there */
	settle();
	assert_int_equal(status(0), 200);
	pass(1500);
	say(1, "POST /x HT");
	say(2, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n");
	pass(1000);
	client(4);
	worker_stop(the.w, false);
	settle();
	assert_true(the.line[0].shut && the.line[3].shut);	/* idle for long */
	assert_false(the.line[1].shut || the.line[2].shut || the.line[4].shut);
	say(4, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
	settle();
	assert_int_equal(status(4), 503);
	assert_int_equal(the.count.refused_draining, 1);
	say(1, "TP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
	settle();
	assert_non_null(strstr(got(1), "Connection: close"));
	assert_true(the.line[1].shut);
	assert_false(the.ended);
	for (int i = 0; i < 8 && !the.ended; i++) {	/* 2 goes on sending until it is cut off */
		say(2, "x");
		pass(DRAIN_MS / 8 > BODY_MS ? BODY_MS - LATE : DRAIN_MS / 8);
	}
	settle();
	assert_true(the.ended || the.line[2].shut);
}

/* At the end of drain-timeout all is cut off, not before. */
static void test_drain_end(void **state)
{
	char piece[BODY_STEP];

	(void)state;
	memset(piece, 'p', sizeof(piece));
	client(0);
	say(0, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10000\r\n\r\n");
	worker_stop(the.w, false);
	for (unsigned ms = 0; ms < DRAIN_MS - 2000; ms += 2000) {
		bytes(0, piece, BODY_STEP);
		pass(2000);
		assert_false(the.ended || the.line[0].shut || gone_by_now(0));
	}
	bytes(0, piece, BODY_STEP);
	pass(2000 + LATE);
	settle();
	assert_true(the.ended);
	assert_false(the.accepting);
	assert_int_equal(the.count.timeout_body, 0);
}

static const struct { const char *text, *rest; int status; } kinds[] = {
	{ "POST /x", "Content-Length: 1\r\n\r\nx", 200 }, { "OPTIONS /x", "\r\n", 204 }, { "OPTIONS /-/", "\r\n", 204 },
	{ "GET /-/livez", "\r\n", 200 }, { "GET /nothing", "\r\n", 404 },
	{ "POST /-/x", "Content-Length: 1\r\n\r\nx", 405 }, { "PUT /x", "If-Match: 1\r\nContent-Length: 1\r\n\r\nx", 412 },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

/* Whatever was asked before the stop is answered, and that it is the last is said. */
static void test_drain_kinds(void **state)
{
	char text[200];

	(void)state;
	for (uint32_t h = 0; h < KINDS; h++) {
		client(h);
		snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: h\r\n", kinds[h].text);
		say(h, text);
	}
	worker_stop(the.w, false);
	turn();
	for (uint32_t h = 0; h < KINDS; h++) {
		say(h, kinds[h].rest);
		settle();
		assert_non_null(strstr(the.line[h].out, "\r\nConnection: close\r\n"));
		assert_int_equal(status(h), kinds[h].status);
		assert_true(the.line[h].shut);
		assert_int_equal(the.w->late, 0);
		assert_true(h + 1 < KINDS || !the.ended);
		put((struct ring_event){ .kind = RING_EOF, .conn = h });
		settle();
	}
	assert_true(the.ended);
}

/* A service manager's sockets are open for as long as anybody is here who was before the stop: who
 * comes meanwhile is told to go elsewhere.  Then the door is shut. */
static void test_drain_given(void **state)
{
	(void)state;
	the.env.given = true;
	client(0);
	say(0, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nx");
	worker_stop(the.w, false);
	settle();
	for (uint32_t h = 1; h < 4; h++) {
		client(h);
		assert_int_equal(the.w->late, h);
		assert_true(the.accepting);
		assert_int_equal(the.w->env->conns_max, CONNS);
		post(h, 1);
		settle();
		assert_int_equal(status(h), 503);
		assert_true(the.line[h].shut && the.accepting);
		if (h < 3) {
			put((struct ring_event){ .kind = RING_EOF, .conn = h });
			settle();
			assert_true(gone_by_now(h));
			client(h);
		}
	}
	say(0, "x");
	settle();
	assert_int_equal(status(0), 200);
	assert_true(the.accepting && !the.ended);
	put((struct ring_event){ .kind = RING_EOF, .conn = 0 });
	settle();
	assert_false(the.accepting);		/* 1, 2 and 3 are late ones */
	assert_false(the.ended);
	pass(8000);
	assert_true(the.ended);
}

/* Who is in the backlog at the stop is let in: until nobody comes in a turn, and not for ever. */
static void test_drain_backlog(void **state)
{
	(void)state;
	client(7);
	say(7, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n");
	worker_stop(the.w, false);
	turn();
	for (unsigned n = 1; n <= 70; n++) {
		uint32_t h = n % 6, before = (n + 5) % 6;

		if (the.line[before].open)
			put((struct ring_event){ .kind = RING_ERROR, .conn = before, .res = -ECONNRESET });
		if (n < 64)
			assert_int_equal(the.asked_ms, 0);
		client(h);
		assert_true(n > 60 || the.accepting);
		assert_true(n < 68 || !the.accepting);
	}
	assert_false(the.ended);
}

static void test_drain_no_backlog(void **state)
{
	(void)state;
	client(7);
	say(7, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n");
	worker_stop(the.w, false);
	turn();
	client(0);
	turn();
	client(1);
	assert_true(the.accepting || the.w->door_turns > 1);
	turn();
	turn();
	assert_false(the.accepting);
}

/* Told to go at once, it does: the door too, whoever it was given by. */
static void test_stop_now(void **state)
{
	(void)state;
	the.env.given = true;
	for (uint32_t h = 0; h < 3; h++)
		client(h);
	say(1, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n");
	the.line[2].hold = true;
	post(2, 1);
	worker_stop(the.w, true);
	turn();
	turn();
	assert_true(the.ended);
	assert_false(the.accepting);
	for (uint32_t h = 0; h < 3; h++)
		assert_true(gone_by_now(h));
}

static int listener(int family)
{
	struct sockaddr_storage a = { .ss_family = (sa_family_t)family };	/* Unix: any name */
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(sa_family_t)), 0);
	assert_int_equal(listen(fd, 1), 0);
	return fd;
}

static bool listens(int l)
{
	struct sockaddr_storage a;
	socklen_t n = sizeof(a);
	bool yes;
	int fd;

	assert_int_equal(getsockname(l, (struct sockaddr *)&a, &n), 0);
	fd = socket(a.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	yes = !connect(fd, (struct sockaddr *)&a, n);
	close(fd);
	return yes;
}

/* A worker that lets nobody in any more leaves its port to the others; a Unix socket is everybody's
 * until all stop, and a service manager's are its own. */
static void test_doors(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 4; k++) {
		bool fail = k & 1, given = k & 2;

		other.listeners[0] = listener(AF_INET);
		other.listeners[1] = listener(AF_UNIX);
		other.nlisteners = 2;
		begin(CLASS_FSYNC);
		the.env.given = given;
		the.serving = 2;
		if (fail) {
			client(0);
			blk_sim_fault(the.blk, SIM_SYNC, 1, 1, EIO);
			post(0, 1);
		} else {
			worker_stop(the.w, false);
		}
		settle();
		assert_false(the.accepting);
		assert_int_equal(the.ended, !fail);
		assert_int_equal(listens(other.listeners[0]), given);
		assert_int_equal(listens(other.listeners[1]), given || fail);
		end();
		close(other.listeners[0]);
		close(other.listeners[1]);
		other.nlisteners = 0;
	}
	*told = '\0';
}

/* Whom we owe something has no deadline of its own: the end of drain-timeout is waited for. */
static void test_drain_end_waits(void **state)
{
	(void)state;
	client(0);
	the.hold_commits = true;
	post(0, 1);
	worker_stop(the.w, false);
	settle();
	pass(DRAIN_MS - 100);
	assert_false(gone_by_now(0));
	assert_in_range(the.asked_ms, 1, 101);
	pass(LATE + 100);
	settle();
	assert_true(gone_by_now(0));
	assert_false(the.ended);		/* nor is a commit left behind */
	the.hold_commits = false;
	settle();
	assert_true(the.ended);
}

/* Who comes while it drains has a second. */
static void test_drain_late(void **state)
{
	(void)state;
	client(0);
	worker_stop(the.w, false);
	turn();
	pass(1000 - LATE);
	assert_false(the.line[0].shut || the.ended);
	pass(3 * LATE);
	assert_true(the.line[0].shut);
	put((struct ring_event){ .kind = RING_EOF, .conn = 0 });
	settle();
	assert_true(the.ended);
}

/* ---- numbers ---- */

static uint64_t latencies(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < LATENCY_BUCKETS; i++)
		n += the.count.latency[i];
	return n;
}

/* What a commit took is what is told of it, in the right bucket, and of each request. */
static void test_latency(void **state)
{
	static const unsigned ms[] = { 37, 5, 700 };
	uint64_t sum = 0;

	(void)state;
	client(0);
	client(1);
	for (unsigned i = 0; i < 3; i++) {
		the.hold_commits = true;
		post(0, 1);		/* its commit begins at once */
		atomic_fetch_add(&the.ns, 3000000);
		post(1, 1);		/* waits for the next one: both are of this turn */
		post(1, 1);
		atomic_fetch_add(&the.ns, ms[i] * 1000000ull);
		the.hold_commits = false;
		turn();
		assert_true(the.count.latency[latency_bucket((ms[i] + 3) * 1000)] > 0);
		sum += (ms[i] + 3) * 1000;
		atomic_fetch_add(&the.ns, 2000000);
		turn();
		sum += 2 * (ms[i] + 2) * 1000;
		settle();
		assert_int_equal(the.count.latency_sum_us, sum);
		assert_int_equal(latencies(), 3 * (i + 1));
		assert_int_equal(the.count.recorded, 3 * (i + 1));
	}
}

/* Each counter moves by what happened, and no other. */
static void test_counters(void **state)
{
	static const char chunks[] = "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
	static const char ranged[] = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Range: bytes 0-0/2\r\nContent-Length: 1\r\n\r\nx";
	static const char expects[] = "POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
	/* Heads and bodies; chunks are not recorded with their frames. */
	const size_t round_bytes = strlen("POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n") + 10 +
		sizeof(chunks) - 1 - strlen("3\r\n\r\n0\r\n\r\n") + sizeof(ranged) - 1 + sizeof(expects) - 1 + 1;
	struct counters *n = &the.count;

	(void)state;
	for (unsigned k = 1; k <= 2; k++) {
		client(0);
		assert_int_equal(n->conns_open, 1);
		post(0, 10);
		settle();
		assert_int_equal(status(0), 200);
		assert_int_equal(n->recorded, 4 * k - 3);
		bytes(0, chunks, sizeof(chunks) - 1);
		settle();
		assert_int_equal(status(0), 200);
		assert_int_equal(n->chunked, k);
		say(0, GET_LIVE);
		settle();
		assert_int_equal(status(0), 200);
		say(0, "GET /nothing HTTP/1.1\r\nHost: h\r\n\r\n");
		settle();
		assert_int_equal(status(0), 404);
		say(0, "OPTIONS /x HTTP/1.1\r\nHost: h\r\n\r\n");
		settle();
		assert_int_equal(status(0), 204);
		say(0, "POST /-/livez HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
		settle();
		assert_int_equal(status(0), 405);
		say(0, "POST /x HTTP/1.1\r\nHost: h\r\nIf-Match: *\r\nContent-Length: 0\r\n\r\n");
		settle();
		assert_int_equal(status(0), 412);
		say(0, "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Range: bytes 0-0/2\r\nContent-Length: 1\r\n\r\nx");
		settle();
		assert_int_equal(status(0), 400);
		say(0, ranged);
		settle();
		assert_int_equal(status(0), 200);
		say(0, expects);
		settle();
		assert_int_equal(status(0), 100);
		say(0, "x");
		settle();
		assert_int_equal(status(0), 200);
		say(0, "POST /x\r\n\r\n");
		settle();
		assert_int_equal(status(0), 400);
		assert_int_equal(n->requests_bad, k);
		put((struct ring_event){ .kind = RING_EOF, .conn = 0 });
		settle();
		assert_true(gone_by_now(0));
		assert_int_equal(n->conns_open, 0);
		assert_int_equal(n->vanished, 2 * k - 2);
		client(0);
		say(0, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\n");
		put((struct ring_event){ .kind = RING_EOF, .conn = 0 });
		settle();
		assert_int_equal(n->vanished, 2 * k - 1);
		settle();
		client(1);
		say(1, "POST /x HT");
		put((struct ring_event){ .kind = RING_ERROR, .conn = 1, .res = -ECONNRESET });
		settle();
		assert_int_equal(n->vanished, 2 * k);
		client(1);
		put((struct ring_event){ .kind = RING_ERROR, .conn = 1, .res = -ECONNRESET });
		settle();		/* it owed nothing: it has not vanished inside a request */
		assert_int_equal(n->vanished, 2 * k);
		assert_int_equal(n->conns_accepted, 4 * k);
		assert_int_equal(n->conns_closed, 4 * k);
		assert_int_equal(n->requests_record, 7 * k);
		assert_int_equal(n->requests_read, 2 * k);
		assert_int_equal(n->requests_own, 2 * k);
		assert_int_equal(n->recorded, 4 * k);
		assert_int_equal(n->recorded_bytes, k * round_bytes);
		assert_int_equal(n->status[COUNTER_STATUS_200], 5 * k);
		assert_int_equal(n->status[COUNTER_STATUS_100], k);
		assert_int_equal(n->status[COUNTER_STATUS_204], k);
		assert_int_equal(n->status[COUNTER_STATUS_400], 2 * k);
		assert_int_equal(n->status[COUNTER_STATUS_404], k);
		assert_int_equal(n->status[COUNTER_STATUS_405], k);
		assert_int_equal(n->status[COUNTER_STATUS_412], k);
		assert_int_equal(n->status[COUNTER_STATUS_OTHER], 0);
		assert_int_equal(latencies(), 4 * k);
		assert_int_equal(n->pool_buffers, BUFS);
		assert_int_equal(n->pool_free, the.w->pool->nfree);
		assert_int_equal(n->pool_kernel, the.w->pool->lent);
	}
	assert_int_equal(n->paused + n->refused_pool + n->refused_lane + n->refused_failed + n->refused_nospace +
			 n->refused_draining + n->refused_busy, 0);
	assert_int_equal(n->timeout_idle + n->timeout_head + n->timeout_body + n->timeout_send, 0);
}

/* Turns that had something to do. */
static void test_batches(void **state)
{
	uint64_t n = the.count.batches;

	(void)state;
	for (int i = 0; i < 5; i++)
		turn();
	assert_int_equal(the.count.batches, n);
	client(0);
	assert_int_equal(the.count.batches, n + 1);
	the.stats = (struct ring_stats){ 1, 2, 3, 4, 5, 6, 7, 8, 9, { [RING_COPY_POOL] = 10 }, 11 };
	turn();
	assert_int_equal(the.count.ring_syscalls, 1);
	assert_int_equal(the.count.ring_waits, 2);
	assert_int_equal(the.count.ring_data, 3);
	assert_int_equal(the.count.ring_bytes_in, 4);
	assert_int_equal(the.count.ring_bytes_out, 5);
	assert_int_equal(the.count.ring_sends, 6);
	assert_int_equal(the.count.accept_failed, 7);
	assert_int_equal(the.count.turned_away, 8);
	assert_int_equal(the.count.ring_starved, 9);
	assert_int_equal(the.count.ring_copied_pool, 10);
	assert_int_equal(the.count.ring_zero_copy, 11);
}

/* ---- room ---- */

static bool has(const char *text, const char *what)
{
	return strstr(text, what) != NULL;
}

/* Records in all buffers but the reserve; the rest is lent, and nothing comes back by itself. */
static void fill_pool(uint32_t h)
{
	while (the.nwindow) {
		post(h, 1);
		turn();
		assert_int_equal(status(h), 200);
	}
}

static void empty_pool(void)
{
	while (store_background(the.store, 1 << 20) > 0)
		;
	settle();
}

/* No buffer is left: first reading stops, then after pushback-timeout requests are refused out
 * of the reserve; when there are buffers again all is as it was.  Each time. */
static void test_pool_dry(void **state)
{
	(void)state;
	client(0);
	client(1);
	for (unsigned k = 1; k <= 2; k++) {
		fill_pool(0);
		turn();
		assert_int_equal(the.w->pool->nfree, the.w->reserve);
		assert_int_equal(the.count.pool_kernel, 0);
		assert_int_equal(the.count.pool_free, the.w->reserve);
		pass(PUSHBACK_MS - LATE);
		assert_int_equal(the.nwindow, 0);
		pass(2 * LATE);
		assert_int_equal(the.nwindow, the.w->reserve);
		post(0, 1);
		settle();
		const char *text = got(0);
		assert_true(has(text, "HTTP/1.1 503 ") && has(text, "\r\nRetry-After: 1\r\n") && has(text, "no free buffers"));
		assert_int_equal(the.count.refused_pool, k);
		say(1, GET_LIVE);
		settle();
		assert_int_equal(status(1), 200);
		empty_pool();
		assert_true(the.nwindow > BUFS / 2);
		post(0, 1);
		settle();
		assert_int_equal(status(0), 200);
		assert_int_equal(the.count.refused_pool, k);
	}
	assert_int_equal(the.count.refused_lane + the.count.refused_nospace + the.count.refused_failed, 0);
}

/* Requests are refused until more than an eighth of the buffers is free beside the reserve. */
static void test_pool_dry_until(void **state)
{
	struct pool *pool;
	uint32_t there;

	(void)state;
	client(0);
	fill_pool(0);
	turn();
	pass(PUSHBACK_MS + LATE);
	assert_true(the.w->refusing);
	/* Of the buffers that the records leave each is the test's before it is free. */
	pool = the.w->pool;
	for (uint32_t idx = pool->first; idx < pool->first + pool->n; idx++)
		if (pool->holds[idx - pool->first])
			pool_hold(pool, idx);
	empty_pool();
	there = the.w->reserve;
	for (uint32_t idx = pool->first; idx < pool->first + pool->n; idx++) {
		assert_int_equal(pool->nfree + pool->lent, there);
		assert_int_equal(the.w->refusing, there <= the.w->reserve + BUFS / 8);
		if (!pool->holds[idx - pool->first])
			continue;
		pool_drop(pool, idx);
		there++;
		turn();
	}
	assert_int_equal(there, BUFS);
	assert_false(the.w->refusing);
	post(0, 1);
	settle();
	assert_int_equal(status(0), 200);
}

/* The pressure is over before its time: the next one has all of it again. */
static void test_pool_dry_anew(void **state)
{
	(void)state;
	client(0);
	for (unsigned k = 0; k < 3; k++) {
		fill_pool(0);
		turn();
		pass(PUSHBACK_MS - LATE);
		assert_int_equal(the.nwindow, 0);
		empty_pool();
		assert_true(the.nwindow > BUFS / 2);
	}
	assert_int_equal(the.count.refused_pool, 0);
	assert_int_equal(the.count.paused, 0);
}

/* An eighth of the buffers is kept back to refuse with, and no more than 32. */
static void test_reserve(void **state)
{
	static const struct { unsigned bufs, kept; } row[] = {
		{ 64, 8 }, { 128, 16 }, { 248, 31 }, { 256, 32 }, { 264, 32 }, { 280, 32 }, { 512, 32 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		size_t before = mapped;

		other.bufs = row[i].bufs;
		begin(CLASS_NVMM);
		assert_true(mapped > before);
		assert_int_equal(the.w->pool->n, row[i].bufs);
		assert_int_equal(the.nwindow, row[i].bufs - row[i].kept);
		assert_int_equal(the.w->pool->nfree, row[i].kept);
		turn();
		assert_int_equal(the.count.pool_buffers, row[i].bufs);
		end();
		assert_int_equal(mapped, before);	/* all of it */
	}
	other.bufs = 0;
}

/* Half of a body is there when buffers run out: it is told, and gives back what it held. */
static void test_pool_dry_half(void **state)
{
	char piece[BUF] = { 0 };
	uint32_t held;

	(void)state;
	client(0);
	client(1);
	say(1, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 10000\r\n\r\n");
	bytes(1, piece, sizeof(piece));
	fill_pool(0);
	turn();
	held = the.w->pool->nfree;
	pass(PUSHBACK_MS + LATE);
	bytes(1, piece, sizeof(piece));
	settle();
	assert_true(the.w->pool->nfree + the.w->pool->lent > held + 1);
	for (unsigned n = 2; n < 5; n++)
		bytes(1, piece, n < 4 ? sizeof(piece) : 10000 - 4 * sizeof(piece));
	settle();
	assert_int_equal(status(1), 503);
	assert_int_equal(the.count.refused_pool, 1);
	post(0, 1);			/* which of two reasons: too large wins, its size does not change */
	settle();
	assert_int_equal(status(0), 503);
	say(0, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
	settle();
	assert_int_equal(status(0), 413);
}

/* While no buffer is left nothing is read, however long that takes: whose bytes lie in the socket
 * meanwhile is not late, whatever it owes.  When there are buffers again it has the time of one
 * look, and who has sent nothing is late as ever. */
static void test_pool_dry_unread(void **state)
{
	static const struct { const char *first; unsigned ms; int status; } row[] = {
		{ "POST /x HT", HEADER_MS, 408 },
		{ "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\n", BODY_MS, 408 },
		{ "", IDLE_MS, 0 },
	};

	(void)state;
	client(0);
	for (unsigned k = 0; k < 2 * sizeof(row) / sizeof(row[0]); k++) {
		bool sent = k % 2;

		client(1);
		if (*row[k / 2].first)
			say(1, row[k / 2].first);
		pass(row[k / 2].ms / 2);
		say(0, GET_LIVE);		/* so that it is not idle for too long itself */
		settle();
		assert_int_equal(status(0), 200);
		pass(row[k / 2].ms - row[k / 2].ms / 2 - PUSHBACK_MS / 2);
		fill_pool(0);
		turn();
		the.line[1].unread = sent;
		pass(PUSHBACK_MS - 2 * LATE);
		if (sent) {
			assert_false(the.line[1].shut || the.line[1].n);
			assert_int_equal(the.nwindow, 0);
			empty_pool();
			assert_false(the.line[1].shut || the.line[1].n);
			pass(3 * LATE);
		}
		assert_true(the.line[1].shut);
		assert_int_equal(status(1), row[k / 2].status);
		empty_pool();
		put((struct ring_event){ .kind = RING_EOF, .conn = 1 });
		settle();
		assert_true(gone_by_now(1));
	}
	assert_int_equal(the.count.timeout_head, 2);
	assert_int_equal(the.count.timeout_body, 2);
	assert_int_equal(the.count.timeout_idle, 2);
}

/* One who takes no reply and has sent on until no buffer is left goes before anyone is refused,
 * wherever it stands among the connections; but not while a piece of an admin thread's is on its way. */
static void test_pool_hoard(void **state)
{
	const uint32_t last = CONNS - 1;

	(void)state;
	client(0);
	client(last);
	the.line[last].hold = true;
	while (the.nwindow)
		say(last, GET_LIVE);
	pass(ADMIN_STALL_MS - LATE);
	the.w->conns[last].admin_sending = true;
	pass(3 * LATE);
	settle();
	assert_false(gone_by_now(last));
	the.w->conns[last].admin_sending = false;
	pass(3 * LATE);
	settle();
	assert_true(gone_by_now(last) && the.line[last].forgotten);
	assert_int_equal(the.count.timeout_send, 1);
	post(0, 1);
	settle();
	assert_int_equal(status(0), 200);
	assert_int_equal(the.count.refused_pool, 0);
}

static unsigned held_by(uint32_t h)
{
	unsigned n = 0;

	for (uint32_t i = the.w->conns[h].in_first; i != FRAG_NIL; i = the.w->slots[i].next)
		n++;
	return n;
}

/* Of many who hoard only so many are cut off as it takes; sooner where pushback-timeout is short. */
static void test_pool_hoarders(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 2; round++) {
		const unsigned ms = round ? 200 : ADMIN_STALL_MS;
		unsigned gone = 0;

		the.env.pushback_ms = round ? 400 : 4 * PUSHBACK_MS;
		for (uint32_t h = 0; h < CONNS; h++) {
			client(h);
			the.line[h].hold = true;
		}
		for (uint32_t h = 0; h < CONNS; h++)
			while (held_by(h) < (BUFS - the.w->reserve) / CONNS)
				say(h, GET_LIVE);
		turn();
		assert_int_equal(the.nwindow, 0);
		pass(ms - LATE);
		for (uint32_t h = 0; h < CONNS; h++)
			assert_false(gone_by_now(h));
		pass(3 * LATE);
		for (uint32_t h = 0; h < CONNS; h++)
			gone += gone_by_now(h);
		assert_int_equal(gone, 2);
		assert_int_equal(the.count.timeout_send, 2 * round + 2);
		for (uint32_t h = 0; h < CONNS; h++)
			if (!gone_by_now(h))
				put((struct ring_event){ .kind = RING_ERROR, .conn = h, .res = -ECONNRESET });
		settle();
		assert_int_equal(the.w->open, 0);
		the.count.timeout_send = 2 * round + 2;
	}
	the.env.pushback_ms = PUSHBACK_MS;
}

/* The checkpointer is asked to hurry when so many buffers are held, once; and to wake us behind
 * its next pass when half of them are, or when somebody waits for room.  Each time. */
static void test_hungry(void **state)
{
	(void)state;
	kicks = 0;
	the.env.checkpoint = (struct checkpoint *)&kicks;
	the.env.held_max = 10;
	client(0);
	for (unsigned round = 1; round <= 2; round++) {
		unsigned held = 0;

		while (the.nwindow) {
			assert_int_equal(kicks, held >= 10 ? round : round - 1);
			assert_int_equal(follower_waits(&the.w->pass), held > BUFS / 2);
			post(0, 1);
			held = BUFS - the.w->pool->nfree - the.w->pool->lent;
			if (held == BUFS / 2 + 1)
				assert_int_equal(the.asked_ms, 0);	/* it looks once more: it may be there already */
			turn();
			assert_int_not_equal(the.asked_ms, 0);
			assert_int_equal(status(0), 200);
		}
		assert_int_equal(store_passed(the.store), 1);	/* as the checkpointer does */
		empty_pool();
		assert_false(follower_waits(&the.w->pass));
		take_room(0);
		post(0, 1);
		assert_true(follower_waits(&the.w->pass));
		give_room();
		settle();
		assert_int_equal(status(0), 200);
		assert_int_equal(store_passed(the.store), 1);
		empty_pool();
		kicks = round;
	}
	the.env.checkpoint = NULL;
}

/* A worker that writes to segments waits to be asked to look at the age of its own, always. */
static void test_turn(void **state)
{
	(void)state;
	for (unsigned round = 0; round < 3; round++) {
		assert_true(follower_waits(&the.w->turn));
		assert_false(follower_waits(&the.w->pass));
		unfollow(&the.w->turn);		/* it has been woken */
		put((struct ring_event){ .kind = RING_WOKEN });
		turn();
	}
}

static void test_no_turn(void **state)
{
	(void)state;
	assert_false(follower_waits(&the.w->turn));
	put((struct ring_event){ .kind = RING_WOKEN });
	turn();
	assert_false(follower_waits(&the.w->turn));
}

/* The bytes of its record so far. */
static const char *record_of(uint32_t h)
{
	static char text[4096];
	const struct frags *r = &the.w->conns[h].rec;
	size_t n = 0;

	for (uint32_t i = r->first; i != FRAG_NIL; i = the.w->pool->nodes[i].next) {
		const struct frag *f = &the.w->pool->nodes[i].f;

		assert_true(n + f->len < sizeof(text));
		memcpy(text + n, the.p.pool_base + (size_t)f->idx * BUF + f->off, f->len);
		n += f->len;
	}
	text[n] = '\0';
	return text;
}

/* No room for a piece of a record, wherever in the request it is: reading stops, and it goes on as if
 * nothing had been when there is some; or the request is refused in its time, and the next is not. */
static void test_wait_for_room(void **state)
{
	static const struct { const char *first, *piece, *rest; } row[] = {
		{ "", "POST /x HT", "TP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc" },
		{ "POST /x HT", "TP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n", "abc" },
		{ "", "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc", "" },
		{ "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n", "abc", "" },
		{ "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n", "a", "bc" },
		{ "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n", "3\r\nabc\r\n", "0\r\n\r\n" },
	};

	(void)state;
	client(0);
	for (unsigned k = 0; k < 4 * sizeof(row) / sizeof(row[0]); k++) {
		bool refused = k % 2, then = k & 2;
		uint64_t bytes = the.count.recorded_bytes, of_it;
		uint64_t pool = the.count.refused_pool;

		the.line[0].hold = true;	/* what was asked before leaves while it waits */
		say(0, GET_LIVE);
		if (*row[k / 4].first)
			say(0, row[k / 4].first);
		take_room(0);
		say(0, row[k / 4].piece);
		assert_int_equal(the.w->conns[0].state, CONN_PIECE);
		the.line[0].hold = false;
		turn();
		assert_int_equal(status(0), 200);
		if (*row[k / 4].rest && !then)
			say(0, row[k / 4].rest);
		assert_true(the.line[0].paused);
		pass(PUSHBACK_MS - LATE);
		assert_true(the.line[0].paused);
		assert_int_equal(the.line[0].n, 0);
		if (refused)
			pass(3 * LATE);
		give_room();
		settle();
		assert_false(the.line[0].paused);
		if (*row[k / 4].rest && then) {
			char want[200];

			snprintf(want, sizeof(want), "%s%s", row[k / 4].first,
				 strstr(row[k / 4].first, "chunked") ? "abc" : row[k / 4].piece);
			if (!refused)
				assert_string_equal(record_of(0), want);
			say(0, row[k / 4].rest);
			settle();
		}
		assert_int_equal(the.count.refused_pool, pool + refused);
		if (refused) {
			const char *text = got(0);

			assert_true(has(text, "HTTP/1.1 503 ") && has(text, "no free buffers") && has(text, "Retry-After: 1"));
			assert_false(has(text, "Connection: close"));
			post(0, 1);
			settle();
			assert_int_equal(status(0), 200);
			continue;
		}
		assert_int_equal(status(0), 200);
		of_it = strlen(row[k / 4].first) + strlen(row[k / 4].piece) + strlen(row[k / 4].rest);
		if (strstr(row[k / 4].first, "chunked"))
			of_it -= strlen("3\r\n\r\n0\r\n\r\n");
		assert_int_equal(the.count.recorded_bytes, bytes + of_it);
	}
	assert_int_equal(the.count.timeout_idle + the.count.timeout_head + the.count.timeout_body, 0);
}

/* Who only reads needs no room, and does not wait for any. */
static void test_reads_need_no_room(void **state)
{
	(void)state;
	client(0);
	take_room(0);
	for (unsigned cut = 1; cut < sizeof(GET_LIVE) - 1; cut++) {
		bytes(0, GET_LIVE, cut);
		assert_int_equal(the.w->conns[0].rec.n, 0);
		bytes(0, GET_LIVE + cut, sizeof(GET_LIVE) - 1 - cut);
		settle();
		assert_int_equal(status(0), 200);
	}
	give_room();
	assert_int_equal(the.count.paused, 0);
	assert_int_equal(the.count.requests_own, sizeof(GET_LIVE) - 2);
}

/* While requests are refused for want of buffers, one that finds no room is so at once. */
static void test_no_room_while_refusing(void **state)
{
	(void)state;
	client(0);
	fill_pool(0);
	turn();
	pass(PUSHBACK_MS + LATE);
	for (unsigned k = 1; k <= 2; k++) {
		take_room(0);
		post(0, 1);
		settle();
		assert_int_equal(status(0), 503);
		assert_int_equal(the.count.refused_pool, k);
		give_room();
	}
}

/* A request that has its head but for whose body there is no room waits, however often it is looked
 * at meanwhile; then its client is told to go on, or it had sent the body and is not.  Refused in its
 * time, whoever expects an answer first has it at once; the others when they have sent theirs. */
static void test_wait_for_admission(void **state)
{
	static const char plain[] = "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n";
	static const char expects[] = "POST /x HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\n";

	(void)state;
	for (unsigned k = 0; k < 16; k++) {
		bool expect = k & 1, sent = k & 2, refused = k & 4;
		uint64_t lane = the.count.refused_lane + the.count.refused_pool;
		const char *text;

		client(0);
		the.line[0].hold = true;
		say(0, GET_LIVE);
		take_room(k & 8 ? 0 : 7);
		say(0, expect ? expects : plain);
		if (k & 8)			/* first for its head, and then for more */
			the.w->pool->nodes_left += 7, room_taken -= 7;
		the.line[0].hold = false;
		settle();
		assert_int_equal(status(0), 200);
		assert_int_equal(the.w->conns[0].state, CONN_ADMIT);
		if (sent)
			say(0, "abc");
		assert_int_equal(the.line[0].paused, sent || k & 8);
		pass(PUSHBACK_MS - 2 * LATE);
		assert_int_equal(the.line[0].n, 0);
		assert_int_equal(the.w->conns[0].state, CONN_ADMIT);
		if (refused)
			pass(4 * LATE);
		give_room();
		settle();
		assert_int_equal(the.count.refused_lane + the.count.refused_pool, lane + refused);
		if (refused && expect) {
			text = got(0);
			assert_true(has(text, "HTTP/1.1 503 ") && has(text, "Connection: close"));
			assert_true(the.line[0].shut);
		} else {
			if (expect && !sent)
				assert_string_equal(got(0), "HTTP/1.1 100 Continue\r\n\r\n");
			if (!sent) {
				assert_int_equal(the.line[0].n, 0);
				pass(BODY_MS - 2 * LATE);	/* what it waited was our time */
				assert_int_equal(the.line[0].n, 0);
				say(0, "abc");
				settle();
			}
			text = got(0);
			assert_true(has(text, refused ? "HTTP/1.1 503 " : "HTTP/1.1 200 ") && !has(text, "HTTP/1.1 100"));
			assert_false(has(text, "Connection: close"));
			post(0, 1);
			settle();
			assert_int_equal(status(0), 200);
		}
		put((struct ring_event){ .kind = RING_EOF, .conn = 0 });
		settle();
		assert_true(gone_by_now(0));
	}
	assert_int_equal(the.count.timeout_idle + the.count.timeout_head + the.count.timeout_body, 0);
}

/* What waited for its head is too large all the same. */
static void test_wait_and_too_large(void **state)
{
	(void)state;
	the.env.limits.body_bytes = 1 << 20;
	client(0);
	take_room(0);
	say(0, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 20000\r\n\r\n");
	assert_int_equal(the.w->conns[0].state, CONN_PIECE);
	give_room();
	settle();
	for (unsigned n = 0; n < 10; n++) {
		char piece[2000] = { 0 };

		assert_int_equal(the.line[0].n, 0);
		bytes(0, piece, sizeof(piece));
	}
	settle();
	assert_int_equal(status(0), 413);
	post(0, 1);
	settle();
	assert_int_equal(status(0), 200);
}

/* The body of a refused request is read and thrown away, so that the connection can stay, but no
 * more than 256 KiB of it: with a length that says more it is refused at once, and the others where
 * it becomes more.  Each request has all of it. */
static void test_thrown_away(void **state)
{
	static const struct { const char *head; size_t bytes; int status; bool chunked, close, at_once; } row[] = {
		{ "POST /-/x", 262144, 405, false, false, false }, { "POST /-/x", 262145, 405, false, true, true },
		{ "POST /-/x", 262144, 405, true, false, false }, { "POST /-/x", 262145, 405, true, true, false },
		{ "POST /-/x", 200000, 405, true, false, false }, { "POST /-/x", 200000, 405, true, false, false },
		{ "POST /x", 262144, 413, false, false, false }, { "POST /x", 262145, 413, false, true, true },
		{ "POST /x", 200000, 413, false, false, false }, { "POST /x", 250000, 413, true, false, false },
	};
	char piece[BUF];
	char head[200];

	(void)state;
	memset(piece, 'd', sizeof(piece));
	the.env.limits.body_bytes = 1 << 20;
	for (unsigned i = 0; i < sizeof(row) / sizeof(row[0]); i++) {
		size_t left = row[i].bytes;

		if (!the.line[0].open)
			client(0);
		snprintf(head, sizeof(head), "%s HTTP/1.1\r\nHost: h\r\n%s%zu\r\n\r\n", row[i].head,
			 row[i].chunked ? "Transfer-Encoding: chunked\r\nX: " : "Content-Length: ", row[i].bytes);
		say(0, head);
		settle();
		if (row[i].at_once) {
			assert_non_null(strstr(the.line[0].out, "\r\nConnection: close\r\n"));
			assert_int_equal(status(0), row[i].status);
		}
		if (row[i].chunked) {
			snprintf(head, sizeof(head), "%zx\r\n", left);
			say(0, head);
		}
		while (left && !the.line[0].shut) {
			size_t n = left < BUF ? left : BUF;

			assert_int_equal(the.line[0].n, 0);
			bytes(0, piece, n);
			left -= n;
			turn();
		}
		if (row[i].chunked && !the.line[0].shut)
			say(0, "\r\n0\r\n\r\n");
		settle();
		if (!row[i].at_once) {
			const char *text = got(0);

			assert_int_equal(atoi(text + 9), row[i].status);
			assert_int_equal(has(text, "\r\nConnection: close\r\n"), row[i].close);
			assert_int_equal(left, 0);
		}
		assert_int_equal(the.line[0].shut, row[i].close);
		if (row[i].close) {
			put((struct ring_event){ .kind = RING_EOF, .conn = 0 });
			settle();
			assert_true(gone_by_now(0));
		}
	}
	assert_int_equal(the.w->pool->nfree + the.w->pool->lent, BUFS);
}

/* The kernel could not write to a buffer of ours: it is looked for, and the connection ends. */
static void test_fault(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 4; k++) {
		faults = 0;
		client(0);
		put((struct ring_event){ .kind = RING_ERROR, .conn = 0, .res = k % 2 ? -EFAULT : -ECONNRESET });
		settle();
		assert_int_equal(faults, k % 2);
		assert_true(gone_by_now(0));
	}
}

/* Its thread has a name, and the CPU it was told to have. */
static void test_thread(void **state)
{
	cpu_set_t all, set;
	char name[16];

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	for (int cpu = CPU_SETSIZE - 1; cpu >= -1; cpu--) {
		if (cpu >= 0 && !CPU_ISSET((unsigned)cpu, &all))
			continue;
		other.cpu = cpu + 1;
		begin(CLASS_NVMM);
		assert_int_equal(pthread_getname_np(the.w->thread, name, sizeof(name)), 0);
		assert_string_equal(name, "pasted-0");
		assert_int_equal(pthread_getaffinity_np(the.w->thread, sizeof(set), &set), 0);
		was_told("");
		if (cpu < 0)
			assert_true(CPU_EQUAL(&set, &all));
		else
			assert_true(CPU_COUNT(&set) == 1 && CPU_ISSET((unsigned)cpu, &set));
		end();
	}
	other.cpu = CPU_SETSIZE;		/* there is no such one: it goes without */
	begin(CLASS_NVMM);
	was_told("4 worker 0: cannot be pinned to CPU 1023: Invalid argument");
	client(0);
	post(0, 1);
	settle();
	assert_int_equal(status(0), 200);
	end();
	other.cpu = 0;
}

/* Connections that cannot be accepted are told, once for each time that there are more. */
static void test_no_files(void **state)
{
	(void)state;
	for (unsigned k = 1; k <= 2; k++) {
		was_told("");
		the.stats.no_files = 3 * k;
		turn();
		was_told("4 worker 0: connections cannot be accepted: out of open files");
		assert_int_equal(the.count.accept_failed, 3 * k);
		turn();
	}
	was_told("");
}

/* The ring itself fails: told, and whoever runs the server hears of it. */
static void test_ring_fails(void **state)
{
	(void)state;
	client(0);
	the.wait_res = -EBADF;
	turn();
	assert_true(the.ended);
	while (!the.gone)
		sched_yield();
	was_told("3 worker 0: the ring failed: Bad file descriptor");
	the.gone = false;
	the.count.conns_closed++;		/* nobody closes it any more */
	the.w->open = 0;
}

/* At a stop, who has sent something that was not read yet has a request on its way. */
static void test_drain_unread(void **state)
{
	(void)state;
	for (uint32_t h = 0; h < 6; h++) {
		client(h);
		post(h, 1);
		settle();
		assert_int_equal(status(h), 200);
	}
	the.line[3].unread = true;
	worker_stop(the.w, false);
	settle();
	for (uint32_t h = 0; h < 6; h++)
		assert_int_equal(the.line[h].shut, h != 3);
	the.line[3].unread = false;
	post(3, 1);
	settle();
	assert_true(has(the.line[3].out, "Connection: close"));
	assert_int_equal(status(3), 200);
	assert_true(the.line[3].shut);
}

/* Who of HTTP/1.0 asks for it keeps the connection, and is told so; where there is no time to be
 * told, nobody else is. */
static void test_old(void **state)
{
	char text[200];

	(void)state;
	for (unsigned idle = 0; idle < 2; idle++) {
		other.idle_ms = idle ? 0 : 900;
		begin(CLASS_NVMM);
		client(0);
		for (unsigned k = 0; k < 2 * KINDS; k++) {
			bool old = k % 2;
			const char *reply;

			snprintf(text, sizeof(text), "%s HTTP/1.%d\r\nHost: h\r\n%s%s", kinds[k / 2].text, !old,
				 old ? "Connection: Keep-Alive\r\n" : "", kinds[k / 2].rest);
			say(0, text);
			settle();
			reply = got(0);
			assert_int_equal(atoi(reply + 9), kinds[k / 2].status);
			assert_int_equal(has(reply, "\r\nConnection: keep-alive\r\n"), idle || old);
			assert_int_equal(has(reply, "\r\nKeep-Alive: timeout=10\r\n"), idle);
			assert_false(has(reply, "Connection: close") || the.line[0].shut);
		}
		for (unsigned k = 0; k < KINDS; k++) {
			snprintf(text, sizeof(text), "%s HTTP/1.0\r\nHost: h\r\n%s", kinds[k].text, kinds[k].rest);
			say(0, text);
			settle();
			assert_true(has(the.line[0].out, "\r\nConnection: close\r\n"));
			assert_int_equal(status(0), kinds[k].status);
			assert_true(the.line[0].shut);
			put((struct ring_event){ .kind = RING_EOF, .conn = 0 });
			settle();
			client(0);
		}
		end();
	}
	other.idle_ms = 0;
}

/* The disk is full: 507 with its own reason and time to come back, of a quota with the word;
 * by itself again when there is room.  Each time. */
static void test_no_room(void **state)
{
	static const struct { int err; const char *why; } row[] = {
		{ ENOSPC, "no room on the disk" }, { EDQUOT, "the quota on the disk is used up" },
		{ ENOSPC, "no room on the disk" },
	};
	const char *text;

	(void)state;
	for (unsigned k = 0; k < 3; k++) {
		client(0);
		post(0, 1);
		settle();
		assert_int_equal(status(0), 200);
		blk_sim_fault(the.blk, SIM_WRITE, 1, 0, row[k].err);
		post(0, 1);
		settle();
		text = got(0);
		assert_true(has(text, "HTTP/1.1 507 ") && has(text, "\r\nRetry-After: 10\r\n") && has(text, row[k].why));
		assert_true(health_is(&the.health, HEALTH_NOSPACE));
		client(1);
		post(1, 1);
		settle();
		text = got(1);
		assert_true(has(text, "HTTP/1.1 507 ") && has(text, row[k].why));
		assert_int_equal(the.count.refused_nospace, 2 * k + 2);
		assert_int_equal(the.count.status[COUNTER_STATUS_507], 2 * k + 2);
		/* A body that is too large is so on a full disk too. */
		say(1, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
		settle();
		assert_int_equal(status(1), 413);
		blk_sim_fault(the.blk, SIM_WRITE, 1, 1, 0);
		for (int i = 0; i < 8; i++) {
			store_background(the.store, 1 << 20);
			health_clear(&the.health, HEALTH_NOSPACE);
			turn();
		}
		for (uint32_t h = 0; h < 2; h++) {
			put((struct ring_event){ .kind = RING_EOF, .conn = h });
			settle();
			pass(10000);
			assert_true(gone_by_now(h));
		}
	}
	client(0);
	post(0, 1);
	settle();
	assert_int_equal(status(0), 200);
	assert_int_equal(lane_failed(the.w->lane), 0);
	assert_int_equal(the.count.refused_pool + the.count.refused_lane + the.count.refused_failed, 0);
}

/* A sync that failed: 503 once and for ever, counted, told, and the other workers go on. */
static void test_failed(void **state)
{
	const char *text;

	(void)state;
	the.serving = 2;
	for (uint32_t h = 0; h < 3; h++)
		client(h);
	blk_sim_fault(the.blk, SIM_SYNC, 1, 1, EIO);
	the.hold_commits = true;
	post(0, 1);
	post(1, 1);			/* waits behind it */
	the.hold_commits = false;
	settle();
	for (uint32_t h = 0; h < 2; h++) {
		text = got(h);
		assert_true(has(text, "HTTP/1.1 503 ") && has(text, "has failed") && has(text, "Connection: close"));
		assert_true(the.line[h].shut);
	}
	assert_int_equal(the.count.refused_failed, 2);
	post(2, 1);
	settle();
	text = got(2);
	assert_true(has(text, "HTTP/1.1 503 ") && has(text, "has failed"));
	assert_int_equal(the.count.refused_failed, 3);
	assert_int_equal(the.count.recorded, 0);
	assert_int_equal(latencies(), 0);
	was_told("3 worker 0: ");
	assert_true(health_is(&the.health, HEALTH_LANE_FAILED));
	assert_int_equal(the.serving, 1);
	assert_false(the.accepting);		/* there is another one for new clients */
	assert_false(the.gone);
}

/* The next segment is not there yet: requests wait, are refused after pushback-timeout in which
 * nothing moved, and go on when it is there.  Each time. */
static void test_segment_wait(void **state)
{
	(void)state;
	for (uint32_t h = 0; h < 2; h++)
		client(h);
	for (unsigned k = 1; k <= 2; k++) {
		int st = 200;

		for (int i = 0; i < 60 && st == 200; i++) {
			post(0, 11000);
			settle();
			st = status(0);
		}
		assert_int_equal(st, 0);	/* it waits */
		pass(PUSHBACK_MS - 2 * LATE);
		assert_int_equal(the.line[0].n, 0);
		pass(5 * LATE);
		assert_int_equal(status(0), 503);
		assert_int_equal(the.count.refused_lane + the.count.refused_pool, 2 * k - 1);
		post(0, 11000);
		assert_int_equal(the.line[0].n, 0);
		post(0, 1);			/* behind it, in the same connection: reading stops */
		assert_true(the.line[0].paused);
		assert_int_equal(the.count.paused, k);
		pass(PUSHBACK_MS / 2);
		empty_pool();
		assert_int_equal(status(0), 200);
		assert_false(the.line[0].paused);
		assert_int_equal(the.count.refused_lane + the.count.refused_pool, 2 * k - 1);
		the.count.refused_lane++;	/* so that both rounds are the same sum */
	}
}

/* What had come stands behind the end of its connection, in one batch: its buffer comes back. */
static void test_data_behind_the_end(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 20; k++) {
		uint32_t buf;

		client(0);
		say(0, "POST /x HT");
		assert_true(the.nwindow > BUFS / 2);
		buf = the.window[--the.nwindow];
		put((struct ring_event){ .kind = RING_ERROR, .conn = 0, .res = -ECONNRESET });
		put((struct ring_event){ .kind = RING_DATA, .conn = 0, .buf = buf, .len = 3 });
		settle();
		assert_true(gone_by_now(0));
		assert_int_equal(the.w->pool->nfree + the.w->pool->lent, BUFS);
	}
}

/* ---- health ---- */

/* Answered by the worker itself, with a body but to HEAD, and when to come back. */
/* What a path takes is said where it is asked for, and where a request takes it for another. */
static void test_allow(void **state)
{
	static const struct { const char *text, *start, *allow; } t[] = {
		{ "OPTIONS /x", "HTTP/1.1 204 ", "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE" },
		{ "OPTIONS *", "HTTP/1.1 204 ", "GET, HEAD, OPTIONS, POST, PUT, PATCH, DELETE" },
		{ "OPTIONS /-/livez", "HTTP/1.1 204 ", "GET, HEAD, OPTIONS" },
		{ "OPTIONS /-/nowhere", "HTTP/1.1 204 ", "GET, HEAD, OPTIONS" },
		{ "DELETE /-/records/0-1", "HTTP/1.1 405 ", "GET, HEAD, OPTIONS" },
		{ "DELETE /-/livez", "HTTP/1.1 405 ", "GET, HEAD, OPTIONS" },
		{ "DELETE /-", "HTTP/1.1 405 ", "GET, HEAD, OPTIONS" },
	};
	char text[600], line[100], *path = text + 4;

	(void)state;
	client(0);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		const char *reply;

		snprintf(text, sizeof(text), "%s HTTP/1.1\r\nHost: h\r\n\r\n", t[i].text);
		snprintf(line, sizeof(line), "\r\nAllow: %s\r\n", t[i].allow);
		say(0, text);
		settle();
		reply = got(0);
		assert_int_equal(strncmp(reply, t[i].start, strlen(t[i].start)), 0);
		assert_true(has(reply, line));
	}
	/* What is known of a long target in part only is nothing here; but livez may have any query. */
	for (unsigned n = HTTP_TARGET_KEEP - 1; n <= HTTP_TARGET_KEEP; n++)
		for (int live = 0; live < 2; live++) {
			memset(text, 'a', sizeof(text));
			memcpy(text, live ? "GET /-/livez?" : "GET /-/stats?x", live ? 13 : 14);
			snprintf(path + n, sizeof(text) - 4 - n, " HTTP/1.1\r\nHost: h\r\n\r\n");
			if (!live && n < HTTP_TARGET_KEEP)
				continue;	/* the admin threads' */
			say(0, text);
			settle();
			assert_int_equal(status(0), live ? 200 : 404);
		}
}

static void test_health(void **state)
{
	const char *text;

	(void)state;
	client(0);
	for (unsigned k = 0; k < 2; k++) {
		say(0, GET_LIVE);
		settle();
		text = got(0);
		assert_true(has(text, "HTTP/1.1 200 OK\r\n") && has(text, "\r\n\r\nalive\n") && !has(text, "Retry-After"));
		say(0, "HEAD /-/livez?x HTTP/1.1\r\nHost: h\r\n\r\n");
		settle();
		text = got(0);
		assert_true(has(text, "HTTP/1.1 200 OK\r\n") && has(text, "Content-Length: 6\r\n"));
		assert_string_equal(text + strlen(text) - 4, "\r\n\r\n");
		say(0, "GET /-/readyz HTTP/1.1\r\nHost: h\r\n\r\n");
		settle();
		assert_true(has(got(0), "\r\n\r\nready\n"));
		health_set(&the.health, HEALTH_NOSPACE, -ENOSPC);
		say(0, "GET /-/readyz HTTP/1.1\r\nHost: h\r\n\r\n");
		settle();
		text = got(0);
		assert_true(has(text, "HTTP/1.1 503 ") && has(text, "Retry-After: 1\r\n") && has(text, "no-space"));
		say(0, GET_LIVE);
		settle();
		assert_int_equal(status(0), 200);
		health_clear(&the.health, HEALTH_NOSPACE);
	}
	assert_int_equal(the.count.status[COUNTER_STATUS_200], 8);
	assert_int_equal(the.count.status[COUNTER_STATUS_503], 2);
}

/* ---- a start that fails ---- */

static int open_not(struct ring **r, const struct ring_params *p, char *why, size_t why_len)
{
	(void)r;
	(void)p;
	snprintf(why, why_len, "no ring here");
	return -EPERM;
}

static int open_other(struct ring **r, const struct ring_params *p, char *why, size_t why_len)
{
	(void)p;
	(void)why;
	(void)why_len;
	*r = (struct ring *)&the.stats;
	return 0;
}

static struct blk_aio *no_aio(struct ring *k)
{
	(void)k;
	return NULL;
}

/* Said why, nothing is left of it (the leak sanitizer looks). */
static void test_start_fails(void **state)
{
	struct ring_ops ops = world_ring;
	struct worker_env env = the.env;
	struct worker *w = the.w;
	char why[256];

	(void)state;
	env.ring = &ops;
	for (unsigned k = 0; k < 2; k++) {
		ops.open = open_not;
		assert_int_equal(worker_start(&w, &env, 0, -1, NULL, 0, why, sizeof(why)), -EPERM);
		assert_null(w);
		assert_string_equal(why, "worker 0: no ring here");
		ops.open = open_other;
		ops.aio = no_aio;
		assert_int_equal(worker_start(&w, &env, 0, -1, NULL, 0, why, sizeof(why)), -EAGAIN);
		assert_null(w);
		assert_string_equal(why, "worker 0: no thread for the commits");
	}
}

/* There is no memory for something of it: said, and nothing is left. */
static void test_start_no_memory(void **state)
{
	static const char *const calls[] = { "calloc", "mmap", "pthread_create" };
	static const unsigned times[] = { 1, 4, 1 };
	struct worker *w = the.w;
	char why[256];

	(void)state;
	for (unsigned i = 0; i < 3; i++)
		for (nth = 1; nth <= times[i]; nth++) {
			strcpy(why, "worker 0: Cannot allocate memory");
			seen = 0;
			no_more = calls[i];
			assert_int_equal(worker_start(&w, &the.env, 0, -1, NULL, 0, why, sizeof(why)), -ENOMEM);
			no_more = NULL;
			assert_true(seen >= nth);
			assert_string_equal(why, "worker 0: Cannot allocate memory");
			if (i)
				assert_null(w);
			w = the.w;
		}
}

#define T(test, class) cmocka_unit_test_setup_teardown(test, class, over)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_idle, nvmm),
		T(test_head, nvmm),
		T(test_body, nvmm),
		T(test_write, nvmm),
		T(test_no_deadline_for_us, fsync_class),
		T(test_unread, nvmm),
		T(test_away, nvmm),
		T(test_listener, nvmm),
		T(test_linger, nvmm),
		T(test_linger_ways, nvmm),
		T(test_linger_rate, nvmm),
		T(test_drain, nvmm),
		T(test_drain_end, nvmm),
		T(test_drain_late, nvmm),
		T(test_latency, fsync_class),
		T(test_counters, nvmm),
		T(test_batches, nvmm),
		T(test_pool_dry, nvmm),
		T(test_pool_dry_until, nvmm), T(test_pool_dry_anew, nvmm),
		T(test_pool_dry_half, nvmm),
		cmocka_unit_test(test_reserve),
		T(test_pool_dry_unread, nvmm),
		T(test_pool_hoard, nvmm),
		T(test_no_room, fsync_class),
		T(test_failed, fsync_class),
		T(test_segment_wait, fsync_class),
		T(test_start_fails, fsync_class),
		T(test_start_no_memory, fsync_class),
		T(test_allow, nvmm), T(test_health, nvmm),
		T(test_data_behind_the_end, nvmm),
		cmocka_unit_test(test_shortest),
		T(test_sleeps, nvmm),
		T(test_drain_kinds, nvmm),
		T(test_drain_given, nvmm),
		T(test_pool_hoarders, nvmm),
		T(test_hungry, nvmm), T(test_turn, fsync_class), T(test_no_turn, nvmm),
		T(test_wait_for_room, nvmm),
		T(test_no_room_while_refusing, nvmm),
		T(test_reads_need_no_room, nvmm),
		T(test_drain_backlog, nvmm),
		T(test_stop_now, nvmm),
		T(test_drain_end_waits, fsync_class),
		cmocka_unit_test(test_doors),
		T(test_drain_no_backlog, nvmm),
		T(test_wait_for_admission, nvmm),
		T(test_wait_and_too_large, nvmm),
		T(test_thrown_away, nvmm),
		T(test_fault, nvmm),
		cmocka_unit_test(test_thread),
		T(test_no_files, nvmm),
		T(test_ring_fails, nvmm),
		T(test_drain_unread, nvmm),
		cmocka_unit_test(test_old),
	};

	alarm(120);		/* a worker that does not come back */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
