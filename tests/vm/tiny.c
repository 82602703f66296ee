// SPDX-License-Identifier: BSD-2-Clause
/*
 * tiny - the smallest HTTP server on /dev/paste, and the same on epoll sockets.
 *
 *	tiny epoll PORT
 *	tiny ring PORT FILE BYTES [nic=IFINDEX] [spin=US] [quota=N] [nap=US]
 *
 * Every request is answered 200; one that says X-Seed: n is answered 409 unless its body
 * is piece n of the pattern (see vnet.py).  FILE's first BYTES are the region; "-" is
 * memory; nap is how long it is away after each SYNC.  SIGUSR1 keeps all buffers until
 * the next SIGUSR1.  SIGUSR2 writes counters to /tmp/tiny.stats, SIGTERM does and ends.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "../../kmod/uapi/paste.h"

enum { CONNS = 4096, HEAD = 2048, PATTERN = 1 << 20, BUF = 2048, ENTRIES = 16384 };

struct conn {
	int fd;
	unsigned int nhead;		/* of the request's head that is here */
	uint64_t body, done;		/* of the body, in all and so far */
	long seed;
	int wrong, in_body;
	unsigned int owed;		/* replies */
	char head[HEAD];
};

static struct conn conns[CONNS];
static unsigned char pattern[PATTERN];
static uint64_t requests, wrong, calls;
static uint64_t spoiled;	/* bytes of requests with a seed that were copied for want of buffers */
static volatile sig_atomic_t usr1, usr2, term;

static void die(const char *what)
{
	fprintf(stderr, "tiny: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void make_pattern(void)
{
	uint32_t x = 1;

	for (int i = 0; i < PATTERN; i++) {
		x = x * 1103515245 + 12345;
		pattern[i] = x >> 16;
	}
}

static void on_signal(int sig)
{
	if (sig == SIGUSR1)
		usr1 = 1;
	else if (sig == SIGUSR2)
		usr2 = 1;
	else
		term = 1;
}

/* ---- HTTP ---- */

static void begin_body(struct conn *c)
{
	char *at;

	c->head[c->nhead] = 0;
	at = strcasestr(c->head, "\ncontent-length:");
	c->body = at ? strtoull(at + 16, NULL, 10) : 0;
	at = strcasestr(c->head, "\nx-seed:");
	c->seed = at ? strtol(at + 8, NULL, 10) % (PATTERN / 2) : -1;
	c->done = 0;
	c->wrong = 0;
	c->in_body = 1;
}

static void end_request(struct conn *c)
{
	requests++;
	c->owed++;
	c->in_body = 0;
	c->nhead = 0;
}

static size_t eat_body(struct conn *c, const char *p, size_t n)
{
	size_t left = c->body - c->done;

	n = n < left ? n : left;
	if (c->seed >= 0 && n && (c->done + n > PATTERN / 2 || memcmp(p, pattern + c->seed + c->done, n)))
		c->wrong = 1;
	c->done += n;
	return n;
}

static size_t eat_head(struct conn *c, const char *p, size_t n)
{
	char *end;
	unsigned int had = c->nhead, from = had < 3 ? 0 : had - 3;
	size_t take = n < HEAD - 1 - had ? n : HEAD - 1 - had;

	memcpy(c->head + had, p, take);
	end = memmem(c->head + from, had + take - from, "\r\n\r\n", 4);
	if (!end) {
		if (had + take == HEAD - 1) {
			fprintf(stderr, "tiny: a head without an end: %.100s\n", c->head);
			wrong++;
			take = n;
			had = -(int)take;
		}
		c->nhead = had + take;
		return take;
	}
	c->nhead = end + 4 - c->head;
	take = c->nhead - had;
	begin_body(c);
	return take;
}

static void eat(struct conn *c, const char *p, size_t n)
{
	do {
		size_t k = c->in_body ? eat_body(c, p, n) : eat_head(c, p, n);

		p += k;
		n -= k;
		if (c->in_body && c->done == c->body) {
			if (c->wrong)
				wrong++;
			end_request(c);
		}
	} while (n);
}

static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nServer: tiny server of the tests of pasted\r\n"
			 "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nok";
static const char no[] = "HTTP/1.1 409 Conflict\r\nContent-Length: 2\r\n\r\nno";

/* ---- sockets ---- */

static int listen_on(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), on = 1;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (void *)&a, sizeof(a)) || listen(fd, 1024))
		die("listen");
	return fd;
}

static int take_conn(int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK), on = 1;

	calls++;
	if (fd < 0)
		return -1;
	if (fd >= CONNS) {
		close(fd);
		return take_conn(listener);
	}
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	memset(&conns[fd], 0, offsetof(struct conn, head));
	conns[fd].fd = fd;
	return fd;
}

static void run_epoll(int listener)
{
	struct epoll_event e = { .events = EPOLLIN, .data.fd = listener }, got[64];
	int ep = epoll_create1(0);
	static char buf[65536];

	epoll_ctl(ep, EPOLL_CTL_ADD, listener, &e);
	while (!term) {
		int n = epoll_wait(ep, got, 64, -1);

		calls++;
		for (int i = 0; i < n; i++) {
			struct conn *c = &conns[got[i].data.fd];
			ssize_t k;

			if (got[i].data.fd == listener) {
				int fd;

				while ((fd = take_conn(listener)) >= 0) {
					e.data.fd = fd;
					epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
				}
				continue;
			}
			k = read(c->fd, buf, sizeof(buf));
			calls++;
			if (k <= 0) {
				if (k == 0 || errno != EAGAIN)
					close(c->fd);
				continue;
			}
			eat(c, buf, k);
			for (; c->owed; c->owed--, calls++)
				if (write(c->fd, c->wrong ? no : ok, c->wrong ? sizeof(no) - 1 : sizeof(ok) - 1) < 0)
					break;
		}
	}
}

/* ---- the ring ---- */

static struct {
	int fd;
	char *region, *map;
	struct paste_setup s;
	unsigned int nhold, keep;
	uint32_t *hold;
	uint32_t ev_head, cmd_tail, rel_tail;
} r;

static struct paste_shared *shared(void)
{
	return (void *)r.map;
}

static void command(uint16_t op, int conn, uint64_t addr, uint32_t len, uint16_t flags)
{
	struct paste_command *c = (void *)(r.map + r.s.cmd_off);

	c[r.cmd_tail++ & (ENTRIES - 1)] = (struct paste_command){
		.op = op, .conn = conn, .addr = addr, .len = len, .arg = conn, .flags = flags };
}

static void release(uint32_t buf)
{
	((uint32_t *)(r.map + r.s.rel_off))[r.rel_tail++ & (ENTRIES - 1)] = buf;
}

static void set_up(int argc, char **argv)
{
	size_t bytes = strtoull(argv[4], NULL, 0);
	int fd = strcmp(argv[3], "-") ? open(argv[3], O_RDWR | O_CREAT, 0600) : -1;

	if (strcmp(argv[3], "-") && (fd < 0 || posix_fallocate(fd, 0, bytes)))
		die(argv[3]);
	r.region = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | (fd < 0 ? MAP_ANONYMOUS : 0), fd, 0);
	r.fd = open(PASTE_DEVICE, O_RDWR);
	if (r.region == MAP_FAILED || r.fd < 0)
		die(PASTE_DEVICE);
	r.s = (struct paste_setup){ .abi = PASTE_ABI, .buf_size = BUF, .addr = (uintptr_t)r.region, .len = bytes,
		.nbufs = bytes / BUF, .conns_max = CONNS, .ev_entries = ENTRIES, .cmd_entries = ENTRIES,
		.rel_entries = ENTRIES };
	if (ioctl(r.fd, PASTE_IOC_SETUP, &r.s))
		die("PASTE_IOC_SETUP");
	r.map = mmap(NULL, r.s.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, r.fd, 0);
	if (r.map == MAP_FAILED)
		die("mmap");
	for (int i = 5; i < argc; i++) {
		struct paste_source src = { .kind = PASTE_SOURCE_VNET };

		if (sscanf(argv[i], "nic=%u", &src.ifindex) == 1 && ioctl(r.fd, PASTE_IOC_SOURCE, &src))
			die("PASTE_IOC_SOURCE");
	}
	r.hold = calloc(r.s.nbufs, sizeof(*r.hold));
	r.nhold = r.s.nbufs;
	for (unsigned int i = 0; i < r.s.nbufs; i++)
		r.hold[i] = i;
}

static void give_back(void)
{
	uint32_t head = __atomic_load_n(&shared()->rel_head.v, __ATOMIC_ACQUIRE);

	while (!r.keep && r.nhold && r.rel_tail - head < ENTRIES)
		release(r.hold[--r.nhold]);
	__atomic_store_n(&shared()->rel_tail.v, r.rel_tail, __ATOMIC_RELEASE);
	__atomic_store_n(&shared()->cmd_tail.v, r.cmd_tail, __ATOMIC_RELEASE);
}

static void event(const struct paste_event *e, int listener, unsigned int quota)
{
	struct conn *c = &conns[e->conn];
	int fd;

	switch (e->kind) {
	case PASTE_EV_ACCEPT:
		while ((fd = take_conn(listener)) >= 0)
			command(PASTE_OP_ATTACH, fd, 0, quota, 0);
		break;
	case PASTE_EV_DATA:
		eat(c, r.region + (size_t)e->buf * BUF + e->off, e->len);
		r.hold[r.nhold++] = e->buf;
		if (e->flags & PASTE_F_COPIED && c->seed >= 0 && PASTE_COPY_OF(e->flags) != PASTE_COPY_SMALL &&
		    PASTE_COPY_OF(e->flags) != PASTE_COPY_UNATTACHED)
			spoiled += e->len;
		for (; c->owed; c->owed--)
			command(PASTE_OP_SEND, e->conn, (uintptr_t)(c->wrong ? no : ok),
				c->wrong ? sizeof(no) - 1 : sizeof(ok) - 1, 0);
		break;
	case PASTE_EV_EOF:
	case PASTE_EV_ERR:
		command(PASTE_OP_DETACH, e->conn, 0, 0, 0);
		break;
	case PASTE_EV_DETACHED:
		close(c->fd);
		calls++;
		break;
	case PASTE_EV_REFUSED:
		fprintf(stderr, "tiny: command %u of %u refused: %d\n", e->len, e->conn, e->res);
		break;
	}
}

static void take_events(int listener, unsigned int quota)
{
	uint32_t tail = __atomic_load_n(&shared()->ev_tail.v, __ATOMIC_ACQUIRE);
	const struct paste_event *e = (void *)(r.map + r.s.ev_off);

	/* Never more commands than there is room for: an event makes one at most, but for ACCEPT. */
	while (r.ev_head != tail)
		event(&e[r.ev_head++ & (ENTRIES - 1)], listener, quota);
	__atomic_store_n(&shared()->ev_head.v, r.ev_head, __ATOMIC_RELEASE);
}

/* ---- another user's server ---- */

/* Takes what one client sends out of its socket by splice(2): the pages, not the bytes; and
 * looks at them at SIGUSR1, when others have sent much since. */
static void run_splice(int listener)
{
	static char got[1 << 20];
	size_t n = 0, foreign = 0;
	int p[2], fd;

	if (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534) || pipe(p))
		die("splice");
	while ((fd = accept(listener, NULL, NULL)) < 0)
		usleep(10000);
	fcntl(p[0], F_SETFL, O_NONBLOCK);
	while (!usr1) {
		ssize_t k = splice(fd, NULL, p[1], NULL, 65536, SPLICE_F_NONBLOCK);

		if (k > 0)
			fprintf(stderr, "spliced %zd\n", k);
		usleep(10000);
	}
	for (ssize_t k; (k = read(p[0], got + n, sizeof(got) - n)) > 0; )
		n += (size_t)k;
	for (size_t i = 0; i < n; i++)
		foreign += got[i] != 'A';
	printf("%zu bytes, %zu of them not what was sent\n", n, foreign);
}

static const char *const why[PASTE_COPIES] = {
	[PASTE_COPY_OTHER] = "other", [PASTE_COPY_PROTOCOL] = "protocol", [PASTE_COPY_SMALL] = "small",
	[PASTE_COPY_UNATTACHED] = "unattached", [PASTE_COPY_FLOW] = "flow", [PASTE_COPY_POOL] = "pool",
	[PASTE_COPY_SPARE] = "spare", [PASTE_COPY_HEADERS] = "headers", [PASTE_COPY_MEMORY] = "memory",
};

static void write_stats(void)
{
	struct paste_stats s = { 0 };
	FILE *f = fopen("/tmp/tiny.part", "w");
	struct timespec cpu;

	if (r.map && ioctl(r.fd, PASTE_IOC_STATS, &s))
		die("PASTE_IOC_STATS");
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);	/* clock: printed */
#define N(name) fprintf(f, "\"%s\": %llu, ", #name, (unsigned long long)s.name)
	fputc('{', f);
	N(syncs); N(sleeps); N(data_events); N(bytes); N(zero_copy_bytes); N(copied_bytes); N(events); N(commands);
	N(releases); N(bad_releases); N(refused); N(ring_full); N(no_buffer); N(over_quota); N(sends); N(sent_bytes);
	N(short_sends); N(src_packets); N(src_bytes); N(src_region); N(src_fallback); N(doorbells_tx);
	N(doorbells_rx); N(irqs); N(buffers_kernel); N(buffers_stack); N(connections);
	for (unsigned int i = 0; i < PASTE_COPIES; i++)
		fprintf(f, "\"copied_%s\": %llu, ", why[i], (unsigned long long)s.copied_by[i]);
	fprintf(f, "\"spoiled\": %llu, \"requests\": %llu, \"wrong\": %llu, \"calls\": %llu, \"cpu_us\": %llu, \"held\": %u}\n",
		(unsigned long long)spoiled, (unsigned long long)requests, (unsigned long long)wrong, (unsigned long long)(calls + s.syncs),
		cpu.tv_sec * 1000000ull + cpu.tv_nsec / 1000, r.nhold);
	fclose(f);
	rename("/tmp/tiny.part", "/tmp/tiny.stats");
}

static void run_ring(int listener, int argc, char **argv)
{
	struct paste_sync sync = { .timeout_ns = -1 };
	unsigned int quota = 0, nap = 0;

	for (int i = 5; i < argc; i++) {
		sscanf(argv[i], "spin=%u", &sync.spin_us);
		sscanf(argv[i], "quota=%u", &quota);
		sscanf(argv[i], "nap=%u", &nap);
	}
	command(PASTE_OP_ATTACH, listener, 0, 0, PASTE_F_LISTEN);
	while (!term) {
		if (usr1) {
			usr1 = 0;
			r.keep = !r.keep;
		}
		if (usr2) {
			usr2 = 0;
			write_stats();
		}
		give_back();
		if (ioctl(r.fd, PASTE_IOC_SYNC, &sync) < 0 && errno != EINTR)
			die("PASTE_IOC_SYNC");
		take_events(listener, quota);
		if (nap)
			usleep(nap);
	}
}

int main(int argc, char **argv)
{
	struct sigaction sa = { .sa_handler = on_signal };
	int listener;

	if (argc < 3)
		return 2;
	sigaction(SIGUSR1, &sa, NULL);
	sigaction(SIGUSR2, &sa, NULL);
	sigaction(SIGTERM, &sa, NULL);
	signal(SIGPIPE, SIG_IGN);
	make_pattern();
	if (!strcmp(argv[1], "ring"))
		set_up(argc, argv);	/* first: who can connect finds the ring */
	listener = listen_on(atoi(argv[2]));
	if (!strcmp(argv[1], "splice")) {
		run_splice(listener);
		return 0;
	}
	if (!strcmp(argv[1], "epoll"))
		run_epoll(listener);
	else
		run_ring(listener, argc, argv);
	write_stats();
	return 0;
}
