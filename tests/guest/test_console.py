# SPDX-License-Identifier: GPL-2.0-or-later
"""The console's lines: in the log, to listeners, to those who wait."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuzz.guest.console import Console
from fuzz.guest.errors import GuestError, GuestPanic, GuestTimeout


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "console.log"


@pytest.fixture
def console(log: Path) -> Console:
    return Console(log)


@pytest.fixture
def port(console: Console) -> Iterator[socket.socket]:
    """The guest's end of a port that the console follows."""
    near, far = socket.socketpair()
    console.attach(near)
    with far:
        yield far


def test_lines_split_across_reads_arrive_whole_and_stamped(
    console: Console, port: socket.socket, log: Path
) -> None:
    for part in (b"first li", b"ne\r\nsecond\r", b"\nno newline"):
        port.sendall(part)
    port.close()
    console.join(5)
    assert [line.text for line in console] == ["first line", "second", "no newline"]
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z "
    logged = log.read_text().splitlines()
    assert [re.sub(stamp, "", line, count=1) for line in logged] == [line.text for line in console]
    assert all(re.match(stamp, line) for line in logged)


def test_control_sequences_are_removed(console: Console, port: socket.socket) -> None:
    port.sendall(b"\x1b[2J\x1b[01;01Hboot\x1b[0m\x07ing \xff\n")
    assert console.wait_for("boot", 5).string == "booting \N{REPLACEMENT CHARACTER}"


def test_wait_for_sees_earlier_and_later_lines(console: Console, port: socket.socket) -> None:
    port.sendall(b"value 1\n")
    assert console.wait_for(r"value (\d)", 5)[1] == "1"
    with pytest.raises(GuestTimeout):
        console.wait_for(r"value (\d)", 0.05, since=1)
    port.sendall(b"value 2\n")
    assert console.wait_for(r"value (\d)", 5, since=1)[1] == "2"


def test_wait_for_ends_with_a_panic_or_the_guest(console: Console, port: socket.socket) -> None:
    port.sendall(b"[    1.0] Kernel panic - not syncing: Fatal exception\n")
    with pytest.raises(GuestPanic, match=r"^Kernel panic - not syncing: Fatal.*console\.log"):
        console.wait_for("login", 5)
    assert console.panic_since(0) == "Kernel panic - not syncing: Fatal exception"
    assert console.panic_since(1) is None
    port.close()
    with pytest.raises(GuestError, match="QEMU ended"):
        console.wait_for("login", 5, since=1)


def test_listeners_get_every_line(console: Console, port: socket.socket) -> None:
    heard: list[str] = []
    console.listen(lambda line: heard.append(line.text))
    port.sendall(b"".join(b"%d\n" % number for number in range(1000)))
    port.close()
    console.join(5)
    assert heard == [str(number) for number in range(1000)]


def test_a_console_outlives_a_restart(console: Console, port: socket.socket) -> None:
    port.sendall(b"one\n")
    port.close()
    console.join(5)
    near, far = socket.socketpair()
    console.attach(near)
    with far:
        far.sendall(b"two\n")
        console.wait_for("two", 5)
    assert [line.text for line in console] == ["one", "two"]
