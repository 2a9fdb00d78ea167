/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The NST record protocol, version 1: wire format and numbers.
 */
#ifndef _NST_PROTOCOL_H
#define _NST_PROTOCOL_H

#include <linux/build_bug.h>
#include <linux/types.h>
#include <asm/byteorder.h>

#define NST_MAGIC		0xBEEF1337
#define NST_VERSION		1

/* section 1 */
#define NST_HEADER_LEN		48
#define NST_MAGIC_VERSION_LEN	5
#define NST_TOKEN_LEN		16

struct nst_header {
	__be32	magic;
	u8	version;
	u8	cipher_id;
	__be16	transport_len;
	__be64	timestamp;
	__be64	nonce;
	u8	token[NST_TOKEN_LEN];
	u8	kpos;
	u8	kval;
	__be16	kid;
	__be32	flags;
};

static_assert(sizeof(struct nst_header) == NST_HEADER_LEN);

/* section 2 */
#define NST_FLAG_DGRAM		0x1
#define NST_FLAG_REPLY		0x2
#define NST_FLAG_CLOSE		0x4
#define NST_FLAG_BOUND		0x8
#define NST_FLAGS_STREAM	(NST_FLAG_REPLY | NST_FLAG_CLOSE | NST_FLAG_BOUND)

/* section 3 */
#define NST_CIPHER_FIRST	1
#define NST_CIPHER_LAST		4
#define NST_CBC_BLOCK_LEN	16

/* section 4 */
#define NST_KEY_LEN		32
#define NST_KIDS		65536
#define NST_KPOS_MAX		NST_KEY_LEN

/* section 6 */
#define NST_SESSION_ID_MASK	(BIT_ULL(48) - 1)
#define NST_COUNTERS		65536

/* section 7 */
#define NST_STREAM_PAYLOAD_MAX	16384
#define NST_UDP4_PAYLOAD_MAX	(65535 - 20 - 8)
#define NST_UDP6_PAYLOAD_MAX	(65535 - 8)

/* section 9 */
#define NST_WINDOW_COUNTERS	1024

/* section 8: a verdict's value is the number of its check */
enum nst_verdict {
	NST_OK,
	NST_SHORT,
	NST_BAD_MAGIC,
	NST_BAD_VERSION,
	NST_CIPHER,
	NST_FLAGS,
	NST_LENGTH,
	NST_PERTURB,
	NST_KID,
	NST_TIMESTAMP,
	NST_REFLECT,
	NST_SEQUENCE,
	NST_REPLAY,
	NST_AUTH,
	NST_PADDING,
	NST_TRUNCATED,
	NST_VERDICTS
};

enum nst_transport {
	NST_STREAM,
	NST_DGRAM,
	NST_TRANSPORTS
};

/* Key parameters: what a record says about its key. */
struct nst_params {
	u8	cipher_id;
	u8	kpos;
	u8	kval;
	u16	kid;
};

static inline struct nst_params nst_header_params(const struct nst_header *hdr)
{
	return (struct nst_params){
		.cipher_id = hdr->cipher_id,
		.kpos = hdr->kpos,
		.kval = hdr->kval,
		.kid = be16_to_cpu(hdr->kid),
	};
}

static inline bool nst_params_equal(const struct nst_params *a,
				    const struct nst_params *b)
{
	return a->cipher_id == b->cipher_id && a->kpos == b->kpos &&
	       a->kval == b->kval && a->kid == b->kid;
}

static inline u64 nst_header_session_id(const struct nst_header *hdr)
{
	return be64_to_cpu(hdr->nonce) >> 16;
}

static inline u16 nst_header_counter(const struct nst_header *hdr)
{
	return be64_to_cpu(hdr->nonce);
}

/* Whether two times differ by more than @window. */
static inline bool nst_time_apart(u64 a, u64 b, u64 window)
{
	return (a > b ? a - b : b - a) > window;
}

#endif /* _NST_PROTOCOL_H */
