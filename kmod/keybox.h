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

struct nst_key {
	u16	kid;
	u8	key[NST_KEY_LEN];
};

/* Never changed once it is published. */
struct nst_keybox {
	u64		generation;		/* no two boxes share one */
	unsigned int	room;			/* for so many keys */
	unsigned int	count;			/* at least 1 */
	struct nst_key	keys[];			/* by kid, ascending */
};

/* keybox.c */
int nst_keybox_replace(struct nst_net *nn, const char *text, size_t len);
void nst_keybox_drop(struct nst_net *nn);
struct nst_keybox *nst_keybox_alloc(unsigned int room);
void nst_keybox_free(struct nst_keybox *box);
void nst_keybox_sort(struct nst_keybox *box);
struct nst_key *nst_keybox_find(struct nst_keybox *box, u16 kid);
void nst_keybox_publish(struct nst_net *nn, struct nst_keybox *box);

/* keybox_edit.c */
int nst_keybox_add(struct nst_net *nn, struct nst_keybox *more, bool replace);
int nst_keybox_delete(struct nst_net *nn, const u16 *kids, size_t count);
void nst_keybox_flush(struct nst_net *nn);
size_t nst_keybox_kids(const struct nst_net *nn, u32 from, u16 *kids,
		       size_t max);
unsigned int nst_keybox_count(const struct nst_net *nn);

bool nst_keybox_has(const struct nst_net *nn, u16 kid);
u64 nst_keybox_generation(const struct nst_net *nn);
int nst_keybox_draw(const struct nst_net *nn, const struct nst_kids *kids,
		    u16 *kid);
int nst_keybox_key(const struct nst_net *nn, const struct nst_params *params,
		   u8 key[NST_KEY_LEN], u64 *generation);

#endif /* _NST_KEYBOX_H */
