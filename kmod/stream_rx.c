// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Receiving on a stream: bytes become records, records are judged (section 8) and
 * opened, and plaintext waits to be read (stream_recv.c).
 *
 * Ciphertext is taken from TCP as it comes, without waiting, into a buffer of the
 * record's own size; so a whole record fits whatever the receive buffer's size.
 */

#include <linux/slab.h>
#include <net/tcp.h>

#include "netns.h"
#include "stream.h"
#include "suite.h"

/* All of it runs under rx_lock. */

static void nst_stream_drop_record(struct nst_sock *ns)
{
	struct nst_stream_rx *rx = &ns->stream.rx;

	nst_plain_free(ns, rx->body);
	rx->body = NULL;
	rx->received = 0;
	rx->checked = false;
	rx->stamp = (struct nst_stamp){ };
}

static void nst_stream_drop_keys(struct nst_stream_rx *rx)
{
	nst_keys_free(rx->keys);
	rx->keys = NULL;
}

void nst_stream_rx_reset(struct nst_sock *ns)
{
	struct nst_stream_rx *rx = &ns->stream.rx;
	struct nst_plain *plain, *next;
	int lowat = rx->lowat;

	nst_stream_drop_record(ns);
	nst_stream_drop_keys(rx);
	list_for_each_entry_safe(plain, next, &rx->plain, list)
		nst_plain_free(ns, plain);
	memset(rx, 0, sizeof(*rx));
	rx->lowat = lowat;
	INIT_LIST_HEAD(&rx->plain);
	rx->state.from_acceptor = !ns->stream.acceptor;
}

/* What came before stays readable; nothing after it is looked at. */
static void nst_stream_stop(struct nst_sock *ns, int error)
{
	struct nst_stream_rx *rx = &ns->stream.rx;

	nst_stream_drop_record(ns);
	nst_stream_drop_keys(rx);
	WRITE_ONCE(rx->error, error);
	nst_stream_unwatch(ns);
}

/* Section 11. */
static void nst_stream_reject(struct nst_sock *ns, enum nst_verdict verdict)
{
	int error = verdict == NST_TRUNCATED ? -ECONNABORTED : -EBADMSG;

	nst_sock_count(ns, verdict);
	nst_report_stream(ns, verdict);
	nst_stream_stop(ns, error);
	nst_stream_fail(ns, error);
}

/*
 * What TCP has of the next @len bytes: never waits. Where it has none it would hand out
 * the socket's error, which is only for an application that asks.
 */
static int nst_stream_read(struct nst_sock *ns, void *buf, size_t len,
			   int flags)
{
	struct kvec vec = { .iov_base = buf, .iov_len = len };
	int peek_off = READ_ONCE(ns->sk->sk_peek_off);
	struct msghdr msg = { };
	int ret;

	if (ns->stream.rx.unasked && !sock_flag(ns->sk, SOCK_DONE) &&
	    skb_queue_empty_lockless(&ns->sk->sk_receive_queue))
		return -EAGAIN;
	iov_iter_kvec(&msg.msg_iter, ITER_DEST, &vec, 1, len);
	ret = ns->inner->recvmsg(ns->sk->sk_socket, &msg, len,
				 MSG_DONTWAIT | flags);
	/* It counts plaintext; TCP took off ciphertext. */
	if (peek_off >= 0)
		WRITE_ONCE(ns->sk->sk_peek_off, peek_off);
	return ret;
}

/* No bytes: nothing yet, the end of the stream, or of the connection. */
static int nst_stream_no_bytes(struct nst_sock *ns, int err)
{
	struct nst_stream_rx *rx = &ns->stream.rx;
	struct sock *sk = ns->sk;

	if (err == -EAGAIN)
		return 0;
	if (!err) {
		if (sock_flag(sk, SOCK_DONE)) {		/* FIN */
			nst_stream_reject(ns, NST_TRUNCATED);
			return 0;
		}
		if (READ_ONCE(rx->shut) &&
		    inet_sk_state_load(sk) != TCP_CLOSE)
			return 0;
		/* TCP's error went to somebody else. */
		err = -ECONNRESET;
	}
	/* The connection is no more; one that never was has no records. */
	if (inet_sk_state_load(sk) == TCP_CLOSE && err != -ENOTCONN)
		nst_stream_stop(ns, err);
	return err;
}

/* Reads on up to @want bytes of the record. 1: they are there; 0: not yet. */
static int nst_stream_gather(struct nst_sock *ns, void *buf, size_t offset,
			     size_t want)
{
	struct nst_stream_rx *rx = &ns->stream.rx;
	const struct sk_buff_head *queue = &ns->sk->sk_receive_queue;

	while (rx->received < want) {
		size_t part = nst_stream_stamp(ns, want - rx->received);
		int n = nst_stream_read(ns, buf + rx->received - offset, part,
					0);

		/* Nothing was asked for, and something came meanwhile. */
		if (!n && !part && !skb_queue_empty_lockless(queue))
			continue;
		if (n <= 0)
			return nst_stream_no_bytes(ns, n);
		rx->received += n;
		/* Checks 2 and 3 do not wait for the whole header. */
		if (!offset && rx->received >= NST_MAGIC_VERSION_LEN &&
		    nst_check_magic_version(buf))
			break;
	}
	return 1;
}

/* Checks 2 to 12, as soon as the header is there. */
static enum nst_verdict nst_stream_check(struct nst_sock *ns)
{
	struct nst_stream_rx *rx = &ns->stream.rx;
	u64 now = ktime_get_real_ns();
	enum nst_verdict verdict;

	verdict = nst_check_magic_version((const u8 *)&rx->hdr);
	if (verdict)
		return verdict;

	/* Pairs with nst_stream_seal(), which writes first_token before. */
	rx->state.sent_nothing = !smp_load_acquire(&ns->stream.tx.sealed_any);
	verdict = nst_check_stream(ns->nn, &ns->rx_policy, now, &rx->hdr,
				   &rx->state);
	if (!verdict && !rx->state.prev.valid)
		verdict = nst_replay_check(&ns->nn->replay[NST_STREAM],
					   &rx->hdr, now);
	return verdict;
}

/*
 * Gives *@fresh keys if the record that has come whole begins an epoch. Returns a
 * verdict, or a negative error after which it can be tried again.
 */
static int nst_stream_ready_keys(struct nst_sock *ns, struct nst_keys **fresh)
{
	struct nst_stream_rx *rx = &ns->stream.rx;
	const struct nst_params params = nst_header_params(&rx->hdr);
	const struct nst_previous *prev = &rx->state.prev;
	u64 session_id = nst_header_session_id(&rx->hdr);
	struct nst_keys *keys;
	u8 key[NST_KEY_LEN];
	u64 generation;

	if (prev->valid && prev->session_id == session_id)
		return NST_OK;
	/* It was there at check 8, and is gone from the box since. */
	if (nst_keybox_key(ns->nn, &params, key, &generation))
		return NST_KID;
	keys = nst_keys_derive(key, &params, session_id);
	memzero_explicit(key, sizeof(key));
	if (IS_ERR(keys))
		return PTR_ERR(keys);
	*fresh = keys;
	return NST_OK;
}

/*
 * Checks 13 and 14 on a record that has come whole, and the replay check again.
 * Returns a verdict, or a negative error after which the record is lost.
 */
static int nst_stream_open(struct nst_sock *ns, struct nst_keys *fresh)
{
	struct nst_stream_rx *rx = &ns->stream.rx;
	const struct nst_previous *prev = &rx->state.prev;
	struct nst_keys *keys = fresh ?: rx->keys;
	const u8 *chain = NULL;
	int verdict;

	if (be32_to_cpu(rx->hdr.flags) & NST_FLAG_BOUND)
		chain = ns->stream.tx.first_token;
	else if (fresh && prev->valid)
		chain = prev->token;

	nst_keys_start(keys);
	nst_keys_from_buffer(keys, rx->body->data, rx->body_len);
	verdict = nst_keys_open(keys, &rx->hdr, chain);
	if (!verdict && !prev->valid)
		verdict = nst_replay_accept(&ns->nn->replay[NST_STREAM],
					    &rx->hdr, ktime_get_real_ns(),
					    nst_window_ns(ns->nn));
	return verdict;
}

/* Counts an accepted record, and makes it the one that the next is checked against. */
void nst_stream_note(struct nst_sock *ns, const struct nst_header *hdr)
{
	struct nst_previous *prev = &ns->stream.rx.state.prev;

	nst_sock_count(ns, NST_OK);
	prev->valid = true;
	prev->session_id = nst_header_session_id(hdr);
	prev->counter = nst_header_counter(hdr);
	prev->params = nst_header_params(hdr);
	memcpy(prev->token, hdr->token, NST_TOKEN_LEN);
}

/* Has it wait to be read. */
void nst_stream_keep(struct nst_stream_rx *rx, struct nst_plain *plain)
{
	WRITE_ONCE(rx->plain_len, rx->plain_len + plain->len);
	WRITE_ONCE(rx->opened, rx->opened + plain->len);
	rx->plain_size += plain->size;
	list_add_tail(&plain->list, &rx->plain);
}

static void nst_stream_accepted(struct nst_sock *ns, struct nst_keys *fresh)
{
	struct nst_stream_rx *rx = &ns->stream.rx;

	if (fresh) {
		nst_keys_free(rx->keys);
		rx->keys = fresh;
	}
	if (!rx->state.prev.valid) {
		memcpy(rx->first_token, rx->hdr.token, NST_TOKEN_LEN);
		/* Pairs with nst_stream_chain(). */
		smp_store_release(&rx->accepted_any, true);
		nst_stream_unwatch(ns);
	}
	nst_stream_note(ns, &rx->hdr);

	if (be32_to_cpu(rx->hdr.flags) & NST_FLAG_CLOSE) {
		WRITE_ONCE(rx->closed, true);
		nst_stream_drop_keys(rx);
	} else {
		rx->body->len = be16_to_cpu(rx->hdr.transport_len);
		rx->body->stamp = rx->stamp;
		nst_stream_keep(rx, rx->body);
		rx->body = NULL;
	}
	nst_stream_drop_record(ns);
}

/* After CLOSE nothing more is parsed. */
static void nst_stream_discard(struct nst_sock *ns)
{
	struct nst_stream_rx *rx = &ns->stream.rx;

	if (nst_stream_read(ns, NULL, SZ_1M, MSG_TRUNC) <= 0 || rx->trailing)
		return;
	rx->trailing = true;
	nst_sock_count(ns, NST_SEQUENCE);
	nst_report_stream(ns, NST_SEQUENCE);
}

static int nst_stream_take_header(struct nst_sock *ns)
{
	struct nst_stream_rx *rx = &ns->stream.rx;
	enum nst_verdict verdict;
	int ret;

	if (!rx->checked) {
		ret = nst_stream_gather(ns, &rx->hdr, 0, NST_HEADER_LEN);
		if (ret <= 0)
			return ret;
		verdict = nst_stream_check(ns);
		if (verdict) {
			nst_stream_reject(ns, verdict);
			return 0;
		}
		rx->checked = true;
		rx->body_len =
			nst_suite_body_len(nst_suite(rx->hdr.cipher_id),
					   be16_to_cpu(rx->hdr.transport_len));
	}
	if (!rx->body) {
		rx->body = nst_plain_alloc(ns, rx->body_len);
		if (!rx->body)
			return -ENOMEM;
	}
	return 1;
}

/**
 * nst_stream_fill() - open the next record, if all of it has come
 * @ns: the socket, with rx_lock held
 * @reader: who may take the plaintext at once, or NULL
 *
 * What comes of it shows in rx: plaintext, closed, or error.
 *
 * Return: 1 if a record was opened, 0 if there is nothing to be had yet or any
 * more, or a negative error that need not stand for good.
 */
int nst_stream_fill(struct nst_sock *ns, struct nst_reader *reader)
{
	struct nst_stream_rx *rx = &ns->stream.rx;
	struct nst_keys *fresh = NULL;
	int ret;

	if (rx->error)
		return 0;
	if (test_bit(NST_STREAM_REFUSED, &ns->stream.events)) {
		/* Counted, and the connection reset, by the hook. */
		nst_stream_stop(ns, -EBADMSG);
		return 0;
	}
	if (rx->closed) {
		nst_stream_discard(ns);
		return 0;
	}
	if (rx->keys && !rx->received) {
		ret = nst_stream_open_queued(ns, reader);
		if (ret != -ENODATA)
			return ret;
	}
	ret = nst_stream_take_header(ns);
	if (ret <= 0)
		return ret;
	ret = nst_stream_gather(ns, rx->body->data, NST_HEADER_LEN,
				NST_HEADER_LEN + rx->body_len);
	if (ret <= 0)
		return ret;

	ret = nst_stream_ready_keys(ns, &fresh);
	if (ret < 0)
		return ret;
	ret = ret ?: nst_stream_open(ns, fresh);
	if (!ret) {
		nst_stream_accepted(ns, fresh);
		if (rx->closed)
			nst_stream_discard(ns);
		return 1;
	}
	nst_keys_free(fresh);
	if (ret > 0) {
		nst_stream_reject(ns, ret);
		return 0;
	}
	/* The body may be half decrypted: there is no second try. */
	nst_stream_stop(ns, ret);
	nst_stream_fail(ns, ret);
	return 0;
}

/*
 * Opens records until @want bytes of plaintext wait to be read, or as many as the
 * receive buffer may hold, while the application asks for none. Returns 0, or a
 * negative error that need not stand for good.
 */
int nst_stream_fill_to(struct nst_sock *ns, size_t want)
{
	struct nst_stream_rx *rx = &ns->stream.rx;
	int ret = 1;

	rx->unasked = true;
	while (ret > 0 && rx->plain_len < want &&
	       (!rx->plain_len ||
		rx->plain_size < READ_ONCE(ns->sk->sk_rcvbuf)))
		ret = nst_stream_fill(ns, NULL);
	rx->unasked = false;
	return min(ret, 0);
}
