// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Replay protection (section 9): a bounded table of sessions for each transport,
 * and a floor below which no new session is let in.
 *
 * Entries are found by session_id and dropped by age, so they hang in two trees.
 * Everything happens in process context, where records are opened.
 */

#include <linux/bitmap.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "replay.h"

/* RFC 6479: one spare word, so that clearing the new words moves the window. */
#define NST_REPLAY_WORDS	(NST_WINDOW_COUNTERS / BITS_PER_LONG + 1)

struct nst_replay_entry {
	struct rb_node	by_session;
	struct rb_node	by_age;
	u64		session_id;
	u64		timestamp;	/* STREAM: the first record's; DGRAM: newest */

	/* DGRAM only, and not allocated for STREAM */
	u64		base;
	struct nst_params params;
	u16		highest;
	unsigned long	accepted[NST_REPLAY_WORDS];
};

static size_t nst_replay_entry_size(enum nst_transport transport)
{
	return transport == NST_DGRAM ? sizeof(struct nst_replay_entry) :
					offsetof(struct nst_replay_entry, base);
}

void nst_replay_init(struct nst_replay_table *table,
		     enum nst_transport transport, unsigned int max)
{
	mutex_init(&table->lock);
	table->by_session = RB_ROOT;
	table->by_age = RB_ROOT_CACHED;
	table->count = 0;
	table->max = max;
	table->floor = 0;
	table->created = ktime_get_boottime_ns();
	table->transport = transport;
}

void nst_replay_drop(struct nst_replay_table *table)
{
	struct nst_replay_entry *entry, *next;

	rbtree_postorder_for_each_entry_safe(entry, next, &table->by_session,
					     by_session)
		kfree(entry);
	table->by_session = RB_ROOT;
	table->by_age = RB_ROOT_CACHED;
	table->count = 0;
}

u64 nst_replay_age(const struct nst_replay_table *table)
{
	return ktime_get_boottime_ns() - table->created;
}

/* Floor with a capital F. A clock before 1970 + age counts as the epoch. */
static u64 nst_replay_floor(const struct nst_replay_table *table, u64 now)
{
	u64 age = nst_replay_age(table);

	return max(table->floor, now > age ? now - age : 0);
}

static struct nst_replay_entry *
nst_replay_find(const struct nst_replay_table *table, u64 session_id)
{
	struct rb_node *node = table->by_session.rb_node;

	while (node) {
		struct nst_replay_entry *entry;

		entry = rb_entry(node, struct nst_replay_entry, by_session);
		if (session_id < entry->session_id)
			node = node->rb_left;
		else if (session_id > entry->session_id)
			node = node->rb_right;
		else
			return entry;
	}
	return NULL;
}

static bool nst_session_less(struct rb_node *a, const struct rb_node *b)
{
	return rb_entry(a, struct nst_replay_entry, by_session)->session_id <
	       rb_entry(b, struct nst_replay_entry, by_session)->session_id;
}

static bool nst_age_less(struct rb_node *a, const struct rb_node *b)
{
	struct nst_replay_entry *x = rb_entry(a, struct nst_replay_entry, by_age);
	struct nst_replay_entry *y = rb_entry(b, struct nst_replay_entry, by_age);

	if (x->timestamp != y->timestamp)
		return x->timestamp < y->timestamp;
	return x->session_id < y->session_id;
}

static struct nst_replay_entry *
nst_replay_oldest(const struct nst_replay_table *table)
{
	struct rb_node *node = rb_first_cached(&table->by_age);

	return node ? rb_entry(node, struct nst_replay_entry, by_age) : NULL;
}

static bool nst_replay_full(const struct nst_replay_table *table)
{
	return table->count >= READ_ONCE(table->max);
}

static void nst_replay_drop_entry(struct nst_replay_table *table,
				  struct nst_replay_entry *entry)
{
	rb_erase(&entry->by_session, &table->by_session);
	rb_erase_cached(&entry->by_age, &table->by_age);
	table->count--;
	table->floor = max(table->floor, entry->timestamp);
	kfree(entry);
}

/* Only ever called for a full table, to let a new entry in. */
static void nst_replay_make_room(struct nst_replay_table *table, u64 now,
				 u64 window)
{
	struct nst_replay_entry *oldest;

	while ((oldest = nst_replay_oldest(table)) &&
	       now > oldest->timestamp && now - oldest->timestamp > window)
		nst_replay_drop_entry(table, oldest);
	/* More than one if the table was made smaller meanwhile. */
	while (nst_replay_full(table) && (oldest = nst_replay_oldest(table)))
		nst_replay_drop_entry(table, oldest);
}

static unsigned long *nst_replay_word(struct nst_replay_entry *entry,
				      u16 counter)
{
	return &entry->accepted[counter / BITS_PER_LONG % NST_REPLAY_WORDS];
}

static bool nst_counter_seen(struct nst_replay_entry *entry, u16 counter)
{
	if (counter > entry->highest)
		return false;
	if (entry->highest - counter >= NST_WINDOW_COUNTERS)
		return true;
	return *nst_replay_word(entry, counter) & BIT_MASK(counter);
}

static void nst_counter_mark(struct nst_replay_entry *entry, u16 counter)
{
	unsigned int old = entry->highest / BITS_PER_LONG;
	unsigned int new = counter / BITS_PER_LONG;

	if (counter > entry->highest) {
		entry->highest = counter;
		if (new - old >= NST_REPLAY_WORDS)
			bitmap_zero(entry->accepted,
				    NST_REPLAY_WORDS * BITS_PER_LONG);
		else
			while (old < new)
				entry->accepted[++old % NST_REPLAY_WORDS] = 0;
	}
	*nst_replay_word(entry, counter) |= BIT_MASK(counter);
}

/* Check 12 for a session that is not in the table. */
static bool nst_replay_refuses_new(const struct nst_replay_table *table,
				   u64 timestamp, u64 floor)
{
	const struct nst_replay_entry *oldest;

	if (timestamp <= floor)
		return true;
	if (!nst_replay_full(table))
		return false;
	oldest = nst_replay_oldest(table);
	return oldest && timestamp <= oldest->timestamp;
}

/* Checks 11 (as far as it looks at the table) and 12, under the lock. */
static enum nst_verdict
nst_replay_judge(const struct nst_replay_table *table,
		 struct nst_replay_entry *entry, const struct nst_header *hdr,
		 u64 floor)
{
	const struct nst_params params = nst_header_params(hdr);
	u64 timestamp = be64_to_cpu(hdr->timestamp);

	if (!entry)
		return nst_replay_refuses_new(table, timestamp, floor) ?
		       NST_REPLAY : NST_OK;
	if (table->transport == NST_STREAM)
		return NST_REPLAY;
	if (!nst_params_equal(&params, &entry->params))
		return NST_SEQUENCE;
	if (nst_counter_seen(entry, nst_header_counter(hdr)) ||
	    timestamp <= entry->base)
		return NST_REPLAY;
	return NST_OK;
}

/**
 * nst_replay_check() - would this record be let in?
 * @table: the table of its transport
 * @hdr: a datagram's header, or that of the first record of a stream's direction
 * @now: real time
 *
 * Return: NST_OK, NST_SEQUENCE (a datagram whose key parameters are not its
 * session's), or NST_REPLAY.
 */
enum nst_verdict nst_replay_check(struct nst_replay_table *table,
				  const struct nst_header *hdr, u64 now)
{
	struct nst_replay_entry *entry;
	enum nst_verdict verdict;

	mutex_lock(&table->lock);
	entry = nst_replay_find(table, nst_header_session_id(hdr));
	verdict = nst_replay_judge(table, entry, hdr,
				   nst_replay_floor(table, now));
	mutex_unlock(&table->lock);
	return verdict;
}

/* Moves @entry to its place after @timestamp became its newest. */
static void nst_replay_touch(struct nst_replay_table *table,
			     struct nst_replay_entry *entry, u64 timestamp)
{
	if (timestamp <= entry->timestamp)
		return;
	rb_erase_cached(&entry->by_age, &table->by_age);
	entry->timestamp = timestamp;
	rb_add_cached(&entry->by_age, &table->by_age, nst_age_less);
}

static void nst_replay_add(struct nst_replay_table *table,
			   struct nst_replay_entry *entry,
			   const struct nst_header *hdr, u64 floor)
{
	entry->session_id = nst_header_session_id(hdr);
	entry->timestamp = be64_to_cpu(hdr->timestamp);
	if (table->transport == NST_DGRAM) {
		entry->base = floor;
		entry->params = nst_header_params(hdr);
		entry->highest = nst_header_counter(hdr);
		nst_counter_mark(entry, entry->highest);
	}
	rb_add(&entry->by_session, &table->by_session, nst_session_less);
	rb_add_cached(&entry->by_age, &table->by_age, nst_age_less);
	table->count++;
}

/**
 * nst_replay_accept() - repeat check 12 for an authentic record and let it in
 * @table: the table of its transport
 * @hdr: a datagram's header, or that of the first record of a stream's direction
 * @now: real time
 * @window: the timestamp window
 *
 * Return: NST_OK, NST_REPLAY, or -ENOMEM with nothing changed.
 */
int nst_replay_accept(struct nst_replay_table *table,
		      const struct nst_header *hdr, u64 now, u64 window)
{
	struct nst_replay_entry *fresh = NULL, *entry;
	int verdict;
	u64 floor;

again:
	mutex_lock(&table->lock);
	floor = nst_replay_floor(table, now);
	entry = nst_replay_find(table, nst_header_session_id(hdr));
	verdict = nst_replay_judge(table, entry, hdr, floor);
	if (!verdict && !entry && !fresh) {
		mutex_unlock(&table->lock);
		fresh = kzalloc(nst_replay_entry_size(table->transport),
				GFP_KERNEL_ACCOUNT);
		if (!fresh)
			return -ENOMEM;
		goto again;
	}
	if (verdict) {
		verdict = NST_REPLAY;
	} else if (entry) {
		nst_counter_mark(entry, nst_header_counter(hdr));
		nst_replay_touch(table, entry, be64_to_cpu(hdr->timestamp));
	} else {
		if (nst_replay_full(table))
			nst_replay_make_room(table, now, window);
		nst_replay_add(table, fresh, hdr, floor);
		fresh = NULL;
	}
	mutex_unlock(&table->lock);
	kfree(fresh);
	return verdict;
}
