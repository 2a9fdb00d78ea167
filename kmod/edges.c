// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A map of the edges taken between the basic blocks of the module, in debugfs as
 * nst_edges/map: one byte for each, that counts and wraps. Whoever maps it reads it and
 * clears it.
 *
 * Kbuild compiles this file only with NST_EDGES=1, and then all others such that every
 * block begins with a call to __sanitizer_cov_trace_pc(). Unlike kcov it works on kernels
 * as distributions ship them, and sees what runs in softirq and in the work queue, whoever
 * caused it.
 */

#include <linux/debugfs.h>
#include <linux/hash.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/percpu.h>
#include <linux/sched.h>
#include <linux/vmalloc.h>

#include "edges.h"

#define NST_EDGES_BITS	16
#define NST_EDGES_SIZE	BIT(NST_EDGES_BITS)

/* Where a task, or a softirq, was last: an edge joins blocks of one of them only. */
struct nst_edges_at {
	const void	*who;
	u32		block;
};

static DEFINE_PER_CPU(struct nst_edges_at, nst_edges_at[2]);
static struct dentry *nst_edges_dir;
static u8 *nst_edges_map;

notrace void __sanitizer_cov_trace_pc(void)
{
	struct nst_edges_at *at = raw_cpu_ptr(&nst_edges_at[!in_task()]);
	const void *who = in_task() ? current : NULL;
	u8 *map = READ_ONCE(nst_edges_map);
	u32 block;

	if (!map)
		return;
	/* Relative to our own place, which the same module has on every boot. */
	block = hash_long(_RET_IP_ - (unsigned long)__sanitizer_cov_trace_pc,
			  NST_EDGES_BITS);
	if (at->who != who) {
		at->who = who;
		at->block = 0;
	}
	/* Halved, so that a block after itself is not 0, nor A to B the same as B to A. */
	map[block ^ at->block]++;
	at->block = block >> 1;
}

static int nst_edges_mmap(struct file *file, struct vm_area_struct *vma)
{
	return remap_vmalloc_range(vma, nst_edges_map, vma->vm_pgoff);
}

static const struct file_operations nst_edges_fops = {
	.owner	= THIS_MODULE,
	.open	= nonseekable_open,
	.mmap	= nst_edges_mmap,
};

int __init nst_edges_init(void)
{
	u8 *map = vmalloc_user(NST_EDGES_SIZE);

	if (!map)
		return -ENOMEM;
	nst_edges_dir = debugfs_create_dir("nst_edges", NULL);
	/* "unsafe": debugfs' own protection against removal knows no mmap(). */
	debugfs_create_file_unsafe("map", 0600, nst_edges_dir, NULL,
				   &nst_edges_fops);
	WRITE_ONCE(nst_edges_map, map);
	return 0;
}

/*
 * The last of all: nobody has the file open, as files hold the module, and of the
 * module's code only what calls this is left to run.
 */
void nst_edges_exit(void)
{
	u8 *map = nst_edges_map;

	debugfs_remove(nst_edges_dir);
	WRITE_ONCE(nst_edges_map, NULL);
	vfree(map);
}
