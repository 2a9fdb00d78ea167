# SPDX-License-Identifier: GPL-2.0-or-later
"""Whether one outcome of a case is right that can be told beforehand.

A grammar makes only such cases; one that was changed step by step may ask for what
is Linux's decision, or for more than the target program reports at once.
"""

from __future__ import annotations

from collections.abc import Sequence

from fuzz.net.arrival import Arrival
from fuzz.net.inflow import WINDOW, Inflow
from fuzz.net.tcp import TcpFlag
from fuzz.net.udp import MAX_PAYLOAD
from fuzz.script import FAMILY, Action, Loose, Step, connections
from fuzz.target.wire import MAX_ITEMS

ACTIONS = frozenset(
    {
        Action.DATAGRAM, Action.REFLECT, Action.CONNECT, Action.SEGMENT, Action.FIN, Action.TCP,
        Action.PACKET, Action.ACCEPT, Action.RECEIVE, Action.SEND, Action.SHUTDOWN, Action.CLOSE,
        Action.KEYS, Action.LOOK,
    }
)  # fmt: skip
"""The steps that may be in any order."""

_MAX_STEPS = 400
_MAX_BYTES = 400_000
_MAX_STREAM = 40_000
"""Less than any receive buffer: nothing is read before the case ends."""
_SMALL = 1500
_MAX_LARGE = 8
"""Datagrams of more than a frame, which take up much of a receive buffer."""


def judgeable(steps: Sequence[Step]) -> bool:
    """Whether a case can be judged."""
    if len(steps) > _MAX_STEPS or not {step.action for step in steps} <= ACTIONS:
        return False
    reported = sum(step.action not in (Action.SEGMENT, Action.FIN, Action.TCP) for step in steps)
    large = sum(step.action is Action.DATAGRAM and len(step.data) > _SMALL for step in steps)
    if reported > MAX_ITEMS or large > _MAX_LARGE:
        return False
    if sum(len(step.data) for step in steps) > _MAX_BYTES:
        return False
    datagrams = (step for step in steps if step.action is Action.DATAGRAM)
    if any(len(step.data) > MAX_PAYLOAD[step.argument] for step in datagrams):
        return False
    # The application looks at one socket after the other, whatever came first.
    if len({step.argument for step in steps if step.action in FAMILY}) > 1:
        return False
    return _whole(steps) and all(_orderly(one[1:]) for one in connections(steps))


def _whole(steps: Sequence[Step]) -> bool:
    """Whether no fragment is left, which would meet those of the next case."""
    arrival = Arrival()
    for step in steps:
        if step.action is Action.PACKET:
            arrival.packet(step.argument, step.data)
    return not arrival.waiting


def _orderly(steps: Sequence[Step]) -> bool:
    """Whether what waits for a gap in a stream agrees with what else does."""
    inflow = Inflow()
    waiting: dict[int, int] = {}
    fin: int | None = None
    following = total = 0
    for step in steps:
        offset, flags, payload = following, int(TcpFlag.ACK), step.data
        if step.action is Action.TCP:
            loose = Loose.of(step)
            if not loose.intact:
                continue
            offset, flags, payload = loose.offset, loose.flags, loose.payload
        else:
            flags |= TcpFlag.FIN if step.action is Action.FIN else 0
            following += len(payload) + (step.action is Action.FIN)
        total += len(payload)
        end = offset + len(payload)
        if offset > inflow.next:
            if any(waiting.get(at, byte) != byte for at, byte in enumerate(payload, start=offset)):
                return False
            waiting |= dict(enumerate(payload, start=offset))
            if flags & TcpFlag.FIN:
                if fin is not None and fin != end:
                    return False
                fin = end
        if fin is not None and end > fin:
            return False
        inflow.segment(offset, flags, payload)
    return total <= _MAX_STREAM and inflow.next <= WINDOW
