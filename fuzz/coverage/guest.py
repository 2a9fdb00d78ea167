# SPDX-License-Identifier: GPL-2.0-or-later
"""Asking a guest what of the module's code has run."""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from typing import NamedTuple

from fuzz.target.client import TargetClient, TargetSilent, accepted
from fuzz.target.wire import Op

Edges = frozenset[int]
"""Edges: each a number (16 bits) times 256, and how often it was taken as the highest bit of
the count (8 bits): once, twice, up to 7 times, ..., 128 times and more are different."""

_EDGE_BYTES = 3
_CHUNK = 16000
"""Edges in one request, whose datagram is at most 64 KiB."""
_UNLOAD_SECONDS = 240.0
"""How long unloading may take: it waits for all who may still look at what is freed."""
_PATH, _LENGTH = struct.Struct(">H"), struct.Struct(">I")


class Taken(NamedTuple):
    """The edges taken since the last time.

    Attributes:
        total: how many.
        fresh: how many of them have not been seen before in this boot.
        edges: which they are; `None` if none is fresh and nobody wants the others.
    """

    total: int
    fresh: int
    edges: Edges | None


class Probe:
    """The measuring part of the target program of one boot of a guest."""

    def __init__(self, client: TargetClient, control: socket.socket, timeout: float) -> None:
        """`control` is the guest's control channel; `timeout`, in seconds, is for each answer."""
        self._client = client
        self._control = control
        self._timeout = timeout

    def edges(self, *, anyway: bool = False) -> Taken:
        """The edges taken since the last time; the module has to be built with `EDGES`.

        They are told `anyway`, or only if one of them is fresh.

        Raises:
            TargetSilent: no reply in time.
            TargetRefused: the module has no map of edges.
        """
        reply = self._client.ask(Op.EDGES, timeout=self._timeout, value=int(anyway))
        text = accepted(reply, "reading the edges").text
        total, fresh = (int(word) for word in text.split())
        told = fresh or anyway
        edges = unpack_edges(self._read(total * _EDGE_BYTES)) if told else None
        return Taken(total, fresh, edges)

    def see(self, edges: Iterable[int]) -> None:
        """Have the guest hold edges for seen, those that another guest has taken.

        Raises:
            TargetSilent: no reply in time.
        """
        packed = pack_edges(edges)
        for at in range(0, len(packed), _CHUNK * _EDGE_BYTES):
            piece = packed[at : at + _CHUNK * _EDGE_BYTES]
            self._client.ask(Op.EDGES_SEEN, piece, timeout=self._timeout)

    def gcov(self) -> dict[str, bytes]:
        """gcov's data files by their paths; the module has to be built with `GCOV`.

        It is unloaded, and the target program ends.

        Raises:
            TargetSilent: no reply in time.
        """
        self._client.ask(Op.GCOV, timeout=self._timeout)
        self._timeout = max(self._timeout, _UNLOAD_SECONDS)
        found: dict[str, bytes] = {}
        while length := _PATH.unpack(self._read(_PATH.size))[0]:
            path = self._read(length).decode()
            (size,) = _LENGTH.unpack(self._read(_LENGTH.size))
            found[path] = self._read(size)
        return found

    def _read(self, count: int) -> bytes:
        self._control.settimeout(self._timeout)
        data = bytearray()
        try:
            while len(data) < count:
                piece = self._control.recv(min(count - len(data), 1 << 16))
                if not piece:
                    raise TargetSilent("the control channel has ended")
                data += piece
        except (TimeoutError, ConnectionError) as error:
            raise TargetSilent(f"the control channel: {error}") from None
        return bytes(data)


def pack_edges(edges: Iterable[int]) -> bytes:
    """Edges as they are sent and stored: 3 bytes each, in order."""
    return b"".join(edge.to_bytes(_EDGE_BYTES) for edge in sorted(edges))


def unpack_edges(data: bytes) -> Edges:
    """Read edges.

    Raises:
        ValueError: they are not 3 bytes each.
    """
    if len(data) % _EDGE_BYTES:
        raise ValueError(f"{len(data)} bytes are not edges of {_EDGE_BYTES} bytes")
    starts = range(0, len(data), _EDGE_BYTES)
    return frozenset(int.from_bytes(data[at : at + _EDGE_BYTES]) for at in starts)
