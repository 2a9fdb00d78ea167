# SPDX-License-Identifier: GPL-2.0-or-later
"""The specification's receiver cases, played to the module over loopback.

A case tells the time of each event, so the guest's clock is set before each. It tells an
age of the replay tables, too: its namespace was made when the tests began, long enough
ago that its age makes no difference.
"""

from __future__ import annotations

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from nst_scapy import vectors
from nst_scapy.header import HEADER_LEN, Header
from nst_scapy.suite import SuiteId
from tests.in_guest import counters
from tests.in_guest.conftest import SYSCTL, Namespaces
from tests.in_guest.sockets import (
    TIMEOUT_S,
    available_suites,
    load_keybox,
    nst_socket,
    plain_socket,
    readable,
    recv_exactly,
)

VECTORS = Path(__file__).parents[1] / "vectors" / "nst-v1.json"
SECOND = 10**9
SLACK_NS = 2 * SECOND
"""What may pass between setting the clock and the module's reading it.

No more: the cases' verdicts stay the same if their times are changed by as much.
"""


def timestamps(case: dict[str, Any]) -> Iterator[int]:
    """Of the records that are accepted."""
    for event in case["events"]:
        data = bytes.fromhex(event.get("bytes", ""))
        if len(data) >= HEADER_LEN and "OK" in [v["verdict"] for v in event["verdicts"]]:
            yield Header.unpack(data).timestamp


def age_wanted(case: dict[str, Any]) -> int:
    """How old tables have to be for their age not to refuse any of the records, ns."""
    latest = max(event["now"] for event in case["events"] if "now" in event)
    return latest - min(timestamps(case), default=latest) + 2 * SECOND


def why_not(case: dict[str, Any]) -> str | None:
    """Why a case cannot be played over loopback."""
    if case["role"] == "initiator":
        return "the module seals the first record itself, with a token of its own"
    if any(event.get("age", 10**15) < 10**15 for event in case["events"]):
        return "the tables are not of exactly this age"
    return None


CASES = vectors.load(VECTORS).receivers
PLAYED = [case for case in CASES if why_not(case) is None]


def test_few_are_left_out() -> None:
    assert len(PLAYED) >= len(CASES) - 4


@pytest.fixture
def clock() -> Iterator[Callable[[int], None]]:
    """Set the clock; in the end it is right again."""
    real, monotonic = time.time_ns(), time.monotonic_ns()
    try:
        yield lambda now: time.clock_settime_ns(time.CLOCK_REALTIME, now)
    finally:
        passed = time.monotonic_ns() - monotonic
        time.clock_settime_ns(time.CLOCK_REALTIME, real + passed)


def moment(event: dict[str, Any], window: int) -> int:
    """The event's time, or a little earlier if a little later would be another matter."""
    now: int = event["now"]
    data = bytes.fromhex(event["bytes"])
    if len(data) < HEADER_LEN:
        return now
    behind = now - Header.unpack(data).timestamp
    edges = (window - SLACK_NS < behind <= window, 0 < -behind - window <= SLACK_NS)
    return now - SLACK_NS if any(edges) else now


def counted_since(before: Counter[str], transport: str) -> Counter[str]:
    """Verdicts, wherever they were counted."""
    found: Counter[str] = Counter()
    for name, count in (counters.read() - before).items():
        where, _, verdict = name.partition(".")
        if where in (transport, f"{transport}_local_in"):
            found[verdict] += count
    return found


class Dgrams:
    """The sockets of a datagram case."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._udp = stack.enter_context(plain_socket(socket.SOCK_DGRAM))
        self._servers: dict[int, socket.socket] = {}

    def play(self, event: dict[str, Any]) -> None:
        if event["socket"] not in self._servers:
            made = self._stack.enter_context(nst_socket(socket.SOCK_DGRAM))
            made.bind(("127.0.0.1", 0))
            self._servers[event["socket"]] = made
        server = self._servers[event["socket"]]
        self._udp.sendto(bytes.fromhex(event["bytes"]), server.getsockname())
        (expected,) = event["verdicts"]
        if expected["verdict"] == "OK":
            assert server.recv(70_000).hex() == expected["plaintext"]
        else:
            assert not readable(server)


class Streams:
    """The connections of a stream case."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._server = stack.enter_context(nst_socket(socket.SOCK_STREAM))
        self._server.bind(("127.0.0.1", 0))
        self._server.listen()
        self._ends: dict[int, tuple[socket.socket, socket.socket]] = {}

    def play(self, event: dict[str, Any]) -> None:
        if event["socket"] not in self._ends:
            client = self._stack.enter_context(plain_socket(socket.SOCK_STREAM))
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.connect(self._server.getsockname())
            accepted = self._stack.enter_context(self._server.accept()[0])
            accepted.settimeout(TIMEOUT_S)
            self._ends[event["socket"]] = client, accepted
        client, accepted = self._ends[event["socket"]]
        try:
            client.sendall(bytes.fromhex(event["bytes"]))
            if event["eof"]:
                client.shutdown(socket.SHUT_WR)
        except OSError:
            assert event["verdicts"][-1]["verdict"] != "OK"
        plaintext = bytes.fromhex("".join(v["plaintext"] or "" for v in event["verdicts"]))
        assert recv_exactly(accepted, len(plaintext)) == plaintext
        # The rest, with nothing to read in it, is opened when somebody asks.
        if not event["verdicts"] or not event["verdicts"][-1]["plaintext"]:
            readable(accepted)


@pytest.mark.parametrize("case", PLAYED, ids=lambda case: case["name"])
def test_receiver_case(
    case: dict[str, Any],
    aged_namespaces: Namespaces,
    clock: Callable[[int], None],
) -> None:
    missing = set(SuiteId) - set(available_suites())
    used = {bytes.fromhex(e["bytes"])[5:6] for e in case["events"] if "bytes" in e}
    if any(bytes([suite]) in used for suite in missing):
        pytest.skip("this kernel lacks a suite")
    transport, window = case["transport"], case["window_ns"]
    with aged_namespaces.one(age_wanted(case) / SECOND), ExitStack() as stack:
        load_keybox("".join(f"{kid} {key}\n" for kid, key in case["keybox"].items()).encode())
        (SYSCTL / "timestamp_window_ms").write_text(f"{window // 10**6}\n")
        (SYSCTL / f"{transport}_sessions_max").write_text(f"{case['table_size']}\n")
        sockets = Dgrams(stack) if transport == "dgram" else Streams(stack)
        for number, event in enumerate(case["events"]):
            if event["op"] != "receive":
                continue  # the module draws its own session_ids: nothing to be reflected
            expected = Counter(v["verdict"] for v in event["verdicts"])
            if "REFLECT" in expected:
                continue
            before = counters.read()
            clock(moment(event, window))
            sockets.play(event)
            end = time.monotonic() + TIMEOUT_S
            while (found := counted_since(before, transport)) != expected:
                assert time.monotonic() < end, (number, found, expected)
                time.sleep(0.01)
