# SPDX-License-Identifier: GPL-2.0-or-later
"""AF_NST sockets of a kernel that has `nst.ko`: constants and :class:`NSTKernelSocket`.

The constants are those of `kmod/include/uapi/linux/nst.h`.
"""

from __future__ import annotations

import ctypes
import os
import socket
import struct
from array import array
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple, Self

from .suite import SuiteId

AF_NST = 18
PF_NST = AF_NST
"""The number by default: :func:`family_number` asks the module."""
NST_SOCK_STREAM = socket.SOCK_STREAM
NST_SOCK_DGRAM = socket.SOCK_DGRAM
NST_PROTO_INET = 0
NST_PROTO_INET6 = 10

SOL_NST = 1337
NST_TX_SUITE = 1
NST_TX_KEY = 2
NST_INFO = 3
NST_TX_KIDS = 4
NST_RX_KIDS = 5
NST_RX_SUITES = 6
NST_PIN_KID = 1
NST_PIN_PERTURB = 2

KEYBOX = Path("/proc/net/nst_keybox")
_FAMILY = Path("/sys/module/nst/parameters/family")
_PROTOCOLS = {socket.AF_INET: NST_PROTO_INET, socket.AF_INET6: NST_PROTO_INET6}
_TX_KEY = struct.Struct("=HBBI")
_INFO = struct.Struct("=QQIHBBBBHIQQQ")
_RX_SUITES = struct.Struct("=I")
_KIDS = 1 << 16
_LIBC = ctypes.CDLL(None, use_errno=True)


class Info(NamedTuple):
    """``struct nst_info``: a socket's running epochs, 0 before a direction's first record.

    ``tx_records``, ``rx_records`` and ``rx_rejected`` count what the socket sealed, accepted
    and rejected in all. The other ``rx_`` fields stay 0 for datagrams.
    """

    tx_session_id: int
    rx_session_id: int
    tx_counter: int
    tx_kid: int
    tx_cipher_id: int
    tx_kpos: int
    tx_kval: int
    last_verdict: int
    rx_kid: int
    rx_counter: int
    tx_records: int
    rx_records: int
    rx_rejected: int


def family_number() -> int:
    """The family's number: the module's parameter, or ``AF_NST`` if it is not loaded."""
    try:
        return int(_FAMILY.read_text())
    except OSError:
        return AF_NST


def _set_of(kids: Iterable[int]) -> bytes:
    return array("H", kids).tobytes()


def load_keybox(text: bytes) -> None:
    """Make *text* the key box of this network namespace: one write(2), the box is replaced whole.

    Raises:
        OSError: the kernel refused it (``EINVAL``: it breaks the format), or has no NST.
    """
    with KEYBOX.open("wb", buffering=0) as file:
        file.write(text)


class NSTKernelSocket(socket.socket):
    """An AF_NST socket, in all else a :class:`socket.socket`.

    ``family`` is that of its addresses, ``AF_INET`` or ``AF_INET6``; that is what Python has
    to know to read them. Data is sealed and opened by the kernel, so that select, asyncio,
    ``makefile`` and the like work as they do with TCP and UDP.
    """

    def __init__(
        self,
        family: int = socket.AF_INET,
        type: int = socket.SOCK_STREAM,
        proto: int = 0,
        fileno: int | None = None,
    ) -> None:
        """Make a socket as :func:`socket.socket` does, or take over one by its number.

        Args:
            family: of its addresses, ``AF_INET`` or ``AF_INET6``.
            type: ``SOCK_STREAM`` or ``SOCK_DGRAM``, with ``SOCK_NONBLOCK`` if wanted.
            proto: 0.
            fileno: an AF_NST socket to take over.

        Raises:
            OSError: ``EAFNOSUPPORT`` if the kernel has no NST, or has it switched off.
            ValueError: a *family* or *proto* that NST has no use for.
        """
        if fileno is None:
            if family not in _PROTOCOLS or proto:
                raise ValueError("NST sockets are AF_INET or AF_INET6, proto 0")
            made = socket.socket(family_number(), type, _PROTOCOLS[socket.AddressFamily(family)])
            fileno = made.detach()
        super().__init__(family, type, proto, fileno)

    def accept(self) -> tuple[Self, Any]:
        """As :meth:`socket.socket.accept`."""
        plain, address = super().accept()
        timeout = plain.gettimeout()
        accepted = self.__class__(plain.family, plain.type, plain.proto, plain.detach())
        accepted.settimeout(timeout)
        return accepted, address

    def dup(self) -> Self:
        """As :meth:`socket.socket.dup`."""
        plain = super().dup()
        timeout = plain.gettimeout()
        copy = self.__class__(plain.family, plain.type, plain.proto, plain.detach())
        copy.settimeout(timeout)
        return copy

    @property
    def suite(self) -> SuiteId:
        """What it seals with; setting another starts a new epoch.

        Raises:
            OSError: ``EOPNOTSUPP`` if the kernel lacks the suite.
        """
        return SuiteId(self.getsockopt(SOL_NST, NST_TX_SUITE))

    @suite.setter
    def suite(self, suite: SuiteId) -> None:
        self.setsockopt(SOL_NST, NST_TX_SUITE, suite)

    def pin(self, kid: int | None = None, perturb: tuple[int, int] | None = None) -> None:
        """Seal with this *kid* and this perturbation (kpos, kval) only; ``None`` is drawn.

        A new epoch starts.

        Raises:
            OSError: ``EINVAL`` for what is no perturbation.
        """
        kpos, kval = perturb or (0, 0)
        pins = (NST_PIN_KID if kid is not None else 0) | (NST_PIN_PERTURB if perturb else 0)
        self.setsockopt(SOL_NST, NST_TX_KEY, _TX_KEY.pack(kid or 0, kpos, kval, pins))

    @property
    def tx_kids(self) -> frozenset[int]:
        """The kids that epochs are drawn from, unless :meth:`pin` says one; none: all of the box.

        Setting others starts a new epoch.

        Raises:
            OverflowError: what is set is no kid.
        """
        return self._kids(NST_TX_KIDS)

    @tx_kids.setter
    def tx_kids(self, kids: Iterable[int]) -> None:
        self.setsockopt(SOL_NST, NST_TX_KIDS, _set_of(kids))

    @property
    def rx_kids(self) -> frozenset[int]:
        """The kids that records are accepted with, from the next one on; none: all of the box.

        Raises:
            OverflowError: what is set is no kid.
        """
        return self._kids(NST_RX_KIDS)

    @rx_kids.setter
    def rx_kids(self, kids: Iterable[int]) -> None:
        self.setsockopt(SOL_NST, NST_RX_KIDS, _set_of(kids))

    def _kids(self, option: int) -> frozenset[int]:
        # socket.getsockopt() has room for 1024 bytes at most.
        kids = (ctypes.c_uint16 * _KIDS)()
        length = ctypes.c_uint32(ctypes.sizeof(kids))
        if _LIBC.getsockopt(self.fileno(), SOL_NST, option, kids, ctypes.byref(length)):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))
        return frozenset(kids[: length.value // ctypes.sizeof(ctypes.c_uint16)])

    @property
    def rx_suites(self) -> frozenset[SuiteId]:
        """The suites that records are accepted in, from the next one on.

        Raises:
            OSError: ``EOPNOTSUPP`` if the kernel lacks one that is set.
        """
        (mask,) = _RX_SUITES.unpack(self.getsockopt(SOL_NST, NST_RX_SUITES, _RX_SUITES.size))
        return frozenset(suite for suite in SuiteId if mask & 1 << suite)

    @rx_suites.setter
    def rx_suites(self, suites: Iterable[SuiteId]) -> None:
        mask = sum(1 << suite for suite in set(suites))
        self.setsockopt(SOL_NST, NST_RX_SUITES, _RX_SUITES.pack(mask))

    def info(self) -> Info:
        """The running epochs, the last verdict, and how many records there were."""
        return Info(*_INFO.unpack(self.getsockopt(SOL_NST, NST_INFO, _INFO.size)))
