# SPDX-License-Identifier: GPL-2.0-or-later
"""Sends what clients sent in a capture to a live peer, as it was or sealed anew."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from .capture import Frame, Stamp
from .closing import Closing
from .dgram_socket import NSTDgramSocket
from .header import Transport
from .host import Host
from .inet import FIN, SYN, Endpoint, Parser, Segment
from .observation import Observation
from .observer import Observer, observe_frames
from .stream_socket import NSTStreamSocket
from .tcp import End, Missing, Reassembler
from .verdict import UNVERIFIED

_TIMEOUT_S = 30.0
_CHUNK = 1 << 17
"""Bytes; an NST stream never has more plaintext ready, so none waits unseen by poll."""


@dataclass
class Conversation:
    """One client's conversation, replayed.

    Attributes:
        source: the client, in the capture.
        sent, received: bytes (of records, or of plaintext when sealed anew).
        pieces: datagrams or pieces of the stream sent.
        missing: bytes or records that were not sent, :attr:`why` tells the reason.
        reset: the stream was reset by the peer.
        ended: the peer ended the stream.
    """

    source: str
    transport: Transport
    sent: int = 0
    pieces: int = 0
    received: int = 0
    missing: int = 0
    why: str = ""
    reset: bool = False
    ended: bool = False

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return vars(self) | {"transport": self.transport.value}


class _Live:
    """A conversation and its socket."""

    def __init__(self, told: Conversation, sock: Any) -> None:
        self.told = told
        self.sock = sock
        self.order = Reassembler()
        sock.settimeout(_TIMEOUT_S)

    def send(self, data: bytes) -> None:
        told = self.told
        if told.reset:
            return
        try:
            if told.transport is Transport.STREAM:
                self.sock.sendall(data, socket.MSG_NOSIGNAL)
            else:
                self.sock.send(data)
        except (ConnectionError, TimeoutError) as error:
            self._failed(error)
            return
        told.sent += len(data)
        told.pieces += 1

    def miss(self, amount: int, why: str) -> None:
        self.told.missing += amount
        self.told.why = why

    def end(self) -> None:
        """End our direction of the stream."""
        try:
            if self.told.transport is Transport.STREAM and not self.told.reset:
                self.sock.shutdown(socket.SHUT_WR)
        except OSError as error:
            self._failed(error)

    def receive(self) -> bool:
        """Take what has come; false at the end."""
        told = self.told
        try:
            data = self.sock.recv(_CHUNK)
        except TimeoutError:
            return False  # a record that did not come whole, or datagrams that failed
        except OSError as error:
            self._failed(error)
            return told.transport is Transport.DGRAM
        told.received += len(data)
        told.ended = told.transport is Transport.STREAM and not data
        return not told.ended

    def _failed(self, error: OSError) -> None:
        # A refused datagram says that no one listens, which is an answer too.
        self.told.reset = self.told.transport is Transport.STREAM
        self.told.why = self.told.why or (error.strerror or "timed out")


class Replayer(Closing):
    """Opens a socket for each conversation when its first bytes are to be sent."""

    def __init__(self, target: tuple[str, int]) -> None:
        """*target* is host and port."""
        self._target = target
        self._live: dict[tuple[Transport, Endpoint, Endpoint], _Live] = {}
        self._told: list[Conversation] = []

    def close(self) -> None:
        """Close every socket."""
        for live in self._live.values():
            live.sock.close()

    def replay(self, frames: Iterable[Frame], ports: Collection[int]) -> None:
        """Send what was sent to *ports*.

        Raises:
            OSError: there is no connection to be had.
            CaptureError: *frames* did.
        """
        raise NotImplementedError

    def finish(self, wait: float) -> list[Conversation]:
        """End every stream, take answers for *wait* seconds, and tell what happened."""
        open_ = {live.sock.fileno(): live for live in self._live.values() if not live.told.reset}
        for live in open_.values():
            live.end()
        poller = select.poll()
        for number in open_:
            poller.register(number, select.POLLIN)
        deadline = time.monotonic() + wait
        while open_ and (left := deadline - time.monotonic()) > 0:
            for number, _ in poller.poll(left * 1000):
                open_[number].sock.settimeout(max(1e-3, deadline - time.monotonic()))
                if not open_[number].receive():
                    poller.unregister(number)
                    del open_[number]
        return self._told

    def _conversation(self, transport: Transport, src: Endpoint, dst: Endpoint) -> _Live:
        key = transport, src, dst
        live = self._live.get(key)
        if live is None:
            told = Conversation(str(src), transport)
            live = self._live[key] = _Live(told, self._socket(transport))
            self._told.append(told)
        return live

    def _forget(self, transport: Transport, src: Endpoint, dst: Endpoint) -> None:
        """The same ports begin anew."""
        live = self._live.pop((transport, src, dst), None)
        if live is not None:
            live.sock.close()

    def _socket(self, transport: Transport) -> Any:
        kind = socket.SOCK_STREAM if transport is Transport.STREAM else socket.SOCK_DGRAM
        family, _, _, _, address = socket.getaddrinfo(*self._target, type=kind)[0]
        sock = self._make(transport, family)
        sock.settimeout(_TIMEOUT_S)
        sock.connect(address)
        return sock

    def _make(self, transport: Transport, family: socket.AddressFamily) -> Any:
        raise NotImplementedError


class RawReplayer(Replayer):
    """Sends the bytes that were captured."""

    def replay(self, frames: Iterable[Frame], ports: Collection[int]) -> None:
        parse = Parser().parse
        for frame in frames:
            packet = parse(frame)
            if packet is None or packet.dst.port not in ports:
                continue
            if isinstance(packet, Segment):
                self._segment(packet, Stamp(frame.number, frame.time or 0))
            elif len(packet.data) < packet.length:
                live = self._conversation(Transport.DGRAM, packet.src, packet.dst)
                live.miss(1, "the snapshot length cut it off")
            else:
                self._conversation(Transport.DGRAM, packet.src, packet.dst).send(packet.data)
        for live in self._live.values():
            for piece, _ in live.order.finish():
                self._piece(live, piece)

    def _segment(self, segment: Segment, stamp: Stamp) -> None:
        seq = segment.seq
        if segment.flags & SYN:
            self._forget(Transport.STREAM, segment.src, segment.dst)
            seq += 1
        elif not segment.length and not segment.flags & FIN:
            return
        live = self._conversation(Transport.STREAM, segment.src, segment.dst)
        live.order.start(seq)
        fin = bool(segment.flags & FIN)
        for piece, _ in live.order.segment(seq, segment.data, segment.length, fin=fin, stamp=stamp):
            self._piece(live, piece)

    @staticmethod
    def _piece(live: _Live, piece: bytes | Missing | End) -> None:
        if isinstance(piece, bytes):
            live.send(piece)
        elif isinstance(piece, Missing):
            live.miss(piece.length, "not captured")
        else:
            live.end()

    def _make(self, transport: Transport, family: socket.AddressFamily) -> Any:
        kind = socket.SOCK_STREAM if transport is Transport.STREAM else socket.SOCK_DGRAM
        return socket.socket(family, kind)


class SealingReplayer(Replayer):
    """Opens the records, as an observer can, and sends their plaintext in new ones."""

    def __init__(self, target: tuple[str, int], host: Host) -> None:
        """*host* has the keys, both for what was captured and for the peer."""
        super().__init__(target)
        self._host = host

    def replay(self, frames: Iterable[Frame], ports: Collection[int]) -> None:
        for seen in observe_frames(frames, Observer(self._host.keybox), ports):
            if seen.dst.port in ports:
                self._record(seen)

    def _record(self, seen: Observation) -> None:
        live = self._conversation(seen.transport, seen.src, seen.dst)
        if seen.plaintext is None:
            live.miss(1, seen.note or seen.verdict or UNVERIFIED)
        elif seen.plaintext or seen.transport is Transport.DGRAM:
            live.send(seen.plaintext)

    def _make(self, transport: Transport, family: socket.AddressFamily) -> Any:
        if transport is Transport.STREAM:
            return NSTStreamSocket(self._host, family)
        return NSTDgramSocket(self._host, family)
