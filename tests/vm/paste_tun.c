/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * paste_tun.c - a TCP peer of our own on a TUN device: segments that no kernel would
 * send.  It knows nothing of loss or windows; each test says which bytes go when.
 */
#include <arpa/inet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <netinet/ip.h>

#include "paste_dev.h"

#define OURS	"10.9.0.1"	/* the guest's address on the device */
#define THEIRS	"10.9.0.2"	/* whom we play */
#define PORT	7

struct peer {
	int tun, listener, sock;	/* sock: the guest's end of the connection */
	uint32_t iss, ack;		/* our first byte's number; what we have seen of theirs */
	uint16_t port, id;
};

static void set_address(const char *name)
{
	struct ifreq ifr = { .ifr_flags = 0 };
	struct sockaddr_in *a = (void *)&ifr.ifr_addr;
	int s = socket(AF_INET, SOCK_DGRAM, 0);

	memcpy(ifr.ifr_name, name, IFNAMSIZ);
	a->sin_family = AF_INET;
	inet_pton(AF_INET, OURS, &a->sin_addr);
	must(!ioctl(s, SIOCSIFADDR, &ifr), "SIOCSIFADDR");
	inet_pton(AF_INET, "255.255.255.0", &a->sin_addr);
	must(!ioctl(s, SIOCSIFNETMASK, &ifr), "SIOCSIFNETMASK");
	ifr.ifr_flags = IFF_UP | IFF_RUNNING;
	must(!ioctl(s, SIOCSIFFLAGS, &ifr), "SIOCSIFFLAGS");
	close(s);
}

static uint32_t sum(const void *p, size_t n, uint32_t s)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		s += i & 1 ? b[i] : (uint32_t)b[i] << 8;
	return s;
}

static uint16_t folded(uint32_t s)
{
	while (s >> 16)
		s = (s & 0xffff) + (s >> 16);
	return htons((uint16_t)~s);
}

/* bytes [off, off + n) of the IP payload, as one fragment or all of it */
static void emit(struct peer *p, uint16_t id, const uint8_t *payload, size_t off, size_t n, bool more)
{
	uint8_t packet[65536];
	struct iphdr ip = { .version = 4, .ihl = 5, .ttl = 64, .protocol = IPPROTO_TCP, .id = htons(id) };

	ip.tot_len = htons((uint16_t)(sizeof(ip) + n));
	ip.frag_off = htons((uint16_t)(off / 8 | (more ? IP_MF : 0)));
	inet_pton(AF_INET, THEIRS, &ip.saddr);
	inet_pton(AF_INET, OURS, &ip.daddr);
	ip.check = folded(sum(&ip, sizeof(ip), 0));
	memcpy(packet, &ip, sizeof(ip));
	memcpy(packet + sizeof(ip), payload + off, n);
	equal(write(p->tun, packet, sizeof(ip) + n), sizeof(ip) + n, "write to the TUN device");
}

/* A TCP segment with bytes [from, to) of the stream; its length in *len. */
static uint8_t *segment(struct peer *p, uint64_t from, uint64_t to, const char *flags, size_t *len)
{
	static uint8_t seg[65536];
	struct tcphdr h = { .source = htons(p->port), .dest = htons(PORT), .doff = 5, .window = htons(65535) };
	struct { uint32_t s, d; uint16_t proto, len; } pseudo = { .proto = htons(IPPROTO_TCP) };

	*len = sizeof(h) + (size_t)(to - from);
	h.seq = htonl(p->iss + (uint32_t)from);
	h.ack_seq = htonl(p->ack);
	h.syn = !!strchr(flags, 'S');
	h.ack = !h.syn;
	h.fin = !!strchr(flags, 'F');
	h.rst = !!strchr(flags, 'R');
	h.psh = !!strchr(flags, 'P');
	if (strchr(flags, 'U')) {	/* the last byte is urgent */
		h.urg = 1;
		h.urg_ptr = htons((uint16_t)(to - from));
	}
	inet_pton(AF_INET, THEIRS, &pseudo.s);
	inet_pton(AF_INET, OURS, &pseudo.d);
	pseudo.len = htons((uint16_t)*len);
	memcpy(seg, &h, sizeof(h));
	memcpy(seg + sizeof(h), stream_at(from), (size_t)(to - from));
	h.check = folded(sum(seg, *len, sum(&pseudo, sizeof(pseudo), 0)));
	memcpy(seg, &h, sizeof(h));
	return seg;
}

static void say(struct peer *p, uint64_t from, uint64_t to, const char *flags)
{
	size_t len;
	uint8_t *seg = segment(p, from, to, flags, &len);

	emit(p, ++p->id, seg, 0, len, false);
}

/* The same in fragments of that size (a multiple of 8), the last one first or not. */
static void say_in_fragments(struct peer *p, uint64_t from, uint64_t to, size_t size, bool backwards)
{
	size_t len, n;
	uint8_t *seg = segment(p, from, to, "P", &len);

	n = (len + size - 1) / size;
	p->id++;
	for (size_t k = 0; k < n; k++) {
		size_t i = backwards ? n - 1 - k : k, left = len - i * size;

		emit(p, p->id, seg, i * size, left < size ? left : size, i + 1 < n);
	}
}

/* Waits for a segment of the guest's TCP. */
static struct tcphdr heard(struct peer *p)
{
	uint8_t packet[65536];
	struct tcphdr h;

	for (;;) {
		struct pollfd f = { .fd = p->tun, .events = POLLIN };
		ssize_t n;

		equal(poll(&f, 1, 5000), 1, "an answer on the TUN device");
		n = read(p->tun, packet, sizeof(packet));
		if (n < 40 || packet[0] != 0x45 || packet[9] != IPPROTO_TCP)
			continue;	/* IPv6 looks for routers */
		memcpy(&h, packet + 20, sizeof(h));
		if (ntohs(h.dest) == p->port)
			return h;
	}
}

static void meet(struct peer *p)
{
	static uint16_t port;
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_port = htons(PORT) };
	struct ifreq ifr = { .ifr_flags = IFF_TUN | IFF_NO_PI };
	int one = 1;
	struct tcphdr h;

	memset(p, 0, sizeof(*p));
	p->tun = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	must(p->tun >= 0 && !ioctl(p->tun, TUNSETIFF, &ifr), "a TUN device");
	set_address(ifr.ifr_name);
	p->listener = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(p->listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	must(!bind(p->listener, (void *)&a, sizeof(a)) && !listen(p->listener, 8), "a listener");
	port = port ? port + 1u : 10000u + (unsigned)getpid() % 50000u;
	p->port = port;
	p->iss = 0xfffffff0u;		/* it wraps within the first bytes */
	say(p, 0, 0, "S");
	do {
		h = heard(p);
	} while (!h.syn);
	equal(ntohl(h.ack_seq), p->iss + 1, "SYN+ACK");
	p->ack = ntohl(h.seq) + 1;
	p->iss++;
	say(p, 0, 0, "");
	p->sock = accept(p->listener, NULL, NULL);
	must(p->sock >= 0, "accept");
}

static void part(struct peer *p)
{
	struct linger l = { .l_onoff = 1, .l_linger = 0 };

	setsockopt(p->sock, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
	close(p->sock);
	close(p->listener);
	close(p->tun);
}

static void wait_acked(struct peer *p, uint64_t upto)
{
	struct tcphdr h;

	do {
		h = heard(p);
	} while (!h.ack || (int32_t)(ntohl(h.ack_seq) - (p->iss + (uint32_t)upto)) < 0);
}

static void begin(struct peer *p, struct ring *r, uint32_t buf_size, uint32_t quota)
{
	ring_open(r, &(struct ring_opts){ .len = 64 * 4096, .nbufs = 64, .buf_size = buf_size });
	meet(p);
	attach(r, 0, p->sock, quota, 0);
	expect_none(r, 0);
}

/* Exactly the bytes up to `to`, and no more. */
static void delivered(struct ring *r, uint64_t *at, uint64_t to)
{
	read_all(r, 0, at, to - *at);
	expect_none(r, 30 * MS);
}

/* A, then AB: the bytes are A and B, whether A was read already or not; overlaps among
 * segments that came too early, and one that fills a hole and laps over both sides. */
static void row3(void)
{
	uint64_t at = 0;
	struct peer p;
	struct ring r;

	begin(&p, &r, 4096, 0);
	say(&p, 0, 100, "P");
	delivered(&r, &at, 100);
	say(&p, 0, 200, "P");
	delivered(&r, &at, 200);
	say(&p, 200, 300, "P");
	say(&p, 200, 400, "P");
	wait_acked(&p, 400);
	delivered(&r, &at, 400);
	say(&p, 600, 800, "P");
	say(&p, 700, 900, "P");
	say(&p, 550, 650, "P");
	say(&p, 1000, 1100, "P");
	expect_none(&r, 30 * MS);
	say(&p, 350, 620, "P");
	delivered(&r, &at, 900);
	say(&p, 850, 1050, "P");
	delivered(&r, &at, 1100);
	say(&p, 0, 1100, "P");
	expect_none(&r, 30 * MS);
	part(&p);
	ring_close(&r);
}

/* Segments in fragments, in both orders, in pieces smaller than a buffer and larger; read
 * through small buffers one at a time, so that reading stops inside the packet. */
static void row4(void)
{
	static const size_t sizes[] = { 8, 64, 784, 1400, 1480 };
	uint64_t at = 0, next = 0;
	struct peer p;
	struct ring r;

	begin(&p, &r, 2048, 1);
	for (unsigned i = 0; i < 2 * sizeof(sizes) / sizeof(*sizes); i++) {
		uint64_t to = next + (sizes[i / 2] < 64 ? 500 : 9000);

		if (i == 2)
			to = next + 2000;	/* of which 780 arrived, once */
		say_in_fragments(&p, next, to, sizes[i / 2], i & 1);
		next = to;
		delivered(&r, &at, next);
	}
	equal(stats_of(&r).bytes, next, "bytes");
	part(&p);
	ring_close(&r);
}

/* Data and FIN in one segment: DATA, then EOF.  RST: ERR. */
static void row7_segments(void)
{
	uint64_t at = 0;
	struct peer p;
	struct ring r;

	begin(&p, &r, 4096, 0);
	say(&p, 0, 100, "PF");
	read_all(&r, 0, &at, 100);
	expect(&r, PASTE_EV_EOF, 0);
	expect_none(&r, 30 * MS);
	part(&p);
	ring_close(&r);

	at = 0;
	begin(&p, &r, 4096, 0);
	say(&p, 0, 100, "P");
	wait_acked(&p, 100);
	say(&p, 100, 100, "R");
	read_all(&r, 0, &at, 100);
	equal(expect(&r, PASTE_EV_ERR, 0).res, -ECONNRESET, "ERR");
	expect_none(&r, 30 * MS);
	part(&p);
	ring_close(&r);

	/* The end comes while reading is stopped: FIN alone, with a quota used up. */
	at = 0;
	begin(&p, &r, 2048, 1);
	say(&p, 0, 5000, "P");
	wait_acked(&p, 5000);
	struct paste_event e = data(&r, 0, &at);
	say(&p, 5000, 5000, "F");
	expect_none(&r, 30 * MS);
	give(&r, e.buf);
	read_all(&r, 0, &at, 5000 - at);
	expect(&r, PASTE_EV_EOF, 0);
	part(&p);
	ring_close(&r);
}

/* Bytes [from, to) come as they are. */
static void plain(struct ring *r, uint64_t from, uint64_t to)
{
	uint64_t at = from;

	read_all(r, 0, &at, to - from);
	expect_none(r, 20 * MS);
}

/* An urgent byte is stepped over, as recv() does, and does not end the reading. */
static void urgent(void)
{
	uint64_t at;
	struct peer p;
	struct ring r;

	begin(&p, &r, 4096, 0);
	say(&p, 0, 100, "PU");		/* byte 99 */
	plain(&r, 0, 99);
	say(&p, 100, 200, "P");
	plain(&r, 100, 200);
	say(&p, 200, 300, "PU");	/* byte 299, and more behind it at once */
	say(&p, 300, 400, "P");
	wait_acked(&p, 400);
	at = 200;
	read_all(&r, 0, &at, 99);	/* in DATA of its own: the stream has a hole */
	plain(&r, 300, 400);
	say(&p, 400, 9000, "P");
	plain(&r, 400, 9000);
	say(&p, 9000, 9000, "F");
	expect(&r, PASTE_EV_EOF, 0);
	part(&p);
	ring_close(&r);
}

const struct test tun_tests[] = {
	TEST(row3), TEST(row4), TEST(row7_segments), TEST(urgent), { NULL, NULL }
};
