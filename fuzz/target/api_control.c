// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The control plane: messages to the generic-netlink family, files, socket options.
 */
#include <endian.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/netlink.h>
#include <string.h>
#include <unistd.h>

#include "target.h"

#define FAMILY_NAME "nst"
/* In a message: the number that the family has here. */
#define ANY_FAMILY 0xffff
#define REPLY_ROOM (1 << 16)

static int netlink = -1;
static uint16_t family;

/* Answers to a message that was just sent; what it came to, or EAGAIN if none says so. */
static int answers(uint32_t seq, uint32_t *length, uint32_t *crc)
{
	ssize_t n;

	*length = *crc = 0;
	while ((n = recv(netlink, api_arena, REPLY_ROOM, MSG_DONTWAIT)) > 0) {
		const struct nlmsghdr *message = (const void *)api_arena;

		for (; NLMSG_OK(message, n); message = NLMSG_NEXT(message, n)) {
			const struct nlmsgerr *error = NLMSG_DATA(message);
			size_t head = NLMSG_LENGTH(GENL_HDRLEN);

			if (message->nlmsg_seq != seq)
				continue;
			if (message->nlmsg_type == NLMSG_ERROR)
				return -error->error;
			if (message->nlmsg_type == NLMSG_DONE)
				return 0;
			if (message->nlmsg_len < head)
				continue;
			*crc = crc32(*crc, (const char *)message + head, message->nlmsg_len - head);
			*length += message->nlmsg_len - head;
		}
	}
	return EAGAIN;
}

/* Opens the socket and asks for the family's number; 0 or an errno. */
static int open_netlink(void)
{
	struct {
		struct nlmsghdr head;
		struct genlmsghdr generic;
		struct nlattr name_head;
		char name[8];
	} ask = {
		.head = {
			.nlmsg_len = sizeof(ask),
			.nlmsg_type = GENL_ID_CTRL,
			.nlmsg_flags = NLM_F_REQUEST,
		},
		.generic = { .cmd = CTRL_CMD_GETFAMILY, .version = 1 },
		.name_head = {
			.nla_len = NLA_HDRLEN + sizeof(FAMILY_NAME),
			.nla_type = CTRL_ATTR_FAMILY_NAME,
		},
		.name = FAMILY_NAME,
	};
	const struct nlattr *attribute;
	ssize_t n, at;

	if (netlink >= 0)
		return 0;
	netlink = socket(AF_NETLINK, SOCK_RAW, NETLINK_GENERIC);
	if (netlink < 0)
		return errno;
	ask.head.nlmsg_len = offsetof(typeof(ask), name) + sizeof(FAMILY_NAME);
	if (send(netlink, &ask, ask.head.nlmsg_len, 0) < 0)
		return errno;
	n = recv(netlink, api_arena, REPLY_ROOM, MSG_DONTWAIT);
	for (at = NLMSG_LENGTH(GENL_HDRLEN); at + NLA_HDRLEN <= n;
	     at += NLA_ALIGN(attribute->nla_len)) {
		attribute = (const void *)(api_arena + at);
		if (attribute->nla_len < NLA_HDRLEN)
			break;
		if (attribute->nla_type == CTRL_ATTR_FAMILY_ID)
			memcpy(&family, attribute + 1, sizeof(family));
	}
	return family ? 0 : ENOENT;
}

static void send_netlink(const struct api *api, size_t size)
{
	uint32_t length = 0, crc = 0;
	struct nlmsghdr head;
	int error = open_netlink();

	if (!error && size >= sizeof(head) && size <= API_ARENA) {
		memcpy(&head, api->rest, sizeof(head));
		if (head.nlmsg_type == ANY_FAMILY)
			head.nlmsg_type = family;
		memcpy(api_arena, api->rest, size);
		memcpy(api_arena, &head, sizeof(head));
		error = send(netlink, api_arena, size, 0) < 0 ?
			errno : answers(head.nlmsg_seq, &length, &crc);
	} else if (!error) {
		error = EINVAL;
	}
	add_item(KIND_API, API_NETLINK, error, length, crc);
}

static void tell_file(const char *path)
{
	char text[MAX_TEXT];
	size_t length;
	int error = read_file(path, text, &length);

	add_item(KIND_API, API_READ_FILE, error, length, crc32(0, text, length));
}

int api_control(struct api *api, size_t rest)
{
	switch (api->call) {
	case API_NETLINK:
		send_netlink(api, rest);
		return 1;
	case API_WRITE_FILE:
		add_item(KIND_API, API_WRITE_FILE, write_file(api->rest, rest), 0, 0);
		return 1;
	case API_READ_FILE:
		tell_file(api->rest);
		return 1;
	}
	return 0;
}

void api_get_option(int fd, const struct api *api)
{
	uint64_t value = be64toh(api->value);
	socklen_t length = be32toh(api->flags);
	int ret;

	memset(api_arena, 0, MAX_TEXT);
	if (length > MAX_TEXT)
		length = MAX_TEXT;
	ret = getsockopt(fd, value >> 32, (int)value, api_arena, &length);
	add_item(KIND_API, API_GET_OPTION, ret ? errno : 0, ret ? 0 : length,
		 ret ? 0 : crc32(0, api_arena, length));
}
