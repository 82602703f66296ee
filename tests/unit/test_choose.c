/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_choose.c - choose.h: the table of classes, which ring, and the words of a refusal.
 *
 * The rings and pm_probe() are scripts here, and none is taken from the library: what opens, and
 * what a place is.
 */
#include "choose.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

/* ---- the rings ---- */

static struct script {
	int err;
	const char *why;
	unsigned opened, closed;
	struct ring_params params;
} paste, uring;

static int open_by(struct script *s, struct ring **r, const struct ring_params *p, char *why, size_t n)
{
	s->params = *p;
	s->opened++;
	memset(p->pool_base, 1, p->pool_len);	/* it is there, all of it */
	if (s->err)
		snprintf(why, n, "%s", s->why);
	else
		*r = (struct ring *)s;
	return s->err;
}

static int open_paste(struct ring **r, const struct ring_params *p, char *why, size_t n)
{
	return open_by(&paste, r, p, why, n);
}

static int open_uring(struct ring **r, const struct ring_params *p, char *why, size_t n)
{
	return open_by(&uring, r, p, why, n);
}

static void close_ring(struct ring *r)
{
	((struct script *)r)->closed++;
}

const struct ring_ops ring_paste = { .name = "paste", .open = open_paste, .close = close_ring };
const struct ring_ops ring_uring = { .name = "uring", .open = open_uring, .close = close_ring };
const struct ring_ops ring_socket = { .name = "socket" };	/* never tried: it is always there */

static char why[CHOOSE_WHY];

/* Which one, with paste and uring failing so. */
static const char *ring(const struct config *c, int paste_err, int uring_err)
{
	const struct ring_ops *r;

	paste = (struct script){ .err = paste_err, .why = "paste is ill" };
	uring = (struct script){ .err = uring_err, .why = "uring is ill" };
	strcpy(why, "old words");
	r = choose_ring(c, why, sizeof(why));
	assert_int_equal(paste.closed, paste.opened && !paste_err);
	assert_int_equal(uring.closed, uring.opened && !uring_err);
	return r ? r->name : "none";
}

static void expect_tried(bool has_paste, bool has_uring)
{
	assert_int_equal(paste.opened, has_paste);
	assert_int_equal(uring.opened, has_uring);
}

static struct config config_of(enum config_ring r)
{
	return (struct config){ .ring = r, .buf_size = 2048, .pool_bytes = 12345678 };
}

static void test_ring_auto(void **state)
{
	struct config c = config_of(CONFIG_RING_AUTO);

	(void)state;
	assert_string_equal(ring(&c, 0, 0), "paste");
	expect_tried(true, false);
	assert_string_equal(why, "");
	assert_string_equal(ring(&c, -ENOENT, 0), "uring");	/* few have it: no word of it */
	expect_tried(true, true);
	assert_string_equal(why, "");
	assert_string_equal(ring(&c, -EACCES, 0), "uring");
	assert_string_equal(why, "not paste: paste is ill");
	assert_string_equal(ring(&c, -ENOENT, -EPERM), "socket");
	assert_string_equal(why, "uring is ill");
	assert_string_equal(ring(&c, -EACCES, -EPERM), "socket");
	assert_string_equal(why, "not paste: paste is ill; uring is ill");
	expect_tried(true, true);
}

static void test_ring_by_name(void **state)
{
	struct config c = config_of(CONFIG_RING_SOCKET);

	(void)state;
	assert_string_equal(ring(&c, 0, 0), "socket");
	expect_tried(false, false);
	assert_string_equal(why, "");
	c.ring = CONFIG_RING_URING;
	assert_string_equal(ring(&c, 0, 0), "uring");
	expect_tried(false, true);
	assert_string_equal(why, "");
	assert_string_equal(ring(&c, 0, -EPERM), "none");
	expect_tried(false, true);
	assert_string_equal(why, "--ring uring cannot be had: uring is ill: accepted is auto or socket");
	c.ring = CONFIG_RING_PASTE;
	assert_string_equal(ring(&c, 0, 0), "paste");
	expect_tried(true, false);
	assert_string_equal(ring(&c, -ENOENT, 0), "none");
	expect_tried(true, false);
	assert_string_equal(why, "--ring paste cannot be had: paste is ill: accepted is auto, uring or socket");
}

/* A network device is for paste alone: no other ring in its place. */
static void test_ring_nic(void **state)
{
	char nic[] = "eth0";
	struct config c = config_of(CONFIG_RING_AUTO);

	(void)state;
	c.nic = nic;
	assert_string_equal(ring(&c, 0, 0), "paste");
	assert_ptr_equal(paste.params.nic, nic);
	for (int err = -EACCES; err; err = err == -EACCES ? -ENOENT : 0) {
		assert_string_equal(ring(&c, err, 0), "none");
		expect_tried(true, false);
		assert_string_equal(why, "--nic needs the ring paste, which cannot be had: paste is ill");
	}
	c.ring = CONFIG_RING_PASTE;
	assert_string_equal(ring(&c, -ENOENT, 0), "none");
	assert_string_equal(why, "--ring paste cannot be had: paste is ill: accepted is auto, uring or socket, "
			    "without --nic");
}

/* It is tried as small as can be, with buffers of the size that will be, and then is gone. */
static void test_trial(void **state)
{
	struct config c = config_of(CONFIG_RING_AUTO);

	(void)state;
	for (c.buf_size = 2048; c.buf_size <= 4096; c.buf_size *= 2) {
		uring = (struct script){ .err = 0 };
		assert_int_equal(choose_try_ring(&ring_uring, &c, why, sizeof(why)), 0);
		assert_int_equal(uring.params.buf_size, c.buf_size);
		assert_int_equal(uring.params.nbufs * (size_t)c.buf_size, uring.params.pool_len);
		assert_true(uring.params.nbufs && uring.params.conns_max && uring.params.nbufs < 1000);
		assert_true(uring.params.trial);
		assert_int_equal(uring.params.lock_bytes, 12345678);
		assert_null(uring.params.nic);
		assert_int_equal(uring.closed, 1);
	}
	uring.err = -ENOSYS;
	uring.why = "no";
	assert_int_equal(choose_try_ring(&ring_uring, &c, why, sizeof(why)), -ENOSYS);
	assert_int_equal(uring.closed, 1);
	c.buf_size = 0;				/* no bytes can be mapped */
	assert_int_equal(choose_try_ring(&ring_uring, &c, why, sizeof(why)), -ENOMEM);
	assert_string_equal(why, "no memory");
}

/* ---- the class ---- */

static char store_dir[] = "/srv/store", nvmm_dir[] = "/mnt/pmem";

static struct choice choice;

static int class(unsigned asked, bool nvmm, int store_err, enum durability_class store, int nvmm_err, enum durability_class memory)
{
	struct config c = { .class = asked, .store = store_dir, .nvmm = nvmm ? nvmm_dir : NULL };
	struct findings f = { .store_err = store_err, .store = store, .nvmm_err = nvmm_err, .nvmm = memory,
			      .store_why = "the store's why", .nvmm_why = "the memory's why" };

	memset(&choice, 'x', sizeof(choice));
	return choose_class(&c, &f, &choice);
}

#define AUTO CONFIG_CLASS_AUTO
#define NO 0

static void test_class_table(void **state)
{
	static const struct {
		unsigned asked;
		bool nvmm;
		int store_err;
		enum durability_class store;
		int nvmm_err;
		enum durability_class memory, becomes;
		const char *at, *why;
	} rows[] = {
		/* by name, whatever is there */
		{ CLASS_NONE, true, -EIO, 0, 0, CLASS_NVMM, CLASS_NONE, NULL, "asked for by name: nothing is stored" },
		{ CLASS_NONE, false, 0, CLASS_VOLATILE, 0, 0, CLASS_NONE, NULL, "asked for by name: nothing is stored" },
		{ CLASS_VOLATILE, false, 0, CLASS_VOLATILE, 0, 0, CLASS_VOLATILE, store_dir,
		  "asked for by name: survives a crash of the process, not of the machine" },
		{ CLASS_VOLATILE, true, 0, CLASS_FSYNC, 0, CLASS_NVMM, CLASS_VOLATILE, nvmm_dir,
		  "asked for by name: survives a crash of the process, not of the machine" },
		{ CLASS_FSYNC, false, 0, CLASS_FSYNC, 0, 0, CLASS_FSYNC, NULL, "asked for by name" },
		{ CLASS_FSYNC, false, 0, CLASS_NVMM_EADR, 0, 0, CLASS_FSYNC, NULL, "asked for by name" },
		{ CLASS_FSYNC, true, 0, CLASS_FSYNC, 0, CLASS_NVMM, CLASS_FSYNC, NULL, "asked for by name; nothing "
		  "goes to --nvmm, what an earlier start left there is taken" },
		{ CLASS_FSYNC, false, -EIO, 0, 0, 0, CLASS_FSYNC, NULL, "asked for by name" },
		/* what is found */
		{ AUTO, false, 0, CLASS_FSYNC, 0, 0, CLASS_FSYNC, NULL, "the store's why" },
		{ AUTO, false, 0, CLASS_NVMM, 0, 0, CLASS_NVMM, store_dir, "the store's why" },
		{ AUTO, false, 0, CLASS_NVMM_EADR, 0, 0, CLASS_NVMM_EADR, store_dir, "the store's why" },
		{ AUTO, false, -EIO, CLASS_NVMM, 0, 0, CLASS_FSYNC, NULL, "the store's why" },
		{ AUTO, true, 0, CLASS_FSYNC, 0, CLASS_NVMM, CLASS_NVMM, nvmm_dir, "the memory's why" },
		{ AUTO, true, 0, CLASS_FSYNC, 0, CLASS_NVMM_EADR, CLASS_NVMM_EADR, nvmm_dir, "the memory's why" },
		{ AUTO, true, 0, CLASS_NVMM, 0, CLASS_FSYNC, CLASS_FSYNC, NULL, "the memory's why" },
		{ AUTO, true, 0, CLASS_FSYNC, 0, CLASS_VOLATILE, CLASS_FSYNC, NULL, "the memory's why" },
		{ CLASS_NVMM, false, 0, CLASS_NVMM, 0, 0, CLASS_NVMM, store_dir, "the store's why" },
		{ CLASS_NVMM, true, 0, CLASS_FSYNC, 0, CLASS_NVMM_EADR, CLASS_NVMM_EADR, nvmm_dir, "the memory's why" },
		/* never weaker than what was asked for; nothing that forgets */
		{ CLASS_FSYNC, false, 0, CLASS_VOLATILE, 0, 0, NO, NULL, "--store /srv/store forgets everything at a "
		  "power cut: the store's why: accepted is a store on a disk, or --class volatile by name" },
		{ AUTO, true, 0, CLASS_VOLATILE, 0, CLASS_NVMM, NO, NULL, "--store /srv/store forgets everything at a "
		  "power cut: the store's why: accepted is a store on a disk, or --class volatile by name" },
		{ CLASS_NVMM, true, 0, CLASS_NONE, 0, CLASS_NVMM, NO, NULL, "--store /srv/store forgets everything at a "
		  "power cut: the store's why: accepted is a store on a disk, or --class volatile by name" },
		{ AUTO, true, 0, CLASS_FSYNC, -ENOENT, 0, NO, NULL, "--nvmm /mnt/pmem cannot be used: the memory's "
		  "why: accepted is another folder or device, or no --nvmm; pasted --doctor says more" },
		{ CLASS_NVMM, true, 0, CLASS_NVMM, -ENOENT, CLASS_NVMM, NO, NULL, "--class nvmm is more than /mnt/pmem can "
		  "give: the memory's why: accepted is --class auto or fsync, or a --nvmm on a DAX file system or a "
		  "device-dax; pasted --doctor says more" },
		{ CLASS_NVMM, false, 0, CLASS_FSYNC, 0, CLASS_NVMM, NO, NULL, "--class nvmm is more than /srv/store can "
		  "give: the store's why: accepted is --class auto or fsync, or a --nvmm on a DAX file system or a "
		  "device-dax; pasted --doctor says more" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		int err = class(rows[i].asked, rows[i].nvmm, rows[i].store_err, rows[i].store, rows[i].nvmm_err,
				rows[i].memory);

		assert_int_equal(err, rows[i].becomes == NO ? -EOPNOTSUPP : 0);
		assert_string_equal(choice.why, rows[i].why);
		assert_int_equal(choice.class, rows[i].becomes);
		assert_ptr_equal(choice.nvmm, rows[i].at);
	}
}

/* Where the prober has no words, the system's. */
static void test_class_words(void **state)
{
	struct config c = { .class = AUTO, .store = store_dir };
	struct findings f = { .store_err = -EIO };

	(void)state;
	assert_int_equal(choose_class(&c, &f, &choice), 0);
	assert_string_equal(choice.why, "Input/output error");
	c.nvmm = nvmm_dir;
	f.nvmm_err = -ENOENT;
	assert_int_equal(choose_class(&c, &f, &choice), -EOPNOTSUPP);
	assert_non_null(strstr(choice.why, "used: No such file or directory: "));
}

/* ---- what is there ---- */

static char root[] = "/tmp/pasted-choose.XXXXXX";
static char probed[2][4096];
static unsigned probes;

int pm_probe(const char *path, enum durability_class *c, char *words, size_t n)
{
	assert_true(probes < 2);
	snprintf(probed[probes++], sizeof(probed[0]), "%s", path);
	*c = probes == 1 ? CLASS_FSYNC : CLASS_NVMM;
	snprintf(words, n, "probe %u", probes);
	return -(int)probes;
}

static void test_probe(void **state)
{
	char store[4096], at[4096];
	struct config c = { .store = store };
	struct findings f;

	(void)state;
	memset(&f, 'x', sizeof(f));
	probes = 0;
	snprintf(store, sizeof(store), "%s/.//not/made/yet", root);
	choose_probe(&c, &f);
	assert_int_equal(probes, 1);
	assert_string_equal(probed[0], root);	/* as the kernel names it, for the list of mounts */
	assert_int_equal(f.store_err, -1);
	assert_int_equal(f.store, CLASS_FSYNC);
	assert_string_equal(f.store_why, "probe 1");
	assert_int_equal(f.nvmm_err, 0);
	assert_int_equal(f.nvmm, 0);
	assert_string_equal(f.nvmm_why, "");
	probes = 0;
	c.nvmm = nvmm_dir;
	snprintf(at, sizeof(at), "%s/link", root);
	assert_int_equal(symlink("..", at), 0);
	snprintf(store, sizeof(store), "%s/link", root);
	choose_probe(&c, &f);
	assert_int_equal(probes, 2);
	assert_string_equal(probed[0], "/tmp");
	assert_string_equal(probed[1], nvmm_dir);	/* as it was given: it may be a device */
	assert_int_equal(f.nvmm_err, -2);
	assert_int_equal(f.nvmm, CLASS_NVMM);
	assert_string_equal(f.nvmm_why, "probe 2");
	unlink(at);
}

static void test_nearest(void **state)
{
	char path[4096], buf[4096], want[4096];

	(void)state;
	choose_nearest(root, buf, sizeof(buf));
	assert_string_equal(buf, root);
	snprintf(path, sizeof(path), "%s/a/b", root);
	choose_nearest(path, buf, sizeof(buf));
	assert_string_equal(buf, root);
	snprintf(path, sizeof(path), "%s/a", root);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(want, sizeof(want), "%s/a/b", root);
	choose_nearest(want, buf, sizeof(buf));
	assert_string_equal(buf, path);
	rmdir(path);
	choose_nearest("/nowhere/at/all", buf, sizeof(buf));
	assert_string_equal(buf, "/");
	choose_nearest("nowhere", buf, sizeof(buf));
	assert_string_equal(buf, ".");
	choose_nearest("nowhere/at/all", buf, sizeof(buf));
	assert_string_equal(buf, ".");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_ring_auto), cmocka_unit_test(test_ring_by_name), cmocka_unit_test(test_ring_nic),
		cmocka_unit_test(test_trial), cmocka_unit_test(test_class_table), cmocka_unit_test(test_class_words),
		cmocka_unit_test(test_probe), cmocka_unit_test(test_nearest),
	};
	int failed;

	if (!mkdtemp(root))
		return 99;
	failed = cmocka_run_group_tests(tests, NULL, NULL);
	rmdir(root);
	return failed;
}
