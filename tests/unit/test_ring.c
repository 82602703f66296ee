/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_ring.c - the contract of ring.h, held against one ring with real sockets.
 *
 * Built once per ring: -DTEST_RING=ring_socket, ring_uring, ring_paste.  Where there is no
 * such ring (the kernel forbids io_uring, the module is not there) the program exits 77
 * with the reason; tests/vm/paste_e2e.py runs that of ring_paste where there is one.
 */
#include "ring_world.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

const struct ring_ops *ring_ops = &TEST_RING;

/* ---- clients in a thread: talk to an echo, say what was wrong ---- */

struct talk {
	const struct world *w;
	unsigned conns, rounds;
	size_t size;		/* largest message */
	bool stream;		/* write all, in a thread of its own, while reading */
	pthread_t thread;
	const char *wrong;
	bool done;
};

struct stream {
	int fd;
	uint32_t seed;
	uint64_t n;
	bool ok;
};

static void *stream_out(void *arg)
{
	struct stream *s = arg;
	uint8_t piece[5000];

	s->ok = true;
	for (uint64_t at = 0; at < s->n && s->ok; ) {
		size_t k = 1 + (at * 7 + s->seed) % sizeof(piece);

		if (k > s->n - at)
			k = s->n - at;
		for (size_t i = 0; i < k; i++)
			piece[i] = pattern(s->seed, at + i);
		s->ok = client_write(s->fd, piece, k);
		at += k;
	}
	shutdown(s->fd, SHUT_WR);
	return NULL;
}

static bool stream_in(int fd, uint32_t seed, uint64_t n)
{
	uint8_t piece[8192];

	for (uint64_t at = 0; at < n; ) {
		size_t k = n - at < sizeof(piece) ? n - at : sizeof(piece);

		if (!client_read(fd, piece, k))
			return false;
		for (size_t i = 0; i < k; i++)
			if (piece[i] != pattern(seed, at + i))
				return false;
		at += k;
	}
	return client_eof(fd);
}

static void *stream_both(void *arg)
{
	struct stream *s = arg;
	pthread_t out;
	bool in_ok;

	pthread_create(&out, NULL, stream_out, s);
	in_ok = stream_in(s->fd, s->seed, s->n);
	pthread_join(out, NULL);
	s->ok &= in_ok;
	return NULL;
}

/* All at once: an echo that is not read holds buffers for ever. */
static const char *talk_streams(struct talk *t)
{
	struct stream *s = calloc(t->conns, sizeof(*s));
	pthread_t *both = calloc(t->conns, sizeof(*both));
	const char *wrong = NULL;

	for (unsigned i = 0; i < t->conns; i++) {
		s[i] = (struct stream){ client_connect(t->w, (int)i % LISTENERS), i, t->size, false };
		if (s[i].fd < 0)
			return "connect";
		pthread_create(&both[i], NULL, stream_both, &s[i]);
	}
	for (unsigned i = 0; i < t->conns; i++) {
		pthread_join(both[i], NULL);
		if (!s[i].ok)
			wrong = "a stream or its echo went wrong";
		close(s[i].fd);
	}
	free(s);
	free(both);
	return wrong;
}

static const char *talk_rounds(struct talk *t)
{
	int *fd = calloc(t->conns, sizeof(*fd));
	uint8_t *out = malloc(t->size), *in = malloc(t->size);
	const char *wrong = NULL;

	for (unsigned i = 0; i < t->conns; i++)
		if ((fd[i] = client_connect(t->w, (int)i % LISTENERS)) < 0)
			return "connect";
	for (unsigned k = 0; k < t->rounds && !wrong; k++) {
		size_t n = 1 + (k * 977) % t->size;

		for (unsigned i = 0; i < t->conns; i++) {
			for (size_t j = 0; j < n; j++)
				out[j] = pattern(i, k * t->size + j);
			if (!client_write(fd[i], out, n))
				wrong = "write";
		}
		for (unsigned i = 0; i < t->conns && !wrong; i++) {
			if (!client_read(fd[i], in, n))
				wrong = "read";
			for (size_t j = 0; j < n; j++)
				if (in[j] != pattern(i, k * t->size + j))
					wrong = "an echo differs";
		}
	}
	for (unsigned i = 0; i < t->conns; i++)
		close(fd[i]);
	free(fd);
	free(out);
	free(in);
	return wrong;
}

static void *talk_run(void *arg)
{
	struct talk *t = arg;

	t->wrong = t->stream ? talk_streams(t) : talk_rounds(t);
	__atomic_store_n(&t->done, true, __ATOMIC_RELEASE);
	ring_ops->wake(t->w->ring);
	return NULL;
}

static void talk_in(struct world *w, struct talk *t)
{
	t->w = w;
	w->echo = true;
	pthread_create(&t->thread, NULL, talk_run, t);
	WORLD_UNTIL(w, __atomic_load_n(&t->done, __ATOMIC_ACQUIRE));
	pthread_join(t->thread, NULL);
	if (t->wrong)
		fail_msg("%s", t->wrong);
}

/* ---- data ---- */

static void echo_many(void **state)
{
	struct world *w = world_new(512, 2048, 100);
	struct talk t = { .conns = 90, .rounds = 20, .size = 3000 };
	uint64_t copied = 0;
	struct ring_stats s;

	(void)state;
	talk_in(w, &t);
	WORLD_UNTIL(w, !w->open);
	assert_int_equal(w->accepted, 90);
	ring_ops->stats(w->ring, &s);
	assert_true(s.bytes_in == s.bytes_out && s.bytes_in > 0);
	for (unsigned i = 0; i < RING_COPIES; i++)
		copied += s.bytes_copied[i];
	assert_true(copied == s.bytes_in);
	assert_true(s.bytes_copied[RING_COPY_OTHER] + s.bytes_copied[RING_COPY_PROTOCOL] == copied);
	assert_true(s.data >= 90 * 20 && s.sends >= 90 * 20 && s.waits && s.syscalls);
	world_end(w);
}

static void echo_one_event_at_a_time(void **state)
{
	struct world *w = world_new(16, 4096, 10);
	struct talk t = { .conns = 9, .rounds = 20, .size = 9000 };

	(void)state;
	w->ev_max = 1;
	talk_in(w, &t);
	world_end(w);
}

static void tiny_window_starves_and_recovers(void **state)
{
	struct world *w = world_new(3, 2048, 9);
	struct talk t = { .conns = 9, .size = 300000, .stream = true };
	struct ring_stats s;

	(void)state;
	talk_in(w, &t);
	ring_ops->stats(w->ring, &s);
	assert_true(s.starved > 0);
	assert_true(s.bytes_in == 9 * 300000);
	world_end(w);
}

static void large_streams(void **state)
{
	struct world *w = world_new(3000, 4096, 6);	/* more buffers than the window */
	struct talk t = { .conns = 6, .size = 3 << 20, .stream = true };

	(void)state;
	talk_in(w, &t);
	world_end(w);
}

static void starved_goes_on_when_given(void **state)
{
	struct world *w = world_new(4, 2048, 4);
	uint8_t data[5 * 2048];
	int fd;

	(void)state;
	world_turn(w, 0);
	assert_int_equal(w->given, 4);
	w->keep = true;
	fd = client_connect(w, LISTEN_4);
	memset(data, 'x', sizeof(data));
	assert_true(client_write(fd, data, sizeof(data)));
	WORLD_UNTIL(w, w->c[0].got >= 4 * 2048);
	world_idle(w, 10);
	assert_int_equal(w->c[0].got, 4 * 2048);
	assert_int_equal(w->given, 0);
	w->keep = false;
	WORLD_UNTIL(w, w->c[0].got == 5 * 2048);
	close(fd);
	WORLD_UNTIL(w, w->c[0].eof);
	world_close_conn(w, 0);
	world_end(w);
}

static void give_refuses_what_does_not_fit(void **state)
{
	struct world *w = world_new(40000, 2048, 4);	/* no ring takes so many */

	(void)state;
	world_turn(w, 0);
	assert_true(w->given > 0 && w->given <= 32768 && w->nfree == 40000 - w->given);
	world_end(w);
}

/* ---- pause ---- */

static void pause_stops_and_resume_goes_on(void **state)
{
	struct world *w = world_new(64, 2048, 4);
	uint8_t data[20000];
	int fd = client_connect(w, LISTEN_4);
	uint64_t sum = 0, got;

	(void)state;
	for (size_t i = 0; i < sizeof(data); i++)
		data[i] = pattern(1, i);
	WORLD_UNTIL(w, w->accepted == 1);
	ring_ops->pause(w->ring, 0);
	world_idle(w, 3);
	assert_true(client_write(fd, data, 100));
	world_idle(w, 10);
	got = w->c[0].got;
	assert_true(got == 0);
	ring_ops->resume(w->ring, 0);
	WORLD_UNTIL(w, w->c[0].got == 100);
	/* back and forth in one batch: reading goes on; forth and back: it does not */
	ring_ops->pause(w->ring, 0);
	ring_ops->resume(w->ring, 0);
	assert_true(client_write(fd, data + 100, 100));
	WORLD_UNTIL(w, w->c[0].got == 200);
	ring_ops->resume(w->ring, 0);
	ring_ops->pause(w->ring, 0);
	world_idle(w, 3);
	assert_true(client_write(fd, data + 200, sizeof(data) - 200));
	close(fd);
	world_idle(w, 10);
	assert_true(w->c[0].got == 200);
	assert_false(w->c[0].eof);
	ring_ops->resume(w->ring, 0);
	WORLD_UNTIL(w, w->c[0].eof);
	sum = world_sum(0, 0, data, sizeof(data));
	assert_true(w->c[0].got == sizeof(data) && w->c[0].check == sum);
	world_close_conn(w, 0);
	world_end(w);
}

static void pause_at_every_turn(void **state)
{
	struct world *w = world_new(32, 2048, 4);
	struct stream s = { .seed = 5, .n = 2 << 20 };
	pthread_t out;
	uint64_t sum = 0;

	(void)state;
	s.fd = client_connect(w, LISTEN_6);
	WORLD_UNTIL(w, w->accepted == 1);
	pthread_create(&out, NULL, stream_out, &s);
	for (unsigned k = 0; !w->c[0].eof; k++) {
		ring_ops->pause(w->ring, 0);
		if (k % 3)
			world_turn(w, 0);
		ring_ops->resume(w->ring, 0);
		world_turn(w, 1);
		world_watchdog("end of the stream", true);
	}
	world_watchdog(NULL, false);
	pthread_join(out, NULL);
	assert_true(s.ok && w->c[0].got == s.n);
	for (uint64_t i = 0; i < s.n; i++) {
		uint8_t b = pattern(s.seed, i);

		sum = world_sum(sum, i, &b, 1);
	}
	assert_true(w->c[0].check == sum);
	close(s.fd);
	world_close_conn(w, 0);
	world_end(w);
}

/* So many at once that the kernel's queues run over (uring: SQ 1024, CQ 8192). */
static void all_at_once(void **state)
{
	struct rlimit was, now;
	unsigned n = 3500;
	struct world *w;
	int *fd;
	struct talk t = { .conns = 1, .rounds = 1, .size = 10 };

	(void)state;
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	now = was;
	now.rlim_cur = now.rlim_max;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
	if (now.rlim_cur < 2 * n + 100)
		n = (unsigned)(now.rlim_cur - 100) / 2;
	w = world_new(1024, 2048, n);
	fd = calloc(n, sizeof(*fd));
	for (unsigned i = 0; i < n; i++) {
		fd[i] = client_connect(w, LISTEN_UNIX);
		assert_true(fd[i] >= 0);
		if (i % 500 == 0)
			WORLD_UNTIL(w, w->accepted == i + 1);
	}
	WORLD_UNTIL(w, w->accepted == n);
	for (unsigned k = 0; k < 2; k++) {
		for (uint32_t i = 0; i < n; i++)
			world_send(w, i, "0123456789", 10);
		WORLD_UNTIL(w, w->c[0].sent == k + 1 && w->c[n - 1].sent == k + 1);
	}
	for (unsigned i = 0; i < n; i++)
		assert_true(client_write(fd[i], "x", 1));
	for (uint32_t i = 0; i < n; i++) {
		world_send(w, i, "0123456789", 10);
		world_close_conn(w, i);
	}
	WORLD_UNTIL(w, w->closed == n);
	for (unsigned i = 0; i < n; i++)
		close(fd[i]);
	free(fd);
	talk_in(w, &t);
	world_end(w);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
}

/* ---- wake ---- */

static struct world *signal_world;

static void on_signal(int sig)
{
	(void)sig;
	ring_ops->wake(signal_world->ring);
}

static void *wake_thread(void *arg)
{
	struct world *w = arg;

	for (int i = 0; i < 1000; i++)
		ring_ops->wake(w->ring);
	return NULL;
}

static void wake_from_anywhere(void **state)
{
	struct world *w = world_new(8, 2048, 4);
	struct sigaction sa = { .sa_handler = on_signal }, old;
	pthread_t t;
	unsigned n;

	(void)state;
	ring_ops->wake(w->ring);		/* before anyone waits */
	assert_true(ring_ops->wait != NULL);
	WORLD_UNTIL(w, w->woken == 1);
	world_idle(w, 3);
	assert_int_equal(w->woken, 1);
	pthread_create(&t, NULL, wake_thread, w);
	WORLD_UNTIL(w, w->woken > 1);
	pthread_join(t, NULL);
	world_idle(w, 3);
	n = w->woken;
	assert_true(n <= 1001);
	for (int i = 0; i < 10; i++)
		ring_ops->wake(w->ring);	/* many are one */
	WORLD_UNTIL(w, w->woken > n);
	world_idle(w, 3);
	assert_int_equal(w->woken, n + 1);
	signal_world = w;
	sigaction(SIGUSR1, &sa, &old);
	raise(SIGUSR1);
	WORLD_UNTIL(w, w->woken == n + 2);
	sigaction(SIGUSR1, &old, NULL);
	world_end(w);
}

/* ---- commits ---- */

struct fault_file {			/* blk_file_ops, with faults */
	struct blk_file *f;
	int write_res, sync_res;
	unsigned writes, syncs;
	sem_t *waits;			/* a sync does not end before */
};

static int fault_write(struct blk_file *f, struct iovec *iov, unsigned n, uint64_t off)
{
	struct fault_file *x = (struct fault_file *)f;

	x->writes++;
	return x->write_res ? x->write_res : blk_file_ops.write(x->f, iov, n, off);
}

static int fault_sync(struct blk_file *f)
{
	struct fault_file *x = (struct fault_file *)f;

	x->syncs++;
	if (x->waits)
		sem_wait(x->waits);
	return x->sync_res ? x->sync_res : blk_file_ops.sync(x->f);
}

static const struct blk_ops fault_ops = { .write = fault_write, .sync = fault_sync };

/* Make the ring busy. */
static void busy(const int *fd, unsigned n)
{
	static const char data[9000];

	for (unsigned i = 0; i < n; i++)
		assert_true(client_write(fd[i], data, sizeof(data)));
}

static void commit_to_files(void **state)
{
	struct world *w = world_new(64, 2048, 8);
	struct blk_aio *aio = ring_ops->aio(w->ring);
	char path[] = "/tmp/test_ring.XXXXXX", *data, *back;
	struct fault_file x = { .f = NULL };
	struct blk_file *f;
	struct iovec iov[3000];
	int fd[6], tmp;
	size_t size = 3000 * 100;

	(void)state;
	tmp = mkstemp(path);
	assert_true(tmp >= 0);
	assert_int_equal(blk_file_ops.open(NULL, NULL, path, BLK_RDWR, &f), 0);
	x.f = f;
	data = malloc(size);
	back = malloc(size);
	for (int i = 0; i < 6; i++)
		fd[i] = client_connect(w, i % LISTENERS);
	WORLD_UNTIL(w, w->accepted == 6);
	for (unsigned k = 0; k < 50; k++) {
		unsigned n = k % 5 ? k % 5 : 3000, seen = w->synced;

		for (size_t i = 0; i < size; i++)
			data[i] = (char)pattern(k, i);
		for (unsigned i = 0; i < n; i++)
			iov[i] = (struct iovec){ data + i * 100, 100 };
		if (k & 1) {
			busy(fd, 6);
			world_turn(w, 10);
		}
		assert_int_equal(aio->submit(aio, &fault_ops, (struct blk_file *)&x, iov, n,
					     1000 * k), 0);
		assert_int_equal(w->synced, seen);
		assert_int_equal(aio->submit(aio, &fault_ops, (struct blk_file *)&x, iov, n, 0),
				 -EBUSY);
		WORLD_UNTIL(w, w->synced == seen + 1);
		assert_int_equal(w->sync_res, 0);
		assert_int_equal(x.writes, k + 1);
		assert_int_equal(pread(tmp, back, n * 100, 1000 * k), n * 100);
		assert_memory_equal(back, data, n * 100);
	}
	for (int i = 0; i < 6; i++)
		close(fd[i]);
	for (uint32_t i = 0; i < 6; i++)
		world_close_conn(w, i);
	blk_file_ops.close(f);
	close(tmp);
	unlink(path);
	free(data);
	free(back);
	world_end(w);
}

static void commit_that_fails(void **state)
{
	struct world *w = world_new(64, 2048, 8);
	struct blk_aio *aio = ring_ops->aio(w->ring);
	char path[] = "/tmp/test_ring.XXXXXX";
	struct fault_file x = { .write_res = -ENOSPC };
	struct iovec iov;
	int tmp = mkstemp(path), fd[4];

	(void)state;
	assert_int_equal(blk_file_ops.open(NULL, NULL, path, BLK_RDWR, &x.f), 0);
	for (int i = 0; i < 4; i++)
		fd[i] = client_connect(w, i % LISTENERS);
	WORLD_UNTIL(w, w->accepted == 4);
	for (unsigned k = 0; k < 8; k++) {
		unsigned seen = w->synced, syncs;

		if (k & 1) {
			busy(fd, 4);
			world_turn(w, 10);
		}
		x.write_res = k & 2 ? 0 : -ENOSPC;
		x.sync_res = k & 4 ? -ENOSPC : -EIO;	/* which says it of a sync: not told */
		syncs = x.syncs;
		iov = (struct iovec){ "data", 4 };
		assert_int_equal(aio->submit(aio, &fault_ops, (struct blk_file *)&x, &iov, 1, 0), 0);
		WORLD_UNTIL(w, w->synced == seen + 1);
		assert_int_equal(w->sync_res, x.write_res ? -ENOSPC : -EIO);
		assert_int_equal(x.syncs, x.write_res ? syncs : syncs + 1);
		assert_int_equal(x.writes, k + 1);
	}
	for (int i = 0; i < 4; i++)
		close(fd[i]);
	for (uint32_t i = 0; i < 4; i++)
		world_close_conn(w, i);
	blk_file_ops.close(x.f);
	close(tmp);
	unlink(path);
	world_end(w);
}

static int answer(void *arg)
{
	sem_wait(arg);
	return -EXDEV;
}

/* A disk that does not answer holds nothing up but what waits for it. */
static void commit_beside(void **state)
{
	struct world *w = world_new(64, 2048, 8);
	struct blk_aio *aio = ring_ops->aio(w->ring);
	char path[] = "/tmp/test_ring.XXXXXX", c;
	struct iovec iov = { "data", 4 };
	int tmp = mkstemp(path), fd;
	struct fault_file x = { .f = NULL };
	sem_t go;

	(void)state;
	sem_init(&go, 0, 0);
	x.waits = &go;
	assert_int_equal(blk_file_ops.open(NULL, NULL, path, BLK_RDWR, &x.f), 0);
	w->echo = true;
	for (int call = 0; call < 2; call++) {
		if (call)
			assert_int_equal(aio->call(aio, answer, &go), 0);
		else
			assert_int_equal(aio->submit(aio, &fault_ops, (struct blk_file *)&x, &iov, 1, 0), 0);
		fd = client_connect(w, LISTEN_4);
		assert_true(client_write(fd, "x", 1));
		WORLD_UNTIL(w, w->accepted == (unsigned)call + 1 && recv(fd, &c, 1, MSG_DONTWAIT | MSG_PEEK) == 1);
		close(fd);
		WORLD_UNTIL(w, !w->open);
		assert_int_equal(w->synced, call);
		sem_post(&go);
		WORLD_UNTIL(w, w->synced == (unsigned)call + 1);
		assert_int_equal(w->sync_res, call ? -EXDEV : 0);
	}
	blk_file_ops.close(x.f);
	close(tmp);
	unlink(path);
	sem_destroy(&go);
	world_end(w);
}

/* ---- others ---- */

static void listener_options(void **state)
{
	struct world *w = world_new(8, 2048, 4);
	struct sockaddr_in a, b;
	socklen_t len = sizeof(a);
	int fd = client_connect(w, LISTEN_4), on = 0, unsent = 0;

	(void)state;
	WORLD_UNTIL(w, w->accepted == 1);
	getsockname(fd, (struct sockaddr *)&a, &len);
	for (int i = 0; i < 256; i++) {		/* the other end of fd, wherever it is */
		socklen_t bl = sizeof(b), ol = sizeof(on);

		if (!getpeername(i, (struct sockaddr *)&b, &bl) && b.sin_family == AF_INET &&
		    b.sin_port == a.sin_port)
			assert_int_equal(getsockopt(i, IPPROTO_TCP, TCP_NODELAY, &on, &ol) |
					 getsockopt(i, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, &ol), 0);
	}
	assert_int_equal(on, 1);
	assert_int_equal(unsent, RING_UNSENT_MAX);
	close(fd);
	world_close_conn(w, 0);
	world_end(w);
}

static void open_says_what_is_wrong(void **state)
{
	int bad = 1 << 20, fds = fds_open();
	static uint8_t mem[4096] __attribute__((aligned(4096)));
	struct ring_params p = { .conns_max = 4, .buf_size = 2048, .nbufs = 2, .pool_base = mem,
				 .pool_len = sizeof(mem), .listeners = &bad, .nlisteners = 1 };
	char why[200] = "";
	struct ring *r = NULL;

	(void)state;
	assert_true(ring_ops->open(&r, &p, why, sizeof(why)) < 0);
	assert_true(strlen(why) > 5);
	assert_int_equal(fds_open(), fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(open_says_what_is_wrong),
		cmocka_unit_test(echo_many),
		cmocka_unit_test(echo_one_event_at_a_time),
		cmocka_unit_test(tiny_window_starves_and_recovers),
		cmocka_unit_test(large_streams),
		cmocka_unit_test(starved_goes_on_when_given),
		cmocka_unit_test(give_refuses_what_does_not_fit),
		cmocka_unit_test(pause_stops_and_resume_goes_on),
		cmocka_unit_test(pause_at_every_turn),
		cmocka_unit_test(all_at_once),
		cmocka_unit_test(wake_from_anywhere),
		cmocka_unit_test(commit_to_files),
		cmocka_unit_test(commit_that_fails),
		cmocka_unit_test(commit_beside),
		cmocka_unit_test(listener_options),
	};
	struct ring_params p = { .conns_max = 1, .buf_size = 2048, .nbufs = 1 };
	static uint8_t mem[4096] __attribute__((aligned(4096)));
	char why[200];
	struct ring *r;

	p.pool_base = mem;
	p.pool_len = sizeof(mem);
	if (ring_ops->open(&r, &p, why, sizeof(why))) {
		printf("the ring \"%s\" cannot be tested here: %s\n", ring_ops->name, why);
		return ring_ops == &ring_socket ? 99 : 77;
	}
	ring_ops->close(r);
	return cmocka_run_group_tests(tests, NULL, NULL) + ring_ends_run();
}
