// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * How much plaintext is on its way. TCP counts sealed bytes; what was pushed up to
 * which sequence number is kept here. A record counts until all of it has arrived.
 */

#include <net/tcp.h>

#include "stream_outq.h"

/* Notes that all that was sealed is in TCP's hands, up to @end_seq. */
void nst_outq_pushed(struct nst_outq *outq, u32 end_seq, u32 acknowledged)
{
	unsigned int last;

	while (outq->count &&
	       !after(outq->records[outq->first].end_seq, acknowledged)) {
		outq->done = outq->records[outq->first].sealed;
		outq->first = (outq->first + 1) % NST_OUTQ_RECORDS;
		outq->count--;
	}
	if (outq->count < NST_OUTQ_RECORDS)
		outq->count++;
	last = (outq->first + outq->count - 1) % NST_OUTQ_RECORDS;
	outq->records[last].end_seq = end_seq;
	outq->records[last].sealed = outq->sealed;
}

/* Plaintext of the records that do not end at or before @seq. */
u64 nst_outq_left(const struct nst_outq *outq, u32 seq)
{
	u64 done = outq->done;
	unsigned int i;

	for (i = 0; i < outq->count; i++) {
		unsigned int at = (outq->first + i) % NST_OUTQ_RECORDS;

		if (after(outq->records[at].end_seq, seq))
			break;
		done = outq->records[at].sealed;
	}
	return outq->sealed - done;
}
