# SPDX-License-Identifier: GPL-2.0-or-later
"""What the Wireshark dissector costs, measured with tshark: python3 bench/wireshark.py

CPU time (user), best of three, so that other work on the machine disturbs little. Start
of tshark is subtracted where a cost per packet or record is printed.
"""

from __future__ import annotations

import argparse
import os
import random
import struct
import subprocess
import tempfile
from pathlib import Path

from nst_scapy.header import DEFAULT_PORT, Role
from nst_scapy.keybox import KeyBox
from nst_scapy.sender import DgramSender, StreamSender
from nst_scapy.suite import SuiteId

NST_LUA = Path(__file__).parents[1] / "wireshark/nst.lua"
START = 1_790_000_000 * 10**9
LUAOSSL, PURE = "luaossl", "Pure Lua"


def packet(protocol: int, payload: bytes, *, back: bool = False) -> bytes:
    """An Ethernet frame with an IPv4 packet."""
    here, there = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))
    ends = there + here if back else here + there
    header = struct.pack(">BxHIBBxx", 0x45, 20 + len(payload), 0, 64, protocol)
    return b"\2" * 12 + b"\x08\x00" + header + ends + payload


def write(path: Path, packets: list[bytes]) -> Path:
    """A capture, a microsecond a packet."""
    with path.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, 262144, 1))
        for n, data in enumerate(packets):
            time = divmod(START + n * 1000, 10**9)
            file.write(struct.pack("<IIII", *time, len(data), len(data)) + data)
    return path


def datagrams(path: Path, box: KeyBox, suite: SuiteId, count: int, size: int) -> Path:
    rng = random.Random(1)
    sender = DgramSender(box, suite, rng=rng)
    packets = []
    for n in range(count):
        record = sender.seal(rng.randbytes(size), now=START + n * 1000)
        head = struct.pack(">HHHH", 40000, DEFAULT_PORT, 8 + len(record), 0)
        packets.append(packet(17, head + record))
    return write(path, packets)


def stream(path: Path, box: KeyBox, count: int, size: int) -> Path:
    """A record a segment, each second one acknowledged; *count* packets in all."""
    rng = random.Random(1)
    sender = StreamSender(Role.INITIATOR, box, SuiteId.AES_GCM, rng=rng)

    def segment(seq: int, ack: int, flags: int, data: bytes = b"", *, back: bool = False) -> bytes:
        ports = (DEFAULT_PORT, 40000) if back else (40000, DEFAULT_PORT)
        head = struct.pack(">HHIIBBHHH", *ports, seq, ack, 0x50, flags, 65535, 0, 0)
        return packet(6, head + data, back=back)

    packets = [segment(0, 0, 2), segment(0, 1, 0x12, back=True), segment(1, 1, 0x10)]
    seq = 1
    while len(packets) < count:
        for _ in range(2):
            record = sender.seal(rng.randbytes(size), now=START + len(packets) * 1000)
            packets.append(segment(seq, 1, 0x18, record))
            seq += len(record)
        packets.append(segment(1, seq, 0x10, back=True))
    return write(path, packets)


def seconds(*command: str) -> float:
    """User CPU time of a command, best of three."""
    best = float("inf")
    for _ in range(3):
        before = os.times().children_user
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        best = min(best, os.times().children_user - before)
    return best


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the Wireshark dissector.")
    parser.add_argument("--records", type=int, default=4000, help="records a capture")
    count: int = parser.parse_args().records
    box = KeyBox({kid: bytes([kid]) * 32 for kid in range(1, 5)})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        box.save(folder / "keybox")

        def run(path: Path, *options: str) -> float:
            return seconds("tshark", "-r", str(path), *options)

        script = ("-X", f"lua_script:{NST_LUA}")
        keys = (*script, "-o", f"nst.keybox:{folder / 'keybox'}")
        one = datagrams(folder / "one.pcap", box, SuiteId.AES_GCM, 1, 1)
        start, start_nst = run(one), run(one, *script)

        print(f"start: tshark {start:.2f} s, with the dissector {start_nst:.2f} s")
        for transport, path in (
            ("UDP", datagrams(folder / "udp.pcap", box, SuiteId.AES_GCM, count, 512)),
            ("TCP", stream(folder / "tcp.pcap", box, count, 512)),
        ):
            plain, header = run(path), run(path, *script)
            cost = (header - start_nst - plain + start) / count * 1e6
            print(
                f"{transport}, headers only: {plain / header:.2f} of the speed undissected, "
                f"{cost:.0f} us a packet more"
            )
        print("decryption, us a record beyond headers:   64 B   512 B  1400 B   16 KiB, MB/s")
        for crypto, fewer in ((LUAOSSL, 1), (PURE, 10)):
            for suite in SuiteId:
                row = []
                for size in (64, 512, 1400, 16384):
                    n = max(count // fewer // (1 + size // 4096), 100)
                    path = datagrams(folder / "records.pcap", box, suite, n, size)
                    with_keys = run(path, *keys, "-o", f"nst.crypto:{crypto}")
                    row.append((with_keys - run(path, *script)) / n)
                costs = "".join(f"{cost * 1e6:8.0f}" for cost in row[:3])
                print(f"{crypto:>10} {suite.name:24} {costs} {16384 / row[3] / 1e6:15.1f}")


if __name__ == "__main__":
    main()
