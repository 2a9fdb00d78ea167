// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * net.nst.*, for each network namespace.
 */

#include <linux/slab.h>

#include "compat.h"
#include "netns.h"
#include "settings.h"

#define NST_SYSCTL_DIR		"net/nst"

/* One for each setting, and one for two of them. */
#define NST_SYSCTLS		(NST_SETTING_A_MAX + 1)

static int nst_sysctl_handler(NST_CTL_CONST struct ctl_table *table, int write,
			      void *buffer, size_t *lenp, loff_t *ppos)
{
	const struct nst_setting *setting = table->extra2;
	struct nst_net *nn = table->extra1;
	u32 value = nst_setting_get(nn, setting);
	struct ctl_table plain = {
		.procname	= table->procname,
		.data		= &value,
		.maxlen		= sizeof(value),
		.mode		= table->mode,
		.extra1		= (void *)&setting->low,
		.extra2		= (void *)&setting->high,
	};
	int err;

	err = proc_douintvec_minmax(&plain, write, buffer, lenp, ppos);
	if (err || !write)
		return err;
	err = nst_setting_check(setting, value, NULL);
	if (!err)
		nst_setting_set(nn, setting, value);
	return err;
}

/* Both replay tables' sizes, the streams' first. */
static int nst_sysctl_sessions(NST_CTL_CONST struct ctl_table *table, int write,
			       void *buffer, size_t *lenp, loff_t *ppos)
{
	const struct nst_setting *stream =
		&nst_settings[NST_SETTING_A_STREAM_SESSIONS_MAX];
	const struct nst_setting *dgram =
		&nst_settings[NST_SETTING_A_DGRAM_SESSIONS_MAX];
	struct nst_net *nn = table->extra1;
	int sizes[] = {
		nst_setting_get(nn, stream),
		nst_setting_get(nn, dgram),
	};
	struct ctl_table plain = {
		.procname	= table->procname,
		.data		= sizes,
		.maxlen		= sizeof(sizes),
		.mode		= table->mode,
		.extra1		= (void *)&stream->low,
		.extra2		= (void *)&stream->high,
	};
	int err;

	err = proc_dointvec_minmax(&plain, write, buffer, lenp, ppos);
	if (err || !write)
		return err;
	nst_setting_set(nn, stream, sizes[0]);
	nst_setting_set(nn, dgram, sizes[1]);
	return 0;
}

int nst_sysctl_init(struct nst_net *nn)
{
	struct ctl_table *table;
	int i;

	/* Before 6.6 an empty entry ends a table: the last one stays so. */
	table = kcalloc(NST_SYSCTLS + 1, sizeof(*table), GFP_KERNEL);
	if (!table)
		return -ENOMEM;
	for (i = 0; i < NST_SETTING_A_MAX; i++) {
		const struct nst_setting *setting = &nst_settings[i + 1];

		table[i] = (struct ctl_table){
			.procname	= setting->name,
			.maxlen		= sizeof(u32),
			.mode		= 0644,
			.proc_handler	= nst_sysctl_handler,
			.extra1		= nn,
			.extra2		= (void *)setting,
		};
	}
	table[i] = (struct ctl_table){
		.procname	= "replay_sessions_max",
		.maxlen		= 2 * sizeof(int),
		.mode		= 0644,
		.proc_handler	= nst_sysctl_sessions,
		.extra1		= nn,
	};

	nn->sysctl = nst_register_net_sysctl(nn->net, NST_SYSCTL_DIR, table,
					     NST_SYSCTLS);
	if (!nn->sysctl) {
		kfree(table);
		return -ENOMEM;
	}
	return 0;
}

void nst_sysctl_exit(struct nst_net *nn)
{
	const struct ctl_table *table = nn->sysctl->ctl_table_arg;

	unregister_net_sysctl_table(nn->sysctl);
	kfree(table);
}
