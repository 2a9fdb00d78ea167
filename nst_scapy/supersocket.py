# SPDX-License-Identifier: GPL-2.0-or-later
"""NST sockets for Scapy: packets go in plain and come out plain, sealed on the wire.

``sr1``, ``sniff(opened_socket=...)``, automata and answering machines work with it as with
any other Scapy socket.
"""

from __future__ import annotations

import socket
import time
from typing import Any, cast

from scapy.config import conf
from scapy.data import MTU
from scapy.packet import Packet
from scapy.supersocket import StreamSocket, SuperSocket

from .dgram_socket import NSTDgramSocket
from .stream_socket import NSTStreamSocket


class NSTSuperSocket(StreamSocket):
    """A Scapy socket over an NST socket.

    On a stream, ``basecls.tcp_reassemble`` tells where packets end, if it has one; else
    each is what has come. A datagram is a packet.
    """

    desc = "packets over NST"

    def __init__(
        self, sock: NSTStreamSocket | NSTDgramSocket, basecls: type[Packet] | None = None
    ) -> None:
        """Wrap *sock*, whose packets begin with *basecls* (default ``Raw``)."""
        super().__init__(cast(socket.socket, sock), basecls)
        self.nst = sock

    def send(self, x: Packet | bytes) -> int:
        """Seal and send a packet; returns its length.

        Raises:
            OSError: as the NST socket's ``sendall`` or ``send``.
        """
        data = bytes(x)
        if isinstance(x, Packet):
            x.sent_time = time.time()
        if isinstance(self.nst, NSTStreamSocket):
            self.nst.sendall(data)
        else:
            self.nst.send(data)
        return len(data)

    def recv(self, x: int | None = None, **kwargs: Any) -> Packet | None:
        """The next packet.

        Raises:
            EOFError: the peer ended the stream.
            OSError: as the NST socket's ``recv``.
        """
        if isinstance(self.nst, NSTStreamSocket):
            found: Packet | None = super().recv(x, **kwargs)
            return found
        data = self.nst.recv(MTU if x is None else x)
        return self.basecls(data, **kwargs)

    @staticmethod
    def select(sockets: list[SuperSocket], remain: float | None = None) -> list[SuperSocket]:
        """Those of *sockets* that have a packet, the end or an error to give."""
        ready: list[SuperSocket] = [
            sock for sock in sockets if isinstance(sock, NSTSuperSocket) and sock.nst.ready()
        ]
        if ready:
            return ready
        found = SuperSocket.select(sockets, conf.recv_poll_rate if remain is None else remain)
        # Bytes on the wire are no packet yet.
        return [sock for sock in found if not isinstance(sock, NSTSuperSocket) or sock.nst.ready()]
