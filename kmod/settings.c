// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The settings of a network namespace: their names, ranges and defaults. Sysctls and
 * netlink are two ways to them.
 */

#include <linux/netlink.h>

#include "netns.h"
#include "settings.h"
#include "suite.h"

#define NST_SETTING(attr, file, member, min, max, start)		\
	[NST_SETTING_A_ ## attr] = {					\
		.name		= (file),				\
		.offset		= offsetof(struct nst_net, member),	\
		.low		= (min),				\
		.high		= (max),				\
		.initial	= (start),				\
	}

#define NST_SESSIONS_LIMIT	1048576
#define NST_WINDOW_LIMIT_MS	(24 * 60 * 60 * 1000)

const struct nst_setting nst_settings[NST_SETTING_A_MAX + 1] = {
	NST_SETTING(ENABLED, "enabled", enabled, 0, 1, 1),
	NST_SETTING(LOCAL_IN_CHECK, "local_in_check", local_in_check, 0, 1, 1),
	NST_SETTING(DROP_INVALID, "drop_invalid", drop_invalid, 0, 1, 1),
	NST_SETTING(LOG_REJECTS, "log_rejects", log_rejects, 0, 1, 0),
	NST_SETTING(TIMESTAMP_WINDOW_MS, "timestamp_window_ms",
		    timestamp_window_ms, 1, NST_WINDOW_LIMIT_MS, 30000),
	NST_SETTING(STREAM_SESSIONS_MAX, "stream_sessions_max",
		    replay[NST_STREAM].max, 1, NST_SESSIONS_LIMIT, 65536),
	NST_SETTING(DGRAM_SESSIONS_MAX, "dgram_sessions_max",
		    replay[NST_DGRAM].max, 1, NST_SESSIONS_LIMIT, 4096),
	NST_SETTING(REKEY_RECORDS, "rekey_records", rekey_records,
		    1, NST_COUNTERS, NST_COUNTERS),
	NST_SETTING(DEFAULT_CIPHER, "default_cipher", default_cipher,
		    NST_CIPHER_FIRST, NST_CIPHER_LAST, NST_CIPHER_FIRST),
};

static u32 *nst_setting_of(const struct nst_net *nn,
			   const struct nst_setting *setting)
{
	return (void *)nn + setting->offset;
}

void nst_settings_init(struct nst_net *nn)
{
	int i;

	for (i = NST_SETTING_A_UNSPEC + 1; i <= NST_SETTING_A_MAX; i++)
		*nst_setting_of(nn, &nst_settings[i]) = nst_settings[i].initial;
}

u32 nst_setting_get(const struct nst_net *nn, const struct nst_setting *setting)
{
	return READ_ONCE(*nst_setting_of(nn, setting));
}

/**
 * nst_setting_check() - whether a setting can have a value
 * @setting: which
 * @value: the value
 * @extack: told the reason, if not NULL
 *
 * Return: 0, -ERANGE, or -EOPNOTSUPP for a suite that the kernel lacks.
 */
int nst_setting_check(const struct nst_setting *setting, u32 value,
		      struct netlink_ext_ack *extack)
{
	if (value < setting->low || value > setting->high) {
		NL_SET_ERR_MSG_MOD(extack, "setting out of range");
		return -ERANGE;
	}
	if (setting == &nst_settings[NST_SETTING_A_DEFAULT_CIPHER] &&
	    !nst_suite_available(value)) {
		NL_SET_ERR_MSG_MOD(extack, "this kernel lacks the suite");
		return -EOPNOTSUPP;
	}
	return 0;
}

/* To a value that nst_setting_check() allows. */
void nst_setting_set(struct nst_net *nn, const struct nst_setting *setting,
		     u32 value)
{
	WRITE_ONCE(*nst_setting_of(nn, setting), value);
}
