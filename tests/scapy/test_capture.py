# SPDX-License-Identifier: GPL-2.0-or-later
"""Capture files and packet headers: against Scapy's writers, and damaged."""

from __future__ import annotations

import io
import struct

import pytest
from captures import T0, Capture, Connection, dgram_sender, pcap_bytes, verdicts
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import (
    IPv6,
    IPv6ExtHdrDestOpt,
    IPv6ExtHdrHopByHop,
    IPv6ExtHdrRouting,
    PadN,
)
from scapy.layers.ipsec import AH
from scapy.layers.l2 import CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Ether, Loopback
from scapy.packet import Raw

from nst_scapy.capture import CaptureError, Frame, read_frames
from nst_scapy.inet import Datagram, Parser, Segment
from nst_scapy.observer import Observer, observe_frames


def read(data: bytes) -> list[Frame]:
    return list(read_frames(io.BytesIO(data), "x.pcap"))


def block(kind: int, body: bytes, endian: str = "<") -> bytes:
    body += bytes(-len(body) % 4)
    length = struct.pack(endian + "I", len(body) + 12)
    return struct.pack(endian + "I", kind) + length + body + length


def section(endian: str = "<") -> bytes:
    return block(0x0A0D0D0A, struct.pack(endian + "IHHq", 0x1A2B3C4D, 1, 0, -1), endian)


def interface(
    linktype: int = 1, options: bytes = b"", endian: str = "<", snaplen: int = 0
) -> bytes:
    return block(1, struct.pack(endian + "HHI", linktype, 0, snaplen) + options, endian)


def packet(ticks: int, data: bytes, index: int = 0, endian: str = "<") -> bytes:
    head = struct.pack(
        endian + "5I", index, ticks >> 32, ticks & 0xFFFFFFFF, len(data), len(data) + 1
    )
    return block(6, head + data, endian)


def test_nanoseconds_are_kept(tmp_path):
    capture = Capture()
    for n in range(3):
        capture.udp(b"x" * n)
    written = capture.write(tmp_path / "x.pcap").read_bytes()
    assert read(written) == capture.frames()


def test_pcapng_as_scapy_writes_it(tmp_path):
    capture = Capture()
    capture.udp(b"x")
    (frame,) = read(capture.write(tmp_path / "x.pcapng").read_bytes())
    assert frame == capture.frames()[0]._replace(time=T0 // 1000 * 1000)


@pytest.mark.parametrize("endian", "<>")
def test_either_byte_order(endian):
    frames = [Frame(1, 5_000_000_000, 1, b"abc", 60), Frame(2, 6_000_001_000, 1, b"", 0)]
    assert read(pcap_bytes(frames, endian)) == frames
    data = section(endian) + interface(endian=endian) + packet(7, b"abcde", endian=endian)
    assert read(data) == [Frame(1, 7000, 1, b"abcde", 6)]


def test_a_frame_of_more_than_65535_bytes():
    frame = Frame(1, 0, 1, bytes(65549), 65549)
    assert read(pcap_bytes([frame])) == [frame]


def test_interfaces_of_their_own_clocks_and_link_types():
    nano = struct.pack("<HHB3x", 9, 1, 9)
    binary = struct.pack("<HHB3x", 9, 1, 0x80 | 30) + struct.pack("<HHq", 14, 8, 100)
    comment = struct.pack("<HH3sx", 1, 3, b"abc")
    data = section() + interface(1) + interface(101, comment + nano) + interface(113, binary)
    data += block(5, bytes(20))  # statistics
    data += packet(2**40 + 1, b"a", 1) + packet(3 << 29, b"b", 2) + packet(1, b"c", 0)
    data += section(">") + interface(276, endian=">") + packet(9, b"d", endian=">")
    assert read(data) == [
        Frame(1, 2**40 + 1, 101, b"a", 2),
        Frame(2, 101_500_000_000, 113, b"b", 2),
        Frame(3, 1000, 1, b"c", 2),
        Frame(4, 9000, 276, b"d", 2),
    ]


def test_simple_and_obsolete_packets():
    data = section() + interface(snaplen=2) + block(3, struct.pack("<I", 3) + b"ab")
    data += block(2, struct.pack("<HH4I", 0, 0, 0, 5, 1, 1) + b"z")
    assert read(data) == [Frame(1, None, 1, b"ab", 3), Frame(2, 5000, 1, b"z", 1)]


def test_a_packet_without_a_time_is_passed_over():
    capture = Capture()
    capture.udp(b"x")
    observer = Observer()
    frames = [capture.frames()[0]._replace(time=None)]
    assert list(observe_frames(frames, observer)) == []
    assert observer.skipped == {"packets without a time of capture": 1}


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xd4",
        b"not a capture",
        pcap_bytes([])[:20],
        pcap_bytes([Frame(1, 0, 1, b"abc", 3)])[:-1],
        pcap_bytes([Frame(1, 0, 1, b"abc", 3)])[:30],
        pcap_bytes([]) + struct.pack("<4I", 0, 0, 1 << 30, 0),
        section()[:-1],
        section()[:9],
        section() + b"\0",
        section() + struct.pack("<II", 6, 13),
        section() + struct.pack("<II", 6, 1 << 31),
        section() + packet(1, b"a"),
        section() + interface() + block(6, b"abc"),
        section() + interface() + block(6, struct.pack("<5I", 0, 0, 0, 100, 100)),
        section() + block(1, b""),
        b"\x0a\x0d\x0d\x0a" + bytes(24),
    ],
)
def test_damage_is_an_error_that_names_the_file(data):
    with pytest.raises(CaptureError, match=r"^x\.pcap: [^\n]+$"):
        read(data)


def test_frames_before_the_damage_are_decoded():
    capture = Capture()
    capture.udp(dgram_sender().seal(b"x", now=capture.now))
    damaged = pcap_bytes(capture.frames()) + b"\0"
    frames = read_frames(io.BytesIO(damaged), "x.pcap")
    assert next(frames).number == 1
    with pytest.raises(CaptureError, match="frame 2"):
        next(frames)


@settings(deadline=None)
@given(st.binary(max_size=200), st.sampled_from([pcap_bytes([]), section() + interface(), b""]))
def test_junk_is_read_or_refused(junk, start):
    try:
        for frame in read_frames(io.BytesIO(start + junk), "x"):
            Parser().parse(frame)
    except CaptureError:
        pass


def ether(**kwargs: int) -> Ether:
    """Addresses given: Scapy would ask the network for them."""
    return Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02", **kwargs)


ETHER = ether()
UDP_PACKET = UDP(sport=1, dport=48879) / Raw(b"payload")
V4 = IP(src="192.0.2.1", dst="192.0.2.2")
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2")


@pytest.mark.parametrize(
    ("linktype", "frame"),
    [
        (1, ETHER / V4 / UDP_PACKET),
        (1, ETHER / V4 / UDP_PACKET / Raw(b"") / b""),
        (1, ETHER / Dot1Q(vlan=5) / V4 / UDP_PACKET),
        (1, ether(type=0x88A8) / Dot1AD(vlan=5) / Dot1Q(vlan=6) / V6 / UDP_PACKET),
        (1, ETHER / IP(src="192.0.2.1", dst="192.0.2.2", options=b"\1\1\1\0") / UDP_PACKET),
        (1, ETHER / V6 / IPv6ExtHdrHopByHop(options=[PadN(optdata=b"\0" * 12)]) / UDP_PACKET),
        (1, ETHER / V6 / IPv6ExtHdrDestOpt() / IPv6ExtHdrRouting() / UDP_PACKET),
        (1, ETHER / V6 / AH(icv=bytes(12), nh=17, payloadlen=4) / UDP_PACKET),
        (101, V4 / UDP_PACKET),
        (101, V6 / UDP_PACKET),
        (228, V4 / UDP_PACKET),
        (229, V6 / UDP_PACKET),
        (113, CookedLinux() / V4 / UDP_PACKET),
        (113, CookedLinux(proto=0x8100) / Dot1Q(type=0x86DD) / V6 / UDP_PACKET),
        (276, CookedLinuxV2(proto=0x800) / V4 / UDP_PACKET),
        (276, CookedLinuxV2(proto=0x8100) / Dot1Q(type=0x800) / V4 / UDP_PACKET),
        (0, Loopback(type=2) / V4 / UDP_PACKET),
        (108, Loopback(type=24) / V6 / UDP_PACKET),
    ],
    ids=lambda value: value.summary().split(" / Raw")[0] if hasattr(value, "summary") else None,
)
def test_link_and_network_layers(linktype, frame):
    data = bytes(frame)
    for trailer in b"", b"\0" * 10:
        parser = Parser()
        parsed = parser.parse(Frame(1, 0, linktype, data + trailer, len(data) + len(trailer)))
        assert isinstance(parsed, Datagram)
        assert (parsed.data, parsed.length) == (b"payload", 7)
        assert parsed.src.port == 1
        assert str(parsed.dst) in {"192.0.2.2:48879", "[2001:db8::2]:48879"}
        assert not parser.skipped


def test_lengths_over_65535_from_before_segmentation_offload():
    data = b"x" * 70000
    for network in IP(len=0), IPv6(plen=0):
        raw = bytes(ETHER / network / TCP(dport=48879)) + data
        parsed = Parser().parse(Frame(1, 0, 1, raw, len(raw)))
        assert isinstance(parsed, Segment)
        assert (parsed.data, parsed.length) == (data, len(data))


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (ETHER / IP(len=10000) / UDP_PACKET, "with a malformed IP header"),
        (ETHER / IP(len=19) / UDP_PACKET, "with a malformed IP header"),
        (ETHER / V4 / UDP(len=7), "with a malformed UDP header"),
        (ETHER / V4 / UDP(len=100), "with a malformed UDP header"),
        (ETHER / V4 / TCP(dataofs=4), "with a malformed TCP header"),
        (ETHER / V4 / TCP(dataofs=15), "with a malformed TCP header"),
        (ETHER / V6 / IPv6ExtHdrHopByHop(len=255) / UDP_PACKET, None),
        (ether(type=0x800), "cut off within their headers"),
    ],
)
def test_malformed_packets_are_counted(frame, reason):
    parser = Parser()
    raw = bytes(frame)
    assert parser.parse(Frame(1, 0, 1, raw, len(raw))) is None
    assert reason is None or parser.skipped == {reason: 1}


def test_fragments_that_overlap_or_never_end():
    parser = Parser()
    whole = bytes(UDP(sport=1, dport=48879, len=32) / Raw(b"y" * 24))

    def fragment(offset: int, data: bytes, more: int = 1, ident: int = 1) -> Datagram | None:
        raw = bytes(ETHER / IP(id=ident, flags=more, frag=offset // 8, proto=17) / Raw(data))
        parsed = parser.parse(Frame(1, 0, 1, raw, len(raw)))
        assert parsed is None or isinstance(parsed, Datagram)
        return parsed

    assert fragment(8, whole[8:], 0) is None
    assert fragment(0, whole[:16]) is None  # bytes 8 to 15 twice
    assert parser.incomplete == 1
    assert fragment(16, whole[16:], 0, 2) is None
    assert fragment(0, whole[:8], 1, 2) is None
    parsed = fragment(8, whole[8:16], 1, 2)
    assert parsed is not None
    assert parsed.data == b"y" * 24
    for ident in range(1000):
        fragment(0, bytes(8), ident=ident)
    assert parser.incomplete == 1001


def test_vlan_conversation():
    capture = Capture(link=ETHER / Dot1Q(vlan=7))
    connection = Connection(capture).open()
    connection.fin(True)
    assert verdicts(capture.observe()) == ["TRUNCATED"]
