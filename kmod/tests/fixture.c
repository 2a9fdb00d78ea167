// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A namespace's NST state that no namespace has.
 */

#include "fixture.h"

static void nst_test_net_drop(void *arg)
{
	struct nst_net *nn = arg;

	nst_keybox_drop(nn);
	nst_replay_drop(&nn->replay[NST_STREAM]);
	nst_replay_drop(&nn->replay[NST_DGRAM]);
}

/* Without a key box, with empty tables. It goes with the test. */
struct nst_net *nst_test_net(struct kunit *test)
{
	struct nst_net *nn = kunit_kzalloc(test, sizeof(*nn), GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, nn);
	mutex_init(&nn->keybox_lock);
	nst_replay_init(&nn->replay[NST_STREAM], NST_STREAM, 4);
	nst_replay_init(&nn->replay[NST_DGRAM], NST_DGRAM, 4);
	nn->timestamp_window_ms = 30000;
	KUNIT_ASSERT_EQ(test, 0,
			kunit_add_action_or_reset(test, nst_test_net_drop, nn));
	return nn;
}
