// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What the kernel holds: objects by slab cache, sockets, references to the module. Exact,
 * once nothing is on its way to be freed any more and no processor keeps slabs for itself.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/membarrier.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "target.h"

#define SLABINFO "/proc/slabinfo"
#define SETTLE_US 30000

/* Caches that a network protocol takes from, by the beginnings of their names. */
static const char *const caches[] = {
	"kmalloc-", "TCP", "UDP", "tw_sock_TCP", "request_sock_TCP", "sock_inode_cache",
	"skbuff_", "filp", "ip_dst_cache", "ip6_dst_cache",
};

static char text[1 << 16];

static int is_watched(const char *name)
{
	/* They hold other things than kmalloc()'s callers ask for, at all times. */
	if (!strncmp(name, "kmalloc-rcl-", 12) || !strncmp(name, "dma-", 4))
		return 0;
	for (size_t i = 0; i < sizeof(caches) / sizeof(caches[0]); i++)
		if (!strncmp(name, caches[i], strlen(caches[i])))
			return 1;
	return 0;
}

static int put(const char *path, const char *what)
{
	int fd = open(path, O_WRONLY), error = 0;

	if (fd < 0)
		return errno;
	if (write(fd, what, strlen(what)) < 0)
		error = errno;
	close(fd);
	return error;
}

/* All of a file, as a string in a buffer that the next call uses again. */
static int slurp(const char *path)
{
	int fd = open(path, O_RDONLY);

	if (fd < 0)
		return errno;
	text[reread(fd, text, sizeof(text) - 1)] = 0;
	close(fd);
	return 0;
}

/* What waits for a grace period is freed, kfree_rcu()'s batches among it. */
static void settle(void)
{
	for (int i = 0; i < 2; i++) {
		put("/proc/sys/vm/drop_caches", "2");
		syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
		usleep(SETTLE_US);
	}
}

static int shrink(void)
{
	char path[128], name[64];
	const char *line;
	int error = slurp(SLABINFO);

	for (line = text; !error && line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, "%63s", name) == 1 && is_watched(name)) {
			snprintf(path, sizeof(path), "/sys/kernel/slab/%s/shrink", name);
			error = put(path, "1");
		}
	}
	return error;
}

/* The number behind the words @name in @path; 0 if it is not there. */
static unsigned long number(const char *path, const char *name)
{
	const char *found;

	if (slurp(path))
		return 0;
	found = strstr(text, name);
	return found ? strtoul(found + strlen(name), NULL, 10) : 0;
}

/*
 * Lines of a name and a number; 0 or an errno. If @at_once nothing is waited for, and the
 * numbers are no less than what is really held.
 */
int holdings(bool at_once, char *out, size_t *length)
{
	unsigned long sockets, references, unreclaimable;
	unsigned long objects;
	const char *line;
	char name[64];
	int error;

	*length = 0;
	if (!at_once) {
		settle();
		error = shrink();
		if (error)
			return error;
	}
	sockets = number("/proc/net/sockstat", "sockets: used");
	references = number("/sys/module/nst/refcnt", "");
	unreclaimable = number("/proc/meminfo", "SUnreclaim:");
	*length = snprintf(out, MAX_TEXT, "sockets %lu\nreferences %lu\nunreclaimable %lu\n",
			   sockets, references, unreclaimable);
	error = slurp(SLABINFO);
	for (line = text; !error && line && *line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (sscanf(line, "%63s %lu", name, &objects) != 2 || !is_watched(name))
			continue;
		*length += snprintf(out + *length, MAX_TEXT - *length, "%s %lu\n", name, objects);
		if (*length >= MAX_TEXT)
			return E2BIG;
	}
	return error;
}
