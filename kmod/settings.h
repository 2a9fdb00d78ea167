/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The settings of a network namespace: their names, ranges and defaults.
 */
#ifndef _NST_SETTINGS_H
#define _NST_SETTINGS_H

#include <linux/nst_netlink.h>
#include <linux/types.h>

struct netlink_ext_ack;
struct nst_net;

struct nst_setting {
	const char	*name;
	size_t		offset;		/* of its u32 in struct nst_net */
	u32		low;
	u32		high;
	u32		initial;
};

/* By enum nst_setting_attr; NST_SETTING_A_UNSPEC has none. */
extern const struct nst_setting nst_settings[NST_SETTING_A_MAX + 1];

void nst_settings_init(struct nst_net *nn);
u32 nst_setting_get(const struct nst_net *nn,
		    const struct nst_setting *setting);
int nst_setting_check(const struct nst_setting *setting, u32 value,
		      struct netlink_ext_ack *extack);
void nst_setting_set(struct nst_net *nn, const struct nst_setting *setting,
		     u32 value);

#endif /* _NST_SETTINGS_H */
