# SPDX-License-Identifier: GPL-2.0-or-later
"""Where AF_NST answers otherwise than AF_INET, and why it has to.

Each is asked of both, so that a difference that goes away is noticed.
"""

from __future__ import annotations

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Callable
from typing import Any, NamedTuple

from tests.in_guest.semantics import cmsgs
from tests.in_guest.semantics.uring import IORING_OP_SEND_ZC, Uring
from tests.in_guest.semantics.world import World, attempt, text
from tests.in_guest.sockets import LIBC, readable

MSG_MORE, MSG_ZEROCOPY = 0x8000, 0x4000000
TCP_REPAIR, TCP_ULP, TCP_FASTOPEN_CONNECT, TCP_ZEROCOPY_RECEIVE = 19, 31, 30, 35
SO_ZEROCOPY, SO_PEEK_OFF = 60, 42
UDP_CORK, UDP_ENCAP, UDP_SEGMENT, UDP_GRO = 1, 100, 103, 104
UDP_ENCAP_L2TPINUDP = 3  # the kind that kernels without IPsec have, too
IPV6_ADDRFORM = 1
IP_RECVERR, IPV6_RECVERR = 11, 25
BPF_MAP_CREATE, BPF_MAP_UPDATE_ELEM, BPF_MAP_TYPE_SOCKMAP = 0, 2, 15
SYS_BPF = 321

BEFORE_6_3 = tuple(map(int, os.uname().release.split(".")[:2])) < (6, 3)
"""The kernel answers SOL_SOCKET options without the module then."""

CLEAR = "it would leave, or arrive, in clear"
WHOLE = "a datagram is one record"
SEALED = "TCP counts ciphertext"
REFUSED = errno.errorcode[errno.EOPNOTSUPP]


class Difference(NamedTuple):
    """A property, what AF_INET answers, what AF_NST answers, and why."""

    ask: Callable[[World], object]
    inet: object
    nst: object
    why: str

    def __str__(self) -> str:
        return self.ask.__name__


def _on_a_stream(call: Callable[[socket.socket], object]) -> Callable[[World], object]:
    def ask(world: World) -> object:
        with world.pair() as pair:
            return attempt(call, pair.initiator)

    return ask


def _set(kind: socket.SocketKind, level: int, option: int, value: Any) -> Callable[[World], object]:
    def ask(world: World) -> object:
        with world.socket(kind) as sock:
            return attempt(sock.setsockopt, level, option, value)

    return ask


def _named(name: str, ask: Callable[[World], object]) -> Callable[[World], object]:
    ask.__name__ = name
    return ask


def _send(flags: int) -> Callable[[World], object]:
    return _on_a_stream(lambda sock: sock.send(text(10), flags))


def _fast_open(world: World) -> object:
    with world.listening() as server, world.socket(socket.SOCK_STREAM) as sock:
        server_option = attempt(server.setsockopt, socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 5)
        sent = attempt(sock.sendto, text(10), socket.MSG_FASTOPEN, server.getsockname())
        return server_option, sent


def _zerocopy_by_ring(world: World) -> object:
    with world.pair() as pair, Uring() as ring:
        buffer = ctypes.create_string_buffer(text(10), 10)
        return attempt(ring.call, IORING_OP_SEND_ZC, pair.initiator, buffer)


def _into_a_sockmap(sock: socket.socket) -> object:
    attributes = struct.pack("=5I", BPF_MAP_TYPE_SOCKMAP, 4, 4, 1, 0) + bytes(100)
    fd = LIBC.syscall(SYS_BPF, BPF_MAP_CREATE, attributes, len(attributes))
    if fd < 0:
        raise OSError(ctypes.get_errno(), "BPF_MAP_CREATE")
    key, value = ctypes.c_uint32(0), ctypes.c_uint32(sock.fileno())
    update = struct.pack("=I4xQQQ", fd, ctypes.addressof(key), ctypes.addressof(value), 0)
    result = LIBC.syscall(SYS_BPF, BPF_MAP_UPDATE_ELEM, update, len(update))
    number = ctypes.get_errno()
    LIBC.close(fd)
    if result < 0:
        raise OSError(number, "BPF_MAP_UPDATE_ELEM")
    return None


def _corked_datagrams(world: World) -> object:
    with world.connected() as (client, _):
        return [
            attempt(client.send, text(3), MSG_MORE),
            attempt(client.setsockopt, socket.IPPROTO_UDP, UDP_CORK, 1),
        ]


def _segmented_datagrams(world: World) -> object:
    with world.connected() as (client, _):
        said = [(socket.IPPROTO_UDP, UDP_SEGMENT, struct.pack("H", 10))]
        return [
            attempt(client.setsockopt, socket.IPPROTO_UDP, UDP_SEGMENT, 10),
            attempt(client.sendmsg, [text(30)], said),
            attempt(client.setsockopt, socket.IPPROTO_UDP, UDP_GRO, 1),
        ]


def _multicast(world: World) -> object:
    group = "224.0.0.251" if world.over.family == socket.AF_INET else "ff02::fb%lo"
    index = socket.if_nametoindex("lo")
    with world.socket(socket.SOCK_DGRAM) as sock:
        if world.over.family == socket.AF_INET:
            sock.setsockopt(
                socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("=4s4si", b"", b"", index)
            )
        return attempt(sock.sendto, text(3), (group, 9)) == REFUSED


def _what_is_not_ours_to_read(world: World) -> object:
    option = IP_RECVERR if world.over.family == socket.AF_INET else IPV6_RECVERR
    with world.socket(socket.SOCK_DGRAM) as client:
        with world.bound() as gone:
            client.connect(gone.getsockname())
        client.setsockopt(world.ip_level, option, 1)
        client.send(text(10))
        data, _, flags, _ = client.recvmsg(100, 500, socket.MSG_ERRQUEUE)
        return data, bool(flags & socket.MSG_TRUNC)


def _byte_that_a_stamp_names(world: World) -> object:
    with world.pair() as pair:
        on_the_way = cmsgs.stamps_of_sending(pair.initiator, lambda: pair.initiator.send(text(10)))
        return [number for _, number in on_the_way]


def _low_water_read_back(world: World) -> object:
    with world.socket(socket.SOCK_STREAM) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT, 100)
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_RCVLOWAT)


def _out_of_band_in_line(world: World) -> object:
    with world.socket(socket.SOCK_STREAM) as sock:
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_OOBINLINE)


def _end_after_a_reset(world: World) -> object:
    with world.pair() as pair:
        linger = struct.pack("ii", 1, 0)
        pair.initiator.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        pair.initiator.close()
        assert readable(pair.acceptor, 5)
        return [attempt(pair.acceptor.recv, 1) for _ in range(3)]


def _stamp_of_one_send(sock: socket.socket) -> object:
    return sock.sendmsg([text(10)], [cmsgs.of_sending(cmsgs.TX_SOFTWARE)])


STREAM, DGRAM = socket.SOCK_STREAM, socket.SOCK_DGRAM
TCP, UDP = socket.IPPROTO_TCP, socket.IPPROTO_UDP

DIFFERENCES = [
    Difference(_named("urgent data", _send(socket.MSG_OOB)), 10, REFUSED, "outside of records"),
    Difference(_named("zero-copy send", _send(MSG_ZEROCOPY)), 10, REFUSED, CLEAR),
    Difference(
        _named("SO_ZEROCOPY", _set(STREAM, socket.SOL_SOCKET, SO_ZEROCOPY, 1)),
        None, None if BEFORE_6_3 else REFUSED, CLEAR,
    ),
    Difference(_named("zero-copy by io_uring", _zerocopy_by_ring), 10, REFUSED, CLEAR),
    Difference(_named("fast open", _fast_open), (None, 10), (REFUSED, REFUSED), CLEAR),
    Difference(
        _named("fast open later", _set(STREAM, TCP, TCP_FASTOPEN_CONNECT, 1)), None, REFUSED, CLEAR
    ),
    Difference(_named("repair", _set(STREAM, TCP, TCP_REPAIR, 1)), None, REFUSED, CLEAR),
    Difference(
        _named("zero-copy receive", _on_a_stream(
            lambda sock: bool(sock.getsockopt(TCP, TCP_ZEROCOPY_RECEIVE, 40))
        )), "EINVAL", REFUSED, CLEAR,
    ),
    Difference(
        _named("a TLS layer", _on_a_stream(lambda sock: sock.setsockopt(TCP, TCP_ULP, b"tls"))),
        None, REFUSED, CLEAR,
    ),
    Difference(_named("sockmap", _on_a_stream(_into_a_sockmap)), None, "EBUSY", CLEAR),
    Difference(
        _named("corked datagrams", _corked_datagrams), [3, None], [REFUSED, REFUSED], WHOLE
    ),
    Difference(
        _named("segmented datagrams", _segmented_datagrams),
        [None, 30, None], [REFUSED, REFUSED, REFUSED], WHOLE,
    ),
    Difference(
        _named("tunnels", _set(DGRAM, UDP, UDP_ENCAP, UDP_ENCAP_L2TPINUDP)),
        None, REFUSED, CLEAR,
    ),
    Difference(
        _named("peek offset of datagrams", _set(DGRAM, socket.SOL_SOCKET, SO_PEEK_OFF, 3)),
        None, REFUSED, "it would look into datagrams that were not judged yet",
    ),
    Difference(_named("multicast", _multicast), False, True, "datagrams are unicast (section 7)"),
    Difference(
        _named("payload of an error", _what_is_not_ours_to_read),
        (text(10), False), (b"", True), "it comes back as it went: sealed",
    ),
    Difference(
        _named("end of file after a reset", _end_after_a_reset),
        ["ECONNRESET", b"", b""], ["ECONNRESET"] * 3,
        "recv returns 0 after an authentic CLOSE only (section 11)",
    ),
    Difference(
        _named("byte that a stamp of sending names", _byte_that_a_stamp_names), [9], [57], SEALED
    ),
    Difference(
        _named("stamp of one send", _on_a_stream(_stamp_of_one_send)), 10, REFUSED,
        "a send is several records",
    ),
    Difference(
        _named("low water read back", _low_water_read_back), 100, 1,
        "TCP would hold ciphertext back; the kernel reads the option past the module",
    ),
    Difference(
        _named("urgent data in line", _out_of_band_in_line), 0, 1,
        "out of line an urgent pointer would take a byte out of a record",
    ),
]  # fmt: skip
