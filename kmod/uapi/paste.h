/* SPDX-License-Identifier: BSD-2-Clause OR GPL-2.0 */
/*
 * paste.h - the interface of /dev/paste (paste.ko), for the kernel and for user space.
 *
 * One open file is one ring, used by one thread (a worker).  The ring moves in-order
 * payload of attached stream sockets into named buffers of a region of the process's
 * memory, and everything for all connections with one call, PASTE_IOC_SYNC:
 *
 *      user                      shared pages                       kernel
 *   reads events      <---  EVENT    | head .. tail |  <---  payload as <buf,off,len>, ends,
 *   writes commands   --->  COMMAND  | head .. tail |  --->  sends, attach, detach, pause
 *   gives buffers     --->  RELEASE  | head .. tail |  --->  free buffers, to be filled
 *
 * RINGS.  Each is an array of a power of two of entries with two free-running 32-bit
 * indices; entry i is array[i & (entries - 1)]; empty when head == tail, full when
 * tail - head == entries.  The producer writes entries, then stores tail (release);
 * the consumer loads tail (acquire), reads entries, then stores head (release).  An
 * index is written by one side only.  The kernel keeps its own copies of those it
 * writes and never believes the shared ones: overwriting them hurts the process only.
 * It reads a user's index once, and an index that claims more than the ring holds
 * makes SYNC fail with EINVAL and moves nothing.  Rings and all that the kernel
 * trusts live in its own pages, outside the region: the region's bytes are payload
 * only, and the process may scribble on all of them.  The array of RELEASE holds
 * buffers' numbers, __u32.  The ring ends with its mapping: when that is gone (munmap,
 * exec, exit) every connection is detached, whoever still has the descriptor.
 *
 * BUFFERS.  Buffer i is the bytes [i * buf_size, (i + 1) * buf_size) of the region.  A
 * buffer is the process's (all are at first) or the kernel's.  RELEASE gives it to the
 * kernel; an event DATA that names it gives it back.  Releasing a buffer that is the
 * kernel's, or out of the ring's share [first_buf, first_buf + nbufs), is counted
 * (bad_releases) and does nothing else.  A released buffer is filled again only when
 * the network stack no longer refers to its pages either.
 *
 * CONNECTIONS are named by handles 0 .. conns_max-1 that the process chooses in ATTACH.
 * The kernel holds a reference to the file from the SYNC on that reads the ATTACH: after
 * it the descriptor may be closed.  The last event of a handle is DETACHED; then it may
 * be attached again.  Any stream socket: TCP over IPv4 and IPv6; others (AF_UNIX) are
 * read with recvmsg, that is with a copy.
 *
 * BACKPRESSURE.  What cannot be kept is not consumed: when the EVENT ring is full, no
 * buffer is free, the connection's quota is used up or it is paused, the bytes stay in
 * the socket's receive queue and TCP's window closes.  Reading goes on by itself.
 *
 * ORDER in one SYNC: RELEASE entries, COMMAND entries, packets of the source, then (if
 * there is no event yet and it may wait) sleep, then ready sockets, events.
 */
#ifndef UAPI_PASTE_H
#define UAPI_PASTE_H

#include <linux/ioctl.h>
#include <linux/types.h>

#define PASTE_DEVICE	"/dev/paste"
#define PASTE_ABI	1

enum paste_event_kind {
	PASTE_EV_DATA = 1,	/* buf, off, len: the next bytes of conn; len > 0 */
	PASTE_EV_EOF,		/* the peer sends no more; after the last DATA */
	PASTE_EV_ERR,		/* res = -errno: reading failed; no DATA, EOF or ERR after it */
	PASTE_EV_ACCEPT,	/* listener conn: accept until EAGAIN; again when more come */
	PASTE_EV_SENT,		/* a SEND group is done: res = bytes taken by the socket, in
				 * all, or -errno.  Fewer than asked for: WRITABLE follows */
	PASTE_EV_WRITABLE,	/* after a short SEND: there is room again */
	PASTE_EV_DETACHED,	/* the handle is free; nothing of it follows */
	PASTE_EV_REFUSED,	/* a command failed: len = its op, res = -errno */
	PASTE_EV_WOKEN,		/* PASTE_IOC_WAKE was called, any number of times */
};

#define PASTE_F_COPIED	1u	/* flags of DATA: copied into the buffer by the kernel, */
#define PASTE_COPY_OF(flags)	((flags) >> 8)	/* and why its first bytes were: */

enum paste_copy {
	PASTE_COPY_OTHER,	/* of another device, or put together anew by the network stack */
	PASTE_COPY_PROTOCOL,	/* not from TCP's queue: AF_UNIX, TLS, sockmap, urgent data */
	PASTE_COPY_SMALL,	/* a segment of less than PASTE_SMALL bytes */
	PASTE_COPY_UNATTACHED,	/* when it came its socket was not this ring's */
	PASTE_COPY_FLOW,	/* its connection has its part of the buffers */
	PASTE_COPY_POOL,	/* too many of the buffers are in the network stack */
	PASTE_COPY_SPARE,	/* there was no buffer: it came in one of the device's own */
	PASTE_COPY_HEADERS,	/* a VLAN tag, an IP fragment, an extension header */
	PASTE_COPY_MEMORY,	/* no memory for what a segment in place takes */
	PASTE_COPIES,
};
#define PASTE_SMALL	256u

struct paste_event {
	__u32 conn;
	union {
		__u32 buf;
		__s32 res;
	};
	__u16 off;
	__u16 len;
	__u16 kind;
	__u16 flags;
};

enum paste_op {
	PASTE_OP_SEND = 1,	/* addr, len: memory of the process, copied during SYNC; less
				 * than 2 GiB a group (EMSGSIZE) */
	PASTE_OP_ATTACH,	/* arg: descriptor of a stream socket; len: quota, buffers that
				 * its DATA may occupy at a time (0: no limit) */
	PASTE_OP_DETACH,	/* no events of conn but DETACHED after this; the socket stays */
	PASTE_OP_PAUSE,		/* no more DATA, EOF, ERR (listener: ACCEPT) until RESUME */
	PASTE_OP_RESUME,
	PASTE_OP_SHUTDOWN,	/* FIN after what was sent */
};

#define PASTE_F_MORE	1u	/* SEND: the next command is a SEND of conn too, of the same
				 * group: sent in order, one SENT for the group, and after a
				 * short one the rest of the group is dropped */
#define PASTE_F_LISTEN	2u	/* ATTACH: a listening socket */

struct paste_command {
	__u64 addr;
	__u32 len;
	__u32 conn;
	__u32 arg;
	__u16 op;
	__u16 flags;
};

/* At the start of the mapping.  Each index has a cache line of its own. */
struct paste_index {
	__u32 v;
	__u32 pad[15];
};
struct paste_shared {
	struct paste_index ev_head;	/* user */
	struct paste_index ev_tail;	/* kernel */
	struct paste_index cmd_head;	/* kernel */
	struct paste_index cmd_tail;	/* user */
	struct paste_index rel_head;	/* kernel */
	struct paste_index rel_tail;	/* user */
};

/*
 * Once per open file.  The region is pinned; a second ring of the same process with the
 * same addr, len and buf_size shares it (its share of the buffers must not overlap).
 * Errors: EINVAL what is asked for is senseless; EFAULT the region is not writable memory;
 * EBUSY set up already, or the shares overlap; ENOMEM; EPERM over RLIMIT_MEMLOCK, which
 * is the user's; EOPNOTSUPP the region is on an ordinary file.
 */
struct paste_setup {
	__u32 abi;		/* PASTE_ABI */
	__u32 buf_size;		/* 2048 or 4096 */
	__u64 addr, len;	/* of the region: addr page-aligned, len a multiple of 4096 */
	__u32 first_buf, nbufs;	/* this ring's share */
	__u32 conns_max;	/* 1 .. 1 << 20 */
	__u32 ev_entries, cmd_entries, rel_entries;	/* powers of two, 8 .. 1 << 20 */
	/* back: one mmap(fd, offset 0) of map_bytes, and where the arrays are in it */
	__u32 map_bytes;	/* MAP_SHARED, this length, this process; not inherited by fork */
	__u32 ev_off, cmd_off, rel_off;
	__u64 resv;		/* 0 */
};

/* Where packets come from.  Without it: the sockets' receive queues, filled by any NIC. */
enum paste_source_kind {
	PASTE_SOURCE_SKB = 0,
	PASTE_SOURCE_VNET = 1,	/* a network device of this module's virtio-net driver: its
				 * receive queue is filled from the ring's buffers.  Needs
				 * CAP_NET_ADMIN; ENODEV: not such a device; EBUSY: another
				 * ring has it */
};
struct paste_source {
	__u32 kind;
	__u32 ifindex;
};

struct paste_sync {
	__s64 timeout_ns;	/* 0: only look; -1: no limit */
	__u32 spin_us;		/* look this long before sleeping (busy polling) */
	__u32 flags;		/* 0 */
};

struct paste_stats {		/* of this ring since SETUP */
	__u64 syncs, sleeps;
	__u64 data_events, bytes;
	__u64 zero_copy_bytes, copied_bytes;	/* of those */
	__u64 events, commands, releases;
	__u64 bad_releases, refused;
	__u64 ring_full, no_buffer, over_quota;	/* times that reading stopped because of it */
	__u64 sends, sent_bytes, short_sends;
	__u64 src_packets, src_bytes;	/* taken from the device inside SYNC */
	__u64 src_region;		/* of those, in buffers of the region */
	__u64 src_fallback;		/* packets taken by softirq while the ring did not SYNC */
	__u64 doorbells_tx, doorbells_rx, irqs;
	__u64 buffers_kernel;		/* now: free, with the device, in the stack */
	__u64 buffers_stack;		/* now: released, but the stack still refers to them */
	__u64 connections;		/* now */
	__u64 copied_by[16];		/* of copied_bytes, by enum paste_copy */
};

#define PASTE_IOC_SETUP		_IOWR('P', 0x80, struct paste_setup)
#define PASTE_IOC_SOURCE	_IOW('P', 0x81, struct paste_source)
/* Returns the number of events that stand in the ring (0: time is over), or EINTR (a
 * signal, and no event), EBUSY (another thread is in SYNC), EPERM (another process),
 * EINVAL (an index is out of bounds), EFAULT, ENXIO (the mapping is gone). */
#define PASTE_IOC_SYNC		_IOW('P', 0x82, struct paste_sync)
#define PASTE_IOC_WAKE		_IO('P', 0x83)		/* from any thread or signal handler */
/* The struct grows at its end: the kernel writes as much as the size in the number says. */
#define PASTE_IOC_STATS		_IOR('P', 0x84, struct paste_stats)

#endif
