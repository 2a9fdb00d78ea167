// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The checks of section 8: each field of a header at its edges, their order, and the
 * datagram receivers of the test vectors, step by step.
 */

#include <linux/slab.h>

#include "../check.h"
#include "../compat.h"
#include "../keys.h"
#include "../kids.h"
#include "../reflect.h"
#include "../suite.h"
#include "fixture.h"
#include "vectors.h"

#define NOW	1790000000000000000ULL
#define KEY	"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define SESSION	0x123456789abcULL
#define LEN	10

static struct nst_net *nst_test_net_with_key(struct kunit *test)
{
	struct nst_net *nn = nst_test_net(test);

	KUNIT_ASSERT_EQ(test, 0, nst_test_load(nn, "7 " KEY "\n"));
	return nn;
}

/* For a socket that accepts all there is. */
static enum nst_verdict nst_judge_dgram(const struct nst_net *nn, u64 now,
					const struct nst_header *hdr,
					size_t len)
{
	const struct nst_rx_policy any = { .suites = nst_suite_mask() };

	return nst_check_dgram(nn, &any, now, hdr, len);
}

static enum nst_verdict nst_judge_stream(const struct nst_net *nn, u64 now,
					 const struct nst_header *hdr,
					 const struct nst_stream_state *state)
{
	const struct nst_rx_policy any = { .suites = nst_suite_mask() };

	return nst_check_stream(nn, &any, now, hdr, state);
}

static struct nst_header nst_good_header(u32 flags)
{
	return (struct nst_header){
		.magic = cpu_to_be32(NST_MAGIC),
		.version = NST_VERSION,
		.cipher_id = 1,
		.transport_len = cpu_to_be16(LEN),
		.timestamp = cpu_to_be64(NOW),
		.nonce = cpu_to_be64(SESSION << 16),
		.kid = cpu_to_be16(7),
		.flags = cpu_to_be32(flags),
	};
}

/* Makes one field of a good header bad. */
static void nst_spoil(struct nst_header *hdr, enum nst_verdict verdict)
{
	switch (verdict) {
	case NST_BAD_MAGIC:
		hdr->magic ^= cpu_to_be32(1);
		break;
	case NST_BAD_VERSION:
		hdr->version = 2;
		break;
	case NST_CIPHER:
		hdr->cipher_id = 5;
		break;
	case NST_FLAGS:
		hdr->flags ^= cpu_to_be32(1);
		break;
	case NST_LENGTH:
		hdr->transport_len = cpu_to_be16(NST_STREAM_PAYLOAD_MAX + 1);
		break;
	case NST_PERTURB:
		hdr->kpos = NST_KPOS_MAX + 1;
		break;
	case NST_KID:
		hdr->kid = cpu_to_be16(8);
		break;
	case NST_TIMESTAMP:
		hdr->timestamp = cpu_to_be64(NOW + 31 * NSEC_PER_SEC);
		break;
	case NST_SEQUENCE:
		hdr->nonce = 0;
		break;
	default:
		break;
	}
}

/* With any two fields bad, the verdict is that of the earlier check. */
static void nst_test_order(struct kunit *test)
{
	struct nst_net *nn = nst_test_net_with_key(test);
	const struct nst_stream_state begin = { };
	int first, second;

	for (first = NST_BAD_MAGIC; first <= NST_SEQUENCE; first++) {
		if (first == NST_REFLECT)
			continue;
		for (second = first; second <= NST_SEQUENCE; second++) {
			struct nst_header dgram = nst_good_header(NST_FLAG_DGRAM);
			struct nst_header stream = nst_good_header(0);

			nst_spoil(&dgram, first);
			nst_spoil(&stream, first);
			if (second != first) {
				nst_spoil(&dgram, second);
				nst_spoil(&stream, second);
			}
			KUNIT_EXPECT_EQ_MSG(test, first,
					    nst_judge_stream(nn, NOW, &stream,
							     &begin),
					    "and %d", second);
			if (first == NST_SEQUENCE)
				continue;
			KUNIT_EXPECT_EQ_MSG(test, first,
					    nst_judge_dgram(nn, NOW, &dgram,
							    NST_HEADER_LEN + LEN),
					    "and %d", second);
		}
	}
}

static void nst_test_short(struct kunit *test)
{
	struct nst_header hdr = nst_good_header(NST_FLAG_DGRAM);
	struct nst_net *nn = nst_test_net_with_key(test);
	size_t len;

	for (len = 0; len < NST_HEADER_LEN; len++)
		KUNIT_EXPECT_EQ(test, NST_SHORT,
				nst_judge_dgram(nn, NOW, &hdr, len));
	hdr.transport_len = 0;
	KUNIT_EXPECT_EQ(test, NST_OK,
			nst_judge_dgram(nn, NOW, &hdr, NST_HEADER_LEN));
}

/* Of every length of a plaintext, exactly one length of a datagram is right. */
static void nst_test_dgram_length(struct kunit *test)
{
	struct nst_header hdr = nst_good_header(NST_FLAG_DGRAM);
	struct nst_net *nn = nst_test_net_with_key(test);
	size_t transport_len, len, body;

	for (transport_len = 0; transport_len < 66; transport_len++) {
		hdr.transport_len = cpu_to_be16(transport_len);
		for (hdr.cipher_id = 1; hdr.cipher_id <= 2; hdr.cipher_id++) {
			body = hdr.cipher_id == 1 ? transport_len :
			       transport_len - transport_len % 16 + 16;
			for (len = 0; len < 100; len++)
				KUNIT_EXPECT_EQ(test,
						len == body ? NST_OK : NST_LENGTH,
						nst_judge_dgram(nn, NOW, &hdr,
								NST_HEADER_LEN + len));
		}
	}
}

static void nst_test_perturbation(struct kunit *test)
{
	struct nst_header hdr = nst_good_header(NST_FLAG_DGRAM);
	struct nst_net *nn = nst_test_net_with_key(test);
	int kpos, kval;

	for (kpos = 0; kpos < 256; kpos++) {
		for (kval = 0; kval < 256; kval++) {
			bool sane = kpos ? kpos <= 32 && kval : !kval;

			hdr.kpos = kpos;
			hdr.kval = kval;
			if (nst_judge_dgram(nn, NOW, &hdr,
					    NST_HEADER_LEN + LEN) !=
			    (sane ? NST_OK : NST_PERTURB))
				KUNIT_FAIL(test, "kpos %d, kval %d", kpos, kval);
		}
	}
}

static void nst_test_ciphers(struct kunit *test)
{
	struct nst_net *nn = nst_test_net_with_key(test);
	const struct nst_stream_state begin = { };
	struct nst_header hdr = nst_good_header(0);
	int id;

	for (id = 0; id < 256; id++) {
		hdr.cipher_id = id;
		KUNIT_EXPECT_EQ(test,
				nst_suite_available(id) ? NST_OK : NST_CIPHER,
				nst_judge_stream(nn, NOW, &hdr, &begin));
	}
	KUNIT_EXPECT_TRUE(test, nst_suite_available(1));
	KUNIT_EXPECT_FALSE(test, nst_suite_available(0));
	KUNIT_EXPECT_FALSE(test, nst_suite_available(5));
	KUNIT_EXPECT_FALSE(test, nst_suite_available(255));
}

/* What a socket does not accept is refused like what the kernel does not have. */
static void nst_test_policy(struct kunit *test)
{
	struct nst_header hdr = nst_good_header(NST_FLAG_DGRAM);
	struct nst_net *nn = nst_test_net_with_key(test);
	struct nst_rx_policy policy = { .suites = BIT(1) };
	static const u16 others[] = { 6, 8 }, all[] = { 8, 7, 6 };
	const size_t len = NST_HEADER_LEN + LEN;
	struct nst_kids *kids;

	KUNIT_EXPECT_EQ(test, NST_OK,
			nst_check_dgram(nn, &policy, NOW, &hdr, len));
	policy.suites = BIT(2);
	KUNIT_EXPECT_EQ(test, NST_CIPHER,
			nst_check_dgram(nn, &policy, NOW, &hdr, len));

	policy.suites = BIT(1);
	kids = nst_kids_read(KERNEL_SOCKPTR((void *)others), sizeof(others));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, kids);
	RCU_INIT_POINTER(policy.kids, kids);
	KUNIT_EXPECT_EQ(test, NST_KID,
			nst_check_dgram(nn, &policy, NOW, &hdr, len));
	nst_kids_put(kids);
	kids = nst_kids_read(KERNEL_SOCKPTR((void *)all), sizeof(all));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, kids);
	RCU_INIT_POINTER(policy.kids, kids);
	KUNIT_EXPECT_EQ(test, NST_OK,
			nst_check_dgram(nn, &policy, NOW, &hdr, len));
	/* The set may name what the key box does not have. */
	hdr.kid = cpu_to_be16(8);
	KUNIT_EXPECT_EQ(test, NST_KID,
			nst_check_dgram(nn, &policy, NOW, &hdr, len));
	nst_kids_put(kids);
}

static void nst_test_timestamp_edges(struct kunit *test)
{
	struct nst_header hdr = nst_good_header(NST_FLAG_DGRAM);
	struct nst_net *nn = nst_test_net_with_key(test);
	const u64 window = 30 * NSEC_PER_SEC;
	const struct {
		u64 now, timestamp;
		enum nst_verdict verdict;
	} cases[] = {
		{ NOW, NOW + window, NST_OK },
		{ NOW, NOW - window, NST_OK },
		{ NOW, NOW + window + 1, NST_TIMESTAMP },
		{ NOW, NOW - window - 1, NST_TIMESTAMP },
		{ 0, window, NST_OK },
		{ 0, window + 1, NST_TIMESTAMP },
		{ 0, U64_MAX, NST_TIMESTAMP },
		{ U64_MAX, 0, NST_TIMESTAMP },
		{ U64_MAX, U64_MAX - window, NST_OK },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		hdr.timestamp = cpu_to_be64(cases[i].timestamp);
		KUNIT_EXPECT_EQ_MSG(test, cases[i].verdict,
				    nst_judge_dgram(nn, cases[i].now, &hdr,
						    NST_HEADER_LEN + LEN),
				    "case %d", i);
	}
}

static void nst_test_stream_flags(struct kunit *test)
{
	struct nst_net *nn = nst_test_net_with_key(test);
	u32 flags;
	int bit;

	for (flags = 0; flags < 32; flags++) {
		struct nst_header hdr = nst_good_header(flags);
		bool reply = flags & NST_FLAG_REPLY;
		bool sane = !(flags & NST_FLAG_DGRAM) && flags < 16 &&
			    (reply || !(flags & NST_FLAG_BOUND));
		struct nst_stream_state state = { .from_acceptor = reply };

		if (flags & NST_FLAG_CLOSE)
			hdr.transport_len = 0;
		KUNIT_EXPECT_EQ_MSG(test, sane ? NST_OK : NST_FLAGS,
				    nst_judge_stream(nn, NOW, &hdr, &state),
				    "flags %x", flags);
		state.from_acceptor = !reply;
		KUNIT_EXPECT_EQ_MSG(test, NST_FLAGS,
				    nst_judge_stream(nn, NOW, &hdr, &state),
				    "flags %x", flags);
	}
	for (bit = 4; bit < 32; bit++) {
		struct nst_header hdr = nst_good_header(BIT(bit));
		const struct nst_stream_state begin = { };

		KUNIT_EXPECT_EQ(test, NST_FLAGS,
				nst_judge_stream(nn, NOW, &hdr, &begin));
	}
}

static void nst_test_stream_sequence(struct kunit *test)
{
	struct nst_net *nn = nst_test_net_with_key(test);
	struct nst_header hdr = nst_good_header(0);
	struct nst_stream_state state = {
		.prev = {
			.valid = true,
			.session_id = SESSION,
			.counter = 5,
			.params = nst_header_params(&hdr),
		},
	};
	const struct {
		u64 nonce;
		enum nst_verdict verdict;
	} cases[] = {
		{ SESSION << 16 | 6, NST_OK },
		{ SESSION << 16 | 5, NST_SEQUENCE },
		{ SESSION << 16 | 7, NST_SEQUENCE },
		{ SESSION << 16, NST_SEQUENCE },
		{ (SESSION + 1) << 16, NST_OK },
		{ (SESSION + 1) << 16 | 1, NST_SEQUENCE },
		{ 0, NST_SEQUENCE },
	};
	int i;

	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		hdr.nonce = cpu_to_be64(cases[i].nonce);
		KUNIT_EXPECT_EQ_MSG(test, cases[i].verdict,
				    nst_judge_stream(nn, NOW, &hdr, &state),
				    "case %d", i);
	}
	/* An epoch keeps its parameters, the next one may change them. */
	hdr.kpos = 1;
	hdr.kval = 1;
	hdr.nonce = cpu_to_be64(SESSION << 16 | 6);
	KUNIT_EXPECT_EQ(test, NST_SEQUENCE,
			nst_judge_stream(nn, NOW, &hdr, &state));
	hdr.nonce = cpu_to_be64((SESSION + 1) << 16);
	KUNIT_EXPECT_EQ(test, NST_OK, nst_judge_stream(nn, NOW, &hdr, &state));
	/* The counter does not wrap. */
	state.prev.counter = NST_COUNTERS - 1;
	hdr = nst_good_header(0);
	KUNIT_EXPECT_EQ(test, NST_SEQUENCE,
			nst_judge_stream(nn, NOW, &hdr, &state));
}

static void nst_reflect_put(void *reflect)
{
	nst_reflect_drop(reflect);
}

struct nst_case_state {
	struct nst_net		*nn;
	struct nst_reflect	sockets[2];
};

/* Sections 8 and 9 for one datagram, with the module's own parts. */
static int nst_case_receive(struct kunit *test, struct nst_case_state *state,
			    const struct nst_vector_event *event, u8 *bytes)
{
	struct nst_replay_table *table = &state->nn->replay[NST_DGRAM];
	const struct nst_header *hdr = (const struct nst_header *)bytes;
	struct nst_reflect *reflect = &state->sockets[event->socket];
	u64 window = nst_window_ns(state->nn), generation;
	struct nst_params params;
	struct nst_keys *keys;
	u8 key[NST_KEY_LEN];
	int verdict;

	verdict = nst_judge_dgram(state->nn, event->now, hdr, event->bytes_len);
	if (verdict)
		return verdict;
	if (nst_reflect_hit(reflect, nst_header_session_id(hdr), event->now,
			    window))
		return NST_REFLECT;
	if (!nst_header_session_id(hdr))
		return NST_SEQUENCE;
	verdict = nst_replay_check(table, hdr, event->now);
	if (verdict)
		return verdict;

	params = nst_header_params(hdr);
	KUNIT_ASSERT_EQ(test, 0, nst_keybox_key(state->nn, &params, key,
						&generation));
	keys = nst_keys_derive(key, &params, nst_header_session_id(hdr));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, keys);
	nst_keys_start(keys);
	nst_keys_from_buffer(keys, bytes + NST_HEADER_LEN,
			     event->bytes_len - NST_HEADER_LEN);
	verdict = nst_keys_open(keys, hdr, NULL);
	nst_keys_free(keys);
	return verdict ?: nst_replay_accept(table, hdr, event->now, window);
}

/*
 * A table's age cannot be set to the nanosecond. So it is made a little older, and the
 * floor that its age makes is lent to it.
 */
static int nst_case_at_age(struct kunit *test, struct nst_case_state *state,
			   const struct nst_vector_event *event, u8 *bytes)
{
	struct nst_replay_table *table = &state->nn->replay[NST_DGRAM];
	u64 lent = event->now > event->age ? event->now - event->age : 0;
	u64 own = table->floor;
	int verdict;

	table->created = ktime_get_boottime_ns() - event->age;
	table->floor = max(own, lent);
	verdict = nst_case_receive(test, state, event, bytes);
	if (table->floor == lent)
		table->floor = own;
	return verdict;
}

static void nst_test_receiver(struct kunit *test)
{
	const struct nst_vector_case *c = test->param_value;
	struct nst_case_state *state;
	size_t i;

	state = kunit_kzalloc(test, sizeof(*state), GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, state);
	state->nn = nst_test_net(test);
	state->nn->timestamp_window_ms = c->window_ms;
	state->nn->replay[NST_DGRAM].max = c->table_size;
	KUNIT_ASSERT_EQ(test, 0, nst_test_load(state->nn, c->keybox));
	for (i = 0; i < ARRAY_SIZE(state->sockets); i++) {
		nst_reflect_init(&state->sockets[i]);
		KUNIT_ASSERT_EQ(test, 0,
				kunit_add_action_or_reset(test, nst_reflect_put,
							  &state->sockets[i]));
	}
	for (i = 0; i < c->count; i++) {
		const struct nst_vector_event *event = &c->events[i];
		u8 *bytes;

		KUNIT_ASSERT_LT(test, event->socket,
				ARRAY_SIZE(state->sockets));
		if (event->sent) {
			KUNIT_ASSERT_EQ(test, 0,
					nst_reflect_add(&state->sockets[event->socket],
							event->sent, event->now,
							nst_window_ns(state->nn)));
			continue;
		}
		/* At least a header's worth is there to be pointed at. */
		bytes = kunit_kzalloc(test, max_t(size_t, event->bytes_len,
						  NST_HEADER_LEN), GFP_KERNEL);
		KUNIT_ASSERT_NOT_NULL(test, bytes);
		if (event->bytes_len)
			memcpy(bytes, event->bytes, event->bytes_len);
		KUNIT_ASSERT_EQ_MSG(test, event->verdict,
				    nst_case_at_age(test, state, event, bytes),
				    "event %zu", i);
		if (event->plaintext_len)
			KUNIT_EXPECT_MEMEQ(test, bytes + NST_HEADER_LEN,
					   event->plaintext,
					   event->plaintext_len);
	}
}

static const void *nst_case_next(const void *prev, char *name)
{
	const struct nst_vector_case *next = prev;

	next = next ? next + 1 : nst_vector_cases;
	if (next == nst_vector_cases + nst_vector_cases_count)
		return NULL;
	strscpy(name, next->name, KUNIT_PARAM_DESC_SIZE);
	return next;
}

static struct kunit_case nst_check_cases[] = {
	KUNIT_CASE(nst_test_order),
	KUNIT_CASE(nst_test_short),
	KUNIT_CASE(nst_test_dgram_length),
	KUNIT_CASE(nst_test_perturbation),
	KUNIT_CASE(nst_test_ciphers),
	KUNIT_CASE(nst_test_policy),
	KUNIT_CASE(nst_test_timestamp_edges),
	KUNIT_CASE(nst_test_stream_flags),
	KUNIT_CASE(nst_test_stream_sequence),
	KUNIT_CASE_PARAM(nst_test_receiver, nst_case_next),
	{ }
};

static struct kunit_suite nst_check_suite = {
	.name = "nst_check",
	.test_cases = nst_check_cases,
};

kunit_test_suite(nst_check_suite);
