// SPDX-License-Identifier: BSD-2-Clause
/*
 * post_probe - one client, one request at a time: the latency of a POST.
 *
 *   post_probe PORT SIZE COUNT
 *
 * Sends COUNT POSTs of SIZE bytes over one connection to 127.0.0.1, each after the
 * reply to the one before, with one send and usually one receive each.  Prints the
 * mean, median and 99th percentile in microseconds; any status but 200 ends it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static int dial(unsigned port)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons((uint16_t)port) };
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (fd < 0 || connect(fd, (struct sockaddr *)&a, sizeof(a)))
		return -errno;
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return fd;
}

/* Whether buf holds a whole reply of status 200; -EPROTO when it holds another. */
static int complete(const char *buf, size_t n)
{
	const char *end, *cl;

	if (n >= 12 && memcmp(buf + 9, "200", 3))
		return -EPROTO;
	end = strstr(buf, "\r\n\r\n");
	if (!end)
		return 0;
	cl = strcasestr(buf, "\r\nContent-Length:");
	if (!cl || cl > end)
		return -EPROTO;
	return n >= (size_t)(end + 4 - buf) + strtoul(cl + 17, NULL, 10);
}

static int exchange(int fd, const char *req, size_t len)
{
	char buf[8192];
	size_t n = 0;
	int done = 0;

	for (size_t sent = 0; sent < len;) {
		ssize_t k = send(fd, req + sent, len - sent, MSG_NOSIGNAL);

		if (k < 0)
			return -errno;
		sent += (size_t)k;
	}
	while (!done) {
		ssize_t k = recv(fd, buf + n, sizeof(buf) - 1 - n, 0);

		if (k <= 0)
			return k ? -errno : -ECONNRESET;
		n += (size_t)k;
		buf[n] = '\0';
		done = complete(buf, n);
	}
	return done < 0 ? done : 0;
}

int main(int argc, char **argv)
{
	size_t size, count, warm, len;
	double *us, sum = 0;
	char *req;
	int fd, err = 0;

	if (argc != 4 || (count = strtoul(argv[3], NULL, 10)) == 0) {
		fprintf(stderr, "usage: post_probe PORT SIZE COUNT\n");
		return 64;
	}
	size = strtoul(argv[2], NULL, 10);
	req = malloc(size + 256);
	us = calloc(count, sizeof(*us));
	fd = dial((unsigned)strtoul(argv[1], NULL, 10));
	if (!req || !us || fd < 0) {
		fprintf(stderr, "post_probe: port %s: %s\n", argv[1], strerror(fd < 0 ? -fd : ENOMEM));
		return 1;
	}
	len = (size_t)sprintf(req, "POST /bench/orders HTTP/1.1\r\nHost: 127.0.0.1\r\n"
			      "Content-Type: application/octet-stream\r\nContent-Length: %zu\r\n\r\n", size);
	memset(req + len, 'x', size);
	len += size;
	warm = count / 10;
	for (size_t i = 0; i < count + warm && !err; i++) {
		double t = now_us();

		err = exchange(fd, req, len);
		if (i >= warm)
			us[i - warm] = now_us() - t;
	}
	if (err) {
		fprintf(stderr, "post_probe: port %s: %s\n", argv[1], strerror(-err));
		return 1;
	}
	for (size_t i = 0; i < count; i++)
		sum += us[i];
	qsort(us, count, sizeof(*us), compare);
	printf("mean=%.2f p50=%.2f p99=%.2f\n", sum / (double)count, us[count / 2], us[count * 99 / 100]);
	free(us);
	free(req);
	close(fd);
	return 0;
}
