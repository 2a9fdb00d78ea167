/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Datagram sockets: one record in each UDP datagram.
 */
#ifndef _NST_DGRAM_H
#define _NST_DGRAM_H

#include "compat.h"
#include "socket.h"

/* dgram.c */
void nst_dgram_init(struct nst_sock *ns);
void nst_dgram_free(struct nst_sock *ns);
__poll_t nst_dgram_poll(struct file *file, struct socket *sock,
			struct poll_table_struct *wait);
int nst_dgram_readable_bytes(struct nst_sock *ns);

/* dgram_tx.c */
int nst_dgram_sendmsg(struct socket *sock, struct msghdr *msg, size_t len);

/* dgram_rx.c */
int nst_dgram_recvmsg(struct socket *sock, struct msghdr *msg, size_t len,
		      int flags);
int nst_dgram_judge(struct nst_sock *ns);
void nst_dgram_rx_free(struct nst_sock *ns);

#endif /* _NST_DGRAM_H */
