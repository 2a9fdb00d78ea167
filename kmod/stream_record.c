// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Memory of a record on its way to TCP: pieces of pages, which TCP is given as they are.
 * They come from the page that TCP itself fills for this task, one piece behind the other,
 * so that in steady state a record allocates nothing of its own.
 */

#include <linux/sched.h>
#include <linux/uio.h>
#include <net/sock.h>

#include "keys.h"
#include "stream_record.h"

/* Bodies begin where vector instructions like it. */
#define NST_RECORD_ALIGN	16

static_assert(NST_HEADER_LEN % NST_RECORD_ALIGN == 0);

static bool nst_record_add(struct nst_record *record, size_t least,
			   size_t most)
{
	struct page_frag *frag = &current->task_frag;
	struct bio_vec *piece = &record->pieces[record->count];
	size_t offset;

	if (!skb_page_frag_refill(least + NST_RECORD_ALIGN - 1, frag,
				  GFP_KERNEL))
		return false;
	offset = ALIGN(frag->offset, NST_RECORD_ALIGN);
	piece->bv_page = frag->page;
	piece->bv_offset = offset;
	piece->bv_len = min_t(size_t, most, frag->size - offset);
	get_page(frag->page);
	frag->offset = offset + piece->bv_len;
	record->count++;
	record->left += piece->bv_len;
	return true;
}

/* Room for header and body. The header is in one piece. */
int nst_record_alloc(struct nst_record *record, size_t body_len)
{
	size_t len = NST_HEADER_LEN + body_len;

	record->first = 0;
	record->count = 0;
	record->left = 0;
	while (record->left < len) {
		size_t least = record->count ? 1 : NST_HEADER_LEN;

		if (record->count == NST_RECORD_PIECES ||
		    !nst_record_add(record, least, len - record->left)) {
			nst_record_free(record);
			return -ENOMEM;
		}
	}
	return 0;
}

void nst_record_free(struct nst_record *record)
{
	while (record->first < record->count)
		put_page(record->pieces[record->first++].bv_page);
	record->count = 0;
	record->left = 0;
}

struct nst_header *nst_record_header(struct nst_record *record)
{
	return bvec_virt(&record->pieces[0]);
}

/* What of piece @i is body. */
static struct bio_vec nst_record_body_piece(const struct nst_record *record,
					    unsigned int i)
{
	struct bio_vec piece = record->pieces[i];

	if (!i) {
		piece.bv_offset += NST_HEADER_LEN;
		piece.bv_len -= NST_HEADER_LEN;
	}
	return piece;
}

/* Plaintext of @len bytes where the body will be. */
int nst_record_copy(struct nst_record *record, struct iov_iter *iter,
		    size_t len)
{
	unsigned int i;

	for (i = 0; len; i++) {
		struct bio_vec piece = nst_record_body_piece(record, i);
		size_t part = min_t(size_t, len, piece.bv_len);

		if (!copy_from_iter_full(bvec_virt(&piece), part, iter))
			return -EFAULT;
		len -= part;
	}
	return 0;
}

/* Tells @keys where the body goes to, or also is now. */
void nst_record_body(struct nst_record *record, size_t body_len,
		     struct nst_keys *keys, bool in_place)
{
	unsigned int i;

	for (i = 0; body_len; i++) {
		struct bio_vec piece = nst_record_body_piece(record, i);

		if (!piece.bv_len)
			continue;
		if (in_place)
			nst_keys_from(keys, piece.bv_page, piece.bv_len,
				      piece.bv_offset);
		else
			nst_keys_to(keys, piece.bv_page, piece.bv_len,
				    piece.bv_offset);
		body_len -= piece.bv_len;
	}
}

/* TCP took the next @len bytes, with references of its own. */
void nst_record_sent(struct nst_record *record, size_t len)
{
	record->left -= len;
	while (len) {
		struct bio_vec *piece = &record->pieces[record->first];
		size_t part = min_t(size_t, len, piece->bv_len);

		piece->bv_offset += part;
		piece->bv_len -= part;
		len -= part;
		if (!piece->bv_len) {
			put_page(piece->bv_page);
			record->first++;
		}
	}
	if (!record->left)
		record->count = 0;
}
