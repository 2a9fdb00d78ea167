// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sending datagrams: one send call, one record, one UDP datagram.
 */

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/udp.h>
#include <net/ipv6.h>
#include <net/route.h>

#include "dgram.h"
#include "netns.h"
#include "suite.h"

/* Flags that mean something to UDP, and keep meaning it with records. */
#define NST_DGRAM_SEND_FLAGS	(MSG_DONTWAIT | MSG_NOSIGNAL | MSG_DONTROUTE | \
				 MSG_CONFIRM | MSG_CMSG_COMPAT | MSG_OOB)

/* Flags that would put several records into a datagram, or let data past us. */
#define NST_DGRAM_SEND_REFUSED	(MSG_FASTOPEN | MSG_ZEROCOPY | MSG_PROBE | \
				 MSG_MORE)

struct nst_dest {
	bool	ipv6;
	bool	unicast;
};

static bool nst_unicast4(struct sock *sk, __be32 addr)
{
	unsigned int type;

	/* No address at all, or this host: UDP knows. */
	if (addr == htonl(INADDR_ANY))
		return true;
	type = inet_addr_type(sock_net(sk), addr);
	return type != RTN_BROADCAST && type != RTN_MULTICAST;
}

static struct nst_dest nst_dest4(struct sock *sk, __be32 addr)
{
	return (struct nst_dest){ .unicast = nst_unicast4(sk, addr) };
}

static struct nst_dest nst_dest6(struct sock *sk, const struct in6_addr *addr)
{
	if (ipv6_addr_v4mapped(addr))
		return nst_dest4(sk, addr->s6_addr32[3]);
	return (struct nst_dest){
		.ipv6 = true,
		.unicast = !ipv6_addr_is_multicast(addr),
	};
}

/* Where UDP will send it: what it does not accept, it refuses itself. */
static struct nst_dest nst_dgram_dest(struct sock *sk, const struct msghdr *msg)
{
	const struct sockaddr_in *sin = msg->msg_name;

	if (sin && msg->msg_namelen >= sizeof(*sin) &&
	    (sin->sin_family == AF_INET ||
	     (sin->sin_family == AF_UNSPEC && sk->sk_family == AF_INET)))
		return nst_dest4(sk, sin->sin_addr.s_addr);
#if IS_ENABLED(CONFIG_IPV6)
	if (sk->sk_family == AF_INET6) {
		const struct sockaddr_in6 *sin6 = msg->msg_name;

		if (sin6 && msg->msg_namelen >= SIN6_LEN_RFC2133 &&
		    sin6->sin6_family == AF_INET6)
			return nst_dest6(sk, &sin6->sin6_addr);
		return nst_dest6(sk, &sk->sk_v6_daddr);
	}
#endif
	return nst_dest4(sk, inet_sk(sk)->inet_daddr);
}

/* UDP_SEGMENT would cut a record into several datagrams. */
static bool nst_dgram_control_refused(struct msghdr *msg)
{
	struct cmsghdr *cmsg;

	if (!msg->msg_controllen)
		return false;
	for_each_cmsghdr(cmsg, msg)
		if (CMSG_OK(msg, cmsg) && cmsg->cmsg_level == SOL_UDP)
			return true;
	return false;
}

/* Under tx.lock: makes the epoch one that the next datagram may be sealed in. */
static int nst_dgram_ready_epoch(struct nst_sock *ns)
{
	struct nst_epoch *epoch = &ns->tx.epoch;
	int err;

	/* A replaced key box takes effect at the next datagram. */
	if (nst_epoch_usable(epoch) &&
	    epoch->keybox_generation == nst_keybox_generation(ns->nn))
		return 0;
	err = nst_epoch_begin(epoch, ns->nn, &ns->tx.policy);
	if (err)
		return err;
	err = nst_reflect_add(&ns->dgram.reflect, epoch->session_id,
			      ktime_get_real_ns(), nst_window_ns(ns->nn));
	if (err)
		nst_epoch_end(epoch);
	return err;
}

/* Under tx.lock. Returns the record's length, or a negative error. */
static ssize_t nst_dgram_seal(struct nst_sock *ns, u8 *record, size_t len,
			      size_t max)
{
	struct nst_header *hdr = (struct nst_header *)record;
	const struct nst_suite *suite;
	size_t record_len;
	int err;

	suite = nst_suite(ns->tx.policy.cipher_id);
	record_len = NST_HEADER_LEN + nst_suite_body_len(suite, len);
	if (record_len > max)
		return -EMSGSIZE;
	err = nst_dgram_ready_epoch(ns);
	if (err)
		return err;
	nst_keys_start(ns->tx.epoch.keys);
	nst_keys_from_buffer(ns->tx.epoch.keys, record + NST_HEADER_LEN,
			     record_len - NST_HEADER_LEN);
	err = nst_epoch_seal(&ns->tx.epoch, hdr, len, NST_FLAG_DGRAM, NULL);
	nst_reflect_touch(&ns->dgram.reflect, be64_to_cpu(hdr->timestamp));
	if (err)
		return err;
	ns->tx.records++;
	return record_len;
}

int nst_dgram_sendmsg(struct socket *sock, struct msghdr *msg, size_t len)
{
	struct nst_sock *ns = nst_sock_of(sock);
	struct nst_dest dest;
	struct msghdr sealed;
	struct kvec vec;
	ssize_t sent;
	u8 *record;

	if (!nst_enabled(ns->nn))
		return -ESHUTDOWN;
	if (msg->msg_flags & NST_DGRAM_SEND_REFUSED ||
	    nst_dgram_control_refused(msg))
		return -EOPNOTSUPP;
	dest = nst_dgram_dest(ns->sk, msg);
	if (!dest.unicast)
		return -EOPNOTSUPP;
	if (len > NST_UDP6_PAYLOAD_MAX - NST_HEADER_LEN)
		return -EMSGSIZE;

	record = kvmalloc(NST_HEADER_LEN + len + NST_CBC_BLOCK_LEN,
			  GFP_KERNEL_ACCOUNT);
	if (!record)
		return -ENOMEM;
	sent = -EFAULT;
	if (!copy_from_iter_full(record + NST_HEADER_LEN, len, &msg->msg_iter))
		goto out;

	mutex_lock(&ns->tx.lock);
	sent = nst_dgram_seal(ns, record, len,
			      dest.ipv6 ? NST_UDP6_PAYLOAD_MAX :
					  NST_UDP4_PAYLOAD_MAX);
	mutex_unlock(&ns->tx.lock);
	if (sent < 0)
		goto out;

	sealed = (struct msghdr){
		.msg_name = msg->msg_name,
		.msg_namelen = msg->msg_namelen,
		.msg_control = msg->msg_control,
		.msg_controllen = msg->msg_controllen,
		.msg_control_is_user = msg->msg_control_is_user,
		.msg_flags = msg->msg_flags & NST_DGRAM_SEND_FLAGS,
	};
	vec = (struct kvec){ .iov_base = record, .iov_len = sent };
	iov_iter_kvec(&sealed.msg_iter, ITER_SOURCE, &vec, 1, sent);
	sent = ns->inner->sendmsg(sock, &sealed, sent);
	if (sent >= 0)
		sent = len;
out:
	kvfree(record);
	return sent;
}
