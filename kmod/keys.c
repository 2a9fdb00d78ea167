// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Session keys: derivation and life (section 4).
 */

#include <linux/err.h>
#include <linux/slab.h>
#include <crypto/aead.h>
#include <crypto/hash.h>
#include <crypto/skcipher.h>

#include "compat.h"
#include "keys_internal.h"
#include "suite.h"

#define NST_MAC_KEY_LEN		32
#define NST_ENC_KEY_MAX		32

struct nst_okm {
	u8 enc_key[NST_ENC_KEY_MAX];
	u8 mac_key[NST_MAC_KEY_LEN];
	u8 salt[NST_SALT_LEN];
} __packed;

static_assert(sizeof(struct nst_okm) == 68);

struct nst_info_block {
	u8 label[4];
	u8 cipher_id;
	u8 session_id[6];
} __packed;

/* HKDF-Expand (RFC 5869, section 2.3) with the HMAC named @hmac_name. */
static int nst_hkdf_expand(const char *hmac_name, const u8 prk[NST_KEY_LEN],
			   const struct nst_info_block *info,
			   struct nst_okm *okm)
{
	u8 block[NST_HASH_LEN], *out = (u8 *)okm;
	size_t left = sizeof(*okm);
	struct crypto_shash *hmac;
	u8 index = 0;
	int err;

	hmac = crypto_alloc_shash(hmac_name, 0, 0);
	if (IS_ERR(hmac))
		return PTR_ERR(hmac);

	err = crypto_shash_setkey(hmac, prk, NST_KEY_LEN);
	while (!err && left) {
		SHASH_DESC_ON_STACK(desc, hmac);
		size_t part = min(left, sizeof(block));

		desc->tfm = hmac;
		err = crypto_shash_init(desc);
		if (!err && index)
			err = crypto_shash_update(desc, block, sizeof(block));
		index++;
		err = err ?: crypto_shash_update(desc, (const u8 *)info,
						 sizeof(*info));
		err = err ?: crypto_shash_finup(desc, &index, 1, block);
		shash_desc_zero(desc);
		if (err)
			break;
		memcpy(out, block, part);
		out += part;
		left -= part;
	}
	memzero_explicit(block, sizeof(block));
	crypto_free_shash(hmac);
	return err;
}

static int nst_keys_set_gcm(struct nst_keys *keys, const struct nst_okm *okm)
{
	struct crypto_aead *aead;
	int err;

	aead = crypto_alloc_aead(keys->suite->cipher, 0, 0);
	if (IS_ERR(aead))
		return PTR_ERR(aead);
	keys->aead = aead;

	err = crypto_aead_setkey(aead, okm->enc_key, keys->suite->enc_key_len);
	err = err ?: crypto_aead_setauthsize(aead, NST_TOKEN_LEN);
	if (err)
		return err;
	memcpy(keys->salt, okm->salt, sizeof(keys->salt));

	keys->aead_req = aead_request_alloc(aead, GFP_KERNEL);
	return keys->aead_req ? 0 : -ENOMEM;
}

static int nst_keys_set_cbc(struct nst_keys *keys, const struct nst_okm *okm)
{
	struct crypto_skcipher *skcipher;
	struct crypto_shash *hmac;
	int err;

	skcipher = crypto_alloc_skcipher(keys->suite->cipher, 0, 0);
	if (IS_ERR(skcipher))
		return PTR_ERR(skcipher);
	keys->skcipher = skcipher;

	hmac = crypto_alloc_shash(keys->suite->hmac, 0, 0);
	if (IS_ERR(hmac))
		return PTR_ERR(hmac);
	keys->hmac = hmac;

	err = crypto_skcipher_setkey(skcipher, okm->enc_key,
				     keys->suite->enc_key_len);
	err = err ?: crypto_shash_setkey(hmac, okm->mac_key, NST_MAC_KEY_LEN);
	if (err)
		return err;

	keys->skcipher_req = skcipher_request_alloc(skcipher, GFP_KERNEL);
	return keys->skcipher_req ? 0 : -ENOMEM;
}

/**
 * nst_keys_derive() - session keys of one epoch
 * @key: the key box's key, perturbed
 * @params: the epoch's key parameters; the suite must exist
 * @session_id: the epoch's session id
 *
 * Return: the keys, or an ERR_PTR().
 */
struct nst_keys *nst_keys_derive(const u8 key[NST_KEY_LEN],
				 const struct nst_params *params,
				 u64 session_id)
{
	struct nst_info_block info = {
		.label = { 'N', 'S', 'T', '1' },
		.cipher_id = params->cipher_id,
	};
	struct nst_keys *keys;
	struct nst_okm okm;
	int err;

	keys = kzalloc(sizeof(*keys), GFP_KERNEL_ACCOUNT);
	if (!keys)
		return ERR_PTR(-ENOMEM);
	keys->suite = nst_suite(params->cipher_id);
	sg_init_table(keys->from.sg, NST_SG_ENTRIES);
	sg_init_table(keys->to.sg, NST_SG_ENTRIES);

	put_unaligned_be48(session_id, info.session_id);
	err = nst_hkdf_expand(keys->suite->hmac, key, &info, &okm);
	if (!err)
		err = keys->suite->cbc ? nst_keys_set_cbc(keys, &okm) :
					 nst_keys_set_gcm(keys, &okm);
	memzero_explicit(&okm, sizeof(okm));
	if (err) {
		nst_keys_free(keys);
		return ERR_PTR(err);
	}
	return keys;
}

void nst_keys_free(struct nst_keys *keys)
{
	if (!keys)
		return;
	/* Freeing a transform wipes it. */
	if (keys->suite->cbc) {
		skcipher_request_free(keys->skcipher_req);
		crypto_free_skcipher(keys->skcipher);
		crypto_free_shash(keys->hmac);
	} else {
		aead_request_free(keys->aead_req);
		crypto_free_aead(keys->aead);
	}
	kfree_sensitive(keys);
}
