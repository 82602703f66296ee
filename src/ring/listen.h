/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * listen.h - addresses in words, and the sockets that listen on them.
 *
 * Each worker has a TCP socket of its own per address (SO_REUSEPORT: the kernel
 * spreads the connections); a Unix socket, and what a service manager handed over
 * (LISTEN_FDS), is one descriptor that all workers share.  The sockets are
 * non-blocking, and TCP_NODELAY is set on them because an accepted socket inherits
 * it: no system call per connection.
 *
 * A wildcard of IPv6 serves IPv4 too, unless there is an address of IPv4 with the same port:
 * then each has its own.
 */
#ifndef RING_LISTEN_H
#define RING_LISTEN_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/stat.h>

#define LISTEN_MAX 16u
#define LISTEN_TEXT_MAX 128u	/* an address in words, with its NUL */

struct listen_addr {
	struct sockaddr_storage ss;
	socklen_t len;
};

/* "127.0.0.1:8080", "[::1]:8080", "unix:/path" or "/path"; port 0: any free one.
 * 0, or -EINVAL with the reason and what would be accepted in why. */
int  listen_parse(const char *text, struct listen_addr *a, char *why, size_t why_len);
void listen_print(const struct listen_addr *a, char *buf, size_t n);

struct listener {
	struct listen_addr addr;	/* with the real port once open */
	int	*fds;			/* one per worker; all the same where shared */
	ino_t	 ino;			/* of the Unix socket's file: only ours is removed */
	bool	 only6;			/* an IPv6 wildcard that leaves IPv4 to another one */
};

struct listeners {
	struct listener *l;
	unsigned n, workers;
	bool	 given;			/* by a service manager, whose they are */
	int	*table;			/* [worker][n], what a ring is given */
};

/* unix_mode: of the files of Unix sockets.  0 or -errno with the address and what to do in
 * why. */
int  listeners_open(struct listeners *ls, const struct listen_addr *a, unsigned n,
		    unsigned workers, unsigned unix_mode, char *why, size_t why_len);
/* The n descriptors of a worker. */
const int *listeners_of(const struct listeners *ls, unsigned worker);
/* All addresses, separated by ", ". */
void listeners_print(const struct listeners *ls, char *buf, size_t n);
void listeners_close(struct listeners *ls);

#endif
