# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst run`: an unmodified program, its TCP and UDP sockets turned into NST."""

from __future__ import annotations

import errno
import sys

import click

from ..kernel import NSTKernelSocket
from ..kernel_run import RunError, run
from ._input import InputError


@click.command(
    "run",
    short_help="Run a program with its TCP and UDP sockets turned into NST.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.argument("argv", nargs=-1, required=True, metavar="PROGRAM...", type=click.UNPROCESSED)
def command(argv: tuple[str, ...]) -> None:
    """Run PROGRAM, unmodified, with its TCP and UDP sockets turned into NST sockets.

    The kernel needs nst.ko and a key box (nst ctl keys load), at both ends. It goes for all
    that the program starts in turn, in any network namespace, and however it is linked;
    what cannot be turned into NST (32-bit programs, io_uring, MPTCP, SCTP) gets no
    socket rather than one in clear. Raw and ICMP sockets stay as they are.

    Name servers do not speak NST: let names come from /etc/hosts, or give addresses.

    \b
    Examples:
      nst run -- iperf3 --server
      nst run -- curl http://192.0.2.1/
      nst run -- ssh user@192.0.2.1
      nst run -- sh -c 'redis-benchmark -h 192.0.2.1'

    Exit status: the program's, 128 + N if signal N ended it, 127 if it could not be
    executed; 2 if the kernel has no NST.
    """
    try:
        NSTKernelSocket().close()
    except OSError as error:
        if error.errno != errno.EAFNOSUPPORT:
            raise InputError(f"no NST socket can be made: {error.strerror}") from None
        raise InputError("this kernel has no NST, or has it switched off") from None
    try:
        status = run(argv)
    except RunError as error:
        click.echo(f"nst: error: {error.strerror}", err=True)
        status = 127
    sys.exit(status)
