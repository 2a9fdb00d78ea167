// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Where the instructions go: the kernel's own sampling by CPU clock, which in a guest that
 * counts instructions is a sample every so many of them. Samples are written as they are
 * (instruction pointers, innermost first, a line each); names are given on the host.
 */
#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "load.h"

#define RING_PAGES 8192
#define PAGE 4096
#define DEPTH_MAX 127

static int counter = -1;
static struct perf_event_mmap_page *ring;

void profile_start(uint64_t period_ns)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = period_ns,
		.sample_type = PERF_SAMPLE_CALLCHAIN,
		.exclude_idle = 1,
		.sample_max_stack = DEPTH_MAX,
	};

	counter = syscall(SYS_perf_event_open, &attr, -1, 0, -1, PERF_FLAG_FD_CLOEXEC);
	if (counter < 0)
		fail("perf_event_open: %s", strerror(errno));
	ring = mmap(NULL, (RING_PAGES + 1) * PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, counter, 0);
	if (ring == MAP_FAILED)
		fail("mmap of the samples: %s", strerror(errno));
}

/* What perf_event_open(2) calls PERF_CONTEXT_*: a marker, not an address. */
static bool is_marker(uint64_t ip)
{
	return ip >= (uint64_t)PERF_CONTEXT_MAX;
}

static void write_sample(FILE *file, const uint64_t *body)
{
	uint64_t i, count = body[0];

	for (i = 1; i <= count; i++)
		if (!is_marker(body[i]))
			fprintf(file, "%llx ", (unsigned long long)body[i]);
	fputc('\n', file);
}

void profile_stop(const char *path)
{
	const char *data = (const char *)ring + PAGE;
	uint64_t at = 0, size = (uint64_t)RING_PAGES * PAGE;
	FILE *file;

	ioctl(counter, PERF_EVENT_IOC_DISABLE, 0);
	file = fopen(path, "w");
	if (!file)
		fail("%s: %s", path, strerror(errno));
	/* A full ring drops samples at its end: what is there is whole. */
	while (at < ring->data_head) {
		struct perf_event_header header;
		uint64_t body[DEPTH_MAX + 16];
		size_t i, len;

		for (i = 0; i < sizeof(header); i++)
			((char *)&header)[i] = data[(at + i) % size];
		len = header.size - sizeof(header);
		if (header.type == PERF_RECORD_SAMPLE && len <= sizeof(body)) {
			for (i = 0; i < len; i++)
				((char *)body)[i] = data[(at + sizeof(header) + i) % size];
			write_sample(file, body);
		}
		at += header.size;
	}
	fclose(file);
	munmap(ring, (RING_PAGES + 1) * PAGE);
	close(counter);
	counter = -1;
}
