# SPDX-License-Identifier: GPL-2.0-or-later
"""Properties of sending on a stream."""

from __future__ import annotations

import os
import select
import signal
import socket
import struct
import threading
import time

from tests.in_guest.semantics import multimsg
from tests.in_guest.semantics.world import (
    World,
    attempt,
    ioctl_int,
    meanwhile,
    text,
    wait_for_bytes,
    wait_until,
)
from tests.in_guest.sockets import readable, recv_all, recv_exactly

SIOCOUTQ, SIOCOUTQNSD = 0x5411, 0x894B
MSG_MORE = 0x8000


def more_holds_back(world: World) -> object:
    with world.pair() as pair:
        pair.initiator.send(text(10), MSG_MORE)
        held = readable(pair.acceptor, 0.05)
        pair.initiator.send(text(10))
        return held, recv_exactly(pair.acceptor, 20)


def more_is_not_kept_for_ever(world: World) -> object:
    with world.pair() as pair:
        pair.initiator.send(text(10), MSG_MORE)
        return readable(pair.acceptor, 5), pair.acceptor.recv(20)


def more_leaves_with_the_end(world: World) -> object:
    with world.pair() as pair:
        pair.initiator.send(text(10), MSG_MORE)
        pair.initiator.shutdown(socket.SHUT_WR)
        return recv_all(pair.acceptor)


def cork_holds_back(world: World) -> object:
    with world.pair() as pair:
        pair.initiator.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        pair.initiator.send(text(10))
        held = readable(pair.acceptor, 0.05)
        pair.initiator.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        return held, recv_exactly(pair.acceptor, 10)


def unsent_bytes_are_plaintext(world: World) -> object:
    with world.pair() as pair:
        sock = pair.initiator
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 1)
        counts = []
        for length in (0, 100, 7):
            sock.send(text(length))
            counts += [ioctl_int(sock, SIOCOUTQ), ioctl_int(sock, SIOCOUTQNSD)]
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CORK, 0)
        recv_exactly(pair.acceptor, 107)
        gone = wait_until(lambda: not ioctl_int(sock, SIOCOUTQ))
        return counts, gone, ioctl_int(sock, SIOCOUTQNSD)


def unsent_bytes_while_the_peer_does_not_read(world: World) -> object:
    with world.pair() as pair:
        sock = pair.initiator
        sock.setblocking(False)
        sent = 0
        while isinstance(part := attempt(sock.send, text(50_000)), int):
            sent += part
        waiting = ioctl_int(sock, SIOCOUTQ)
        sock.setblocking(True)
        recv_exactly(pair.acceptor, sent)
        gone = wait_until(lambda: not ioctl_int(sock, SIOCOUTQ))
        return part, 0 < waiting <= sent, gone


def unsent_bytes_of_a_listener(world: World) -> object:
    with world.listening() as server:
        return attempt(ioctl_int, server, SIOCOUTQ)


def a_full_buffer(world: World) -> object:
    with world.pair() as pair:
        sock = pair.initiator
        sock.setblocking(False)
        sent = 0
        while isinstance(part := attempt(sock.send, text(100_000)), int):
            sent += part
        poller = select.poll()
        poller.register(sock, select.POLLOUT)
        full = poller.poll(0)
        with meanwhile(lambda: recv_exactly(pair.acceptor, sent)):
            room = poller.poll(5000)
        return part, full, [events for _, events in room]


def send_timeout(world: World) -> object:
    with world.pair() as pair:
        sock = pair.initiator
        sock.setblocking(False)
        while isinstance(attempt(sock.send, text(100_000)), int):
            pass
        sock.setblocking(True)
        value = struct.pack("ll", 0, 100_000)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, value)
        start = time.monotonic()
        sent = attempt(sock.send, text(1 << 22))
        # A little may fit still, by each one's measure.
        return sent == "EAGAIN" or sent < 1 << 22, time.monotonic() - start >= 0.05


def a_blocked_sender_sends_all(world: World) -> object:
    with world.pair() as pair:
        received = bytearray()
        reader = threading.Thread(target=lambda: received.extend(recv_all(pair.acceptor)))
        reader.start()
        sent = pair.initiator.send(text(3_000_000))
        pair.initiator.shutdown(socket.SHUT_WR)
        reader.join(20)
        return sent, bytes(received) == text(3_000_000)


def nothing(world: World) -> object:
    with world.pair() as pair:
        sent = pair.initiator.send(b"")
        return sent, readable(pair.acceptor, 0.05)


def nothing_after_shutdown(world: World) -> object:
    with world.pair() as pair:
        pair.initiator.shutdown(socket.SHUT_WR)
        return attempt(pair.initiator.send, b"")


def gathered_from_buffers(world: World) -> object:
    with world.pair() as pair:
        sent = pair.initiator.sendmsg([text(3), b"", text(10), text(20_000)])
        return sent, recv_exactly(pair.acceptor, 20_013)


def too_many_buffers(world: World) -> object:
    with world.pair() as pair:
        return attempt(pair.initiator.sendmsg, [b"x"] * 1025)


def to_an_address(world: World) -> object:
    with world.pair() as pair:
        address = pair.acceptor.getsockname()
        sent = attempt(pair.initiator.sendto, text(5), 0, address)
        return sent, recv_exactly(pair.acceptor, 5)


def several_messages_at_once(world: World) -> object:
    with world.pair() as pair:
        sent = multimsg.sendmmsg(pair.initiator, [text(3), text(0), text(500)])
        return sent, recv_exactly(pair.acceptor, 503)


def control_messages_that_are_wrong(world: World) -> object:
    with world.pair() as pair:
        answers = [
            attempt(pair.initiator.sendmsg, [text(3)], [(level, 12345, b"xxxx")])
            for level in (socket.SOL_SOCKET, world.ip_level, socket.IPPROTO_TCP)
        ]
        return answers, recv_exactly(pair.acceptor, 6)


def from_a_bad_address(world: World) -> object:
    with world.pair() as pair:
        return attempt(multimsg.send_from_nowhere, pair.initiator)


def _dies_of_sigpipe(sock: socket.socket, flags: int) -> object:
    """How a process ends that sends after its shutdown."""
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os._exit(0 if attempt(sock.send, b"x", flags) == "EPIPE" else 1)
    return os.waitpid(pid, 0)[1]


def broken_pipe(world: World) -> object:
    with world.pair() as pair:
        pair.initiator.shutdown(socket.SHUT_WR)
        return [_dies_of_sigpipe(pair.initiator, flags) for flags in (0, socket.MSG_NOSIGNAL)]


def not_connected(world: World) -> object:
    with world.socket(socket.SOCK_STREAM) as sock, world.listening() as server:
        return [
            attempt(sock.send, b"x"),
            attempt(sock.recv, 1),
            attempt(sock.shutdown, socket.SHUT_WR),
            attempt(sock.getpeername),
            attempt(server.send, b"x"),
            attempt(server.recv, 1),
        ]


def half_close(world: World) -> object:
    with world.pair() as pair:
        pair.initiator.sendall(text(10))
        pair.initiator.shutdown(socket.SHUT_WR)
        request = recv_all(pair.acceptor)
        pair.acceptor.sendall(text(20))
        pair.acceptor.close()
        return request, recv_all(pair.initiator)


def close_delivers_what_was_sent(world: World) -> object:
    with world.pair() as pair:
        pair.initiator.setblocking(False)
        sent = 0
        while isinstance(part := attempt(pair.initiator.send, text(30_001)), int):
            sent += part
        pair.initiator.close()
        return len(recv_all(pair.acceptor)) == sent


def lingering_close(world: World) -> object:
    with world.pair() as pair:
        value = struct.pack("ii", 1, 5)
        pair.initiator.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, value)
        got = pair.initiator.getsockopt(socket.SOL_SOCKET, socket.SO_LINGER, 8)
        pair.initiator.sendall(text(1000))
        with meanwhile(pair.initiator.close):
            return got, recv_all(pair.acceptor)


def close_with_unread_data_resets(world: World) -> object:
    with world.pair() as pair:
        pair.acceptor.sendall(text(2000))
        wait_for_bytes(pair.initiator, 2000)
        pair.initiator.close()
        assert readable(pair.acceptor, 5)
        return attempt(pair.acceptor.recv, 1)


def both_ways_at_once(world: World) -> object:
    with world.pair() as pair:
        received: dict[int, bool] = {}

        def talk(sock: socket.socket) -> None:
            writer = threading.Thread(target=lambda: sock.sendall(text(500_000)))
            writer.start()
            received[sock.fileno()] = recv_exactly(sock, 500_000) == text(500_000)
            writer.join(20)

        ends = [threading.Thread(target=talk, args=(s,)) for s in (pair.initiator, pair.acceptor)]
        for end in ends:
            end.start()
        for end in ends:
            end.join(20)
        return sorted(received.values())


def several_readers_share(world: World) -> object:
    with world.pair() as pair:
        counts: list[int] = []
        readers = [
            threading.Thread(target=lambda: counts.append(len(recv_all(pair.acceptor))))
            for _ in range(3)
        ]
        for reader in readers:
            reader.start()
        for _ in range(20):
            pair.initiator.sendall(text(5000))
        pair.initiator.shutdown(socket.SHUT_WR)
        for reader in readers:
            reader.join(20)
        return sum(counts), len(counts)
