// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The pages that an iterator stands for, so that nothing has to be copied.
 */

#include <linux/mm.h>
#include <linux/uio.h>

#include "compat.h"
#include "keys.h"
#include "pages.h"

static bool nst_pages_add(struct nst_keys *keys, struct page **page, size_t len,
			  size_t offset, bool dest)
{
	for (; len; page++) {
		size_t part = min_t(size_t, len, PAGE_SIZE - offset);

		if (!(dest ? nst_keys_to(keys, *page, part, offset) :
			     nst_keys_from(keys, *page, part, offset)))
			return false;
		len -= part;
		offset = 0;
	}
	return true;
}

/**
 * nst_pages_get() - get hold of the next bytes of an iterator, and pass them
 * @pages: for nst_pages_put()
 * @iter: of any kind; is left alone if this fails
 * @len: how many bytes
 * @keys: are told where they are, as where a body goes to if @dest, else comes from
 * @dest: see @keys
 *
 * Return: whether it worked; if not, copying may, or tells what is wrong.
 */
bool nst_pages_get(struct nst_pages *pages, struct iov_iter *iter, size_t len,
		   struct nst_keys *keys, bool dest)
{
	bool fits = true;
	size_t left = len;

	pages->count = 0;
	pages->user = user_backed_iter(iter);
	if (!pages->user && (dest || !iov_iter_is_bvec(iter)))
		return false;
	while (left && fits && pages->count < NST_PAGES_MAX) {
		struct page **at = pages->pages + pages->count;
		size_t offset;
		ssize_t got;

		got = nst_iter_pages(iter, at, left,
				     NST_PAGES_MAX - pages->count, &offset);
		if (got <= 0)
			break;
		left -= got;
		pages->count += DIV_ROUND_UP(offset + got, PAGE_SIZE);
		fits = nst_pages_add(keys, at, got, offset, dest);
	}
	if (!left && fits)
		return true;
	nst_pages_put(pages, false);
	iov_iter_revert(iter, len - left);
	return false;
}

void nst_pages_put(struct nst_pages *pages, bool dirty)
{
	nst_iter_pages_done(pages->pages, pages->count, pages->user, dirty);
	pages->count = 0;
}
