// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Bytes in one direction: a process sends, another receives.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"

#define FILE_BYTES (1 << 20)
#define FILE_RECEIVE (64 << 10)
#define BULK_SIZE (16 << 10)

/* A file of FILE_BYTES in memory. */
static int memory_file(void)
{
	static int fd = -1;

	if (fd < 0) {
		fd = memfd_create("load", MFD_CLOEXEC);
		if (fd < 0 || write(fd, buffer, FILE_BYTES) != FILE_BYTES)
			fail("memfd: %s", strerror(errno));
	}
	return fd;
}

static void send_file(const struct end *end, size_t chunk)
{
	off_t at = 0;

	if (sendfile(end->fd, memory_file(), &at, chunk) != (ssize_t)chunk)
		fail("sendfile: %s", strerror(errno));
}

/* The process at the other end; tells after each repetition that all has come. */
static void receiver(const struct job *job, const struct end *end, size_t part, int tell)
{
	unsigned int i;

	for (i = 0; i < job->repetitions; i++) {
		size_t left = job->count;

		while (left)
			left -= end_receive(end, buffer, left < part ? left : part);
		if (write(tell, "", 1) != 1)
			_exit(1);
	}
	_exit(0);
}

static void carry(const struct job *job, bool file, struct end *client, struct end *server)
{
	int told[2], status;
	unsigned int i;
	pid_t child;

	if (!job->size || job->size > BUFFER_BYTES || job->count % job->size)
		fail("bytes are not a multiple of the size, or it is over 1 MiB");
	if (file)
		memory_file();
	if (pipe(told))
		fail("pipe: %s", strerror(errno));
	fflush(stdout);
	child = fork();
	if (!child)
		receiver(job, server, file ? FILE_RECEIVE : job->size, told[1]);
	for (i = 0; i < job->repetitions; i++) {
		struct stretch stretch = begin();
		size_t left;
		char byte;

		for (left = job->count; left; left -= job->size)
			if (file)
				send_file(client, job->size);
			else
				end_send(client, buffer, job->size);
		if (read(told[0], &byte, 1) != 1)
			fail("the receiver died");
		end_and_tell(&stretch);
	}
	waitpid(child, &status, 0);
	close(told[0]);
	close(told[1]);
	end_close(client);
	close(server->fd);
}

void run_bulk(const struct job *job, bool file)
{
	struct end client, server;

	ends_open(job->transport, &client, &server);
	carry(job, file, &client, &server);
}

/* Nothing is lost before the connection is open. */
void run_lossy(const struct job *job)
{
	struct job bulk = *job;
	struct end client, server;

	bulk.size = BULK_SIZE;
	loss_shape();
	ends_open(job->transport, &client, &server);
	loss_start(job->size);
	carry(&bulk, false, &client, &server);
	loss_stop();
}

/* A process for each end; returns when all bytes of all connections have come. */
static void carry_at_once(const struct job *job, const struct end *clients,
			  const struct end *servers)
{
	struct job one = {.count = job->count, .repetitions = 1};
	int told[2], status;
	size_t n, left;

	if (pipe(told))
		fail("pipe: %s", strerror(errno));
	fflush(stdout);
	for (n = 0; n < job->size; n++) {
		if (!fork())
			receiver(&one, &servers[n], BULK_SIZE, told[1]);
		if (!fork()) {
			for (left = job->count; left; left -= BULK_SIZE)
				end_send(&clients[n], buffer, BULK_SIZE);
			_exit(0);
		}
	}
	while (wait(&status) > 0)
		if (status)
			fail("a process at an end died");
	close(told[0]);
	close(told[1]);
}

void run_parallel(const struct job *job)
{
	struct end *clients = calloc(job->size, sizeof(*clients));
	struct end *servers = calloc(job->size, sizeof(*servers));
	unsigned int i;
	size_t n;

	if (job->count % BULK_SIZE)
		fail("bytes are not a multiple of 16 KiB");
	for (n = 0; n < job->size; n++)
		ends_open(job->transport, &clients[n], &servers[n]);
	for (i = 0; i < job->repetitions; i++) {
		uint64_t start = clock_ns();

		carry_at_once(job, clients, servers);
		printf(" %llu", (unsigned long long)(clock_ns() - start));
	}
	for (n = 0; n < job->size; n++) {
		end_close(&clients[n]);
		end_close(&servers[n]);
	}
	free(clients);
	free(servers);
}
