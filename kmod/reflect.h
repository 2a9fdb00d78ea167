/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which sessions a datagram socket sealed with lately (check 10).
 */
#ifndef _NST_REFLECT_H
#define _NST_REFLECT_H

#include <linux/list.h>
#include <linux/spinlock.h>
#include <linux/types.h>

struct nst_reflect {
	spinlock_t		lock;		/* guards the list */
	struct list_head	sessions;	/* the newest first */
	unsigned int		count;
};

void nst_reflect_init(struct nst_reflect *reflect);
void nst_reflect_drop(struct nst_reflect *reflect);
int nst_reflect_add(struct nst_reflect *reflect, u64 session_id, u64 now,
		    u64 window);
void nst_reflect_touch(struct nst_reflect *reflect, u64 now);
bool nst_reflect_hit(struct nst_reflect *reflect, u64 session_id, u64 now,
		     u64 window);

#endif /* _NST_REFLECT_H */
