# SPDX-License-Identifier: GPL-2.0-or-later
"""Asking the target program: one request, one reply, over the guest's link."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Sequence

from fuzz.net.host import Host
from fuzz.target.wire import Op, Reply, parse_reply, request

CONTROL_PORT = 48880
ECHO_PORT = 7
_OWN_PORT = 4000


class TargetSilent(Exception):
    """The target did not answer in time."""


class TargetRefused(Exception):
    """The target answered with an error."""


class TargetClient:
    """Requests to the target program of one guest."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self._seq = itertools.count(1)

    def ask(
        self,
        op: Op,
        data: bytes = b"",
        *,
        timeout: float,
        value: int = 0,
    ) -> Reply:
        """Send a request and wait for its reply.

        Raises:
            TargetSilent: no reply within `timeout` seconds.
        """
        return self.reply(self.send(op, data, value=value), timeout)

    def send(
        self,
        op: Op,
        data: bytes = b"",
        *,
        before: Sequence[bytes] = (),
        family: int = 4,
        port: int = 0,
        value: int = 0,
    ) -> int:
        """Send the frames `before` and a request in one go; return the request's number.

        The reply shows the guest after those frames.
        """
        seq = next(self._seq)
        message = request(seq, op, data, family=family, port=port, value=value)
        asking = self._host.datagram(message, source_port=_OWN_PORT, destination_port=CONTROL_PORT)
        self._host.transmit([*before, *asking])
        return seq

    def reply(
        self, seq: int, timeout: float, meanwhile: Callable[[], None] = lambda: None
    ) -> Reply:
        """Wait for the reply to a request.

        Other datagrams that arrive stay in the host's queue. While it waits, `meanwhile` is
        called for every frame that comes.

        Raises:
            TargetSilent: no reply within `timeout` seconds.
        """

        def answer() -> Reply | None:
            meanwhile()
            while datagram := self._host.take_datagram(source_port=CONTROL_PORT):
                reply = parse_reply(datagram.payload)
                if reply is not None and reply.seq == seq:
                    return reply
            return None

        if (reply := self._host.wait_for(answer, timeout)) is None:
            raise TargetSilent(f"the target did not answer within {timeout:g} s")
        return reply

    def read(self, path: str, timeout: float) -> str:
        """The first 1000 bytes of a file in the guest.

        Raises:
            TargetSilent: no reply in time.
            TargetRefused: it cannot be read.
        """
        reply = self.ask(Op.READ, path.encode(), timeout=timeout)
        return accepted(reply, f"reading {path}").text

    def write(self, path: str, contents: bytes, timeout: float) -> None:
        """Write a file in the guest with one write(2).

        Raises:
            TargetSilent: no reply in time.
            TargetRefused: it cannot be written.
        """
        reply = self.ask(Op.WRITE, path.encode() + b"\0" + contents, timeout=timeout)
        accepted(reply, f"writing {path}")

    def holdings(self, timeout: float, *, at_once: bool = False) -> str:
        """What the kernel holds, when all that is being freed is free: lines of name and number.

        If it is asked for `at_once` the rest counts, too.

        Raises:
            TargetSilent: no reply in time.
            TargetRefused: the kernel does not tell.
        """
        reply = self.ask(Op.HOLDINGS, value=at_once, timeout=timeout)
        return accepted(reply, "counting slab objects").text

    def lost_memory(self, timeout: float) -> str:
        """What kmemleak has found of the module's memory: see `Op.KMEMLEAK`.

        Raises:
            TargetSilent: no reply in time.
            TargetRefused: the kernel does not tell.
        """
        reply = self.ask(Op.KMEMLEAK, timeout=timeout)
        return accepted(reply, "reading kmemleak's reports").text

    def set_clock(self, ns: int, timeout: float) -> None:
        """Set the guest's real-time clock, ns since 1970.

        Raises:
            TargetSilent: no reply in time.
            TargetRefused: the clock cannot be set.
        """
        accepted(self.ask(Op.CLOCK, value=ns, timeout=timeout), "setting the clock")


def accepted(reply: Reply, what: str) -> Reply:
    """A reply without an error; TargetRefused, which says `what` was asked, if there is one."""
    if reply.error:
        raise TargetRefused(f"{what} in the guest: {os.strerror(reply.error)}")
    return reply
