// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Session keys: derivation (section 4), sealing and opening (section 5).
 *
 * A struct nst_keys has one user at a time: its owner's lock (that of a socket's
 * direction) serialises everything here.
 */

#include <linux/err.h>
#include <linux/mm.h>
#include <linux/scatterlist.h>
#include <linux/slab.h>
#include <crypto/aead.h>
#include <crypto/algapi.h>
#include <crypto/hash.h>
#include <crypto/skcipher.h>

#include "compat.h"
#include "keys.h"
#include "suite.h"

#define NST_HASH_LEN		32	/* SHA-256 and SM3 alike */
#define NST_SALT_LEN		4
#define NST_MAC_KEY_LEN		32
#define NST_ENC_KEY_MAX		32
#define NST_GCM_IV_LEN		12
#define NST_AUTH_LEN_MAX	(NST_HEADER_LEN + NST_TOKEN_LEN)

/* A body of 64 KiB, at any offset in its first page, between auth and token. */
#define NST_SG_ENTRIES		(1 + SZ_64K / PAGE_SIZE + 2 + 1)

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

	/* Scatterlists must not point into the stack. */
	u8 auth[NST_AUTH_LEN_MAX];
	u8 token[NST_HASH_LEN];
	u8 iv[NST_CBC_BLOCK_LEN];
	u8 zero_iv[NST_CBC_BLOCK_LEN];
	struct scatterlist sg[NST_SG_ENTRIES];
};

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

/* auth of section 5: header0, and T if there is one. */
static size_t nst_keys_set_auth(struct nst_keys *keys,
				const struct nst_header *hdr, const u8 *chain)
{
	struct nst_header *header0 = (struct nst_header *)keys->auth;

	memcpy(header0, hdr, NST_HEADER_LEN);
	memset(header0->token, 0, NST_TOKEN_LEN);
	if (!chain)
		return NST_HEADER_LEN;
	memcpy(keys->auth + NST_HEADER_LEN, chain, NST_TOKEN_LEN);
	return NST_AUTH_LEN_MAX;
}

/* Appends @len bytes at @buf, which may come from vmalloc(). */
static unsigned int nst_sg_append(struct scatterlist *sg, unsigned int used,
				  void *buf, size_t len)
{
	while (len) {
		unsigned int offset = offset_in_page(buf);
		size_t part = min_t(size_t, len, PAGE_SIZE - offset);
		struct page *page = is_vmalloc_addr(buf) ?
				    vmalloc_to_page(buf) : virt_to_page(buf);

		sg_set_page(&sg[used++], page, part, offset);
		buf += part;
		len -= part;
	}
	return used;
}

static int nst_gcm_crypt(struct nst_keys *keys, const struct nst_header *hdr,
			 const u8 *chain, u8 *body, size_t body_len, bool seal)
{
	size_t auth_len = nst_keys_set_auth(keys, hdr, chain);
	struct aead_request *req = keys->aead_req;
	const u8 *timestamp = (const u8 *)&hdr->timestamp;
	DECLARE_CRYPTO_WAIT(wait);
	unsigned int used = 0;
	int i;

	for (i = 0; i < NST_SALT_LEN; i++)
		keys->iv[i] = keys->salt[i] ^ timestamp[4 + i];
	memcpy(keys->iv + NST_SALT_LEN, &hdr->nonce, sizeof(hdr->nonce));

	sg_init_table(keys->sg, NST_SG_ENTRIES);
	used = nst_sg_append(keys->sg, used, keys->auth, auth_len);
	used = nst_sg_append(keys->sg, used, body, body_len);
	used = nst_sg_append(keys->sg, used, keys->token, NST_TOKEN_LEN);
	sg_mark_end(&keys->sg[used - 1]);

	aead_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG |
				  CRYPTO_TFM_REQ_MAY_SLEEP,
				  crypto_req_done, &wait);
	aead_request_set_ad(req, auth_len);
	aead_request_set_crypt(req, keys->sg, keys->sg,
			       seal ? body_len : body_len + NST_TOKEN_LEN,
			       keys->iv);
	return crypto_wait_req(seal ? crypto_aead_encrypt(req) :
				      crypto_aead_decrypt(req), &wait);
}

static int nst_cbc_crypt(struct nst_keys *keys, void *buf, size_t len, u8 *iv,
			 bool encrypt)
{
	struct skcipher_request *req = keys->skcipher_req;
	DECLARE_CRYPTO_WAIT(wait);
	unsigned int used;

	sg_init_table(keys->sg, NST_SG_ENTRIES);
	used = nst_sg_append(keys->sg, 0, buf, len);
	sg_mark_end(&keys->sg[used - 1]);

	skcipher_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG |
				      CRYPTO_TFM_REQ_MAY_SLEEP,
				      crypto_req_done, &wait);
	skcipher_request_set_crypt(req, keys->sg, keys->sg, len, iv);
	return crypto_wait_req(encrypt ? crypto_skcipher_encrypt(req) :
					 crypto_skcipher_decrypt(req), &wait);
}

/*
 * Leaves E(enc_key, timestamp || nonce) in keys->iv. CBC of one block under a
 * zero IV is that one forward call.
 */
static int nst_cbc_iv(struct nst_keys *keys, const struct nst_header *hdr)
{
	memcpy(keys->iv, &hdr->timestamp, sizeof(hdr->timestamp));
	memcpy(keys->iv + sizeof(hdr->timestamp), &hdr->nonce,
	       sizeof(hdr->nonce));
	memset(keys->zero_iv, 0, sizeof(keys->zero_iv));
	return nst_cbc_crypt(keys, keys->iv, sizeof(keys->iv), keys->zero_iv,
			     true);
}

/* Leaves HMAC-H(mac_key, auth || body) in keys->token. */
static int nst_cbc_hmac(struct nst_keys *keys, const struct nst_header *hdr,
			const u8 *chain, const u8 *body, size_t body_len)
{
	size_t auth_len = nst_keys_set_auth(keys, hdr, chain);
	SHASH_DESC_ON_STACK(desc, keys->hmac);
	int err;

	desc->tfm = keys->hmac;
	err = crypto_shash_init(desc);
	err = err ?: crypto_shash_update(desc, keys->auth, auth_len);
	err = err ?: crypto_shash_finup(desc, body, body_len, keys->token);
	shash_desc_zero(desc);
	return err;
}

static int nst_cbc_seal(struct nst_keys *keys, struct nst_header *hdr,
			const u8 *chain, u8 *body, size_t len)
{
	size_t body_len = nst_suite_body_len(keys->suite, len);
	int err;

	memset(body + len, body_len - len, body_len - len);
	err = nst_cbc_iv(keys, hdr);
	err = err ?: nst_cbc_crypt(keys, body, body_len, keys->iv, true);
	return err ?: nst_cbc_hmac(keys, hdr, chain, body, body_len);
}

static int nst_cbc_open(struct nst_keys *keys, const struct nst_header *hdr,
			const u8 *chain, u8 *body, size_t len)
{
	size_t body_len = nst_suite_body_len(keys->suite, len);
	size_t i;
	int err;

	err = nst_cbc_hmac(keys, hdr, chain, body, body_len);
	if (err)
		return err;
	if (crypto_memneq(keys->token, hdr->token, NST_TOKEN_LEN))
		return NST_AUTH;

	err = nst_cbc_iv(keys, hdr);
	err = err ?: nst_cbc_crypt(keys, body, body_len, keys->iv, false);
	if (err)
		return err;
	/* The padding is authentic: timing tells nothing that was not sealed. */
	for (i = len; i < body_len; i++)
		if (body[i] != body_len - len)
			return NST_PADDING;
	return NST_OK;
}

/**
 * nst_keys_seal() - seal one record in place
 * @keys: the epoch's keys
 * @hdr: the header, complete but for its token, which is filled in
 * @chain: T of section 5, or NULL
 * @body: hdr->transport_len bytes of plaintext, with room for the whole body
 *
 * Return: 0, or a negative error after which @body must not be sent.
 */
int nst_keys_seal(struct nst_keys *keys, struct nst_header *hdr,
		  const u8 *chain, u8 *body)
{
	size_t len = be16_to_cpu(hdr->transport_len);
	int err;

	if (keys->suite->cbc)
		err = nst_cbc_seal(keys, hdr, chain, body, len);
	else
		err = nst_gcm_crypt(keys, hdr, chain, body, len, true);
	if (!err)
		memcpy(hdr->token, keys->token, NST_TOKEN_LEN);
	return err;
}

/**
 * nst_keys_open() - verify and open one record in place
 * @keys: the epoch's keys
 * @hdr: the header, which has passed checks 2 to 12
 * @chain: T of section 5, or NULL
 * @body: the whole body; its first hdr->transport_len bytes become the plaintext
 *
 * Return: NST_OK, NST_AUTH, NST_PADDING, or a negative error.
 */
int nst_keys_open(struct nst_keys *keys, const struct nst_header *hdr,
		  const u8 *chain, u8 *body)
{
	size_t len = be16_to_cpu(hdr->transport_len);
	int err;

	if (keys->suite->cbc)
		return nst_cbc_open(keys, hdr, chain, body, len);

	memcpy(keys->token, hdr->token, NST_TOKEN_LEN);
	err = nst_gcm_crypt(keys, hdr, chain, body, len, false);
	return err == -EBADMSG ? NST_AUTH : err;
}
