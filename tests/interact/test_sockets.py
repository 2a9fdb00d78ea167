# SPDX-License-Identifier: GPL-2.0-or-later
"""User-space NST sockets against each other and against a peer played by hand."""

from __future__ import annotations

import errno
import os
import select
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from nst_scapy.dgram_socket import NSTDgramSocket
from nst_scapy.header import Flags, Header, Role, Transport
from nst_scapy.host import Host
from nst_scapy.keybox import KeyBox
from nst_scapy.sender import DgramSender, Pins, StreamSender
from nst_scapy.stream_socket import NSTStreamSocket, connect_stream, listen_stream
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

BOX = KeyBox.generate(4)
SUITES = list(SuiteId)


@contextmanager
def stream_pair(
    address: str = "127.0.0.1", suite: SuiteId = SuiteId.AES_GCM
) -> Iterator[tuple[NSTStreamSocket, NSTStreamSocket]]:
    """Initiator and acceptor, each on a host of its own."""
    with listen_stream((address, 0), BOX, suite=suite) as server:
        port = server.getsockname()[1]
        with connect_stream((address, port), BOX, timeout=10, suite=suite) as initiator:
            acceptor, _ = server.accept()
            acceptor.settimeout(10)
            with acceptor:
                yield initiator, acceptor


@contextmanager
def played_initiator() -> Iterator[tuple[socket.socket, NSTStreamSocket]]:
    """A TCP socket, and the NST socket that accepted it."""
    with (
        listen_stream(("127.0.0.1", 0), BOX) as server,
        socket.create_connection(server.getsockname(), 10) as tcp,
    ):
        acceptor, _ = server.accept()
        acceptor.settimeout(10)
        with acceptor:
            yield tcp, acceptor


def wait_ready(sock: NSTStreamSocket) -> None:
    assert select.select([sock], [], [], 10)[0]


class TestStream:
    @pytest.mark.parametrize("suite", SUITES)
    @pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
    def test_both_ways_and_orderly_end(self, suite, address):
        with stream_pair(address, suite) as (initiator, acceptor):
            initiator.sendall(b"question")
            assert acceptor.recv(100) == b"question"
            acceptor.sendall(b"answer")
            assert initiator.recv(3) == b"ans"
            assert initiator.pending() == 3
            assert initiator.recv(9, socket.MSG_PEEK) == b"wer"
            buffer = bytearray(9)
            assert initiator.recv_into(buffer) == 3
            initiator.shutdown(socket.SHUT_WR)
            assert acceptor.recv(1) == b""
            with pytest.raises(BrokenPipeError):
                initiator.send(b"x")
            acceptor.sendall(b"still open")
            acceptor.close()
            assert initiator.recv(100, socket.MSG_WAITALL) == b"still open"
            assert initiator.recv(1) == b""
            assert initiator.host.verdicts[Transport.STREAM] == {Verdict.OK: 3}

    def test_large_transfer_both_ways_at_once(self):
        data = os.urandom(2_000_000)
        with stream_pair() as (initiator, acceptor):
            threads = [
                threading.Thread(target=sock.sendall, args=(data,))
                for sock in (initiator, acceptor)
            ]
            for thread in threads:
                thread.start()
            for sock in (initiator, acceptor):
                assert sock.recv(len(data), socket.MSG_WAITALL) == data
            for thread in threads:
                thread.join()

    def test_without_blocking(self):
        with stream_pair() as (initiator, acceptor):
            initiator.setblocking(False)
            with pytest.raises(BlockingIOError):
                initiator.recv(1)
            sent = 0
            with pytest.raises(BlockingIOError):
                while True:
                    sent += initiator.send(bytes(20000))
            assert initiator.unsent()
            received = 0
            while received < sent:
                received += len(acceptor.recv(1 << 20))
                if initiator.unsent() and select.select([], [initiator], [], 0)[1]:
                    try:
                        initiator.flush()
                    except BlockingIOError:
                        continue
            assert received == sent
            assert not initiator.unsent()

    def test_timeout(self):
        with stream_pair() as (initiator, _):
            initiator.settimeout(0.05)
            with pytest.raises(TimeoutError):
                initiator.recv(1)

    def test_not_connected(self):
        with NSTStreamSocket(BOX) as sock:
            for call in (lambda: sock.send(b"x"), lambda: sock.recv(1)):
                with pytest.raises(OSError, match="not connected") as caught:
                    call()
                assert caught.value.errno == errno.ENOTCONN
        assert sock.fileno() == -1

    def test_replies_are_bound_to_what_had_come(self):
        for speaks_first in (True, False):
            with played_initiator() as (tcp, acceptor):
                if not speaks_first:
                    first = StreamSender(Role.INITIATOR, BOX)
                    tcp.sendall(first.seal(b"x", now=time.time_ns()))
                    wait_ready(acceptor)
                acceptor.sendall(b"reply")
                header = Header.unpack(tcp.recv(1000))
                assert header.flags == (Flags.REPLY if speaks_first else Flags.REPLY | Flags.BOUND)

    @pytest.mark.parametrize("verdict", [Verdict.AUTH, Verdict.MAGIC, Verdict.KID, Verdict.FLAGS])
    def test_a_bad_record(self, verdict):
        place = {Verdict.AUTH: -1, Verdict.MAGIC: 0, Verdict.KID: 42, Verdict.FLAGS: 47}
        with played_initiator() as (tcp, acceptor):
            sender = StreamSender(Role.INITIATOR, BOX)
            good = sender.seal(b"good", now=time.time_ns())
            bad = bytearray(sender.seal(b"bad", now=time.time_ns()))
            bad[place[verdict]] ^= 2
            tcp.sendall(good + bad)
            assert acceptor.recv(4, socket.MSG_WAITALL) == b"good"
            for _ in range(2):
                with pytest.raises(OSError, match=os.strerror(errno.EBADMSG)) as caught:
                    acceptor.recv(1)
                assert caught.value.errno == errno.EBADMSG
            assert acceptor.verdict is verdict
            with pytest.raises(BrokenPipeError):
                acceptor.send(b"x")
            with pytest.raises(ConnectionResetError):
                tcp.recv(1)
            assert acceptor.host.verdicts[Transport.STREAM] == {Verdict.OK: 1, verdict: 1}

    def test_cut_off(self):
        for length in (0, 10, 48 + 9):
            with played_initiator() as (tcp, acceptor):
                record = StreamSender(Role.INITIATOR, BOX).seal(b"all of it", now=time.time_ns())
                tcp.sendall(record[:length])
                tcp.shutdown(socket.SHUT_WR)
                if length == len(record):
                    assert acceptor.recv(100) == b"all of it"
                with pytest.raises(ConnectionAbortedError):
                    acceptor.recv(1)
                assert acceptor.verdict is Verdict.TRUNCATED
                with pytest.raises(ConnectionResetError):
                    tcp.recv(1)

    def test_bytes_after_the_end_are_counted_and_the_end_stands(self):
        with played_initiator() as (tcp, acceptor):
            tcp.sendall(StreamSender(Role.INITIATOR, BOX).close(now=time.time_ns()) + b"more")
            assert acceptor.recv(1) == b""
            assert acceptor.recv(1) == b""
            assert acceptor.verdict is Verdict.SEQUENCE
            acceptor.sendall(b"still there")
            assert len(tcp.recv(1000)) == 48 + 11

    def test_a_replay_to_another_socket_of_the_host(self):
        with listen_stream(("127.0.0.1", 0), Host(BOX)) as server:
            record = StreamSender(Role.INITIATOR, BOX).seal(b"once", now=time.time_ns())
            for expected in (None, Verdict.REPLAY):
                with socket.create_connection(server.getsockname(), 10) as tcp:
                    tcp.sendall(record)
                    acceptor, _ = server.accept()
                    with acceptor:
                        if expected is None:
                            assert acceptor.recv(100) == b"once"
                        else:
                            with pytest.raises(OSError, match=os.strerror(errno.EBADMSG)):
                                acceptor.recv(1)
                        assert acceptor.verdict is expected

    def test_a_replaced_key_box_counts_from_the_next_epoch(self):
        with stream_pair() as (initiator, acceptor):
            initiator.sendall(b"old")
            assert acceptor.recv(3) == b"old"
            acceptor.host.keybox = KeyBox.generate(1)
            initiator.sendall(b"same epoch")
            assert acceptor.recv(100) == b"same epoch"

    def test_no_key_in_reprs(self):
        with stream_pair() as (initiator, _), NSTDgramSocket(BOX) as dgram:
            shown = repr(initiator) + repr(initiator.host) + repr(dgram) + repr(vars(dgram))
            assert not any(key.hex() in shown or str(key) in shown for key in BOX.values())


@contextmanager
def dgram_pair(
    address: str = "127.0.0.1", suite: SuiteId = SuiteId.AES_GCM
) -> Iterator[tuple[NSTDgramSocket, NSTDgramSocket]]:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with (
        NSTDgramSocket(BOX, family, suite=suite) as one,
        NSTDgramSocket(BOX, family, suite=suite) as other,
    ):
        for sock in (one, other):
            sock.settimeout(10)
            sock.bind((address, 0))
        one.connect(other.getsockname())
        yield one, other


class TestDgram:
    @pytest.mark.parametrize("suite", SUITES)
    @pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
    def test_both_ways(self, suite, address):
        with dgram_pair(address, suite) as (one, other):
            for payload in (b"", b"x", bytes(1000)):
                assert one.send(payload) == len(payload)
                assert other.recvfrom(2000, socket.MSG_PEEK)[0] == payload
                data, source = other.recvfrom(2000)
                assert data == payload
                other.sendto(b"back", source)
                assert one.recv(2) == b"ba"

    @pytest.mark.parametrize("suite", SUITES)
    @pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
    def test_the_longest_one(self, suite, address):
        gcm = suite in (SuiteId.AES_GCM, SuiteId.SM4_GCM)
        limit = (65459 if gcm else 65455) if address == "127.0.0.1" else (65479 if gcm else 65471)
        with dgram_pair(address, suite) as (one, other):
            one.send(bytes(limit))
            assert other.recv(70000) == bytes(limit)
            with pytest.raises(OSError, match="too long") as caught:
                one.send(bytes(limit + 1))
            assert caught.value.errno == errno.EMSGSIZE

    def test_what_fails_is_dropped_and_counted(self):
        with dgram_pair() as (one, other), socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.connect(other.getsockname())
            record = DgramSender(BOX).seal(b"once", now=time.time_ns())
            for data in (b"short", record[:-1] + b"?", record, record, bytes(60)):
                udp.send(data)
            one.send(b"last")
            assert [other.recv(100) for _ in range(2)] == [b"once", b"last"]
            expected = {Verdict.OK: 2, Verdict.SHORT: 1, Verdict.AUTH: 1, Verdict.REPLAY: 1}
            assert other.host.verdicts[Transport.DGRAM] == expected | {Verdict.MAGIC: 1}

    def test_dropped_datagrams_do_not_lengthen_the_timeout(self):
        with dgram_pair() as (_, other), socket.socket(type=socket.SOCK_DGRAM) as udp:
            other.settimeout(0.2)
            stop = threading.Event()

            def flood() -> None:
                while not stop.wait(0.02):
                    udp.sendto(b"junk", other.getsockname())

            thread = threading.Thread(target=flood)
            thread.start()
            with pytest.raises(TimeoutError):
                other.recv(1)
            stop.set()
            thread.join()
            assert other.gettimeout() == 0.2

    def test_a_reflected_datagram(self):
        with dgram_pair() as (one, _), socket.socket(type=socket.SOCK_DGRAM) as mirror:
            mirror.bind(("127.0.0.1", 0))
            one.connect(mirror.getsockname())
            one.send(b"mine")
            mirror.sendto(mirror.recv(1000), one.getsockname())
            one.settimeout(0.2)
            with pytest.raises(TimeoutError):
                one.recv(1)
            assert one.host.verdicts[Transport.DGRAM] == {Verdict.REFLECT: 1}

    def test_multicast_and_broadcast(self):
        with NSTDgramSocket(BOX) as sock, NSTDgramSocket(BOX, socket.AF_INET6) as sock6:
            for to, how in ((("224.0.0.1", 9), sock), (("255.255.255.255", 9), sock)):
                with pytest.raises(OSError, match="not supported"):
                    how.sendto(b"x", to)
            with pytest.raises(OSError, match="not supported"):
                sock6.connect(("ff02::1%lo", 9))
            sock.bind(("0.0.0.0", 0))
            sock.settimeout(0.2)
            group = socket.inet_aton("224.7.7.7") + socket.inet_aton("127.0.0.1")
            with socket.socket(type=socket.SOCK_DGRAM) as udp:
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, group)
                loopback = socket.inet_aton("127.0.0.1")
                udp.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, loopback)
                record = DgramSender(BOX).seal(b"to all", now=time.time_ns())
                udp.sendto(record, ("224.7.7.7", sock.getsockname()[1]))
                with pytest.raises(TimeoutError):
                    sock.recv(100)
            assert sock.host.multicast == 1
            assert not sock.host.verdicts[Transport.DGRAM]

    def test_pinned_keys_and_a_fork(self):
        pins = Pins(kids=[2], perturbation=(0, 0))
        with NSTDgramSocket(BOX, pins=pins) as sock, socket.socket(type=socket.SOCK_DGRAM) as udp:
            udp.bind(("127.0.0.1", 0))
            udp.settimeout(10)
            sock.connect(udp.getsockname())
            sock.send(b"parent")
            if os.fork() == 0:
                sock.send(b"child")
                os._exit(0)
            os.wait()
            one, other = (Header.unpack(udp.recv(1000)) for _ in range(2))
            assert (one.kid, one.kpos, one.kval) == (2, 0, 0)
            assert one.session_id != other.session_id
