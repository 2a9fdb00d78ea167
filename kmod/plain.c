// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Plaintext that was authenticated and not yet read, charged to its socket.
 */

#include <linux/mm.h>
#include <linux/overflow.h>
#include <net/sock.h>

#include "plain.h"
#include "socket.h"

/*
 * A stream's plaintext counts as memory of TCP, but not as part of its receive
 * buffer: TCP would close the window for it and not learn when to open it again. How
 * much there may be is the reader's affair.
 */
static bool nst_plain_charge(struct nst_sock *ns, size_t size)
{
	struct sock *sk = ns->sk;

	if (ns->transport == NST_DGRAM) {
		atomic_add(size, &sk->sk_rmem_alloc);
		return true;
	}
	if (!__sk_rmem_schedule(sk, size, false))
		return false;
	sk_mem_charge(sk, size);
	return true;
}

static void nst_plain_uncharge(struct nst_sock *ns, size_t size)
{
	struct sock *sk = ns->sk;

	if (ns->transport == NST_DGRAM)
		atomic_sub(size, &sk->sk_rmem_alloc);
	else
		sk_mem_uncharge(sk, size);
}

/* A stream's accounts are kept under the socket's own lock. */
static void nst_plain_lock(struct nst_sock *ns)
{
	if (ns->transport == NST_STREAM)
		lock_sock(ns->sk);
}

static void nst_plain_unlock(struct nst_sock *ns)
{
	if (ns->transport == NST_STREAM)
		release_sock(ns->sk);
}

/* nst_plain_alloc(), with a stream's socket locked. */
struct nst_plain *nst_plain_alloc_locked(struct nst_sock *ns, size_t len)
{
	struct nst_plain *plain;
	size_t size = struct_size(plain, data, len);

	if (!nst_plain_charge(ns, size))
		return NULL;
	plain = kvmalloc(size, GFP_KERNEL);
	if (!plain) {
		nst_plain_uncharge(ns, size);
		return NULL;
	}
	INIT_LIST_HEAD(&plain->list);
	plain->stamp = (struct nst_stamp){ };
	plain->size = size;
	plain->len = 0;
	plain->read = 0;
	return plain;
}

void nst_plain_free_locked(struct nst_sock *ns, struct nst_plain *plain)
{
	if (!plain)
		return;
	nst_plain_uncharge(ns, plain->size);
	kvfree(plain);
}

/* Room for @len bytes; NULL if there is no memory for it. Under rx_lock. */
struct nst_plain *nst_plain_alloc(struct nst_sock *ns, size_t len)
{
	struct nst_plain *plain;

	nst_plain_lock(ns);
	plain = nst_plain_alloc_locked(ns, len);
	nst_plain_unlock(ns);
	return plain;
}

void nst_plain_free(struct nst_sock *ns, struct nst_plain *plain)
{
	if (!plain)
		return;
	nst_plain_lock(ns);
	nst_plain_free_locked(ns, plain);
	nst_plain_unlock(ns);
}
