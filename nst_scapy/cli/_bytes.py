# SPDX-License-Identifier: GPL-2.0-or-later
"""Bytes from a file or standard input, and to a file or standard output."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from ._input import InputError, os_error

CHUNK = 1 << 16


@contextmanager
def source(file: str) -> Iterator[IO[bytes]]:
    """Open *file* for reading ("-": standard input).

    Raises:
        InputError: it cannot be read, now or later.
    """
    try:
        if file == "-":
            yield sys.stdin.buffer
        else:
            with Path(file).open("rb") as opened:
                yield opened
    except OSError as error:
        raise os_error(error, error.filename or file) from None


@contextmanager
def sink(file: str, *, text: bool = False) -> Iterator[IO[bytes]]:
    """Open *file* for writing ("-": standard output, but no bytes to a terminal).

    Raises:
        InputError: standard output is a terminal, and what comes is not *text*.
    """
    if file == "-":
        if sys.stdout.isatty() and not text:
            raise InputError("records are not for terminals: use --hex, -o or a pipe")
        stream = sys.stdout.buffer
        yield stream
        stream.flush()
    else:
        with Path(file).open("wb") as opened:
            yield opened


def chunks(stream: IO[bytes]) -> Iterator[bytes]:
    """What comes, as it comes."""
    read: Callable[[int], bytes] = getattr(stream, "read1", stream.read)
    while piece := read(CHUNK):
        yield piece


def hex_lines(stream: IO[bytes], name: str) -> Iterator[bytes]:
    """The bytes that each line spells.

    Raises:
        InputError: a line is not hex; it is named.
    """
    for number, line in enumerate(stream, start=1):
        try:
            yield bytes.fromhex(line.decode("ascii"))
        except ValueError:
            raise InputError(f"{name}:{number}: not hex digits") from None
