# SPDX-License-Identifier: GPL-2.0-or-later
"""Traffic between AF_NST and Python, made inside a guest; run as ``traffic.py OUTDIR``.

For each suite that the kernel has:

* module to module over loopback, captured into ``OUTDIR/{stream,dgram}-SUITE.pcap``
  (the host opens the captures);
* Python to module and back, over ordinary TCP and UDP sockets, compared here.

Ends with exit code 0 and ``OUTDIR/done.json``, or with the assertion that failed.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from nst_scapy.header import DEFAULT_PORT, Role
from nst_scapy.keybox import KeyBox
from nst_scapy.receiver import DgramReceiver, Receiver
from nst_scapy.sender import DgramSender, StreamSender
from nst_scapy.stream import StreamReceiver
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

STREAM_BYTES = 10_000_000
DATAGRAMS = 10_000

AF_NST = 18
SOL_NST = 1337
NST_TX_SUITE = 1
ADDRESS = ("127.0.0.1", DEFAULT_PORT)
IN_FLIGHT = 64
"""Datagrams on their way at once: few enough for the default receive buffer."""
TIMEOUT_S = 120


def stream_payload(suite: SuiteId, role: Role) -> bytes:
    """What the *role* side sends on a stream."""
    return random.Random(f"{suite.name} {role.value}").randbytes(STREAM_BYTES)


def datagrams(suite: SuiteId, role: Role) -> list[bytes]:
    """The datagrams that the *role* side sends, sizes 0 to 1400."""
    rng = random.Random(f"{suite.name} {role.value}")
    return [rng.randbytes(rng.randint(0, 1400)) for _ in range(DATAGRAMS)]


def nst_socket(kind: socket.SocketKind, suite: SuiteId) -> socket.socket:
    """An AF_NST socket that seals with *suite*."""
    # A plain AF_INET object around the descriptor: the addresses are AF_INET's.
    made = socket.socket(AF_NST, kind, 0)
    wrapped = socket.socket(socket.AF_INET, kind, fileno=made.detach())
    wrapped.setsockopt(SOL_NST, NST_TX_SUITE, suite)
    wrapped.settimeout(TIMEOUT_S)
    return wrapped


def listener(kind: socket.SocketKind, suite: SuiteId) -> socket.socket:
    sock = nst_socket(kind, suite)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    sock.bind(ADDRESS)
    if kind is socket.SOCK_STREAM:
        sock.listen()
    return sock


def accept(server: socket.socket, suite: SuiteId) -> socket.socket:
    # socket.accept() would build the child with the AF_INET family that we claim:
    # right, since the descriptor is what carries the protocol.
    child, _ = server.accept()
    child.setsockopt(SOL_NST, NST_TX_SUITE, suite)
    child.settimeout(TIMEOUT_S)
    return child


@contextlib.contextmanager
def capture(path: Path, what: str) -> Iterator[None]:
    """Capture loopback into *path*; every packet, or an error."""
    command = ["tcpdump", "-i", "lo", "-Z", "root", "-B", "131072", "--nano", "-w", str(path)]
    dump = subprocess.Popen(
        [*command, f"{what} port {DEFAULT_PORT}"], stderr=subprocess.PIPE, text=True
    )
    assert dump.stderr is not None
    started = dump.stderr.readline()
    assert "listening" in started, started
    try:
        yield
        # What lies in the kernel's ring when it is told to stop, tcpdump leaves there.
        size = -1
        while size != (size := path.stat().st_size):
            time.sleep(2)
    finally:
        dump.send_signal(signal.SIGINT)
        _, said = dump.communicate(timeout=TIMEOUT_S)
    count: dict[str, int] = {}
    for line in said.splitlines():
        number, what = line.split(" packets ")
        count[what] = int(number)
    # A packet on loopback passes the filter twice, out and in, and is kept once.
    assert count["received by filter"] == 2 * count["captured"], said
    assert count["dropped by kernel"] == 0, said


def receive_all(sock: socket.socket) -> bytes:
    pieces = []
    while piece := sock.recv(1 << 16):
        pieces.append(piece)
    return b"".join(pieces)


def same(got: bytes, expected: bytes, what: str) -> None:
    assert got == expected, f"{what}: {len(got)} bytes came, {len(expected)} were sent, or differ"


def both(pool: ThreadPoolExecutor, a: Callable[[], object], b: Callable[[], object]) -> None:
    """Run both at once; the first failure is raised."""
    futures: list[Future[object]] = [pool.submit(a), pool.submit(b)]
    for future in futures:
        future.result()


def module_streams(suite: SuiteId, pool: ThreadPoolExecutor, path: Path) -> None:
    """Both directions at once, between two AF_NST sockets."""
    up, down = (stream_payload(suite, role) for role in (Role.INITIATOR, Role.ACCEPTOR))

    def end(sock: socket.socket, payload: bytes, expected: bytes) -> None:
        def send() -> None:
            sock.sendall(payload)
            sock.shutdown(socket.SHUT_WR)

        sending = pool.submit(send)
        got = receive_all(sock)
        sending.result()
        same(got, expected, f"stream {suite.name}")

    with (
        capture(path, "tcp"),
        listener(socket.SOCK_STREAM, suite) as server,
        nst_socket(socket.SOCK_STREAM, suite) as client,
    ):
        client.connect(ADDRESS)
        with accept(server, suite) as child:
            both(pool, lambda: end(client, up, down), lambda: end(child, down, up))


def module_datagrams(suite: SuiteId, path: Path) -> None:
    """Both directions in turn, between two AF_NST sockets."""
    with (
        capture(path, "udp"),
        listener(socket.SOCK_DGRAM, suite) as server,
        nst_socket(socket.SOCK_DGRAM, suite) as client,
    ):
        client.bind(("127.0.0.1", 0))
        client.connect(ADDRESS)
        ways = ((client, server, Role.INITIATOR), (server, client, Role.ACCEPTOR))
        for sender, receiver, role in ways:
            sent = datagrams(suite, role)
            to = receiver.getsockname()
            for start in range(0, len(sent), IN_FLIGHT):
                batch = sent[start : start + IN_FLIGHT]
                for payload in batch:
                    sender.sendto(payload, to)
                for payload in batch:
                    same(receiver.recv(65536), payload, f"dgram {suite.name}")


def python_and_module_stream(suite: SuiteId, pool: ThreadPoolExecutor, box: KeyBox) -> None:
    """Sealed by Python, opened by the module; then the other way round."""
    up, down = (stream_payload(suite, role) for role in (Role.INITIATOR, Role.ACCEPTOR))

    def serve(server: socket.socket) -> None:
        with accept(server, suite) as child:
            same(receive_all(child), up, f"stream {suite.name} to the module")
            child.sendall(down)
            child.shutdown(socket.SHUT_WR)

    with listener(socket.SOCK_STREAM, suite) as server:
        serving = pool.submit(serve, server)
        with socket.create_connection(ADDRESS, TIMEOUT_S) as plain:
            sealing = StreamSender(Role.INITIATOR, box, suite, rekey_records=100)
            opening = StreamReceiver(Receiver(box), Role.INITIATOR)
            plain.sendall(sealing.seal(up, now=time.time_ns()) + sealing.close(now=time.time_ns()))
            assert sealing.first_token is not None
            opening.sent_first(sealing.first_token)
            got = []
            while data := plain.recv(1 << 16):
                got += opening.receive(data, now=time.time_ns(), age=time.time_ns())
            got += opening.end()
        serving.result()
    assert {outcome.verdict for outcome in got} == {Verdict.OK}
    payload = b"".join(outcome.plaintext or b"" for outcome in got)
    same(payload, down, f"stream {suite.name} from the module")


def python_and_module_datagrams(suite: SuiteId, box: KeyBox) -> None:
    """Sealed by Python, opened by the module; then the other way round."""
    sealing = DgramSender(box, suite, rekey_records=1000)
    opening = DgramReceiver(Receiver(box))
    up, down = (datagrams(suite, role) for role in (Role.INITIATOR, Role.ACCEPTOR))
    with (
        listener(socket.SOCK_DGRAM, suite) as server,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as plain,
    ):
        plain.settimeout(TIMEOUT_S)
        plain.bind(("127.0.0.1", 0))
        for start in range(0, DATAGRAMS, IN_FLIGHT):
            batch = slice(start, start + IN_FLIGHT)
            for payload in up[batch]:
                plain.sendto(sealing.seal(payload, now=time.time_ns()), ADDRESS)
            for payload in up[batch]:
                same(server.recv(65536), payload, f"dgram {suite.name} to the module")
            for payload in down[batch]:
                server.sendto(payload, plain.getsockname())
            for payload in down[batch]:
                record = plain.recv(65536)
                now = time.time_ns()
                outcome = opening.receive(record, now=now, age=now)
                assert outcome.verdict is Verdict.OK, outcome.verdict
                got = outcome.plaintext or b""
                same(got, payload, f"dgram {suite.name} from the module")


def main(out: Path) -> None:
    box = KeyBox.load(os.environ["NST_KEYBOX"])
    suites = [SuiteId[name] for name in Path("/proc/net/nst_suites").read_text().split()]
    with ThreadPoolExecutor(8) as pool:
        for suite in suites:
            times = [time.monotonic()]
            module_streams(suite, pool, out / f"stream-{suite.name}.pcap")
            times.append(time.monotonic())
            module_datagrams(suite, out / f"dgram-{suite.name}.pcap")
            times.append(time.monotonic())
            python_and_module_stream(suite, pool, box)
            times.append(time.monotonic())
            python_and_module_datagrams(suite, box)
            times.append(time.monotonic())
            took = " ".join(f"{b - a:.1f}" for a, b in itertools.pairwise(times))
            print(f"{suite.name}: {took} s", flush=True)
    (out / "done.json").write_text(json.dumps([suite.name for suite in suites]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
