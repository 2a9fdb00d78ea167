// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The generic-netlink family "nst": its commands, and reports of rejected records.
 */

#include <net/genetlink.h>

#include "genl.h"
#include "report.h"

enum {
	NST_MCGRP_REJECTS,
};

static struct genl_family nst_genl;

/* A message of a dump; NULL if @skb is full. */
void *nst_netlink_dump_put(struct sk_buff *skb, struct netlink_callback *cb,
			   u8 cmd)
{
	void *hdr = genlmsg_put(skb, NETLINK_CB(cb->skb).portid,
				cb->nlh->nlmsg_seq, &nst_genl, NLM_F_MULTI,
				cmd);

	if (hdr)
		genl_dump_check_consistent(cb, hdr);
	return hdr;
}

/* A reply to @info, begun; NULL without memory. */
struct sk_buff *nst_netlink_reply(struct genl_info *info, u8 cmd, void **hdr)
{
	struct sk_buff *reply = genlmsg_new(GENLMSG_DEFAULT_SIZE, GFP_KERNEL);

	if (!reply)
		return NULL;
	*hdr = genlmsg_put_reply(reply, info, &nst_genl, 0, cmd);
	if (!*hdr) {
		nlmsg_free(reply);
		return NULL;
	}
	return reply;
}

bool nst_netlink_listened(struct net *net)
{
	return genl_has_listeners(&nst_genl, net, NST_MCGRP_REJECTS) > 0;
}

static int nst_put_reject(struct sk_buff *skb, const struct nst_reject *reject,
			  u32 lost)
{
	size_t addr_len = reject->src.sa.sa_family == AF_INET6 ?
			  sizeof(reject->src.in6) : sizeof(reject->src.in);

	if (nla_put_u8(skb, NST_REJECT_A_VERDICT, reject->verdict) ||
	    (reject->transport == NST_DGRAM &&
	     nla_put_flag(skb, NST_REJECT_A_DGRAM)) ||
	    (reject->where == NST_LOCAL_IN &&
	     nla_put_flag(skb, NST_REJECT_A_LOCAL_IN)) ||
	    (reject->passed && nla_put_flag(skb, NST_REJECT_A_PASSED)) ||
	    nla_put(skb, NST_REJECT_A_SRC, addr_len, &reject->src) ||
	    nla_put(skb, NST_REJECT_A_DST, addr_len, &reject->dst) ||
	    nla_put(skb, NST_REJECT_A_HEADER, reject->header_len,
		    reject->header) ||
	    (lost && nla_put_u32(skb, NST_REJECT_A_LOST, lost)))
		return -EMSGSIZE;
	return 0;
}

/* Sends @reject to all who listen; what there is no memory for is lost. */
void nst_netlink_report(struct net *net, const struct nst_reject *reject,
			u32 lost)
{
	struct sk_buff *skb;
	void *hdr;

	/* No larger than need be: listeners' buffers count what is allocated. */
	skb = genlmsg_new(nla_total_size(sizeof(u8)) + 3 * nla_total_size(0) +
			  2 * nla_total_size(sizeof(reject->src)) +
			  nla_total_size(sizeof(reject->header)) +
			  nla_total_size(sizeof(u32)), GFP_ATOMIC);
	if (!skb)
		return;
	hdr = genlmsg_put(skb, 0, 0, &nst_genl, 0, NST_CMD_REJECT);
	if (!hdr || nst_put_reject(skb, reject, lost)) {
		nlmsg_free(skb);
		return;
	}
	genlmsg_end(skb, hdr);
	genlmsg_multicast_netns(&nst_genl, net, skb, 0, NST_MCGRP_REJECTS,
				GFP_ATOMIC);
}

static const struct genl_ops nst_genl_ops[] = {
	{
		.cmd		= NST_CMD_KEY_ADD,
		.doit		= nst_key_add_doit,
		.policy		= nst_keys_add_policy,
		.maxattr	= NST_KEYS_A_MAX,
		.flags		= GENL_UNS_ADMIN_PERM,
	}, {
		.cmd		= NST_CMD_KEY_DEL,
		.doit		= nst_key_del_doit,
		.policy		= nst_keys_del_policy,
		.maxattr	= NST_KEYS_A_MAX,
		.flags		= GENL_UNS_ADMIN_PERM,
	}, {
		.cmd		= NST_CMD_KEY_GET,
		.dumpit		= nst_key_get_dumpit,
		.flags		= GENL_UNS_ADMIN_PERM,
	}, {
		.cmd		= NST_CMD_KEY_FLUSH,
		.doit		= nst_key_flush_doit,
		.flags		= GENL_UNS_ADMIN_PERM,
	}, {
		.cmd		= NST_CMD_SETTING_GET,
		.doit		= nst_setting_get_doit,
	}, {
		.cmd		= NST_CMD_SETTING_SET,
		.doit		= nst_setting_set_doit,
		.policy		= nst_setting_policy,
		.maxattr	= NST_SETTING_A_MAX,
		.flags		= GENL_UNS_ADMIN_PERM,
	}, {
		.cmd		= NST_CMD_STAT_GET,
		.doit		= nst_stat_get_doit,
	},
};

static const struct genl_multicast_group nst_genl_mcgrps[] = {
	[NST_MCGRP_REJECTS] = {
		.name	= NST_GENL_MCGRP_REJECTS,
		.flags	= GENL_MCAST_CAP_NET_ADMIN,
	},
};

static struct genl_family nst_genl __ro_after_init = {
	.name		= NST_GENL_NAME,
	.version	= NST_GENL_VERSION,
	.netnsok	= true,
	.module		= THIS_MODULE,
	.ops		= nst_genl_ops,
	.n_ops		= ARRAY_SIZE(nst_genl_ops),
	.mcgrps		= nst_genl_mcgrps,
	.n_mcgrps	= ARRAY_SIZE(nst_genl_mcgrps),
};

int __init nst_netlink_init(void)
{
	return genl_register_family(&nst_genl);
}

void nst_netlink_exit(void)
{
	genl_unregister_family(&nst_genl);
}
