/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Memory of a record on its way to TCP.
 */
#ifndef _NST_STREAM_RECORD_H
#define _NST_STREAM_RECORD_H

#include <linux/bvec.h>

#include "protocol.h"

struct nst_keys;
struct sock;

/* One that was begun, whole pages, and one that is used in part. */
#define NST_RECORD_PIECES \
	(2 + DIV_ROUND_UP(NST_STREAM_PAYLOAD_MAX + NST_CBC_BLOCK_LEN, SZ_4K))

/* Nobody else writes to its pieces. They begin with what is to be sent next. */
struct nst_record {
	unsigned int	first;
	unsigned int	count;		/* 0: there is no record */
	size_t		left;		/* bytes, from the first on */
	struct bio_vec	pieces[NST_RECORD_PIECES];
};

int nst_record_alloc(struct nst_record *record, size_t body_len);
void nst_record_free(struct nst_record *record);
struct nst_header *nst_record_header(struct nst_record *record);
int nst_record_copy(struct nst_record *record, struct iov_iter *iter,
		    size_t len);
void nst_record_body(struct nst_record *record, size_t body_len,
		     struct nst_keys *keys, bool in_place);
void nst_record_sent(struct nst_record *record, size_t len);

#endif /* _NST_STREAM_RECORD_H */
