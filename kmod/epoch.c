// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A sender's epochs (section 6).
 */

#include <linux/err.h>
#include <linux/notifier.h>
#include <linux/random.h>
#include <linux/timekeeping.h>

#include "compat.h"
#include "epoch.h"
#include "netns.h"
#include "suite.h"

/* Grows when this machine may have become one of two: see nst_vm_forked(). */
static atomic_t nst_vm_generation = ATOMIC_INIT(0);

/* A virtual machine resumed from a snapshot must not seal as it did before. */
static int nst_vm_forked(struct notifier_block *nb, unsigned long action,
			 void *data)
{
	atomic_inc(&nst_vm_generation);
	return NOTIFY_DONE;
}

static struct notifier_block nst_vm_notifier = {
	.notifier_call = nst_vm_forked,
};

int nst_epoch_init(void)
{
	return register_random_vmfork_notifier(&nst_vm_notifier);
}

void nst_epoch_exit(void)
{
	unregister_random_vmfork_notifier(&nst_vm_notifier);
}

/* Whether another record may be sealed in the running epoch. */
bool nst_epoch_usable(const struct nst_epoch *epoch)
{
	return epoch->keys && epoch->counter < NST_COUNTERS &&
	       epoch->vm_generation == atomic_read(&nst_vm_generation);
}

void nst_epoch_end(struct nst_epoch *epoch)
{
	nst_keys_free(epoch->keys);
	epoch->keys = NULL;
}

static u64 nst_session_id_draw(void)
{
	u64 session_id;

	do {
		session_id = get_random_u64() & NST_SESSION_ID_MASK;
	} while (!session_id);
	return session_id;
}

/**
 * nst_epoch_begin() - start a new epoch
 * @epoch: the running one, which is replaced; left as it was on failure
 * @nn: the namespace, for its key box
 * @policy: suite, pins and kids
 *
 * Return: 0, or a negative error: -EOPNOTSUPP if the kernel lacks the suite,
 * -ENOKEY if there is no key to seal with.
 */
int nst_epoch_begin(struct nst_epoch *epoch, const struct nst_net *nn,
		    const struct nst_tx_policy *policy)
{
	const struct nst_pin *pin = &policy->pin;
	struct nst_epoch fresh = {
		.session_id = nst_session_id_draw(),
		.params.cipher_id = policy->cipher_id,
		.params.kid = pin->kid,
		.vm_generation = atomic_read(&nst_vm_generation),
	};
	u8 key[NST_KEY_LEN];
	int err;

	if (!nst_suite_available(policy->cipher_id))
		return -EOPNOTSUPP;
	if (pin->pin_perturb) {
		fresh.params.kpos = pin->kpos;
		fresh.params.kval = pin->kval;
	} else {
		fresh.params.kpos = 1 + nst_random_below(NST_KPOS_MAX);
		fresh.params.kval = 1 + nst_random_below(255);
	}
	err = pin->pin_kid ? 0 :
	      nst_keybox_draw(nn, policy->kids, &fresh.params.kid);
	err = err ?: nst_keybox_key(nn, &fresh.params, key,
				    &fresh.keybox_generation);
	if (err)
		return err;

	fresh.keys = nst_keys_derive(key, &fresh.params, fresh.session_id);
	memzero_explicit(key, sizeof(key));
	if (IS_ERR(fresh.keys))
		return PTR_ERR(fresh.keys);

	nst_epoch_end(epoch);
	*epoch = fresh;
	return 0;
}

/**
 * nst_epoch_seal() - seal one record with the epoch's next counter
 * @epoch: usable
 * @hdr: where the header goes
 * @transport_len: length of the plaintext
 * @flags: header flags
 * @chain: T of section 5, or NULL
 *
 * Where the body is, epoch->keys have been told. The counter is used up, whatever the outcome.
 *
 * Return: 0, or a negative error after which nothing may be sent.
 */
int nst_epoch_seal(struct nst_epoch *epoch, struct nst_header *hdr,
		   u16 transport_len, u32 flags, const u8 *chain)
{
	*hdr = (struct nst_header){
		.magic = cpu_to_be32(NST_MAGIC),
		.version = NST_VERSION,
		.cipher_id = epoch->params.cipher_id,
		.transport_len = cpu_to_be16(transport_len),
		.timestamp = cpu_to_be64(ktime_get_real_ns()),
		.nonce = cpu_to_be64(epoch->session_id << 16 | epoch->counter),
		.kpos = epoch->params.kpos,
		.kval = epoch->params.kval,
		.kid = cpu_to_be16(epoch->params.kid),
		.flags = cpu_to_be32(flags),
	};
	epoch->counter++;
	return nst_keys_seal(epoch->keys, hdr, chain);
}
