# SPDX-License-Identifier: GPL-2.0-or-later
"""AF_NST datagrams: what an application sees, and what is dropped."""

from __future__ import annotations

import errno
import random
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from nst_scapy.header import Flags, Header
from nst_scapy.kernel import NST_PIN_PERTURB, NST_TX_SUITE, SOL_NST
from nst_scapy.keybox import KeyBox
from nst_scapy.receiver import DgramReceiver, Receiver
from nst_scapy.sender import DgramSender
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict
from tests.in_guest.counters import Counted
from tests.in_guest.sockets import (
    INET,
    INET6,
    Over,
    available_suites,
    fails_with,
    info,
    nst_socket,
    pin_key,
    plain_socket,
    readable,
)

AGE_NS = 10**15


@contextmanager
def bound(over: Over = INET) -> Iterator[socket.socket]:
    """An AF_NST datagram socket on loopback."""
    with nst_socket(socket.SOCK_DGRAM, over) as sock:
        sock.bind((over.loopback, 0))
        yield sock


@contextmanager
def sending() -> Iterator[socket.socket]:
    """A UDP socket."""
    with plain_socket(socket.SOCK_DGRAM) as sock:
        yield sock


@pytest.mark.parametrize("over", [INET, INET6], ids=["ipv4", "ipv6"])
def test_there_and_back(over: Over) -> None:
    with bound(over) as server, nst_socket(socket.SOCK_DGRAM, over) as client:
        client.connect(server.getsockname())
        client.send(b"question")
        data, source = server.recvfrom(100)
        assert (data, source) == (b"question", client.getsockname())
        server.sendto(b"", source)
        assert client.recv(100) == b""


@pytest.mark.parametrize("over", [INET, INET6], ids=["ipv4", "ipv6"])
@pytest.mark.parametrize("suite", [SuiteId.AES_GCM, SuiteId.AES_CBC])
def test_emsgsize(over: Over, suite: SuiteId) -> None:
    largest = {
        (INET, SuiteId.AES_GCM): 65459,
        (INET6, SuiteId.AES_GCM): 65479,
        (INET, SuiteId.AES_CBC): 65455,
        (INET6, SuiteId.AES_CBC): 65471,
    }[over, suite]
    with bound(over) as server, nst_socket(socket.SOCK_DGRAM, over) as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        client.setsockopt(SOL_NST, NST_TX_SUITE, suite)
        client.connect(server.getsockname())
        data = random.Random(1).randbytes(largest)
        client.send(data)
        assert server.recv(70000) == data
        with fails_with(errno.EMSGSIZE):
            client.send(data + b"x")


def test_truncation_and_peek() -> None:
    with bound() as server, nst_socket(socket.SOCK_DGRAM) as client:
        client.sendto(b"0123456789", server.getsockname())
        assert server.recv(4, socket.MSG_PEEK) == b"0123"
        data, _, flags, _ = server.recvmsg(4, 0, socket.MSG_PEEK | socket.MSG_TRUNC)
        assert data == b"0123"
        assert flags & socket.MSG_TRUNC
        data, _, flags, _ = server.recvmsg(4)
        assert (data, flags & socket.MSG_TRUNC) == (b"0123", socket.MSG_TRUNC)
        assert not readable(server)
        client.sendto(b"0123456789", server.getsockname())
        assert server.recv_into(bytearray(4), 4, socket.MSG_TRUNC) == 10


def test_a_peeked_datagram_is_judged_once(counted: Counted) -> None:
    with bound() as server, nst_socket(socket.SOCK_DGRAM) as client:
        client.sendto(b"x", server.getsockname())
        for _ in range(3):
            assert server.recv(4, socket.MSG_PEEK) == b"x"
        assert server.recv(4) == b"x"
    counted.expect(dgram={"OK": 1})


def test_control_messages() -> None:
    ip_pktinfo = 8
    with bound() as server, nst_socket(socket.SOCK_DGRAM) as client:
        server.setsockopt(socket.IPPROTO_IP, ip_pktinfo, 1)
        client.sendto(b"x", server.getsockname())
        data, ancillary, _, source = server.recvmsg(10, 200)
        client.connect(server.getsockname())
        assert (data, source) == (b"x", client.getsockname())
        assert [(level, kind) for level, kind, _ in ancillary] == [(socket.IPPROTO_IP, ip_pktinfo)]


def test_junk_never_wakes_a_reader(box: KeyBox, counted: Counted) -> None:
    """Neither poll nor a blocking recv; what follows it gets through."""
    with bound() as server, sending() as udp, select.epoll() as epoll:
        sender = DgramSender(box)
        bad = bytearray(sender.seal(b"bad", now=time.time_ns()))
        bad[-1] ^= 1
        epoll.register(server, select.EPOLLIN)
        for _ in range(5):
            udp.sendto(bad, server.getsockname())
        udp.sendto(b"short", server.getsockname())
        assert not epoll.poll(0.3)
        with pytest.raises(BlockingIOError):
            server.setblocking(False)
            server.recv(10)
        server.settimeout(None)
        got: list[bytes] = []
        reader = threading.Thread(target=lambda: got.append(server.recv(10)))
        reader.start()
        udp.sendto(bad, server.getsockname())
        time.sleep(0.2)
        assert reader.is_alive()
        udp.sendto(sender.seal(b"good", now=time.time_ns()), server.getsockname())
        reader.join(5)
        assert got == [b"good"]
    counted.expect(dgram={"AUTH": 6, "OK": 1}, dgram_local_in={"SHORT": 1})


def test_recv_timeout_counts_from_the_call_not_from_junk(box: KeyBox) -> None:
    with bound() as server, sending() as udp:
        server.settimeout(0.6)
        stop = threading.Event()

        def disturb() -> None:
            while not stop.wait(0.1):
                udp.sendto(bytes(60), server.getsockname())

        thread = threading.Thread(target=disturb)
        thread.start()
        start = time.monotonic()
        with pytest.raises(TimeoutError):
            server.recv(10)
        stop.set()
        thread.join()
        assert 0.5 < time.monotonic() - start < 5


@pytest.mark.parametrize("local_in", [1, 0])
def test_each_header_check(
    local_in: int, box: KeyBox, counted: Counted, sysctl: Callable[[str, int], None]
) -> None:
    sysctl("local_in_check", local_in)
    good = DgramSender(box).seal(b"x", now=time.time_ns())
    header = Header.unpack(good)
    hour = 3600 * 10**9
    bad: dict[str, Header | bytes] = {
        "SHORT": good[:47],
        "MAGIC": header._replace(magic=0xBEEF1338),
        "VERSION": header._replace(version=2),
        "CIPHER": header._replace(cipher_id=5),
        "FLAGS": header._replace(flags=Flags.DGRAM | Flags.REPLY),
        "LENGTH": header._replace(transport_len=2),
        "PERTURB": header._replace(kpos=33),
        "KID": header._replace(kid=65535),
        "TIMESTAMP": header._replace(timestamp=header.timestamp - hour),
    }
    with bound() as server, sending() as udp:
        for each in bad.values():
            datagram = each.pack() + good[48:] if isinstance(each, Header) else each
            udp.sendto(datagram, server.getsockname())
        # Judged before: the hook sees them in order, the receive path with this one.
        udp.sendto(good, server.getsockname())
        assert server.recv(10) == b"x"
    column = "dgram_local_in" if local_in else "dgram"
    expected = {f"{column}.{verdict}": 1 for verdict in bad} | {"dgram.OK": 1}
    assert counted.so_far() == expected


def test_replay_window_and_session(box: KeyBox, counted: Counted) -> None:
    sender = DgramSender(box)
    records = [sender.seal(b"%d" % i, now=time.time_ns()) for i in range(1100)]
    with bound() as server, sending() as udp:
        for index in (0, 1099, 1099, 76, 75, 1000, 1000):
            udp.sendto(records[index], server.getsockname())
        assert [server.recv(10) for _ in range(4)] == [b"0", b"1099", b"76", b"1000"]
        other = Header.unpack(records[5])._replace(kpos=0, kval=0).pack() + records[5][48:]
        udp.sendto(other, server.getsockname())
        assert not readable(server, 0.1)
    counted.expect(dgram={"OK": 4, "REPLAY": 3, "SEQUENCE": 1})


def test_reflected(counted: Counted) -> None:
    """A datagram turned back on its sender; another socket of the host would take it."""
    with bound() as server, sending() as udp:
        server.sendto(b"x", udp.getsockname() if udp.getsockname()[1] else ("127.0.0.1", 9))
        with plain_socket(socket.SOCK_DGRAM) as peer:
            peer.bind(("127.0.0.1", 0))
            server.sendto(b"y", peer.getsockname())
            record = peer.recv(1000)
        udp.sendto(record, server.getsockname())
        assert not readable(server, 0.1)
        counted.expect(dgram={"REFLECT": 1})
        with bound() as another:
            udp.sendto(record, another.getsockname())
            assert another.recv(10) == b"y"


def test_python_opens_what_the_module_seals(box: KeyBox) -> None:
    receiver = DgramReceiver(Receiver(box))
    with bound() as sock, plain_socket(socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        for suite in available_suites():
            sock.setsockopt(SOL_NST, NST_TX_SUITE, suite)
            for data in (b"", b"x" * 16, b"y" * 1000):
                sock.sendto(data, udp.getsockname())
                outcome = receiver.receive(udp.recv(2000), now=time.time_ns(), age=AGE_NS)
                assert (outcome.verdict, outcome.plaintext) == (Verdict.OK, data)
                assert outcome.header is not None
                assert outcome.header.cipher_id == suite


def test_pinned_perturbation() -> None:
    with bound() as sock, plain_socket(socket.SOCK_DGRAM) as udp:
        udp.bind(("127.0.0.1", 0))
        pin_key(sock, 0, 0, 0, NST_PIN_PERTURB)
        sock.sendto(b"x", udp.getsockname())
        header = Header.unpack(udp.recv(1000))
        assert (header.kpos, header.kval) == (0, 0)
        pin_key(sock, 0, 32, 255, NST_PIN_PERTURB)
        sock.sendto(b"x", udp.getsockname())
        header = Header.unpack(udp.recv(1000))
        assert (header.kpos, header.kval) == (32, 255)
        assert info(sock).tx_session_id == header.session_id


def test_multicast_and_broadcast(box: KeyBox, counted: Counted) -> None:
    record = DgramSender(box).seal(b"x", now=time.time_ns())
    with nst_socket(socket.SOCK_DGRAM) as sock, sending() as udp:
        sock.bind(("", 0))
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        for address in ("224.0.0.1", "255.255.255.255", "127.255.255.255"):
            with fails_with(errno.EOPNOTSUPP):
                sock.sendto(b"x", (address, 9))
        udp.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        udp.sendto(record, ("127.255.255.255", sock.getsockname()[1]))
        udp.sendto(b"junk", ("127.255.255.255", sock.getsockname()[1]))
        assert not readable(sock, 0.2)
    assert counted.so_far() == {"multicast": 2}


def test_icmp_error_and_shutdown() -> None:
    with plain_socket(socket.SOCK_DGRAM) as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = unused.getsockname()
    with nst_socket(socket.SOCK_DGRAM) as sock:
        sock.connect(nowhere)
        sock.send(b"x")
        with pytest.raises(ConnectionRefusedError):
            sock.recv(1)
        sock.settimeout(None)
        sock.shutdown(socket.SHUT_RD)
        assert sock.recv(1) == b""


def test_what_would_join_or_split_records_is_refused() -> None:
    udp_cork, udp_segment, udp_gro, solicit = 1, 103, 104, 17
    with bound() as sock:
        for flag in (socket.MSG_MORE, socket.MSG_OOB, 0x4000000):
            with fails_with(errno.EOPNOTSUPP):
                sock.sendto(b"x", flag, sock.getsockname())
        for option in (udp_cork, udp_segment, udp_gro):
            with fails_with(errno.EOPNOTSUPP):
                sock.setsockopt(solicit, option, 1)
        with fails_with(errno.EOPNOTSUPP):
            sock.sendmsg([b"x"], [(solicit, udp_segment, b"\1\0")], 0, sock.getsockname())


def test_many_sockets_and_threads() -> None:
    def serve(sock: socket.socket, got: list[int]) -> None:
        for _ in range(200):
            got.append(int(sock.recv(10)))

    with bound() as first, bound() as second, nst_socket(socket.SOCK_DGRAM) as client:
        results: list[list[int]] = [[], []]
        threads = [
            threading.Thread(target=serve, args=(sock, got))
            for sock, got in zip((first, second), results, strict=True)
        ]
        for thread in threads:
            thread.start()
        for number in range(200):
            for sock in (first, second):
                client.sendto(b"%d" % number, sock.getsockname())
            time.sleep(0.001)
        for thread in threads:
            thread.join()
    assert results == [list(range(200))] * 2
