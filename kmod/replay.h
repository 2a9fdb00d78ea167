/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Replay protection (section 9).
 */
#ifndef _NST_REPLAY_H
#define _NST_REPLAY_H

#include <linux/mutex.h>
#include <linux/rbtree.h>

#include "protocol.h"

struct nst_replay_entry;

struct nst_replay_table {
	struct mutex	lock;		/* guards all of it but max */
	struct rb_root	by_session;
	struct rb_root_cached by_age;	/* (timestamp, session_id), ascending */
	unsigned int	count;
	unsigned int	max;		/* may change at any time */
	u64		floor;
	u64		created;	/* CLOCK_BOOTTIME */
	enum nst_transport transport;
};

void nst_replay_init(struct nst_replay_table *table,
		     enum nst_transport transport, unsigned int max);
void nst_replay_drop(struct nst_replay_table *table);

enum nst_verdict nst_replay_check(struct nst_replay_table *table,
				  const struct nst_header *hdr, u64 now);
int nst_replay_accept(struct nst_replay_table *table,
		      const struct nst_header *hdr, u64 now, u64 window);
u64 nst_replay_age(const struct nst_replay_table *table);

#endif /* _NST_REPLAY_H */
