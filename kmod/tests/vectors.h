/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The specification's test vectors (section 12), as vectors.py writes them.
 */
#ifndef _NST_TESTS_VECTORS_H
#define _NST_TESTS_VECTORS_H

#include <linux/kernel.h>

#include "../protocol.h"

/* Sealing gives @record, and opening that gives @plaintext. */
struct nst_vector_record {
	u8		cipher_id;
	u8		kpos;
	u8		kval;
	u16		kid;
	u32		flags;
	u64		timestamp;
	u64		nonce;
	const u8	*key;		/* the key box's, not perturbed */
	const u8	*chain;		/* NULL: none */
	const u8	*plaintext;
	size_t		plaintext_len;
	const u8	*record;
	size_t		record_len;
};

/* At @now, with tables of @age: a datagram comes in, or @socket has sealed with @sent. */
struct nst_vector_event {
	u64			now;
	u64			age;
	unsigned int		socket;
	u64			sent;		/* 0: a datagram came in */
	const u8		*bytes;
	size_t			bytes_len;
	enum nst_verdict	verdict;
	const u8		*plaintext;
	size_t			plaintext_len;
};

struct nst_vector_case {
	const char			*name;
	unsigned int			window_ms;
	unsigned int			table_size;
	const char			*keybox;
	size_t				count;
	const struct nst_vector_event	*events;
};

extern const struct nst_vector_record nst_vector_records[];
extern const size_t nst_vector_records_count;
extern const struct nst_vector_case nst_vector_cases[];
extern const size_t nst_vector_cases_count;

#endif /* _NST_TESTS_VECTORS_H */
