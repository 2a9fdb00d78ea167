# SPDX-License-Identifier: GPL-2.0-or-later
"""What the threads of the load do: each function is one turn, and checks what it sees.

Data that was accepted arrives whole, in order and unchanged, or the socket says that it
failed. Anything else raises Wrong.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import random
import select
import socket
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

from fuzz.soak.sockets import (
    KEYBOX,
    LOOPBACK,
    NST_INFO,
    SOL_NST,
    listener,
    nst_socket,
    reset_on_close,
    stream_pair,
    suites,
)

CLONE_NEWNET = 0x40000000
_SYSCTL = Path("/proc/sys/net/nst")
_PATTERN = random.Random(1).randbytes(1 << 20)


class Wrong(Exception):
    """The module lost, changed or made up data."""


def _family(draw: random.Random) -> socket.AddressFamily:
    return draw.choice((socket.AF_INET, socket.AF_INET6))


def stream(draw: random.Random) -> int:
    """Send both ways at once on one connection, in pieces of all sizes; return the bytes."""
    have = suites()
    pair = stream_pair(_family(draw), draw.choice(have), draw.choice(have))
    totals = [draw.choice((1, 100, 20_000, 300_000)) for _ in pair]
    sent, received = [0, 0], [0, 0]
    with pair[0], pair[1]:
        for sock in pair:
            sock.setblocking(False)
        while received != [totals[1], totals[0]]:
            readable, writable, _ = select.select(pair, pair, [], 60)
            if not readable and not writable:
                raise Wrong(f"stream stands still at {sent} sent, {received} received")
            for side, sock in enumerate(pair):
                with contextlib.suppress(BlockingIOError):
                    if sock in writable and sent[side] < totals[side]:
                        end = min(
                            totals[side], sent[side] + draw.choice((1, 17, 1460, 16384, 99999))
                        )
                        more = draw.choice((0, 0, socket.MSG_MORE)) if end < totals[side] else 0
                        sent[side] += sock.send(_PATTERN[sent[side] : end], more)
                with contextlib.suppress(BlockingIOError):
                    if sock in readable and received[side] < totals[1 - side]:
                        size = draw.choice((1, 100, 5000, 70000))
                        peeked = sock.recv(size, socket.MSG_PEEK) if draw.random() < 0.2 else b""
                        data = sock.recv(size)
                        expected = _PATTERN[received[side] : received[side] + len(data)]
                        if data != expected or not data or not data.startswith(peeked[: len(data)]):
                            raise Wrong(f"stream: other bytes at {received[side]}")
                        received[side] += len(data)
        for sock, other in (pair, pair[::-1]):
            sock.setblocking(True)
            other.settimeout(60)
            sock.shutdown(socket.SHUT_WR)
            if other.recv(1) != b"":
                raise Wrong("stream: bytes where the end should be")
    return sum(totals)


def shared(draw: random.Random) -> int:
    """Several threads send and receive on the same two sockets; return the bytes."""
    pair = stream_pair(_family(draw), draw.choice(suites()), draw.choice(suites()))
    piece, count = draw.choice((1, 900, 16384)), 40
    sums = [0, 0]
    lock = threading.Lock()

    def send() -> None:
        for _ in range(count):
            pair[0].sendall(bytes([draw.randrange(1, 256)]) * piece)

    def receive() -> None:
        while data := pair[1].recv(draw.choice((1, 4000, 50000))):
            with lock:
                sums[0] += len(data)
                sums[1] += data.count(0)

    with pair[0], pair[1]:
        readers = [threading.Thread(target=receive) for _ in range(2)]
        writers = [threading.Thread(target=send) for _ in range(2)]
        for thread in readers + writers:
            thread.start()
        for thread in writers:
            thread.join()
        pair[0].shutdown(socket.SHUT_WR)
        for thread in readers:
            thread.join()
    if sums != [2 * count * piece, 0]:
        raise Wrong(f"shared stream: {sums[0]} of {2 * count * piece} bytes, {sums[1]} zeros")
    return sums[0]


def datagrams(draw: random.Random) -> int:
    """Exchange datagrams of all sizes, connected and not; return the bytes."""
    have, family, moved = suites(), _family(draw), 0
    with (
        nst_socket(family, socket.SOCK_DGRAM, draw.choice(have)) as one,
        nst_socket(family, socket.SOCK_DGRAM, draw.choice(have)) as two,
    ):
        for sock in (one, two):
            sock.bind((LOOPBACK[family], 0))
        if draw.random() < 0.5:
            one.connect(two.getsockname())
        for _ in range(20):
            size = draw.choice((0, 1, 15, 16, 1200, 9000, 60000))
            start = draw.randrange(len(_PATTERN) - size)
            data = _PATTERN[start : start + size]
            one.sendto(data, two.getsockname())
            if draw.random() < 0.2:
                two.recv(draw.choice((0, 1, 65535)), socket.MSG_PEEK | socket.MSG_TRUNC)
            got, sender = two.recvfrom(65535)
            if got != data or sender != one.getsockname():
                raise Wrong(f"datagram: {len(got)} bytes from {sender} instead of {size}")
            two.sendto(got, sender)
            if one.recv(65535) != data:
                raise Wrong("datagram: another one came back")
            moved += 2 * size
    return moved


def junk(draw: random.Random) -> int:
    """Send damaged and random bytes at sockets that must not believe them; return the bytes."""
    have, family, moved = suites(), _family(draw), 0
    with (
        nst_socket(family, socket.SOCK_DGRAM, draw.choice(have)) as victim,
        nst_socket(family, socket.SOCK_DGRAM, draw.choice(have)) as sealer,
        socket.socket(family, socket.SOCK_DGRAM) as plain,
        socket.socket(family, socket.SOCK_DGRAM) as tap,
    ):
        for sock in (victim, tap):
            sock.bind((LOOPBACK[family], 0))
        tap.settimeout(60)
        victim.setblocking(False)
        for _ in range(20):
            sealer.sendto(_PATTERN[: draw.randrange(200)], tap.getsockname())
            sealed = tap.recv(65535)
            record = bytearray(sealed)
            for _ in range(draw.choice((1, 1, 2, 50))):
                record[draw.randrange(len(record))] ^= draw.randrange(1, 256)
            if draw.random() < 0.3:
                del record[draw.randrange(len(record)) :]
            if record == sealed:
                continue  # two changes of one byte
            plain.sendto(record, victim.getsockname())
            moved += len(record)
        with contextlib.suppress(BlockingIOError):
            victim.recv(65535)
            raise Wrong("datagram: junk was believed")
    with listener(family, draw.choice(have)) as server, socket.socket(family) as plain:
        plain.connect(server.getsockname())
        accepted = server.accept()[0]
        with accepted:
            accepted.settimeout(60)
            plain.sendall(b"\xbe\xef\x13\x37\x01" + draw.randbytes(draw.randrange(500)))
            with contextlib.suppress(OSError):  # it may have been reset by now
                plain.shutdown(socket.SHUT_WR)
            try:
                if accepted.recv(1):
                    raise Wrong("stream: junk was believed")
                raise Wrong("stream: junk ended like a closed connection")
            except OSError as error:
                if error.errno not in (errno.EBADMSG, errno.ECONNABORTED):
                    raise
    return moved


def aborts(draw: random.Random) -> int:
    """End connections in the middle, by close, reset and a killed process; return how many."""
    for _ in range(10):
        pair = stream_pair(_family(draw), draw.choice(suites()), draw.choice(suites()))
        with pair[0], pair[1]:
            pair[0].setblocking(False)
            for _ in range(draw.randrange(6)):
                with contextlib.suppress(BlockingIOError):
                    pair[0].send(_PATTERN[: draw.choice((1, 16384, 200_000))])
            if draw.random() < 0.5:
                pair[1].recv(1000) if select.select([pair[1]], [], [], 0)[0] else None
            if draw.random() < 0.3:
                reset_on_close(draw.choice(pair))
    pair = stream_pair(socket.AF_INET, draw.choice(suites()), draw.choice(suites()))
    with pair[0], pair[1]:
        fd = pair[0].fileno()
        # A shell, for there is one of these after another, and others start far slower.
        script = f"printf %050000d 0 >&{fd}; kill -9 $$"
        subprocess.run(["bash", "-c", script], pass_fds=[fd], check=False, timeout=60)
    return 11


def control(draw: random.Random) -> int:
    """Replace the key box by itself, read all files, ask sockets; return the calls."""
    box = Path(os.environ["NST_KEYBOX"]).read_bytes()
    with KEYBOX.open("wb", buffering=0) as file:
        file.write(box)
    with contextlib.suppress(OSError), KEYBOX.open("wb", buffering=0) as file:
        file.write(box + b"nonsense\n")
    for path in (*Path("/proc/net").glob("nst_*"), *_SYSCTL.iterdir()):
        with contextlib.suppress(PermissionError, OSError):
            path.read_bytes()
    with nst_socket(_family(draw), socket.SOCK_STREAM, draw.choice(suites())) as sock:
        sock.getsockopt(SOL_NST, NST_INFO, 64)
    return 20


def namespaces(draw: random.Random) -> int:
    """Use a network namespace of its own and leave it with sockets open; return 1."""
    with _own_namespace():
        pair = stream_pair(_family(draw), draw.choice(suites()), draw.choice(suites()))
        pair[0].sendall(b"one record")
        if draw.random() < 0.5 and pair[1].recv(100) != b"one record":
            raise Wrong("stream in a namespace: another record")
        datagrams(draw)
    for sock in pair:
        sock.close()
    return 1


def switches(draw: random.Random) -> int:
    """Turn every sysctl of a namespace of its own while sockets are used; return the turns."""
    turns = 30
    with _own_namespace():
        stop = threading.Event()
        home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)

        def turn() -> None:
            _enter(home)
            while not stop.is_set():
                for path in _SYSCTL.iterdir():
                    before = path.read_text()
                    with contextlib.suppress(OSError):
                        path.write_text(random.choice(("0", "1", "2", "100", "60000")))
                    path.write_text(before)

        thread = threading.Thread(target=turn)
        thread.start()
        try:
            for _ in range(turns):
                # Whatever is switched off meanwhile, errors are all that may come of it.
                with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                    for sock in stream_pair(_family(draw), 1, 1):
                        stack.enter_context(sock).settimeout(1)
                        sock.send(b"x" * draw.choice((1, 20000)))
                with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
                    sock = stack.enter_context(nst_socket(socket.AF_INET, socket.SOCK_DGRAM, 1))
                    sock.settimeout(0.2)
                    sock.bind(("127.0.0.1", 0))
                    sock.sendto(b"to itself", sock.getsockname())
                    sock.recv(100)
        finally:
            stop.set()
            thread.join()
            os.close(home)
    return turns


@contextlib.contextmanager
def _own_namespace() -> Iterator[None]:
    """Give this thread a network namespace with loopback and the key box."""
    home = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "unshare")
        # Run by this thread, so in its namespace.
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        # /proc/net is that of the process's first thread.
        Path("/proc/thread-self/net/nst_keybox").write_bytes(
            Path(os.environ["NST_KEYBOX"]).read_bytes()
        )
        yield
    finally:
        _enter(home)
        os.close(home)


def _enter(namespace: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


WORKERS: dict[str, Callable[[random.Random], int]] = {
    "stream": stream,
    "datagrams": datagrams,
    "junk": junk,
    "shared": shared,
    "aborts": aborts,
    "control": control,
    "namespaces": namespaces,
    "switches": switches,
}
"""What a load of eight threads consists of."""
