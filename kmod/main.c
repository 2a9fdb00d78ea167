// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * NST: a transport-layer security protocol as a socket family.
 */

#define pr_fmt(fmt) KBUILD_MODNAME ": " fmt

#include <linux/module.h>
#include <linux/nst.h>

#include "edges.h"
#include "epoch.h"
#include "family.h"
#include "genl.h"
#include "netns.h"
#include "socket.h"
#include "suite.h"

static unsigned short family = AF_NST;
module_param(family, ushort, 0444);
MODULE_PARM_DESC(family, "address family number (default 18)");

static int __init nst_init(void)
{
	int err;

	err = nst_edges_init();
	if (err)
		return err;
	nst_suites_probe();
	err = nst_epoch_init();
	if (err)
		goto err_edges;
	err = nst_sock_init();
	if (err)
		goto err_epoch;
	err = nst_netns_init();
	if (err)
		goto err_sock;
	err = nst_netlink_init();
	if (err)
		goto err_netns;
	err = nst_family_init(family);
	if (err) {
		pr_err("cannot register address family %u: %d\n", family, err);
		goto err_netlink;
	}
	return 0;

err_netlink:
	nst_netlink_exit();
err_netns:
	nst_netns_exit();
err_sock:
	nst_sock_exit();
err_epoch:
	nst_epoch_exit();
err_edges:
	nst_edges_exit();
	return err;
}

static void __exit nst_exit(void)
{
	nst_family_exit();
	nst_netlink_exit();
	nst_netns_exit();
	nst_sock_exit();
	nst_epoch_exit();
	nst_edges_exit();
}

module_init(nst_init);
module_exit(nst_exit);

MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("NST transport-layer security sockets");
MODULE_ALIAS_NETPROTO(AF_NST);
/* The suites are looked for when the module loads. */
MODULE_SOFTDEP("pre: gcm ghash-generic cbc hmac sha256 aesni-intel ghash-clmulni-intel sm4 sm3");
