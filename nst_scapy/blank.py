# SPDX-License-Identifier: GPL-2.0-or-later
"""Empty packets, made the short way.

Scapy's constructor asks for a value of each field, by an exception where there is
none, which takes longer than all else that it does. Here an empty packet is copied
from one that it made, whatever attributes this version of Scapy gives it.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from functools import cache
from typing import Any, Generic, TypeVar

from scapy.packet import Packet

P = TypeVar("P", bound=Packet)


class Blank(Generic[P]):
    """What all empty packets of a class have in common."""

    def __init__(self, cls: type[P]) -> None:
        """*cls* is a class whose constructor takes no argument but a packet's.

        Raises:
            ValueError: packets of the class begin with more than plain defaults.
        """
        self._cls = cls
        one: Packet = cls()
        other: Packet = cls()
        self._shared: list[tuple[Callable[[Packet, Any], None], Any]] = []
        self._own: list[tuple[Callable[[Packet, Any], None], Callable[[], Any]]] = []
        makers: dict[str, Callable[[], Any]] = {
            "time": time.time,
            # Binding layers puts another one in its place.
            "overload_fields": lambda: cls._overload_fields,
        }
        for name in sorted(one.__all_slots__):
            if not hasattr(one, name):
                continue
            value = getattr(one, name)
            put = inspect.getattr_static(cls, name).__set__
            if name in makers:
                self._own.append((put, makers[name]))
            elif value is getattr(other, name):
                self._shared.append((put, value))
            elif value:
                raise ValueError(f"each {cls.__name__} begins with a {name!r} of its own")
            else:
                self._own.append((put, type(value)))

    def fill(self, packet: P) -> None:
        """What the constructor does to a packet that it is given nothing for."""
        for put, value in self._shared:
            put(packet, value)
        for put, make in self._own:
            put(packet, make())

    def make(self) -> P:
        """An empty packet."""
        packet: P = object.__new__(self._cls)
        self.fill(packet)
        return packet


@cache
def blank_of(cls: type[P]) -> Blank[P]:
    """The one for a class."""
    return Blank(cls)
