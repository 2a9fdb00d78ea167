# SPDX-License-Identifier: GPL-2.0-or-later
"""AF_NST streams behave as TCP does: what an application sees."""

from __future__ import annotations

import contextlib
import errno
import os
import select
import signal
import socket
import struct
import threading
import time
from pathlib import Path

import pytest

from tests.in_guest.sockets import (
    INET,
    INET6,
    Over,
    disconnect,
    fails_with,
    nst_pair,
    nst_socket,
    plain_socket,
    readable,
    recv_all,
    recv_exactly,
)

FIONREAD = 0x541B


@pytest.mark.parametrize("over", [INET, INET6], ids=["ipv4", "ipv6"])
def test_both_ways_and_orderly_end(over: Over) -> None:
    with nst_pair(over) as pair:
        pair.initiator.sendall(b"question")
        assert recv_exactly(pair.acceptor, 8) == b"question"
        pair.acceptor.sendall(b"answer")
        assert recv_exactly(pair.initiator, 6) == b"answer"
        pair.initiator.shutdown(socket.SHUT_WR)
        assert pair.acceptor.recv(1) == b""
        pair.acceptor.sendall(b"still open")
        pair.acceptor.close()
        assert recv_all(pair.initiator) == b"still open"


def test_partial_reads_and_readv() -> None:
    with nst_pair() as pair:
        pair.initiator.sendall(b"abcdefgh")
        assert [pair.acceptor.recv(1) for _ in range(3)] == [b"a", b"b", b"c"]
        first, second = bytearray(2), bytearray(10)
        assert pair.acceptor.recvmsg_into([first, second])[0] == 5
        assert first + second[:3] == b"defgh"


def test_a_read_takes_several_records() -> None:
    with nst_pair() as pair:
        for piece in (b"one", b"two", b"three"):
            pair.initiator.sendall(piece)
        pair.initiator.shutdown(socket.SHUT_WR)
        assert pair.acceptor.recv(11, socket.MSG_WAITALL) == b"onetwothree"


def test_peek() -> None:
    with nst_pair() as pair:
        pair.initiator.sendall(b"first")
        pair.initiator.sendall(b"second")
        wanted = b"firstsecond"
        assert pair.acceptor.recv(11, socket.MSG_PEEK | socket.MSG_WAITALL) == wanted
        assert pair.acceptor.recv(3, socket.MSG_PEEK) == b"fir"
        assert pair.acceptor.recv(11, socket.MSG_WAITALL) == wanted


def test_large_transfer_both_ways_at_once() -> None:
    data = os.urandom(3_000_000)
    with nst_pair() as pair:
        senders = [
            threading.Thread(target=sock.sendall, args=(data,))
            for sock in (pair.initiator, pair.acceptor)
        ]
        received: dict[str, bytes] = {}

        def receive(name: str, sock: socket.socket) -> None:
            received[name] = recv_exactly(sock, len(data))

        receivers = [
            threading.Thread(target=receive, args=("initiator", pair.initiator)),
            threading.Thread(target=receive, args=("acceptor", pair.acceptor)),
        ]
        for thread in senders + receivers:
            thread.start()
        for thread in senders + receivers:
            thread.join()
    assert received == {"initiator": data, "acceptor": data}


def test_small_buffers_hold_whole_records() -> None:
    data = os.urandom(40_000)
    with nst_pair() as pair:
        pair.acceptor.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1)
        pair.initiator.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        sender = threading.Thread(target=pair.initiator.sendall, args=(data,))
        sender.start()
        assert recv_exactly(pair.acceptor, len(data)) == data
        sender.join()


def test_nonblocking_recv_and_poll() -> None:
    with nst_pair() as pair:
        pair.acceptor.setblocking(False)
        with pytest.raises(BlockingIOError):
            pair.acceptor.recv(1)
        assert not readable(pair.acceptor)
        pair.initiator.sendall(b"x")
        assert readable(pair.acceptor, 5)
        assert pair.acceptor.recv(10) == b"x"
        assert not readable(pair.acceptor)


def test_nonblocking_send_fills_and_drains() -> None:
    data = os.urandom(8_000_000)
    with nst_pair() as pair:
        pair.initiator.setblocking(False)
        sent = 0
        with pytest.raises(BlockingIOError):
            while sent < len(data):
                sent += pair.initiator.send(data[sent : sent + 100_000])
        poller = select.poll()
        poller.register(pair.initiator, select.POLLOUT)
        assert not poller.poll(0)
        received = recv_exactly(pair.acceptor, sent)
        assert received == data[:sent]
        assert poller.poll(5000)
        assert pair.initiator.send(b"more") == 4
        assert recv_exactly(pair.acceptor, 4) == b"more"


def test_close_with_a_full_send_buffer_drops_nothing() -> None:
    data = os.urandom(8_000_000)
    with nst_pair() as pair:
        pair.initiator.setblocking(False)
        sent = 0
        with pytest.raises(BlockingIOError):
            while True:
                sent += pair.initiator.send(data[sent : sent + 50_000])
        pair.initiator.close()
        assert recv_all(pair.acceptor) == data[:sent]


def test_epoll_edge_triggered() -> None:
    with nst_pair() as pair, select.epoll() as epoll:
        pair.acceptor.setblocking(False)
        epoll.register(pair.acceptor, select.EPOLLIN | select.EPOLLET)
        assert not epoll.poll(0.05)
        for _ in range(3):
            pair.initiator.sendall(b"y" * 40_000)
            got = 0
            while got < 40_000:
                assert epoll.poll(5)
                try:
                    while True:
                        got += len(pair.acceptor.recv(7_000))
                except BlockingIOError:
                    pass


def test_timeouts() -> None:
    with nst_pair() as pair:
        for sock, option in (
            (pair.acceptor, socket.SO_RCVTIMEO),
            (pair.initiator, socket.SO_SNDTIMEO),
        ):
            sock.setblocking(True)
            sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("@ll", 0, 200_000))
        start = time.monotonic()
        with pytest.raises(BlockingIOError):
            pair.acceptor.recv(1)
        assert 0.15 < time.monotonic() - start < 5
        with pytest.raises(BlockingIOError):
            while True:
                pair.initiator.send(b"z" * 1_000_000)


def test_a_signal_ends_a_blocking_call() -> None:
    class Interrupted(Exception):
        pass

    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        with nst_pair() as pair:
            pair.acceptor.setblocking(True)
            signal.setitimer(signal.ITIMER_REAL, 0.3)
            with pytest.raises(Interrupted):
                pair.acceptor.recv(1)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def test_a_reader_who_waits_gets_what_is_opened_without_it() -> None:
    """A first record is opened on arrival: the reader, woken meanwhile, must not miss it."""
    for _ in range(300):
        with nst_pair() as pair:
            pair.acceptor.setblocking(True)
            got: list[bytes] = []
            waiting = threading.Thread(target=lambda: got.append(pair.acceptor.recv(1)))  # noqa: B023
            waiting.start()
            pair.initiator.sendall(b"q")
            waiting.join(10)
            assert got == [b"q"]


def test_blocked_reader_and_dontwait_reader() -> None:
    """A thread that waits must not keep another from not waiting."""
    with nst_pair() as pair:
        pair.acceptor.setblocking(True)  # with a timeout, Python would poll, and try again
        got: list[bytes] = []
        waiting = threading.Thread(target=lambda: got.append(pair.acceptor.recv(1)))
        waiting.start()
        time.sleep(0.1)
        with pytest.raises(BlockingIOError):
            pair.acceptor.recv(1, socket.MSG_DONTWAIT)
        pair.initiator.sendall(b"q")
        waiting.join(5)
        assert got == [b"q"]


def test_many_senders_interleave_whole_records() -> None:
    with nst_pair() as pair:
        letters = [bytes([c]) * 1000 for c in b"abcdef"]

        def send(block: bytes) -> None:
            for _ in range(30):
                pair.initiator.sendall(block)

        threads = [threading.Thread(target=send, args=(block,)) for block in letters]
        for thread in threads:
            thread.start()
        data = recv_exactly(pair.acceptor, 180_000)
        for thread in threads:
            thread.join()
    blocks = [data[i : i + 1000] for i in range(0, len(data), 1000)]
    assert sorted(blocks) == sorted(letters * 30)


def test_sigpipe_and_epipe_after_shutdown() -> None:
    with nst_pair() as pair:
        pair.initiator.shutdown(socket.SHUT_WR)
        with pytest.raises(BrokenPipeError):  # Python ignores SIGPIPE
            pair.initiator.send(b"late")
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGPIPE, signal.SIG_DFL)
            pair.initiator.send(b"late")
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGPIPE


def test_tcp_reset_is_tcps_error() -> None:
    with nst_pair() as pair:
        pair.acceptor.sendall(b"unread")
        pair.initiator.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        pair.initiator.close()
        with pytest.raises(ConnectionResetError):
            pair.acceptor.recv(1)


def test_refused_connection_then_another() -> None:
    with plain_socket(socket.SOCK_STREAM) as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = unused.getsockname()
    with nst_socket(socket.SOCK_STREAM) as sock:
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.connect(nowhere)
        poller = select.poll()
        poller.register(sock, select.POLLIN | select.POLLOUT)
        assert poller.poll(5000)
        assert sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ECONNREFUSED


def test_disconnect_and_connect_again() -> None:
    with nst_socket(socket.SOCK_STREAM) as server, nst_socket(socket.SOCK_STREAM) as sock:
        server.bind(("127.0.0.1", 0))
        server.listen()
        for word in (b"first", b"second"):
            sock.connect(server.getsockname())
            sock.sendall(word)
            with server.accept()[0] as child:
                assert recv_exactly(child, len(word)) == word
                disconnect(sock)


def test_splice_and_sendfile(tmp_path: Path) -> None:
    data = os.urandom(100_000)
    (tmp_path / "data").write_bytes(data)
    with nst_pair() as pair, (tmp_path / "data").open("rb") as file:
        pair.acceptor.setblocking(True)
        sender = threading.Thread(target=pair.initiator.sendfile, args=(file,))
        sender.start()
        out, into = os.pipe()
        received = b""
        while len(received) < len(data):
            moved = os.splice(pair.acceptor.fileno(), into, 60_000)
            received += os.read(out, moved)
        sender.join()
        os.close(out)
        os.close(into)
    assert received == data


def test_fionread_counts_plaintext() -> None:
    import fcntl

    with nst_pair() as pair:
        pair.initiator.sendall(b"12345")
        assert readable(pair.acceptor, 5)
        count = bytearray(4)
        fcntl.ioctl(pair.acceptor, FIONREAD, count)
        assert struct.unpack("i", count) == (5,)


def test_what_could_pass_data_in_clear_is_refused() -> None:
    msg_zerocopy, tcp_ulp, tcp_fastopen_connect, tcp_repair = 0x4000000, 31, 30, 19
    so_zerocopy = 60
    with nst_pair() as pair:
        sock = pair.initiator
        for flag in (socket.MSG_OOB, msg_zerocopy, socket.MSG_FASTOPEN):
            with fails_with(errno.EOPNOTSUPP):
                sock.send(b"x", flag)
        for level, option, value in (
            (socket.IPPROTO_TCP, tcp_ulp, b"tls"),
            (socket.IPPROTO_TCP, tcp_fastopen_connect, 1),
            (socket.IPPROTO_TCP, tcp_repair, 1),
        ):
            with fails_with(errno.EOPNOTSUPP):
                sock.setsockopt(level, option, value)
        # Before 6.3 the kernel answers SOL_SOCKET options without us; MSG_ZEROCOPY, which
        # this one would allow, is refused all the same.
        before = tuple(map(int, os.uname().release.split(".")[:2])) < (6, 3)
        with contextlib.nullcontext() if before else fails_with(errno.EOPNOTSUPP):
            sock.setsockopt(socket.SOL_SOCKET, so_zerocopy, 1)
        with fails_with(errno.EOPNOTSUPP):
            sock.send(b"x", msg_zerocopy)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def test_a_killed_process_sends_close() -> None:
    with nst_pair() as pair:
        pid = os.fork()
        if pid == 0:
            pair.initiator.sendall(b"last words")
            os.kill(os.getpid(), signal.SIGKILL)
        pair.initiator.close()
        os.waitpid(pid, 0)
        assert recv_all(pair.acceptor) == b"last words"
