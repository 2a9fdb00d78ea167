/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Stream sockets: records over TCP.
 */
#ifndef _NST_STREAM_H
#define _NST_STREAM_H

#include "compat.h"
#include "socket.h"

/* stream.c */
void nst_stream_init(struct nst_sock *ns);
void nst_stream_free(struct nst_sock *ns);
void nst_stream_finish(struct nst_sock *ns);
void nst_stream_fail(struct nst_sock *ns, int err);
int nst_stream_connect(struct socket *sock, struct sockaddr *addr, int len,
		       int flags);
int nst_stream_accept(struct socket *sock, struct socket *newsock,
		      struct proto_accept_arg *arg);
int nst_stream_shutdown(struct socket *sock, int how);
__poll_t nst_stream_poll(struct file *file, struct socket *sock,
			 struct poll_table_struct *wait);
int nst_stream_readable_bytes(struct nst_sock *ns);
int nst_stream_unsent_bytes(struct nst_sock *ns, bool in_flight);
int nst_stream_set_rcvlowat(struct sock *sk, int val);

bool nst_stream_refuse(struct nst_sock *ns);

/* stream_watch.c */
void nst_stream_watch_init(struct nst_stream *stream);
void nst_stream_watch(struct nst_sock *ns);
void nst_stream_unwatch(struct nst_sock *ns);
void nst_stream_watch_end(struct nst_sock *ns);
void nst_stream_flush_later(struct nst_sock *ns);

/* stream_tx.c */
int nst_stream_sendmsg(struct socket *sock, struct msghdr *msg, size_t len);
int nst_stream_flush(struct nst_sock *ns);
int nst_stream_send_close(struct nst_sock *ns);
void nst_stream_tx_reset(struct nst_sock *ns);

/* Where plaintext may go at once, if nothing is to be read before it. */
struct nst_reader {
	struct iov_iter	*iter;
	size_t		room;
	size_t		done;
};

/* stream_rx.c */
int nst_stream_fill(struct nst_sock *ns, struct nst_reader *reader);
void nst_stream_note(struct nst_sock *ns, const struct nst_header *hdr);
void nst_stream_keep(struct nst_stream_rx *rx, struct nst_plain *plain);
int nst_stream_fill_to(struct nst_sock *ns, size_t want);
void nst_stream_rx_reset(struct nst_sock *ns);

/* stream_cmsg.c */
int nst_stream_check_cmsgs(struct sock *sk, struct msghdr *msg);
bool nst_stream_tells_time(const struct sock *sk);
size_t nst_stream_stamp(struct nst_sock *ns, size_t len);
void nst_stream_put_cmsgs(struct nst_sock *ns, struct msghdr *msg,
			  const struct nst_stamp *stamp);

/* stream_direct.c */
bool nst_stream_look(const struct nst_sock *ns);
int nst_stream_open_queued(struct nst_sock *ns, struct nst_reader *reader);

/* stream_recv.c */
int nst_stream_recvmsg(struct socket *sock, struct msghdr *msg, size_t len,
		       int flags);

#endif /* _NST_STREAM_H */
