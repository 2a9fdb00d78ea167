# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory runs out at every point of a call: an error is told, no data is lost silently."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest

from nst_scapy.kernel import NST_TX_SUITE, SOL_NST
from nst_scapy.suite import SuiteId
from tests.in_guest.faults import FAIL_NTH, at_every_point, every_allocation_may_fail
from tests.in_guest.semantics.world import wait_until
from tests.in_guest.sockets import (
    INET,
    Over,
    Pair,
    available_suites,
    listening,
    load_keybox,
    nst_pair,
    nst_socket,
    readable,
    recv_all,
    recv_exactly,
)

pytestmark = [
    pytest.mark.skipif(not FAIL_NTH.exists(), reason="a kernel without fault injection"),
    pytest.mark.timeout(900),
]
SUITES = available_suites()
SO_MEMINFO = 55
# What a call may fail with when there is no memory, or when a copy from or to us fails.
SHORTAGE = {errno.ENOMEM, errno.ENOBUFS, errno.EAGAIN, errno.EFAULT}
DATA = bytes(range(256)) * 160  # three records
LATE = b"after the shortage"


@pytest.fixture(autouse=True)
def shortage() -> Iterator[None]:
    with every_allocation_may_fail():
        yield


def is_shortage(result: object) -> bool:
    return isinstance(result, OSError) and result.errno in SHORTAGE


@contextlib.contextmanager
def pair_in(suite: SuiteId, *, running: bool) -> Iterator[Pair]:
    """A stream connection; *running* if a record has gone each way."""
    with nst_pair() as pair:
        for sock in (pair.initiator, pair.acceptor):
            sock.setsockopt(SOL_NST, NST_TX_SUITE, suite)
        if running:
            for one, other in (pair.initiator, pair.acceptor), (pair.acceptor, pair.initiator):
                one.sendall(b"begin")
                assert recv_exactly(other, 5) == b"begin"
        yield pair


@pytest.mark.parametrize("running", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("suite", SUITES)
def test_stream_send(suite: SuiteId, running: bool) -> None:
    def check(pair: Pair, result: object) -> None:
        assert isinstance(result, int) or is_shortage(result)
        accepted = DATA[:result] if isinstance(result, int) else b""
        pair.initiator.sendall(LATE)
        pair.initiator.shutdown(socket.SHUT_WR)
        assert recv_all(pair.acceptor) == accepted + LATE

    points = at_every_point(
        lambda: pair_in(suite, running=running), lambda pair: pair.initiator.send(DATA), check
    )
    assert points > 3


@pytest.mark.parametrize("running", [False, True], ids=["first", "later"])
@pytest.mark.parametrize("suite", SUITES)
def test_stream_recv(suite: SuiteId, running: bool) -> None:
    @contextlib.contextmanager
    def sent() -> Iterator[Pair]:
        with pair_in(suite, running=running) as pair:
            pair.initiator.sendall(DATA)
            pair.initiator.shutdown(socket.SHUT_WR)
            yield pair

    def check(pair: Pair, result: object) -> None:
        assert isinstance(result, bytes) or is_shortage(result)
        got = result if isinstance(result, bytes) else b""
        rest, end = until_the_end(pair.acceptor)
        if end is None:
            assert got + rest == DATA
        else:
            # Of a record that was half opened there is nothing to be had any more.
            assert end.errno == errno.ENOMEM
            assert DATA.startswith(got + rest)

    assert at_every_point(sent, lambda pair: pair.acceptor.recv(len(DATA)), check) > 1


def until_the_end(sock: socket.socket) -> tuple[bytes, OSError | None]:
    """All that can be read, and the error that it ended with, or None for an end of file."""
    data = b""
    try:
        while piece := sock.recv(1 << 20):
            data += piece
    except OSError as error:
        return data, error
    return data, None


def how_it_ends(sock: socket.socket) -> object:
    """End of file, or the number of an error; data is neither."""
    try:
        return "end" if recv_all(sock) == b"" else "data"
    except OSError as error:
        return error.errno


@pytest.mark.parametrize("suite", SUITES)
def test_stream_end(suite: SuiteId) -> None:
    """If CLOSE cannot be sealed, the peer is told that the end is not authentic."""

    def check(pair: Pair, result: object) -> None:
        pair.initiator.close()
        ends = {"end"} if result is None else {"end", errno.ECONNABORTED, errno.ECONNRESET}
        assert how_it_ends(pair.acceptor) in ends

    points = at_every_point(
        lambda: pair_in(suite, running=False),
        lambda pair: pair.initiator.shutdown(socket.SHUT_WR),
        check,
    )
    assert points > 3


def test_connect_and_accept() -> None:
    @contextlib.contextmanager
    def prepared() -> Iterator[tuple[socket.socket, socket.socket]]:
        with listening(nst_socket) as server, nst_socket(socket.SOCK_STREAM) as client:
            yield server, client

    def connect_and_accept(sockets: tuple[socket.socket, socket.socket]) -> socket.socket:
        server, client = sockets
        client.connect(server.getsockname())
        return server.accept()[0]

    def check(sockets: tuple[socket.socket, socket.socket], result: object) -> None:
        server, client = sockets
        if isinstance(result, socket.socket):
            result.settimeout(client.gettimeout())
            client.sendall(DATA)
            assert recv_exactly(result, len(DATA)) == DATA
            result.close()
        else:
            assert isinstance(result, OSError)
        client.close()
        # The listener serves the next one, behind what may be left of this one.
        with nst_socket(socket.SOCK_STREAM) as other:
            other.connect(server.getsockname())
            other.sendall(LATE)
            other.shutdown(socket.SHUT_WR)
            while True:
                with server.accept()[0] as accepted:
                    accepted.settimeout(other.gettimeout())
                    with contextlib.suppress(OSError):
                        if recv_all(accepted) == LATE:
                            return

    assert at_every_point(prepared, connect_and_accept, check) > 10


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
@pytest.mark.parametrize("over", [INET, Over(10, socket.AF_INET6, "::1")], ids=["ipv4", "ipv6"])
def test_socket(kind: socket.SocketKind, over: Over) -> None:
    def check(_: None, result: object) -> None:
        if isinstance(result, socket.socket):
            result.close()
        else:
            assert isinstance(result, OSError)
        nst_socket(kind, over).close()

    points = at_every_point(contextlib.nullcontext, lambda _: nst_socket(kind, over), check)
    assert points > 2


@contextlib.contextmanager
def dgram_pair(suite: SuiteId) -> Iterator[tuple[socket.socket, socket.socket]]:
    with nst_socket(socket.SOCK_DGRAM) as one, nst_socket(socket.SOCK_DGRAM) as two:
        one.setsockopt(SOL_NST, NST_TX_SUITE, suite)
        for sock in (one, two):
            sock.bind((INET.loopback, 0))
        one.connect(two.getsockname())
        yield one, two


@pytest.mark.parametrize("suite", SUITES)
def test_dgram_send(suite: SuiteId) -> None:
    data = DATA[:3000]

    def check(sockets: tuple[socket.socket, socket.socket], result: object) -> None:
        one, two = sockets
        assert result == len(data) or is_shortage(result)
        one.send(LATE)
        if result == len(data):
            assert two.recv(65535) == data
        assert two.recv(65535) == LATE

    assert at_every_point(lambda: dgram_pair(suite), lambda pair: pair[0].send(data), check) > 3


@pytest.mark.parametrize("suite", SUITES)
def test_dgram_recv(suite: SuiteId) -> None:
    data = DATA[:3000]

    @contextlib.contextmanager
    def sent() -> Iterator[tuple[socket.socket, socket.socket]]:
        with dgram_pair(suite) as pair:
            pair[0].send(data)
            yield pair

    def check(sockets: tuple[socket.socket, socket.socket], result: object) -> None:
        one, two = sockets
        one.send(LATE)
        if isinstance(result, OSError):
            assert is_shortage(result)
            # Like UDP's, a datagram is gone if it cannot be copied to the caller.
            if result.errno != errno.EFAULT:
                assert two.recv(65535) == data
        else:
            assert result == data
        while (got := two.recv(65535)) != LATE:
            assert got == data

    assert at_every_point(sent, lambda pair: pair[1].recv(65535), check) > 1


def queued_bytes(sock: socket.socket) -> int:
    """What waits for the socket in the kernel, sealed and with all that is around it."""
    (allocated,) = struct.unpack_from("I", sock.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 4))
    return int(allocated)


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_poll(kind: socket.SocketKind) -> None:
    """A poller that could not look is told so: nothing more need arrive to wake it."""

    @contextlib.contextmanager
    def sent() -> Iterator[socket.socket]:
        with contextlib.ExitStack() as stack:
            if kind == socket.SOCK_STREAM:
                pair = stack.enter_context(pair_in(SUITES[0], running=True))
                one, two = pair.initiator, pair.acceptor
            else:
                one, two = stack.enter_context(dgram_pair(SUITES[0]))
            one.send(LATE)
            assert wait_until(lambda: queued_bytes(two) > 0)
            yield two

    def check(sock: socket.socket, result: object) -> None:
        assert result is True or is_shortage(result)
        assert sock.recv(100) == LATE

    assert at_every_point(sent, readable, check) > 0


@pytest.mark.usefixtures("restore_keybox")
def test_keybox(keybox_text: bytes) -> None:
    """The box is replaced whole, or stays."""
    key = b"00" * 32

    def check(_: None, result: object) -> None:
        assert result is None or isinstance(result, OSError)
        with nst_pair() as pair:
            if result is None:
                pair.initiator.sendall(DATA)
                assert recv_exactly(pair.acceptor, len(DATA)) == DATA
        load_keybox(keybox_text)
        with nst_pair() as pair:
            pair.initiator.sendall(DATA)
            assert recv_exactly(pair.acceptor, len(DATA)) == DATA

    points = at_every_point(
        contextlib.nullcontext, lambda _: load_keybox(b"1 " + key + b"\n2 " + key + b"\n"), check
    )
    assert points > 2


def test_files() -> None:
    files = [*Path("/proc/net").glob("nst_*"), *Path("/proc/sys/net/nst").iterdir()]
    for path in files:
        if not os.access(path, os.R_OK) or path.name == "nst_keybox":
            continue
        whole = path.read_bytes()

        def check(_: None, result: object, whole: bytes = whole) -> None:
            # Counters may have grown.
            assert isinstance(result, OSError) or len(result) >= len(whole) > 0  # type: ignore[arg-type]

        at_every_point(contextlib.nullcontext, lambda _, path=path: path.read_bytes(), check)


@pytest.mark.usefixtures("empty_namespace")
def test_namespace(keybox_text: bytes) -> None:
    """A namespace is made with all that NST needs, or not at all."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)

    def unshare(_: None) -> None:
        if libc.unshare(0x40000000):
            raise OSError(ctypes.get_errno(), "unshare")

    def check(_: None, result: object) -> None:
        if result is None:
            load_keybox(keybox_text)
            assert not libc.setns(home, 0x40000000)
        else:
            assert isinstance(result, OSError)

    try:
        assert at_every_point(contextlib.nullcontext, unshare, check) > 10
    finally:
        os.close(home)
