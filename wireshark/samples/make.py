# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes the sample captures, in a guest with the module:

    nst-fuzz guest run -- .venv/bin/python3 wireshark/samples/make.py wireshark/samples

Every AF_NST socket in them is the kernel module's. What an attacker sends (played
back, altered, cut short) comes from ordinary sockets, out of what was captured before.
The key box of the guest is published with the captures, and good for nothing else.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from nst_scapy.header import DEFAULT_PORT, Role
from nst_scapy.keybox import KeyBox
from nst_scapy.sender import DgramSender, StreamSender
from nst_scapy.suite import SuiteId

AF_NST = 18
SOL_NST = 1337
NST_TX_SUITE = 1
NST_PROTO_INET6 = 10
TIMEOUT_S = 60

REQUEST = b"GET /%s HTTP/1.1\r\nHost: nst.example\r\n\r\n"
RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n%s"


def address(v6: bool) -> tuple[str, int]:
    return "::1" if v6 else "127.0.0.1", DEFAULT_PORT


def nst_socket(kind: socket.SocketKind, suite: SuiteId, v6: bool) -> socket.socket:
    """An AF_NST socket that seals with *suite*; as Python sees it, one of AF_INET or AF_INET6."""
    made = socket.socket(AF_NST, kind, NST_PROTO_INET6 if v6 else 0)
    family = socket.AF_INET6 if v6 else socket.AF_INET
    wrapped = socket.socket(family, kind, fileno=made.detach())
    wrapped.setsockopt(SOL_NST, NST_TX_SUITE, suite)
    wrapped.settimeout(TIMEOUT_S)
    return wrapped


@contextlib.contextmanager
def capture(path: Path) -> Iterator[None]:
    """Capture NST on loopback into *path*."""
    command = ["tcpdump", "-i", "lo", "-Z", "root", "--nano", "-U", "-w", str(path)]
    dump = subprocess.Popen([*command, f"port {DEFAULT_PORT}"], stderr=subprocess.PIPE, text=True)
    assert dump.stderr is not None
    started = dump.stderr.readline()
    assert "listening" in started, started
    try:
        yield
        time.sleep(3)
    finally:
        dump.send_signal(signal.SIGINT)
        dump.communicate(timeout=TIMEOUT_S)


def receive_all(sock: socket.socket) -> bytes:
    pieces = []
    while piece := sock.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def web(suite: SuiteId, v6: bool, size: int) -> None:
    """A request and its response, over a stream of the module's at both ends."""
    text = (b"This is sealed with %s.\n" % suite.name.encode()) * size
    with (
        nst_socket(socket.SOCK_STREAM, suite, v6) as server,
        nst_socket(socket.SOCK_STREAM, suite, v6) as client,
    ):
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(address(v6))
        server.listen()
        client.connect(address(v6))
        child, _ = server.accept()
        with child:
            child.setsockopt(SOL_NST, NST_TX_SUITE, suite)
            child.settimeout(TIMEOUT_S)
            client.sendall(REQUEST % suite.name.lower().encode())
            child.recv(1 << 16)
            child.sendall(RESPONSE % (len(text), text))
            child.shutdown(socket.SHUT_WR)
            assert text in receive_all(client)
            client.shutdown(socket.SHUT_WR)
            assert receive_all(child) == b""
    time.sleep(0.2)


def questions(suite: SuiteId, v6: bool) -> None:
    """Datagrams both ways."""
    with (
        nst_socket(socket.SOCK_DGRAM, suite, v6) as server,
        nst_socket(socket.SOCK_DGRAM, suite, v6) as client,
    ):
        server.bind(address(v6))
        client.connect(address(v6))
        for n in range(4):
            client.send(b"question %d" % n * (1 + 20 * n))
            data, peer = server.recvfrom(65536)
            server.sendto(data.replace(b"question", b"answer"), peer)
            client.recv(65536)
        client.send(b"")
        server.recv(65536)


def attacks(box: KeyBox) -> None:
    """What an attacker without the key box can do, and what a receiver calls it."""
    suite = SuiteId.AES_GCM
    now = time.time_ns
    sender = DgramSender(box, suite)
    with (
        nst_socket(socket.SOCK_DGRAM, suite, v6=False) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as attacker,
    ):
        server.bind(address(False))
        good = sender.seal(b"pay 100 to Bob", now=now())
        altered = bytearray(sender.seal(b"pay 100 to Bob", now=now()))
        altered[-1] ^= 4
        old = sender.seal(b"pay 100 to Bob", now=now() - 60 * 10**9)
        kid = bytearray(sender.seal(b"pay 100 to Bob", now=now()))
        kid[42:44] = b"\xff\xfe"
        for record in (good, good, bytes(altered), old, bytes(kid), good[:40], b"\0" * 64):
            attacker.sendto(record, address(False))
        assert server.recv(65536) == b"pay 100 to Bob"
    for ending in ("truncated", "altered", "played back"):
        stream_attack(box, ending)


def stream_attack(box: KeyBox, ending: str) -> None:
    """A stream that a receiver refuses in the end."""
    suite = SuiteId.AES_CBC
    sender = StreamSender(Role.INITIATOR, box, suite)
    wire = [sender.seal(text, now=time.time_ns()) for text in (b"first", b"second", b"third")]
    if ending == "played back":
        wire.append(sender.close(now=time.time_ns()))
    if ending == "altered":
        wire[1] = wire[1][:-1] + bytes([wire[1][-1] ^ 1])
    for _ in range(2 if ending == "played back" else 1):
        with nst_socket(socket.SOCK_STREAM, suite, v6=False) as server:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            server.bind(address(False))
            server.listen()
            with socket.create_connection(address(False), TIMEOUT_S) as plain:
                child, _ = server.accept()
                with child, contextlib.suppress(ConnectionError):
                    for record in wire:
                        plain.sendall(record)
                        time.sleep(0.2)
                    plain.shutdown(socket.SHUT_WR)
                    time.sleep(0.2)
        time.sleep(0.2)


def main(out: Path) -> None:
    source = Path(os.environ["NST_KEYBOX"])
    box = KeyBox.load(source)
    suites = [SuiteId[name] for name in Path("/proc/net/nst_suites").read_text().split()]
    with capture(out / "streams.pcap"):
        for n, suite in enumerate(suites):
            web(suite, v6=bool(n % 2), size=4 + 200 * n)
    with capture(out / "datagrams.pcap"):
        for n, suite in enumerate(suites):
            questions(suite, v6=bool(n % 2))
    with capture(out / "attacks.pcap"):
        attacks(box)
    shutil.copyfile(source, out / "samples.keybox")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
