// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * ring.c - SYNC, the one call that moves commands, buffers and events.
 *
 * It works only on connections and packets that are ready: sockets whose wait queue has
 * called (ready), sockets that wait for a buffer (stalled) once there is one, and the
 * packets of the source.  A connection that is paused or over its quota is not looked at
 * again before that has changed.
 */
#include <linux/hrtimer.h>
#include <linux/sched/signal.h>

#include "core.h"

#define BUDGET		512	/* packets of the source in one pass */
#define RELEASES	64u	/* taken under one lock */
#define UNSTALL		64u	/* connections moved under one lock */
#define REAP_NS		(5 * NSEC_PER_MSEC)	/* between two looks for buffers */

void paste_event_push(struct paste_ring *r, const struct paste_event *e)
{
	if (WARN_ON_ONCE(!paste_event_room(r)))
		return;
	r->events[paste_out_next(&r->ev)] = *e;
	r->stats.events++;
}

void paste_ring_wake(struct paste_ring *r)
{
	WRITE_ONCE(r->kicked, true);
	wake_up_poll(&r->wait, EPOLLIN | EPOLLRDNORM);
}

static u32 ring_standing(const struct paste_ring *r)
{
	return r->ev.tail - r->ev.head;
}

static void ring_take_releases(struct paste_ring *r)
{
	u32 n = paste_in_ready(&r->rel);

	r->stats.releases += n;
	while (n) {
		u32 some = min(n, RELEASES);

		n -= some;
		spin_lock_bh(&r->buf_lock);
		while (some--)
			if (!paste_buf_release(r, READ_ONCE(r->releases[paste_in_next(&r->rel)])))
				r->stats.bad_releases++;
		spin_unlock_bh(&r->buf_lock);
	}
}

/* ---- what is ready ---- */

/* Makes stalled connections ready: those that waited longest first, and no more than there are
 * buffers.  False: none is stalled, or there is no buffer. */
static bool ring_unstall(struct paste_ring *r)
{
	LIST_HEAD(first);
	u32 n;

	if (list_empty(&r->stalled))
		return false;
	if (!r->nfree && r->nstack)
		paste_bufs_reap(r, REAP_MANY);
	n = min(r->nfree, UNSTALL);
	if (!n)
		return false;
	spin_lock_irq(&r->lock);
	while (n-- && !list_empty(&r->stalled)) {
		struct paste_conn *c = list_first_entry(&r->stalled, struct paste_conn, link);

		c->place = ON_READY;
		c->deaf = false;
		list_move_tail(&c->link, &first);
	}
	list_splice(&first, &r->ready);
	spin_unlock_irq(&r->lock);
	return true;
}

static struct paste_conn *ring_next_ready(struct paste_ring *r)
{
	struct paste_conn *c;

	spin_lock_irq(&r->lock);
	c = list_first_entry_or_null(&r->ready, struct paste_conn, link);
	if (c) {
		list_del_init(&c->link);
		c->place = NOWHERE;
	}
	spin_unlock_irq(&r->lock);
	return c;
}

static void ring_serve_all(struct paste_ring *r)
{
	struct paste_conn *c;

	/* This ends when the ring is full at the latest: a connection that is served without
	 * giving an event is not ready any more. */
	while (paste_event_room(r) && !fatal_signal_pending(current) && (c = ring_next_ready(r)))
		paste_conn_serve(c);
}

static void ring_serve(struct paste_ring *r)
{
	bool more;

	do {
		more = ring_unstall(r);
		ring_serve_all(r);
	} while (more && paste_event_room(r) && !fatal_signal_pending(current));
}

static void ring_give_woken(struct paste_ring *r)
{
	/* The flag is cleared before the process looks for what it announces. */
	if (READ_ONCE(r->woken) && paste_event_room(r) && xchg(&r->woken, false))
		paste_event_res(r, 0, PASTE_EV_WOKEN, 0);
}

static void ring_pass(struct paste_ring *r)
{
	WRITE_ONCE(r->kicked, false);
	if (r->nstack)
		paste_bufs_reap(r, REAP_FEW);
	if (r->source) {
		r->source->refill(r);
		r->source->poll(r, BUDGET);
	}
	ring_give_woken(r);
	ring_serve(r);
	paste_bufs_named(r);
	if (r->source) {
		r->source->refill(r);
		r->source->flush(r);
	}
}

/* ---- waiting ---- */

struct patience {
	ktime_t end;		/* KTIME_MAX: no limit */
	ktime_t spin_end;	/* 0: none */
};

static bool ring_news(const struct paste_ring *r)
{
	return !list_empty(&r->ready) || READ_ONCE(r->woken) || READ_ONCE(r->kicked) || READ_ONCE(r->dead);
}

/* 0: there is news; -ETIME, -EINTR; -EAGAIN: the time to look is over, sleep. */
static int ring_spin(struct paste_ring *r, const struct patience *p)
{
	ktime_t end = min(p->spin_end, p->end);

	do {
		if (ring_news(r) || (r->source && r->source->poll(r, BUDGET)))
			return 0;
		if (signal_pending(current))
			return -EINTR;
		cond_resched();
		cpu_relax();
	} while (ktime_before(ktime_get(), end));
	return end == p->end ? -ETIME : -EAGAIN;
}

/* The stack does not announce that it gives a buffer back, so the sleep is short if a connection
 * waits for one. */
static ktime_t ring_wake_at(const struct paste_ring *r, const struct patience *p)
{
	if (list_empty(&r->stalled) || !r->nstack)
		return p->end;
	return min(p->end, ktime_add_ns(ktime_get(), REAP_NS));
}

static int ring_sleep(struct paste_ring *r, const struct patience *p)
{
	ktime_t at = ring_wake_at(r, p);
	int rc = 0;

	DEFINE_WAIT(w);
	prepare_to_wait(&r->wait, &w, TASK_INTERRUPTIBLE);
	if (ring_news(r))
		goto out;
	if (signal_pending(current)) {
		rc = -EINTR;
		goto out;
	}
	if (r->source && r->source->arm(r))
		goto out;
	r->stats.sleeps++;
	if (!schedule_hrtimeout_range(at == KTIME_MAX ? NULL : &at, current->timer_slack_ns, HRTIMER_MODE_ABS) &&
	    at == p->end)
		rc = -ETIME;
out:
	finish_wait(&r->wait, &w);
	return rc;
}

static int ring_await(struct paste_ring *r, const struct patience *p)
{
	int rc = -EAGAIN;

	/* This comes first: for a killed process nothing is served, so connections stay ready and
	 * ring_news() would always be true. */
	if (signal_pending(current))
		return -EINTR;
	if (p->spin_end && ktime_before(ktime_get(), p->spin_end))
		rc = ring_spin(r, p);
	return rc == -EAGAIN ? ring_sleep(r, p) : rc;
}

/* ---- SYNC ---- */

static struct patience ring_patience_of(const struct paste_sync *a)
{
	struct patience p = { .end = KTIME_MAX };
	ktime_t now = ktime_get();

	if (a->timeout_ns > 0)
		p.end = ktime_add_safe(now, ns_to_ktime(a->timeout_ns));
	if (a->spin_us)
		p.spin_end = ktime_add_us(now, a->spin_us);
	return p;
}

static long ring_sync_locked(struct paste_ring *r, const struct paste_sync *a)
{
	struct patience p;
	int rc = 0;

	if (r->dead)
		return -ENXIO;
	if (!paste_look(&r->ev, &r->cmd, &r->rel, r->shared))
		return -EINVAL;
	r->stats.syncs++;
	if (r->source)
		r->source->begin(r);
	ring_take_releases(r);
	paste_commands(r);
	ring_pass(r);
	if (!ring_standing(r) && a->timeout_ns) {
		p = ring_patience_of(a);
		do {
			rc = ring_await(r, &p);
			/* Also after the timeout, for what came just before it. */
			ring_pass(r);
		} while (!ring_standing(r) && !rc && !READ_ONCE(r->dead));
	}
	if (r->source)
		r->source->end(r);
	paste_publish(&r->ev, &r->cmd, &r->rel, r->shared);
	if (ring_standing(r))
		return ring_standing(r);
	if (READ_ONCE(r->dead))
		return -ENXIO;
	return rc == -EINTR ? -EINTR : 0;
}

long paste_ring_sync(struct paste_ring *r, const struct paste_sync *a)
{
	long rc;

	if (a->flags || a->timeout_ns < -1)
		return -EINVAL;
	/* Another thread has the mutex, or paste_end_work(), which ends the ring. */
	if (!mutex_trylock(&r->mutex))
		return READ_ONCE(r->dead) ? -ENXIO : -EBUSY;
	rc = ring_sync_locked(r, a);
	mutex_unlock(&r->mutex);
	return rc;
}
