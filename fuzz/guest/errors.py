# SPDX-License-Identifier: GPL-2.0-or-later
"""Errors of guests: what is missing on the host, and what went wrong in a guest."""

from __future__ import annotations

from pathlib import Path

from fuzz.errors import UserError


class SetupError(UserError):
    """The host lacks something; the text says how to get it."""


class BuildError(UserError):
    """The kernel module did not build; the text ends with the compiler's output."""


class GuestError(UserError):
    """A guest did not start, crashed, or did not do what was asked in time.

    `log` is the console log to look into.
    """

    exit_code = 125

    def __init__(self, message: str, log: Path | None = None) -> None:
        super().__init__(f"{message} (console: {log})" if log else message)
        self.log = log


class GuestPanic(GuestError):
    """The guest's kernel panicked."""


class GuestTimeout(GuestError):
    """The guest did not reach the awaited state in time."""

    exit_code = 124
