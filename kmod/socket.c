// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What NST attaches to an inet socket: found by the socket's address, so that
 * nobody has to trust what sk_user_data points to.
 */

#include <linux/rhashtable.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>

#include "compat.h"
#include "dgram.h"
#include "hook.h"
#include "netns.h"
#include "socket.h"
#include "stream.h"
#include "suite.h"

static const struct rhashtable_params nst_socks_params = {
	.key_len = sizeof(struct sock *),
	.key_offset = offsetof(struct nst_sock, sk),
	.head_offset = offsetof(struct nst_sock, node),
	.automatic_shrinking = true,
};

static struct rhashtable nst_socks;

/* What sockets do while nobody calls, and what cannot be done in softirq. */
struct workqueue_struct *nst_workqueue;

int nst_sock_init(void)
{
	int err;

	nst_workqueue = alloc_workqueue("nst", WQ_UNBOUND, 0);
	if (!nst_workqueue)
		return -ENOMEM;
	err = rhashtable_init(&nst_socks, &nst_socks_params);
	if (err)
		destroy_workqueue(nst_workqueue);
	return err;
}

void nst_sock_exit(void)
{
	destroy_workqueue(nst_workqueue);
	rhashtable_destroy(&nst_socks);
}

/* Under RCU, or when @sk cannot be released meanwhile. NULL: not an NST socket. */
struct nst_sock *nst_sock_find(const struct sock *sk)
{
	return rhashtable_lookup_fast(&nst_socks, &sk, nst_socks_params);
}

/* For a socket operation: the file keeps the socket from being released. */
struct nst_sock *nst_sock_of(struct socket *sock)
{
	return nst_sock_find(sock->sk);
}

struct nst_sock *nst_sock_alloc(const struct nst_ops *ops, struct net *net)
{
	struct nst_sock *ns;

	ns = kzalloc(sizeof(*ns), GFP_KERNEL_ACCOUNT);
	if (!ns)
		return NULL;
	ns->nn = nst_net(net);
	ns->inner = ops->inner;
	ns->transport = ops->transport;
	ns->tx.policy.cipher_id = READ_ONCE(ns->nn->default_cipher);
	ns->rx_policy.suites = nst_suite_mask();
	mutex_init(&ns->tx.lock);
	mutex_init(&ns->rx_lock);
	if (ns->transport == NST_STREAM)
		nst_stream_init(ns);
	else
		nst_dgram_init(ns);
	return ns;
}

/* An accepted connection starts with its listener's choices. */
void nst_sock_inherit(struct nst_sock *child, struct nst_sock *parent)
{
	struct nst_kids *kids;

	mutex_lock(&parent->tx.lock);
	child->tx.policy = parent->tx.policy;
	nst_kids_get(child->tx.policy.kids);
	mutex_unlock(&parent->tx.lock);

	mutex_lock(&parent->rx_lock);
	kids = rcu_dereference_protected(parent->rx_policy.kids,
					 lockdep_is_held(&parent->rx_lock));
	RCU_INIT_POINTER(child->rx_policy.kids, nst_kids_get(kids));
	child->rx_policy.suites = parent->rx_policy.suites;
	mutex_unlock(&parent->rx_lock);
}

/* Makes @sock's inet socket an NST socket. */
int nst_sock_attach(struct nst_sock *ns, struct socket *sock)
{
	struct sock *sk = sock->sk;
	int err;

	ns->sk = sk;
	err = rhashtable_insert_fast(&nst_socks, &ns->node, nst_socks_params);
	if (err)
		return err;

	/*
	 * Not ours to dereference: being set, it keeps sockmap, KCM and tunnels
	 * away, and TCP does not hand it down to children.
	 */
	write_lock_bh(&sk->sk_callback_lock);
	if (ns->transport == NST_STREAM && nst_hook_refused(sk))
		nst_stream_refuse(ns);
	__rcu_assign_sk_user_data_with_flags(sk, ns, SK_USER_DATA_NOCOPY);
	write_unlock_bh(&sk->sk_callback_lock);

	/* An urgent pointer must not take a byte out of the stream. */
	sock_set_flag(sk, SOCK_URGINLINE);
	clear_bit(SOCK_SUPPORT_ZC, &sock->flags);
	nst_take_sol_socket(sock);
	atomic_inc(&ns->nn->sockets[ns->transport]);
	return 0;
}

/* For a context that was never attached, or is no more. */
void nst_sock_free(struct nst_sock *ns)
{
	nst_epoch_end(&ns->tx.epoch);
	nst_kids_put(ns->tx.policy.kids);
	nst_kids_put(rcu_dereference_protected(ns->rx_policy.kids, true));
	if (ns->transport == NST_STREAM)
		nst_stream_free(ns);
	else
		nst_dgram_free(ns);
	/* The hook may be looking at it still. */
	kfree_rcu(ns, rcu);
}

/* Makes it a plain inet socket again: on release, when nobody else uses it. */
void nst_sock_detach(struct nst_sock *ns)
{
	struct sock *sk = ns->sk;

	atomic_dec(&ns->nn->sockets[ns->transport]);
	rhashtable_remove_fast(&nst_socks, &ns->node, nst_socks_params);
	write_lock_bh(&sk->sk_callback_lock);
	rcu_assign_sk_user_data(sk, NULL);
	write_unlock_bh(&sk->sk_callback_lock);
	nst_sock_free(ns);
}

/* Somebody in nst_sock_wait(). */
struct nst_waiter {
	struct wait_queue_entry	entry;
	struct nst_sock		*ns;
	bool			(*ready)(struct nst_sock *ns, u64 seen);
	u64			seen;
};

/*
 * In any context. TCP and UDP tell of each packet, and both directions share a queue:
 * whoever would only sleep on is not woken.
 */
static int nst_sock_wake(struct wait_queue_entry *entry, unsigned int mode,
			 int sync, void *key)
{
	struct nst_waiter *waiter = container_of(entry, struct nst_waiter, entry);

	if (!waiter->ready(waiter->ns, waiter->seen))
		return 0;
	return woken_wake_function(entry, mode, sync, key);
}

/**
 * nst_sock_wait() - wait until a direction may have something to do
 * @ns: the socket; none of its locks are held
 * @ready: says when to stop waiting. Asked in any context, also by whoever wakes: what
 *	makes it true has to be there by the wake-up.
 * @seen: what @ready is to compare with
 * @timeo: jiffies to wait at most; what is left of them afterwards
 *
 * Return: 0, -EAGAIN if the time is over, or as sock_intr_errno() says.
 */
int nst_sock_wait(struct nst_sock *ns,
		  bool (*ready)(struct nst_sock *ns, u64 seen), u64 seen,
		  long *timeo)
{
	struct nst_waiter waiter = {
		.entry = {
			.private = current,
			.func = nst_sock_wake,
			.entry = LIST_HEAD_INIT(waiter.entry.entry),
		},
		.ns = ns,
		.ready = ready,
		.seen = seen,
	};
	struct sock *sk = ns->sk;
	int err = 0;

	if (!*timeo)
		return -EAGAIN;
	add_wait_queue(sk_sleep(sk), &waiter.entry);
	for (;;) {
		/* First: what makes it ready might not be what the caller needs. */
		if (signal_pending(current))
			err = sock_intr_errno(*timeo);
		if (err || ready(ns, seen))
			break;
		if (!*timeo) {
			err = -EAGAIN;
			break;
		}
		*timeo = wait_woken(&waiter.entry, TASK_INTERRUPTIBLE, *timeo);
	}
	remove_wait_queue(sk_sleep(sk), &waiter.entry);
	return err;
}

/* Counts a verdict of the receive path. Under rx_lock. */
void nst_sock_count(struct nst_sock *ns, enum nst_verdict verdict)
{
	nst_stat_verdict(ns->nn->stats, NST_RECEIVE_PATH, ns->transport,
			 verdict);
	WRITE_ONCE(ns->last_verdict, verdict);
	if (verdict == NST_OK)
		ns->rx_records++;
	else
		ns->rx_rejected++;
}

/**
 * nst_sock_recv_start() - what recvmsg() settles before it looks for data
 * @sock: the socket
 * @msg: recvmsg()'s
 * @flags: recvmsg()'s
 *
 * Return: 1 to go on, else what recvmsg() returns.
 */
int nst_sock_recv_start(struct socket *sock, struct msghdr *msg, int flags)
{
	struct nst_sock *ns = nst_sock_of(sock);

	if (!nst_enabled(ns->nn))
		return -ESHUTDOWN;
	if (flags & MSG_ERRQUEUE) {
		/* Its payload is a record: of use to nobody. */
		iov_iter_truncate(&msg->msg_iter, 0);
		return ns->inner->recvmsg(sock, msg, 0, flags);
	}
	/* What TCP says when there is none, and there never is. UDP does not look. */
	if (flags & MSG_OOB && ns->transport == NST_STREAM)
		return -EINVAL;
	return 1;
}
