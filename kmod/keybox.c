// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The key box (section 4): parsing its text, replacing it, drawing from it. Changing
 * it is in keybox_edit.c.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/bsearch.h>
#include <linux/ctype.h>
#include <linux/kernel.h>
#include <linux/mm.h>
#include <linux/net.h>
#include <linux/overflow.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "compat.h"
#include "keybox.h"
#include "kids.h"
#include "netns.h"

static atomic64_t nst_keybox_generations = ATOMIC64_INIT(0);

/* Wipes it. */
void nst_keybox_free(struct nst_keybox *box)
{
	if (box)
		kvfree_sensitive(box, struct_size(box, keys, box->room));
}

/* An empty box with room for so many keys; NULL without memory. */
struct nst_keybox *nst_keybox_alloc(unsigned int room)
{
	struct nst_keybox *box;

	box = kvzalloc(struct_size(box, keys, room), GFP_KERNEL_ACCOUNT);
	if (box) {
		box->generation = atomic64_inc_return(&nst_keybox_generations);
		box->room = room;
	}
	return box;
}

static int nst_key_cmp(const void *a, const void *b)
{
	return (int)((const struct nst_key *)a)->kid -
	       (int)((const struct nst_key *)b)->kid;
}

static int nst_kid_cmp(const void *kid, const void *key)
{
	return (int)*(const u16 *)kid - (int)((const struct nst_key *)key)->kid;
}

/* Among keys that are sorted. */
struct nst_key *nst_keybox_find(struct nst_keybox *box, u16 kid)
{
	return bsearch(&kid, box->keys, box->count, sizeof(box->keys[0]),
		       nst_kid_cmp);
}

void nst_keybox_sort(struct nst_keybox *box)
{
	sort(box->keys, box->count, sizeof(box->keys[0]), nst_key_cmp, NULL);
}

/*
 * Puts @box, or none if NULL, in the place of the namespace's, which is wiped when
 * this returns. Under keybox_lock.
 */
void nst_keybox_publish(struct nst_net *nn, struct nst_keybox *box)
{
	struct nst_keybox *old;

	old = rcu_replace_pointer(nn->keybox, box,
				  lockdep_is_held(&nn->keybox_lock));
	synchronize_rcu();
	nst_keybox_free(old);
}

static const char *nst_skip_blanks(const char *p, const char *end)
{
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	return p;
}

/*
 * Reads [p, end), a line without its end. Returns NULL, or what is wrong.
 * @key->kid and @key->key are set if *has_key.
 */
static const char *nst_keybox_line(const char *p, const char *end,
				   struct nst_key *key, bool *has_key)
{
	unsigned int kid = 0, digits = 0;
	const char *c;

	for (c = p; c < end; c++) {
		if (!isascii(*c))
			return "not ASCII";
		if (*c == '\r')
			return "stray carriage return";
	}

	*has_key = false;
	p = nst_skip_blanks(p, end);
	if (p == end || *p == '#')
		return NULL;

	for (; p < end && isdigit(*p); p++) {
		if (++digits > 5)
			return "kid has more than 5 digits";
		kid = kid * 10 + (*p - '0');
	}
	if (!digits)
		return "kid expected";
	if (kid >= NST_KIDS)
		return "kid over 65535";
	c = nst_skip_blanks(p, end);
	if (c == p)
		return "space expected after kid";
	p = c;

	if (end - p < 2 * NST_KEY_LEN ||
	    hex2bin(key->key, p, NST_KEY_LEN))
		return "64 hex digits expected";
	p = nst_skip_blanks(p + 2 * NST_KEY_LEN, end);
	if (p != end && *p != '#')
		return "nothing but a comment expected after key";

	key->kid = kid;
	*has_key = true;
	return NULL;
}

/* At most one key on each line. */
static size_t nst_count_lines(const char *text, size_t len)
{
	size_t lines = 1;

	while (len--)
		lines += *text++ == '\n';
	return lines;
}

/* Reads @text into @box, which has room for a key from every line. */
static int nst_keybox_parse(struct nst_keybox *box, unsigned long *present,
			    const char *text, size_t len)
{
	const char *end = text + len, *eol, *wrong;
	unsigned int line = 0;
	bool has_key, crlf;

	for (;; text = eol + 1) {
		struct nst_key *key = &box->keys[box->count];

		line++;
		eol = memchr(text, '\n', end - text);
		crlf = eol && eol > text && eol[-1] == '\r';
		wrong = nst_keybox_line(text, eol ? eol - crlf : end, key,
					&has_key);
		if (!wrong && has_key && __test_and_set_bit(key->kid, present))
			wrong = "kid is there already";
		if (wrong)
			goto bad;
		box->count += has_key;
		if (!eol)
			break;
	}

	wrong = "no key in the whole box";
	if (!box->count)
		goto bad;
	nst_keybox_sort(box);
	return 0;
bad:
	net_warn_ratelimited("key box, line %u: %s\n", line, wrong);
	return -EINVAL;
}

/**
 * nst_keybox_replace() - make a text the namespace's key box
 * @nn: the namespace
 * @text: the whole text, not terminated
 * @len: its length
 *
 * Return: 0, or a negative error with the old box left as it was.
 */
int nst_keybox_replace(struct nst_net *nn, const char *text, size_t len)
{
	size_t room = min_t(size_t, nst_count_lines(text, len), NST_KIDS + 1);
	struct nst_keybox *box;
	unsigned long *present;
	int err = -ENOMEM;

	/* One spare: a line is read before its kid turns out to be a repetition. */
	box = nst_keybox_alloc(room);
	present = bitmap_zalloc(NST_KIDS, GFP_KERNEL);
	if (box && present)
		err = nst_keybox_parse(box, present, text, len);
	bitmap_free(present);
	if (err) {
		nst_keybox_free(box);
		return err;
	}

	mutex_lock(&nn->keybox_lock);
	nst_keybox_publish(nn, box);
	mutex_unlock(&nn->keybox_lock);
	return 0;
}

/* When the namespace goes and nobody reads the box any more. */
void nst_keybox_drop(struct nst_net *nn)
{
	nst_keybox_free(rcu_dereference_protected(nn->keybox, true));
	RCU_INIT_POINTER(nn->keybox, NULL);
}

bool nst_keybox_has(const struct nst_net *nn, u16 kid)
{
	struct nst_keybox *box;
	bool has;

	rcu_read_lock();
	box = rcu_dereference(nn->keybox);
	has = box && nst_keybox_find(box, kid);
	rcu_read_unlock();
	return has;
}

/* 0 while there is no box. */
u64 nst_keybox_generation(const struct nst_net *nn)
{
	const struct nst_keybox *box;
	u64 generation;

	rcu_read_lock();
	box = rcu_dereference(nn->keybox);
	generation = box ? box->generation : 0;
	rcu_read_unlock();
	return generation;
}

/* How many of @kids are in @box; with @nth below that, *@kid becomes the nth. */
static unsigned int nst_keybox_common(const struct nst_keybox *box,
				      const struct nst_kids *kids,
				      unsigned int nth, u16 *kid)
{
	unsigned int i, k = 0, common = 0;

	for (i = 0; i < box->count && k < kids->count; i++) {
		while (k < kids->count && kids->kids[k] < box->keys[i].kid)
			k++;
		if (k == kids->count || kids->kids[k] != box->keys[i].kid)
			continue;
		if (common++ == nth)
			*kid = kids->kids[k];
	}
	return common;
}

/* Draws the kid of a new epoch; -ENOKEY if there is none to draw. */
int nst_keybox_draw(const struct nst_net *nn, const struct nst_kids *kids,
		    u16 *kid)
{
	const struct nst_keybox *box;
	unsigned int common = 0;

	rcu_read_lock();
	box = rcu_dereference(nn->keybox);
	if (box && !kids) {
		common = box->count;
		*kid = box->keys[nst_random_below(common)].kid;
	} else if (box) {
		common = nst_keybox_common(box, kids, UINT_MAX, kid);
		if (common)
			nst_keybox_common(box, kids, nst_random_below(common),
					  kid);
	}
	rcu_read_unlock();
	return common ? 0 : -ENOKEY;
}

/**
 * nst_keybox_key() - the perturbed key K' of section 4
 * @nn: the namespace
 * @params: key parameters, which have passed check 7
 * @key: where it goes; the caller wipes it
 * @generation: of the box that it came from
 *
 * Return: 0, or -ENOKEY.
 */
int nst_keybox_key(const struct nst_net *nn, const struct nst_params *params,
		   u8 key[NST_KEY_LEN], u64 *generation)
{
	const struct nst_key *found;
	struct nst_keybox *box;

	rcu_read_lock();
	box = rcu_dereference(nn->keybox);
	found = box ? nst_keybox_find(box, params->kid) : NULL;
	if (found) {
		memcpy(key, found->key, NST_KEY_LEN);
		*generation = box->generation;
	}
	rcu_read_unlock();
	if (!found)
		return -ENOKEY;
	if (params->kpos)
		key[params->kpos - 1] ^= params->kval;
	return 0;
}
