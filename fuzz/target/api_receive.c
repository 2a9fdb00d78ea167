// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Receiving in every way: where each byte lands is told by the CRC-32 of all the buffers
 * and of what lies between them.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "target.h"

#define GUARD 8
#define FILL 0xa5
#define PEEKS 40

/* Buffers with a guard before, between and after them; returns the end of it all. */
static size_t lay_out(const uint32_t *sizes, int count, struct iovec *iov)
{
	size_t end = GUARD;

	for (int i = 0; i < count; i++) {
		iov[i] = (struct iovec){ .iov_base = api_arena + end, .iov_len = sizes[i] };
		end += sizes[i] + GUARD;
	}
	memset(api_arena, FILL, end);
	return end;
}

static void receive_message(int fd, int flags, struct iovec *iov, int count, size_t end)
{
	struct sockaddr_in6 name;
	/* What comes in it, the time, is up to the kernel. */
	char control[256];
	struct msghdr msg = {
		.msg_name = &name,
		.msg_namelen = sizeof(name),
		.msg_iov = iov,
		.msg_iovlen = count,
		.msg_control = control,
		.msg_controllen = sizeof(control),
	};
	ssize_t n = recvmsg(fd, &msg, flags);

	api_result(API_RECVMSG, n, crc32(0, api_arena, end));
	if (n >= 0)
		add_item(KIND_MESSAGE, API_RECVMSG, 0, msg.msg_flags, msg.msg_namelen);
}

static void receive_vector(int fd, struct iovec *iov, int count, size_t end)
{
	ssize_t n = readv(fd, iov, count);

	api_result(API_READV, n, crc32(0, api_arena, end));
}

static void receive_messages(int fd, int flags, struct iovec *iov, int count, size_t end)
{
	struct mmsghdr messages[API_SIZES_MAX] = { };
	socklen_t length = sizeof(int);
	int pending, n;

	for (int i = 0; i < count; i++)
		messages[i].msg_hdr = (struct msghdr){ .msg_iov = &iov[i], .msg_iovlen = 1 };
	/* It would tell of an error that is pending in place of data, and take it. */
	getsockopt(fd, SOL_SOCKET, SO_ERROR, &pending, &length);
	n = recvmmsg(fd, messages, count, flags, NULL);
	api_result(API_RECVMMSG, n, crc32(0, api_arena, end));
	for (int i = 0; i < n; i++)
		add_item(KIND_MESSAGE, API_RECVMMSG, 0, messages[i].msg_len,
			 messages[i].msg_hdr.msg_flags);
}

static void splice_out(int fd, int flags, size_t size)
{
	ssize_t n, got = 0, part;
	int ends[2], error;

	if (pipe2(ends, O_NONBLOCK)) {
		api_result(API_SPLICE_OUT, -1, 0);
		return;
	}
	n = splice(fd, NULL, ends[1], NULL, size, flags);
	error = errno;
	while (got < n && (part = read(ends[0], api_arena + got, n - got)) > 0)
		got += part;
	close(ends[0]);
	close(ends[1]);
	errno = error;
	/* What is missing in the pipe shows in the CRC. */
	api_result(API_SPLICE_OUT, n, crc32(0, api_arena, got));
}

struct reader {
	pthread_t thread;
	int fd, flags, error;
	uint32_t size;
	int peeks; /* that it does, and nothing else; 0 if it takes what it reads */
	int stream;
	uint32_t length, sum;
};

static void *run_reader(void *argument)
{
	struct reader *reader = argument;
	char *data = malloc(reader->size);
	ssize_t n = 0;

	for (int i = 0; data && (!reader->peeks || i < reader->peeks); i++) {
		n = recv(reader->fd, data, reader->size,
			 reader->flags | (reader->peeks ? MSG_PEEK : 0));
		if (n < 0 || (!n && reader->stream))
			break;
		/* Who gets which byte is chance: the sum does not depend on it. */
		for (ssize_t at = 0; at < n && !reader->peeks; at++)
			reader->sum += crc32(0, data + at, 1);
		reader->length += reader->peeks ? 0 : n;
	}
	reader->error = n < 0 ? errno : 0;
	free(data);
	return NULL;
}

static void run_readers(int fd, const struct api *api, const uint32_t *sizes, int count)
{
	struct reader readers[API_SIZES_MAX];
	uint32_t length = 0, sum = 0;
	socklen_t option = sizeof(int);
	int started = 0, error = 0, type = 0;

	getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &option);
	for (; started < count; started++) {
		readers[started] = (struct reader){
			.fd = fd,
			.flags = be32toh(api->flags),
			.size = sizes[started],
			/* The last one, on request. */
			.peeks = be64toh(api->value) && started + 1 == count ? PEEKS : 0,
			.stream = type == SOCK_STREAM,
		};
		if (pthread_create(&readers[started].thread, NULL, run_reader,
				   &readers[started]))
			break;
	}
	for (int i = 0; i < started; i++) {
		pthread_join(readers[i].thread, NULL);
		length += readers[i].length;
		sum += readers[i].sum;
		if (!readers[i].peeks && readers[i].error > error)
			error = readers[i].error;
	}
	add_item(KIND_API, API_READERS, error, length, sum);
}

void api_receive(int fd, const struct api *api, size_t rest)
{
	uint32_t sizes[API_SIZES_MAX];
	struct iovec iov[API_SIZES_MAX];
	int count = api_sizes(api, rest, sizes);
	int flags = be32toh(api->flags);
	size_t end;

	if (count < 0) {
		add_item(KIND_API, api->call, E2BIG, 0, 0);
		return;
	}
	switch (api->call) {
	case API_SPLICE_OUT:
		splice_out(fd, flags, count ? sizes[0] : 0);
		return;
	case API_READERS:
		run_readers(fd, api, sizes, count);
		return;
	}
	end = lay_out(sizes, count, iov);
	api_lose(api, iov, count);
	switch (api->call) {
	case API_RECVMSG:
		receive_message(fd, flags, iov, count, end);
		break;
	case API_READV:
		receive_vector(fd, iov, count, end);
		break;
	case API_RECVMMSG:
		receive_messages(fd, flags, iov, count, end);
		break;
	}
}
