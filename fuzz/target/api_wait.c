// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A reader that waits, and what happens to it meanwhile.
 */
#define _GNU_SOURCE
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "target.h"

#define ENABLED "/proc/sys/net/nst/enabled"
#define PAUSE_US 1000

struct waiter {
	pthread_t thread;
	int fd, flags, error;
	size_t size;
	ssize_t length;
	atomic_int tid;
	atomic_bool done;
};

static void *run_waiter(void *argument)
{
	struct waiter *waiter = argument;

	/* From here on it sleeps for nothing but what comes. */
	waiter->tid = gettid();
	waiter->length = recv(waiter->fd, api_arena, waiter->size, waiter->flags);
	waiter->error = errno;
	waiter->done = true;
	return NULL;
}

static bool asleep(int tid)
{
	char path[64], stat[128];
	const char *state;
	size_t length;
	int fd;

	snprintf(path, sizeof(path), "/proc/self/task/%d/stat", tid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return false;
	length = reread(fd, stat, sizeof(stat) - 1);
	close(fd);
	stat[length] = 0;
	state = strrchr(stat, ')');
	return state && state[1] == ' ' && state[2] == 'S';
}

static void nothing(int number)
{
	(void)number;
}

static void set_enabled(int enabled)
{
	char setting[] = ENABLED "\0" "0";

	setting[sizeof(ENABLED)] += enabled;
	write_file(setting, sizeof(setting) - 1);
}

static void happen(const struct waiter *waiter, uint64_t event)
{
	/* It interrupts the call, and does not have it begun again. */
	struct sigaction interrupt = { .sa_handler = nothing };

	switch (event) {
	case EVENT_SIGNAL:
		sigaction(SIGUSR1, &interrupt, NULL);
		/* Before the call it does nothing. */
		while (!waiter->done) {
			pthread_kill(waiter->thread, SIGUSR1);
			usleep(PAUSE_US);
		}
		break;
	case EVENT_SHUT_READING:
		shutdown(waiter->fd, SHUT_RD);
		break;
	case EVENT_SHUT_BOTH:
		shutdown(waiter->fd, SHUT_RDWR);
		break;
	case EVENT_DISABLED:
		set_enabled(0);
		shutdown(waiter->fd, SHUT_RD);
		break;
	}
}

static struct waiter waiter;
static bool waits;

void api_wait_end(void)
{
	if (!waits)
		return;
	waits = false;
	pthread_join(waiter.thread, NULL);
	errno = waiter.error;
	api_result(API_WAITER, waiter.length,
		   crc32(0, api_arena, waiter.length < 0 ? 0 : waiter.length));
}

void api_wait(int fd, const struct api *api, size_t rest)
{
	uint64_t event = be64toh(api->value);
	uint32_t sizes[API_SIZES_MAX];

	if (api_sizes(api, rest, sizes) != 1) {
		add_item(KIND_API, API_WAITER, EINVAL, 0, 0);
		return;
	}
	waiter = (struct waiter){ .fd = fd, .flags = be32toh(api->flags), .size = sizes[0] };
	if (pthread_create(&waiter.thread, NULL, run_waiter, &waiter)) {
		add_item(KIND_API, API_WAITER, EAGAIN, 0, 0);
		return;
	}
	waits = true;
	while (!waiter.done && !(waiter.tid && asleep(waiter.tid)))
		usleep(PAUSE_US);
	if (event == EVENT_FRAMES)
		return;
	happen(&waiter, event);
	api_wait_end();
	if (event == EVENT_DISABLED)
		set_enabled(1);
}
