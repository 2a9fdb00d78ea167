# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst seal`: records out of plaintext."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import IO

import click

from ..header import MAX_STREAM_PAYLOAD, Role, Transport
from ..sender import DgramSender, StreamSender
from ._bytes import chunks, sink, source
from ._input import InputError
from ._options import Sealing, sealing, sealing_options

_MAX_DGRAM = 65479
"""Bytes; the longest that any suite carries over any IP."""


@click.command(short_help="Seal plaintext into records.")
@click.argument("file", type=click.Path(allow_dash=True), default="-")
@sealing_options
@click.option("-u", "--dgram", is_flag=True, help="Seal one datagram instead of a stream.")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default=Role.INITIATOR.value,
    show_default=True,
    help="The side of the stream that sends.",
)
@click.option("--no-close", is_flag=True, help="Leave the stream open: no CLOSE record.")
@click.option("--time", "at", type=click.IntRange(0), help="Timestamp, ns since 1970.")
@click.option("--hex", "as_hex", is_flag=True, help="Write each record as a line of hex.")
@click.option("-o", "--output", type=click.Path(), default="-", help="Write here, not to stdout.")
def command(
    file: str,
    keybox: str,
    suite: str,
    kids: tuple[int, ...],
    perturb: tuple[int, int] | None,
    dgram: bool,
    role: str,
    no_close: bool,
    at: int | None,
    as_hex: bool,
    output: str,
) -> None:
    """Seal FILE ("-", the default: standard input) into the records of one direction of a
    stream, ended by CLOSE, or with -u into one datagram.

    \b
    Examples:
      nst seal --keybox test.keybox < letter > letter.nst
      echo hello | nst seal --keybox test.keybox -u --hex
      nst seal --keybox test.keybox letter | nst open --keybox test.keybox
    """
    how = sealing(keybox, suite, kids, perturb)
    with source(file) as stream, sink(output, text=as_hex) as out:
        records = (
            _datagram(stream, how, at)
            if dgram
            else _stream(stream, how, Role(role), at, close=not no_close)
        )
        for record in records:
            out.write(record.hex().encode() + b"\n" if as_hex else record)
            out.flush()


def _datagram(stream: IO[bytes], how: Sealing, at: int | None) -> Iterator[bytes]:
    data = stream.read(_MAX_DGRAM + 1)
    if len(data) > _MAX_DGRAM:
        raise InputError(f"a {Transport.DGRAM.value} holds {_MAX_DGRAM} bytes at most")
    yield DgramSender(how.box, how.suite, how.pins).seal(data, now=_now(at))


def _stream(
    stream: IO[bytes], how: Sealing, role: Role, at: int | None, *, close: bool
) -> Iterator[bytes]:
    sender = StreamSender(role, how.box, how.suite, how.pins)
    for chunk in chunks(stream):
        for start in range(0, len(chunk), MAX_STREAM_PAYLOAD):
            yield sender.seal(chunk[start : start + MAX_STREAM_PAYLOAD], now=_now(at))
    if close:
        yield sender.close(now=_now(at))


def _now(at: int | None) -> int:
    return time.time_ns() if at is None else at
