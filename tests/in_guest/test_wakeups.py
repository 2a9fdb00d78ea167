# SPDX-License-Identifier: GPL-2.0-or-later
"""Who waits for a record sleeps until it is there, and no longer than that."""

from __future__ import annotations

import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from nst_scapy.keybox import KeyBox
from tests.in_guest.sockets import (
    TIMEOUT_S,
    Pair,
    nst_pair,
    readable,
    recv_exactly,
    stream_sender,
    tcp_to_nst,
)

LARGE = 16384
DATA = bytes(range(256)) * (LARGE // 256)


class Call:
    """A call that blocks, made by a thread, which is asleep in it now."""

    def __init__(self, call: Callable[[], object]) -> None:
        self._call = call
        self.result: object = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        while self._status("State")[0] != "S" or not self._in_kernel():
            time.sleep(0.001)

    def _run(self) -> None:
        try:
            self.result = self._call()
        except OSError as error:
            self.result = type(error)

    def _task(self, name: str) -> str:
        return Path(f"/proc/self/task/{self._thread.native_id}/{name}").read_text()

    def _status(self, field: str) -> str:
        lines = self._task("status").splitlines()
        return next(line.split()[1] for line in lines if line.startswith(f"{field}:"))

    def _in_kernel(self) -> bool:
        """Not waiting for the interpreter's lock, but in the module."""
        return "nst_sock_wait" in self._task("stack")

    def slept(self) -> int:
        """How often it has gone to sleep."""
        return int(self._status("voluntary_ctxt_switches"))

    def end(self) -> object:
        """What came of it."""
        self._thread.join(TIMEOUT_S)
        assert not self._thread.is_alive()
        return self.result


@pytest.fixture
def begun(box: KeyBox) -> Iterator[tuple[Pair, bytes]]:
    """A connection whose first record was read, and a large record that comes next."""
    sender = stream_sender(box)
    with tcp_to_nst() as pair:
        pair.initiator.sendall(sender.seal(b"first", now=time.time_ns()))
        assert recv_exactly(pair.acceptor, 5) == b"first"
        pair.acceptor.setblocking(True)
        yield pair, sender.seal(DATA, now=time.time_ns())


def send_in_pieces(sock: socket.socket, data: bytes, size: int) -> None:
    """Each in a segment of its own."""
    for start in range(0, len(data), size):
        sock.sendall(data[start : start + size])
        time.sleep(0.002)


def test_a_reader_sleeps_until_the_record_is_whole(begun: tuple[Pair, bytes]) -> None:
    pair, record = begun
    # Whoever looks first at half a record knows its length afterwards.
    pair.initiator.sendall(record[:1000])
    reader = Call(lambda: pair.acceptor.recv(LARGE))
    before = reader.slept()
    send_in_pieces(pair.initiator, record[1000:-1], 700)
    assert reader.slept() == before
    pair.initiator.sendall(record[-1:])
    assert reader.end() == DATA


@pytest.mark.parametrize("size", [1, 47, 48, 700])
def test_any_first_piece(size: int, begun: tuple[Pair, bytes]) -> None:
    pair, record = begun
    reader = Call(lambda: pair.acceptor.recv(LARGE))
    for piece in (record[:size], record[size:5000], record[5000:]):
        pair.initiator.sendall(piece)
        time.sleep(0.01)
    assert reader.end() == DATA


def test_low_water_of_more_than_a_record(box: KeyBox) -> None:
    sender = stream_sender(box)
    records = [sender.seal(DATA, now=time.time_ns()) for _ in range(3)]
    with tcp_to_nst() as pair:
        pair.acceptor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 2 * LARGE + 1)
        pair.acceptor.setblocking(True)
        reader = Call(lambda: pair.acceptor.recv(4 * LARGE))
        send_in_pieces(pair.initiator, b"".join(records[:2]), 9000)
        assert reader.result is None
        send_in_pieces(pair.initiator, records[2], 9000)
        assert reader.end() == 3 * DATA


def test_a_receive_buffer_smaller_than_the_record(begun: tuple[Pair, bytes]) -> None:
    """The window closes on half of it: then the reader has to take what is there."""
    pair, record = begun
    pair.acceptor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
    reader = Call(lambda: pair.acceptor.recv(LARGE, socket.MSG_WAITALL))
    pair.initiator.sendall(record)
    assert reader.end() == DATA


def _fin(pair: Pair) -> None:
    pair.initiator.shutdown(socket.SHUT_WR)


def _reset(pair: Pair) -> None:
    pair.initiator.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    pair.initiator.close()


def _nobody_reads(pair: Pair) -> None:
    pair.acceptor.shutdown(socket.SHUT_RD)


@pytest.mark.parametrize(
    ("end", "outcome"),
    [(_fin, ConnectionAbortedError), (_reset, ConnectionResetError), (_nobody_reads, b"")],
)
def test_an_end_in_mid_record(
    end: Callable[[Pair], None], outcome: object, begun: tuple[Pair, bytes]
) -> None:
    pair, record = begun
    pair.initiator.sendall(record[:5000])
    reader = Call(lambda: pair.acceptor.recv(LARGE))
    end(pair)
    assert reader.end() == outcome


def test_others_who_look_at_half_a_record(begun: tuple[Pair, bytes]) -> None:
    pair, record = begun
    reader = Call(lambda: pair.acceptor.recv(LARGE))
    for start in range(0, 16000, 4000):
        pair.initiator.sendall(record[start : start + 4000])
        assert not readable(pair.acceptor, 0.01)
    pair.initiator.sendall(record[16000:])
    assert reader.end() == DATA


def test_an_edge_a_record(begun: tuple[Pair, bytes]) -> None:
    pair, record = begun
    with select.epoll() as poller:
        poller.register(pair.acceptor, select.EPOLLIN | select.EPOLLET)
        assert poller.poll(0) == []
        send_in_pieces(pair.initiator, record[:-1], 4000)
        assert poller.poll(0.05) == []
        pair.initiator.sendall(record[-1:])
        assert poller.poll(TIMEOUT_S) == [(pair.acceptor.fileno(), select.EPOLLIN)]
        assert pair.acceptor.recv(LARGE) == DATA
        assert poller.poll(0) == []


@contextmanager
def _full() -> Iterator[Pair]:
    """A connection whose initiator cannot send any more."""
    with nst_pair() as pair:
        pair.initiator.setblocking(False)
        try:
            while True:
                pair.initiator.send(DATA)
        except BlockingIOError:
            pair.initiator.setblocking(True)
        yield pair


def test_both_directions_at_once() -> None:
    """A writer sleeps through what arrives, a reader through room: they share a queue."""
    with _full() as pair:
        writer = Call(lambda: pair.initiator.send(DATA))
        reader = Call(lambda: pair.initiator.recv(LARGE))
        before = writer.slept()
        pair.acceptor.sendall(b"reply")
        assert reader.end() == b"reply"
        assert writer.slept() == before
        reader = Call(lambda: pair.initiator.recv(LARGE))
        before = reader.slept()
        while writer.result is None:
            pair.acceptor.recv(LARGE)
        assert writer.end() == LARGE
        assert reader.slept() == before
        pair.acceptor.sendall(b"again")
        assert reader.end() == b"again"
