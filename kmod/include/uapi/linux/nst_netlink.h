/* SPDX-License-Identifier: GPL-2.0-or-later WITH Linux-syscall-note */
/*
 * NST over generic netlink: the key box, the settings, the counters, and reports of
 * records that were rejected, each of the network namespace that the netlink socket
 * is in.
 *
 * Key commands, changing settings and joining the group need CAP_NET_ADMIN in the
 * namespace's user namespace.
 */
#ifndef _UAPI_LINUX_NST_NETLINK_H
#define _UAPI_LINUX_NST_NETLINK_H

#define NST_GENL_NAME		"nst"
#define NST_GENL_VERSION	1
#define NST_GENL_MCGRP_REJECTS	"rejects"

enum nst_cmd {
	NST_CMD_UNSPEC,
	/*
	 * Adds every NST_KEYS_A_KEY or none; fails with EEXIST if there is one of
	 * them already, unless NST_KEYS_A_REPLACE.
	 */
	NST_CMD_KEY_ADD,
	/* Deletes all NST_KEYS_A_KIDS or none: ENOENT if one of them is not there. */
	NST_CMD_KEY_DEL,
	/* Dump: the kids, ascending, by as many as fit; never a key's material. */
	NST_CMD_KEY_GET,
	/* Deletes all keys. */
	NST_CMD_KEY_FLUSH,
	NST_CMD_SETTING_GET,
	/* Changes all of the settings or none. */
	NST_CMD_SETTING_SET,
	NST_CMD_STAT_GET,
	/* To the group NST_GENL_MCGRP_REJECTS. */
	NST_CMD_REJECT,
	__NST_CMD_MAX
};

#define NST_CMD_MAX	(__NST_CMD_MAX - 1)

/* NST_CMD_KEY_* */
enum nst_keys_attr {
	NST_KEYS_A_UNSPEC,
	NST_KEYS_A_KEY,			/* nest, nst_key_attr; any number of them */
	NST_KEYS_A_REPLACE,		/* flag */
	NST_KEYS_A_KIDS,		/* binary, array of u16 */
	__NST_KEYS_A_MAX
};

#define NST_KEYS_A_MAX	(__NST_KEYS_A_MAX - 1)

enum nst_key_attr {
	NST_KEY_A_UNSPEC,
	NST_KEY_A_KID,			/* u16 */
	NST_KEY_A_MATERIAL,		/* binary, 32 bytes */
	__NST_KEY_A_MAX
};

#define NST_KEY_A_MAX	(__NST_KEY_A_MAX - 1)

/* NST_CMD_SETTING_*: the settings net.nst.*, u32 each */
enum nst_setting_attr {
	NST_SETTING_A_UNSPEC,
	NST_SETTING_A_ENABLED,
	NST_SETTING_A_LOCAL_IN_CHECK,
	NST_SETTING_A_DROP_INVALID,
	NST_SETTING_A_LOG_REJECTS,
	NST_SETTING_A_TIMESTAMP_WINDOW_MS,
	NST_SETTING_A_STREAM_SESSIONS_MAX,
	NST_SETTING_A_DGRAM_SESSIONS_MAX,
	NST_SETTING_A_REKEY_RECORDS,
	NST_SETTING_A_DEFAULT_CIPHER,
	__NST_SETTING_A_MAX
};

#define NST_SETTING_A_MAX	(__NST_SETTING_A_MAX - 1)

/* NST_CMD_STAT_GET */
enum nst_stat_attr {
	NST_STAT_A_UNSPEC,
	NST_STAT_A_PAD,
	NST_STAT_A_VERDICT,		/* nest, nst_verdict_attr; one for each */
	NST_STAT_A_MULTICAST,		/* u64 */
	NST_STAT_A_AGE_NS,		/* u64 */
	NST_STAT_A_STREAM_SESSIONS,	/* u32 */
	NST_STAT_A_STREAM_FLOOR,	/* u64 */
	NST_STAT_A_DGRAM_SESSIONS,	/* u32 */
	NST_STAT_A_DGRAM_FLOOR,		/* u64 */
	NST_STAT_A_KEYS,		/* u32 */
	NST_STAT_A_SUITES,		/* u32, bit cipher_id for each available */
	__NST_STAT_A_MAX
};

#define NST_STAT_A_MAX	(__NST_STAT_A_MAX - 1)

enum nst_verdict_attr {
	NST_VERDICT_A_UNSPEC,
	NST_VERDICT_A_PAD,
	NST_VERDICT_A_NUMBER,		/* u8: number of the check, 0 for OK */
	NST_VERDICT_A_STREAM,		/* u64 */
	NST_VERDICT_A_DGRAM,		/* u64 */
	NST_VERDICT_A_STREAM_LOCAL_IN,	/* u64 */
	NST_VERDICT_A_DGRAM_LOCAL_IN,	/* u64 */
	__NST_VERDICT_A_MAX
};

#define NST_VERDICT_A_MAX	(__NST_VERDICT_A_MAX - 1)

/* NST_CMD_REJECT. Nothing in it is authenticated, addresses least of all. */
enum nst_reject_attr {
	NST_REJECT_A_UNSPEC,
	NST_REJECT_A_VERDICT,		/* u8: number of the check */
	NST_REJECT_A_DGRAM,		/* flag: a datagram's, else a stream's */
	NST_REJECT_A_LOCAL_IN,		/* flag: the LOCAL_IN check, else the receive path */
	NST_REJECT_A_PASSED,		/* flag: let through for net.nst.drop_invalid = 0 */
	NST_REJECT_A_SRC,		/* struct sockaddr_in or sockaddr_in6 */
	NST_REJECT_A_DST,		/* the same */
	NST_REJECT_A_HEADER,		/* binary: of the header, what there was */
	NST_REJECT_A_LOST,		/* u32: not reported since the report before */
	__NST_REJECT_A_MAX
};

#define NST_REJECT_A_MAX	(__NST_REJECT_A_MAX - 1)

#endif /* _UAPI_LINUX_NST_NETLINK_H */
