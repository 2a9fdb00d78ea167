# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst ctl`: the kernel module's keys, settings, counters and rejected records."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
from collections.abc import Iterator
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from ..kernel import load_keybox as load_text
from ..keybox import KEY_LEN, MAX_KID
from ._input import InputError, load_keybox

if TYPE_CHECKING:
    from ..kernel_control import Control

_KID = click.IntRange(0, MAX_KID)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group("ctl")
def command() -> None:
    """Drive the kernel module: everything is that of the network namespace it runs in.

    Keys are never printed. Changing anything, listing keys and watching rejected records
    need CAP_NET_ADMIN.

    \b
    Examples:
      nst ctl keys load test.keybox
      nst ctl keys list
      nst ctl set timestamp_window_ms=10000 log_rejects=1
      nst ctl stat --json
      nst ctl monitor
      ip netns exec blue nst ctl settings

    Exit status: 0 for success; 1 if the kernel refused; 2 for bad input, or without the module.
    """


class Refused(click.ClickException):
    """The kernel refused: one line on standard error, exit status 1."""

    exit_code = 1


@contextlib.contextmanager
def _control() -> Iterator[Control]:
    """A connection to the module; what it answers becomes an error of one line."""
    from ..kernel_control import Control, ControlError

    try:
        with Control() as control:
            yield control
    except ControlError as error:
        if error.errno == errno.ENOTSUP or "no NST" in str(error):
            raise InputError("this kernel has no NST: modprobe nst") from None
        reason = os.strerror(error.errno or 0)
        words = f": {error.strerror}" if error.strerror else ""
        raise Refused(f"the kernel refused: {reason}{words}") from None


@command.group()
def keys() -> None:
    """Change and list the key box.

    \b
    Examples:
      nst ctl keys load test.keybox       replaces the whole box, at once
      nst ctl keys add 7 < key.hex
      nst ctl keys del 7 8
      nst ctl keys flush
    """


@keys.command()
@click.argument("file", type=click.Path())
def load(file: str) -> None:
    """Make FILE the key box: the whole of it is replaced at once.

    \b
    Example:
      nst ctl keys load test.keybox
    """
    box = load_keybox(file)
    try:
        load_text(box.dumps().encode())
    except FileNotFoundError:
        raise InputError("this kernel has no NST: modprobe nst") from None
    except OSError as error:
        raise Refused(f"the kernel refused: {os.strerror(error.errno or 0)}") from None
    click.echo(f"{file}: {len(box)} key{'' if len(box) == 1 else 's'} loaded")


@keys.command()
@click.argument("kid", type=_KID)
@click.option("--replace", is_flag=True, help="Also if there is a key of that kid.")
def add(kid: int, replace: bool) -> None:
    """Add the key that standard input holds, 64 hex digits, as KID.

    Not as an argument: those can be seen by all users of the machine.

    \b
    Example:
      openssl rand -hex 32 | nst ctl keys add 7
    """
    with click.open_file("-") as file:
        text = file.read().strip()
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != KEY_LEN:
        raise InputError("standard input: 64 hex digits expected")
    with _control() as control:
        control.add_keys({kid: key}, replace=replace)


@keys.command("del")
@click.argument("kids", type=_KID, nargs=-1, required=True, metavar="KID...")
def delete(kids: tuple[int, ...]) -> None:
    """Delete keys: all of them, or none if one is not there.

    \b
    Example:
      nst ctl keys del 7 8
    """
    with _control() as control:
        control.delete_keys(kids)


@keys.command("list")
@json_option
def list_(as_json: bool) -> None:
    """List the kids of the key box, one a line.

    \b
    Example:
      nst ctl keys list --json
    """
    with _control() as control:
        kids = control.kids()
    if as_json:
        click.echo(json.dumps({"kids": kids}))
    else:
        for kid in kids:
            click.echo(kid)


@keys.command()
def flush() -> None:
    """Delete all keys: nothing can be sealed or opened until there are new ones.

    \b
    Example:
      nst ctl keys flush
    """
    with _control() as control:
        control.flush_keys()


@command.command()
@json_option
def settings(as_json: bool) -> None:
    """Show the settings net.nst.*.

    \b
    Example:
      nst ctl settings
    """
    with _control() as control:
        found = control.settings()
    if as_json:
        click.echo(json.dumps(found))
    else:
        for name, value in found.items():
            click.echo(f"{name}={value}")


@command.command("set")
@click.argument("assignments", nargs=-1, required=True, metavar="NAME=VALUE...")
def set_(assignments: tuple[str, ...]) -> None:
    """Change settings: all of them, or none if one is refused.

    \b
    Example:
      nst ctl set enabled=1 log_rejects=1
    """
    from ..kernel_messages import SETTINGS

    wanted: dict[str, int] = {}
    for assignment in assignments:
        name, _, value = assignment.partition("=")
        if name not in SETTINGS:
            raise InputError(f"{assignment}: no setting {name!r}; there are {', '.join(SETTINGS)}")
        if not value.isdecimal() or int(value) > 0xFFFFFFFF:
            raise InputError(f"{assignment}: a number expected, as in {name}=1")
        wanted[name] = int(value)
    with _control() as control:
        control.set(**wanted)


@command.command()
@json_option
def stat(as_json: bool) -> None:
    """Show what was counted: a table of verdicts, tables, keys and suites.

    \b
    Example:
      nst ctl stat --json
    """
    with _control() as control:
        found = control.stat()
    if as_json:
        click.echo(json.dumps(asdict(found)))
        return
    columns = list(next(iter(found.verdicts.values())))
    click.echo(f"{'verdict':<10}" + "".join(f"{column:>17}" for column in columns))
    for name, counts in found.verdicts.items():
        click.echo(f"{name:<10}" + "".join(f"{count:>17}" for count in counts.values()))
    click.echo(f"multicast {found.multicast}")
    click.echo(f"age {found.age_ns / 1e9:.1f} s")
    for name, sessions in found.sessions.items():
        click.echo(f"{name} sessions {sessions}, floor {found.floor[name]}")
    click.echo(f"keys {found.keys}")
    click.echo(f"suites {' '.join(found.suites)}")


@command.command()
@json_option
@click.option("-n", "--count", type=click.IntRange(1), help="Leave after so many.")
def monitor(as_json: bool, count: int | None) -> None:
    """Show rejected records as they are rejected, a line each, until Ctrl-C.

    At most 200 a second are reported; how many were not is told with the next one.
    Nothing that it shows is authenticated.

    \b
    Example:
      nst ctl monitor --json
    """
    try:
        with _control() as control:
            control.watch()
            if not as_json:
                click.echo("watching", err=True)
            for number, reject in enumerate(control.rejects(), 1):
                shown = reject.as_dict()
                if as_json:
                    click.echo(json.dumps(shown))
                else:
                    where = shown["where"] + (", passed" if reject.passed else "")
                    lost = f", {reject.lost} not shown before it" if reject.lost else ""
                    header = shown["header"]
                    about = (
                        f" kid {header['kid']} session {header['session_id']:012x}"
                        f" counter {header['counter']}"
                        if isinstance(header, dict)
                        else f" {len(reject.header)} bytes"
                    )
                    click.echo(
                        f"{shown['verdict']:<9} {shown['transport']} {reject.src} > {reject.dst}"
                        f" ({where}{lost}){about}"
                    )
                if number == count:
                    return
    except KeyboardInterrupt:
        # pyroute2 leaves the wait behind as a task, of which asyncio would tell.
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        raise
