# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst decode`: the records in a capture, with their verdicts."""

from __future__ import annotations

import gc
import sys
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache, lru_cache, partial

import click

from ..capture import NS, CaptureError
from ..header import DEFAULT_PORT, MAX_COUNTER, Transport
from ..inet import Endpoint
from ..observation import Observation
from ..observer import Observer, observe_frames
from ..replay import DEFAULT_WINDOW_NS
from ..suite import SUITES
from ..verdict import NO_RECORD, UNVERIFIED, Verdict
from ._filter import Condition, condition
from ._frames import name_of, opened, plain_writer, selected
from ._input import InputError, load_keybox, os_error, warn
from ._json_lines import json_line
from ._summary import Summary

_PREVIEW = 32
"""Bytes of plaintext that a line shows."""
_MS = 1_000_000
_GC_THRESHOLD = 50_000
"""Objects; nothing that a record makes is in a cycle, so looking for some is mostly in vain."""
_OK = Verdict.OK
_STREAM = Transport.STREAM
_SUITE_NAMES = {int(suite.id): suite.name for suite in SUITES.values()}
_SHOWN = bytes(c if 32 <= c < 127 else ord(".") for c in range(256))
"""Bytes as a line shows them."""


@click.command(short_help="Decode the records in a capture.")
@click.argument("file", type=click.Path(allow_dash=True), required=False)
@click.option("-i", "--interface", help="Decode what comes on this interface, until Ctrl-C.")
@click.option("--follow", is_flag=True, help="Wait for more at FILE's end, until Ctrl-C.")
@click.option(
    "--filter",
    "conditions",
    type=condition,
    multiple=True,
    metavar="CONDITION",
    help="Only records of which this is true, as verdict!=OK; may be given more than once.",
)
@click.option("--summary", is_flag=True, help="Print a table of conversations at the end instead.")
@click.option(
    "--write-plain",
    type=click.Path(),
    help="Write what was decrypted here, as a capture of plain TCP and UDP.",
)
@click.option("--keybox", type=click.Path(), help="Key-box file; without it nothing is verified.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a line.")
@click.option(
    "--port",
    "ports",
    type=click.IntRange(0, 65535),
    multiple=True,
    default=(DEFAULT_PORT,),
    show_default=True,
    help="TCP and UDP port of NST, on either side; may be given more than once.",
)
@click.option(
    "--window",
    type=click.IntRange(min=0),
    default=DEFAULT_WINDOW_NS // _MS,
    show_default=True,
    help="Timestamp window in milliseconds.",
)
def command(
    file: str | None,
    interface: str | None,
    follow: bool,
    conditions: tuple[Condition, ...],
    summary: bool,
    write_plain: str | None,
    keybox: str | None,
    as_json: bool,
    ports: tuple[int, ...],
    window: int,
) -> None:
    """Decode the NST records in FILE, a pcap or pcapng capture ("-": standard input).

    Prints a line per record in order of capture, at the frame that completed it, with the
    verdict of a receiver as an observer can reach it: time checks use the capture's own
    clock, and where something that a verdict depends on was not captured (or no key box
    is given) the record is "unverified". After a failed record of a stream its receiver
    has stopped: later records of that direction are unverified.

    With --json, bytes are in hex and times in nanoseconds since 1970-01-01 UTC;
    "plaintext" is null unless the verdict is OK, "unverified_plaintext" holds what was
    decrypted but not authenticated.

    A CONDITION is FIELD OP VALUE. FIELD is one of --json's, or host, port (of either end) or
    suite; OP is ==, != (values separated by commas), <, <=, >, >= or ~ (contains). Filters
    choose what is printed, written and counted; all records are judged.

    \b
    Examples:
      nst decode capture.pcap --keybox test.keybox
      nst decode capture.pcapng --keybox test.keybox --json | jq -r .verdict | sort | uniq -c
      nst decode capture.pcap --keybox test.keybox --filter verdict!=OK --filter host==192.0.2.1
      nst decode capture.pcap --keybox test.keybox --write-plain plain.pcap
      nst decode capture.pcap --keybox test.keybox --summary
      nst decode -i eth0 --keybox test.keybox
      tcpdump -w - port 48879 | nst decode - --keybox test.keybox

    Exit status: 0 if every record is OK or unverified, 1 if any has another verdict, 2 for
    a file that is not a capture or is damaged (what comes before the damage is decoded).
    """
    observer = Observer(load_keybox(keybox) if keybox else None, window_ns=window * _MS)
    line: Callable[[Observation], str] = json_line
    if not as_json:
        line = partial(_text_line, colour=sys.stdout.isatty())
    write = sys.stdout.write  # click.echo takes longer than opening a record
    accepted = Verdict.OK
    gc.set_threshold(_GC_THRESHOLD)
    total = 0
    others: Counter[str] = Counter()
    """What is not ``OK``; hashing a verdict takes time."""
    damage: InputError | None = None
    table = None
    if summary:
        table, line = Summary(), _no_line
    live = follow or interface is not None
    file = name_of(file, interface)
    try:
        with opened(file, interface, follow=follow) as frames, plain_writer(write_plain) as plain:
            seen = observe_frames(frames, observer, ports)
            seen = selected(seen, conditions, plain, live=live)
            for observation in table.watch(seen) if table is not None else seen:
                total += 1
                if observation.verdict is not accepted:
                    others[observation.verdict or UNVERIFIED] += 1
                write(line(observation))
    except CaptureError as error:
        damage = InputError(str(error))
    except OSError as error:
        damage = os_error(error, file)
    if table is not None:
        table.show(as_json=as_json)
    for reason, count in sorted(observer.skipped.items()):
        warn(f"{file}: skipped {reason}: {count}")
    if damage is not None:
        raise damage
    if not as_json:
        ok = Counter({Verdict.OK: total - others.total()})
        click.echo(_summary(+ok + others), err=True)
    sys.exit(1 if others.keys() - {UNVERIFIED} else 0)


def _no_line(_: Observation) -> str:
    return ""


def _text_line(observation: Observation, *, colour: bool) -> str:
    frame, time, transport, src, dst, header, verdict, plaintext, note = observation
    seconds, ns = divmod(time, NS)
    record = ""
    if header is not None and (verdict is _OK or verdict not in NO_RECORD):
        record = (
            f"  {_SUITE_NAMES.get(header.cipher_id) or f'cipher {header.cipher_id}'} "
            f"kid {header.kid} seq {header.nonce & MAX_COUNTER} len {header.transport_len}"
        )
    return (
        f"{frame:6}  {_clock(seconds)}.{ns:09}  {_ends(src, dst)}  "
        f"{'stream' if transport is _STREAM else 'dgram'}{record}  "
        f"{_styled(verdict) if colour else f'[{verdict or UNVERIFIED}]'}"
        f"{f'  {_preview(plaintext)}' if plaintext else ''}{f'  ({note})' if note else ''}\n"
    )


@lru_cache(maxsize=16)
def _clock(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%H:%M:%S}"


@lru_cache(maxsize=4096)
def _ends(src: Endpoint, dst: Endpoint) -> str:
    return f"{src} > {dst}"


@cache
def _styled(verdict: Verdict | None) -> str:
    text = f"[{UNVERIFIED if verdict is None else verdict}]"
    colour = {None: "yellow", Verdict.OK: "green"}.get(verdict, "red")
    return click.style(text, fg=colour)


def _preview(plaintext: bytes) -> str:
    shown = plaintext[:_PREVIEW].translate(_SHOWN).decode()
    return f"{shown}..." if len(plaintext) > _PREVIEW else shown


def _summary(verdicts: Counter[str]) -> str:
    total = verdicts.total()
    each = ", ".join(f"{count} {name}" for name, count in verdicts.most_common())
    return f"{total} record{'' if total == 1 else 's'}" + (f": {each}" if each else "")
