/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What NST keeps for each network namespace.
 */
#ifndef _NST_NETNS_H
#define _NST_NETNS_H

#include <linux/ktime.h>
#include <linux/mutex.h>
#include <linux/sysctl.h>
#include <net/net_namespace.h>

#include "replay.h"
#include "report.h"
#include "stat.h"

struct nst_keybox;

struct nst_net {
	struct net		*net;
	struct mutex		keybox_lock;	/* serialises replacing it */
	struct nst_keybox __rcu	*keybox;	/* NULL: none was loaded yet */
	struct nst_replay_table	replay[NST_TRANSPORTS];
	struct nst_stats __percpu *stats;
	atomic_t		sockets[NST_TRANSPORTS];

	struct ctl_table_header	*sysctl;
	struct nst_report_limit	report_limit;

	/* settings.c; others than these are elsewhere in here */
	u32			enabled;
	u32			local_in_check;
	u32			drop_invalid;
	u32			log_rejects;
	u32			timestamp_window_ms;
	u32			rekey_records;
	u32			default_cipher;
};

static inline u64 nst_window_ns(const struct nst_net *nn)
{
	return (u64)READ_ONCE(nn->timestamp_window_ms) * NSEC_PER_MSEC;
}

/* The module switch. */
static inline bool nst_enabled(const struct nst_net *nn)
{
	return READ_ONCE(nn->enabled);
}

struct nst_net *nst_net(const struct net *net);
int nst_netns_init(void);
void nst_netns_exit(void);

int nst_proc_init(struct nst_net *nn);
void nst_proc_exit(struct nst_net *nn);
int nst_sysctl_init(struct nst_net *nn);
void nst_sysctl_exit(struct nst_net *nn);

#endif /* _NST_NETNS_H */
