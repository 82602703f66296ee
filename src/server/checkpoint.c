/* SPDX-License-Identifier: BSD-2-Clause */
/* checkpoint.c - see checkpoint.h. */
#include "server/checkpoint.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

#include "admin/health.h"
#include "base/diag.h"
#include "base/now.h"
#include "store/store.h"

#define WATCH_MS 1000		/* between two looks whether the files are still there */
/* A pass that failed is repeated after this time, however long the interval is, because nothing
 * announces that there is room on the disk again. */
#define RETRY_MS 1000u

struct checkpoint {
	struct store *store;
	struct health *health;
	unsigned interval_ms;
	bool failing;			/* something has failed and is to be tried again */
	uint64_t slice_bytes;
	int retain_err;			/* the error that was reported last; 0: none */
	enum clock_trust clock;		/* the state that was reported last */
	bool gone;			/* a lost file was reported; it is lost for good */
	uint64_t watch_ms, pass_ms;	/* when the next look at the files, and pass, are due */
	int efd;
	atomic_bool kicked;		/* efd was written for the next pass: once is enough */
	atomic_bool stop;
	pthread_t thread;
};

void checkpoint_kick(struct checkpoint *c)
{
	uint64_t one = 1;

	if (!atomic_exchange(&c->kicked, true) && write(c->efd, &one, sizeof(one)) < 0)
		atomic_store(&c->kicked, false);
}

/* If a pass never waits for a disk it keeps the CPU until the scheduler takes it away, milliseconds
 * later, and a worker on the same CPU waits all that time.  So the pass sleeps now and then. */
static void nap(void)
{
	static const struct timespec t = { .tv_nsec = 50000 };

	nanosleep(&t, NULL);
}

static void tell_prepare(struct checkpoint *c, int err)
{
	if (!err == !health_is(c->health, HEALTH_CHECKPOINT))
		return;
	if (err) {
		health_set(c->health, HEALTH_CHECKPOINT, err);
		diag(DIAG_ERR, "the next segment of the log cannot be made: %s; it is tried again, until the "
			 "one in use is full requests are taken", store_strerror(err));
	} else {
		health_clear(c->health, HEALTH_CHECKPOINT);
		diag(DIAG_NOTE, "the next segment of the log has been made");
	}
}

static void tell_retain(struct checkpoint *c, int err)
{
	if (!err == !c->retain_err)
		return;
	c->retain_err = err;
	if (err)
		diag(DIAG_ERR, "an expired segment of the log cannot be removed: %s; no other is, until "
			 "that works or the next start", store_strerror(err));
	else
		diag(DIAG_NOTE, "expired segments of the log are removed again");
}

static void tell_clock(struct checkpoint *c)
{
	enum clock_trust trust = store_clock_trust(c->store);

	if (trust == c->clock)
		return;
	c->clock = trust;
	if (trust == CLOCK_AHEAD)
		diag(DIAG_WARN, "the clock has jumped ahead since the start: nothing expires by age until it is "
			 "back; if it is right now, start the server again");
	else if (trust == CLOCK_UNSYNCED)
		diag(DIAG_NOTE, "the clock is not synchronised yet: nothing expires by age until it is, or for "
			 "an hour");
	else
		diag(DIAG_NOTE, "the clock is trusted again: records expire by age");
}

static void tell_nospace(struct checkpoint *c, int err)
{
	if (!err == !health_is(c->health, HEALTH_NOSPACE))
		return;
	if (err) {
		health_set(c->health, HEALTH_NOSPACE, err);
		diag(DIAG_ERR, "no room for the next segment of the log: %s: requests that change state get "
			 "507 until there is; make room or set retain-bytes", store_strerror(err));
	} else {
		health_clear(c->health, HEALTH_NOSPACE);
		diag(DIAG_NOTE, "there is room for the log again");
	}
}

static void tell_moved(struct checkpoint *c, const struct store_watch *x)
{
	bool moved = x->moved || x->wal_moved;

	if (moved == health_is(c->health, HEALTH_STORE_MOVED))
		return;
	if (moved) {
		health_set(c->health, HEALTH_STORE_MOVED, 0);
		diag(DIAG_WARN, "the %s is no longer at its path: it was moved or renamed, or something was "
			 "mounted over it; it is worked on where it is now, give that path at the next "
			 "start", x->moved ? "store" : "write-ahead log");
	} else {
		health_clear(c->health, HEALTH_STORE_MOVED);
		diag(DIAG_NOTE, "the store and its write-ahead log are at their paths again");
	}
}

static void tell_linked(struct checkpoint *c, const struct store_watch *x)
{
	if (!*x->linked == !health_is(c->health, HEALTH_LINKED))
		return;
	if (*x->linked) {
		health_set(c->health, HEALTH_LINKED, 0);
		diag(DIAG_WARN, "%s has another name (a hard link: cp -l?), and what is written here is written there "
		     "too: the next start refuses the store until that name is removed; copy the files "
		     "instead", x->linked);
	} else {
		health_clear(c->health, HEALTH_LINKED);
		diag(DIAG_NOTE, "no file of the store that is written to has another name any more");
	}
}

static void tell_missing(struct checkpoint *c, const struct store_watch *x)
{
	if (!x->missing == !health_is(c->health, HEALTH_FILES_MISSING))
		return;
	if (x->missing) {
		health_set(c->health, HEALTH_FILES_MISSING, STORE_EGONE);
		diag(DIAG_ERR, "%u segments of the log were removed, renamed or cut short, the first is "
			 "log/%03u/%08llx.seg: the next start will not find the records that were in them; "
			 "put them back", x->missing, x->lane, (unsigned long long)x->segno);
	} else {
		health_clear(c->health, HEALTH_FILES_MISSING);
		diag(DIAG_NOTE, "no segment of the log is missing or cut short any more");
	}
}

static void tell_gone(struct checkpoint *c, const struct store_watch *x)
{
	if (!x->gone || c->gone)
		return;
	c->gone = true;
	health_set(c->health, HEALTH_LANE_FAILED, STORE_EGONE);
	diag(DIAG_ERR, "%s was removed, renamed, replaced or cut short under the running server: what is written there "
		 "now could not be found again, so nothing is acknowledged any more; look at what is "
		 "left, then restart", x->what);
}

/* Looks, every WATCH_MS, whether the files are still there. */
static void checkpointer_watch(struct checkpoint *c, uint64_t now)
{
	struct store_watch x;

	if (now < c->watch_ms)
		return;
	c->watch_ms = now + WATCH_MS;
	store_watch(c->store, &x);
	tell_moved(c, &x);
	tell_linked(c, &x);
	tell_missing(c, &x);
	tell_gone(c, &x);
}

/* Reports failures of the lanes, and their end, in messages and to readyz. */
static void checkpointer_look(struct checkpoint *c)
{
	struct store_lane_stats s;
	int nospace_err = 0, prepare_err = 0, retain_err = 0;

	for (unsigned i = 0; i < store_lanes(c->store); i++) {
		if (store_stats(c->store, i, &s))
			continue;
		if (s.nospace && !nospace_err)
			nospace_err = -ENOSPC;
		if (blk_nospace(s.prepare_err))
			nospace_err = s.prepare_err;
		else if (!prepare_err)
			prepare_err = s.prepare_err;
		if (s.retain_err && !retain_err)
			retain_err = s.retain_err;
		if (s.failed && !health_is(c->health, HEALTH_LANE_FAILED)) {
			health_set(c->health, HEALTH_LANE_FAILED, s.failed);
			diag(DIAG_ERR, "lane %u: %s; it acknowledges nothing any more, a failed write or sync is "
				 "never retried: look at the storage, then restart", i, store_strerror(s.failed));
		}
	}
	c->failing = nospace_err || prepare_err || retain_err;
	tell_prepare(c, prepare_err);
	tell_retain(c, retain_err);
	tell_clock(c);
	tell_nospace(c, nospace_err);
}

static void *checkpointer_run(void *arg)
{
	struct checkpoint *c = arg;
	struct pollfd p = { .fd = c->efd, .events = POLLIN };
	uint64_t n;
	int r;

	checkpointer_look(c);		/* failures of the start, before a pass clears them */
	c->pass_ms = now_ms();		/* the first pass is due at once */
	while (!atomic_load(&c->stop)) {
		uint64_t now = now_ms();
		uint64_t next = c->watch_ms < c->pass_ms ? c->watch_ms : c->pass_ms;
		bool kicked = poll(&p, 1, next > now ? (int)(next - now) : 0) > 0;

		if (kicked && read(c->efd, &n, sizeof(n)) < 0)
			diag(DIAG_WARN, "checkpointer: eventfd: %s", strerror(errno));
		now = now_ms();
		checkpointer_watch(c, now);
		if (!kicked && now < c->pass_ms)
			continue;
		atomic_store(&c->kicked, false);
		do {
			r = store_background(c->store, c->slice_bytes);
			checkpointer_look(c);	/* the next slice may succeed and hide a failure */
			if (!store_passed(c->store) && r > 0)
				nap();
		} while (r > 0 && !atomic_load(&c->stop));
		c->failing |= r < 0;	/* an error may have cut the pass short for other lanes */
		c->pass_ms = now + (c->failing && c->interval_ms > RETRY_MS ? RETRY_MS : c->interval_ms);
	}
	return NULL;
}

int checkpoint_start(struct checkpoint **out, struct store *store, struct health *health,
		     unsigned interval_ms, uint64_t slice_bytes)
{
	struct checkpoint *c = calloc(1, sizeof(*c));
	int err;

	if (!c)
		return -ENOMEM;
	c->store = store;
	c->health = health;
	c->interval_ms = interval_ms;
	c->slice_bytes = slice_bytes;
	c->efd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (c->efd < 0) {
		err = -errno;
		goto err_free;
	}
	err = -pthread_create(&c->thread, NULL, checkpointer_run, c);
	if (err)
		goto err_efd;
	pthread_setname_np(c->thread, "pasted-ckpt");
	*out = c;
	return 0;

err_efd:
	close(c->efd);
err_free:
	free(c);
	return err;
}

void checkpoint_stop(struct checkpoint *c)
{
	uint64_t one = 1;

	atomic_store(&c->stop, true);
	if (write(c->efd, &one, sizeof(one)) < 0)
		diag(DIAG_WARN, "checkpointer: eventfd: %s", strerror(errno));
	pthread_join(c->thread, NULL);
	close(c->efd);
	free(c);
}
