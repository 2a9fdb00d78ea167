# SPDX-License-Identifier: GPL-2.0-or-later
"""Properties of datagrams."""

from __future__ import annotations

import fcntl
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.in_guest.semantics import multimsg
from tests.in_guest.semantics.world import World, attempt, ioctl_int, meanwhile, text
from tests.in_guest.sockets import disconnect, readable

FIONREAD, SIOCSIFMTU = 0x541B, 0x8922
IP_PKTINFO, IP_TTL, IP_RECVTTL, IP_TOS, IP_RECVTOS, IP_RECVERR = 8, 2, 12, 1, 13, 11
IPV6_RECVPKTINFO, IPV6_PKTINFO, IPV6_RECVHOPLIMIT, IPV6_HOPLIMIT = 49, 50, 51, 52
IPV6_RECVTCLASS, IPV6_TCLASS, IPV6_RECVERR = 66, 67, 25
SO_NO_CHECK, SO_TIMESTAMPNS, SO_RXQ_OVFL = 11, 35, 40
MSG_CONFIRM, MSG_DONTROUTE = 0x800, 4


def there_and_back(world: World) -> object:
    with world.bound() as server, world.bound() as client:
        client.sendto(text(100), server.getsockname())
        request, address = server.recvfrom(1000)
        server.sendto(text(50), address)
        reply, back = client.recvfrom(1000)
        return request, address == client.getsockname(), reply, back == server.getsockname()


def connected(world: World) -> object:
    with world.connected() as (client, server):
        client.send(text(10))
        data, address = server.recvfrom(100)
        server.sendto(text(5), address)
        return data, client.recv(100), client.getpeername() == server.getsockname()


def a_connected_one_hears_its_peer_only(world: World) -> object:
    with world.connected() as (client, server), world.bound() as stranger:
        client.send(b"")
        _, address = server.recvfrom(1)
        stranger.sendto(text(9), address)
        server.sendto(text(5), address)
        return client.recv(100), readable(client, 0.02)


def connected_to_another_and_to_none(world: World) -> object:
    with world.connected() as (client, _), world.bound() as other:
        client.connect(other.getsockname())
        client.send(text(5))
        received = other.recv(10)
        disconnect(client)
        return received, attempt(client.send, b"x"), attempt(client.getpeername)


def a_connected_one_sends_elsewhere(world: World) -> object:
    with world.connected() as (client, _), world.bound() as other:
        client.sendto(text(5), other.getsockname())
        return other.recv(10)


def without_a_destination(world: World) -> object:
    with world.socket(socket.SOCK_DGRAM) as sock:
        return attempt(sock.send, b"x"), attempt(sock.shutdown, socket.SHUT_WR)


def empty(world: World) -> object:
    with world.connected() as (client, server):
        sent = client.send(b"")
        seen = readable(server, 5), ioctl_int(server, FIONREAD)
        return sent, seen, server.recvfrom(10)[0], readable(server)


def boundaries(world: World) -> object:
    with world.connected() as (client, server):
        for length in (1, 0, 16, 3000, 15):
            client.send(text(length))
        return [server.recv(5000) for _ in range(5)]


def the_longest(world: World) -> object:
    with world.connected() as (client, server):
        size = world.max_datagram
        client.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        sent = [attempt(client.send, text(length)) for length in (size + 1, size)]
        return sent[0], sent[1] == size, len(server.recv(70_000)) == size


def far_too_long(world: World) -> object:
    with world.connected() as (client, _):
        return attempt(client.send, bytes(1 << 17))


def truncated(world: World) -> object:
    with world.connected() as (client, server):
        answers: list[object] = []
        for flags in (0, socket.MSG_TRUNC, socket.MSG_PEEK, socket.MSG_PEEK | socket.MSG_TRUNC):
            client.send(text(100))
            buffer = bytearray(10)
            count, _, said, _ = server.recvmsg_into([buffer], 0, flags)
            answers.append((count, buffer, said))
        return answers, server.recv(5), ioctl_int(server, FIONREAD)


def peeked(world: World) -> object:
    with world.connected() as (client, server):
        client.send(text(10))
        client.send(text(20))
        peeks = [server.recvfrom(100, socket.MSG_PEEK)[0] for _ in range(2)]
        return peeks, server.recv(100), server.recv(100, socket.MSG_PEEK), server.recv(100)


def waiting_for_all_of_a_datagram(world: World) -> object:
    with world.connected() as (client, server):
        client.send(text(10))
        return server.recv(100, socket.MSG_WAITALL)


def fionread_is_the_next_one(world: World) -> object:
    with world.connected() as (client, server):
        counts = [ioctl_int(server, FIONREAD)]
        client.send(text(10))
        client.send(text(20))
        counts.append(ioctl_int(server, FIONREAD))
        server.recv(1)
        return [*counts, ioctl_int(server, FIONREAD)]


def scattered_and_gathered(world: World) -> object:
    with world.connected() as (client, server):
        sent = client.sendmsg([text(3), b"", text(10)])
        buffers = [bytearray(n) for n in (1, 20)]
        return sent, server.recvmsg_into(buffers)[:3], buffers


def several_at_once(world: World) -> object:
    with world.connected() as (client, server):
        sent = multimsg.sendmmsg(client, [text(3), text(0), text(500)])
        assert readable(server, 5)
        received = multimsg.recvmmsg(server, 5, 100, socket.MSG_DONTWAIT)
        return sent, received, attempt(multimsg.recvmmsg, server, 5, 100, socket.MSG_DONTWAIT)


def no_waiting(world: World) -> object:
    with world.bound() as server:
        return attempt(server.recv, 1, socket.MSG_DONTWAIT), readable(server)


def receive_timeout(world: World) -> object:
    with world.bound() as server:
        value = struct.pack("ll", 0, 100_000)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, value)
        start = time.monotonic()
        return attempt(server.recv, 1), time.monotonic() - start >= 0.05


def a_reader_waits(world: World) -> object:
    with world.connected() as (client, server), meanwhile(lambda: client.send(text(10))):
        return server.recv(100)


def what_poll_tells(world: World) -> object:
    with world.connected() as (client, server):
        poller = select.poll()
        poller.register(server, select.POLLIN | select.POLLOUT | select.POLLPRI | select.POLLRDHUP)
        seen = [poller.poll(0)]
        client.send(text(5))
        seen.append(poller.poll(5000))
        server.recv(5)
        seen.append(poller.poll(0))
        return [[events for _, events in step] for step in seen]


def shut_down_receiving(world: World) -> object:
    with world.connected() as (client, _):
        client.shutdown(socket.SHUT_RD)
        poller = select.poll()
        poller.register(client, select.POLLIN | select.POLLRDHUP)
        return client.recv(10), [events for _, events in poller.poll(0)]


def shut_down_wakes(world: World) -> object:
    with world.connected() as (client, _):
        with meanwhile(lambda: client.shutdown(socket.SHUT_RDWR)):
            received = client.recv(10)
        return received, attempt(client.send, b"x", socket.MSG_NOSIGNAL)


def told_by_control_messages(world: World) -> object:
    with world.bound() as server, world.bound() as client:
        if world.over.family == socket.AF_INET:
            asked, given = (IP_PKTINFO, IP_RECVTTL, IP_RECVTOS), {IP_TTL: 77, IP_TOS: 0x10}
        else:
            asked = (IPV6_RECVPKTINFO, IPV6_RECVHOPLIMIT, IPV6_RECVTCLASS)
            given = {16: 77, IPV6_TCLASS: 0x10}
        for option in asked:
            server.setsockopt(world.ip_level, option, 1)
        for option, value in given.items():
            client.setsockopt(world.ip_level, option, value)
        client.sendto(text(10), server.getsockname())
        data, ancillary, flags, address = server.recvmsg(100, 500)
        return data, sorted(ancillary), flags, address == client.getsockname()


def said_by_control_messages(world: World) -> object:
    with world.bound() as server, world.socket(socket.SOCK_DGRAM) as client:
        if world.over.family == socket.AF_INET:
            server.setsockopt(world.ip_level, IP_RECVTTL, 1)
            said = [
                (world.ip_level, IP_TTL, struct.pack("i", 33)),
                (
                    world.ip_level,
                    IP_PKTINFO,
                    struct.pack("=I4s4s", 0, bytes((127, 0, 0, 5)), bytes(4)),
                ),
            ]
        else:
            server.setsockopt(world.ip_level, IPV6_RECVHOPLIMIT, 1)
            said = [(world.ip_level, IPV6_HOPLIMIT, struct.pack("i", 33))]
        client.sendmsg([text(10)], said, 0, server.getsockname())
        data, ancillary, _, address = server.recvmsg(100, 500)
        return data, ancillary, address[0]


def control_messages_that_are_wrong(world: World) -> object:
    with world.connected() as (client, _):
        wrong = [(world.ip_level, 12345, b"xxxx")]
        return attempt(client.sendmsg, [text(3)], wrong)


def control_messages_cut_off(world: World) -> object:
    with world.connected() as (client, server):
        server.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        client.send(text(10))
        data, ancillary, flags, _ = server.recvmsg(100, socket.CMSG_LEN(4))
        return data, [len(value) for _, _, value in ancillary], flags


def _unreachable(world: World) -> socket.socket:
    """Connected to where nobody is."""
    client = world.socket(socket.SOCK_DGRAM)
    with world.bound() as gone:
        client.connect(gone.getsockname())
    return client


def nobody_there(world: World) -> object:
    with _unreachable(world) as client:
        sent = client.send(text(10))
        poller = select.poll()
        poller.register(client, select.POLLIN)
        events = [e for _, e in poller.poll(5000)]
        return sent, events, attempt(client.recv, 10), attempt(client.recv, 1, socket.MSG_DONTWAIT)


def nobody_there_and_sending(world: World) -> object:
    with _unreachable(world) as client:
        return [attempt(client.send, text(10)) for _ in range(3)]


def nobody_there_wakes_a_reader(world: World) -> object:
    with _unreachable(world) as client, meanwhile(lambda: client.send(text(1))):
        return attempt(client.recv, 10)


def nobody_there_by_so_error(world: World) -> object:
    with _unreachable(world) as client:
        client.send(text(10))
        return [client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) for _ in range(2)]


def errors_in_the_queue(world: World) -> object:
    option = IP_RECVERR if world.over.family == socket.AF_INET else IPV6_RECVERR
    with _unreachable(world) as client:
        client.setsockopt(world.ip_level, option, 1)
        client.send(text(10))
        _, ancillary, flags, address = client.recvmsg(0, 500, socket.MSG_ERRQUEUE)
        ((level, kind, value),) = ancillary
        number, origin, icmp_type, code = struct.unpack_from("=IBBB", value)
        return (
            (level, kind, number, origin, icmp_type, code, flags),
            address == client.getpeername(),
            attempt(client.recvmsg, 10, 100, socket.MSG_ERRQUEUE),
        )


def flags_that_udp_knows(world: World) -> object:
    with world.connected() as (client, server):
        for flags in (MSG_CONFIRM, MSG_DONTROUTE, socket.MSG_DONTWAIT, socket.MSG_NOSIGNAL):
            client.send(text(10), flags)
        received = [server.recv(100) for _ in range(4)]
        return received, attempt(client.send, b"x", socket.MSG_OOB)


@contextmanager
def _loopback_mtu(mtu: int) -> Iterator[None]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        fcntl.ioctl(sock, SIOCSIFMTU, struct.pack("16si20x", b"lo", mtu))
        try:
            yield
        finally:
            fcntl.ioctl(sock, SIOCSIFMTU, struct.pack("16si20x", b"lo", 65536))


def fragments(world: World) -> object:
    with _loopback_mtu(1500), world.connected() as (client, server):
        for length in (1400, 1500, 9000, 60_000):
            client.send(text(length))
        return [server.recv(70_000) == text(length) for length in (1400, 1500, 9000, 60_000)]


def dont_fragment(world: World) -> object:
    mtu_discover, always = (10, 2) if world.over.family == socket.AF_INET else (23, 2)
    with _loopback_mtu(1500), world.connected() as (client, server):
        client.setsockopt(world.ip_level, mtu_discover, always)
        return attempt(client.send, text(9000)), client.send(text(1000)), server.recv(2000)


def without_a_checksum(world: World) -> object:
    with world.connected() as (client, server):
        client.setsockopt(socket.SOL_SOCKET, SO_NO_CHECK, 1)
        client.send(text(10))
        return readable(server, 0.1) and server.recv(100)


def a_queue_that_overflows(world: World) -> object:
    with world.connected() as (client, server):
        server.setsockopt(socket.SOL_SOCKET, SO_RXQ_OVFL, 1)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        for _ in range(50):
            client.send(text(500))
        received = 0
        while readable(server):
            server.recv(1000)
            received += 1
        client.send(text(5))
        _, ((level, kind, value),), _, _ = server.recvmsg(100, 100)
        (lost,) = struct.unpack("I", value)
        return level, kind, received + lost


def a_port_shared(world: World) -> object:
    with world.socket(socket.SOCK_DGRAM) as one, world.socket(socket.SOCK_DGRAM) as other:
        for sock in (one, other):
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        one.bind((world.over.loopback, 0))
        other.bind(one.getsockname())
        for _ in range(16):
            with world.socket(socket.SOCK_DGRAM) as client:
                client.sendto(text(8), one.getsockname())
        received = 0
        while readable(one, 0.05) or readable(other):
            received += len((one if readable(one) else other).recv(100))
        return received


def many_threads(world: World) -> object:
    with world.connected() as (client, server):
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        senders = [
            threading.Thread(target=lambda: [client.send(text(100)) for _ in range(25)])
            for _ in range(4)
        ]
        for sender in senders:
            sender.start()
        received = {server.recv(1000) for _ in range(100)}
        for sender in senders:
            sender.join(20)
        return received


def one_socket_for_both(world: World) -> object:
    """An IPv6 socket takes IPv4's addresses, unless it is told not to."""
    if world.over.family == socket.AF_INET:
        return None
    with world.socket(socket.SOCK_DGRAM) as server, world.socket(socket.SOCK_DGRAM) as client:
        server.bind(("::", 0))
        port = server.getsockname()[1]
        client.sendto(text(10), ("::ffff:127.0.0.1", port))
        data, address = server.recvfrom(100)
        client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        return data, address[0]
