// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * region.c - pinned memory of a process, and which page of it a given page is.
 *
 * A pin keeps the pages, not the mapping: after munmap or truncate the kernel writes into
 * pages that nobody sees, which does no harm.  A pin lasts as long as the ring, so it is a
 * long-term pin, for which the kernel first moves pages to where they may stay.  Only on a
 * file with DAX it is not, as the kernel refuses that: there the pages are the storage of
 * the file, and a truncation waits.
 *
 * Pages of an ordinary file are refused: its file system writes them back, marks them clean
 * and may forget them, and does not notice what a device writes after that.
 *
 * No lock is held while pages are pinned, because a page fault may last for ever (FUSE,
 * userfaultfd: a process has to supply the page).  So two threads may make the same region,
 * and the second one is dropped again.
 */
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/dax.h>
#include <linux/magic.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/slab.h>

#include "core.h"

#define CHUNK 64	/* pages */

static DEFINE_MUTEX(regions_lock);
static LIST_HEAD(regions);

/* ---- charging ---- */

/*
 * To be called before memory is taken.  Pages that cannot be swapped out count against the
 * user, as those of io_uring do: a limit per process would be none for one that forks.
 */
int paste_charge(struct paste_charge *c, u64 pages)
{
	unsigned long limit = rlimit(RLIMIT_MEMLOCK) >> PAGE_SHIFT;
	const struct cred *cred = get_current_cred();	/* holds the user, without free_uid() */
	atomic_long_t *locked = &cred->user->locked_vm;

	if (pages > LONG_MAX / 4)
		goto no;
	if ((unsigned long)atomic_long_add_return((long)pages, locked) > limit && !capable(CAP_IPC_LOCK)) {
		atomic_long_sub((long)pages, locked);
		goto no;
	}
	*c = (struct paste_charge){ cred, (long)pages };
	return 0;
no:
	put_cred(cred);
	return -EPERM;
}

void paste_uncharge(struct paste_charge *c)
{
	if (!c->cred)
		return;
	atomic_long_sub(c->pages, &c->cred->user->locked_vm);
	put_cred(c->cred);
	c->cred = NULL;
}

/* ---- pins ---- */

static void region_unpin(struct paste_region *g, unsigned long n)
{
	/* The pages are marked dirty, as payload was written past the page tables. */
	while (n) {
		unsigned long k = min_t(unsigned long, n, CHUNK);

		n -= k;
		unpin_user_pages_dirty_lock(g->pages + n, k, true);
		cond_resched();
	}
}

/* The flags to pin pages of this mapping with.  A private mapping has pages of its own. */
static int region_pins_of(const struct vm_area_struct *vma)
{
	unsigned long fs;

	if (vma_is_fsdax((struct vm_area_struct *)vma))
		return FOLL_WRITE;
	if (!vma->vm_file || !(vma->vm_flags & VM_SHARED) || vma_is_dax(vma))
		return FOLL_WRITE | FOLL_LONGTERM;
	fs = file_inode(vma->vm_file)->i_sb->s_magic;
	return fs == TMPFS_MAGIC || fs == HUGETLBFS_MAGIC ? FOLL_WRITE | FOLL_LONGTERM : -EOPNOTSUPP;
}

/* The flags for all mappings in the range.  A process that changes its mappings after this look
 * gains nothing by it. */
static int region_choose_pins(u64 addr, u64 len)
{
	int gup = FOLL_WRITE | FOLL_LONGTERM, one;
	struct vm_area_struct *vma;
	u64 end = addr + len;

	if (mmap_read_lock_killable(current->mm))
		return -EINTR;
	while (gup > 0 && addr < end) {
		vma = find_vma(current->mm, addr);
		one = vma && vma->vm_start <= addr ? region_pins_of(vma) : -EFAULT;
		gup = one < 0 ? one : gup & one;
		addr = vma ? vma->vm_end : end;
	}
	mmap_read_unlock(current->mm);
	return gup;
}

static int region_pin_some(u64 addr, unsigned long n, struct page **pages, int gup)
{
	int got = pin_user_pages_fast(addr, n, gup, pages);

	if (fatal_signal_pending(current)) {
		if (got > 0)
			unpin_user_pages(pages, got);
		return -EINTR;
	}
	cond_resched();
	return got ? got : -EFAULT;
}

static int region_pin(struct paste_region *g)
{
	unsigned long done = 0;

	while (done < g->npages) {
		int n = region_pin_some(g->addr + done * PAGE_SIZE, min_t(unsigned long, g->npages - done, CHUNK),
					g->pages + done, g->gup);

		if (n < 0) {
			region_unpin(g, done);
			return n == -EINTR || n == -ENOMEM ? n : -EFAULT;
		}
		done += n;
	}
	return 0;
}

/* A page that is mapped twice is refused, because two buffers would be in one place. */
static int region_index_pages(struct paste_region *g)
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
	paste_uncharge(&g->charge);
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
	g->gup = region_choose_pins(g->addr, s->len);
	err = g->gup < 0 ? g->gup : paste_charge(&g->charge, g->npages);
	if (err)
		goto free;
	err = -ENOMEM;
	g->pages = kvmalloc_array(g->npages, sizeof(*g->pages), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!g->pages)
		goto free;
	err = region_pin(g);
	if (err)
		goto free;
	err = region_index_pages(g);
	if (err)
		goto unpin;
	atomic64_add(g->npages, &g->mm->pinned_vm);
	return g;
unpin:
	region_unpin(g, g->npages);
free:
	region_free(g);
	return ERR_PTR(err);
}

/* Frees a region that region_find() does not find any more. */
static void region_end(struct paste_region *g)
{
	region_unpin(g, g->npages);
	atomic64_sub(g->npages, &g->mm->pinned_vm);
	region_free(g);
}

/* Checks that the region's pages are still mapped where they were. */
static int region_still_there(const struct paste_region *g)
{
	struct page *now[CHUNK];

	for (unsigned long done = 0; done < g->npages; ) {
		int n = region_pin_some(g->addr + done * PAGE_SIZE, min_t(unsigned long, g->npages - done, CHUNK),
					now, g->gup);
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

/* Returns the region of s with a reference, or NULL.  Under regions_lock. */
static struct paste_region *region_find(const struct paste_setup *s)
{
	struct paste_region *g;

	list_for_each_entry(g, &regions, link) {
		if (g->mm != current->mm || g->addr != s->addr || g->len != s->len || g->buf_size != s->buf_size)
			continue;
		kref_get(&g->ref);
		return g;
	}
	return NULL;
}

static void region_unlink(struct kref *ref)
{
	struct paste_region *g = container_of(ref, struct paste_region, ref);

	list_del(&g->link);
	mutex_unlock(&regions_lock);
	region_end(g);
}

static void region_put(struct paste_region *g)
{
	kref_put_mutex(&g->ref, region_unlink, &regions_lock);
}

/* Returns the region of s, which is made if there is none; another thread may do so meanwhile. */
static struct paste_region *region_get(const struct paste_setup *s)
{
	struct paste_region *g, *made = NULL;
	int err;

	mutex_lock(&regions_lock);
	g = region_find(s);
	mutex_unlock(&regions_lock);
	if (!g) {
		made = region_new(s);
		if (IS_ERR(made))
			return made;
		mutex_lock(&regions_lock);
		g = region_find(s);
		if (!g)
			list_add(&made->link, &regions);
		mutex_unlock(&regions_lock);
		if (!g)
			return made;
		region_end(made);
	}
	err = region_still_there(g);
	if (!err)
		return g;
	region_put(g);
	return ERR_PTR(err);
}

static bool region_overlaps(const struct paste_region *g, u32 first, u32 n)
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
	/* A buffer's number has 32 bits, and PASTE_NO_BUF must not be one. */
	if (n >= S32_MAX || !s->nbufs || s->nbufs > n || s->first_buf > n - s->nbufs)
		return -EINVAL;
	return 0;
}

/* Gives the ring its share of the region, until paste_region_leave(); s was checked before. */
struct paste_region *paste_region_join(struct paste_ring *r, const struct paste_setup *s)
{
	struct paste_region *g = region_get(s);
	bool taken;

	if (IS_ERR(g))
		return g;
	mutex_lock(&regions_lock);
	taken = region_overlaps(g, s->first_buf, s->nbufs);
	if (!taken)
		list_add(&r->sibling, &g->rings);
	mutex_unlock(&regions_lock);
	if (!taken)
		return g;
	region_put(g);
	return ERR_PTR(-EBUSY);
}

void paste_region_leave(struct paste_ring *r, struct paste_region *g)
{
	mutex_lock(&regions_lock);
	list_del(&r->sibling);
	mutex_unlock(&regions_lock);
	region_put(g);
}
