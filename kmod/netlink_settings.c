// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The settings over generic netlink.
 */

#include <net/genetlink.h>

#include "genl.h"
#include "netns.h"
#include "settings.h"

const struct nla_policy nst_setting_policy[NST_SETTING_A_MAX + 1] = {
	[NST_SETTING_A_ENABLED]			= { .type = NLA_U32 },
	[NST_SETTING_A_LOCAL_IN_CHECK]		= { .type = NLA_U32 },
	[NST_SETTING_A_DROP_INVALID]		= { .type = NLA_U32 },
	[NST_SETTING_A_LOG_REJECTS]		= { .type = NLA_U32 },
	[NST_SETTING_A_TIMESTAMP_WINDOW_MS]	= { .type = NLA_U32 },
	[NST_SETTING_A_STREAM_SESSIONS_MAX]	= { .type = NLA_U32 },
	[NST_SETTING_A_DGRAM_SESSIONS_MAX]	= { .type = NLA_U32 },
	[NST_SETTING_A_REKEY_RECORDS]		= { .type = NLA_U32 },
	[NST_SETTING_A_DEFAULT_CIPHER]		= { .type = NLA_U32 },
};

int nst_setting_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	const struct nst_net *nn = nst_net(genl_info_net(info));
	struct sk_buff *reply;
	void *hdr;
	int i;

	reply = nst_netlink_reply(info, NST_CMD_SETTING_GET, &hdr);
	if (!reply)
		return -ENOMEM;
	for (i = NST_SETTING_A_UNSPEC + 1; i <= NST_SETTING_A_MAX; i++) {
		if (nla_put_u32(reply, i,
				nst_setting_get(nn, &nst_settings[i]))) {
			nlmsg_free(reply);
			return -EMSGSIZE;
		}
	}
	genlmsg_end(reply, hdr);
	return genlmsg_reply(reply, info);
}

int nst_setting_set_doit(struct sk_buff *skb, struct genl_info *info)
{
	struct nst_net *nn = nst_net(genl_info_net(info));
	struct nlattr *attr;
	int i, err;

	for (i = NST_SETTING_A_UNSPEC + 1; i <= NST_SETTING_A_MAX; i++) {
		attr = info->attrs[i];
		if (!attr)
			continue;
		err = nst_setting_check(&nst_settings[i], nla_get_u32(attr),
					info->extack);
		if (err) {
			NL_SET_BAD_ATTR(info->extack, attr);
			return err;
		}
	}
	for (i = NST_SETTING_A_UNSPEC + 1; i <= NST_SETTING_A_MAX; i++)
		if (info->attrs[i])
			nst_setting_set(nn, &nst_settings[i],
					nla_get_u32(info->attrs[i]));
	return 0;
}
