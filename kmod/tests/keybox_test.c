// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The key box's text (section 4), what of it is refused, and perturbed keys.
 */

#include <linux/mm.h>
#include <linux/slab.h>

#include "../kids.h"
#include "fixture.h"

#define KEY	"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
#define OTHER	"ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"

struct nst_text {
	const char *what;
	const char *text;
};

static const struct nst_text nst_good_texts[] = {
	{ "a key", "7 " KEY "\n" },
	{ "no newline at the end", "7 " KEY },
	{ "blanks and a comment", "\t 7\t \t" KEY " \t# mine\n" },
	{ "a comment right behind", "7 " KEY "#mine\n" },
	{ "carriage returns", "# box\r\n\r\n7 " KEY "\r\n" },
	{ "empty lines and comments", "\n\t\n# 8 " OTHER "\n7 " KEY "\n\n" },
	{ "leading zeros", "00007 " KEY "\n" },
	{ "among others", "65535 " OTHER "\n7 " KEY "\n0 " OTHER "\n" },
};

static const struct nst_text nst_bad_texts[] = {
	{ "nothing", "" },
	{ "comments alone", "# 7 " KEY "\n\n" },
	{ "no key", "7\n" },
	{ "no blank", "7" KEY "\n" },
	{ "kid too large", "65536 " KEY "\n" },
	{ "kid with 6 digits", "000007 " KEY "\n" },
	{ "kid with a sign", "+7 " KEY "\n" },
	{ "kid in hex", "0x7 " KEY "\n" },
	{ "kid twice", "7 " KEY "\n7 " KEY "\n" },
	{ "kid twice, written otherwise", "7 " KEY "\n07 " OTHER "\n" },
	{ "short key", "7 0001\n" },
	{ "odd key", "7 " KEY "0\n" },
	{ "long key", "7 " KEY "00\n" },
	{ "not hex", "7 g00102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f\n" },
	{ "more behind", "7 " KEY " x\n" },
	{ "stray carriage return", "7 " KEY "\r\t\n" },
	{ "carriage return at the end", "7 " KEY "\r" },
	{ "not ASCII", "7 " KEY " # \xc3\xa4\n" },
	{ "a bad line among good ones", "7 " KEY "\nx\n8 " KEY "\n" },
};

static void nst_text_name(const struct nst_text *text, char *name)
{
	strscpy(name, text->what, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(nst_good_text, nst_good_texts, nst_text_name);
KUNIT_ARRAY_PARAM(nst_bad_text, nst_bad_texts, nst_text_name);

static void nst_test_reads(struct kunit *test)
{
	const struct nst_text *text = test->param_value;
	const struct nst_params params = { .cipher_id = 1, .kid = 7 };
	struct nst_net *nn = nst_test_net(test);
	u8 key[NST_KEY_LEN];
	u64 generation;
	int i;

	KUNIT_ASSERT_EQ(test, 0, nst_test_load(nn, text->text));
	KUNIT_EXPECT_TRUE(test, nst_keybox_has(nn, 7));
	KUNIT_EXPECT_FALSE(test, nst_keybox_has(nn, 8));
	KUNIT_ASSERT_EQ(test, 0, nst_keybox_key(nn, &params, key, &generation));
	for (i = 0; i < NST_KEY_LEN; i++)
		KUNIT_EXPECT_EQ(test, i, key[i]);
	KUNIT_EXPECT_EQ(test, generation, nst_keybox_generation(nn));
}

static void nst_test_refuses(struct kunit *test)
{
	const struct nst_text *text = test->param_value;
	struct nst_net *nn = nst_test_net(test);
	u64 generation;

	KUNIT_ASSERT_EQ(test, 0, nst_test_load(nn, "9 " KEY "\n"));
	generation = nst_keybox_generation(nn);
	KUNIT_EXPECT_EQ(test, -EINVAL, nst_test_load(nn, text->text));
	/* The old box is left as it was. */
	KUNIT_EXPECT_TRUE(test, nst_keybox_has(nn, 9));
	KUNIT_EXPECT_FALSE(test, nst_keybox_has(nn, 7));
	KUNIT_EXPECT_EQ(test, generation, nst_keybox_generation(nn));
}

static void nst_test_refuses_nul(struct kunit *test)
{
	static const char text[] = "7 " KEY "\0\n";
	struct nst_net *nn = nst_test_net(test);

	KUNIT_EXPECT_EQ(test, -EINVAL,
			nst_keybox_replace(nn, text, sizeof(text) - 1));
}

static void nst_test_replaces_the_whole_box(struct kunit *test)
{
	struct nst_net *nn = nst_test_net(test);
	u64 generation;

	KUNIT_EXPECT_EQ(test, 0, nst_keybox_generation(nn));
	KUNIT_ASSERT_EQ(test, 0, nst_test_load(nn, "7 " KEY "\n"));
	generation = nst_keybox_generation(nn);
	KUNIT_ASSERT_EQ(test, 0, nst_test_load(nn, "8 " KEY "\n"));
	KUNIT_EXPECT_FALSE(test, nst_keybox_has(nn, 7));
	KUNIT_EXPECT_TRUE(test, nst_keybox_has(nn, 8));
	KUNIT_EXPECT_NE(test, generation, nst_keybox_generation(nn));
}

static void nst_test_holds_every_kid(struct kunit *test)
{
	const size_t line = sizeof("65535 " KEY "\n") - 1;
	struct nst_net *nn = nst_test_net(test);
	size_t len = 0;
	char *text;
	int kid;

	text = kvmalloc(NST_KIDS * line + 1, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, text);
	for (kid = NST_KIDS - 1; kid >= 0; kid--)
		len += sprintf(text + len, "%d " KEY "\n", kid);
	KUNIT_EXPECT_EQ(test, 0, nst_keybox_replace(nn, text, len));
	kvfree(text);
	for (kid = 0; kid < NST_KIDS; kid++)
		if (!nst_keybox_has(nn, kid))
			KUNIT_FAIL(test, "kid %d is lost", kid);
}

static void nst_test_perturbs_one_byte(struct kunit *test)
{
	struct nst_params params = { .cipher_id = 1, .kid = 7 };
	struct nst_net *nn = nst_test_net(test);
	u8 key[NST_KEY_LEN];
	u64 generation;
	int i, kpos;

	KUNIT_ASSERT_EQ(test, 0, nst_test_load(nn, "7 " KEY "\n"));
	params.kval = 0xa5;
	for (kpos = 1; kpos <= NST_KPOS_MAX; kpos++) {
		params.kpos = kpos;
		KUNIT_ASSERT_EQ(test, 0, nst_keybox_key(nn, &params, key,
							&generation));
		for (i = 0; i < NST_KEY_LEN; i++)
			KUNIT_EXPECT_EQ(test, key[i],
					i == kpos - 1 ? i ^ 0xa5 : i);
	}
}

static void nst_test_draws_what_there_is(struct kunit *test)
{
	static const u16 some[] = { 2, 9, 0 };
	struct nst_net *nn = nst_test_net(test);
	unsigned int all = 0, common = 0;
	struct nst_kids *kids;
	int draws;
	u16 kid;

	KUNIT_EXPECT_EQ(test, -ENOKEY, nst_keybox_draw(nn, NULL, &kid));
	KUNIT_ASSERT_EQ(test, 0, nst_test_load(nn, "2 " KEY "\n0 " KEY "\n1 "
						   OTHER "\n"));
	kids = nst_kids_read(KERNEL_SOCKPTR((void *)some), sizeof(some));
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, kids);
	/* That one of three is missing after 200 draws: one in 10^35. */
	for (draws = 0; draws < 200; draws++) {
		KUNIT_EXPECT_EQ(test, 0, nst_keybox_draw(nn, NULL, &kid));
		all |= 1U << min_t(u16, kid, 31);
		KUNIT_EXPECT_EQ(test, 0, nst_keybox_draw(nn, kids, &kid));
		common |= 1U << min_t(u16, kid, 31);
	}
	KUNIT_EXPECT_EQ(test, 0x7, all);
	KUNIT_EXPECT_EQ(test, 0x5, common);
	KUNIT_ASSERT_EQ(test, 0, nst_test_load(nn, "1 " KEY "\n"));
	KUNIT_EXPECT_EQ(test, -ENOKEY, nst_keybox_draw(nn, kids, &kid));
	nst_kids_put(kids);
}

static struct kunit_case nst_keybox_cases[] = {
	KUNIT_CASE_PARAM(nst_test_reads, nst_good_text_gen_params),
	KUNIT_CASE_PARAM(nst_test_refuses, nst_bad_text_gen_params),
	KUNIT_CASE(nst_test_refuses_nul),
	KUNIT_CASE(nst_test_replaces_the_whole_box),
	KUNIT_CASE(nst_test_holds_every_kid),
	KUNIT_CASE(nst_test_perturbs_one_byte),
	KUNIT_CASE(nst_test_draws_what_there_is),
	{ }
};

static struct kunit_suite nst_keybox_suite = {
	.name = "nst_keybox",
	.test_cases = nst_keybox_cases,
};

kunit_test_suite(nst_keybox_suite);
