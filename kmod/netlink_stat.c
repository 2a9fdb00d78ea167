// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The counters over generic netlink: what /proc/net/nst_stat and nst_suites tell.
 */

#include <linux/slab.h>
#include <net/genetlink.h>

#include "keybox.h"
#include "genl.h"
#include "netns.h"
#include "suite.h"

static int nst_put_verdict(struct sk_buff *skb, const struct nst_stats *sum,
			   enum nst_verdict verdict)
{
	struct nlattr *nest = nla_nest_start(skb, NST_STAT_A_VERDICT);

	if (!nest ||
	    nla_put_u8(skb, NST_VERDICT_A_NUMBER, verdict) ||
	    nla_put_u64_64bit(skb, NST_VERDICT_A_STREAM,
			      sum->verdicts[NST_RECEIVE_PATH][NST_STREAM][verdict],
			      NST_VERDICT_A_PAD) ||
	    nla_put_u64_64bit(skb, NST_VERDICT_A_DGRAM,
			      sum->verdicts[NST_RECEIVE_PATH][NST_DGRAM][verdict],
			      NST_VERDICT_A_PAD) ||
	    nla_put_u64_64bit(skb, NST_VERDICT_A_STREAM_LOCAL_IN,
			      sum->verdicts[NST_LOCAL_IN][NST_STREAM][verdict],
			      NST_VERDICT_A_PAD) ||
	    nla_put_u64_64bit(skb, NST_VERDICT_A_DGRAM_LOCAL_IN,
			      sum->verdicts[NST_LOCAL_IN][NST_DGRAM][verdict],
			      NST_VERDICT_A_PAD))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int nst_put_stat(struct sk_buff *skb, const struct nst_net *nn,
			const struct nst_stats *sum)
{
	const struct nst_replay_table *stream = &nn->replay[NST_STREAM];
	const struct nst_replay_table *dgram = &nn->replay[NST_DGRAM];
	u32 suites = 0;
	int i;

	for (i = 0; i < NST_VERDICTS; i++)
		if (nst_put_verdict(skb, sum, i))
			return -EMSGSIZE;
	for (i = NST_CIPHER_FIRST; i <= NST_CIPHER_LAST; i++)
		if (nst_suite_available(i))
			suites |= BIT(i);
	if (nla_put_u64_64bit(skb, NST_STAT_A_MULTICAST, sum->multicast,
			      NST_STAT_A_PAD) ||
	    nla_put_u64_64bit(skb, NST_STAT_A_AGE_NS, nst_replay_age(stream),
			      NST_STAT_A_PAD) ||
	    nla_put_u32(skb, NST_STAT_A_STREAM_SESSIONS,
			READ_ONCE(stream->count)) ||
	    nla_put_u64_64bit(skb, NST_STAT_A_STREAM_FLOOR,
			      READ_ONCE(stream->floor), NST_STAT_A_PAD) ||
	    nla_put_u32(skb, NST_STAT_A_DGRAM_SESSIONS,
			READ_ONCE(dgram->count)) ||
	    nla_put_u64_64bit(skb, NST_STAT_A_DGRAM_FLOOR,
			      READ_ONCE(dgram->floor), NST_STAT_A_PAD) ||
	    nla_put_u32(skb, NST_STAT_A_KEYS, nst_keybox_count(nn)) ||
	    nla_put_u32(skb, NST_STAT_A_SUITES, suites))
		return -EMSGSIZE;
	return 0;
}

int nst_stat_get_doit(struct sk_buff *skb, struct genl_info *info)
{
	const struct nst_net *nn = nst_net(genl_info_net(info));
	struct sk_buff *reply;
	struct nst_stats *sum;
	void *hdr;
	int err;

	sum = kmalloc(sizeof(*sum), GFP_KERNEL);
	if (!sum)
		return -ENOMEM;
	nst_stat_sum(sum, nn->stats);
	reply = nst_netlink_reply(info, NST_CMD_STAT_GET, &hdr);
	err = reply ? nst_put_stat(reply, nn, sum) : -ENOMEM;
	kfree(sum);
	if (err) {
		nlmsg_free(reply);
		return err;
	}
	genlmsg_end(reply, hdr);
	return genlmsg_reply(reply, info);
}
