// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The receiver in a campaign's guest.
 *
 * It listens on AF_NST, stream and datagram, over IPv4 and IPv6, and is told over a plain
 * UDP socket on the same interface what to do. Frames of a case and the request that
 * follows them pass one queue in order, so when a request is read the kernel has taken
 * in the whole case: what it made of it is there to be collected, without waiting.
 *
 * fuzz/target/wire.py is the other end; both describe the messages (big-endian).
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "measure.h"
#include "target.h"

#define REQUEST_MAGIC 0x4e535451 /* NSTQ */
#define REPLY_MAGIC 0x4e535452	 /* NSTR */
/* A case of replay delivers up to 130; a reply that tells of so many goes in fragments. */
#define MAX_ITEMS 160

enum op {
	OP_COLLECT = 1, /* report all that was received and the counters; value: close kept */
	OP_SEND = 2,	/* send data as an NST datagram to (the asker's address, port) */
	OP_CLOCK = 3,	/* set CLOCK_REALTIME to value */
	OP_WRITE = 4,	/* data is PATH NUL CONTENTS: write CONTENTS with one write(2) */
	OP_READ = 5,	/* data is PATH: return what it holds, as text */
	/* calls on one connection that is kept */
	OP_ACCEPT = 6,
	OP_RECEIVE = 7,
	OP_TRANSMIT = 8, /* send data */
	OP_SHUTDOWN = 9, /* value as for shutdown(2) */
	OP_CLOSE = 10,
	OP_LOOK = 11, /* no more than before every other one */
	OP_API = 12,  /* data is struct api; family 0 is that connection, 4 and 6 datagrams */
	OP_SHORTAGE = 13, /* the allocation of the next call that value says fails */
	OP_DROUGHT = 14, /* until the next request: value * 64 bytes, and then no memory */
	OP_JOIN = 15, /* wait for whom API_WAITER left waiting for frames */
	OP_DIAL = 16, /* connect to (the peer, port); value: the kept socket, once more */
	/* what of the module's code has run, see measure.h */
	OP_EDGES = 32,	    /* text: how many taken, how many fresh; value: write them anyway */
	OP_EDGES_SEEN = 33, /* data are edges that are not fresh */
	OP_GCOV = 34,	    /* and then end */
	OP_HOLDINGS = 35,   /* text: what the kernel holds, see holdings.c; value: at once */
	OP_KMEMLEAK = 36,   /* text: what of the module's memory is lost, see kmemleak.c */
};

struct request {
	uint32_t magic;
	uint32_t seq;
	uint8_t op;
	uint8_t family; /* 4 or 6, for OP_SEND and OP_ACCEPT; see OP_API */
	uint16_t port;
	uint64_t value;
	char data[];
} __attribute__((packed));

struct item {
	uint8_t kind;
	uint8_t family;
	/* errno of the last recv; 0 for a datagram and for the end of a stream. */
	uint16_t error;
	uint32_t length;
	uint32_t crc; /* CRC-32 of the plaintext */
} __attribute__((packed));

struct reply {
	uint32_t magic;
	uint32_t seq;
	uint8_t op;
	uint8_t unused;
	uint16_t items; /* how many there were; at most MAX_ITEMS follow */
	uint32_t error; /* errno of the operation */
	uint64_t drained; /* CLOCK_REALTIME after collecting, before reading the counters */
	uint64_t done;	  /* and after */
	uint64_t taint;
	char data[MAX_ITEMS * sizeof(struct item) + MAX_TEXT];
} __attribute__((packed));

static char buffer[1 << 17];
static struct item items[MAX_ITEMS];
static unsigned int n_items;

static int stat_fd, taint_fd;

void die(const char *what)
{
	fprintf(stderr, "nst-target: %s: %s\n", what, strerror(errno));
	exit(1);
}

static uint64_t now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return ts.tv_sec * 1000000000ull + ts.tv_nsec;
}

/* A call that was to run out of memory, before what comes of it; the item to be completed. */
static struct item *short_item(int op)
{
	if (!shortage_wanted())
		return NULL;
	add_item(KIND_SHORTAGE, op, 0, 0, 0);
	return n_items <= MAX_ITEMS ? &items[n_items - 1] : NULL;
}

static void short_end(struct item *item)
{
	int fired = shortage_end();

	if (item)
		item->length = htobe32(fired);
}

void add_item(int kind, int family, int error, uint32_t length, uint32_t crc)
{
	if (n_items < MAX_ITEMS)
		items[n_items] = (struct item){
			.kind = kind,
			.family = family,
			.error = htobe16(error),
			.length = htobe32(length),
			.crc = htobe32(crc),
		};
	n_items++;
}

/* A call on the connection that is kept. */
static void call(const struct request *request, size_t length)
{
	struct item *item = short_item(request->op);
	int error;

	if (request->op == OP_ACCEPT)
		error = accept_kept(request->family == 6);
	else if (request->op == OP_DIAL && request->value)
		error = redial_kept(request->family == 6, be16toh(request->port));
	else if (request->op == OP_DIAL)
		error = dial_kept(request->family == 6, be16toh(request->port));
	else
		error = begin_kept(request->op == OP_LOOK);
	if (!error) {
		switch (request->op) {
		case OP_RECEIVE:
			receive_kept(OP_RECEIVE);
			short_end(item);
			return;
		case OP_TRANSMIT:
			error = send_kept(request->data, length);
			break;
		case OP_SHUTDOWN:
			error = shutdown_kept(be64toh(request->value));
			break;
		case OP_CLOSE:
			close_kept();
			break;
		}
	}
	short_end(item);
	add_item(KIND_CALL, request->op, error, 0, 0);
}

static void api(struct request *request, size_t length)
{
	struct item *item = short_item(OP_API);

	call_api(request->family, (void *)request->data, length);
	short_end(item);
}

static int set_clock(uint64_t ns)
{
	struct timespec ts = { .tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000 };

	return clock_settime(CLOCK_REALTIME, &ts) ? errno : 0;
}

static void serve(int control)
{
	struct sockaddr_in peer;
	socklen_t peer_length = sizeof(peer);
	struct reply reply = { .magic = htobe32(REPLY_MAGIC) };
	ssize_t n = recvfrom(control, buffer, sizeof(buffer) - 1, 0, (void *)&peer, &peer_length);
	struct request *request = (void *)buffer;
	size_t data, text = 0;
	uint32_t error = 0;
	struct edges edges = { 0 };
	struct sockaddr_in to;
	char taint[24];

	drought_end();
	if (n < (ssize_t)sizeof(*request))
		return;
	buffer[n] = 0;
	if (be32toh(request->magic) != REQUEST_MAGIC)
		return;
	data = n - sizeof(*request);
	n_items = 0;

	switch (request->op) {
	case OP_COLLECT:
		collect();
		if (request->value)
			close_kept();
		break;
	case OP_ACCEPT:
	case OP_RECEIVE:
	case OP_TRANSMIT:
	case OP_SHUTDOWN:
	case OP_CLOSE:
	case OP_LOOK:
	case OP_DIAL:
		call(request, data);
		break;
	case OP_API:
		api(request, data);
		break;
	case OP_JOIN:
		api_wait_end();
		break;
	case OP_SHORTAGE:
		error = shortage_want(be64toh(request->value));
		break;
	case OP_DROUGHT:
		error = drought_begin(be64toh(request->value));
		break;
	case OP_SEND:
		to = peer;
		to.sin_port = request->port;
		error = send_datagram(request->family, to, request->data, data);
		break;
	case OP_CLOCK:
		error = set_clock(be64toh(request->value));
		break;
	case OP_WRITE:
		error = write_file(request->data, data);
		break;
	case OP_READ:
		error = read_file(request->data, reply.data, &text);
		break;
	case OP_HOLDINGS:
		error = holdings(request->value, reply.data, &text);
		break;
	case OP_KMEMLEAK:
		error = lost_memory(KMEMLEAK, reply.data, &text);
		break;
	case OP_EDGES:
		error = -edges_take(&edges);
		text = sprintf(reply.data, "%u %u", edges.taken, edges.fresh);
		break;
	case OP_EDGES_SEEN:
		edges_seen(request->data, data);
		break;
	case OP_GCOV:
		break;
	default:
		error = EOPNOTSUPP;
	}
	reply.seq = request->seq;
	reply.op = request->op;
	reply.items = htobe16(n_items);
	reply.error = htobe32(error);
	reply.drained = htobe64(now());
	if (n_items > MAX_ITEMS)
		n_items = MAX_ITEMS;
	if (request->op < OP_EDGES && request->op != OP_READ) {
		memcpy(reply.data, items, n_items * sizeof(struct item));
		text = n_items * sizeof(struct item);
		text += reread(stat_fd, reply.data + text, MAX_TEXT);
	}
	reply.done = htobe64(now());
	taint[reread(taint_fd, taint, sizeof(taint) - 1)] = 0;
	reply.taint = htobe64(strtoull(taint, NULL, 10));
	sendto(control, &reply, offsetof(struct reply, data) + text, 0, (void *)&peer,
	       peer_length);
	if (request->op == OP_EDGES && (edges.fresh || request->value))
		edges_write();
	if (request->op == OP_GCOV) {
		gcov_write();
		exit(0);
	}
}

int main(int argc, char **argv)
{
	struct api_peer peers[2];
	int family, port, control_port;
	/* Requests, connections to be echoed, and one of them at a time. */
	struct pollfd ready[3] = { [0 ... 2] = { .fd = -1, .events = POLLIN } };

	if (argc != 8) {
		fprintf(stderr, "usage: nst_target FAMILY PORT CONTROL-PORT INTERFACE PEER PEER6"
				" ECHO-PORT\n");
		return 2;
	}
	family = atoi(argv[1]);
	port = atoi(argv[2]);
	control_port = atoi(argv[3]);
	crc32_init();
	disable_gro(argv[4]);
	if (!peer_is(&peers[0], AF_INET, argv[5], port) ||
	    !peer_is(&peers[1], AF_INET6, argv[6], port)) {
		fprintf(stderr, "nst-target: no addresses: %s, %s\n", argv[5], argv[6]);
		return 2;
	}
	/* A broken connection is told by errno. */
	signal(SIGPIPE, SIG_IGN);

	stat_fd = open("/proc/net/nst_stat", O_RDONLY);
	if (stat_fd < 0)
		die("/proc/net/nst_stat");
	taint_fd = open("/proc/sys/kernel/tainted", O_RDONLY);
	if (taint_fd < 0)
		die("/proc/sys/kernel/tainted");
	open_sockets(family, port, peers);
	ready[0].fd = bound_socket(AF_INET, SOCK_DGRAM, 0, control_port);
	ready[1].fd = echo_listener(atoi(argv[7]));
	fprintf(stderr, "nst-target: ready\n");
	for (;;) {
		if (poll(ready, 3, -1) <= 0)
			continue;
		if (ready[0].revents)
			serve(ready[0].fd);
		if (ready[2].revents)
			ready[2].fd = echo(ready[2].fd);
		else if (ready[1].revents)
			ready[2].fd = accept(ready[1].fd, NULL, NULL);
		ready[1].events = ready[2].fd < 0 ? POLLIN : 0;
	}
}
