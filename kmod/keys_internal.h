/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What session keys consist of, for those who make them (keys.c) and who seal and open
 * with them (keys_seal.c).
 */
#ifndef _NST_KEYS_INTERNAL_H
#define _NST_KEYS_INTERNAL_H

#include <linux/scatterlist.h>
#include <linux/sizes.h>

#include "keys.h"

struct aead_request;
struct crypto_aead;
struct crypto_shash;
struct crypto_skcipher;
struct nst_suite;
struct skcipher_request;

#define NST_HASH_LEN		32	/* SHA-256 and SM3 alike */
#define NST_SALT_LEN		4
#define NST_AUTH_LEN_MAX	(NST_HEADER_LEN + NST_TOKEN_LEN)

/*
 * A datagram's body of 64 KiB, at any offset in its first page, between auth and token;
 * or a stream's, in the segments that it arrived in. With more, struct nst_keys would not
 * fit into 2 KiB.
 */
#define NST_SG_ENTRIES		20

static_assert(NST_SG_ENTRIES >= 1 + SZ_64K / SZ_4K + 2 + 1);

/* Pieces of memory; the first entry is kept free for auth. */
struct nst_pieces {
	unsigned int used;
	struct scatterlist sg[NST_SG_ENTRIES];
};

/* One user at a time: its owner's lock (that of a socket's direction) serialises all. */
struct nst_keys {
	const struct nst_suite *suite;
	union {
		struct crypto_aead *aead;
		struct crypto_skcipher *skcipher;
	};
	union {
		struct aead_request *aead_req;
		struct skcipher_request *skcipher_req;
	};
	struct crypto_shash *hmac;	/* CBC suites */
	u8 salt[NST_SALT_LEN];		/* GCM suites */

	/*
	 * Scatterlists must not point into the stack. A small body lies between auth,
	 * which ends where it begins, and token: in one piece with them.
	 */
	u8 flat[NST_AUTH_LEN_MAX + NST_SMALL_MAX + NST_TOKEN_LEN];
	u8 token[NST_HASH_LEN];
	u8 iv[NST_CBC_BLOCK_LEN];
	u8 zero_iv[NST_CBC_BLOCK_LEN];
	struct scatterlist iv_sg;
	struct nst_pieces from;
	struct nst_pieces to;		/* none: @from, in place */
};

#endif /* _NST_KEYS_INTERNAL_H */
