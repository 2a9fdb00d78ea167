// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * No memory for what the kernel does by itself: failslab, without a task to fail in
 * (Documentation/fault-injection/fault-injection.rst).
 *
 * Only what is allocated with kmalloc() fails. Packets have slab caches of their own, so that
 * what is sent to us arrives, and the module sees it.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "target.h"

#define FAILSLAB "/sys/kernel/debug/failslab/"
#define CACHES "/sys/kernel/slab/"
/* Bytes. */
#define UNIT 64
/* For work items that are due: what they do is to meet the drought. */
#define WORK_US 1000

/* Who is to fail at such a one does not fail before: our own calls, a reply above all. */
#define FAR_OFF "2000000000"

enum { SPARED, FILTER, SPACE, TIMES, PROBABILITY, SETTINGS };

static const char *const paths[SETTINGS] = {
	[SPARED] = "/proc/thread-self/fail-nth",
	[FILTER] = FAILSLAB "cache-filter",
	[SPACE] = FAILSLAB "space",
	[TIMES] = FAILSLAB "times",
	[PROBABILITY] = FAILSLAB "probability",
};

static int fds[SETTINGS];
static int prepared, begun;

/* Has those that kmalloc() takes from be the ones that fail. */
static int mark_caches(void)
{
	DIR *caches = opendir(CACHES);
	const struct dirent *cache;
	char path[sizeof(CACHES "/failslab") + sizeof(cache->d_name)];
	int error = caches ? ENOENT : errno;

	while (caches && (cache = readdir(caches))) {
		if (strncmp(cache->d_name, "kmalloc-", strlen("kmalloc-")))
			continue;
		sprintf(path, CACHES "%s/failslab", cache->d_name);
		error = put_file(path, "1", 1);
		if (error)
			break;
	}
	if (caches)
		closedir(caches);
	return error;
}

static int prepare(void)
{
	int error;

	error = put_file(FAILSLAB "ignore-gfp-wait", "N", 1);
	error = error ? error : put_file(FAILSLAB "verbose", "0", 1);
	error = error ? error : mark_caches();
	for (int i = 0; !error && i < SETTINGS; i++) {
		fds[i] = open(paths[i], O_WRONLY);
		if (fds[i] < 0)
			error = errno;
	}
	return error;
}

static void put(int setting, const char *value)
{
	if (write(fds[setting], value, strlen(value)) < 0)
		die(paths[setting]);
}

int drought_begin(unsigned int units)
{
	int error = prepared ? 0 : prepare();
	char space[12];

	if (error)
		return error;
	prepared = 1;
	sprintf(space, "%u", units * UNIT);
	put(SPARED, FAR_OFF);
	put(FILTER, "Y");
	put(SPACE, space);
	put(TIMES, "-1");
	put(PROBABILITY, "100");
	begun = 1;
	return 0;
}

void drought_end(void)
{
	if (!begun)
		return;
	begun = 0;
	usleep(WORK_US);
	put(PROBABILITY, "0");
	put(FILTER, "N");
	put(SPARED, "0");
}
