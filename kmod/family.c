// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The socket family: an NST socket is an inet socket whose struct socket has
 * operations of our own: inet's where no data is carried, ours where it is. sk_prot
 * stays untouched, so that a TCP or UDP socket that outlives its file holds no
 * pointer into this module.
 */

#include <linux/module.h>
#include <linux/net.h>
#include <linux/nst.h>
#include <linux/sockios.h>
#include <net/sock.h>
#include <asm/ioctls.h>

#include "dgram.h"
#include "family.h"
#include "netns.h"
#include "socket.h"
#include "stream.h"

enum {
	NST_OVER_INET,
	NST_OVER_INET6,
	NST_OVERS
};

static unsigned int nst_family __read_mostly;
static struct nst_ops nst_ops[NST_OVERS][NST_TRANSPORTS];

static const struct {
	int pf;
	int type;
	int protocol;
} nst_inner[NST_OVERS][NST_TRANSPORTS] = {
	[NST_OVER_INET] = {
		[NST_STREAM]	= { PF_INET, SOCK_STREAM, IPPROTO_TCP },
		[NST_DGRAM]	= { PF_INET, SOCK_DGRAM, IPPROTO_UDP },
	},
	[NST_OVER_INET6] = {
		[NST_STREAM]	= { PF_INET6, SOCK_STREAM, IPPROTO_TCP },
		[NST_DGRAM]	= { PF_INET6, SOCK_DGRAM, IPPROTO_UDP },
	},
};

NST_DEFINE_ACCEPT_OP(nst_stream_accept)

static int nst_release(struct socket *sock)
{
	const struct proto_ops *inner = nst_ops_of(sock)->inner;
	struct nst_sock *ns = sock->sk ? nst_sock_of(sock) : NULL;

	if (ns) {
		if (ns->transport == NST_STREAM)
			nst_stream_finish(ns);
		nst_sock_detach(ns);
	}
	return inner->release(sock);
}

static int nst_ioctl(struct socket *sock, unsigned int cmd, unsigned long arg)
{
	struct nst_sock *ns = nst_sock_of(sock);
	int bytes;

	if (cmd == SIOCINQ && ns->transport == NST_DGRAM)
		bytes = nst_dgram_readable_bytes(ns);
	else if (ns->transport == NST_DGRAM)
		return ns->inner->ioctl(sock, cmd, arg);
	else if (cmd == SIOCINQ)
		bytes = nst_stream_readable_bytes(ns);
	else if (cmd == SIOCOUTQ || cmd == SIOCOUTQNSD)
		bytes = nst_stream_unsent_bytes(ns, cmd == SIOCOUTQ);
	else if (cmd == SIOCATMARK)
		bytes = 0;	/* there is no urgent data */
	else
		return ns->inner->ioctl(sock, cmd, arg);
	return bytes < 0 ? bytes : put_user(bytes, (int __user *)arg);
}

/*
 * Operations that carry no data are inet's own. All others are ours or absent, those
 * that a later kernel may add among them: splice_read, read_sock, peek_len and their
 * like would hand out ciphertext, sendmsg_locked would take in plaintext.
 */
static int nst_ops_build(struct nst_ops *ops, int pf, int type, int protocol,
			 enum nst_transport transport)
{
	const struct proto_ops *inner;
	struct socket *model;
	int err;

	err = sock_create_kern(&init_net, pf, type, protocol, &model);
	if (err)
		return err;
	inner = model->ops;
	sock_release(model);

	ops->inner = inner;
	ops->transport = transport;
	ops->ops = (struct proto_ops){
		.family		= nst_family,
		.owner		= THIS_MODULE,
		.release	= nst_release,
		.bind		= inner->bind,
		.connect	= inner->connect,
		.socketpair	= inner->socketpair,
		.accept		= inner->accept,
		.getname	= inner->getname,
		.ioctl		= nst_ioctl,
#ifdef CONFIG_COMPAT
		.compat_ioctl	= inner->compat_ioctl,
#endif
		.gettstamp	= inner->gettstamp,
		.listen		= inner->listen,
		.shutdown	= inner->shutdown,
		.setsockopt	= nst_setsockopt,
		.getsockopt	= nst_getsockopt,
		.mmap		= sock_no_mmap,
	};
	nst_ops_adapt(&ops->ops, inner);

	if (transport == NST_STREAM) {
		ops->ops.connect = nst_stream_connect;
		ops->ops.accept = NST_ACCEPT_OP(nst_stream_accept);
		ops->ops.shutdown = nst_stream_shutdown;
		ops->ops.poll = nst_stream_poll;
		ops->ops.sendmsg = nst_stream_sendmsg;
		ops->ops.recvmsg = nst_stream_recvmsg;
		ops->ops.set_rcvlowat = nst_stream_set_rcvlowat;
		/* Since 6.9 TCP has it. */
		if (inner->set_peek_off)
			ops->ops.set_peek_off = sk_set_peek_off;
	} else {
		ops->ops.poll = nst_dgram_poll;
		ops->ops.sendmsg = nst_dgram_sendmsg;
		ops->ops.recvmsg = nst_dgram_recvmsg;
	}
	return 0;
}

/* Moves the inet socket of @from, which is released, under @to. */
static void nst_graft(struct socket *from, struct socket *to)
{
	struct sock *sk = from->sk;

	write_lock_bh(&sk->sk_callback_lock);
	from->sk = NULL;
	write_unlock_bh(&sk->sk_callback_lock);
	sock_graft(sk, to);
	sock_release(from);
}

static int nst_create(struct net *net, struct socket *sock, int protocol,
		      int kern)
{
	enum nst_transport transport;
	const struct nst_ops *ops;
	struct socket *inner;
	struct nst_sock *ns;
	int over, err;

	if (!nst_enabled(nst_net(net)))
		return -EAFNOSUPPORT;

	if (sock->type == SOCK_STREAM)
		transport = NST_STREAM;
	else if (sock->type == SOCK_DGRAM)
		transport = NST_DGRAM;
	else
		return -ESOCKTNOSUPPORT;
	if (protocol == NST_PROTO_INET)
		over = NST_OVER_INET;
	else if (protocol == NST_PROTO_INET6)
		over = NST_OVER_INET6;
	else
		return -EPROTONOSUPPORT;

	ops = &nst_ops[over][transport];
	if (!ops->inner)	/* no IPv6 when the module was loaded */
		return -EPROTONOSUPPORT;

	ns = nst_sock_alloc(ops, net);
	if (!ns)
		return -ENOMEM;
	err = __sock_create(net, nst_inner[over][transport].pf, sock->type,
			    nst_inner[over][transport].protocol, &inner, kern);
	if (err)
		goto err_free;
	nst_graft(inner, sock);
	sock->ops = &ops->ops;
	err = nst_sock_attach(ns, sock);
	if (err)
		goto err_release;
	return 0;

err_release:
	/* Also frees the inet socket; the caller forgets it. */
	ops->inner->release(sock);
err_free:
	nst_sock_free(ns);
	return err;
}

static struct net_proto_family nst_proto_family = {
	.create	= nst_create,
	.owner	= THIS_MODULE,
};

int __init nst_family_init(unsigned int family)
{
	int over, t, err;

	nst_family = family;
	for (over = 0; over < NST_OVERS; over++) {
		for (t = 0; t < NST_TRANSPORTS; t++) {
			err = nst_ops_build(&nst_ops[over][t],
					    nst_inner[over][t].pf,
					    nst_inner[over][t].type,
					    nst_inner[over][t].protocol, t);
			if (err && over == NST_OVER_INET)
				return err;
		}
	}
	nst_proto_family.family = family;
	return sock_register(&nst_proto_family);
}

void nst_family_exit(void)
{
	sock_unregister(nst_family);
}
