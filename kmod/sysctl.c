// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * net.nst.*, for each network namespace.
 */

#include <linux/slab.h>

#include "compat.h"
#include "netns.h"
#include "suite.h"

#define NST_SYSCTL_DIR		"net/nst"

static unsigned int nst_cipher_first = NST_CIPHER_FIRST;
static unsigned int nst_cipher_last = NST_CIPHER_LAST;
static unsigned int nst_sessions_limit = 1 << 20;
static unsigned int nst_window_limit_ms = 24 * 60 * 60 * 1000;

/* Choosing a suite that the kernel lacks fails. */
static int nst_default_cipher(NST_CTL_CONST struct ctl_table *table, int write,
			      void *buffer, size_t *lenp, loff_t *ppos)
{
	unsigned int *value = table->data, chosen = *value;
	struct ctl_table copy = *table;
	int err;

	copy.data = &chosen;
	err = proc_douintvec_minmax(&copy, write, buffer, lenp, ppos);
	if (err || !write)
		return err;
	if (!nst_suite_available(chosen))
		return -EOPNOTSUPP;
	WRITE_ONCE(*value, chosen);
	return 0;
}

#define NST_SYSCTL(name, member, handler, low, high)			\
	{								\
		.procname	= (name),				\
		.data		= (void *)offsetof(struct nst_net, member), \
		.maxlen		= sizeof(unsigned int),			\
		.mode		= 0644,					\
		.proc_handler	= (handler),				\
		.extra1		= (low),				\
		.extra2		= (high),				\
	}

/* .data holds offsets into struct nst_net. */
static const struct ctl_table nst_sysctls[] = {
	NST_SYSCTL("enabled", enabled, proc_douintvec_minmax,
		   SYSCTL_ZERO, SYSCTL_ONE),
	NST_SYSCTL("local_in_check", local_in_check, proc_douintvec_minmax,
		   SYSCTL_ZERO, SYSCTL_ONE),
	NST_SYSCTL("timestamp_window_ms", timestamp_window_ms,
		   proc_douintvec_minmax, SYSCTL_ONE, &nst_window_limit_ms),
	NST_SYSCTL("stream_sessions_max", replay[NST_STREAM].max,
		   proc_douintvec_minmax, SYSCTL_ONE, &nst_sessions_limit),
	NST_SYSCTL("dgram_sessions_max", replay[NST_DGRAM].max,
		   proc_douintvec_minmax, SYSCTL_ONE, &nst_sessions_limit),
	NST_SYSCTL("default_cipher", default_cipher, nst_default_cipher,
		   &nst_cipher_first, &nst_cipher_last),
	NST_CTL_TABLE_END
};

int nst_sysctl_init(struct nst_net *nn)
{
	struct ctl_table *table, *entry;

	table = kmemdup(nst_sysctls, sizeof(nst_sysctls), GFP_KERNEL);
	if (!table)
		return -ENOMEM;
	for (entry = table; entry < table + ARRAY_SIZE(nst_sysctls); entry++)
		if (entry->procname)
			entry->data = (void *)nn + (size_t)entry->data;

	nn->sysctl = nst_register_net_sysctl(nn->net, NST_SYSCTL_DIR, table,
					     ARRAY_SIZE(nst_sysctls));
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
