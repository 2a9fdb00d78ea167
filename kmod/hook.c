// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The LOCAL_IN check (section 10): drops datagrams for NST sockets that are
 * plainly not NST before they reach a socket queue. Runs in softirq context,
 * under rcu_read_lock(). Streams are hook_stream.c's.
 */

#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <linux/netfilter_ipv6.h>
#include <linux/timekeeping.h>
#include <net/checksum.h>
#include <net/inet_sock.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>
#include <net/ipv6.h>
#include <net/route.h>

#include "check.h"
#include "compat.h"
#include "hook.h"
#include "netns.h"
#include "socket.h"

static bool nst_hook_wanted(const struct nst_net *nn,
			    enum nst_transport transport)
{
	return nst_enabled(nn) && READ_ONCE(nn->local_in_check) &&
	       atomic_read(&nn->sockets[transport]);
}

/* What fails its checksum is dropped anyway; then there is nothing to judge. */
bool nst_hook_checksum_fails(const struct sk_buff *skb, unsigned int offset,
			     unsigned int len, u8 protocol, u8 family)
{
	__wsum sum;

	if (skb_csum_unnecessary(skb))
		return false;
	/*
	 * Not nf_checksum_partial(): for IPv4 it passes the length where
	 * csum_tcpudp_nofold() wants a u8, and fails whatever is over 255.
	 */
	sum = skb_checksum(skb, offset, len, 0);
	if (family == AF_INET6)
		return csum_ipv6_magic(&ipv6_hdr(skb)->saddr,
				       &ipv6_hdr(skb)->daddr, len,
				       protocol, sum);
	return csum_tcpudp_magic(ip_hdr(skb)->saddr, ip_hdr(skb)->daddr, len,
				 protocol, sum);
}

static bool nst_udp_checksum_fails(const struct sk_buff *skb,
				   unsigned int offset,
				   const struct udphdr *uh, u8 family)
{
	if (!uh->check)
		return family == AF_INET6;
	return nst_hook_checksum_fails(skb, offset, ntohs(uh->len), IPPROTO_UDP,
				       family);
}

/* Judges the datagram whose UDP header is at @offset, for the socket @sk. */
static unsigned int nst_hook_judge(struct nst_net *nn, struct sk_buff *skb,
				   unsigned int offset, const struct udphdr *uh,
				   const struct sock *sk, u8 family)
{
	size_t len = ntohs(uh->len) - sizeof(*uh);
	enum nst_verdict verdict;
	struct nst_header hdr;
	struct nst_sock *ns;
	bool drop;

	ns = sk ? nst_sock_find(sk) : NULL;
	if (!ns || ns->transport != NST_DGRAM)
		return NF_ACCEPT;
	if (len >= sizeof(hdr) &&
	    skb_copy_bits(skb, offset + sizeof(*uh), &hdr, sizeof(hdr)))
		return NF_ACCEPT;
	verdict = nst_check_dgram(nn, &ns->rx_policy, ktime_get_real_ns(), &hdr, len);
	if (!verdict || nst_udp_checksum_fails(skb, offset, uh, family))
		return NF_ACCEPT;

	drop = READ_ONCE(nn->drop_invalid);
	nst_report_dgram(nn, NST_LOCAL_IN, verdict, !drop, skb, uh,
			 offset + sizeof(*uh));
	/* Its fate is the receive path's to decide, and to count. */
	if (!drop)
		return NF_ACCEPT;
	nst_stat_verdict(nn->stats, NST_LOCAL_IN, NST_DGRAM, verdict);
	WRITE_ONCE(ns->last_verdict, verdict);
	return NF_DROP;
}

/* The UDP header at @offset, if all of its datagram is there. */
static const struct udphdr *nst_hook_udp_header(const struct sk_buff *skb,
						unsigned int offset,
						struct udphdr *buf)
{
	const struct udphdr *uh;

	uh = skb_header_pointer(skb, offset, sizeof(*buf), buf);
	if (!uh || ntohs(uh->len) < sizeof(*uh) ||
	    ntohs(uh->len) > skb->len - offset)
		return NULL;
	return uh;
}

/* The socket that early demux or a BPF program has found already. */
static const struct sock *nst_hook_early_sk(const struct sk_buff *skb)
{
	return skb->sk && sk_fullsock(skb->sk) ? skb->sk : NULL;
}

static unsigned int nst_hook_ipv4(void *priv, struct sk_buff *skb,
				  const struct nf_hook_state *state)
{
	unsigned int offset = skb_network_offset(skb) + ip_hdrlen(skb);
	struct nst_net *nn = nst_net(state->net);
	const struct iphdr *iph = ip_hdr(skb);
	const struct rtable *rt = skb_rtable(skb);
	const struct udphdr *uh;
	const struct sock *sk;
	struct udphdr buf;

	if (ip_is_fragment(iph))
		return NF_ACCEPT;
	if (iph->protocol == IPPROTO_TCP && nst_hook_wanted(nn, NST_STREAM))
		return nst_hook_stream(nn, skb, offset, AF_INET);
	if (iph->protocol != IPPROTO_UDP || skb_is_gso(skb) ||
	    !nst_hook_wanted(nn, NST_DGRAM))
		return NF_ACCEPT;
	/* Multicast is the receive path's to count. */
	if (rt && rt->rt_flags & (RTCF_BROADCAST | RTCF_MULTICAST))
		return NF_ACCEPT;
	uh = nst_hook_udp_header(skb, offset, &buf);
	if (!uh)
		return NF_ACCEPT;

	sk = nst_hook_early_sk(skb);
	if (!sk)
		sk = __udp4_lib_lookup(state->net, iph->saddr, uh->source,
				       iph->daddr, uh->dest, inet_iif(skb),
				       inet_sdif(skb),
				       nst_udp_table(state->net), NULL);
	return nst_hook_judge(nn, skb, offset, uh, sk, AF_INET);
}

#if IS_ENABLED(CONFIG_IPV6)
static unsigned int nst_hook_ipv6(void *priv, struct sk_buff *skb,
				  const struct nf_hook_state *state)
{
	const struct ipv6hdr *ip6h = ipv6_hdr(skb);
	struct nst_net *nn = nst_net(state->net);
	unsigned int offset = 0;
	unsigned short fragoff;
	const struct udphdr *uh;
	const struct sock *sk;
	struct udphdr buf;
	int protocol, flags = 0;

	if (ipv6_addr_is_multicast(&ip6h->daddr) ||
	    (!nst_hook_wanted(nn, NST_STREAM) &&
	     !nst_hook_wanted(nn, NST_DGRAM)))
		return NF_ACCEPT;
	protocol = ipv6_find_hdr(skb, &offset, -1, &fragoff, &flags);
	if (flags & IP6_FH_F_FRAG)
		return NF_ACCEPT;
	if (protocol == IPPROTO_TCP && nst_hook_wanted(nn, NST_STREAM))
		return nst_hook_stream(nn, skb, offset, AF_INET6);
	if (protocol != IPPROTO_UDP || skb_is_gso(skb) ||
	    !nst_hook_wanted(nn, NST_DGRAM))
		return NF_ACCEPT;
	uh = nst_hook_udp_header(skb, offset, &buf);
	if (!uh)
		return NF_ACCEPT;

	sk = nst_hook_early_sk(skb);
	if (!sk)
		sk = __udp6_lib_lookup(state->net, &ip6h->saddr, uh->source,
				       &ip6h->daddr, uh->dest, inet6_iif(skb),
				       inet6_sdif(skb),
				       nst_udp_table(state->net), NULL);
	return nst_hook_judge(nn, skb, offset, uh, sk, AF_INET6);
}
#endif

static const struct nf_hook_ops nst_hooks[] = {
	{
		.hook		= nst_hook_ipv4,
		.pf		= NFPROTO_IPV4,
		.hooknum	= NF_INET_LOCAL_IN,
		.priority	= NF_IP_PRI_LAST,
	},
#if IS_ENABLED(CONFIG_IPV6)
	{
		.hook		= nst_hook_ipv6,
		.pf		= NFPROTO_IPV6,
		.hooknum	= NF_INET_LOCAL_IN,
		.priority	= NF_IP6_PRI_LAST,
	},
#endif
};

int nst_hook_register(struct net *net)
{
	return nf_register_net_hooks(net, nst_hooks, ARRAY_SIZE(nst_hooks));
}

void nst_hook_unregister(struct net *net)
{
	nf_unregister_net_hooks(net, nst_hooks, ARRAY_SIZE(nst_hooks));
}
