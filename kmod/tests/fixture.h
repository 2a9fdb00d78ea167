/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A namespace's NST state that no namespace has.
 */
#ifndef _NST_TESTS_FIXTURE_H
#define _NST_TESTS_FIXTURE_H

#include <kunit/test.h>

#include "../keybox.h"
#include "../netns.h"

struct nst_net *nst_test_net(struct kunit *test);

static inline int nst_test_load(struct nst_net *nn, const char *text)
{
	return nst_keybox_replace(nn, text, strlen(text));
}

#endif /* _NST_TESTS_FIXTURE_H */
