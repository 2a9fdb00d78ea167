// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Changing a key box: a changed copy takes its place, and the old one is wiped.
 */

#include <linux/bitmap.h>
#include <linux/err.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>

#include "keybox.h"
#include "netns.h"

static struct nst_keybox *nst_keybox_of(struct nst_net *nn)
{
	return rcu_dereference_protected(nn->keybox,
					 lockdep_is_held(&nn->keybox_lock));
}

static struct nst_keybox *nst_keybox_merge(const struct nst_keybox *old,
					   const struct nst_keybox *more,
					   bool replace)
{
	unsigned int olds = old ? old->count : 0, i = 0, j = 0;
	struct nst_keybox *box;

	box = nst_keybox_alloc(olds + more->count);
	if (!box)
		return ERR_PTR(-ENOMEM);
	while (i < olds || j < more->count) {
		if (j == more->count ||
		    (i < olds && old->keys[i].kid < more->keys[j].kid)) {
			box->keys[box->count++] = old->keys[i++];
			continue;
		}
		if (i < olds && old->keys[i].kid == more->keys[j].kid) {
			if (!replace)
				goto exists;
			i++;
		}
		box->keys[box->count++] = more->keys[j++];
	}
	return box;

exists:
	nst_keybox_free(box);
	return ERR_PTR(-EEXIST);
}

/**
 * nst_keybox_add() - add keys
 * @nn: the namespace
 * @more: the keys, in any order; the caller frees it
 * @replace: whether a key may take the place of one that is there
 *
 * Return: 0, or a negative error and nothing has changed: -EEXIST if a kid is there
 * already, -EINVAL if one is in @more twice.
 */
int nst_keybox_add(struct nst_net *nn, struct nst_keybox *more, bool replace)
{
	struct nst_keybox *box;
	unsigned int i;

	nst_keybox_sort(more);
	for (i = 1; i < more->count; i++)
		if (more->keys[i].kid == more->keys[i - 1].kid)
			return -EINVAL;

	mutex_lock(&nn->keybox_lock);
	box = nst_keybox_merge(nst_keybox_of(nn), more, replace);
	if (!IS_ERR(box))
		nst_keybox_publish(nn, box);
	mutex_unlock(&nn->keybox_lock);
	return PTR_ERR_OR_ZERO(box);
}

/* NULL: nothing would be left. */
static struct nst_keybox *nst_keybox_without(struct nst_keybox *old,
					     const unsigned long *unwanted,
					     unsigned int count)
{
	struct nst_keybox *box;
	unsigned int i;

	if (old->count == count)
		return NULL;
	box = nst_keybox_alloc(old->count - count);
	if (!box)
		return ERR_PTR(-ENOMEM);
	for (i = 0; i < old->count; i++)
		if (!test_bit(old->keys[i].kid, unwanted))
			box->keys[box->count++] = old->keys[i];
	return box;
}

/**
 * nst_keybox_delete() - delete and wipe keys
 * @nn: the namespace
 * @kids: which, in any order
 * @count: their number
 *
 * Return: 0, or a negative error and nothing has changed: -ENOENT if there is no
 * such key.
 */
int nst_keybox_delete(struct nst_net *nn, const u16 *kids, size_t count)
{
	struct nst_keybox *old, *box;
	unsigned long *unwanted;
	size_t i;

	unwanted = bitmap_zalloc(NST_KIDS, GFP_KERNEL);
	if (!unwanted)
		return -ENOMEM;
	mutex_lock(&nn->keybox_lock);
	old = nst_keybox_of(nn);
	box = ERR_PTR(-ENOENT);
	for (i = 0; i < count; i++) {
		if (!old || !nst_keybox_find(old, kids[i]))
			goto out;
		__set_bit(kids[i], unwanted);
	}
	box = nst_keybox_without(old, unwanted,
				 bitmap_weight(unwanted, NST_KIDS));
	if (!IS_ERR(box))
		nst_keybox_publish(nn, box);
out:
	mutex_unlock(&nn->keybox_lock);
	bitmap_free(unwanted);
	return PTR_ERR_OR_ZERO(box);
}

/* Deletes and wipes all keys. */
void nst_keybox_flush(struct nst_net *nn)
{
	mutex_lock(&nn->keybox_lock);
	nst_keybox_publish(nn, NULL);
	mutex_unlock(&nn->keybox_lock);
}

/* Up to @max kids, ascending, from @from on; returns how many. */
size_t nst_keybox_kids(const struct nst_net *nn, u32 from, u16 *kids,
		       size_t max)
{
	const struct nst_keybox *box;
	unsigned int i = 0;
	size_t count = 0;

	rcu_read_lock();
	box = rcu_dereference(nn->keybox);
	while (box && i < box->count && box->keys[i].kid < from)
		i++;
	while (box && i < box->count && count < max)
		kids[count++] = box->keys[i++].kid;
	rcu_read_unlock();
	return count;
}

unsigned int nst_keybox_count(const struct nst_net *nn)
{
	const struct nst_keybox *box;
	unsigned int count;

	rcu_read_lock();
	box = rcu_dereference(nn->keybox);
	count = box ? box->count : 0;
	rcu_read_unlock();
	return count;
}
