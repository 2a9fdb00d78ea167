// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The four suites, and which of them this kernel provides.
 */

#include <linux/bits.h>
#include <linux/crypto.h>
#include <linux/module.h>
#include <crypto/hash.h>
#include <crypto/skcipher.h>

#include "suite.h"

static const struct nst_suite nst_suites[] = {
	{ "AES_GCM", "gcm(aes)", "hmac(sha256)", 32, false },
	{ "AES_CBC", "cbc(aes)", "hmac(sha256)", 32, true },
	{ "SM4_GCM", "gcm(sm4)", "hmac(sm3)", 16, false },
	{ "SM4_CBC", "cbc(sm4)", "hmac(sm3)", 16, true },
};

static_assert(ARRAY_SIZE(nst_suites) == NST_CIPHER_LAST - NST_CIPHER_FIRST + 1);

static unsigned long nst_suites_available __read_mostly;

/* NULL unless @cipher_id names a suite, whether or not the kernel has it. */
const struct nst_suite *nst_suite(u8 cipher_id)
{
	if (cipher_id < NST_CIPHER_FIRST || cipher_id > NST_CIPHER_LAST)
		return NULL;
	return &nst_suites[cipher_id - NST_CIPHER_FIRST];
}

/* Those that this kernel has, by BIT(cipher_id). */
unsigned long nst_suite_mask(void)
{
	return READ_ONCE(nst_suites_available);
}

bool nst_suite_available(u8 cipher_id)
{
	return cipher_id < BITS_PER_LONG &&
	       READ_ONCE(nst_suites_available) & BIT(cipher_id);
}

size_t nst_suite_body_len(const struct nst_suite *suite, size_t transport_len)
{
	if (!suite->cbc)
		return transport_len;
	return round_down(transport_len, NST_CBC_BLOCK_LEN) + NST_CBC_BLOCK_LEN;
}

/*
 * Once, when the module loads: the LOCAL_IN check asks in softirq context, where
 * no algorithm can be looked for.
 */
void nst_suites_probe(void)
{
	unsigned long available = 0;
	u8 id;

	for (id = NST_CIPHER_FIRST; id <= NST_CIPHER_LAST; id++) {
		const struct nst_suite *suite = nst_suite(id);

		if (!crypto_has_ahash(suite->hmac, 0, CRYPTO_ALG_ASYNC))
			continue;
		if (suite->cbc ? crypto_has_skcipher(suite->cipher, 0, 0) :
				 crypto_has_alg(suite->cipher,
						CRYPTO_ALG_TYPE_AEAD,
						CRYPTO_ALG_TYPE_MASK))
			available |= BIT(id);
	}
	WRITE_ONCE(nst_suites_available, available);
}
