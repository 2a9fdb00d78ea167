# SPDX-License-Identifier: GPL-2.0-or-later
"""A case's course: what the model makes of its steps, one after the other."""

from __future__ import annotations

import errno
import zlib
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from fuzz.api import CONTROL, FLAGGED, SENDING, Api, Call
from fuzz.net.arrival import Arrival, Arrived
from fuzz.oracles import shortage
from fuzz.oracles.calls import Datagrams, known_flags, on_datagrams, on_stream, set_option
from fuzz.oracles.control import TX_KEY, TX_KIDS, Control, Options
from fuzz.oracles.expectation import Expectation, Verdicts
from fuzz.oracles.local_in import plainly_not_nst
from fuzz.oracles.sends import send_datagrams, send_on_stream
from fuzz.oracles.served import Sent, Served
from fuzz.oracles.shortage import Way
from fuzz.oracles.waits import datagram_item, wait_for_datagram, wait_on_stream
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
        self._waiting: list[Served] = []
        self._stalled: set[Served] = set()
        self._pressed: set[Served] = set()
        self._kept: Served | None = None
        policy = receiver.policy
        self._control = Control(receiver.keybox, policy.suites, _settings_of(receiver))
        self._options: dict[Served, Options] = {}
        self._sends = False

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
        self._collect()
        if self._kept is not None:
            self._kept.close()
        self._receiver.keybox = self._box
        expected = self._expected
        expected.verdicts = sum(expected.each, Counter())
        expected.sent = [
            # The reset of a refused connection may come after its application's FIN.
            None
            if one in self._stalled or one.incoming.refused or one.dry or self._lost(one)
            else one.sent
            for one in self._connections
        ]
        expected.sent += [
            Sent(len(plaintext), zlib.crc32(plaintext), None, False)
            for family in (4, 6)
            for plaintext in self._datagrams[family].sent
        ]
        tables = (self._receiver.stream_table, self._receiver.dgram_table)
        stream, dgram = ((len(table.entries), table.floor) for table in tables)
        expected.states = (*stream, *dgram)
        return expected

    def _lost(self, served: Served) -> bool:
        """Whether some of what was sent may have been thrown away, in TCP's send queue."""
        return (self._sends or served in self._pressed) and served.cut_off

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
                note = partial(_count, self._counted)
                served = Served(self._receiver, step.argument, self._now, self._age, note)
                self._connections.append(served)
                self._waiting.append(served)
            case Action.SEGMENT | Action.FIN | Action.TCP:
                if self._connections:
                    self._segment(self._connections[-1], step)
            case Action.KEYS:
                self._collect()
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
                api = api_of(step)
                told = self._told_of(Kind.API)
                others = self._shortage(Op.API, told, lambda told: self._api_short(api, told))
                if api.call in SENDING and not api.socket:
                    others += self._pressed_outcomes(told)
                self._expected.items += self._chosen([lambda: self._api(api, told), *others])
            case _:
                told = self._told_of(Kind.CALL)
                op = CALLS[step.action]
                others = self._shortage(op, told, lambda told: self._call_short(step, told))
                if step.action in (Action.SEND, Action.SHUTDOWN):
                    others += self._pressed_outcomes(told)
                self._expected.items += self._chosen([lambda: [self._call(step)], *others])

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
        kept = self._kept
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

    def _call(self, step: Step) -> Item:
        """What the application's call returns."""
        op, plaintext = CALLS[step.action], b""
        if step.action is Action.ACCEPT:
            error = self._accept(step.argument)
        elif self._kept is None:
            error = errno.EBADF
        elif step.action is Action.RECEIVE:
            error, plaintext = self._kept.receive()
        elif step.action is Action.SEND:
            error = self._kept.send(step.data)
        elif step.action is Action.SHUTDOWN:
            error = self._kept.shutdown(step.argument)
        elif step.action is Action.LOOK:
            self._kept.look()
            error = 0
        else:
            self._kept.close()
            self._kept, error = None, 0
        return _item(Kind.CALL, op, error, plaintext)

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
        if self._kept is not None:
            self._pressed.add(self._kept)
        return found

    def _pressed_outcomes(self, told: Item | None) -> list[Way]:
        """What else is right of sending on a connection on which memory has run out before."""
        return shortage.after(told) if told is not None and self._kept in self._pressed else []

    def _call_short(self, step: Step, told: Item) -> list[Way]:
        """What else than with memory may be right of an application's call."""
        if step.action is Action.ACCEPT:
            return self._accept_short(step.argument, told)
        kept = self._kept
        if kept is None:
            return []
        match step.action:
            case Action.RECEIVE:
                return shortage.receiving(kept, told)
            case Action.LOOK:
                return shortage.looking(kept, told)
            case Action.CLOSE:
                return [lambda: self._unknown_end(kept, step)]
            case Action.SHUTDOWN if step.argument:
                return shortage.shutting(kept, told)
        return shortage.refusing(told)

    def _unknown_end(self, served: Served, step: Step) -> list[Item]:
        """The connection is closed, and whether CLOSE went before is not known."""
        self._stalled.add(served)
        return [self._call(step)]

    def _accept_short(self, family: int, told: Item) -> list[Way]:
        first = next((one for one in self._waiting if one.family == family), None)
        if self._kept is not None or first is None:
            return []

        def dropped() -> list[Item]:
            self._waiting.remove(first)
            self._stalled.add(first)
            first.gone = True
            return [told]

        def broken() -> list[Item]:
            self._waiting.remove(first)
            self._kept = first
            first.run_dry()
            return [told]

        if not told.error:
            return [broken]
        failed = shortage.refusing(told, shortage.ACCEPT_ERRORS)
        return [*failed, dropped] if failed else []

    def _api_short(self, api: Api, told: Item) -> list[Way]:
        """The same of a call of an API step."""
        if api.call in CONTROL:
            return shortage.controlling(self._control, api, told)
        if api.socket:
            return shortage.on_datagrams(self._datagrams[api.socket], api, told)
        return [] if self._kept is None else shortage.on_stream(self._kept, api, told)

    def _api(self, api: Api, told: Item | None) -> list[Item]:
        """What a call of an API step returns; `told` is what the module says."""
        if api.call in CONTROL:
            return [self._control.call(api, told)]
        if api.call in FLAGGED:
            api = known_flags(api, told)
        sends = api.call in SENDING
        self._sends |= sends
        if api.socket:
            datagrams = self._datagrams[api.socket]
            if api.call is Call.WAITER:
                return self._waited(api)
            return send_datagrams(datagrams, api, told) if sends else on_datagrams(datagrams, api)
        if self._kept is None:
            return [Item(Kind.API, api.call, errno.EBADF, 0, 0)]
        self._kept.look()
        if api.call in (Call.SET_OPTION, Call.GET_OPTION):
            return [self._option(self._kept, api, told)]
        if sends:
            return send_on_stream(self._kept, api, told)
        if api.call is Call.WAITER:
            return self._waited(api)
        if api.call is Call.CONNECT:
            return [Item(Kind.API, api.call, errno.EISCONN, 0, 0)]
        return on_stream(self._kept, api, told)

    def _wait(self, api: Api, awaited: Sequence[Step]) -> None:
        """A call that waits, and what comes meanwhile."""
        told = self._told_of(Kind.API)
        items = self._api(api, told)
        for step in awaited:
            self._step(step)
        if items[0].error == errno.EAGAIN:
            items = self._waited(api)
        self._expected.items += items

    def _waited(self, api: Api) -> list[Item]:
        if api.socket:
            return wait_for_datagram(self._datagrams[api.socket], api)
        return [] if self._kept is None else [wait_on_stream(self._kept, api)]

    def _option(self, served: Served, api: Api, told: Item | None) -> Item:
        options = self._options.setdefault(served, Options(self._control.suites))
        level, name = api.value >> 32, api.value & 0xFFFFFFFF
        if api.call is Call.SET_OPTION:
            error = options.set(level, name, api.rest, api.flags)
            served.incoming.policy = options.policy
            if error is None:
                error = set_option(served, api, told)
            elif not error and name in (TX_KEY, TX_KIDS):
                self._stalled.add(served)  # its next record may need a key that is not there
            return Item(Kind.API, api.call, error, 0, 0)
        value = options.get(level, name, api.flags)
        if isinstance(value, bytes):
            return Item(Kind.API, api.call, 0, len(value), zlib.crc32(value))
        if value is None:
            return told or Item(Kind.API, api.call, 0, 0, 0)
        return Item(Kind.API, api.call, value, 0, 0)

    def _accept(self, family: int) -> int:
        if self._kept is not None:
            return errno.EBUSY
        self._kept = next((one for one in self._waiting if one.family == family), None)
        if self._kept is None:
            return errno.EAGAIN
        self._waiting.remove(self._kept)
        self._kept.look()
        return 0

    def _collect(self) -> None:
        """Have everything received that has come, but for the connection that is kept."""
        for family in (4, 6):
            self._datagrams[family].connected = False
            for plaintext in self._datagrams[family].waiting:
                self._expected.items.append(datagram_item(family, plaintext))
            self._datagrams[family].waiting.clear()
            for served in [one for one in self._waiting if one.family == family]:
                error, plaintext = served.receive()
                self._expected.items.append(_item(Kind.STREAM, family, error, plaintext))
                served.close()
        self._waiting.clear()


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


def _item(kind: Kind, family: int, error: int, plaintext: bytes) -> Item:
    return Item(kind, family, error, len(plaintext), zlib.crc32(plaintext))
