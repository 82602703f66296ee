/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_config.c - config.h, listen.h and choose.h: what is taken, what is refused
 * and in which words, and the table of classes.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "choose.h"
#include "config.h"
#include "format.h"

#define MIB ((uint64_t)1 << 20)

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
	assert_int_equal(a.c.class, WAL_VOLATILE);
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
	refused(W("--class", "\"best\"", "auto|nvmm|fsync|volatile|none"), "--class", "best");
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
	assert_int_equal(a.c.class, WAL_NONE);
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
	file_refused(W(":1: class: ", "auto|nvmm|fsync|volatile|none"), "class = best\n");
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
		"--class auto|nvmm|fsync|volatile|none", "--ring auto|uring|socket|paste",
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

/* ---- classes ---- */

/* One test per row of the table in choose.h. */
static void classes(void **state)
{
	enum { NO, REFUSED = 0 };
	static const struct {
		const char *class, *nvmm;
		int store, memory;	/* found; memory 0: the probe failed */
		int want;
		const char *place;
	} rows[] = {
		{ "none",     NULL, WAL_VOLATILE,  NO,            WAL_NONE,      NULL },
		{ "none",     "/m", WAL_FSYNC,     WAL_NVMM,      WAL_NONE,      NULL },
		{ "volatile", NULL, WAL_VOLATILE,  NO,            WAL_VOLATILE,  "/s" },
		{ "volatile", "/m", WAL_FSYNC,     WAL_VOLATILE,  WAL_VOLATILE,  "/m" },
		{ "auto",     NULL, WAL_VOLATILE,  NO,            REFUSED,       NULL },
		{ "auto",     "/m", WAL_VOLATILE,  WAL_NVMM,      REFUSED,       NULL },
		{ "fsync",    NULL, WAL_VOLATILE,  NO,            REFUSED,       NULL },
		{ "nvmm",     "/m", WAL_VOLATILE,  WAL_NVMM,      REFUSED,       NULL },
		{ "auto",     NULL, WAL_FSYNC,     NO,            WAL_FSYNC,     NULL },
		{ "auto",     NULL, WAL_NVMM,      NO,            WAL_NVMM,      "/s" },
		{ "auto",     "/m", WAL_FSYNC,     WAL_FSYNC,     WAL_FSYNC,     NULL },
		{ "auto",     "/m", WAL_FSYNC,     WAL_VOLATILE,  WAL_FSYNC,     NULL },
		{ "auto",     "/m", WAL_FSYNC,     WAL_NVMM,      WAL_NVMM,      "/m" },
		{ "auto",     "/m", WAL_FSYNC,     WAL_NVMM_EADR, WAL_NVMM_EADR, "/m" },
		{ "auto",     "/m", WAL_FSYNC,     NO,            REFUSED,       NULL },
		{ "fsync",    "/m", WAL_FSYNC,     WAL_NVMM,      WAL_FSYNC,     NULL },
		{ "nvmm",     NULL, WAL_FSYNC,     NO,            REFUSED,       NULL },
		{ "nvmm",     NULL, WAL_NVMM_EADR, NO,            WAL_NVMM_EADR, "/s" },
		{ "nvmm",     "/m", WAL_FSYNC,     WAL_FSYNC,     REFUSED,       NULL },
		{ "nvmm",     "/m", WAL_FSYNC,     WAL_VOLATILE,  REFUSED,       NULL },
		{ "nvmm",     "/m", WAL_FSYNC,     NO,            REFUSED,       NULL },
		{ "nvmm",     "/m", WAL_FSYNC,     WAL_NVMM,      WAL_NVMM,      "/m" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct findings f = {
			.store = rows[i].store, .nvmm = rows[i].memory,
			.nvmm_err = rows[i].nvmm && !rows[i].memory ? -ENOENT : 0,
			.store_why = "the store's reason", .nvmm_why = "the memory's reason",
		};
		struct attempt a;
		struct choice out;
		int err;

		assert_int_equal(load(&a, "--store", "/s", "--class", rows[i].class,
				      rows[i].nvmm ? "--nvmm" : NULL, rows[i].nvmm, NULL), CONFIG_RUN);
		err = choose_class(&a.c, &f, &out);
		if (rows[i].want == REFUSED) {
			assert_int_equal(err, -EOPNOTSUPP);
			assert_non_null(strstr(out.why, "accepted is"));
			assert_non_null(strstr(out.why, "reason"));
		} else {
			assert_int_equal(err, 0);
			assert_int_equal(out.class, rows[i].want);
			assert_int_not_equal(*out.why, '\0');
			if (rows[i].place)
				assert_string_equal(out.nvmm, rows[i].place);
			else
				assert_null(out.nvmm);
		}
		done(&a);
	}
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
		cmocka_unit_test(classes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
