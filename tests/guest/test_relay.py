# SPDX-License-Identifier: GPL-2.0-or-later
"""Bytes between descriptors and a guest's ports; sockets stand for the guest here."""

from __future__ import annotations

import os
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from fuzz.guest.relay import Relay


@dataclass
class Ports:
    """Both ends of a guest's ports: the relay's and the guest's."""

    stdin: tuple[socket.socket, socket.socket]
    stdout: tuple[socket.socket, socket.socket]
    status: tuple[socket.socket, socket.socket]

    def relay(self, source: int | None, output: int) -> Relay:
        return Relay(source, self.stdin[0], {self.stdout[0]: output}, self.status[0])

    def end_guest(self) -> None:
        for _, far in (self.stdin, self.stdout, self.status):
            far.close()


@pytest.fixture
def ports() -> Iterator[Ports]:
    made = Ports(socket.socketpair(), socket.socketpair(), socket.socketpair())
    yield made
    for near, far in (made.stdin, made.stdout, made.status):
        near.close()
        far.close()


@pytest.fixture
def output(tmp_path: Path) -> Iterator[int]:
    descriptor = os.open(tmp_path / "output", os.O_WRONLY | os.O_CREAT)
    yield descriptor
    os.close(descriptor)


def test_input_ends_when_the_source_does(ports: Ports, output: int, tmp_path: Path) -> None:
    sent = os.urandom(1_000_000)
    (tmp_path / "input").write_bytes(sent)
    got = bytearray()

    def guest() -> None:
        while data := ports.stdin[1].recv(65536):
            got.extend(data)
        ports.status[1].sendall(b"started\n0\n")

    thread = threading.Thread(target=guest)
    thread.start()
    with (tmp_path / "input").open("rb") as source:
        relay = ports.relay(source.fileno(), output)
        assert relay.status(20) == "started"
        assert relay.status(20) == "0"
    thread.join()
    assert got == sent


def test_output_flows_while_the_guest_takes_no_input(
    ports: Ports, output: int, tmp_path: Path
) -> None:
    (tmp_path / "input").write_bytes(bytes(10_000_000))
    ports.stdout[1].sendall(b"out")
    ports.status[1].sendall(b"7\n")
    with (tmp_path / "input").open("rb") as source:
        relay = ports.relay(source.fileno(), output)
        assert relay.status(20) == "7"
        ports.end_guest()
        relay.drain(20)
    assert (tmp_path / "output").read_bytes() == b"out"


def test_a_guest_that_ends_says_nothing(ports: Ports, output: int) -> None:
    relay = ports.relay(None, output)
    assert ports.stdin[1].recv(1) == b""
    ports.end_guest()
    assert relay.status(20) == ""


def test_waiting_has_an_end(ports: Ports, output: int) -> None:
    with pytest.raises(TimeoutError):
        ports.relay(None, output).status(0.05)


def test_a_closed_output_is_an_error(ports: Ports) -> None:
    read, write = os.pipe()
    os.close(read)
    ports.stdout[1].sendall(b"out")
    try:
        with pytest.raises(BrokenPipeError):
            ports.relay(None, write).status(20)
    finally:
        os.close(write)
