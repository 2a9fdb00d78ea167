// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Counters of one network namespace.
 */

#include <linux/cpumask.h>
#include <linux/string.h>

#include "stat.h"

const char *const nst_verdict_names[NST_VERDICTS] = {
	[NST_OK]		= "OK",
	[NST_SHORT]		= "SHORT",
	[NST_BAD_MAGIC]		= "MAGIC",
	[NST_BAD_VERSION]	= "VERSION",
	[NST_CIPHER]		= "CIPHER",
	[NST_FLAGS]		= "FLAGS",
	[NST_LENGTH]		= "LENGTH",
	[NST_PERTURB]		= "PERTURB",
	[NST_KID]		= "KID",
	[NST_TIMESTAMP]		= "TIMESTAMP",
	[NST_REFLECT]		= "REFLECT",
	[NST_SEQUENCE]		= "SEQUENCE",
	[NST_REPLAY]		= "REPLAY",
	[NST_AUTH]		= "AUTH",
	[NST_PADDING]		= "PADDING",
	[NST_TRUNCATED]		= "TRUNCATED",
};

void nst_stat_sum(struct nst_stats *sum, struct nst_stats __percpu *stats)
{
	int cpu, w, t, v;

	memset(sum, 0, sizeof(*sum));
	for_each_possible_cpu(cpu) {
		const struct nst_stats *one = per_cpu_ptr(stats, cpu);

		for (w = 0; w < NST_STAT_WHERES; w++)
			for (t = 0; t < NST_TRANSPORTS; t++)
				for (v = 0; v < NST_VERDICTS; v++)
					sum->verdicts[w][t][v] +=
						one->verdicts[w][t][v];
		sum->multicast += one->multicast;
	}
}
