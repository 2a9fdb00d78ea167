/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Which edges of the module's own code were taken, for a fuzzer (NST_EDGES=1 only).
 */
#ifndef _NST_EDGES_H
#define _NST_EDGES_H

#ifdef NST_EDGES
int nst_edges_init(void);
void nst_edges_exit(void);

/* The compiler calls it. */
void __sanitizer_cov_trace_pc(void);
#else
static inline int nst_edges_init(void)
{
	return 0;
}

static inline void nst_edges_exit(void)
{
}
#endif

#endif /* _NST_EDGES_H */
