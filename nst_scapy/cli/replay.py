# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst replay`: send captured records once more."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import click

from ..capture import NS, CaptureError, Frame, read_frames
from ..header import DEFAULT_PORT, Transport
from ..host import Host
from ..replayer import Conversation, RawReplayer, Replayer, SealingReplayer
from ._input import InputError, os_error, printable, warn
from ._netcat import network_error
from ._options import peer_arguments, sealing, wait_option


@click.command(short_help="Send captured records once more.")
@click.argument("file", type=click.Path(allow_dash=True))
@peer_arguments
@click.option(
    "--captured-port",
    "ports",
    type=click.IntRange(0, 65535),
    multiple=True,
    default=(DEFAULT_PORT,),
    show_default=True,
    help="What was sent to this port is replayed; may be given more than once.",
)
@click.option("--reseal", is_flag=True, help="Open the records and seal the plaintext anew.")
@click.option("--keybox", type=click.Path(), envvar="NST_KEYBOX", help="Key box, for --reseal.")
@click.option("--timing", is_flag=True, help="Keep the pauses between packets.")
@wait_option("Seconds to wait for answers after the last packet.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a conversation.")
def command(
    file: str,
    host: str,
    port: int,
    ports: tuple[int, ...],
    reseal: bool,
    keybox: str | None,
    timing: bool,
    wait: float,
    as_json: bool,
) -> None:
    """Send what clients sent in FILE, a pcap or pcapng capture ("-": standard input), to the
    NST socket at HOST and PORT (default 48879), each conversation from a socket of its own.

    Records go out byte for byte as they were captured: a sound receiver refuses all of them
    as REPLAY or TIMESTAMP. With --reseal the plaintext goes out in new records instead.

    Prints what was sent and what came back, per conversation.

    \b
    Examples:
      nst replay capture.pcap 192.0.2.1
      nst replay capture.pcap ::1 5000 --reseal --keybox test.keybox --timing

    Exit status: 0 if all was sent; 1 if a stream was reset, or some of it was not captured or
    cannot be opened; 2 for bad input, or if there is no connection.
    """
    if reseal and keybox is None:
        raise InputError("--reseal needs a --keybox")
    replayer: Replayer
    if reseal:
        assert keybox is not None
        replayer = SealingReplayer((host, port), Host(sealing(keybox, "AES_GCM", (), None).box))
    else:
        replayer = RawReplayer((host, port))
    damage: InputError | None = None
    try:
        with replayer:
            with _opened(file) as capture:
                try:
                    frames = read_frames(capture, file)
                    replayer.replay(_paced(frames) if timing else frames, ports)
                except CaptureError as error:
                    damage = InputError(str(error))
            conversations = replayer.finish(wait)
    except OSError as error:
        raise network_error(error, f"{host} port {port}") from None
    for conversation in conversations:
        click.echo(json.dumps(conversation.as_dict()) if as_json else _line(conversation))
    if damage is not None:
        raise damage
    if not conversations:
        warn(f"{file}: nothing was sent to port {', '.join(map(str, ports))}")
    sys.exit(1 if any(c.reset or c.missing for c in conversations) else 0)


def _opened(file: str) -> BinaryIO:
    try:
        return sys.stdin.buffer if file == "-" else Path(file).open("rb")
    except OSError as error:
        raise os_error(error, file) from None


def _paced(frames: Iterator[Frame]) -> Iterator[Frame]:
    """The frames, each at its time after the first."""
    begin: tuple[int, int] | None = None
    for frame in frames:
        if frame.time is not None:
            if begin is None:
                begin = frame.time, time.monotonic_ns()
            early = frame.time - begin[0] - (time.monotonic_ns() - begin[1])
            if early > 0:
                time.sleep(early / NS)
        yield frame


def _line(conversation: Conversation) -> str:
    words: list[Any] = [
        f"{conversation.source}  {conversation.transport.value}",
        f"sent {_count(conversation)}{conversation.sent} bytes",
        f"received {conversation.received} bytes",
    ]
    if conversation.missing:
        words.append(f"{conversation.missing} not sent: {conversation.why}")
    if conversation.reset:
        words.append("reset")
    elif conversation.ended:
        words.append("ended")
    return printable("  ".join(words))


def _count(conversation: Conversation) -> str:
    if conversation.transport is Transport.STREAM:
        return ""
    return f"{conversation.pieces} datagram{'' if conversation.pieces == 1 else 's'}, "
