# SPDX-License-Identifier: GPL-2.0-or-later
"""A case's course: what the model makes of its steps, one after the other."""

from __future__ import annotations

import errno
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from fuzz.api import SENDING, Api
from fuzz.net.arrival import Arrival, Arrived
from fuzz.oracles import shortage
from fuzz.oracles.application import Application
from fuzz.oracles.calls import Datagrams
from fuzz.oracles.control import Control
from fuzz.oracles.expectation import Expectation, Verdicts
from fuzz.oracles.local_in import plainly_not_nst
from fuzz.oracles.served import Beginning, Sent, Served
from fuzz.oracles.shortage import Way
from fuzz.script import (
    ON_CONNECTION,
    Action,
    Loose,
    Step,
    api_of,
    keys_of,
    paired,
    waits_for_frames,
)
from fuzz.target.wire import CALLS, TOLD, Item, Kind, Op
from nst_scapy.header import DEFAULT_PORT, Transport
from nst_scapy.receiver import DgramReceiver, Outcome, Receiver
from nst_scapy.verdict import Verdict

_SENT = ON_CONNECTION | {Action.CONNECT, Action.DATAGRAM, Action.PACKET}
"""Steps that the application does not hear of before its next call."""


class Course:
    """Goes through a case's steps, as the guest does."""

    def __init__(
        self,
        receiver: Receiver,
        sockets: Mapping[int, DgramReceiver],
        now: int,
        age: int,
        told: Sequence[Item] = (),
        choices: Sequence[int] = (),
    ) -> None:
        """`sockets` are the guest's for datagrams, by IP version; times are in ns.

        `told` are the outcomes of calls as the module has them: what of them is up to the
        kernel or to chance is taken from there. Where memory ran out several outcomes are
        right: `choices` says which to take at the first such places, and the first is taken
        at the others; `options` tells how many there were at each.
        """
        self.options: list[int] = []
        self._choices = choices
        self._short = self._drought = False
        self._receiver = receiver
        self._box = receiver.keybox
        self._sockets = sockets
        self._now, self._age = now, age
        self._expected = Expectation()
        self._counted: Verdicts = Counter()
        self._arrival = Arrival()
        self._datagrams = {family: Datagrams(family) for family in (4, 6)}
        self._told = {kind: iter([i for i in told if i.kind is kind]) for kind in TOLD}
        self._connections: list[Served] = []
        self._pressed: set[Served] = set()
        self._stalled: set[Served] = set()
        policy = receiver.policy
        self._control = Control(receiver.keybox, policy.suites, _settings_of(receiver))
        self._application = Application(self._datagrams, self._control, self._connection)

    def run(self, *cases: Sequence[Step]) -> Expectation:
        """What becomes of a case, or of several that came one right after the other.

        The receiver's state is that after them.
        """
        later: list[tuple[Verdicts, Step]] = []
        for steps in cases:
            self._counted = Counter()
            self._expected.each.append(self._counted)
            for step, awaited in paired(steps):
                if waits_for_frames(step):
                    self._wait(api_of(step), awaited)
                elif len(cases) > 1 and step.action is Action.DATAGRAM and step.argument == 6:
                    later.append((self._counted, step))
                else:
                    self._step(step)
        # The target receives all of IPv4's first, and what it receives first has its place in a
        # replay table that is full.
        for self._counted, step in later:
            self._step(step)
        self._end_drought()
        application = self._application
        self._expected.items += application.collect()
        if application.kept is not None:
            application.kept.close()
        self._receiver.keybox = self._box
        expected = self._expected
        expected.verdicts = sum(expected.each, Counter())
        expected.sent = [self._sent(one) for one in self._connections]
        expected.sent += [
            Sent(len(plaintext), zlib.crc32(plaintext), None, False)
            for family in (4, 6)
            for plaintext in self._datagrams[family].sent
        ]
        tables = (self._receiver.stream_table, self._receiver.dgram_table)
        stream, dgram = ((len(table.entries), table.floor) for table in tables)
        expected.states = (*stream, *dgram)
        return expected

    def _sent(self, served: Served) -> Sent | Beginning | None:
        """What was sealed on a connection, as far as it is known to have left."""
        pressed = served in self._pressed and served.cut_off
        if served in self._application.unknown or served.dry or pressed:
            return None
        # What waits in TCP's send queue is thrown away with a reset; that of a refused
        # connection may come after its application's FIN.
        lost = self._application.sends and served.cut_off
        if served in self._stalled or served.incoming.refused or lost:
            return served.begun
        return served.sent

    def _note(self, transport: Transport, verdict: Verdict) -> None:
        self._counted[transport, verdict] += 1

    def _step(self, step: Step) -> None:
        if step.action not in _SENT:
            self._end_drought()
        match step.action:
            case Action.DATAGRAM:
                self._datagram(step.argument, step.data)
            case Action.PACKET:
                for arrived in self._arrival.packet(step.argument, step.data):
                    self._arrived(step, arrived)
            case Action.CONNECT:
                self._application.waiting.append(self._connection(step.argument))
            case Action.SEGMENT | Action.FIN | Action.TCP:
                if self._connections:
                    self._segment(self._connections[-1], step)
            case Action.KEYS:
                self._expected.items += self._application.collect()
                self._receiver.keybox = keys_of(step, self._box)
            case Action.REFLECT:
                raise AssertionError("a reflection is a datagram by now")
            case Action.RESTORE:
                self._control.restore()
            case Action.SHORTAGE:
                self._short = True
            case Action.DROUGHT:
                self._drought = True
            case Action.API:
                self._api(api_of(step))
            case _:
                self._call(step)

    def _connection(self, family: int, token: bytes | None = None) -> Served:
        note = partial(_count, self._counted)
        served = Served(self._receiver, family, self._now, self._age, note, token)
        self._connections.append(served)
        return served

    def _api(self, api: Api) -> None:
        """A call of an API step."""
        application, told = self._application, self._told_of(Kind.API)
        others = self._shortage(Op.API, told, lambda told: application.api_short(api, told))
        if api.call in SENDING and not api.socket:
            others += self._pressed_outcomes(told)
        self._expected.items += self._chosen([lambda: application.api(api, told), *others])

    def _call(self, step: Step) -> None:
        """A call of a step of its own."""
        application, told = self._application, self._told_of(Kind.CALL)
        op = CALLS[step.action]
        others = self._shortage(op, told, lambda told: application.call_short(step, told))
        if step.action in (Action.SEND, Action.SHUTDOWN):
            others += self._pressed_outcomes(told)
        self._expected.items += self._chosen([lambda: [application.call(step)], *others])

    def _arrived(self, step: Step, arrived: Arrived) -> None:
        """What becomes of a datagram that came in packets of its own form."""
        source, destination = arrived.ports
        if destination != DEFAULT_PORT:
            return
        if arrived.grouped:
            self._expected.multicast += 1
        elif arrived.delivered:
            self._datagram(step.argument, arrived.payload, source)
        else:
            self._hook(arrived.payload)

    @property
    def _hooked(self) -> bool:
        """Whether what the LOCAL_IN check finds wrong goes no further."""
        wanted = (self._control.settings[name] for name in ("local_in_check", "drop_invalid"))
        return 0 not in wanted

    def _datagram(self, family: int, payload: bytes, source: int = 0) -> None:
        """`source` is its port, if that may be the one that the guest knows us by."""
        if self._datagrams[family].connected and source != DEFAULT_PORT:
            return
        self._expected.unchecked |= not self._hooked
        outcome = self._sockets[family].receive(payload, now=self._now, age=self._age)
        self._note(Transport.DGRAM, _verdict(outcome))
        if outcome.plaintext is not None:
            self._datagrams[family].waiting.append(outcome.plaintext)

    def _hook(self, payload: bytes) -> None:
        """The LOCAL_IN check of a datagram that gets no further (section 10)."""
        verdict = plainly_not_nst(payload, self._receiver, self._now)
        if verdict is not None and self._hooked:
            self._note(Transport.DGRAM, verdict)

    def _segment(self, served: Served, step: Step) -> None:
        """A segment; in a drought LOCAL_IN may have to leave it to the receive path."""
        if not self._drought:
            served.incoming.unexamined = not self._hooked
            self._arrives(served, step)
            return

        def arrives(*, unexamined: bool) -> list[Item]:
            served.incoming.unexamined = unexamined or not self._hooked
            self._arrives(served, step)
            return []

        self._chosen([lambda: arrives(unexamined=False), lambda: arrives(unexamined=True)])
        served.incoming.unexamined = False

    def _end_drought(self) -> None:
        """The application calls; the work item may have half opened what came before."""
        kept = self._application.kept
        if self._drought and kept is not None and kept.incoming.opens_first:

            def broken() -> list[Item]:
                kept.run_dry()
                return []

            self._chosen([list[Item], broken])
        self._drought = False

    def _arrives(self, served: Served, step: Step) -> None:
        if step.action is not Action.TCP:
            served.follow(step.data, fin=step.action is Action.FIN)
            return
        loose = Loose.of(step)
        if loose.window < 1 << 15:
            self._stalled.add(served)
        if loose.intact:
            served.segment(loose.offset, loose.flags, loose.payload)

    def _told_of(self, kind: Kind) -> Item | None:
        """What the module says of the next call of a kind."""
        return next(self._told[kind], None)

    def _chosen(self, outcomes: Sequence[Way]) -> list[Item]:
        """The items of one of several right outcomes."""
        if len(outcomes) == 1:
            return outcomes[0]()
        at = len(self.options)
        self.options.append(len(outcomes))
        return outcomes[self._choices[at] if at < len(self._choices) else 0]()

    def _shortage(
        self, op: Op, told: Item | None, others: Callable[[Item], list[Way]]
    ) -> list[Way]:
        """What else is right if memory ran out in a call; notes whether it did."""
        if not self._short:
            return []
        self._short = False
        met = self._told_of(Kind.SHORTAGE) or Item(Kind.SHORTAGE, op, 0, 0, 0)
        self._expected.items.append(met)
        if not met.length or told is None:
            return []
        found = others(told)
        if self._application.kept is not None:
            self._pressed.add(self._application.kept)
        return found

    def _pressed_outcomes(self, told: Item | None) -> list[Way]:
        """What else is right of sending on a connection on which memory has run out before."""
        pressed = self._application.kept in self._pressed
        return shortage.after(told) if told is not None and pressed else []

    def _wait(self, api: Api, awaited: Sequence[Step]) -> None:
        """A call that waits, and what comes meanwhile."""
        told = self._told_of(Kind.API)
        items = self._application.api(api, told)
        for step in awaited:
            self._step(step)
        if items[0].error == errno.EAGAIN:
            items = self._application.waited(api)
        self._expected.items += items


def _count(counted: Verdicts, transport: Transport, verdict: Verdict) -> None:
    counted[transport, verdict] += 1


def _settings_of(receiver: Receiver) -> dict[str, int]:
    """The settings that the model of a guest was made with."""
    sizes = {
        "stream_sessions_max": receiver.stream_table.size,
        "dgram_sessions_max": receiver.dgram_table.size,
    }
    found = {name: size for name, size in sizes.items() if size is not None}
    return {"timestamp_window_ms": receiver.window_ns // 1_000_000, **found}


def _verdict(outcome: Outcome) -> Verdict:
    assert outcome.verdict is not None, "a receiver with keys always has a verdict"
    return outcome.verdict
