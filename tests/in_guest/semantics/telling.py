# SPDX-License-Identifier: GPL-2.0-or-later
"""Properties of what is told along with data: when it came or left, how much more there is."""

from __future__ import annotations

import socket
import time

from tests.in_guest.semantics import cmsgs
from tests.in_guest.semantics.world import World, attempt, text, wait_for_bytes

TCP_INQ = 36
SHORT_S = 0.05


def the_time_that_data_came(world: World) -> object:
    answers = []
    for option, value in cmsgs.OPTIONS.items():
        with world.pair() as pair:
            pair.acceptor.setsockopt(socket.SOL_SOCKET, option, value)
            since_s = time.time()
            pair.initiator.sendall(text(20))
            wait_for_bytes(pair.acceptor, 20)
            for flags in (socket.MSG_PEEK, 0, 0):
                data, ancillary, said, _ = pair.acceptor.recvmsg(10, cmsgs.ROOM, flags)
                answers.append((data, cmsgs.told_between(ancillary, since_s), said))
            pair.initiator.shutdown(socket.SHUT_WR)
            answers.append(pair.acceptor.recvmsg(10, cmsgs.ROOM))
    return answers


def the_time_that_the_last_of_it_came(world: World) -> object:
    with world.pair() as pair:
        pair.acceptor.setsockopt(socket.SOL_SOCKET, cmsgs.SO_TIMESTAMPNS, 1)
        for length in (10, 20):
            pair.initiator.sendall(text(length))
            wait_for_bytes(pair.acceptor, length)
            time.sleep(SHORT_S)
        told = []
        for length in (5, 30):
            _, ancillary, _, _ = pair.acceptor.recvmsg(length, cmsgs.ROOM, socket.MSG_PEEK)
            (stamp,) = cmsgs.stamps(ancillary)
            told.append(stamp.time_s)
        return told[1] - told[0] >= SHORT_S


def times_in_two_ways_and_in_none(world: World) -> object:
    answers = []
    with world.listening() as server, world.socket(socket.SOCK_STREAM) as sock:
        # What an accepted connection tells is what its listener was told to.
        server.setsockopt(socket.SOL_SOCKET, cmsgs.SO_TIMESTAMP, 1)
        server.setsockopt(socket.SOL_SOCKET, cmsgs.SO_TIMESTAMPING, cmsgs.OPTIONS[37])
        sock.connect(server.getsockname())
        with server.accept()[0] as accepted:
            for off in (None, cmsgs.SO_TIMESTAMP, cmsgs.SO_TIMESTAMPING):
                since_s = time.time()
                sock.sendall(text(10))
                wait_for_bytes(accepted, 10)
                if off:
                    accepted.setsockopt(socket.SOL_SOCKET, off, 0)
                _, ancillary, _, _ = accepted.recvmsg(10, cmsgs.ROOM)
                answers.append(cmsgs.told_between(ancillary, since_s))
    return answers


def times_cut_off(world: World) -> object:
    with world.pair() as pair:
        pair.acceptor.setsockopt(socket.SOL_SOCKET, cmsgs.SO_TIMESTAMPNS, 1)
        pair.initiator.sendall(text(30))
        wait_for_bytes(pair.acceptor, 30)
        cut = pair.acceptor.recvmsg(10, socket.CMSG_LEN(4))
        none = pair.acceptor.recvmsg(10)
        return len(cut[1][0][2]), cut[2], none[1:3], pair.acceptor.recv(10)


def how_much_is_left(world: World) -> object:
    tcp = socket.IPPROTO_TCP
    with world.pair() as pair:
        sock = pair.acceptor
        options = [sock.getsockopt(tcp, TCP_INQ), attempt(sock.setsockopt, tcp, TCP_INQ, 2)]
        sock.setsockopt(tcp, TCP_INQ, 1)
        options.append(sock.getsockopt(tcp, TCP_INQ))
        for length in (100, 1, 30_000):
            pair.initiator.sendall(text(length))
        wait_for_bytes(sock, 30_101)
        told = [
            sock.recvmsg(length, cmsgs.ROOM, flags)[1:3]
            for length, flags in ((40, 0), (100, socket.MSG_PEEK), (61, 0), (30_000, 0))
        ]
        failed = attempt(sock.recvmsg, 1, cmsgs.ROOM, socket.MSG_DONTWAIT)
        pair.initiator.sendall(text(5))
        pair.initiator.shutdown(socket.SHUT_WR)
        # TCP has to know of the end, too, before it is asked.
        time.sleep(SHORT_S)
        told += [sock.recvmsg(5, cmsgs.ROOM)[1:3] for _ in range(2)]
        return options, told, failed


def how_much_is_left_and_since_when(world: World) -> object:
    with world.listening() as server, world.socket(socket.SOCK_STREAM) as sock:
        server.setsockopt(socket.IPPROTO_TCP, TCP_INQ, 1)
        server.setsockopt(socket.SOL_SOCKET, cmsgs.SO_TIMESTAMP, 1)
        sock.connect(server.getsockname())
        with server.accept()[0] as accepted:
            sock.sendall(text(30))
            wait_for_bytes(accepted, 30)
            _, ancillary, flags, _ = accepted.recvmsg(10, cmsgs.ROOM)
            return [(level, kind, len(value)) for level, kind, value in ancillary], flags


def the_time_that_data_left(world: World) -> object:
    with world.pair() as pair:
        on_the_way = cmsgs.stamps_of_sending(pair.initiator, lambda: pair.initiator.send(text(10)))
        # Which byte it is that they are for: differences.py.
        return [told for told, _ in on_the_way]


def the_time_that_one_datagram_left(world: World) -> object:
    with world.connected() as (client, _):
        cmsgs.want(client, 0)
        client.send(text(10))
        client.sendmsg([text(10)], [cmsgs.of_sending(cmsgs.TX_SOFTWARE)])
        client.send(text(10))
        answer = cmsgs.queued(client)
        time.sleep(SHORT_S)
        return answer, attempt(client.recvmsg, 0, cmsgs.ROOM, socket.MSG_ERRQUEUE)


def the_time_that_a_datagram_came(world: World) -> object:
    answers = []
    for option, value in cmsgs.OPTIONS.items():
        with world.connected() as (client, server):
            server.setsockopt(socket.SOL_SOCKET, option, value)
            since_s = time.time()
            client.send(text(10))
            for flags in (socket.MSG_PEEK, 0):
                _, ancillary, _, _ = server.recvmsg(100, cmsgs.ROOM, flags)
                answers.append(cmsgs.told_between(ancillary, since_s))
    return answers


def the_time_that_a_datagram_left(world: World) -> object:
    with world.connected() as (client, _):
        return [cmsgs.stamps_of_sending(client, lambda: client.send(text(10))) for _ in range(2)]
