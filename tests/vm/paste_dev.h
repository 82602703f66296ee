/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * paste_dev.h - /dev/paste driven by hand, for the tests of the module: one ring, its
 * region, and what every test does with them.  Anything unexpected ends the program.
 */
#ifndef PASTE_DEV_H
#define PASTE_DEV_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "uapi/paste.h"

#define MS 1000000ll

#define die(...) do { \
	fprintf(stderr, "%s:%d: ", __FILE__, __LINE__); \
	fprintf(stderr, __VA_ARGS__); \
	fprintf(stderr, " (errno %d: %s)\n", errno, strerror(errno)); \
	exit(1); \
} while (0)
#define must(cond, ...) do { if (!(cond)) { fprintf(stderr, "%s: ", #cond); die(__VA_ARGS__); } } while (0)
#define equal(got, want, ...) do { \
	long long g_ = (long long)(got), w_ = (long long)(want); \
	if (g_ != w_) { fprintf(stderr, "%s is %lld, not %lld: ", #got, g_, w_); die(__VA_ARGS__); } \
} while (0)

struct ring {
	int fd;
	uint8_t *mem;
	struct paste_setup s;
	struct paste_shared *shared;
	struct paste_event *ev;
	struct paste_command *cmd;
	uint32_t *rel;
	uint32_t head;		/* of EVENT: the next one to look at */
};

struct ring_opts {
	uint8_t *mem;		/* NULL: anonymous memory */
	size_t	 len;
	uint32_t buf_size, first_buf, nbufs, conns, entries;
};

static inline struct paste_setup ring_setup_of(const struct ring_opts *o, uint8_t *mem)
{
	uint32_t entries = o->entries ? o->entries : 64;

	return (struct paste_setup){
		.abi = PASTE_ABI, .buf_size = o->buf_size ? o->buf_size : 4096,
		.addr = (uintptr_t)mem, .len = o->len, .first_buf = o->first_buf,
		.nbufs = o->nbufs, .conns_max = o->conns ? o->conns : 64,
		.ev_entries = entries, .cmd_entries = entries,
		.rel_entries = 4096,
	};
}

static inline uint8_t *memory(size_t len)
{
	uint8_t *mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(mem != MAP_FAILED, "mmap of %zu", len);
	return mem;
}

static inline void ring_map(struct ring *r)
{
	uint8_t *at = mmap(NULL, r->s.map_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, r->fd, 0);

	must(at != MAP_FAILED, "mmap of the ring");
	r->shared = (void *)at;
	r->ev = (void *)(at + r->s.ev_off);
	r->cmd = (void *)(at + r->s.cmd_off);
	r->rel = (void *)(at + r->s.rel_off);
	r->head = 0;
}

static inline int ring_try_open(struct ring *r, const struct ring_opts *o)
{
	r->fd = open(PASTE_DEVICE, O_RDWR | O_CLOEXEC);
	must(r->fd >= 0, "%s", PASTE_DEVICE);
	r->mem = o->mem ? o->mem : memory(o->len);
	r->s = ring_setup_of(o, r->mem);
	if (ioctl(r->fd, PASTE_IOC_SETUP, &r->s))
		return -errno;
	ring_map(r);
	return 0;
}

static inline void ring_close(struct ring *r)
{
	munmap(r->shared, r->s.map_bytes);
	close(r->fd);
}

static inline void give(struct ring *r, uint32_t buf)
{
	uint32_t t = r->shared->rel_tail.v;

	r->rel[t & (r->s.rel_entries - 1)] = buf;
	__atomic_store_n(&r->shared->rel_tail.v, t + 1, __ATOMIC_RELEASE);
}

/* A ring with all buffers of its share given to the kernel. */
static inline void ring_open(struct ring *r, const struct ring_opts *o)
{
	must(!ring_try_open(r, o), "PASTE_IOC_SETUP");
	for (uint32_t i = 0; i < o->nbufs; i++)
		give(r, o->first_buf + i);
}

static inline void command(struct ring *r, struct paste_command c)
{
	uint32_t t = r->shared->cmd_tail.v;

	r->cmd[t & (r->s.cmd_entries - 1)] = c;
	__atomic_store_n(&r->shared->cmd_tail.v, t + 1, __ATOMIC_RELEASE);
}

static inline void op(struct ring *r, int what, uint32_t conn)
{
	command(r, (struct paste_command){ .op = (uint16_t)what, .conn = conn });
}

static inline void attach(struct ring *r, uint32_t conn, int fd, uint32_t quota, unsigned flags)
{
	command(r, (struct paste_command){ .op = PASTE_OP_ATTACH, .conn = conn, .arg = (uint32_t)fd,
					   .len = quota, .flags = (uint16_t)flags });
}

static inline void send_cmd(struct ring *r, uint32_t conn, const void *p, size_t n, unsigned flags)
{
	command(r, (struct paste_command){ .op = PASTE_OP_SEND, .conn = conn, .addr = (uintptr_t)p,
					   .len = (uint32_t)n, .flags = (uint16_t)flags });
}

/* Events that stand, or -errno. */
static inline int ring_sync(struct ring *r, int64_t timeout_ns)
{
	struct paste_sync s = { .timeout_ns = timeout_ns };
	int n;

	__atomic_store_n(&r->shared->ev_head.v, r->head, __ATOMIC_RELEASE);
	n = ioctl(r->fd, PASTE_IOC_SYNC, &s);
	return n < 0 ? -errno : n;
}

static inline bool ring_next(struct ring *r, struct paste_event *e)
{
	if (r->head == __atomic_load_n(&r->shared->ev_tail.v, __ATOMIC_ACQUIRE))
		return false;
	*e = r->ev[r->head++ & (r->s.ev_entries - 1)];
	return true;
}

/* The next event, waited for. */
static inline struct paste_event event(struct ring *r)
{
	struct paste_event e;
	int n;

	for (int i = 0; i < 20; i++) {
		if (ring_next(r, &e))
			return e;
		n = ring_sync(r, 500 * MS);
		must(n >= 0 || n == -EINTR, "SYNC: %d", n);
	}
	die("no event");
}

/* The next event is of that kind and connection. */
static inline struct paste_event expect(struct ring *r, int kind, uint32_t conn)
{
	struct paste_event e = event(r);

	if (e.kind != kind || e.conn != conn)
		die("event kind %u conn %u res %d off %u len %u, not kind %d conn %u",
		    e.kind, e.conn, e.res, e.off, e.len, kind, conn);
	return e;
}

static inline void expect_none(struct ring *r, int64_t timeout_ns)
{
	struct paste_event e;
	int n = ring_sync(r, timeout_ns);

	if (ring_next(r, &e))
		die("an event kind %u conn %u res %d len %u, and there should be none", e.kind, e.conn, e.res, e.len);
	must(!n, "SYNC: %d", n);
}

static inline const uint8_t *bytes_of(const struct ring *r, const struct paste_event *e)
{
	must(e->off + e->len <= (int)r->s.buf_size, "event beyond its buffer");
	must(e->buf >= r->s.first_buf && e->buf < r->s.first_buf + r->s.nbufs, "a foreign buffer: %u", e->buf);
	return r->mem + (size_t)e->buf * r->s.buf_size + e->off;
}

static inline struct paste_stats stats_of(struct ring *r)
{
	struct paste_stats s;

	must(!ioctl(r->fd, PASTE_IOC_STATS, &s), "PASTE_IOC_STATS");
	return s;
}

/* ---- streams whose bytes are known by their place ---- */

#define PERIOD	65521u		/* no multiple of any buffer */

/* Bytes [i, i + 4 * PERIOD) of the stream stand behind each other here. */
static inline const uint8_t *stream_at(uint64_t i)
{
	static uint8_t bytes[5 * PERIOD];

	if (!bytes[1])
		for (uint64_t k = 0; k < sizeof(bytes); k++)
			bytes[k] = (uint8_t)((1 + k % PERIOD) * 0x9e3779b97f4a7c15ull >> 56);
	return bytes + i % PERIOD;
}

static inline uint8_t nth(uint64_t i)
{
	return *stream_at(i);
}

/* One DATA of conn, the next bytes of its stream; its buffer stays ours. */
static inline struct paste_event data(struct ring *r, uint32_t conn, uint64_t *at)
{
	struct paste_event e = expect(r, PASTE_EV_DATA, conn);

	must(e.len, "an empty DATA");
	if (memcmp(bytes_of(r, &e), stream_at(*at), e.len))
		die("bytes from %llu of the stream are wrong", (unsigned long long)*at);
	*at += e.len;
	return e;
}

/* n bytes of it, and the buffers given back. */
static inline void read_all(struct ring *r, uint32_t conn, uint64_t *at, uint64_t n)
{
	uint64_t end = *at + n;

	while (*at < end)
		give(r, data(r, conn, at).buf);
	equal(*at, end, "more than was sent");
}

static inline void put(int fd, uint64_t *at, uint64_t n)
{
	while (n) {
		ssize_t did = send(fd, stream_at(*at), n < 4 * PERIOD ? n : 4 * PERIOD, MSG_NOSIGNAL);

		must(did > 0, "send");
		*at += (uint64_t)did;
		n -= (uint64_t)did;
	}
}

/* ---- sockets ---- */

static inline int listen_on(int family, struct sockaddr_storage *a, socklen_t *n)
{
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	memset(a, 0, sizeof(*a));
	a->ss_family = (sa_family_t)family;
	*n = sizeof(struct sockaddr_in);
	if (family == AF_INET)
		((struct sockaddr_in *)a)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (family == AF_INET6) {
		((struct sockaddr_in6 *)a)->sin6_addr = in6addr_loopback;
		*n = sizeof(struct sockaddr_in6);
	}
	if (family == AF_UNIX)
		*n = sizeof(sa_family_t);	/* a name of the kernel's choice */
	must(fd >= 0 && !bind(fd, (void *)a, *n) && !listen(fd, 64), "a listener");
	*n = sizeof(*a);
	must(!getsockname(fd, (void *)a, n), "getsockname");
	return fd;
}

static inline int connect_to(const struct sockaddr_storage *a, socklen_t n)
{
	int fd = socket(a->ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fd >= 0 && !connect(fd, (const void *)a, n), "connect");
	return fd;
}

/* fd[0]: ours, to be attached; fd[1]: the peer's. */
static inline void stream(int family, int fd[2])
{
	struct sockaddr_storage a;
	socklen_t n;
	int l = listen_on(family, &a, &n);

	fd[1] = connect_to(&a, n);
	fd[0] = accept(l, NULL, NULL);
	must(fd[0] >= 0, "accept");
	close(l);
}

struct test {
	const char *name;
	void (*run)(void);
};
#define TEST(f) { #f, f }
extern const struct test interface_tests[], row_tests[], sock_tests[], tun_tests[];	/* end with a NULL */

static inline double now(void)
{
	struct timespec t;	/* clock: to go on for some seconds */

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

#endif
