// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Datagram sockets: what is neither sending nor receiving.
 */

#include <linux/poll.h>

#include "dgram.h"
#include "netns.h"

void nst_dgram_init(struct nst_sock *ns)
{
	nst_reflect_init(&ns->dgram.reflect);
}

void nst_dgram_free(struct nst_sock *ns)
{
	nst_dgram_rx_free(ns);
	nst_reflect_drop(&ns->dgram.reflect);
}

/*
 * Whether a datagram can be read, or may be but for want of memory: nothing need arrive
 * that would wake a poller again. An error that is pending is not taken.
 */
static bool nst_dgram_readable(struct nst_sock *ns)
{
	struct sock *sk = ns->sk;
	bool readable;
	int err = 0;

	mutex_lock(&ns->rx_lock);
	if (!ns->dgram.judged && !READ_ONCE(sk->sk_err)) {
		err = nst_dgram_judge(ns);
		/* It came that very moment, and is not for us to take. */
		if (err && err != -EAGAIN && err != -ENOMEM)
			WRITE_ONCE(sk->sk_err, -err);
	}
	readable = ns->dgram.judged || err == -ENOMEM;
	mutex_unlock(&ns->rx_lock);
	return readable;
}

__poll_t nst_dgram_poll(struct file *file, struct socket *sock,
			struct poll_table_struct *wait)
{
	struct nst_sock *ns = nst_sock_of(sock);
	__poll_t mask = ns->inner->poll(file, sock, wait);

	if (!nst_enabled(ns->nn))
		return EPOLLERR | EPOLLIN | EPOLLRDNORM | EPOLLOUT | EPOLLWRNORM;

	/* UDP tells of datagrams that are not judged yet. */
	if (!(READ_ONCE(ns->sk->sk_shutdown) & RCV_SHUTDOWN))
		mask &= ~(EPOLLIN | EPOLLRDNORM);
	if (nst_dgram_readable(ns))
		mask |= EPOLLIN | EPOLLRDNORM;
	return mask;
}

/* For SIOCINQ: the plaintext of the first datagram. */
int nst_dgram_readable_bytes(struct nst_sock *ns)
{
	int bytes = 0;

	if (!nst_dgram_readable(ns))
		return 0;
	mutex_lock(&ns->rx_lock);
	if (ns->dgram.judged)
		bytes = ns->dgram.judged->len;
	mutex_unlock(&ns->rx_lock);
	return bytes;
}
