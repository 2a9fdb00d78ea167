/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What NST attaches to an inet socket.
 */
#ifndef _NST_SOCKET_H
#define _NST_SOCKET_H

#include <linux/mutex.h>
#include <linux/rhashtable-types.h>
#include <linux/wait.h>
#include <linux/workqueue.h>
#include <net/sock.h>

#include "check.h"
#include "epoch.h"
#include "plain.h"
#include "reflect.h"
#include "stream_outq.h"
#include "stream_record.h"

struct nst_net;

/* Stands for @ops.ops in sock->ops; @inner is what it was copied from. */
struct nst_ops {
	struct proto_ops	ops;
	const struct proto_ops	*inner;
	enum nst_transport	transport;
};

/* The sending side. All of it under its lock. */
struct nst_tx {
	struct mutex		lock;		/* guards what sending changes */
	struct nst_tx_policy	policy;
	struct nst_epoch	epoch;
	u64			records;	/* sealed, in all */
};

struct nst_stream_tx {
	struct nst_record	record;		/* sealed, and TCP has not all of it */
	bool			closed;		/* CLOSE was sealed */
	bool			sealed_any;
	struct nst_outq		outq;
	u8			last_token[NST_TOKEN_LEN];
	/* Written before @sealed_any is set, read by the receiving side after. */
	u8			first_token[NST_TOKEN_LEN];
};

/* Under nst_sock::rx_lock. */
struct nst_stream_rx {
	/* The record that is coming in. */
	struct nst_header	hdr;
	size_t			received;	/* of header and body */
	size_t			lacks;		/* in TCP's queue, to be whole; 0: anything helps */
	bool			checked;	/* the header passed checks 2 to 12 */
	size_t			body_len;
	struct nst_plain	*body;
	struct nst_stamp	stamp;		/* of what was read last */

	struct nst_stream_state	state;
	struct nst_keys		*keys;		/* of the running epoch */

	struct list_head	plain;
	size_t			plain_len;	/* bytes not yet read */
	size_t			plain_size;	/* memory that they take */
	u64			opened;		/* bytes, in all */
	int			lowat;		/* SO_RCVLOWAT, in plaintext */

	int			error;		/* what recv fails with, for good */
	bool			closed;		/* authentic CLOSE */
	bool			trailing;	/* bytes came after it */
	bool			shut;		/* the application's SHUT_RD */
	bool			unasked;	/* reading for no recv */
	/* Written before @accepted_any is set, read by the sending side after. */
	bool			accepted_any;
	u8			first_token[NST_TOKEN_LEN];
};

/* Bits of nst_stream::events. */
enum {
	NST_STREAM_REFUSED,			/* the LOCAL_IN hook did */
};

struct nst_stream {
	bool			acceptor;
	bool			failed;		/* a verdict or a lost record ended it */
	unsigned long		events;
	struct nst_stream_tx	tx;
	struct nst_stream_rx	rx;

	/* stream_watch.c */
	bool			watched;	/* under nst_sock::rx_lock */
	struct wait_queue_entry	arrival;
	struct work_struct	open_first;
	struct delayed_work	flush;
};

/* Keys that a token verified under. */
struct nst_dgram_epoch {
	struct nst_keys		*keys;
	u64			session_id;
	u64			keybox_generation;
	u64			used;
	struct nst_params	params;
};

#define NST_DGRAM_EPOCHS	16

struct nst_dgram {
	struct nst_reflect	reflect;

	/* Under nst_sock::rx_lock. */
	struct nst_plain	*judged;	/* the queue's first datagram */
	struct nst_dgram_epoch	epochs[NST_DGRAM_EPOCHS];
	u64			uses;
};

struct nst_sock {
	struct rhash_head	node;
	struct rcu_head		rcu;
	struct sock		*sk;
	struct nst_net		*nn;
	const struct proto_ops	*inner;
	enum nst_transport	transport;
	u8			last_verdict;

	struct nst_rx_policy	rx_policy;	/* written under rx_lock */
	struct nst_tx		tx;
	struct mutex		rx_lock;	/* guards what receiving changes */
	u64			rx_records;	/* accepted, in all */
	u64			rx_rejected;
	union {
		struct nst_stream stream;
		struct nst_dgram dgram;
	};
};

static inline const struct nst_ops *nst_ops_of(const struct socket *sock)
{
	return container_of(READ_ONCE(sock->ops), struct nst_ops, ops);
}

struct nst_sock *nst_sock_find(const struct sock *sk);
struct nst_sock *nst_sock_alloc(const struct nst_ops *ops, struct net *net);
void nst_sock_inherit(struct nst_sock *child, struct nst_sock *parent);
int nst_sock_attach(struct nst_sock *ns, struct socket *sock);
void nst_sock_free(struct nst_sock *ns);
void nst_sock_detach(struct nst_sock *ns);
struct nst_sock *nst_sock_of(struct socket *sock);

int nst_sock_wait(struct nst_sock *ns,
		  bool (*ready)(struct nst_sock *ns, u64 seen), u64 seen,
		  long *timeo);
int nst_sock_recv_start(struct socket *sock, struct msghdr *msg, int flags);
void nst_sock_count(struct nst_sock *ns, enum nst_verdict verdict);

extern struct workqueue_struct *nst_workqueue;

int nst_sock_init(void);
void nst_sock_exit(void);

int nst_setsockopt(struct socket *sock, int level, int optname,
		   sockptr_t optval, unsigned int optlen);
int nst_getsockopt(struct socket *sock, int level, int optname,
		   char __user *optval, int __user *optlen);

#endif /* _NST_SOCKET_H */
