# SPDX-License-Identifier: GPL-2.0-or-later
"""Our end of a TCP connection, segment by segment.

The link loses nothing, so there is no retransmission; what is sent, in which
pieces and when is the caller's decision, and with `loose` every field of it, too.
"""

from __future__ import annotations

from fuzz.net.host import Host
from fuzz.net.tcp import Segment, TcpFlag

_WINDOW = 65535
# Made once: joining two flags takes as long as packing a segment.
_DATA = TcpFlag.ACK | TcpFlag.PSH
_FIN = TcpFlag.ACK | TcpFlag.FIN
_RST = TcpFlag.RST | TcpFlag.ACK
_MODULO = 0xFFFFFFFF


class Refused(Exception):
    """The peer answered SYN with a reset, or not at all."""


class Connection:
    """A connection between the host and its peer, which either may open.

    Attributes:
        family: IP version.
        own_port: ours.
        peer_port: the peer's.
        received: bytes that the peer sent, in order.
        ended: the peer sent FIN.
        reset: the peer sent RST.
    """

    def __init__(
        self, host: Host, *, own_port: int, peer_port: int, family: int = 4, isn: int = 0
    ) -> None:
        """Describe it; `isn` is our initial sequence number. Nothing is sent yet."""
        self._host = host
        self.family = family
        self.own_port = own_port
        self.peer_port = peer_port
        self._next = isn
        self._begin = (isn + 1) & _MODULO
        self._expected = 0
        self._acknowledged = isn
        self._queue = host.open(family, own_port, peer_port)
        self.received = bytearray()
        self.ended = False
        self.reset = False

    def syn(self) -> bytes:
        """The frame that begins it."""
        return self._frame(TcpFlag.SYN)

    def established(self, timeout: float) -> None:
        """Wait for the answer to SYN, `timeout` seconds at most.

        The handshake's last ACK is not sent: `ack`, or any segment, is one.

        Raises:
            Refused: there was a reset, or no answer.
        """
        answer = self._handshake(timeout)
        self._expected = (answer.seq + answer.length) & _MODULO
        self._acknowledged = answer.ack

    def answer(self, timeout: float) -> None:
        """Wait for the peer's SYN, and complete the handshake: the peer opens the connection.

        Raises:
            Refused: there was none within `timeout` seconds, or no answer to ours.
        """
        syn = self._handshake(timeout)
        self._expected = (syn.seq + syn.length) & _MODULO
        self._host.transmit([self._frame(TcpFlag.SYN | TcpFlag.ACK)])
        self._acknowledged = self._handshake(timeout).ack

    def _handshake(self, timeout: float) -> Segment:
        """The peer's next segment before anything else comes."""
        if not self._host.wait_for(lambda: self._queue or None, timeout):
            raise Refused(f"no SYN, or no answer to it, within {timeout:g} s")
        segment = self._queue.popleft()
        if segment.flags & TcpFlag.RST:
            self.reset = True
            raise Refused("SYN was answered with a reset")
        return segment

    def ack(self) -> bytes:
        """A frame that acknowledges what was received."""
        return self._frame(TcpFlag.ACK)

    def data(self, payload: bytes) -> bytes:
        """A frame with the next bytes of the stream."""
        return self._frame(_DATA, payload)

    def fin(self) -> bytes:
        """A frame that ends our direction."""
        return self._frame(_FIN)

    def loose(
        self,
        offset: int,
        flags: int,
        payload: bytes,
        *,
        window: int = _WINDOW,
        urgent: int = 0,
        intact: bool = True,
    ) -> bytes:
        """A frame with everything given; `offset` counts from the stream's first byte."""
        segment = Segment(
            self.own_port,
            self.peer_port,
            (self._begin + offset) & _MODULO,
            self._expected if flags & TcpFlag.ACK else 0,
            TcpFlag(flags),
            window,
            payload,
            urgent,
        )
        return self._host.segment(segment, self.family, intact=intact)

    def confirm(self) -> bytes:
        """A frame that acknowledges what was received, where the peer expects our next byte."""
        self._next = self._acknowledged
        return self.ack()

    def rst(self) -> bytes:
        """A frame that aborts the connection, where the peer expects our next byte."""
        self._next = self._acknowledged
        return self._frame(_RST)

    def take(self) -> None:
        """Take in the segments that have arrived; the caller acknowledges."""
        while self._queue:
            segment = self._queue.popleft()
            if segment.flags & TcpFlag.ACK:
                self._acknowledged = segment.ack
            if segment.flags & TcpFlag.RST:
                self.reset = True
            elif segment.seq == self._expected:
                self.received += segment.payload
                self._expected = (self._expected + segment.length) & _MODULO
                self.ended |= bool(segment.flags & TcpFlag.FIN)

    def begun(self, count: int) -> bytes:
        """The first `count` bytes that the peer sent, if so many have come; nothing is taken in.

        What we send next acknowledges no more than it did.
        """
        queued = b"".join(segment.payload for segment in self._queue)
        return bytes((self.received + queued)[:count])

    def acknowledge(self) -> None:
        """Take in what has arrived, and tell the peer so that it can go on sending."""
        if self._queue:
            self.take()
            self._host.transmit([self.ack()])

    def await_end(self, timeout: float) -> None:
        """Take in what comes until the peer ends the connection, `timeout` seconds at most."""

        def ended() -> bool | None:
            self.take()
            return self.ended or self.reset or None

        self._host.wait_for(ended, timeout)

    def drain(self, timeout: float) -> None:
        """Take in and acknowledge all until the peer ends the connection.

        It also ends if nothing comes for `timeout` seconds.
        """
        self.acknowledge()
        while not (self.ended or self.reset):
            if not self._host.wait_for(lambda: self._queue or None, timeout):
                return
            self.acknowledge()

    def close(self) -> None:
        """Forget the connection."""
        self._host.close(self.family, self.own_port, self.peer_port)

    def _frame(self, flags: TcpFlag, payload: bytes = b"") -> bytes:
        segment = Segment(
            self.own_port,
            self.peer_port,
            self._next,
            self._expected if flags & TcpFlag.ACK else 0,
            flags,
            _WINDOW,
            payload,
        )
        self._next = (self._next + segment.length) & _MODULO
        return self._host.segment(segment, self.family)
