/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The LOCAL_IN check (section 10).
 */
#ifndef _NST_HOOK_H
#define _NST_HOOK_H

struct net;

int nst_hook_register(struct net *net);
void nst_hook_unregister(struct net *net);

#endif /* _NST_HOOK_H */
