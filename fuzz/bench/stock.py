# SPDX-License-Identifier: GPL-2.0-or-later
"""boofuzz as it comes, fuzzing a TCP service that returns what it gets; the benchmark's peer.

Run as a program in an empty directory, `python -m fuzz.bench.stock PORT CASES` prints the seconds
that the cases took. Each is a connection with one record. With a number behind that it is so many
records, one after the other, of which the last is mutated; and the answer to that is taken, too,
as a fuzzer has to that is to know what becomes of it (for those before it that is the default).
All else is left at boofuzz's defaults, but that it ends.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from typing import Any

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

_HOST = "127.0.0.1"
_PAYLOAD = b"a payload of forty-eight bytes, as one may have.."


def fields(*, mutated: bool = True) -> list[Fuzzable]:
    """A datagram's record in boofuzz's own primitives, as its users describe a protocol."""
    parts: list[tuple[type[Fuzzable], str, object, dict[str, Any]]] = [
        (DWord, "magic", MAGIC, {"endian": ">"}),
        (Byte, "version", VERSION, {}),
        (Byte, "cipher_id", int(SuiteId.AES_GCM), {}),
        (Word, "transport_len", len(_PAYLOAD), {"endian": ">"}),
        (QWord, "timestamp", 1 << 60, {"endian": ">"}),
        (Bytes, "session_id", b"sessio", {"size": 6}),
        (Word, "counter", 1, {"endian": ">"}),
        (Bytes, "token", bytes(16), {"size": 16}),
        (Byte, "kpos", 1, {}),
        (Byte, "kval", 1, {}),
        (Word, "kid", 0, {"endian": ">"}),
        (DWord, "flags", int(Flags.DGRAM), {"endian": ">"}),
        (Bytes, "payload", _PAYLOAD, {"max_len": 1024}),
    ]
    return [kind(name, value, fuzzable=mutated, **more) for kind, name, value, more in parts]


def main(port: int, cases: int, records: int, *, answers: bool) -> float:
    """Run cases against a port of the loopback; return the seconds that they took."""
    with socket.socket() as spare:
        spare.bind((_HOST, 0))
        web_port = spare.getsockname()[1]
    session = Session(
        target=Target(connection=TCPSocketConnection(_HOST, port)),
        index_end=cases,
        web_port=web_port,
        keep_web_open=False,
        receive_data_after_fuzz=answers,
    )
    path = [
        Request(f"record {number}", children=fields(mutated=number == records))
        for number in range(1, records + 1)
    ]
    for node, before in zip(path, (None, *path), strict=False):
        session.connect(*([node] if before is None else [before, node]))
    began = time.perf_counter()
    session.fuzz()
    return time.perf_counter() - began


if __name__ == "__main__":
    answer = os.dup(1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # its log goes to a terminal that reads fast
    number, count, *records = map(int, sys.argv[1:])
    taken = main(number, count, *(records or [1]), answers=bool(records))
    os.write(answer, f"{taken}\n".encode())
    os._exit(0)  # its web server's thread would go on
