# SPDX-License-Identifier: GPL-2.0-or-later
"""The observer: verdicts on a capture, from outside (specification, section 8, Observers).

Sans-IO: TCP segments and UDP datagrams in, observations out. ``now`` is the time of
capture, Floor is 0, replay tables are unbounded, one pair for each destination address.
Roles come from the SYN or else from the first record, REFLECT looks at the opposite
direction of the same pair of addresses and ports.

What follows a failed record of a stream, or a gap, is described in
:mod:`.observed_stream`. A reset is no verdict. Checksums and TCP windows are not
checked, so a segment that the receiver's TCP would have refused is judged all the same.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Collection, Iterable, Iterator

from cryptography.exceptions import UnsupportedAlgorithm

from .capture import CaptureError, Frame, Stamp
from .checks import (
    Policy,
    check_perturbation,
    check_prefix,
    check_suite,
    dgram_flags_and_length,
)
from .header import COUNTER_BITS, DEFAULT_PORT, HEADER_LEN, MAGIC_VERSION_LEN, Header, Transport
from .inet import SYN, Datagram, Endpoint, Parser, Segment
from .keybox import KeyBox
from .observation import Observation
from .observed_connection import ObservedConnection
from .receiver import DgramReceiver, Receiver
from .replay import DEFAULT_WINDOW_NS, DgramTable, StreamTable
from .suite import SUITES
from .verdict import Verdict

MAX_CONNECTIONS = 8192
"""Connections kept in memory. Past that those that are over are forgotten, then the oldest."""
MAX_SOCKETS = 65536
"""Datagram flows kept. Past that those whose sender sealed nothing within the window go."""
MAX_WAIT = 256
"""Frames that a bound reply waits for the record that it is bound to."""

_POLICY = Policy()
_new = tuple.__new__
"""What a named tuple's own constructor calls, which takes longer to get there than it does."""
_OK = Verdict.OK
_DGRAM = Transport.DGRAM
"""Looked up once: a member of an enum takes longer to get than a record's checks to make."""


class Observer:
    """Judges the packets of one capture, in order."""

    def __init__(self, keybox: KeyBox | None = None, *, window_ns: int = DEFAULT_WINDOW_NS) -> None:
        """Without *keybox* every record that passes checks 1 to 7 is ``unverified``."""
        self._keybox = keybox
        self._window_ns = window_ns
        self._receivers: dict[bytes, Receiver] = {}
        self._sockets: dict[tuple[Endpoint, Endpoint], tuple[DgramReceiver, DgramReceiver]] = {}
        """By source and destination: the sockets at the destination and at the source."""
        self._connections: dict[tuple[Endpoint, Endpoint], ObservedConnection] = {}
        """By both orders of the endpoints."""
        self._sweep_sockets_at = MAX_SOCKETS
        self._waiting: dict[int, ObservedConnection] = {}
        self._held: list[tuple[int, int, Observation]] = []
        self._count = 0
        self.skipped: Counter[str] = Counter()
        """Packets without an observation, by reason."""

    def observe(self, packet: Segment | Datagram, frame: int, time: int) -> list[Observation]:
        """Judge what *packet* completes; *frame* numbers only rise.

        Observations come in order of their frames, so they may come late: behind a
        record that waits for another one, at most :data:`MAX_WAIT` frames.
        """
        if not (self._waiting or self._held):
            at_once = self._next_of_session(packet, frame, time)
            if at_once is not None:
                return at_once
        stamp = Stamp(frame, time)
        if isinstance(packet, Segment):
            found = self._segment(packet, stamp)
        elif packet.dst.multicast:
            self.skipped["multicast datagrams"] += 1
            found = []
        else:
            found = [self._datagram(packet, stamp)]
        if self._waiting or self._held:
            return self._in_order(found, frame - MAX_WAIT)
        if len(found) > 1:
            # The last record that waited comes out behind the one that it waited for.
            found.sort(key=lambda observation: observation.frame)
        return found

    def _next_of_session(
        self, packet: Segment | Datagram, frame: int, time: int
    ) -> list[Observation] | None:
        """What there is to say of a packet that goes on with what a former one began.

        Returns ``None``, and nothing has changed, where there may be more to it. Nearly
        every packet of a long conversation goes this short way.
        """
        if isinstance(packet, Segment):
            connection = self._connections.get((packet.src, packet.dst))
            return None if connection is None else connection.next_of_epoch(packet, frame, time)
        src, dst, data, length = packet
        sockets = self._sockets.get((src, dst))
        if sockets is None or len(data) != length or length < HEADER_LEN:
            return None
        header = Header.unpack(data)
        plaintext = sockets[0].next_of_session(header, data, now=time)
        if plaintext is None:
            return None
        sockets[1].sent(header.nonce >> COUNTER_BITS, header.timestamp)
        return [_new(Observation, (frame, time, _DGRAM, src, dst, header, _OK, plaintext, ""))]

    def finish(self) -> list[Observation]:
        """What is left to say when the capture has ended.

        Records behind bytes that never came are among it, with the frame that
        holds their last byte.
        """
        found: list[Observation] = []
        for connection in dict.fromkeys(self._connections.values()):
            found += self._finish(connection)
        found += [observation for _, _, observation in self._held]
        self._connections.clear()
        self._held.clear()
        self._waiting.clear()
        return sorted(found, key=lambda observation: observation.frame)

    def _receiver(self, address: bytes) -> Receiver | None:
        """The receive state of a destination address."""
        if self._keybox is None:
            return None
        receiver = self._receivers.get(address)
        if receiver is None:
            receiver = self._receivers[address] = Receiver(
                self._keybox,
                self._window_ns,
                stream_table=StreamTable(None),
                dgram_table=DgramTable(None),
            )
        return receiver

    def _segment(self, segment: Segment, stamp: Stamp) -> list[Observation]:
        observations: list[Observation] = []
        connection = self._connections.get((segment.src, segment.dst))
        syn = None
        if (
            segment.flags & SYN
            and connection is not None
            and (syn := connection.successor(segment)) is not None
        ):
            observations += self._finish(connection)
            connection = None
        if connection is None:
            if len(self._connections) >= 2 * MAX_CONNECTIONS:
                observations += self._forget_connections()
            connection = self._connect(segment)
            if syn is not None and syn is not segment:
                observations += connection.segment(syn, stamp)
        observations += connection.segment(segment, stamp)
        if connection.waiting is not None:
            self._waiting[id(connection)] = connection
        elif self._waiting:
            self._waiting.pop(id(connection), None)
        return observations

    def _connect(self, segment: Segment) -> ObservedConnection:
        src, dst = segment.src, segment.dst
        connection = ObservedConnection(
            segment, self._receiver(src.address), self._receiver(dst.address)
        )
        self._connections[src, dst] = self._connections[dst, src] = connection
        return connection

    def _forget_connections(self) -> list[Observation]:
        """Halve the number of connections kept: those that are over go first."""
        connections = list(dict.fromkeys(self._connections.values()))
        connections.sort(key=lambda connection: not connection.finished)  # stable: oldest first
        observations: list[Observation] = []
        forgotten = set()
        for connection in connections[: len(connections) // 2]:
            observations += self._finish(connection)
            forgotten.add(connection)
        self._connections = {
            pair: connection
            for pair, connection in self._connections.items()
            if connection not in forgotten
        }
        return observations

    def _finish(self, connection: ObservedConnection) -> list[Observation]:
        """What is left to say of a connection that will not be looked at any more."""
        observations = list(connection.finish())
        self._waiting.pop(id(connection), None)
        self._count_skipped(connection)
        return observations

    def _count_skipped(self, connection: ObservedConnection) -> None:
        if connection.skipped:
            self.skipped["bytes of streams passed over in search of a record"] += connection.skipped

    def _datagram(self, datagram: Datagram, stamp: Stamp) -> Observation:
        header = Header.unpack(datagram.data) if len(datagram.data) >= HEADER_LEN else None
        verdict, plaintext, note = self._judge(datagram, header, stamp.time)
        return Observation(
            stamp.frame,
            stamp.time,
            _DGRAM,
            datagram.src,
            datagram.dst,
            header,
            verdict,
            plaintext,
            note,
        )

    def _judge(
        self, datagram: Datagram, header: Header | None, now: int
    ) -> tuple[Verdict | None, bytes | None, str]:
        """Verdict, plaintext and note."""
        data, length = datagram.data, datagram.length
        cut_off = "the snapshot length cut it off"
        if length < HEADER_LEN:
            return Verdict.SHORT, None, ""
        if header is None or len(data) < length or self._keybox is None:
            verdict = check_prefix(data) if len(data) >= MAGIC_VERSION_LEN else None
            if verdict is not None or header is None:
                return verdict, None, "" if verdict is not None else cut_off
            if self._keybox is None:
                verdict = (
                    check_suite(header, _POLICY)
                    or dgram_flags_and_length(header, length)
                    or check_perturbation(header)
                )
                return verdict, None, "" if verdict is not None else "no key box"
        receiving, sending = self._sockets_of(datagram, now)
        if len(data) < length:
            verdict = receiving.check(header, length, now, age=now)
            return verdict, None, "" if verdict is not None else cut_off
        try:
            verdict, plaintext, _ = receiving.judge(header, data, now=now, age=now)
        except UnsupportedAlgorithm:
            return None, None, f"no crypto for {SUITES[header.cipher_id].name} on this system"
        if verdict is _OK:
            # Only what is authentic was sealed by the sender; anyone can forge the rest.
            sending.sent(header.session_id, header.timestamp)
        return verdict, plaintext, ""

    def _sockets_of(self, datagram: Datagram, now: int) -> tuple[DgramReceiver, DgramReceiver]:
        """The sockets at destination and source, as far as they talk to each other."""
        src, dst = datagram.src, datagram.dst
        sockets = self._sockets.get((src, dst))
        if sockets is None:
            if len(self._sockets) >= self._sweep_sockets_at:
                self._sweep_sockets(now)
            to, back = self._receiver(dst.address), self._receiver(src.address)
            assert to is not None
            assert back is not None
            there = DgramReceiver(to)
            here = there if src == dst else DgramReceiver(back)
            sockets = self._sockets[src, dst] = there, here
            self._sockets[dst, src] = here, there
        return sockets

    def _sweep_sockets(self, now: int) -> None:
        """Let go of those that have nothing to remember."""
        self._sockets = {
            pair: sockets
            for pair, sockets in self._sockets.items()
            if any(socket.reflects(now) for socket in sockets)
        }
        self._sweep_sockets_at = max(MAX_SOCKETS, 2 * len(self._sockets))

    def _in_order(self, found: list[Observation], patience_ends: int) -> list[Observation]:
        """Hold back what comes behind a record that waits; release the rest."""
        for connection in list(self._waiting.values()):
            if (since := connection.waiting) is not None and since.frame < patience_ends:
                found += connection.give_up_waiting()
                if connection.waiting is None:
                    del self._waiting[id(connection)]
        for observation in found:
            self._count += 1
            heapq.heappush(self._held, (observation.frame, self._count, observation))
        stamps = [c.waiting.frame for c in self._waiting.values() if c.waiting is not None]
        before = min(stamps, default=None)
        released = []
        while self._held and (before is None or self._held[0][0] < before):
            released.append(heapq.heappop(self._held)[2])
        return released


def observe_frames(
    frames: Iterable[Frame],
    observer: Observer,
    ports: Collection[int] = (DEFAULT_PORT,),
) -> Iterator[Observation]:
    """Every observation on a capture, counting in ``observer.skipped`` what was passed over.

    A packet is taken for NST if either of its ports is in *ports*.

    Raises:
        CaptureError: *frames* did, after the observations on what came before.
    """
    parser = Parser()
    parse, observe = parser.parse, observer.observe
    skipped = observer.skipped
    damage: CaptureError | None = None
    try:
        for frame in frames:
            packet = parse(frame)
            if packet is None or (packet.src.port not in ports and packet.dst.port not in ports):
                continue
            if frame.time is None:
                skipped["packets without a time of capture"] += 1
                continue
            yield from observe(packet, frame.number, frame.time)
    except CaptureError as error:
        damage = error
    yield from observer.finish()
    skipped.update({f"frames {why}": count for why, count in parser.skipped.items()})
    if parser.incomplete:
        skipped["IP packets with fragments missing"] += parser.incomplete
    if damage is not None:
        raise damage
