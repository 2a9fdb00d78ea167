# SPDX-License-Identifier: GPL-2.0-or-later
"""NST over networks that are not loopback: routed, narrow, lossy, reordering, duplicating."""

from __future__ import annotations

import errno
import hashlib
import os
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nst_scapy.kernel import NSTKernelSocket
from tests.in_guest.counters import Counted
from tests.in_guest.namespaces import LEFT, LEFT4, LEFT6, RIGHT, RIGHT4, RIGHT6, Network, inside
from tests.in_guest.sockets import fails_with, recv_all

IP_MTU_DISCOVER, IP_PMTUDISC_DO, IP_MTU = 10, 2, 14
PATIENCE_S = 60.0
FAMILIES = [
    pytest.param(socket.AF_INET, id="ipv4"),
    pytest.param(socket.AF_INET6, id="ipv6"),
]


@pytest.fixture(scope="module")
def network(keybox_text: bytes) -> Iterator[Network]:
    """The namespaces, made once."""
    made = Network(keybox_text)
    yield made
    made.close()


@pytest.fixture
def clean(network: Network) -> Iterator[Network]:
    """The namespaces, as they were made."""
    yield network
    for name in (LEFT, RIGHT):
        network.mtu(1500, name)
    network.flush_routes()


@pytest.fixture
def impaired(clean: Network) -> Iterator[Network]:
    """The namespaces; the router behaves again in the end."""
    yield clean
    clean.repair()


def addresses(family: socket.AddressFamily) -> tuple[str, str]:
    """Of the left end and of the right end."""
    return (LEFT4, RIGHT4) if family == socket.AF_INET else (LEFT6, RIGHT6)


@contextmanager
def streams(family: socket.AddressFamily) -> Iterator[tuple[NSTKernelSocket, NSTKernelSocket]]:
    """A connection from left to right."""
    left, right = addresses(family)
    with inside(RIGHT):
        server = NSTKernelSocket(family)
    with inside(LEFT):
        initiator = NSTKernelSocket(family)
    with server, initiator:
        server.settimeout(PATIENCE_S)
        initiator.settimeout(PATIENCE_S)
        server.bind((right, 0))
        server.listen()
        initiator.connect(server.getsockname())
        acceptor, peer = server.accept()
        acceptor.settimeout(PATIENCE_S)
        with acceptor:
            assert peer[0] == left
            yield initiator, acceptor


@contextmanager
def datagrams(family: socket.AddressFamily) -> Iterator[tuple[NSTKernelSocket, NSTKernelSocket]]:
    """A socket on the left, connected to one on the right."""
    left, right = addresses(family)
    with inside(RIGHT):
        receiver = NSTKernelSocket(family, socket.SOCK_DGRAM)
    with inside(LEFT):
        sender = NSTKernelSocket(family, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.settimeout(PATIENCE_S)
        receiver.bind((right, 0))
        sender.bind((left, 0))
        sender.connect(receiver.getsockname())
        yield sender, receiver


def carry(sender: NSTKernelSocket, receiver: NSTKernelSocket, size: int) -> None:
    """Send so many octets and their end, and compare what comes."""
    data = os.urandom(size)

    def send() -> None:
        sender.sendall(data)
        sender.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        got = recv_all(receiver)
    finally:
        thread.join()
    assert hashlib.sha256(got).digest() == hashlib.sha256(data).digest()


def shower(
    sender: NSTKernelSocket, receiver: NSTKernelSocket, sent: list[bytes], pause_s: float
) -> list[bytes]:
    """Send all of them; return what comes, until nothing has for a while."""

    def send() -> None:
        for data in sent:
            sender.send(data)
            time.sleep(pause_s)

    thread = threading.Thread(target=send)
    thread.start()
    receiver.settimeout(3.0)
    found = []
    try:
        while True:
            found.append(receiver.recv(65536))
    except TimeoutError:
        return found
    finally:
        thread.join()


@pytest.mark.parametrize("family", FAMILIES)
def test_routed(clean: Network, family: socket.AddressFamily) -> None:
    with streams(family) as (initiator, acceptor):
        carry(initiator, acceptor, 300_000)
        carry(acceptor, initiator, 300_000)
    with datagrams(family) as (sender, receiver):
        for size in (0, 1, 1000, 60_000):
            sender.send(bytes(size))
            data, source = receiver.recvfrom(65536)
            assert (data, source[:2]) == (bytes(size), sender.getsockname()[:2])


@pytest.mark.parametrize("family", FAMILIES)
def test_mtu_changes_under_a_stream(clean: Network, family: socket.AddressFamily) -> None:
    """Path MTU discovery shrinks segments; records do not notice."""
    with streams(family) as (initiator, acceptor):
        for octets in (1500, 1280, 1400):
            clean.mtu(octets)
            data = os.urandom(100_000)
            thread = threading.Thread(target=initiator.sendall, args=(data,))
            thread.start()
            got = bytearray()
            while len(got) < len(data):
                got += acceptor.recv(65536)
            thread.join()
            assert got == data
        carry(initiator, acceptor, 10_000)


def test_datagrams_are_told_the_path_mtu(clean: Network) -> None:
    """With fragments forbidden, EMSGSIZE comes for what does not fit, sealed."""
    clean.mtu(1280)
    with datagrams(socket.AF_INET) as (sender, receiver):
        sender.setsockopt(socket.IPPROTO_IP, IP_MTU_DISCOVER, IP_PMTUDISC_DO)
        fits = 1280 - 20 - 8 - 48
        sender.send(bytes(fits + 1))  # fits our cable; the router says no
        end = time.monotonic() + PATIENCE_S
        while sender.getsockopt(socket.IPPROTO_IP, IP_MTU) != 1280 and time.monotonic() < end:
            time.sleep(0.05)
        with fails_with(errno.EMSGSIZE):
            sender.send(bytes(fits + 1))
        # As with UDP, the router's word stays for the next call that asks.
        assert sender.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.EMSGSIZE
        sender.send(bytes(fits))
        assert receiver.recv(65536) == bytes(fits)


@pytest.mark.parametrize("family", FAMILIES)
def test_fragments(impaired: Network, family: socket.AddressFamily) -> None:
    """Datagrams in pieces, the pieces out of order: none is torn, none comes twice."""
    impaired.mtu(1280)
    impaired.impair(delay=20_000, jitter=10_000, limit=5000)
    with datagrams(family) as (sender, receiver), inside(RIGHT):
        counted = Counted()
        sent = [bytes([place]) * 20_000 for place in range(20)]
        assert sorted(shower(sender, receiver, sent, 0.05)) == sent
        assert counted.so_far() == {"dgram.OK": 20}


@pytest.mark.parametrize("family", FAMILIES)
def test_lossy_stream(impaired: Network, family: socket.AddressFamily) -> None:
    """Loss, reordering and duplication are TCP's to mend: records come whole, in order."""
    impaired.impair(delay=3_000, jitter=2_000, loss=2, duplicate=5, limit=5000)
    with inside(RIGHT):
        counted = Counted()
        with streams(family) as (initiator, acceptor):
            carry(initiator, acceptor, 150_000)
            carry(acceptor, initiator, 150_000)
        assert set(counted.so_far()) == {"stream.OK"}


@pytest.mark.parametrize("family", FAMILIES)
def test_duplicated_datagrams_come_once(impaired: Network, family: socket.AddressFamily) -> None:
    impaired.impair(duplicate=50, limit=5000)
    with datagrams(family) as (sender, receiver), inside(RIGHT):
        counted = Counted()
        sent = [b"%d" % number for number in range(200)]
        assert shower(sender, receiver, sent, 0.002) == sent
        found = counted.so_far()
    assert found["dgram.OK"] == 200
    assert 50 < found["dgram.REPLAY"] < 150
    assert set(found) == {"dgram.OK", "dgram.REPLAY"}


@pytest.mark.parametrize("family", FAMILIES)
def test_reordered_and_lost_datagrams(impaired: Network, family: socket.AddressFamily) -> None:
    """Whatever comes within the window is accepted, once, in whatever order."""
    impaired.impair(delay=20_000, jitter=20_000, loss=10, limit=5000)
    with datagrams(family) as (sender, receiver), inside(RIGHT):
        counted = Counted()
        sent = [b"%03d" % number for number in range(300)]
        got = shower(sender, receiver, sent, 0.001)
        found = counted.so_far()
    assert len(set(got)) == len(got)
    assert set(got) < set(sent)
    assert len(got) > 200
    assert got != sorted(got)
    assert found == {"dgram.OK": len(got)}


def test_corrupted_packets_never_show(impaired: Network) -> None:
    """Checksums catch a flipped bit; what they would let through, the token catches."""
    impaired.impair(prob_corrupt=20, limit=5000)
    with datagrams(socket.AF_INET) as (sender, receiver):
        sent = [b"%03d" % number * 50 for number in range(100)]
        got = shower(sender, receiver, sent, 0.002)
    assert set(got) < set(sent)
    assert len(got) > 50
