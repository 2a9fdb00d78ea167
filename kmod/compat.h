/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * All differences between the kernels that NST builds for.
 */
#ifndef _NST_COMPAT_H
#define _NST_COMPAT_H

#include <linux/bvec.h>
#include <linux/mm.h>
#include <linux/net.h>
#include <linux/net_tstamp.h>
#include <linux/random.h>
#include <linux/sysctl.h>
#include <linux/uio.h>
#include <linux/version.h>
#include <net/netns/generic.h>
#include <net/sock.h>
#include <net/udp.h>

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#include <asm/unaligned.h>
#else
#include <linux/unaligned.h>
#endif

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
#define nst_random_below(ceil)		prandom_u32_max(ceil)
#else
#define nst_random_below(ceil)		get_random_u32_below(ceil)
#endif

static inline struct udp_table *nst_udp_table(const struct net *net)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 2, 0)
	return &udp_table;
#else
	return net->ipv4.udp_table;
#endif
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 12, 0)
#define SOF_TIMESTAMPING_OPT_RX_FILTER	0
#endif

#ifndef ITER_DEST
#define ITER_DEST			READ
#define ITER_SOURCE			WRITE
#endif

/* accept() got its arguments one by one before 6.10. */
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
struct proto_accept_arg {
	int	flags;
	bool	kern;
};

#define NST_ACCEPT_OP(accept)		accept ## _by_args
#define NST_DEFINE_ACCEPT_OP(accept)					\
	static int accept ## _by_args(struct socket *sock,		\
				      struct socket *newsock,		\
				      int flags, bool kern)		\
	{								\
		struct proto_accept_arg arg = {				\
			.flags = flags,					\
			.kern = kern,					\
		};							\
									\
		return accept(sock, newsock, &arg);			\
	}
#else
#define NST_ACCEPT_OP(accept)		accept
#define NST_DEFINE_ACCEPT_OP(accept)
#endif

static inline int nst_inner_accept(const struct proto_ops *inner,
				   struct socket *sock, struct socket *newsock,
				   struct proto_accept_arg *arg)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 10, 0)
	return inner->accept(sock, newsock, arg->flags, arg->kern);
#else
	return inner->accept(sock, newsock, arg);
#endif
}

/*
 * Hands pages to TCP, which takes references of its own. They are nobody else's: what
 * receives them on this host need not copy them first.
 */
static inline int nst_send_pages(const struct proto_ops *inner, struct sock *sk,
				 struct bio_vec *pages, unsigned int count,
				 size_t len, int flags)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
	return inner->sendpage_locked(sk, pages->bv_page, pages->bv_offset,
				      pages->bv_len,
				      flags | MSG_NO_SHARED_FRAGS |
				      (count > 1 ? MSG_SENDPAGE_NOTLAST : 0));
#else
	struct msghdr msg = {
		.msg_flags = flags | MSG_SPLICE_PAGES | MSG_NO_SHARED_FRAGS,
	};

	iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, pages, count, len);
	return inner->sendmsg_locked(sk, &msg, len);
#endif
}

/*
 * The next pages of @iter, which is moved on: pinned if they are a user's, before 6.3
 * only referenced.
 */
static inline ssize_t nst_iter_pages(struct iov_iter *iter, struct page **pages,
				     size_t len, unsigned int count,
				     size_t *offset)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
	return iov_iter_get_pages2(iter, pages, len, count, offset);
#else
	return iov_iter_extract_pages(iter, &pages, len, count, 0, offset);
#endif
}

static inline void nst_iter_pages_done(struct page **pages, unsigned int count,
				       bool user, bool dirty)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 3, 0)
	while (count--) {
		if (dirty)
			set_page_dirty_lock(*pages);
		put_page(*pages++);
	}
#else
	if (user)
		unpin_user_pages_dirty_lock(pages, count, dirty);
#endif
}

/*
 * Before 6.5 pages came through sendpage(), which would pass them to TCP in clear;
 * since then through sendmsg(), with a call at their end that lets TCP push.
 */
static inline void nst_ops_adapt(struct proto_ops *ops,
				 const struct proto_ops *inner)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 5, 0)
	ops->sendpage = sock_no_sendpage;
#else
	ops->splice_eof = inner->splice_eof;
#endif
}

/* Makes SOL_SOCKET options come to our setsockopt(), on kernels that can. */
static inline void nst_take_sol_socket(struct socket *sock)
{
#ifdef SOCK_CUSTOM_SOCKOPT
	set_bit(SOCK_CUSTOM_SOCKOPT, &sock->flags);
#endif
}

static inline struct ctl_table_header *
nst_register_net_sysctl(struct net *net, const char *path,
			struct ctl_table *table, size_t entries)
{
#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 6, 0)
	return register_net_sysctl(net, path, table);
#else
	return register_net_sysctl_sz(net, path, table, entries);
#endif
}

#if LINUX_VERSION_CODE < KERNEL_VERSION(6, 11, 0)
#define NST_CTL_CONST
#else
#define NST_CTL_CONST			const
#endif

#endif /* _NST_COMPAT_H */
