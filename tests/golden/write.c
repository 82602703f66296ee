/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * write.c - writes a golden store (tests/README.md): DIR/store, and DIR/nvmm for the classes
 * with a write-ahead log.
 *
 * make.sh compiles this file against the library of an older commit, so it uses only what
 * store.h and lane.h have had since the first release, and its own clock.  A kind is what
 * happens to the store: lives, each in a process of its own, that end by a close or just end,
 * and bytes on the disk that go bad in between.  Persistent memory is played by files, without
 * the proof that it is persistent.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/store.h"

#define BUF	2048u
#define SEGMENT	(64u << 10)
#define RECORD	(50u << 10)

static struct store *w;
static struct pm_ops pm;
static uint64_t retain_bytes;
/* All lives of a store have these. */
static struct {
	uint64_t clock_ms;
	unsigned records[2];		/* so many were put into the lane, lost ones too */
} *all;

static void must(int err, const char *what)
{
	if (!err)
		return;
	fprintf(stderr, "%s: %s\n", what, store_strerror(err));
	exit(1);
}

static uint64_t now_ms(void)
{
	return all->clock_ms;
}

/* ---- persistent memory that is none, and a disk without a thread ---- */

static int map(void *ctx, const char *path, uint64_t off, size_t len, unsigned flags,
	       struct pm_map *m)
{
	return pm_nvmm.map(ctx, path, off, len, flags & ~(unsigned)PM_SYNC, m);
}

static int done;			/* what is under way has ended so */
static bool busy;

static int submit(struct blk_aio *a, const struct blk_ops *blk, struct blk_file *f,
		  struct iovec *iov, unsigned n, uint64_t off)
{
	(void)a;
	done = blk->write(f, iov, n, off);
	if (!done)
		done = blk->sync(f);
	busy = true;
	return 0;
}

/* ---- a worker's life ---- */

static void start(enum durability_class cls, unsigned lanes)
{
	static struct blk_aio aio = { .submit = submit };
	char why[512] = "";
	struct store_options o = {
		.store_dir = "store", .nvmm_path = cls == CLASS_FSYNC ? NULL : "nvmm",
		.class = cls, .lanes = lanes, .pool_bytes = lanes * 64 * BUF, .buf_size = BUF,
		.segment_bytes = SEGMENT, .record_bytes_max = RECORD, .retain_bytes = retain_bytes,
		.pm = &pm, .blk = &blk_file_ops, .now_ms = now_ms,
	};

	pm = pm_nvmm;
	pm.map = map;
	must(store_open(&w, &o, why, sizeof(why)), why);
	for (unsigned i = 0; i < lanes; i++)
		store_lane_aio(w, i, &aio);
}

static void background(void)
{
	int r;

	do
		r = store_background(w, 1u << 20);
	while (r > 0);
	must(r, "store_background");
}

static void commit(unsigned lane)
{
	struct lane *l = store_lane(w, lane);

	all->clock_ms += 1001;
	must(lane_commit(l, all->clock_ms), "lane_commit");
	while (busy) {
		busy = false;
		must(lane_synced(l, done, all->clock_ms), "lane_synced");
	}
}

/* In pieces of at most `piece` bytes, each in a buffer of its own. */
static void add(unsigned lane, struct frags *r, const char *data, uint32_t len, uint32_t piece)
{
	struct pool *p = store_pool(w, lane);

	for (uint32_t at = 0, n; at < len; at += n) {
		uint32_t buf = pool_take(p);

		n = len - at < piece ? len - at : piece;
		if (buf == FRAG_NIL)
			must(-ENOBUFS, "pool_take");
		pool_hold(p, buf);
		memcpy(pool_addr(p, buf), data + at, n);
		must(lane_add(store_lane(w, lane), r, buf, 0, n), "lane_add");
		pool_drop(p, buf);
	}
}

/* A request whose body is made of its name, and so has little in it. */
static void put_pieces(unsigned lane, uint32_t body, uint32_t piece)
{
	static char data[RECORD];
	struct frags r = FRAGS_INIT;
	unsigned n = ++all->records[lane];
	int head = sprintf(data, "POST /%u/%u HTTP/1.1\r\nHost: golden\r\nContent-Length: %u\r\n\r\n",
			   lane, n, body);

	for (uint32_t i = 0; i < body; i++)
		data[(unsigned)head + i] = (char)('a' + (lane * 7 + n * 3 + i / 16) % 26);
	lane_reclaim(store_lane(w, lane));
	add(lane, &r, data, (uint32_t)head + body, piece);
	for (int tries = 0; !lane_append(store_lane(w, lane), &r); tries++) {
		if (tries == 3)
			must(-EAGAIN, "lane_append");
		commit(lane);
		background();
	}
}

static void put(unsigned lane, uint32_t body)
{
	put_pieces(lane, body, BUF);
}

/* Batches of one, two and three records; the last of them without a body, and in pieces. */
static void few(unsigned lane)
{
	put(lane, 11);
	commit(lane);
	put(lane, 900);
	put(lane, 7);
	commit(lane);
	put(lane, 5000);
	put(lane, 0);
	put_pieces(lane, 1700, 600);
	commit(lane);
}

static void many(unsigned lane, unsigned n)
{
	while (n--) {
		put(lane, 20000);
		commit(lane);
		background();
	}
}

static void stop(void)
{
	must(store_close(w), "store_close");
}

/* ---- bytes that go bad ---- */

static bool spoil_file(const char *path, const char *text)
{
	static char data[4u << 20];
	FILE *f = fopen(path, "r+b");
	size_t n = f ? fread(data, 1, sizeof(data), f) : 0;
	char *at = memmem(data, n, text, strlen(text));

	if (at) {
		fseek(f, at - data + 6, SEEK_SET);
		fputc('#', f);
	}
	if (f)
		fclose(f);
	return at;
}

/* A byte of the n-th record of the lane, where it is in the folder. */
static void spoil(const char *folder, unsigned lane, unsigned n)
{
	char text[64], path[PATH_MAX];
	DIR *d = opendir(folder);
	struct dirent *e;
	bool did = false;

	snprintf(text, sizeof(text), "POST /%u/%u HTTP", lane, n);
	while (d && (e = readdir(d))) {
		snprintf(path, sizeof(path), "%s/%s", folder, e->d_name);
		did |= spoil_file(path, text);
	}
	if (d)
		closedir(d);
	must(did ? 0 : -ENOENT, text);
}

/* ---- lives ---- */

static void live(void (*life)(void))
{
	pid_t pid = fork();
	int status;

	if (!pid) {
		life();
		_exit(0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid || status)
		exit(1);
}

static void volatile_few(void)
{
	start(CLASS_VOLATILE, 2);
	few(0);
	few(1);
}

static void half(enum durability_class cls)
{
	start(cls, 2);
	few(0);
	few(1);
	many(0, 4);
	few(1);
	background();
	few(0);
	few(1);
}

static void volatile_half(void)
{
	half(CLASS_VOLATILE);
}

static void nvmm_half(void)
{
	half(CLASS_NVMM);
}

static void nvmm_closed(void)
{
	half(CLASS_NVMM);
	stop();
}

static void eadr_half(void)
{
	half(CLASS_NVMM_EADR);
}

static void fsync_few(void)
{
	start(CLASS_FSYNC, 1);
	few(0);
}

static void fsync_few_closed(void)
{
	fsync_few();
	stop();
}

static void fsync_two(void)
{
	start(CLASS_FSYNC, 2);
	few(0);
	many(1, 4);
	few(1);
}

static void fsync_closed(void)
{
	start(CLASS_FSYNC, 2);
	few(0);
	many(0, 7);
	few(1);
	stop();
}

static void fsync_expired(void)
{
	retain_bytes = 4 * SEGMENT;
	start(CLASS_FSYNC, 1);
	few(0);
	many(0, 14);
	stop();
}

/* ---- and what happens in between ---- */

static void torn(void)
{
	live(fsync_few);
	spoil("store/log/000", 0, 4);
}

static void torn_explained(void)
{
	torn();
	live(fsync_few_closed);
}

static void segment_damaged(void)
{
	live(fsync_closed);
	spoil("store/log/000", 0, 3);
	spoil("store/log/000", 0, 9);
}

static void wal_damaged(void)
{
	live(nvmm_half);
	spoil("nvmm", 1, 14);
}

static void wal_damage_explained(void)
{
	wal_damaged();
	live(nvmm_half);
}

static void wal_lost(void)
{
	live(volatile_few);
	unlink("nvmm/wal");
	unlink("nvmm/pktbufs");
	live(volatile_few);
}

static const struct kind {
	const char *name;
	void (*life)(void), (*lives)(void);
} kinds[] = {
	{ "fsync-closed", fsync_closed, NULL },
	{ "fsync-killed", fsync_two, NULL },
	{ "fsync-torn", NULL, torn },
	{ "fsync-gaps", NULL, torn_explained },
	{ "fsync-damaged", NULL, segment_damaged },
	{ "fsync-expired", fsync_expired, NULL },
	{ "volatile-killed", volatile_half, NULL },
	{ "volatile-lost", NULL, wal_lost },
	{ "nvmm-killed", nvmm_half, NULL },
	{ "nvmm-closed", nvmm_closed, NULL },
	{ "nvmm-damaged", NULL, wal_damaged },
	{ "nvmm-gaps", NULL, wal_damage_explained },
	{ "nvmm-eadr-killed", eadr_half, NULL },
};

/* write: the kinds; write KIND DIR: one of them, in a folder that is there. */
int main(int argc, char **argv)
{
	all = mmap(NULL, sizeof(*all), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (all == MAP_FAILED || (argc == 3 && chdir(argv[2])))
		return 1;
	all->clock_ms = 1700000000000ull;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		const struct kind *k = &kinds[i];

		if (argc != 3) {
			puts(k->name);
		} else if (!strcmp(k->name, argv[1])) {
			mkdir("nvmm", 0700);
			if (k->life)
				live(k->life);
			else
				k->lives();
			return 0;
		}
	}
	return argc == 3;
}
