/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What of the module's code has run, for fuzz/coverage/guest.py.
 *
 * What is too long for a reply goes to stdout, the guest's control channel, after it.
 */
#ifndef NST_TARGET_MEASURE_H
#define NST_TARGET_MEASURE_H

#include <stddef.h>

/* Counts the edges taken since the last time, and those of them never seen before. */
struct edges {
	unsigned int taken;
	unsigned int fresh;
};

/*
 * Read the map of edges and clear it; a negative errno if there is none. If there are
 * fresh ones, edges_write() then writes all that were taken, 3 bytes each: number
 * (2, big-endian) and how often, as the highest bit of the count.
 */
int edges_take(struct edges *edges);
void edges_write(void);

/* Hold these, written as above, for seen. */
void edges_seen(const char *data, size_t length);

/*
 * Close all files but the standard ones, have the module unloaded, which is a part of it
 * as well, and write all of gcov's data files: length of the path (2), path, length (4),
 * contents; a path of length 0 is the end.
 */
void gcov_write(void);

#endif
