# SPDX-License-Identifier: GPL-2.0-or-later
"""An answering machine for NST, which echoes: ``nst_echo(keybox=...)``."""

from __future__ import annotations

import functools
import socket
import threading
from typing import Any

from scapy.ansmachine import AnsweringMachine
from scapy.config import conf
from scapy.packet import Packet

from .dgram_socket import NSTDgramSocket
from .header import DEFAULT_PORT, Transport
from .host import Host, host_of
from .keybox import KeyBox
from .stream_socket import NSTStreamSocket, listen_stream
from .suite import SuiteId

_MAX_UDP = 65535
_POLL_S = 0.2


class NSTEcho(AnsweringMachine[Packet]):
    """Answer what NST peers send with the same; derive from it to answer otherwise.

    Override ``make_reply(req, address)``, which gets and returns a packet with the plaintext
    (``None``: no answer), and ``is_request``.

    ``NSTEcho(keybox=box)()`` runs until Ctrl-C; ``bg()`` starts it in the background, then
    :attr:`address` tells where, and :meth:`stop` ends it.
    """

    function_name = "nst_echo"

    def parse_options(
        self,
        keybox: KeyBox | Host | None = None,
        transport: Transport | str = Transport.STREAM,
        address: str = "::",
        port: int = DEFAULT_PORT,
        suite: SuiteId = SuiteId.AES_GCM,
        cls: type[Packet] | None = None,
    ) -> None:
        """Options of the machine.

        Args:
            keybox: a key box, or the host to be one of.
            transport: ``"stream"`` or ``"dgram"``.
            address, port: where to listen; port 0 is any that is free.
            suite: what answers are sealed with.
            cls: class of the packets (default ``Raw``).
        """
        self.keys = keybox
        self.transport = Transport(transport)
        self.where = (address, port)
        self.suite = suite
        self.cls = cls or conf.raw_layer

    def make_reply(self, req: Packet, address: Any = None) -> Packet:
        """The answer to *req*, which came from *address*: itself."""
        return req

    def bg(self, *args: Any, **kwargs: Any) -> Any:
        """Run in the background; the socket is open when it returns the thread.

        Raises:
            OSError: the address cannot be had.
            ValueError: no key box was given.
        """
        self(*args, bg=True, **kwargs)
        return self.thread

    def sniff(self) -> None:
        """Serve until Ctrl-C."""
        self._open()
        self._serve()

    def sniff_bg(self) -> None:
        """Serve in a thread."""
        self._open()
        self.__dict__["thread"] = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def stop(self) -> None:
        """End a machine in the background, and its connections."""
        self.stopping.set()
        self.thread.join()

    def _open(self) -> None:
        if self.keys is None:
            raise ValueError("an NST answering machine needs a keybox")
        host = host_of(self.keys)
        sock: NSTStreamSocket | NSTDgramSocket
        if self.transport is Transport.STREAM:
            sock = listen_stream(self.where, host, suite=self.suite)
        else:
            name, port = self.where
            family = socket.AF_INET6 if ":" in name else socket.AF_INET
            sock = NSTDgramSocket(host, family, suite=self.suite)
            sock.bind((name, port))
        # Not setattr, which takes everything for an option of one run.
        self.__dict__.update(host=host, sock=sock, address=sock.getsockname())
        self.__dict__["stopping"] = threading.Event()

    def _serve(self) -> None:
        self.sock.settimeout(_POLL_S)
        threads: list[threading.Thread] = []
        try:
            while not self.stopping.is_set():
                try:
                    if self.transport is Transport.DGRAM:
                        data, address = self.sock.recvfrom(_MAX_UDP)
                        send = functools.partial(self._send_to, address)
                        self.reply(self.cls(data), send_function=send, address=address)
                        continue
                    conn, address = self.sock.accept()
                except TimeoutError:
                    continue
                thread = threading.Thread(target=self._converse, args=(conn, address), daemon=True)
                thread.start()
                threads = [old for old in threads if old.is_alive()] + [thread]
        finally:
            self.stopping.set()
            for thread in threads:
                thread.join()
            self.sock.close()

    def _send_to(self, address: Any, reply: Packet) -> None:
        self.sock.sendto(bytes(reply), address)

    def _converse(self, conn: NSTStreamSocket, address: Any) -> None:
        """Answer on one connection until either side ends it."""
        conn.settimeout(_POLL_S)
        with conn:
            while not self.stopping.is_set():
                try:
                    data = conn.recv(1 << 16)
                    if not data:
                        return
                    self.reply(
                        self.cls(data),
                        send_function=lambda reply: conn.sendall(bytes(reply)),
                        address=address,
                    )
                except TimeoutError:
                    continue
                except OSError as error:
                    if self.verbose:
                        print(f"{address}: {conn.verdict or error.strerror}")
                    return
