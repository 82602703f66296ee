/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rec_tool.c - check, dump and repair of a store's files (rec_tool.h).  check and dump open
 * everything for reading only.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "recovery/rec_priv.h"
#include "tool/rec_tool.h"
#include "util/clock.h"

static struct rec *rec_of(const struct rec_tool *t, struct report *rep, bool read_only)
{
	struct rec *r = calloc(1, sizeof(*r));

	memset(rep, 0, sizeof(*rep));
	if (!r) {
		rep->error = -ENOMEM;
		return NULL;
	}
	r->pm = t->pm ? t->pm : &pm_nvmm;
	r->blk = t->blk ? t->blk : &blk_file_ops;
	r->pm_custom = t->pm != NULL;
	r->store_dir = t->store_dir;
	r->nvmm_path = t->nvmm_path;
	r->read_only = read_only;
	r->full = r->rebuild = true;
	r->give_up = t->give_up;
	r->adopt = t->adopt;
	r->now_ms = t->now_ms ? t->now_ms : clock_wall_ms;
	r->boot = t->boot || t->pm ? t->boot : clock_boot();
	r->progress = t->progress;
	r->progress_arg = t->progress_arg;
	r->rep = rep;
	return r;
}

int store_check(const struct rec_tool *t, struct report *rep)
{
	struct rec *r = rec_of(t, rep, true);
	int err;

	if (!r)
		return -ENOMEM;
	r->full = !t->quick;
	err = rec_find(r);
	rec_end(r);
	free(r);
	return err;
}

/* ---- dump ---- */

struct dump {
	struct rec *r;
	unsigned lane;
	uint64_t until;			/* numbers from here on come from the wal */
	uint64_t time_ms;
	uint64_t told;			/* the gaps up to this number were given to the caller */
	uint8_t *buf;			/* a record of the wal, copied together */
	size_t	 cap;
	const struct rec_dump *to;
};

/* Gives the caller the lane's gaps in front of number `seq`, by rising number. */
static int tell_gaps(struct dump *d, uint64_t seq)
{
	const struct report *rep = d->r->rep;
	int err = 0;

	while (!err && d->to->gap) {
		const struct rec_finding *next = NULL;

		for (unsigned i = 0; i < rep->findings; i++) {
			const struct rec_finding *g = &rep->finding[i];

			if (g->lane == d->lane && g->from_seq <= g->to_seq && g->from_seq < seq &&
			    g->from_seq > d->told && (!next || g->from_seq < next->from_seq))
				next = g;
		}
		if (!next)
			return 0;
		d->told = next->to_seq;
		err = d->to->gap(d->to->arg, next);
	}
	return err;
}

static int tool_tell(struct dump *d, uint64_t seq, const uint8_t *data, uint32_t len)
{
	int err = tell_gaps(d, seq);

	return err ? err : d->to->record(d->to->arg, d->lane, seq, d->time_ms, data, len);
}

static int dump_frame(void *arg, const struct seg_info *seg, const struct seg_frame *fr)
{
	struct dump *d = arg;

	(void)seg;
	d->time_ms = fr->h.time_ms;
	if (fr->h.seq >= d->until)
		return 0;
	return tool_tell(d, fr->h.seq, fr->data, fr->h.len);
}

static int dump_item(void *arg, const struct rec_item *x)
{
	struct dump *d = arg;
	size_t at = 0;

	if (!x->nfrags)
		return 0;
	if (x->len > d->cap) {
		uint8_t *more = realloc(d->buf, x->len);

		if (!more)
			return -ENOMEM;
		d->buf = more;
		d->cap = x->len;
	}
	for (uint32_t i = 0; i < x->nfrags; i++) {
		struct frag f = scan_frag(x->s, x->it, i);

		memcpy(d->buf + at, scan_addr(x->s, &f), f.len);
		at += f.len;
	}
	if (x->time_ms)
		d->time_ms = x->time_ms;
	walfile_drop(d->r->wal);
	return tool_tell(d, x->seq, d->buf, x->len);
}

static int dump_lane(struct dump *d)
{
	struct rec_lane *l = &d->r->lane[d->lane];
	unsigned actions = d->r->rep->lane[d->lane].row->actions;
	struct seg_lane again;
	struct scan s;
	char name[STOREFILE_LANE_NAME];
	struct seg_scan_options o = {
		.blk = d->r->blk, .at = d->r->storefile.log, .dir = name, .uuid = d->r->storefile.b.uuid, .lane = d->lane,
		.all_used = l->all_used, .record = dump_frame, .arg = d,
	};
	int err = 0;

	storefile_lane_name(name, d->lane);
	d->until = l->cut == REC_NO_CUT ? UINT64_MAX : l->base;
	d->time_ms = d->told = 0;
	if (d->r->storefile.log) {
		err = seg_scan_lane(&o, &again);
		seg_lane_free(&again);
	}
	if (!err && actions & RL_REPLAY)
		err = rec_wal_walk(d->r, d->lane, actions & RL_GAP ? l->head_seq : l->base, &s,
				   dump_item, d);
	return err ? err : tell_gaps(d, UINT64_MAX);
}

int store_dump(const struct rec_tool *t, struct report *rep, const struct rec_dump *to)
{
	struct dump d = { .r = rec_of(t, rep, true), .to = to };
	int err;

	if (!d.r)
		return -ENOMEM;
	d.r->dump = true;
	err = rec_find(d.r);
	d.r->progress = NULL;		/* the dump itself shows how far it is */
	for (; !err && d.lane < d.r->lanes; d.lane++)
		if (d.r->lane[d.lane].there)
			err = dump_lane(&d);
	if (err && !rep->error)
		rec_fail(d.r, err, "%s: %s", t->store_dir, store_strerror(err));
	rec_end(d.r);
	free(d.r);
	free(d.buf);
	return err;
}

/* ---- repair ---- */

int store_repair(const struct rec_tool *t, struct report *rep)
{
	struct rec *r = rec_of(t, rep, false);
	int err;

	if (!r)
		return -ENOMEM;
	err = rec_find(r);
	if (!err && rep->row->action == REC_CREATE)
		err = rec_fail(r, STORE_ENODIR, "%s: no store there", t->store_dir);
	if (!err)
		err = rec_act(r);
	if (!err) {
		/* Every record is in synced segments: no wal is needed any more. */
		r->storefile.b.wal_id = 0;
		for (unsigned i = 0; i < r->lanes && !err; i++)
			if (r->lane[i].log)
				err = seglog_note_end(r->lane[i].log);
		if (!err)
			err = storefile_update(&r->storefile, 0, r->storefile.b.class, "",
				   r->storefile.b.segment_bytes);
		if (err)
			rec_fail(r, err, "%s/store: cannot be written: %s", t->store_dir,
				 store_strerror(err));
		else if (r->wal)
			rec_wal_leave(r, false);
	}
	rec_end(r);
	free(r);
	return err;
}
