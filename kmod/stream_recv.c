// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * recvmsg() on a stream: plaintext goes to the application, as a byte stream.
 */

#include <net/tcp.h>

#include "netns.h"
#include "stream.h"

/* What a reader waits for: something to fill from, or that came without it. */
static bool nst_stream_receivable(struct nst_sock *ns)
{
	struct nst_stream_rx *rx = &ns->stream.rx;
	struct sock *sk = ns->sk;

	return !skb_queue_empty_lockless(&sk->sk_receive_queue) ||
	       READ_ONCE(sk->sk_err) ||
	       READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN ||
	       inet_sk_state_load(sk) == TCP_CLOSE ||
	       READ_ONCE(rx->plain_len) || READ_ONCE(rx->closed) ||
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

static void nst_stream_consume(struct nst_stream_rx *rx,
			       struct nst_plain *plain, size_t len)
{
	plain->read += len;
	WRITE_ONCE(rx->plain_len, rx->plain_len - len);
	if (plain->read == plain->len) {
		rx->plain_size -= plain->size;
		list_del(&plain->list);
		kvfree(plain);
	}
}

/*
 * Copies what can be had without waiting, from *@copied on. Returns 1 if there is
 * nothing to wait for: the end of file; or a negative error.
 */
static int nst_stream_copy(struct nst_sock *ns, struct msghdr *msg, size_t len,
			   int flags, size_t *copied)
{
	struct nst_stream_rx *rx = &ns->stream.rx;
	bool peek = flags & MSG_PEEK;
	struct nst_plain *plain, *next;
	size_t offset, part;
	int ret;

	plain = nst_stream_plain_at(rx, peek ? *copied : 0, &offset);
	while (*copied < len) {
		if (!plain) {
			/* Peeking must not pile up all that the peer sends. */
			if (rx->plain_size >= READ_ONCE(ns->sk->sk_rcvbuf))
				return 1;
			ret = nst_stream_fill(ns);
			if (ret < 0)
				return ret;
			if (!ret || rx->closed)
				break;
			plain = list_last_entry(&rx->plain, struct nst_plain,
						list);
			offset = 0;
		}
		part = min(len - *copied, plain->len - offset);
		if (!(flags & MSG_TRUNC) &&
		    copy_to_iter(plain->data + offset, part,
				 &msg->msg_iter) != part)
			return -EFAULT;
		*copied += part;
		offset += part;
		next = plain;
		if (offset == plain->len) {
			next = nst_stream_plain_after(rx, plain);
			offset = 0;
		}
		if (!peek)
			nst_stream_consume(rx, plain, part);
		plain = next;
	}

	if (*copied == len)
		return 0;
	if (rx->error)
		return rx->error;
	return rx->closed || READ_ONCE(rx->shut);
}

int nst_stream_recvmsg(struct socket *sock, struct msghdr *msg, size_t len,
		       int flags)
{
	struct nst_sock *ns = nst_sock_of(sock);
	struct sock *sk = ns->sk;
	size_t copied = 0, target;
	long timeo;
	int ret;

	if (!nst_enabled(ns->nn))
		return -ESHUTDOWN;
	if (flags & MSG_ERRQUEUE) {
		/* Its payload is a record: of use to nobody. */
		iov_iter_truncate(&msg->msg_iter, 0);
		return ns->inner->recvmsg(sock, msg, 0, flags);
	}
	if (flags & MSG_OOB)
		return -EOPNOTSUPP;

	timeo = sock_rcvtimeo(sk, flags & MSG_DONTWAIT);
	target = flags & MSG_WAITALL ? len : min_t(size_t, len, 1);

	for (;;) {
		mutex_lock(&ns->rx_lock);
		ret = nst_stream_copy(ns, msg, len, flags, &copied);
		mutex_unlock(&ns->rx_lock);
		if (ret || copied >= target)
			break;
		ret = nst_sock_wait(ns, nst_stream_receivable, &timeo);
		if (ret)
			break;
		if (!nst_enabled(ns->nn)) {
			ret = -ESHUTDOWN;
			break;
		}
	}
	return copied || ret > 0 ? copied : ret;
}
