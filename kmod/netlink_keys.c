// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The key box over generic netlink.
 */

#include <linux/mm.h>
#include <linux/string.h>
#include <net/genetlink.h>
#include <net/sock.h>

#include "keybox.h"
#include "genl.h"
#include "netns.h"

/* 1 KiB, on the stack: a message of a dump has room for more. */
#define NST_KIDS_PER_MESSAGE	512

static const struct nla_policy nst_key_policy[NST_KEY_A_MAX + 1] = {
	[NST_KEY_A_KID]		= { .type = NLA_U16 },
	[NST_KEY_A_MATERIAL]	= NLA_POLICY_EXACT_LEN(NST_KEY_LEN),
};

const struct nla_policy nst_keys_add_policy[NST_KEYS_A_MAX + 1] = {
	[NST_KEYS_A_KEY]	= NLA_POLICY_NESTED(nst_key_policy),
	[NST_KEYS_A_REPLACE]	= { .type = NLA_FLAG },
};

const struct nla_policy nst_keys_del_policy[NST_KEYS_A_MAX + 1] = {
	[NST_KEYS_A_KIDS]	= { .type = NLA_BINARY },
};

static size_t nst_count_keys(const struct genl_info *info)
{
	const struct nlattr *attr;
	size_t count = 0;
	int rem;

	/* The core has held each against its policy. */
	nlmsg_for_each_attr(attr, info->nlhdr, GENL_HDRLEN, rem)
		count += nla_type(attr) == NST_KEYS_A_KEY;
	return count;
}

/* Reads one NST_KEYS_A_KEY. */
static int nst_parse_key(const struct nlattr *attr, const struct genl_info *info,
			 struct nst_key *key)
{
	struct nlattr *parts[NST_KEY_A_MAX + 1];
	int err;

	err = nla_parse_nested(parts, NST_KEY_A_MAX, attr, nst_key_policy,
			       info->extack);
	if (err)
		return err;
	if (!parts[NST_KEY_A_KID]) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr, "kid is missing");
		return -EINVAL;
	}
	if (!parts[NST_KEY_A_MATERIAL]) {
		NL_SET_ERR_MSG_ATTR(info->extack, attr, "key is missing");
		return -EINVAL;
	}
	key->kid = nla_get_u16(parts[NST_KEY_A_KID]);
	memcpy(key->key, nla_data(parts[NST_KEY_A_MATERIAL]), NST_KEY_LEN);
	return 0;
}

/* The message itself holds keys: nobody else looks at it after us. */
static void nst_wipe_keys(const struct genl_info *info)
{
	struct nlattr *attr;
	int rem;

	nlmsg_for_each_attr(attr, info->nlhdr, GENL_HDRLEN, rem)
		if (nla_type(attr) == NST_KEYS_A_KEY)
			memzero_explicit(nla_data(attr), nla_len(attr));
}

int nst_key_add_doit(struct sk_buff *skb, struct genl_info *info)
{
	size_t count = nst_count_keys(info);
	struct nst_keybox *more = NULL;
	const struct nlattr *attr;
	int rem, err = 0;

	if (!count || count > NST_KIDS) {
		NL_SET_ERR_MSG(info->extack, "1 to 65536 keys expected");
		err = -EINVAL;
		goto out;
	}
	more = nst_keybox_alloc(count);
	if (!more) {
		err = -ENOMEM;
		goto out;
	}
	nlmsg_for_each_attr(attr, info->nlhdr, GENL_HDRLEN, rem) {
		if (nla_type(attr) != NST_KEYS_A_KEY)
			continue;
		err = nst_parse_key(attr, info, &more->keys[more->count]);
		if (err)
			goto out;
		more->count++;
	}
	err = nst_keybox_add(nst_net(genl_info_net(info)), more,
			     info->attrs[NST_KEYS_A_REPLACE]);
	if (err == -EEXIST)
		NL_SET_ERR_MSG(info->extack, "a kid is there already");
	if (err == -EINVAL)
		NL_SET_ERR_MSG(info->extack, "a kid is given twice");
out:
	nst_keybox_free(more);
	nst_wipe_keys(info);
	return err;
}

int nst_key_del_doit(struct sk_buff *skb, struct genl_info *info)
{
	const struct nlattr *kids = info->attrs[NST_KEYS_A_KIDS];
	int err;

	if (!kids || !nla_len(kids) || nla_len(kids) % sizeof(u16)) {
		NL_SET_ERR_MSG(info->extack, "an array of kids expected");
		return -EINVAL;
	}
	err = nst_keybox_delete(nst_net(genl_info_net(info)), nla_data(kids),
				nla_len(kids) / sizeof(u16));
	if (err == -ENOENT)
		NL_SET_ERR_MSG_ATTR(info->extack, kids, "no such kid");
	return err;
}

int nst_key_flush_doit(struct sk_buff *skb, struct genl_info *info)
{
	nst_keybox_flush(nst_net(genl_info_net(info)));
	return 0;
}

int nst_key_get_dumpit(struct sk_buff *skb, struct netlink_callback *cb)
{
	const struct nst_net *nn = nst_net(sock_net(skb->sk));
	u16 kids[NST_KIDS_PER_MESSAGE];
	size_t count;
	void *hdr;

	/* A box that changes meanwhile is told by NLM_F_DUMP_INTR. */
	cb->seq = nst_keybox_generation(nn);
	count = nst_keybox_kids(nn, cb->args[0], kids, ARRAY_SIZE(kids));
	if (!count)
		return 0;
	hdr = nst_netlink_dump_put(skb, cb, NST_CMD_KEY_GET);
	if (!hdr)
		return -EMSGSIZE;
	if (nla_put(skb, NST_KEYS_A_KIDS, count * sizeof(kids[0]), kids)) {
		genlmsg_cancel(skb, hdr);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, hdr);
	cb->args[0] = kids[count - 1] + 1;
	return skb->len;
}
