/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * A sender's epochs (section 6).
 */
#ifndef _NST_EPOCH_H
#define _NST_EPOCH_H

#include "keybox.h"
#include "kids.h"
#include "keys.h"
#include "protocol.h"

/* All of it under the sending direction's lock. */
struct nst_epoch {
	struct nst_keys		*keys;		/* NULL: no epoch runs */
	u64			session_id;
	struct nst_params	params;
	u32			counter;	/* the next record's */
	u64			keybox_generation;
	int			vm_generation;
};

/* What the application chose. */
struct nst_tx_policy {
	u8		cipher_id;
	struct nst_pin	pin;
	struct nst_kids	*kids;
};

bool nst_epoch_usable(const struct nst_epoch *epoch);
int nst_epoch_begin(struct nst_epoch *epoch, const struct nst_net *nn,
		    const struct nst_tx_policy *policy);
void nst_epoch_end(struct nst_epoch *epoch);
int nst_epoch_seal(struct nst_epoch *epoch, struct nst_header *hdr,
		   u16 transport_len, u32 flags, const u8 *chain);

int nst_epoch_init(void);
void nst_epoch_exit(void);

#endif /* _NST_EPOCH_H */
