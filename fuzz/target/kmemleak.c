// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What kmemleak reports as lost (Documentation/dev-tools/kmemleak.rst) of what the module, or
 * who it called, allocated. The kernel's own losses do not count.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "target.h"

#define OURS " [nst]"
#define DUMP "  hex dump"
#define TRACE "  backtrace"

/* What is kept of one report. */
struct report {
	char text[MAX_TEXT - sizeof("4294967295\n")];
	size_t length;
	bool ours, dumping;
};

/* What lay in the memory is left out: it may be a key. */
static void add_line(struct report *report, const char *line)
{
	size_t length = strlen(line);

	if (!strncmp(line, DUMP, strlen(DUMP)))
		report->dumping = true;
	else if (!strncmp(line, TRACE, strlen(TRACE)))
		report->dumping = false;
	if (report->dumping)
		return;
	report->ours |= strstr(line, OURS) != NULL;
	if (length > sizeof(report->text) - report->length)
		length = sizeof(report->text) - report->length;
	memcpy(report->text + report->length, line, length);
	report->length += length;
}

/* How many objects on one line, and the first one's report; 0 or an errno. */
int lost_memory(const char *path, char *out, size_t *length)
{
	struct report first = { .length = 0 }, report = { .length = 0 };
	FILE *file = fopen(path, "r");
	unsigned int objects = 0;
	size_t room = 0;
	char *line = NULL;
	bool more = true;
	int error;

	*length = 0;
	if (!file)
		return errno;
	/* There may be more of them than memory to hold them all. */
	while (more) {
		more = getline(&line, &room, file) > 0;
		if (!more || *line != ' ') { /* the one before is over */
			if (report.ours && !objects++)
				first = report;
			report = (struct report){ .length = 0 };
		}
		if (more)
			add_line(&report, line);
	}
	error = feof(file) ? 0 : errno;
	free(line);
	fclose(file);
	*length = sprintf(out, "%u\n", objects);
	memcpy(out + *length, first.text, first.length);
	*length += first.length;
	return error;
}
