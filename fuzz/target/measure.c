// SPDX-License-Identifier: GPL-2.0-or-later
/* What of the module's code has run: its map of edges, and gcov's files. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "measure.h"

#define MAP_PATH "/sys/kernel/debug/nst_edges/map"
#define MAP_SIZE 65536
#define GCOV_PATH "/sys/kernel/debug/gcov"
#define OPEN_DIRS 8

static uint8_t *map;
static uint8_t seen[MAP_SIZE];
static uint8_t taken[MAP_SIZE * 3];
static size_t n_taken;

static void put(const void *data, size_t length)
{
	const char *at = data;

	while (length) {
		ssize_t n = write(STDOUT_FILENO, at, length);

		if (n < 0) {
			fprintf(stderr, "nst-target: control: %s\n", strerror(errno));
			exit(1);
		}
		at += n;
		length -= n;
	}
}

static int map_open(void)
{
	int fd = open(MAP_PATH, O_RDWR);
	void *at;

	if (fd < 0)
		return -errno;
	at = mmap(NULL, MAP_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	if (at == MAP_FAILED)
		return -errno;
	map = at;
	return 0;
}

int edges_take(struct edges *edges)
{
	int error = map ? 0 : map_open();

	n_taken = 0;
	edges->fresh = 0;
	for (size_t i = 0; !error && i < MAP_SIZE; i += 8) {
		uint64_t some;

		memcpy(&some, map + i, 8);
		for (size_t j = i; some && j < i + 8; j++) {
			uint8_t often;

			if (!map[j])
				continue;
			often = 1 << (31 - __builtin_clz(map[j]));
			edges->fresh += !(seen[j] & often);
			seen[j] |= often;
			taken[n_taken++] = j >> 8;
			taken[n_taken++] = j & 0xff;
			taken[n_taken++] = often;
		}
		if (some)
			memset(map + i, 0, 8);
	}
	edges->taken = n_taken / 3;
	return error;
}

void edges_write(void)
{
	put(taken, n_taken);
}

void edges_seen(const char *data, size_t length)
{
	const uint8_t *at = (const uint8_t *)data;

	for (; length >= 3; at += 3, length -= 3)
		seen[at[0] << 8 | at[1]] |= at[2];
}

static int gcov_put(const char *path, const struct stat *status, int type, struct FTW *where)
{
	static uint8_t contents[1 << 20];
	size_t length = 0, named = strlen(path);
	uint8_t head[2] = { named >> 8, named }, size[4];
	ssize_t n;
	int fd;

	(void)status;
	(void)where;
	/* Beside each data file is a link to the notes of the compiler. */
	if (type != FTW_F || named < 5 || strcmp(path + named - 5, ".gcda"))
		return 0;
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return 0;
	while (length < sizeof(contents) &&
	       (n = read(fd, contents + length, sizeof(contents) - length)) > 0)
		length += n;
	close(fd);
	for (int i = 0; i < 4; i++)
		size[i] = length >> (24 - 8 * i);
	put(head, sizeof(head));
	put(path, named);
	put(size, sizeof(size));
	put(contents, length);
	return 0;
}

void gcov_write(void)
{
	const uint8_t end[2] = { 0, 0 };

	/* Sockets and files of /proc hold the module; its data outlive it. */
	close_range(STDERR_FILENO + 1, ~0U, 0);
	if (syscall(SYS_delete_module, "nst", O_NONBLOCK))
		fprintf(stderr, "nst-target: the module stays: %s\n", strerror(errno));
	nftw(GCOV_PATH, gcov_put, OPEN_DIRS, FTW_PHYS);
	put(end, sizeof(end));
}
