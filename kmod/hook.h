/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The LOCAL_IN check (section 10).
 */
#ifndef _NST_HOOK_H
#define _NST_HOOK_H

#include <linux/types.h>

struct net;
struct nst_net;
struct sk_buff;
struct sock;

/* hook.c */
int nst_hook_register(struct net *net);
void nst_hook_unregister(struct net *net);
bool nst_hook_checksum_fails(const struct sk_buff *skb, unsigned int offset,
			     unsigned int len, u8 protocol, u8 family);

/* hook_stream.c */
unsigned int nst_hook_stream(struct nst_net *nn, struct sk_buff *skb,
			     unsigned int offset, u8 family);
bool nst_hook_refused(const struct sock *sk);

#endif /* _NST_HOOK_H */
