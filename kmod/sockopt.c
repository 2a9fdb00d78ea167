// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Socket options: NST's own, and which of inet's get through.
 */

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/nst.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <linux/uaccess.h>

#include "compat.h"
#include "netns.h"
#include "socket.h"
#include "suite.h"

static int nst_set_tx_suite(struct nst_sock *ns, sockptr_t optval,
			    unsigned int optlen)
{
	int cipher_id;

	if (optlen != sizeof(cipher_id))
		return -EINVAL;
	if (copy_from_sockptr(&cipher_id, optval, sizeof(cipher_id)))
		return -EFAULT;
	if (cipher_id < NST_CIPHER_FIRST || cipher_id > NST_CIPHER_LAST)
		return -EINVAL;
	if (!nst_suite_available(cipher_id))
		return -EOPNOTSUPP;

	mutex_lock(&ns->tx.lock);
	if (ns->tx.policy.cipher_id != cipher_id)
		nst_epoch_end(&ns->tx.epoch);
	ns->tx.policy.cipher_id = cipher_id;
	mutex_unlock(&ns->tx.lock);
	return 0;
}

static int nst_set_tx_key(struct nst_sock *ns, sockptr_t optval,
			  unsigned int optlen)
{
	struct nst_tx_key key;

	if (optlen != sizeof(key))
		return -EINVAL;
	if (copy_from_sockptr(&key, optval, sizeof(key)))
		return -EFAULT;
	if (key.pin & ~(NST_PIN_KID | NST_PIN_PERTURB))
		return -EINVAL;
	if (key.pin & NST_PIN_PERTURB &&
	    (key.kpos > NST_KPOS_MAX || !key.kpos != !key.kval))
		return -EINVAL;

	mutex_lock(&ns->tx.lock);
	ns->tx.policy.pin = (struct nst_pin){
		.pin_kid = key.pin & NST_PIN_KID,
		.pin_perturb = key.pin & NST_PIN_PERTURB,
		.kid = key.kid,
		.kpos = key.kpos,
		.kval = key.kval,
	};
	nst_epoch_end(&ns->tx.epoch);
	mutex_unlock(&ns->tx.lock);
	return 0;
}

static int nst_set_tx_kids(struct nst_sock *ns, sockptr_t optval,
			   unsigned int optlen)
{
	struct nst_kids *kids = nst_kids_read(optval, optlen);

	if (IS_ERR(kids))
		return PTR_ERR(kids);
	mutex_lock(&ns->tx.lock);
	swap(ns->tx.policy.kids, kids);
	nst_epoch_end(&ns->tx.epoch);
	mutex_unlock(&ns->tx.lock);
	nst_kids_put(kids);
	return 0;
}

static int nst_set_rx_kids(struct nst_sock *ns, sockptr_t optval,
			   unsigned int optlen)
{
	struct nst_kids *kids = nst_kids_read(optval, optlen);

	if (IS_ERR(kids))
		return PTR_ERR(kids);
	mutex_lock(&ns->rx_lock);
	kids = rcu_replace_pointer(ns->rx_policy.kids, kids,
				   lockdep_is_held(&ns->rx_lock));
	mutex_unlock(&ns->rx_lock);
	nst_kids_put(kids);
	return 0;
}

static int nst_set_rx_suites(struct nst_sock *ns, sockptr_t optval,
			     unsigned int optlen)
{
	u32 suites;

	if (optlen != sizeof(suites))
		return -EINVAL;
	if (copy_from_sockptr(&suites, optval, sizeof(suites)))
		return -EFAULT;
	if (suites & ~GENMASK(NST_CIPHER_LAST, NST_CIPHER_FIRST))
		return -EINVAL;
	if (suites & ~nst_suite_mask())
		return -EOPNOTSUPP;
	mutex_lock(&ns->rx_lock);
	WRITE_ONCE(ns->rx_policy.suites, suites);
	mutex_unlock(&ns->rx_lock);
	return 0;
}

static int nst_set_own(struct nst_sock *ns, int optname, sockptr_t optval,
		       unsigned int optlen)
{
	switch (optname) {
	case NST_TX_SUITE:
		return nst_set_tx_suite(ns, optval, optlen);
	case NST_TX_KEY:
		return nst_set_tx_key(ns, optval, optlen);
	case NST_TX_KIDS:
		return nst_set_tx_kids(ns, optval, optlen);
	case NST_RX_KIDS:
		return nst_set_rx_kids(ns, optval, optlen);
	case NST_RX_SUITES:
		return nst_set_rx_suites(ns, optval, optlen);
	}
	return -ENOPROTOOPT;
}

static void nst_get_info(struct nst_sock *ns, struct nst_info *info)
{
	const struct nst_epoch *epoch = &ns->tx.epoch;

	memset(info, 0, sizeof(*info));
	mutex_lock(&ns->tx.lock);
	if (epoch->keys) {
		info->tx_session_id = epoch->session_id;
		info->tx_counter = epoch->counter;
		info->tx_kid = epoch->params.kid;
		info->tx_cipher_id = epoch->params.cipher_id;
		info->tx_kpos = epoch->params.kpos;
		info->tx_kval = epoch->params.kval;
	}
	info->tx_records = ns->tx.records;
	mutex_unlock(&ns->tx.lock);

	mutex_lock(&ns->rx_lock);
	if (ns->transport == NST_STREAM && ns->stream.rx.state.prev.valid) {
		const struct nst_previous *prev = &ns->stream.rx.state.prev;

		info->rx_session_id = prev->session_id;
		info->rx_counter = prev->counter + 1;
		info->rx_kid = prev->params.kid;
	}
	info->rx_records = ns->rx_records;
	info->rx_rejected = ns->rx_rejected;
	mutex_unlock(&ns->rx_lock);
	info->last_verdict = READ_ONCE(ns->last_verdict);
}

static void nst_get_tx_key(struct nst_sock *ns, struct nst_tx_key *key)
{
	const struct nst_pin *pin = &ns->tx.policy.pin;

	mutex_lock(&ns->tx.lock);
	*key = (struct nst_tx_key){
		.kid = pin->kid,
		.kpos = pin->kpos,
		.kval = pin->kval,
		.pin = (pin->pin_kid ? NST_PIN_KID : 0) |
		       (pin->pin_perturb ? NST_PIN_PERTURB : 0),
	};
	mutex_unlock(&ns->tx.lock);
}

static struct nst_kids *nst_get_tx_kids(struct nst_sock *ns)
{
	struct nst_kids *kids;

	mutex_lock(&ns->tx.lock);
	kids = nst_kids_get(ns->tx.policy.kids);
	mutex_unlock(&ns->tx.lock);
	return kids;
}

static struct nst_kids *nst_get_rx_kids(struct nst_sock *ns)
{
	struct nst_kids *kids;

	mutex_lock(&ns->rx_lock);
	kids = rcu_dereference_protected(ns->rx_policy.kids,
					 lockdep_is_held(&ns->rx_lock));
	nst_kids_get(kids);
	mutex_unlock(&ns->rx_lock);
	return kids;
}

/* Hands out a set, and drops its reference. */
static int nst_put_kids(struct nst_kids *kids, int room, char __user *optval,
			int __user *optlen)
{
	int len = 0, err = 0;

	if (kids) {
		len = min_t(int, room, kids->count * sizeof(kids->kids[0]));
		err = copy_to_user(optval, kids->kids, len) ? -EFAULT : 0;
	}
	nst_kids_put(kids);
	return err ?: put_user(len, optlen);
}

static int nst_get_own(struct nst_sock *ns, int optname, char __user *optval,
		       int __user *optlen)
{
	union {
		int cipher_id;
		u32 suites;
		struct nst_tx_key key;
		struct nst_info info;
	} value;
	int len, size;

	if (get_user(len, optlen))
		return -EFAULT;
	if (len < 0)
		return -EINVAL;

	switch (optname) {
	case NST_TX_SUITE:
		value.cipher_id = READ_ONCE(ns->tx.policy.cipher_id);
		size = sizeof(value.cipher_id);
		break;
	case NST_TX_KEY:
		nst_get_tx_key(ns, &value.key);
		size = sizeof(value.key);
		break;
	case NST_TX_KIDS:
		return nst_put_kids(nst_get_tx_kids(ns), len, optval, optlen);
	case NST_RX_KIDS:
		return nst_put_kids(nst_get_rx_kids(ns), len, optval, optlen);
	case NST_RX_SUITES:
		value.suites = READ_ONCE(ns->rx_policy.suites);
		size = sizeof(value.suites);
		break;
	case NST_INFO:
		nst_get_info(ns, &value.info);
		size = sizeof(value.info);
		break;
	default:
		return -ENOPROTOOPT;
	}

	len = min(len, size);
	if (put_user(len, optlen) || copy_to_user(optval, &value, len))
		return -EFAULT;
	return 0;
}

/*
 * What is left out would let data past us (ULPs, fast open, repair), or make one
 * record of several or several of one (corking of datagrams, segmentation).
 */
static bool nst_tcp_option_allowed(int optname)
{
	switch (optname) {
	case TCP_NODELAY:
	case TCP_MAXSEG:
	case TCP_CORK:
	case TCP_KEEPIDLE:
	case TCP_KEEPINTVL:
	case TCP_KEEPCNT:
	case TCP_SYNCNT:
	case TCP_LINGER2:
	case TCP_DEFER_ACCEPT:
	case TCP_WINDOW_CLAMP:
	case TCP_QUICKACK:
	case TCP_CONGESTION:
	case TCP_USER_TIMEOUT:
	case TCP_SAVE_SYN:
	case TCP_NOTSENT_LOWAT:
	case TCP_TX_DELAY:
	case TCP_INQ:
		return true;
	}
	return false;
}

static bool nst_tcp_option_readable(int optname)
{
	switch (optname) {
	case TCP_INFO:
	case TCP_CC_INFO:
	case TCP_SAVED_SYN:
		return true;
	}
	return nst_tcp_option_allowed(optname);
}

static bool nst_option_allowed(int level, int optname)
{
	switch (level) {
	case SOL_SOCKET:
		return optname != SO_ZEROCOPY;
	case SOL_TCP:
		return nst_tcp_option_allowed(optname);
	case SOL_UDP:
		return false;
	case SOL_IPV6:
		return optname != IPV6_ADDRFORM;
	}
	/* IP's, or nobody's, and then inet says so. */
	return true;
}

/* Out of line, an urgent pointer would take a byte out of the stream. */
static bool nst_option_ignored(int level, int optname)
{
	return level == SOL_SOCKET && optname == SO_OOBINLINE;
}

int nst_setsockopt(struct socket *sock, int level, int optname,
		   sockptr_t optval, unsigned int optlen)
{
	struct nst_sock *ns = nst_sock_of(sock);

	if (level == SOL_NST)
		return nst_set_own(ns, optname, optval, optlen);
	if (!nst_option_allowed(level, optname))
		return -EOPNOTSUPP;
	if (nst_option_ignored(level, optname))
		return 0;
	if (level == SOL_SOCKET)
		return sock_setsockopt(sock, level, optname, optval, optlen);
	return ns->inner->setsockopt(sock, level, optname, optval, optlen);
}

int nst_getsockopt(struct socket *sock, int level, int optname,
		   char __user *optval, int __user *optlen)
{
	struct nst_sock *ns = nst_sock_of(sock);

	if (level == SOL_NST)
		return nst_get_own(ns, optname, optval, optlen);
	/* TCP_ZEROCOPY_RECEIVE, for one, reads data. */
	if (level == SOL_TCP && !nst_tcp_option_readable(optname))
		return -EOPNOTSUPP;
	return ns->inner->getsockopt(sock, level, optname, optval, optlen);
}
