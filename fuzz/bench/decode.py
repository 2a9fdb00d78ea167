# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst decode` on a long capture: records a second of CPU time, and the most memory taken."""

from __future__ import annotations

import os
import struct
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from scapy.utils import RawPcapReader

from fuzz.errors import UserError
from nst_scapy.header import DEFAULT_PORT, Role, Transport
from nst_scapy.keybox import KeyBox
from nst_scapy.sender import DgramSender, StreamSender

TARGET = 100_000
"""Records a second."""

_START = 1_700_000_000_000_000_000
_STEP = 10_000
"""Nanoseconds between frames."""
_ETHER = bytes.fromhex("020000000002 020000000001 0800")
_ADDRESSES = bytes.fromhex("c0000201 c0000202")
_CLIENT_PORT = 40000
_NST = "from nst_scapy.cli import main; main()"


@dataclass(frozen=True)
class DecodeResult:
    """One run over one capture.

    Attributes:
        rate, reader_rate: records a CPU second of ``nst decode``, its start-up included,
            and frames a CPU second of Scapy's RawPcapReader.
        peak_kib: the most memory that ``nst decode`` had resident.
    """

    transport: str
    output: str
    records: int
    rate: float
    reader_rate: float
    peak_kib: int

    @property
    def met(self) -> bool:
        """Whether the rate reaches :data:`TARGET`."""
        return self.rate >= TARGET


def run(records: int, size: int, rounds: int) -> Iterator[DecodeResult]:
    """Decode a capture of each transport with each form of output, *rounds* times in turn.

    Raises:
        UserError: a run failed.
        OSError: the capture cannot be written to the temporary directory.
    """
    with tempfile.TemporaryDirectory(prefix="nst-bench-") as directory:
        box = KeyBox.generate(16)
        box_path = Path(directory) / "box"
        box.save(box_path)
        for transport in Transport:
            capture = Path(directory) / f"{transport.value}.pcap"
            with capture.open("wb") as file:
                _write(file, box, transport, records, size)
            for _ in range(rounds):
                for output in ("text", "json"):
                    yield _decode(capture, box_path, transport, output, records)
            capture.unlink()


def _decode(
    capture: Path, box: Path, transport: Transport, output: str, records: int
) -> DecodeResult:
    arguments = ["-c", _NST, "decode", str(capture), "--keybox", str(box)]
    if output == "json":
        arguments.append("--json")
    child = subprocess.Popen(
        [sys.executable, *arguments], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode != 0:
        raise UserError(f"nst decode ended with status {child.returncode}")
    start = time.process_time()
    frames = sum(1 for _ in RawPcapReader(str(capture)))
    reader = time.process_time() - start
    taken = usage.ru_utime + usage.ru_stime
    return DecodeResult(
        transport.value, output, records, records / taken, frames / reader, usage.ru_maxrss
    )


def _write(file: BinaryIO, box: KeyBox, transport: Transport, records: int, size: int) -> None:
    """A capture of one conversation, a record in each frame."""
    file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
    payload = bytes(size)
    if transport is Transport.DGRAM:
        dgram = DgramSender(box)
        for number in range(records):
            now = _START + number * _STEP
            record = dgram.seal(payload, now=now)
            udp = struct.pack(">HHHH", _CLIENT_PORT, DEFAULT_PORT, 8 + len(record), 0)
            _frame(file, now, 17, udp + record)
        return
    stream = StreamSender(Role.INITIATOR, box)
    _frame(file, _START, 6, _tcp(0, syn=True))
    seq = 1
    for number in range(records):
        now = _START + number * _STEP
        record = stream.seal(payload, now=now)
        _frame(file, now, 6, _tcp(seq) + record)
        seq += len(record)


def _tcp(seq: int, *, syn: bool = False) -> bytes:
    ports = _CLIENT_PORT, DEFAULT_PORT
    flags = 0x02 if syn else 0x18
    return struct.pack(
        ">HHIIBBHHH", *ports, seq & 0xFFFFFFFF, 0 if syn else 1, 0x50, flags, 65535, 0, 0
    )


def _frame(file: BinaryIO, now: int, proto: int, payload: bytes) -> None:
    length = 20 + len(payload)
    header = struct.pack(">BBHHHBBH", 0x45, 0, length, 0, 0, 64, proto, 0)
    frame = _ETHER + header + _ADDRESSES + payload
    seconds, ns = divmod(now, 1_000_000_000)
    file.write(struct.pack("<4I", seconds, ns, len(frame), len(frame)) + frame)
