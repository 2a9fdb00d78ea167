# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz guest`: commands and shells in a host-root guest."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click

from fuzz.guest import kernel, keys, module
from fuzz.guest.hostroot import HostRootGuest, Job
from fuzz.guest.logs import new_log


def _machine_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that `run` and `shell` share."""
    for option in (
        click.option("--no-module", is_flag=True, help="Leave the module and key box out."),
        click.option("--cpus", type=click.IntRange(1), default=2, show_default=True),
        click.option(
            "--memory", type=click.IntRange(256), default=1024, show_default=True, metavar="MIB"
        ),
        click.option(
            "--append",
            "cmdline",
            default="",
            metavar="TEXT",
            help="Add to the kernel's command line.",
        ),
        click.option(
            "--kernel", "kernel_name", default=kernel.DEFAULT, show_default=True, metavar="NAME"
        ),
    ):
        function = option(function)
    return function


@click.group(name="guest")
def command() -> None:
    """Guests under the host's file system, with nst.ko and a test key box loaded.

    The caller's working directory and the directory for temporary files are the
    host's own; the rest of the host's files are read-only, and changes to /etc, /var,
    /home and /root stay in the guest. NST_KEYBOX names the key box.
    """


@command.command(
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog="Examples: nst-fuzz guest run -- uname -r | "
    "nst-fuzz guest run -- sh -c 'cat /proc/net/nst_stat'",
)
@_machine_options
@click.option(
    "--timeout", type=click.FloatRange(0, min_open=True), metavar="S",
    help="End the guest if CMD runs longer than S seconds.",
)  # fmt: skip
@click.argument("argv", nargs=-1, required=True, metavar="CMD...", type=click.UNPROCESSED)
def run(argv: tuple[str, ...], timeout: float | None, **machine: Any) -> None:
    """Run CMD as root in a guest, in the current directory, with this environment.

    Its stdin, stdout, stderr and exit status are those of this command. Exits with 125
    if the guest fails (its kernel panics, say), with 124 on --timeout.
    """
    with _guest(list(argv), **machine) as guest:
        try:
            code = guest.run(stdin=0, timeout=timeout)
        except BrokenPipeError:
            # Nobody reads the output any more; a local command would get the signal.
            code = 128 + signal.SIGPIPE
    sys.exit(code)


@command.command(epilog="Example: nst-fuzz guest shell --kernel debian-6.12")
@_machine_options
def shell(**machine: Any) -> None:
    """Open a shell in a guest, on this terminal. The guest ends with the shell."""
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("guest shell needs a terminal; for scripts there is: guest run")
    size = shutil.get_terminal_size()
    argv = [os.environ.get("SHELL", "/bin/bash")]
    click.echo(f"booting {machine['kernel_name']}; the guest ends with the shell", err=True)
    with _guest(argv, terminal=(size.lines, size.columns), **machine) as guest, _raw_terminal():
        code = guest.run(stdin=0, outputs=[1])
    sys.exit(code)


@contextlib.contextmanager
def _guest(
    argv: list[str],
    kernel_name: str,
    no_module: bool,
    memory: int,
    cpus: int,
    cmdline: str,
    terminal: tuple[int, int] | None = None,
) -> Iterator[HostRootGuest]:
    """Boot a guest for a command, with a console log in the cache."""
    chosen = kernel.find(kernel_name)
    job = Job(
        argv,
        Path.cwd(),
        module=None if no_module else module.build_module(chosen),
        keybox=None if no_module else keys.test_keybox(),
    )
    log = new_log()
    with HostRootGuest(
        chosen, job, log=log, memory=memory, cpus=cpus, cmdline=cmdline, terminal=terminal
    ) as guest:
        yield guest


@contextlib.contextmanager
def _raw_terminal() -> Iterator[None]:
    """Hand every key to the guest, Ctrl-C too, and put the terminal back after."""
    before = termios.tcgetattr(0)
    tty.setraw(0)
    try:
        yield
    finally:
        termios.tcsetattr(0, termios.TCSADRAIN, before)
