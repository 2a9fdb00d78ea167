# SPDX-License-Identifier: GPL-2.0-or-later
"""The campaigns' mutations as captures, and those captures mutated: no error, no hang."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from dissection import differences, dissected, observed, pdml, tshark
from scenarios import write

from fuzz.campaigns.dgram import DGRAM_RECORD
from fuzz.campaigns.plan import Plan, Planned
from fuzz.campaigns.runner import run_keybox
from fuzz.campaigns.session import context_of
from fuzz.campaigns.stream import STREAM_RECORD
from fuzz.campaigns.values import CaseValues, canonical
from fuzz.script import Action, unpack
from nst_scapy.capture import Frame
from nst_scapy.header import DEFAULT_PORT
from nst_scapy.observer import Observer, observe_frames
from nst_scapy.suite import SuiteId

PACKETS = 100_000
CASES = 1500
"""Of each campaign, whose packets are then mutated."""
BOX = run_keybox("wireshark")
NOW = 1_800_000_000 * 10**9
STEP = 1_000_000
SYN, ACK, FIN, RST = 2, 16, 1, 4


def _ip(number: int, protocol: int, to_server: bool, payload: bytes) -> bytes:
    ends = [struct.pack(">BBH", 10, side, number & 0xFFFF) for side in (1, 2)]
    ends = ends if to_server else ends[::-1]
    length = 20 + len(payload)
    header = struct.pack(">BxHIBBxx", 0x45, length, 0, 64, protocol)
    return b"\2" * 12 + b"\x08\x00" + header + b"".join(ends) + payload


def _udp(number: int, data: bytes) -> bytes:
    head = struct.pack(">HHHH", 40000, DEFAULT_PORT, 8 + len(data), 0)
    return _ip(number, 17, True, head + data)


def _tcp(number: int, port: int, seq: int, ack: int, flags: int, data: bytes = b"") -> bytes:
    to_server = ack >= 0
    ports = (port, DEFAULT_PORT) if to_server else (DEFAULT_PORT, port)
    head = struct.pack(">HHIIBBHHH", *ports, seq, abs(ack), 0x50, flags, 65535, 0, 0)
    return _ip(number, 6, to_server, head + data)


def packets_of(case: Planned, number: int, seed: str) -> Iterator[bytes]:
    """The packets that a case of a campaign would be, between hosts of its own."""
    values = CaseValues(f"{seed}{number}", sorted(BOX), NOW + number * STEP, NOW - 60 * 10**9)
    port, seq, opened = 40000, 1, False
    for step in unpack(bytes(case.request.render(context_of(case, values)))):
        if step.action is Action.DATAGRAM and len(step.data) < 65000:
            yield _udp(number, step.data)
        elif step.action is Action.CONNECT:
            if opened:
                yield _tcp(number, port, seq, 1, RST | ACK)
            port, seq, opened = port + 1, 1, True
            yield _tcp(number, port, 0, 0, SYN)
            yield _tcp(number, port, 0, -1, SYN | ACK)
        elif step.action is Action.SEGMENT:
            for at in range(0, len(step.data), 9000):
                piece = step.data[at : at + 9000]
                yield _tcp(number, port, seq, 1, ACK, piece)
                seq += len(piece)
        elif step.action is Action.FIN:
            yield _tcp(number, port, seq, 1, FIN | ACK)
    if opened:
        yield _tcp(number, port, seq, 1, RST | ACK)


def frames_of(count: int, seed: str) -> list[Frame]:
    """The packets of so many cases of each campaign."""
    frames: list[Frame] = []
    number = 0
    for campaign in (STREAM_RECORD, DGRAM_RECORD):
        requests = campaign.requests(BOX, tuple(SuiteId))
        plan = Plan(requests, seed, lambda case: _canonical(case))
        for _, case in zip(range(count), plan, strict=False):
            number += 1
            for packet in packets_of(case, number, seed):
                time = NOW + number * STEP + len(frames)
                frames.append(Frame(len(frames) + 1, time, 1, packet, len(packet)))
    return frames


def _canonical(case: Planned) -> bytes:
    context = context_of(case, canonical(sorted(BOX)))
    return bytes(case.request.name.encode() + case.request.render(context))


@pytest.fixture
def keybox(tmp_path: Path) -> Path:
    BOX.save(tmp_path / "keybox")
    return tmp_path / "keybox"


def test_the_campaigns_cases_get_the_observers_verdicts(tmp_path, keybox):
    frames = frames_of(150, "1")
    expected = observed(observe_frames(frames, Observer(BOX)))
    got = dissected(pdml(write(frames, tmp_path / "cases.pcap"), keybox=keybox))
    assert differences(expected, got) == []
    assert len(expected) > 150


def mutated(frames: list[Frame], rng: random.Random) -> Iterator[Frame]:
    """Frames without end: altered anywhere, cut, repeated, out of order."""
    number = 0
    while True:
        frame = frames[rng.randrange(len(frames))]
        at = rng.randrange(len(frames))
        for frame in frames[at : at + rng.randint(1, 12)]:
            data = bytearray(frame.data)
            for _ in range(rng.choice([0, 0, 1, 1, 2, 5])):
                # Headers below NST are altered too, but seldom: that ends there as a rule.
                start = 54 if rng.random() < 0.9 and len(data) > 54 else 14
                data[rng.randrange(min(start, len(data) - 1), len(data))] = rng.choice(
                    [0, 1, 0x7F, 0x80, 0xFF, rng.randrange(256)]
                )
            if rng.random() < 0.05:
                del data[rng.randrange(14, len(data)) :]
            number += 1
            yield frame._replace(number=number, data=bytes(data), time=NOW + number)


def test_a_hundred_thousand_mutated_packets(tmp_path, keybox):
    rng = random.Random(4)
    frames = frames_of(CASES, "2")
    stream = mutated(frames, rng)
    capture = write([next(stream) for _ in range(PACKETS)], tmp_path / "mutated.pcap")
    out = tshark(capture, "-T", "fields", "-e", "nst.verdict", "-e", "_ws.lua.error", keybox=keybox)
    lines = out.split("\n")[:-1]
    assert len(lines) == PACKETS
    errors = [n for n, line in enumerate(lines, start=1) if line.partition("\t")[2]]
    assert errors == []
    verdicts = {v for line in lines for v in line.partition("\t")[0].split(",")} - {""}
    assert len(verdicts) >= 14
