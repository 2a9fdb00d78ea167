# SPDX-License-Identifier: GPL-2.0-or-later
"""Known answers: checking a vector file in the form of ``vectors.json``.

Every record is sealed and opened; every receiver case is played event by event.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm

from .epoch import Epoch, seal_under
from .header import (
    MAGIC,
    VERSION,
    ZERO_TOKEN,
    Header,
    KeyParams,
    Role,
    Transport,
)
from .keybox import KeyBox
from .receiver import DgramReceiver, Outcome, Receiver
from .replay import DgramTable, StreamTable
from .stream import StreamReceiver
from .suite import AuthError, PaddingError


class VectorError(ValueError):
    """The file is not a vector file; the message says where."""


@dataclass(frozen=True)
class Mismatch:
    """One answer that differs.

    Attributes:
        where: for example ``records[3] seal`` or ``receivers[1] 'name' event 4``.
        expected, got: both sides, short enough for a line.
    """

    where: str
    expected: str
    got: str

    def __str__(self) -> str:
        return f"{self.where}: expected {self.expected}, got {self.got}"


@dataclass(frozen=True)
class VectorFile:
    """A parsed vector file: lists of plain JSON objects."""

    name: str
    records: list[dict[str, Any]]
    receivers: list[dict[str, Any]]

    @property
    def checks(self) -> int:
        """How many answers :func:`check` compares: two a record, one an event."""
        return 2 * len(self.records) + sum(len(case["events"]) for case in self.receivers)


def load(path: str | os.PathLike[str]) -> VectorFile:
    """Read a vector file.

    Raises:
        VectorError: not JSON, or not of this form.
        OSError: it cannot be read.
    """
    name = os.fspath(path)
    try:
        data = json.loads(Path(path).read_bytes())
    except (ValueError, RecursionError) as exc:
        raise VectorError(f"{name}: not JSON: {exc}") from None
    if not isinstance(data, dict) or not {"records", "receivers"} & data.keys():
        raise VectorError(f"{name}: neither 'records' nor 'receivers' in it")
    for key in ("records", "receivers"):
        if not isinstance(data.setdefault(key, []), list):
            raise VectorError(f"{name}: '{key}' is not a list")
        for index, item in enumerate(data[key]):
            if not isinstance(item, dict):
                raise VectorError(f"{name}: {key}[{index}] is not an object")
            if key == "receivers" and not isinstance(item.get("events"), list):
                raise VectorError(f"{name}: {key}[{index}]: 'events' is not a list")
    return VectorFile(name, data["records"], data["receivers"])


def check(vectors: VectorFile, progress: Callable[[int], object] | None = None) -> list[Mismatch]:
    """Check every answer in the file; an empty list means that all agree.

    *progress*, if given, is called with the number of answers compared since the last call.

    Raises:
        VectorError: an entry lacks a field, or a field has a value of the wrong form,
            or the system's crypto lacks a suite.
    """
    mismatches: list[Mismatch] = []
    for kind, items, run in (
        ("records", vectors.records, _check_record),
        ("receivers", vectors.receivers, _check_receiver),
    ):
        for index, item in enumerate(items):
            try:
                for mismatch in run(f"{kind}[{index}]", item):
                    if mismatch is not None:
                        mismatches.append(mismatch)
                    if progress is not None:
                        progress(1)
            except KeyError as exc:
                raise VectorError(f"{vectors.name}: {kind}[{index}]: no field {exc}") from None
            except (
                ValueError,
                TypeError,
                AttributeError,
                ArithmeticError,
                UnsupportedAlgorithm,
            ) as exc:
                raise VectorError(f"{vectors.name}: {kind}[{index}]: {exc}") from None
    return mismatches


_BRIEF = 96
"""Characters of each side that a mismatch shows."""


def _compare(where: str, expected: str, got: str) -> Mismatch | None:
    if expected == got:
        return None
    if max(len(expected), len(got)) > _BRIEF:
        same = next(i for i, (a, b) in enumerate(zip_longest(expected, got)) if a != b)
        start = max(0, same - 16)
        where = f"{where} (from character {same})"
        expected, got = (
            ("..." if start else "") + side[start : start + _BRIEF] for side in (expected, got)
        )
    return Mismatch(where, expected, got)


def _check_record(where: str, vector: dict[str, Any]) -> Iterator[Mismatch | None]:
    params = KeyParams(vector["cipher_id"], vector["kid"], vector["kpos"], vector["kval"])
    nonce: int = vector["nonce"]
    record = bytes.fromhex(vector["record"])
    plaintext = bytes.fromhex(vector["plaintext"])
    chain = bytes.fromhex(vector["chain"])
    header = Header(
        MAGIC,
        VERSION,
        params.cipher_id,
        len(plaintext),
        vector["timestamp"],
        nonce,
        ZERO_TOKEN,
        params.kpos,
        params.kval,
        params.kid,
        vector["flags"],
    )
    epoch = Epoch(bytes.fromhex(vector["key"]), params, header.session_id)
    sealed = seal_under(epoch, header.pack(), plaintext, chain)
    yield _compare(f"{where} seal", record.hex(), sealed.hex())
    try:
        opened = epoch.open(record, chain).hex()
    except (AuthError, PaddingError) as exc:
        opened = type(exc).__name__
    yield _compare(f"{where} open", plaintext.hex(), opened)


def _check_receiver(where: str, case: dict[str, Any]) -> Iterator[Mismatch | None]:
    where = f"{where} {case['name']!r}"
    transport = Transport(case["transport"])
    role = Role(case["role"]) if transport is Transport.STREAM else None
    size: int = case["table_size"]
    shared = Receiver(
        KeyBox({int(kid): bytes.fromhex(key) for kid, key in case["keybox"].items()}),
        window_ns=case["window_ns"],
        stream_table=StreamTable(size),
        dgram_table=DgramTable(size),
    )
    dgrams: dict[int, DgramReceiver] = {}
    streams: dict[int, StreamReceiver] = {}
    for index, event in enumerate(case["events"]):
        outcomes: list[Outcome] = []
        if role is None:
            dgram = dgrams.setdefault(event["socket"], DgramReceiver(shared))
            outcomes = _dgram_event(dgram, event)
        else:
            stream = streams.setdefault(event["socket"], StreamReceiver(shared, role))
            outcomes = _stream_event(stream, event)
        got = [
            {
                "verdict": str(outcome.verdict),
                "plaintext": None if outcome.plaintext is None else outcome.plaintext.hex(),
            }
            for outcome in outcomes
        ]
        expected = event.get("verdicts", [])
        yield _compare(f"{where} event {index}", _brief(expected), _brief(got))


def _dgram_event(socket: DgramReceiver, event: dict[str, Any]) -> list[Outcome]:
    match event["op"]:
        case "receive":
            data = bytes.fromhex(event["bytes"])
            return [socket.receive(data, now=event["now"], age=event["age"])]
        case "sent":
            socket.sent(event["session_id"], event["now"])
            return []
        case op:
            raise ValueError(f"op {op!r} is not one of a datagram socket")


def _stream_event(socket: StreamReceiver, event: dict[str, Any]) -> list[Outcome]:
    match event["op"]:
        case "receive":
            data = bytes.fromhex(event["bytes"])
            outcomes = socket.receive(data, now=event["now"], age=event["age"])
            return outcomes + (socket.end() if event["eof"] else [])
        case "sent_first":
            socket.sent_first(bytes.fromhex(event["token"]))
            return []
        case op:
            raise ValueError(f"op {op!r} is not one of a stream socket")


def _brief(verdicts: list[dict[str, Any]]) -> str:
    return (
        ", ".join(
            v["verdict"] if v["plaintext"] is None else f"{v['verdict']} {v['plaintext']!r}"
            for v in verdicts
        )
        or "no verdict"
    )
