# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst listen`: netcat for NST, the server."""

from __future__ import annotations

import socket
from typing import Any

import click

from ..checks import Policy
from ..dgram_socket import NSTDgramSocket
from ..header import DEFAULT_PORT
from ..host import Host
from ..keybox import MAX_KID
from ..stream_socket import listen_stream
from ._input import warn
from ._netcat import StreamFailed, address_text, exchange, finish, network_error, talk
from ._options import Sealing, sealing, sealing_options


@click.command(short_help="Wait for a peer, as netcat -l does.")
@click.argument("port", type=click.IntRange(0, 65535), default=DEFAULT_PORT)
@sealing_options
@click.option("--address", default="::", help="Local address.  [default: all of them]")
@click.option(
    "--accept-kid",
    "accept",
    type=click.IntRange(0, MAX_KID),
    multiple=True,
    help="Accept this key only; may be given more than once.  [default: all]",
)
@click.option("-u", "--dgram", is_flag=True, help="Datagrams instead of a stream.")
@click.option("-k", "--keep-open", is_flag=True, help="Wait for another peer after each.")
@click.option(
    "-w",
    "--wait",
    type=click.FloatRange(min=0),
    help="Datagrams: leave so many seconds after the last one, once input has ended.",
)
@click.option("-v", "--verbose", is_flag=True, help="Tell what happens, on standard error.")
def command(
    port: int,
    keybox: str,
    suite: str,
    kids: tuple[int, ...],
    perturb: tuple[int, int] | None,
    address: str,
    accept: tuple[int, ...],
    dgram: bool,
    keep_open: bool,
    wait: float | None,
    verbose: bool,
) -> None:
    """Wait on PORT (default 48879; 0: any that is free) for a peer: what it sends is opened and
    written to standard output, standard input is sealed and sent to it.

    With -u answers go to whoever sent last, and standard input is read from the first
    datagram on. Whatever fails is dropped, as the protocol says.

    \b
    Examples:
      nst listen --keybox test.keybox > letter
      nst listen -kv 5000 --address ::1 --keybox test.keybox
      nst listen -u --keybox test.keybox --accept-kid 3

    Exit status: 0 after an orderly end; 1 if any record failed (its verdict is on standard
    error) or the connection did; 2 for bad input, or if the address cannot be had.
    """
    how = sealing(keybox, suite, kids, perturb)
    peers = Host(how.box, accept=Policy(kids=frozenset(accept) if accept else None))
    if dgram:
        _datagrams(how, peers, address, port, wait, verbose=verbose)
    else:
        _streams(how, peers, address, port, keep_open=keep_open, verbose=verbose)
    finish(peers, verbose=verbose)


def _streams(
    how: Sealing, peers: Host, address: str, port: int, *, keep_open: bool, verbose: bool
) -> None:
    try:
        server = listen_stream((address, port), peers, suite=how.suite, pins=how.pins)
    except OSError as error:
        raise network_error(error, f"{address} port {port}") from None
    with server:
        _say(verbose, "listening on", server.getsockname())
        while True:
            stream, source = server.accept()
            _say(verbose, "accepted", source)
            with stream:
                try:
                    talk(stream)
                except StreamFailed as error:
                    if not keep_open:
                        raise
                    warn(error.format_message())
            if not keep_open:
                return


def _datagrams(
    how: Sealing, peers: Host, address: str, port: int, wait: float | None, *, verbose: bool
) -> None:
    try:
        found = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM)
        family, _, _, _, where = found[0]
        datagrams = NSTDgramSocket(peers, family, suite=how.suite, pins=how.pins)
        datagrams.bind(where)
    except OSError as error:
        raise network_error(error, f"{address} port {port}") from None
    with datagrams:
        _say(verbose, "listening on", datagrams.getsockname())
        exchange(datagrams, None, wait, lambda source: _say(verbose, "datagram from", source))


def _say(verbose: bool, what: str, address: Any) -> None:
    if verbose:
        click.echo(f"nst: {what} {address_text(address)}", err=True)
