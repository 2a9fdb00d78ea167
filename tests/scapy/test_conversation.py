# SPDX-License-Identifier: GPL-2.0-or-later
"""Whole conversations sealed and opened again."""

from __future__ import annotations

import random

import pytest
from captures import KEYBOX, Capture, Connection
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Packet, Raw
from scapy.plist import PacketList
from scapy.utils import rdpcap, wrpcap

from nst_scapy.association import NSTAssociation
from nst_scapy.header import Flags
from nst_scapy.layer import NST, NSTPlain
from nst_scapy.observer import Observer, observe_frames
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import UNVERIFIED, Verdict


def conversation(*, v6: bool = False, port: int = 40000, turns: int = 4) -> list[Packet]:
    """A plain TCP conversation, opened and closed."""
    capture = Capture(v6=v6)
    connection = Connection(capture, client_port=port, isns=(0xFFFFFF00, 5)).open()
    for n in range(turns):
        connection.send(True, b"question %d " % n * 30, size=100)
        connection.send(False, b"answer %d " % n * 300)
    connection.fin(True)
    connection.fin(False)
    return capture.packets


def stream(suite: SuiteId = SuiteId.AES_GCM) -> NSTAssociation:
    return NSTAssociation(KEYBOX, suite, transport="stream", rng=random.Random(3))


def said(packets: list[Packet], port: int, side: str) -> bytes:
    """The TCP payload of one side, in order of sequence numbers, each byte once."""
    segments = [p[TCP] for p in packets if TCP in p and getattr(p[TCP], side) == port]
    base = next(t.seq + 1 for t in segments if t.flags.S)
    pieces: dict[int, bytes] = {}
    for tcp in segments:
        if Raw in tcp or NST in tcp:
            pieces.setdefault((tcp.seq - base) & 0xFFFFFFFF, bytes(tcp.payload))
    whole = b""
    for offset in sorted(pieces):
        assert offset <= len(whole)
        whole = whole[:offset] + pieces[offset] + whole[offset + len(pieces[offset]) :]
    return whole


def opened_text(packets: PacketList, port: int, side: str) -> bytes:
    """The plaintext of one side."""
    return b"".join(bytes(p[NSTPlain].payload) for p in packets if getattr(p[TCP], side) == port)


@pytest.mark.parametrize("v6", [False, True], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("suite", SuiteId)
def test_sealed_and_opened(suite: SuiteId, v6: bool) -> None:
    plain = conversation(v6=v6)
    wire = [bytes(p) for p in plain]
    sealed = stream(suite).encrypt(plain)
    assert [bytes(p) for p in plain] == wire
    assert [p.time for p in sealed] == [p.time for p in plain]
    opened = NSTAssociation(KEYBOX).decrypt(sealed, verify=False)
    assert {p[NSTPlain].verdict for p in opened} == {Verdict.OK}
    for side in "sport", "dport":
        assert opened_text(opened, 40000, side) == said(plain, 40000, side)
    flags = [int(p[NSTPlain].flags) for p in opened]
    assert flags.count(Flags.REPLY | Flags.BOUND) == 1
    assert [f & Flags.CLOSE for f in flags[-2:]] == [Flags.CLOSE] * 2


def test_sequence_numbers_fit() -> None:
    """Each segment follows the one before, and acknowledges what was sent by then."""
    following: dict[int, int] = {}
    for pkt in stream().encrypt(conversation()):
        tcp = Ether(bytes(pkt))[TCP]  # as built: nothing is left to be computed
        assert tcp.seq == following.get(tcp.sport, tcp.seq)
        if tcp.flags.A:
            assert tcp.ack == following[tcp.dport]
        length = len(tcp.payload) + tcp.flags.S + tcp.flags.F
        following[tcp.sport] = (tcp.seq + length) & 0xFFFFFFFF


def test_decrypted_sequence_numbers_count_plaintext() -> None:
    following: dict[int, int] = {}
    for pkt in NSTAssociation(KEYBOX).decrypt(stream().encrypt(conversation())):
        tcp = pkt[TCP]
        assert tcp.seq == following.get(tcp.sport, tcp.seq)
        assert tcp.ack == following.get(tcp.dport, tcp.ack)
        following[tcp.sport] = (tcp.seq + len(pkt[NSTPlain].payload)) & 0xFFFFFFFF


@settings(max_examples=12, deadline=None)
@given(st.randoms(use_true_random=False))
def test_several_conversations_out_of_order_and_retransmitted(rng: random.Random) -> None:
    talks = [conversation(port=1000), conversation(port=1001, v6=True)]
    plain = [p for turn in zip(*talks, strict=True) for p in turn]
    link = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
    network = IP(src="192.0.2.1", dst="192.0.2.2")
    datagram = link / network / UDP(sport=3, dport=48879) / Raw(b"datagram")
    datagram.time = plain[9].time
    plain.insert(9, datagram)
    order = {id(p): n for n, p in enumerate(plain)}
    # Handshakes stay; a few segments come late or twice, as networks do.
    late = sorted(plain, key=lambda p: order[id(p)] + (order[id(p)] > 12) * rng.uniform(0, 5))
    copies = rng.sample(range(8, len(late)), 6)
    mixed = [q for n, p in enumerate(late) for q in ([p, p.copy()] if n in copies else [p])]
    start = plain[0].time
    for n, pkt in enumerate(mixed):
        pkt.time = start + n
    sealed = NSTAssociation(KEYBOX).encrypt(stream().encrypt(mixed))
    opened = NSTAssociation(KEYBOX).decrypt(sealed, verify=False)
    assert {p[NSTPlain].verdict for p in opened} <= {Verdict.OK, Verdict.REPLAY}
    assert [p for p in opened if p[NSTPlain].verdict == Verdict.REPLAY and TCP in p] == []
    streams = PacketList([p for p in opened if TCP in p])
    for port, talk in zip((1000, 1001), talks, strict=True):
        for side in "sport", "dport":
            assert opened_text(streams, port, side) == said(talk, port, side)
    assert b"datagram" in [bytes(p[NSTPlain].payload) for p in opened if UDP in p]


def test_missing_segments_stay_missing() -> None:
    plain = conversation()
    del plain[4]
    opened = NSTAssociation(KEYBOX).decrypt(stream().encrypt(plain), verify=False)
    verdicts = [p[NSTPlain].verdict for p in opened]
    assert set(verdicts) == {Verdict.OK, UNVERIFIED}
    assert verdicts.count(UNVERIFIED) == 1


def test_overlapping_retransmission() -> None:
    capture = Capture()
    connection = Connection(capture).open()
    connection.send(True, b"a" * 100)
    connection.segment(True, b"a" * 40 + b"b" * 60, "PA", back=40)
    connection.advance(True, 60)
    opened = NSTAssociation(KEYBOX).decrypt(stream().encrypt(capture.packets))
    assert opened_text(opened, 40000, "sport") == b"a" * 100 + b"b" * 60


def test_a_capture_by_way_of_a_file(tmp_path) -> None:
    sealed = stream().encrypt(conversation())
    wrpcap(str(tmp_path / "x.pcap"), sealed, nano=True)
    frames = rdpcap(str(tmp_path / "x.pcap"))
    opened = NSTAssociation(KEYBOX).decrypt(frames)
    assert len(opened) == 26
    assert (opened[0].time, opened[0][Ether].src) == (sealed[3].time, sealed[3][Ether].src)


@pytest.mark.parametrize("network", [IP, IPv6])
def test_datagrams_have_an_epoch_for_each_socket(network: type[Packet]) -> None:
    packets = [network() / UDP(sport=n % 2 + 1, dport=48879) / Raw(b"%d" % n) for n in range(6)]
    sealed = NSTAssociation(KEYBOX).encrypt(packets)
    assert [p[NST].counter for p in sealed] == [0, 0, 1, 1, 2, 2]
    assert len({p[NST].session_id for p in sealed}) == 2
    opened = NSTAssociation(KEYBOX).decrypt(sealed)
    assert [bytes(p[NSTPlain].payload) for p in opened] == [b"%d" % n for n in range(6)]


def test_a_fragmented_datagram() -> None:
    sealed = NSTAssociation(KEYBOX).encrypt(
        [IP(dst="192.0.2.1") / UDP(sport=1, dport=48879) / Raw(b"x" * 3000)]
    )
    (opened,) = NSTAssociation(KEYBOX).decrypt(fragment(IP(bytes(sealed[0])), 1000))
    assert (opened[IP].dst, opened[UDP].sport) == ("192.0.2.1", 1)
    assert bytes(opened[NSTPlain].payload) == b"x" * 3000


def test_what_is_not_to_be_sealed() -> None:
    other = IP() / TCP(sport=1, dport=80) / Raw(b"GET /")
    with pytest.raises(ValueError, match="no TCP packet to or from port 48879"):
        stream().encrypt([other])
    (sealed,) = stream().encrypt([other], ports=[80])
    assert NST in sealed
    kept, _ = stream().encrypt([other, IP() / TCP(dport=48879) / Raw(b"x")])
    assert bytes(kept) == bytes(other)
    (opened,) = NSTAssociation(KEYBOX).decrypt([sealed], ports=[80], verify=False)
    assert bytes(opened[NSTPlain].payload) == b"GET /"
    itself = IP(src="192.0.2.1", dst="192.0.2.1") / TCP(sport=48879, dport=48879) / Raw(b"x")
    with pytest.raises(ValueError, match="packet 0 is from a socket to itself"):
        stream().encrypt([itself])


@settings(max_examples=20, deadline=None)
@given(
    st.lists(st.binary(min_size=14, max_size=120), max_size=4), st.randoms(use_true_random=False)
)
def test_hostile_captures_raise_nothing(junk: list[bytes], rng: random.Random) -> None:
    packets: list[Packet] = []
    for pkt in stream().encrypt(conversation(turns=1)):
        wire = bytearray(bytes(pkt))
        if rng.random() < 0.3:
            wire[rng.randrange(len(wire))] = rng.randrange(256)
        packets.append(Ether(bytes(wire[: rng.randrange(14, 2000)])))
    packets += map(Ether, junk)
    for opened in NSTAssociation(KEYBOX).decrypt(packets, verify=False):
        assert opened[NSTPlain].verdict in {UNVERIFIED, *Verdict}
        assert opened[NSTPlain].summary()


def test_judged_as_by_an_observer() -> None:
    capture = Capture()
    capture.packets = list(stream().encrypt(conversation()))
    seen = list(observe_frames(capture.frames(), Observer(KEYBOX)))
    opened = NSTAssociation(KEYBOX).decrypt(capture.packets, verify=False)
    assert [bytes(p[NSTPlain].payload) for p in opened] == [o.plaintext for o in seen]


def test_segments_captured_before_segmentation() -> None:
    capture = Capture()
    connection = Connection(capture).open()
    connection.send(True, bytes(65400), size=65400)
    connection.send(True, b"after")
    connection.fin(True)
    sealed = stream().encrypt(capture.packets)
    assert all(len(bytes(p)) <= 65535 + 14 for p in sealed)
    opened = NSTAssociation(KEYBOX).decrypt(sealed)
    assert opened_text(opened, 40000, "sport") == bytes(65400) + b"after"
    # 4 records and two segments, where there was one segment; as many packets else.
    assert len(sealed) == len(capture.packets) + 1
    datagram = IP() / UDP(sport=1, dport=48879) / Raw(bytes(65450))
    with pytest.raises(ValueError, match="packet 0 is too long"):
        NSTAssociation(KEYBOX).encrypt([datagram])
