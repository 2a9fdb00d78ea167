// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Echo over NST: the server answers what it is sent, the client sends a line and
 * prints the answer. But for the socket() call this is a TCP program.
 *
 *     nst-echo 127.0.0.1 48879 &           server
 *     nst-echo 127.0.0.1 48879 hello       client
 */

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <linux/nst.h>

static void fail(const char *what)
{
	fprintf(stderr, "nst-echo: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void send_all(int fd, const char *data, size_t len)
{
	while (len) {
		ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);

		if (sent < 0)
			fail("send");
		data += sent;
		len -= sent;
	}
}

/* Copies all that comes to where it goes, up to the peer's CLOSE. */
static void copy(int from, int to)
{
	char data[4096];
	ssize_t len;

	while ((len = recv(from, data, sizeof(data), 0)) > 0) {
		if (to == STDOUT_FILENO)
			fwrite(data, 1, len, stdout);
		else
			send_all(to, data, len);
	}
	/* EBADMSG: a record was not authentic. ECONNABORTED: the stream was cut. */
	if (len < 0)
		fail("recv");
}

/* How the records that we send are sealed. */
static void show_info(int fd)
{
	struct nst_info info;
	socklen_t len = sizeof(info);

	if (getsockopt(fd, SOL_NST, NST_INFO, &info, &len))
		fail("NST_INFO");
	printf("suite %u, kid %u, %u records\n", info.tx_cipher_id, info.tx_kid,
	       info.tx_counter);
}

static void serve(int fd, const struct sockaddr_in *addr)
{
	const int on = 1;
	int peer;

	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	if (bind(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		fail("bind");
	if (listen(fd, 1))
		fail("listen");
	peer = accept(fd, NULL, NULL);
	if (peer < 0)
		fail("accept");
	copy(peer, peer);
	close(peer);
}

static void call(int fd, const struct sockaddr_in *addr, const char *line)
{
	const int suite = NST_AES_CBC;

	/* Any suite of /proc/net/nst_suites; the sysctl default_cipher otherwise. */
	if (setsockopt(fd, SOL_NST, NST_TX_SUITE, &suite, sizeof(suite)))
		fail("NST_TX_SUITE");
	if (connect(fd, (const struct sockaddr *)addr, sizeof(*addr)))
		fail("connect");
	send_all(fd, line, strlen(line));
	send_all(fd, "\n", 1);
	show_info(fd);
	if (shutdown(fd, SHUT_WR))
		fail("shutdown");
	copy(fd, STDOUT_FILENO);
}

int main(int argc, char **argv)
{
	struct sockaddr_in addr = { .sin_family = AF_INET };
	int fd;

	if (argc < 3 || argc > 4 ||
	    inet_pton(AF_INET, argv[1], &addr.sin_addr) != 1) {
		fprintf(stderr, "usage: nst-echo ADDRESS PORT [LINE]\n");
		return 2;
	}
	addr.sin_port = htons(atoi(argv[2]));

	fd = socket(AF_NST, NST_SOCK_STREAM, NST_PROTO_INET);
	if (fd < 0)
		fail("socket(AF_NST)");
	if (argc == 3)
		serve(fd, &addr);
	else
		call(fd, &addr, argv[3]);
	close(fd);
	return 0;
}
