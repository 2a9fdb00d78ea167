# SPDX-License-Identifier: GPL-2.0-or-later
"""boofuzz as it comes, fuzzing a TCP service; the peer of the benchmark of campaigns.

Run as a program in an empty directory: `python -m fuzz.bench.stock PORT CASES [answers]` prints the
seconds that the cases took. Everything is left at boofuzz's defaults, but that it ends, and
that with `answers` it takes the answer to each case, as a fuzzer has to that is to know what
becomes of it: else it would not wait for the target at all.
"""

from __future__ import annotations

import os
import socket
import sys
import time

from boofuzz import (
    Byte,
    Bytes,
    DWord,
    Fuzzable,
    QWord,
    Request,
    Session,
    Target,
    TCPSocketConnection,
    Word,
)

from nst_scapy.header import MAGIC, VERSION, Flags
from nst_scapy.suite import SuiteId

_PAYLOAD = b"a payload of forty-eight bytes, as one may have.."


def fields() -> list[Fuzzable]:
    """A datagram's record in boofuzz's own primitives, as its users describe a protocol."""
    return [
        DWord("magic", MAGIC, endian=">"),
        Byte("version", VERSION),
        Byte("cipher_id", int(SuiteId.AES_GCM)),
        Word("transport_len", len(_PAYLOAD), endian=">"),
        QWord("timestamp", 1 << 60, endian=">"),
        Bytes("session_id", b"sessio", size=6),
        Word("counter", 1, endian=">"),
        Bytes("token", bytes(16), size=16),
        Byte("kpos", 1),
        Byte("kval", 1),
        Word("kid", 0, endian=">"),
        DWord("flags", int(Flags.DGRAM), endian=">"),
        Bytes("payload", _PAYLOAD, max_len=1024),
    ]


def main(port: int, cases: int, *, answers: bool) -> float:
    """Run cases against a port of the loopback; return the seconds that they took."""
    with socket.socket() as spare:
        spare.bind(("127.0.0.1", 0))
        web_port = spare.getsockname()[1]
    session = Session(
        target=Target(connection=TCPSocketConnection("127.0.0.1", port)),
        index_end=cases,
        web_port=web_port,
        keep_web_open=False,
        receive_data_after_fuzz=answers,
    )
    session.connect(Request("record", children=fields()))
    began = time.perf_counter()
    session.fuzz()
    return time.perf_counter() - began


if __name__ == "__main__":
    answer = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # its log goes to a terminal that reads fast
    taken = main(int(sys.argv[1]), int(sys.argv[2]), answers="answers" in sys.argv[3:])
    os.write(answer, f"{taken}\n".encode())
    os._exit(0)  # its web server's thread would go on
