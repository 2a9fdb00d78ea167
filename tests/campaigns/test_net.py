# SPDX-License-Identifier: GPL-2.0-or-later
"""The host in user space, checked against Scapy's idea of every layer."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, defragment
from scapy.layers.inet6 import (
    ICMPv6ND_NA,
    ICMPv6ND_NS,
    ICMPv6NDOptDstLLAddr,
    ICMPv6NDOptSrcLLAddr,
    IPv6,
    defragment6,
)
from scapy.layers.l2 import ARP, Ether

from fuzz.net import ip
from fuzz.net.connection import Connection, Refused
from fuzz.net.dialler import Dialler
from fuzz.net.ethernet import Station
from fuzz.net.host import Host
from fuzz.net.link import FrameLink
from fuzz.net.tcp import MSS, Segment, TcpFlag

OWN = Station.of("02:00:00:00:00:01", "10.0.0.1", "fd00::1")
PEER = Station.of("02:00:00:00:00:02", "10.0.0.2", "fd00::2")


class Datagrams:
    """A link for tests: a socket whose datagrams are frames."""

    def __init__(self, own: socket.socket) -> None:
        self._own = own

    def send(self, frames: Iterable[bytes]) -> None:
        for frame in frames:
            self._own.send(frame)

    def receive(self, timeout: float) -> bytes | None:
        self._own.settimeout(max(timeout, 1e-6))
        try:
            return self._own.recv(65536)
        except TimeoutError:
            return None
        finally:
            self._own.settimeout(None)


@pytest.fixture
def link() -> Iterator[tuple[Host, socket.socket]]:
    """A host, and the far end of its link."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    far.settimeout(5)
    with near, far:
        yield Host(Datagrams(near), OWN, PEER), far


def _rebuilt(frame: bytes) -> bytes:
    """The frame as Scapy builds it, with lengths and checksums computed anew."""
    packet = Ether(frame)
    for layer in (IP, IPv6, UDP, TCP):
        if layer in packet:
            for name in ("len", "plen", "chksum"):
                if name in packet[layer].default_fields:
                    delattr(packet[layer], name)
    return bytes(packet)


@given(st.binary(max_size=200))
def test_checksum_agrees_with_scapy(data: bytes) -> None:
    from scapy.utils import checksum

    assert ip.checksum(data) == checksum(data)


@pytest.mark.parametrize("family", [4, 6])
def test_datagram_in_one_frame(link: tuple[Host, socket.socket], family: int) -> None:
    host, _ = link
    (frame,) = host.datagram(b"payload", source_port=1, destination_port=48879, family=family)
    assert _rebuilt(frame) == frame
    packet = Ether(frame)
    assert bytes(packet[UDP].payload) == b"payload"
    assert (packet[UDP].sport, packet[UDP].dport) == (1, 48879)


@settings(deadline=None, max_examples=20)
@given(st.integers(1300, 65455), st.sampled_from([4, 6]))
def test_long_datagrams_come_in_fragments(length: int, family: int) -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    payload = bytes(i * 7 & 0xFF for i in range(length))
    with near, far:
        host = Host(Datagrams(near), OWN, PEER)
        frames = host.datagram(payload, source_port=1, destination_port=2, family=family)
    assert all(len(frame) <= 14 + 1500 for frame in frames)
    assert (len(frames) > 1) == (length > 1500 - (20 if family == 4 else 40) - 8)
    packets = [Ether(frame).payload for frame in frames]
    if len(packets) == 1:
        (whole,) = packets
    elif family == 4:
        (whole,) = defragment(packets)
    else:
        whole = IPv6(bytes(defragment6(packets)))
    whole = whole.__class__(bytes(whole))
    assert bytes(whole[UDP].payload)[:length] == payload


def test_arp_is_answered(link: tuple[Host, socket.socket]) -> None:
    host, far = link
    ask = Ether(src="02:00:00:00:00:02", dst="ff:ff:ff:ff:ff:ff") / ARP(
        hwsrc="02:00:00:00:00:02", psrc="10.0.0.2", pdst="10.0.0.1"
    )
    far.send(bytes(ask))
    assert host.poll(1)
    answer = Ether(far.recv(2000))
    assert answer[ARP].op == 2
    assert (answer[ARP].hwsrc, answer[ARP].psrc) == ("02:00:00:00:00:01", "10.0.0.1")
    assert answer[ARP].pdst == "10.0.0.2"


def test_arp_for_others_is_not_answered(link: tuple[Host, socket.socket]) -> None:
    host, far = link
    far.send(bytes(Ether(dst="ff:ff:ff:ff:ff:ff") / ARP(psrc="10.0.0.2", pdst="10.0.0.9")))
    assert host.poll(1)
    far.setblocking(False)
    with pytest.raises(BlockingIOError):
        far.recv(2000)


def test_neighbour_solicitation_is_answered(link: tuple[Host, socket.socket]) -> None:
    host, far = link
    ask = (
        Ether(src="02:00:00:00:00:02", dst="33:33:ff:00:00:01")
        / IPv6(src="fd00::2", dst="ff02::1:ff00:1", hlim=255)
        / ICMPv6ND_NS(tgt="fd00::1")
        / ICMPv6NDOptSrcLLAddr(lladdr="02:00:00:00:00:02")
    )
    far.send(bytes(ask))
    assert host.poll(1)
    frame = far.recv(2000)
    answer = Ether(frame)
    assert answer[IPv6].hlim == 255
    assert answer[ICMPv6ND_NA].tgt == "fd00::1"
    assert answer[ICMPv6NDOptDstLLAddr].lladdr == "02:00:00:00:00:01"
    check = answer[ICMPv6ND_NA].cksum
    del answer[ICMPv6ND_NA].cksum
    assert Ether(bytes(answer))[ICMPv6ND_NA].cksum == check


def test_datagrams_are_queued(link: tuple[Host, socket.socket]) -> None:
    host, far = link
    sent = (
        Ether(dst="02:00:00:00:00:01") / IP(src="10.0.0.2", dst="10.0.0.1") / UDP(sport=7, dport=8)
    )
    far.send(bytes(sent / b"hello"))
    assert host.poll(1)
    (datagram,) = host.datagrams
    assert datagram[1:] == (PEER.ipv4, 7, 8, b"hello")


def test_what_is_not_for_us_is_left_alone(link: tuple[Host, socket.socket]) -> None:
    host, far = link
    for frame in (
        b"",
        b"short",
        bytes(Ether() / IP(dst="10.0.0.1") / ICMP()),
        bytes(Ether() / IP(dst="10.0.0.1", len=9999) / UDP()),
        bytes(Ether() / IPv6(dst="fd00::1", plen=9999) / UDP()),
    ):
        far.send(frame)
        assert host.poll(1)
    assert not host.datagrams


@pytest.mark.parametrize("family", [4, 6])
def test_connection(link: tuple[Host, socket.socket], family: int) -> None:
    host, far = link
    connection = Connection(host, own_port=1000, peer_port=48879, family=family, isn=0xFFFFFFFF)
    # The peer's answer waits before it is asked for: the link is a queue.
    peer = Host(Datagrams(far), PEER, OWN)
    answer = Segment(48879, 1000, 500, 0, TcpFlag.SYN | TcpFlag.ACK, 65535)
    peer.transmit([peer.segment(answer, family)])
    host.transmit([connection.syn()])
    connection.established(5)
    syn = Ether(far.recv(2000))
    assert _rebuilt(bytes(syn)) == bytes(syn)
    assert (syn[TCP].flags, syn[TCP].seq) == ("S", 0xFFFFFFFF)
    assert dict(syn[TCP].options)["MSS"] == MSS[family]

    data = Ether(connection.data(b"x" * MSS[family]))
    assert _rebuilt(bytes(data)) == bytes(data)
    assert (data[TCP].seq, data[TCP].ack) == (0, 501)
    assert len(data) <= 1514
    assert Ether(connection.fin())[TCP].seq == MSS[family]

    for segment in (
        Segment(48879, 1000, 501, 0, TcpFlag.ACK, 65535, b"reply"),
        Segment(48879, 1000, 506, 0, TcpFlag.ACK | TcpFlag.FIN, 65535),
    ):
        peer.transmit([peer.segment(segment, family)])
        assert host.poll(1)
    connection.take()
    assert (bytes(connection.received), connection.ended, connection.reset) == (
        b"reply", True, False,
    )  # fmt: skip
    assert Ether(connection.ack())[TCP].ack == 507
    # The peer has acknowledged nothing since its answer, whatever was made meanwhile.
    confirmed = Ether(connection.confirm())[TCP]
    assert (confirmed.seq, confirmed.ack) == (0, 507)


@pytest.mark.parametrize("family", [4, 6])
def test_a_connection_that_the_peer_opens(link: tuple[Host, socket.socket], family: int) -> None:
    host, far = link
    connection = Connection(host, own_port=4000, peer_port=5000, family=family, isn=77)
    # The peer's segments wait before they are asked for: the link is a queue.
    peer = Host(Datagrams(far), PEER, OWN)
    for segment in (
        Segment(5000, 4000, 0xFFFFFFFF, 0, TcpFlag.SYN, 65535),
        Segment(5000, 4000, 0, 78, TcpFlag.ACK, 65535),
        Segment(5000, 4000, 0, 78, TcpFlag.ACK, 65535, b"hello"),
    ):
        peer.transmit([peer.segment(segment, family)])
    connection.answer(5)
    answer = Ether(far.recv(2000))[TCP]
    assert (answer.flags, answer.seq, answer.ack) == ("SA", 77, 0)

    assert connection.begun(3) == b""
    assert host.poll(1)
    assert connection.begun(3) == b"hel"
    # Looking at what came acknowledges nothing.
    data = Ether(connection.data(b"reply"))[TCP]
    assert (data.seq, data.ack) == (78, 0)
    connection.take()
    assert bytes(connection.received) == b"hello"
    assert Ether(connection.ack())[TCP].ack == 5


def test_refused_connection(link: tuple[Host, socket.socket]) -> None:
    host, far = link
    peer = Host(Datagrams(far), PEER, OWN)
    reset = Segment(48879, 1000, 0, 1, TcpFlag.RST | TcpFlag.ACK, 0)
    peer.transmit([peer.segment(reset)])
    with pytest.raises(Refused, match="reset"):
        Connection(host, own_port=1000, peer_port=48879).established(5)
    with pytest.raises(Refused, match="no answer"):
        Connection(host, own_port=1001, peer_port=48879).established(0.01)


def test_unknown_connections_are_reset(link: tuple[Host, socket.socket]) -> None:
    host, far = link
    peer = Host(Datagrams(far), PEER, OWN)
    stray = Segment(48879, 1000, 77, 99, TcpFlag.ACK | TcpFlag.FIN, 65535, b"late")
    peer.transmit([peer.segment(stray)])
    assert host.poll(1)
    answer = Ether(far.recv(2000))
    assert (answer[TCP].flags, answer[TCP].seq, answer[TCP].ack) == ("RA", 99, 77 + 5)


def test_connections_are_begun_ahead(
    link: tuple[Host, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    host, far = link
    peer = Host(Datagrams(far), PEER, OWN)
    dialler = Dialler(host, 48879)

    def answered() -> int:
        syn = Ether(far.recv(2000))[TCP]
        assert (syn.flags, syn.dport) == ("S", 48879)
        answer = Segment(48879, syn.sport, 1, 0, TcpFlag.SYN | TcpFlag.ACK, 65535)
        peer.transmit([peer.segment(answer)])
        return int(syn.sport)

    dialler.prepare(4)
    dialler.prepare(4)
    port = answered()
    far.setblocking(False)
    connection = dialler.connect(4, 5)
    assert Ether(connection.ack())[TCP].sport == port
    with pytest.raises(BlockingIOError):
        far.recv(2000)  # one SYN was enough

    dialler.prepare(4)
    stale = answered()
    monkeypatch.setattr("fuzz.net.dialler._FRESH_SECONDS", -1.0)
    with pytest.raises(Refused):
        dialler.connect(4, 0.01)
    assert answered() != stale


def test_frames_are_taken_apart_however_they_come() -> None:
    near, far = socket.socketpair()
    own, qemu = FrameLink(), FrameLink()
    own.attach(near)
    with far:
        own.send([b"one", b"", b"three" * 1000])
        assert far.recv(1 << 16) == (
            b"\0\0\0\3one" + bytes(4) + (5000).to_bytes(4) + b"three" * 1000
        )
        far.sendall(b"\0\0")
        assert own.receive(0) is None
        far.sendall(b"\0\4four\0\0\0\2t")
        assert own.receive(1) == b"four"
        assert own.receive(0) is None
        far.sendall(b"w\0\0\0\1x\0\0\0\5lost")
    assert [own.receive(1), own.receive(1)] == [b"tw", b"x"]
    for _ in range(2):
        with pytest.raises(ConnectionError):
            own.receive(1)
    with pytest.raises(ConnectionError):
        own.send([b"into the void"])
    with pytest.raises(ConnectionError):
        qemu.receive(1)

    # Another boot: nothing of the last is left.
    near, far = socket.socketpair()
    own.attach(near)
    with far:
        far.sendall(b"\0\0\0\1y")
        assert own.receive(1) == b"y"
    own.close()
