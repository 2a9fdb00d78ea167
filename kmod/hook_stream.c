// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The LOCAL_IN check of streams (section 10): a segment that begins a connection and
 * is plainly not NST never gets to its socket, and the connection is reset.
 */

#include <linux/netfilter.h>
#include <linux/slab.h>
#include <linux/workqueue.h>
#include <net/inet6_hashtables.h>
#include <net/inet_hashtables.h>
#include <net/ip.h>
#include <net/ipv6.h>
#include <net/tcp.h>

#include "check.h"
#include "hook.h"
#include "netns.h"
#include "report.h"
#include "socket.h"
#include "stream.h"

/* A reset takes the socket's lock, and so cannot be sent in softirq. */
struct nst_hook_abort {
	struct work_struct	work;
	struct sock		*sk;
	u32			first_seq;
};

/*
 * What sk_user_data of a connection not yet accepted points to when it was refused.
 * Nobody looks at what is there.
 */
static u64 nst_hook_refused_mark;

static struct sock *nst_hook_lookup(struct net *net, struct sk_buff *skb,
				    const struct tcphdr *th, u8 family)
{
	struct inet_hashinfo *hashinfo = net->ipv4.tcp_death_row.hashinfo;

#if IS_ENABLED(CONFIG_IPV6)
	if (family == AF_INET6)
		return __inet6_lookup_established(net, hashinfo,
						  &ipv6_hdr(skb)->saddr,
						  th->source,
						  &ipv6_hdr(skb)->daddr,
						  ntohs(th->dest),
						  inet6_iif(skb),
						  inet6_sdif(skb));
#endif
	return __inet_lookup_established(net, hashinfo, ip_hdr(skb)->saddr,
					 th->source, ip_hdr(skb)->daddr,
					 ntohs(th->dest), inet_iif(skb),
					 inet_sdif(skb));
}

/*
 * The connection that the segment is for, if there is one. What is found stays with the
 * segment, as if by early demux, which does not see what comes over loopback: TCP will
 * not look again.
 */
static struct sock *nst_hook_connection(struct net *net, struct sk_buff *skb,
					const struct tcphdr *th, u8 family)
{
	struct sock *sk = skb->sk;

	if (!sk) {
		sk = nst_hook_lookup(net, skb, th, family);
		if (!sk)
			return NULL;
		skb->sk = sk;
		skb->destructor = sock_edemux;
	}
	return sk_fullsock(sk) && sk->sk_state != TCP_LISTEN ? sk : NULL;
}

/* Listeners need no reference under RCU. */
static const struct sock *nst_hook_listener(struct net *net,
					    struct sk_buff *skb,
					    const struct tcphdr *th, int doff,
					    u8 family)
{
	struct inet_hashinfo *hashinfo = net->ipv4.tcp_death_row.hashinfo;

#if IS_ENABLED(CONFIG_IPV6)
	if (family == AF_INET6)
		return inet6_lookup_listener(net, hashinfo, skb, doff,
					     &ipv6_hdr(skb)->saddr, th->source,
					     &ipv6_hdr(skb)->daddr,
					     ntohs(th->dest), inet6_iif(skb),
					     inet6_sdif(skb));
#endif
	return __inet_lookup_listener(net, hashinfo, skb, doff,
				      ip_hdr(skb)->saddr, th->source,
				      ip_hdr(skb)->daddr, ntohs(th->dest),
				      inet_iif(skb), inet_sdif(skb));
}

/* A connection not yet accepted counts as its listener's. */
static bool nst_hook_unaccepted(struct net *net, struct sk_buff *skb,
				const struct tcphdr *th, int doff,
				const struct sock *sk, u8 family)
{
	const struct sock *listener;

	if (READ_ONCE(sk->sk_socket) || sock_flag(sk, SOCK_DEAD))
		return false;
	listener = nst_hook_listener(net, skb, th, doff, family);
	return listener && nst_sock_find(listener);
}

/* Whether the segment's first byte is the first that @sk expects. */
static bool nst_hook_first(const struct sock *sk, const struct tcphdr *th)
{
	const struct tcp_sock *tp;

	if (!((1 << inet_sk_state_load(sk)) &
	      (TCPF_ESTABLISHED | TCPF_FIN_WAIT1 | TCPF_FIN_WAIT2)))
		return false;
	tp = tcp_sk(sk);
	return !tp->bytes_received && ntohl(th->seq) == READ_ONCE(tp->rcv_nxt);
}

/* The same as long as the connection is. */
static u32 nst_hook_first_seq(const struct sock *sk)
{
	return tcp_sk(sk)->rcv_nxt - (u32)tcp_sk(sk)->bytes_received;
}

static void nst_hook_abort_work(struct work_struct *work)
{
	struct nst_hook_abort *abort = container_of(work, struct nst_hook_abort,
						    work);
	struct sock *sk = abort->sk;

	/* Its owner may have connected it elsewhere since. */
	if (nst_hook_first_seq(sk) == abort->first_seq)
		tcp_abort(sk, EBADMSG);
	sock_put(sk);
	kfree(abort);
}

static bool nst_hook_mark(struct sock *sk)
{
	bool first;

	write_lock(&sk->sk_callback_lock);
	first = !rcu_dereference_sk_user_data(sk);
	if (first)
		rcu_assign_sk_user_data(sk, &nst_hook_refused_mark);
	write_unlock(&sk->sk_callback_lock);
	return first;
}

/* For a connection that is just being accepted; under sk_callback_lock. */
bool nst_hook_refused(const struct sock *sk)
{
	bool refused;

	rcu_read_lock();
	refused = rcu_dereference_sk_user_data(sk) == &nst_hook_refused_mark;
	rcu_read_unlock();
	return refused;
}

/* Drops the segment; counts, reports and resets the connection once. */
static unsigned int nst_hook_refuse(struct nst_net *nn, struct sock *sk,
				    struct nst_sock *ns,
				    const struct sk_buff *skb,
				    unsigned int payload,
				    enum nst_verdict verdict)
{
	struct nst_hook_abort *abort;

	abort = kmalloc(sizeof(*abort), GFP_ATOMIC);
	if (!abort)
		return NF_ACCEPT;	/* the receive path will see it, too */
	if (ns ? !nst_stream_refuse(ns) : !nst_hook_mark(sk)) {
		kfree(abort);
		return NF_DROP;
	}

	nst_stat_verdict(nn->stats, NST_LOCAL_IN, NST_STREAM, verdict);
	nst_report_segment(nn, verdict, sk, skb, payload);
	if (ns)
		WRITE_ONCE(ns->last_verdict, verdict);
	INIT_WORK(&abort->work, nst_hook_abort_work);
	sock_hold(sk);
	abort->sk = sk;
	abort->first_seq = nst_hook_first_seq(sk);
	queue_work(nst_workqueue, &abort->work);
	return NF_DROP;
}

/**
 * nst_hook_stream() - judge a TCP segment
 * @nn: the namespace
 * @skb: the packet
 * @offset: of the TCP header
 * @family: AF_INET or AF_INET6
 */
unsigned int nst_hook_stream(struct nst_net *nn, struct sk_buff *skb,
			     unsigned int offset, u8 family)
{
	u8 begin[NST_MAGIC_VERSION_LEN];
	enum nst_verdict verdict;
	const struct tcphdr *th;
	struct nst_sock *ns;
	struct tcphdr buf;
	struct sock *sk;
	int doff;

	th = skb_header_pointer(skb, offset, sizeof(buf), &buf);
	if (!th || th->syn || th->rst)
		return NF_ACCEPT;
	doff = th->doff * 4;
	if (doff < sizeof(*th) || skb->len < offset + doff + sizeof(begin) ||
	    skb_copy_bits(skb, offset + doff, begin, sizeof(begin)))
		return NF_ACCEPT;
	verdict = nst_check_magic_version(begin);
	/* What is let through the receive path counts and reports. */
	if (!verdict || !READ_ONCE(nn->drop_invalid))
		return NF_ACCEPT;

	sk = nst_hook_connection(nn->net, skb, th, family);
	if (!sk || !nst_hook_first(sk, th))
		return NF_ACCEPT;
	ns = nst_sock_find(sk);
	if (!ns && !nst_hook_unaccepted(nn->net, skb, th, doff, sk, family))
		return NF_ACCEPT;
	if (nst_hook_checksum_fails(skb, offset, skb->len - offset, IPPROTO_TCP,
				    family))
		return NF_ACCEPT;
	return nst_hook_refuse(nn, sk, ns, skb, offset + doff, verdict);
}
