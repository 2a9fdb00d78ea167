/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The socket family.
 */
#ifndef _NST_FAMILY_H
#define _NST_FAMILY_H

int nst_family_init(unsigned int family);
void nst_family_exit(void);

#endif /* _NST_FAMILY_H */
