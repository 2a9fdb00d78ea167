# SPDX-License-Identifier: GPL-2.0-or-later
"""Properties of receiving from a stream."""

from __future__ import annotations

import errno
import fcntl
import select
import socket
import struct
import time

from tests.in_guest.semantics import multimsg
from tests.in_guest.semantics.world import (
    World,
    attempt,
    eof_or_data,
    ioctl_int,
    meanwhile,
    text,
    wait_for_bytes,
)
from tests.in_guest.sockets import readable, recv_all, recv_exactly

SIOCATMARK, FIONREAD = 0x8905, 0x541B
SO_PEEK_OFF = 42
SHORT_S = 0.05


def peek_leaves_the_data(world: World) -> object:
    with world.pair() as pair:
        pair.initiator.sendall(text(20))
        wait_for_bytes(pair.acceptor, 20)
        peeks = [pair.acceptor.recv(n, socket.MSG_PEEK) for n in (5, 20, 100)]
        return peeks, pair.acceptor.recv(8), pair.acceptor.recv(100, socket.MSG_PEEK)


def peek_looks_across_sends(world: World) -> object:
    with world.pair() as pair:
        for _ in range(5):
            pair.initiator.sendall(text(11))
        wait_for_bytes(pair.acceptor, 55)
        return pair.acceptor.recv(50, socket.MSG_PEEK), pair.acceptor.recv(55)


def peek_offset_moves(world: World) -> object:
    with world.pair() as pair:
        sock = pair.acceptor
        for _ in range(3):
            pair.initiator.sendall(text(10))
        wait_for_bytes(sock, 30)
        if refused := attempt(sock.setsockopt, socket.SOL_SOCKET, SO_PEEK_OFF, 4):
            return refused  # TCP learned it with Linux 6.9
        steps: list[object] = []
        for _ in range(3):
            steps.append(sock.recv(7, socket.MSG_PEEK))
            steps.append(sock.getsockopt(socket.SOL_SOCKET, SO_PEEK_OFF))
        steps += [sock.recv(12), sock.getsockopt(socket.SOL_SOCKET, SO_PEEK_OFF)]
        steps += [attempt(sock.recv, 7, socket.MSG_PEEK | socket.MSG_DONTWAIT)]
        steps += [attempt(sock.recv, 7, socket.MSG_PEEK | socket.MSG_DONTWAIT)]
        sock.setsockopt(socket.SOL_SOCKET, SO_PEEK_OFF, -1)
        return [*steps, sock.recv(100, socket.MSG_PEEK), sock.recv(100)]


def waitall_waits_for_all(world: World) -> object:
    with world.pair() as pair:
        pair.initiator.sendall(text(10))
        with meanwhile(lambda: pair.initiator.sendall(text(20000))):
            return pair.acceptor.recv(20010, socket.MSG_WAITALL)


def waitall_ends_at_the_end(world: World) -> object:
    with world.pair() as pair:
        pair.initiator.sendall(text(10))
        with meanwhile(lambda: pair.initiator.shutdown(socket.SHUT_WR)):
            return pair.acceptor.recv(100, socket.MSG_WAITALL)


def waitall_peek_waits_without_taking(world: World) -> object:
    with world.pair() as pair:
        pair.initiator.sendall(text(10))
        with meanwhile(lambda: pair.initiator.sendall(text(10))):
            peeked = pair.acceptor.recv(20, socket.MSG_PEEK | socket.MSG_WAITALL)
        return peeked, pair.acceptor.recv(20)


def a_waiting_peek_does_not_spin(world: World) -> object:
    with world.pair() as pair:
        pair.initiator.sendall(text(10))
        seconds = struct.pack("ll", 0, 300_000)
        pair.acceptor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, seconds)
        before = time.thread_time()
        peeked = pair.acceptor.recv(20, socket.MSG_PEEK | socket.MSG_WAITALL)
        return peeked, time.thread_time() - before < 0.15


def dontwait(world: World) -> object:
    with world.pair() as pair:
        empty = attempt(pair.acceptor.recv, 10, socket.MSG_DONTWAIT)
        pair.initiator.sendall(text(10))
        wait_for_bytes(pair.acceptor, 10)
        return empty, pair.acceptor.recv(20, socket.MSG_DONTWAIT)


def dontwait_beats_waitall(world: World) -> object:
    with world.pair() as pair:
        pair.initiator.sendall(text(10))
        wait_for_bytes(pair.acceptor, 10)
        return pair.acceptor.recv(20, socket.MSG_DONTWAIT | socket.MSG_WAITALL)


def trunc_throws_away(world: World) -> object:
    with world.pair() as pair:
        pair.initiator.sendall(text(20))
        wait_for_bytes(pair.acceptor, 20)
        buffer = bytearray(b"-" * 8)
        count = pair.acceptor.recv_into(buffer, 8, socket.MSG_TRUNC)
        return count, buffer, pair.acceptor.recv(100)


def low_water_holds_back(world: World) -> object:
    with world.pair() as pair:
        sock = pair.acceptor
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 12)
        pair.initiator.sendall(text(5))
        wait_for_bytes(sock, 5)
        seen: list[object] = [readable(sock, SHORT_S)]
        with meanwhile(lambda: pair.initiator.sendall(text(10))):
            seen.append(readable(sock, 5))
        return [*seen, sock.recv(100)]


def low_water_holds_recv_back(world: World) -> object:
    with world.pair() as pair:
        sock = pair.acceptor
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 12)
        pair.initiator.sendall(text(5))
        # TCP counts what is new alone: less than the low water would not wake its reader.
        with meanwhile(lambda: pair.initiator.sendall(text(12))):
            whole = sock.recv(100)
        pair.initiator.sendall(text(5))
        wait_for_bytes(sock, 5)
        return (
            whole,
            sock.recv(100, socket.MSG_DONTWAIT),
            attempt(sock.recv, 1, socket.MSG_DONTWAIT),
        )


def low_water_gives_way_to_the_end(world: World) -> object:
    with world.pair() as pair:
        pair.acceptor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 1000)
        pair.initiator.sendall(text(5))
        with meanwhile(lambda: pair.initiator.shutdown(socket.SHUT_WR)):
            return readable(pair.acceptor, 5), recv_all(pair.acceptor)


def low_water_may_be_large(world: World) -> object:
    with world.pair() as pair:
        pair.acceptor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 100_000)
        with meanwhile(lambda: pair.initiator.sendall(text(100_000))):
            assert readable(pair.acceptor, 10)
        return len(pair.acceptor.recv(200_000)) >= 100_000


def receive_timeout(world: World) -> object:
    with world.pair() as pair:
        value = struct.pack("ll", 0, 100_000)
        pair.acceptor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
        start = time.monotonic()
        answer = attempt(pair.acceptor.recv, 1)
        got = pair.acceptor.getsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, 16)
        return answer, time.monotonic() - start >= 0.05, got


def fionread_counts_all_that_is_there(world: World) -> object:
    with world.pair() as pair:
        counts = [ioctl_int(pair.acceptor, FIONREAD)]
        for length in (7, 20_000, 1):
            pair.initiator.sendall(text(length))
        wait_for_bytes(pair.acceptor, 20_008)
        counts.append(ioctl_int(pair.acceptor, FIONREAD))
        pair.acceptor.recv(10)
        counts.append(ioctl_int(pair.acceptor, FIONREAD))
        return counts


def no_urgent_data(world: World) -> object:
    with world.pair() as pair:
        pair.initiator.sendall(text(5))
        wait_for_bytes(pair.acceptor, 5)
        pair.acceptor.setsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE, 1)
        return (
            attempt(pair.acceptor.recv, 1, socket.MSG_OOB),
            ioctl_int(pair.acceptor, SIOCATMARK),
            pair.acceptor.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE),
        )


def empty_error_queue(world: World) -> object:
    with world.pair() as pair:
        pair.initiator.sendall(text(5))
        wait_for_bytes(pair.acceptor, 5)
        return attempt(pair.acceptor.recvmsg, 10, 0, socket.MSG_ERRQUEUE), pair.acceptor.recv(9)


def scattered_into_buffers(world: World) -> object:
    with world.pair() as pair:
        pair.initiator.sendall(text(20))
        wait_for_bytes(pair.acceptor, 20)
        buffers = [bytearray(b"-" * n) for n in (3, 1, 10, 20)]
        return pair.acceptor.recvmsg_into(buffers), buffers


def what_recvmsg_says(world: World) -> object:
    with world.pair() as pair:
        pair.initiator.sendall(text(20))
        wait_for_bytes(pair.acceptor, 20)
        data, ancillary, flags, address = pair.acceptor.recvmsg(10, 1000)
        return data, ancillary, flags, address


def several_messages_at_once(world: World) -> object:
    with world.pair() as pair:
        pair.initiator.sendall(text(30))
        wait_for_bytes(pair.acceptor, 30)
        return multimsg.recvmmsg(pair.acceptor, 4, 10, socket.MSG_DONTWAIT)


def nothing_asked_for(world: World) -> object:
    with world.pair() as pair:
        pair.acceptor.setblocking(False)
        none = attempt(pair.acceptor.recv, 0)
        pair.initiator.sendall(text(3))
        wait_for_bytes(pair.acceptor, 3)
        some = attempt(pair.acceptor.recv, 0)
        rest = pair.acceptor.recv(10)
        pair.initiator.shutdown(socket.SHUT_WR)
        assert readable(pair.acceptor, 5)
        return none, some, rest, attempt(pair.acceptor.recv, 0)


def a_bad_address(world: World) -> object:
    with world.pair() as pair:
        pair.initiator.sendall(text(3))
        wait_for_bytes(pair.acceptor, 3)
        return attempt(multimsg.recv_to_nowhere, pair.acceptor), pair.acceptor.recv(10)


def order_and_boundaries_do_not_show(world: World) -> object:
    with world.pair() as pair:
        for length in range(1, 200, 7):
            pair.initiator.sendall(text(length))
        pair.initiator.shutdown(socket.SHUT_WR)
        return recv_all(pair.acceptor)


def end_of_file_stays(world: World) -> object:
    with world.pair() as pair:
        pair.initiator.sendall(text(5))
        pair.initiator.shutdown(socket.SHUT_WR)
        data = recv_all(pair.acceptor)
        return data, [pair.acceptor.recv(1) for _ in range(3)]


def what_poll_tells(world: World) -> object:
    with world.pair() as pair:
        poller = select.poll()
        everything = select.POLLIN | select.POLLOUT | select.POLLPRI | select.POLLRDHUP
        poller.register(pair.acceptor, everything)

        def events() -> int:
            return poller.poll(0)[0][1]

        seen = [events()]
        pair.initiator.sendall(text(5))
        wait_for_bytes(pair.acceptor, 5)
        seen.append(events())
        pair.acceptor.recv(5)
        seen.append(events())
        pair.initiator.shutdown(socket.SHUT_WR)
        assert readable(pair.acceptor, 5)
        seen.append(events())
        pair.acceptor.shutdown(socket.SHUT_WR)
        assert eof_or_data(pair.initiator) == b""
        seen.append(events())
        return seen


def edge_triggered(world: World) -> object:
    with world.pair() as pair, select.epoll() as epoll:
        epoll.register(pair.acceptor, select.EPOLLIN | select.EPOLLET)
        counts = [len(epoll.poll(0))]
        for _ in range(2):
            pair.initiator.sendall(text(10))
            counts += [len(epoll.poll(5)), len(epoll.poll(0))]
        return counts, recv_exactly(pair.acceptor, 20)


def owner_gets_sigio(world: World) -> object:
    with world.pair() as pair:
        flags = fcntl.fcntl(pair.acceptor, fcntl.F_GETFL)
        return attempt(fcntl.fcntl, pair.acceptor, fcntl.F_SETFL, flags | fcntl.FASYNC)


def a_receiver_that_shuts_down(world: World) -> object:
    with world.pair() as pair:
        pair.acceptor.shutdown(socket.SHUT_RD)
        first = pair.acceptor.recv(10)
        poller = select.poll()
        poller.register(pair.acceptor, select.POLLIN | select.POLLRDHUP)
        events = poller.poll(0)[0][1]
        pair.acceptor.sendall(text(5))
        return first, events, pair.initiator.recv(10)


def a_wakened_receiver_that_shuts_down(world: World) -> object:
    with world.pair() as pair, meanwhile(lambda: pair.acceptor.shutdown(socket.SHUT_RD)):
        return pair.acceptor.recv(10)


def reset_by_the_peer(world: World) -> object:
    with world.pair() as pair:
        linger = struct.pack("ii", 1, 0)
        pair.initiator.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        pair.initiator.close()
        assert readable(pair.acceptor, 5)
        received = attempt(pair.acceptor.recv, 1)
        return received, attempt(pair.acceptor.send, b"x", socket.MSG_NOSIGNAL)


def error_taken_by_so_error(world: World) -> object:
    with world.pair() as pair:
        linger = struct.pack("ii", 1, 0)
        pair.initiator.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        pair.initiator.close()
        assert readable(pair.acceptor, 5)
        codes = [pair.acceptor.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for _ in range(2)]
        return [errno.errorcode.get(code) for code in codes]


def an_error_is_told_once(world: World) -> object:
    """Also while what arrives is looked at for nobody in particular."""
    told: list[list[str]] = []
    for _ in range(50):
        with world.pair() as pair:
            linger = struct.pack("ii", 1, 0)
            pair.initiator.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            pair.initiator.send(b"x")
            pair.initiator.close()
            codes = [0]
            end = time.monotonic() + 5
            while not codes[-1] and time.monotonic() < end:
                codes.append(pair.acceptor.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            select.select([pair.acceptor], [], [], 0.005)
            codes.append(pair.acceptor.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
            told.append([errno.errorcode[code] for code in codes if code])
    return told
