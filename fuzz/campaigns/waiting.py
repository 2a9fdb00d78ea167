# SPDX-License-Identifier: GPL-2.0-or-later
"""The campaign `waiting`: readers that wait, and what wakes them."""

from __future__ import annotations

import socket
from collections.abc import Collection, Sequence
from typing import Any

from boofuzz import Fuzzable, FuzzableBlock, Static

from fuzz.api import Call, Event, sized
from fuzz.campaigns import acts
from fuzz.campaigns.acts import Act, Play, Scene, then
from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.primitives import Choice
from fuzz.campaigns.record import SealedRecord
from fuzz.campaigns.steps import CaseRequest
from fuzz.campaigns.stream import stream
from fuzz.campaigns.values import FAMILY, values_of
from fuzz.net.tcp import TcpFlag
from fuzz.script import Action, Loose, Step
from nst_scapy.header import HEADER_LEN, Flags
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

_PEEK, _WAITALL = int(socket.MSG_PEEK), int(socket.MSG_WAITALL)
_LONG_MS = 2000
"""Longer than what is under way takes on a busy machine: who waits so long was not woken."""
_SHORT_MS = 10
_SIZE, _LARGE = 64, 65536
_EVENTS = (Event.SIGNAL, Event.SHUT_READING, Event.SHUT_BOTH, Event.DISABLED)
_PLACES = (1, 4, 5, HEADER_LEN - 1, HEADER_LEN, HEADER_LEN + 1, 1000, 2000, -1)
"""Where a record is cut in two: so many bytes from its beginning, or before its end."""


def _waiter(size: int, flags: int = 0, event: Event = Event.FRAMES, wait: int = _LONG_MS) -> Act:
    return acts.api(sized(Call.WAITER, (size,), flags, value=event, wait=wait))


def _of_dgram(size: int, flags: int = 0, event: Event = Event.FRAMES, wait: int = _LONG_MS) -> Act:
    return acts.api(sized(Call.WAITER, (size,), flags, value=event, wait=wait), dgram=True)


def _end(name: str, flags: int) -> Act:
    """An end of our direction, nothing being asked before it."""
    return Act(name, lambda values, offset: [Loose(offset, flags).step()])


_NEXT = tuple(_waiter(size, flags) for size in (1, 5, _SIZE, _LARGE) for flags in (0, _PEEK))
"""Readers that the record behind them wakes."""
_IN_VAIN = then(_waiter(_SIZE, wait=_SHORT_MS), acts.LOOK)
_ENDED = (
    *(then(_waiter(_SIZE), _end(name, flags)) for name, flags in (
        ("FIN", TcpFlag.FIN | TcpFlag.ACK), ("RST", TcpFlag.RST),
    )),
    *(_waiter(size, flags, event) for event in _EVENTS for size, flags in (
        (_SIZE, 0), (_SIZE, _PEEK), (_LARGE, _WAITALL),
    )),
    _IN_VAIN,
    then(_waiter(_LARGE, _WAITALL, wait=_SHORT_MS), acts.LOOK),
)  # fmt: skip
"""Readers with what ends their waiting, or with nothing that does."""
_NEXT_DGRAM = tuple(_of_dgram(size, flags) for size in (5, _SIZE) for flags in (0, _PEEK))
_ENDED_DGRAM = (
    *(_of_dgram(_SIZE, flags, event) for event in _EVENTS for flags in (0, _PEEK)),
    then(_of_dgram(_SIZE, wait=_SHORT_MS), acts.LOOK),
)
_MUTATED = ("payload", "damage", "magic")


class Halves(FuzzableBlock):  # type: ignore[misc]
    """A connection's records, each in two segments, for the second of which a reader waits."""

    def __init__(self, name: str, children: Sequence[Fuzzable]) -> None:
        self._place = Choice("place", _PLACES[1:])
        self._reader = Choice("reader", _NEXT[1:])
        super().__init__(name=name, children=[*children, self._place, self._reader])

    def encode(self, value: Any, mutation_context: Any) -> bytes:
        """boofuzz's hook: the steps' bytes."""
        values = values_of(mutation_context)
        place = self._place.get_value(mutation_context) or _PLACES[0]
        reader = self._reader.get_value(mutation_context) or _NEXT[0]
        steps = [Step(Action.CONNECT, values[FAMILY]), *acts.ACCEPT.steps(values, 0)]
        for child in self.stack[:-2]:
            record = child.render(mutation_context)
            steps.append(Step(Action.SEGMENT, 0, record[:place]))
            steps += [*reader.steps(values, 0), Step(Action.SEGMENT, 0, record[place:])]
            steps.append(Step(Action.RECEIVE))
        return b"".join(step.pack() for step in steps)


def _stream_scene(keybox: KeyBox, suite: SuiteId, plays: Sequence[Act], *mutated: str) -> Scene:
    """Readers before each record and CLOSE, and behind them."""
    layout = [("a", 0), ("a", 1), ("b", 0)]
    records = stream(keybox, suite, layout, only=mutated)
    others = (acts.NOTHING, acts.RECEIVE, *_NEXT, *_ENDED)
    *before, last = (Play(f"wait{at}", act, others) for at, act in enumerate(plays))
    parts = [part for pair in zip(before, records, strict=True) for part in pair]
    accept, end = Play("accept", acts.ACCEPT, ()), Play("end", acts.FIN, (acts.NOTHING,))
    return Scene("tcp", [accept, *parts, last, end])


def _dgram_scene(keybox: KeyBox, suite: SuiteId, waits: Sequence[Act]) -> Scene:
    """A reader for whichever of two datagrams verifies first, and others behind them."""
    records = [
        SealedRecord(
            f"record{counter}", keybox=keybox, suite=suite, epoch="a", flags=Flags.DGRAM,
            counter=counter, only=_MUTATED if not counter else (),
        )
        for counter in range(2)
    ]  # fmt: skip
    others = (acts.NOTHING, *_NEXT_DGRAM, *_ENDED_DGRAM)
    first, *more = (Play(f"wait{at}", act, others) for at, act in enumerate(waits))
    return Scene("udp", [first, *records, *more], dgram=True)


def _after_close(keybox: KeyBox, suite: SuiteId) -> Scene:
    """Bytes after CLOSE, more than once."""
    one, close = stream(keybox, suite, [("a", 0), ("a", 1)], only=())
    calls = (Play(f"call{at}", acts.RECEIVE, (acts.NOTHING, _IN_VAIN)) for at in range(3))
    tails = (Static(f"tail{at}", default_value=b"more" * 20) for at in range(2))
    behind = [part for pair in zip(calls, tails, strict=False) for part in pair]
    return Scene("tcp", [
        Play("accept", acts.ACCEPT, ()), one, close, *behind, Play("last", acts.RECEIVE, _ENDED),
    ])  # fmt: skip


def _requests(keybox: KeyBox, provided: Collection[SuiteId]) -> list[CaseRequest]:
    suites = sorted(provided)
    scenes: dict[str, Fuzzable] = {
        "records": _stream_scene(keybox, suites[0], [*_NEXT[4:7], _IN_VAIN], *_MUTATED),
        "unread": _stream_scene(
            keybox, suites[-1], [acts.NOTHING, acts.NOTHING, acts.NOTHING, _ENDED[0]], "damage"
        ),
        "signals": _stream_scene(
            keybox, suites[0], [_ENDED[2], acts.RECEIVE, _ENDED[2], acts.RECEIVE]
        ),
        "dgrams": _dgram_scene(
            keybox, suites[0], [_NEXT_DGRAM[2], _ENDED_DGRAM[-1], _ENDED_DGRAM[0]]
        ),
        "dgrams-ended": _dgram_scene(keybox, suites[-1], _ENDED_DGRAM[:3]),
        "after-close": _after_close(keybox, suites[0]),
    }
    for suite in suites:
        scenes[f"halves-{suite.name}"] = Halves("tcp", _long_records(keybox, suite))
    return [CaseRequest(name, children=[scene]) for name, scene in scenes.items()]


def _long_records(keybox: KeyBox, suite: SuiteId) -> list[SealedRecord]:
    """Records of many segments, of one epoch."""
    records: list[SealedRecord] = []
    for counter, payload in enumerate(("payload", "long", "long")):
        records.append(
            SealedRecord(
                f"record{counter}", keybox=keybox, suite=suite, epoch="a", flags=Flags(0),
                counter=counter, after=records[-1].name if records else None,
                only=("damage",), payload=payload,
            )
        )  # fmt: skip
    return records


WAITING = Campaign(
    "waiting",
    "readers of streams and datagrams that wait until a record comes, the rest of one, CLOSE,"
    " FIN, RST, a signal, shutdown, the end of NST or of their time",
    (Verdict.OK, Verdict.MAGIC, Verdict.AUTH, Verdict.SEQUENCE, Verdict.TRUNCATED),
    _requests,
)
