# SPDX-License-Identifier: GPL-2.0-or-later
"""A target on the loopback that returns what it gets, for the campaign runner's own speed.

Run as a program, `python -m fuzz.bench.echo` is the service; it prints its port.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator

from fuzz.bench import stock
from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.steps import CaseRequest
from fuzz.flight import Execution, Flight
from fuzz.oracles.clock import Interval
from fuzz.oracles.compare import Difference, Observation
from fuzz.oracles.expectation import Expectation
from fuzz.oracles.monitors import Current, Oracle, VerdictOracle
from fuzz.oracles.shadow import Moment
from fuzz.player import Played
from fuzz.rig import Lost
from nst_scapy.header import Transport
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

_ANSWER_TIME = struct.pack("@ll", 5, 0)
"""How long an answer may take, as the kernel has it: seconds and microseconds."""
_TOGETHER = 16
"""Cases under way at a time."""
_LARGEST = 65536


def _requests(_keybox: KeyBox, _suites: Collection[SuiteId]) -> list[CaseRequest]:
    return [CaseRequest("record", children=stock.fields())]


ECHO = Campaign("echo", "the grammar of the benchmark's peer", (), _requests)


@contextlib.contextmanager
def service() -> Iterator[int]:
    """The service, in a process of its own; yields its port."""
    process = subprocess.Popen(
        [sys.executable, "-m", __name__], stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.communicate()


class EchoSubject:
    """What the runner takes for a guest: a case is a connection, and right if it comes back."""

    boots = 1
    creation = 0
    crowded = False
    killed = False
    overlaps = False

    def __init__(self, port: int, keybox: KeyBox) -> None:
        """`port` is the service's; `keybox` is of no use but there."""
        self.keybox = keybox
        self.suites: frozenset[SuiteId] = frozenset()
        self._port = port
        self._sent: list[tuple[socket.socket, bytes]] = []

    def now(self) -> int:
        """The real time, ns."""
        return time.time_ns()

    def share(self, script: bytes) -> float:
        """A case is right whatever others do."""
        return max(1 / _TOGETHER, len(script) / _LARGEST)

    def prepare(self, *scripts: bytes) -> Flight:
        """Note the cases."""
        self._sent = [(socket.socket(), script) for script in scripts]
        return Flight([], self.now(), Played([], [], [], asked=False))

    def take_off(self, flight: Flight) -> None:
        """Send them, each on a connection of its own as boofuzz does."""
        try:
            for connection, script in self._sent:
                connection.connect(("127.0.0.1", self._port))
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, _ANSWER_TIME)
                connection.sendall(script)
        except OSError as error:
            raise self._lost(error) from None

    def touch_down(self, flight: Flight) -> None:
        """Nothing to wait for that `land` does not wait for."""

    def land(self, flight: Flight, *, followed: bool = False) -> Execution:
        """Wait for the answers, and hold them against what was sent."""
        same = True
        try:
            for connection, script in self._sent:
                same &= connection.recv(len(script), socket.MSG_WAITALL) == script
                connection.close()
        except OSError as error:
            raise self._lost(error) from None
        each = [Counter[tuple[Transport, Verdict]]() for _ in self._sent]
        self._sent.clear()
        return Execution(
            Moment(Interval(flight.begun, self.now()), Interval(0, 0)),
            Expectation(each=each),
            Observation(Counter(), (), (0, 0, 0, 0), 0),
            None if same else Difference("the answer differs", "it is not what was sent"),
            strict=True,
        )

    def _lost(self, error: OSError) -> Lost:
        for connection, _ in self._sent:
            connection.close()
        self._sent.clear()
        return Lost(str(error))

    def restart(self) -> None:
        """There is nothing to boot."""

    def oracles(self, current: Callable[[], Current]) -> list[Oracle]:
        """What looks at the answers."""
        return [VerdictOracle(current)]


def _serve() -> None:
    """Whoever has something to say is answered, however many are connected."""
    connections: dict[int, socket.socket] = {}
    with socket.create_server(("127.0.0.1", 0)) as own, select.epoll() as ready:
        print(own.getsockname()[1], flush=True)
        ready.register(own, select.EPOLLIN)
        while True:
            for number, _ in ready.poll():
                if number == own.fileno():
                    connection, _ = own.accept()
                    connections[connection.fileno()] = connection
                    ready.register(connection, select.EPOLLIN)
                elif not _answered(connections[number]):
                    connections.pop(number).close()


def _answered(connection: socket.socket) -> bool:
    """Return what came on a connection; False if that was its end."""
    try:
        data = connection.recv(_LARGEST)
        connection.sendall(data)
    except ConnectionError:
        return False
    return bool(data)


if __name__ == "__main__":
    _serve()
