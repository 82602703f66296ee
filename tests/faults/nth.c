/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * nth.c - preloaded into pasted: lets one system call fail once, at its nth call.
 *
 *	PASTED_NTH=call:n:errno		decimal; errno 0: it does half of it (pwritev)
 *	PASTED_NTH_UNDER=dir:dir	calls on files count below these only
 *	PASTED_NTH_COUNTS=file		how often each was called, written while it runs
 *	PASTED_NTH_STALL=ms		it does not fail but takes so long
 *	PASTED_NTH_FROM=file		not the nth, but each as long as there is this file
 *	PASTED_NTH_TRACE=1		tells who called it (addr2line)
 *
 * A call that fails is not done.  A sync that fails loses what was written to the file
 * since its last sync, as a kernel does that marks the pages clean: a record that was
 * acknowledged all the same is then gone, where the page cache would have hidden it.
 * What io_uring does in the kernel fails by a descriptor that is none (EBADF).
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include <liburing.h>

#define CALLS(X) \
	X(open) X(openat) X(fstat) X(fstatat) X(pread) X(pwritev) X(fdatasync) X(fsync) \
	X(posix_fallocate) X(renameat2) X(unlinkat) X(mkdirat) X(readdir) X(flock) X(mmap) \
	X(accept4) X(recv) X(readv) X(send) X(sendmsg) X(epoll_ctl) X(epoll_wait) \
	X(io_uring_submit) X(io_uring_submit_and_wait_timeout) X(io_uring_submit_and_get_events) \
	X(sqe_accept) X(sqe_recv) X(sqe_send)

enum call {
#define X(name) CALL_##name,
	CALLS(X)
#undef X
	CALLS_N
};

struct row {			/* of the file of counts */
	char name[56];
	uint64_t count;
};

struct undo {			/* what stood where something was written and not synced */
	struct undo *next;
	dev_t dev;
	ino_t ino;
	off_t off;
	size_t len;
	char bytes[];
};

static struct row rows_here[CALLS_N], *rows = rows_here;
static enum call chosen = CALLS_N;
static uint64_t nth;
static int err;
static const char *under, *from;
static long stall_ms;
static struct undo *written;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

#define REAL(name) ((__typeof__(&(name)))real(CALL_##name, #name))

static void *real(enum call c, const char *name)
{
	static void *found[CALLS_N];
	void *p = __atomic_load_n(&found[c], __ATOMIC_RELAXED);

	if (!p) {
		p = dlsym(RTLD_NEXT, name);
		__atomic_store_n(&found[c], p, __ATOMIC_RELAXED);
	}
	return p;
}

__attribute__((constructor)) static void begin(void)
{
	static const char *const names[] = {
#define X(name) #name,
		CALLS(X)
#undef X
	};
	const char *what = getenv("PASTED_NTH"), *file = getenv("PASTED_NTH_COUNTS");
	int fd = file ? REAL(open)(file, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
	char name[56];

	under = getenv("PASTED_NTH_UNDER");
	from = getenv("PASTED_NTH_FROM");
	if (getenv("PASTED_NTH_STALL"))
		stall_ms = atol(getenv("PASTED_NTH_STALL"));
	if (fd >= 0 && !ftruncate(fd, sizeof(rows_here)))
		rows = REAL(mmap)(NULL, sizeof(rows_here), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (rows == MAP_FAILED)
		abort();
	for (unsigned i = 0; i < CALLS_N; i++)
		strcpy(rows[i].name, names[i]);
	if (!what || !*what)
		return;
	if (sscanf(what, "%55[^:]:%lu:%d", name, &nth, &err) != 3)
		abort();
	for (unsigned i = 0; i < CALLS_N; i++)
		if (!strcmp(names[i], name))
			chosen = i;
	if (chosen == CALLS_N)
		abort();
}

/* True: this is the one. */
static bool fails(enum call c)
{
	uint64_t n = __atomic_add_fetch(&rows[c].count, 1, __ATOMIC_RELAXED);

	void *at[32];

	if (c != chosen || (from ? access(from, F_OK) : n != nth))
		return false;
	if (stall_ms) {
		struct timespec t = { stall_ms / 1000, stall_ms % 1000 * 1000000 };

		while (nanosleep(&t, &t))
			;
		return false;
	}
	if (getenv("PASTED_NTH_TRACE"))
		backtrace_symbols_fd(at, backtrace(at, 32), 2);
	errno = err;
	return true;
}

static bool counts(const char *path)
{
	for (const char *p = under; p && *p; p += strcspn(p, ":"), p += *p == ':') {
		size_t n = strcspn(p, ":");

		if (!strncmp(path, p, n))
			return true;
	}
	return false;
}

static bool fd_counts(int fd)
{
	char link[64], path[PATH_MAX];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	path[n > 0 ? n : 0] = '\0';
	return counts(path) && !strstr(path, " (deleted)");
}

static bool at_counts(int fd, const char *name)
{
	return fd == AT_FDCWD || *name == '/' ? counts(name) : fd_counts(fd);
}

/* ---- what a failed sync loses ---- */

static void forget(const struct stat *st, int fd, bool undo)
{
	struct undo **p, *u;

	pthread_mutex_lock(&lock);
	for (p = &written; (u = *p);) {
		if (u->dev != st->st_dev || u->ino != st->st_ino) {
			p = &u->next;
			continue;
		}
		/* The newest stands first. */
		if (undo && pwrite(fd, u->bytes, u->len, u->off) != (ssize_t)u->len)
			abort();
		*p = u->next;
		free(u);
	}
	pthread_mutex_unlock(&lock);
}

static void synced(int fd, bool lost)
{
	struct stat st;

	if (!REAL(fstat)(fd, &st) && S_ISREG(st.st_mode))
		forget(&st, fd, lost);
}

static void note(int fd, const struct iovec *iov, int n, off_t off)
{
	struct undo *u;
	struct stat st;
	size_t len = 0;
	char link[64];
	int rd;

	for (int i = 0; i < n; i++)
		len += iov[i].iov_len;
	u = calloc(1, sizeof(*u) + len);
	/* fd may be one that writes only, or in whole blocks only. */
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	rd = REAL(open)(link, O_RDONLY | O_CLOEXEC);
	if (!u || REAL(fstat)(fd, &st) || REAL(pread)(rd, u->bytes, len, off) < 0)
		abort();
	close(rd);
	u->dev = st.st_dev;
	u->ino = st.st_ino;
	u->off = off;
	u->len = len;
	pthread_mutex_lock(&lock);
	u->next = written;
	written = u;
	pthread_mutex_unlock(&lock);
}

/* ---- files ---- */

int open(const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	/* A file without a name is only to see what the file system can. */
	return !(flags & __O_TMPFILE) && counts(path) && fails(CALL_open) ? -1 : REAL(open)(path, flags, mode);
}

int openat(int fd, const char *path, int flags, ...)
{
	va_list ap;
	mode_t mode;

	va_start(ap, flags);
	mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(ap, mode_t) : 0;
	va_end(ap);
	return at_counts(fd, path) && fails(CALL_openat) ? -1 : REAL(openat)(fd, path, flags, mode);
}

int fstatat(int fd, const char *restrict path, struct stat *restrict st, int flags)
{
	return at_counts(fd, path) && fails(CALL_fstatat) ? -1 : REAL(fstatat)(fd, path, st, flags);
}

int fstat(int fd, struct stat *st)
{
	return fd_counts(fd) && fails(CALL_fstat) ? -1 : REAL(fstat)(fd, st);
}

ssize_t pread(int fd, void *p, size_t n, off_t off)
{
	return fd_counts(fd) && fails(CALL_pread) ? -1 : REAL(pread)(fd, p, n, off);
}

ssize_t pwritev(int fd, const struct iovec *iov, int n, off_t off)
{
	if (!fd_counts(fd))
		return REAL(pwritev)(fd, iov, n, off);
	if (!fails(CALL_pwritev)) {
		note(fd, iov, n, off);
		return REAL(pwritev)(fd, iov, n, off);
	}
	if (err)
		return -1;
	struct iovec half = { iov->iov_base, (iov->iov_len + 1) / 2 };

	if (fcntl(fd, F_GETFL) & O_DIRECT)	/* whole blocks */
		half.iov_len = iov->iov_len > 4096 ? half.iov_len & ~4095ul : iov->iov_len;
	note(fd, &half, 1, off);
	return REAL(pwritev)(fd, &half, 1, off);
}

int fdatasync(int fd)
{
	bool lost = fd_counts(fd) && fails(CALL_fdatasync);
	int res = lost ? -1 : REAL(fdatasync)(fd);

	synced(fd, res < 0);
	if (lost)
		errno = err;
	return res;
}

int fsync(int fd)
{
	bool lost = fd_counts(fd) && fails(CALL_fsync);
	int res = lost ? -1 : REAL(fsync)(fd);

	synced(fd, res < 0);
	if (lost)
		errno = err;
	return res;
}

int posix_fallocate(int fd, off_t off, off_t len)
{
	return fd_counts(fd) && fails(CALL_posix_fallocate) ? err : REAL(posix_fallocate)(fd, off, len);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags)
{
	return at_counts(a, from) && fails(CALL_renameat2) ? -1
							    : REAL(renameat2)(a, from, b, to, flags);
}

int unlinkat(int fd, const char *path, int flags)
{
	struct stat st;

	if (at_counts(fd, path) && fails(CALL_unlinkat))
		return -1;
	if (!REAL(fstatat)(fd, path, &st, AT_SYMLINK_NOFOLLOW))
		forget(&st, -1, false);
	return REAL(unlinkat)(fd, path, flags);
}

int mkdirat(int fd, const char *path, mode_t mode)
{
	return at_counts(fd, path) && fails(CALL_mkdirat) ? -1 : REAL(mkdirat)(fd, path, mode);
}

struct dirent *readdir(DIR *d)
{
	return fd_counts(dirfd(d)) && fails(CALL_readdir) ? NULL : REAL(readdir)(d);
}

int flock(int fd, int how)
{
	return fd_counts(fd) && fails(CALL_flock) ? -1 : REAL(flock)(fd, how);
}

void *mmap(void *p, size_t n, int prot, int flags, int fd, off_t off)
{
	return fd >= 0 && fd_counts(fd) && fails(CALL_mmap) ? MAP_FAILED
							     : REAL(mmap)(p, n, prot, flags, fd, off);
}

/* ---- connections ---- */

int accept4(int fd, struct sockaddr *restrict a, socklen_t *restrict n, int flags)
{
	return fails(CALL_accept4) ? -1 : REAL(accept4)(fd, a, n, flags);
}

ssize_t recv(int fd, void *p, size_t n, int flags)
{
	return fails(CALL_recv) ? -1 : REAL(recv)(fd, p, n, flags);
}

ssize_t readv(int fd, const struct iovec *iov, int n)
{
	return fails(CALL_readv) ? -1 : REAL(readv)(fd, iov, n);
}

ssize_t send(int fd, const void *p, size_t n, int flags)
{
	return fails(CALL_send) ? -1 : REAL(send)(fd, p, n, flags);
}

ssize_t sendmsg(int fd, const struct msghdr *m, int flags)
{
	return fails(CALL_sendmsg) ? -1 : REAL(sendmsg)(fd, m, flags);
}

int epoll_ctl(int e, int op, int fd, struct epoll_event *ev)
{
	return fails(CALL_epoll_ctl) ? -1 : REAL(epoll_ctl)(e, op, fd, ev);
}

int epoll_wait(int e, struct epoll_event *ev, int max, int timeout)
{
	return fails(CALL_epoll_wait) ? -1 : REAL(epoll_wait)(e, ev, max, timeout);
}

/* ---- io_uring ---- */

static enum call call_of(const struct io_uring_sqe *sqe)
{
	switch (sqe->opcode) {
	case IORING_OP_ACCEPT: return CALL_sqe_accept;
	case IORING_OP_RECV: return CALL_sqe_recv;
	case IORING_OP_SEND:
	case IORING_OP_SENDMSG: return CALL_sqe_send;
	}
	return CALLS_N;
}

/* What is about to be submitted, each entry once. */
static void look(struct io_uring *u)
{
	for (unsigned i = u->sq.sqe_head; i != u->sq.sqe_tail; i++) {
		struct io_uring_sqe *sqe = &u->sq.sqes[i & u->sq.ring_mask];
		enum call c = call_of(sqe);
		bool lost;

		if (c == CALLS_N)
			continue;
		lost = fails(c);
		if (lost)
			sqe->fd = -1;
	}
}

int io_uring_submit(struct io_uring *u)
{
	if (fails(CALL_io_uring_submit))
		return -err;
	look(u);
	return REAL(io_uring_submit)(u);
}

int io_uring_submit_and_get_events(struct io_uring *u)
{
	if (fails(CALL_io_uring_submit_and_get_events))
		return -err;
	look(u);
	return REAL(io_uring_submit_and_get_events)(u);
}

int io_uring_submit_and_wait_timeout(struct io_uring *u, struct io_uring_cqe **cqe, unsigned n,
				     struct __kernel_timespec *ts, sigset_t *set)
{
	if (fails(CALL_io_uring_submit_and_wait_timeout))
		return -err;
	look(u);
	return REAL(io_uring_submit_and_wait_timeout)(u, cqe, n, ts, set);
}
