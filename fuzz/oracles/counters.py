# SPDX-License-Identifier: GPL-2.0-or-later
"""The module's counters, `/proc/net/nst_stat`."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

from nst_scapy.header import Transport
from nst_scapy.verdict import Verdict


class Place(NamedTuple):
    """Where a verdict was counted."""

    transport: Transport
    verdict: Verdict
    local_in: bool
    """In the LOCAL_IN hook, else in the receive path."""


_COLUMNS = (
    ("stream", Transport.STREAM, False),
    ("dgram", Transport.DGRAM, False),
    ("stream_local_in", Transport.STREAM, True),
    ("dgram_local_in", Transport.DGRAM, True),
)


class CountersError(ValueError):
    """The file does not have the agreed form."""


@dataclass(frozen=True)
class Counters:
    """One reading.

    Attributes:
        verdicts: what was counted where since the module was loaded.
        values: the other lines by name, `age_ns` and so on.
    """

    verdicts: Counter[Place]
    values: dict[str, int]

    @classmethod
    def parse(cls, text: str) -> Counters:
        """Read the file's text.

        Raises:
            CountersError: naming the line that is wrong.
        """
        lines = text.splitlines()
        if not lines or lines[0].split() != ["verdict", *(name for name, *_ in _COLUMNS)]:
            raise CountersError("nst_stat:1: not the expected heading")
        verdicts: Counter[Place] = Counter()
        values: dict[str, int] = {}
        for number, line in enumerate(lines[1:], start=2):
            name, *fields = line.split()
            try:
                numbers = [int(field) for field in fields]
                if name in Verdict.__members__:
                    for (_, transport, local_in), count in zip(_COLUMNS, numbers, strict=True):
                        verdicts[Place(transport, Verdict(name), local_in)] = count
                else:
                    (values[name],) = numbers
            except ValueError:
                raise CountersError(f"nst_stat:{number}: cannot read {line!r}") from None
        return cls(verdicts, values)

    def value(self, name: str) -> int:
        """One of the other lines.

        Raises:
            CountersError: there is no such line.
        """
        try:
            return self.values[name]
        except KeyError:
            raise CountersError(f"nst_stat: no line {name!r}") from None

    def since(self, earlier: Counters) -> Counter[Place]:
        """What was counted between an earlier reading and this one, without zeros."""
        difference = Counter(self.verdicts)
        difference.subtract(earlier.verdicts)
        return Counter({place: count for place, count in difference.items() if count})
