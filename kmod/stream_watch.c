// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What a stream does when nobody calls: it opens the first record of its incoming
 * direction when it arrives (section 8), so that neither the timestamp window nor
 * BOUND depends on when the application first reads; and it pushes what TCP did not
 * take for want of memory.
 */

#include <linux/poll.h>
#include <net/sock.h>

#include "stream.h"

/* How long to wait for memory. */
#define NST_STREAM_FLUSH_DELAY	(HZ / 50)

/* In any context: whoever waits for the socket is being woken. */
static int nst_stream_arrived(struct wait_queue_entry *entry, unsigned int mode,
			      int sync, void *key)
{
	struct nst_stream *stream;

	stream = container_of(entry, struct nst_stream, arrival);
	if (!key || key_to_poll(key) & EPOLLIN)
		queue_work(nst_workqueue, &stream->open_first);
	return 0;
}

/* Ends when the first record was opened, or never will be. */
static bool nst_stream_watch_over(const struct nst_stream_rx *rx)
{
	return rx->accepted_any || rx->closed || rx->error;
}

static void nst_stream_open_first_work(struct work_struct *work)
{
	struct nst_stream *stream = container_of(work, struct nst_stream,
						 open_first);
	struct nst_sock *ns = container_of(stream, struct nst_sock, stream);

	mutex_lock(&ns->rx_lock);
	if (!nst_stream_watch_over(&stream->rx))
		nst_stream_fill_to(ns, 1);
	if (nst_stream_watch_over(&stream->rx))
		nst_stream_unwatch(ns);
	mutex_unlock(&ns->rx_lock);
}

static void nst_stream_flush_work(struct work_struct *work)
{
	struct nst_stream *stream = container_of(to_delayed_work(work),
						 struct nst_stream, flush);
	struct nst_sock *ns = container_of(stream, struct nst_sock, stream);

	mutex_lock(&ns->tx.lock);
	nst_stream_flush(ns);
	mutex_unlock(&ns->tx.lock);
	ns->sk->sk_write_space(ns->sk);
}

void nst_stream_watch_init(struct nst_stream *stream)
{
	init_waitqueue_func_entry(&stream->arrival, nst_stream_arrived);
	INIT_WORK(&stream->open_first, nst_stream_open_first_work);
	INIT_DELAYED_WORK(&stream->flush, nst_stream_flush_work);
}

/* Under rx_lock, as is nst_stream_unwatch(). */
void nst_stream_watch(struct nst_sock *ns)
{
	if (ns->stream.watched)
		return;
	add_wait_queue(sk_sleep(ns->sk), &ns->stream.arrival);
	ns->stream.watched = true;
}

void nst_stream_unwatch(struct nst_sock *ns)
{
	if (!ns->stream.watched)
		return;
	remove_wait_queue(sk_sleep(ns->sk), &ns->stream.arrival);
	ns->stream.watched = false;
}

/* For a socket that nobody else uses any more; none of its locks are held. */
void nst_stream_watch_end(struct nst_sock *ns)
{
	mutex_lock(&ns->rx_lock);
	nst_stream_unwatch(ns);
	mutex_unlock(&ns->rx_lock);
	cancel_work_sync(&ns->stream.open_first);
	cancel_delayed_work_sync(&ns->stream.flush);
}

/* The rest of a record is waiting for memory; under tx.lock. */
void nst_stream_flush_later(struct nst_sock *ns)
{
	queue_delayed_work(nst_workqueue, &ns->stream.flush,
			   NST_STREAM_FLUSH_DELAY);
}
