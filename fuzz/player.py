# SPDX-License-Identifier: GPL-2.0-or-later
"""Doing a case's steps: frames for the guest, calls of its application, keys and settings."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import NamedTuple

from fuzz.api import SENDING
from fuzz.binding import token_in
from fuzz.net.connection import Connection
from fuzz.net.dialler import Dialler
from fuzz.net.host import Host
from fuzz.net.tcp import MSS, TcpFlag
from fuzz.oracles.control import SYSCTL
from fuzz.oracles.outflow import sealed, sealed_datagram
from fuzz.oracles.served import Sent
from fuzz.oracles.shadow import token_of
from fuzz.script import (
    DIALS,
    ON_CONNECTION,
    SENT,
    Action,
    Loose,
    Step,
    api_of,
    connections,
    keys_of,
    paired,
    waits_for_frames,
)
from fuzz.target.client import TargetClient, TargetSilent
from fuzz.target.wire import CALLS, Item, Op, Reply
from nst_scapy.epoch import bound
from nst_scapy.header import DEFAULT_PORT, HEADER_LEN, Role
from nst_scapy.kernel_messages import SETTINGS
from nst_scapy.keybox import KeyBox
from nst_scapy.verdict import Verdict

ANSWER_SECONDS = 30.0
"""How long the target may take to answer; a translated guest on a busy host is slow."""
_OPEN_WINDOW = 1 << 15
"""Bytes; more than any case has the guest send without being read."""
_FIRST_PORT, _LAST_PORT = 10000, 60000
_END_SECONDS = 0.05
"""How much later than its reply the last segments of a busy guest may come."""
_SURE_SECONDS = 2.0
"""The same if there is no doubt that they come, once those before them are acknowledged: a
guest that was not answered in time has fewer and fewer under way."""
_SHORT_SECONDS = 10.0
"""The same of one that may have had no memory to send: it tries again after a time that
depends on how late our last answer was."""
_DRAIN_SECONDS = 2.0
"""How long a guest may be silent that has something to send; its TCP tries again before."""


class Played(NamedTuple):
    """What was done of cases.

    Attributes:
        frames: what is to be sent yet.
        items: what was received so far.
        opened: their connections.
        asked: whether anything was asked for on the way; else nothing has been sent.
        bound: the records of BIND steps, as they were sent.
    """

    frames: list[bytes]
    items: list[Item]
    opened: list[Connection]
    asked: bool
    bound: Sequence[bytes] = ()


class Player:
    """Does what steps say, from the user-space host at the other end of a guest's link.

    Whatever waits for the guest raises `TargetSilent`, `fuzz.net.connection.Refused` or
    ConnectionError if it does not answer.

    Attributes:
        client: the way to the guest's target program.
        settings: of the guest when it came up, by their sysctls' names.
        taint: the kernel's, in the last reply.
    """

    def __init__(self, host: Host, keybox: KeyBox) -> None:
        """`keybox` is what the guest came up with."""
        self.client = TargetClient(host)
        self.settings: dict[str, int] = {}
        self.taint = 0
        self._host = host
        self._keybox = keybox
        self._dialler = Dialler(host, DEFAULT_PORT)
        self._wanted: Counter[int] = Counter()
        self._ports = itertools.cycle(range(_FIRST_PORT, _LAST_PORT))
        self._bound: list[bytes] = []
        self._kept_port = DEFAULT_PORT

    def begin(self) -> None:
        """Take stock of a fresh guest."""
        self._dialler.forget()
        read = self.client.read
        self.settings = {name: int(read(f"{SYSCTL}{name}", ANSWER_SECONDS)) for name in SETTINGS}

    def ask(
        self,
        before: Sequence[bytes],
        op: Op = Op.COLLECT,
        data: bytes = b"",
        family: int = 4,
        port: int = 0,
        value: int = 0,
        meanwhile: Callable[[], None] = lambda: None,
    ) -> Reply:
        """Send the frames `before` and a request, and wait for its reply."""
        request = self.client.send(op, data, before=before, family=family, port=port, value=value)
        return self.answer(request, meanwhile)

    def answer(self, request: int, meanwhile: Callable[[], None] = lambda: None) -> Reply:
        """Wait for the reply to a request."""
        reply = self.client.reply(request, ANSWER_SECONDS, meanwhile)
        self.taint = reply.taint
        return reply

    def play(self, cases: Sequence[Sequence[Step]]) -> Played:
        """Do all steps of cases that are sent together, but for sending what is left at the end.

        If nothing is to be waited for among them that is all of it.
        """
        frames: list[bytes] = []
        items: list[Item] = []
        opened: list[Connection] = []
        asked = False
        self._bound, self._kept_port = [], DEFAULT_PORT
        self._wanted = Counter(
            step.argument for steps in cases for step in steps if step.action is Action.CONNECT
        )
        self.prepare()
        source = 0
        for pair in itertools.chain.from_iterable((None, *paired(steps)) for steps in cases):
            if pair is None:
                source = next(self._ports)
                continue
            step, awaited = pair
            if step.action in SENT:
                frames += self._frames(step, opened, source)
            elif step.action is Action.CONNECT:
                opened.append(self._dialler.connect(step.argument, ANSWER_SECONDS))
                frames.append(opened[-1].ack())
            else:
                asked = True
                if step.action is Action.RESTORE:
                    self._host.transmit(frames)
                    self.restore()
                elif step.action in DIALS:
                    items += self._dial(frames, step, opened)
                elif step.action is Action.KEYS:
                    items += self.ask(frames).items
                    self.load(keys_of(step, self._keybox))
                else:
                    items += self._call(frames, step, opened).items
                frames = [f for one in awaited for f in self._frames(one, opened, source)]
                if waits_for_frames(step):
                    items += self.ask(frames, Op.JOIN).items
                    frames = []
        return Played(frames, items, opened, asked, self._bound)

    def collect(self, frames: Sequence[bytes], *, kept: bool) -> int:
        """Send the last frames of cases, and have all received that has come.

        If a connection is `kept` it is closed. Returns the number of the request.
        """
        return self.client.send(Op.COLLECT, before=frames, value=int(kept))

    def _frames(self, step: Step, opened: Sequence[Connection], source: int) -> list[bytes]:
        """The frames of a step that only sends; of its datagrams `source` is the port."""
        if step.action in ON_CONNECTION:
            return self._sent_on(opened[-1] if opened else None, step)
        if step.action is Action.PACKET:
            return [self._host.packet(step.data, step.argument)]
        return self._host.datagram(
            step.data,
            source_port=source,
            destination_port=DEFAULT_PORT,
            family=step.argument,
        )

    def _sent_on(self, connection: Connection | None, step: Step) -> list[bytes]:
        """The frames of a step that sends on a connection, if there is one."""
        if step.action is Action.BIND:
            token = token_in(connection.begun(HEADER_LEN)) if connection else b""
            self._bound.append(bound(step.data, token, self._keybox))
            step = Step(Action.SEGMENT, 0, self._bound[-1])
        return _sent_on(connection, step) if connection else []

    def _dial(
        self, frames: Sequence[bytes], step: Step, opened: list[Connection]
    ) -> Sequence[Item]:
        """Have the application connect to us, and let it."""
        again = step.action is Action.REDIAL
        connection = self._dialler.expect(step.argument, self._kept_port if again else 0)
        opened.append(connection)
        reply = self.ask(
            frames, Op.DIAL, family=step.argument, port=connection.own_port, value=int(again)
        )
        if not any(item.error for item in reply.items):
            connection.answer(ANSWER_SECONDS)
            self._kept_port = connection.peer_port
        return reply.items

    def _call(self, frames: Sequence[bytes], step: Step, opened: Sequence[Connection]) -> Reply:
        """Have the application do a step, after the frames."""
        waits = step.action is Action.API and api_of(step).wait

        def acknowledge() -> None:
            for connection in opened:
                connection.acknowledge()

        chooses = step.action in (Action.ACCEPT, Action.API)
        return self.ask(
            frames, CALLS[step.action], step.data,
            family=step.argument if chooses else 4, value=0 if chooses else step.argument,
            meanwhile=acknowledge if waits else lambda: None,
        )  # fmt: skip

    def sealed_by_guest(self, family: int) -> tuple[bytes, int]:
        """A datagram that a socket of the guest's seals and sends to us; and its clock then, ns."""
        data = self._host.own.ipv6 if family == 6 else b""
        reply = self.ask((), Op.SEND, data + b"reflected", family=family, port=DEFAULT_PORT)
        if reply.error:
            raise TargetSilent(f"the module does not send: errno {reply.error}")
        datagram = self._host.wait_for(
            lambda: self._host.take_datagram(destination_port=DEFAULT_PORT), ANSWER_SECONDS
        )
        if datagram is None:
            raise TargetSilent("the module sent no datagram")
        return datagram.payload, reply.drained

    def restore(self) -> None:
        """Make key box and settings what they were when the guest came up."""
        for name, value in self.settings.items():
            self.client.write(f"{SYSCTL}{name}", str(value).encode(), ANSWER_SECONDS)
        self.load(self._keybox)

    def load(self, box: KeyBox) -> None:
        """Give the guest a key box."""
        self.client.write("/proc/net/nst_keybox", box.dumps().encode(), ANSWER_SECONDS)

    def prepare(self) -> None:
        """Begin the connections that the next cases may want: as many as the last ones did."""
        for family, count in self._wanted.items():
            self._dialler.prepare(family, count)

    def end(
        self, opened: Sequence[Connection], steps: Sequence[Step], now: int
    ) -> list[Sent | Verdict]:
        """End the connections; what the guest sealed on each, and then as datagrams."""
        boxes = [self._keybox]
        boxes += [keys_of(step, self._keybox) for step in steps if step.action is Action.KEYS]
        courses = list(connections(steps))
        found: list[Sent | Verdict] = []
        sends = any(step.action is Action.API and api_of(step).call in SENDING for step in steps)
        short = any(step.action in (Action.SHORTAGE, Action.DROUGHT) for step in steps)
        resets: list[bytes] = []
        since = time.monotonic()
        for connection, course in zip(opened, courses, strict=True):
            if sends or short:
                connection.drain(_SHORT_SECONDS if short else _DRAIN_SECONDS)
                since = time.monotonic()
            connection.await_end(max(0.0, since + _END_SECONDS - time.monotonic()))
            if not (connection.ended or connection.reset) and _surely_ends(course):
                self._host.transmit([connection.confirm()])
                connection.drain(_SURE_SECONDS)
            if connection.ended or connection.reset:
                since = time.monotonic()
            stream = bytes(connection.received)
            dialled = course[0].action in DIALS
            found.append(
                sealed(
                    stream, ended=connection.ended, boxes=boxes, now=now,
                    role=Role.ACCEPTOR if dialled else Role.INITIATOR,
                    first_token=token_of(course),
                )
            )  # fmt: skip
            if not connection.reset:
                resets.append(connection.rst())
            connection.close()
        self._host.transmit(resets)
        return found + (self._datagrams_sent(boxes, now) if sends else [])

    def _datagrams_sent(self, boxes: Sequence[KeyBox], now: int) -> list[Sent | Verdict]:
        """What the guest sealed as datagrams, IPv4 first."""
        came = {4: list[bytes](), 6: list[bytes]()}
        while datagram := self._host.take_datagram(destination_port=DEFAULT_PORT):
            came[datagram.family].append(datagram.payload)
        return [sealed_datagram(one, boxes=boxes, now=now) for one in (*came[4], *came[6])]


def _surely_ends(steps: Sequence[Step]) -> bool:
    """Whether the guest tells the end of a connection when its application closes it: we
    neither reset it nor leave it no window."""
    loose = [Loose.of(step) for step in steps if step.action is Action.TCP]
    return not any(
        one.flags & (TcpFlag.RST | TcpFlag.SYN) or one.window < _OPEN_WINDOW for one in loose
    )


def _sent_on(connection: Connection, step: Step) -> list[bytes]:
    """The frames of a step that sends on a connection."""
    if step.action is Action.TCP:
        loose = Loose.of(step)
        return [
            connection.loose(
                loose.offset, loose.flags, loose.payload,
                window=loose.window, urgent=loose.urgent, intact=loose.intact,
            )
        ]  # fmt: skip
    if step.action is Action.FIN:
        return [connection.fin()]
    mss = MSS[connection.family]
    return [
        connection.data(step.data[start : start + mss]) for start in range(0, len(step.data), mss)
    ]
