# SPDX-License-Identifier: GPL-2.0-or-later
"""One request at a time through io_uring, by bare system calls (io_uring_setup(2))."""

from __future__ import annotations

import ctypes
import mmap
import os
import socket
import struct
from types import TracebackType
from typing import Self

from tests.in_guest.sockets import LIBC

IORING_OP_SEND = 26
IORING_OP_RECV = 27
IORING_OP_SEND_ZC = 47
IORING_CQE_F_SOCK_NONEMPTY = 4
_SETUP, _ENTER = 425, 426
_OFF_SQ_RING, _OFF_CQ_RING, _OFF_SQES = 0, 0x8000000, 0x10000000
_ENTER_GETEVENTS = 1
_PARAMS_LEN = 120
_SQE_LEN, _CQE_LEN = 64, 16


class Uring:
    """A ring of one entry. Use as a context manager.

    Attributes:
        flags: those of the last completion.

    Raises:
        OSError: the kernel has no io_uring or forbids it.
    """

    def __init__(self) -> None:
        self.flags = 0
        params = ctypes.create_string_buffer(_PARAMS_LEN)
        self._fd = LIBC.syscall(_SETUP, 1, params)
        if self._fd < 0:
            raise OSError(ctypes.get_errno(), "io_uring_setup")
        # struct io_sqring_offsets at 40, io_cqring_offsets at 80: u32 each.
        sq, cq = struct.unpack_from("8I", params, 40), struct.unpack_from("8I", params, 80)
        self._sq_head, self._sq_tail, self._sq_array = sq[0], sq[1], sq[6]
        self._cq_head, self._cq_tail, self._cqes = cq[0], cq[1], cq[5]
        self._sq = mmap.mmap(self._fd, sq[6] + 64, offset=_OFF_SQ_RING)
        self._cq = mmap.mmap(self._fd, cq[5] + 2 * _CQE_LEN, offset=_OFF_CQ_RING)
        self._sqes = mmap.mmap(self._fd, _SQE_LEN, offset=_OFF_SQES)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for ring in (self._sq, self._cq, self._sqes):
            ring.close()
        os.close(self._fd)

    def call(
        self, opcode: int, sock: socket.socket, buffer: ctypes.Array[ctypes.c_char], flags: int = 0
    ) -> int:
        """Submit one request and wait for it; returns its result.

        Raises:
            OSError: as the request failed.
        """
        self._sqes[:_SQE_LEN] = struct.pack(
            "=BBHiQQII32x", opcode, 0, 0, sock.fileno(), 0,
            ctypes.addressof(buffer), len(buffer), flags,
        )  # fmt: skip
        (tail,) = struct.unpack_from("I", self._sq, self._sq_tail)
        struct.pack_into("I", self._sq, self._sq_array, 0)
        struct.pack_into("I", self._sq, self._sq_tail, tail + 1)
        if LIBC.syscall(_ENTER, self._fd, 1, 1, _ENTER_GETEVENTS, None, 0) < 0:
            raise OSError(ctypes.get_errno(), "io_uring_enter")
        (head,) = struct.unpack_from("I", self._cq, self._cq_head)
        # A ring of one submission has two completions.
        _, result, self.flags = struct.unpack_from(
            "=QiI", self._cq, self._cqes + head % 2 * _CQE_LEN
        )
        struct.pack_into("I", self._cq, self._cq_head, head + 1)
        if result < 0:
            raise OSError(-result, os.strerror(-result))
        return int(result)
