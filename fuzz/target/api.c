// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Calls on a socket with all that can be chosen about them: what the API campaigns ask for.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <unistd.h>

#include "target.h"

/* Buffers of a call lie in it, apart from each other. */
char api_arena[API_ARENA];

int api_sizes(const struct api *api, size_t rest, uint32_t sizes[API_SIZES_MAX])
{
	const uint32_t *given = (const void *)api->rest;
	size_t count = rest / sizeof(*given), total = 0;

	if (count > API_SIZES_MAX)
		return -1;
	for (size_t i = 0; i < count; i++) {
		sizes[i] = be32toh(given[i]);
		total += sizes[i];
		if (sizes[i] > API_ARENA || total > API_ARENA)
			return -1;
	}
	return count;
}

void api_result(int call, ssize_t returned, uint32_t crc)
{
	add_item(KIND_API, call, returned < 0 ? errno : 0, returned < 0 ? 0 : returned, crc);
}

/* Waiting calls end by themselves. */
static void may_wait(int fd, unsigned int ms)
{
	struct timeval limit = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };
	int flags = fcntl(fd, F_GETFL);

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	fcntl(fd, F_SETFL, ms ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

void *api_at_the_edge(const void *value, size_t length)
{
	static char *edge;
	size_t page = sysconf(_SC_PAGESIZE);

	if (!edge) {
		edge = mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
		if (edge == MAP_FAILED || mprotect(edge + page, page, PROT_NONE))
			die("the edge of memory");
	}
	if (length > page)
		length = page;
	return memcpy(edge + page - length, value, length);
}

void api_lose(const struct api *api, struct iovec *iov, int count)
{
	if (api->gone && api->gone <= count)
		iov[api->gone - 1].iov_base = api_at_the_edge("", 0);
}

static void set_option(int fd, const struct api *api, size_t rest)
{
	uint64_t value = be64toh(api->value);
	uint32_t claimed = be32toh(api->flags);
	const void *data = claimed ? api_at_the_edge(api->rest, rest) : api->rest;

	api_result(API_SET_OPTION,
		   setsockopt(fd, value >> 32, (int)value, data, claimed ?: rest), 0);
}

static void ask(int fd, int call)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };
	int bytes = 0, ret;

	if (call == API_POLL) {
		ret = poll(&ready, 1, 0);
		api_result(call, ret < 0 ? ret : !!(ready.revents & POLLIN), 0);
	} else {
		ret = ioctl(fd, FIONREAD, &bytes);
		api_result(call, ret < 0 ? ret : bytes, 0);
	}
}

void api_run(int fd, const struct api_peer *peer, const struct api *api, size_t length)
{
	unsigned int wait = be16toh(api->wait);
	size_t rest = length - sizeof(*api);

	if (api->call == API_CONNECT && !peer) {
		add_item(KIND_API, api->call, EISCONN, 0, 0);
		return;
	}
	if (wait)
		may_wait(fd, wait);
	switch (api->call) {
	case API_RECVMSG:
	case API_READV:
	case API_RECVMMSG:
	case API_SPLICE_OUT:
	case API_READERS:
		api_receive(fd, api, rest);
		break;
	case API_SENDMSG:
	case API_WRITEV:
	case API_SENDMMSG:
	case API_SPLICE_IN:
	case API_SENDFILE:
	case API_WRITERS:
		api_send(fd, peer, api, rest);
		break;
	case API_WAITER:
		api_wait(fd, api, rest);
		break;
	case API_CONNECT:
		api_result(API_CONNECT, connect(fd, (void *)&peer->address, peer->length), 0);
		break;
	case API_INQ:
	case API_POLL:
		ask(fd, api->call);
		break;
	case API_SET_OPTION:
		set_option(fd, api, rest);
		break;
	case API_GET_OPTION:
		api_get_option(fd, api);
		break;
	default:
		add_item(KIND_API, api->call, EOPNOTSUPP, 0, 0);
	}
	if (wait)
		may_wait(fd, 0);
}
