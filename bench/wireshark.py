# SPDX-License-Identifier: GPL-2.0-or-later
"""What the Wireshark dissector costs, measured with tshark: python3 bench/wireshark.py

CPU time (user), medians of runs that take turns, so that other work on the machine disturbs
little. The start of tshark is in the ratios, and subtracted from costs per packet or record.
"""

from __future__ import annotations

import argparse
import random
import resource
import statistics
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


def seconds(*commands: list[str], runs: int) -> list[float]:
    """User CPU time of each command: medians of *runs*, the commands taking turns."""
    times: list[list[float]] = [[] for _ in commands]
    for _ in range(runs):
        for command, spent in zip(commands, times, strict=True):
            before = resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime
            quiet = subprocess.DEVNULL
            subprocess.run(command, check=True, stdout=quiet, stderr=quiet)
            spent.append(resource.getrusage(resource.RUSAGE_CHILDREN).ru_utime - before)
    return [statistics.median(spent) for spent in times]


def headers(folder: Path, box: KeyBox, count: int, runs: int, script: list[str]) -> None:
    """The same captures with and without the dissector, which has no key box."""
    captures = {
        "start": datagrams(folder / "one.pcap", box, SuiteId.AES_GCM, 1, 1),
        "UDP": datagrams(folder / "udp.pcap", box, SuiteId.AES_GCM, count, 512),
        "TCP": stream(folder / "tcp.pcap", box, count, 512),
    }
    plain = [["tshark", "-r", str(path)] for path in captures.values()]
    times = seconds(*plain, *(command + script for command in plain), runs=runs)
    start, start_nst = times[0], times[len(plain)]
    print(f"start: tshark {start:.2f} s, with the dissector {start_nst:.2f} s")
    for n, transport in enumerate(("UDP", "TCP"), start=1):
        without, dissected = times[n], times[n + len(plain)]
        costs = (without - start) / count * 1e6, (dissected - start_nst) / count * 1e6
        print(
            f"{transport}, {count} packets, headers only: {without / dissected:.2f} of the speed "
            f"undissected; us a packet: {costs[0]:.0f} undissected, {costs[1]:.0f} dissected"
        )


def decryption(folder: Path, box: KeyBox, count: int, runs: int, script: list[str]) -> None:
    """What a key box adds to the same captures."""
    keys = [*script, "-o", f"nst.keybox:{folder / 'keybox'}"]
    print("decryption, us a record beyond headers:   64 B   512 B  1400 B   16 KiB, MB/s")
    for crypto, fewer in ((LUAOSSL, 1), (PURE, 10)):
        for suite in SuiteId:
            row = []
            for size in (64, 512, 1400, 16384):
                n = max(count // fewer // (1 + size // 4096), 100)
                path = datagrams(folder / "records.pcap", box, suite, n, size)
                command = ["tshark", "-r", str(path)]
                with_keys = [*command, *keys, "-o", f"nst.crypto:{crypto}"]
                without, decrypted = seconds(command + script, with_keys, runs=runs)
                row.append((decrypted - without) / n)
            costs = "".join(f"{cost * 1e6:8.0f}" for cost in row[:3])
            print(f"{crypto:>10} {suite.name:24} {costs} {16384 / row[3] / 1e6:15.1f}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the Wireshark dissector.")
    parser.add_argument("--records", type=int, default=20000, help="packets a capture")
    parser.add_argument("--runs", type=int, default=5, help="of each command")
    args = parser.parse_args()
    box = KeyBox({kid: bytes([kid]) * 32 for kid in range(1, 5)})
    script = ["-X", f"lua_script:{NST_LUA}"]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        box.save(folder / "keybox")
        headers(folder, box, args.records, args.runs, script)
        decryption(folder, box, args.records // 5, args.runs, script)


if __name__ == "__main__":
    main()
