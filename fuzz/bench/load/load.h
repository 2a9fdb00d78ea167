/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The load generator of `nst-fuzz bench kmod`: shared declarations.
 */
#ifndef LOAD_H
#define LOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* What carries the data: see the table in ends.c. */
enum kind { KIND_PLAIN, KIND_KTLS, KIND_NST, KIND_TLS };

struct transport {
	const char *name;
	enum kind kind;
	bool dgram;
	int suite; /* KIND_NST: cipher_id; KIND_KTLS: bits of the AES key */
};

/* One end of a connection. */
struct end {
	int fd;
	void *ssl; /* KIND_TLS only */
};

/* The one exit for what must not happen: "error TEXT" to whoever drives, then _exit(). */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* ends.c */
const struct transport *transport_find(const char *name);
void ends_open(const struct transport *transport, struct end *client, struct end *server);
void end_close(struct end *end);
void end_send(const struct end *end, const void *data, size_t len);
size_t end_receive(const struct end *end, void *data, size_t len);
void end_receive_all(const struct end *end, void *data, size_t len);

/* tls.c: OpenSSL, in user space */
void tls_handshake(struct end *client, struct end *server, bool dgram);
/* Ends OpenSSL's part in the connection. */
void tls_export(struct end *end, void *secret, size_t len);
void tls_free(struct end *end);
void tls_send(const struct end *end, const void *data, size_t len);
size_t tls_receive(const struct end *end, void *data, size_t len);

/* profile.c */
void profile_start(uint64_t period_ns);
void profile_stop(const char *path);

#endif
