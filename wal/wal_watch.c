/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * wal_watch.c - files that vanish under a running server (wal.h).
 *
 * A file without a name can be written and synced for as long as it is open, and is gone
 * with the process.  So the names are looked up now and then, and compared with what is
 * held open:
 *
 *	the store's path leads elsewhere	told; everything is made and found relative to
 *						folders that are held
 *	the wal's path does			told: it is mapped, and the next start asks for it
 *	the wal or its buffers are not in it	all lanes fail
 *	a sealed segment has no name, or is cut	told: what only it holds is lost to the next start
 *	the prepared one has none, or is cut	it is made again (seglog_watch)
 *	the active one (or cut), a folder	nothing that is acknowledged could come back: the
 *						lane fails, or all of them
 *	a file that a start writes to has	told: the next start refuses the store for it, lest
 *	another name				the other name's owner lose what he counts on
 *	the file `store`			all lanes fail: the lock, which keeps other
 *						processes away from the files, went with it
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "mutant.h"
#include "wal_priv.h"

static void fail_lane(struct lane *l)
{
	if (!lane_failed(l))
		relaxed_store(l->settle_failed, WAL_EGONE);
}

static void watch_lane(struct wal *w, unsigned i, struct wal_watch *x)
{
	uint64_t first = 0;
	unsigned missing;
	int err = seglog_watch(w->log[i], &missing, &first);

	if (missing && !x->missing) {
		x->lane = i;
		x->segno = first;
	}
	x->missing += missing;
	if (!err || i >= w->nlanes)
		return;
	fail_lane(&w->lane[i]);
	x->gone = true;
	if (!x->what[0])
		snprintf(x->what, sizeof(x->what), "lane %u's folder or active segment", i);
}

static bool wal_gone(struct wal *w, const char **what)
{
	*what = "the wal or its buffers";
	return !w->pm->there(w->pm->ctx, w->hold);
}

static void watch_links(struct wal *w, struct wal_watch *x)
{
	char *what = x->linked;
	uint64_t segno;

	if (storefile_linked(&w->store))
		snprintf(what, sizeof(x->linked), "the file `store`");
	else if (w->hold && w->pm->linked(w->pm->ctx, w->hold))
		snprintf(what, sizeof(x->linked), "the write-ahead log or its buffers");
	for (unsigned i = 0; i < w->known && !*what; i++) {
		segno = w->log[i] ? seglog_linked(w->log[i]) : 0;
		if (segno)
			snprintf(what, sizeof(x->linked), "log/%03u/%08" PRIx64 ".seg", i, segno);
	}
}

void wal_watch(struct wal *w, struct wal_watch *x)
{
	const char *what;

	memset(x, 0, sizeof(*x));
	if (!w->storefile_open)
		return;
	x->moved = storefile_moved(&w->store);
	if (w->hold)
		x->wal_moved = !w->pm->leads(w->pm->ctx, w->hold, w->store.b.nvmm_path);
	what = NULL;
	if (storefile_watch(&w->store, &what) || (w->hold && !MUTANT(watch_wal) && wal_gone(w, &what))) {
		x->gone = true;
		snprintf(x->what, sizeof(x->what), "%s", what);
		for (unsigned i = 0; i < w->nlanes; i++)
			fail_lane(&w->lane[i]);
	}
	for (unsigned i = 0; i < w->known; i++)
		if (w->log[i])
			watch_lane(w, i, x);
	watch_links(w, x);
}
