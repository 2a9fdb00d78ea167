// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Control messages of streams. recvmsg() tells with them when data came, and how much
 * more of it there is.
 */

#include <net/tcp.h>

#include "compat.h"
#include "stream.h"

/**
 * nst_stream_check_cmsgs() - check what sendmsg() is told besides data
 * @sk: the socket
 * @msg: sendmsg()'s
 *
 * Of what TCP knows there, a stamp for this one call would be for one of its records.
 *
 * Return: 0 if there is nothing to be done about it, or a negative error.
 */
int nst_stream_check_cmsgs(struct sock *sk, struct msghdr *msg)
{
	struct sockcm_cookie cookie;

	if (!msg->msg_controllen)
		return 0;
	sockcm_init(&cookie, sk);
	if (sock_cmsg_send(sk, msg, &cookie))
		return -EINVAL;
	return cookie.tsflags == READ_ONCE(sk->sk_tsflags) ? 0 : -EOPNOTSUPP;
}

/* Whether the application may be told when data came. */
bool nst_stream_tells_time(const struct sock *sk)
{
	return sock_flag(sk, SOCK_RCVTSTAMP) ||
	       READ_ONCE(sk->sk_tsflags) & (SOF_TIMESTAMPING_SOFTWARE |
					    SOF_TIMESTAMPING_RAW_HARDWARE);
}

/* Under the socket's own lock: bytes of TCP's first buffer that were not read. */
static size_t nst_stream_left_of(const struct sock *sk,
				 const struct sk_buff *skb)
{
	u32 offset = tcp_sk(sk)->copied_seq - TCP_SKB_CB(skb)->seq;

	return offset < skb->len ? skb->len - offset : 0;
}

/**
 * nst_stream_stamp() - note when the bytes came that are read next
 * @ns: the socket, with rx_lock held
 * @len: how many are to be read
 *
 * Return: how many of them may be read at once. If their time matters to the
 * application, no more than have the same, and 0 if none is there: reading none still
 * tells of errors and of the end.
 */
size_t nst_stream_stamp(struct nst_sock *ns, size_t len)
{
	struct nst_stamp *stamp = &ns->stream.rx.stamp;
	struct sock *sk = ns->sk;
	struct sk_buff *skb;
	size_t left;

	if (!nst_stream_tells_time(sk))
		return len;

	lock_sock(sk);
	skb = skb_peek(&sk->sk_receive_queue);
	left = skb ? nst_stream_left_of(sk, skb) : 0;
	/* As tcp_update_recv_tstamps() does. */
	if (left && TCP_SKB_CB(skb)->has_rxtstamp) {
		stamp->software = skb->tstamp;
		stamp->hardware = skb_hwtstamps(skb)->hwtstamp;
	}
	release_sock(sk);
	return min(len, left);
}

/* SO_TIMESTAMP, SO_TIMESTAMPNS, and their variants for 64 bits of seconds. */
static void nst_put_stamp(struct msghdr *msg, const struct sock *sk,
			  struct timespec64 time)
{
	bool wide = sock_flag(sk, SOCK_TSTAMP_NEW);
	union {
		struct __kernel_timespec timespec;
		struct __kernel_old_timespec old_timespec;
		struct __kernel_sock_timeval timeval;
		struct __kernel_old_timeval old_timeval;
	} told;

	if (sock_flag(sk, SOCK_RCVTSTAMPNS) && wide) {
		told.timespec.tv_sec = time.tv_sec;
		told.timespec.tv_nsec = time.tv_nsec;
		put_cmsg(msg, SOL_SOCKET, SO_TIMESTAMPNS_NEW,
			 sizeof(told.timespec), &told);
	} else if (sock_flag(sk, SOCK_RCVTSTAMPNS)) {
		told.old_timespec.tv_sec = time.tv_sec;
		told.old_timespec.tv_nsec = time.tv_nsec;
		put_cmsg(msg, SOL_SOCKET, SO_TIMESTAMPNS_OLD,
			 sizeof(told.old_timespec), &told);
	} else if (wide) {
		told.timeval.tv_sec = time.tv_sec;
		told.timeval.tv_usec = time.tv_nsec / NSEC_PER_USEC;
		put_cmsg(msg, SOL_SOCKET, SO_TIMESTAMP_NEW,
			 sizeof(told.timeval), &told);
	} else {
		told.old_timeval.tv_sec = time.tv_sec;
		told.old_timeval.tv_usec = time.tv_nsec / NSEC_PER_USEC;
		put_cmsg(msg, SOL_SOCKET, SO_TIMESTAMP_OLD,
			 sizeof(told.old_timeval), &told);
	}
}

/* Whether SO_TIMESTAMPING asks for a stamp that @made asks to be made. */
static bool nst_stamp_asked(u32 flags, u32 told, u32 made)
{
	return flags & told &&
	       (flags & made || !(flags & SOF_TIMESTAMPING_OPT_RX_FILTER));
}

/* As tcp_recv_timestamp(), which is not exported. */
static void nst_put_stamps(struct msghdr *msg, const struct sock *sk,
			   const struct nst_stamp *stamp)
{
	struct scm_timestamping_internal all = { };
	u32 flags = READ_ONCE(sk->sk_tsflags);
	bool software, hardware;

	if (stamp->software && sock_flag(sk, SOCK_RCVTSTAMP))
		nst_put_stamp(msg, sk, ktime_to_timespec64(stamp->software));

	software = stamp->software &&
		   nst_stamp_asked(flags, SOF_TIMESTAMPING_SOFTWARE,
				   SOF_TIMESTAMPING_RX_SOFTWARE);
	hardware = stamp->hardware &&
		   nst_stamp_asked(flags, SOF_TIMESTAMPING_RAW_HARDWARE,
				   SOF_TIMESTAMPING_RX_HARDWARE);
	if (!software && !hardware)
		return;
	if (software)
		all.ts[0] = ktime_to_timespec64(stamp->software);
	if (hardware)
		all.ts[2] = ktime_to_timespec64(stamp->hardware);
	if (sock_flag(sk, SOCK_TSTAMP_NEW))
		put_cmsg_scm_timestamping64(msg, &all);
	else
		put_cmsg_scm_timestamping(msg, &all);
}

/* TCP_INQ, and for io_uring: where nothing is left, the end is worth a look, too. */
static void nst_put_inq(struct msghdr *msg, struct nst_sock *ns)
{
	const struct nst_stream_rx *rx = &ns->stream.rx;
	bool asked = tcp_sk(ns->sk)->recvmsg_inq;

	if (!asked && !msg->msg_get_inq)
		return;
	msg->msg_get_inq = true;
	msg->msg_inq = max(nst_stream_readable_bytes(ns), 0);
	if (!msg->msg_inq && (READ_ONCE(rx->closed) || READ_ONCE(rx->error)))
		msg->msg_inq = 1;
	if (asked)
		put_cmsg(msg, SOL_TCP, TCP_CM_INQ, sizeof(msg->msg_inq),
			 &msg->msg_inq);
}

/**
 * nst_stream_put_cmsgs() - tell what TCP would tell of data that was received
 * @ns: the socket, with none of its locks held
 * @msg: recvmsg()'s
 * @stamp: when the last of the data came
 */
void nst_stream_put_cmsgs(struct nst_sock *ns, struct msghdr *msg,
			  const struct nst_stamp *stamp)
{
	nst_put_stamps(msg, ns->sk, stamp);
	nst_put_inq(msg, ns);
}
