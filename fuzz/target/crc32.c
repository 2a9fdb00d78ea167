// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * CRC-32 as zlib's.
 */
#include "target.h"

static uint32_t crc_table[256];

void crc32_init(void)
{
	for (uint32_t i = 0; i < 256; i++) {
		uint32_t crc = i;

		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0xedb88320 : 0);
		crc_table[i] = crc;
	}
}

uint32_t crc32(uint32_t crc, const char *data, size_t length)
{
	crc = ~crc;
	while (length--)
		crc = crc >> 8 ^ crc_table[(crc ^ (uint8_t)*data++) & 0xff];
	return ~crc;
}
