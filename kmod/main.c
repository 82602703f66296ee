// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * main.c - /dev/paste: an open file is a ring.
 *
 * A ring ends in two ways: with the last close, and with the end of its mapping.  A file
 * can be kept from its last close for ever (it is sent over a Unix socket that the ring
 * itself holds), and with it all that it holds.  But a mapping ends with the process at the
 * latest, and ends the source, the connections and the pins.  A ring that was never mapped
 * has nothing but its pins, which count against its user.
 */
#include <linux/capability.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/nsproxy.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <linux/vmalloc.h>
#include <net/net_namespace.h>

#include "core.h"

#define CONNS_MAX (1u << 20)

/* ---- life ---- */

static void paste_drop_source(struct paste_ring *r)
{
	if (!r->source)
		return;
	r->source->detach(r);
	r->source = NULL;
}

/* A queue of its own: the work may have to wait for a SETUP that hangs in a page fault. */
static struct workqueue_struct *ends;

static void paste_leave_region(struct paste_ring *r)
{
	if (!r->region || r->left)
		return;
	r->left = true;
	paste_region_leave(r, r->region);
}

/* The mapping is gone.  This is done in a work because paste_map_close() may be called with a lock
 * that SYNC takes. */
static void paste_end_work(struct work_struct *work)
{
	struct paste_ring *r = container_of(work, struct paste_ring, end_work);

	mutex_lock(&r->mutex);
	paste_drop_source(r);
	paste_conns_detach_all(r);
	paste_leave_region(r);
	mutex_unlock(&r->mutex);
}

static int paste_open(struct inode *inode, struct file *file)
{
	struct paste_ring *r = kzalloc(sizeof(*r), GFP_KERNEL_ACCOUNT);

	if (!r)
		return -ENOMEM;
	mutex_init(&r->mutex);
	spin_lock_init(&r->lock);
	spin_lock_init(&r->buf_lock);
	INIT_LIST_HEAD(&r->ready);
	INIT_LIST_HEAD(&r->stalled);
	INIT_LIST_HEAD(&r->stack);
	INIT_LIST_HEAD(&r->named);
	__skb_queue_head_init(&r->tags);
	init_waitqueue_head(&r->wait);
	INIT_WORK(&r->end_work, paste_end_work);
	file->private_data = r;
	return stream_open(inode, file);
}

static void paste_free_arrays(struct paste_ring *r)
{
	paste_bufs_exit(r);
	paste_flows_exit(r);
	kvfree(r->conns);
	vfree(r->shared);
	r->conns = NULL;
	r->shared = NULL;
	paste_uncharge(&r->charge);
}

static int paste_release(struct inode *inode, struct file *file)
{
	struct paste_ring *r = file->private_data;

	cancel_work_sync(&r->end_work);
	paste_drop_source(r);
	paste_conns_detach_all(r);
	paste_leave_region(r);
	paste_free_arrays(r);
	if (r->mm)
		mmdrop(r->mm);
	kfree(r);
	return 0;
}

/* ---- SETUP ---- */

/* The arrays are charged to the user before they are allocated, and to the memory group as well. */
static int paste_alloc_arrays(struct paste_ring *r, struct paste_setup *s)
{
	struct paste_layout l = paste_lay_out(s->ev_entries, s->cmd_entries, s->rel_entries);
	u64 own = (u64)s->conns_max * 2 * sizeof(void *) + (u64)s->nbufs * (sizeof(*r->bufs) + sizeof(*r->free));
	int err;

	r->map_bytes = s->map_bytes = PAGE_ALIGN(l.bytes);
	err = paste_charge(&r->charge, (r->map_bytes + PAGE_ALIGN(own)) >> PAGE_SHIFT);
	if (err)
		return err;
	s->ev_off = l.ev_off;
	s->cmd_off = l.cmd_off;
	s->rel_off = l.rel_off;
	r->shared = __vmalloc(s->map_bytes, GFP_KERNEL_ACCOUNT | __GFP_ZERO | __GFP_NOWARN);
	r->conns = kvcalloc(s->conns_max, sizeof(*r->conns), GFP_KERNEL_ACCOUNT | __GFP_NOWARN);
	if (!r->shared || !r->conns)
		return -ENOMEM;
	r->events = (void *)r->shared + l.ev_off;
	r->commands = (void *)r->shared + l.cmd_off;
	r->releases = (void *)r->shared + l.rel_off;
	r->ev = (struct paste_out){ .entries = s->ev_entries };
	r->cmd = (struct paste_in){ .entries = s->cmd_entries };
	r->rel = (struct paste_in){ .entries = s->rel_entries };
	r->conns_max = s->conns_max;
	r->first_buf = s->first_buf;
	r->nbufs = s->nbufs;
	return paste_flows_init(r) ?: paste_bufs_init(r);
}

static int paste_setup_locked(struct paste_ring *r, struct paste_setup *s)
{
	struct paste_region *g;
	int err;

	if (r->region)
		return -EBUSY;
	err = paste_region_check(s);
	if (err)
		return err;
	/* The buffers come first: without them no arrays of that size are allocated. */
	g = paste_region_join(r, s);
	if (IS_ERR(g))
		return PTR_ERR(g);
	err = paste_alloc_arrays(r, s);
	if (err) {
		paste_free_arrays(r);
		paste_region_leave(r, g);
		return err;
	}
	r->mm = g->mm;
	mmgrab(r->mm);
	/* Release: a thread that sees the region sees a complete ring. */
	smp_store_release(&r->region, g);
	return 0;
}

static long paste_setup(struct paste_ring *r, struct paste_setup __user *arg)
{
	struct paste_setup s;
	int err;

	if (copy_from_user(&s, arg, sizeof(s)))
		return -EFAULT;
	if (s.abi != PASTE_ABI || s.resv || !s.conns_max || s.conns_max > CONNS_MAX ||
	    !paste_entries_ok(s.ev_entries) || !paste_entries_ok(s.cmd_entries) || !paste_entries_ok(s.rel_entries))
		return -EINVAL;
	if (mutex_lock_interruptible(&r->mutex))
		return -EINTR;
	err = paste_setup_locked(r, &s);
	mutex_unlock(&r->mutex);
	if (!err && copy_to_user(arg, &s, sizeof(s)))
		return -EFAULT;
	return err;
}

/* ---- SOURCE ---- */

static int paste_source_locked(struct paste_ring *r, const struct paste_source *s)
{
	const struct paste_source_ops *ops = NULL;
	int err;

#ifdef PASTE_HAVE_VNET
	if (s->kind == PASTE_SOURCE_VNET)
		ops = &paste_src_vnet;
#endif
	if (s->kind != PASTE_SOURCE_SKB && !ops)
		return -ENODEV;
	if (r->dead)
		return -ENXIO;
	if (ops && r->source)
		return -EBUSY;
	if (!ops) {
		paste_drop_source(r);
		return 0;
	}
	err = ops->attach(r, s->ifindex);
	if (!err)
		r->source = ops;
	return err;
}

static long paste_source(struct paste_ring *r, const struct paste_source __user *arg)
{
	struct paste_source s;
	int err;

	if (copy_from_user(&s, arg, sizeof(s)))
		return -EFAULT;
	if (s.kind > PASTE_SOURCE_VNET)
		return -EINVAL;
	/* The process sees every packet of the device, and can forge packets. */
	if (s.kind != PASTE_SOURCE_SKB && !ns_capable(current->nsproxy->net_ns->user_ns, CAP_NET_ADMIN))
		return -EPERM;
	if (!mutex_trylock(&r->mutex))
		return -EBUSY;
	err = paste_source_locked(r, &s);
	mutex_unlock(&r->mutex);
	return err;
}

void *paste_source_data(struct paste_ring *r)
{
	return r->source_data;
}

void paste_source_set_data(struct paste_ring *r, void *data)
{
	r->source_data = data;
}

struct paste_stats *paste_ring_stats(struct paste_ring *r)
{
	return &r->stats;
}

/* ---- the other calls ---- */

/* size: of the process's struct, which an older or newer program has in another size. */
static long paste_stats(struct paste_ring *r, void __user *arg, unsigned int size)
{
	struct paste_stats s = r->stats;	/* SYNC may be counting: this need not be exact */

	s.buffers_kernel = READ_ONCE(r->nkernel);
	s.buffers_stack = READ_ONCE(r->nstack);
	if (copy_to_user(arg, &s, min_t(size_t, size, sizeof(s))))
		return -EFAULT;
	if (size > sizeof(s) && clear_user(arg + sizeof(s), size - sizeof(s)))
		return -EFAULT;
	return 0;
}

static long paste_sync(struct paste_ring *r, const struct paste_sync __user *arg)
{
	struct paste_sync a;

	if (copy_from_user(&a, arg, sizeof(a)))
		return -EFAULT;
	/* The region, the memory of SEND and the descriptors of ATTACH belong to that process. */
	if (current->mm != r->mm)
		return -EPERM;
	return paste_ring_sync(r, &a);
}

static long paste_wake(struct paste_ring *r)
{
	WRITE_ONCE(r->woken, true);
	wake_up_poll(&r->wait, EPOLLIN | EPOLLRDNORM);
	return 0;
}

static long paste_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	struct paste_ring *r = file->private_data;
	void __user *at = (void __user *)arg;

	if (cmd == PASTE_IOC_SETUP)
		return paste_setup(r, at);
	if (!smp_load_acquire(&r->region))
		return -EINVAL;
	switch (cmd) {
	case PASTE_IOC_SYNC:
		return paste_sync(r, at);
	case PASTE_IOC_WAKE:
		return paste_wake(r);
	case PASTE_IOC_SOURCE:
		return paste_source(r, at);
	}
	if (_IOC(_IOC_READ, _IOC_TYPE(cmd), _IOC_NR(cmd), sizeof(struct paste_stats)) == PASTE_IOC_STATS &&
	    _IOC_DIR(cmd) == _IOC_READ)
		return paste_stats(r, at, _IOC_SIZE(cmd));
	return -ENOTTY;
}

static __poll_t paste_poll(struct file *file, poll_table *pt)
{
	struct paste_ring *r = file->private_data;
	u32 head;

	poll_wait(file, &r->wait, pt);
	if (!smp_load_acquire(&r->region) || READ_ONCE(r->dead))
		return EPOLLERR;
	head = READ_ONCE(r->shared->ev_head.v);
	if (READ_ONCE(r->ev.tail) != head || !list_empty(&r->ready) || READ_ONCE(r->woken) || READ_ONCE(r->kicked))
		return EPOLLIN | EPOLLRDNORM;
	/* There are buffers now for connections that stalled for want of them. */
	if (!list_empty(&r->stalled) &&
	    (READ_ONCE(r->nfree) || READ_ONCE(r->shared->rel_tail.v) != READ_ONCE(r->rel.head)))
		return EPOLLIN | EPOLLRDNORM;
	return 0;
}

/* ---- the mapping ---- */

static void paste_map_open(struct vm_area_struct *vma)
{
	struct paste_ring *r = vma->vm_private_data;

	atomic_inc(&r->maps);
}

static void paste_map_close(struct vm_area_struct *vma)
{
	struct paste_ring *r = vma->vm_private_data;

	if (!atomic_dec_and_test(&r->maps))
		return;
	WRITE_ONCE(r->dead, true);
	wake_up_poll(&r->wait, EPOLLIN | EPOLLERR);
	queue_work(ends, &r->end_work);
}

static const struct vm_operations_struct map_ops = {
	.open = paste_map_open,
	.close = paste_map_close,
};

/* Maps page by page, because the array is no vmalloc_user(), which charges no memory group. */
static int paste_map_pages(struct vm_area_struct *vma, void *from)
{
	int err = 0;

	for (unsigned long at = vma->vm_start; !err && at < vma->vm_end; at += PAGE_SIZE, from += PAGE_SIZE)
		err = vm_insert_page(vma, at, vmalloc_to_page(from));
	return err;
}

static int paste_mmap(struct file *file, struct vm_area_struct *vma)
{
	struct paste_ring *r = file->private_data;
	int err;

	if (!smp_load_acquire(&r->region))
		return -EINVAL;
	if (vma->vm_mm != r->mm)
		return -EPERM;
	if (READ_ONCE(r->dead))
		return -ENXIO;
	if (!(vma->vm_flags & VM_SHARED) || vma->vm_pgoff || vma->vm_end - vma->vm_start != r->map_bytes)
		return -EINVAL;
	/* Without VM_IO, madvise(MADV_DOFORK) could undo VM_DONTCOPY. */
	vm_flags_set(vma, VM_DONTCOPY | VM_DONTEXPAND | VM_DONTDUMP | VM_IO);
	err = paste_map_pages(vma, r->shared);
	if (err)
		return err;
	vma->vm_ops = &map_ops;
	vma->vm_private_data = r;
	paste_map_open(vma);
	return 0;
}

static const struct file_operations paste_fops = {
	.owner		= THIS_MODULE,
	.open		= paste_open,
	.release	= paste_release,
	.unlocked_ioctl	= paste_ioctl,
	.compat_ioctl	= compat_ptr_ioctl,
	.mmap		= paste_mmap,
	.poll		= paste_poll,
};

static struct miscdevice paste_misc = {
	.minor	= MISC_DYNAMIC_MINOR,
	.name	= "paste",
	.fops	= &paste_fops,
	.mode	= 0600,
};

/* ---- the module ---- */

#ifndef PASTE_HAVE_VNET
int paste_vnet_init(void)
{
	return 0;
}

void paste_vnet_exit(void)
{
}
#endif

static int __init paste_init(void)
{
	int err;

	ends = alloc_workqueue("paste", WQ_UNBOUND, 0);
	if (!ends)
		return -ENOMEM;
	err = paste_conns_init();
	if (err)
		goto queue;
	err = paste_vnet_init();
	if (err)
		goto conns;
	err = misc_register(&paste_misc);
	if (err)
		goto vnet;
	return 0;
vnet:
	paste_vnet_exit();
conns:
	paste_conns_exit();
queue:
	destroy_workqueue(ends);
	return err;
}

static void __exit paste_exit(void)
{
	misc_deregister(&paste_misc);
	paste_vnet_exit();
	paste_conns_exit();
	destroy_workqueue(ends);
}

module_init(paste_init);
module_exit(paste_exit);
MODULE_DESCRIPTION("Payload of stream sockets into named buffers of a process");
MODULE_LICENSE("Dual BSD/GPL");
