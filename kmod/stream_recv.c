// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * recvmsg() on a stream: plaintext goes to the application, as a byte stream.
 */

#include <net/tcp.h>

#include "netns.h"
#include "stream.h"

/*
 * What a reader waits for: bytes to fill from, or what another one made of them. Whoever
 * holds rx_lock may have emptied TCP's queue and not have opened yet what was in it; it
 * wakes nobody when it has, so a reader waits for the lock instead.
 */
static bool nst_stream_receivable(struct nst_sock *ns, u64 seen)
{
	struct nst_stream_rx *rx = &ns->stream.rx;

	if (nst_stream_look(ns))
		return true;
	/* The queue was emptied after rx_lock was taken. */
	smp_rmb();
	if (mutex_is_locked(&ns->rx_lock))
		return true;
	/* What was opened, was before rx_lock was released. */
	smp_rmb();
	return READ_ONCE(rx->opened) != seen || READ_ONCE(rx->closed) ||
	       READ_ONCE(rx->error);
}

/* The plaintext @pos bytes after the first unread one, at *@offset; or NULL. */
static struct nst_plain *nst_stream_plain_at(struct nst_stream_rx *rx,
					     size_t pos, size_t *offset)
{
	struct nst_plain *plain;

	list_for_each_entry(plain, &rx->plain, list) {
		if (pos < plain->len - plain->read) {
			*offset = plain->read + pos;
			return plain;
		}
		pos -= plain->len - plain->read;
	}
	return NULL;
}

static struct nst_plain *nst_stream_plain_after(struct nst_stream_rx *rx,
						struct nst_plain *plain)
{
	return list_is_last(&plain->list, &rx->plain) ?
	       NULL : list_next_entry(plain, list);
}

static void nst_stream_consume(struct nst_sock *ns, struct nst_plain *plain,
			       size_t len)
{
	struct nst_stream_rx *rx = &ns->stream.rx;

	plain->read += len;
	WRITE_ONCE(rx->plain_len, rx->plain_len - len);
	if (plain->read == plain->len) {
		rx->plain_size -= plain->size;
		list_del(&plain->list);
		nst_plain_free(ns, plain);
	}
}

/* One recvmsg(). */
struct nst_reading {
	struct msghdr		*msg;
	size_t			len;
	int			flags;
	size_t			start;		/* not 0 for peeking only */
	size_t			copied;
	struct nst_stamp	stamp;		/* of the last that was copied */
};

static void nst_stream_copied(struct nst_reading *reading,
			      const struct nst_plain *plain, size_t len)
{
	reading->copied += len;
	if (plain->stamp.software || plain->stamp.hardware)
		reading->stamp = plain->stamp;
}

/* Opens a record, and hands out its plaintext if it is to be read there and then. */
static int nst_stream_fill_for(struct nst_sock *ns, struct nst_reading *reading)
{
	struct nst_reader reader = {
		.iter = &reading->msg->msg_iter,
		.room = reading->len - reading->copied,
	};
	int ret;

	if (reading->flags & (MSG_PEEK | MSG_TRUNC))
		return nst_stream_fill(ns, NULL);
	ret = nst_stream_fill(ns, &reader);
	reading->copied += reader.done;
	return ret;
}

/*
 * Copies what can be had without waiting. Returns 1 if there is nothing to wait for:
 * all that was asked for, or the end of file; 0 if there is; or a negative error.
 */
static int nst_stream_copy(struct nst_sock *ns, struct nst_reading *reading)
{
	struct nst_stream_rx *rx = &ns->stream.rx;
	bool peek = reading->flags & MSG_PEEK;
	struct nst_plain *plain = NULL, *next;
	size_t offset, part;
	int ret;

	do {
		if (!plain)
			plain = nst_stream_plain_at(rx, peek ? reading->start +
						    reading->copied : 0,
						    &offset);
		if (!plain) {
			/* Peeking must not pile up all that the peer sends. */
			if (rx->plain_size >= READ_ONCE(ns->sk->sk_rcvbuf))
				return reading->copied ? 1 : -EAGAIN;
			ret = nst_stream_fill_for(ns, reading);
			if (ret < 0)
				return ret;
			if (ret > 0 && reading->copied == reading->len)
				return 1;
			if (!ret || rx->closed)
				break;
			continue;
		}
		part = min(reading->len - reading->copied, plain->len - offset);
		if (!(reading->flags & MSG_TRUNC) &&
		    copy_to_iter(plain->data + offset, part,
				 &reading->msg->msg_iter) != part)
			return -EFAULT;
		nst_stream_copied(reading, plain, part);
		offset += part;
		next = plain;
		if (offset == plain->len) {
			next = nst_stream_plain_after(rx, plain);
			offset = 0;
		}
		if (!peek)
			nst_stream_consume(ns, plain, part);
		plain = next;
		if (reading->copied == reading->len)
			return 1;
	} while (true);

	if (rx->error)
		return rx->error;
	return rx->closed || READ_ONCE(rx->shut);
}

/* SO_PEEK_OFF, in plaintext: where peeking begins, or -1. */
static void nst_stream_move_peek_off(struct sock *sk, int flags, size_t copied)
{
	if (flags & MSG_PEEK)
		sk_peek_offset_fwd(sk, copied);
	else
		sk_peek_offset_bwd(sk, copied);
}

int nst_stream_recvmsg(struct socket *sock, struct msghdr *msg, size_t len,
		       int flags)
{
	struct nst_sock *ns = nst_sock_of(sock);
	struct nst_stream_rx *rx = &ns->stream.rx;
	struct nst_reading reading = {
		.msg = msg,
		.len = len,
		.flags = flags,
	};
	struct sock *sk = ns->sk;
	size_t target;
	long timeo;
	u64 seen;
	int ret;

	ret = nst_sock_recv_start(sock, msg, flags);
	if (ret <= 0)
		return ret;

	timeo = sock_rcvtimeo(sk, flags & MSG_DONTWAIT);
	target = flags & MSG_WAITALL ? len :
				       min_t(size_t, READ_ONCE(rx->lowat), len);
	reading.start = max(sk_peek_offset(sk, flags), 0);

	for (;;) {
		mutex_lock(&ns->rx_lock);
		ret = nst_stream_copy(ns, &reading);
		seen = rx->opened;
		mutex_unlock(&ns->rx_lock);
		if (ret || (reading.copied && reading.copied >= target))
			break;
		ret = nst_sock_wait(ns, nst_stream_receivable, seen, &timeo);
		if (ret)
			break;
		if (!nst_enabled(ns->nn)) {
			ret = -ESHUTDOWN;
			break;
		}
	}
	nst_stream_move_peek_off(sk, flags, reading.copied);
	if (!reading.copied && ret <= 0)
		return ret;
	nst_stream_put_cmsgs(ns, msg, &reading.stamp);
	return reading.copied;
}
