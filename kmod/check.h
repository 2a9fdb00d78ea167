/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Checks 1 to 12 of section 8, in its order.
 */
#ifndef _NST_CHECK_H
#define _NST_CHECK_H

#include "protocol.h"

struct nst_kids;
struct nst_net;

/* What a socket accepts. */
struct nst_rx_policy {
	struct nst_kids __rcu	*kids;
	unsigned long		suites;		/* of those there are; by BIT(cipher_id) */
};

/* A stream's record before the one at hand. */
struct nst_previous {
	bool			valid;
	u64			session_id;
	u16			counter;
	struct nst_params	params;
	u8			token[NST_TOKEN_LEN];
};

/* What a stream's next record is checked against. */
struct nst_stream_state {
	bool			from_acceptor;	/* the sender's role */
	bool			sent_nothing;	/* by the receiver */
	struct nst_previous	prev;
};

enum nst_verdict nst_check_magic_version(const u8 *bytes);
enum nst_verdict nst_check_dgram(const struct nst_net *nn,
				 const struct nst_rx_policy *policy, u64 now,
				 const struct nst_header *hdr, size_t len);
enum nst_verdict nst_check_stream(const struct nst_net *nn,
				  const struct nst_rx_policy *policy, u64 now,
				  const struct nst_header *hdr,
				  const struct nst_stream_state *state);

#endif /* _NST_CHECK_H */
