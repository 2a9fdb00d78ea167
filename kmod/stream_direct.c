// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The common case of receiving: a record of the running epoch that lies whole in TCP's
 * queue is opened where it lies, into the reader's own pages if it has room for all of it.
 *
 * Only what ends well is done here. All else, a verdict above all, is left to
 * nst_stream_fill(), which takes the same bytes from TCP and judges them.
 */

#include <net/tcp.h>

#include "netns.h"
#include "pages.h"
#include "stream.h"
#include "suite.h"

/* A record in TCP's queue; with the socket locked. */
struct nst_queued {
	struct nst_header	hdr;
	size_t			len;		/* of the plaintext, and of the body */
	struct sk_buff		*skb;		/* where the body begins */
	u32			offset;
};

/*
 * Whether a reader should look again: there is what it lacks, or no more will come as long
 * as TCP has to keep what is there.
 */
bool nst_stream_look(const struct nst_sock *ns)
{
	const struct sock *sk = ns->sk;
	size_t lacks = READ_ONCE(ns->stream.rx.lacks);
	const struct tcp_sock *tp = tcp_sk(sk);

	if (READ_ONCE(sk->sk_err) ||
	    READ_ONCE(sk->sk_shutdown) & RCV_SHUTDOWN ||
	    inet_sk_state_load(sk) == TCP_CLOSE)
		return true;
	if (skb_queue_empty_lockless(&sk->sk_receive_queue))
		return false;
	return !lacks ||
	       READ_ONCE(tp->rcv_nxt) - READ_ONCE(tp->copied_seq) >= lacks ||
	       tcp_epollin_ready(sk, INT_MAX);
}

/* The skb behind @skb, whose end is at @seq, if it goes on there. */
static struct sk_buff *nst_queue_next(struct sock *sk, struct sk_buff *skb,
				      u32 seq)
{
	if (skb_queue_is_last(&sk->sk_receive_queue, skb))
		return NULL;
	skb = skb_queue_next(&sk->sk_receive_queue, skb);
	return TCP_SKB_CB(skb)->seq == seq ? skb : NULL;
}

/* Copies the next bytes of the queue, and moves on behind them. */
static bool nst_queue_copy(struct sock *sk, struct nst_queued *queued, void *to,
			   size_t len)
{
	while (len) {
		struct sk_buff *skb = queued->skb;
		size_t part;

		if (queued->offset == skb->len) {
			queued->skb = nst_queue_next(sk, skb,
						     TCP_SKB_CB(skb)->end_seq);
			queued->offset = 0;
			if (!queued->skb)
				return false;
			continue;
		}
		part = min_t(size_t, len, skb->len - queued->offset);
		if (skb_copy_bits(skb, queued->offset, to, part))
			return false;
		queued->offset += part;
		to += part;
		len -= part;
	}
	return true;
}

/* Tells @keys of [@offset, @offset + @len) of @skb, if all that is ours to read twice. */
static bool nst_skb_pieces(const struct sk_buff *skb, size_t offset, size_t len,
			   struct nst_keys *keys)
{
	size_t head = skb_headlen(skb), part;
	int i;

	if (skb_has_frag_list(skb) || skb_has_shared_frag(skb))
		return false;
	if (offset < head) {
		part = min(len, head - offset);
		if (!nst_keys_from_buffer(keys, skb->data + offset, part))
			return false;
		len -= part;
		offset = head;
	}
	offset -= head;
	for (i = 0; len && i < skb_shinfo(skb)->nr_frags; i++) {
		const skb_frag_t *frag = &skb_shinfo(skb)->frags[i];
		size_t size = skb_frag_size(frag);

		if (offset >= size) {
			offset -= size;
			continue;
		}
		part = min(len, size - offset);
		/* A device's own memory has no pages. */
		if (!skb_frag_page(frag) ||
		    !nst_keys_from(keys, skb_frag_page(frag), part,
				   skb_frag_off(frag) + offset))
			return false;
		len -= part;
		offset = 0;
	}
	return !len;
}

/* Tells @keys of the body, where it lies. */
static bool nst_queue_pieces(struct sock *sk, const struct nst_queued *queued,
			     struct nst_keys *keys)
{
	struct sk_buff *skb = queued->skb;
	size_t offset = queued->offset, left = queued->len;

	for (;;) {
		size_t part = min_t(size_t, left, skb->len - offset);

		if (part && !nst_skb_pieces(skb, offset, part, keys))
			return false;
		left -= part;
		if (!left)
			return true;
		skb = nst_queue_next(sk, skb, TCP_SKB_CB(skb)->end_seq);
		if (!skb)
			return false;
		offset = 0;
	}
}

/* A record of the running epoch, plain data in GCM, that passes checks 2 to 11. */
static bool nst_stream_plain_record(struct nst_sock *ns,
				    const struct nst_header *hdr)
{
	struct nst_stream_rx *rx = &ns->stream.rx;
	const struct nst_suite *suite;

	if (nst_header_session_id(hdr) != rx->state.prev.session_id ||
	    be32_to_cpu(hdr->flags) & (NST_FLAG_CLOSE | NST_FLAG_BOUND) ||
	    nst_check_stream(ns->nn, &ns->rx_policy, 0, hdr, &rx->state))
		return false;
	suite = nst_suite(hdr->cipher_id);
	return !suite->cbc;
}

/* Finds the next record; 1 if it is whole, 0 if it will be, else -ENODATA. */
static int nst_stream_find(struct nst_sock *ns, struct nst_queued *queued)
{
	struct sock *sk = ns->sk;
	struct tcp_sock *tp = tcp_sk(sk);
	int queued_len = tcp_inq(sk);
	size_t record_len;

	if (queued_len < NST_HEADER_LEN || tp->urg_data ||
	    nst_stream_tells_time(sk))
		return -ENODATA;
	queued->skb = tcp_recv_skb(sk, tp->copied_seq, &queued->offset);
	if (!queued->skb || !nst_queue_copy(sk, queued, &queued->hdr,
					    sizeof(queued->hdr)) ||
	    !nst_stream_plain_record(ns, &queued->hdr))
		return -ENODATA;
	queued->len = be16_to_cpu(queued->hdr.transport_len);
	record_len = NST_HEADER_LEN + queued->len;
	if (queued_len >= record_len)
		return 1;
	/* TCP tells of each segment; nobody need look before the last. */
	WRITE_ONCE(ns->stream.rx.lacks, record_len);
	return nst_stream_look(ns) ? -ENODATA : 0;
}

/* A small record is copied twice, which is cheaper than finding pages. */
static bool nst_stream_open_small(struct nst_sock *ns, struct nst_queued *queued,
				  struct nst_reader *reader)
{
	struct nst_keys *keys = ns->stream.rx.keys;
	u8 *small = nst_keys_small(keys);

	size_t copied;

	if (!nst_queue_copy(ns->sk, queued, small, queued->len) ||
	    nst_keys_open(keys, &queued->hdr, NULL))
		return false;
	copied = copy_to_iter(small, queued->len, reader->iter);
	if (copied == queued->len)
		return true;
	iov_iter_revert(reader->iter, copied);
	return false;
}

static bool nst_stream_open_pages(struct nst_sock *ns, struct nst_queued *queued,
				  struct nst_reader *reader)
{
	struct nst_keys *keys = ns->stream.rx.keys;
	struct nst_pages pages;
	size_t zeroed;
	bool opened;

	if (!nst_queue_pieces(ns->sk, queued, keys) ||
	    !nst_pages_get(&pages, reader->iter, queued->len, keys, true))
		return false;
	opened = !nst_keys_open(keys, &queued->hdr, NULL);
	nst_pages_put(&pages, true);
	if (opened)
		return true;
	/* What did not verify has been written there: nobody is to find it. */
	iov_iter_revert(reader->iter, queued->len);
	/* Less than all if the reader's memory went meanwhile. */
	zeroed = iov_iter_zero(queued->len, reader->iter);
	iov_iter_revert(reader->iter, zeroed);
	return false;
}

/* For later, or for whoever reads by less than a record. */
static struct nst_plain *nst_stream_open_plain(struct nst_sock *ns,
					       struct nst_queued *queued)
{
	struct nst_keys *keys = ns->stream.rx.keys;
	struct nst_plain *plain;

	plain = nst_plain_alloc_locked(ns, queued->len);
	if (!plain)
		return NULL;
	if (nst_queue_pieces(ns->sk, queued, keys) &&
	    nst_keys_to_buffer(keys, plain->data, queued->len) &&
	    !nst_keys_open(keys, &queued->hdr, NULL)) {
		plain->len = queued->len;
		return plain;
	}
	nst_plain_free_locked(ns, plain);
	return NULL;
}

static bool nst_stream_open_for(struct nst_sock *ns, struct nst_queued *queued,
				struct nst_reader *reader)
{
	bool opened;

	opened = queued->len <= NST_SMALL_MAX ?
		 nst_stream_open_small(ns, queued, reader) :
		 nst_stream_open_pages(ns, queued, reader);
	if (opened) {
		reader->room -= queued->len;
		reader->done += queued->len;
	}
	return opened;
}

/**
 * nst_stream_open_queued() - open the next record where it lies
 * @ns: the socket, with rx_lock held, at the beginning of a record
 * @reader: who reads, or NULL
 *
 * Return: 1 if that was done, 0 if not all of it has come and the rest may, -ENODATA if
 * nst_stream_fill() has to see to it.
 */
int nst_stream_open_queued(struct nst_sock *ns, struct nst_reader *reader)
{
	struct nst_stream_rx *rx = &ns->stream.rx;
	struct nst_plain *plain = NULL;
	struct nst_queued queued;
	struct sock *sk = ns->sk;
	int ret;

	lock_sock(sk);
	ret = nst_stream_find(ns, &queued);
	if (ret <= 0)
		goto out;
	nst_keys_start(rx->keys);
	if (reader && queued.len <= reader->room) {
		if (!nst_stream_open_for(ns, &queued, reader))
			ret = -ENODATA;
	} else {
		plain = nst_stream_open_plain(ns, &queued);
		if (!plain)
			ret = -ENODATA;
	}
	if (ret > 0)
		tcp_read_done(sk, NST_HEADER_LEN + queued.len);
out:
	release_sock(sk);
	if (ret)
		WRITE_ONCE(rx->lacks, 0);
	if (ret > 0)
		nst_stream_note(ns, &queued.hdr);
	if (plain)
		nst_stream_keep(rx, plain);
	return ret;
}
