# SPDX-License-Identifier: GPL-2.0-or-later
"""Properties of connections: how they come to be, and what can be asked of them."""

from __future__ import annotations

import array
import os
import select
import socket
import struct
import time

from tests.in_guest.semantics import multimsg
from tests.in_guest.semantics.world import (
    World,
    attempt,
    meanwhile,
    text,
    wait_for_bytes,
    wait_until,
)
from tests.in_guest.sockets import disconnect, readable, recv_all, recv_exactly


def _free_port(world: World) -> tuple[object, ...]:
    """An address that nobody listens at."""
    with world.socket(socket.SOCK_STREAM) as sock:
        sock.bind((world.over.loopback, 0))
        return tuple(sock.getsockname())


def addresses(world: World) -> object:
    with world.pair() as pair:
        one, other = pair.initiator, pair.acceptor
        return (
            one.getsockname() == other.getpeername(),
            one.getpeername() == other.getsockname(),
            one.getsockname()[0],
            len(one.getsockname()),
        )


def what_the_kernel_calls_it(world: World) -> object:
    options = (socket.SO_DOMAIN, socket.SO_TYPE, socket.SO_PROTOCOL, socket.SO_ACCEPTCONN)
    with world.listening() as server, world.bound() as dgram:
        return [
            [sock.getsockopt(socket.SOL_SOCKET, option) for option in options]
            for sock in (server, dgram)
        ]


def refused(world: World) -> object:
    with world.socket(socket.SOCK_STREAM) as sock:
        return attempt(sock.connect, _free_port(world))


def refused_later(world: World) -> object:
    with world.socket(socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        first = attempt(sock.connect, _free_port(world))
        poller = select.poll()
        poller.register(sock, select.POLLOUT)
        events = poller.poll(5000)[0][1]
        return first, events, sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def without_waiting(world: World) -> object:
    with world.listening() as server, world.socket(socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        first = attempt(sock.connect, server.getsockname())
        poller = select.poll()
        poller.register(sock, select.POLLOUT)
        events = poller.poll(5000)[0][1]
        error = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        again = [attempt(sock.connect, server.getsockname()) for _ in range(2)]
        return first, events, error, again


def sends_wait_for_the_connection(world: World) -> object:
    """To an address that drops what is sent there: nothing is established."""
    with world.listening() as server, world.socket(socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        attempt(sock.connect, server.getsockname())
        sent = wait_until(lambda: attempt(sock.send, text(10)) == 10)
        with server.accept()[0] as accepted:
            return sent, recv_exactly(accepted, 10)


def connected_already(world: World) -> object:
    with world.pair() as pair:
        return attempt(pair.initiator.connect, pair.acceptor.getsockname())


def connected_to_itself(world: World) -> object:
    with world.listening() as server:
        return attempt(server.connect, server.getsockname())


def disconnected_and_connected_again(world: World) -> object:
    with world.listening() as server, world.socket(socket.SOCK_STREAM) as sock:
        answers = []
        for _ in range(2):
            sock.connect(server.getsockname())
            sock.sendall(text(10))
            with server.accept()[0] as accepted:
                answers.append(recv_exactly(accepted, 10))
                disconnect(sock)
                answers.append(attempt(sock.getpeername))
        return answers


def a_wrong_address_family(world: World) -> object:
    with world.socket(socket.SOCK_STREAM) as sock:
        libc = multimsg.LIBC
        unix = struct.pack("H", socket.AF_UNIX) + bytes(26)
        return libc.connect(sock.fileno(), unix, 28), libc.connect(sock.fileno(), unix, 1)


def accept_without_waiting(world: World) -> object:
    with world.listening() as server:
        server.setblocking(False)
        return attempt(server.accept), readable(server)


def accept_waits(world: World) -> object:
    with world.listening() as server, world.socket(socket.SOCK_STREAM) as sock:
        with meanwhile(lambda: sock.connect(server.getsockname())):
            accepted, address = server.accept()
        with accepted:
            return address == sock.getsockname()


def accept_times_out(world: World) -> object:
    with world.listening() as server:
        value = struct.pack("ll", 0, 100_000)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
        start = time.monotonic()
        return attempt(server.accept), time.monotonic() - start >= 0.05


def accept_flags(world: World) -> object:
    with world.listening() as server, world.socket(socket.SOCK_STREAM) as sock:
        sock.connect(server.getsockname())
        fd = multimsg.accept4(server, socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC)
        try:
            bad = attempt(multimsg.accept4, server, 1)
            return os.get_blocking(fd), os.get_inheritable(fd), bad
        finally:
            os.close(fd)


def accept_where_nobody_listens(world: World) -> object:
    with world.socket(socket.SOCK_STREAM) as sock, world.bound() as dgram:
        return attempt(multimsg.accept4, sock, 0), attempt(multimsg.accept4, dgram, 0)


def data_from_before_accept(world: World) -> object:
    with world.listening() as server, world.socket(socket.SOCK_STREAM) as sock:
        sock.connect(server.getsockname())
        sock.sendall(text(40_000))
        sock.close()
        with server.accept()[0] as accepted:
            return recv_all(accepted)


def a_listener_that_closes_resets(world: World) -> object:
    with world.listening() as server, world.socket(socket.SOCK_STREAM) as sock:
        sock.connect(server.getsockname())
        server.close()
        assert readable(sock, 5)
        return attempt(sock.recv, 1)


def a_full_backlog(world: World) -> object:
    with world.socket(socket.SOCK_STREAM) as server:
        server.bind((world.over.loopback, 0))
        server.listen(1)
        poller = select.poll()
        clients = [world.socket(socket.SOCK_STREAM) for _ in range(5)]
        for client in clients:
            client.setblocking(False)
            attempt(client.connect, server.getsockname())
            poller.register(client, select.POLLOUT)
        time.sleep(0.1)
        established = len(poller.poll(0))
        for client in clients:
            client.close()
        return established


def backlog_makes_room(world: World) -> object:
    with world.socket(socket.SOCK_STREAM) as server:
        server.bind((world.over.loopback, 0))
        server.listen(0)
        for _ in range(3):
            with world.socket(socket.SOCK_STREAM) as client:
                client.connect(server.getsockname())
                server.accept()[0].close()
        return True


def address_in_use(world: World) -> object:
    with world.listening() as server, world.socket(socket.SOCK_STREAM) as sock:
        answers = [attempt(sock.bind, server.getsockname())]
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        answers.append(attempt(sock.bind, server.getsockname()))
        return answers


def a_port_shared(world: World) -> object:
    with world.socket(socket.SOCK_STREAM) as one, world.socket(socket.SOCK_STREAM) as other:
        for sock in (one, other):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind((world.over.loopback, 0))
        other.bind(one.getsockname())
        for sock in (one, other):
            sock.listen()
        for _ in range(8):
            with world.socket(socket.SOCK_STREAM) as client:
                client.connect(one.getsockname())
                taker = one if readable(one, 0.01) else other
                with taker.accept()[0] as accepted:
                    client.sendall(text(8))
                    assert recv_exactly(accepted, 8) == text(8)
        return True


def options_of_tcp(world: World) -> object:
    values = {
        socket.TCP_NODELAY: 1,
        socket.TCP_CORK: 1,
        socket.TCP_KEEPIDLE: 77,
        socket.TCP_KEEPINTVL: 7,
        socket.TCP_KEEPCNT: 3,
        socket.TCP_SYNCNT: 2,
        socket.TCP_LINGER2: 9,
        socket.TCP_DEFER_ACCEPT: 1,
        socket.TCP_QUICKACK: 0,
        socket.TCP_USER_TIMEOUT: 5000,
        socket.TCP_NOTSENT_LOWAT: 1234,
        socket.TCP_MAXSEG: 1000,
    }
    with world.socket(socket.SOCK_STREAM) as sock:
        for option, value in values.items():
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
        return [sock.getsockopt(socket.IPPROTO_TCP, option) for option in values]


def options_of_sockets(world: World) -> object:
    values = {
        socket.SO_KEEPALIVE: 1,
        socket.SO_PRIORITY: 3,
        socket.SO_MARK: 5,
        socket.SO_SNDBUF: 100_000,
        socket.SO_RCVBUF: 100_000,
        socket.SO_REUSEADDR: 1,
        socket.SO_DONTROUTE: 1,
        socket.SO_BROADCAST: 1,
    }
    with world.socket(socket.SOCK_STREAM) as sock:
        for option, value in values.items():
            sock.setsockopt(socket.SOL_SOCKET, option, value)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"lo")
        return [sock.getsockopt(socket.SOL_SOCKET, option) for option in values]


def options_that_nobody_knows(world: World) -> object:
    answers = []
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with world.socket(kind) as sock:
            answers += [
                attempt(sock.setsockopt, 12345, 1, 1),
                attempt(sock.getsockopt, 12345, 1, 4),
                attempt(sock.setsockopt, world.ip_level, 12345, 1),
                attempt(sock.setsockopt, socket.SOL_SOCKET, 12345, 1),
            ]
    return answers


def the_state_of_the_connection(world: World) -> object:
    with world.pair() as pair:
        states = [pair.initiator.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)]
        pair.acceptor.shutdown(socket.SHUT_WR)
        assert readable(pair.initiator, 5)
        states.append(pair.initiator.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1))
        return states


def congestion_control(world: World) -> object:
    with world.pair() as pair:
        sock = pair.initiator
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, b"reno")
        sock.sendall(text(100_000))
        received = recv_exactly(pair.acceptor, 100_000) == text(100_000)
        return sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, 16), received


def a_small_segment_size(world: World) -> object:
    with world.listening() as server, world.socket(socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG, 100)
        sock.connect(server.getsockname())
        with server.accept()[0] as accepted:
            sock.sendall(text(20_000))
            return recv_exactly(accepted, 20_000)


def small_buffers(world: World) -> object:
    with world.listening() as server, world.socket(socket.SOCK_STREAM) as sock:
        for end in (server, sock):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        sock.connect(server.getsockname())
        with server.accept()[0] as accepted, meanwhile(lambda: sock.sendall(text(50_000))):
            return recv_exactly(accepted, 50_000) == text(50_000)


def passed_to_another_process(world: World) -> object:
    """By fork, and through a Unix socket."""
    with world.pair() as pair:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            _, ancillary, _, _ = theirs.recvmsg(1, 100)
            (fd,) = array.array("i", ancillary[0][2])
            os.write(fd, text(10))
            os.write(pair.initiator.fileno(), text(7))
            os._exit(0)
        with ours, theirs:
            fds = array.array("i", [pair.initiator.fileno()])
            ours.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
            received = recv_exactly(pair.acceptor, 17)
            os.waitpid(pid, 0)
        # The other process's end did not end the connection.
        pair.initiator.sendall(text(3))
        return received, recv_exactly(pair.acceptor, 3)


def both_names_of_a_duplicate(world: World) -> object:
    with world.pair() as pair:
        with pair.initiator.dup() as other:
            other.sendall(text(5))
        pair.initiator.sendall(text(6))
        pair.initiator.close()
        return recv_all(pair.acceptor)


def read_and_write(world: World) -> object:
    with world.pair() as pair:
        count = os.write(pair.initiator.fileno(), text(10))
        read = os.read(pair.acceptor.fileno(), 4)
        written = os.writev(pair.initiator.fileno(), [text(3), b"", text(4)])
        wait_for_bytes(pair.acceptor, 13)
        return count, read, written, os.readv(pair.acceptor.fileno(), [bytearray(2), bytearray(99)])


def an_idle_connection_stays(world: World) -> object:
    with world.pair() as pair:
        pair.initiator.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
            pair.initiator.setsockopt(socket.IPPROTO_TCP, option, 1)
        time.sleep(1.2)
        pair.initiator.sendall(text(5))
        return recv_exactly(pair.acceptor, 5)


def seeking(world: World) -> object:
    with world.pair() as pair:
        return attempt(os.lseek, pair.initiator.fileno(), 0, 0)
