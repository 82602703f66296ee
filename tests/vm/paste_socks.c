/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * paste_socks.c - which sockets a ring may have, and what happens to one when somebody puts a
 * protocol on top of it meanwhile: TLS, sockmap.
 */
#include <linux/bpf.h>
#include <linux/btf.h>
#include <linux/tls.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "paste_dev.h"

static const struct ring_opts small = { .len = 256 * 4096, .nbufs = 256 };

static int try_attach(struct ring *r, uint32_t conn, int fd)
{
	struct paste_event e;

	attach(r, conn, fd, 0, 0);
	must(ring_sync(r, 0) >= 0, "SYNC");
	if (!ring_next(r, &e))
		return 0;
	must(e.kind == PASTE_EV_REFUSED && e.conn == conn, "event kind %u", e.kind);
	return e.res;
}

/* Whatever comes next of this connection is its stream's next bytes, copied for that reason. */
static void read_by(struct ring *r, uint32_t conn, uint64_t *at, uint64_t n, enum paste_copy why)
{
	uint64_t end = *at + n;

	while (*at < end) {
		struct paste_event e = data(r, conn, at);

		equal(e.flags & 0xff, PASTE_F_COPIED, "flags");
		equal(PASTE_COPY_OF(e.flags), why, "why it is a copy");
		give(r, e.buf);
	}
	equal(*at, end, "more than was sent");
}

/* ---- which ---- */

/* No streams, and streams of other families, whose wait queues may be no file's. */
static void families(void)
{
	static const int kinds[][3] = {
		{ AF_UNIX, SOCK_DGRAM, 0 }, { AF_UNIX, SOCK_SEQPACKET, 0 }, { AF_INET, SOCK_DGRAM, 0 },
		{ AF_INET6, SOCK_DGRAM, 0 }, { AF_INET, SOCK_RAW, IPPROTO_ICMP }, { AF_PACKET, SOCK_RAW, 0 },
		{ AF_NETLINK, SOCK_RAW, 0 }, { AF_VSOCK, SOCK_STREAM, 0 },
	};
	static const int good[] = { AF_INET, AF_INET6, AF_UNIX };
	struct ring r;

	ring_open(&r, &small);
	for (unsigned i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		int fd = socket(kinds[i][0], kinds[i][1], kinds[i][2]);

		must(fd >= 0, "a socket of family %d, type %d", kinds[i][0], kinds[i][1]);
		equal(try_attach(&r, 0, fd), -ESOCKTNOSUPPORT, "family %d, type %d", kinds[i][0], kinds[i][1]);
		close(fd);
	}
	for (unsigned i = 0; i < sizeof(good) / sizeof(*good); i++) {
		uint64_t at = 0, sent = 0;
		int fd[2];

		stream(good[i], fd);
		equal(try_attach(&r, i, fd[0]), 0, "family %d", good[i]);
		put(fd[1], &sent, 1000);
		read_all(&r, i, &at, 1000);
	}
	ring_close(&r);
}

/* ---- the security module is asked ---- */

static int bpf(int cmd, union bpf_attr *a)
{
	return (int)syscall(SYS_bpf, cmd, a, sizeof(*a));
}

/* How much follows a type of this kind, in bytes. */
static size_t btf_rest(uint32_t info)
{
	static const uint8_t once[] = { [BTF_KIND_INT] = 4, [BTF_KIND_ARRAY] = 12, [BTF_KIND_VAR] = 4,
					[BTF_KIND_DECL_TAG] = 4, [BTF_KIND_ENUM64] = 0 };
	static const uint8_t each[] = { [BTF_KIND_STRUCT] = 12, [BTF_KIND_UNION] = 12, [BTF_KIND_ENUM] = 8,
					[BTF_KIND_FUNC_PROTO] = 8, [BTF_KIND_DATASEC] = 12, [BTF_KIND_ENUM64] = 12 };
	uint32_t kind = BTF_INFO_KIND(info);

	must(kind < sizeof(once) && kind < sizeof(each), "a type of kind %u", kind);
	return once[kind] + (size_t)BTF_INFO_VLEN(info) * each[kind];
}

/* The number of a function in the kernel's description of its types. */
static uint32_t btf_function(const char *name)
{
	int file = open("/sys/kernel/btf/vmlinux", O_RDONLY);
	struct btf_header h;
	struct stat st;
	uint8_t *all;
	uint32_t id = 1;
	ssize_t n = 0;

	must(file >= 0 && !fstat(file, &st), "/sys/kernel/btf/vmlinux");
	all = memory(((size_t)st.st_size + 4095) & ~4095ul);
	for (ssize_t got; (got = read(file, all + n, (size_t)(st.st_size - n))) > 0; )
		n += got;
	equal(n, st.st_size, "its size");
	close(file);
	memcpy(&h, all, sizeof(h));
	for (uint32_t at = 0; at < h.type_len; id++) {
		struct btf_type t;

		memcpy(&t, all + h.hdr_len + h.type_off + at, sizeof(t));
		if (BTF_INFO_KIND(t.info) == BTF_KIND_FUNC &&
		    !strcmp((char *)all + h.hdr_len + h.str_off + t.name_off, name))
			return id;
		at += (uint32_t)(sizeof(t) + btf_rest(t.info));
	}
	die("the kernel has no function %s", name);
}

/* From now on a security module forbids this process to receive from sockets, until the
 * descriptor that this gives is closed. */
static int forbid_receiving(void)
{
	const struct bpf_insn code[] = {
		{ .code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_get_current_pid_tgid },
		{ .code = BPF_ALU64 | BPF_RSH | BPF_K, .dst_reg = BPF_REG_0, .imm = 32 },
		{ .code = BPF_JMP | BPF_JEQ | BPF_K, .dst_reg = BPF_REG_0, .imm = getpid(), .off = 2 },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = 0 },
		{ .code = BPF_JMP | BPF_EXIT },
		{ .code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -EPERM },
		{ .code = BPF_JMP | BPF_EXIT },
	};
	union bpf_attr a = {
		.prog_type = BPF_PROG_TYPE_LSM, .expected_attach_type = BPF_LSM_MAC,
		.insns = (uintptr_t)code, .insn_cnt = sizeof(code) / sizeof(*code), .license = (uintptr_t)"GPL",
		.attach_btf_id = btf_function("bpf_lsm_socket_recvmsg"),
	};
	int prog = bpf(BPF_PROG_LOAD, &a), on;

	must(prog >= 0, "BPF_PROG_LOAD");
	a = (union bpf_attr){ .raw_tracepoint = { .prog_fd = (uint32_t)prog } };
	on = bpf(BPF_RAW_TRACEPOINT_OPEN, &a);
	must(on >= 0, "attaching the program");
	close(prog);
	return on;
}

static void asked(void)
{
	static const int family[] = { AF_INET, AF_INET6, AF_UNIX };
	uint64_t at[3] = { 0 }, sent[3] = { 0 };
	int fd[3][2], no = forbid_receiving();
	struct ring r;
	char c;

	ring_open(&r, &small);
	for (unsigned i = 0; i < 3; i++) {
		stream(family[i], fd[i]);
		put(fd[i][1], &sent[i], 1000);
		must(recv(fd[i][0], &c, 1, MSG_DONTWAIT) == -1 && errno == EPERM, "nothing is forbidden");
		equal(try_attach(&r, i, fd[i][0]), -EPERM, "family %d", family[i]);
	}
	close(no);
	for (unsigned i = 0; i < 3; i++) {
		attach(&r, i, fd[i][0], 0, 0);
		read_all(&r, i, &at[i], 1000);	/* being asked took nothing */
	}
	/* TCP's queue is read without a recvmsg: the answer at ATTACH is for all to come. */
	no = forbid_receiving();
	put(fd[0][1], &sent[0], 1000);
	read_all(&r, 0, &at[0], 1000);
	put(fd[2][1], &sent[2], 1000);
	equal(expect(&r, PASTE_EV_ERR, 2).res, -EPERM, "AF_UNIX, which asks each time");
	close(no);
	ring_close(&r);
}

/* ---- TLS ---- */

static const struct tls12_crypto_info_aes_gcm_128 keys = {
	.info = { .version = TLS_1_2_VERSION, .cipher_type = TLS_CIPHER_AES_GCM_128 }, .key = "a key, no secret",
};

static void use_tls(int fd)
{
	must(!setsockopt(fd, SOL_TCP, TCP_ULP, "tls", sizeof("tls")), "TCP_ULP");
}

/* Attached first, TLS after that: what is read from then on is what TLS makes of it. */
static void tls_after(void)
{
	uint64_t at = 0, sent = 0;
	struct ring r;
	int fd[2];

	ring_open(&r, &small);
	stream(AF_INET, fd);
	attach(&r, 0, fd[0], 0, 0);
	put(fd[1], &sent, 10000);
	read_by(&r, 0, &at, 10000, PASTE_COPY_OTHER);
	use_tls(fd[0]);
	use_tls(fd[1]);
	put(fd[1], &sent, 1000);		/* no keys yet: still plain */
	read_by(&r, 0, &at, 1000, PASTE_COPY_OTHER);
	must(!setsockopt(fd[0], SOL_TLS, TLS_RX, &keys, sizeof(keys)), "TLS_RX");
	must(!setsockopt(fd[1], SOL_TLS, TLS_TX, &keys, sizeof(keys)), "TLS_TX");
	put(fd[1], &sent, 100000);
	read_by(&r, 0, &at, 100000, PASTE_COPY_PROTOCOL);
	close(fd[1]);
	expect(&r, PASTE_EV_EOF, 0);
	ring_close(&r);
}

struct slow_keys {
	uint8_t *page;		/* where setsockopt(TLS_RX) has them from: it waits there */
	int fd, uffd;
	volatile bool waits;
};

static void *set_keys(void *arg)
{
	struct slow_keys *k = arg;

	must(!setsockopt(k->fd, SOL_TLS, TLS_RX, k->page, sizeof(keys)), "TLS_RX");
	return NULL;
}

static void *give_keys(void *arg)
{
	struct slow_keys *k = arg;
	uint8_t *src = memory(4096);
	struct uffdio_copy c = { .dst = (uintptr_t)k->page, .src = (uintptr_t)src, .len = 4096 };
	struct pollfd p = { .fd = k->uffd, .events = POLLIN };

	memcpy(src, &keys, sizeof(keys));
	equal(poll(&p, 1, -1), 1, "poll");
	k->waits = true;
	usleep(500000);		/* until SYNC waits for the socket's lock: no sooner, or this sees nothing */
	must(!ioctl(k->uffd, UFFDIO_COPY, &c), "UFFDIO_COPY");
	return NULL;
}

/* TLS takes the socket over while SYNC waits for its lock: SYNC must see that when it has it. */
static void tls_meanwhile(void)
{
	struct slow_keys k = { .page = memory(4096), .uffd = (int)syscall(SYS_userfaultfd, O_CLOEXEC | O_NONBLOCK) };
	struct uffdio_api api = { .api = UFFD_API };
	struct uffdio_register reg = { .range = { (uintptr_t)k.page, 4096 }, .mode = UFFDIO_REGISTER_MODE_MISSING };
	uint64_t at = 0, sent = 0;
	pthread_t t[2];
	struct ring r;
	int fd[2];

	must(k.uffd >= 0 && !ioctl(k.uffd, UFFDIO_API, &api) && !ioctl(k.uffd, UFFDIO_REGISTER, &reg), "userfaultfd");
	ring_open(&r, &small);
	stream(AF_INET, fd);
	k.fd = fd[0];
	use_tls(fd[0]);
	use_tls(fd[1]);
	must(!setsockopt(fd[1], SOL_TLS, TLS_TX, &keys, sizeof(keys)), "TLS_TX");
	attach(&r, 0, fd[0], 0, 0);
	op(&r, PASTE_OP_PAUSE, 0);
	expect_none(&r, 0);
	put(fd[1], &sent, 1000);
	expect_none(&r, 50 * MS);
	pthread_create(&t[0], NULL, give_keys, &k);
	pthread_create(&t[1], NULL, set_keys, &k);
	while (!k.waits)
		usleep(1000);
	op(&r, PASTE_OP_RESUME, 0);
	read_by(&r, 0, &at, 1000, PASTE_COPY_PROTOCOL);
	for (int i = 0; i < 2; i++)
		pthread_join(t[i], NULL);
	put(fd[1], &sent, 50000);
	read_by(&r, 0, &at, 50000, PASTE_COPY_PROTOCOL);
	close(k.uffd);
	ring_close(&r);
}

/* ---- sockmap ---- */

static void sockmap(void)
{
	union bpf_attr a = { .map_type = BPF_MAP_TYPE_SOCKMAP, .key_size = 4, .value_size = 4, .max_entries = 1 };
	int map = bpf(BPF_MAP_CREATE, &a), fd[2];
	uint32_t key = 0, value;
	uint64_t at = 0, sent = 0;
	struct ring r;

	must(map >= 0, "BPF_MAP_CREATE");
	ring_open(&r, &small);
	stream(AF_INET, fd);
	attach(&r, 0, fd[0], 0, 0);
	put(fd[1], &sent, 1000);
	read_by(&r, 0, &at, 1000, PASTE_COPY_OTHER);
	value = (uint32_t)fd[0];
	a = (union bpf_attr){ .map_fd = (uint32_t)map, .key = (uintptr_t)&key, .value = (uintptr_t)&value };
	must(!bpf(BPF_MAP_UPDATE_ELEM, &a), "BPF_MAP_UPDATE_ELEM");
	put(fd[1], &sent, 10000);
	read_by(&r, 0, &at, 10000, PASTE_COPY_PROTOCOL);
	a.value = 0;
	must(!bpf(BPF_MAP_DELETE_ELEM, &a), "BPF_MAP_DELETE_ELEM");
	put(fd[1], &sent, 10000);
	read_by(&r, 0, &at, 10000, PASTE_COPY_OTHER);
	close(map);
	ring_close(&r);
}

const struct test sock_tests[] = {
	TEST(families), TEST(asked), TEST(tls_after), TEST(tls_meanwhile), TEST(sockmap), { NULL, NULL }
};
