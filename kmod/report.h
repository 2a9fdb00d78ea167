/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Telling of rejected records: to the kernel log and to netlink listeners.
 */
#ifndef _NST_REPORT_H
#define _NST_REPORT_H

#include <linux/in.h>
#include <linux/in6.h>
#include <linux/spinlock.h>

#include "protocol.h"
#include "stat.h"

struct nst_net;
struct nst_sock;
struct sk_buff;
struct sock;
struct udphdr;

union nst_addr {
	struct sockaddr		sa;
	struct sockaddr_in	in;
	struct sockaddr_in6	in6;
};

/* A record that was rejected, or would have been. */
struct nst_reject {
	enum nst_verdict	verdict;
	enum nst_transport	transport;
	enum nst_stat_where	where;
	bool			passed;		/* by the hook, all the same */
	union nst_addr		src;
	union nst_addr		dst;
	size_t			header_len;	/* of the header, what there was */
	u8			header[NST_HEADER_LEN];
};

/* At most so many reports a second leave a namespace. */
#define NST_REPORTS_PER_SECOND	200

struct nst_report_limit {
	spinlock_t	lock;		/* guards the rest */
	unsigned long	second;		/* began then, in jiffies */
	unsigned int	sent;		/* in it */
	u32		lost;		/* since the last one sent */
};

void nst_report_dgram(struct nst_net *nn, enum nst_stat_where where,
		      enum nst_verdict verdict, bool passed,
		      const struct sk_buff *skb, const struct udphdr *uh,
		      unsigned int payload);
void nst_report_segment(struct nst_net *nn, enum nst_verdict verdict,
			const struct sock *sk, const struct sk_buff *skb,
			unsigned int payload);
void nst_report_stream(struct nst_sock *ns, enum nst_verdict verdict);

#endif /* _NST_REPORT_H */
