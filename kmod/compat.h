/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* compat.h - what differs between the kernels that the module is built for (6.1 .. ). */
#ifndef PASTE_COMPAT_H
#define PASTE_COMPAT_H

#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/timer.h>
#include <linux/uio.h>
#include <linux/version.h>
#include <linux/virtio_config.h>
#include <net/inet6_hashtables.h>
#include <net/inet_hashtables.h>
#include <net/tcp.h>

#ifdef CONFIG_HIGHMEM
#error "paste wants every page in the kernel's own mapping: a 64-bit kernel"
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
static inline void vm_flags_set(struct vm_area_struct *vma, unsigned long flags)
{
	vma->vm_flags |= flags;
}
#endif

/* Since 6.18 the look-up of sockets takes no hash table any more: it uses TCP's. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 18, 0)
#define PASTE_HASHINFO(net) (net)->ipv4.tcp_death_row.hashinfo,
#else
#define PASTE_HASHINFO(net)
#endif

static inline struct sock *paste_established4(struct net *net, __be32 saddr, __be16 sport, __be32 daddr, u16 dport,
					      int dif)
{
	return __inet_lookup_established(net, PASTE_HASHINFO(net) saddr, sport, daddr, dport, dif, 0);
}

static inline struct sock *paste_listener4(struct net *net, __be32 saddr, __be16 sport, __be32 daddr, u16 dport,
					   int dif)
{
	return __inet_lookup_listener(net, PASTE_HASHINFO(net) NULL, 0, saddr, sport, daddr, dport, dif, 0);
}

#if IS_BUILTIN(CONFIG_IPV6)
static inline struct sock *paste_established6(struct net *net, const struct in6_addr *saddr, __be16 sport,
					      const struct in6_addr *daddr, u16 dport, int dif)
{
	return __inet6_lookup_established(net, PASTE_HASHINFO(net) saddr, sport, daddr, dport, dif, 0);
}

static inline struct sock *paste_listener6(struct net *net, const struct in6_addr *saddr, __be16 sport,
					   const struct in6_addr *daddr, u16 dport, int dif)
{
	return inet6_lookup_listener(net, PASTE_HASHINFO(net) NULL, 0, saddr, sport, daddr, dport, dif, 0);
}
#endif

/* The root of the memory groups, which has no limit and is never freed.  It is found this way
 * because not every kernel exports it.  NULL: there are no groups. */
static inline struct mem_cgroup *paste_root_group(void)
{
	struct mem_cgroup *own = get_mem_cgroup_from_mm(current->mm), *g = own;

	while (g && parent_mem_cgroup(g))
		g = parent_mem_cgroup(g);
	mem_cgroup_put(own);
	return g;
}

#ifndef timer_container_of
#define timer_container_of from_timer
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
#define FIND_VQS_MAX 4
struct virtqueue_info {
	const char *name;
	vq_callback_t *callback;
};

static inline int find_vqs(struct virtio_device *dev, unsigned int n, struct virtqueue *vq[],
			   struct virtqueue_info info[])
{
	vq_callback_t *callbacks[FIND_VQS_MAX];
	const char *names[FIND_VQS_MAX];
	unsigned int i;

	if (n > FIND_VQS_MAX)
		return -EINVAL;
	for (i = 0; i < n; i++) {
		callbacks[i] = info[i].callback;
		names[i] = info[i].name;
	}
	return virtio_find_vqs(dev, n, vq, callbacks, names, NULL);
}
#else
static inline int find_vqs(struct virtio_device *dev, unsigned int n, struct virtqueue *vq[],
			   struct virtqueue_info info[])
{
	return virtio_find_vqs(dev, n, vq, info, NULL);
}
#endif

#endif
