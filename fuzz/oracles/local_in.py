# SPDX-License-Identifier: GPL-2.0-or-later
"""The LOCAL_IN check of a datagram (specification, section 10)."""

from __future__ import annotations

from nst_scapy.checks import (
    check_kid,
    check_perturbation,
    check_prefix,
    check_suite,
    check_timestamp,
    dgram_flags_and_length,
)
from nst_scapy.header import HEADER_LEN, Header
from nst_scapy.receiver import Receiver
from nst_scapy.verdict import Verdict


def plainly_not_nst(payload: bytes, receiver: Receiver, now: int) -> Verdict | None:
    """Checks 1 to 9 of a datagram, which need no key."""
    if len(payload) < HEADER_LEN:
        return Verdict.SHORT
    header = Header.unpack(payload)
    return (
        check_prefix(payload)
        or check_suite(header, receiver.policy)
        or dgram_flags_and_length(header, len(payload))
        or check_perturbation(header)
        or check_kid(header, receiver.keybox, receiver.policy)
        or check_timestamp(header, now, receiver.window_ns)
    )
