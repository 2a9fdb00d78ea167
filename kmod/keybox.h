/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The key box (section 4): one per network namespace, replaced as a whole.
 */
#ifndef _NST_KEYBOX_H
#define _NST_KEYBOX_H

#include "protocol.h"

struct nst_kids;
struct nst_net;

/* What a socket seals with, where not all is drawn at random. */
struct nst_pin {
	bool	pin_kid;
	bool	pin_perturb;
	u8	kpos;
	u8	kval;
	u16	kid;
};

int nst_keybox_replace(struct nst_net *nn, const char *text, size_t len);
void nst_keybox_drop(struct nst_net *nn);

bool nst_keybox_has(const struct nst_net *nn, u16 kid);
u64 nst_keybox_generation(const struct nst_net *nn);
int nst_keybox_draw(const struct nst_net *nn, const struct nst_kids *kids,
		    u16 *kid);
int nst_keybox_key(const struct nst_net *nn, const struct nst_params *params,
		   u8 key[NST_KEY_LEN], u64 *generation);

#endif /* _NST_KEYBOX_H */
