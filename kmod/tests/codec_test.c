// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sealing and opening records: the specification's known answers, and that every
 * changed byte of a record is noticed.
 */

#include <kunit/test.h>
#include <linux/slab.h>

#include "../keys.h"
#include "../suite.h"
#include "vectors.h"

static struct nst_params nst_vector_params(const struct nst_vector_record *r)
{
	return (struct nst_params){
		.cipher_id = r->cipher_id,
		.kpos = r->kpos,
		.kval = r->kval,
		.kid = r->kid,
	};
}

static void nst_keys_put(void *keys)
{
	nst_keys_free(keys);
}

/* The session keys of a record; skips the test if the kernel lacks its suite. */
static struct nst_keys *nst_vector_keys(struct kunit *test,
					const struct nst_vector_record *r)
{
	const struct nst_params params = nst_vector_params(r);
	struct nst_keys *keys;
	u8 key[NST_KEY_LEN];

	if (!nst_suite_available(r->cipher_id))
		kunit_skip(test, "no suite %u", r->cipher_id);
	memcpy(key, r->key, sizeof(key));
	if (r->kpos)
		key[r->kpos - 1] ^= r->kval;
	keys = nst_keys_derive(key, &params, r->nonce >> 16);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, keys);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, nst_keys_put,
							   keys));
	return keys;
}

static void nst_vector_name(const struct nst_vector_record *r, char *name)
{
	snprintf(name, KUNIT_PARAM_DESC_SIZE, "%zu: suite %u, %zu bytes%s",
		 (size_t)(r - nst_vector_records), r->cipher_id,
		 r->plaintext_len, r->chain ? ", chained" : "");
}

static const void *nst_vector_next(const void *prev, char *name)
{
	const struct nst_vector_record *next = prev;

	next = next ? next + 1 : nst_vector_records;
	if (next == nst_vector_records + nst_vector_records_count)
		return NULL;
	nst_vector_name(next, name);
	return next;
}

static void nst_test_seals(struct kunit *test)
{
	const struct nst_vector_record *r = test->param_value;
	struct nst_keys *keys = nst_vector_keys(test, r);
	size_t body_len = nst_suite_body_len(nst_suite(r->cipher_id),
					     r->plaintext_len);
	struct nst_header *hdr;
	u8 *body;

	KUNIT_ASSERT_EQ(test, r->record_len, NST_HEADER_LEN + body_len);
	hdr = kunit_kzalloc(test, r->record_len, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, hdr);
	*hdr = (struct nst_header){
		.magic = cpu_to_be32(NST_MAGIC),
		.version = NST_VERSION,
		.cipher_id = r->cipher_id,
		.transport_len = cpu_to_be16(r->plaintext_len),
		.timestamp = cpu_to_be64(r->timestamp),
		.nonce = cpu_to_be64(r->nonce),
		.kpos = r->kpos,
		.kval = r->kval,
		.kid = cpu_to_be16(r->kid),
		.flags = cpu_to_be32(r->flags),
	};
	body = (u8 *)(hdr + 1);
	if (r->plaintext_len)
		memcpy(body, r->plaintext, r->plaintext_len);
	nst_keys_start(keys);
	KUNIT_ASSERT_TRUE(test, nst_keys_from_buffer(keys, body, body_len));
	KUNIT_ASSERT_EQ(test, 0, nst_keys_seal(keys, hdr, r->chain));
	KUNIT_EXPECT_MEMEQ(test, (u8 *)hdr, r->record, r->record_len);
}

/* Opens @record, a copy of @r's that may be changed, with @chain. */
static int nst_vector_open(struct nst_keys *keys,
			   const struct nst_vector_record *r, u8 *record,
			   const u8 *chain)
{
	/* A changed header must not decide how much is looked at. */
	const size_t body_len = r->record_len - NST_HEADER_LEN;

	nst_keys_start(keys);
	if (!nst_keys_from_buffer(keys, record + NST_HEADER_LEN, body_len))
		return -EMSGSIZE;
	return nst_keys_open(keys, (struct nst_header *)record, chain);
}

static void nst_test_opens(struct kunit *test)
{
	const struct nst_vector_record *r = test->param_value;
	struct nst_keys *keys = nst_vector_keys(test, r);
	u8 *record = kunit_kmalloc(test, r->record_len, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, record);
	memcpy(record, r->record, r->record_len);
	KUNIT_ASSERT_EQ(test, NST_OK, nst_vector_open(keys, r, record, r->chain));
	if (r->plaintext_len)
		KUNIT_EXPECT_MEMEQ(test, record + NST_HEADER_LEN, r->plaintext,
				   r->plaintext_len);
	/* Keys serve many records. */
	memcpy(record, r->record, r->record_len);
	KUNIT_EXPECT_EQ(test, NST_OK, nst_vector_open(keys, r, record, r->chain));
}

/* A header says its length itself: those bits decide how much is looked at. */
static bool nst_changes_length(size_t byte)
{
	return byte == offsetof(struct nst_header, transport_len) ||
	       byte == offsetof(struct nst_header, transport_len) + 1;
}

static void nst_test_notices_every_byte(struct kunit *test)
{
	const struct nst_vector_record *r = test->param_value;
	struct nst_keys *keys = nst_vector_keys(test, r);
	u8 *record = kunit_kmalloc(test, r->record_len, GFP_KERNEL);
	size_t byte;

	KUNIT_ASSERT_NOT_NULL(test, record);
	for (byte = 0; byte < r->record_len; byte++) {
		if (nst_changes_length(byte))
			continue;
		memcpy(record, r->record, r->record_len);
		record[byte] ^= BIT(byte % 8);
		KUNIT_EXPECT_EQ_MSG(test, NST_AUTH,
				    nst_vector_open(keys, r, record, r->chain),
				    "byte %zu", byte);
	}
}

static void nst_test_notices_the_chain(struct kunit *test)
{
	const struct nst_vector_record *r = test->param_value;
	struct nst_keys *keys = nst_vector_keys(test, r);
	u8 *record = kunit_kmalloc(test, r->record_len, GFP_KERNEL);
	u8 chain[NST_TOKEN_LEN] = { };

	KUNIT_ASSERT_NOT_NULL(test, record);
	if (r->chain)
		memcpy(chain, r->chain, sizeof(chain));
	chain[NST_TOKEN_LEN - 1] ^= 1;
	memcpy(record, r->record, r->record_len);
	KUNIT_EXPECT_EQ(test, NST_AUTH, nst_vector_open(keys, r, record, chain));
	if (!r->chain)
		return;
	memcpy(record, r->record, r->record_len);
	KUNIT_EXPECT_EQ(test, NST_AUTH, nst_vector_open(keys, r, record, NULL));
}

static struct kunit_case nst_codec_cases[] = {
	KUNIT_CASE_PARAM(nst_test_seals, nst_vector_next),
	KUNIT_CASE_PARAM(nst_test_opens, nst_vector_next),
	KUNIT_CASE_PARAM(nst_test_notices_every_byte, nst_vector_next),
	KUNIT_CASE_PARAM(nst_test_notices_the_chain, nst_vector_next),
	{ }
};

static struct kunit_suite nst_codec_suite = {
	.name = "nst_codec",
	.test_cases = nst_codec_cases,
};

kunit_test_suite(nst_codec_suite);
