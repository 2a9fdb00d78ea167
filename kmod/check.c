// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Checks 1 to 9 of section 8, and a stream's SEQUENCE, in the specification's order.
 *
 * The one place for them: the LOCAL_IN hook and the receive paths call the same
 * functions. Nothing here sleeps.
 */

#include "check.h"
#include "compat.h"
#include "keybox.h"
#include "kids.h"
#include "netns.h"
#include "suite.h"

/* Checks 2 and 3, on the first NST_MAGIC_VERSION_LEN bytes. */
enum nst_verdict nst_check_magic_version(const u8 *bytes)
{
	if (get_unaligned_be32(bytes) != NST_MAGIC)
		return NST_BAD_MAGIC;
	if (bytes[4] != NST_VERSION)
		return NST_BAD_VERSION;
	return NST_OK;
}

/* Check 4. */
static bool nst_cipher_allowed(const struct nst_rx_policy *policy,
			       const struct nst_header *hdr)
{
	return nst_suite_available(hdr->cipher_id) &&
	       READ_ONCE(policy->suites) & BIT(hdr->cipher_id);
}

/* Check 7. */
static bool nst_perturbation_sane(const struct nst_header *hdr)
{
	return hdr->kpos <= NST_KPOS_MAX && !hdr->kpos == !hdr->kval;
}

/* Check 8, the socket's part of it. */
static bool nst_kid_accepted(const struct nst_rx_policy *policy, u16 kid)
{
	bool accepted;

	rcu_read_lock();
	accepted = nst_kids_has(rcu_dereference(policy->kids), kid);
	rcu_read_unlock();
	return accepted;
}

/* Check 9. */
static bool nst_timestamp_near(const struct nst_net *nn, u64 now,
			       const struct nst_header *hdr)
{
	return !nst_time_apart(now, be64_to_cpu(hdr->timestamp),
			       nst_window_ns(nn));
}

/**
 * nst_check_dgram() - checks 1 to 9 of a datagram
 * @nn: the namespace
 * @policy: what the socket accepts
 * @now: real time
 * @hdr: the first NST_HEADER_LEN bytes; not looked at if @len is less
 * @len: length of the UDP payload
 */
enum nst_verdict nst_check_dgram(const struct nst_net *nn,
				 const struct nst_rx_policy *policy, u64 now,
				 const struct nst_header *hdr, size_t len)
{
	u16 kid;
	enum nst_verdict verdict;

	if (len < NST_HEADER_LEN)
		return NST_SHORT;
	verdict = nst_check_magic_version((const u8 *)hdr);
	if (verdict)
		return verdict;
	if (!nst_cipher_allowed(policy, hdr))
		return NST_CIPHER;
	if (be32_to_cpu(hdr->flags) != NST_FLAG_DGRAM)
		return NST_FLAGS;
	if (len - NST_HEADER_LEN !=
	    nst_suite_body_len(nst_suite(hdr->cipher_id),
			       be16_to_cpu(hdr->transport_len)))
		return NST_LENGTH;
	if (!nst_perturbation_sane(hdr))
		return NST_PERTURB;
	kid = be16_to_cpu(hdr->kid);
	if (!nst_keybox_has(nn, kid) || !nst_kid_accepted(policy, kid))
		return NST_KID;
	if (!nst_timestamp_near(nn, now, hdr))
		return NST_TIMESTAMP;
	return NST_OK;
}

static bool nst_stream_flags_sane(const struct nst_stream_state *state,
				  u32 flags)
{
	if (flags & ~NST_FLAGS_STREAM)
		return false;
	if (!(flags & NST_FLAG_REPLY) == state->from_acceptor)
		return false;
	return !(flags & NST_FLAG_BOUND) || flags & NST_FLAG_REPLY;
}

static bool nst_stream_length_sane(u32 flags, u16 transport_len)
{
	if (flags & NST_FLAG_CLOSE)
		return !transport_len;
	return transport_len && transport_len <= NST_STREAM_PAYLOAD_MAX;
}

/* Check 11, STREAM. */
static bool nst_stream_in_sequence(const struct nst_stream_state *state,
				   const struct nst_header *hdr)
{
	const struct nst_params params = nst_header_params(hdr);
	const struct nst_previous *prev = &state->prev;
	u64 session_id = nst_header_session_id(hdr);
	u16 counter = nst_header_counter(hdr);

	if (!session_id)
		return false;
	if (prev->valid && prev->session_id == session_id) {
		if (counter != (u32)prev->counter + 1 ||
		    !nst_params_equal(&params, &prev->params))
			return false;
	} else if (counter) {
		return false;
	}
	if (be32_to_cpu(hdr->flags) & NST_FLAG_BOUND)
		return !prev->valid && !state->sent_nothing;
	return true;
}

/*
 * Check 8, the key box's part of it. A replaced box takes effect at the next epoch:
 * at the first record whose session_id or key parameters are not the epoch's.
 */
static bool nst_stream_kid_known(const struct nst_net *nn,
				 const struct nst_stream_state *state,
				 const struct nst_header *hdr)
{
	const struct nst_params params = nst_header_params(hdr);
	const struct nst_previous *prev = &state->prev;

	if (prev->valid && prev->session_id == nst_header_session_id(hdr) &&
	    nst_params_equal(&prev->params, &params))
		return true;
	return nst_keybox_has(nn, params.kid);
}

/**
 * nst_check_stream() - checks 2 to 11 of a stream's next record
 * @nn: the namespace
 * @policy: what the socket accepts
 * @now: real time
 * @hdr: the header
 * @state: what came before
 */
enum nst_verdict nst_check_stream(const struct nst_net *nn,
				  const struct nst_rx_policy *policy, u64 now,
				  const struct nst_header *hdr,
				  const struct nst_stream_state *state)
{
	u32 flags = be32_to_cpu(hdr->flags);
	enum nst_verdict verdict;

	verdict = nst_check_magic_version((const u8 *)hdr);
	if (verdict)
		return verdict;
	if (!nst_cipher_allowed(policy, hdr))
		return NST_CIPHER;
	if (!nst_stream_flags_sane(state, flags))
		return NST_FLAGS;
	if (!nst_stream_length_sane(flags, be16_to_cpu(hdr->transport_len)))
		return NST_LENGTH;
	if (!nst_perturbation_sane(hdr))
		return NST_PERTURB;
	if (!nst_stream_kid_known(nn, state, hdr) ||
	    !nst_kid_accepted(policy, be16_to_cpu(hdr->kid)))
		return NST_KID;
	if (!state->prev.valid && !nst_timestamp_near(nn, now, hdr))
		return NST_TIMESTAMP;
	if (!nst_stream_in_sequence(state, hdr))
		return NST_SEQUENCE;
	return NST_OK;
}
