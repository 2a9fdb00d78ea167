# SPDX-License-Identifier: GPL-2.0-or-later
"""Records that are sealed from the sender's pages and opened into the reader's: at every edge."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import random
import select
import socket
import tempfile
import time

import pytest

from nst_scapy.header import HEADER_LEN
from nst_scapy.keybox import KeyBox
from tests.in_guest.counters import Counted
from tests.in_guest.sockets import (
    LIBC,
    fails_with,
    nst_pair,
    readable,
    recv_exactly,
    stream_sender,
    tcp_to_nst,
)

LARGE = 16384
"""The most that a record holds; what is over 512 bytes goes the way that is tested here."""


def noise(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("size", [512, 513, 4095, 4096, 4097, LARGE - 1, LARGE, LARGE + 1])
@pytest.mark.parametrize("offset", [0, 1, 4090])
def test_any_size_at_any_offset(size: int, offset: int) -> None:
    data = noise(size)
    source, target = bytearray(offset) + data, bytearray(offset + size)
    with nst_pair() as pair:
        pair.initiator.sendall(b"first")  # has a way of its own
        recv_exactly(pair.acceptor, 5)
        for _ in range(3):
            pair.initiator.sendall(memoryview(source)[offset:])
            got = pair.acceptor.recv_into(memoryview(target)[offset:], 0, socket.MSG_WAITALL)
            assert (got, target[offset:]) == (size, data)


@pytest.mark.parametrize("room", [1, 700, LARGE - 1, LARGE + 1, 3 * LARGE + 5])
def test_reads_of_any_room(room: int) -> None:
    data = noise(5 * LARGE)
    with nst_pair() as pair:
        pair.initiator.sendall(data)
        assert b"".join(_reads(pair.acceptor, len(data), room)) == data


def _reads(sock: socket.socket, length: int, room: int) -> list[bytes]:
    parts = []
    while length:
        parts.append(sock.recv(min(room, length)))
        assert parts[-1]
        length -= len(parts[-1])
    return parts


def test_many_pieces_and_few() -> None:
    data = noise(LARGE)
    pieces = [data[start : start + 20] for start in range(0, LARGE, 20)]
    rooms = [bytearray(size) for size in (1, 4000, 3, 8000, 4380)]
    with nst_pair() as pair:
        for _ in range(2):
            assert pair.initiator.sendmsg(pieces) == LARGE
            # What a record does not fit into in a few pages is copied.
            assert recv_exactly(pair.acceptor, LARGE) == data
            pair.initiator.sendall(data)
            assert pair.acceptor.recvmsg_into(rooms, 0, socket.MSG_WAITALL)[0] == LARGE
            assert b"".join(rooms) == data


def test_a_forged_record_leaves_nothing_in_the_readers_pages(box: KeyBox, counted: Counted) -> None:
    secret = b"not authentic " * 1000
    sender = stream_sender(box)
    first = sender.seal(b"first", now=time.time_ns())
    forged = bytearray(sender.seal(secret, now=time.time_ns()))
    forged[-1] ^= 1
    buffer = bytearray(b"\xaa" * LARGE)
    with tcp_to_nst() as pair:
        pair.initiator.sendall(first)
        assert recv_exactly(pair.acceptor, 5) == b"first"
        pair.initiator.sendall(forged)
        with fails_with(errno.EBADMSG):
            pair.acceptor.recv_into(buffer)
        assert secret[:14] not in buffer
    counted.expect(stream={"OK": 1, "AUTH": 1})


def test_a_record_in_pages_of_a_file(box: KeyBox) -> None:
    """What others may still write to is copied before it is opened."""
    sender = stream_sender(box)
    pieces = [b"first", noise(LARGE), noise(9000)]
    with tcp_to_nst() as pair, tempfile.TemporaryFile() as file:
        for piece in pieces:
            file.write(sender.seal(piece, now=time.time_ns()))
        size = file.tell()
        file.flush()
        assert os.sendfile(pair.initiator.fileno(), file.fileno(), 0, size) == size
        for piece in pieces:
            assert recv_exactly(pair.acceptor, len(piece)) == piece


def test_pages_of_a_file_and_of_a_map() -> None:
    data = noise(3 * LARGE + 100)
    with nst_pair() as pair, tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        assert os.sendfile(pair.initiator.fileno(), file.fileno(), 7, len(data)) == len(data) - 7
        assert recv_exactly(pair.acceptor, len(data) - 7) == data[7:]
        with mmap.mmap(file.fileno(), len(data)) as mapped:
            pair.initiator.sendall(mapped)
            assert recv_exactly(pair.acceptor, len(data)) == data
            # Into the file, through its map.
            pair.initiator.sendall(data[::-1])
            assert pair.acceptor.recv_into(mapped, 0, socket.MSG_WAITALL) == len(data)
        assert os.pread(file.fileno(), len(data), 0) == data[::-1]


def test_bad_addresses() -> None:
    data = noise(LARGE)
    with mmap.mmap(-1, 8 * mmap.PAGESIZE) as memory, nst_pair() as pair:
        start = ctypes.addressof(ctypes.c_char.from_buffer(memory))
        hole = start + 2 * mmap.PAGESIZE
        assert LIBC.munmap(ctypes.c_void_p(hole), ctypes.c_size_t(mmap.PAGESIZE)) == 0
        pair.initiator.sendall(b"first")
        assert recv_exactly(pair.acceptor, 5) == b"first"
        for call, sock in ((LIBC.recv, pair.acceptor), (LIBC.send, pair.initiator)):
            pair.initiator.sendall(data)
            result = call(sock.fileno(), ctypes.c_void_p(start), ctypes.c_size_t(LARGE), 0)
            assert (result, ctypes.get_errno()) == (-1, errno.EFAULT)
            # Nothing was lost, and nothing was sent.
            assert recv_exactly(pair.acceptor, LARGE) == data
        mapped = LIBC.mmap
        mapped.restype = ctypes.c_void_p
        fixed = mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x10
        filled = mapped(
            ctypes.c_void_p(hole), ctypes.c_size_t(mmap.PAGESIZE), mmap.PROT_READ, fixed, -1, 0
        )
        assert filled == hole


def test_half_a_record_is_waited_for(box: KeyBox) -> None:
    sender = stream_sender(box)
    first, second = (sender.seal(data, now=time.time_ns()) for data in (b"first", noise(LARGE)))
    with tcp_to_nst() as pair:
        pair.initiator.sendall(first + second[: HEADER_LEN + 1000])
        assert recv_exactly(pair.acceptor, 5) == b"first"
        pair.acceptor.setblocking(False)
        with pytest.raises(BlockingIOError):
            pair.acceptor.recv(LARGE)
        assert not readable(pair.acceptor, 0.1)
        pair.initiator.sendall(second[HEADER_LEN + 1000 : -1])
        assert not readable(pair.acceptor, 0.1)
        pair.initiator.sendall(second[-1:])
        assert readable(pair.acceptor, 10)
        assert pair.acceptor.recv(LARGE) == noise(LARGE)


@pytest.mark.parametrize("looked", [False, True])
def test_half_a_record_and_then_the_end(box: KeyBox, counted: Counted, looked: bool) -> None:
    sender = stream_sender(box)
    records = [sender.seal(data, now=time.time_ns()) for data in (b"first", noise(LARGE))]
    with tcp_to_nst() as pair:
        pair.initiator.sendall(b"".join(records)[:-1])
        assert recv_exactly(pair.acceptor, 5) == b"first"
        if looked:
            assert not readable(pair.acceptor, 0.1)
        pair.initiator.shutdown(socket.SHUT_WR)
        with fails_with(errno.ECONNABORTED):
            pair.acceptor.recv(LARGE)
    counted.expect(stream={"OK": 1, "TRUNCATED": 1})


def test_closing_on_half_a_record_resets(box: KeyBox) -> None:
    sender = stream_sender(box)
    records = [sender.seal(data, now=time.time_ns()) for data in (b"first", noise(LARGE))]
    with tcp_to_nst() as pair:
        pair.initiator.sendall(b"".join(records)[:-1])
        assert recv_exactly(pair.acceptor, 5) == b"first"
        assert not readable(pair.acceptor, 0.1)
        pair.acceptor.close()
        poll = select.poll()
        poll.register(pair.initiator, select.POLLIN)
        assert poll.poll(10_000)
        with pytest.raises(ConnectionResetError):
            pair.initiator.recv(1)


def test_a_record_larger_than_the_receive_buffer() -> None:
    data = noise(4 * LARGE)
    with nst_pair() as pair:
        pair.acceptor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        pair.initiator.settimeout(60)
        pair.acceptor.settimeout(60)
        pair.initiator.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        pair.initiator.sendall(data)
        assert recv_exactly(pair.acceptor, len(data)) == data
