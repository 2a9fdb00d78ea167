/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Session keys: derivation (section 4), sealing and opening (section 5).
 */
#ifndef _NST_KEYS_H
#define _NST_KEYS_H

#include "protocol.h"

struct nst_keys;

struct nst_keys *nst_keys_derive(const u8 key[NST_KEY_LEN],
				 const struct nst_params *params,
				 u64 session_id);
void nst_keys_free(struct nst_keys *keys);

int nst_keys_seal(struct nst_keys *keys, struct nst_header *hdr,
		  const u8 *chain, u8 *body);
int nst_keys_open(struct nst_keys *keys, const struct nst_header *hdr,
		  const u8 *chain, u8 *body);

#endif /* _NST_KEYS_H */
