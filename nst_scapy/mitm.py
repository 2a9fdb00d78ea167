# SPDX-License-Identifier: GPL-2.0-or-later
# mypy: disable-error-code="no-untyped-call"
"""A man in the middle of NST streams who holds the key box: reads and alters records."""

from __future__ import annotations

import contextlib
import select
import socket
import threading
import time
import traceback
from typing import Any

from scapy.config import conf
from scapy.fwdmachine import ForwardMachine
from scapy.packet import Packet

from .header import DEFAULT_PORT, TOKEN_LEN, Header, Role, make_nonce
from .keybox import KeyBox
from .layer import NST, NSTPlain
from .tampering import Seen, Tampering
from .verdict import Verdict

_CHUNK = 1 << 16
_POLL_S = 0.2
_COMPUTED = ("token", "transport_len")


class NSTForwardMachine(ForwardMachine):
    """Relays NST streams, showing each record opened to ``xfrmcs`` and ``xfrmsc``.

    Override these two (client to server, server to client). They get an ``NSTPlain`` packet,
    header and plaintext, and a context whose ``verdict`` is the record's, and raise one of

    * ``self.FORWARD()``: pass it on; while nothing was altered, byte for byte;
    * ``self.FORWARD_REPLACE(pkt)``: an ``NSTPlain`` is sealed again, with those of its fields
      that were changed forced to what they say; ``NST`` or bytes go out as they are; any other
      packet is plaintext;
    * ``self.DROP()``: the records behind it close the gap;
    * ``self.ANSWER(pkt)``: send a record of our own back, in the other end's name.

    After a record that is not ``OK`` no more can be opened: bytes go through as ``Raw``.
    Ends and resets of connections are passed on.
    """

    class CONTEXT(ForwardMachine.CONTEXT):
        """Kept during a connection: ``addr``, ``dest``, and the last record's verdict."""

        verdict: Verdict | None = Verdict.OK

    def __init__(
        self,
        keybox: KeyBox,
        remote_address: str | None = None,
        port: int = DEFAULT_PORT,
        remote_port: int | None = None,
        mode: ForwardMachine.MODE = ForwardMachine.MODE.SERVER,
        **kwargs: Any,
    ) -> None:
        """Relay what comes to *port* (0: any that is free) to the server.

        Args:
            keybox: what both ends hold.
            remote_address, remote_port: the server; default port: *port*.
            mode: as of Scapy's ForwardMachine, and so are *kwargs*.
        """
        kwargs |= {"remote_address": remote_address, "remote_port": remote_port}
        super().__init__(mode, port, NST, **kwargs)
        self._keybox = keybox
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def run(self) -> None:
        """Relay until Ctrl-C.

        Raises:
            OSError: the address cannot be had.
        """
        self._bind()
        print(self.ct.green(f"NST relay waiting on port {self.port}"))
        self._accept()

    def bg(self) -> None:
        """Relay in the background; :attr:`port` is open when it returns.

        Raises:
            OSError: the address cannot be had.
        """
        self._bind()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End a relay in the background, and its connections."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _bind(self) -> None:
        self._stopping.clear()
        self.ssock = socket.socket(self.af, self.proto)
        try:
            self.ssock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if self.mode is ForwardMachine.MODE.TPROXY:
                self.ssock.setsockopt(socket.SOL_IP, socket.IP_TRANSPARENT, 1)
            self.ssock.bind((self.bind_address, self.port))
            self.ssock.listen()
        except OSError:
            self.ssock.close()
            raise
        self.port = self.ssock.getsockname()[1]

    def _accept(self) -> None:
        self.ssock.settimeout(_POLL_S)
        threads = []
        try:
            while not self._stopping.is_set():
                try:
                    client, address = self.ssock.accept()
                except TimeoutError:
                    continue
                dest = client.getsockname()[:2]
                if self.mode is ForwardMachine.MODE.SERVER:
                    dest = (self.remote_address, self.remote_port or self.port)
                elif dest[0] in self.local_ips and self.remote_address:
                    dest = (self.remote_address, dest[1])
                threads.append(threading.Thread(target=self.handler, args=(client, address, dest)))
                threads[-1].start()
        finally:
            self._stopping.set()
            for thread in threads:
                thread.join()
            self.ssock.close()

    def handler(self, sock: socket.socket, addr: Any, dest: Any) -> None:
        """Relay one connection."""
        ctx = self.CONTEXT(self, addr, dest)
        self.newconn(ctx)
        with sock:
            try:
                server = self._getpeersock(dest, ctx)
            except OSError as error:
                self.vprint(self.ERROR, ctx, 1, f"no connection to {dest}: {error}", None)
            else:
                with server:
                    self._relay({Role.INITIATOR: sock, Role.ACCEPTOR: server}, ctx)
        self.delconn(ctx)

    def _relay(self, ends: dict[Role, socket.socket], ctx: Any) -> None:
        """Carry both directions until both have ended or one end is reset."""
        tampering = Tampering(self._keybox, time.time_ns())
        for end in ends.values():
            end.settimeout(None)
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        open_ = dict(ends)
        try:
            while open_ and not self._stopping.is_set():
                readable = select.select(list(open_.values()), [], [], _POLL_S)[0]
                for role in [role for role, end in open_.items() if end in readable]:
                    data = ends[role].recv(_CHUNK)
                    if data:
                        for seen in tampering.see(role, data):
                            self._decide(role, seen, tampering, ends, ctx)
                    else:
                        ends[role.peer].sendall(tampering.leftover(role))
                        ends[role.peer].shutdown(socket.SHUT_WR)
                        del open_[role]
        except OSError as error:
            self.vprint(self.ERROR, ctx, 1, error.strerror, None)
            for end in ends.values():
                with contextlib.suppress(OSError):
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)

    def _decide(
        self,
        sender: Role,
        seen: Seen,
        tampering: Tampering,
        ends: dict[Role, socket.socket],
        ctx: Any,
    ) -> None:
        """Ask what is to be done with a record, and do it."""
        to_server = sender is Role.INITIATOR
        pkt, forward = _packet(sender, seen, tampering)
        if seen.outcome is not None:
            ctx.verdict = seen.outcome.verdict
        back, onward = ends[sender], ends[sender.peer]
        try:
            (self.xfrmcs if to_server else self.xfrmsc)(pkt, ctx)
            raise RuntimeError("xfrmcs and xfrmsc must raise what is to be done")
        except self.FORWARD:
            onward.sendall(forward(pkt))
            self.vprint(self.FORWARD, ctx, to_server, pkt, None)
        except self.FORWARD_REPLACE as decision:
            onward.sendall(forward(decision.data))
            self.vprint(self.FORWARD_REPLACE, ctx, to_server, pkt, _shown(decision.data))
        except self.DROP:
            self.vprint(self.DROP, ctx, to_server, pkt, None)
        except self.ANSWER as decision:
            data = decision.data
            if not isinstance(data, bytes | NST):
                text = bytes(data.payload if isinstance(data, NSTPlain) else data)
                data = tampering.inject(sender.peer, text, time.time_ns())
            back.sendall(bytes(data))
            self.vprint(self.ANSWER, ctx, to_server, pkt, _shown(decision.data))
        except OSError:
            raise
        except Exception as error:
            # A mistake in someone's override: as Scapy does, tell and break nothing.
            self.vprint(self.ERROR, ctx, to_server, "in the handler; forwarded", None)
            traceback.print_exception(error)
            onward.sendall(forward(pkt))


_RESET = b"\1\0\0\0\0\0\0\0"
"""struct linger: on, 0 seconds; closing resets the connection."""


def _packet(sender: Role, seen: Seen, tampering: Tampering) -> tuple[Packet, Any]:
    """What a handler gets to see, and what makes wire bytes of what it decides."""
    outcome = seen.outcome
    if outcome is None or outcome.verdict is not Verdict.OK or outcome.header is None:
        return conf.raw_layer(seen.wire), bytes
    header = outcome.header
    fields = {n: v for n, v in header._asdict().items() if n not in _COMPUTED}
    pkt = NSTPlain(**fields)
    if outcome.plaintext:
        pkt.add_payload(conf.raw_layer(outcome.plaintext))

    def forward(decided: Packet | bytes) -> bytes:
        if isinstance(decided, bytes | NST):
            return bytes(decided)
        if not isinstance(decided, NSTPlain):
            return tampering.forward(sender, header, bytes(decided))
        return tampering.forward(sender, header, bytes(decided.payload), _changed(decided, header))

    return pkt, forward


def _changed(plain: NSTPlain, header: Header) -> dict[str, int | bytes]:
    """The fields that a handler set to something else, or that only it sets."""
    changed: dict[str, int | bytes] = {}
    nonce = {"session_id": header.session_id, "counter": header.counter}
    for name, value in plain.fields.items():
        if value is None:
            continue
        if name == "token":
            changed[name] = bytes(value)[:TOKEN_LEN].ljust(TOKEN_LEN, b"\0")
        elif name in _COMPUTED or int(value) != getattr(header, name):
            if name in nonce:
                nonce[name] = int(value)
                changed["nonce"] = make_nonce(**nonce)
            else:
                changed[name] = int(value)
    return changed


def _shown(data: Packet | bytes) -> Packet:
    return data if isinstance(data, Packet) else conf.raw_layer(data)
