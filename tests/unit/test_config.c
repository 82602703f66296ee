/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_config.c - config.h and listen.h: what is taken, what is refused and in which words.
 */
#include <errno.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cgroup.h"
#include "config.h"
#include "format/format.h"
#include "segment/segment.h"

#define MIB ((uint64_t)1 << 20)

/* What the control group allows, in this case. */
static struct cgroup group = { UINT64_MAX, UINT32_MAX };

void cgroup_read(struct cgroup *g, const char *list, const char *root)
{
	assert_string_equal(list, CGROUP_LIST);
	assert_string_equal(root, CGROUP_ROOT);
	*g = group;
}

/* One load: the command line after the program's name, ending in NULL. */
struct attempt {
	struct config c;
	char *out, *err;
	size_t out_len, err_len;
};

static enum config_verdict load(struct attempt *a, ...)
{
	char *argv[32] = { "pasted" };
	enum config_verdict v;
	FILE *out, *err;
	va_list ap;
	int argc = 1;

	memset(a, 0, sizeof(*a));
	va_start(ap, a);
	while ((argv[argc] = va_arg(ap, char *)))
		argc++;
	va_end(ap);
	out = open_memstream(&a->out, &a->out_len);
	err = open_memstream(&a->err, &a->err_len);
	v = config_load(&a->c, argc, argv, out, err);
	fclose(out);
	fclose(err);
	return v;
}

static void done(struct attempt *a)
{
	config_free(&a->c);
	free(a->out);
	free(a->err);
}

/* Refused in one line that has each of the words. */
static void check_refusal(struct attempt *a, enum config_verdict v, const char *const *words)
{
	assert_int_equal(v, CONFIG_WRONG);
	for (; *words; words++)
		if (!strstr(a->err, *words))
			fail_msg("\"%s\" is not in: %s", *words, a->err);
	assert_ptr_equal(strchr(a->err, '\n'), a->err + a->err_len - 1);
	done(a);
}

#define W(...) (const char *const[]){ __VA_ARGS__, NULL }
#define refused(words, ...) do {				\
	struct attempt a_;					\
	enum config_verdict v_ = load(&a_, __VA_ARGS__, NULL);	\
								\
	check_refusal(&a_, v_, words);				\
} while (0)

/* A configuration file with the text; the caller unlinks. */
static char *file_of(const char *text)
{
	static char path[64];
	FILE *f;
	int fd;

	strcpy(path, "test_config.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	f = fdopen(fd, "w");
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
	return path;
}

static void file_refused(const char *const *words, const char *text)
{
	char *path = file_of(text);
	struct attempt a;
	enum config_verdict v = load(&a, "--config", path, NULL);

	unlink(path);
	check_refusal(&a, v, words);
}

static void defaults(void **state)
{
	struct attempt a;
	char text[LISTEN_TEXT_MAX];
	uint64_t most;

	(void)state;
	assert_int_equal(load(&a, NULL), CONFIG_RUN);
	assert_int_equal(a.c.nlisten, 1);
	listen_print(&a.c.listen[0], text, sizeof(text));
	assert_string_equal(text, "127.0.0.1:8080");
	assert_string_equal(a.c.store, "./pasted-store");
	assert_null(a.c.nvmm);
	assert_int_equal(a.c.class, CONFIG_CLASS_AUTO);
	assert_int_equal(a.c.ring, CONFIG_RING_AUTO);
	assert_in_range(a.c.workers, 1, LANES_MAX);
	most = a.c.memory_bytes / 2 / MIB * MIB;	/* of this machine, or this container */
	assert_int_equal(a.c.pool_bytes, most < 8 * MIB ? 8 * MIB : a.c.workers > 4 && a.c.workers * 64 * MIB < most ?
			 a.c.workers * 64 * MIB : 256 * MIB < most ? 256 * MIB : most);
	assert_int_equal(a.c.buf_size, 4096);
	assert_int_equal(a.c.segment_bytes, 64 * MIB);
	assert_int_equal(a.c.retain_bytes, 0);
	assert_int_equal(a.c.retain_ms, 0);
	assert_int_equal(a.c.head_bytes_max, 16384);
	assert_int_equal(a.c.body_bytes_max, 16 * MIB);
	assert_int_equal(a.c.conns_max, 16384);
	assert_int_equal(a.c.header_timeout_ms, 10000);
	assert_int_equal(a.c.body_timeout_ms, 30000);
	assert_int_equal(a.c.body_rate, 1024);
	assert_int_equal(a.c.idle_timeout_ms, 60000);
	assert_false(a.c.doctor);
	assert_string_equal(a.err, "");
	done(&a);
}

static void command_line(void **state)
{
	struct attempt a;

	(void)state;
	assert_int_equal(load(&a, "--listen", "127.0.0.1:0", "--listen=[::1]:81", "--listen",
			      "unix:/run/p", "--store", "/s", "--nvmm=/dev/dax0.0", "--class",
			      "volatile", "--ring", "socket", "--workers", "3", "--pool-size=64M",
			      "--buffer-size", "2048", "--body-max", "1M", "--doctor", NULL), CONFIG_RUN);
	assert_int_equal(a.c.nlisten, 3);
	assert_int_equal(a.c.class, CLASS_VOLATILE);
	assert_int_equal(a.c.ring, CONFIG_RING_SOCKET);
	assert_int_equal(a.c.workers, 3);
	assert_int_equal(a.c.pool_bytes, 64 * MIB);
	assert_int_equal(a.c.buf_size, 2048);
	assert_int_equal(a.c.body_bytes_max, MIB);
	assert_string_equal(a.c.nvmm, "/dev/dax0.0");
	assert_true(a.c.doctor);
	assert_null(a.c.nic);
	assert_int_equal(a.c.busy_poll_us, 0);
	done(&a);
	assert_int_equal(load(&a, "--nic", "vnet:fifteen_letters", "--busy-poll=50", NULL), CONFIG_RUN);
	assert_string_equal(a.c.nic, "fifteen_letters");
	assert_int_equal(a.c.busy_poll_us, 50);
	done(&a);
}

static void command_line_refused(void **state)
{
	(void)state;
	refused(W("unknown option --wrokers", "--help"), "--wrokers", "2");
	refused(W("\"-v\" is not an option"), "-v");
	refused(W("\"store\" is not an option"), "store");
	refused(W("--workers", "needs a value"), "--workers");
	refused(W("--doctor", "takes no value"), "--doctor=1");
	refused(W("--workers", "twice"), "--workers", "1", "--workers", "1");
	refused(W("--config", "twice"), "--config", "a", "--config", "a");
	refused(W("--config", "/no/such/file", "No such file"), "--config", "/no/such/file");
	refused(W("--workers", "\"0\"", "out of range", "1 to 256", "auto"), "--workers", "0");
	refused(W("out of range"), "--workers", "257");
	refused(W("out of range"), "--workers", "99999999999999999999");
	for (size_t i = 0; i < 6; i++)
		refused(W("--unix-mode", "000 to 777"), "--unix-mode",
			(const char *const[]){ "", "60", "0o600", "688", "1777", "u=rw" }[i]);
	refused(W("not a number"), "--workers", "two");
	refused(W("not a number"), "--workers", "-1");
	refused(W("not a number"), "--workers", "");
	refused(W("--class", "\"best\"", "auto" CLASS_WORDS), "--class", "best");
	refused(W("--class"), "--class", "nvm");
	refused(W("--buffer-size", "2048|4096"), "--buffer-size", "1024");
	refused(W("--store", "empty"), "--store", "");
	refused(W("--nic", "\"eth0\"", "vnet:IFNAME"), "--nic", "eth0");
	refused(W("--nic", "vnet:IFNAME"), "--nic", "vnet:");
	refused(W("--nic"), "--nic", "vnet:sixteen_letters_");
	refused(W("--nic"), "--nic", "vnet:a/b");
	refused(W("--nic"), "--nic", "xsk:eth0");
	refused(W("--nic", "not for socket", "--ring paste or auto"), "--nic", "vnet:eth0", "--ring", "socket");
	refused(W("--busy-poll", "not for uring"), "--ring", "uring", "--busy-poll", "1");
	refused(W("--busy-poll", "out of range"), "--busy-poll", "1000001");
}

static void sizes_and_times(void **state)
{
	static const struct { const char *text; uint64_t v; } sizes[] = {
		{ "0", 0 }, { "1", 1 }, { "2k", 2048 }, { "2K", 2048 }, { "3M", 3 * MIB },
		{ "4G", 4096 * MIB }, { "1T", MIB * MIB },
	}, times[] = {
		{ "0", 0 }, { "1ms", 1 }, { "2s", 2000 }, { "3m", 180000 }, { "4h", 14400000 },
		{ "5d", 432000000 },
	};
	struct attempt a;

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(load(&a, "--class", "none", "--retain-bytes", sizes[i].text, NULL),
				 CONFIG_RUN);
		assert_int_equal(a.c.retain_bytes, sizes[i].v);
		done(&a);
	}
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		assert_int_equal(load(&a, "--retain-age", times[i].text, NULL), CONFIG_RUN);
		assert_int_equal(a.c.retain_ms, times[i].v);
		done(&a);
	}
	refused(W("not a number", "K, M, G or T"), "--retain-bytes", "1KB");
	refused(W("not a number"), "--retain-bytes", "1.5G");
	refused(W("not a number"), "--retain-bytes", " 1");
	refused(W("out of range"), "--retain-bytes", "18446744073709551615T");
	refused(W("not a number", "ms, s, m, h or d"), "--retain-age", "5");
	refused(W("not a number"), "--retain-age", "5w");
	refused(W("out of range", "10ms to 1d"), "--idle-timeout", "2d");
}

static void fit_together(void **state)
{
	struct attempt a;

	(void)state;
	refused(W("--segment-size", "1040K"), "--segment-size", "1M", "--body-max", "1M");
	refused(W("--segment-size", "multiple of 4096", "1048576"), "--segment-size", "1048577");
	/* The head alone fills it: no body at all would be taken. */
	refused(W("--pool-size", "64 workers"), "--pool-size", "2M", "--workers", "64");
	refused(W("--pool-size", "4 workers"), "--pool-size", "16M", "--workers", "4",
		"--body-max", "4M");
	/* Four segments for each worker, or the log cannot turn over. */
	refused(W("--retain-bytes", "2 workers", "4 segments", "512M"), "--workers", "2",
		"--retain-bytes", "511M");
	refused(W("--retain-bytes", "256M"), "--workers", "1", "--retain-bytes", "1");
	assert_int_equal(load(&a, "--workers", "2", "--retain-bytes", "512M", NULL), CONFIG_RUN);
	done(&a);
	assert_int_equal(load(&a, "--segment-size", "1M", NULL), CONFIG_RUN);
	assert_in_range(a.c.head_bytes_max + a.c.body_bytes_max, MIB - 10000, MIB - 8192);
	done(&a);
	assert_int_equal(load(&a, "--pool-size", "8M", "--workers", "1", NULL), CONFIG_RUN);
	assert_int_equal(a.c.head_bytes_max + a.c.body_bytes_max, 4 * MIB);
	done(&a);
}

static void file(void **state)
{
	struct attempt a;
	char *path = file_of("# all of it\n\n listen = 127.0.0.1:81\t# here\nlisten=[::1]:82\n"
			     "store = /a b#c\nworkers=2\r\nretain-age = 7d\n  class  =  none  \n"
			     "pool-size = 512M");

	(void)state;
	assert_int_equal(load(&a, "--config", path, NULL), CONFIG_RUN);
	assert_int_equal(a.c.nlisten, 2);
	assert_string_equal(a.c.store, "/a b#c");
	assert_int_equal(a.c.workers, 2);
	assert_int_equal(a.c.retain_ms, 7ull * 86400000);
	assert_int_equal(a.c.class, CLASS_NONE);
	assert_int_equal(a.c.pool_bytes, 512 * MIB);
	done(&a);
	/* The command line wins; its --listen replace the file's. */
	assert_int_equal(load(&a, "--workers", "5", "--listen", "127.0.0.1:83", "--config", path,
			      NULL), CONFIG_RUN);
	assert_int_equal(a.c.workers, 5);
	assert_int_equal(a.c.nlisten, 1);
	done(&a);
	unlink(path);
}

static void file_is_refused(void **state)
{
	(void)state;
	file_refused(W("test_config.", ":2: unknown key \"wrokers\"", "--help"), "\nwrokers = 2\n");
	file_refused(W(":1: ", "\"workers\"", "key = value"), "workers\n");
	file_refused(W(":1: ", "unknown key \"\""), " = 1\n");
	file_refused(W(":3: workers: ", "twice", "line 1"), "workers = 1\n#\nworkers = 1\n");
	file_refused(W(":1: workers: ", "out of range", "1 to 256"), "workers = 0\n");
	file_refused(W(":1: class: ", "auto" CLASS_WORDS), "class = best\n");
	file_refused(W(":1: doctor: ", "command line only"), "doctor = yes\n");
	file_refused(W(":1: config: ", "command line only"), "config = x\n");
	file_refused(W(":1: listen: ", "localhost:80", "127.0.0.1:8080"), "listen = localhost:80\n");
	file_refused(W(":1: store: ", "empty"), "store =\n");
	file_refused(W(":1: unknown key \"x\""), "\xef\xbb\xbfx = 1\n");
	file_refused(W(":1: unknown key \"\xef\xbb\""), "\xef\xbb = 1\n");
}

/* What the command line overrides must still be right. */
static void file_is_checked_though_overridden(void **state)
{
	char *path = file_of("workers = many\n");

	(void)state;
	refused(W(":1: workers: ", "not a number"), "--workers", "2", "--config", path);
	unlink(path);
}

static void help_and_version(void **state)
{
	static const char *const words[] = {
		"--listen ADDR:PORT", "--store DIR", "--nvmm DIR|/dev/daxX.Y",
		"--class auto" CLASS_WORDS, "--ring auto|uring|socket|paste",
		"--nic vnet:IFNAME", "--busy-poll USEC",
		"--workers N|auto", "--pool-size BYTES", "--buffer-size 2048|4096",
		"--config FILE", "--doctor", "--version", "--help",
	};
	struct attempt a;

	(void)state;
	assert_int_equal(load(&a, "--help", NULL), CONFIG_DONE);
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		assert_non_null(strstr(a.out, words[i]));
	done(&a);
	assert_int_equal(load(&a, "--version", NULL), CONFIG_DONE);
	assert_string_equal(a.out, "pasted " PACKAGE_VERSION "\n");
	done(&a);
}

/* ---- addresses ---- */

static void addresses(void **state)
{
	static const struct { const char *in, *out; } good[] = {
		{ "127.0.0.1:8080", "127.0.0.1:8080" }, { "0.0.0.0:0", "0.0.0.0:0" },
		{ "[::1]:65535", "[::1]:65535" }, { "[::]:1", "[::]:1" },
		{ "[2001:db8::0:1]:80", "[2001:db8::1]:80" },
		{ "unix:/run/x", "unix:/run/x" }, { "/run/x", "unix:/run/x" },
		{ "unix:x", "unix:x" },
	};
	static const char *const bad[] = {
		"", ":", ":8080", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
		"127.0.0.1:8o", "127.1:80", "256.0.0.1:80", "::1:80", "[::1]", "[::1]80", "[]:80",
		"[127.0.0.1]:80", "localhost:80", "unix:", "127.0.0.1:123456",
	};
	struct listen_addr a;
	char text[LISTEN_TEXT_MAX], why[256];

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		assert_int_equal(listen_parse(good[i].in, &a, why, sizeof(why)), 0);
		listen_print(&a, text, sizeof(text));
		assert_string_equal(text, good[i].out);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		*why = '\0';
		if (!listen_parse(bad[i], &a, why, sizeof(why)))
			fail_msg("\"%s\" was taken", bad[i]);
		assert_non_null(strstr(why, "accepted"));
	}
	memset(text, 'x', sizeof(text));
	memcpy(text, "/run/", 5);
	text[108] = '\0';			/* one byte more than a Unix address holds */
	assert_int_equal(listen_parse(text, &a, why, sizeof(why)), -EINVAL);
	assert_non_null(strstr(why, "accepted are 1 to 107 bytes"));
	text[107] = '\0';
	assert_int_equal(listen_parse(text, &a, why, sizeof(why)), 0);
}

static void sockets(void **state)
{
	struct listen_addr a[3];
	struct listeners ls, other;
	char why[512], path[] = "test_config.sock";
	const int *first, *second;
	FILE *f;

	(void)state;
	assert_int_equal(listen_parse("127.0.0.1:0", &a[0], why, sizeof(why)), 0);
	assert_int_equal(listen_parse("unix:test_config.sock", &a[1], why, sizeof(why)), 0);
	assert_int_equal(listeners_open(&ls, a, 2, 2, 0600, why, sizeof(why)), 0);
	first = listeners_of(&ls, 0);
	second = listeners_of(&ls, 1);
	assert_int_not_equal(first[0], second[0]);	/* TCP: one per worker */
	assert_int_equal(first[1], second[1]);		/* Unix: shared */
	listen_print(&ls.l[0].addr, why, sizeof(why));
	assert_string_not_equal(why, "127.0.0.1:0");

	/* Neither the port nor the socket is shared with anybody else. */
	assert_int_equal(listeners_open(&other, &ls.l[0].addr, 1, 1, 0600, why, sizeof(why)), -EADDRINUSE);
	assert_non_null(strstr(why, "in use"));
	assert_int_equal(listeners_open(&other, &a[1], 1, 1, 0600, why, sizeof(why)), -EADDRINUSE);
	assert_int_equal(access(path, F_OK), 0);
	listeners_close(&ls);
	assert_int_not_equal(access(path, F_OK), 0);

	/* A stale socket is replaced, another file is not. */
	assert_int_equal(listeners_open(&ls, &a[1], 1, 1, 0600, why, sizeof(why)), 0);
	ls.l[0].ino = 0;				/* as after a crash: it stays */
	listeners_close(&ls);
	assert_int_equal(access(path, F_OK), 0);
	assert_int_equal(listeners_open(&ls, &a[1], 1, 1, 0600, why, sizeof(why)), 0);
	listeners_close(&ls);
	f = fopen(path, "w");
	assert_non_null(f);
	fclose(f);
	assert_int_equal(listeners_open(&ls, &a[1], 1, 1, 0600, why, sizeof(why)), -EEXIST);
	assert_int_equal(unlink(path), 0);
}

/* ---- each setting ---- */

#define BYTES ", with K, M, G or T for powers of 1024"
#define UNITS ", with ms, s, m, h or d"
#define F(name) offsetof(struct config, name), sizeof(((struct config *)0)->name)

/* Least and most are taken, what is beyond them is not, and the default is what is written here. */
static const struct number {
	const char *name;
	size_t at, bytes;
	const char *below, *least;
	uint64_t least_is;
	const char *most;
	uint64_t most_is;
	const char *above, *range;
	uint64_t def;			/* UINT64_MAX: depends on the machine */
} numbers[] = {
	{ "busy-poll", F(busy_poll_us), NULL, "0", 0, "1000000", 1000000, "1000001", "0 to 1000000", 0 },
	{ "workers", F(workers), "0", "1", 1, "256", 256, "257", "1 to 256, or auto", UINT64_MAX },
	{ "pool-size", F(pool_bytes), "1048575", "1M", MIB, "64G", 65536 * MIB, "65G",
	  "1M to 64G" BYTES ", or auto", UINT64_MAX },
	{ "segment-size", F(segment_bytes), "65535", "64K", 65536, "4G", 4096 * MIB, "4294967297", "64K to 4G" BYTES,
	  64 * MIB },
	{ "retain-bytes", F(retain_bytes), NULL, "0", 0, "1024T", 1024 * MIB * MIB, "1025T", "0 to 1024T" BYTES, 0 },
	{ "retain-age", F(retain_ms), NULL, "0", 0, "36500d", 36500 * UINT64_C(86400000), "36501d",
	  "0 to 36500d" UNITS, 0 },
	{ "head-max", F(head_bytes_max), "1023", "1K", 1024, "64K", 65536, "65537", "1K to 64K" BYTES, 16384 },
	{ "target-max", F(target_bytes_max), "15", "16", 16, "64k", 65536, "65537", "16 to 64K" BYTES, 8192 },
	{ "headers-max", F(headers_max), "0", "1", 1, "1000", 1000, "1001", "1 to 1000", 100 },
	{ "body-max", F(body_bytes_max), "0", "1", 1, "60M", 60 * MIB, "61M", "1 to 60M" BYTES ", or auto", 16 * MIB },
	{ "conns-max", F(conns_max), "0", "1", 1, "1000000", 1000000, "1000001", "1 to 1000000", 16384 },
	{ "header-timeout", F(header_timeout_ms), "9ms", "10ms", 10, "1d", 86400000, "86400001ms", "10ms to 1d" UNITS,
	  10000 },
	{ "body-timeout", F(body_timeout_ms), "9ms", "10ms", 10, "24h", 86400000, "86401s", "10ms to 1d" UNITS, 30000 },
	{ "body-rate", F(body_rate), NULL, "0", 0, "1G", 1024 * MIB, "1025M", "0 to 1G" BYTES, 1024 },
	{ "idle-timeout", F(idle_timeout_ms), "9ms", "10ms", 10, "1440m", 86400000, "1441m", "10ms to 1d" UNITS, 60000 },
	{ "write-timeout", F(write_timeout_ms), "0", "10ms", 10, "1d", 86400000, "25h", "10ms to 1d" UNITS, 30000 },
	{ "pushback-timeout", F(pushback_ms), "0", "1ms", 1, "60s", 60000, "61s", "1ms to 1m" UNITS, 1000 },
	{ "checkpoint-interval", F(checkpoint_ms), "0ms", "1ms", 1, "1h", 3600000, "3601s", "1ms to 1h" UNITS, 200 },
	{ "checkpoint-buffers", F(checkpoint_bufs), "0", "1", 1, "16777216", 16777216, "16777217", "1 to 16777216", 1024 },
	{ "drain-delay", F(drain_delay_ms), NULL, "0", 0, "1h", 3600000, "3600001ms", "0 to 1h" UNITS, 0 },
	{ "drain-timeout", F(drain_ms), NULL, "0", 0, "60m", 3600000, "2h", "0 to 1h" UNITS, 10000 },
};
#define NUMBERS (sizeof(numbers) / sizeof(numbers[0]))

static uint64_t value_of(const struct attempt *a, const struct number *n)
{
	uint32_t v;

	if (n->bytes == sizeof(uint64_t))
		return *(const uint64_t *)(const void *)((const char *)&a->c + n->at);
	memcpy(&v, (const char *)&a->c + n->at, sizeof(v));
	return v;
}

static enum config_verdict load_number(struct attempt *a, const struct number *n, const char *value)
{
	char option[64];
	bool pool = !strcmp(n->name, "pool-size"), workers = !strcmp(n->name, "workers");

	snprintf(option, sizeof(option), "--%s", n->name);
	return load(a, option, value, pool ? "--workers=1" : "--pool-size=1G", workers || pool ? NULL : "--workers=1", NULL);
}

static void each_number(void **state)
{
	struct attempt a, def;
	char want[256];

	(void)state;
	assert_int_equal(load(&def, NULL), CONFIG_RUN);
	for (const struct number *n = numbers; n < numbers + NUMBERS; n++) {
		assert_int_equal(load_number(&a, n, n->least), CONFIG_RUN);
		assert_true(value_of(&a, n) == n->least_is);
		done(&a);
		assert_int_equal(load_number(&a, n, n->most), CONFIG_RUN);
		assert_true(value_of(&a, n) == n->most_is);
		/* It sets its own field and no other. */
		for (const struct number *o = numbers; o < numbers + NUMBERS; o++)
			if (o != n && o->def != UINT64_MAX && o->at != offsetof(struct config, body_bytes_max))
				assert_true(value_of(&a, o) == o->def);
		done(&a);
		for (int i = 0; i < 2; i++) {
			const char *beyond = i ? n->above : n->below;

			if (!beyond)
				continue;
			assert_int_equal(load_number(&a, n, beyond), CONFIG_WRONG);
			snprintf(want, sizeof(want), "pasted: --%s: \"%s\" is out of range: accepted is %s\n", n->name,
				 beyond, n->range);
			assert_string_equal(a.err, want);
			done(&a);
		}
		assert_int_equal(load_number(&a, n, "7x"), CONFIG_WRONG);
		snprintf(want, sizeof(want), "pasted: --%s: \"7x\" is not a number that is understood here: accepted "
			 "is %s\n", n->name, n->range);
		assert_string_equal(a.err, want);
		done(&a);
		if (n->def != UINT64_MAX)
			assert_true(value_of(&def, n) == n->def);
	}
	assert_int_equal(def.c.unix_mode, 0600);
	assert_null(def.c.nic);
	assert_null(def.c.pid_file);
	assert_null(def.c.file);
	assert_false(def.c.adopt);
	done(&def);
}

static void each_text(void **state)
{
	struct attempt a;

	(void)state;
	assert_int_equal(load(&a, "--pid-file=/run/a=b", "--store", "s#1", "--nvmm", "/m", "--adopt", "--unix-mode=0777",
			      "--nic=vnet:e", "--ring", "paste", NULL), CONFIG_RUN);
	assert_string_equal(a.c.pid_file, "/run/a=b");
	assert_string_equal(a.c.store, "s#1");
	assert_string_equal(a.c.nvmm, "/m");
	assert_string_equal(a.c.nic, "e");
	assert_true(a.c.adopt);
	assert_false(a.c.doctor);
	assert_int_equal(a.c.unix_mode, 0777);
	assert_int_equal(a.c.ring, CONFIG_RING_PASTE);
	done(&a);
	for (unsigned i = 0; i < 4; i++) {
		static const char *const names[] = { "auto", "uring", "socket", "paste" };

		assert_int_equal(load(&a, "--ring", names[i], "--unix-mode", "007", NULL), CONFIG_RUN);
		assert_int_equal(a.c.ring, i);
		assert_int_equal(a.c.unix_mode, 7);
		assert_string_equal(config_ring_name(i), names[i]);
		done(&a);
	}
	assert_string_equal(config_ring_name(4), "?");
	for (unsigned i = 0; i < 5; i++) {
		static const struct { const char *name; unsigned class; } classes[] = {
			{ "auto", CONFIG_CLASS_AUTO }, { "nvmm", CLASS_NVMM }, { "fsync", CLASS_FSYNC },
			{ "volatile", CLASS_VOLATILE }, { "none", CLASS_NONE },
		};

		assert_int_equal(load(&a, "--class", classes[i].name, NULL), CONFIG_RUN);
		assert_int_equal(a.c.class, classes[i].class);
		done(&a);
	}
	refused(W("--nic: \"vnet:a:b\""), "--nic", "vnet:a:b");
	refused(W("--nic: \"vnet:a b\""), "--nic", "vnet:a b");
	refused(W("--nic: \"vnet:a\tb\""), "--nic", "vnet:a\tb");
	refused(W("--pid-file: is empty: accepted is a path"), "--pid-file=");
	refused(W("--class: \"\" is not one of them: accepted is auto" CLASS_WORDS), "--class=");
	refused(W("--class: \"fsync|volatile\" is not one of them"), "--class=fsync|volatile");
	refused(W("--unix-mode: \"00777\""), "--unix-mode", "00777");
	refused(W("--unix-mode: \"1000\""), "--unix-mode", "1000");
	refused(W("--listen: more than 16 addresses"), "--listen=[::]:1", "--listen=[::]:2", "--listen=[::]:3",
		"--listen=[::]:4", "--listen=[::]:5", "--listen=[::]:6", "--listen=[::]:7", "--listen=[::]:8",
		"--listen=[::]:9", "--listen=[::]:10", "--listen=[::]:11", "--listen=[::]:12", "--listen=[::]:13",
		"--listen=[::]:14", "--listen=[::]:15", "--listen=[::]:16", "--listen=[::]:17");
}

/* The words of a refusal that names no setting, or one that wants a value. */
static void words(void **state)
{
	static const struct { const char *option, *want; } table[] = {
		{ "-", "\"-\" is not an option: pasted --help lists them" },
		{ "--", "unknown option --: pasted --help lists them" },
		{ "=", "\"=\" is not an option: pasted --help lists them" },
		{ "", "\"\" is not an option: pasted --help lists them" },
		{ "-help", "\"-help\" is not an option: pasted --help lists them" },
		{ "--1234567890123456789012345678901", "unknown option --1234567890123456789012345678901: "
		  "pasted --help lists them" },
		{ "--12345678901234567890123456789012", "\"--12345678901234567890123456789012\" is not an option: "
		  "pasted --help lists them" },
		{ "--store", "--store: needs a value: DIR" }, { "--class", "--class: needs a value: "
		  "auto" CLASS_WORDS }, { "--config", "--config: needs a value: FILE" },
		{ "--help=", "--help: takes no value" }, { "--adopt=1", "--adopt: takes no value" },
	};
	struct attempt a;
	char want[256];

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		assert_int_equal(load(&a, table[i].option, NULL), CONFIG_WRONG);
		snprintf(want, sizeof(want), "pasted: %s\n", table[i].want);
		assert_string_equal(a.err, want);
		done(&a);
	}
	/* The first that ends it does; what stands behind it is not looked at. */
	assert_int_equal(load(&a, "--store", "/s", "--version", "--help", "--nonsense", NULL), CONFIG_DONE);
	assert_string_equal(a.out, "pasted " PACKAGE_VERSION "\n");
	assert_null(a.c.store);
	done(&a);
	assert_int_equal(load(&a, "--help", NULL), CONFIG_DONE);
	assert_memory_equal(a.out, "pasted - a durable HTTP ingest server\n\nusage: pasted [option]...\n\n"
			    "  --listen ADDR:PORT\n      address", 94);
	assert_non_null(strstr(a.out, "PORT\n      address to serve, may be repeated; [::1]:8080 and unix:/path too, "
			       "port 0: any free [127.0.0.1:8080]\n  --unix-mode MODE\n"));
	assert_non_null(strstr(a.out, "\n  --workers N|auto\n      number of threads, each with a lane of its own; auto: one per "
			       "CPU that may be used [auto]\n  --pool-size BYTES|auto\n"));
	assert_non_null(strstr(a.out, "\n  --nvmm DIR|/dev/daxX.Y\n      persistent memory for the write-ahead log and "
			       "the buffers\n  --class auto" CLASS_WORDS "\n"));
	assert_non_null(strstr(a.out, "\n  --help\n      print this and exit\n\nBYTES take K, M, G, T; TIME takes ms, "
			       "s, m, h, d.  pasted(8), pasted.conf(5).\n"));
	done(&a);
}

/* ---- the file's grammar ---- */

static void load_text(struct attempt *a, const char *text, enum config_verdict want)
{
	char *path = file_of(text);
	enum config_verdict v = load(a, "--config", path, NULL);

	unlink(path);
	if (v != want)
		fail_msg("%s: %s", text, a->err);
}

static void grammar(void **state)
{
	static const struct { const char *text, *store; } good[] = {
		{ "store=/s", "/s" }, { "\t store \t=\t /s \t\r\n", "/s" }, { "store = a = b\n", "a = b" },
		{ "store = /s # rest = x\n", "/s" }, { "store = /s\t#\n", "/s" }, { "store = #/s\nstore = /t\n", NULL },
		{ "store = a#b#c #d\n", "a#b#c" }, { "#store = /t\nstore = /s\n   # x\n \t \n", "/s" },
		{ "\xef\xbb\xbfstore = /s\n", "/s" }, { "\xef\xbb\xbf# x\nstore = /s\n", "/s" },
	};
	struct attempt a;
	char nul[] = "test_config.XXXXXX", want[128];
	FILE *f;

	(void)state;
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		load_text(&a, good[i].text, good[i].store ? CONFIG_RUN : CONFIG_WRONG);
		if (good[i].store)
			assert_string_equal(a.c.store, good[i].store);
		done(&a);
	}
	/* a mark of the byte order is one at the beginning only */
	file_refused(W(":2: unknown key \"\xef\xbb\xbfworkers\""), "ring = socket\n\xef\xbb\xbfworkers = 1\n");
	/* twice is twice, though the second says the same; but for addresses */
	file_refused(W(":2: store: is there twice, first in line 1: leave one\n"), "store = /s\nstore = /s\n");
	load_text(&a, "listen = [::1]:1\n\nlisten = [::1]:1\n", CONFIG_RUN);
	assert_int_equal(a.c.nlisten, 2);
	done(&a);
	/* a byte that ends a string does not end the line */
	f = fdopen(mkstemp(nul), "w");
	assert_non_null(f);
	fwrite("# x\nstore = /s\0\nring = socket\n", 1, 30, f);
	fclose(f);
	assert_int_equal(load(&a, "--config", nul, NULL), CONFIG_WRONG);
	snprintf(want, sizeof(want), "pasted: %s:2: there is a NUL byte in the line: accepted is text\n", nul);
	assert_string_equal(a.err, want);
	done(&a);
	unlink(nul);
	/* what is no file */
	assert_int_equal(load(&a, "--config=.", NULL), CONFIG_WRONG);
	assert_string_equal(a.err, "pasted: --config: cannot read .: Is a directory\n");
	done(&a);
}

/* No file stays open, whatever was read, or was wrong. */
static void closed(void **state)
{
	int before = dup(STDIN_FILENO), after;
	struct attempt a;

	(void)state;
	close(before);
	load_text(&a, "store = /s\n", CONFIG_RUN);
	done(&a);
	load_text(&a, "nonsense\n", CONFIG_WRONG);
	done(&a);
	after = dup(STDIN_FILENO);
	close(after);
	assert_int_equal(after, before);
}

/* Where a setting stands is where its value came from. */
static void places(void **state)
{
	char *path = file_of("\n\nclass = fsync\nstore = /t\n"), buf[128], want[128];
	struct attempt a;

	(void)state;
	assert_int_equal(load(&a, "--config", path, "--store=/s", NULL), CONFIG_RUN);
	unlink(path);
	assert_string_equal(a.c.store, "/s");
	snprintf(want, sizeof(want), "%s:3: class", path);
	assert_string_equal(config_place(&a.c, "class", buf, sizeof(buf)), want);
	assert_string_equal(config_place(&a.c, "store", buf, sizeof(buf)), "--store");
	assert_string_equal(config_place(&a.c, "ring", buf, sizeof(buf)), "--ring");
	assert_string_equal(config_place(&a.c, "no-such", buf, sizeof(buf)), "--no-such");
	assert_ptr_equal(a.c.file, path);
	done(&a);
	/* What the command line overrides has its line in a message all the same, and is not twice. */
	path = file_of("workers = 1\nstore = /t\nstore = /u\n");
	snprintf(want, sizeof(want), "pasted: %s:3: store: is there twice, first in line 2: leave one\n", path);
	assert_int_equal(load(&a, "--config", path, "--store=/s", NULL), CONFIG_WRONG);
	unlink(path);
	assert_string_equal(a.err, want);
	done(&a);
}

/* ---- of the machine ---- */

static void workers_auto(void **state)
{
	cpu_set_t all, one;
	struct attempt a;
	unsigned n;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(all), &all), 0);
	n = (unsigned)CPU_COUNT(&all);
	assert_int_equal(load(&a, NULL), CONFIG_RUN);
	assert_int_equal(a.c.workers, n < LANES_MAX ? n : LANES_MAX);
	done(&a);
	group.cpus = 1;			/* as much of their time */
	assert_int_equal(load(&a, NULL), CONFIG_RUN);
	assert_int_equal(a.c.workers, 1);
	done(&a);
	assert_int_equal(load(&a, "--workers=3", NULL), CONFIG_RUN);
	assert_int_equal(a.c.workers, 3);
	done(&a);
	group.cpus = n + 1;
	assert_int_equal(load(&a, NULL), CONFIG_RUN);
	assert_int_equal(a.c.workers, n < LANES_MAX ? n : LANES_MAX);
	done(&a);
	group.cpus = UINT32_MAX;
	CPU_ZERO(&one);
	for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
		if (CPU_ISSET(i, &all))
			CPU_SET(i, &one);
	assert_int_equal(sched_setaffinity(0, sizeof(one), &one), 0);
	assert_int_equal(load(&a, NULL), CONFIG_RUN);
	assert_int_equal(a.c.workers, 1);
	done(&a);
	assert_int_equal(sched_setaffinity(0, sizeof(all), &all), 0);
}

static void pool_auto(void **state)
{
	static const struct { uint64_t memory_kib; const char *workers; uint64_t pool_mib; } table[] = {
		{ 600 << 10, "1", 256 }, { 512 << 10, "1", 256 }, { 511 << 10, "1", 255 }, { 100 << 10, "2", 50 },
		{ (101 << 10) + 1023, "2", 50 }, { (102 << 10) - 1, "1", 50 }, { 16 << 10, "1", 8 }, { 10 << 10, "1", 8 },
		{ 17 << 10, "1", 8 }, { 18 << 10, "1", 9 }, { 700 << 10, "5", 320 }, { 700 << 10, "4", 256 },
		{ 700 << 10, "6", 350 },
	};
	struct attempt a;

	(void)state;
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		group.memory_bytes = table[i].memory_kib << 10;
		assert_int_equal(load(&a, "--workers", table[i].workers, NULL), CONFIG_RUN);
		assert_true(a.c.memory_bytes == table[i].memory_kib << 10);
		assert_true(a.c.pool_bytes == table[i].pool_mib * MIB);
		done(&a);
	}
	group.memory_bytes = UINT64_MAX;
	assert_int_equal(load(&a, NULL), CONFIG_RUN);
	assert_true(a.c.memory_bytes == (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE));
	done(&a);
}

/* ---- what goes together, in whole sentences ---- */

static void sentences(void **state)
{
	struct attempt a;
	char want[256];

	(void)state;
#define SAYS(text, ...) do {						\
		assert_int_equal(load(&a, __VA_ARGS__, NULL), CONFIG_WRONG);	\
		assert_string_equal(a.err, "pasted: " text "\n");		\
		done(&a);							\
	} while (0)
	SAYS("--nic: is for the ring paste, not for uring: accepted is --ring paste or auto with it",
	     "--ring=uring", "--nic=vnet:a", "--busy-poll=1");
	SAYS("--busy-poll: is for the ring paste, not for socket: accepted is --ring paste or auto with it",
	     "--ring=socket", "--busy-poll=1");
	SAYS("--segment-size: 1049599 is not a multiple of 4096: accepted is 1048576", "--segment-size=1049599");
	SAYS("--retain-bytes: each of 3 workers needs room for 4 segments: accepted are 0 (keep all) and 12M or more; "
	     "or smaller segments, or fewer workers", "--segment-size=1M", "--workers=3", "--retain-bytes=12582911");
	SAYS("--pool-size: a record of head-max + body-max = 528385 does not fit twice into the share of each of 2 "
	     "workers: accepted are records up to 516K, a larger pool, or fewer workers", "--workers=2",
	     "--pool-size=2113536", "--head-max=4K", "--body-max=524289");
	SAYS("--pool-size: a record of head-max + body-max = 16385 does not fit twice into the share of each of 64 "
	     "workers: accepted are records up to 16K, a larger pool, or fewer workers", "--workers=64",
	     "--pool-size=2M");
	/* Twice into a worker's whole buffers: exactly is enough. */
	assert_int_equal(load(&a, "--workers=2", "--pool-size=2113536", "--head-max=4K", "--body-max=524288", NULL),
			 CONFIG_RUN);
	done(&a);
	assert_int_equal(load(&a, "--workers=2", "--pool-size=2113535", "--head-max=4K", "--body-max=524288", NULL),
			 CONFIG_WRONG);
	done(&a);
	assert_int_equal(load(&a, "--workers=2", "--pool-size=2113535", "--head-max=4K", "--body-max=522240",
			      "--buffer-size=2048", NULL), CONFIG_RUN);
	done(&a);
	assert_int_equal(load(&a, "--segment-size=1M", "--workers=3", "--retain-bytes=12M", NULL), CONFIG_RUN);
	done(&a);
	assert_int_equal(load(&a, "--workers=3", "--retain-bytes=1", "--class=none", NULL), CONFIG_RUN);
	done(&a);
	/* Into a segment: exactly, and one byte more; what is found for the body is the most there can be. */
	assert_int_equal(load(&a, "--segment-size=1M", NULL), CONFIG_RUN);
	assert_true(a.c.body_bytes_max == seg_record_max(MIB) - 16384);
	snprintf(want, sizeof(want), "--body-max=%llu", (unsigned long long)a.c.body_bytes_max);
	done(&a);
	assert_int_equal(load(&a, "--segment-size=1M", want, NULL), CONFIG_RUN);
	done(&a);
	snprintf(want, sizeof(want), "--body-max=%llu", (unsigned long long)seg_record_max(MIB) - 16383);
	assert_int_equal(load(&a, "--segment-size=1M", want, NULL), CONFIG_WRONG);
	snprintf(want, sizeof(want), "pasted: --segment-size: a record of head-max + body-max = %llu does not fit: "
		 "accepted are records up to ", (unsigned long long)seg_record_max(MIB) + 1);
	assert_memory_equal(a.err, want, strlen(want));
	assert_string_equal(a.err + strlen(a.err) - 21, ", or larger segments\n");
	done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults),
		cmocka_unit_test(command_line),
		cmocka_unit_test(command_line_refused),
		cmocka_unit_test(sizes_and_times),
		cmocka_unit_test(fit_together),
		cmocka_unit_test(file),
		cmocka_unit_test(file_is_refused),
		cmocka_unit_test(file_is_checked_though_overridden),
		cmocka_unit_test(help_and_version),
		cmocka_unit_test(addresses),
		cmocka_unit_test(sockets),
		cmocka_unit_test(each_number),
		cmocka_unit_test(each_text),
		cmocka_unit_test(words),
		cmocka_unit_test(grammar),
		cmocka_unit_test(closed),
		cmocka_unit_test(places),
		cmocka_unit_test(workers_auto),
		cmocka_unit_test(pool_auto),
		cmocka_unit_test(sentences),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
