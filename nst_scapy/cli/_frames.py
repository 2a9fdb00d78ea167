# SPDX-License-Identifier: GPL-2.0-or-later
"""Where `nst decode` gets frames from, and which of the records in them it shows."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from ..capture import Frame, read_frames
from ..live import Growing, interface_frames
from ..observation import Observation
from ..plain_capture import PlainCapture
from ._filter import Condition
from ._input import InputError, os_error

_PROGRESS_EVERY = 1024
"""Frames."""


def name_of(file: str | None, interface: str | None) -> str:
    """What is decoded, for messages.

    Raises:
        InputError: not exactly one is given.
    """
    if (file is None) == (interface is None):
        raise InputError("name a capture file, or an interface with -i")
    return file or interface or ""


@contextmanager
def opened(file: str, interface: str | None, *, follow: bool) -> Iterator[Iterator[Frame]]:
    """The frames of a capture or, if one is given, of an interface.

    Raises:
        CaptureError, OSError: as :func:`read_frames` and :func:`interface_frames`.
    """
    if interface is not None:
        yield interface_frames(interface)
        return
    with sys.stdin.buffer if file == "-" else Path(file).open("rb") as capture:
        if follow:
            yield read_frames(cast(BinaryIO, Growing(capture)), file)
        else:
            yield _watched(read_frames(capture, file), capture)


@contextmanager
def plain_writer(file: str | None) -> Iterator[tuple[PlainCapture, BinaryIO] | None]:
    """The capture to write, and its file.

    Raises:
        InputError: it cannot be written.
    """
    if file is None:
        yield None
        return
    try:
        with Path(file).open("wb") as out:
            yield PlainCapture(out), out
    except OSError as error:
        if error.filename != file:
            raise
        raise os_error(error, file) from None


def selected(
    seen: Iterable[Observation],
    conditions: tuple[Condition, ...],
    plain: tuple[PlainCapture, BinaryIO] | None,
    *,
    live: bool,
) -> Iterator[Observation]:
    """Those that meet every condition; they are written to *plain* on the way.

    *live*: whoever waits for a line or a packet gets it at once.
    """
    if not (conditions or plain or live):
        yield from seen
        return
    for observation in seen:
        if not all(condition(observation) for condition in conditions):
            continue
        yield observation
        if plain is not None:
            plain[0].add(observation)
        if live:
            sys.stdout.flush()
            if plain is not None:
                plain[1].flush()


def _watched(frames: Iterator[Frame], capture: BinaryIO) -> Iterator[Frame]:
    """The frames, with a progress bar where someone waits and sees no lines go by."""
    if sys.stdout.isatty() or not sys.stderr.isatty() or not capture.seekable():
        yield from frames
        return
    from rich.console import Console
    from rich.progress import Progress

    total = Path(capture.name).stat().st_size
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("Decoding", total=total)
        for frame in frames:
            if frame.number % _PROGRESS_EVERY == 0:
                progress.update(task, completed=capture.tell())
            yield frame
