# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst connect`: netcat for NST, the client."""

from __future__ import annotations

import socket

import click

from ..dgram_socket import NSTDgramSocket
from ..host import Host
from ..stream_socket import connect_stream
from ._netcat import address_text, exchange, finish, network_error, talk
from ._options import peer_arguments, sealing, sealing_options, wait_option


@click.command(short_help="Talk to a peer, as netcat does.")
@peer_arguments
@sealing_options
@click.option("-u", "--dgram", is_flag=True, help="Datagrams instead of a stream.")
@wait_option("Datagrams: leave so many seconds after the last one, once input has ended.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True),
    default=30.0,
    show_default=True,
    help="Seconds to wait for the connection.",
)
@click.option("-v", "--verbose", is_flag=True, help="Tell what happens, on standard error.")
def command(
    host: str,
    port: int,
    keybox: str,
    suite: str,
    kids: tuple[int, ...],
    perturb: tuple[int, int] | None,
    dgram: bool,
    wait: float,
    timeout: float,
    verbose: bool,
) -> None:
    """Connect to an NST socket at HOST and PORT (default 48879): standard input is sealed and
    sent to it, what it sends is opened and written to standard output.

    Neither end needs the kernel module: NST is spoken here, over ordinary TCP or UDP. The
    end of input is sent as CLOSE, and the peer's end is waited for.

    \b
    Examples:
      nst connect 192.0.2.1 --keybox test.keybox
      nst connect ::1 5000 --keybox test.keybox < letter
      echo ping | nst connect -u localhost 5000 --keybox test.keybox

    Exit status: 0 after an orderly end; 1 if a record failed (its verdict is on standard
    error) or the connection did; 2 for bad input, or if there is no connection.
    """
    how = sealing(keybox, suite, kids, perturb)
    peers = Host(how.box)
    where = f"{host} port {port}"
    try:
        if dgram:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
            family, _, _, _, address = found[0]
            datagrams = NSTDgramSocket(peers, family, suite=how.suite, pins=how.pins)
            datagrams.connect(address)
        else:
            stream = connect_stream(
                (host, port), peers, timeout=timeout, suite=how.suite, pins=how.pins
            )
    except OSError as error:
        raise network_error(error, where) from None
    if dgram:
        with datagrams:
            exchange(datagrams, address, wait, None)
    else:
        with stream:
            if verbose:
                click.echo(f"nst: connected to {address_text(stream.getpeername())}", err=True)
            talk(stream)
    finish(peers, verbose=verbose)
