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

struct job {
	const char *kind;
	const struct transport *transport;
	size_t size;
	size_t count;
	unsigned int repetitions;
};

/* A stretch of work: the clock is read inside, so that the reading of idle time is not. */
struct stretch {
	uint64_t idle;
	uint64_t start;
};

#define BUFFER_BYTES (1 << 20)
extern char *buffer;

/* The one exit for what must not happen: "error TEXT" to whoever drives, then _exit(). */
void fail(const char *format, ...) __attribute__((noreturn, format(printf, 1, 2)));

/* load.c */
uint64_t clock_ns(void);
struct stretch begin(void);
void end_and_tell(const struct stretch *stretch);

/* bulk.c: jobs, see load.c */
void run_bulk(const struct job *job, bool file);
void run_lossy(const struct job *job);
void run_parallel(const struct job *job);

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

/* loss.c: loopback is an Ethernet, then one that loses packets, then itself again */
void loss_shape(void);
void loss_start(unsigned int per_thousand);
void loss_stop(void);

/* profile.c */
void profile_start(uint64_t period_ns);
void profile_stop(const char *path);

#endif
