/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Plaintext that was authenticated and not yet read.
 */
#ifndef _NST_PLAIN_H
#define _NST_PLAIN_H

#include <linux/ktime.h>
#include <linux/types.h>

struct nst_sock;

/* When the last of it came, on a stream that tells; 0: nobody knows. */
struct nst_stamp {
	ktime_t		software;
	ktime_t		hardware;
};

struct nst_plain {
	struct list_head	list;
	struct nst_stamp	stamp;
	size_t			size;		/* of this allocation */
	size_t			len;
	size_t			read;
	u8			data[];
};

struct nst_plain *nst_plain_alloc(struct nst_sock *ns, size_t len);
void nst_plain_free(struct nst_sock *ns, struct nst_plain *plain);
struct nst_plain *nst_plain_alloc_locked(struct nst_sock *ns, size_t len);
void nst_plain_free_locked(struct nst_sock *ns, struct nst_plain *plain);

#endif /* _NST_PLAIN_H */
