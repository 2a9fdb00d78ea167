# SPDX-License-Identifier: GPL-2.0-or-later
"""NSTSession: one packet for each record."""

from __future__ import annotations

import itertools
import random
import socket

import pytest
from captures import KEYBOX, Capture, Connection, dgram_sender, stream_sender
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import TCP, UDP
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from scapy.sendrecv import sniff
from scapy.supersocket import StreamSocket

from nst_scapy.header import Role
from nst_scapy.layer import NST, NSTPlain
from nst_scapy.session import NSTSession
from nst_scapy.verdict import Verdict


def records(count: int = 8) -> list[bytes]:
    sender = stream_sender(Role.INITIATOR)
    return [sender.seal(b"%d" % n * (n * 30 + 1), now=Capture().now) for n in range(count)]


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 1300), max_size=12, unique=True), st.randoms(use_true_random=False))
def test_whatever_the_segments_and_their_order(cuts: list[int], rng: random.Random) -> None:
    sealed = records()
    wire = b"".join(sealed)
    edges = [0, *sorted(c for c in cuts if c < len(wire)), len(wire)]
    capture = Capture()
    connection = Connection(capture, isns=(0xFFFFFFF0, 1)).open()
    for start, end in itertools.pairwise(edges):
        connection.send(True, wire[start:end], size=1 << 16)
    order = sorted(range(3, len(capture.packets)), key=lambda n: n + rng.uniform(0, 4))
    twice = rng.choice(order)
    packets = capture.packets[:3] + [
        capture.packets[n] for m in order for n in ([m, m] if m == twice else [m])
    ]
    sniffed = [p for p in sniff(offline=packets, session=NSTSession) if NST in p]
    assert [bytes(p[NST]) for p in sniffed] == sealed
    # Each where it is in the stream.
    starts = [(p[TCP].seq - 0xFFFFFFF1) & 0xFFFFFFFF for p in sniffed]
    assert starts == [len(b"".join(sealed[:n])) for n in range(len(sealed))]


def test_what_carries_no_record_passes() -> None:
    capture = Capture()
    connection = Connection(capture).open()
    connection.send(True, b"junk" + records(1)[0] + b"more")
    connection.fin(True)
    capture.udp(dgram_sender().seal(b"x", now=capture.now))
    capture.add(capture.ip(True) / TCP(dport=80) / Raw(b"GET /"))
    packets = list(sniff(offline=capture.packets, session=NSTSession))
    # The end of what is no record could be the beginning of one, until the stream ends.
    loads = [p[Raw].load for p in packets if Raw in p]
    assert b"".join(loads) == b"junk" + b"more" + b"GET /"
    assert [p[TCP].flags for p in packets[:3]] == ["S", "SA", "A"]
    assert [NST in p for p in packets].count(True) == 2
    assert [UDP in p for p in packets].count(True) == 1


@pytest.mark.parametrize("acknowledged", [False, True])
def test_behind_a_segment_that_was_not_captured(acknowledged: bool) -> None:
    capture = Capture()
    connection = Connection(capture).open()
    for record in records(30):
        connection.send(True, record)
        if acknowledged:
            connection.segment(False)
    del capture.packets[5]
    found = [p[NST].counter for p in sniff(offline=capture.packets, session=NSTSession) if NST in p]
    assert found == ([0, *range(2, 30)] if acknowledged else [0, 1, *range(3, 30)])
    assert len(found) >= (28 if acknowledged else 2)


@pytest.mark.parametrize("opening", [False, True])
def test_what_waits_when_the_capture_ends(opening: bool, tmp_path) -> None:
    capture = Capture()
    connection = Connection(capture).open()
    sealed = records(4)
    for record in sealed[:3]:
        connection.send(True, record)
    connection.send(True, sealed[3][:60])
    lost = capture.packets.pop(4)
    assert bytes(lost).endswith(sealed[1])
    other = Capture()
    other.udp(dgram_sender().seal(b"x", now=other.now))
    # Two captures at once: the first one to end is not the end.
    paths = [capture.write(tmp_path / "a.pcap"), other.write(tmp_path / "b.pcap")]
    session = NSTSession(KEYBOX if opening else None, verify=False)
    packets = list(sniff(offline=[str(path) for path in paths], session=session, quiet=True))
    if opening:
        verdicts = [(p[NSTPlain].counter, p[NSTPlain].verdict) for p in packets if TCP in p]
        assert [(n, str(verdict)) for n, verdict in verdicts] == [(0, "OK"), (2, "unverified")]
    else:
        assert [p[NST].counter for p in packets if NST in p and TCP in p] == [0, 2]
        assert packets[-1][Raw].load == sealed[3][:60]
        assert packets[-1][TCP].seq == packets[-2][TCP].seq + len(sealed[2])


def test_decrypted(tmp_path) -> None:
    capture = Capture()
    connection = Connection(capture).open()
    wire = b"".join(records())
    connection.send(True, wire[:700], size=90)
    datagram = dgram_sender().seal(b"datagram", now=capture.now)
    for _ in range(2):
        capture.udp(datagram)
    connection.send(True, wire[700:], size=90)
    path = capture.write(tmp_path / "x.pcap")
    opened = list(sniff(offline=str(path), session=NSTSession(KEYBOX)))
    assert [p[NSTPlain].verdict for p in opened] == [Verdict.OK] * 9
    texts = [bytes(p[NSTPlain].payload) for p in opened if TCP in p]
    assert texts == [b"%d" % n * (n * 30 + 1) for n in range(8)]
    session = NSTSession(KEYBOX, verify=False)
    opened = list(sniff(offline=str(path), session=session))
    assert [p[NSTPlain].verdict for p in opened].count(Verdict.REPLAY) == 1


class _Feed:
    """A socket that gives these packets."""

    def __init__(self, packets: list[Packet]) -> None:
        self._packets = iter(packets)

    def recv(self, **_: object) -> Packet | None:
        return next(self._packets, None)


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False), st.booleans())
def test_hostile_packets_raise_nothing(rng: random.Random, opening: bool) -> None:
    capture = Capture(v6=rng.random() < 0.3)
    connection = Connection(capture).open()
    for record in records(4):
        connection.send(True, record, size=70)
        connection.segment(False)
    capture.udp(dgram_sender().seal(b"x", now=capture.now))
    packets: list[Packet] = [TCP(dport=48879) / Raw(b"no network layer"), TCP(sport=48879)]
    for packet in capture.packets:
        wire = bytearray(bytes(packet))
        if rng.random() < 0.3:
            wire[rng.randrange(12, len(wire))] = rng.randrange(256)
        if rng.random() > 0.1:
            packets.append(Ether(bytes(wire)))
    feed = _Feed(packets)
    session = NSTSession(KEYBOX if opening else None, verify=False)
    for _ in packets:
        for found in session.recv(feed):
            assert found.summary()
            assert bytes(found)


def test_sockets_of_scapy() -> None:
    mine, theirs = socket.socketpair()
    with mine, theirs:
        mine.sendall(b"".join(records(3)))
        stream = StreamSocket(theirs, NST)
        packets = stream.sniff(count=1, timeout=5)
        assert [layer.counter for layer in packets[0].iterpayloads()] == [0, 1, 2]
