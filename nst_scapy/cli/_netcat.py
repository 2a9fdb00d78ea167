# SPDX-License-Identifier: GPL-2.0-or-later
"""Standard input and output joined to an NST socket: what `nst connect` and `listen` do."""

from __future__ import annotations

import os
import select
import socket
import sys
import time
from typing import Any

import click

from ..dgram_socket import NSTDgramSocket
from ..header import MAX_STREAM_PAYLOAD, Transport
from ..host import Host
from ..stream_socket import NSTStreamSocket
from ..verdict import Verdict
from ._input import InputError, printable

DATAGRAM = 1400
"""Bytes of standard input in one datagram at most."""
_MAX_UDP = 65535


class StreamFailed(click.ClickException):
    """The conversation did not end orderly: one line on standard error, exit status 1."""

    def show(self, file: Any = None) -> None:
        """Print the message as every NST command does."""
        click.echo(f"nst: {printable(self.format_message())}", file=file, err=True)


def address_text(address: Any) -> str:
    """A socket address as ``host:port`` or ``[host]:port``, mapped IPv4 as IPv4."""
    host, port = address[:2]
    host = host.removeprefix("::ffff:")
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def network_error(error: OSError, where: str) -> InputError:
    """The error for an address that cannot be resolved, bound or connected to."""
    # Python adds the address to some reasons, and has none for some errors.
    reason = (
        os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror or error
    )
    return InputError(f"{where}: {reason}")


def talk(sock: NSTStreamSocket) -> None:
    """Carry standard input to the peer and what it sends to standard output.

    The end of standard input ends our direction; it is over when both have ended, or, at a
    terminal, when the peer has.

    Raises:
        StreamFailed: a record failed, the stream was cut off, or TCP failed.
    """
    peer = address_text(sock.getpeername())
    sock.setblocking(False)
    try:
        _talk(sock)
    except OSError as error:
        reason = sock.verdict or error.strerror or error
        raise StreamFailed(f"{peer}: {reason}") from None


def _talk(sock: NSTStreamSocket) -> None:
    stdin = sys.stdin.fileno()
    terminal = os.isatty(stdin)
    sending = receiving = True
    while sending or receiving or sock.unsent():
        while receiving and sock.ready():
            data = sock.recv(1 << 16)
            _write(data)
            receiving = bool(data)
            sending = sending and (receiving or not terminal)
        if not (sending or receiving or sock.unsent()):
            break
        poller = select.poll()
        events = select.POLLIN if receiving else 0
        if sock.unsent():
            events |= select.POLLOUT
        elif sending:
            poller.register(stdin, select.POLLIN)
        poller.register(sock, events)
        ready = dict(poller.poll())
        if ready.get(sock.fileno(), 0) & select.POLLOUT:
            _unless_it_waits(sock.flush)
        if not receiving and ready.get(sock.fileno(), 0) & (select.POLLERR | select.POLLHUP):
            if sending:
                raise ConnectionResetError(0, "the peer has left")
            return
        if stdin in ready:
            data = os.read(stdin, MAX_STREAM_PAYLOAD)
            if data:
                sock.send(data)
            else:
                sending = False
                _unless_it_waits(lambda: sock.shutdown(socket.SHUT_WR))
    sock.setblocking(True)


def _unless_it_waits(call: Any) -> None:
    try:
        call()
    except BlockingIOError:
        return


def exchange(sock: NSTDgramSocket, peer: Any, wait: float | None, greet: Any) -> None:
    """Carry standard input to *peer* in datagrams, and what it sends to standard output.

    Args:
        sock: the socket.
        peer: where to send; ``None``: to whoever sent last, and until then nothing is read.
        wait: leave after so many seconds with nothing received, once standard input has
            ended; ``None``: never.
        greet: called with the address of every new peer.

    Raises:
        StreamFailed: UDP failed.
    """
    sock.setblocking(False)
    stdin = sys.stdin.fileno()
    sending = True
    last = time.monotonic()
    try:
        while sending or wait is None or time.monotonic() - last < wait:
            poller = select.poll()
            poller.register(sock, select.POLLIN)
            if sending and peer is not None:
                poller.register(stdin, select.POLLIN)
            left = None if sending or wait is None else last + wait - time.monotonic()
            ready = dict(poller.poll(None if left is None else max(0, left) * 1000))
            while sock.ready():
                data, source = sock.recvfrom(_MAX_UDP)
                _write(data)
                last = time.monotonic()
                if source != peer and greet is not None:
                    peer = source
                    greet(source)
            if stdin in ready:
                data = os.read(stdin, DATAGRAM)
                if data:
                    sock.sendto(data, peer)
                sending = bool(data)
                last = time.monotonic()
    except OSError as error:
        raise StreamFailed(
            f"{address_text(peer or sock.getsockname())}: {error.strerror}"
        ) from None


def finish(host: Host, *, verbose: bool) -> None:
    """Tell what was received, and exit: 0 if all of it was OK, else 1."""
    counts = host.verdicts[Transport.STREAM] + host.verdicts[Transport.DGRAM]
    if verbose:
        each = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
        click.echo(f"nst: received {counts.total()}" + (f": {each}" if each else ""), err=True)
    sys.exit(1 if counts.keys() - {Verdict.OK} else 0)


def _write(data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(sys.stdout.fileno(), view) :]
