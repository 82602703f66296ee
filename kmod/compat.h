/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* compat.h - what differs between the kernels that the module is built for (6.1 .. ). */
#ifndef PASTE_COMPAT_H
#define PASTE_COMPAT_H

#include <linux/mm.h>
#include <linux/uio.h>
#include <linux/version.h>

#ifdef CONFIG_HIGHMEM
#error "paste wants every page in the kernel's own mapping: a 64-bit kernel"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
	vma->vm_flags |= flags;
}
#endif

#endif
