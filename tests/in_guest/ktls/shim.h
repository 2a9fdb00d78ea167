/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Put before Linux's kTLS selftest (gcc -include): its TLS sockets become AF_NST
 * sockets, which need no keys.
 */
#ifndef _NST_KTLS_SHIM_H
#define _NST_KTLS_SHIM_H

#include <netinet/in.h>
#include <sys/socket.h>

#include <kselftest_harness.h>

#include "../../../kmod/include/uapi/linux/nst.h"

/* Its 30 s are for real processors: a translated one on a busy host takes longer. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	600

static inline int nst_socket(int family, int type, int protocol)
{
	if (family == AF_INET && type == SOCK_STREAM)
		return socket(AF_NST, NST_SOCK_STREAM, NST_PROTO_INET);
	return socket(family, type, protocol);
}

/* What would turn a TCP socket into a TLS one is done already. */
static inline int nst_setsockopt(int fd, int level, int option,
				 const void *value, socklen_t len)
{
	const int sol_tls = 282, tcp_ulp = 31;

	if (level == sol_tls || (level == IPPROTO_TCP && option == tcp_ulp))
		return 0;
	return setsockopt(fd, level, option, value, len);
}

#define socket(family, type, protocol)	nst_socket(family, type, protocol)
#define setsockopt(fd, level, option, value, len) \
	nst_setsockopt(fd, level, option, value, len)

/* Debian's file has tests that call it with four arguments, and it takes three. */
#define NST_INIT_3(version, cipher, keys) \
	tls_crypto_info_init(version, cipher, keys)
#define NST_INIT_4(version, cipher, keys, generation) \
	tls_crypto_info_init(version, cipher, keys)
#define NST_INIT_PICK(_1, _2, _3, _4, name, ...)	name
#define tls_crypto_info_init(...) \
	NST_INIT_PICK(__VA_ARGS__, NST_INIT_4, NST_INIT_3, unused)(__VA_ARGS__)

#endif /* _NST_KTLS_SHIM_H */
