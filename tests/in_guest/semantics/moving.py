# SPDX-License-Identifier: GPL-2.0-or-later
"""Properties of moving data without copying it through the program, and of io_uring."""

from __future__ import annotations

import ctypes
import fcntl
import os
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from tests.in_guest.semantics import multimsg
from tests.in_guest.semantics.uring import (
    IORING_CQE_F_SOCK_NONEMPTY,
    IORING_OP_RECV,
    IORING_OP_SEND,
    Uring,
)
from tests.in_guest.semantics.world import World, attempt, meanwhile, text, wait_for_bytes
from tests.in_guest.sockets import recv_all, recv_exactly

SPLICE_F_NONBLOCK, SPLICE_F_MORE = 2, 4
F_SETPIPE_SZ = 1031


@contextmanager
def pipe(size: int = 0) -> Iterator[tuple[int, int]]:
    """A pipe: (out of it, into it); *size* in bytes, 0 for the default."""
    out, into = os.pipe()
    try:
        if size:
            fcntl.fcntl(into, F_SETPIPE_SZ, size)
        yield out, into
    finally:
        os.close(out)
        os.close(into)


@contextmanager
def file_of(data: bytes) -> Iterator[int]:
    """An unnamed file."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        yield file.fileno()


def send_a_file(world: World) -> object:
    with world.pair() as pair, file_of(text(300_000)) as file:
        received = bytearray()
        reader = threading.Thread(target=lambda: received.extend(recv_all(pair.acceptor)))
        reader.start()
        sent = 100
        while count := os.sendfile(pair.initiator.fileno(), file, sent, 1 << 20):
            sent += count
        pair.initiator.shutdown(socket.SHUT_WR)
        reader.join(20)
        return sent, bytes(received) == text(300_000)[100:]


def send_then_send_a_file(world: World) -> object:
    with world.pair() as pair, file_of(text(5000)) as file:
        pair.initiator.sendall(b"head")
        count = os.sendfile(pair.initiator.fileno(), file, 0, 5000)
        pair.initiator.sendall(b"tail")
        return count, recv_exactly(pair.acceptor, 5008)


def send_a_file_without_waiting(world: World) -> object:
    with world.pair() as pair, file_of(text(1 << 20)) as file:
        pair.initiator.setblocking(False)
        sent = 0
        while isinstance(
            count := attempt(os.sendfile, pair.initiator.fileno(), file, sent, (1 << 20) - sent),
            int,
        ):
            sent += count
            if sent == 1 << 20:
                os.lseek(file, 0, 0)
                sent = 0
        return count


def splice_in(world: World) -> object:
    with world.pair() as pair, pipe() as (out, into):
        os.write(into, text(10_000))
        count = os.splice(out, pair.initiator.fileno(), 10_000)
        return count, recv_exactly(pair.acceptor, 10_000)


def splice_in_more(world: World) -> object:
    with world.pair() as pair, pipe() as (out, into):
        for _ in range(4):
            os.write(into, text(10))
            os.splice(out, pair.initiator.fileno(), 10, flags=SPLICE_F_MORE)
        pair.initiator.sendall(text(2))
        return recv_exactly(pair.acceptor, 42)


def splice_in_more_than_a_record(world: World) -> object:
    with world.pair() as pair, pipe(1 << 18) as (out, into):
        data = text(200_000)
        with meanwhile(lambda: os.write(into, data)):
            left = len(data)
            received = b""
            while left:
                left -= os.splice(out, pair.initiator.fileno(), left)
                received += pair.acceptor.recv(1 << 20)
            return received + recv_exactly(pair.acceptor, len(data) - len(received)) == data


def splice_out(world: World) -> object:
    with world.pair() as pair, pipe() as (out, into):
        pair.initiator.sendall(text(10_000))
        wait_for_bytes(pair.acceptor, 10_000)
        got = b""
        while len(got) < 10_000:
            count = os.splice(pair.acceptor.fileno(), into, 10_000 - len(got))
            got += os.read(out, count)
        return got


def splice_out_without_waiting(world: World) -> object:
    with world.pair() as pair, pipe() as (_, into):
        # SPLICE_F_NONBLOCK is the pipe's alone: TCP waits unless the socket does not.
        pair.acceptor.setblocking(False)
        flags = SPLICE_F_NONBLOCK
        empty = attempt(os.splice, pair.acceptor.fileno(), into, 10, None, None, flags)
        pair.acceptor.setblocking(True)
        pair.initiator.shutdown(socket.SHUT_WR)
        assert pair.acceptor.recv(1, socket.MSG_PEEK) == b""
        return empty, os.splice(pair.acceptor.fileno(), into, 10)


def splice_from_one_to_another(world: World) -> object:
    with world.pair() as one, world.pair() as other, pipe() as (out, into):
        one.initiator.sendall(text(3000))
        wait_for_bytes(one.acceptor, 3000)
        moved = 0
        while moved < 3000:
            count = os.splice(one.acceptor.fileno(), into, 3000 - moved)
            moved += os.splice(out, other.initiator.fileno(), count)
        return recv_exactly(other.acceptor, 3000)


def vmsplice_in(world: World) -> object:
    with world.pair() as pair, pipe() as (out, into):
        data = text(20_000)
        count = multimsg.vmsplice(into, data)
        sent = 0
        while sent < count:
            sent += os.splice(out, pair.initiator.fileno(), count - sent)
        return count, recv_exactly(pair.acceptor, count)


def tee_and_peek(world: World) -> object:
    with world.pair() as pair, pipe() as (out, into):
        pair.initiator.sendall(text(100))
        wait_for_bytes(pair.acceptor, 100)
        peeked = pair.acceptor.recv(50, socket.MSG_PEEK)
        count = os.splice(pair.acceptor.fileno(), into, 70)
        return peeked, os.read(out, count), pair.acceptor.recv(100)


def a_ring_sends_and_receives(world: World) -> object:
    with world.pair() as pair, Uring() as ring:
        sent = ring.call(IORING_OP_SEND, pair.initiator, ctypes.create_string_buffer(text(50), 50))
        buffer = ctypes.create_string_buffer(100)
        received = ring.call(IORING_OP_RECV, pair.acceptor, buffer)
        return sent, buffer.raw[:received]


def a_ring_waits_for_data(world: World) -> object:
    with world.pair() as pair, Uring() as ring:
        buffer = ctypes.create_string_buffer(100)
        pair.acceptor.setblocking(True)
        with meanwhile(lambda: pair.initiator.sendall(text(60))):
            received = ring.call(IORING_OP_RECV, pair.acceptor, buffer)
        pair.initiator.close()
        return buffer.raw[:received], ring.call(IORING_OP_RECV, pair.acceptor, buffer)


def a_ring_waits_for_all(world: World) -> object:
    with world.pair() as pair, Uring() as ring:
        buffer = ctypes.create_string_buffer(100)
        pair.acceptor.setblocking(True)
        pair.initiator.sendall(text(30))
        with meanwhile(lambda: pair.initiator.sendall(text(70))):
            received = ring.call(IORING_OP_RECV, pair.acceptor, buffer, socket.MSG_WAITALL)
        return buffer.raw[:received]


def a_ring_tells_that_there_is_more(world: World) -> object:
    with world.pair() as pair, Uring() as ring:
        for length in (30, 20):
            pair.initiator.sendall(text(length))
        wait_for_bytes(pair.acceptor, 50)
        answers = []
        for length in (10, 20, 20):
            buffer = ctypes.create_string_buffer(length)
            received = ring.call(IORING_OP_RECV, pair.acceptor, buffer)
            answers.append((received, bool(ring.flags & IORING_CQE_F_SOCK_NONEMPTY)))
        return answers


def a_ring_moves_datagrams(world: World) -> object:
    with world.connected() as (client, server), Uring() as ring:
        sent = ring.call(IORING_OP_SEND, client, ctypes.create_string_buffer(text(50), 50))
        buffer = ctypes.create_string_buffer(100)
        return sent, buffer.raw[: ring.call(IORING_OP_RECV, server, buffer)]
