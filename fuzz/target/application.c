// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The application: its sockets for datagrams, its listeners, one connection that it keeps, and
 * what it does with them.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "target.h"

static char buffer[1 << 17];

static int datagrams[2], listeners[2]; /* IPv4, IPv6 */
static bool connected[2]; /* datagrams, by API_CONNECT */
static struct api_peer peers[2];
static int kept = -1;
static int nst_family, nst_port;

void open_sockets(int family, int port, const struct api_peer to[2])
{
	nst_family = family;
	nst_port = port;
	memcpy(peers, to, sizeof(peers));
	for (int v6 = 0; v6 < 2; v6++) {
		datagrams[v6] = bound_socket(family, SOCK_DGRAM, v6, port);
		listeners[v6] = bound_socket(family, SOCK_STREAM, v6, port);
	}
}

static void collect_datagrams(int v6)
{
	for (;;) {
		ssize_t n = recv(datagrams[v6], buffer, sizeof(buffer), 0);

		if (n < 0 && errno == EAGAIN)
			return;
		if (n < 0) {
			add_item(KIND_DGRAM, v6 ? 6 : 4, errno, 0, 0);
			return;
		}
		add_item(KIND_DGRAM, v6 ? 6 : 4, 0, n, crc32(0, buffer, n));
	}
}

/* Read a connection to its end, its error, or the end of what came. */
static void read_stream(int fd, int kind, int family)
{
	uint32_t length = 0, crc = 0;
	ssize_t n;

	while ((n = recv(fd, buffer, sizeof(buffer), 0)) > 0) {
		crc = crc32(crc, buffer, n);
		length += n;
	}
	add_item(kind, family, n < 0 ? errno : 0, length, crc);
}

/* As an event loop does before any call: the module opens what has come. */
static void look(int fd)
{
	struct pollfd ready = { .fd = fd, .events = POLLIN };

	poll(&ready, 1, 0);
}

int accept_kept(int v6)
{
	if (kept >= 0)
		return EBUSY;
	shortage_begin();
	kept = accept4(listeners[v6], NULL, NULL, SOCK_NONBLOCK);
	return kept < 0 ? errno : 0;
}

int dial_kept(int v6, int port)
{
	if (kept >= 0)
		return EBUSY;
	kept = dialled_socket(nst_family, v6, port, &peers[v6]);
	return kept < 0 ? errno : 0;
}

int redial_kept(int v6, int port)
{
	struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

	if (kept < 0)
		return EBADF;
	look(kept);
	if (connect(kept, &nowhere, sizeof(nowhere)))
		return errno;
	return dial(kept, v6, port, &peers[v6]);
}

int begin_kept(bool looks)
{
	if (kept < 0)
		return EBADF;
	/* What is looked at then is what is to fail. */
	if (looks)
		shortage_begin();
	look(kept);
	shortage_begin();
	return 0;
}

void receive_kept(int op)
{
	read_stream(kept, KIND_CALL, op);
}

int send_kept(const char *data, size_t length)
{
	return send(kept, data, length, MSG_NOSIGNAL) < 0 ? errno : 0;
}

int shutdown_kept(int how)
{
	return shutdown(kept, how) ? errno : 0;
}

void close_kept(void)
{
	if (kept < 0)
		return;
	look(kept);
	close(kept);
	kept = -1;
}

void call_api(int family, struct api *api, size_t length)
{
	int v6 = family == 6;
	const struct api_peer *peer = family ? &peers[v6] : NULL;
	int fd = family ? datagrams[v6] : kept;

	if (length < sizeof(*api)) {
		add_item(KIND_API, 0, EINVAL, 0, 0);
		return;
	}
	if (api->call >= API_NETLINK) /* on no socket */
		shortage_begin();
	if (api_control(api, length - sizeof(*api)))
		return;
	if (fd < 0) {
		add_item(KIND_API, api->call, EBADF, 0, 0);
		return;
	}
	if (fd == kept)
		look(kept);
	/* What these two send from is not what is to fail: they begin by themselves. */
	if (api->call != API_SPLICE_IN && api->call != API_SENDFILE)
		shortage_begin();
	api_run(fd, peer, api, length);
	if (peer && api->call == API_CONNECT)
		connected[v6] = true;
	/* Shut down, it would be of no use to the next case. */
	if (peer && api->call == API_WAITER && be64toh(api->value) >= EVENT_SHUT_READING) {
		collect_datagrams(v6);
		close(fd);
		datagrams[v6] = bound_socket(nst_family, SOCK_DGRAM, v6, nst_port);
	}
}

/* What API_CONNECT did is undone; the port stays. */
static void dissolve(int v6)
{
	struct sockaddr nowhere = { .sa_family = AF_UNSPEC };

	if (!connected[v6])
		return;
	connected[v6] = false;
	if (connect(datagrams[v6], &nowhere, sizeof(nowhere)))
		add_item(KIND_DGRAM, v6 ? 6 : 4, errno, 0, 0);
}

void collect(void)
{
	for (int v6 = 0; v6 < 2; v6++) {
		int fd;

		collect_datagrams(v6);
		dissolve(v6);
		while ((fd = accept4(listeners[v6], NULL, NULL, SOCK_NONBLOCK)) >= 0) {
			read_stream(fd, KIND_STREAM, v6 ? 6 : 4);
			close(fd);
		}
		if (errno != EAGAIN)
			add_item(KIND_STREAM, v6 ? 6 : 4, errno, 0, 0);
	}
}

int send_datagram(int family, struct sockaddr_in to, const char *data, size_t length)
{
	struct sockaddr_in6 to6 = { .sin6_family = AF_INET6, .sin6_port = to.sin_port };
	ssize_t n;

	if (family == 6) {
		/* The peer's IPv6 address leads the data. */
		if (length < sizeof(to6.sin6_addr))
			return EINVAL;
		memcpy(&to6.sin6_addr, data, sizeof(to6.sin6_addr));
		n = sendto(datagrams[1], data + sizeof(to6.sin6_addr),
			   length - sizeof(to6.sin6_addr), 0, (void *)&to6, sizeof(to6));
	} else {
		n = sendto(datagrams[0], data, length, 0, (void *)&to, sizeof(to));
	}
	return n < 0 ? errno : 0;
}
