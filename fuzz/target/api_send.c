// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Sending in every way. What is sent follows from the call's value, so that the other end
 * can tell whether each byte came.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/udp.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <unistd.h>

#include "target.h"

#define CYCLE 251
/* In the value: also ask for segmentation, which would cut a record up. */
#define WITH_UDP_SEGMENT (1ull << 32)

static void fill(size_t size, unsigned int first)
{
	for (size_t i = 0; i < size; i++)
		api_arena[i] = (first + i) % CYCLE;
}

static int lay_out(const uint32_t *sizes, int count, struct iovec *iov, unsigned int first)
{
	size_t end = 0;

	for (int i = 0; i < count; i++) {
		iov[i] = (struct iovec){ .iov_base = api_arena + end, .iov_len = sizes[i] };
		end += sizes[i];
	}
	fill(end, first);
	return end;
}

static struct msghdr message(const struct api_peer *peer, struct iovec *iov, int count)
{
	return (struct msghdr){
		.msg_name = peer ? (void *)&peer->address : NULL,
		.msg_namelen = peer ? peer->length : 0,
		.msg_iov = iov,
		.msg_iovlen = count,
	};
}

static void send_message(int fd, const struct api_peer *peer, const struct api *api,
			 struct iovec *iov, int count)
{
	union {
		struct cmsghdr header;
		char room[CMSG_SPACE(sizeof(uint16_t))];
	} control = { };
	struct msghdr msg = message(peer, iov, count);
	uint16_t segment = 100;

	if (be64toh(api->value) & WITH_UDP_SEGMENT) {
		control.header = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(sizeof(segment)),
			.cmsg_level = SOL_UDP,
			.cmsg_type = UDP_SEGMENT,
		};
		memcpy(CMSG_DATA(&control.header), &segment, sizeof(segment));
		msg.msg_control = &control;
		msg.msg_controllen = sizeof(control);
	}
	api_result(API_SENDMSG, sendmsg(fd, &msg, be32toh(api->flags)), 0);
}

static void send_messages(int fd, const struct api_peer *peer, const struct api *api,
			  struct iovec *iov, int count)
{
	struct mmsghdr messages[API_SIZES_MAX] = { };
	int n;

	for (int i = 0; i < count; i++)
		messages[i].msg_hdr = message(peer, &iov[i], 1);
	n = sendmmsg(fd, messages, count, be32toh(api->flags));
	api_result(API_SENDMMSG, n, 0);
	for (int i = 0; i < n; i++)
		add_item(KIND_MESSAGE, API_SENDMMSG, 0, messages[i].msg_len, 0);
}

static void splice_in(int fd, const struct api *api, size_t size)
{
	int ends[2], error;
	ssize_t n = -1;

	if (pipe2(ends, O_NONBLOCK)) {
		api_result(API_SPLICE_IN, -1, 0);
		return;
	}
	if (write(ends[1], api_arena, size) == (ssize_t)size) {
		shortage_begin();
		n = splice(ends[0], NULL, fd, NULL, size, be32toh(api->flags));
	}
	error = errno;
	close(ends[0]);
	close(ends[1]);
	errno = error;
	api_result(API_SPLICE_IN, n, 0);
}

static void send_file(int fd, size_t size)
{
	int file = memfd_create("nst", 0), error;
	ssize_t n = -1;

	if (file >= 0 && write(file, api_arena, size) == (ssize_t)size &&
	    !lseek(file, 0, SEEK_SET)) {
		shortage_begin();
		n = sendfile(fd, file, NULL, size);
	}
	error = errno;
	close(file);
	errno = error;
	api_result(API_SENDFILE, n, 0);
}

struct writer {
	pthread_t thread;
	int fd, flags, error;
	size_t size, sent;
};

static void *run_writer(void *argument)
{
	struct writer *writer = argument;
	ssize_t n = 0;

	while (writer->sent < writer->size) {
		n = send(writer->fd, api_arena, writer->size - writer->sent, writer->flags);
		if (n <= 0)
			break;
		writer->sent += n;
	}
	writer->error = n < 0 ? errno : 0;
	return NULL;
}

/* All send the same byte: in which order theirs leave is chance. */
static void run_writers(int fd, const struct api *api, const uint32_t *sizes, int count)
{
	struct writer writers[API_SIZES_MAX];
	int started = 0, error = 0;
	size_t sent = 0;

	memset(api_arena, be64toh(api->value) % CYCLE, API_ARENA);
	for (; started < count; started++) {
		writers[started] = (struct writer){
			.fd = fd,
			.flags = be32toh(api->flags),
			.size = sizes[started],
		};
		if (pthread_create(&writers[started].thread, NULL, run_writer,
				   &writers[started]))
			break;
	}
	for (int i = 0; i < started; i++) {
		pthread_join(writers[i].thread, NULL);
		sent += writers[i].sent;
		if (writers[i].error > error)
			error = writers[i].error;
	}
	add_item(KIND_API, API_WRITERS, error, sent, 0);
}

void api_send(int fd, const struct api_peer *peer, const struct api *api, size_t rest)
{
	uint32_t sizes[API_SIZES_MAX];
	struct iovec iov[API_SIZES_MAX];
	int count = api_sizes(api, rest, sizes);
	size_t total;

	if (count < 0) {
		add_item(KIND_API, api->call, E2BIG, 0, 0);
		return;
	}
	total = lay_out(sizes, count, iov, (uint32_t)be64toh(api->value));
	api_lose(api, iov, count);
	switch (api->call) {
	case API_SENDMSG:
		send_message(fd, peer, api, iov, count);
		break;
	case API_WRITEV:
		api_result(API_WRITEV, writev(fd, iov, count), 0);
		break;
	case API_SENDMMSG:
		send_messages(fd, peer, api, iov, count);
		break;
	case API_SPLICE_IN:
		splice_in(fd, api, total);
		break;
	case API_SENDFILE:
		send_file(fd, total);
		break;
	case API_WRITERS:
		run_writers(fd, api, sizes, count);
		break;
	}
}
