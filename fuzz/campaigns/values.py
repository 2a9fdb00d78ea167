# SPDX-License-Identifier: GPL-2.0-or-later
"""What is fresh in every case: session ids, keys, payloads, times.

A grammar refers to these values by name (boofuzz's session variables). All but the
time follow from the run's seed and the case's name, so that a run can be repeated.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
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


class CaseValues(dict[str, Any]):
    """The values of one case, drawn when they are first asked for.

    Names are `NAME.kind`; kinds are `session`, `kid`, `kpos`, `kval`, `payload`, `long` (a
    payload of many segments), `counter` and `cuts`, each drawn as the specification draws it.
    `NAME.kind+N` is N more than `NAME.kind`.
    """

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
        draw = random.Random(f"{self._seed}|{name}")
        match name.rpartition(".")[2]:
            case "session":
                value: Any = draw.randint(1, MAX_SESSION_ID)
            case "kid":
                value = draw.choice(self._kids)
            case "kpos":
                value = draw.randint(1, MAX_KPOS)
            case "kval":
                value = draw.randint(1, 255)
            case "payload":
                value = draw.randbytes(draw.randint(1, _PAYLOAD_BYTES))
            case "long":
                value = draw.randbytes(draw.randint(*_LONG_BYTES))
            case "counter":
                value = draw.randint(2048, 60000)
            case "cuts":
                value = draw.getrandbits(32)
            case "family":
                value = draw.choice((4, 6))
            case _:
                raise KeyError(name)
        self[name] = value
        return value


class Canonical(CaseValues):
    """Values that are the same for every case: cases that agree under them are duplicates.

    They are drawn once, whatever number of cases is rendered with them.

    Attributes:
        asked: whether the case that is being rendered has asked for any.
    """

    def __init__(self, kids: Sequence[int]) -> None:
        super().__init__("canonical", kids, _CANONICAL_NOW, _CANONICAL_NOW - 1_000_000_000)
        self.asked = False

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
