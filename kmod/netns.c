// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What NST keeps for each network namespace, from its start to its end.
 */

#include "compat.h"
#include "hook.h"
#include "keybox.h"
#include "netns.h"
#include "settings.h"

static unsigned int nst_net_id __read_mostly;

struct nst_net *nst_net(const struct net *net)
{
	return net_generic(net, nst_net_id);
}

static int __net_init nst_net_init(struct net *net)
{
	struct nst_net *nn = nst_net(net);
	int err;

	nn->net = net;
	mutex_init(&nn->keybox_lock);
	nst_replay_init(&nn->replay[NST_STREAM], NST_STREAM,
			nst_settings[NST_SETTING_A_STREAM_SESSIONS_MAX].initial);
	nst_replay_init(&nn->replay[NST_DGRAM], NST_DGRAM,
			nst_settings[NST_SETTING_A_DGRAM_SESSIONS_MAX].initial);
	spin_lock_init(&nn->report_limit.lock);
	nst_settings_init(nn);

	nn->stats = alloc_percpu(struct nst_stats);
	if (!nn->stats)
		return -ENOMEM;
	err = nst_sysctl_init(nn);
	if (err)
		goto err_stats;
	err = nst_proc_init(nn);
	if (err)
		goto err_sysctl;
	err = nst_hook_register(net);
	if (err)
		goto err_proc;
	return 0;

err_proc:
	nst_proc_exit(nn);
err_sysctl:
	nst_sysctl_exit(nn);
err_stats:
	free_percpu(nn->stats);
	return err;
}

/* An RCU grace period passes between this and nst_net_exit(). */
static void __net_exit nst_net_pre_exit(struct net *net)
{
	nst_hook_unregister(net);
}

/* Nobody uses the box, tables and counters once the files are gone, too. */
static void __net_exit nst_net_exit(struct net *net)
{
	struct nst_net *nn = nst_net(net);

	nst_proc_exit(nn);
	nst_sysctl_exit(nn);

	nst_keybox_drop(nn);
	nst_replay_drop(&nn->replay[NST_STREAM]);
	nst_replay_drop(&nn->replay[NST_DGRAM]);
	free_percpu(nn->stats);
}

static struct pernet_operations nst_net_ops = {
	.init = nst_net_init,
	.pre_exit = nst_net_pre_exit,
	.exit = nst_net_exit,
	.id = &nst_net_id,
	.size = sizeof(struct nst_net),
};

int __init nst_netns_init(void)
{
	return register_pernet_subsys(&nst_net_ops);
}

void nst_netns_exit(void)
{
	unregister_pernet_subsys(&nst_net_ops);
}
