// SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause
/*
 * vnet_sock.c - finds the socket that the stack will give a segment to.
 *
 * The socket is looked up as the stack would do it a moment later.  It is handed on with
 * the packet, as one that a BPF program chooses is (bpf_sk_assign()), together with the
 * route that the socket remembers, as "early demux" does: so the stack looks up neither
 * again.  If something may send the packet elsewhere on its way (a bridge, a VRF, another
 * host's address), the answer is that there is no socket, and the packet is copied.
 *
 * Until a connection is established and accepted, there is no socket that could be
 * attached.  The owner of the listener will own it, so the answer is the listener.
 */
#include <linux/netdevice.h>
#include <net/inet6_hashtables.h>
#include <net/inet_hashtables.h>
#include <net/tcp.h>

#include "compat.h"
#include "vnet.h"
#include "vnet_parse.h"

struct ends {
	const u8 *ip;			/* the IP header */
	bool v6;
	__be16 sport;
	u16 dport;
	int dif;
};

static struct sock *established(struct net *net, const struct ends *e)
{
	if (!e->v6) {
		const struct iphdr *h = (const struct iphdr *)e->ip;

		return paste_established4(net, h->saddr, e->sport, h->daddr, e->dport, e->dif);
	}
#if IS_BUILTIN(CONFIG_IPV6)
	return paste_established6(net, &((const struct ipv6hdr *)e->ip)->saddr, e->sport,
				  &((const struct ipv6hdr *)e->ip)->daddr, e->dport, e->dif);
#else
	return NULL;
#endif
}

/* No reference: a listener is freed after a grace period of RCU. */
static struct sock *listener(struct net *net, const struct ends *e)
{
	if (!e->v6) {
		const struct iphdr *h = (const struct iphdr *)e->ip;

		return paste_listener4(net, h->saddr, e->sport, h->daddr, e->dport, e->dif);
	}
#if IS_BUILTIN(CONFIG_IPV6)
	return paste_listener6(net, &((const struct ipv6hdr *)e->ip)->saddr, e->sport,
			       &((const struct ipv6hdr *)e->ip)->daddr, e->dport, e->dif);
#else
	return NULL;
#endif
}

/*
 * h: a copy of the frame's headers, in which vnet_tcp_payload() found a segment.  skb: the
 * packet after vnet_judge().  Under rcu_read_lock().  NULL: no socket gets it.  Otherwise
 * s->sk is set, and the caller hands the returned socket on or puts it.
 */
struct sock *vnet_sock_find(struct vnet *v, const struct sk_buff *skb, const u8 *h, struct paste_segment *s)
{
	const struct net_device *dev = v->dev;
	struct ends e = { .ip = h + VNET_ETH, .v6 = h[12] == 0x86, .dif = dev->ifindex };
	const struct tcphdr *tcp = (const struct tcphdr *)(e.ip + (e.v6 ? 40 : (e.ip[0] & 15) * 4));
	struct net *net = dev_net(dev);
	struct sock *sk;

	if (skb->pkt_type != PACKET_HOST || rcu_access_pointer(dev->rx_handler) || netif_is_l3_slave(dev))
		return NULL;
	e.sport = tcp->source;
	e.dport = ntohs(tcp->dest);
	s->seq = ntohl(tcp->seq);
	sk = established(net, &e);
	if (!sk)
		return NULL;
	s->sk = sk;
	if (sk->sk_state == TCP_NEW_SYN_RECV)
		s->sk = inet_reqsk(sk)->rsk_listener;
	else if (sk_fullsock(sk) && !READ_ONCE(sk->sk_socket))
		s->sk = listener(net, &e);
	if (s->sk)
		return sk;
	sock_gen_put(sk);
	return NULL;
}

/* Attaches the socket and its route to the packet; puts the socket if there is no valid route. */
void vnet_sock_hand_on(struct sk_buff *skb, struct sock *sk)
{
	struct dst_entry *dst = NULL;

	if (sk_fullsock(sk) && sk->sk_state != TCP_LISTEN && sk_is_refcounted(sk) &&
	    READ_ONCE(sk->sk_rx_dst_ifindex) == skb->dev->ifindex)
		dst = rcu_dereference(sk->sk_rx_dst);
	if (dst)
		dst = dst_check(dst, READ_ONCE(sk->sk_rx_dst_cookie));
	if (!dst || !dst_hold_safe(dst)) {
		sock_gen_put(sk);
		return;
	}
	skb_dst_set(skb, dst);
	skb->sk = sk;
	skb->destructor = sock_pfree;
}
