// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Telling of rejected records: to the kernel log, if net.nst.log_rejects is on, and to
 * netlink listeners. Runs in any context but hard interrupts, costs next to nothing when
 * nobody listens, and is bounded in rate when somebody does.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/jiffies.h>
#include <linux/net.h>
#include <linux/udp.h>
#include <net/inet_sock.h>
#include <net/ipv6.h>

#include "genl.h"
#include "netns.h"
#include "report.h"
#include "socket.h"

static bool nst_report_wanted(const struct nst_net *nn)
{
	return READ_ONCE(nn->log_rejects) || nst_netlink_listened(nn->net);
}

/* Whether another report may leave; then *@lost did not since the last. */
static bool nst_report_allowed(struct nst_report_limit *limit, u32 *lost)
{
	unsigned long now = jiffies;
	bool allowed;

	spin_lock_bh(&limit->lock);
	if (!time_in_range(now, limit->second, limit->second + HZ - 1)) {
		limit->second = now;
		limit->sent = 0;
	}
	allowed = limit->sent < NST_REPORTS_PER_SECOND;
	if (allowed) {
		limit->sent++;
		*lost = limit->lost;
		limit->lost = 0;
	} else if (limit->lost < U32_MAX) {
		limit->lost++;
	}
	spin_unlock_bh(&limit->lock);
	return allowed;
}

static void nst_report(struct nst_net *nn, const struct nst_reject *reject)
{
	u32 lost;

	if (READ_ONCE(nn->log_rejects))
		net_info_ratelimited("%s from %pISpc to %pISpc %s %s: %s\n",
				     reject->transport == NST_DGRAM ?
				     "datagram" : "stream",
				     &reject->src, &reject->dst,
				     reject->passed ? "fails" : "rejected in",
				     reject->where == NST_LOCAL_IN ?
				     "LOCAL_IN" : "the receive path",
				     nst_verdict_names[reject->verdict]);
	if (nst_netlink_listened(nn->net) &&
	    nst_report_allowed(&nn->report_limit, &lost))
		nst_netlink_report(nn->net, reject, lost);
}

static void nst_report_addr4(union nst_addr *to, __be32 addr, __be16 port)
{
	to->in = (struct sockaddr_in){
		.sin_family = AF_INET,
		.sin_addr.s_addr = addr,
		.sin_port = port,
	};
}

static void nst_report_addr6(union nst_addr *to, const struct in6_addr *addr,
			     __be16 port)
{
	to->in6 = (struct sockaddr_in6){
		.sin6_family = AF_INET6,
		.sin6_addr = *addr,
		.sin6_port = port,
	};
}

static void nst_report_copy(const struct sk_buff *skb, unsigned int payload,
			    struct nst_reject *reject)
{
	reject->header_len = min_t(size_t, skb->len - payload,
				   sizeof(reject->header));
	if (skb_copy_bits(skb, payload, reject->header, reject->header_len))
		reject->header_len = 0;
}

/**
 * nst_report_dgram() - report a datagram
 * @nn: the namespace
 * @where: who judged it
 * @verdict: not OK
 * @passed: whether it was let through all the same
 * @skb: the packet, with its network header
 * @uh: its UDP header
 * @payload: the UDP payload's offset in @skb
 */
void nst_report_dgram(struct nst_net *nn, enum nst_stat_where where,
		      enum nst_verdict verdict, bool passed,
		      const struct sk_buff *skb, const struct udphdr *uh,
		      unsigned int payload)
{
	struct nst_reject reject = {
		.verdict = verdict,
		.transport = NST_DGRAM,
		.where = where,
		.passed = passed,
	};

	if (!nst_report_wanted(nn))
		return;
	if (skb->protocol == htons(ETH_P_IPV6)) {
		nst_report_addr6(&reject.src, &ipv6_hdr(skb)->saddr, uh->source);
		nst_report_addr6(&reject.dst, &ipv6_hdr(skb)->daddr, uh->dest);
	} else {
		nst_report_addr4(&reject.src, ip_hdr(skb)->saddr, uh->source);
		nst_report_addr4(&reject.dst, ip_hdr(skb)->daddr, uh->dest);
	}
	nst_report_copy(skb, payload, &reject);
	nst_report(nn, &reject);
}

static void nst_report_ends(const struct sock *sk, struct nst_reject *reject)
{
	const struct inet_sock *inet = inet_sk(sk);

#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6) {
		nst_report_addr6(&reject->src, &sk->sk_v6_daddr,
				 inet->inet_dport);
		nst_report_addr6(&reject->dst, &sk->sk_v6_rcv_saddr,
				 inet->inet_sport);
		return;
	}
#endif
	nst_report_addr4(&reject->src, inet->inet_daddr, inet->inet_dport);
	nst_report_addr4(&reject->dst, inet->inet_rcv_saddr, inet->inet_sport);
}

/**
 * nst_report_segment() - report a segment that was dropped in LOCAL_IN
 * @nn: the namespace
 * @verdict: not OK
 * @sk: the TCP socket
 * @skb: the packet
 * @payload: the TCP payload's offset in @skb
 */
void nst_report_segment(struct nst_net *nn, enum nst_verdict verdict,
			const struct sock *sk, const struct sk_buff *skb,
			unsigned int payload)
{
	struct nst_reject reject = {
		.verdict = verdict,
		.transport = NST_STREAM,
		.where = NST_LOCAL_IN,
	};

	if (!nst_report_wanted(nn))
		return;
	nst_report_ends(sk, &reject);
	nst_report_copy(skb, payload, &reject);
	nst_report(nn, &reject);
}

/* Reports the record that @ns has come to. Under rx_lock. */
void nst_report_stream(struct nst_sock *ns, enum nst_verdict verdict)
{
	struct nst_reject reject = {
		.verdict = verdict,
		.transport = NST_STREAM,
		.where = NST_RECEIVE_PATH,
	};

	if (!nst_report_wanted(ns->nn))
		return;
	nst_report_ends(ns->sk, &reject);
	reject.header_len = min(ns->stream.rx.received, sizeof(reject.header));
	memcpy(reject.header, &ns->stream.rx.hdr, reject.header_len);
	nst_report(ns->nn, &reject);
}
