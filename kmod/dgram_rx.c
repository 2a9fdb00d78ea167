// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Receiving datagrams.
 *
 * The queue's first datagram is judged where it lies, once; UDP hands over a
 * datagram only if it was found good, and drops it if not. So UDP's own recvmsg
 * still tells addresses and control messages, and a datagram that is not OK never
 * shows: not in recv, not in poll.
 */

#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <net/ipv6.h>
#include <net/route.h>
#include <net/udp.h>

#include "dgram.h"
#include "netns.h"
#include "suite.h"

/* Everything down to nst_dgram_judge() runs under rx_lock. */

void nst_dgram_rx_free(struct nst_sock *ns)
{
	struct nst_dgram *dgram = &ns->dgram;
	int i;

	nst_plain_free(ns, dgram->judged);
	dgram->judged = NULL;
	for (i = 0; i < NST_DGRAM_EPOCHS; i++) {
		nst_keys_free(dgram->epochs[i].keys);
		dgram->epochs[i].keys = NULL;
	}
}

static bool nst_dgram_unicast(const struct sock *sk, const struct sk_buff *skb)
{
	unsigned int type;

	if (skb->protocol == htons(ETH_P_IPV6))
		return !ipv6_addr_is_multicast(&ipv6_hdr(skb)->daddr);
	type = inet_addr_type(sock_net(sk), ip_hdr(skb)->daddr);
	return type != RTN_BROADCAST && type != RTN_MULTICAST;
}

/* Checks 1 to 12. */
static enum nst_verdict nst_dgram_check(struct nst_sock *ns,
					const struct nst_header *hdr,
					size_t len, u64 now)
{
	enum nst_verdict verdict;
	u64 session_id;

	verdict = nst_check_dgram(ns->nn, &ns->rx_policy, now, hdr, len);
	if (verdict)
		return verdict;
	session_id = nst_header_session_id(hdr);
	if (nst_reflect_hit(&ns->dgram.reflect, session_id, now,
			    nst_window_ns(ns->nn)))
		return NST_REFLECT;
	if (!session_id)
		return NST_SEQUENCE;
	return nst_replay_check(&ns->nn->replay[NST_DGRAM], hdr, now);
}

static struct nst_dgram_epoch *
nst_dgram_find_epoch(struct nst_sock *ns, const struct nst_dgram_epoch *wanted)
{
	struct nst_dgram_epoch *epoch = ns->dgram.epochs;
	int i;

	for (i = 0; i < NST_DGRAM_EPOCHS; i++, epoch++)
		if (epoch->keys && epoch->session_id == wanted->session_id &&
		    epoch->keybox_generation == wanted->keybox_generation &&
		    nst_params_equal(&epoch->params, &wanted->params))
			return epoch;
	return NULL;
}

/* Keeps keys that a token verified under, in place of those longest unused. */
static struct nst_dgram_epoch *
nst_dgram_keep_epoch(struct nst_sock *ns, const struct nst_dgram_epoch *fresh)
{
	struct nst_dgram_epoch *epochs = ns->dgram.epochs, *victim = epochs;
	int i;

	for (i = 0; i < NST_DGRAM_EPOCHS && victim->keys; i++)
		if (!epochs[i].keys || epochs[i].used < victim->used)
			victim = &epochs[i];
	nst_keys_free(victim->keys);
	*victim = *fresh;
	return victim;
}

/* Checks 13 and 14, and the replay check again. */
static int nst_dgram_open(struct nst_sock *ns, const struct nst_header *hdr,
			  u8 *body, size_t body_len, u64 now)
{
	struct nst_dgram_epoch fresh = {
		.session_id = nst_header_session_id(hdr),
		.params = nst_header_params(hdr),
	};
	struct nst_dgram_epoch *epoch;
	struct nst_keys *keys;
	u8 key[NST_KEY_LEN];
	int verdict;

	/* Its generation tells whether keys that were kept are still right. */
	if (nst_keybox_key(ns->nn, &fresh.params, key,
			   &fresh.keybox_generation))
		return NST_KID;
	epoch = nst_dgram_find_epoch(ns, &fresh);
	if (!epoch)
		fresh.keys = nst_keys_derive(key, &fresh.params,
					     fresh.session_id);
	memzero_explicit(key, sizeof(key));
	if (IS_ERR(fresh.keys))
		return PTR_ERR(fresh.keys);

	keys = epoch ? epoch->keys : fresh.keys;
	nst_keys_start(keys);
	nst_keys_from_buffer(keys, body, body_len);
	verdict = nst_keys_open(keys, hdr, NULL);
	/* Authentic means that its token verified, replay or not. */
	if (!epoch && (verdict == NST_OK || verdict == NST_PADDING))
		epoch = nst_dgram_keep_epoch(ns, &fresh);
	else
		nst_keys_free(fresh.keys);
	if (verdict)
		return verdict;
	epoch->used = ++ns->dgram.uses;
	return nst_replay_accept(&ns->nn->replay[NST_DGRAM], hdr, now,
				 nst_window_ns(ns->nn));
}

/*
 * Judges a datagram whose checksum is right. Returns its verdict, with the
 * plaintext in *@opened if that is NST_OK, or a negative error.
 */
static int nst_dgram_judge_skb(struct nst_sock *ns, const struct sk_buff *skb,
			       struct nst_plain **opened)
{
	u64 now = ktime_get_real_ns();
	struct nst_plain *plain;
	struct nst_header hdr;
	int verdict;

	if (skb->len >= sizeof(hdr) &&
	    skb_copy_bits(skb, 0, &hdr, sizeof(hdr)))
		return -EFAULT;
	verdict = nst_dgram_check(ns, &hdr, skb->len, now);
	if (verdict)
		return verdict;

	/* LENGTH passed: what follows the header is the body. */
	plain = nst_plain_alloc(ns, skb->len - sizeof(hdr));
	if (!plain)
		return -ENOMEM;
	verdict = skb_copy_bits(skb, sizeof(hdr), plain->data,
				skb->len - sizeof(hdr));
	verdict = verdict ?: nst_dgram_open(ns, &hdr, plain->data,
					    skb->len - sizeof(hdr), now);
	if (verdict) {
		nst_plain_free(ns, plain);
		return verdict;
	}
	plain->len = be16_to_cpu(hdr.transport_len);
	*opened = plain;
	return NST_OK;
}

static void nst_dgram_drop_skb(struct sock *sk, struct sk_buff *skb)
{
	__sk_queue_drop_skb(sk, &udp_sk(sk)->reader_queue, skb, MSG_PEEK,
			    udp_skb_destructor);
}

/* Judges one datagram; 0 if it was dropped, 1 if it is good. */
static int nst_dgram_judge_one(struct nst_sock *ns, struct sk_buff *skb)
{
	struct sock *sk = ns->sk;
	int verdict;

	if (udp_lib_checksum_complete(skb)) {
		UDP_INC_STATS(sock_net(sk), UDP_MIB_CSUMERRORS, 0);
		UDP_INC_STATS(sock_net(sk), UDP_MIB_INERRORS, 0);
		nst_dgram_drop_skb(sk, skb);
		return 0;
	}
	if (!nst_dgram_unicast(sk, skb)) {
		nst_stat_multicast(ns->nn->stats);
		nst_dgram_drop_skb(sk, skb);
		return 0;
	}
	verdict = nst_dgram_judge_skb(ns, skb, &ns->dgram.judged);
	if (verdict < 0)
		return verdict;
	nst_sock_count(ns, verdict);
	if (verdict == NST_OK)
		return 1;
	nst_report_dgram(ns->nn, NST_RECEIVE_PATH, verdict, false, skb,
			 udp_hdr(skb), 0);
	nst_dgram_drop_skb(sk, skb);
	return 0;
}

static unsigned int nst_dgram_queued(const struct sock *sk)
{
	return skb_queue_len_lockless(&udp_sk(sk)->reader_queue) +
	       skb_queue_len_lockless(&sk->sk_receive_queue);
}

/**
 * nst_dgram_judge() - find the next datagram that can be read, without waiting
 * @ns: the socket, with rx_lock held
 *
 * Drops what is not OK on the way, but nothing that arrives meanwhile: its arrival
 * wakes whoever waits, and junk that keeps coming does not keep us here.
 *
 * Return: 0 with ns->dgram.judged set, or a negative error: -EAGAIN if there is
 * none, or UDP's.
 */
int nst_dgram_judge(struct nst_sock *ns)
{
	unsigned int left = nst_dgram_queued(ns->sk);
	struct sock *sk = ns->sk;
	int ret = 0;

	if (ns->dgram.judged)
		return 0;
	do {
		struct sk_buff *skb;
		int offset = -1;

		skb = __skb_recv_udp(sk, MSG_PEEK | MSG_DONTWAIT, &offset,
				     &ret);
		if (!skb)
			return ret;
		ret = nst_dgram_judge_one(ns, skb);
		consume_skb(skb);
		cond_resched();
	} while (!ret && left-- > 1);
	if (ret < 0)
		return ret;
	return ret ? 0 : -EAGAIN;
}

/* Also ends when a reader should look for an error. */
static bool nst_dgram_receivable(struct nst_sock *ns, u64 seen)
{
	struct sock *sk = ns->sk;

	return nst_dgram_queued(sk) || READ_ONCE(sk->sk_err) ||
	       READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN;
}

/*
 * Takes the judged datagram from UDP, which tells its address and control
 * messages, and hands out its plaintext. Under rx_lock.
 */
static int nst_dgram_deliver(struct nst_sock *ns, struct msghdr *msg,
			     size_t len, int flags)
{
	struct nst_plain *plain = ns->dgram.judged;
	struct iov_iter iter = msg->msg_iter;
	size_t copied = min(len, plain->len);
	int err;

	iov_iter_truncate(&msg->msg_iter, 0);
	err = ns->inner->recvmsg(ns->sk->sk_socket, msg, 0,
				 MSG_DONTWAIT | (flags & (MSG_PEEK |
							  MSG_CMSG_COMPAT)));
	msg->msg_iter = iter;
	if (err == -EAGAIN) {
		/* It is not there any more; whose plaintext is this? */
		nst_plain_free(ns, plain);
		ns->dgram.judged = NULL;
	}
	if (err < 0)
		return err;

	msg->msg_flags &= ~MSG_TRUNC;
	if (copied < plain->len)
		msg->msg_flags |= MSG_TRUNC;
	err = flags & MSG_TRUNC ? plain->len : copied;
	if (copy_to_iter(plain->data, copied, &msg->msg_iter) != copied)
		err = -EFAULT;
	if (!(flags & MSG_PEEK)) {
		ns->dgram.judged = NULL;
		nst_plain_free(ns, plain);
	}
	return err;
}

int nst_dgram_recvmsg(struct socket *sock, struct msghdr *msg, size_t len,
		      int flags)
{
	struct nst_sock *ns = nst_sock_of(sock);
	struct sock *sk = ns->sk;
	long timeo;
	int ret;

	ret = nst_sock_recv_start(sock, msg, flags);
	if (ret <= 0)
		return ret;

	timeo = sock_rcvtimeo(sk, flags & MSG_DONTWAIT);
	for (;;) {
		mutex_lock(&ns->rx_lock);
		ret = nst_dgram_judge(ns);
		if (!ret)
			ret = nst_dgram_deliver(ns, msg, len, flags);
		mutex_unlock(&ns->rx_lock);
		if (ret != -EAGAIN)
			return ret;
		if (timeo && READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN)
			return 0;
		ret = nst_sock_wait(ns, nst_dgram_receivable, 0, &timeo);
		if (ret)
			return ret;
		if (!nst_enabled(ns->nn))
			return -ESHUTDOWN;
	}
}
