/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the parts of the target program share; fuzz/target/wire.py and fuzz/api.py are the
 * other end of every message.
 */
#ifndef NST_TARGET_H
#define NST_TARGET_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

enum kind {
	KIND_DGRAM = 1,
	KIND_STREAM = 2,
	KIND_CALL = 3,
	KIND_API = 4,	  /* family: enum api_call */
	KIND_MESSAGE = 5, /* the same; of one message that such a call received or sent */
	KIND_SHORTAGE = 6, /* before a call's; family: its enum op; length: it came to that */
};

enum api_call {
	/* receiving: the rest is sizes of buffers */
	API_RECVMSG = 1,
	API_READV = 2,
	API_RECVMMSG = 3, /* a buffer for each message */
	API_SPLICE_OUT = 4,
	API_READERS = 5, /* a thread for each size, until there is nothing left */
	API_INQ = 6,
	API_POLL = 7,
	/* options: value is level << 32 | name */
	API_SET_OPTION = 8, /* the rest is the value; flags: how long it is said to be, if not 0 */
	API_GET_OPTION = 9, /* flags is the room for it */
	API_CONNECT = 10, /* a socket for datagrams to the peer, until all is collected */
	/* a thread receives and waits, and then something happens: value is enum api_event */
	API_WAITER = 11,
	/* sending: the rest is sizes of buffers, the value is the first byte's */
	API_SENDMSG = 16,
	API_WRITEV = 17,
	API_SENDMMSG = 18, /* a buffer for each message */
	API_SPLICE_IN = 19,
	API_SENDFILE = 20,
	API_WRITERS = 21, /* a thread for each size; all bytes are the same */
	/* on no socket */
	API_NETLINK = 32, /* the rest is the message */
	API_WRITE_FILE = 33, /* the rest is PATH NUL CONTENTS */
	API_READ_FILE = 34, /* the rest is PATH */
};

/* What happens to a waiter. */
enum api_event {
	EVENT_FRAMES = 0, /* come before OP_JOIN, or nothing does */
	EVENT_SIGNAL = 1,
	EVENT_SHUT_READING = 2,
	EVENT_SHUT_BOTH = 3,
	EVENT_DISABLED = 4, /* NST is, then reading is shut down; and enabled again */
};

/* Where datagrams go to. */
struct api_peer {
	struct sockaddr_storage address;
	socklen_t length;
};

/* A call with all that can be chosen about it (big-endian). */
struct api {
	uint8_t call;
	uint8_t gone; /* the buffer, from 1, that is nowhere */
	uint16_t wait; /* ms to wait at most; 0 does not wait */
	uint32_t flags;
	uint64_t value;
	char rest[];
} __attribute__((packed));

#define MAX_TEXT 1000

/* nst_target.c */
void die(const char *what);
void add_item(int kind, int family, int error, uint32_t length, uint32_t crc);

/* crc32.c */
void crc32_init(void);
uint32_t crc32(uint32_t crc, const char *data, size_t length);

/* application.c; 0 or an errno, where not told by add_item() */
void open_sockets(int family, int port, const struct api_peer to[2]);
/* Receives all that has come, but on the connection that is kept. */
void collect(void);
int send_datagram(int family, struct sockaddr_in to, const char *data, size_t length);
int accept_kept(int v6);
int dial_kept(int v6, int port);
/* The same socket, disconnected before. */
int redial_kept(int v6, int port);
/* Begins any other call on the connection that is kept; @looks if there is no more to it. */
int begin_kept(bool looks);
/* All there is, until its end or its error. */
void receive_kept(int op);
int send_kept(const char *data, size_t length);
int shutdown_kept(int how);
void close_kept(void);
/* A call of OP_API; @family 0 is that connection. */
void call_api(int family, struct api *api, size_t length);

/* echo.c: what came on a connection goes back; -1 at its end, or @fd */
int echo_listener(int port);
int echo(int fd);

/* files.c: 0 or an errno */
int write_file(char *data, size_t length);
int put_file(const char *path, const char *data, size_t length);
int read_file(const char *path, char *out, size_t *length);
/* What an open file holds now. */
size_t reread(int fd, char *out, size_t size);

/*
 * shortage.c: the next call's @nth allocation is to fail; between its beginning and its end it
 * does, and the end tells whether it came to that.
 */
int shortage_want(unsigned int nth);
int shortage_wanted(void);
void shortage_begin(void);
int shortage_end(void);

/*
 * drought.c: between its beginning and its end all kmalloc() fails but our own, when @units of
 * 64 bytes have been given out. 0 or an errno.
 */
int drought_begin(unsigned int units);
void drought_end(void);

/* holdings.c */
int holdings(bool at_once, char *out, size_t *length);

/* kmemleak.c */
#define KMEMLEAK "/sys/kernel/debug/kmemleak"

int lost_memory(const char *path, char *out, size_t *length);

/* sockets.c */
int bound_socket(int family, int type, int v6, int port);
/* Begins to connect to the port of that number at the peer; 0 or an errno. */
int dial(int fd, int v6, int port, const struct api_peer *peer);
/* A stream's, on its way to the port of that number at the peer; -1 and errno if it fails. */
int dialled_socket(int family, int v6, int port, const struct api_peer *peer);
void disable_gro(const char *interface);
int peer_is(struct api_peer *peer, int family, const char *text, int port);

/* api.c */
#define API_SIZES_MAX 64
#define API_ARENA (1 << 18)

extern char api_arena[API_ARENA];

/* The sizes in @rest; their number, or -1 if there are too many or they are too large. */
int api_sizes(const struct api *api, size_t rest, uint32_t sizes[API_SIZES_MAX]);
/* Puts the buffer that is nowhere where no memory is. */
void api_lose(const struct api *api, struct iovec *iov, int count);
/* A call's outcome: what it returned, or errno if that is negative. */
void api_result(int call, ssize_t returned, uint32_t crc);
/* A value that ends where memory does. */
void *api_at_the_edge(const void *value, size_t length);
/* @peer is NULL for a connection. */
void api_run(int fd, const struct api_peer *peer, const struct api *api, size_t length);

/* api_control.c; false if the call is on a socket */
int api_control(struct api *api, size_t rest);
void api_get_option(int fd, const struct api *api);

/* api_receive.c */
void api_receive(int fd, const struct api *api, size_t rest);

/* api_wait.c: frames that are to come, do when it has begun; what it returned, its end tells */
void api_wait(int fd, const struct api *api, size_t rest);
void api_wait_end(void);

/* api_send.c */
void api_send(int fd, const struct api_peer *peer, const struct api *api, size_t rest);

#endif
