/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_admin_slots.c - what the worker does with an admin thread's answers, turn by turn, with one
 * that is the test's: pieces in order and behind what was asked before, who waits for a slot
 * and for how long, whose slot is taken, and that each request is ended once.
 */
#include "admin/admin.h"
#include "admin/admin_slots.h"
#include "admin/endpoint.h"
#include "worker_world.h"

#define SLOTS 6u

static struct {
	struct admin_req req[SLOTS];
	bool	 used[SLOTS], ready[SLOTS];
	unsigned room;			/* slots there are */
	unsigned asked, nexts, ends;
	char	 target[64];
	const struct endpoint *at;
	bool	 keep, http11, head;
	struct admin *of;
} svc;

struct admin_req *admin_ask(struct admin *s, unsigned worker, uint32_t conn, uint32_t conn_gen,
			    const struct endpoint *e, const char *target, bool head, bool http11,
			    bool keep_alive)
{
	for (unsigned i = 0; i < svc.room; i++) {
		if (svc.used[i])
			continue;
		svc.used[i] = true;
		svc.req[i] = (struct admin_req){ .conn = conn, .conn_gen = conn_gen, .worker = worker };
		svc.asked++;
		svc.of = s;
		svc.at = e;
		svc.head = head;
		snprintf(svc.target, sizeof(svc.target), "%s", target);
		svc.keep = keep_alive;
		svc.http11 = http11;
		return &svc.req[i];
	}
	return NULL;
}

struct admin_req *admin_ready(struct admin *s, unsigned worker)
{
	assert_int_equal(worker, 0);
	if (s != (struct admin *)&svc)
		return NULL;
	for (unsigned i = 0; i < SLOTS; i++)
		if (svc.ready[i]) {
			svc.ready[i] = false;
			return &svc.req[i];
		}
	return NULL;
}

void admin_next(struct admin_req *r)
{
	assert_true(svc.used[r - svc.req]);
	assert_false(r->last);
	r->data = NULL;
	svc.nexts++;
}

void admin_end(struct admin_req *r)
{
	assert_true(svc.used[r - svc.req]);
	svc.used[r - svc.req] = svc.ready[r - svc.req] = false;
	svc.ends++;
}

static int setup(void **state)
{
	(void)state;
	begin(CLASS_FSYNC);
	memset(&svc, 0, sizeof(svc));
	svc.room = SLOTS;
	the.env.records = (struct admin *)&svc;
	the.env.pages = (struct admin *)&the;
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	end();
	assert_int_equal(svc.ends, svc.asked);
	return 0;
}

static void get(uint32_t h)
{
	say(h, "GET /-/records/0-1 HTTP/1.1\r\nHost: h\r\n\r\n");
}

static unsigned slot_of(uint32_t h)
{
	for (unsigned i = 0; i < SLOTS; i++)
		if (svc.used[i] && svc.req[i].conn == h)
			return i;
	fail_msg("%u has no slot", h);
	return 0;
}

/* The admin thread has made a piece for it. */
static void piece(uint32_t h, const char *text, bool last)
{
	struct admin_req *r = &svc.req[slot_of(h)];

	r->data = text;
	r->len = strlen(text);
	r->last = last;
	r->status = 200;
	svc.ready[r - svc.req] = true;
	put((struct ring_event){ .kind = RING_WOKEN });
	turn();
}

/* There is room again. */
static void woken(void)
{
	put((struct ring_event){ .kind = RING_WOKEN });
	turn();
}

static void leave(uint32_t h)
{
	put((struct ring_event){ .kind = RING_ERROR, .conn = h, .res = -ECONNRESET });
	settle();
	assert_true(gone_by_now(h));
}

static void test_pieces(void **state)
{
	(void)state;
	client(0);
	for (unsigned k = 1; k <= 2; k++) {
		get(0);
		assert_int_equal(svc.asked, k);
		assert_int_equal(svc.at->id, ENDPOINT_ID_RECORDS);
		assert_false(svc.head);
		assert_string_equal(svc.target, "/-/records/0-1");
		assert_true(svc.keep && svc.http11);
		assert_ptr_equal(svc.of, &svc);
		assert_int_equal(the.line[0].n, 0);
		piece(0, "one", false);
		assert_string_equal(got(0), "one");
		assert_int_equal(svc.nexts, 3 * k - 3);	/* it has not left yet */
		turn();
		assert_int_equal(svc.nexts, 3 * k - 2);
		settle();
		assert_int_equal(svc.nexts, 3 * k - 2);
		piece(0, "two", false);
		turn();
		piece(0, "three", false);
		turn();
		assert_string_equal(got(0), "twothree");
		assert_int_equal(svc.ends, k - 1);
		piece(0, "four", true);
		assert_int_equal(svc.ends, k - 1);
		turn();
		assert_string_equal(got(0), "four");
		assert_int_equal(svc.ends, k);
		assert_false(the.line[0].shut || gone_by_now(0));
		assert_int_equal(the.count.requests_own, k);
		assert_int_equal(the.count.status[COUNTER_STATUS_200], k);	/* once for all pieces */
		pass(IDLE_MS / 2);
	}
	say(0, "HEAD /-/metrics HTTP/1.0\r\n\r\n");
	assert_ptr_equal(svc.of, &the);
	assert_int_equal(svc.at->id, ENDPOINT_ID_METRICS);
	assert_true(svc.head);
	assert_false(svc.keep || svc.http11);
	svc.req[slot_of(0)].close_after = true;
	svc.ready[slot_of(0)] = true;
	the.env.records = (struct admin *)&the;
	the.env.pages = (struct admin *)&svc;
	piece(0, "page", true);
	settle();
	assert_string_equal(got(0), "page");
	assert_true(the.line[0].shut);
}

/* The answer broke off: no polite end, whether something was made or not. */
static void test_truncated(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		client(0);
		get(0);
		piece(0, "one", false);
		turn();
		svc.req[slot_of(0)].truncated = true;
		piece(0, k ? "two" : "", true);
		settle();
		assert_string_equal(got(0), k ? "onetwo" : "one");
		assert_true(gone_by_now(0));
		assert_false(the.line[0].shut);
		assert_int_equal(svc.ends, k + 1);
	}
}

/* An answer leaves behind the replies to what was asked before, and no earlier. */
static void test_order(void **state)
{
	(void)state;
	client(0);
	for (unsigned k = 0; k < 2; k++) {
		const char *text;

		the.hold_commits = true;
		say(0, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\nGET /-/records/0-1 HTTP/1.1\r\nHost: h\r\n\r\n");
		piece(0, "piece", true);
		settle();
		pass(4 * IDLE_MS);
		assert_int_equal(the.line[0].n, 0);
		the.hold_commits = false;
		settle();
		settle();
		text = got(0);
		assert_memory_equal(text, "HTTP/1.1 200 OK\r\n", 17);
		assert_string_equal(text + strlen(text) - 5, "piece");
		assert_int_equal(svc.ends, k + 1);
	}
	assert_int_equal(the.count.timeout_send + the.count.timeout_idle, 0);
}

/* No slot is free: it waits as long as pushback-timeout and is told; a slot in time is used. */
static void test_busy(void **state)
{
	(void)state;
	svc.room = 1;
	for (unsigned k = 1; k <= 2; k++) {
		client(0);
		client(1);
		get(0);
		get(1);
		assert_int_equal(svc.asked, 2 * k - 1);
		pass(PUSHBACK_MS - LATE);
		assert_int_equal(the.line[1].n, 0);
		pass(3 * LATE);
		assert_true(strstr(got(1), "too many read-backs at once") != NULL);
		assert_int_equal(the.count.refused_busy, k);
		assert_true(TAILQ_EMPTY(&the.w->admin_slots.waiting) && !the.w->conns[1].claim.in);
		assert_int_equal(the.count.status[COUNTER_STATUS_503], k);
		get(1);
		pass(PUSHBACK_MS - 4 * LATE);
		piece(0, "x", true);
		settle();
		woken();
		assert_int_equal(svc.asked, 2 * k);
		pass(2 * PUSHBACK_MS);
		assert_int_equal(the.line[1].n, 0);
		piece(1, "y", true);
		settle();
		assert_string_equal(got(1), "y");
		leave(0);
		leave(1);
	}
	assert_int_equal(the.count.timeout_send, 0);
}

/* The reply to what was asked before leaves while it waits; then it is refused, or has its turn. */
static void test_busy_behind(void **state)
{
	(void)state;
	svc.room = 1;
	client(0);
	get(0);
	client(1);
	for (unsigned k = 1; k <= 2; k++) {
		the.line[1].hold = true;
		say(1, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\nGET /-/records/0-1 HTTP/1.1\r\nHost: h\r\n\r\n");
		settle();
		the.line[1].hold = false;
		turn();
		assert_int_equal(status(1), 200);
		pass(PUSHBACK_MS + 2 * LATE);
		assert_true(strstr(got(1), "too many read-backs at once") != NULL);
		assert_int_equal(the.count.refused_busy, k);
	}
	say(1, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\nGET /-/records/0-1 HTTP/1.1\r\nHost: h\r\n\r\n");
	settle();
	assert_int_equal(status(1), 200);
	piece(0, "x", true);
	settle();
	woken();
	piece(1, "y", true);
	settle();
	assert_string_equal(got(1), "y");
}

/* Who comes last is served first. */
static void test_newest(void **state)
{
	(void)state;
	svc.room = 1;
	for (uint32_t h = 0; h < 4; h++) {
		client(h);
		get(h);
	}
	for (uint32_t h = 0; h < 4; h++) {
		uint32_t next = h ? 4 - h : 0;

		piece(next, "x", true);
		settle();
		woken();
		assert_string_equal(got(next), "x");
	}
	assert_int_equal(svc.ends, 4);
}

/* A reader who has not taken his piece for half a second loses his slot to one who waits, and
 * only then; each that waits takes one. */
static void test_stalled(void **state)
{
	(void)state;
	svc.room = 2;
	for (uint32_t h = 0; h < 2; h++) {
		client(h);
		get(h);
		the.line[h].hold = true;
		piece(h, "x", false);
		pass(100);
	}
	pass(1000);				/* nobody waits */
	assert_false(gone_by_now(0) || gone_by_now(1));
	client(2);
	get(2);
	settle();
	assert_true(gone_by_now(0));
	assert_false(gone_by_now(1));
	assert_int_equal(the.count.timeout_send, 1);
	woken();
	assert_int_equal(svc.asked, 3);
	piece(2, "y", true);
	settle();
	assert_string_equal(got(2), "y");
	/* One who reads at a pace keeps it. */
	the.line[1].hold = false;
	turn();
	the.line[1].hold = true;
	client(3);
	get(3);
	assert_int_equal(svc.asked, 4);
	for (unsigned k = 0; k < 4; k++) {
		piece(1, "z", false);
		client(4 + k % 2);
		get(4 + k % 2);
		pass(ADMIN_STALL_MS - LATE);
		assert_false(gone_by_now(1) || gone_by_now(3));
		leave(4 + k % 2);
		the.line[1].hold = false;
		turn();
		the.line[1].hold = true;
	}
	assert_int_equal(the.count.timeout_send, 1);
	piece(1, "z", false);
	client(4);
	get(4);
	pass(ADMIN_STALL_MS - 10);
	assert_false(gone_by_now(1));
	pass(LATE);
	settle();
	assert_true(gone_by_now(1));
	assert_int_equal(the.count.timeout_send, 2);
}

/* Who takes nothing is cut off after write-timeout, whoever waits; the request is ended when the
 * ring has let go. */
static void test_write_timeout(void **state)
{
	(void)state;
	for (unsigned k = 1; k <= 2; k++) {
		client(0);
		get(0);
		the.line[0].hold = true;
		piece(0, "x", false);
		pass(WRITE_MS - LATE);
		assert_false(gone_by_now(0));
		assert_int_equal(svc.ends, k - 1);
		pass(3 * LATE);
		settle();
		assert_true(gone_by_now(0));
		assert_int_equal(svc.ends, k);
		assert_int_equal(the.count.timeout_send, k);
	}
}

/* Gone before the admin thread has made anything, while it waits for a slot, and with a piece on its
 * way: ended once, and nobody else's slot is lost. */
static void test_gone(void **state)
{
	(void)state;
	for (unsigned k = 1; k <= 3; k++) {
		svc.room = 1;
		client(0);
		get(0);
		client(1);
		get(1);
		leave(1);
		leave(0);
		assert_int_equal(svc.ends, 2 * k - 1);
		client(0);
		get(0);
		piece(0, "x", false);
		leave(0);
		assert_int_equal(svc.ends, 2 * k);
	}
	assert_int_equal(svc.asked, 6);
}

/* One of two whose pieces left in one turn is gone before it has read it: the other goes on. */
static void test_gone_in_flight(void **state)
{
	(void)state;
	for (unsigned k = 0; k < 2; k++) {
		for (uint32_t h = 0; h < 2; h++) {
			struct admin_req *r;

			client(h);
			get(h);
			the.line[h].hold = true;
			r = &svc.req[slot_of(h)];
			*r = (struct admin_req){ .conn = r->conn, .conn_gen = r->conn_gen, .data = "x", .len = 1,
				.status = 200 };
			svc.ready[r - svc.req] = true;
		}
		woken();
		assert_string_equal(got(0), "x");
		assert_string_equal(got(1), "x");
		the.line[1].hold = false;
		turn();
		leave(0);
		settle();
		assert_int_equal(the.line[1].n, 0);
		piece(1, "y", true);
		settle();
		assert_string_equal(got(1), "y");
		leave(1);
		assert_int_equal(svc.ends, 2 * k + 2);
	}
}

/* Readers leave a few at a time, so that a reply never waits for all of them. */
static void test_few_a_turn(void **state)
{
	unsigned sent = 0;

	(void)state;
	for (uint32_t h = 0; h < SLOTS; h++) {
		client(h);
		get(h);
	}
	for (uint32_t h = 0; h < SLOTS; h++) {
		struct admin_req *r = &svc.req[slot_of(h)];

		*r = (struct admin_req){ .conn = r->conn, .conn_gen = r->conn_gen, .data = "x", .len = 1,
			.last = true, .status = 200 };
		svc.ready[r - svc.req] = true;
	}
	woken();
	for (uint32_t h = 0; h < SLOTS; h++)
		sent += the.line[h].n > 0;
	assert_int_equal(sent, 4);
	assert_int_equal(the.asked_ms, 0);	/* there is more to send */
	turn();
	for (uint32_t h = 0; h < SLOTS; h++)
		assert_string_equal(got(h), "x");
}

/* A record's bytes waited for room in the pool, and go on when more input comes, before those that
 * wait have had their turn.  With a slot a connection waits for nothing else: it may be cut off
 * for another in the very turn of those. */
static void test_waits_no_more(void **state)
{
	(void)state;
	client(0);
	client(1);
	the.hold_commits = true;		/* a sync under way: who waits has no turn */
	say(0, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
	take_room(0);
	say(1, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n");
	assert_int_equal(the.w->conns[1].state, CONN_PIECE);
	assert_ptr_equal(the.w->conns[1].waits_in, &the.w->waitq);
	give_room();
	get(1);
	assert_int_equal(the.w->conns[1].state, CONN_ADMIN);
	assert_null(the.w->conns[1].waits_in);
	assert_true(TAILQ_EMPTY(&the.w->waitq));
	the.hold_commits = false;
	settle();
	piece(1, "x", true);
	settle();
	assert_string_equal(strstr(got(1), "}\n"), "}\nx");
}

#define T(test) cmocka_unit_test_setup_teardown(test, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_pieces), T(test_truncated), T(test_order), T(test_busy), T(test_busy_behind), T(test_newest), T(test_stalled),
		T(test_write_timeout), T(test_waits_no_more), T(test_gone), T(test_gone_in_flight), T(test_few_a_turn),
	};

	alarm(120);		/* a worker that does not come back */
	return cmocka_run_group_tests(tests, NULL, NULL);
}
