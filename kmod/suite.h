/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The four suites (section 3).
 */
#ifndef _NST_SUITE_H
#define _NST_SUITE_H

#include "protocol.h"

struct nst_suite {
	const char	*name;
	const char	*cipher;	/* an AEAD, or a CBC skcipher */
	const char	*hmac;
	u8		enc_key_len;
	bool		cbc;
};

const struct nst_suite *nst_suite(u8 cipher_id);
bool nst_suite_available(u8 cipher_id);
unsigned long nst_suite_mask(void);
size_t nst_suite_body_len(const struct nst_suite *suite, size_t transport_len);
void nst_suites_probe(void);

#endif /* _NST_SUITE_H */
