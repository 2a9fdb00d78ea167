// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sending on a stream: plaintext becomes records, which TCP gets whole.
 */

#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <net/tcp.h>

#include "netns.h"
#include "stream.h"
#include "suite.h"

/* Flags that mean something to TCP, and keep meaning it with records. */
#define NST_STREAM_SEND_FLAGS	(MSG_MORE | MSG_EOR)

/* Flags with which data could leave in clear or out of order, or not at all. */
#define NST_STREAM_SEND_REFUSED	(MSG_OOB | MSG_FASTOPEN | MSG_ZEROCOPY | \
				 MSG_PROBE)

/* How long to wait where memory, not the socket's buffer, is short. */
#define NST_MEMORY_WAIT		(HZ / 50)

/* Everything below runs under tx.lock, except for nst_stream_sendmsg(). */

static void nst_stream_drop_pending(struct nst_stream_tx *tx)
{
	kvfree(tx->pending);
	tx->pending = NULL;
}

void nst_stream_tx_reset(struct nst_sock *ns)
{
	struct nst_stream_tx *tx = &ns->stream.tx;

	nst_stream_drop_pending(tx);
	nst_epoch_end(&ns->tx.epoch);
	memset(tx, 0, sizeof(*tx));
}

/*
 * Hands the sealed record to TCP. It has to go out whole, so it may exceed the
 * send buffer, by this one record: what is left over for want of memory is
 * pushed later.
 *
 * Return: 0, -EAGAIN if some of it is still pending, or TCP's error.
 */
static int nst_stream_push(struct nst_sock *ns, int flags)
{
	struct nst_stream_tx *tx = &ns->stream.tx;
	struct sock *sk = ns->sk;
	int sndbuf, sent = 0;

	lock_sock(sk);
	sndbuf = sk->sk_sndbuf;
	WRITE_ONCE(sk->sk_sndbuf, INT_MAX);
	while (tx->pending_sent < tx->pending_len) {
		struct msghdr msg = {
			.msg_flags = MSG_DONTWAIT | MSG_NOSIGNAL | flags,
		};
		struct kvec vec = {
			.iov_base = tx->pending + tx->pending_sent,
			.iov_len = tx->pending_len - tx->pending_sent,
		};

		iov_iter_kvec(&msg.msg_iter, ITER_SOURCE, &vec, 1, vec.iov_len);
		sent = ns->inner->sendmsg_locked(sk, &msg, vec.iov_len);
		if (sent <= 0)
			break;
		tx->pending_sent += sent;
	}
	if (tx->pending_sent == tx->pending_len)
		nst_outq_pushed(&tx->outq, tcp_sk(sk)->write_seq,
				tcp_sk(sk)->snd_una);
	/* TCP lowers it itself when memory is short. */
	if (sk->sk_sndbuf == INT_MAX)
		WRITE_ONCE(sk->sk_sndbuf, sndbuf);
	release_sock(sk);

	if (tx->pending_sent < tx->pending_len && sent == -EAGAIN) {
		nst_stream_flush_later(ns);
		return -EAGAIN;
	}
	nst_stream_drop_pending(tx);
	return sent < 0 ? sent : 0;
}

/* Like nst_stream_push(), for whatever may be left of an earlier record. */
int nst_stream_flush(struct nst_sock *ns)
{
	return ns->stream.tx.pending ? nst_stream_push(ns, 0) : 0;
}

/* The T that the direction's next record is chained to, if any (section 5). */
static const u8 *nst_stream_chain(struct nst_sock *ns, u32 *flags)
{
	struct nst_stream_rx *rx = &ns->stream.rx;
	struct nst_stream_tx *tx = &ns->stream.tx;

	if (tx->sealed_any)
		return ns->tx.epoch.counter ? NULL : tx->last_token;
	/* Pairs with nst_stream_accepted(), which writes first_token before. */
	if (ns->stream.acceptor && smp_load_acquire(&rx->accepted_any)) {
		*flags |= NST_FLAG_BOUND;
		return rx->first_token;
	}
	return NULL;
}

/*
 * Seals the @len bytes at @record + NST_HEADER_LEN, and makes the record the
 * pending one; frees it on failure. A counter that was used up without a record
 * to show for it ends the connection.
 */
static int nst_stream_seal(struct nst_sock *ns, u8 *record, size_t len,
			   u32 flags)
{
	struct nst_epoch *epoch = &ns->tx.epoch;
	struct nst_stream_tx *tx = &ns->stream.tx;
	const struct nst_suite *suite;
	struct nst_header *hdr;
	const u8 *chain;
	int err;

	hdr = (struct nst_header *)record;
	suite = nst_suite(epoch->params.cipher_id);
	if (ns->stream.acceptor)
		flags |= NST_FLAG_REPLY;
	chain = nst_stream_chain(ns, &flags);
	err = nst_epoch_seal(epoch, hdr, len, flags, chain,
			     record + NST_HEADER_LEN);
	if (err) {
		kvfree(record);
		nst_stream_fail(ns, -ECONNABORTED);
		return -EPIPE;
	}

	memcpy(tx->last_token, hdr->token, NST_TOKEN_LEN);
	if (!tx->sealed_any) {
		memcpy(tx->first_token, hdr->token, NST_TOKEN_LEN);
		/* Pairs with nst_stream_check(). */
		smp_store_release(&tx->sealed_any, true);
	}
	tx->pending = record;
	tx->pending_len = NST_HEADER_LEN + nst_suite_body_len(suite, len);
	tx->pending_sent = 0;
	tx->outq.sealed += len;
	ns->tx.records++;
	return 0;
}

/* A buffer for a record of @len bytes of plaintext in any suite. */
static u8 *nst_stream_record_alloc(size_t len)
{
	return kvmalloc(NST_HEADER_LEN + len + NST_CBC_BLOCK_LEN,
			GFP_KERNEL_ACCOUNT);
}

static int nst_stream_ready_epoch(struct nst_sock *ns)
{
	const struct nst_epoch *epoch = &ns->tx.epoch;

	if (nst_epoch_usable(epoch) &&
	    epoch->counter < READ_ONCE(ns->nn->rekey_records))
		return 0;
	return nst_epoch_begin(&ns->tx.epoch, ns->nn, &ns->tx.policy);
}

/* Seals and pushes the CLOSE record, once. */
int nst_stream_send_close(struct nst_sock *ns)
{
	struct nst_stream_tx *tx = &ns->stream.tx;
	u8 *record;
	int err;

	err = nst_stream_flush(ns);
	if (err || tx->closed)
		return err;
	err = nst_stream_ready_epoch(ns);
	if (err)
		return err;
	record = nst_stream_record_alloc(0);
	if (!record)
		return -ENOMEM;
	err = nst_stream_seal(ns, record, 0, NST_FLAG_CLOSE);
	if (err)
		return err;
	tx->closed = true;
	return nst_stream_push(ns, 0);
}

/* Asks TCP to tell when there is room again; true if there is already. */
static bool nst_stream_room(struct sock *sk)
{
	if (sk_stream_memory_free(sk))
		return true;
	sk_set_bit(SOCKWQ_ASYNC_NOSPACE, sk);
	set_bit(SOCK_NOSPACE, &sk->sk_socket->flags);
	/* Room that came before the bit was set made no noise. */
	smp_mb__after_atomic();
	return sk_stream_memory_free(sk);
}

/* 0 if a record may be sealed now, -EAGAIN if waiting helps. */
static int nst_stream_may_send(struct nst_sock *ns)
{
	struct sock *sk = ns->sk;
	int err;

	if (!nst_enabled(ns->nn))
		return -ESHUTDOWN;
	if (READ_ONCE(ns->stream.failed) || ns->stream.tx.closed)
		return -EPIPE;
	if (READ_ONCE(sk->sk_err) || READ_ONCE(sk->sk_shutdown) & SEND_SHUTDOWN)
		return sock_error(sk) ?: -EPIPE;

	switch (inet_sk_state_load(sk)) {
	case TCP_ESTABLISHED:
	case TCP_CLOSE_WAIT:
		break;
	case TCP_SYN_SENT:
	case TCP_SYN_RECV:
		return -EAGAIN;
	default:
		return -EPIPE;
	}

	err = nst_stream_flush(ns);
	if (err)
		return err;
	return nst_stream_room(sk) ? 0 : -EAGAIN;
}

/* What a sender waits for; also ends when it should look for an error. */
static bool nst_stream_sendable(struct nst_sock *ns, u64 seen)
{
	struct sock *sk = ns->sk;

	if (READ_ONCE(ns->stream.failed) || READ_ONCE(sk->sk_err) ||
	    READ_ONCE(sk->sk_shutdown) & SEND_SHUTDOWN)
		return true;
	if ((1 << inet_sk_state_load(sk)) & (TCPF_SYN_SENT | TCPF_SYN_RECV))
		return false;
	return nst_stream_room(sk);
}

/* One record of @len bytes from the application. */
static int nst_stream_send_record(struct nst_sock *ns, struct msghdr *msg,
				  size_t len, int flags)
{
	u8 *record;
	int err;

	err = nst_stream_ready_epoch(ns);
	if (err)
		return err;
	record = nst_stream_record_alloc(len);
	if (!record)
		return -ENOMEM;
	if (!copy_from_iter_full(record + NST_HEADER_LEN, len,
				 &msg->msg_iter)) {
		kvfree(record);
		return -EFAULT;
	}
	err = nst_stream_seal(ns, record, len, 0);
	if (err)
		return err;
	err = nst_stream_push(ns, flags);
	/* Sealed is sent: what is pending still leaves before anything else. */
	return err == -EAGAIN ? 0 : err;
}

/*
 * A reply is bound if the initiator's first record has been accepted when it is
 * sealed (section 2); having arrived, it is (section 8).
 */
static void nst_stream_open_first(struct nst_sock *ns)
{
	if (!ns->stream.acceptor || READ_ONCE(ns->stream.tx.sealed_any) ||
	    READ_ONCE(ns->stream.rx.accepted_any))
		return;
	mutex_lock(&ns->rx_lock);
	nst_stream_fill_to(ns, 1);
	mutex_unlock(&ns->rx_lock);
}

static int nst_stream_wait_sendable(struct nst_sock *ns, long *timeo)
{
	long wait;

	if (!READ_ONCE(ns->stream.tx.pending) || !nst_stream_room(ns->sk))
		return nst_sock_wait(ns, nst_stream_sendable, 0, timeo);
	/* There is room, and yet TCP did not take it all: memory is short. */
	if (!*timeo)
		return -EAGAIN;
	if (signal_pending(current))
		return sock_intr_errno(*timeo);
	wait = min_t(long, *timeo, NST_MEMORY_WAIT);
	*timeo -= wait - schedule_timeout_interruptible(wait);
	return 0;
}

int nst_stream_sendmsg(struct socket *sock, struct msghdr *msg, size_t len)
{
	struct nst_sock *ns = nst_sock_of(sock);
	struct sock *sk = ns->sk;
	size_t sent = 0;
	long timeo;
	int err = 0;

	if (msg->msg_flags & NST_STREAM_SEND_REFUSED)
		return -EOPNOTSUPP;
	err = nst_stream_check_cmsgs(sk, msg);
	if (err)
		return err;
	timeo = sock_sndtimeo(sk, msg->msg_flags & MSG_DONTWAIT);
	nst_stream_open_first(ns);

	if (!len) {
		/* There is no empty record, but a broken connection is told. */
		mutex_lock(&ns->tx.lock);
		err = nst_stream_may_send(ns);
		mutex_unlock(&ns->tx.lock);
		if (err == -EAGAIN)
			err = 0;
	}
	while (sent < len) {
		size_t part = min_t(size_t, len - sent, NST_STREAM_PAYLOAD_MAX);
		int flags = msg->msg_flags & NST_STREAM_SEND_FLAGS;

		if (sent + part < len)
			flags = MSG_MORE;
		mutex_lock(&ns->tx.lock);
		err = nst_stream_may_send(ns);
		if (!err)
			err = nst_stream_send_record(ns, msg, part, flags);
		mutex_unlock(&ns->tx.lock);
		if (!err) {
			sent += part;
			continue;
		}
		if (err == -EAGAIN)
			err = nst_stream_wait_sendable(ns, &timeo);
		if (err)
			break;
	}

	if (sent)
		return sent;
	if (err == -EPIPE && !(msg->msg_flags & MSG_NOSIGNAL))
		send_sig(SIGPIPE, current, 0);
	return err;
}
