/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A socket's sets of kids: those it seals with, those it accepts (section 4).
 */
#ifndef _NST_KIDS_H
#define _NST_KIDS_H

#include <linux/refcount.h>
#include <linux/sockptr.h>
#include <linux/types.h>

/* Never changes once made. In its place NULL stands for the whole key box. */
struct nst_kids {
	refcount_t	refs;
	struct rcu_head	rcu;
	unsigned int	count;
	u16		kids[];		/* ascending, each once */
};

struct nst_kids *nst_kids_read(sockptr_t optval, unsigned int optlen);
struct nst_kids *nst_kids_get(struct nst_kids *kids);
void nst_kids_put(struct nst_kids *kids);
bool nst_kids_has(const struct nst_kids *kids, u16 kid);

#endif /* _NST_KIDS_H */
