// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Calls in which the kernel runs out of memory, or of a page to copy to or from:
 * /proc/thread-self/fail-nth (Documentation/fault-injection/fault-injection.rst).
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "target.h"

#define DEBUGFS "/sys/kernel/debug/"
#define FAIL_NTH "/proc/thread-self/fail-nth"

/* Those that may sleep fail, too, and do not put a stack in the log each time. */
static const char *const settings[][2] = {
	{ DEBUGFS "failslab/ignore-gfp-wait", "N" },
	{ DEBUGFS "failslab/verbose", "0" },
	{ DEBUGFS "fail_page_alloc/ignore-gfp-wait", "N" },
	{ DEBUGFS "fail_page_alloc/ignore-gfp-highmem", "N" },
	{ DEBUGFS "fail_page_alloc/min-order", "0" },
	{ DEBUGFS "fail_page_alloc/verbose", "0" },
	{ DEBUGFS "fail_usercopy/verbose", "0" },
};

static int fd = -1;
static unsigned int wanted;
static int begun;

/* 0, or an errno if the kernel injects no faults. */
int shortage_want(unsigned int nth)
{
	for (size_t i = 0; fd < 0 && i < sizeof(settings) / sizeof(settings[0]); i++) {
		int error = put_file(settings[i][0], settings[i][1], 1);

		if (error)
			return error;
	}
	/* A page of ours that is not there yet would be one of the call's allocations. */
	if (fd < 0 && mlockall(MCL_CURRENT))
		return errno;
	if (fd < 0)
		fd = open(FAIL_NTH, O_RDWR);
	if (fd < 0)
		return errno;
	wanted = nth;
	return 0;
}

int shortage_wanted(void)
{
	return wanted != 0;
}

void shortage_begin(void)
{
	char text[12];

	if (!wanted || begun)
		return;
	begun = 1;
	if (pwrite(fd, text, sprintf(text, "%u", wanted), 0) < 0)
		die(FAIL_NTH);
}

int shortage_end(void)
{
	char left[12] = "";
	int kept = errno, fired;

	wanted = 0;
	if (!begun)
		return 0;
	begun = 0;
	/* Copying the number to us may be what fails: then it did not come to that before. */
	fired = pread(fd, left, sizeof(left) - 1, 0) > 0 && !atoi(left);
	/* The same of copying the 0 from us; it fails once. */
	if (pwrite(fd, "0", 1, 0) < 0 && pwrite(fd, "0", 1, 0) < 0)
		die(FAIL_NTH);
	errno = kept;
	return fired;
}
