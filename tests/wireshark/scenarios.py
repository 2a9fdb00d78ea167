# SPDX-License-Identifier: GPL-2.0-or-later
"""Captures of conversations to which things happen, each between hosts of its own."""

from __future__ import annotations

import random
import struct
from dataclasses import dataclass
from pathlib import Path

from captures import KEYBOX, STEP, T0, Capture, Connection
from scapy.layers.inet import IP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet

from nst_scapy.capture import Frame
from nst_scapy.header import Role
from nst_scapy.sender import DgramSender, StreamSender
from nst_scapy.suite import SuiteId

_FINE = STEP // 20
"""Nanoseconds between frames: a conversation fits into the timestamp window."""


@dataclass
class Hosts(Capture):
    """A capture between two hosts that no other scenario has."""

    number: int = 0

    @property
    def now(self) -> int:
        """Time of the next frame, ns."""
        return T0 + len(self.packets) * _FINE

    def ip(self, to_server: bool) -> Packet:
        """An IP header between the two."""
        high, low = self.number >> 8, self.number & 255
        if self.v6:
            hosts = (f"2001:db8::{self.number + 1:x}:1", f"2001:db8::{self.number + 1:x}:2")
        else:
            hosts = (f"10.1.{high}.{low}", f"10.2.{high}.{low}")
        src, dst = hosts if to_server else hosts[::-1]
        return IPv6(src=src, dst=dst) if self.v6 else IP(src=src, dst=dst)


def _talk(capture: Hosts, rng: random.Random) -> None:
    """A connection from SYN to reset, with records of all sizes."""
    suite = rng.choice(list(SuiteId))
    rekey = rng.choice([1, 2, 3, 65536])
    sides = {
        True: StreamSender(Role.INITIATOR, KEYBOX, suite, rng=rng, rekey_records=rekey),
        False: StreamSender(Role.ACCEPTOR, KEYBOX, suite, rng=rng, rekey_records=rekey),
    }
    port = rng.choice([40000, 48879])
    connection = Connection(
        capture, client_port=port, isns=(rng.randrange(2**32), rng.randrange(2**32))
    ).open()
    binds = rng.random() < 0.7
    for n in range(rng.randint(1, 12)):
        to_server = n == 0 or rng.random() < 0.6
        if not to_server and binds and sides[True].first_token is not None:
            sides[False].bind(sides[True].first_token)
        data = b"".join(
            sides[to_server].seal(
                rng.randbytes(rng.choice([1, 15, 16, 100, 2000])), now=capture.now
            )
            for _ in range(rng.randint(1, 3))
        )
        connection.send(to_server, data, size=rng.choice([33, 500, 1400]))
        if rng.random() < 0.5:
            connection.segment(not to_server)
    for to_server in (True, False):
        if rng.random() < 0.8:
            connection.send(to_server, sides[to_server].close(now=capture.now))
        if rng.random() < 0.1:
            connection.send(to_server, b"after the end")
        if rng.random() < 0.8:
            connection.fin(to_server)
    # Nothing of the connection is pending after that, here or at the observer.
    connection.segment(True, flags="RA")


def _datagrams(capture: Hosts, rng: random.Random) -> None:
    suite = rng.choice(list(SuiteId))
    senders = {side: DgramSender(KEYBOX, suite, rng=rng) for side in (True, False)}
    sent: list[bytes] = []
    for _ in range(rng.randint(3, 20)):
        side = rng.random() < 0.6
        chance = rng.random()
        if sent and chance < 0.3:
            record = bytearray(rng.choice(sent))
            if chance < 0.15:
                record[rng.randrange(len(record))] ^= 1 << rng.randrange(8)
            elif chance < 0.2:
                del record[rng.randrange(len(record)) :]
        else:
            late = rng.choice([0, 0, 0, 0, -29, -31, 31]) * 10**9
            record = bytearray(
                senders[side].seal(rng.randbytes(rng.choice([0, 1, 200])), now=capture.now + late)
            )
            sent.append(bytes(record))
        capture.udp(bytes(record), to_server=side, client_port=rng.choice([40000, 48879]))


def _damage(frames: list[Frame], rng: random.Random) -> list[Frame]:
    """What can happen to a capture, or to packets on their way."""
    frames = list(frames)
    last = frames.pop()  # the reset
    for _ in range(rng.choice([0, 1, 1, 2, 3])):
        if len(frames) < 6:
            break
        at = rng.randrange(3, len(frames))
        match rng.randrange(7):
            case 0:  # lost
                del frames[at]
            case 1:  # in another order
                other = min(at + rng.randint(1, 2), len(frames) - 1)
                frames[at], frames[other] = frames[other], frames[at]
            case 2:  # captured twice
                frames.insert(at, frames[rng.randrange(3, at + 1)])
            case 3:  # altered
                data = bytearray(frames[at].data)
                if len(data) > 74:
                    data[rng.randrange(74, len(data))] ^= 1 << rng.randrange(8)
                frames[at] = frames[at]._replace(data=bytes(data))
            case 4:  # cut off
                length = len(frames[at].data)
                if length > 80:
                    cut = rng.randrange(74, length)
                    frames[at] = frames[at]._replace(data=frames[at].data[:cut])
            case 5:  # begun late
                del frames[: rng.randint(1, min(8, len(frames) - 2))]
            case _:  # played back
                frames += [f for f in frames[3:8] if rng.random() < 0.5]
    return [*frames, last]


def scenario(number: int, seed: int) -> list[Frame]:
    """Frames of one scenario, in order."""
    rng = random.Random(seed << 16 | number)
    capture = Hosts(number=number, v6=rng.random() < 0.3)
    if rng.random() < 0.3:
        _datagrams(capture, rng)
        frames = capture.frames()
    else:
        _talk(capture, rng)
        frames = _damage(capture.frames(), rng)
    return [
        frame._replace(time=T0 + n * _FINE + number, number=0) for n, frame in enumerate(frames)
    ]


def merged(count: int, seed: int) -> list[Frame]:
    """Many scenarios in one capture, at the same time."""
    frames = [frame for number in range(count) for frame in scenario(number, seed)]
    frames.sort(key=lambda frame: frame.time or 0)
    return [frame._replace(number=n) for n, frame in enumerate(frames, start=1)]


def write(frames: list[Frame], path: Path) -> Path:
    """Write frames as pcap with nanoseconds."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
        for frame in frames:
            assert frame.time is not None
            head = (*divmod(frame.time, 10**9), len(frame.data), frame.wire_len)
            file.write(struct.pack("<IIII", *head) + frame.data)
    return path
