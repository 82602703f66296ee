// SPDX-License-Identifier: BSD-2-Clause
/*
 * wire - a bad cable between a machine (QEMU's -netdev dgram) and a tap device.
 *
 *	wire TAP OURS THEIRS SEED	the last two: paths of datagram sockets
 *
 * Standard input says how bad the way to the machine is, as often as it likes: a line
 * with four numbers, of a thousand frames so many are lost, overtaken by later ones,
 * doubled, and have one bit flipped.  The way back only loses, half as many.  It ends
 * with its standard input, and then tells what it did.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { FRAME = 2048, LATE = 64 };

static struct { unsigned int lose, delay, twice, flip; } bad;
static struct { unsigned long frames, lost, late, twice, flipped; } did;
static struct late { unsigned char frame[FRAME]; int len, overtakers; long long until; } late[LATE];
static int tap, sock;
static struct sockaddr_un theirs = { .sun_family = AF_UNIX };

static void die(const char *what)
{
	fprintf(stderr, "wire: %s: %s\n", what, strerror(errno));
	exit(1);
}

static int chance(unsigned int thousandths)
{
	return (unsigned int)random() % 1000 < thousandths;
}

static long long now_ms(void)
{
	struct timespec t;	/* clock: how long a cable holds back a packet */

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000ll + t.tv_nsec / 1000000;
}

static void deliver(const unsigned char *frame, int len)
{
	/* A machine that does not listen, or not yet, loses it as a cable would. */
	sendto(sock, frame, len, 0, (void *)&theirs, sizeof(theirs));
}

/* What was held back goes on when so many have overtaken it, or after some time. */
static void age(int passed)
{
	long long now = now_ms();

	for (int i = 0; i < LATE; i++) {
		struct late *l = &late[i];

		if (!l->len)
			continue;
		l->overtakers -= passed;
		if (l->overtakers > 0 && now < l->until)
			continue;
		deliver(l->frame, l->len);
		l->len = 0;
	}
}

static int hold_back(const unsigned char *frame, int len)
{
	for (int i = 0; i < LATE; i++) {
		if (late[i].len)
			continue;
		memcpy(late[i].frame, frame, len);
		late[i].len = len;
		late[i].overtakers = 1 + random() % 12;
		late[i].until = now_ms() + 20;
		return 1;
	}
	return 0;
}

static void to_machine(unsigned char *frame, int len)
{
	did.frames++;
	if (chance(bad.lose)) {
		did.lost++;
		return;
	}
	if (chance(bad.flip)) {
		/* Behind the Ethernet header: there, the card's own checksum would see it. */
		frame[14 + random() % (len - 14)] ^= 1 << random() % 8;
		did.flipped++;
	}
	if (chance(bad.twice)) {
		deliver(frame, len);
		did.twice++;
	}
	if (chance(bad.delay) && hold_back(frame, len)) {
		did.late++;
		return;
	}
	deliver(frame, len);
	age(1);
}

static void set_up(char **argv)
{
	struct sockaddr_un ours = { .sun_family = AF_UNIX };
	struct ifreq ifr = { .ifr_flags = IFF_TAP | IFF_NO_PI };

	strncpy(ifr.ifr_name, argv[1], IFNAMSIZ - 1);
	strncpy(ours.sun_path, argv[2], sizeof(ours.sun_path) - 1);
	strncpy(theirs.sun_path, argv[3], sizeof(theirs.sun_path) - 1);
	srandom(atoi(argv[4]));
	tap = open("/dev/net/tun", O_RDWR);
	if (tap < 0 || ioctl(tap, TUNSETIFF, &ifr))
		die("/dev/net/tun");
	unlink(ours.sun_path);
	sock = socket(AF_UNIX, SOCK_DGRAM, 0);
	if (sock < 0 || bind(sock, (void *)&ours, sizeof(ours)))
		die(ours.sun_path);
}

/* False: it is closed. */
static int listen_to_orders(void)
{
	static char line[256];
	static size_t have;
	ssize_t n = read(0, line + have, sizeof(line) - 1 - have);
	char *end;

	if (n <= 0)
		return 0;
	have += n;
	line[have] = 0;
	while ((end = strchr(line, '\n'))) {
		if (sscanf(line, "%u %u %u %u", &bad.lose, &bad.delay, &bad.twice, &bad.flip) != 4)
			die("not an order");
		have -= end + 1 - line;
		memmove(line, end + 1, have + 1);
	}
	return 1;
}

int main(int argc, char **argv)
{
	unsigned char frame[FRAME];
	struct pollfd p[3];

	if (argc != 5)
		return 2;
	set_up(argv);
	p[0] = (struct pollfd){ .fd = 0, .events = POLLIN };
	p[1] = (struct pollfd){ .fd = tap, .events = POLLIN };
	p[2] = (struct pollfd){ .fd = sock, .events = POLLIN };
	puts("ready");
	fflush(stdout);
	for (;;) {
		ssize_t n;

		poll(p, 3, 5);
		if (p[0].revents && !listen_to_orders())
			break;
		if (p[1].revents) {
			n = read(tap, frame, sizeof(frame));
			if (n > 14)
				to_machine(frame, n);
		}
		if (p[2].revents) {
			n = recv(sock, frame, sizeof(frame), 0);
			if (n > 0 && !chance(bad.lose / 2) && write(tap, frame, n) < 0 && errno != EIO)
				die("tap");
		}
		age(0);
	}
	printf("%lu %lu %lu %lu %lu\n", did.frames, did.lost, did.late, did.twice, did.flipped);
	return 0;
}
