/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * store_watch.c - files that vanish under a running server (store.h).
 *
 * A file without a name can be written and synced for as long as it is open, and is gone
 * with the process.  So the names are looked up now and then, and compared with the files
 * that are held open:
 *
 *	the store's path leads elsewhere	told; files are made and found relative to
 *						folders that are held open
 *	the wal's path leads elsewhere		told: it stays mapped, the next start asks for it
 *	the wal or its buffers lost their name	all lanes fail
 *	a sealed segment has no name, or is cut	told: what only it holds is lost to the next start
 *	the prepared one has none, or is cut	it is made again (seglog_watch)
 *	the active one has none, or is cut	the lane fails: what it acknowledges from now on
 *						could not come back
 *	the lane's folder has no name		the same
 *	the store's folder or log/ has none	all lanes fail
 *	the file `store` has none		all lanes fail: the lock, which keeps other
 *						processes away from the files, went with it
 *	a file that a start writes to has	told: the next start refuses the store, since the
 *	another name				file may be somebody else's, too
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "store/store_priv.h"
#include "util/mutant.h"

static void fail_lane(struct lane *l)
{
	if (!lane_failed(l))
		relaxed_store(l->settle_failed, STORE_EGONE);
}

static void watch_lane(struct store *s, unsigned i, struct store_watch *x)
{
	uint64_t first = 0;
	unsigned missing;
	int err = seglog_watch(s->log[i], &missing, &first);

	if (missing && !x->missing) {
		x->lane = i;
		x->segno = first;
	}
	x->missing += missing;
	if (!err || i >= s->nlanes)
		return;
	fail_lane(&s->lane[i]);
	x->gone = true;
	if (!x->what[0])
		snprintf(x->what, sizeof(x->what), "lane %u's folder or active segment", i);
}

static bool wal_gone(struct store *s, const char **what)
{
	*what = "the wal or its buffers";
	return !s->pm->there(s->pm->ctx, s->hold);
}

static void watch_links(struct store *s, struct store_watch *x)
{
	char *what = x->linked;
	uint64_t segno;

	if (storefile_linked(&s->file))
		snprintf(what, sizeof(x->linked), "the file `store`");
	else if (s->hold && s->pm->linked(s->pm->ctx, s->hold))
		snprintf(what, sizeof(x->linked), "the write-ahead log or its buffers");
	for (unsigned i = 0; i < s->known && !*what; i++) {
		segno = s->log[i] ? seglog_linked(s->log[i]) : 0;
		if (segno)
			snprintf(what, sizeof(x->linked), "log/%03u/%08" PRIx64 ".seg", i, segno);
	}
}

void store_watch(struct store *s, struct store_watch *x)
{
	const char *what;

	memset(x, 0, sizeof(*x));
	if (!s->file_open)
		return;
	x->moved = storefile_moved(&s->file);
	if (s->hold)
		x->wal_moved = !s->pm->leads(s->pm->ctx, s->hold, s->file.b.nvmm_path);
	what = NULL;
	if (storefile_watch(&s->file, &what) || (s->hold && !MUTANT(watch_wal) && wal_gone(s, &what))) {
		x->gone = true;
		snprintf(x->what, sizeof(x->what), "%s", what);
		for (unsigned i = 0; i < s->nlanes; i++)
			fail_lane(&s->lane[i]);
	}
	for (unsigned i = 0; i < s->known; i++)
		if (s->log[i])
			watch_lane(s, i, x);
	watch_links(s, x);
}
