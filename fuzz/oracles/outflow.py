# SPDX-License-Identifier: GPL-2.0-or-later
"""What the guest sends on a connection, read with the model as the other end would."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

from fuzz.oracles.served import Sent
from nst_scapy.header import BOUND, Role
from nst_scapy.keybox import KeyBox
from nst_scapy.receiver import DgramReceiver, Receiver
from nst_scapy.stream import StreamReceiver
from nst_scapy.verdict import Verdict

_OLD = 1 << 62
"""An age at which no replay table refuses what is fresh, ns."""


def sealed(
    stream: bytes,
    *,
    ended: bool,
    role: Role,
    first_token: bytes,
    boxes: Sequence[KeyBox],
    now: int,
) -> Sent | Verdict:
    """Read what the guest sent, with the first of the key boxes that opens it.

    Args:
        stream: the bytes that came.
        ended: whether FIN came after them.
        role: ours.
        first_token: the token of the first record that was sent to the guest.
        boxes: what may have been the guest's key box.
        now: the guest's clock, ns.

    Returns:
        what was sent, or the verdict on the first record that is not `OK`.
    """
    found: Sent | Verdict = Verdict.OK
    for box in boxes:
        found = _read(stream, ended, role, first_token, box, now)
        if isinstance(found, Sent):
            break
    return found


def sealed_datagram(record: bytes, *, boxes: Sequence[KeyBox], now: int) -> Sent | Verdict:
    """Read a datagram that the guest sent, as `sealed` reads a stream."""
    verdict = Verdict.OK
    for box in boxes:
        outcome = DgramReceiver(Receiver(box)).receive(record, now=now, age=_OLD)
        assert outcome.verdict is not None, "a receiver with keys always has a verdict"
        if outcome.plaintext is not None:
            plaintext = outcome.plaintext
            return Sent(len(plaintext), zlib.crc32(plaintext), None, closed=False)
        verdict = outcome.verdict
    return verdict


def _read(
    stream: bytes, ended: bool, role: Role, first_token: bytes, box: KeyBox, now: int
) -> Sent | Verdict:
    receiver = StreamReceiver(Receiver(box), role)
    if first_token:
        receiver.sent_first(first_token)
    outcomes = receiver.receive(stream, now=now, age=_OLD)
    if ended:
        outcomes += receiver.end()
    plaintext = b""
    bound: bool | None = None
    for outcome in outcomes:
        if outcome.verdict is not Verdict.OK or outcome.header is None:
            assert outcome.verdict is not None, "a receiver with keys always has a verdict"
            return outcome.verdict
        if bound is None:
            bound = bool(outcome.header.flags & BOUND)
        plaintext += outcome.plaintext or b""
    return Sent(len(plaintext), zlib.crc32(plaintext), bound, receiver.closed)
