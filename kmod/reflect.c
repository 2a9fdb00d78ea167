// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Which sessions a datagram socket sealed with lately (check 10): nearly always
 * one, as an epoch lasts 65536 datagrams unless the application ends it.
 */

#include <linux/slab.h>

#include "reflect.h"

/* Bounds the memory of an application that changes its key all the time. */
#define NST_REFLECT_MAX		4096

struct nst_reflect_entry {
	struct list_head	list;
	u64			session_id;
	u64			sealed;		/* when last, real time */
};

void nst_reflect_init(struct nst_reflect *reflect)
{
	spin_lock_init(&reflect->lock);
	INIT_LIST_HEAD(&reflect->sessions);
	reflect->count = 0;
}

static bool nst_reflect_recent(const struct nst_reflect_entry *entry, u64 now,
			       u64 window)
{
	return now <= entry->sealed || now - entry->sealed <= window;
}

static void nst_reflect_free(struct list_head *entries)
{
	struct nst_reflect_entry *entry, *next;

	list_for_each_entry_safe(entry, next, entries, list)
		kfree(entry);
}

void nst_reflect_drop(struct nst_reflect *reflect)
{
	nst_reflect_free(&reflect->sessions);
	INIT_LIST_HEAD(&reflect->sessions);
	reflect->count = 0;
}

/**
 * nst_reflect_add() - note a new epoch, before its first datagram leaves
 * @reflect: the socket's list
 * @session_id: the epoch's
 * @now: real time
 * @window: the timestamp window; what was sealed before it is forgotten
 *
 * Return: 0, -ENOMEM, or -ENOBUFS if too many epochs fall into the window.
 */
int nst_reflect_add(struct nst_reflect *reflect, u64 session_id, u64 now,
		    u64 window)
{
	struct nst_reflect_entry *fresh, *entry, *next;
	LIST_HEAD(forgotten);
	int err = 0;

	fresh = kmalloc(sizeof(*fresh), GFP_KERNEL_ACCOUNT);
	if (!fresh)
		return -ENOMEM;
	fresh->session_id = session_id;
	fresh->sealed = now;

	spin_lock(&reflect->lock);
	list_for_each_entry_safe(entry, next, &reflect->sessions, list) {
		if (nst_reflect_recent(entry, now, window))
			continue;
		list_move(&entry->list, &forgotten);
		reflect->count--;
	}
	if (reflect->count < NST_REFLECT_MAX) {
		list_add(&fresh->list, &reflect->sessions);
		reflect->count++;
		fresh = NULL;
	} else {
		err = -ENOBUFS;
	}
	spin_unlock(&reflect->lock);

	nst_reflect_free(&forgotten);
	kfree(fresh);
	return err;
}

/* Notes that the newest epoch sealed a datagram. */
void nst_reflect_touch(struct nst_reflect *reflect, u64 now)
{
	struct nst_reflect_entry *entry;

	spin_lock(&reflect->lock);
	entry = list_first_entry_or_null(&reflect->sessions,
					 struct nst_reflect_entry, list);
	if (entry)
		entry->sealed = now;
	spin_unlock(&reflect->lock);
}

/* Whether @session_id was sealed with at or after @now - @window. */
bool nst_reflect_hit(struct nst_reflect *reflect, u64 session_id, u64 now,
		     u64 window)
{
	struct nst_reflect_entry *entry;
	bool hit = false;

	spin_lock(&reflect->lock);
	list_for_each_entry(entry, &reflect->sessions, list) {
		if (entry->session_id == session_id) {
			hit = nst_reflect_recent(entry, now, window);
			break;
		}
	}
	spin_unlock(&reflect->lock);
	return hit;
}
