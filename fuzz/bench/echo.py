# SPDX-License-Identifier: GPL-2.0-or-later
"""A target on the loopback that returns what it gets, for the campaign runner's own speed.

Run as a program, `python -m fuzz.bench.echo` is the service; it prints its port.
"""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator

from fuzz.bench import stock
from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.steps import CaseRequest
from fuzz.lab import Execution, Flight, Lost
from fuzz.oracles.clock import Interval
from fuzz.oracles.compare import Difference, Observation
from fuzz.oracles.course import Expectation
from fuzz.oracles.monitors import Current, Oracle, VerdictOracle
from fuzz.oracles.shadow import Moment
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId

_ANSWER_SECONDS = 5.0
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

    def __init__(self, port: int, keybox: KeyBox) -> None:
        """`port` is the service's; `keybox` is of no use but there."""
        self.keybox = keybox
        self.suites: frozenset[SuiteId] = frozenset()
        self._port = port
        self._sent = b""
        self._socket = socket.socket()

    def now(self) -> int:
        """The real time, ns."""
        return time.time_ns()

    def launch(self, script: bytes) -> Flight:
        """Send a case, on a connection of its own as boofuzz does."""
        begun = self.now()
        try:
            self._socket = socket.create_connection(("127.0.0.1", self._port), _ANSWER_SECONDS)
            self._socket.sendall(script)
        except (TimeoutError, ConnectionError) as error:
            raise Lost(str(error)) from None
        self._sent = script
        return Flight([], begun, [], [], 0)

    def land(self, flight: Flight) -> Execution:
        """Wait for the answer, and hold it against what was sent."""
        try:
            answer = self._socket.recv(len(self._sent), socket.MSG_WAITALL)
        except (TimeoutError, ConnectionError) as error:
            raise Lost(str(error)) from None
        finally:
            self._socket.close()
        same = answer == self._sent
        return Execution(
            Moment(Interval(flight.begun, self.now()), Interval(0, 0)),
            Expectation(),
            Observation(Counter(), (), (0, 0, 0, 0), 0),
            None if same else Difference("the answer differs", "it is not what was sent"),
            strict=True,
        )

    def restart(self) -> None:
        """There is nothing to boot."""

    def oracles(self, current: Callable[[], Current]) -> list[Oracle]:
        """What looks at the answers."""
        return [VerdictOracle(current)]


def _serve() -> None:
    with socket.create_server(("127.0.0.1", 0)) as own:
        print(own.getsockname()[1], flush=True)
        while True:
            connection, _ = own.accept()
            with connection, contextlib.suppress(ConnectionError):
                while data := connection.recv(_LARGEST):
                    connection.sendall(data)


if __name__ == "__main__":
    _serve()
