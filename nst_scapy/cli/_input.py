# SPDX-License-Identifier: GPL-2.0-or-later
"""Reading what the user names, with errors of one line."""

from __future__ import annotations

import os
from typing import IO, Any

import click

from ..keybox import KeyBox, KeyBoxError, loose_mode


class InputError(click.ClickException):
    """Bad input: one line on standard error, exit status 2."""

    exit_code = 2

    def show(self, file: IO[Any] | None = None) -> None:
        """Print the message as every NST command does."""
        click.echo(f"nst: error: {printable(self.format_message())}", file=file, err=True)


def os_error(error: OSError, path: str) -> InputError:
    """The error for a file that cannot be read or written."""
    reason = os.strerror(error.errno) if error.errno else str(error)
    return InputError(f"{path}: {reason}")


def warn(message: str) -> None:
    """A warning on standard error."""
    click.echo(f"nst: warning: {printable(message)}", err=True)


def printable(text: str) -> str:
    """*text* with everything escaped that a terminal would not show as it is."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def load_keybox(path: str) -> KeyBox:
    """Read a key box, warning if others can read it too.

    Raises:
        InputError: it cannot be read, or breaks the format.
    """
    try:
        box = KeyBox.load(path)
        mode = loose_mode(path)
    except KeyBoxError as error:
        raise InputError(str(error)) from None
    except OSError as error:
        raise os_error(error, path) from None
    if mode is not None:
        warn(f"{path}: others can read these keys (mode {mode:04o}); chmod 600 it")
    return box
