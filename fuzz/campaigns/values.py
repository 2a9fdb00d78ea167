# SPDX-License-Identifier: GPL-2.0-or-later
"""What is fresh in every case: session ids, keys, payloads, times.

A grammar refers to these values by name (boofuzz's session variables). All but the
time follow from the run's seed and the case's name, so that a run can be repeated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Self

from boofuzz import ProtocolSessionReference

from nst_scapy.header import MAX_KPOS, MAX_SESSION_ID

NOW = "now"
"""The guest's clock at the start of the case, ns."""
CREATION = "creation"
"""When the guest's replay tables were made, ns."""
FAMILY = "family"
"""The IP version that carries the case, 4 or 6."""
_CANONICAL_NOW = 1 << 60
_PAYLOAD_BYTES = 48
_LONG_BYTES = (4000, 16384)


class _Drawn:
    """What a name gives: one extendable digest, which takes a fraction of a generator's seeding."""

    def __init__(self, name: str) -> None:
        self._digest = hashlib.shake_128(name.encode()).digest

    def number(self, low: int, high: int) -> int:
        """A number from *low* to *high*, both included."""
        return low + int.from_bytes(self._digest(8)) % (high - low + 1)

    def data(self, low: int, high: int) -> bytes:
        """Bytes, from *low* to *high* of them."""
        return self._digest(8 + self.number(low, high))[8:]


_KINDS: dict[str, Callable[[_Drawn], Any]] = {
    "session": lambda drawn: drawn.number(1, MAX_SESSION_ID),
    "kpos": lambda drawn: drawn.number(1, MAX_KPOS),
    "kval": lambda drawn: drawn.number(1, 255),
    "payload": lambda drawn: drawn.data(1, _PAYLOAD_BYTES),
    "long": lambda drawn: drawn.data(*_LONG_BYTES),
    "counter": lambda drawn: drawn.number(2048, 60000),
    "cuts": lambda drawn: drawn.number(0, (1 << 32) - 1),
    FAMILY: lambda drawn: (4, 6)[drawn.number(0, 1)],
}


class CaseValues(dict[str, Any]):
    """The values of one case, drawn when they are first asked for.

    Names are `NAME.kind`; kinds are `session`, `kid`, `kpos`, `kval`, `payload`, `long` (a
    payload of many segments), `counter` and `cuts`, each drawn as the specification draws it.
    `NAME.kind+N` is N more than `NAME.kind`.
    """

    compared = False
    """Whether what is rendered with them is only compared, and never sent."""

    def __init__(self, seed: str, kids: Sequence[int], now: int, creation: int) -> None:
        super().__init__({NOW: now, CREATION: creation})
        self.sealed: dict[str, bytes] = {}
        """Records that this case has sealed already, by the names of their blocks."""
        self._seed = seed
        self._kids = sorted(kids)

    def __missing__(self, name: str) -> Any:
        base, plus, more = name.partition("+")
        if plus:
            return self[base] + int(more)
        drawn = _Drawn(f"{self._seed}|{name}")
        kind = name.rpartition(".")[2]
        if kind == "kid":
            value: Any = self._kids[drawn.number(0, len(self._kids) - 1)]
        else:
            value = _KINDS[kind](drawn)
        self[name] = value
        return value


class Canonical(CaseValues):
    """Values that are the same for every case: cases that agree under them are duplicates.

    They are drawn once, whatever number of cases is rendered with them.

    Attributes:
        asked: whether the case that is being rendered has asked for any.
        usual: records as they are where nothing of them is mutated, by the names of their blocks.
    """

    compared = True

    def __init__(self, kids: Sequence[int]) -> None:
        super().__init__("canonical", kids, _CANONICAL_NOW, _CANONICAL_NOW - 1_000_000_000)
        self.asked = False
        self.usual: dict[str, bytes] = {}

    def __getitem__(self, name: str) -> Any:
        self.asked = True
        return super().__getitem__(name)

    def fresh(self) -> Self:
        """The same for the next case."""
        self.sealed = {}
        self.asked = False
        return self


def canonical(kids: Sequence[int]) -> Canonical:
    """Values that are the same for every case."""
    return Canonical(kids)


def ref(name: str) -> ProtocolSessionReference:
    """A reference to a value, for a primitive's default."""
    return ProtocolSessionReference(name=name, default_value=None)


def values_of(context: Any) -> CaseValues:
    """The values of the case that boofuzz is rendering."""
    values = context.protocol_session.session_variables
    assert isinstance(values, CaseValues)
    return values
