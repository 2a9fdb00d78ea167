# SPDX-License-Identifier: GPL-2.0-or-later
"""Options that several commands take: which keys, and how records are sealed with them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from ..header import DEFAULT_PORT, MAX_KPOS
from ..keybox import MAX_KID, KeyBox
from ..sender import Pins
from ..suite import SuiteId
from ._input import InputError, load_keybox

keybox_option = click.option(
    "--keybox",
    type=click.Path(),
    required=True,
    envvar="NST_KEYBOX",
    show_envvar=True,
    help="Key-box file.",
)


def peer_arguments(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``HOST`` and ``PORT``, which a command connects to."""
    command = click.argument("port", type=click.IntRange(1, 65535), default=DEFAULT_PORT)(command)
    return click.argument("host")(command)


def wait_option(help_: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """``-w``, ``--wait``: seconds to go on listening; *help_* says after what."""
    return click.option(
        "-w", "--wait", type=click.FloatRange(min=0), default=1.0, show_default=True, help=help_
    )


def _perturbation(value: str) -> tuple[int, int]:
    try:
        kpos, kval = (int(part, 0) for part in value.split(":"))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not KPOS:KVAL") from None
    if not (1 <= kpos <= MAX_KPOS and 1 <= kval <= 255) and (kpos, kval) != (0, 0):
        raise click.BadParameter(f"{value!r}: KPOS is 1..32 and KVAL 1..255, or both are 0")
    return kpos, kval


@dataclass(frozen=True)
class Sealing:
    """What the options say of sealing."""

    box: KeyBox
    suite: SuiteId
    pins: Pins


def sealing_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add ``--keybox``, ``--suite``, ``--kid`` and ``--perturb``."""
    for option in (
        click.option(
            "--perturb",
            type=_perturbation,
            metavar="KPOS:KVAL",
            help="Perturb the key always so; 0:0 leaves it as it is.  [default: drawn]",
        ),
        click.option(
            "--kid",
            "kids",
            type=click.IntRange(0, MAX_KID),
            multiple=True,
            help="Seal with this key; may be given more than once.  [default: all]",
        ),
        click.option(
            "--suite",
            type=click.Choice([suite.name for suite in SuiteId], case_sensitive=False),
            default=SuiteId.AES_GCM.name,
            show_default=True,
            help="Seal with this suite.",
        ),
        keybox_option,
    ):
        command = option(command)
    return command


def sealing(
    keybox: str, suite: str, kids: tuple[int, ...], perturb: tuple[int, int] | None
) -> Sealing:
    """Read the key box and check the rest against it.

    Raises:
        InputError: the key box cannot be read, or has no such key.
    """
    box = load_keybox(keybox)
    for kid in kids:
        if kid not in box:
            raise InputError(f"{keybox}: has no kid {kid}")
    return Sealing(box, SuiteId[suite.upper()], Pins(kids or None, perturb))
