# SPDX-License-Identifier: GPL-2.0-or-later
"""The receiver model, fed with all that the module of one guest boot was fed with.

The model needs the time at which the module judged, and only bounds on it are
known. They matter only if a limit of the specification falls between them
(`_Bounds`); then the case is judged at both, and the model follows the outcome
that the module shows. Everywhere else one outcome is right and all others are
disagreements.
"""

from __future__ import annotations

import dataclasses
import struct
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from fuzz.epochs import derived
from fuzz.net.arrival import Arrival
from fuzz.net.inflow import Inflow
from fuzz.net.tcp import TcpFlag
from fuzz.oracles.clock import Interval
from fuzz.oracles.course import Course
from fuzz.oracles.expectation import Expectation
from fuzz.script import Action, Loose, Step, connections
from fuzz.target.wire import Item
from nst_scapy.checks import Policy
from nst_scapy.header import COUNTER_BITS, HEADER_LEN, TOKEN_LEN, TOKEN_OFFSET, Header
from nst_scapy.keybox import KeyBox
from nst_scapy.receiver import DgramReceiver, Receiver
from nst_scapy.replay import DgramTable, StreamTable
from nst_scapy.suite import SUITES, SuiteId

_SEALING = struct.Struct(">8xQQ")
"""Of a header: timestamp and nonce."""


@dataclass(frozen=True)
class Moment:
    """When a case was judged: real time, and when the replay tables were made, both ns."""

    judged: Interval
    creation: Interval


class Shadow:
    """The model of one guest boot."""

    def __init__(
        self,
        keybox: KeyBox,
        suites: Iterable[SuiteId],
        *,
        window_ns: int,
        stream_sessions: int,
        dgram_sessions: int,
    ) -> None:
        """`suites` are what the guest's kernel provides; the rest are its sysctl values."""
        self._receiver = Receiver(
            keybox,
            window_ns,
            Policy(frozenset(suites)),
            StreamTable(stream_sessions),
            DgramTable(dgram_sessions),
            derived,
        )
        # When the module's socket of an IP version sealed with a session_id.
        self._sealed: dict[int, dict[int, int]] = {4: {}, 6: {}}
        self._states = [self._receiver]

    @property
    def receiver(self) -> Receiver:
        """The model's state."""
        return self._receiver

    def sealed(self, family: int, record: bytes, judged: Interval) -> None:
        """Note a datagram that the module's socket sealed."""
        self._sealed[family][Header.unpack(record).session_id] = judged.earliest

    def judge(
        self, steps: Sequence[Step], moment: Moment, told: Sequence[Item] = ()
    ) -> list[Expectation]:
        """What the module may make of a case: one outcome, or more if time leaves it open or
        memory ran out.

        `told` and what follows is as for `judge_all`.
        """
        return self.judge_all([steps], moment, told)

    def judge_all(
        self, cases: Sequence[Sequence[Step]], moment: Moment, told: Sequence[Item] = ()
    ) -> list[Expectation]:
        """The same of cases that came one right after the other, and were judged together.

        `told` is as for `Course`. The model's state is that after the first; `follow` changes
        to another.
        """
        steps = [step for case in cases for step in case]
        times = [(moment.judged.latest, moment.creation.latest)]
        times += [(now, moment.creation.latest) for now in self._expiries(steps, moment.judged)]
        if self.open_to_time(steps, moment):
            times.append((moment.judged.earliest, moment.creation.earliest))
        short = any(step.action in (Action.SHORTAGE, Action.DROUGHT) for step in steps)
        before = _copied(self._receiver) if len(times) > 1 or short else None
        outcomes: list[Expectation] = []
        self._states = []
        for now, creation in times:
            untried: deque[tuple[int, ...]] = deque([()])
            while untried:
                choices = untried.popleft()
                receiver = self._receiver
                if before is not None and self._states:
                    receiver = _copied(before)
                course = self._course(receiver, now, creation, told, choices)
                outcome = course.run(*cases)
                untried.extend(_others(choices, course.options))
                if outcome not in outcomes:
                    outcomes.append(outcome)
                    self._states.append(receiver)
        return outcomes

    def follow(self, choice: int) -> None:
        """Take on the state after one of the outcomes that `judge` returned last."""
        self._receiver = self._states[choice]

    def _course(
        self,
        receiver: Receiver,
        now: int,
        creation: int,
        told: Sequence[Item],
        choices: Sequence[int],
    ) -> Course:
        sockets = {family: DgramReceiver(receiver) for family in (4, 6)}
        for family, sessions in self._sealed.items():
            for session, sealed in sorted(sessions.items(), key=lambda entry: entry[1]):
                sockets[family].sent(session, sealed)
        return Course(receiver, sockets, now, now - creation, told, choices)

    def open_to_time(self, steps: Sequence[Step], moment: Moment) -> bool:
        """Whether a limit in time falls between the bounds, so that outcomes may differ."""
        return self.near_limit(steps, moment) or bool(self._expiries(steps, moment.judged))

    def _expiries(self, steps: Sequence[Step], judged: Interval) -> list[int]:
        """The last moments within the bounds, newest first, of entries that room may be made of.

        A full table drops as many as have grown too old: between two of these no more do.
        """
        window = self._receiver.window_ns
        limits = {
            entry.timestamp + window
            for table in (self._receiver.stream_table, self._receiver.dgram_table)
            if table.size is not None and len(table.entries) + len(steps) > table.size
            for entry in table.entries.values()
        }
        return sorted(filter(judged.holds, limits), reverse=True)

    def near_limit(self, steps: Sequence[Step], moment: Moment) -> bool:
        """Whether a limit of a record's own falls between the bounds."""
        window = self._receiver.window_ns
        judged, creation = moment.judged, moment.creation
        for timestamp, session in _sealings(steps):
            if (
                judged.holds(timestamp + window)
                or judged.holds(timestamp - window)
                or creation.holds(timestamp)
            ):
                return True
            for sessions in self._sealed.values():
                sealed = sessions.get(session)
                if sealed is not None and judged.holds(sealed + window):
                    return True
        return False


def _others(choices: tuple[int, ...], options: Sequence[int]) -> Iterator[tuple[int, ...]]:
    """The choices that differ from some, and the firsts after them, at one place behind them."""
    for at in range(len(choices), len(options)):
        firsts = (0,) * (at - len(choices))
        yield from ((*choices, *firsts, other) for other in range(1, options[at]))


def _copied(receiver: Receiver) -> Receiver:
    stream = StreamTable(receiver.stream_table.size, floor=receiver.stream_table.floor)
    dgram = DgramTable(receiver.dgram_table.size, floor=receiver.dgram_table.floor)
    for session, stream_entry in receiver.stream_table.entries.items():
        stream.entries[session] = dataclasses.replace(stream_entry)
        stream.moved(session)
    for session, dgram_entry in receiver.dgram_table.entries.items():
        dgram.entries[session] = dataclasses.replace(dgram_entry)
        dgram.moved(session)
    return dataclasses.replace(receiver, stream_table=stream, dgram_table=dgram)


def timestamps(steps: Sequence[Step]) -> Iterator[int]:
    """The timestamps that the case's records may be judged by."""
    return (timestamp for timestamp, _ in _sealings(steps))


def _sealings(steps: Sequence[Step]) -> Iterator[tuple[int, int]]:
    """When a record was sealed and with which session id, as the header tells of every datagram
    and of a stream's first record."""
    arrival = Arrival()
    for step in steps:
        datagrams = [step.data] if step.action is Action.DATAGRAM else []
        if step.action is Action.PACKET:
            datagrams = [one.payload for one in arrival.packet(step.argument, step.data)]
        for payload in datagrams:
            if len(payload) >= HEADER_LEN:
                yield _sealing(payload)
    for _, *rest in connections(steps):
        start = _beginning(rest)
        if len(start) == HEADER_LEN:
            yield _sealing(start)


def _sealing(record: bytes) -> tuple[int, int]:
    timestamp, nonce = _SEALING.unpack_from(record)
    return timestamp, nonce >> COUNTER_BITS


def _beginning(steps: Sequence[Step]) -> bytes:
    """What comes first on a connection, as much of it as a header takes."""
    if all(step.action is not Action.TCP for step in steps):
        start = b""
        for step in steps:
            start += step.data
            if len(start) >= HEADER_LEN:
                break
        return start[:HEADER_LEN]
    inflow, start, following = Inflow(), b"", 0
    for step in steps:
        if step.action is Action.TCP:
            loose = Loose.of(step)
            if loose.intact:
                start += inflow.segment(loose.offset, loose.flags, loose.payload)
        else:
            start += inflow.segment(following, TcpFlag.ACK, step.data)
            following += len(step.data)
    return start[:HEADER_LEN]


def token_of(connection: Sequence[Step]) -> bytes:
    """The token of the first record on a connection; empty if that does not come whole."""
    return _beginning(connection[1:])[TOKEN_OFFSET : TOKEN_OFFSET + TOKEN_LEN]


def passes_the_hook(steps: Iterable[Step]) -> bool:
    """Whether any of the packets given as such is one that the LOCAL_IN check leaves alone: a
    fragment, or a datagram that does not say how long it is."""
    arrival = Arrival()
    for step in steps:
        if step.action is Action.PACKET:
            arrival.packet(step.argument, step.data)
    return arrival.fragmented or arrival.unmeasured


def suites_of(text: str) -> frozenset[SuiteId]:
    """The suites in a listing of /proc/net/nst_suites.

    Raises:
        ValueError: a line names no suite.
    """
    known = {suite.name: suite.id for suite in SUITES.values()}
    unknown = [name for name in text.split() if name not in known]
    if unknown:
        raise ValueError(f"/proc/net/nst_suites: no suite is called {unknown[0]!r}")
    return frozenset(known[name] for name in text.split())
