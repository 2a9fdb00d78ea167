# SPDX-License-Identifier: GPL-2.0-or-later
"""Makes the captures beside this file: conversations of the kernel module, small enough to keep.

Run as ``nst-fuzz guest run -- python tests/module_captures/make.py OUTDIR`` and copy what it
makes. For each suite of the kernel it captures on loopback, over IPv4 and IPv6, one
connection and a few datagrams between AF_NST sockets, with the key box of ``keybox.txt``.
"""

from __future__ import annotations

import socket
import sys
from pathlib import Path

from nst_scapy.header import DEFAULT_PORT, Role
from nst_scapy.suite import SuiteId

HERE = Path(__file__).parent
KEYBOX = HERE / "keybox.txt"
NST_PROTO_INET6 = 10
FAMILIES = {
    socket.AF_INET: ("127.0.0.1", 0),
    socket.AF_INET6: ("::1", NST_PROTO_INET6),
}


def messages(role: Role) -> list[bytes]:
    """What the *role* side sends, on a stream and as datagrams."""
    return [f"{role.value} {n} ".encode() * size for n, size in enumerate([1, 16, 170])]


def _socket(family: socket.AddressFamily, kind: socket.SocketKind, suite: SuiteId) -> socket.socket:
    from traffic import AF_NST, NST_TX_SUITE, SOL_NST, TIMEOUT_S

    made = socket.socket(AF_NST, kind, FAMILIES[family][1])
    # The addresses are those of the family below, so Python's socket is made of that.
    wrapped = socket.socket(family, kind, fileno=made.detach())
    wrapped.setsockopt(SOL_NST, NST_TX_SUITE, suite)
    wrapped.settimeout(TIMEOUT_S)
    return wrapped


def _stream(family: socket.AddressFamily, suite: SuiteId) -> None:
    from traffic import accept

    host = FAMILIES[family][0]
    with (
        _socket(family, socket.SOCK_STREAM, suite) as server,
        _socket(family, socket.SOCK_STREAM, suite) as client,
    ):
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((host, DEFAULT_PORT))
        server.listen()
        client.connect((host, DEFAULT_PORT))
        with accept(server, suite) as child:
            turns = zip(messages(Role.INITIATOR), messages(Role.ACCEPTOR), strict=True)
            for question, answer in turns:
                for one, other, text in (client, child, question), (child, client, answer):
                    one.sendall(text)
                    assert other.recv(len(text), socket.MSG_WAITALL) == text
            for one, other in (client, child), (child, client):
                one.shutdown(socket.SHUT_WR)
                assert other.recv(1) == b""


def _datagrams(family: socket.AddressFamily, suite: SuiteId) -> None:
    host = FAMILIES[family][0]
    with (
        _socket(family, socket.SOCK_DGRAM, suite) as server,
        _socket(family, socket.SOCK_DGRAM, suite) as client,
    ):
        server.bind((host, DEFAULT_PORT))
        client.bind((host, 0))
        client.connect((host, DEFAULT_PORT))
        for text in messages(Role.INITIATOR):
            client.send(text)
            assert server.recv(65536) == text
        for text in messages(Role.ACCEPTOR):
            server.sendto(text, client.getsockname())
            assert client.recv(65536) == text


def main(out: Path) -> None:
    """Make one capture for each suite in *out*."""
    sys.path.append(str(HERE.parent / "transfer"))
    from traffic import capture

    Path("/proc/net/nst_keybox").write_bytes(KEYBOX.read_bytes())
    for name in Path("/proc/net/nst_suites").read_text().split():
        with capture(out / f"{name}.pcap", ""):
            for family in FAMILIES:
                _stream(family, SuiteId[name])
                _datagrams(family, SuiteId[name])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
