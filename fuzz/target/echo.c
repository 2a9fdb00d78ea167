// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * An echo service over TCP, for benchmarks.
 */
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "target.h"

static char buffer[1 << 17];

int echo_listener(int port)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_port = htons(port) };
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	if (fd < 0 || bind(fd, (void *)&in, sizeof(in)) || listen(fd, SOMAXCONN))
		die("echo");
	return fd;
}

int echo(int fd)
{
	ssize_t n = recv(fd, buffer, sizeof(buffer), 0);

	if (n > 0 && send(fd, buffer, n, MSG_NOSIGNAL) == n)
		return fd;
	close(fd);
	return -1;
}
