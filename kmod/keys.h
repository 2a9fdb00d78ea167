/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Session keys: derivation (section 4), sealing and opening (section 5).
 */
#ifndef _NST_KEYS_H
#define _NST_KEYS_H

#include "protocol.h"

/* A body up to here is cheaper copied than spread over a scatterlist. */
#define NST_SMALL_MAX	512

struct nst_keys;
struct page;

/* keys.c */
struct nst_keys *nst_keys_derive(const u8 key[NST_KEY_LEN],
				 const struct nst_params *params,
				 u64 session_id);
void nst_keys_free(struct nst_keys *keys);

/* keys_seal.c; where a record's body is taken from and goes to: see nst_keys_seal() */
u8 *nst_keys_small(struct nst_keys *keys);
void nst_keys_start(struct nst_keys *keys);
bool nst_keys_from(struct nst_keys *keys, struct page *page, size_t len,
		   size_t offset);
bool nst_keys_to(struct nst_keys *keys, struct page *page, size_t len,
		 size_t offset);
bool nst_keys_from_buffer(struct nst_keys *keys, void *buf, size_t len);
bool nst_keys_to_buffer(struct nst_keys *keys, void *buf, size_t len);

int nst_keys_seal(struct nst_keys *keys, struct nst_header *hdr,
		  const u8 *chain);
int nst_keys_open(struct nst_keys *keys, const struct nst_header *hdr,
		  const u8 *chain);

#endif /* _NST_KEYS_H */
