// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Replay protection (section 9): against a plain list of what was accepted, and at
 * the edges of window, table and floor.
 */

#include <linux/bitmap.h>
#include <linux/prandom.h>
#include <linux/slab.h>

#include "../compat.h"
#include "fixture.h"

#define NOW	1790000000000000000ULL
#define WINDOW	(30 * NSEC_PER_SEC)
#define SESSION	0x123456789abcULL

/* A table of @max sessions whose age is no bound. */
static struct nst_replay_table *nst_test_table(struct kunit *test,
					       enum nst_transport transport,
					       unsigned int max)
{
	struct nst_replay_table *table = &nst_test_net(test)->replay[transport];

	table->max = max;
	table->created = ktime_get_boottime_ns() - NOW / 2;
	return table;
}

static struct nst_header nst_test_header(u64 session_id, u16 counter,
					 u64 timestamp)
{
	return (struct nst_header){
		.magic = cpu_to_be32(NST_MAGIC),
		.version = NST_VERSION,
		.cipher_id = 1,
		.timestamp = cpu_to_be64(timestamp),
		.nonce = cpu_to_be64(session_id << 16 | counter),
	};
}

/* What both calls say, which has to be the same. */
static int nst_offer_at(struct kunit *test, struct nst_replay_table *table,
			u64 session_id, u16 counter, u64 timestamp, u64 now)
{
	struct nst_header hdr = nst_test_header(session_id, counter, timestamp);
	int verdict = nst_replay_check(table, &hdr, now);

	KUNIT_EXPECT_EQ(test, verdict,
			nst_replay_accept(table, &hdr, now, WINDOW));
	return verdict;
}

static int nst_offer(struct kunit *test, struct nst_replay_table *table,
		     u64 session_id, u16 counter)
{
	return nst_offer_at(test, table, session_id, counter, NOW, NOW);
}

static void nst_test_window_edges(struct kunit *test)
{
	struct nst_replay_table *table = nst_test_table(test, NST_DGRAM, 4);

	KUNIT_EXPECT_EQ(test, NST_OK, nst_offer(test, table, SESSION, 5000));
	KUNIT_EXPECT_EQ(test, NST_REPLAY, nst_offer(test, table, SESSION, 5000));
	KUNIT_EXPECT_EQ(test, NST_OK,
			nst_offer(test, table, SESSION,
				  5000 - NST_WINDOW_COUNTERS + 1));
	KUNIT_EXPECT_EQ(test, NST_REPLAY,
			nst_offer(test, table, SESSION,
				  5000 - NST_WINDOW_COUNTERS));
	KUNIT_EXPECT_EQ(test, NST_REPLAY, nst_offer(test, table, SESSION, 0));
	KUNIT_EXPECT_EQ(test, NST_OK, nst_offer(test, table, SESSION, 65535));
	KUNIT_EXPECT_EQ(test, NST_REPLAY, nst_offer(test, table, SESSION, 4999));
	KUNIT_EXPECT_EQ(test, NST_OK,
			nst_offer(test, table, SESSION,
				  65536 - NST_WINDOW_COUNTERS));
	KUNIT_EXPECT_EQ(test, NST_REPLAY, nst_offer(test, table, SESSION, 65535));
	/* Another session's counters are its own. */
	KUNIT_EXPECT_EQ(test, NST_OK, nst_offer(test, table, SESSION + 1, 0));
}

/* A walk over the counters with steps of every size, and all that a window forgets. */
static void nst_test_window_agrees_with_a_list(struct kunit *test)
{
	struct nst_replay_table *table = nst_test_table(test, NST_DGRAM, 4);
	unsigned long *accepted = bitmap_zalloc(NST_COUNTERS, GFP_KERNEL);
	struct rnd_state random;
	int highest = -1, i;

	KUNIT_ASSERT_NOT_NULL(test, accepted);
	prandom_seed_state(&random, 9);
	for (i = 0; i < 20000; i++) {
		u32 draw = prandom_u32_state(&random);
		int step = draw % (2u << (draw >> 16) % 12);
		int counter = clamp(highest + 64 - step, 0, NST_COUNTERS - 1);
		bool fresh = counter > highest ||
			     (highest - counter < NST_WINDOW_COUNTERS &&
			      !test_bit(counter, accepted));

		if (nst_offer(test, table, SESSION, counter) !=
		    (fresh ? NST_OK : NST_REPLAY)) {
			KUNIT_FAIL(test, "counter %d after %d", counter,
				   highest);
			break;
		}
		__set_bit(counter, accepted);
		highest = max(highest, counter);
	}
	KUNIT_EXPECT_GT(test, highest, 2 * NST_WINDOW_COUNTERS);
	bitmap_free(accepted);
}

static void nst_test_parameters_belong_to_a_session(struct kunit *test)
{
	struct nst_replay_table *table = nst_test_table(test, NST_DGRAM, 4);
	struct nst_header hdr;

	KUNIT_EXPECT_EQ(test, NST_OK, nst_offer(test, table, SESSION, 1));
	hdr = nst_test_header(SESSION, 2, NOW);
	hdr.kid = cpu_to_be16(1);
	KUNIT_EXPECT_EQ(test, NST_SEQUENCE, nst_replay_check(table, &hdr, NOW));
	hdr = nst_test_header(SESSION, 2, NOW);
	hdr.cipher_id = 2;
	KUNIT_EXPECT_EQ(test, NST_SEQUENCE, nst_replay_check(table, &hdr, NOW));
	KUNIT_EXPECT_EQ(test, NST_OK, nst_offer(test, table, SESSION, 2));
}

static void nst_test_a_stream_begins_once(struct kunit *test)
{
	struct nst_replay_table *table = nst_test_table(test, NST_STREAM, 4);

	KUNIT_EXPECT_EQ(test, NST_OK, nst_offer(test, table, SESSION, 0));
	KUNIT_EXPECT_EQ(test, NST_REPLAY, nst_offer(test, table, SESSION, 0));
	KUNIT_EXPECT_EQ(test, NST_REPLAY, nst_offer(test, table, SESSION, 1));
	KUNIT_EXPECT_EQ(test, NST_OK, nst_offer(test, table, SESSION - 1, 0));
}

static void nst_test_the_evicted_stay_out(struct kunit *test)
{
	static const enum nst_transport transports[] = { NST_STREAM, NST_DGRAM };
	int i;

	for (i = 0; i < ARRAY_SIZE(transports); i++) {
		struct nst_replay_table *table =
			nst_test_table(test, transports[i], 2);

		KUNIT_EXPECT_EQ(test, NST_OK,
				nst_offer_at(test, table, 1, 0, NOW, NOW));
		KUNIT_EXPECT_EQ(test, NST_OK,
				nst_offer_at(test, table, 2, 0, NOW + 1, NOW));
		/* No room for one as old as the oldest. */
		KUNIT_EXPECT_EQ(test, NST_REPLAY,
				nst_offer_at(test, table, 3, 0, NOW, NOW));
		KUNIT_EXPECT_EQ(test, NST_OK,
				nst_offer_at(test, table, 4, 0, NOW + 2, NOW));
		KUNIT_EXPECT_EQ(test, 2, table->count);
		KUNIT_EXPECT_EQ(test, NOW, table->floor);
		KUNIT_EXPECT_EQ(test, NST_REPLAY,
				nst_offer_at(test, table, 1, 1, NOW, NOW));
		KUNIT_EXPECT_EQ(test, NST_REPLAY,
				nst_offer_at(test, table, 2, 0, NOW + 1, NOW));
	}
}

static void nst_test_the_floor_of_a_young_table(struct kunit *test)
{
	struct nst_replay_table *table = nst_test_table(test, NST_DGRAM, 4);

	table->created = ktime_get_boottime_ns() - NSEC_PER_SEC;
	KUNIT_EXPECT_EQ(test, NST_REPLAY,
			nst_offer_at(test, table, 1, 0,
				     NOW - 10 * NSEC_PER_SEC, NOW));
	KUNIT_EXPECT_EQ(test, NST_OK,
			nst_offer_at(test, table, 1, 0, NOW, NOW));
	/* A clock before 1970 + age counts as the epoch. */
	table->created = ktime_get_boottime_ns() - 100 * NSEC_PER_SEC;
	KUNIT_EXPECT_EQ(test, NST_OK, nst_offer_at(test, table, 2, 0, 1, 10));
	KUNIT_EXPECT_EQ(test, NST_REPLAY, nst_offer_at(test, table, 3, 0, 0, 10));
}

static void nst_test_a_smaller_table_shrinks(struct kunit *test)
{
	struct nst_replay_table *table = nst_test_table(test, NST_DGRAM, 64);
	u64 session;

	for (session = 1; session <= 64; session++)
		KUNIT_ASSERT_EQ(test, NST_OK,
				nst_offer_at(test, table, session, 0,
					     NOW + session, NOW));
	table->max = 3;
	KUNIT_EXPECT_EQ(test, NST_OK,
			nst_offer_at(test, table, 65, 0, NOW + 65, NOW));
	KUNIT_EXPECT_EQ(test, 3, table->count);
	KUNIT_EXPECT_EQ(test, NOW + 62, table->floor);
}

static void nst_test_a_session_in_use_stays(struct kunit *test)
{
	struct nst_replay_table *table = nst_test_table(test, NST_DGRAM, 2);

	KUNIT_EXPECT_EQ(test, NST_OK,
			nst_offer_at(test, table, 1, 0, NOW, NOW));
	KUNIT_EXPECT_EQ(test, NST_OK,
			nst_offer_at(test, table, 2, 0, NOW + 1, NOW));
	KUNIT_EXPECT_EQ(test, NST_OK,
			nst_offer_at(test, table, 1, 1, NOW + 2, NOW));
	KUNIT_EXPECT_EQ(test, NST_OK,
			nst_offer_at(test, table, 3, 0, NOW + 3, NOW));
	KUNIT_EXPECT_EQ(test, NST_OK,
			nst_offer_at(test, table, 1, 2, NOW + 2, NOW));
	KUNIT_EXPECT_EQ(test, NST_REPLAY,
			nst_offer_at(test, table, 2, 1, NOW + 1, NOW));
}

static struct kunit_case nst_replay_cases[] = {
	KUNIT_CASE(nst_test_window_edges),
	KUNIT_CASE_SLOW(nst_test_window_agrees_with_a_list),
	KUNIT_CASE(nst_test_parameters_belong_to_a_session),
	KUNIT_CASE(nst_test_a_stream_begins_once),
	KUNIT_CASE(nst_test_the_evicted_stay_out),
	KUNIT_CASE(nst_test_the_floor_of_a_young_table),
	KUNIT_CASE(nst_test_a_smaller_table_shrinks),
	KUNIT_CASE(nst_test_a_session_in_use_stays),
	{ }
};

static struct kunit_suite nst_replay_suite = {
	.name = "nst_replay",
	.test_cases = nst_replay_cases,
};

kunit_test_suite(nst_replay_suite);
