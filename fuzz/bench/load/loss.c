// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Loopback as a link that loses packets: Ethernet's MTU, a packet a segment, and netem.
 * The kernel has to have it already (sch_netem): here nothing loads modules when asked to.
 */
#include <errno.h>
#include <linux/if_link.h>
#include <linux/pkt_sched.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

#define LOOPBACK "lo"
#define LOOPBACK_MTU 65536
#define LOOPBACK_SEGMENTS 65535
#define ETHERNET_MTU 1500
#define QUEUE_PACKETS 10000

struct request {
	struct nlmsghdr header;
	union {
		struct ifinfomsg link;
		struct tcmsg tc;
	};
	char attributes[128];
};

static void add(struct request *request, int type, const void *data, size_t len)
{
	struct rtattr *attribute =
		(void *)((char *)request + NLMSG_ALIGN(request->header.nlmsg_len));

	attribute->rta_type = type;
	attribute->rta_len = RTA_LENGTH(len);
	memcpy(RTA_DATA(attribute), data, len);
	request->header.nlmsg_len = NLMSG_ALIGN(request->header.nlmsg_len) + RTA_SPACE(len);
}

static void ask(struct request *request, const char *what)
{
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[1024];
	} answer;
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);

	if (fd < 0 || send(fd, request, request->header.nlmsg_len, 0) < 0 ||
	    recv(fd, &answer, sizeof(answer), 0) < (ssize_t)NLMSG_LENGTH(sizeof(answer.error)))
		fail("%s: %s", what, strerror(errno));
	close(fd);
	if (answer.error.error)
		fail("%s: %s", what, strerror(-answer.error.error));
}

static void shape(uint32_t mtu, uint32_t segments)
{
	struct request request = {
		.header.nlmsg_len = NLMSG_LENGTH(sizeof(request.link)),
		.header.nlmsg_type = RTM_NEWLINK,
		.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK,
		.link.ifi_index = if_nametoindex(LOOPBACK),
	};

	add(&request, IFLA_MTU, &mtu, sizeof(mtu));
	add(&request, IFLA_GSO_MAX_SEGS, &segments, sizeof(segments));
	ask(&request, "loopback");
}

static void queue(int type, int flags, const struct tc_netem_qopt *options)
{
	struct request request = {
		.header.nlmsg_len = NLMSG_LENGTH(sizeof(request.tc)),
		.header.nlmsg_type = type,
		.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags,
		.tc.tcm_ifindex = if_nametoindex(LOOPBACK),
		.tc.tcm_parent = TC_H_ROOT,
	};

	if (options) {
		add(&request, TCA_KIND, "netem", sizeof("netem"));
		add(&request, TCA_OPTIONS, options, sizeof(*options));
	}
	ask(&request, "netem");
}

void loss_start(unsigned int per_thousand)
{
	struct tc_netem_qopt options = {
		.limit = QUEUE_PACKETS,
		.loss = UINT32_MAX / 1000 * per_thousand,
	};

	queue(RTM_NEWQDISC, NLM_F_CREATE | NLM_F_REPLACE, &options);
}

void loss_shape(void)
{
	shape(ETHERNET_MTU, 1);
}

void loss_stop(void)
{
	queue(RTM_DELQDISC, 0, NULL);
	shape(LOOPBACK_MTU, LOOPBACK_SEGMENTS);
}
