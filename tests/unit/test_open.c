/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * test_open.c - store_open and what it gives: the edges of what may be asked for, places and what
 * they can give, every refusal in its words, and the figures of a lane.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../crash/world.h"
#include "files/storefile.h"
#include "segment/segment.h"
#include "sh.h"
#include "util/crc32c.h"

static struct world x;
static struct model model;
static char why[1024];

static int setup(void **state)
{
	(void)state;
	world_init(&x, CLASS_NVMM, pm_sim_new(), blk_sim_new(), &model);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	world_fini(&x);
	model_free(&model);
	model = (struct model){ 0 };
	return 0;
}

static void put(unsigned lane, uint32_t len)
{
	assert_int_equal(world_put(&x, lane, len), 0);
}

static const struct store_options fine = {
	.store_dir = WORLD_STORE, .nvmm_path = WORLD_NVMM, .class = CLASS_NVMM, .lanes = 2,
	.pool_bytes = 2 * 64 * 2048, .buf_size = 2048, .segment_bytes = 128 << 10,
	.record_bytes_max = 32768,
};

static int open_with(struct store_options *o)
{
	struct store *w;
	int err;

	o->pm = pm_sim_ops(x.pm);
	o->blk = blk_sim_ops(x.blk);
	*why = '\0';
	err = store_open(&w, o, why, sizeof(why));
	if (err)
		assert_null(w);
	else
		assert_int_equal(store_close(w), 0);
	return err;
}

static void told(const char *words)
{
	if (!strstr(why, words))
		fail_msg("%s", why);
}

/* ---- what may be asked for ---- */

static void test_edges(void **state)
{
	struct store_options o;

	(void)state;
#define AT(change, err, words) do { \
		teardown(NULL); \
		setup(NULL); \
		o = fine; \
		change; \
		assert_int_equal(open_with(&o), err); \
		if (words[0]) \
			told(words); \
		else \
			assert_string_equal(why, ""); \
	} while (0)
	AT(o.lanes = 1, 0, "");
	AT((o.lanes = 256, o.pool_bytes = 256 * 2 * 32768), 0, "");
	AT(o.buf_size = 4096, 0, "");
	AT(o.buf_size = 2049, -EINVAL, "buffers of 2049 bytes: 2048 or 4096 are possible");
	/* A pool holds two of the largest records for each lane. */
	AT(o.pool_bytes = 2 * 2 * 32768, 0, "");
	AT(o.pool_bytes = 2 * 2 * 32768 - 1, -EINVAL, "a pool of 131071 bytes for 2 workers is too small for records "
	   "of 32768 bytes: make it at least 196608, or the records smaller");
	AT(o.record_bytes_max = 65536, 0, "");
	AT(o.record_bytes_max = 65537, -EINVAL, "too small for records of 65537 bytes");
	AT((o.record_bytes_max = 65537, o.class = CLASS_FSYNC), -EINVAL, "too small");
	/* A segment holds one. */
	AT((o.segment_bytes = 64 << 10, o.record_bytes_max = seg_record_max(64 << 10)), 0, "");
	AT((o.segment_bytes = 64 << 10, o.record_bytes_max = seg_record_max(64 << 10) + 1), -EINVAL, "segments of "
	   "65536 bytes hold records of at most 57288, and 57289 were asked for: make the segments larger");
	AT(o.segment_bytes = (64 << 10) - 4096, -EINVAL, "segments of 61440 bytes: 65536 to 4294967296 are possible, "
	   "multiples of 4096");
	AT(o.segment_bytes = (128 << 10) + 512, -EINVAL, "segments of 131584 bytes: 65536 to");
	AT(o.segment_bytes = SEG_BYTES_MAX + 4096, -EINVAL, "segments of 4294971392 bytes: 65536 to");
	AT(o.segment_bytes = 132 << 10, 0, "");
	/* What is kept is at least four segments a lane. */
	AT(o.retain_bytes = 8 * o.segment_bytes, 0, "");
	AT(o.retain_bytes = 8 * o.segment_bytes - 1, -EINVAL, "a log of 1048575 bytes is too small for 2 lanes with "
	   "segments of 131072: keep at least 1048576, or make the segments smaller");
	/* Numbers of buffers and of pieces that a word can name. */
	AT(o.pool_bytes = ((1ull << 24) + 1) * 2048, -EINVAL, "a pool of 34359740416 bytes: at most 34359738368 are "
	   "possible with buffers of 2048");
	AT((o.class = CLASS_FSYNC, o.segment_bytes = 1u << 30, o.record_bytes_max = 65528ull * 1024,
	    o.pool_bytes = 1u << 30), -EINVAL, "records of 67100672 bytes: at most 67099648 are possible with buffers "
	   "of 2048");
	/* A place for the wal. */
	AT(o.nvmm_path = NULL, -EINVAL, "class nvmm needs a place for the wal: give --nvmm");
	AT(o.nvmm_path = "", -EINVAL, "class nvmm needs a place");
	AT((o.nvmm_path = NULL, o.class = CLASS_VOLATILE), -EINVAL, "class volatile needs a place");
	AT((o.nvmm_path = NULL, o.class = CLASS_FSYNC), 0, "");
	AT((o.nvmm_path = NULL, o.class = CLASS_NONE, o.segment_bytes = 1), 0, "");
	{
		char path[441];

		memset(path, 'x', sizeof(path));
		path[0] = '/';
		path[431] = '\0';
		AT(o.nvmm_path = path, 0, "");
		path[431] = 'x';
		path[432] = '\0';
		AT(o.nvmm_path = path, -ENAMETOOLONG, "xxx: a path this long does not fit the store file");
		AT((o.nvmm_path = path, o.class = CLASS_FSYNC), 0, "");
	}
#undef AT
	/* Nobody wants the words, or has room for them. */
	o = fine;
	o.lanes = 0;
	memset(why, '#', sizeof(why));
	{
		struct store *w;

		assert_int_equal(store_open(&w, &o, NULL, 0), -EINVAL);
		assert_int_equal(store_open(&w, &o, why, 0), -EINVAL);
		assert_int_equal(why[0], '#');
		assert_int_equal(store_open(&w, &o, why, 3), -EINVAL);
		assert_string_equal(why, "0 ");
	}
}

static void test_errors_in_words(void **state)
{
	static const struct { int err; const char *words; } rows[] = {
		{ STORE_EFORMAT, "not a store, or damaged beyond use" },
		{ STORE_EVERSION, "made by a version with another format" },
		{ STORE_EBYTEORDER, "made on a machine with another byte order" },
		{ STORE_EBUSY, "in use by another process" },
		{ STORE_EWALMISSING, "the attached wal is missing" },
		{ STORE_EMISMATCH, "belongs to another store" },
		{ STORE_ENODIR, "no store there" },
		{ STORE_EWEAK, "the place cannot give the class asked for" },
		{ STORE_ENOROOM, "no room on the disk for what recovery has to write" },
		{ STORE_EGONE, "its file was removed or replaced while it was in use" },
		{ STORE_ENOTFILE, "not a regular file (but a link, a folder, a pipe or a device), so it is left alone" },
		{ STORE_ELINKED, "the file has another name (a hard link), under which it would be written too: remove "
		  "that name, or copy the file and put the copy in its place" },
		{ STORE_ENOTDIR, "not a folder (a link to one is not followed here)" },
		{ -ENOSPC, "No space left on device" }, { ENOSPC, "No space left on device" }, { 0, "Success" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(store_strerror(rows[i].err), rows[i].words);
}

/* ---- places, as the kernel has them ---- */

static int place(const char *store, const char *nvmm, enum durability_class cls)
{
	struct store_options o = fine;
	struct store *w;
	int err;

	o.store_dir = store;
	o.nvmm_path = nvmm;
	o.class = cls;
	*why = '\0';
	err = store_open(&w, &o, why, sizeof(why));
	if (!err)
		assert_int_equal(store_close(w), 0);
	return err;
}

static void test_places(void **state)
{
	char memory[] = "/dev/shm/test_open.XXXXXX", disk[] = "test_open.XXXXXX", path[128], cwd[1024];
	enum durability_class found;

	(void)state;
	assert_non_null(getcwd(cwd, sizeof(cwd)));
	assert_non_null(mkdtemp(memory));
	/* What is still to be made is on what its folder is on. */
	snprintf(path, sizeof(path), "%s/new", memory);
	assert_int_equal(place(path, NULL, CLASS_FSYNC), STORE_EWEAK);
	told("/new: ");
	told("is in memory (tmpfs), so the store would not survive a reboot, and class fsync cannot be had");
	strcat(path, "///");
	assert_int_equal(place(path, NULL, CLASS_FSYNC), STORE_EWEAK);
	assert_int_equal(chdir(memory), 0);
	assert_int_equal(place("new", NULL, CLASS_FSYNC), STORE_EWEAK);
	assert_int_equal(place("new/", NULL, CLASS_NVMM), -EINVAL);
	assert_int_equal(place("new/x", NULL, CLASS_FSYNC), -ENOENT);
	told("new/x: the directory that it is to be made in does not exist: make it first");
	assert_int_equal(close(open("file", O_CREAT | O_WRONLY, 0600)), 0);
	assert_int_equal(place("file", NULL, CLASS_FSYNC), STORE_ENOTDIR);
	told("file is neither a folder nor a link to one");
	assert_int_equal(unlink("file"), 0);
	/* By name it may be there. */
	assert_int_equal(place("new", memory, CLASS_VOLATILE), 0);
	assert_int_equal(place("new", memory, CLASS_FSYNC), STORE_EWEAK);
	/* Its wal in the folder that is made for it: held all the same, with its files. */
	{
		struct store_options o = fine;
		struct pm_hold *h;
		struct store *w;

		o.store_dir = o.nvmm_path = "both";
		o.class = CLASS_VOLATILE;
		assert_int_equal(store_open(&w, &o, why, sizeof(why)), 0);
		assert_int_equal(pm_nvmm.hold(NULL, "both", &h), -EWOULDBLOCK);
		assert_int_equal(store_close(w), 0);
		assert_int_equal(pm_nvmm.hold(NULL, "both", &h), 0);
		pm_nvmm.release(NULL, h);
	}
	assert_int_equal(chdir(cwd), 0);
	if (pm_probe(".", &found, why, sizeof(why)) || found != CLASS_FSYNC)
		goto out;		/* no disk here */
	assert_non_null(mkdtemp(disk));
	snprintf(path, sizeof(path), "%s/store", disk);
	assert_int_equal(place(path, NULL, CLASS_FSYNC), 0);
	assert_int_equal(place(path, disk, CLASS_NVMM), STORE_EWEAK);
	told("so it gives class fsync, not nvmm");
	assert_int_equal(place(path, memory, CLASS_NVMM_EADR), STORE_EWEAK);
	told("so it gives class volatile, not nvmm-eadr");
	assert_int_equal(place(path, "/nowhere/at/all", CLASS_NVMM), -ENOENT);
	told("/nowhere/at/all: No such file or directory");
	/* The records' own folder leads to memory. */
	sh("rm -rf %s/log && ln -s %s/new/log %s/log", path, memory, path);
	assert_int_equal(place(path, NULL, CLASS_FSYNC), STORE_EWEAK);
	told("/store/log: ");
	sh("rm -rf %s", disk);
out:
	sh("rm -rf %s", memory);
}

/* ---- what recovery refuses, in its words ---- */

static void refused(int err, const char *words)
{
	int got = world_open(&x, 1);

	if (got != err || !strstr(x.why, words))
		fail_msg("%d, %s; not: %s", got, x.why, words);
}

static void test_refusals_of_the_store(void **state)
{
	const struct blk_ops *blk;
	uint8_t file[8192] = { 0 };
	struct storefile_block b;
	struct storefile s;
	uint64_t n;

	(void)state;
	x.cls = CLASS_FSYNC;
	blk = blk_sim_ops(x.blk);
	assert_int_equal(world_open(&x, 1), 0);
	put(0, 100);
	assert_int_equal(world_close(&x), 0);
	assert_int_equal(storefile_open(&s, blk, WORLD_STORE, true, NULL, 0), 0);
	refused(STORE_EBUSY, WORLD_STORE ": in use by another process; stop it first, or give another store");
	storefile_close(&s);
	memcpy(file, blk_sim_bytes(x.blk, WORLD_STORE "/store", &n), sizeof(file));
	for (unsigned what = 0; what < 2; what++) {
		uint8_t other[8192] = { 0 };

		memcpy(&b, file, sizeof(b));
		if (what)
			b.byte_order = __builtin_bswap32(b.byte_order);
		else
			b.version++;
		b.crc = crc32c(&b, offsetof(struct storefile_block, crc));
		memcpy(other, &b, sizeof(b));
		memcpy(other + 4096, &b, sizeof(b));
		assert_int_equal(blk_sim_put(x.blk, WORLD_STORE "/store", other, sizeof(other)), 0);
		refused(what ? STORE_EBYTEORDER : STORE_EVERSION, what ? WORLD_STORE ": made on a machine with another "
			"byte order; read it there" : WORLD_STORE ": made by a version of pasted with another format; "
			"use that version");
	}
	assert_int_equal(blk_sim_put(x.blk, WORLD_STORE "/store", file, sizeof(file)), 0);
	blk_sim_bad(x.blk, WORLD_STORE "/store", 0);
	blk_sim_bad(x.blk, WORLD_STORE "/store", 4096);
	refused(-EIO, WORLD_STORE "/store: the device cannot read it now (Input/output error): no segment was written; "
		"where it never will again, move the file away, and `pasted-recover repair` makes it again from the "
		"segments");
	blk_sim_well(x.blk, WORLD_STORE "/store");
	blk_sim_fault(x.blk, SIM_OPEN, 1, 1, EACCES);
	refused(-EACCES, WORLD_STORE ": it, the folder log in it, or the file `store` cannot be read: Permission denied");
	blk_sim_fault(x.blk, SIM_LIST, 1, 1, EIO);
	refused(-EIO, WORLD_STORE ": it, the folder log in it, or the file `store` cannot be read: Input/output error");
	blk_sim_fault(x.blk, SIM_LIST, 4, 1, EIO);
	refused(-EIO, WORLD_STORE "/log: cannot be listed: Input/output error");
	blk_sim_fault(x.blk, SIM_SYNC, 1, 1, EIO);
	refused(-EIO, "cannot open " WORLD_STORE "/store: Input/output error");
	assert_int_equal(world_open(&x, 1), 0);
	/* Another store's file: whose the segments are nobody knows. */
	assert_int_equal(world_close(&x), 0);
	memcpy(file, blk_sim_bytes(x.blk, WORLD_STORE "/store", &n), sizeof(file));
	for (unsigned i = 0; i < 2; i++) {
		struct storefile_block *c = (struct storefile_block *)(file + i * 4096);

		memset(c->uuid, 7, sizeof(c->uuid));
		c->flags = 0;
		storefile_block_encode(c);
	}
	blk_sim_put(x.blk, WORLD_STORE "/store", file, sizeof(file));
	refused(STORE_EMISMATCH, WORLD_STORE ": its file `store` is another store's, no segment has that identity: put "
		"the right one back, or `pasted-recover repair` makes it again from the segments");
}

static void test_refusals_of_the_wal(void **state)
{
	const struct pm_ops *pm;
	struct pm_hold *h;
	uint8_t junk[8192];
	struct wal_super *s;
	struct store_options o = fine;

	(void)state;
	pm = pm_sim_ops(x.pm);
	memset(junk, 'x', sizeof(junk));
	assert_int_equal(world_open(&x, 1), 0);
	put(0, 100);
	world_die(&x);
	pm = pm_sim_ops(x.pm);
	/* In use, and it says by whom. */
	assert_int_equal(pm->hold(pm->ctx, WORLD_NVMM, &h), 0);
	refused(STORE_EBUSY, WORLD_NVMM ": the wal there is in use by another process, for the store at " WORLD_STORE
		"; stop it first");
	o.store_dir = "/second";
	assert_int_equal(open_with(&o), STORE_EBUSY);
	told(WORLD_NVMM ": in use by another process, for the store at " WORLD_STORE "; give another place for the "
	     "wal, or stop it first");
	pm->release(pm->ctx, h);
	/* Another store's. */
	assert_int_equal(open_with(&o), STORE_EMISMATCH);
	told(WORLD_NVMM ": has the wal of another store (" WORLD_STORE "); give another place, or remove the files "
	     "wal and pktbufs there if nothing needs them");
	/* A place in use by nobody knows whom. */
	pm_sim_put(x.pm, "/other/wal", junk, sizeof(junk));
	assert_int_equal(pm->hold(pm->ctx, "/other", &h), 0);
	o.nvmm_path = "/other";
	assert_int_equal(open_with(&o), STORE_EBUSY);
	told("/other: in use by another process; give another place for the wal, or stop it first");
	pm->release(pm->ctx, h);
	assert_int_equal(open_with(&o), STORE_EFORMAT);
	told("/other: holds something that is no wal; give another place, or remove (device-dax: zero the start of) it");
	/* Of another version: nothing in it is to be given up. */
	for (unsigned what = 0; what < 2; what++) {
		uint8_t *wal = pm_sim_bytes(x.pm, WORLD_NVMM "/wal", NULL);
		struct wal_super was;

		memcpy(&was, wal, sizeof(was));
		for (unsigned i = 0; i < 2; i++) {
			s = (struct wal_super *)(wal + i * WAL_SUPER_B);
			if (what)
				s->byte_order = __builtin_bswap32(s->byte_order);
			else
				s->version++;
			s->crc = crc32c(s, offsetof(struct wal_super, crc));
		}
		refused(STORE_EFORMAT, what ? WORLD_NVMM ": the attached wal was made on a machine with another byte "
			"order; start or repair the store there" : WORLD_NVMM ": the attached wal was made by a "
			"version with another format; start or repair the store with that version");
		memcpy(wal, &was, sizeof(was));
		memcpy(wal + WAL_SUPER_B, &was, sizeof(was));
	}
	/* Damaged, or not to be read now. */
	{
		uint8_t *wal = pm_sim_bytes(x.pm, WORLD_NVMM "/wal", NULL);

		wal[8] ^= 1;
		wal[WAL_SUPER_B + 8] ^= 1;
		refused(STORE_EFORMAT, WORLD_NVMM ": the place for the wal has something else in it; if it cannot be "
			"restored, `pasted-recover repair --give-up-wal` goes on without what only it held");
		wal[8] ^= 1;
		wal[WAL_SUPER_B + 8] ^= 1;
	}
	/* Not there. */
	{
		uint64_t n;
		uint8_t *wal = pm_sim_bytes(x.pm, WORLD_NVMM "/wal", &n), *copy = malloc(n);

		assert_non_null(copy);
		memcpy(copy, wal, n);
		pm_sim_remove(x.pm, WORLD_NVMM "/wal");
		refused(STORE_EWALMISSING, WORLD_STORE ": records may be in the wal at " WORLD_NVMM " (class nvmm), which "
			"is not there; mount it, or say --nvmm with its new place; if it is gone for ever, "
			"`pasted-recover repair --give-up-wal` goes on without it");
		pm_sim_put(x.pm, WORLD_NVMM "/wal", copy, n);
		free(copy);
	}
	assert_int_equal(world_open(&x, 1), 0);
	world_kill(&x);
	/* No room for a new one. */
	teardown(NULL);
	setup(NULL);
	pm_sim_capacity(x.pm, 1);
	refused(-ENOSPC, WORLD_NVMM ": the wal cannot be made: No space left on device");
	pm_sim_capacity(x.pm, 0);
	pm_sim_refuse_sync(x.pm, true);
	refused(-EOPNOTSUPP, WORLD_NVMM ": the wal cannot be made: no MAP_SYNC there: it is not persistent memory");
	pm_sim_refuse_sync(x.pm, false);
	assert_int_equal(world_open(&x, 1), 0);
	put(0, 10);
	world_die(&x);
	pm_sim_refuse_sync(x.pm, true);
	refused(-EOPNOTSUPP, WORLD_NVMM ": the wal cannot be opened for writing: Operation not supported");
}

/* Files with another name, or under another's: nobody writes to them, and a look says so too. */
static void test_links(void **state)
{
	static const char *const names[] = { "store", "log/000/00000001.seg" };
	char dir[] = "/dev/shm/test_open.XXXXXX", words[256], other[64];
	struct store_options o = fine;
	struct report rep;
	struct rec_tool t = { 0 };
	struct store *w;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(other, sizeof(other), "%s.other", dir);
	o.store_dir = dir;
	o.class = CLASS_FSYNC;
	o.lanes = 1;
	o.pm = pm_sim_ops(x.pm);		/* asks nothing of the place */
	t.store_dir = dir;
	t.pm = o.pm;
	assert_int_equal(store_open(&w, &o, why, sizeof(why)), 0);
	assert_int_equal(store_close(w), 0);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(snprintf(words, sizeof(words), "%s/%s", dir, names[i]) > 0);
		assert_int_equal(link(words, other), 0);
		strcat(words, ": the file has another name (a hard link), under which it would be written too");
		assert_int_equal(store_open(&w, &o, why, sizeof(why)), STORE_ELINKED);
		if (i)		/* the file `store` is refused when it is opened */
			told(words);
		assert_int_equal(store_check(&t, &rep), STORE_ELINKED);
		assert_int_equal(strncmp(rep.why, words, strlen(words)), 0);
		report_fini(&rep);
		assert_int_equal(store_repair(&t, &rep), STORE_ELINKED);
		report_fini(&rep);
		assert_int_equal(store_dump(&t, &rep, &(struct rec_dump){ 0 }), 0);	/* only reads */
		report_fini(&rep);
		assert_int_equal(unlink(other), 0);
		assert_int_equal(store_check(&t, &rep), 0);
		report_fini(&rep);
	}
	/* Also where it is damaged, and would be made again. */
	sh("cp %s/store %s.good && head -c 9000 /dev/zero > %s/store && ln %s/store %s", dir, dir, dir, dir, other);
	assert_int_equal(store_repair(&t, &rep), STORE_ELINKED);
	report_fini(&rep);
	assert_int_equal(store_check(&t, &rep), STORE_ELINKED);
	report_fini(&rep);
	sh("rm %s && mv %s.good %s/store", other, dir, dir);
	sh("mv %s/store %s && ln -s %s %s/store", dir, other, other, dir);
	snprintf(words, sizeof(words), "%s/store: not a regular file (but a link", dir);
	assert_int_equal(store_open(&w, &o, why, sizeof(why)), STORE_ENOTFILE);
	told(words);
	assert_int_equal(store_check(&t, &rep), STORE_ENOTFILE);
	report_fini(&rep);
	sh("rm %s/store && mv %s %s/store", dir, other, dir);
	sh("mv %s/log/000 %s && ln -s %s %s/log/000", dir, other, other, dir);
	assert_int_equal(store_open(&w, &o, why, sizeof(why)), STORE_ENOTDIR);
	told("/log/000: not a folder (a link to one is not followed here)");
	sh("rm %s/log/000 && mv %s %s/log/000", dir, other, dir);
	sh("mv %s/log %s && ln -s %s %s/log", dir, other, other, dir);	/* that one is asked for */
	assert_int_equal(store_open(&w, &o, why, sizeof(why)), 0);
	assert_int_equal(store_close(w), 0);
	sh("rm -rf %s %s", dir, other);
}

/* ---- the tools ---- */

static struct { unsigned records, gaps; int record_err, gap_err; uint64_t first, last; } dumped;

static int dump_record(void *arg, unsigned lane, uint64_t seq, uint64_t time_ms, const uint8_t *data, uint32_t len)
{
	const struct model_lane *l = &model.lane[lane];

	assert_ptr_equal(arg, &dumped);
	dumped.records++;
	for (size_t i = 0; i < l->n; i++) {
		if (l->v[i].seq != seq)
			continue;
		assert_int_equal(len, l->v[i].len);
		assert_memory_equal(data, l->v[i].data, len);
		assert_in_range(time_ms, l->v[i].ms, l->v[i].upto_ms);
	}
	return dumped.record_err;
}

static int dump_gap(void *arg, const struct rec_finding *g)
{
	assert_ptr_equal(arg, &dumped);
	dumped.gaps++;
	dumped.first = g->from_seq;
	dumped.last = g->to_seq;
	return dumped.gap_err;
}

/* Whoever is told may have enough; and what cannot be read on the way is told. */
static void test_dump(void **state)
{
	const struct rec_dump to = { &dumped, dump_record, dump_gap }, no_gaps = { &dumped, dump_record, NULL };
	const uint8_t *seg, *at;
	struct report rep;
	struct rec_tool t;
	uint64_t n;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {		/* in segments, then in the wal */
		assert_int_equal(world_open(&x, 1), 0);
		put(0, 300 + i);
		put(0, 400 + i);
		if (i < 2)
			assert_int_equal(world_close(&x), 0);
	}
	world_die(&x);
	seg = blk_sim_bytes(x.blk, WORLD_STORE "/log/000/00000001.seg", &n);
	at = memmem(seg, n, model.lane[0].v[2].data, model.lane[0].v[2].len);
	assert_non_null(at);
	blk_sim_flip(x.blk, WORLD_STORE "/log/000/00000001.seg", (uint64_t)(at - seg) * 8);
	world_tool(&x, &t);
#define DUMP(want, how, rec_err, g_err) do { \
		memset(&dumped, 0, sizeof(dumped)); \
		dumped.record_err = rec_err; \
		dumped.gap_err = g_err; \
		assert_int_equal(store_dump(&t, &rep, how), want); \
	} while (0)
	DUMP(0, &to, 0, 0);
	assert_int_equal(dumped.records, 5);
	assert_int_equal(dumped.gaps, 1);
	assert_int_equal(dumped.first, 3);
	assert_int_equal(dumped.last, 3);
	assert_int_equal(report_verdict(&rep), 2);
	assert_int_equal(report_damaged(&rep), 1);
	report_fini(&rep);
	DUMP(0, &no_gaps, 0, 0);
	assert_int_equal(dumped.records, 5);
	assert_int_equal(dumped.gaps, 0);
	report_fini(&rep);
	DUMP(-EPIPE, &to, -EPIPE, 0);
	assert_int_equal(dumped.records, 1);
	assert_int_equal(rep.error, -EPIPE);
	assert_string_equal(rep.why, WORLD_STORE ": Broken pipe");
	report_fini(&rep);
	DUMP(-ENOSPC, &to, 0, -ENOSPC);
	assert_int_equal(dumped.records, 2);
	assert_int_equal(dumped.gaps, 1);
	assert_int_equal(rep.error, -ENOSPC);
	report_fini(&rep);
#undef DUMP
}

/* A repair that cannot be ended says so, and the next one does it. */
static void test_repair_that_fails(void **state)
{
	struct report rep;
	struct rec_tool t;
	unsigned failed = 0;

	(void)state;
	for (unsigned nth = 1; nth < 60; nth++) {
		uint64_t calls;
		int err;

		teardown(NULL);
		setup(NULL);
		assert_int_equal(world_open(&x, 1), 0);
		put(0, 300);
		world_die(&x);
		world_tool(&x, &t);
		calls = blk_sim_calls(x.blk, SIM_SYNC);
		blk_sim_fault(x.blk, SIM_SYNC, nth, 1, EIO);
		err = store_repair(&t, &rep);
		calls = blk_sim_calls(x.blk, SIM_SYNC) - calls;
		assert_int_equal(err, calls < nth ? 0 : -EIO);
		assert_int_equal(rep.error, err);
		assert_int_equal(report_verdict(&rep), err ? 3 : 1);
		if (err && !strstr(rep.why, "Input/output error"))
			fail_msg("%s", rep.why);
		assert_int_equal(strncmp(rep.why, err == -EIO && strstr(rep.why, "cannot open") ? "cannot open " WORLD_STORE :
				 err ? WORLD_STORE : "", err ? strlen(WORLD_STORE) : 0), 0);
		failed += err != 0;
		report_fini(&rep);
		if (!err)
			break;
		world_die(&x);
		world_tool(&x, &t);
		assert_int_equal(store_repair(&t, &rep), 0);
		report_fini(&rep);
		assert_int_equal(store_check(&t, &rep), 0);
		assert_int_equal(report_verdict(&rep), 0);
		assert_int_equal(rep.lane[0].records, 1);
		report_fini(&rep);
	}
	assert_true(failed > 5);
}

/* An older program's store, which has no table, on a disk that is full: it goes on without one, and
 * gets it when there is room. */
static void test_no_room_for_the_table(void **state)
{
	const struct blk_ops *blk;
	struct storefile s;

	(void)state;
	x.cls = CLASS_FSYNC;
	blk = blk_sim_ops(x.blk);
	assert_int_equal(world_open(&x, 2), 0);
	put(0, 100);
	put(1, 100);
	assert_int_equal(world_close(&x), 0);
	assert_int_equal(storefile_open(&s, blk, WORLD_STORE, false, NULL, 0), 0);
	s.lanes_on = false;
	assert_int_equal(storefile_update(&s, 0, CLASS_FSYNC, "", s.b.segment_bytes), 0);
	storefile_close(&s);
	blk_sim_truncate(x.blk, WORLD_STORE "/store", 8192);
	for (unsigned full = 2; full--; ) {
		blk_sim_capacity(x.blk, full ? blk_sim_used(x.blk) : 0);
		assert_int_equal(world_open(&x, 2), 0);
		put(0, 100);
		put(1, 100);
		assert_int_equal(world_close(&x), 0);
		assert_int_equal(storefile_open(&s, blk, WORLD_STORE, true, NULL, 0), 0);
		assert_int_equal(s.lanes_on, !full);
		assert_int_equal(s.b.flags, full ? 0 : STOREFILE_LANES);
		for (unsigned lane = 0; lane < 2; lane++) {
			assert_int_equal(storefile_lane(&s, lane) != NULL, !full);
			if (!full)
				assert_int_equal(storefile_lane(&s, lane)->next_seq, 4);
		}
		storefile_close(&s);
	}
}

/* ---- an open store ---- */

static void test_parts(void **state)
{
	struct store_memory m[STORE_MEMORIES];
	size_t len = 0;

	(void)state;
	assert_int_equal(world_open(&x, 2), 0);
	assert_int_equal(store_class(x.w), CLASS_NVMM);
	assert_non_null(store_lane(x.w, 0));
	assert_non_null(store_lane(x.w, 1));
	assert_null(store_lane(x.w, 2));
	assert_non_null(store_pool(x.w, 1));
	assert_null(store_pool(x.w, 2));
	assert_non_null(store_pool_base(x.w, &len));
	assert_int_equal(len, 2 * WORLD_BUFS * WORLD_BUF);
	assert_int_equal(store_memory(x.w, m), 2);
	assert_string_equal(m[0].path, WORLD_NVMM "/wal");
	assert_string_equal(m[1].path, WORLD_NVMM "/pktbufs");
	assert_ptr_equal(m[1].addr, store_pool_base(x.w, &len));
	assert_true(m[1].len >= len);
	assert_ptr_equal(m[0].addr, pm_sim_bytes(x.pm, WORLD_NVMM "/wal", NULL));
	assert_true(m[0].len >= WAL_RINGS + 2 * 64 * 8);
	assert_int_equal(m[0].off, 0);
	assert_int_equal(m[1].off, 0);
	assert_int_equal(store_open_report(x.w)->row->action, REC_CREATE);
	assert_int_equal(store_lanes(x.w), 2);
	assert_int_equal(world_close(&x), 0);
	x.cls = CLASS_FSYNC;
	assert_int_equal(world_open(&x, 1), 0);
	assert_int_equal(store_class(x.w), CLASS_FSYNC);
	assert_int_equal(store_memory(x.w, m), 0);
	assert_non_null(store_pool_base(x.w, &len));
	assert_int_equal(len, WORLD_BUFS * WORLD_BUF);
	assert_int_equal(store_lanes(x.w), 2);		/* the second has a log, and no worker */
	assert_int_equal(store_open_report(x.w)->row->action, REC_SEGMENTS);
	assert_int_equal(store_close(NULL), 0);
}

static void test_figures(void **state)
{
	static const enum durability_class classes[] = { CLASS_NVMM, CLASS_FSYNC };

	(void)state;
	for (unsigned i = 0; i < 2; i++) {
		struct store_lane_stats s;
		struct store_cursor *c;
		struct store_record r;
		uint64_t oldest, newest;
		uint8_t part[3000];

		teardown(NULL);
		setup(NULL);
		x.cls = classes[i];
		assert_int_equal(world_open(&x, 2), 0);
		assert_int_equal(store_stats(x.w, 2, &s), -ENOENT);
		assert_int_equal(store_stats(x.w, 0, &s), 0);
		assert_int_equal(s.records | s.bytes | s.durable_seq | s.commits | s.checkpoints, 0);
		put(0, 100);
		put(0, 3000);
		put(1, 50);
		assert_int_equal(store_stats(x.w, 0, &s), 0);
		assert_int_equal(s.records, 2);
		assert_int_equal(s.bytes, 3100);
		assert_int_equal(s.commits, 2);
		assert_int_equal(s.durable_seq, 2);
		assert_int_equal(s.settled_seq, i ? 2 : 0);
		assert_int_equal(s.checkpoints, 0);
		assert_int_equal(store_unsettled(x.w, 0, 0), false);
		assert_int_equal(store_unsettled(x.w, 0, 1), !i);
		assert_int_equal(store_unsettled(x.w, 0, 2), !i);
		assert_false(store_unsettled(x.w, 0, 3));
		assert_false(store_unsettled(x.w, 2, 1));
		assert_int_equal(world_background(&x, 1 << 20), 0);
		assert_int_equal(store_stats(x.w, 0, &s), 0);
		assert_int_equal(s.settled_seq, 2);
		assert_int_equal(s.checkpoints > 0, !i);
		assert_int_equal(s.checkpoint_bytes >= 3100, !i);
		assert_int_equal(s.oldest_seq, 1);
		assert_in_range(s.oldest_ms, 1700000000000ull, world_clock());
		assert_int_equal(s.segments, 1);
		assert_int_equal(s.segment_bytes, WORLD_SEGMENT);
		assert_int_equal(s.failed | s.nospace | s.prepare_err | s.retain_err | s.turn, 0);
		assert_int_equal(s.expired_records, 0);
		assert_false(store_unsettled(x.w, 0, 1));
		assert_int_equal(store_stats(x.w, 1, &s), 0);
		assert_int_equal(s.records, 1);
		assert_int_equal(s.bytes, 50);
		assert_int_equal(store_read_bounds(x.w, 0, &oldest, &newest), 0);
		assert_int_equal(oldest, 1);
		assert_int_equal(newest, 2);
		/* Read back, whole and in parts. */
		assert_int_equal(store_read_open(x.w, 2, 1, &c), -ENOENT);
		assert_null(c);
		assert_int_equal(store_read_open(x.w, 0, 1, &c), 0);
		assert_int_equal(store_read_find(c, &r), 1);
		assert_int_equal(r.lane, 0);
		assert_int_equal(r.seq, 1);
		assert_int_equal(r.len, 100);
		assert_int_equal(store_read_next(c, &r), 1);
		assert_int_equal(r.seq, 2);
		assert_int_equal(r.len, 3000);
		assert_int_equal(r.have, 3000);
		assert_int_equal(store_read_next(c, &r), 0);
		store_read_close(c);
		store_read_close(NULL);
		assert_int_equal(store_read_open(x.w, 0, 2, &c), 0);
		assert_int_equal(store_read_find(c, &r), 1);
		assert_int_equal(r.seq, 2);
		assert_int_equal(r.len, 3000);
		assert_true(r.have <= r.len);
		memcpy(part, r.data, r.have);
		assert_int_equal(r.have == r.len || !store_read_more(c, part + r.have, r.len - r.have), true);
		assert_memory_equal(part, model.lane[0].v[1].data, 3000);
		store_read_close(c);
	}
}

/* ---- closing ---- */

/* Records until there is no room for the next segment, and some wait in the wal. */
static void fill_up(void)
{
	int err = 0;

	for (int i = 0; i < 40; i++) {		/* more than a segment */
		put(0, 4000);
		world_background(&x, 1u << 20);
	}
	blk_sim_capacity(x.blk, blk_sim_used(x.blk));
	for (int i = 0; i < 100 && !err; i++) {
		err = world_record(&x, 0, 4000, false);
		world_commit(&x, 0);
		world_synced(&x, 0);
		world_background(&x, 1u << 20);
	}
	assert_true(err < 0);
}

static int count_record(void *arg, unsigned lane, uint64_t seq, uint64_t time_ms, const uint8_t *data, uint32_t len)
{
	unsigned *n = arg;

	(void)lane, (void)time_ms, (void)data, (void)len;
	assert_int_equal(seq, ++*n);
	return 0;
}

/* What is acknowledged comes back, each once; and the verdict. */
static void all_back(int verdict)
{
	struct report rep;
	struct rec_tool t;
	unsigned n = 0;
	size_t acked = 0;

	for (size_t i = 0; i < model.lane[0].n; i++)
		acked += model.lane[0].v[i].acked;
	world_tool(&x, &t);
	assert_int_equal(store_dump(&t, &rep, &(struct rec_dump){ &n, count_record, NULL }), 0);
	assert_int_equal(report_verdict(&rep), verdict);
	assert_true(n >= acked && acked > 30);
	report_fini(&rep);
}

/* The disk was full, and has room again only when the store is closed; or has not. */
static void test_close_of_a_full_store(void **state)
{
	static const enum durability_class classes[] = { CLASS_NVMM, CLASS_FSYNC };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		bool room = i % 2;
		int err;

		teardown(NULL);
		setup(NULL);
		x.cls = classes[i / 2];
		assert_int_equal(world_open(&x, 1), 0);
		fill_up();
		if (room)
			blk_sim_capacity(x.blk, 0);
		err = world_close(&x);
		if (room)
			assert_int_equal(err, 0);
		else if (x.cls == CLASS_NVMM)
			assert_int_equal(err, -ENOSPC);
		world_die(&x);
		all_back(err ? 1 : 0);
		blk_sim_capacity(x.blk, 0);
		assert_int_equal(world_open(&x, 1), 0);
		assert_int_equal(world_close(&x), 0);
		all_back(0);
	}
}

/* And where each write finds no room: it comes to an end, and says so. */
static void test_close_without_room_to_write(void **state)
{
	(void)state;
	assert_int_equal(world_open(&x, 1), 0);
	for (unsigned i = 0; i < 42; i++) {
		put(0, 4000);
		world_background(&x, 1 << 20);
	}
	put(0, 4000);				/* goes into the next segment */
	blk_sim_fault(x.blk, SIM_WRITE, 1, 0, ENOSPC);
	assert_int_equal(world_close(&x), -ENOSPC);
	world_die(&x);
	all_back(1);
	assert_int_equal(world_open(&x, 1), 0);
	assert_int_equal(world_close(&x), 0);
	all_back(0);
}

/* A lane that has no worker any more: what it holds expires as the others' does, and they share what
 * is kept. */
static void test_lanes_without_a_worker(void **state)
{
	struct store_lane_stats s, was;

	(void)state;
	x.cls = CLASS_FSYNC;
	assert_int_equal(world_open(&x, 2), 0);
	do {
		put(1, 4000);
		put(0, 4000);
		world_background(&x, 1 << 20);
		assert_int_equal(store_stats(x.w, 1, &s), 0);
	} while (s.segments < 7);
	assert_int_equal(world_close(&x), 0);
	x.retain_bytes = 8 * WORLD_SEGMENT;
	assert_int_equal(world_open(&x, 1), 0);
	assert_int_equal(store_stats(x.w, 1, &was), 0);
	assert_int_equal(was.records, 0);		/* of this life */
	assert_true(was.durable_seq > 50);
	world_background(&x, 1 << 20);
	for (unsigned lane = 0; lane < 2; lane++) {
		uint64_t oldest, newest;

		assert_int_equal(store_stats(x.w, lane, &s), 0);
		assert_in_range(s.segments, 3, 4);
		assert_true(s.segment_bytes <= 4 * WORLD_SEGMENT);
		assert_int_equal(store_read_bounds(x.w, lane, &oldest, &newest), 0);
		assert_int_equal(newest, was.durable_seq);
		assert_true(oldest > 1);
		assert_int_equal(s.oldest_seq, oldest);
		assert_true(s.expired_records >= oldest - 1);
	}
	assert_int_equal(store_lanes(x.w), 2);
}

/* A wal of another shape is made anew, whatever of it differs; of the same it is kept. */
static void test_shape_of_the_wal(void **state)
{
	struct wal_super was, is;

	(void)state;
	for (unsigned i = 0; i < 7; i++) {
		uint64_t entries;
		struct store_options o = fine;

		teardown(NULL);
		setup(NULL);
		for (unsigned life = 0; life < 2; life++) {
			o.pm = pm_sim_ops(x.pm);
			o.blk = blk_sim_ops(x.blk);
			o.lanes = life && i == 1 ? 1 : 2;
			o.buf_size = life && i == 2 ? 4096 : 2048;
			/* As many buffers as before, twice as many, or so few that the words stay the same. */
			o.pool_bytes = (life && (i == 2 || i == 3) ? 128 : life && i == 1 ? 32 : 64) * 2 * 2048;
			if (i == 6) {
				o.pool_bytes = (life ? 16 : 8) * 2 * 2048;
				o.record_bytes_max = 8192;
			}
			o.class = life && i == 4 ? CLASS_VOLATILE : CLASS_NVMM;
			o.nvmm_path = life && i == 5 ? "/other" : WORLD_NVMM;
			assert_int_equal(store_open(&x.w, &o, why, sizeof(why)), 0);
			memcpy(life ? &is : &was, pm_sim_bytes(x.pm, life && i == 5 ? "/other/wal" :
							       WORLD_NVMM "/wal", NULL), sizeof(is));
			if (!life)
				world_die(&x);
		}
		assert_int_equal(is.lanes, o.lanes);
		assert_int_equal(is.buf_size, o.buf_size);
		assert_int_equal(is.class, o.class);
		assert_int_equal(is.bufs, o.pool_bytes / o.buf_size);
		entries = o.pool_bytes / o.buf_size / o.lanes * 4;
		assert_int_equal(is.entries, entries < 64 ? 64 : entries);
		assert_int_equal(is.crc == was.crc, i == 0);
	}
}

/* With records that expire by age a segment is added to for a quarter of it, a second at least. */
static void test_age_of_a_segment(void **state)
{
	static const struct { uint64_t keep, turn; } rows[] = { { 40000, 10000 }, { 8000, 2000 }, { 2400, 1000 } };
	struct store_lane_stats s;
	uint64_t t;

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		teardown(NULL);
		setup(NULL);
		x.retain_ms = rows[i].keep;
		assert_int_equal(world_open(&x, 1), 0);
		put(0, 100);
		t = world_clock();
		world_background(&x, 1 << 20);
		world_clock_set(t + rows[i].turn * 3 / 4);
		world_background(&x, 1 << 20);
		put(0, 100);
		world_background(&x, 1 << 20);
		assert_int_equal(store_stats(x.w, 0, &s), 0);
		assert_int_equal(s.segments, 1);
		world_clock_set(t + rows[i].turn * 5 / 4);
		for (unsigned k = 0; k < 3; k++)
			world_background(&x, 1 << 20);
		put(0, 100);
		world_background(&x, 1 << 20);
		assert_int_equal(store_stats(x.w, 0, &s), 0);
		assert_int_equal(s.segments, 2);
		assert_int_equal(s.oldest_seq, 1);
		assert_int_equal(store_clock_trust(x.w), CLOCK_TRUSTED);
	}
}

/* A lane without a worker grows old too: nothing comes, and what it has expires. */
static void test_age_without_a_worker(void **state)
{
	struct store_lane_stats s;

	(void)state;
	x.cls = CLASS_FSYNC;
	assert_int_equal(world_open(&x, 2), 0);
	put(1, 100);
	put(1, 100);
	assert_int_equal(world_close(&x), 0);
	x.retain_ms = 8000;
	assert_int_equal(world_open(&x, 1), 0);
	for (unsigned k = 0; k < 5; k++) {	/* the next one is begun, and then has its age */
		world_clock_set(world_clock() + 9000);
		world_background(&x, 1 << 20);
	}
	assert_int_equal(store_stats(x.w, 1, &s), 0);
	assert_int_equal(s.expired_records, 2);
	assert_int_equal(s.durable_seq, 2);
}

/* Sealed segments whose names are gone are counted, and the first is named. */
static void test_segments_that_vanish(void **state)
{
	const struct blk_ops *blk;
	struct store_lane_stats s;
	struct store_watch v;

	(void)state;
	x.cls = CLASS_FSYNC;
	blk = blk_sim_ops(x.blk);
	assert_int_equal(world_open(&x, 2), 0);
	do {
		put(0, 4000);
		put(1, 4000);
		world_background(&x, 1 << 20);
		assert_int_equal(store_stats(x.w, 1, &s), 0);
	} while (s.segments < 5);
	store_watch(x.w, &v);
	assert_false(v.missing || v.gone || v.moved || v.wal_moved);
	assert_int_equal(blk->unlink(blk->ctx, NULL, WORLD_STORE "/log/001/00000003.seg"), 0);
	store_watch(x.w, &v);
	assert_int_equal(v.missing, 1);
	assert_int_equal(v.lane, 1);
	assert_int_equal(v.segno, 3);
	assert_false(v.gone);
	assert_int_equal(blk->unlink(blk->ctx, NULL, WORLD_STORE "/log/001/00000002.seg"), 0);
	store_watch(x.w, &v);
	assert_int_equal(v.missing, 2);
	assert_int_equal(v.lane, 1);
	assert_int_equal(v.segno, 2);
	assert_int_equal(blk->unlink(blk->ctx, NULL, WORLD_STORE "/log/000/00000004.seg"), 0);
	store_watch(x.w, &v);
	assert_int_equal(v.missing, 3);
	assert_int_equal(v.lane, 0);
	assert_int_equal(v.segno, 4);
	assert_int_equal(lane_failed(store_lane(x.w, 0)), 0);
	assert_int_equal(lane_failed(store_lane(x.w, 1)), 0);
	/* The one that is written to: that lane fails, and says which. */
	assert_int_equal(blk->unlink(blk->ctx, NULL, WORLD_STORE "/log/001/00000005.seg"), 0);
	store_watch(x.w, &v);
	assert_true(v.gone);
	assert_string_equal(v.what, "lane 1's folder or active segment");
	assert_int_equal(lane_failed(store_lane(x.w, 0)), 0);
	assert_int_equal(lane_failed(store_lane(x.w, 1)), STORE_EGONE);
}

/* A record that cannot be read any more is passed over, and counted. */
static void test_damaged_is_counted(void **state)
{
	struct store_cursor *c;
	struct store_record r;
	const uint8_t *seg, *at;
	uint64_t n;

	(void)state;
	x.cls = CLASS_FSYNC;
	assert_int_equal(world_open(&x, 1), 0);
	for (unsigned i = 0; i < 3; i++)
		put(0, 200);
	seg = blk_sim_bytes(x.blk, WORLD_STORE "/log/000/00000001.seg", &n);
	at = memmem(seg, n, model.lane[0].v[1].data, 200);
	assert_non_null(at);
	blk_sim_flip(x.blk, WORLD_STORE "/log/000/00000001.seg", (uint64_t)(at - seg) * 8);
	assert_int_equal(store_read_open(x.w, 0, 1, &c), 0);
	assert_int_equal(store_read_next(c, &r), 1);
	assert_int_equal(store_read_next(c, &r), 1);
	assert_int_equal(r.seq, 3);
	store_read_close(c);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_edges), T(test_errors_in_words), T(test_places), T(test_refusals_of_the_store),
		T(test_refusals_of_the_wal), T(test_links), T(test_dump), T(test_repair_that_fails),
		T(test_no_room_for_the_table), T(test_parts), T(test_figures), T(test_close_of_a_full_store),
		T(test_close_without_room_to_write),
		T(test_shape_of_the_wal), T(test_age_of_a_segment), T(test_age_without_a_worker),
		T(test_segments_that_vanish),
		T(test_lanes_without_a_worker), T(test_damaged_is_counted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
