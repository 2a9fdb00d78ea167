# SPDX-License-Identifier: GPL-2.0-or-later
# The decorators of scapy.automaton are annotated as they are not used.
# mypy: disable-error-code="arg-type,attr-defined,call-arg,misc,override"
"""An automaton that plays the initiator of a stream, record by record.

Its states are those of the protocol; draw them with ``NSTClient.graph()``.
"""

from __future__ import annotations

import socket
from typing import Any

from scapy.automaton import ATMT, Automaton
from scapy.config import conf
from scapy.packet import Packet
from scapy.supersocket import StreamSocket

from .association import NSTAssociation, NSTRejected
from .header import DEFAULT_PORT, Flags, Role, Transport
from .keybox import KeyBox
from .layer import NST, NSTPlain
from .suite import SuiteId
from .verdict import Verdict


class NSTClient(Automaton):
    """A client: ``NSTClient("192.0.2.1", keybox=box)``, then ``runbg()``.

    ``io.app.send(b"...")`` seals and sends, ``io.app.send(None)`` ends our direction, and
    ``io.app.recv()`` gives the plaintext of a record, or ``None`` at the peer's end. Every
    record received is in :attr:`records` as well, opened. What ``run()`` returns is the
    verdict: ``OK`` after an orderly end of both directions.
    """

    pkt_cls = NST

    def parse_args(
        self,
        host: str = "127.0.0.1",
        port: int = DEFAULT_PORT,
        keybox: KeyBox | None = None,
        suite: SuiteId = SuiteId.AES_GCM,
        timeout: float = 10.0,
        association: NSTAssociation | None = None,
        **kargs: Any,
    ) -> None:
        """Options of the client.

        Args:
            host, port: the server.
            keybox, suite: of the association, if none is given.
            timeout: of the connection, seconds.
            association: an initiator's, to craft with.

        Raises:
            ValueError: neither a key box nor an association.
        """
        if association is None:
            if keybox is None:
                raise ValueError("an NST client needs a keybox or an association")
            association = NSTAssociation(
                keybox, suite, transport=Transport.STREAM, role=Role.INITIATOR
            )
        super().parse_args(**kargs)
        self.association = association
        self.verdict = Verdict.OK
        self.records: list[Packet] = []
        tcp = socket.create_connection((host, port), timeout)
        tcp.settimeout(None)
        tcp.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock = StreamSocket(tcp, NST)

    # Both directions open.

    @ATMT.state(initial=1)
    def ESTABLISHED(self) -> None:
        """TCP is established; records go both ways."""

    @ATMT.ioevent(ESTABLISHED, name="app")
    def application(self, fd: Any) -> None:
        """The application has something to send, or nothing more."""
        if self._send(fd.recv()):
            raise self.ENDED()

    @ATMT.receive_condition(ESTABLISHED)
    def record(self, pkt: Packet) -> None:
        """A record has come."""
        closed = self._receive(pkt)
        if self.verdict is not Verdict.OK:
            raise self.FAILED()
        if closed:
            raise self.PEER_ENDED()

    @ATMT.eof(ESTABLISHED)
    def cut_off(self) -> None:
        """TCP ended before CLOSE."""
        raise self.TRUNCATED()

    # We have sent CLOSE.

    @ATMT.state()
    def ENDED(self) -> None:
        """We have sent CLOSE, the peer goes on."""

    @ATMT.receive_condition(ENDED)
    def last_records(self, pkt: Packet) -> None:
        """A record has come."""
        closed = self._receive(pkt)
        if self.verdict is not Verdict.OK:
            raise self.FAILED()
        if closed:
            raise self.CLOSED()

    @ATMT.eof(ENDED)
    def cut_off_at_last(self) -> None:
        """TCP ended before CLOSE."""
        raise self.TRUNCATED()

    # The peer has sent CLOSE.

    @ATMT.state()
    def PEER_ENDED(self) -> None:
        """The peer has sent CLOSE, we go on."""

    @ATMT.ioevent(PEER_ENDED, name="app")
    def application_goes_on(self, fd: Any) -> None:
        """The application has something to send, or nothing more."""
        if self._send(fd.recv()):
            raise self.CLOSED()

    # The ends.

    @ATMT.state(final=1)
    def CLOSED(self) -> Verdict:
        """Both directions have ended orderly."""
        return self.verdict

    @ATMT.state(error=1)
    def FAILED(self) -> Verdict:
        """A record was not OK: see :attr:`verdict`."""
        return self.verdict

    @ATMT.state(error=1)
    def TRUNCATED(self) -> Verdict:
        """The peer's direction was cut off."""
        self.verdict = Verdict.TRUNCATED
        return self.verdict

    def _send(self, data: bytes | None) -> bool:
        """Seal and send; true if that was the end."""
        if data is None:
            self.send(self.association.close())
            self.sock.ins.shutdown(socket.SHUT_WR)
            return True
        if data:
            self.send(self.association.encrypt(data))
        return False

    def _receive(self, pkt: Packet) -> bool:
        """Open the records in *pkt* and hand them on; true if the last one is CLOSE."""
        # As bytes: what is between records must fail, not be passed over.
        wire = conf.raw_layer(bytes(pkt))
        try:
            layer = self.association.decrypt(wire).getlayer(NSTPlain)
        except NSTRejected as rejected:
            self.verdict = rejected.verdict
            return False
        closed = False
        while layer is not None:
            self.records.append(layer)
            closed = bool(layer.flags & Flags.CLOSE)
            if isinstance(layer.payload, conf.raw_layer):
                self.oi.app.send(layer.payload.load)
            layer = layer.payload.getlayer(NSTPlain)
        if closed:
            self.oi.app.send(None)
        return closed
