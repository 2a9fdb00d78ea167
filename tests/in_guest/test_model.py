# SPDX-License-Identifier: GPL-2.0-or-later
"""The module against the receiver model of nst_scapy, on mutated records."""

from __future__ import annotations

import random
import socket
import time
from collections import Counter
from typing import Any

from nst_scapy.checks import Policy
from nst_scapy.epoch import seal_under
from nst_scapy.header import Header, Role
from nst_scapy.keybox import KeyBox
from nst_scapy.receiver import DgramReceiver, Receiver
from nst_scapy.sender import DgramSender, StreamSender
from nst_scapy.stream import StreamReceiver
from nst_scapy.verdict import Verdict
from tests.in_guest import counters
from tests.in_guest.sockets import (
    available_suites,
    nst_socket,
    plain_socket,
    readable,
    tcp_to_nst,
)

SUITES = available_suites()
POLICY = Policy(suites=frozenset(int(suite) for suite in SUITES))
SECOND = 10**9


def mutated(header: Header, rng: random.Random) -> Header:
    """One or two fields changed; values at and around the limits."""
    choices: dict[str, list[Any]] = {
        "magic": [0xBEEF1338, 0],
        "version": [0, 2],
        "cipher_id": [0, 1, 2, 3, 4, 5, 255],
        "transport_len": [0, 1, header.transport_len + 1, 16384, 16385, 65535],
        "timestamp": [
            0, 2**64 - 1, header.timestamp - 25 * SECOND, header.timestamp + 25 * SECOND,
            header.timestamp - 35 * SECOND, header.timestamp + 35 * SECOND,
        ],
        "nonce": [
            header.counter, header.nonce ^ 1, header.nonce ^ 2000, header.nonce ^ 1 << 20,
        ],
        "kpos": [0, 1, 32, 33, 255],
        "kval": [0, 1, 255],
        "kid": [0, 1, 65535, header.kid ^ 1],
        "flags": [1 << bit for bit in range(6)] + [header.flags ^ 1 << bit for bit in range(32)],
    }  # fmt: skip
    for field in rng.sample(sorted(choices), rng.choice([1, 1, 1, 2])):
        header = header._replace(**{field: rng.choice(choices[field])})
    return header


def damaged(record: bytes, header: Header, rng: random.Random) -> bytes:
    """The record, perhaps cut, lengthened or with a bit flipped."""
    match rng.randrange(8):
        case 0:
            return record[: rng.randrange(len(record) + 1)]
        case 1:
            return record + rng.randbytes(rng.randint(1, 40))
        case 2:
            at = rng.randrange(len(record))
            return record[:at] + bytes([record[at] ^ 1 << rng.randrange(8)]) + record[at + 1 :]
    return record


def counted_now(column: str, before: Counter[str]) -> Counter[str]:
    """Verdicts of one transport, wherever they were counted."""
    found: Counter[str] = Counter()
    for name, count in (counters.read() - before).items():
        where, _, verdict = name.partition(".")
        if where in (column, f"{column}_local_in"):
            found[verdict] += count
    return found


def test_datagrams(box: KeyBox) -> None:
    rng = random.Random(1)
    model = DgramReceiver(Receiver(box, policy=POLICY))
    senders = [DgramSender(box, suite, rng=rng) for suite in SUITES]
    with nst_socket(socket.SOCK_DGRAM) as server, plain_socket(socket.SOCK_DGRAM) as udp:
        server.bind(("127.0.0.1", 0))
        address = server.getsockname()
        for case in range(400):
            sender = rng.choice(senders)
            plaintext = rng.randbytes(rng.choice([0, 1, 15, 16, 17, 300]))
            record = sender.seal(plaintext, now=time.time_ns())
            header = Header.unpack(record)
            if rng.random() < 0.7:
                header = mutated(header, rng)
                assert sender.epoch is not None
                record = (
                    seal_under(sender.epoch, header.pack(), plaintext)
                    if rng.random() < 0.7
                    else header.pack() + record[48:]
                )
            record = damaged(record, header, rng)
            for _ in range(rng.choice([1, 1, 1, 2])):
                before = counters.read()
                outcome = model.receive(record, now=time.time_ns(), age=10**15)
                udp.sendto(record, address)
                if outcome.verdict is Verdict.OK:
                    assert server.recv(70000) == outcome.plaintext, case
                else:
                    assert not readable(server), (case, record.hex())
                assert outcome.verdict is not None
                expected = Counter({outcome.verdict.name: 1})
                assert counted_now("dgram", before) == expected, (case, record.hex())


def test_streams(box: KeyBox) -> None:
    rng = random.Random(2)
    shared = Receiver(box, policy=POLICY)
    for case in range(120):
        model = StreamReceiver(shared, Role.ACCEPTOR)
        sender = StreamSender(Role.INITIATOR, box, rng.choice(SUITES), rng=rng)
        data = b""
        for _ in range(rng.randint(1, 4)):
            if rng.random() < 0.2:
                sender.new_epoch()
            plaintext = rng.randbytes(rng.choice([1, 16, 400, 16384]))
            record = sender.seal(plaintext, now=time.time_ns())
            if rng.random() < 0.35:
                header = mutated(Header.unpack(record), rng)
                assert sender.epoch is not None
                record = damaged(seal_under(sender.epoch, header.pack(), plaintext), header, rng)
            data += record
        if rng.random() < 0.7:
            data += sender.close(now=time.time_ns())
        outcomes = model.receive(data, now=time.time_ns(), age=10**15) + model.end()
        expected = Counter(o.verdict.name for o in outcomes if o.verdict is not None)
        before = counters.read()
        with tcp_to_nst() as pair:
            try:
                pair.initiator.sendall(data)
                pair.initiator.shutdown(socket.SHUT_WR)
            except OSError:
                pass  # reset while we were sending
            received = b""
            try:
                while piece := pair.acceptor.recv(rng.choice([1000, 65536])):
                    received += piece
            except OSError:
                pass
        plaintexts = b"".join(o.plaintext or b"" for o in outcomes)
        assert received == plaintexts, (case, data.hex())
        assert counted_now("stream", before) == expected, (case, data.hex())
