// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A socket's sets of kids.
 */

#include <linux/bsearch.h>
#include <linux/err.h>
#include <linux/mm.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "kids.h"
#include "protocol.h"

static int nst_kids_cmp(const void *a, const void *b)
{
	return (int)*(const u16 *)a - (int)*(const u16 *)b;
}

static void nst_kids_tidy(struct nst_kids *kids)
{
	unsigned int i, kept = 0;

	sort(kids->kids, kids->count, sizeof(kids->kids[0]), nst_kids_cmp,
	     NULL);
	for (i = 0; i < kids->count; i++)
		if (!kept || kids->kids[i] != kids->kids[kept - 1])
			kids->kids[kept++] = kids->kids[i];
	kids->count = kept;
}

/**
 * nst_kids_read() - make a set of a socket option's value
 * @optval: an array of __u16, in any order
 * @optlen: its length in bytes; none stands for the whole key box
 *
 * Return: a set with one reference, NULL for the whole box, or an ERR_PTR().
 */
struct nst_kids *nst_kids_read(sockptr_t optval, unsigned int optlen)
{
	unsigned int count = optlen / sizeof(u16);
	struct nst_kids *kids;

	if (optlen % sizeof(u16) || count > NST_KIDS)
		return ERR_PTR(-EINVAL);
	if (!count)
		return NULL;
	kids = kvmalloc(struct_size(kids, kids, count), GFP_KERNEL_ACCOUNT);
	if (!kids)
		return ERR_PTR(-ENOMEM);
	if (copy_from_sockptr(kids->kids, optval, optlen)) {
		kvfree(kids);
		return ERR_PTR(-EFAULT);
	}
	refcount_set(&kids->refs, 1);
	kids->count = count;
	nst_kids_tidy(kids);
	return kids;
}

struct nst_kids *nst_kids_get(struct nst_kids *kids)
{
	if (kids)
		refcount_inc(&kids->refs);
	return kids;
}

/* Those who look at it under RCU may go on doing so. */
void nst_kids_put(struct nst_kids *kids)
{
	if (kids && refcount_dec_and_test(&kids->refs))
		kvfree_rcu(kids, rcu);
}

bool nst_kids_has(const struct nst_kids *kids, u16 kid)
{
	return !kids || bsearch(&kid, kids->kids, kids->count,
				sizeof(kids->kids[0]), nst_kids_cmp);
}
