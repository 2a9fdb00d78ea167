/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Counters of one network namespace.
 */
#ifndef _NST_STAT_H
#define _NST_STAT_H

#include <linux/percpu.h>

#include "protocol.h"

/* Where a record's fate was decided. */
enum nst_stat_where {
	NST_RECEIVE_PATH,
	NST_LOCAL_IN,
	NST_STAT_WHERES
};

struct nst_stats {
	unsigned long verdicts[NST_STAT_WHERES][NST_TRANSPORTS][NST_VERDICTS];
	unsigned long multicast;
};

static inline void nst_stat_verdict(struct nst_stats __percpu *stats,
				    enum nst_stat_where where,
				    enum nst_transport transport,
				    enum nst_verdict verdict)
{
	this_cpu_inc(stats->verdicts[where][transport][verdict]);
}

static inline void nst_stat_multicast(struct nst_stats __percpu *stats)
{
	this_cpu_inc(stats->multicast);
}

extern const char *const nst_verdict_names[NST_VERDICTS];

void nst_stat_sum(struct nst_stats *sum, struct nst_stats __percpu *stats);

#endif /* _NST_STAT_H */
