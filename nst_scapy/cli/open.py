# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst open`: plaintext out of records."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator

import click

from ..header import HEADER_LEN, TOKEN_LEN, Flags, Header, Role
from ..keybox import KeyBox
from ..receiver import DgramReceiver, Outcome, Receiver
from ..replay import DEFAULT_WINDOW_NS, DgramTable, StreamTable
from ..stream import StreamReceiver
from ..verdict import Verdict
from ._bytes import chunks, hex_lines, sink, source
from ._input import InputError, load_keybox
from ._options import keybox_option

_MAX_UDP = 65535
_MS = 1_000_000


def _when(value: str) -> str | int:
    if value in ("now", "sealed"):
        return value
    if not value.isdecimal():
        raise click.BadParameter(f"{value!r} is not now, sealed or nanoseconds since 1970")
    return int(value)


def _token(value: str) -> bytes:
    try:
        token = bytes.fromhex(value)
    except ValueError:
        token = b""
    if len(token) != TOKEN_LEN:
        raise click.BadParameter(f"a token is {2 * TOKEN_LEN} hex digits")
    return token


@click.command(short_help="Open records.")
@click.argument("file", type=click.Path(allow_dash=True), default="-")
@keybox_option
@click.option(
    "--at",
    type=_when,
    metavar="TIME",
    default="now",
    show_default=True,
    help='When they arrive: "now", "sealed" (when the first was), or ns since 1970.',
)
@click.option(
    "--window",
    type=click.IntRange(min=0),
    default=DEFAULT_WINDOW_NS // _MS,
    show_default=True,
    help="Timestamp window in milliseconds.",
)
@click.option(
    "--bound-to",
    type=_token,
    metavar="HEX",
    help="Token of the initiator's first record, which BOUND replies are bound to.",
)
@click.option("--hex", "as_hex", is_flag=True, help="Read hex: each line some of the bytes.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a record.")
@click.option("-o", "--output", type=click.Path(), default="-", help="Write here, not to stdout.")
def command(
    file: str,
    keybox: str,
    at: str | int,
    window: int,
    bound_to: bytes | None,
    as_hex: bool,
    as_json: bool,
    output: str,
) -> None:
    """Open the records in FILE ("-", the default: standard input) as their receiver would,
    and write the plaintext.

    FILE holds one direction of a stream, or one datagram; the first record tells which. A
    stream must end in CLOSE. The replay tables are new.

    With --json nothing but objects is written: the header's fields, "verdict", and
    "plaintext" in hex, null unless the verdict is OK.

    \b
    Examples:
      nst open --keybox test.keybox letter.nst > letter
      nst open --keybox test.keybox --at sealed --json old.nst | jq .verdict

    Exit status: 0 if all is OK; 1 if not: what came before it has been written, and the
    verdict is on standard error; 2 for bad input.
    """
    box = load_keybox(keybox)
    verdict = Verdict.OK
    with source(file) as stream, sink(output, text=True) as out:
        pieces = hex_lines(stream, file) if as_hex else chunks(stream)
        for outcome in _opened(pieces, box, at, window * _MS, bound_to):
            assert outcome.verdict is not None
            if outcome.verdict is not Verdict.OK:
                verdict = outcome.verdict
            if as_json:
                out.write(_json_line(outcome))
            else:
                out.write(outcome.plaintext or b"")
            out.flush()
    if verdict is not Verdict.OK:
        if not as_json:
            click.echo(f"nst: {file}: {verdict}", err=True)
        sys.exit(1)


def _opened(
    pieces: Iterator[bytes], box: KeyBox, at: str | int, window_ns: int, bound_to: bytes | None
) -> Iterator[Outcome]:
    head = b""
    while len(head) < HEADER_LEN and (piece := next(pieces, b"")):
        head += piece
    if not head:
        raise InputError("there is nothing to open")
    first = Header.unpack(head) if len(head) >= HEADER_LEN else None
    shared = Receiver(box, window_ns, stream_table=StreamTable(None), dgram_table=DgramTable(None))

    def now() -> int:
        if isinstance(at, int):
            return at
        return first.timestamp if at == "sealed" and first is not None else time.time_ns()

    if first is not None and first.flags & Flags.DGRAM:
        data = head + _rest(pieces)
        yield DgramReceiver(shared).receive(data, now=now(), age=now())
        return
    role = Role.INITIATOR if first is not None and first.flags & Flags.REPLY else Role.ACCEPTOR
    receiver = StreamReceiver(shared, role)
    if bound_to is not None:
        receiver.sent_first(bound_to)
    for piece in _chain(head, pieces):
        yield from receiver.receive(piece, now=now(), age=now())
        if receiver.dead:
            return
    yield from receiver.end()


def _chain(head: bytes, pieces: Iterable[bytes]) -> Iterator[bytes]:
    yield head
    yield from pieces


def _rest(pieces: Iterator[bytes]) -> bytes:
    """What is left, up to a little more than a datagram."""
    data = b""
    while len(data) <= _MAX_UDP and (piece := next(pieces, b"")):
        data += piece
    return data


def _json_line(outcome: Outcome) -> bytes:
    header = {} if outcome.header is None else outcome.header.as_dict()
    text = None if outcome.plaintext is None else outcome.plaintext.hex()
    answer = header | {"verdict": outcome.verdict, "plaintext": text}
    return json.dumps(answer).encode() + b"\n"
