/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The pages that an iterator stands for, so that nothing has to be copied.
 */
#ifndef _NST_PAGES_H
#define _NST_PAGES_H

#include <linux/types.h>

#include "protocol.h"

struct iov_iter;
struct nst_keys;
struct page;

/* A record's payload in the pages of a pipe, some of them not full. */
#define NST_PAGES_MAX	(NST_STREAM_PAYLOAD_MAX / SZ_4K * 3 + 1)

struct nst_pages {
	unsigned int	count;
	bool		user;
	struct page	*pages[NST_PAGES_MAX];
};

bool nst_pages_get(struct nst_pages *pages, struct iov_iter *iter, size_t len,
		   struct nst_keys *keys, bool dest);
void nst_pages_put(struct nst_pages *pages, bool dirty);

#endif /* _NST_PAGES_H */
