/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * paste_test.c - the module's core, driven directly: paste_test CASE, inside a virtual
 * machine that has it loaded (paste_core.py).  Exit status 0 and the word "ok" if it
 * passes; one line that says what is wrong if not.
 */
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <sys/timerfd.h>

#include "paste_dev.h"

static const struct ring_opts small = { .len = 256 * 4096, .nbufs = 256 };

/* ---- the interface ---- */

static void test_stream(int family)
{
	const uint8_t *reply = stream_at(0);
	struct paste_event e;
	uint64_t at = 0, sent = 0, got = 0;
	struct ring r;
	int fd[2];

	ring_open(&r, &small);
	stream(family, fd);
	put(fd[1], &sent, 1000);		/* before it is attached */
	attach(&r, 7, fd[0], 0, 0);
	equal(ring_sync(&r, 5000 * MS), 1, "SYNC");
	close(fd[0]);				/* the ring has its own reference */
	e = data(&r, 7, &at);
	equal(e.len, 1000, "the first bytes");
	equal(e.flags & 0xff, PASTE_F_COPIED, "flags");
	equal(PASTE_COPY_OF(e.flags), family == AF_UNIX ? PASTE_COPY_PROTOCOL : PASTE_COPY_OTHER, "why it is a copy");
	give(&r, e.buf);
	put(fd[1], &sent, 200000);
	read_all(&r, 7, &at, 200000);

	/* Three pieces of a group, one SENT. */
	send_cmd(&r, 7, reply, 10, PASTE_F_MORE);
	send_cmd(&r, 7, reply + 10, 0, PASTE_F_MORE);
	send_cmd(&r, 7, reply + 10, 90, 0);
	e = expect(&r, PASTE_EV_SENT, 7);
	equal(e.res, 100, "SENT");
	for (; got < 100; got++) {
		uint8_t b;

		must(read(fd[1], &b, 1) == 1 && b == nth(got), "byte %llu of the reply", (unsigned long long)got);
	}
	op(&r, PASTE_OP_SHUTDOWN, 7);
	expect_none(&r, 0);
	equal(read(fd[1], &got, 1), 0, "end of the stream after SHUTDOWN");
	put(fd[1], &sent, 5);
	close(fd[1]);
	read_all(&r, 7, &at, 5);
	expect(&r, PASTE_EV_EOF, 7);
	op(&r, PASTE_OP_DETACH, 7);
	expect(&r, PASTE_EV_DETACHED, 7);
	expect_none(&r, 20 * MS);
	equal(stats_of(&r).connections, 0, "connections");
	equal(stats_of(&r).copied_bytes, at, "copied");
	equal(stats_of(&r).copied_by[family == AF_UNIX ? PASTE_COPY_PROTOCOL : PASTE_COPY_OTHER], at, "copied, by its reason");
	ring_close(&r);
}

/* A process that was built with a shorter struct, or with a longer one. */
static void stats_grow(void)
{
	struct {
		struct paste_stats s;
		uint64_t more[2];
	} got;
	const unsigned int old = offsetof(struct paste_stats, copied_by);
	struct ring r;

	ring_open(&r, &small);
	expect_none(&r, 0);
	memset(&got, 0xaa, sizeof(got));
	must(!ioctl(r.fd, _IOC(_IOC_READ, 'P', 0x84, old), &got), "the struct of version 1");
	equal(got.s.syncs, 1, "syncs");
	equal(got.s.copied_by[0], 0xaaaaaaaaaaaaaaaall, "behind the struct");
	must(!ioctl(r.fd, _IOC(_IOC_READ, 'P', 0x84, sizeof(got)), &got), "a longer struct");
	equal(got.s.copied_by[0] + got.more[0] + got.more[1], 0, "what the kernel does not know");
	ring_close(&r);
}

static void tcp4(void)
{
	test_stream(AF_INET);
}

static void tcp6(void)
{
	test_stream(AF_INET6);
}

static void unix_stream(void)
{
	test_stream(AF_UNIX);
}

static int timer_of(long ns)
{
	struct itimerspec as_long = { .it_value.tv_nsec = ns };
	int timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK);

	must(timer >= 0 && !timerfd_settime(timer, 0, &as_long, NULL), "a timer");
	return timer;
}

/* By the clock: on a busy host its interrupt, which SYNC does not wait for, comes later. */
static void ended(int timer)
{
	struct itimerspec left;

	must(!timerfd_gettime(timer, &left), "timerfd_gettime");
	must(!left.it_value.tv_sec && !left.it_value.tv_nsec, "SYNC came back before its time");
	close(timer);
}

static int ring_spin(struct ring *r, int64_t timeout_ns, uint32_t spin_us)
{
	struct paste_sync s = { .timeout_ns = timeout_ns, .spin_us = spin_us };

	__atomic_store_n(&r->shared->ev_head.v, r->head, __ATOMIC_RELEASE);
	return ioctl(r->fd, PASTE_IOC_SYNC, &s);
}

static void *wake_later(void *arg)
{
	struct ring *r = arg;

	usleep(100000);
	must(!ioctl(r->fd, PASTE_IOC_WAKE), "WAKE");
	return NULL;
}

static void *put_later(void *arg)
{
	uint64_t sent = 0;

	usleep(50000);
	put(*(int *)arg, &sent, 100);
	return NULL;
}

/* Busy polling: it looks for as long as it is told, and sleeps only after that. */
static void spinning(void)
{
	uint64_t at = 0;
	struct ring r;
	pthread_t t;
	int fd[2], timer;

	ring_open(&r, &small);
	stream(AF_INET, fd);
	attach(&r, 0, fd[0], 0, 0);
	pthread_create(&t, NULL, put_later, &fd[1]);
	equal(ring_spin(&r, -1, 10000000), 1, "data while it looks");
	data(&r, 0, &at);
	pthread_join(t, NULL);
	pthread_create(&t, NULL, wake_later, &r);
	equal(ring_spin(&r, -1, 10000000), 1, "WAKE while it looks");
	expect(&r, PASTE_EV_WOKEN, 0);
	pthread_join(t, NULL);
	timer = timer_of(30 * MS);
	equal(ring_spin(&r, 30 * MS, 10000000), 0, "the timeout while it looks");
	ended(timer);
	equal(stats_of(&r).sleeps, 0, "sleeps");
	timer = timer_of(50 * MS);
	equal(ring_spin(&r, 50 * MS, 1000), 0, "the timeout after it has looked");
	ended(timer);
	equal(stats_of(&r).sleeps, 1, "sleeps");
	ring_close(&r);
}

/* Many small packets of one walk share a buffer. */
static void packing(void)
{
	uint64_t at = 0, sent = 0;
	int fd[2], one = 1;
	struct paste_event e;
	struct ring r;

	ring_open(&r, &small);
	stream(AF_INET, fd);
	setsockopt(fd[1], IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	for (int i = 0; i < 100; i++)
		put(fd[1], &sent, 50);
	usleep(50000);
	attach(&r, 0, fd[0], 0, 0);
	e = data(&r, 0, &at);
	equal(e.len, 4096, "a full buffer");
	e = data(&r, 0, &at);
	equal(e.len, 5000 - 4096, "the rest");
	ring_close(&r);
}

static void listener(void)
{
	struct sockaddr_storage a;
	struct ring r;
	int c[3], got = 0, l;
	socklen_t n;

	ring_open(&r, &small);
	l = listen_on(AF_INET, &a, &n);
	fcntl(l, F_SETFL, O_NONBLOCK);
	attach(&r, 1, l, 0, PASTE_F_LISTEN);
	expect_none(&r, 20 * MS);
	c[0] = connect_to(&a, n);
	expect(&r, PASTE_EV_ACCEPT, 1);
	while (accept(l, NULL, NULL) >= 0)
		got++;
	op(&r, PASTE_OP_PAUSE, 1);
	expect_none(&r, 0);
	c[1] = connect_to(&a, n);
	c[2] = connect_to(&a, n);
	expect_none(&r, 20 * MS);
	op(&r, PASTE_OP_RESUME, 1);
	expect(&r, PASTE_EV_ACCEPT, 1);
	while (accept(l, NULL, NULL) >= 0)
		got++;
	equal(got, 3, "accepted");
	expect_none(&r, 20 * MS);
	for (int i = 0; i < 3; i++)
		close(c[i]);
	ring_close(&r);
}

static void wake_and_time(void)
{
	struct pollfd p;
	struct ring r;
	pthread_t t;
	int timer;

	ring_open(&r, &small);
	timer = timer_of(50 * MS);
	expect_none(&r, 50 * MS);
	ended(timer);
	pthread_create(&t, NULL, wake_later, &r);
	equal(ring_sync(&r, -1), 1, "SYNC without a limit");
	expect(&r, PASTE_EV_WOKEN, 0);
	pthread_join(t, NULL);
	for (int i = 0; i < 3; i++)
		must(!ioctl(r.fd, PASTE_IOC_WAKE), "WAKE");
	p = (struct pollfd){ .fd = r.fd, .events = POLLIN };
	equal(poll(&p, 1, 0), 1, "poll after WAKE");
	expect(&r, PASTE_EV_WOKEN, 0);
	expect_none(&r, 0);
	equal(poll(&p, 1, 0), 0, "poll when all is read");
	ring_close(&r);
}

/* poll() on the ring, in place of a wait in SYNC. */
static void polled(void)
{
	uint64_t at = 0, sent = 0;
	struct pollfd p;
	struct ring r;
	int fd[2];

	ring_open(&r, &small);
	stream(AF_INET, fd);
	attach(&r, 0, fd[0], 0, 0);
	expect_none(&r, 0);
	p = (struct pollfd){ .fd = r.fd, .events = POLLIN };
	equal(poll(&p, 1, 20), 0, "poll");
	put(fd[1], &sent, 10);
	equal(poll(&p, 1, 5000), 1, "poll");
	equal(ring_sync(&r, 0), 1, "SYNC");
	equal(poll(&p, 1, 0), 1, "poll while an event stands");
	data(&r, 0, &at);
	ring_sync(&r, 0);
	equal(poll(&p, 1, 0), 0, "poll");
	ring_close(&r);
}

static void quota(void)
{
	uint64_t at = 0, sent = 0;
	struct paste_event e[3];
	struct ring r;
	int fd[2];

	ring_open(&r, &small);
	stream(AF_INET, fd);
	attach(&r, 0, fd[0], 3, 0);
	put(fd[1], &sent, 10 * 4096);
	usleep(50000);
	for (int i = 0; i < 3; i++)
		e[i] = data(&r, 0, &at);
	expect_none(&r, 50 * MS);
	must(stats_of(&r).over_quota >= 1, "over_quota");
	give(&r, e[1].buf);
	e[1] = data(&r, 0, &at);
	expect_none(&r, 50 * MS);
	for (int i = 0; i < 3; i++)
		give(&r, e[i].buf);
	read_all(&r, 0, &at, sent - at);
	op(&r, PASTE_OP_PAUSE, 0);
	expect_none(&r, 0);
	put(fd[1], &sent, 100);
	expect_none(&r, 50 * MS);
	op(&r, PASTE_OP_RESUME, 0);
	read_all(&r, 0, &at, 100);
	ring_close(&r);
}

/* A short SEND, and WRITABLE when the peer reads. */
static void short_send(int family)
{
	const size_t size = 32 << 20;
	uint8_t *much = memory(size), in[1 << 16];
	uint64_t got = 0, sent = 0;
	struct paste_event e;
	struct ring r;
	int fd[2];

	for (size_t i = 0; i < size; i += 4096)
		memcpy(much + i, stream_at(i), 4096);
	ring_open(&r, &small);
	stream(family, fd);
	attach(&r, 0, fd[0], 0, 0);
	send_cmd(&r, 0, much, size, 0);
	e = expect(&r, PASTE_EV_SENT, 0);
	must(e.res > 0 && e.res < (int)size, "a short one: %d", e.res);
	sent = (uint64_t)e.res;
	expect_none(&r, 20 * MS);
	while (got < size) {
		ssize_t n = recv(fd[1], in, sizeof(in), MSG_DONTWAIT);

		if (n > 0) {
			must(!memcmp(in, much + got, (size_t)n), "bytes from %llu", (unsigned long long)got);
			got += (uint64_t)n;
		}
		if (ring_sync(&r, n > 0 ? 0 : 10 * MS) > 0) {
			expect(&r, PASTE_EV_WRITABLE, 0);
			send_cmd(&r, 0, much + sent, size - sent, 0);
			e = expect(&r, PASTE_EV_SENT, 0);
			must(e.res >= 0, "SENT %d", e.res);
			sent += (uint64_t)e.res;
		}
	}
	equal(sent, size, "sent");
	must(stats_of(&r).short_sends > 0, "short_sends");
	ring_close(&r);
}

static void short_tcp(void)
{
	short_send(AF_INET);
}

static void short_unix(void)
{
	short_send(AF_UNIX);
}

/* That there is nowhere to put what was received does not keep WRITABLE back. */
static void writable_when_stalled(void)
{
	const size_t size = 32 << 20;
	uint64_t at = 0, in = 0, got = 0;
	uint8_t *much = memory(size), drain[65536];
	struct paste_event e;
	struct ring r;
	int fd[2];

	ring_open(&r, &(struct ring_opts){ .len = 4096, .nbufs = 1 });
	stream(AF_INET, fd);
	attach(&r, 0, fd[0], 0, 0);
	put(fd[1], &in, 10000);
	e = data(&r, 0, &at);
	expect_none(&r, 20 * MS);
	send_cmd(&r, 0, much, size, 0);
	got = (uint64_t)expect(&r, PASTE_EV_SENT, 0).res;
	must(got > 0 && got < size, "a short one");
	expect_none(&r, 20 * MS);
	while (got) {
		ssize_t n = recv(fd[1], drain, sizeof(drain), 0);

		must(n > 0, "recv");
		got -= (uint64_t)n;
	}
	expect(&r, PASTE_EV_WRITABLE, 0);
	give(&r, e.buf);
	read_all(&r, 0, &at, in - at);
	ring_close(&r);
}

const struct test interface_tests[] = {
	TEST(stats_grow), TEST(spinning), TEST(tcp4), TEST(tcp6), TEST(unix_stream), TEST(packing), TEST(listener), TEST(wake_and_time),
	TEST(polled), TEST(quota), TEST(short_tcp), TEST(short_unix), TEST(writable_when_stalled), { NULL, NULL }
};

/* From here on this process's allocations in the kernel fail, as failslab was told. */
static void fail_allocations(void)
{
	int fd = open("/proc/self/make-it-fail", O_WRONLY);

	must(fd >= 0 && write(fd, "1", 1) == 1, "make-it-fail");
	close(fd);
}

int main(int argc, char **argv)
{
	const struct test *all[] = { interface_tests, row_tests, sock_tests, tun_tests };

	if (getenv("PASTE_TEST_FAIL"))
		fail_allocations();
	signal(SIGPIPE, SIG_IGN);
	for (unsigned i = 0; argc == 2 && i < sizeof(all) / sizeof(*all); i++)
		for (const struct test *t = all[i]; t->name; t++)
			if (!strcmp(t->name, argv[1])) {
				t->run();
				printf("ok\n");
				return 0;
			}
	fprintf(stderr, "paste_test CASE\n");
	return 2;
}
