# SPDX-License-Identifier: GPL-2.0-or-later
"""Frames that are still to come: from a network interface, or a capture that grows."""

from __future__ import annotations

import socket
import struct
import time
from collections.abc import Iterator
from typing import BinaryIO

from .capture import NS, Frame

_ETH_P_ALL = 3
_SO_TIMESTAMPNS = 35
_PACKET_OUTGOING = 4
_ARPHRD_LOOPBACK = 772
_LINKTYPES = {1: 1, _ARPHRD_LOOPBACK: 1, 65534: 101, 776: 101, 768: 101, 778: 101}
"""ARPHRD_ value to LINKTYPE_: Ethernet, and interfaces whose packets begin with IP."""
_MAX_FRAME = 1 << 17
_BUFFER = 1 << 23
_POLL_S = 0.2


def interface_frames(interface: str) -> Iterator[Frame]:
    """Frames on *interface*, endlessly, with the kernel's time of capture.

    Raises:
        OSError: there is no such interface, it goes down, or we may not look at it.
    """
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    try:
        sock.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        sock.bind((interface, _ETH_P_ALL))
    except OSError:
        sock.close()
        raise
    return _frames(sock)


def _frames(sock: socket.socket) -> Iterator[Frame]:
    number = 0
    with sock:
        while True:
            data, ancillary, _, address = sock.recvmsg(_MAX_FRAME, socket.CMSG_SPACE(16))
            _, _, kind, hardware, *_ = address
            # Loopback shows each packet twice, going out and coming in.
            if kind == _PACKET_OUTGOING and hardware == _ARPHRD_LOOPBACK:
                continue
            number += 1
            now = time.time_ns()
            for level, option, value in ancillary:
                if (level, option) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                    seconds, ns = struct.unpack("qq", value)
                    now = seconds * NS + ns
            yield Frame(number, now, _LINKTYPES.get(hardware, -1), data, len(data))


class Growing:
    """A file read as if it never ended: at its end, reading waits for more."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def read(self, size: int) -> bytes:
        """Exactly *size* bytes."""
        data = b""
        while len(data) < size:
            piece = self._file.read(size - len(data))
            data += piece
            if not piece:
                time.sleep(_POLL_S)
        return data
