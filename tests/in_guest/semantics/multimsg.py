# SPDX-License-Identifier: GPL-2.0-or-later
"""System calls that Python's socket module lacks: sendmmsg, recvmmsg, accept4, vmsplice."""

from __future__ import annotations

import ctypes
import socket
from collections.abc import Sequence

from tests.in_guest.sockets import LIBC


class Iovec(ctypes.Structure):
    """struct iovec."""

    _fields_ = (("base", ctypes.c_void_p), ("len", ctypes.c_size_t))


class Msghdr(ctypes.Structure):
    """struct msghdr."""

    _fields_ = (
        ("name", ctypes.c_void_p),
        ("namelen", ctypes.c_uint32),
        ("iov", ctypes.POINTER(Iovec)),
        ("iovlen", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("controllen", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class Mmsghdr(ctypes.Structure):
    """struct mmsghdr."""

    _fields_ = (("hdr", Msghdr), ("len", ctypes.c_uint32))


def _messages(buffers: Sequence[ctypes.Array[ctypes.c_char]]) -> ctypes.Array[Mmsghdr]:
    messages = (Mmsghdr * len(buffers))()
    for message, buffer in zip(messages, buffers, strict=True):
        vector = Iovec(ctypes.cast(buffer, ctypes.c_void_p), len(buffer))
        message.hdr.iov = ctypes.pointer(vector)
        message.hdr.iovlen = 1
    return messages


def _checked(result: int, call: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), call)
    return result


def sendmmsg(sock: socket.socket, payloads: Sequence[bytes]) -> list[int]:
    """Send each payload; returns how much of each was sent."""
    messages = _messages([ctypes.create_string_buffer(p, len(p)) for p in payloads])
    count = _checked(LIBC.sendmmsg(sock.fileno(), messages, len(messages), 0), "sendmmsg")
    return [message.len for message in messages[:count]]


def recvmmsg(sock: socket.socket, count: int, size: int, flags: int) -> list[tuple[bytes, int]]:
    """Receive up to *count* messages of up to *size* bytes: (payload, flags) each."""
    buffers = [ctypes.create_string_buffer(size) for _ in range(count)]
    messages = _messages(buffers)
    received = _checked(LIBC.recvmmsg(sock.fileno(), messages, count, flags, None), "recvmmsg")
    return [
        (bytes(buffer[: message.len]), message.hdr.flags)
        for buffer, message in zip(buffers[:received], messages[:received], strict=True)
    ]


def accept4(sock: socket.socket, flags: int) -> int:
    """Accept a connection; returns its file descriptor."""
    return _checked(LIBC.accept4(sock.fileno(), None, None, flags), "accept4")


def vmsplice(pipe: int, data: bytes) -> int:
    """Put pages that hold *data* into a pipe; returns how many bytes of it."""
    vector = Iovec(ctypes.cast(ctypes.c_char_p(data), ctypes.c_void_p), len(data))
    return _checked(LIBC.vmsplice(pipe, ctypes.byref(vector), 1, 0), "vmsplice")


def recv_to_nowhere(sock: socket.socket) -> int:
    """recv(2) into an address that is not mapped."""
    return _checked(LIBC.recv(sock.fileno(), ctypes.c_void_p(8), 100, 0), "recv")


def send_from_nowhere(sock: socket.socket) -> int:
    """send(2) from an address that is not mapped."""
    nosignal = int(socket.MSG_NOSIGNAL)
    return _checked(LIBC.send(sock.fileno(), ctypes.c_void_p(8), 100, nosignal), "send")
