// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Pairs of connected ends over loopback, in each transport, and bytes through them.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <linux/tls.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

#define AF_NST 18
#define SOL_NST 1337
#define NST_TX_SUITE 1

static const struct transport transports[] = {
	{"tcp", KIND_PLAIN, false, 0},
	{"ktls-128", KIND_KTLS, false, 128},
	{"ktls-256", KIND_KTLS, false, 256},
	{"tls", KIND_TLS, false, 0},
	{"nst-aes-gcm", KIND_NST, false, 1},
	{"nst-aes-cbc", KIND_NST, false, 2},
	{"nst-sm4-gcm", KIND_NST, false, 3},
	{"nst-sm4-cbc", KIND_NST, false, 4},
	{"udp", KIND_PLAIN, true, 0},
	{"dtls", KIND_TLS, true, 0},
	{"nst-dgram-aes-gcm", KIND_NST, true, 1},
	{"nst-dgram-aes-cbc", KIND_NST, true, 2},
	{"nst-dgram-sm4-gcm", KIND_NST, true, 3},
	{"nst-dgram-sm4-cbc", KIND_NST, true, 4},
};

const struct transport *transport_find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(transports) / sizeof(transports[0]); i++)
		if (!strcmp(transports[i].name, name))
			return &transports[i];
	fail("no transport %s", name);
}

static void must(int result, const char *what)
{
	if (result < 0)
		fail("%s: %s", what, strerror(errno));
}

static int open_socket(const struct transport *transport)
{
	int type = transport->dgram ? SOCK_DGRAM : SOCK_STREAM, fd;

	fd = socket(transport->kind == KIND_NST ? AF_NST : AF_INET, type | SOCK_CLOEXEC, 0);
	must(fd, "socket");
	if (transport->kind == KIND_NST)
		must(setsockopt(fd, SOL_NST, NST_TX_SUITE, &transport->suite,
				sizeof(transport->suite)),
		     "NST_TX_SUITE");
	return fd;
}

/* Binds to a port of loopback that is free, and returns it. */
static struct sockaddr_in bind_anywhere(int fd)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(address);

	must(bind(fd, (struct sockaddr *)&address, len), "bind");
	must(getsockname(fd, (struct sockaddr *)&address, &len), "getsockname");
	return address;
}

static void connect_to(int fd, const struct sockaddr_in *address)
{
	must(connect(fd, (const struct sockaddr *)address, sizeof(*address)), "connect");
}

/* The listener of a kind and suite is kept. */
static int listener(const struct transport *transport, struct sockaddr_in *address)
{
	static struct {
		int fd;
		struct sockaddr_in address;
	} known[sizeof(transports) / sizeof(transports[0])];
	size_t i = transport - transports;

	if (!known[i].fd) {
		known[i].fd = open_socket(transport);
		known[i].address = bind_anywhere(known[i].fd);
		must(listen(known[i].fd, 128), "listen");
	}
	*address = known[i].address;
	return known[i].fd;
}

/*
 * As programs do: OpenSSL makes the handshake, then the kernel gets keys for both
 * directions. They are not TLS's own, which OpenSSL gives to nobody, but both ends have them.
 */
static void start_ktls(struct end *end, int bits)
{
	static const int directions[] = {TLS_TX, TLS_RX};
	union {
		struct tls12_crypto_info_aes_gcm_128 aes128;
		struct tls12_crypto_info_aes_gcm_256 aes256;
	} info;
	int on = 1, i;

	tls_export(end, &info, sizeof(info));
	info.aes128.info.version = TLS_1_3_VERSION;
	info.aes128.info.cipher_type = bits == 128 ? TLS_CIPHER_AES_GCM_128 :
						     TLS_CIPHER_AES_GCM_256;
	must(setsockopt(end->fd, IPPROTO_TCP, TCP_ULP, "tls", sizeof("tls")), "TCP_ULP");
	for (i = 0; i < 2; i++)
		must(setsockopt(end->fd, SOL_TLS, directions[i], &info,
				bits == 128 ? sizeof(info.aes128) : sizeof(info.aes256)),
		     "TLS_TX or TLS_RX");
	/* Without it kTLS 1.3 would not decrypt into the reader's pages. */
	must(setsockopt(end->fd, SOL_TLS, TLS_RX_EXPECT_NO_PAD, &on, sizeof(on)),
	     "TLS_RX_EXPECT_NO_PAD");
}

static void open_streams(const struct transport *transport, struct end *client,
			 struct end *server)
{
	struct sockaddr_in address;
	int on = 1, listening = listener(transport, &address);

	client->fd = open_socket(transport);
	connect_to(client->fd, &address);
	server->fd = accept(listening, NULL, NULL);
	must(server->fd, "accept");
	setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	setsockopt(server->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void open_dgrams(const struct transport *transport, struct end *client, struct end *server)
{
	struct sockaddr_in client_address, server_address;

	client->fd = open_socket(transport);
	server->fd = open_socket(transport);
	client_address = bind_anywhere(client->fd);
	server_address = bind_anywhere(server->fd);
	connect_to(client->fd, &server_address);
	connect_to(server->fd, &client_address);
}

void ends_open(const struct transport *transport, struct end *client, struct end *server)
{
	*client = *server = (struct end){.fd = -1};
	if (transport->dgram)
		open_dgrams(transport, client, server);
	else
		open_streams(transport, client, server);
	if (transport->kind == KIND_TLS || transport->kind == KIND_KTLS)
		tls_handshake(client, server, transport->dgram);
	if (transport->kind == KIND_KTLS) {
		start_ktls(client, transport->suite);
		start_ktls(server, transport->suite);
	}
}

void end_close(struct end *end)
{
	if (end->ssl)
		tls_free(end);
	close(end->fd);
}

void end_send(const struct end *end, const void *data, size_t len)
{
	if (end->ssl) {
		tls_send(end, data, len);
		return;
	}
	while (len) {
		ssize_t sent = send(end->fd, data, len, MSG_NOSIGNAL);

		must(sent, "send");
		data = (const char *)data + sent;
		len -= sent;
	}
}

size_t end_receive(const struct end *end, void *data, size_t len)
{
	ssize_t received;

	if (end->ssl)
		return tls_receive(end, data, len);
	received = recv(end->fd, data, len, 0);
	must(received, "recv");
	if (!received && len)
		fail("recv: end of file");
	return received;
}

void end_receive_all(const struct end *end, void *data, size_t len)
{
	while (len) {
		size_t received = end_receive(end, data, len);

		data = (char *)data + received;
		len -= received;
	}
}
