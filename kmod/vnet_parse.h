/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * vnet_parse.h - where the payload of a TCP segment lies in an Ethernet frame.
 *
 * This needs no kernel headers, so that the tests can compile it in user space.
 * It works on a copy of the frame's first bytes, because the frame itself lies in memory that
 * the process may change at any time.  Whatever is not plainly a TCP segment with payload and
 * complete headers (a VLAN tag, a fragment, an extension header, a length that does not
 * fit) is refused, which is no error: such a frame is copied, and the stack judges it.
 */
#ifndef PASTE_VNET_PARSE_H
#define PASTE_VNET_PARSE_H

enum {
	VNET_ETH = 14,
	VNET_HEAD = VNET_ETH + 60 + 60,		/* the longest headers that are possible */
	VNET_TCP = 6,
};

static inline unsigned int vnet_be16(const unsigned char *p)
{
	return p[0] << 8 | p[1];
}

/* The offset of the TCP header, and in *end that of the byte behind the IP packet; 0: no such. */
static inline unsigned int vnet_ip(const unsigned char *h, unsigned int have, unsigned int *end)
{
	const unsigned char *ip = h + VNET_ETH;
	unsigned int ihl;

	if (have < VNET_ETH + 20)
		return 0;
	switch (vnet_be16(h + 12)) {
	case 0x0800:
		ihl = (ip[0] & 15) * 4;
		/* The mask: more fragments follow, or this is not the first one. */
		if (ip[0] >> 4 != 4 || ihl < 20 || vnet_be16(ip + 6) & 0x3fff || ip[9] != VNET_TCP)
			return 0;
		*end = VNET_ETH + vnet_be16(ip + 2);
		return VNET_ETH + ihl;
	case 0x86dd:
		if (have < VNET_ETH + 40 || ip[0] >> 4 != 6 || ip[6] != VNET_TCP)
			return 0;
		*end = VNET_ETH + 40 + vnet_be16(ip + 4);
		return VNET_ETH + 40;
	default:
		return 0;
	}
}

/*
 * h: the first `have` bytes of a frame of `len` bytes, have >= min(len, VNET_HEAD).
 * Returns the length of all headers, and in *end the offset of the byte behind the
 * payload (what follows is padding); 0: not a TCP segment with payload.
 */
static inline unsigned int vnet_tcp_payload(const unsigned char *h, unsigned int have, unsigned int len,
					    unsigned int *end)
{
	unsigned int tcp = vnet_ip(h, have, end), payload;

	if (!tcp || *end > len || have < tcp + 20)
		return 0;
	payload = tcp + (h[tcp + 12] >> 4) * 4;
	if (payload < tcp + 20 || payload > have || payload >= *end)
		return 0;
	return payload;
}

#endif
