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
import errno
import zlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from fuzz.oracles.clock import Interval
from fuzz.script import Action, Step, connections
from fuzz.target.wire import Item, Kind
from nst_scapy.checks import Policy
from nst_scapy.header import HEADER_LEN, Header, Role, Transport
from nst_scapy.keybox import KeyBox
from nst_scapy.receiver import DgramReceiver, Outcome, Receiver
from nst_scapy.replay import DgramTable, StreamTable
from nst_scapy.stream import StreamReceiver
from nst_scapy.suite import SUITES, SuiteId
from nst_scapy.verdict import Verdict

Verdicts = Counter[tuple[Transport, Verdict]]


@dataclass
class Expectation:
    """What the model makes of a case.

    Attributes:
        verdicts: how often each.
        items: what the application receives, in the order in which the target collects.
        states: number of entries and floor of the STREAM table, and of the DGRAM table.
    """

    verdicts: Verdicts = field(default_factory=Counter)
    items: list[Item] = field(default_factory=list)
    states: tuple[int, int, int, int] = (0, 0, 0, 0)


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
        )
        # When the module's socket of an IP version sealed with a session_id.
        self._sealed: dict[int, dict[int, int]] = {4: {}, 6: {}}

    @property
    def receiver(self) -> Receiver:
        """The model's state."""
        return self._receiver

    def sealed(self, family: int, record: bytes, judged: Interval) -> None:
        """Note a datagram that the module's socket sealed."""
        self._sealed[family][Header.unpack(record).session_id] = judged.earliest

    def judge(self, steps: Sequence[Step], moment: Moment) -> list[Expectation]:
        """What the module may make of a case: one outcome, or two if time leaves it open.

        The model's state is that after the first; `follow` changes to the other.
        """
        early = (moment.judged.earliest, moment.creation.earliest)
        late = (moment.judged.latest, moment.creation.latest)
        self._alternative: Receiver | None = None
        if not self._open_to_time(steps, moment):
            return [self._judge(self._receiver, steps, *late)]
        self._alternative = _copied(self._receiver)
        outcomes = [
            self._judge(self._receiver, steps, *late),
            self._judge(self._alternative, steps, *early),
        ]
        return outcomes if outcomes[0] != outcomes[1] else outcomes[:1]

    def follow(self, choice: int) -> None:
        """Take on the state after one of the outcomes that `judge` returned last."""
        if choice:
            assert self._alternative is not None
            self._receiver = self._alternative

    def _judge(
        self, receiver: Receiver, steps: Sequence[Step], now: int, creation: int
    ) -> Expectation:
        expected = Expectation()
        age = now - creation
        sockets = {family: DgramReceiver(receiver) for family in (4, 6)}
        for family, sessions in self._sealed.items():
            for session, sealed in sorted(sessions.items(), key=lambda entry: entry[1]):
                sockets[family].sent(session, sealed)
        order: dict[tuple[Kind, int], list[Item]] = {}
        for step in steps:
            if step.action is Action.DATAGRAM:
                outcome = sockets[step.argument].receive(step.data, now=now, age=age)
                expected.verdicts[Transport.DGRAM, _verdict(outcome)] += 1
                if outcome.plaintext is not None:
                    item = _item(Kind.DGRAM, step.argument, 0, outcome.plaintext)
                    order.setdefault((Kind.DGRAM, step.argument), []).append(item)
        for connection in connections(steps):
            family = connection[0].argument
            item = self._stream(receiver, connection[1:], family, now, age, expected.verdicts)
            order.setdefault((Kind.STREAM, family), []).append(item)
        for family in (4, 6):
            for kind in (Kind.DGRAM, Kind.STREAM):
                expected.items += order.get((kind, family), [])
        tables = (receiver.stream_table, receiver.dgram_table)
        stream, dgram = ((len(table.entries), table.floor) for table in tables)
        expected.states = (*stream, *dgram)
        return expected

    def _stream(
        self,
        receiver: Receiver,
        steps: Sequence[Step],
        family: int,
        now: int,
        age: int,
        verdicts: Verdicts,
    ) -> Item:
        stream = StreamReceiver(receiver, Role.ACCEPTOR)
        outcomes: list[Outcome] = []
        for step in steps:
            if step.action is Action.SEGMENT:
                outcomes += stream.receive(step.data, now=now, age=age)
            else:
                outcomes += stream.end()
        for outcome in outcomes:
            verdicts[Transport.STREAM, _verdict(outcome)] += 1
        plaintext = b"".join(outcome.plaintext or b"" for outcome in outcomes)
        last = _verdict(outcomes[-1]) if outcomes else Verdict.OK
        if stream.closed:
            error = 0  # the end of file stands, whatever follows CLOSE
        elif last is Verdict.OK:
            error = errno.EAGAIN
        else:
            error = errno.ECONNABORTED if last is Verdict.TRUNCATED else errno.EBADMSG
        return _item(Kind.STREAM, family, error, plaintext)

    def _open_to_time(self, steps: Sequence[Step], moment: Moment) -> bool:
        """Whether a limit in time falls between the bounds, so that they may differ."""
        window = self._receiver.window_ns
        judged, creation = moment.judged, moment.creation
        for timestamp in timestamps(steps):
            if (
                judged.holds(timestamp + window)
                or judged.holds(timestamp - window)
                or creation.holds(timestamp)
            ):
                return True
        for sessions in self._sealed.values():
            if any(judged.holds(sealed + window) for sealed in sessions.values()):
                return True
        tables = (self._receiver.stream_table, self._receiver.dgram_table)
        return any(
            table.size is not None
            and len(table.entries) + len(steps) > table.size
            and any(judged.holds(entry.timestamp + window) for entry in table.entries.values())
            for table in tables
        )


def _copied(receiver: Receiver) -> Receiver:
    stream = StreamTable(receiver.stream_table.size, floor=receiver.stream_table.floor)
    dgram = DgramTable(receiver.dgram_table.size, floor=receiver.dgram_table.floor)
    for session, stream_entry in receiver.stream_table.entries.items():
        stream.entries[session] = dataclasses.replace(stream_entry)
        stream.moved(session)
    for session, dgram_entry in receiver.dgram_table.entries.items():
        dgram.entries[session] = dataclasses.replace(dgram_entry)
        dgram.moved(session)
    return Receiver(receiver.keybox, receiver.window_ns, receiver.policy, stream, dgram)


def timestamps(steps: Sequence[Step]) -> Iterable[int]:
    """The timestamps that the case's records may be judged by."""
    for step in steps:
        if step.action is Action.DATAGRAM and len(step.data) >= HEADER_LEN:
            yield Header.unpack(step.data).timestamp
    for connection in connections(steps):
        start = b"".join(step.data for step in connection)[:HEADER_LEN]
        if len(start) == HEADER_LEN:
            yield Header.unpack(start).timestamp


def _verdict(outcome: Outcome) -> Verdict:
    assert outcome.verdict is not None, "a receiver with keys always has a verdict"
    return outcome.verdict


def _item(kind: Kind, family: int, error: int, plaintext: bytes) -> Item:
    return Item(kind, family, error, len(plaintext), zlib.crc32(plaintext))


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
