// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Files of the guest, read and written whole.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "target.h"

int put_file(const char *path, const char *data, size_t length)
{
	int fd = open(path, O_WRONLY), error;

	if (fd < 0)
		return errno;
	error = write(fd, data, length) < 0 ? errno : 0;
	close(fd);
	return error;
}

int write_file(char *data, size_t length)
{
	char *end = memchr(data, 0, length);

	if (!end)
		return EINVAL;
	return put_file(data, end + 1, length - (end + 1 - data));
}

int read_file(const char *path, char *out, size_t *length)
{
	int fd = open(path, O_RDONLY);
	ssize_t n = 0;
	int error = 0;

	*length = 0;
	if (fd < 0)
		return errno;
	while (*length < MAX_TEXT && (n = read(fd, out + *length, MAX_TEXT - *length)) > 0)
		*length += n;
	if (n < 0)
		error = errno;
	close(fd);
	return error;
}

size_t reread(int fd, char *out, size_t size)
{
	size_t length = 0;
	ssize_t n;

	lseek(fd, 0, SEEK_SET);
	while (length < size && (n = read(fd, out + length, size - length)) > 0)
		length += n;
	return length;
}
