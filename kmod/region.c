// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * region.c - memory of a process, pinned, and which page of it a page is.
 *
 * The pin is the short-term kind, which every file system allows, fsdax too.  It keeps
 * the pages, not the mapping: after munmap or truncate the kernel writes into pages that
 * nobody sees, which hurts nobody.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "core.h"

#define CHUNK 64	/* pages */

static DEFINE_MUTEX(regions_lock);
static LIST_HEAD(regions);

/* The pages a process may have pinned: as for other users of pinned memory. */
static int account(struct mm_struct *mm, unsigned long npages)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;

	if (atomic64_add_return(npages, &mm->pinned_vm) <= limit || capable(CAP_IPC_LOCK))
		return 0;
	atomic64_sub(npages, &mm->pinned_vm);
	return -EPERM;
}

static void unpin(struct paste_region *g, unsigned long n)
{
	/* Payload was written behind the page tables' back. */
	while (n) {
		unsigned long k = min_t(unsigned long, n, CHUNK);

		n -= k;
		unpin_user_pages_dirty_lock(g->pages + n, k, true);
		cond_resched();
	}
}

static int pin_some(u64 addr, unsigned long n, struct page **pages)
{
	int got = pin_user_pages_fast(addr, n, FOLL_WRITE, pages);

	if (fatal_signal_pending(current)) {
		if (got > 0)
			unpin_user_pages(pages, got);
		return -EINTR;
	}
	cond_resched();
	return got ? got : -EFAULT;
}

static int pin(struct paste_region *g)
{
	unsigned long done = 0;

	while (done < g->npages) {
		int n = pin_some(g->addr + done * PAGE_SIZE, min_t(unsigned long, g->npages - done, CHUNK),
				 g->pages + done);

		if (n < 0) {
			unpin(g, done);
			return n == -EINTR || n == -ENOMEM ? n : -EFAULT;
		}
		done += n;
	}
	return 0;
}

/* A page that is there twice would be two buffers in one place. */
static int index_pages(struct paste_region *g)
{
	for (unsigned long i = 0; i < g->npages; i++) {
		void *old = xa_store(&g->by_pfn, page_to_pfn(g->pages[i]), xa_mk_value(i), GFP_KERNEL_ACCOUNT);

		if (old)
			return xa_is_err(old) ? xa_err(old) : -EINVAL;
		if (!(i % 1024))
			cond_resched();
	}
	return 0;
}

long paste_region_find(const struct paste_region *g, const struct page *page)
{
	void *found = xa_load((struct xarray *)&g->by_pfn, page_to_pfn(page));

	return found ? (long)xa_to_value(found) : -1;
}

static void region_free(struct paste_region *g)
{
	xa_destroy(&g->by_pfn);
	kvfree(g->pages);
	mmdrop(g->mm);
	kfree(g);
}

static struct paste_region *region_new(const struct paste_setup *s)
{
	struct paste_region *g = kzalloc(sizeof(*g), GFP_KERNEL_ACCOUNT);
	int err = -ENOMEM;

	if (!g)
		return ERR_PTR(-ENOMEM);
	kref_init(&g->ref);
	INIT_LIST_HEAD(&g->rings);
	xa_init(&g->by_pfn);
	g->addr = s->addr;
	g->len = s->len;
	g->buf_size = s->buf_size;
	g->nbufs = s->len / s->buf_size;
	g->npages = s->len >> PAGE_SHIFT;
	g->mm = current->mm;
	mmgrab(g->mm);
	g->pages = kvmalloc_array(g->npages, sizeof(*g->pages), GFP_KERNEL_ACCOUNT);
	if (!g->pages)
		goto free;
	err = account(g->mm, g->npages);
	if (err)
		goto free;
	err = pin(g);
	if (err)
		goto unaccount;
	err = index_pages(g);
	if (err)
		goto unpin;
	return g;
unpin:
	unpin(g, g->npages);
unaccount:
	atomic64_sub(g->npages, &g->mm->pinned_vm);
free:
	region_free(g);
	return ERR_PTR(err);
}

static void region_end(struct kref *ref)
{
	struct paste_region *g = container_of(ref, struct paste_region, ref);

	list_del(&g->link);
	unpin(g, g->npages);
	atomic64_sub(g->npages, &g->mm->pinned_vm);
	region_free(g);
}

/* Something else may be mapped there by now. */
static int still_there(const struct paste_region *g)
{
	struct page *now[CHUNK];

	for (unsigned long done = 0; done < g->npages; ) {
		int n = pin_some(g->addr + done * PAGE_SIZE, min_t(unsigned long, g->npages - done, CHUNK), now);
		bool same;

		if (n < 0)
			return n == -EINTR ? n : -EFAULT;
		same = !memcmp(now, g->pages + done, n * sizeof(*now));
		unpin_user_pages(now, n);
		if (!same)
			return -EBUSY;
		done += n;
	}
	return 0;
}

static struct paste_region *region_get(const struct paste_setup *s)
{
	struct paste_region *g;

	list_for_each_entry(g, &regions, link) {
		int err;

		if (g->mm != current->mm || g->addr != s->addr || g->len != s->len || g->buf_size != s->buf_size)
			continue;
		err = still_there(g);
		if (err)
			return ERR_PTR(err);
		kref_get(&g->ref);
		return g;
	}
	g = region_new(s);
	if (!IS_ERR(g))
		list_add(&g->link, &regions);
	return g;
}

static bool overlaps(const struct paste_region *g, u32 first, u32 n)
{
	struct paste_ring *o;

	list_for_each_entry(o, &g->rings, sibling)
		if (first < o->first_buf + o->nbufs && o->first_buf < first + n)
			return true;
	return false;
}

int paste_region_check(const struct paste_setup *s)
{
	u64 n;

	if (s->buf_size != 2048 && s->buf_size != 4096)
		return -EINVAL;
	if (!s->len || !PAGE_ALIGNED(s->addr) || !PAGE_ALIGNED(s->len) || s->addr + s->len < s->addr)
		return -EINVAL;
	n = s->len / s->buf_size;
	/* A buffer's number has 32 bits, and one of them means none. */
	if (n >= S32_MAX || !s->nbufs || s->nbufs > n || s->first_buf > n - s->nbufs)
		return -EINVAL;
	return 0;
}

/* Sets the ring's region, after a check; it lives until paste_region_leave(). */
int paste_region_join(struct paste_ring *r, const struct paste_setup *s)
{
	struct paste_region *g;
	int err;

	if (mutex_lock_killable(&regions_lock))
		return -EINTR;
	g = region_get(s);
	err = PTR_ERR_OR_ZERO(g);
	if (err)
		goto out;
	if (overlaps(g, s->first_buf, s->nbufs)) {
		err = -EBUSY;
		kref_put(&g->ref, region_end);
		goto out;
	}
	r->mm = g->mm;
	mmgrab(r->mm);
	list_add(&r->sibling, &g->rings);
	/* release: who sees a region sees a ring that is whole */
	smp_store_release(&r->region, g);
out:
	mutex_unlock(&regions_lock);
	return err;
}

void paste_region_leave(struct paste_ring *r)
{
	mutex_lock(&regions_lock);
	list_del(&r->sibling);
	kref_put(&r->region->ref, region_end);
	mutex_unlock(&regions_lock);
}
