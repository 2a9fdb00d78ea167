/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * NST: a transport-layer security protocol as a socket family.
 *
 * Include <sys/socket.h> first.
 */
#ifndef _UAPI_LINUX_NST_H
#define _UAPI_LINUX_NST_H

#include <linux/types.h>

/* The module parameter "family" chooses another number. */
#define AF_NST			18
#define PF_NST			AF_NST

#define NST_SOCK_STREAM		SOCK_STREAM
#define NST_SOCK_DGRAM		SOCK_DGRAM

/* socket()'s protocol: which IP carries the records, whose addresses are used */
#define NST_PROTO_INET		0
#define NST_PROTO_INET6		10

/* socket options */
#define SOL_NST			1337

#define NST_TX_SUITE		1	/* int, one of NST_AES_GCM.. */
#define NST_TX_KEY		2	/* struct nst_tx_key */
#define NST_INFO		3	/* struct nst_info, read only */
#define NST_TX_KIDS		4	/* __u16[], see below */
#define NST_RX_KIDS		5	/* __u16[], see below */
#define NST_RX_SUITES		6	/* __u32: NST_SUITE_BIT(NST_AES_GCM) | .. */

/*
 * NST_TX_KIDS: one of these is drawn for each epoch, unless NST_TX_KEY pins one; a
 * new epoch starts at once. NST_RX_KIDS: records with other kids fail check 8, from
 * the next one on. Only what is in the key box, too, counts. In any order; an empty
 * array stands for the whole key box, which is the default. Sockets from accept()
 * start with their listener's.
 *
 * NST_RX_SUITES: records in other suites fail check 4, from the next one on. The
 * default is all that the kernel has.
 */

#define NST_AES_GCM		1
#define NST_AES_CBC		2
#define NST_SM4_GCM		3
#define NST_SM4_CBC		4
#define NST_SUITE_BIT(suite)	(1U << (suite))

#define NST_PIN_KID		1	/* seal with this kid only */
#define NST_PIN_PERTURB		2	/* seal with this kpos and kval only */

struct nst_tx_key {
	__u16	kid;
	__u8	kpos;			/* 1..32, or 0 with kval 0 */
	__u8	kval;			/* 1..255 */
	__u32	pin;			/* what of the above is pinned */
};

/*
 * The running epochs; all 0 before a direction's first record, and rx_* for datagrams,
 * each of which may come from an epoch of its own. It may grow: getsockopt() fills in
 * what there is room for, and says how much that is.
 */
struct nst_info {
	__u64	tx_session_id;
	__u64	rx_session_id;		/* of the last record accepted */
	__u32	tx_counter;		/* the next record's */
	__u16	tx_kid;
	__u8	tx_cipher_id;
	__u8	tx_kpos;
	__u8	tx_kval;
	__u8	last_verdict;		/* 0 for OK, else the number of the check */
	__u16	rx_kid;			/* of the last record accepted */
	__u32	rx_counter;		/* the next record's */
	/* In all, other than what is above: since socket() or accept(). */
	__u64	tx_records;		/* sealed */
	__u64	rx_records;		/* accepted */
	__u64	rx_rejected;		/* judged otherwise, by the socket */
};

#endif /* _UAPI_LINUX_NST_H */
