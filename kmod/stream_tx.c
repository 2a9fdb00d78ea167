// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sending on a stream: plaintext becomes records, which TCP gets whole.
 */

#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <net/tcp.h>

#include "netns.h"
#include "pages.h"
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

void nst_stream_tx_reset(struct nst_sock *ns)
{
	struct nst_stream_tx *tx = &ns->stream.tx;

	nst_record_free(&tx->record);
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
	struct nst_record *record = &tx->record;
	struct sock *sk = ns->sk;
	int sndbuf, sent = 0;

	lock_sock(sk);
	sndbuf = sk->sk_sndbuf;
	WRITE_ONCE(sk->sk_sndbuf, INT_MAX);
	while (record->left) {
		sent = nst_send_pages(ns->inner, sk,
				      record->pieces + record->first,
				      record->count - record->first,
				      record->left,
				      MSG_DONTWAIT | MSG_NOSIGNAL | flags);
		if (sent <= 0)
			break;
		nst_record_sent(record, sent);
	}
	if (!record->left)
		nst_outq_pushed(&tx->outq, tcp_sk(sk)->write_seq,
				tcp_sk(sk)->snd_una);
	/* TCP lowers it itself when memory is short. */
	if (sk->sk_sndbuf == INT_MAX)
		WRITE_ONCE(sk->sk_sndbuf, sndbuf);
	release_sock(sk);

	if (record->left && sent == -EAGAIN) {
		nst_stream_flush_later(ns);
		return -EAGAIN;
	}
	nst_record_free(record);
	return sent < 0 ? sent : 0;
}

/* Like nst_stream_push(), for whatever may be left of an earlier record. */
int nst_stream_flush(struct nst_sock *ns)
{
	return ns->stream.tx.record.count ? nst_stream_push(ns, 0) : 0;
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
 * Seals a record whose body the epoch's keys have been told of, and completes the pending
 * one with it; frees that on failure. A counter that was used up without a record to show
 * for it ends the epoch: the receiver would miss it.
 */
static int nst_stream_seal(struct nst_sock *ns, size_t len, u32 flags)
{
	struct nst_epoch *epoch = &ns->tx.epoch;
	struct nst_stream_tx *tx = &ns->stream.tx;
	struct nst_header hdr;
	const u8 *chain;
	int err;

	if (ns->stream.acceptor)
		flags |= NST_FLAG_REPLY;
	chain = nst_stream_chain(ns, &flags);
	err = nst_epoch_seal(epoch, &hdr, len, flags, chain);
	if (err) {
		nst_record_free(&tx->record);
		nst_epoch_end(epoch);
		return err;
	}

	*nst_record_header(&tx->record) = hdr;
	memcpy(tx->last_token, hdr.token, NST_TOKEN_LEN);
	if (!tx->sealed_any) {
		memcpy(tx->first_token, hdr.token, NST_TOKEN_LEN);
		/* Pairs with nst_stream_check(). */
		smp_store_release(&tx->sealed_any, true);
	}
	tx->outq.sealed += len;
	ns->tx.records++;
	return 0;
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
	size_t body_len;
	int err;

	err = nst_stream_flush(ns);
	if (err || tx->closed)
		return err;
	err = nst_stream_ready_epoch(ns);
	if (err)
		return err;
	body_len = nst_suite_body_len(nst_suite(ns->tx.epoch.params.cipher_id),
				      0);
	err = nst_record_alloc(&tx->record, body_len);
	if (err)
		return err;
	nst_keys_start(ns->tx.epoch.keys);
	nst_record_body(&tx->record, body_len, ns->tx.epoch.keys, true);
	err = nst_stream_seal(ns, 0, NST_FLAG_CLOSE);
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

/*
 * Tells the keys where the body is: if that can be, the plaintext is sealed straight from
 * the application's own pages, or from those that it splices. Pages come from them only
 * once, so that what they change to meanwhile does not matter; in place is only sealed
 * what nobody else can reach.
 */
static int nst_stream_take(struct nst_sock *ns, struct msghdr *msg, size_t len,
			   size_t body_len, struct nst_pages *pages)
{
	struct nst_record *record = &ns->stream.tx.record;
	struct nst_keys *keys = ns->tx.epoch.keys;
	int err;

	nst_keys_start(keys);
	/* CBC's padding needs room of its own. */
	if (len == body_len && len > NST_SMALL_MAX &&
	    nst_pages_get(pages, &msg->msg_iter, len, keys, false)) {
		nst_record_body(record, body_len, keys, false);
		return 0;
	}
	nst_keys_start(keys);
	err = nst_record_copy(record, &msg->msg_iter, len);
	nst_record_body(record, body_len, keys, true);
	return err;
}

/* One record of @len bytes from the application. */
static int nst_stream_send_record(struct nst_sock *ns, struct msghdr *msg,
				  size_t len, int flags)
{
	struct nst_record *record = &ns->stream.tx.record;
	struct nst_pages pages = { .count = 0 };
	size_t body_len;
	int err;

	err = nst_stream_ready_epoch(ns);
	if (err)
		return err;
	body_len = nst_suite_body_len(nst_suite(ns->tx.epoch.params.cipher_id),
				      len);
	err = nst_record_alloc(record, body_len);
	if (err)
		return err;
	err = nst_stream_take(ns, msg, len, body_len, &pages);
	if (err) {
		nst_record_free(record);
		return err;
	}
	err = nst_stream_seal(ns, len, 0);
	nst_pages_put(&pages, false);
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

	if (!READ_ONCE(ns->stream.tx.record.count) || !nst_stream_room(ns->sk))
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
