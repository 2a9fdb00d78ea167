# SPDX-License-Identifier: GPL-2.0-or-later
"""Key box, settings, socket options, the module switch, and the module's own life."""

from __future__ import annotations

import errno
import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from nst_scapy.kernel import NST_PIN_KID, NST_PIN_PERTURB, NST_TX_SUITE, SOL_NST
from nst_scapy.keybox import KeyBox
from nst_scapy.sender import DgramSender
from tests.in_guest import counters
from tests.in_guest.counters import Counted
from tests.in_guest.sockets import (
    fails_with,
    info,
    load_keybox,
    nst_pair,
    nst_socket,
    nst_to_tcp,
    pin_key,
    plain_socket,
    readable,
    recv_exactly,
    tcp_to_nst,
)

KEY = b"00112233445566778899aabbccddeeff" * 2


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"# only a comment\n",
        b"0 " + KEY[:-1] + b"\n",
        b"0 " + KEY + b"0\n",
        b"65536 " + KEY,
        b"000001 " + KEY,
        b"0" + KEY,
        b"0 " + KEY + b"\n0 " + KEY,
        b"0 " + KEY + b" x\n",
        b"0 " + KEY + b"\r",
        b"0\v" + KEY,
        b"-1 " + KEY,
        b"0 " + KEY + b" # caf\xc3\xa9\n",
        b"0 " + KEY[:-1] + b"g\n",
    ],
)
def test_bad_key_boxes_change_nothing(text: bytes, box: KeyBox) -> None:
    with fails_with(errno.EINVAL):
        load_keybox(text)
    with nst_pair() as pair:
        pair.initiator.sendall(b"x")
        assert pair.acceptor.recv(1) == b"x"
        assert info(pair.initiator).tx_kid in box


@pytest.mark.usefixtures("restore_keybox")
def test_key_box_syntax() -> None:
    load_keybox(b"\r\n \t# c\r\n\t00007\t" + KEY.upper() + b"\t# c\n\n65535   " + KEY)
    with nst_pair() as pair:
        pair.initiator.sendall(b"x")
        assert pair.acceptor.recv(1) == b"x"
        assert info(pair.initiator).tx_kid in (7, 65535)


@pytest.mark.usefixtures("restore_keybox")
def test_largest_key_box() -> None:
    load_keybox(b"".join(b"%d %s\n" % (kid, os.urandom(32).hex().encode()) for kid in range(65536)))
    with nst_pair() as pair:
        pin_key(pair.initiator, 65535, 0, 0, NST_PIN_KID)
        pair.initiator.sendall(b"x")
        assert pair.acceptor.recv(1) == b"x"
        assert info(pair.initiator).tx_kid == 65535


@pytest.mark.usefixtures("restore_keybox")
def test_replaced_box_counts_from_the_next_epoch(box: KeyBox, counted: Counted) -> None:
    """A stream's epoch goes on with its old keys; datagrams change at once."""
    with nst_pair() as pair, nst_socket(socket.SOCK_DGRAM) as dgram:
        dgram.bind(("127.0.0.1", 0))
        dgram.connect(dgram.getsockname())
        pair.initiator.sendall(b"old")
        assert recv_exactly(pair.acceptor, 3) == b"old"
        stale = DgramSender(box).seal(b"x", now=time.time_ns())
        load_keybox(b"77 " + KEY)
        pair.initiator.sendall(b"still")
        assert recv_exactly(pair.acceptor, 5) == b"still"
        with nst_pair() as another:
            another.initiator.sendall(b"new")
            assert recv_exactly(another.acceptor, 3) == b"new"
            assert info(another.initiator).tx_kid == 77
        with nst_socket(socket.SOCK_DGRAM) as server, plain_socket(socket.SOCK_DGRAM) as udp:
            server.bind(("127.0.0.1", 0))
            udp.sendto(stale, server.getsockname())
            assert not readable(server, 0.1)
    assert counted.so_far()["dgram_local_in.KID"] == 1


def test_key_box_file_gives_nothing_away() -> None:
    path = Path("/proc/net/nst_keybox")
    assert path.stat().st_mode & 0o777 == 0o200
    with fails_with(errno.EIO):
        path.read_bytes()


def test_suites() -> None:
    names = ["AES_GCM", "AES_CBC", "SM4_GCM", "SM4_CBC"]
    available = Path("/proc/net/nst_suites").read_text().split()
    assert {"AES_GCM", "AES_CBC"} <= set(available) <= set(names)
    with nst_socket(socket.SOCK_STREAM) as sock:
        for number, name in enumerate(names, 1):
            if name in available:
                sock.setsockopt(SOL_NST, NST_TX_SUITE, number)
                assert sock.getsockopt(SOL_NST, NST_TX_SUITE) == number
            else:
                with fails_with(errno.EOPNOTSUPP):
                    sock.setsockopt(SOL_NST, NST_TX_SUITE, number)
        with fails_with(errno.EINVAL):
            sock.setsockopt(SOL_NST, NST_TX_SUITE, 5)


@pytest.mark.parametrize(("kpos", "kval", "pin"), [(33, 1, 2), (0, 1, 2), (1, 0, 2), (1, 1, 4)])
def test_bad_pins(kpos: int, kval: int, pin: int) -> None:
    with (
        nst_socket(socket.SOCK_STREAM) as sock,
        fails_with(errno.EINVAL),
    ):
        pin_key(sock, 0, kpos, kval, pin)


def test_a_pin_starts_an_epoch_and_a_missing_kid_fails() -> None:
    with nst_pair() as pair:
        pair.initiator.sendall(b"1")
        first = info(pair.initiator)
        pin_key(pair.initiator, first.tx_kid, 7, 9, NST_PIN_KID | NST_PIN_PERTURB)
        pair.initiator.sendall(b"2")
        second = info(pair.initiator)
        assert second.tx_session_id != first.tx_session_id
        assert (second.tx_kid, second.tx_kpos, second.tx_kval) == (first.tx_kid, 7, 9)
        assert (first.tx_counter, second.tx_counter) == (1, 1)
        assert recv_exactly(pair.acceptor, 2) == b"12"
        assert info(pair.acceptor).rx_session_id == second.tx_session_id
        pin_key(pair.initiator, 65535, 0, 0, NST_PIN_KID)
        with fails_with(errno.ENOKEY):
            pair.initiator.sendall(b"3")
        pin_key(pair.initiator, 0, 0, 0, 0)
        pair.initiator.sendall(b"4")
        assert pair.acceptor.recv(1) == b"4"


def test_module_switch(sysctl: Callable[[str, int], None]) -> None:
    with nst_pair() as pair, nst_socket(socket.SOCK_DGRAM) as dgram:
        sysctl("enabled", 0)
        with fails_with(errno.EAFNOSUPPORT):
            nst_socket(socket.SOCK_STREAM)
        for call in (
            lambda: pair.initiator.send(b"x"),
            lambda: pair.acceptor.recv(1),
            lambda: dgram.sendto(b"x", ("127.0.0.1", 9)),
            lambda: dgram.recv(1),
        ):
            with fails_with(errno.ESHUTDOWN):
                call()
        sysctl("enabled", 1)
        pair.initiator.sendall(b"again")
        assert recv_exactly(pair.acceptor, 5) == b"again"


@pytest.mark.usefixtures("fresh_namespace")
def test_window_setting(box: KeyBox, sysctl: Callable[[str, int], None]) -> None:
    counted = Counted()
    sysctl("timestamp_window_ms", 3_600_000)
    sent = time.time_ns() + 1800 * 10**9
    with nst_socket(socket.SOCK_DGRAM) as server, plain_socket(socket.SOCK_DGRAM) as udp:
        server.bind(("127.0.0.1", 0))
        udp.sendto(DgramSender(box).seal(b"early", now=sent), server.getsockname())
        assert server.recv(10) == b"early"
        sysctl("timestamp_window_ms", 1_000_000)
        udp.sendto(DgramSender(box).seal(b"early", now=sent), server.getsockname())
        assert not readable(server, 0.1)
    counted.expect(dgram={"OK": 1}, dgram_local_in={"TIMESTAMP": 1})


@pytest.mark.usefixtures("fresh_namespace")
def test_a_full_table_drops_the_oldest(box: KeyBox, sysctl: Callable[[str, int], None]) -> None:
    counted = Counted()
    sysctl("dgram_sessions_max", 3)
    now = time.time_ns() + 10**9
    senders = [DgramSender(box) for _ in range(4)]
    with nst_socket(socket.SOCK_DGRAM) as server, plain_socket(socket.SOCK_DGRAM) as udp:
        server.bind(("127.0.0.1", 0))
        for place, sender in enumerate(senders):
            udp.sendto(sender.seal(b"%d" % place, now=now + place), server.getsockname())
            assert server.recv(10) == b"%d" % place
        stat = counters.read()
        assert stat["dgram_sessions"] == 3
        assert stat["dgram_floor"] == now
        # The first session was dropped: it is new again, and not above the floor.
        udp.sendto(senders[0].seal(b"x", now=now), server.getsockname())
        # Above the floor, but no newer than the oldest in a full table.
        udp.sendto(DgramSender(box).seal(b"x", now=now + 1), server.getsockname())
        assert not readable(server, 0.1)
    counted.expect(dgram={"OK": 4, "REPLAY": 2})


@pytest.mark.usefixtures("fresh_namespace")
def test_nothing_sealed_before_the_table_is_accepted(box: KeyBox) -> None:
    counted = Counted()
    age = counters.read()["age_ns"]
    before, after = time.time_ns() - age - 10**9, time.time_ns() - age + 10**9
    with nst_socket(socket.SOCK_DGRAM) as server, plain_socket(socket.SOCK_DGRAM) as udp:
        server.bind(("127.0.0.1", 0))
        udp.sendto(DgramSender(box).seal(b"before", now=before), server.getsockname())
        udp.sendto(DgramSender(box).seal(b"after", now=after), server.getsockname())
        assert server.recv(10) == b"after"
    counted.expect(dgram={"OK": 1, "REPLAY": 1})


@pytest.mark.usefixtures("fresh_namespace")
def test_both_tables_sizes_at_once() -> None:
    names = ("replay", "stream", "dgram")
    both, stream, dgram = (Path(f"/proc/sys/net/nst/{name}_sessions_max") for name in names)
    assert both.read_text() == "65536\t4096\n"
    for written, sizes in (("10 20", [10, 20]), ("5", [5, 20])):
        both.write_text(written)
        assert [int(file.read_text()) for file in (stream, dgram)] == sizes
    for wrong in ("1 0", "0 1", "1048577", "x"):
        with fails_with(errno.EINVAL):
            both.write_text(wrong)
        assert both.read_text() == "5\t20\n"
    dgram.write_text("6")
    assert both.read_text() == "5\t6\n"


def test_interleaved_suites_and_roles(box: KeyBox) -> None:
    """Each direction's suite is its sender's affair."""
    with nst_pair() as pair:
        pair.acceptor.setsockopt(SOL_NST, NST_TX_SUITE, 2)
        pair.initiator.sendall(b"gcm")
        pair.acceptor.sendall(b"cbc")
        assert recv_exactly(pair.acceptor, 3) == b"gcm"
        assert recv_exactly(pair.initiator, 3) == b"cbc"
        assert (info(pair.initiator).tx_cipher_id, info(pair.acceptor).tx_cipher_id) == (1, 2)


def test_two_initiators_end_in_flags(counted: Counted) -> None:
    with nst_to_tcp() as one, tcp_to_nst() as other:
        one.initiator.sendall(b"x")
        other.acceptor.sendall(b"y")
        # A reply to an acceptor, an initiator's record to an initiator.
        other.initiator.sendall(recv_exactly(other.initiator, 49))
        one.acceptor.sendall(recv_exactly(one.acceptor, 49))
        for sock in (one.initiator, other.acceptor):
            with fails_with(errno.EBADMSG):
                sock.recv(1)
    counted.expect(stream={"FLAGS": 2})


def test_the_module_stays_while_sockets_live() -> None:
    with nst_socket(socket.SOCK_STREAM):
        done = subprocess.run(["rmmod", "nst"], capture_output=True, text=True, check=False)
        assert done.returncode != 0
        assert "in use" in done.stderr


@pytest.mark.usefixtures("fresh_namespace")
def test_namespaces_are_apart() -> None:
    assert not counters.read()["dgram.OK"]
    load_keybox(b"5 " + KEY)
    with nst_pair() as pair:
        pair.initiator.sendall(b"x")
        assert info(pair.initiator).tx_kid == 5


@pytest.mark.usefixtures("empty_namespace")
def test_without_a_key_box_nothing_is_sent() -> None:
    with nst_socket(socket.SOCK_DGRAM) as sock, fails_with(errno.ENOKEY):
        sock.sendto(b"x", ("127.0.0.1", 9))
