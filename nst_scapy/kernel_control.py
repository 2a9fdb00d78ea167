# SPDX-License-Identifier: GPL-2.0-or-later
"""Driving the kernel module: key box, settings, counters, rejected records.

Everything is that of the network namespace that the calling thread is in when a
:class:`Control` is made.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import socket
from array import array
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any

from pyroute2.netlink import NLM_F_ACK, NLM_F_DUMP, NLM_F_REQUEST, genlmsg
from pyroute2.netlink.exceptions import NetlinkError
from pyroute2.netlink.generic import GenericNetlinkSocket

from . import kernel_messages as messages
from .closing import Closing
from .header import HEADER_LEN, Header, Transport
from .inet import Endpoint
from .kernel_messages import SETTINGS, Command
from .suite import SuiteId
from .verdict import Verdict

_KEYS_PER_REQUEST = 1024
"""A request has to fit into a socket's send buffer."""
_RECEIVE_BUFFER = 1 << 20
_SO_RCVBUFFORCE = 33
_VERDICTS = {verdict.number: verdict for verdict in Verdict}


class ControlError(OSError):
    """What the kernel answered: ``errno``, and its reason in words."""


@dataclass(frozen=True)
class Stat:
    """The counters of a network namespace.

    Attributes:
        verdicts: records by verdict; ``stream`` and ``dgram`` were judged in the receive
            path, ``stream_local_in`` and ``dgram_local_in`` by the LOCAL_IN check.
        multicast: datagrams that were dropped for having been sent to many.
        age_ns: age of the replay tables, nanoseconds.
        sessions: entries in the replay table of ``stream`` and of ``dgram``.
        floor: the floor of each, nanoseconds since 1970.
        keys: number of keys in the key box.
        suites: what the kernel provides.
    """

    verdicts: dict[str, dict[str, int]]
    multicast: int
    age_ns: int
    sessions: dict[str, int]
    floor: dict[str, int]
    keys: int
    suites: list[str]


@dataclass(frozen=True)
class Reject:
    """A record that was rejected. Nothing in it is authenticated.

    Attributes:
        verdict: why.
        transport: what carried it.
        local_in: whether the LOCAL_IN check judged it, not the receive path.
        passed: it was let through all the same, since ``drop_invalid`` is 0.
        src: where it seems to come from.
        dst: where it went.
        header: of its header, what there was: 0 to 48 bytes.
        lost: rejected records that were not reported since the report before, or more.
    """

    verdict: Verdict
    transport: Transport
    local_in: bool
    passed: bool
    src: Endpoint
    dst: Endpoint
    header: bytes
    lost: int

    def as_dict(self) -> dict[str, Any]:
        """Everything, ready for JSON; ``header`` by its fields if it is whole, else in hex."""
        whole = len(self.header) == HEADER_LEN
        return {
            "verdict": self.verdict.value,
            "transport": self.transport.value,
            "where": "local_in" if self.local_in else "receive",
            "passed": self.passed,
            "src": str(self.src),
            "dst": str(self.dst),
            "header": Header.unpack(self.header).as_dict() if whole else self.header.hex(),
            "lost": self.lost,
        }


class Control(Closing):
    """A netlink socket to the module. Use as a context manager, in one thread."""

    def __init__(self) -> None:
        """Connect.

        Raises:
            ControlError: ``ENOPROTOOPT`` if the kernel has no NST.
        """
        self._socket = GenericNetlinkSocket(ext_ack=True)
        try:
            # What it logs is in the error, too.
            logging.disable(logging.ERROR)
            self._socket.bind(messages.FAMILY, messages.read)
        except NetlinkError as error:
            self._socket.close()
            raise _control_error(error, "the kernel has no NST") from None
        finally:
            logging.disable(logging.NOTSET)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def add_keys(self, keys: Mapping[int, bytes], *, replace: bool = False) -> None:
        """Add keys (32 bytes each, by kid); with *replace* also over those of the same kid.

        All of them or, up to 1024, none: more are added by as many at a time.

        Raises:
            ControlError: ``EEXIST`` if a kid is there, ``EPERM``, ``EINVAL``.
        """
        for some in _batches(keys):
            message = messages.empty(Command.KEY_ADD)
            for kid in some:
                parts = [["NST_KEY_A_KID", kid], ["NST_KEY_A_MATERIAL", keys[kid]]]
                message["attrs"].append(["NST_KEYS_A_KEY", {"attrs": parts}])
            if replace:
                message["attrs"].append(["NST_KEYS_A_REPLACE", True])
            self._request(message)

    def delete_keys(self, kids: Iterable[int]) -> None:
        """Delete keys; the kernel wipes them.

        All of them or, up to 1024, none.

        Raises:
            ControlError: ``ENOENT`` if one is not there, ``EPERM``.
        """
        for some in _batches(kids):
            message = messages.empty(Command.KEY_DEL)
            message["attrs"].append(["NST_KEYS_A_KIDS", array("H", some).tobytes()])
            self._request(message)

    def flush_keys(self) -> None:
        """Delete all keys.

        Raises:
            ControlError: ``EPERM``.
        """
        self._request(messages.empty(Command.KEY_FLUSH))

    def kids(self) -> list[int]:
        """The kids of the key box, ascending.

        Raises:
            ControlError: ``EPERM``.
        """
        answers = self._request(messages.empty(Command.KEY_GET), NLM_F_DUMP)
        kids = array("H")
        for answer in answers:
            kids.frombytes(answer.get_attr("NST_KEYS_A_KIDS"))
        return kids.tolist()

    def settings(self) -> dict[str, int]:
        """The settings ``net.nst.*``."""
        (answer,) = self._request(messages.empty(Command.SETTING_GET))
        return {name: answer.get_attr(f"NST_SETTING_A_{name.upper()}") for name in SETTINGS}

    def set(self, **settings: int) -> None:
        """Change settings: all of them, or none.

        Raises:
            ControlError: ``ERANGE``, ``EOPNOTSUPP`` for a suite that the kernel lacks, ``EPERM``.
            KeyError: there is no such setting.
        """
        message = messages.empty(Command.SETTING_SET)
        for name, value in settings.items():
            if name not in SETTINGS:
                raise KeyError(name)
            message["attrs"].append([f"NST_SETTING_A_{name.upper()}", value])
        self._request(message)

    def stat(self) -> Stat:
        """The counters."""
        (answer,) = self._request(messages.empty(Command.STAT_GET))
        verdicts = {}
        for nest in answer.get_attrs("NST_STAT_A_VERDICT"):
            verdicts[_VERDICTS[nest.get_attr("NST_VERDICT_A_NUMBER")].value] = {
                column: nest.get_attr(f"NST_VERDICT_A_{column.upper()}")
                for column in ("stream", "dgram", "stream_local_in", "dgram_local_in")
            }

        def value(name: str) -> int:
            found = answer.get_attr(f"NST_STAT_A_{name}")
            assert isinstance(found, int)
            return found

        transports = [transport.value for transport in Transport]
        return Stat(
            verdicts,
            multicast=value("MULTICAST"),
            age_ns=value("AGE_NS"),
            sessions={name: value(f"{name.upper()}_SESSIONS") for name in transports},
            floor={name: value(f"{name.upper()}_FLOOR") for name in transports},
            keys=value("KEYS"),
            suites=[suite.name for suite in SuiteId if value("SUITES") & 1 << suite],
        )

    def watch(self) -> None:
        """Join the group that rejected records are reported to; :meth:`rejects` gives them.

        Raises:
            ControlError: ``EPERM``.
        """
        try:
            self._socket.add_membership(messages.GROUP)
            with contextlib.suppress(PermissionError):  # not for a user namespace's root
                raw = self._socket.asyncore.socket
                raw.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _RECEIVE_BUFFER)
        except OSError as error:
            raise ControlError(error.errno, error.strerror) from None

    def rejects(self) -> Iterator[Reject]:
        """Rejected records as they come, for ever. :meth:`watch` comes first."""
        overrun = 0
        while True:
            try:
                found = self._socket.get()
            except OSError as error:
                if error.errno != errno.ENOBUFS:
                    raise
                # We were too slow, by who knows how many.
                overrun += 1
                continue
            for message in found:
                yield _reject(message, overrun)
                overrun = 0

    def _request(self, message: genlmsg, flags: int = NLM_F_ACK) -> list[genlmsg]:
        try:
            return list(
                self._socket.nlm_request(
                    message, msg_type=self._socket.prid, msg_flags=NLM_F_REQUEST | flags
                )
            )
        except NetlinkError as error:
            raise _control_error(error) from None


def _batches(kids: Iterable[int]) -> Iterator[list[int]]:
    left = iter(kids)
    while some := list(islice(left, _KEYS_PER_REQUEST)):
        yield some


def _control_error(error: NetlinkError, instead: str = "") -> ControlError:
    """The kernel's words where it has some; never the request, which may hold keys."""
    return ControlError(error.code, instead or str(error.args[1] or ""))


def _endpoint(address: bytes) -> Endpoint:
    """An endpoint from a struct sockaddr_in or sockaddr_in6."""
    port = int.from_bytes(address[2:4])
    if int.from_bytes(address[:2], "little") == socket.AF_INET6:
        return Endpoint(address[8:24], port)
    return Endpoint(address[4:8], port)


def _reject(message: genlmsg, overrun: int) -> Reject:
    return Reject(
        verdict=_VERDICTS[message.get_attr("NST_REJECT_A_VERDICT")],
        transport=Transport.DGRAM if message.get_attr("NST_REJECT_A_DGRAM") else Transport.STREAM,
        local_in=bool(message.get_attr("NST_REJECT_A_LOCAL_IN")),
        passed=bool(message.get_attr("NST_REJECT_A_PASSED")),
        src=_endpoint(message.get_attr("NST_REJECT_A_SRC")),
        dst=_endpoint(message.get_attr("NST_REJECT_A_DST")),
        header=message.get_attr("NST_REJECT_A_HEADER") or b"",
        lost=(message.get_attr("NST_REJECT_A_LOST") or 0) + overrun,
    )
