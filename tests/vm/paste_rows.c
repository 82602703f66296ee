/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * paste_rows.c - what must never happen, on ordinary sockets: rows of the design's table
 * (the numbers are its), and what else a process may do to a ring.
 */
#include <linux/sockios.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/syscall.h>

#include "paste_dev.h"

static const struct ring_opts small = { .len = 256 * 4096, .nbufs = 256 };

static unsigned below(unsigned n)	/* a random number */
{
	return (unsigned)random() % n;
}

/* ---- row 1 ---- */

/* As much as the peer's socket takes while nobody reads; then nothing moves any more. */
static void stuff(struct ring *r, int fd, uint64_t *sent)
{
	unsigned quiet = 0;

	while (quiet < 30) {
		ssize_t n = send(fd, stream_at(*sent), 65536, MSG_DONTWAIT | MSG_NOSIGNAL);

		quiet = n > 0 ? 0 : quiet + 1;
		*sent += n > 0 ? (uint64_t)n : 0;
		must(ring_sync(r, 0) >= 0, "SYNC");
		if (n <= 0)
			usleep(10000);
		must(*sent < 64 << 20, "the window does not close");
	}
}

static uint64_t acked(int fd, uint64_t sent)
{
	int unacked;

	must(!ioctl(fd, SIOCOUTQ, &unacked), "SIOCOUTQ");
	must(unacked > 0, "everything was acknowledged, and nobody reads");
	return sent - (uint64_t)unacked;
}

/* Reading stops for one reason or another; it goes on, and nothing is lost. */
static void stop_reading(const struct ring_opts *o, uint32_t quota)
{
	int fd[2], size = 100000;
	uint64_t at = 0, sent = 0, before;
	struct ring r;

	ring_open(&r, o);
	stream(AF_INET, fd);
	setsockopt(fd[0], SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	attach(&r, 0, fd[0], quota, 0);
	stuff(&r, fd[1], &sent);
	before = acked(fd[1], sent);
	must(before <= 64ull * 4096 + 2u * (unsigned)size, "%llu bytes were acknowledged",
	     (unsigned long long)before);
	usleep(300000);
	equal(acked(fd[1], sent), before, "acknowledged while nothing is read");
	read_all(&r, 0, &at, sent);
	put(fd[1], &sent, 100000);
	read_all(&r, 0, &at, 100000);
	close(fd[1]);
	expect(&r, PASTE_EV_EOF, 0);
	ring_close(&r);
}

static void row1(void)
{
	stop_reading(&(struct ring_opts){ .len = 64 * 4096, .nbufs = 64, .entries = 128 }, 0);
	stop_reading(&(struct ring_opts){ .len = 64 * 4096, .nbufs = 64, .entries = 8 }, 0);
	stop_reading(&(struct ring_opts){ .len = 256 * 4096, .nbufs = 256, .entries = 512 }, 10);
	stop_reading(&(struct ring_opts){ .len = 4096, .nbufs = 2, .buf_size = 2048 }, 0);
}

/* Many connections and few buffers: everyone gets on, none starves. */
static void fair(void)
{
	enum { CONNS = 40 };
	uint64_t at[CONNS] = { 0 }, sent[CONNS] = { 0 }, total = 0;
	int fd[CONNS][2];
	struct ring r;

	ring_open(&r, &(struct ring_opts){ .len = 8 * 4096, .nbufs = 8, .entries = 64 });
	for (unsigned i = 0; i < CONNS; i++) {
		stream(AF_INET, fd[i]);
		attach(&r, i, fd[i][0], 0, 0);
		put(fd[i][1], &sent[i], 50000);
	}
	while (total < 50000ull * CONNS) {
		struct paste_event e = event(&r);

		equal(e.kind, PASTE_EV_DATA, "the event");
		must(!memcmp(bytes_of(&r, &e), stream_at(at[e.conn]), e.len), "bytes of %u", e.conn);
		at[e.conn] += e.len;
		total += e.len;
		give(&r, e.buf);
	}
	must(stats_of(&r).no_buffer > 0, "it never ran out of buffers");
	expect_none(&r, 20 * MS);
	ring_close(&r);
}

/* While everything that could be done is done, SYNC sleeps: no spinning. */
static void no_spinning(void)
{
	struct paste_stats s;
	int fd[2];
	uint64_t at = 0, sent = 0;
	uint64_t slept;
	struct ring r;

	ring_open(&r, &(struct ring_opts){ .len = 4 * 4096, .nbufs = 4 });
	stream(AF_INET, fd);
	attach(&r, 0, fd[0], 0, 0);
	put(fd[1], &sent, 50000);
	for (int i = 0; i < 4; i++)
		data(&r, 0, &at);
	slept = stats_of(&r).sleeps;
	expect_none(&r, 500 * MS);
	s = stats_of(&r);
	must(s.sleeps > slept, "SYNC used the CPU all the time");
	must(s.sleeps < 30, "%llu sleeps", (unsigned long long)s.sleeps);
	ring_close(&r);
}

/* ---- row 2 ---- */

/* From a file, without a copy on this side: packets whose pages are the file's. */
static void send_much(int fd, uint64_t n)
{
	const size_t size = 4 * PERIOD;
	int file = memfd_create("stream", MFD_CLOEXEC);

	must(file >= 0 && write(file, stream_at(0), size) == (ssize_t)size, "memfd_create");
	while (n) {
		off_t at = 0;

		while ((size_t)at < size && n) {
			ssize_t did = sendfile(fd, file, &at, n < size - (size_t)at ? (size_t)n : size - (size_t)at);

			must(did > 0, "sendfile");
			n -= (uint64_t)did;
		}
	}
	_exit(0);
}

static void row2(void)
{
	const uint64_t much = (4ull << 30) + (300 << 20);
	uint64_t at = 0;
	struct ring r;
	int fd[2];

	ring_open(&r, &(struct ring_opts){ .len = 1024 * 4096, .nbufs = 1024, .entries = 1024 });
	stream(AF_INET, fd);
	stream_at(0);
	if (!fork())
		send_much(fd[1], much);
	close(fd[1]);
	attach(&r, 0, fd[0], 0, 0);
	read_all(&r, 0, &at, much);
	expect(&r, PASTE_EV_EOF, 0);
	equal(stats_of(&r).bytes, much, "bytes");
	ring_close(&r);
	wait(NULL);
}

/* ---- row 7 ---- */

static unsigned open_files(void)
{
	char name[64], line[256];
	unsigned n = 0, sockets = 0;
	FILE *f = fopen("/proc/net/sockstat", "r");

	must(f && fgets(line, sizeof(line), f) && sscanf(line, "sockets: used %u", &sockets) == 1, "sockstat");
	fclose(f);
	for (int i = 0; i < 1024; i++) {
		snprintf(name, sizeof(name), "/proc/self/fd/%d", i);
		n += !access(name, F_OK);
	}
	return n + sockets;
}

static void reset(int fd)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(fd);
}

/* Ends of all kinds, again and again: each is told, and no file is left over. */
static void row7_ends(void)
{
	unsigned before = open_files(), after = 0;
	struct ring r;

	ring_open(&r, &small);
	for (unsigned i = 0; i < 300; i++) {
		uint64_t at = 0, sent = 0;
		int fd[2];

		stream(i % 3 ? AF_INET : AF_UNIX, fd);
		attach(&r, i % 64, fd[0], 0, 0);
		put(fd[1], &sent, 1 + below(9000));
		if (i % 3 != 1)
			close(fd[1]);
		read_all(&r, i % 64, &at, sent);
		if (i % 3 == 1) {
			reset(fd[1]);
			equal(expect(&r, PASTE_EV_ERR, i % 64).res, -ECONNRESET, "ERR");
		} else {
			expect(&r, PASTE_EV_EOF, i % 64);
		}
		close(fd[0]);
		if (i % 2) {		/* else the last reference is the ring's */
			op(&r, PASTE_OP_DETACH, i % 64);
			expect(&r, PASTE_EV_DETACHED, i % 64);
		} else {
			op(&r, PASTE_OP_DETACH, i % 64);
			equal(ring_sync(&r, 0), 1, "SYNC");
			expect(&r, PASTE_EV_DETACHED, i % 64);
		}
		expect_none(&r, 0);
	}
	equal(stats_of(&r).connections, 0, "connections");
	ring_close(&r);
	for (int i = 0; i < 100 && (after = open_files()) > before; i++)
		usleep(20000);
	equal(after, before, "open files and sockets");
}

/* ---- row 8 ---- */

struct scribbler {
	struct ring *r;
	volatile bool stop, hold, held;
};

/* Nothing is scribbled until it is let go again: what was written stays. */
static void hold(struct scribbler *s, bool on)
{
	s->hold = on;
	while (on && !s->held)
		sched_yield();
}

static void *scribble(void *arg)
{
	struct scribbler *s = arg;
	uint32_t seed = 1;

	while (!s->stop) {
		s->held = s->hold;
		if (s->held) {
			sched_yield();
			continue;
		}
		uint32_t *shared = (uint32_t *)s->r->shared, *mem = (uint32_t *)s->r->mem;

		for (int i = 0; i < 200; i++) {
			seed = seed * 1664525 + 1013904223;
			/* The indices most of all; values near each other most of all. */
			shared[(seed >> 8) % (seed & 1 ? 96 : s->r->s.map_bytes / 4)] =
				seed & 2 ? (seed >> 16) % 64 : seed * 2654435761u;
			mem[(seed >> 4) % (s->r->s.len / 4)] = seed;
		}
		sched_yield();
	}
	return NULL;
}

/* The kernel's indices as last published, before they were scribbled over. */
struct told {
	uint32_t ev_tail, cmd_head, rel_head;
};

static void told_indices(const struct ring *r, struct told *t)
{
	*t = (struct told){ r->shared->ev_tail.v, r->shared->cmd_head.v, r->shared->rel_head.v };
}

static void legal_indices(struct ring *r, const struct told *t)
{
	r->shared->ev_head.v = t->ev_tail;
	r->shared->cmd_tail.v = t->cmd_head + 8;	/* never behind what was accepted before */
	r->shared->rel_tail.v = t->rel_head + below(64);
}

static void row8(void)
{
	static const struct ring_opts o = { .len = 64 * 4096, .nbufs = 64, .conns = 8 };
	unsigned ok = 0, invalid = 0;
	double end = now() + 4;

	while (now() < end || ok <= 100 || invalid <= 100) {
		struct scribbler s = { .stop = false };
		struct told told = { .ev_tail = 1 };
		uint64_t sent = 0;
		struct ring r;
		pthread_t t;
		int fd[2];

		ring_open(&r, &o);
		stream(AF_INET, fd);
		attach(&r, 0, fd[0], 0, 0);
		expect_none(&r, 0);
		told_indices(&r, &told);
		s.r = &r;
		pthread_create(&t, NULL, scribble, &s);
		for (int i = 0; i < 200; i++) {
			struct paste_sync a = { .timeout_ns = i % 16 ? 0 : 100000 };

			if (sent < 50000)
				put(fd[1], &sent, 100);
			/* Now and then the indices are legal ones; the entries are not. */
			hold(&s, !(i % 8));
			if (s.hold)
				legal_indices(&r, &told);
			if (ioctl(r.fd, PASTE_IOC_SYNC, &a) >= 0)
				ok++;
			else if (errno == EINVAL)
				invalid++;
			else
				die("SYNC over scribbled rings");
			if (s.hold)
				told_indices(&r, &told);
		}
		s.stop = true;
		pthread_join(t, NULL);
		ring_close(&r);
		close(fd[0]);
		close(fd[1]);
	}
	printf("%u SYNCs went through, %u were refused\n", ok, invalid);
}

/* ---- row 10 ---- */

/* One process: connections that come, are sent on, and go, from both sides at a time. */
struct churn {
	int fd[16];
	pthread_mutex_t lock;
	volatile bool stop;
};

static void *closer(void *arg)
{
	struct churn *c = arg;

	while (!c->stop) {
		unsigned i = below(16);
		int fd;

		pthread_mutex_lock(&c->lock);
		fd = c->fd[i];
		c->fd[i] = -1;
		pthread_mutex_unlock(&c->lock);
		if (fd >= 0 && i & 1)
			reset(fd);
		else if (fd >= 0)
			close(fd);
		usleep(below(300));
	}
	return NULL;
}

static void churn(unsigned who, double end)
{
	struct churn c = { .lock = PTHREAD_MUTEX_INITIALIZER };
	bool attached[16] = { false };
	unsigned rounds = 0;
	struct paste_event e;
	struct ring r;
	pthread_t t;

	srandom(who);
	ring_open(&r, &small);
	for (int i = 0; i < 16; i++)
		c.fd[i] = -1;
	pthread_create(&t, NULL, closer, &c);
	for (; now() < end || rounds < 60; rounds++) {
		unsigned i = below(16);
		int fd[2];

		if (!attached[i]) {
			stream(AF_INET, fd);
			pthread_mutex_lock(&c.lock);
			if (c.fd[i] >= 0)
				close(c.fd[i]);
			c.fd[i] = fd[1];
			pthread_mutex_unlock(&c.lock);
			attach(&r, i, fd[0], 0, 0);
			attached[i] = true;
			must(ring_sync(&r, 0) >= 0, "SYNC");
			close(fd[0]);
			/* Each process sends itself its own number only. */
			send(fd[1], (uint8_t[64]){ (uint8_t)who }, 1, MSG_NOSIGNAL | MSG_DONTWAIT);
		}
		send_cmd(&r, i, stream_at(0), 1 + below(200000), 0);
		if (!below(4)) {
			op(&r, PASTE_OP_DETACH, i);
			attached[i] = false;
		}
		must(ring_sync(&r, 0) >= 0, "SYNC");
		while (ring_next(&r, &e)) {
			if (e.kind != PASTE_EV_DATA)
				continue;
			equal(*bytes_of(&r, &e), who, "a byte of another process");
			give(&r, e.buf);
		}
	}
	c.stop = true;
	pthread_join(t, NULL);
	must(rounds > 50, "%u rounds", rounds);
	if (!below(2))
		ring_close(&r);
	exit(0);
}

static void row10(void)
{
	double end = now() + 5;
	int status;

	for (unsigned i = 1; i <= 3; i++)
		if (!fork())
			churn(i, end);
	for (int i = 0; i < 3; i++) {
		must(wait(&status) > 0, "wait");
		equal(status, 0, "a process's status");
	}
}

/* ---- row 11 ---- */

static void refused(struct ring *r, struct paste_command c, int err)
{
	struct paste_event e;

	command(r, c);
	e = expect(r, PASTE_EV_REFUSED, c.conn);
	equal(e.len, c.op, "the refused command");
	equal(e.res, -err, "why command %u of %u is refused", c.op, c.conn);
}

static void row11_commands(void)
{
	struct sockaddr_storage a;
	uint64_t at = 0, sent = 0;
	socklen_t n;
	struct ring r;
	int fd[2], l = listen_on(AF_INET, &a, &n), udp = socket(AF_INET, SOCK_DGRAM, 0), file;

	ring_open(&r, &small);
	stream(AF_INET, fd);
	file = open("/dev/null", O_RDWR);
#define ATTACH(c, what, f) \
	((struct paste_command){ .op = PASTE_OP_ATTACH, .conn = c, .arg = (uint32_t)(what), .flags = f })
	refused(&r, ATTACH(64, fd[0], 0), EINVAL);
	refused(&r, ATTACH(UINT32_MAX, fd[0], 0), EINVAL);
	refused(&r, ATTACH(0, 1000, 0), EBADF);
	refused(&r, ATTACH(0, -1, 0), EBADF);
	refused(&r, ATTACH(0, file, 0), ENOTSOCK);
	refused(&r, ATTACH(0, r.fd, 0), ENOTSOCK);
	refused(&r, ATTACH(0, udp, 0), ESOCKTNOSUPPORT);
	refused(&r, ATTACH(0, l, 0), EINVAL);
	refused(&r, ATTACH(0, fd[0], PASTE_F_LISTEN), EINVAL);
	refused(&r, ATTACH(0, fd[0], 0x80), EINVAL);
	attach(&r, 0, fd[0], 0, 0);
	refused(&r, ATTACH(0, fd[0], 0), EEXIST);
	for (int what = 0; what < 70000; what += what < 16 ? 1 : 997) {
		if (what != PASTE_OP_ATTACH)
			refused(&r, (struct paste_command){ .op = (uint16_t)what, .conn = 1 }, ENOENT);
		if (what == 0 || what > PASTE_OP_SHUTDOWN)
			refused(&r, (struct paste_command){ .op = (uint16_t)what, .conn = 0 }, EINVAL);
	}
	for (unsigned i = 0; i < 6; i++) {
		static const uint64_t addr[] = { 0, 4096, 0xffff888000000000ull, ~0ull, 0x7ffffffff000ull, 1ull << 62 };

		send_cmd(&r, 0, (void *)addr[i], 8192, 0);
		equal(expect(&r, PASTE_EV_SENT, 0).res, -EFAULT, "a SEND from there");
	}
	send_cmd(&r, 0, stream_at(0), UINT32_MAX, 0);
	must(expect(&r, PASTE_EV_SENT, 0).res < 0, "a SEND of 4 GiB");
	/* A group whose last part is missing, or another's, ends where it ends. */
	send_cmd(&r, 0, stream_at(0), 10, PASTE_F_MORE);
	equal(expect(&r, PASTE_EV_SENT, 0).res, 10, "SENT");
	send_cmd(&r, 0, stream_at(0), 10, PASTE_F_MORE);
	op(&r, PASTE_OP_PAUSE, 0);
	equal(expect(&r, PASTE_EV_SENT, 0).res, 10, "SENT");
	op(&r, PASTE_OP_RESUME, 0);
	for (int i = 0; i < 50; i++)
		send_cmd(&r, 0, stream_at(0), 3, i < 49 ? PASTE_F_MORE : 0);
	equal(expect(&r, PASTE_EV_SENT, 0).res, 150, "a group of 50");
	put(fd[1], &sent, 1000);
	read_all(&r, 0, &at, 1000);
	ring_close(&r);
}

static void row11_releases(void)
{
	static const uint32_t bad[] = { 256, 257, UINT32_MAX, 0x80000000u, 255 + 0x10000 };
	uint64_t at = 0, sent = 0, before;
	struct paste_event e;
	struct ring r;
	int fd[2];

	ring_open(&r, &small);
	stream(AF_INET, fd);
	attach(&r, 0, fd[0], 0, 0);
	put(fd[1], &sent, 100);
	e = data(&r, 0, &at);
	equal(stats_of(&r).bad_releases, 0, "bad_releases");
	for (unsigned i = 0; i < 5; i++)
		give(&r, bad[i]);
	give(&r, e.buf);
	give(&r, e.buf);
	give(&r, e.buf ^ 1);		/* the kernel's: all were given */
	expect_none(&r, 0);
	equal(stats_of(&r).bad_releases, 7, "bad_releases");
	equal(stats_of(&r).buffers_kernel, 256, "buffers_kernel");
	/* Twice given is once there: the same number of buffers still. */
	put(fd[1], &sent, 300 * 4096);
	before = at;
	for (int i = 0; i < 256; i++)
		data(&r, 0, &at);
	expect_none(&r, 20 * MS);
	must(at > before, "nothing came");
	ring_close(&r);
}

static void row11_indices(void)
{
	uint64_t at = 0, sent = 0;
	struct paste_stats before;
	struct ring r;
	int fd[2];

	ring_open(&r, &small);
	stream(AF_INET, fd);
	attach(&r, 0, fd[0], 0, 0);
	put(fd[1], &sent, 1000);
	data(&r, 0, &at);
	expect_none(&r, 0);		/* the kernel has seen how far we are */
	before = stats_of(&r);
	for (unsigned i = 0; i < 200; i++) {
		struct paste_index *x[] = { &r.shared->ev_head, &r.shared->cmd_tail, &r.shared->rel_tail };
		uint32_t *v = &x[i % 3]->v, was = *v;
		uint32_t over = i % 3 == 0 ? 1 : i % 3 == 1 ? 65 : 4097;	/* the first illegal one */
		struct paste_sync s = { .timeout_ns = 0 };

		if (i % 3 == 0)
			was = r.head;
		__atomic_store_n(&r.shared->ev_head.v, r.head, __ATOMIC_RELEASE);
		*v = i < 3 ? was + over : i < 6 ? was - 1 : was + over + (uint32_t)random() % (UINT32_MAX - over);
		must(ioctl(r.fd, PASTE_IOC_SYNC, &s) == -1 && errno == EINVAL, "index %u as %u (was %u)", i % 3, *v, was);
		*v = was;
	}
	equal(stats_of(&r).releases, before.releases, "releases");
	equal(stats_of(&r).commands, before.commands, "commands");
	/* What the kernel writes it does not read. */
	r.shared->ev_tail.v += 12345;
	r.shared->cmd_head.v = 0x55555555;
	r.shared->rel_head.v = ~0u;
	put(fd[1], &sent, 1000);
	equal(ring_sync(&r, 1000 * MS), 1, "SYNC");
	data(&r, 0, &at);
	ring_close(&r);
}

static void setup_fails_on(int fd, const struct ring_opts *o, int err)
{
	struct paste_setup s = ring_setup_of(o, memory(o->len));

	equal(ioctl(fd, PASTE_IOC_SETUP, &s), -1, "SETUP");
	equal(errno, err, "its errno");
}

static void setup_fails(const struct ring_opts *o, uint8_t *mem, int err, void (*change)(struct paste_setup *))
{
	struct paste_setup s = ring_setup_of(o, mem);
	int fd = open(PASTE_DEVICE, O_RDWR);

	if (change)
		change(&s);
	errno = 0;
	if (ioctl(fd, PASTE_IOC_SETUP, &s) != -1 || errno != err)
		die("SETUP should have failed with %s", strerror(err));
	close(fd);
}

#define CHANGE(name, ...) static void name(struct paste_setup *s) { __VA_ARGS__; }
CHANGE(bad_abi, s->abi = 2)
CHANGE(bad_resv, s->resv = 1)
CHANGE(bad_size, s->buf_size = 1024)
CHANGE(bad_zero_size, s->buf_size = 0)
CHANGE(bad_addr, s->addr += 8)
CHANGE(bad_len, s->len += 8)
CHANGE(no_len, s->len = 0)
CHANGE(wrap, s->addr = ~0ull << 12)
CHANGE(kernel_addr, s->addr = 0xffff888000000000ull)
CHANGE(no_bufs, s->nbufs = 0)
CHANGE(many_bufs, s->nbufs++)
CHANGE(wild_bufs, s->first_buf = UINT32_MAX)
CHANGE(no_conns, s->conns_max = 0)
CHANGE(many_conns, s->conns_max = (1 << 20) + 1)
CHANGE(odd_entries, s->ev_entries = 24)
CHANGE(few_entries, s->cmd_entries = 4)
CHANGE(many_entries, s->rel_entries = 1 << 21)
CHANGE(no_entries, s->ev_entries = 0)

static void row11_setup(void)
{
	static void (*const wrong[])(struct paste_setup *) = {
		bad_abi, bad_resv, bad_size, bad_zero_size, bad_addr, bad_len, no_len, wrap, no_bufs, many_bufs,
		wild_bufs, no_conns, many_conns, odd_entries, few_entries, many_entries, no_entries };
	struct ring_opts o = small;
	struct paste_sync sync = { .timeout_ns = 0 };
	struct paste_source src = { .kind = 9 };
	struct ring r, half[2], other;
	int fd;

	o.mem = memory(o.len);
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(*wrong); i++)
		setup_fails(&o, o.mem, EINVAL, wrong[i]);
	setup_fails(&o, o.mem, EFAULT, kernel_addr);
	setup_fails(&o, mmap(NULL, o.len, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), EFAULT, NULL);
	munmap(o.mem + o.len / 2, 4096);
	setup_fails(&o, o.mem, EFAULT, NULL);
	o.mem = memory(o.len);

	/* Two rings share it, if their shares do not overlap. */
	o.nbufs = 128;
	ring_open(&half[0], &o);
	o.first_buf = 127;
	setup_fails(&o, o.mem, EBUSY, NULL);
	o.first_buf = 128;
	ring_open(&half[1], &o);
	equal(ioctl(half[0].fd, PASTE_IOC_SETUP, &half[0].s), -1, "a second SETUP");
	equal(errno, EBUSY, "its errno");
	equal(ioctl(half[0].fd, PASTE_IOC_SOURCE, &src), -1, "an unknown source");
	equal(errno, EINVAL, "its errno");
	equal(ioctl(half[0].fd, _IO('P', 0x99), 0), -1, "an unknown ioctl");
	equal(errno, ENOTTY, "its errno");
	sync.flags = 1;
	equal(ioctl(half[0].fd, PASTE_IOC_SYNC, &sync), -1, "a SYNC with flags");
	equal(errno, EINVAL, "its errno");
	must(mmap(NULL, half[0].s.map_bytes, PROT_READ, MAP_PRIVATE, half[0].fd, 0) == MAP_FAILED, "a private mapping");
	must(mmap(NULL, half[0].s.map_bytes + 4096, PROT_READ, MAP_SHARED, half[0].fd, 0) == MAP_FAILED, "a long one");
	must(mmap(NULL, 4096, PROT_READ, MAP_SHARED, half[0].fd, 4096) == MAP_FAILED, "one from the middle");
	/* Something else in the same place is not the same region. */
	must(mmap(o.mem, o.len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == o.mem, "mmap");
	ring_close(&half[1]);
	equal(ring_try_open(&other, &o), -EBUSY, "a region that is not there any more");
	close(other.fd);
	ring_close(&half[0]);
	o.first_buf = 0;
	o.nbufs = 256;
	ring_open(&r, &o);
	ring_close(&r);

	/* Before SETUP there is nothing. */
	fd = open(PASTE_DEVICE, O_RDWR);
	sync.flags = 0;
	equal(ioctl(fd, PASTE_IOC_SYNC, &sync), -1, "SYNC before SETUP");
	equal(ioctl(fd, PASTE_IOC_WAKE), -1, "WAKE before SETUP");
	must(mmap(NULL, 4096, PROT_READ, MAP_SHARED, fd, 0) == MAP_FAILED, "a mapping before SETUP");
	close(fd);

	/* The same memory twice in one region would be two buffers in one. */
	fd = open("/dev/shm/twice", O_RDWR | O_CREAT | O_TRUNC, 0600);
	must(!ftruncate(fd, 4096), "ftruncate");
	o.len = 8192;
	o.nbufs = 2;
	o.mem = memory(o.len);
	for (int i = 0; i < 2; i++)
		must(mmap(o.mem + i * 4096, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) != MAP_FAILED, "mmap");
	setup_fails(&o, o.mem, EINVAL, NULL);
	close(fd);
	unlink("/dev/shm/twice");
}

/* ---- row 15, and a process's ways to go ---- */

static void *flood(void *arg)
{
	uint64_t at = 0;

	for (int fd = *(int *)arg; send(fd, stream_at(at), 65536, MSG_NOSIGNAL) > 0; )
		at += 65536;
	return NULL;
}

/* Traffic both ways until the process is killed. */
static void busy_process(const struct ring_opts *o, int ready)
{
	static int fd[8][2];
	struct paste_event e;
	struct ring r;
	pthread_t t;

	ring_open(&r, o);
	for (unsigned i = 0; i < 8; i++) {
		stream(i & 1 ? AF_INET6 : AF_INET, fd[i]);
		pthread_create(&t, NULL, flood, &fd[i][1]);
		attach(&r, i, fd[i][0], 0, 0);
	}
	for (unsigned n = 0; ; n++) {
		must(ring_sync(&r, -1) >= 0, "SYNC");
		while (ring_next(&r, &e))
			if (e.kind == PASTE_EV_DATA) {
				give(&r, e.buf);
				if (n % 16 == 0)
					send_cmd(&r, e.conn, stream_at(0), 1000, 0);
			}
		if (n == 100)
			must(write(ready, "r", 1) == 1, "write");
	}
}

static pid_t start_busy(const struct ring_opts *o)
{
	int p[2];
	pid_t pid;
	char c;

	must(!pipe(p), "pipe");
	stream_at(0);
	pid = fork();
	if (!pid)
		busy_process(o, p[1]);
	close(p[1]);
	equal(read(p[0], &c, 1), 1, "the busy process");
	close(p[0]);
	return pid;
}

static void row15_kill(void)
{
	for (int i = 0; i < 8; i++) {
		pid_t pid = start_busy(&small);

		usleep(below(30000));
		kill(pid, SIGKILL);
		equal(waitpid(pid, NULL, 0), pid, "waitpid");
	}
}

/* Killed asleep in SYNC, in the moment in which data comes: all on one CPU, so that it
 * wakes to both. */
static void row15_kill_asleep(void)
{
	cpu_set_t one;

	CPU_ZERO(&one);
	CPU_SET(0, &one);
	must(!sched_setaffinity(0, sizeof(one), &one), "sched_setaffinity");
	for (int i = 0; i < 30; i++) {
		uint64_t sent = 0;
		struct ring r;
		int fd[2], p[2];
		pid_t pid;
		char c;

		stream(AF_INET, fd);
		must(!pipe(p), "pipe");
		pid = fork();
		if (!pid) {
			ring_open(&r, &small);
			attach(&r, 0, fd[0], 0, 0);
			expect_none(&r, 0);
			must(write(p[1], "r", 1) == 1, "write");
			for (;;)
				expect(&r, PASTE_EV_DATA, 0);
		}
		equal(read(p[0], &c, 1), 1, "the process");
		usleep(20000);
		put(fd[1], &sent, 10);
		kill(pid, SIGKILL);
		equal(waitpid(pid, NULL, 0), pid, "waitpid");
		for (int k = 0; k < 2; k++) {
			close(fd[k]);
			close(p[k]);
		}
	}
}

static void row15_unload(void)
{
	pid_t pid = start_busy(&small);

	for (int i = 0; i < 20; i++) {
		equal(syscall(SYS_delete_module, "paste", O_NONBLOCK), -1, "unloading under load");
		must(errno == EBUSY || errno == EAGAIN, "why it cannot be unloaded");
		usleep(5000);
	}
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

/* The region's mapping, then its file, goes away while the ring runs. */
static void vanish(const char *path)
{
	int file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600), fd[2];
	struct ring_opts o = small;
	uint64_t sent = 0;
	struct paste_event e;
	struct ring r;

	must(file >= 0 && !ftruncate(file, (off_t)o.len), "%s", path);
	o.mem = mmap(NULL, o.len, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	must(o.mem != MAP_FAILED, "mmap");
	ring_open(&r, &o);
	stream(AF_INET, fd);
	attach(&r, 0, fd[0], 0, 0);
	for (int i = 0; i < 3; i++) {
		put(fd[1], &sent, 100000);
		for (uint64_t got = 0; got < 100000; got += e.len) {
			e = expect(&r, PASTE_EV_DATA, 0);
			give(&r, e.buf);
		}
		if (i == 0)
			munmap(o.mem, o.len);
		if (i == 1) {
			must(!unlink(path) && !ftruncate(file, 0), "truncate");
			close(file);
		}
	}
	ring_close(&r);
}

static void row15_vanish(void)
{
	vanish("/dev/shm/region");
	vanish("/tmp/region");
}

/* The ring's own mapping goes: the ring ends, also under a thread that sleeps in it. */
static void *unmap_later(void *arg)
{
	struct ring *r = arg;

	usleep(100000);
	munmap(r->shared, r->s.map_bytes);
	return NULL;
}

static void ring_unmapped(void)
{
	struct paste_sync s = { .timeout_ns = -1 };
	struct ring r;
	pthread_t t;
	int fd[2];

	ring_open(&r, &small);
	stream(AF_INET, fd);
	attach(&r, 0, fd[0], 0, 0);
	expect_none(&r, 0);
	close(fd[0]);
	pthread_create(&t, NULL, unmap_later, &r);
	equal(ioctl(r.fd, PASTE_IOC_SYNC, &s), -1, "SYNC");
	equal(errno, ENXIO, "its errno");
	pthread_join(t, NULL);
	equal(recv(fd[1], &s, 1, 0), 0, "the connection, of which the ring had the last reference");
	must(mmap(NULL, r.s.map_bytes, PROT_READ, MAP_SHARED, r.fd, 0) == MAP_FAILED, "a new mapping");
	close(r.fd);
}

/* The ring's descriptor, in a message, in a socket that the ring holds: nobody can close
 * it any more, and it must go with the process all the same. */
static void ring_in_itself(void)
{
	char space[CMSG_SPACE(sizeof(int))] = { 0 };
	struct iovec v = { .iov_base = space, .iov_len = 1 };
	struct msghdr m = { .msg_iov = &v, .msg_iovlen = 1, .msg_control = space, .msg_controllen = sizeof(space) };
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	struct ring r;
	int fd[2];

	ring_open(&r, &small);
	stream(AF_UNIX, fd);
	attach(&r, 0, fd[0], 0, 0);
	op(&r, PASTE_OP_PAUSE, 0);
	expect_none(&r, 0);
	c->cmsg_level = SOL_SOCKET;
	c->cmsg_type = SCM_RIGHTS;
	c->cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(c), &r.fd, sizeof(int));
	equal(sendmsg(fd[1], &m, 0), 1, "sendmsg");
	close(r.fd);
	close(fd[0]);
	close(fd[1]);
}

static void *sync_forever(void *arg)
{
	while (ring_sync(arg, -1) == -EBUSY)
		;	/* the other thread was in it first */
	return NULL;
}

static int ring_sync_raw(struct ring *r)
{
	struct paste_sync s = { .timeout_ns = 0 };

	return ioctl(r->fd, PASTE_IOC_SYNC, &s) < 0 ? -errno : 0;
}

/* It may be moved; a part of it may go; the ring goes with the last of it. */
static void ring_moved(void)
{
	uint64_t at = 0, sent = 0;
	struct ring r;
	uint8_t *to;
	int fd[2];

	ring_open(&r, &small);
	must(r.s.map_bytes >= 12288, "too short a mapping for this");
	stream(AF_INET, fd);
	attach(&r, 0, fd[0], 0, 0);
	expect_none(&r, 0);
	to = mremap(r.shared, r.s.map_bytes, r.s.map_bytes, MREMAP_MAYMOVE | MREMAP_FIXED, memory(r.s.map_bytes));
	must(to != MAP_FAILED, "mremap");
	r.shared = (void *)to;
	r.ev = (void *)(to + r.s.ev_off);
	r.cmd = (void *)(to + r.s.cmd_off);
	r.rel = (void *)(to + r.s.rel_off);
	put(fd[1], &sent, 10000);
	read_all(&r, 0, &at, 10000);
	munmap(to + r.s.map_bytes - 4096, 4096);	/* of RELEASE, beyond what is used here */
	put(fd[1], &sent, 10000);
	read_all(&r, 0, &at, 10000);
	must(mremap(to, 4096, 8192, MREMAP_MAYMOVE) == MAP_FAILED, "a mapping that grows");
	munmap(to, r.s.map_bytes);
	equal(ring_sync_raw(&r), -ENXIO, "SYNC");
	close(r.fd);
}

static void two_threads(void)
{
	struct paste_sync s = { .timeout_ns = 0 };
	struct ring r;
	pthread_t t;

	ring_open(&r, &small);
	pthread_create(&t, NULL, sync_forever, &r);
	for (unsigned i = 0; ; i++) {
		must(i < 1000, "the other thread never was in SYNC");
		if (ioctl(r.fd, PASTE_IOC_SYNC, &s) == -1)
			break;
		usleep(1000);
	}
	equal(errno, EBUSY, "SYNC while another thread is in it");
	must(!ioctl(r.fd, PASTE_IOC_WAKE), "WAKE");
	pthread_join(t, NULL);
	ring_close(&r);
}

static void on_alarm(int sig)
{
	(void)sig;
}

static void interrupted(void)
{
	struct sigaction sa = { .sa_handler = on_alarm };
	struct ring r;

	ring_open(&r, &small);
	sigaction(SIGALRM, &sa, NULL);
	ualarm(50000, 0);
	equal(ring_sync(&r, -1), -EINTR, "SYNC");
	equal(ring_sync(&r, 0), 0, "SYNC");
	ring_close(&r);
}

static void forked(void)
{
	struct paste_sync s = { .timeout_ns = 0 };
	uint64_t at = 0, sent = 0;
	struct ring r;
	int fd[2], status;

	ring_open(&r, &small);
	stream(AF_INET, fd);
	attach(&r, 0, fd[0], 0, 0);
	expect_none(&r, 0);
	for (int i = 0; i < 3; i++) {
		pid_t pid = fork();

		if (!pid) {
			if (ioctl(r.fd, PASTE_IOC_SYNC, &s) != -1 || errno != EPERM)
				_exit(1);
			if (mmap(NULL, r.s.map_bytes, PROT_READ, MAP_SHARED, r.fd, 0) != MAP_FAILED || errno != EPERM)
				_exit(2);
			memset(r.mem, 0xff, r.s.len);	/* the child's own copy */
			_exit(i == 2 ? ((volatile struct paste_shared *)r.shared)->ev_tail.v != 1 : 0);
		}
		must(waitpid(pid, &status, 0) == pid, "waitpid");
		/* The mapping is not inherited: the child's look at it is its end. */
		must(i == 2 ? WIFSIGNALED(status) && WTERMSIG(status) == SIGSEGV : !status, "the child's status: %x", status);
		put(fd[1], &sent, 5000);
		read_all(&r, 0, &at, 5000);
	}
	/* A child that keeps the descriptor does not keep the ring. */
	ring_close(&r);
}

static void memlock(void)
{
	struct rlimit l = { .rlim_cur = 128 * 4096, .rlim_max = 128 * 4096 };
	struct ring_opts o = small;
	int fd[2], last = open(PASTE_DEVICE, O_RDWR);

	for (int i = 0; i < 2; i++) {
		fd[i] = open(PASTE_DEVICE, O_RDWR);
		must(fd[i] >= 0, "open");
	}
	must(!setrlimit(RLIMIT_MEMLOCK, &l) && !setresuid(1000, 1000, 1000), "to be nobody in particular");
	must(open(PASTE_DEVICE, O_RDWR) == -1 && errno == EACCES, "the node's mode");
	for (int i = 0; i < 2; i++) {
		struct paste_setup s;

		o.mem = memory(o.len);
		s = ring_setup_of(&o, o.mem);
		equal(ioctl(fd[0], PASTE_IOC_SETUP, &s), -1, "256 pages of 128");
		equal(errno, EPERM, "why");
		s.len = 100 * 4096;
		s.nbufs = 100;
		must(!ioctl(fd[i], PASTE_IOC_SETUP, &s), "100 pages of 128");
		if (!i) {
			s.addr += s.len;
			equal(ioctl(fd[1], PASTE_IOC_SETUP, &s), -1, "another 100");
			close(fd[0]);		/* and they are there again */
			fd[0] = fd[1];
		}
	}
	/* The arrays count as well, whatever the region is. */
	o = (struct ring_opts){ .len = 4096, .nbufs = 1, .conns = 1 << 20, .entries = 1 << 20 };
	setup_fails_on(last, &o, EPERM);
	close(last);
	close(fd[1]);
}

/* How many pages are pinned, in the whole machine; each CPU tells of some only later. */
static long pinned(void)
{
	long got = 0, back = 0;
	char line[100];
	FILE *f = fopen("/proc/vmstat", "r");

	must(f, "vmstat");
	while (fgets(line, sizeof(line), f)) {
		sscanf(line, "nr_foll_pin_acquired %ld", &got);
		sscanf(line, "nr_foll_pin_released %ld", &back);
	}
	fclose(f);
	must(got, "this kernel does not count pins");
	return got - back;
}

/* The process that the ring belongs to ends; another one keeps the descriptor. */
static void pins_end(void)
{
	const struct ring_opts large = { .len = 8192 * 4096, .nbufs = 8192 };
	int fd = open(PASTE_DEVICE, O_RDWR), ready[2], go[2], n;
	long before = pinned();
	pid_t pid;
	char c;

	must(!pipe(ready) && !pipe(go), "pipe");
	pid = fork();
	if (!pid) {
		struct ring r = { .fd = fd, .mem = memory(large.len) };

		close(go[1]);
		r.s = ring_setup_of(&large, r.mem);
		must(!ioctl(fd, PASTE_IOC_SETUP, &r.s), "SETUP");
		ring_map(&r);
		must(write(ready[1], "r", 1) == 1, "write");
		_exit(read(go[0], &c, 1) != 1);
	}
	must(read(ready[0], &c, 1) == 1, "read");
	must(pinned() - before >= 7000, "pinned: %ld", pinned() - before);
	must(write(go[1], "g", 1) == 1, "write");
	waitpid(pid, NULL, 0);
	for (n = 0; pinned() - before >= 1000 && n < 500; n++)
		usleep(10000);
	must(pinned() - before < 1000, "still pinned: %ld", pinned() - before);
	close(fd);
}

/* The limit is a user's: two processes do not get it twice. */
static void memlock_user(void)
{
	struct rlimit l = { .rlim_cur = 128 * 4096, .rlim_max = 128 * 4096 };
	int fd[2] = { open(PASTE_DEVICE, O_RDWR), open(PASTE_DEVICE, O_RDWR) }, status;
	struct ring_opts o = { .len = 100 * 4096, .nbufs = 100 };
	struct paste_setup s;
	pid_t pid;

	must(!setrlimit(RLIMIT_MEMLOCK, &l) && !setresuid(1001, 1001, 1001), "to be nobody in particular");
	pid = fork();
	if (!pid) {
		s = ring_setup_of(&o, memory(o.len));
		_exit(ioctl(fd[0], PASTE_IOC_SETUP, &s) != 0);
	}
	must(waitpid(pid, &status, 0) == pid && !status, "100 pages of 128");
	setup_fails_on(fd[1], &o, EPERM);
	close(fd[0]);
	s = ring_setup_of(&o, memory(o.len));
	must(!ioctl(fd[1], PASTE_IOC_SETUP, &s), "100 pages of 128, when the others are gone");
	close(fd[1]);
}

static volatile int set_up_gave = 1;	/* 0, -errno; 1: not yet */

static void *set_up_slowly(void *arg)
{
	struct ring *r = arg;

	set_up_gave = ioctl(r->fd, PASTE_IOC_SETUP, &r->s) ? -errno : 0;
	return NULL;
}

/* A region whose pages somebody is to supply, and does not, is in nobody else's way.  (Linux
 * 6.1 does not wait for pages that it pins for long: then they are no writable memory.) */
static void slow_region(void)
{
	struct ring_opts o = small;
	struct ring r = { .fd = open(PASTE_DEVICE, O_RDWR), .mem = memory(o.len) }, other;
	int uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK), n = 0;
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range = { (uintptr_t)r.mem, o.len }, .mode = UFFDIO_REGISTER_MODE_MISSING };
	struct uffdio_zeropage zero = { .range = { (uintptr_t)r.mem, o.len } };
	struct pollfd p = { .fd = uffd, .events = POLLIN };
	pthread_t t;

	must(uffd >= 0 && !ioctl(uffd, UFFDIO_API, &api) && !ioctl(uffd, UFFDIO_REGISTER, &reg), "userfaultfd");
	alarm(60);
	r.s = ring_setup_of(&o, r.mem);
	pthread_create(&t, NULL, set_up_slowly, &r);
	while (set_up_gave == 1 && poll(&p, 1, 10) != 1)
		must(n++ < 3000, "no page is asked for");
	for (int i = 0; i < 3; i++) {
		ring_open(&other, &o);
		expect_none(&other, 0);
		ring_close(&other);
	}
	must(!ioctl(uffd, UFFDIO_ZEROPAGE, &zero), "the pages");
	pthread_join(t, NULL);
	if (set_up_gave != -EFAULT) {
		equal(set_up_gave, 0, "the slow SETUP");
		ring_map(&r);
		expect_none(&r, 0);
		ring_close(&r);
	}
	close(uffd);
}

/* What a device writes into a page of a file that is written back may be lost. */
static void no_files(void)
{
	struct ring_opts o = small;
	struct ring r;
	int file;

	must(!mount("none", "/mnt", "ramfs", 0, NULL), "a file system that is no tmpfs");
	file = open("/mnt/region", O_RDWR | O_CREAT, 0600);
	must(file >= 0 && !ftruncate(file, (off_t)o.len), "a file");
	o.mem = mmap(NULL, o.len, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
	setup_fails(&o, o.mem, EOPNOTSUPP, NULL);
	munmap(o.mem, o.len);
	o.mem = mmap(NULL, o.len, PROT_READ | PROT_WRITE, MAP_PRIVATE, file, 0);
	ring_open(&r, &o);
	ring_close(&r);
	close(file);
	munmap(o.mem, o.len);
	umount("/mnt");
}

/* Its mapping stays out of children, and as long as it is. */
static void ring_advised(void)
{
	struct ring r;

	ring_open(&r, &small);
	equal(madvise(r.shared, r.s.map_bytes, MADV_DOFORK), -1, "MADV_DOFORK");
	must(mremap(r.shared, r.s.map_bytes, 2 * r.s.map_bytes, MREMAP_MAYMOVE) == MAP_FAILED, "a longer one");
	expect_none(&r, 0);
	ring_close(&r);
}

/* What went wrong with a connection before it was attached is told. */
static void reset_before(void)
{
	struct linger now_ = { .l_onoff = 1 };
	struct ring r;
	int fd[2];

	ring_open(&r, &small);
	stream(AF_INET, fd);
	setsockopt(fd[1], SOL_SOCKET, SO_LINGER, &now_, sizeof(now_));
	close(fd[1]);
	usleep(50000);
	attach(&r, 0, fd[0], 0, 0);
	equal(expect(&r, PASTE_EV_ERR, 0).res, -ECONNRESET, "why");
	ring_close(&r);
}

const struct test row_tests[] = {
	TEST(row1), TEST(fair), TEST(no_spinning), TEST(row2), TEST(row7_ends), TEST(row8), TEST(row10),
	TEST(row11_commands), TEST(row11_releases), TEST(row11_indices), TEST(row11_setup),
	TEST(row15_kill), TEST(row15_kill_asleep), TEST(row15_unload), TEST(row15_vanish), TEST(ring_unmapped), TEST(ring_moved), TEST(ring_in_itself),
	TEST(two_threads), TEST(interrupted), TEST(forked), TEST(memlock),
	TEST(memlock_user), TEST(pins_end), TEST(slow_region), TEST(no_files), TEST(ring_advised), TEST(reset_before), { NULL, NULL }
};
