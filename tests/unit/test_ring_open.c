/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_ring_open.c - the rings over sockets where the system says no: each call of their opening
 * fails once, what a kernel without io_uring or with an old one is told, when accepting goes on
 * after descriptors have run out (on a clock that the test moves), calls that are interrupted, and
 * the numbers that are told of it all.
 */
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <setjmp.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "ring/ring.h"
#include "ring/ring_conn.h"

#define BUFS	64u
#define BUF	2048u
#define CONNS	4u
#define MANY	4096u		/* with more handles than that, io_uring accepts whoever comes */

static uint8_t pool[BUFS * BUF] __attribute__((aligned(4096)));

static struct {
	const struct ring_ops *o;
	struct ring *r;
	_Atomic uint64_t ms;		/* the clock */
	int	 listener;
	struct sockaddr_in addr;
	uint32_t free[BUFS];
	unsigned nfree;
	/* what came */
	unsigned accepted, closed, eof, error, data, sent, woken, synced;
	unsigned waits;			/* turns */
	unsigned max;			/* events in a turn, if not 0 */
	unsigned conns;			/* handles, if not 0 */
	uint32_t last;
	char	 text[65536 * 4];
	size_t	 got;
	int	 sent_res;
	/* calls of the ring, and the nth of this name fails */
	bool	 in;
	unsigned calls;
	const char *fails;
	unsigned nth, seen, times;	/* so many from the nth on; 0: one */
	int	 err;
	unsigned lacks;			/* an operation that io_uring does not have, + 1 */
	char	 why[256];
} the;

/* clock: the test's own; ticks are what the rings ask for */
int clock_gettime(clockid_t id, struct timespec *t)
{
	(void)id;
	t->tv_sec = (time_t)(the.ms / 1000);
	t->tv_nsec = (long)(the.ms % 1000) * 1000000;
	return 0;
}

/* ---- the system's, between the rings and it ---- */

static bool fails(const char *call)
{
	if (!the.fails || strcmp(call, the.fails))
		return false;
	the.seen++;
	if (the.seen < the.nth || the.seen >= the.nth + (the.times ? the.times : 1))
		return false;
	errno = the.err;
	return true;
}

#define WRAP(type, name, none, params, args) \
	type __real_##name params; \
	type __wrap_##name params; \
	type __wrap_##name params { return fails(#name) ? (none) : __real_##name args; }
/* And it is a system call of the ring's. */
#define COUNTED(type, name, none, params, args) \
	type __real_##name params; \
	type __wrap_##name params; \
	type __wrap_##name params { the.calls += the.in; return fails(#name) ? (none) : __real_##name args; }
WRAP(void *, calloc, NULL, (size_t a, size_t b), (a, b))
WRAP(void *, malloc, NULL, (size_t a), (a))
WRAP(int, eventfd, -1, (unsigned a, int b), (a, b))
WRAP(int, epoll_create1, -1, (int a), (a))
WRAP(int, sem_init, -1, (sem_t *a, int b, unsigned c), (a, b, c))
WRAP(int, pthread_create, the.err, (pthread_t *a, const pthread_attr_t *b, void *(*c)(void *), void *d), (a, b, c, d))
COUNTED(int, epoll_ctl, -1, (int a, int b, int c, struct epoll_event *d), (a, b, c, d))
COUNTED(int, epoll_wait, -1, (int a, struct epoll_event *b, int c, int d), (a, b, c, d))
COUNTED(int, accept4, -1, (int a, struct sockaddr *b, socklen_t *c, int d), (a, b, c, d))
COUNTED(ssize_t, recv, -1, (int a, void *b, size_t c, int d), (a, b, c, d))
COUNTED(ssize_t, read, -1, (int a, void *b, size_t c), (a, b, c))
COUNTED(ssize_t, readv, -1, (int a, const struct iovec *b, int c), (a, b, c))
COUNTED(ssize_t, send, -1, (int a, const void *b, size_t c, int d), (a, b, c, d))
COUNTED(ssize_t, sendmsg, -1, (int a, const struct msghdr *b, int c), (a, b, c))
COUNTED(int, shutdown, -1, (int a, int b), (a, b))
COUNTED(int, sem_post, -1, (sem_t *a), (a))
COUNTED(int, close, -1, (int a), (a))
WRAP(int, io_uring_queue_init_params, -the.err, (unsigned a, struct io_uring *b, struct io_uring_params *c), (a, b, c))
WRAP(int, io_uring_register_buf_ring, -the.err, (struct io_uring *a, struct io_uring_buf_reg *b, unsigned c), (a, b, c))
COUNTED(int, io_uring_submit, -the.err, (struct io_uring *a), (a))
COUNTED(int, io_uring_submit_and_get_events, -the.err, (struct io_uring *a), (a))
COUNTED(int, io_uring_submit_and_wait_timeout, -the.err, (struct io_uring *a, struct io_uring_cqe **b, unsigned c,
	struct __kernel_timespec *d, sigset_t *e), (a, b, c, d, e))

static size_t mapped;		/* bytes of memory */

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

int __real_fcntl(int fd, int what, ...);
int __wrap_fcntl(int fd, int what, ...);
int __wrap_fcntl(int fd, int what, ...)
{
	va_list ap;
	int arg;

	va_start(ap, what);
	arg = what == F_GETFL ? 0 : va_arg(ap, int);
	va_end(ap);
	return fails("fcntl") ? -1 : __real_fcntl(fd, what, arg);
}

int __real_io_uring_register_probe(struct io_uring *u, struct io_uring_probe *p, unsigned n);
int __wrap_io_uring_register_probe(struct io_uring *u, struct io_uring_probe *p, unsigned n);
int __wrap_io_uring_register_probe(struct io_uring *u, struct io_uring_probe *p, unsigned n)
{
	int err = fails("io_uring_register_probe") ? -the.err : __real_io_uring_register_probe(u, p, n);

	if (!err && the.lacks)
		p->ops[the.lacks - 1].flags = 0;
	return err;
}

/* ---- a life ---- */

static void fail_call(const char *call, unsigned nth, int err)
{
	the.fails = call;
	the.nth = nth;
	the.err = err;
	the.seen = the.times = 0;
}

static unsigned descriptors(void)
{
	unsigned n = 0;

	for (int fd = 0; fd < 256; fd++)
		n += __real_fcntl(fd, F_GETFD, 0) >= 0;
	return n;
}

/* Who has not CAP_IPC_LOCK has a limit for the memory of io_uring, and the kernel gives back that of
 * a ring a while after its end: then once more. */
static int open_ring(unsigned bufs)
{
	const struct ring_params p = { .conns_max = the.conns ? the.conns : CONNS, .buf_size = BUF, .nbufs = bufs, .pool_base = pool,
				       .pool_len = sizeof(pool), .listeners = &the.listener, .nlisteners = 1 };
	int err;

	for (unsigned tries = 0;; tries++) {
		*the.why = '\0';
		the.r = NULL;
		err = the.o->open(&the.r, &p, the.why, sizeof(the.why));
		if (err != -ENOMEM || tries == 1000 || (the.fails && the.err == ENOMEM && the.seen >= the.nth))
			return err;
		the.seen = 0;
		usleep(10000);
	}
}

static void listen_anew(void)
{
	socklen_t n = sizeof(the.addr);

	the.addr = (struct sockaddr_in){ .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	the.listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(bind(the.listener, (struct sockaddr *)&the.addr, n), 0);
	assert_int_equal(listen(the.listener, 16), 0);
	assert_int_equal(getsockname(the.listener, (struct sockaddr *)&the.addr, &n), 0);
}

static void forget_all(const struct ring_ops *o)
{
	memset(&the, 0, sizeof(the));
	the.o = o;
	the.ms = 5000000;
	listen_anew();
}

static void begin_with(const struct ring_ops *o, unsigned conns)
{
	forget_all(o);
	the.conns = conns;
	for (the.nfree = 0; the.nfree < BUFS; the.nfree++)
		the.free[the.nfree] = the.nfree;
	assert_int_equal(open_ring(BUFS), 0);
}

static void begin(const struct ring_ops *o)
{
	begin_with(o, 0);
}

static void over(void)
{
	the.o->end(the.r);
	the.o->close(the.r);
	close(the.listener);
}

static void happened(const struct ring_event *e)
{
	switch ((enum ring_kind)e->kind) {
	case RING_ACCEPT:
		the.accepted++;
		the.last = e->conn;
		assert_int_equal(e->res, 0);
		break;
	case RING_DATA:
		assert_true(the.got + e->len < sizeof(the.text));
		memcpy(the.text + the.got, pool + e->buf * BUF + e->off, e->len);
		the.got += e->len;
		the.data++;
		the.free[the.nfree++] = e->buf;
		break;
	case RING_EOF:
		the.eof++;
		break;
	case RING_ERROR:
		the.error++;
		break;
	case RING_SENT:
		the.sent++;
		the.sent_res = e->res;
		break;
	case RING_CLOSED:
		the.closed++;
		break;
	case RING_WOKEN:
		the.woken++;
		break;
	case RING_SYNCED:
		the.synced++;
		assert_int_equal(e->res, -EXDEV);
		break;
	}
}

static int turn(int timeout_ms)
{
	struct ring_event ev[BUFS];
	int n;

	while (the.nfree && the.o->give(the.r, the.free[the.nfree - 1]))
		the.nfree--;
	the.waits++;
	the.in = true;
	n = the.o->wait(the.r, ev, the.max ? the.max : BUFS, timeout_ms);
	the.in = false;
	for (int i = 0; i < n; i++)
		happened(&ev[i]);
	return n;
}

#define UNTIL(expr) do { \
	for (unsigned turns_ = 0; !(expr); turns_++) { \
		assert_true(turns_ < 6000); \
		turn(10); \
	} \
} while (0)

static void turns(unsigned n)
{
	while (n--)
		turn(3);
}

static int come(void)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&the.addr, sizeof(the.addr)), 0);
	return fd;
}

static void write_all(int fd, const char *p, size_t n)
{
	assert_int_equal(write(fd, p, n), n);
}

static void end_conn(uint32_t conn)
{
	unsigned n = the.closed;

	the.in = true;
	the.o->close_conn(the.r, conn);
	the.in = false;
	UNTIL(the.closed == n + 1);
}

static uint64_t no_files(void)
{
	struct ring_stats s;

	the.o->stats(the.r, &s);
	return s.no_files;
}

/* Both rings, the one over io_uring where there is any. */
static const struct ring_ops *const rings[] = { &ring_socket, &ring_uring };
static unsigned nrings;
#define EACH(o) (const struct ring_ops *const *o = rings; o < rings + nrings; o++)

/* ---- opening ---- */

static void test_calls_fail(void **state)
{
	static const char *const calls[] = {
		"calloc", "malloc", "mmap", "eventfd", "fcntl", "epoll_create1", "epoll_ctl", "io_uring_queue_init_params",
		"io_uring_register_probe", "io_uring_register_buf_ring",
	};
	unsigned failed = 0;

	(void)state;
	for EACH(o) {
		forget_all(*o);
		for (unsigned i = 0; i < sizeof(calls) / sizeof(calls[0]); i++)
			for (unsigned nth = 1;; nth++) {
				unsigned before = descriptors();
				size_t memory = mapped;
				int err;

				fail_call(calls[i], nth, i < 3 ? ENOMEM : EMFILE);
				err = open_ring(BUFS);
				the.fails = NULL;
				if (the.seen < nth) {
					assert_int_equal(err, 0);
					assert_true(mapped > memory);
					the.o->close(the.r);
					assert_int_equal(descriptors(), before);
					assert_int_equal(mapped, memory);
					break;
				}
				if (err != -the.err || strlen(the.why) < 5)
					fail_msg("%s %u: %d, %s", calls[i], nth, err, the.why);
				assert_null(the.r);
				assert_int_equal(descriptors(), before);
				assert_int_equal(mapped, memory);
				failed++;
			}
		close(the.listener);
	}
	assert_in_range(failed, 8 * nrings, 40);
}

/* No thread for the commits. */
static void test_no_thread(void **state)
{
	static const char *const calls[] = { "sem_init", "pthread_create" };

	(void)state;
	for EACH(o)
		for (unsigned i = 0; i < 2; i++) {
			begin(*o);
			fail_call(calls[i], 1, EAGAIN);
			assert_null(the.o->aio(the.r));
			the.fails = NULL;
			over();
		}
}

static void said(int err, int want, const char *words)
{
	the.fails = NULL;
	the.lacks = 0;
	if (err != want || !strstr(the.why, words))
		fail_msg("%d, \"%s\", not %d and \"%s\"", err, the.why, want, words);
}

/* What is told of a kernel that has no io_uring, forbids it, or has an old one. */
static void test_old_kernels(void **state)
{
	static const unsigned needed[] = {
		IORING_OP_ACCEPT, IORING_OP_RECV, IORING_OP_SEND, IORING_OP_SENDMSG, IORING_OP_READ, IORING_OP_CLOSE,
		IORING_OP_ASYNC_CANCEL, IORING_OP_SEND_ZC,
	};

	(void)state;
	if (nrings < 2)
		skip();
	forget_all(&ring_uring);
	for (unsigned k = 0; k < 2; k++) {
		fail_call("io_uring_queue_init_params", 1, k ? EACCES : EPERM);
		said(open_ring(BUFS), -the.err, "io_uring is forbidden here");
		fail_call("io_uring_queue_init_params", 1, ENOSYS);
		said(open_ring(BUFS), -ENOSYS, "this kernel has no io_uring");
		fail_call("io_uring_queue_init_params", 1, ENOMEM);
		said(open_ring(BUFS), -ENOMEM, "io_uring_setup: Cannot allocate memory");
		assert_int_equal(the.seen, 1);
		/* Flags that it does not know are left out, one set after the other. */
		for (unsigned n = 1; n <= 3; n++) {
			fail_call("io_uring_queue_init_params", 1, EINVAL);
			the.times = n;
			if (n == 3)
				said(open_ring(BUFS), -EINVAL, "io_uring_setup: Invalid argument");
			else
				assert_int_equal(open_ring(BUFS), 0);
			the.fails = NULL;
			assert_int_equal(the.seen, n < 3 ? n + 1 : n);
			if (n < 3)
				the.o->close(the.r);
		}
		fail_call("io_uring_register_probe", 1, EINVAL);
		said(open_ring(BUFS), -EINVAL, "has no multishot receive");
		fail_call("io_uring_register_probe", 1, EPERM);
		said(open_ring(BUFS), -EPERM, "io_uring_register: Operation not permitted (seccomp");
		for (unsigned i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
			the.lacks = needed[i] + 1;
			said(open_ring(BUFS), -EOPNOTSUPP, "has no multishot receive");
		}
		the.lacks = IORING_OP_FSYNC + 1;
		assert_int_equal(open_ring(BUFS), 0);
		the.o->close(the.r);
		the.lacks = 0;
		fail_call("io_uring_register_buf_ring", 1, EINVAL);
		said(open_ring(3), -EINVAL, "refuses a ring of 4 provided buffers: Invalid argument");
		fail_call("io_uring_register_buf_ring", 1, EINVAL);
		said(open_ring(4), -EINVAL, "a ring of 4 ");
		fail_call("io_uring_register_buf_ring", 1, EINVAL);
		said(open_ring(5000), -EINVAL, "a ring of 1024 ");
	}
	close(the.listener);
}

/* ---- accepting when there is nothing left to do it with ---- */

static struct rlimit was;

static void no_descriptors(void)
{
	struct rlimit now;
	int fd = dup(0);

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	now = was;
	now.rlim_cur = (rlim_t)fd;
	close(fd);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
}

static void descriptors_again(void)
{
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
}

static int give_back(void **state)
{
	(void)state;
	if (was.rlim_cur)
		descriptors_again();
	return 0;
}

/* It is tried again after a while, without having to be told, and at once when one of ours is closed;
 * counted once, and a wait without a limit has one meanwhile. */
static void test_out_of_descriptors(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2 * nrings; i++) {
		const struct ring_ops *const *o = &rings[i / 2];
		uint32_t first;
		int fd[5];

		begin_with(*o, i % 2 ? MANY + 100 : 0);
		fd[0] = come();
		UNTIL(the.accepted == 1);
		first = the.last;
		for (unsigned k = 1; k <= 3; k++) {
			uint64_t told = no_files();

			the.o->accept(the.r, false);
			turns(3);
			fd[k] = come();
			no_descriptors();
			the.o->accept(the.r, true);
			UNTIL(no_files() > told);
			turns(5);
			/* Of io_uring each accept that was there is one. */
			assert_in_range(no_files(), told + 1, told + (*o == &ring_uring ? CONNS : 1));
			told = no_files();
			descriptors_again();
			turn(-1);			/* comes back by itself */
			assert_int_equal(the.accepted, k);
			the.ms += RING_BACKOFF_MS - 1;
			turns(5);
			assert_int_equal(the.accepted, k);
			assert_int_equal(no_files(), told);
			if (k < 3)
				the.ms++;
			else
				end_conn(first);
			UNTIL(the.accepted == k + 1);
			assert_int_equal(no_files(), told);
		}
		/* All handles but one are in use: the next is taken, one more waits, whatever the clock says. */
		fd[4] = come();
		UNTIL(the.accepted == 5);
		over();
		for (unsigned k = 0; k < 5; k++)
			close(fd[k]);
	}
}

/* Whether there are handles for whoever may come, or a few: all are let in, across that number in both
 * directions, and nobody while accepting is off. */
static void test_many_handles(void **state)
{
	(void)state;
	for EACH(o) {
		begin_with(*o, MANY + 3);
		for (unsigned round = 0; round < 3; round++) {
			unsigned before = the.accepted;
			uint32_t conn[7];
			int fd[7];

			for (unsigned i = 0; i < 7; i++) {
				if (i == round + 2) {
					the.o->accept(the.r, false);
					turns(3);
				}
				fd[i] = come();
				if (i == round + 2) {
					turns(3);
					assert_int_equal(the.accepted, before + i);
					the.o->accept(the.r, true);
				}
				UNTIL(the.accepted == before + i + 1);
				conn[i] = the.last;
				for (unsigned k = 0; k < i; k++)
					assert_int_not_equal(conn[k], conn[i]);
			}
			for (unsigned i = 0; i < 7; i++) {
				end_conn(conn[i]);
				close(fd[i]);
				if (i % 2) {
					fd[i] = come();
					UNTIL(the.accepted == before + 7 + i / 2 + 1);
					end_conn(the.last);
					close(fd[i]);
				}
			}
		}
		assert_int_equal(no_files(), 0);
		over();
	}
}

/* Errors of one connection in the backlog are not those of the machine. */
static void test_accept_errors(void **state)
{
	static const int errs[] = { EINTR, ECONNABORTED, EPROTO, ENETDOWN };

	(void)state;
	begin(&ring_socket);
	for (unsigned i = 0; i < 4; i++) {
		int fd;

		fail_call("accept4", 1, errs[i]);
		fd = come();
		UNTIL(the.accepted == i + 1);
		assert_true(the.seen >= 2);
		assert_int_equal(no_files(), 0);
		the.fails = NULL;
		end_conn(the.last);
		close(fd);
	}
	over();
}

/* A connection or a listener that cannot be watched: the one ends, the other is tried again. */
static void test_cannot_watch(void **state)
{
	unsigned before;
	char c;
	int fd;

	(void)state;
	begin(&ring_socket);
	turns(2);
	before = descriptors();
	for (unsigned k = 0; k < 6; k++) {		/* more often than there are handles */
		fail_call("epoll_ctl", 1, ENOMEM);
		fd = come();
		while (the.seen < 1)
			turn(10);
		turns(2);
		the.fails = NULL;
		assert_int_equal(the.accepted, 0);
		assert_true(read(fd, &c, 1) <= 0);
		close(fd);
		assert_int_equal(descriptors(), before);
	}
	fd = come();
	UNTIL(the.accepted == 1);
	end_conn(the.last);
	close(fd);
	for (unsigned k = 0; k < 2; k++) {
		the.o->accept(the.r, false);
		turns(2);
		fail_call("epoll_ctl", 1, ENOMEM);
		the.o->accept(the.r, true);
		fd = come();
		turns(5);
		assert_true(the.seen >= 1);
		the.fails = NULL;
		turn(-1);
		assert_int_equal(the.accepted, k + 1);
		the.ms += RING_BACKOFF_MS;
		UNTIL(the.accepted == k + 2);
		end_conn(the.last);
		close(fd);
	}
	over();
}

/* ---- calls that are interrupted, and such as fail ---- */

static void test_interrupted(void **state)
{
	static const char *const calls[] = { "recv", "readv", "send", "sendmsg" };
	static char big[4 * BUF];
	char back[16];
	uint32_t conn;
	int fd;

	(void)state;
	begin(&ring_socket);
	fd = come();
	UNTIL(the.accepted == 1);
	conn = the.last;
	for (unsigned i = 0; i < 4; i++) {
		struct iovec iov[2] = { { (void *)(uintptr_t)"ab", 2 }, { (void *)(uintptr_t)"cd", 2 } };

		the.got = 0;
		fail_call(calls[i], 1, EINTR);
		if (i < 2) {
			write_all(fd, big, sizeof(big));
			UNTIL(the.got == sizeof(big));
		} else {
			the.o->send(the.r, conn, iov, i - 1);
			UNTIL(the.sent == i - 1);
			assert_int_equal(the.sent_res, 0);
			assert_int_equal(read(fd, back, sizeof(back)), 2 * (i - 1));
			assert_memory_equal(back, "abcd", 2 * (i - 1));
		}
		assert_true(the.seen >= 2);
		the.fails = NULL;
	}
	assert_int_equal(the.error + the.eof, 0);
	fail_call("recv", 1, ETIMEDOUT);
	write_all(fd, "x", 1);
	UNTIL(the.error == 1);
	the.fails = NULL;
	over();
	close(fd);
}

/* The wait itself: what comes by the way is none of its business, all else is its end. */
static void test_wait_fails(void **state)
{
	static const struct { const char *call; int timeout_ms; } wait[2][2] = {
		{ { "epoll_wait", 1 }, { "epoll_wait", 0 } },
		{ { "io_uring_submit_and_wait_timeout", 1 }, { "io_uring_submit_and_get_events", 0 } },
	};
	static const int passing[] = { EINTR, ETIME, EBUSY, EAGAIN };

	(void)state;
	for EACH(o)
		for (unsigned k = 0; k < 2; k++) {
			begin(*o);
			turns(3);
			for (unsigned i = 0; i < (*o == &ring_uring ? 4 : 1); i++) {
				int fd = come();
				unsigned n = the.accepted;

				the.o->wake(the.r);
				fail_call(wait[o - rings][k].call, 1, passing[i]);
				assert_true(turn(wait[o - rings][k].timeout_ms) >= 0);
				the.fails = NULL;
				UNTIL(the.accepted == n + 1);
				close(fd);
			}
			UNTIL(the.eof + the.error == the.accepted);
			turns(3);
			fail_call(wait[o - rings][k].call, 1, EBADF);
			for (unsigned i = 0; i < 100 && !the.seen; i++) {
				int n = turn(wait[o - rings][k].timeout_ms);

				if (the.seen)
					assert_int_equal(n, -EBADF);
				else
					the.o->accept(the.r, i % 2);	/* something to submit */
			}
			assert_int_equal(the.seen, 1);
			the.fails = NULL;
			over();
		}
}

static int not_done(void *arg)
{
	(void)arg;
	return -EXDEV;
}

/* What has no room in a turn's events is told in the next ones. */
static void test_one_event_a_turn(void **state)
{
	(void)state;
	for EACH(o) {
		struct blk_aio *aio;
		int fd[3];

		begin(*o);
		the.max = 1;
		aio = the.o->aio(the.r);
		assert_non_null(aio);
		for (unsigned k = 1; k <= 5; k++) {
			assert_int_equal(aio->call(aio, not_done, NULL), 0);
			UNTIL(the.synced == k);
		}
		for (unsigned i = 0; i < 3; i++)
			fd[i] = come();
		UNTIL(the.accepted == 3);
		for (unsigned i = 0; i < 3; i++)
			write_all(fd[i], "x", 1);
		assert_int_equal(aio->call(aio, not_done, NULL), 0);
		the.o->wake(the.r);
		UNTIL(the.data == 3 && the.synced == 6);
		for (unsigned i = 0; i < 3; i++)
			close(fd[i]);
		UNTIL(the.eof == 3);
		for (uint32_t h = 0; h < 3; h++)
			the.o->close_conn(the.r, h);
		UNTIL(the.closed == 3);
		over();
	}
}

/* Who sends much has his share of a turn, and the others theirs; nothing is forgotten. */
static void test_shares(void **state)
{
	static char much[50 * BUF];
	int fd[2];

	(void)state;
	begin(&ring_socket);
	for (unsigned i = 0; i < 2; i++) {
		int size = 4 * sizeof(much);

		fd[i] = come();
		UNTIL(the.accepted == i + 1);
		setsockopt(fd[i], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
		the.o->pause(the.r, the.last);
	}
	for (unsigned i = 0; i < 2; i++)
		assert_true(send(fd[i], much, sizeof(much), MSG_DONTWAIT) > 20 * (int)BUF);
	turns(5);
	assert_int_equal(the.data, 0);
	for (uint32_t h = 0; h < 2; h++)
		the.o->resume(the.r, h);
	for (unsigned k = 0; k < 2; k++) {
		unsigned before = the.data;

		assert_in_range(turn(10), 1, 2 * 16);
		assert_in_range(the.data - before, 2, 2 * 16);
	}
	assert_true(the.data > 2 * 16);
	over();
	close(fd[0]);
	close(fd[1]);
}

/* What is asked of a connection's socket is asked of that one. */
static void test_of_one(void **state)
{
	(void)state;
	for EACH(o) {
		struct sockaddr_in a, b;
		socklen_t n = sizeof(a);
		int fd[2], theirs = -1, off = 0;
		uint32_t conn[2];
		char text[64];

		begin(*o);
		for (unsigned i = 0; i < 2; i++) {
			fd[i] = come();
			UNTIL(the.accepted == i + 1);
			conn[i] = the.last;
		}
		assert_int_equal(getsockname(fd[1], (struct sockaddr *)&a, &n), 0);
		for (int k = 0; k < 256; k++) {
			n = sizeof(b);
			if (!getpeername(k, (struct sockaddr *)&b, &n) && b.sin_family == AF_INET && b.sin_port == a.sin_port)
				theirs = k;
		}
		assert_true(theirs >= 0);
		assert_int_equal(setsockopt(theirs, IPPROTO_TCP, TCP_QUICKACK, &off, sizeof(off)), 0);
		the.o->ack(the.r, conn[1]);
		n = sizeof(off);
		assert_int_equal(getsockopt(theirs, IPPROTO_TCP, TCP_QUICKACK, &off, &n), 0);
		assert_int_equal(off, 1);
		the.o->pause(the.r, conn[1]);
		turns(3);
		write_all(fd[1], "x", 1);
		assert_true(the.o->unread(the.r, conn[1]));
		assert_false(the.o->unread(the.r, conn[0]));
		the.o->resume(the.r, conn[1]);
		UNTIL(the.got == 1);
		assert_false(the.o->unread(the.r, conn[1]));
		the.o->forget(the.r, conn[1]);
		end_conn(conn[1]);
		end_conn(conn[0]);
		assert_int_equal(read(fd[1], text, 1), -1);
		assert_int_equal(errno, ECONNRESET);
		assert_int_equal(read(fd[0], text, 1), 0);
		over();
		close(fd[0]);
		close(fd[1]);
	}
}

/* An end is told once, whatever is asked of the connection then; ours is said once. */
static void test_ends(void **state)
{
	(void)state;
	for EACH(o)
		for (unsigned first = 0; first < 2; first++) {		/* whose end it is first */
			uint32_t conn;
			char text[4];
			int fd;

			begin(*o);
			fd = come();
			UNTIL(the.accepted == 1);
			conn = the.last;
			if (!first)
				assert_int_equal(shutdown(fd, SHUT_WR), 0);
			UNTIL(the.eof == !first);
			fail_call("shutdown", 99, EINTR);
			for (unsigned twice = 0; twice < 2; twice++) {
				the.o->pause(the.r, conn);
				turns(2);
				the.o->resume(the.r, conn);
				turns(2);
				the.o->shutdown(the.r, conn);
				turns(2);
				assert_int_equal(the.eof, !first);
			}
			assert_true(the.seen <= 1);
			the.fails = NULL;
			assert_int_equal(read(fd, text, sizeof(text)), 0);
			if (first) {
				assert_int_equal(shutdown(fd, SHUT_WR), 0);
				UNTIL(the.eof == 1);
				turns(2);
			}
			assert_int_equal(the.eof, 1);
			assert_int_equal(the.error, 0);
			end_conn(conn);
			over();
			close(fd);
		}
}

/* ---- numbers ---- */

/* Each that is told is what happened. */
static void test_numbers(void **state)
{
	(void)state;
	for EACH(o) {
		struct ring_stats s;
		uint32_t conn[3];
		int fd[3];
		char back[64];

		begin(*o);
		for (unsigned i = 0; i < 3; i++) {
			fd[i] = come();
			UNTIL(the.accepted == i + 1);
			conn[i] = the.last;
		}
		for (unsigned k = 1; k <= 5; k++)
			for (unsigned i = 0; i < 3; i++) {
				struct iovec iov[2] = { { the.text, 3 }, { the.text + 3, 4 } };
				unsigned n = the.data, sent = the.sent;

				the.got = 0;
				write_all(fd[i], "request", 7);
				UNTIL(the.data == n + 1);
				assert_int_equal(the.got, 7);
				the.in = true;
				the.o->send(the.r, conn[i], iov, i ? 2 : 1);
				the.in = false;
				UNTIL(the.sent == sent + 1);
				assert_int_equal(read(fd[i], back, sizeof(back)), i ? 7 : 3);
			}
		the.in = true;
		the.o->pause(the.r, conn[0]);
		the.o->resume(the.r, conn[0]);
		the.o->shutdown(the.r, conn[1]);
		the.in = false;
		assert_int_equal(read(fd[1], back, sizeof(back)), 0);
		turns(2);
		for (unsigned i = 0; i < 3; i++)
			end_conn(conn[i]);
		the.o->stats(the.r, &s);
		assert_int_equal(s.waits, the.waits);
		assert_int_equal(s.syscalls, the.calls);
		assert_int_equal(s.data, 15);
		assert_int_equal(s.bytes_in, 15 * 7);
		assert_int_equal(s.bytes_out, 5 * (3 + 7 + 7));
		assert_int_equal(s.sends, 15);
		assert_int_equal(s.bytes_copied[RING_COPY_OTHER], s.bytes_in);
		assert_int_equal(s.no_files + s.turned_away + s.starved, 0);
		over();
		for (unsigned i = 0; i < 3; i++)
			close(fd[i]);
	}
}

static void calls_are_told(void)
{
	struct ring_stats s;

	the.o->stats(the.r, &s);
	assert_int_equal(s.syscalls, the.calls);
}

/* Also those that are rare: the end of a stream behind a reply, a commit with a reply in front of it
 * and one with none, what wakes the ring, and more at once than one entry into the kernel takes. */
static void test_rare_calls(void **state)
{
	enum { OPEN = 400 };
	static uint32_t conn[OPEN];
	static int fd[OPEN];

	(void)state;
	for EACH(o) {
		struct iovec iov = { the.text, 3 };
		struct blk_aio *aio;
		char back[8];

		begin_with(*o, OPEN);
		for (unsigned i = 0; i < OPEN; i++) {
			fd[i] = come();
			UNTIL(the.accepted == i + 1);
			conn[i] = the.last;
		}
		turns(OPEN / BUFS + 2);
		calls_are_told();
		the.in = true;
		the.o->send(the.r, conn[0], &iov, 1);
		the.o->shutdown(the.r, conn[0]);
		the.in = false;
		UNTIL(the.sent == 1);
		assert_int_equal(read(fd[0], back, sizeof(back)), 3);
		assert_int_equal(read(fd[0], back, sizeof(back)), 0);
		calls_are_told();
		aio = the.o->aio(the.r);
		assert_non_null(aio);
		for (unsigned k = 1; k <= 2; k++) {
			the.in = true;
			if (k == 1)
				the.o->send(the.r, conn[1], &iov, 1);
			assert_int_equal(aio->call(aio, not_done, NULL), 0);
			the.in = false;
			UNTIL(the.synced == k && the.sent == 2);
			calls_are_told();
		}
		for (unsigned k = 1; k <= 2; k++) {
			unsigned n = the.woken;		/* commits wake it, too */

			the.o->wake(the.r);
			UNTIL(the.woken > n);
			calls_are_told();
		}
		the.in = true;
		for (unsigned i = 0; i < OPEN; i++)
			the.o->close_conn(the.r, conn[i]);
		the.in = false;
		UNTIL(the.closed == OPEN);
		calls_are_told();
		over();
		for (unsigned i = 0; i < OPEN; i++)
			close(fd[i]);
	}
}

/* What a ring over it needs is there, as the system itself says: then it has to open. */
static bool has_uring(void)
{
	struct io_uring_params up = { 0 };
	struct io_uring_probe *p;
	struct io_uring u;
	bool has;

	if (io_uring_queue_init_params(8, &u, &up))
		return false;
	p = io_uring_get_probe_ring(&u);
	has = p && io_uring_opcode_supported(p, IORING_OP_SEND_ZC);
	io_uring_free_probe(p);
	io_uring_queue_exit(&u);
	return has;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_calls_fail), cmocka_unit_test(test_no_thread), cmocka_unit_test(test_old_kernels),
		cmocka_unit_test_teardown(test_out_of_descriptors, give_back), cmocka_unit_test(test_many_handles),
		cmocka_unit_test(test_accept_errors), cmocka_unit_test(test_cannot_watch),
		cmocka_unit_test(test_interrupted), cmocka_unit_test(test_wait_fails),
		cmocka_unit_test(test_one_event_a_turn), cmocka_unit_test(test_shares), cmocka_unit_test(test_of_one), cmocka_unit_test(test_ends),
		cmocka_unit_test(test_numbers), cmocka_unit_test(test_rare_calls),
	};

	alarm(120);		/* a wait that does not come back */
	forget_all(&ring_uring);
	nrings = 1;
	if (!open_ring(BUFS)) {
		nrings = 2;
		the.o->close(the.r);
	} else {
		printf("without io_uring: %s\n", the.why);
		if (has_uring())
			return 1;
	}
	close(the.listener);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
