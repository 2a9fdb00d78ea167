// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Stream sockets: what is neither sending nor receiving.
 *
 * Locks nest as rx_lock or tx.lock, then the socket's own; rx_lock and tx.lock
 * are taken together only to start over, rx_lock first. Nobody sleeps for the
 * network with any of them held.
 */

#include <linux/poll.h>
#include <linux/slab.h>
#include <net/tcp.h>

#include "netns.h"
#include "stream.h"

void nst_stream_init(struct nst_sock *ns)
{
	INIT_LIST_HEAD(&ns->stream.rx.plain);
	ns->stream.rx.state.from_acceptor = true;
	ns->stream.rx.lowat = 1;
	nst_stream_watch_init(&ns->stream);
}

void nst_stream_free(struct nst_sock *ns)
{
	nst_stream_watch_end(ns);
	nst_stream_tx_reset(ns);
	nst_stream_rx_reset(ns);
}

/* For a new connection on the same socket, which only connect() can make. */
static void nst_stream_restart(struct nst_sock *ns)
{
	mutex_lock(&ns->rx_lock);
	mutex_lock(&ns->tx.lock);
	ns->stream.acceptor = false;
	nst_stream_tx_reset(ns);
	nst_stream_rx_reset(ns);
	WRITE_ONCE(ns->stream.failed, false);
	clear_bit(NST_STREAM_REFUSED, &ns->stream.events);
	nst_stream_watch(ns);
	mutex_unlock(&ns->tx.lock);
	mutex_unlock(&ns->rx_lock);
}

/* Ends the connection in both directions, for good, with a reset. */
void nst_stream_fail(struct nst_sock *ns, int err)
{
	WRITE_ONCE(ns->stream.failed, true);
	tcp_abort(ns->sk, -err);
}

/*
 * In any context: the LOCAL_IN hook found that the peer does not talk NST. True the
 * first time; readers and writers learn of it when the connection is reset.
 */
bool nst_stream_refuse(struct nst_sock *ns)
{
	if (test_and_set_bit(NST_STREAM_REFUSED, &ns->stream.events))
		return false;
	WRITE_ONCE(ns->stream.failed, true);
	return true;
}

int nst_stream_connect(struct socket *sock, struct sockaddr *addr, int len,
		       int flags)
{
	struct nst_sock *ns = nst_sock_of(sock);
	bool disconnect = len >= sizeof(addr->sa_family) &&
			  addr->sa_family == AF_UNSPEC;
	int err;

	/* What an attempt before this one left, a sticky error above all. */
	if (sock->state == SS_UNCONNECTED && !disconnect)
		nst_stream_restart(ns);
	err = ns->inner->connect(sock, addr, len, flags);
	if (disconnect && !err)
		nst_stream_restart(ns);
	return err;
}

int nst_stream_accept(struct socket *sock, struct socket *newsock,
		      struct proto_accept_arg *arg)
{
	struct nst_sock *ns = nst_sock_of(sock), *child;
	int err;

	if (!nst_enabled(ns->nn))
		return -ESHUTDOWN;

	child = nst_sock_alloc(nst_ops_of(sock), sock_net(sock->sk));
	if (!child)
		return -ENOMEM;
	nst_sock_inherit(child, ns);
	child->stream.acceptor = true;
	child->stream.rx.state.from_acceptor = false;

	err = nst_inner_accept(ns->inner, sock, newsock, arg);
	err = err ?: nst_sock_attach(child, newsock);
	if (err) {
		/* An inet socket without a context goes with its file. */
		nst_sock_free(child);
		return err;
	}

	/* The first record is opened now if it has come (section 8). */
	mutex_lock(&child->rx_lock);
	nst_stream_watch(child);
	nst_stream_fill_to(child, 1);
	mutex_unlock(&child->rx_lock);
	return 0;
}

static bool nst_stream_can_close(struct nst_sock *ns)
{
	return !READ_ONCE(ns->stream.failed) &&
	       (1 << inet_sk_state_load(ns->sk)) &
	       (TCPF_ESTABLISHED | TCPF_CLOSE_WAIT);
}

/* Ends the sending direction with a CLOSE record. */
static int nst_stream_close_tx(struct nst_sock *ns)
{
	int err;

	if (!nst_stream_can_close(ns))
		return 0;
	if (ns->stream.acceptor) {
		/* A first record that has come is what CLOSE may have to name. */
		mutex_lock(&ns->rx_lock);
		if (!ns->stream.rx.accepted_any)
			nst_stream_fill_to(ns, 1);
		mutex_unlock(&ns->rx_lock);
	}
	mutex_lock(&ns->tx.lock);
	err = nst_stream_can_close(ns) ? nst_stream_send_close(ns) : 0;
	mutex_unlock(&ns->tx.lock);
	return err;
}

int nst_stream_shutdown(struct socket *sock, int how)
{
	struct nst_sock *ns = nst_sock_of(sock);
	int err;

	if (how == SHUT_WR || how == SHUT_RDWR) {
		err = nst_stream_close_tx(ns);
		if (err)
			return err;
	}
	/* Before TCP wakes a reader, who would take it for a reset. */
	if (how == SHUT_RD || how == SHUT_RDWR)
		WRITE_ONCE(ns->stream.rx.shut, true);
	err = ns->inner->shutdown(sock, how);
	/* The hook refused it, and the reset is still to come. */
	if (!err && READ_ONCE(ns->stream.failed))
		err = -ENOTCONN;
	if (err == -ENOTCONN)
		WRITE_ONCE(ns->stream.rx.shut, false);
	return err;
}

/* Whether something came that the application did not read. */
static bool nst_stream_unread(struct nst_sock *ns)
{
	struct nst_stream_rx *rx = &ns->stream.rx;
	bool unread;

	mutex_lock(&ns->rx_lock);
	unread = rx->plain_len || rx->received || rx->lacks;
	mutex_unlock(&ns->rx_lock);
	return unread;
}

/* Before release. What was sent has to arrive, or the peer has to learn better. */
void nst_stream_finish(struct nst_sock *ns)
{
	struct sock *sk = ns->sk;

	/* Such a close is a reset. */
	if (sock_flag(sk, SOCK_LINGER) && !READ_ONCE(sk->sk_lingertime))
		return;
	/* TCP resets, too, but what we took from it does not count there. */
	if (nst_stream_unread(ns)) {
		nst_stream_fail(ns, -ECONNABORTED);
		return;
	}
	if (nst_stream_close_tx(ns))
		nst_stream_fail(ns, -ECONNABORTED);

	/* Counts what came after CLOSE; unread, it would make TCP reset. */
	mutex_lock(&ns->rx_lock);
	if (ns->stream.rx.closed)
		nst_stream_fill_to(ns, 1);
	mutex_unlock(&ns->rx_lock);
}

/* What the receiving side has to tell a poller. */
static __poll_t nst_stream_poll_rx(struct nst_sock *ns)
{
	struct nst_stream_rx *rx = &ns->stream.rx;
	__poll_t mask = 0;
	int err;

	mutex_lock(&ns->rx_lock);
	err = nst_stream_fill_to(ns, READ_ONCE(rx->lowat));
	if (rx->closed || rx->error || READ_ONCE(rx->shut))
		mask |= EPOLLIN | EPOLLRDNORM | EPOLLRDHUP;
	/* For want of memory: nothing need arrive that would wake the poller again. */
	else if (err == -ENOMEM || rx->plain_len >= READ_ONCE(rx->lowat))
		mask |= EPOLLIN | EPOLLRDNORM;
	mutex_unlock(&ns->rx_lock);
	return mask;
}

__poll_t nst_stream_poll(struct file *file, struct socket *sock,
			 struct poll_table_struct *wait)
{
	struct nst_sock *ns = nst_sock_of(sock);
	__poll_t mask = ns->inner->poll(file, sock, wait);

	if (inet_sk_state_load(ns->sk) == TCP_LISTEN)
		return mask;
	if (!nst_enabled(ns->nn))
		return EPOLLERR | EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM;

	/* TCP tells of ciphertext and of FIN; that it died is true of us, too. */
	if (!(mask & EPOLLERR) && inet_sk_state_load(ns->sk) != TCP_CLOSE)
		mask &= ~(EPOLLIN | EPOLLRDNORM | EPOLLRDHUP | EPOLLPRI);
	mask |= nst_stream_poll_rx(ns);
	/* TCP did not know yet of a connection that just failed. */
	if (READ_ONCE(ns->stream.failed))
		mask |= EPOLLERR | EPOLLHUP | EPOLLOUT | EPOLLWRNORM;

	if (mask & EPOLLOUT) {
		mutex_lock(&ns->tx.lock);
		if (nst_stream_flush(ns) == -EAGAIN)
			mask &= ~(EPOLLOUT | EPOLLWRNORM);
		mutex_unlock(&ns->tx.lock);
	}
	return mask;
}

/* For SIOCINQ: plaintext that can be read at once. */
int nst_stream_readable_bytes(struct nst_sock *ns)
{
	struct nst_stream_rx *rx = &ns->stream.rx;
	int bytes;

	if (inet_sk_state_load(ns->sk) == TCP_LISTEN)
		return -EINVAL;
	mutex_lock(&ns->rx_lock);
	nst_stream_fill_to(ns, INT_MAX);
	bytes = min_t(size_t, rx->plain_len, INT_MAX);
	mutex_unlock(&ns->rx_lock);
	return bytes;
}

/* For SIOCOUTQ, and SIOCOUTQNSD if what is @in_flight does not count. */
int nst_stream_unsent_bytes(struct nst_sock *ns, bool in_flight)
{
	const struct tcp_sock *tp = tcp_sk(ns->sk);
	u64 bytes;

	switch (inet_sk_state_load(ns->sk)) {
	case TCP_LISTEN:
		return -EINVAL;
	case TCP_SYN_SENT:
	case TCP_SYN_RECV:
		return 0;
	}
	mutex_lock(&ns->tx.lock);
	bytes = nst_outq_left(&ns->stream.tx.outq,
			      in_flight ? READ_ONCE(tp->snd_una) :
					  READ_ONCE(tp->snd_nxt));
	mutex_unlock(&ns->tx.lock);
	return min_t(u64, bytes, INT_MAX);
}

/* With the socket locked. TCP's own low water would count ciphertext. */
int nst_stream_set_rcvlowat(struct sock *sk, int val)
{
	struct nst_sock *ns = nst_sock_find(sk);
	int cap;

	/* As TCP limits it. */
	if (sk->sk_userlocks & SOCK_RCVBUF_LOCK)
		cap = sk->sk_rcvbuf >> 1;
	else
		cap = READ_ONCE(sock_net(sk)->ipv4.sysctl_tcp_rmem[2]) >> 1;
	WRITE_ONCE(ns->stream.rx.lowat, min(val, cap) ?: 1);
	/* What is there already may be enough now. */
	sk->sk_data_ready(sk);
	return 0;
}
