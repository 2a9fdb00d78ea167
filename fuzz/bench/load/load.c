// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The load generator of `nst-fuzz bench kmod`.
 *
 * It runs in a guest that counts instructions, alone on its only CPU, and reads commands
 * from standard input, a line each (fuzz/bench/loadguest.py writes them):
 *
 *	bulk TRANSPORT WRITE BYTES REPETITIONS		one end sends, another process receives
 *	file TRANSPORT CHUNK BYTES REPETITIONS		the same, by sendfile() from memory
 *	pingpong TRANSPORT SIZE COUNT REPETITIONS	one message there, one back
 *	setup TRANSPORT - COUNT REPETITIONS		open, a byte each way, close
 *	many TRANSPORT CONNECTIONS COUNT REPETITIONS	COUNT messages of 64 bytes, by turns
 *	sessions TRANSPORT SESSIONS COUNT REPETITIONS	the same by the last of so many senders
 *	lossy TRANSPORT LOST BYTES REPETITIONS		bulk in 16 KiB; so many of 1,000 packets lost
 *	parallel TRANSPORT CONNECTIONS BYTES REPETITIONS	bulk in 16 KiB on each, at once
 *	latency TRANSPORT SIZE COUNT -			round trips, each by itself
 *	keys COUNT					load a key box with so many keys
 *	sysctl NAME VALUE				of net.nst
 *	profile PERIOD PATH COMMAND...			write samples of what COMMAND does
 *	print PATH					a file's contents, and an empty line
 *
 * The answer is one line: "ok" and a number for each repetition, nanoseconds of the
 * guest's clock less those that the CPU was idle; or "error" and why, at the end. With
 * QEMU's -icount shift=0 a nanosecond is an instruction. "parallel" is for guests with
 * several CPUs, and tells all the time that passed.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

#define MANY_SIZE 64
#define FDS 40000

char *buffer;

void fail(const char *format, ...)
{
	va_list args;

	printf("error ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
	_exit(1);
}

uint64_t clock_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_RAW, &now);
	return now.tv_sec * 1000000000ull + now.tv_nsec;
}

/* How long the CPU has been idle. */
static uint64_t idle_ns(void)
{
	static char text[65536];
	ssize_t got, len = 0;
	const char *at;
	int fd = open("/proc/timer_list", O_RDONLY);

	if (fd < 0)
		fail("/proc/timer_list: %s", strerror(errno));
	while (len < (ssize_t)sizeof(text) - 1 &&
	       (got = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += got;
	close(fd);
	text[len] = 0;
	at = strstr(text, ".idle_sleeptime");
	if (!at)
		fail("/proc/timer_list says nothing of idle_sleeptime");
	return strtoull(strchr(at, ':') + 1, NULL, 10);
}

struct stretch begin(void)
{
	struct stretch stretch = {.idle = idle_ns()};

	stretch.start = clock_ns();
	return stretch;
}

void end_and_tell(const struct stretch *stretch)
{
	uint64_t taken = clock_ns() - stretch->start;

	printf(" %llu", (unsigned long long)(taken - (idle_ns() - stretch->idle)));
}

/* One message of @len bytes from one end to the other. */
static void pass(const struct end *from, const struct end *to, size_t len)
{
	end_send(from, buffer, len);
	end_receive_all(to, buffer, len);
}

static void run_pingpong(const struct job *job)
{
	struct end client, server;
	unsigned int i;
	size_t n;

	ends_open(job->transport, &client, &server);
	for (i = 0; i < job->repetitions; i++) {
		struct stretch stretch = begin();

		for (n = 0; n < job->count; n++) {
			pass(&client, &server, job->size);
			pass(&server, &client, job->size);
		}
		end_and_tell(&stretch);
	}
	end_close(&client);
	end_close(&server);
}

static void run_latency(const struct job *job)
{
	struct end client, server;
	uint64_t *taken = calloc(job->count, sizeof(*taken));
	size_t n;

	ends_open(job->transport, &client, &server);
	for (n = 0; n < job->count; n++) {
		uint64_t start = clock_ns();

		pass(&client, &server, job->size);
		pass(&server, &client, job->size);
		taken[n] = clock_ns() - start;
	}
	for (n = 0; n < job->count; n++)
		printf(" %llu", (unsigned long long)taken[n]);
	free(taken);
	end_close(&client);
	end_close(&server);
}

static void run_setup(const struct job *job)
{
	unsigned int i;
	size_t n;

	for (i = 0; i < job->repetitions; i++) {
		struct stretch stretch = begin();

		for (n = 0; n < job->count; n++) {
			struct end client, server;

			ends_open(job->transport, &client, &server);
			pass(&client, &server, 1);
			pass(&server, &client, 1);
			end_close(&client);
			end_close(&server);
		}
		end_and_tell(&stretch);
	}
}

/* Messages by turns over @job->size connections; with @used by the last of them only. */
static void run_many(const struct job *job, size_t used)
{
	struct end *clients = calloc(job->size, sizeof(*clients));
	struct end *servers = calloc(job->size, sizeof(*servers));
	unsigned int i;
	size_t n;

	for (n = 0; n < job->size; n++) {
		ends_open(job->transport, &clients[n], &servers[n]);
		/* First records have costs of their own. */
		pass(&clients[n], &servers[n], MANY_SIZE);
	}
	for (i = 0; i < job->repetitions; i++) {
		struct stretch stretch = begin();

		for (n = 0; n < job->count; n++)
			pass(&clients[job->size - 1 - n % used], &servers[job->size - 1 - n % used],
			     MANY_SIZE);
		end_and_tell(&stretch);
	}
	for (n = 0; n < job->size; n++) {
		end_close(&clients[n]);
		end_close(&servers[n]);
	}
	free(clients);
	free(servers);
}

static void load_keys(size_t count)
{
	char *text = malloc(count * 80 + 1), *at = text;
	size_t kid, i;
	int fd;

	for (kid = 0; kid < count; kid++) {
		at += sprintf(at, "%zu ", kid);
		/* Nobody's secrets. */
		for (i = 0; i < 4; i++)
			at += sprintf(at, "%016llx", (kid + 1) * 0x9e3779b97f4a7c15ull * (i + 1));
		*at++ = '\n';
	}
	fd = open("/proc/net/nst_keybox", O_WRONLY);
	if (fd < 0 || write(fd, text, at - text) != at - text)
		fail("the key box was refused: %s", strerror(errno));
	close(fd);
	free(text);
}

static void set_sysctl(const char *name, const char *value)
{
	char path[64];
	int fd;

	snprintf(path, sizeof(path), "/proc/sys/net/nst/%s", name);
	fd = open(path, O_WRONLY);
	if (fd < 0 || write(fd, value, strlen(value)) < 0)
		fail("%s: %s", path, strerror(errno));
	close(fd);
}

static void print_file(const char *path)
{
	char part[65536];
	FILE *file = fopen(path, "r");
	size_t got;

	if (!file)
		fail("%s: %s", path, strerror(errno));
	while ((got = fread(part, 1, sizeof(part), file)))
		fwrite(part, 1, got, stdout);
	fclose(file);
	printf("\n");
}

static void run(const struct job *job)
{
	printf("ok");
	if (!strcmp(job->kind, "bulk"))
		run_bulk(job, false);
	else if (!strcmp(job->kind, "file"))
		run_bulk(job, true);
	else if (!strcmp(job->kind, "lossy"))
		run_lossy(job);
	else if (!strcmp(job->kind, "parallel"))
		run_parallel(job);
	else if (!strcmp(job->kind, "pingpong"))
		run_pingpong(job);
	else if (!strcmp(job->kind, "latency"))
		run_latency(job);
	else if (!strcmp(job->kind, "setup"))
		run_setup(job);
	else if (!strcmp(job->kind, "many"))
		run_many(job, job->size);
	else if (!strcmp(job->kind, "sessions"))
		run_many(job, 1);
	else
		fail("no job %s", job->kind);
	printf("\n");
}

static void command(char *line)
{
	unsigned long long size, count, period;
	char kind[32], name[32], value[32], path[64];
	unsigned int repetitions;
	int rest = 0;

	if (sscanf(line, "keys %llu", &count) == 1) {
		load_keys(count);
		printf("ok\n");
	} else if (sscanf(line, "sysctl %31s %31s", name, value) == 2) {
		set_sysctl(name, value);
		printf("ok\n");
	} else if (sscanf(line, "print %63s", path) == 1) {
		print_file(path);
	} else if (sscanf(line, "profile %llu %63s %n", &period, path, &rest) == 2 && rest) {
		profile_start(period);
		command(line + rest);
		profile_stop(path);
	} else if (sscanf(line, "%31s %31s %llu %llu %u", kind, name, &size, &count,
			  &repetitions) == 5) {
		struct job job = {kind, transport_find(name), size, count, repetitions};

		run(&job);
	} else {
		fail("not understood: %s", line);
	}
}

int main(void)
{
	struct rlimit fds = {FDS, FDS};
	char line[256];

	setrlimit(RLIMIT_NOFILE, &fds);
	buffer = mmap(NULL, BUFFER_BYTES, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (buffer == MAP_FAILED)
		fail("no memory");
	while (fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = 0;
		command(line);
		fflush(stdout);
	}
	return 0;
}
