// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The target program's sockets.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "target.h"

#define NST_PROTO_INET 0
#define NST_PROTO_INET6 10
#define BACKLOG 128
#define RECEIVE_BUFFER (8 << 20)

/* Bound, and never blocks; -1 if that fails. */
static int own_socket(int family, int type, int v6, int port)
{
	int protocol = v6 ? NST_PROTO_INET6 : NST_PROTO_INET;
	int fd = socket(family, type | SOCK_NONBLOCK, protocol);
	int one = 1, size = RECEIVE_BUFFER;
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6, .sin6_port = htons(port) };
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };

	if (fd < 0)
		return -1;
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	/* Several of the longest datagrams have to wait at once. */
	setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size));
	/* Nothing waits for an acknowledgement: what was sent has left when a call returns. */
	if ((type == SOCK_STREAM &&
	     setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one))) ||
	    (v6 && setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one))) ||
	    (v6 ? bind(fd, (void *)&in6, sizeof(in6)) : bind(fd, (void *)&in, sizeof(in)))) {
		close(fd);
		return -1;
	}
	return fd;
}

int bound_socket(int family, int type, int v6, int port)
{
	int fd = own_socket(family, type, v6, port);

	if (fd < 0 || (type == SOCK_STREAM && listen(fd, BACKLOG)))
		die("a bound socket");
	return fd;
}

int dial(int fd, int v6, int port, const struct api_peer *peer)
{
	struct sockaddr_storage address = peer->address;
	struct sockaddr_in6 *in6 = (void *)&address;
	struct sockaddr_in *in = (void *)&address;

	*(v6 ? &in6->sin6_port : &in->sin_port) = htons(port);
	if (connect(fd, (void *)&address, peer->length) && errno != EINPROGRESS)
		return errno;
	return 0;
}

int dialled_socket(int family, int v6, int port, const struct api_peer *peer)
{
	int fd = own_socket(family, SOCK_STREAM, v6, port);
	int error = fd < 0 ? errno : dial(fd, v6, port, peer);

	if (!error)
		return fd;
	if (fd >= 0)
		close(fd);
	errno = error;
	return -1;
}

/* GRO holds TCP segments back for the rest of a poll, and then a request overtakes them. */
void disable_gro(const char *interface)
{
	struct ethtool_value off = { .cmd = ETHTOOL_SGRO, .data = 0 };
	struct ifreq request = { .ifr_data = (void *)&off };
	int fd = socket(AF_INET, SOCK_DGRAM, 0);

	strncpy(request.ifr_name, interface, IFNAMSIZ - 1);
	if (fd < 0 || ioctl(fd, SIOCETHTOOL, &request))
		die("disabling GRO");
	close(fd);
}

/* Set an address; false if @text is no address. */
int peer_is(struct api_peer *peer, int family, const char *text, int port)
{
	struct sockaddr_in6 *in6 = (void *)&peer->address;
	struct sockaddr_in *in = (void *)&peer->address;

	if (family == AF_INET6) {
		*in6 = (struct sockaddr_in6){ .sin6_family = family, .sin6_port = htons(port) };
		peer->length = sizeof(*in6);
		return inet_pton(family, text, &in6->sin6_addr) == 1;
	}
	*in = (struct sockaddr_in){ .sin_family = family, .sin_port = htons(port) };
	peer->length = sizeof(*in);
	return inet_pton(family, text, &in->sin_addr) == 1;
}
