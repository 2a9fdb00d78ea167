/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The generic-netlink family "nst".
 */
#ifndef _NST_GENL_H
#define _NST_GENL_H

#include <linux/nst_netlink.h>
#include <linux/types.h>
#include <net/netlink.h>

struct genl_info;
struct net;
struct netlink_callback;
struct nst_reject;
struct sk_buff;

/* netlink.c */
int nst_netlink_init(void);
void nst_netlink_exit(void);
void *nst_netlink_dump_put(struct sk_buff *skb, struct netlink_callback *cb,
			   u8 cmd);
struct sk_buff *nst_netlink_reply(struct genl_info *info, u8 cmd, void **hdr);
bool nst_netlink_listened(struct net *net);
void nst_netlink_report(struct net *net, const struct nst_reject *reject,
			u32 lost);

/* netlink_keys.c */
extern const struct nla_policy nst_keys_add_policy[NST_KEYS_A_MAX + 1];
extern const struct nla_policy nst_keys_del_policy[NST_KEYS_A_MAX + 1];
int nst_key_add_doit(struct sk_buff *skb, struct genl_info *info);
int nst_key_del_doit(struct sk_buff *skb, struct genl_info *info);
int nst_key_flush_doit(struct sk_buff *skb, struct genl_info *info);
int nst_key_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb);

/* netlink_settings.c */
extern const struct nla_policy nst_setting_policy[NST_SETTING_A_MAX + 1];
int nst_setting_get_doit(struct sk_buff *skb, struct genl_info *info);
int nst_setting_set_doit(struct sk_buff *skb, struct genl_info *info);

/* netlink_stat.c */
int nst_stat_get_doit(struct sk_buff *skb, struct genl_info *info);

#endif /* _NST_GENL_H */
