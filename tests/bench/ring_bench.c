/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * ring_bench.c - what a ring costs by itself: a responder that knows of HTTP only how
 * long a request is, under wrk.
 *
 *	ring_bench uring|socket CONNECTIONS SECONDS [FILE]
 *
 * Every request (all of the same size) gets the same reply; with FILE, after it was
 * written there and synced, as a lane does it: all requests of a batch in one commit,
 * the next batch gathers while one is on its way.  Prints one line: requests per
 * second, CPU time of this process per request, and what the ring counted.  wrk runs as
 * a child, on another CPU where there is one.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/must.h"
#include "ring/ring.h"

#define BUFS		8192u
#define BUF_SIZE	2048u
#define CONNS		1024u
#define BODY		1024
#define BATCH		1024u
#define FILE_BYTES	(64u << 20)

static const char script[] =
	"wrk.method = 'POST'\nwrk.body = string.rep('x', 1024)\n"
	"function done(s, l, r) io.write(string.format('wrk mean %.1f p50 %.1f p99 %.1f us, errors %d\\n',"
	" l.mean, l:percentile(50), l:percentile(99), s.errors.connect + s.errors.read + s.errors.write"
	" + s.errors.status + s.errors.timeout)) end\n";
static const char reply[] =
	"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 24\r\n"
	"Pasted-Record: 0-0000001\r\nPasted-Class: none\r\n\r\n{\"record\":\"0-0000001\"}\r\n";

struct gather {			/* requests of a commit */
	struct iovec iov[BATCH];
	uint32_t buf[BATCH], conn[BATCH], gen[BATCH];
	unsigned nbuf, nconn;
};

struct bench {
	const struct ring_ops *ops;
	struct ring *ring;
	uint8_t *mem;
	uint32_t free[BUFS];
	unsigned nfree;
	uint32_t got[CONNS], gen[CONNS];	/* gen: rises when it is closed */
	uint32_t size;			/* of a request; 0: not seen yet */
	uint64_t requests;
	struct blk_file *file;
	uint64_t off, commits;
	struct gather g[2];
	unsigned now;			/* the one that gathers */
	bool syncing;
};

static volatile sig_atomic_t child_gone;

static void on_child(int sig)
{
	(void)sig;
	child_gone = 1;
}

static void answer(struct bench *b, uint32_t conn)
{
	struct iovec iov = { (void *)reply, sizeof(reply) - 1 };

	b->ops->send(b->ring, conn, &iov, 1);
	b->requests++;
}

static void commit(struct bench *b)
{
	struct gather *g = &b->g[b->now];
	struct blk_aio *aio = b->ops->aio(b->ring);

	if (b->syncing || !g->nconn)
		return;
	if (b->off + BATCH * BUF_SIZE > FILE_BYTES)
		b->off = 0;
	must(!aio->submit(aio, &blk_file_ops, b->file, g->iov, g->nbuf, b->off));
	for (unsigned i = 0; i < g->nbuf; i++)
		b->off += g->iov[i].iov_len;
	b->syncing = true;
	b->now ^= 1;
	b->commits++;
}

static void synced(struct bench *b, const struct ring_event *e)
{
	struct gather *g = &b->g[b->now ^ 1];

	must(e->res == 0);
	for (unsigned i = 0; i < g->nconn; i++)
		if (g->gen[i] == b->gen[g->conn[i]])
			answer(b, g->conn[i]);
	for (unsigned i = 0; i < g->nbuf; i++)
		b->free[b->nfree++] = g->buf[i];
	g->nbuf = g->nconn = 0;
	b->syncing = false;
}

static void data(struct bench *b, const struct ring_event *e)
{
	uint8_t *p = b->mem + (size_t)e->buf * BUF_SIZE + e->off;
	struct gather *g = &b->g[b->now];

	if (!b->size) {
		uint8_t *end = memmem(p, e->len, "\r\n\r\n", 4);

		must(end);
		b->size = (uint32_t)(end - p) + 4 + BODY;
	}
	b->got[e->conn] += e->len;
	if (b->file) {
		must(g->nbuf < BATCH);
		g->iov[g->nbuf] = (struct iovec){ p, e->len };
		g->buf[g->nbuf++] = e->buf;
	} else {
		b->free[b->nfree++] = e->buf;
	}
	if (b->got[e->conn] < b->size)
		return;
	b->got[e->conn] = 0;
	if (b->file) {
		g->gen[g->nconn] = b->gen[e->conn];
		g->conn[g->nconn++] = e->conn;
	} else {
		answer(b, e->conn);
	}
}

static void serve(struct bench *b)
{
	struct ring_event ev[512];
	unsigned open = 0;

	while (!child_gone || open) {
		int n;

		while (b->nfree && b->ops->give(b->ring, b->free[b->nfree - 1]))
			b->nfree--;
		n = b->ops->wait(b->ring, ev, 512, 1000);
		must(n >= 0);
		for (int i = 0; i < n; i++) {
			switch (ev[i].kind) {
			case RING_ACCEPT:
				b->got[ev[i].conn] = 0;
				open++;
				break;
			case RING_DATA:
				data(b, &ev[i]);
				break;
			case RING_EOF:
			case RING_ERROR:
				b->gen[ev[i].conn]++;
				b->ops->close_conn(b->ring, ev[i].conn);
				break;
			case RING_CLOSED:
				open--;
				break;
			case RING_SYNCED:
				synced(b, &ev[i]);
				break;
			default:
				break;
			}
		}
		if (b->file)
			commit(b);
	}
}

static int listen_any(uint16_t *port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t len = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	must(fd >= 0 && !bind(fd, (struct sockaddr *)&a, sizeof(a)) && !listen(fd, 1024));
	must(!getsockname(fd, (struct sockaddr *)&a, &len));
	*port = ntohs(a.sin_port);
	return fd;
}

static void on_cpu(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET((unsigned)cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static pid_t start_wrk(uint16_t port, const char *conns, const char *seconds, char *lua)
{
	char url[64], dur[32];
	int fd = mkstemp(lua);
	pid_t pid;

	must(fd >= 0 && write(fd, script, sizeof(script) - 1) == sizeof(script) - 1);
	close(fd);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", port);
	snprintf(dur, sizeof(dur), "%ss", seconds);
	pid = fork();
	if (!pid) {
		on_cpu(1);
		execlp("wrk", "wrk", "-t1", "-c", conns, "-d", dur, "-s", lua, url, (char *)NULL);
		_exit(127);
	}
	return pid;
}

static void open_file(struct bench *b, const char *path)
{
	static char zeros[1 << 20];
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);

	must(fd >= 0);
	for (unsigned i = 0; i < FILE_BYTES / sizeof(zeros); i++)
		must(write(fd, zeros, sizeof(zeros)) == sizeof(zeros));
	must(!fsync(fd));
	close(fd);
	must(!blk_file_ops.open(NULL, NULL, path, BLK_RDWR, &b->file));
}

static double cpu_us(const struct rusage *u)
{
	return (double)(u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1e6 +
	       (double)(u->ru_utime.tv_usec + u->ru_stime.tv_usec);
}

static void report(struct bench *b, double secs)
{
	struct ring_stats s;
	struct rusage u;
	double n = (double)b->requests;

	getrusage(RUSAGE_SELF, &u);
	b->ops->stats(b->ring, &s);
	printf("%s: %.0f/s, CPU %.2f us/request, %.2f requests a wait, %.3f system calls a request",
	       b->ops->name, n / secs, cpu_us(&u) / n, n / (double)s.waits, (double)s.syscalls / n);
	if (b->commits)
		printf(", %.1f requests a commit", n / (double)b->commits);
	printf("\n");
}

int main(int argc, char **argv)
{
	static struct bench b;
	struct ring_params p = { .conns_max = CONNS, .buf_size = BUF_SIZE, .nbufs = BUFS, .nlisteners = 1 };
	struct timespec t0, t1;
	char lua[] = "/tmp/ring_bench.XXXXXX", why[200];
	uint16_t port;
	int fd = listen_any(&port);
	pid_t pid;

	if (argc < 4) {
		fprintf(stderr, "usage: ring_bench uring|socket CONNECTIONS SECONDS [FILE]\n");
		return 64;
	}
	b.ops = strcmp(argv[1], "socket") ? &ring_uring : &ring_socket;
	b.mem = mmap(NULL, BUFS * BUF_SIZE, PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	must(b.mem != MAP_FAILED);
	for (; b.nfree < BUFS; b.nfree++)
		b.free[b.nfree] = BUFS - 1 - b.nfree;
	if (argc > 4)
		open_file(&b, argv[4]);
	signal(SIGCHLD, on_child);	/* ends a wait: EINTR */
	p.pool_base = b.mem;
	p.pool_len = BUFS * BUF_SIZE;
	p.listeners = &fd;
	if (b.ops->open(&b.ring, &p, why, sizeof(why))) {
		fprintf(stderr, "ring_bench: %s\n", why);
		return 77;
	}
	pid = start_wrk(port, argv[2], argv[3], lua);
	on_cpu(0);
	clock_gettime(CLOCK_MONOTONIC, &t0);
	serve(&b);
	clock_gettime(CLOCK_MONOTONIC, &t1);
	waitpid(pid, NULL, 0);
	unlink(lua);
	report(&b, (double)(t1.tv_sec - t0.tv_sec) + (double)(t1.tv_nsec - t0.tv_nsec) / 1e9);
	b.ops->close(b.ring);
	return 0;
}
