// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * TLS 1.3 and DTLS 1.2 by OpenSSL in user space, AES-256-GCM, with a P-256 certificate
 * made when first needed. Both ends of a connection are in this process: a handshake is
 * driven by turns.
 *
 * The client does not verify the certificate: a chain of one would make the peer look
 * dearer than it has to be.
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <string.h>

#include "load.h"

#define HANDSHAKE_TURNS 100
#define DTLS_MTU 16384

static SSL_CTX *contexts[2][2]; /* [dgram][server] */

static void tls_fail(const char *what)
{
	char text[200];

	ERR_error_string_n(ERR_get_error(), text, sizeof(text));
	fail("%s: %s", what, text);
}

static void use_certificate(SSL_CTX *context)
{
	EVP_PKEY *key = EVP_EC_gen("P-256");
	X509 *certificate = X509_new();

	if (!key || !certificate)
		tls_fail("certificate");
	ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
	X509_gmtime_adj(X509_getm_notBefore(certificate), -3600);
	X509_gmtime_adj(X509_getm_notAfter(certificate), 86400);
	X509_set_pubkey(certificate, key);
	if (!X509_sign(certificate, key, EVP_sha256()) ||
	    !SSL_CTX_use_certificate(context, certificate) ||
	    !SSL_CTX_use_PrivateKey(context, key))
		tls_fail("certificate");
	X509_free(certificate);
	EVP_PKEY_free(key);
}

static SSL_CTX *context_of(bool dgram, bool server)
{
	SSL_CTX **context = &contexts[dgram][server];
	const SSL_METHOD *method;

	if (*context)
		return *context;
	if (dgram)
		method = server ? DTLS_server_method() : DTLS_client_method();
	else
		method = server ? TLS_server_method() : TLS_client_method();
	*context = SSL_CTX_new(method);
	if (!*context ||
	    (dgram ? !SSL_CTX_set_cipher_list(*context, "ECDHE-ECDSA-AES256-GCM-SHA384") :
		     !SSL_CTX_set_ciphersuites(*context, "TLS_AES_256_GCM_SHA384")))
		tls_fail("SSL_CTX");
	if (!dgram)
		SSL_CTX_set_min_proto_version(*context, TLS1_3_VERSION);
	SSL_CTX_set_options(*context, SSL_OP_NO_QUERY_MTU | SSL_OP_NO_TICKET);
	SSL_CTX_set_num_tickets(*context, 0);
	SSL_CTX_set_session_cache_mode(*context, SSL_SESS_CACHE_OFF);
	if (server)
		use_certificate(*context);
	return *context;
}

static SSL *ssl_new(const struct end *end, bool dgram, bool server)
{
	SSL *ssl = SSL_new(context_of(dgram, server));
	BIO *bio;

	if (!ssl)
		tls_fail("SSL_new");
	bio = dgram ? BIO_new_dgram(end->fd, BIO_NOCLOSE) : BIO_new_socket(end->fd, BIO_NOCLOSE);
	if (!bio)
		tls_fail("BIO");
	if (dgram) {
		struct sockaddr_in peer;
		socklen_t len = sizeof(peer);

		if (getpeername(end->fd, (struct sockaddr *)&peer, &len))
			fail("getpeername: %s", strerror(errno));
		/* What OpenSSL expects here begins with a socket address. */
		BIO_ctrl(bio, BIO_CTRL_DGRAM_SET_CONNECTED, 0, &peer);
		SSL_set_mtu(ssl, DTLS_MTU);
	}
	SSL_set_bio(ssl, bio, bio);
	if (server)
		SSL_set_accept_state(ssl);
	else
		SSL_set_connect_state(ssl);
	return ssl;
}

static void set_blocking(int fd, bool blocking)
{
	int flags = fcntl(fd, F_GETFL);

	fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

/* Returns whether it is over. */
static bool handshake_turn(SSL *ssl)
{
	int done = SSL_do_handshake(ssl);
	int why;

	if (done == 1)
		return true;
	why = SSL_get_error(ssl, done);
	if (why != SSL_ERROR_WANT_READ && why != SSL_ERROR_WANT_WRITE)
		tls_fail("handshake");
	return false;
}

void tls_handshake(struct end *client, struct end *server, bool dgram)
{
	bool client_done = false, server_done = false;
	int turns;

	client->ssl = ssl_new(client, dgram, false);
	server->ssl = ssl_new(server, dgram, true);
	set_blocking(client->fd, false);
	set_blocking(server->fd, false);
	for (turns = 0; !client_done || !server_done; turns++) {
		if (turns == HANDSHAKE_TURNS)
			fail("the handshake does not end");
		client_done = client_done || handshake_turn(client->ssl);
		server_done = server_done || handshake_turn(server->ssl);
	}
	set_blocking(client->fd, true);
	set_blocking(server->fd, true);
}

void tls_export(struct end *end, void *secret, size_t len)
{
	static const char label[] = "EXPORTER-nst-bench";

	if (SSL_export_keying_material(end->ssl, secret, len, label, sizeof(label) - 1, NULL, 0,
				       0) != 1)
		tls_fail("keying material");
	SSL_set_quiet_shutdown(end->ssl, 1);
	tls_free(end);
}

void tls_free(struct end *end)
{
	/* Says close_notify once, without waiting for the other's. */
	SSL_shutdown(end->ssl);
	SSL_free(end->ssl);
	end->ssl = NULL;
}

void tls_send(const struct end *end, const void *data, size_t len)
{
	size_t sent;

	if (!SSL_write_ex(end->ssl, data, len, &sent) || sent != len)
		tls_fail("SSL_write");
}

size_t tls_receive(const struct end *end, void *data, size_t len)
{
	size_t received;

	if (!SSL_read_ex(end->ssl, data, len, &received))
		tls_fail("SSL_read");
	return received;
}
