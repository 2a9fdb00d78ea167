// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * /proc/net: nst_keybox takes a key box, nst_stat and nst_suites tell.
 */

#include <linux/capability.h>
#include <linux/mm.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/slab.h>
#include <linux/uaccess.h>
#include <net/net_namespace.h>

#include "keybox.h"
#include "netns.h"
#include "suite.h"

/* 65536 keys take 5 MiB; the rest is room for comments. */
#define NST_KEYBOX_TEXT_MAX	SZ_16M

/* One write is one key box. */
static ssize_t nst_keybox_write(struct file *file, const char __user *text,
				size_t len, loff_t *pos)
{
	struct nst_net *nn = pde_data(file_inode(file));
	char *copy;
	int err;

	if (!file_ns_capable(file, nn->net->user_ns, CAP_NET_ADMIN))
		return -EPERM;
	if (*pos || len > NST_KEYBOX_TEXT_MAX)
		return -EINVAL;

	copy = kvmalloc(len, GFP_KERNEL_ACCOUNT);
	if (!copy)
		return -ENOMEM;
	err = copy_from_user(copy, text, len) ? -EFAULT :
	      nst_keybox_replace(nn, copy, len);
	kvfree_sensitive(copy, len);
	if (err)
		return err;
	*pos += len;
	return len;
}

static const struct proc_ops nst_keybox_proc_ops = {
	.proc_write	= nst_keybox_write,
	.proc_lseek	= noop_llseek,
};

static int nst_stat_show(struct seq_file *seq, void *v)
{
	static const char *const tables[NST_TRANSPORTS] = { "stream", "dgram" };
	const struct nst_net *nn = nst_net(seq_file_single_net(seq));
	struct nst_stats *sum;
	int i, t;

	sum = kmalloc(sizeof(*sum), GFP_KERNEL);
	if (!sum)
		return -ENOMEM;
	nst_stat_sum(sum, nn->stats);

	seq_puts(seq, "verdict stream dgram stream_local_in dgram_local_in\n");
	for (i = 0; i < NST_VERDICTS; i++)
		seq_printf(seq, "%s %lu %lu %lu %lu\n", nst_verdict_names[i],
			   sum->verdicts[NST_RECEIVE_PATH][NST_STREAM][i],
			   sum->verdicts[NST_RECEIVE_PATH][NST_DGRAM][i],
			   sum->verdicts[NST_LOCAL_IN][NST_STREAM][i],
			   sum->verdicts[NST_LOCAL_IN][NST_DGRAM][i]);
	seq_printf(seq, "multicast %lu\n", sum->multicast);
	seq_printf(seq, "age_ns %llu\n",
		   nst_replay_age(&nn->replay[NST_STREAM]));
	for (t = 0; t < NST_TRANSPORTS; t++)
		seq_printf(seq, "%s_sessions %u\n%s_floor %llu\n",
			   tables[t], READ_ONCE(nn->replay[t].count),
			   tables[t], READ_ONCE(nn->replay[t].floor));
	kfree(sum);
	return 0;
}

static int nst_suites_show(struct seq_file *seq, void *v)
{
	u8 id;

	for (id = NST_CIPHER_FIRST; id <= NST_CIPHER_LAST; id++)
		if (nst_suite_available(id))
			seq_printf(seq, "%s\n", nst_suite(id)->name);
	return 0;
}

int nst_proc_init(struct nst_net *nn)
{
	struct proc_dir_entry *dir = nn->net->proc_net;

	if (!proc_create_data("nst_keybox", 0200, dir, &nst_keybox_proc_ops,
			      nn))
		return -ENOMEM;
	if (!proc_create_net_single("nst_stat", 0444, dir, nst_stat_show,
				    NULL))
		goto err_keybox;
	if (!proc_create_net_single("nst_suites", 0444, dir, nst_suites_show,
				    NULL))
		goto err_stat;
	return 0;

err_stat:
	remove_proc_entry("nst_stat", dir);
err_keybox:
	remove_proc_entry("nst_keybox", dir);
	return -ENOMEM;
}

void nst_proc_exit(struct nst_net *nn)
{
	remove_proc_entry("nst_suites", nn->net->proc_net);
	remove_proc_entry("nst_stat", nn->net->proc_net);
	remove_proc_entry("nst_keybox", nn->net->proc_net);
}
