// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sealing and opening of records with session keys (section 5).
 */

#include <linux/mm.h>
#include <crypto/aead.h>
#include <crypto/algapi.h>
#include <crypto/hash.h>
#include <crypto/scatterwalk.h>
#include <crypto/skcipher.h>

#include "keys_internal.h"
#include "suite.h"

/* auth of section 5, header0 and T if there is one: returns where it lies. */
static u8 *nst_keys_set_auth(struct nst_keys *keys,
			     const struct nst_header *hdr, const u8 *chain,
			     size_t *len)
{
	struct nst_header *header0;
	u8 *end = nst_keys_small(keys);

	*len = NST_HEADER_LEN;
	if (chain) {
		memcpy(end - NST_TOKEN_LEN, chain, NST_TOKEN_LEN);
		*len = NST_AUTH_LEN_MAX;
	}
	header0 = (struct nst_header *)(end - *len);
	memcpy(header0, hdr, NST_HEADER_LEN);
	memset(header0->token, 0, NST_TOKEN_LEN);
	return end - *len;
}

/* Where a body of at most NST_SMALL_MAX bytes may be put instead of into pieces. */
u8 *nst_keys_small(struct nst_keys *keys)
{
	return keys->flat + NST_AUTH_LEN_MAX;
}

/* Forgets the pieces of the record before. */
void nst_keys_start(struct nst_keys *keys)
{
	keys->from.used = 1;
	keys->to.used = 1;
}

static bool nst_pieces_add(struct nst_pieces *pieces, struct page *page,
			   size_t len, size_t offset)
{
	/* The last entry is for the token. */
	if (pieces->used == NST_SG_ENTRIES - 1)
		return false;
	sg_set_page(&pieces->sg[pieces->used++], page, len, offset);
	return true;
}

/* Adds to where the body is taken from; false if there are too many pieces. */
bool nst_keys_from(struct nst_keys *keys, struct page *page, size_t len,
		   size_t offset)
{
	return nst_pieces_add(&keys->from, page, len, offset);
}

/* Adds to where it goes, which is where it is taken from if nothing is added. */
bool nst_keys_to(struct nst_keys *keys, struct page *page, size_t len,
		 size_t offset)
{
	return nst_pieces_add(&keys->to, page, len, offset);
}

static bool nst_pieces_add_buffer(struct nst_pieces *pieces, void *buf,
				  size_t len)
{
	if (!is_vmalloc_addr(buf))
		return !len || nst_pieces_add(pieces, virt_to_page(buf), len,
					      offset_in_page(buf));
	while (len) {
		size_t offset = offset_in_page(buf);
		size_t part = min_t(size_t, len, PAGE_SIZE - offset);

		if (!nst_pieces_add(pieces, vmalloc_to_page(buf), part, offset))
			return false;
		buf += part;
		len -= part;
	}
	return true;
}

/* The same, for memory of the kernel's, vmalloc()'s or not. */
bool nst_keys_from_buffer(struct nst_keys *keys, void *buf, size_t len)
{
	return nst_pieces_add_buffer(&keys->from, buf, len);
}

bool nst_keys_to_buffer(struct nst_keys *keys, void *buf, size_t len)
{
	return nst_pieces_add_buffer(&keys->to, buf, len);
}

/* @pieces as a scatterlist between @auth and @token. */
static struct scatterlist *nst_pieces_join(struct nst_pieces *pieces,
					   const u8 *auth, size_t auth_len,
					   const u8 *token)
{
	sg_set_buf(&pieces->sg[0], auth, auth_len);
	sg_set_buf(&pieces->sg[pieces->used], token, NST_TOKEN_LEN);
	sg_mark_end(&pieces->sg[pieces->used]);
	return pieces->sg;
}

static void nst_pieces_part(struct nst_pieces *pieces)
{
	sg_unmark_end(&pieces->sg[pieces->used]);
}

/*
 * The token is in @token before opening, and after sealing. A small body's is behind it.
 */
static int nst_gcm_crypt(struct nst_keys *keys, const struct nst_header *hdr,
			 const u8 *chain, u8 token[NST_TOKEN_LEN], bool seal)
{
	size_t auth_len, body_len = be16_to_cpu(hdr->transport_len);
	u8 *auth = nst_keys_set_auth(keys, hdr, chain, &auth_len);
	bool small = keys->from.used == 1;
	struct aead_request *req = keys->aead_req;
	const u8 *timestamp = (const u8 *)&hdr->timestamp;
	struct scatterlist *from, *to;
	DECLARE_CRYPTO_WAIT(wait);
	u8 *end = keys->token;
	int err, i;

	for (i = 0; i < NST_SALT_LEN; i++)
		keys->iv[i] = keys->salt[i] ^ timestamp[4 + i];
	memcpy(keys->iv + NST_SALT_LEN, &hdr->nonce, sizeof(hdr->nonce));

	if (small) {
		end = nst_keys_small(keys) + body_len;
		from = keys->from.sg;
		sg_set_buf(from, auth, auth_len + body_len + NST_TOKEN_LEN);
		sg_mark_end(from);
		to = from;
	} else {
		from = nst_pieces_join(&keys->from, auth, auth_len, end);
		to = keys->to.used == 1 ? from :
		     nst_pieces_join(&keys->to, auth, auth_len, end);
	}
	if (!seal)
		memcpy(end, token, NST_TOKEN_LEN);

	aead_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG |
				  CRYPTO_TFM_REQ_MAY_SLEEP,
				  crypto_req_done, &wait);
	aead_request_set_ad(req, auth_len);
	aead_request_set_crypt(req, from, to,
			       seal ? body_len : body_len + NST_TOKEN_LEN,
			       keys->iv);
	err = crypto_wait_req(seal ? crypto_aead_encrypt(req) :
				     crypto_aead_decrypt(req), &wait);

	if (seal)
		memcpy(token, end, NST_TOKEN_LEN);
	if (small)
		sg_unmark_end(from);
	else
		nst_pieces_part(&keys->from);
	if (to != from)
		nst_pieces_part(&keys->to);
	return err;
}

static int nst_cbc_crypt(struct nst_keys *keys, struct scatterlist *sg,
			 size_t len, u8 *iv, bool encrypt)
{
	struct skcipher_request *req = keys->skcipher_req;
	DECLARE_CRYPTO_WAIT(wait);

	skcipher_request_set_callback(req, CRYPTO_TFM_REQ_MAY_BACKLOG |
				      CRYPTO_TFM_REQ_MAY_SLEEP,
				      crypto_req_done, &wait);
	skcipher_request_set_crypt(req, sg, sg, len, iv);
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
	sg_init_one(&keys->iv_sg, keys->iv, sizeof(keys->iv));
	return nst_cbc_crypt(keys, &keys->iv_sg, sizeof(keys->iv),
			     keys->zero_iv, true);
}

/* Leaves HMAC-H(mac_key, auth || body) in keys->token. */
static int nst_cbc_hmac(struct nst_keys *keys, const struct nst_header *hdr,
			const u8 *chain)
{
	SHASH_DESC_ON_STACK(desc, keys->hmac);
	struct nst_pieces *body = &keys->from;
	size_t auth_len;
	unsigned int i;
	u8 *auth;
	int err;

	auth = nst_keys_set_auth(keys, hdr, chain, &auth_len);
	desc->tfm = keys->hmac;
	err = crypto_shash_init(desc);
	err = err ?: crypto_shash_update(desc, auth, auth_len);
	/* Pieces are lowmem, and in one piece where they span pages. */
	for (i = 1; i < body->used; i++)
		err = err ?: crypto_shash_update(desc, sg_virt(&body->sg[i]),
						 body->sg[i].length);
	err = err ?: crypto_shash_final(desc, keys->token);
	shash_desc_zero(desc);
	return err;
}

/* In place: whoever owns the pieces alone, the HMAC is over what was read once. */
static int nst_cbc_crypt_body(struct nst_keys *keys, size_t body_len,
			      bool encrypt)
{
	struct scatterlist *last = &keys->from.sg[keys->from.used - 1];
	int err;

	sg_mark_end(last);
	err = nst_cbc_crypt(keys, &keys->from.sg[1], body_len, keys->iv,
			    encrypt);
	sg_unmark_end(last);
	return err;
}

/* Copies the last bytes of the body, its padding, from or to @padding. */
static void nst_cbc_padding(struct nst_keys *keys, u8 *padding, size_t len,
			    size_t body_len, bool put)
{
	struct scatterlist *last = &keys->from.sg[keys->from.used - 1];

	sg_mark_end(last);
	scatterwalk_map_and_copy(padding, &keys->from.sg[1], len,
				 body_len - len, put);
	sg_unmark_end(last);
}

static int nst_cbc_seal(struct nst_keys *keys, const struct nst_header *hdr,
			const u8 *chain, u8 token[NST_TOKEN_LEN])
{
	size_t len = be16_to_cpu(hdr->transport_len);
	size_t body_len = nst_suite_body_len(keys->suite, len);
	u8 padding[NST_CBC_BLOCK_LEN];
	int err;

	memset(padding, body_len - len, sizeof(padding));
	nst_cbc_padding(keys, padding, len, body_len, true);
	err = nst_cbc_iv(keys, hdr);
	err = err ?: nst_cbc_crypt_body(keys, body_len, true);
	err = err ?: nst_cbc_hmac(keys, hdr, chain);
	memcpy(token, keys->token, NST_TOKEN_LEN);
	return err;
}

static int nst_cbc_open(struct nst_keys *keys, const struct nst_header *hdr,
			const u8 *chain)
{
	size_t len = be16_to_cpu(hdr->transport_len);
	size_t body_len = nst_suite_body_len(keys->suite, len);
	u8 padding[NST_CBC_BLOCK_LEN];
	size_t i;
	int err;

	err = nst_cbc_hmac(keys, hdr, chain);
	if (err)
		return err;
	if (crypto_memneq(keys->token, hdr->token, NST_TOKEN_LEN))
		return NST_AUTH;

	err = nst_cbc_iv(keys, hdr);
	err = err ?: nst_cbc_crypt_body(keys, body_len, false);
	if (err)
		return err;
	/* The padding is authentic: timing tells nothing that was not sealed. */
	nst_cbc_padding(keys, padding, len, body_len, false);
	for (i = 0; i < body_len - len; i++)
		if (padding[i] != body_len - len)
			return NST_PADDING;
	return NST_OK;
}

/**
 * nst_keys_seal() - seal one record
 * @keys: the epoch's keys. GCM: from the pieces of plaintext to those of the body, or in
 *	nst_keys_small() if there are none. CBC: in place, in the pieces of the body.
 * @hdr: the header, complete but for its token, which is filled in
 * @chain: T of section 5, or NULL
 *
 * Plaintext may change meanwhile: each byte of it is read once, and the token is that of
 * the body.
 *
 * Return: 0, or a negative error after which the body must not be sent.
 */
int nst_keys_seal(struct nst_keys *keys, struct nst_header *hdr,
		  const u8 *chain)
{
	return keys->suite->cbc ?
	       nst_cbc_seal(keys, hdr, chain, hdr->token) :
	       nst_gcm_crypt(keys, hdr, chain, hdr->token, true);
}

/**
 * nst_keys_open() - verify and open one record
 * @keys: the epoch's keys, with pieces as for nst_keys_seal()
 * @hdr: the header, which has passed checks 2 to 12
 * @chain: T of section 5, or NULL
 *
 * The body must not change meanwhile. Where the plaintext goes is written to before the
 * token has verified.
 *
 * Return: NST_OK, NST_AUTH, NST_PADDING, or a negative error.
 */
int nst_keys_open(struct nst_keys *keys, const struct nst_header *hdr,
		  const u8 *chain)
{
	u8 token[NST_TOKEN_LEN];
	int err;

	if (keys->suite->cbc)
		return nst_cbc_open(keys, hdr, chain);
	memcpy(token, hdr->token, NST_TOKEN_LEN);
	err = nst_gcm_crypt(keys, hdr, chain, token, false);
	return err == -EBADMSG ? NST_AUTH : err;
}
