/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * How much plaintext is on its way (SIOCOUTQ, SIOCOUTQNSD).
 */
#ifndef _NST_STREAM_OUTQ_H
#define _NST_STREAM_OUTQ_H

#include <linux/types.h>

/* Beyond these, records that follow one another count as one. */
#define NST_OUTQ_RECORDS	32

struct nst_outq {
	u64		sealed;		/* plaintext that was sealed, in all */
	u64		done;		/* of it, what was acknowledged */
	unsigned int	first;
	unsigned int	count;
	struct {
		u32	end_seq;	/* TCP's sequence number behind it */
		u64	sealed;		/* plaintext up to there, in all */
	} records[NST_OUTQ_RECORDS];
};

void nst_outq_pushed(struct nst_outq *outq, u32 end_seq, u32 acknowledged);
u64 nst_outq_left(const struct nst_outq *outq, u32 seq);

#endif /* _NST_STREAM_OUTQ_H */
