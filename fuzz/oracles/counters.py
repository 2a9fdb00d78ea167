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
_HEADING = ["verdict", *(name for name, *_ in _COLUMNS)]
# A reading is parsed for every case, so the places are made once.
_PLACES = {
    verdict.value: [Place(transport, verdict, local_in) for _, transport, local_in in _COLUMNS]
    for verdict in Verdict
}


class CountersError(ValueError):
    """The file does not have the agreed form."""


@dataclass(frozen=True)
class Counters:
    """One reading.

    Attributes:
        verdicts: by verdict's name, the counts since the module was loaded, in the
            file's columns.
        values: the other lines by name, `age_ns` and so on.
    """

    verdicts: dict[str, list[int]]
    values: dict[str, int]

    @classmethod
    def parse(cls, text: str) -> Counters:
        """Read the file's text.

        Raises:
            CountersError: naming the line that is wrong.
        """
        lines = text.splitlines()
        if not lines or lines[0].split() != _HEADING:
            raise CountersError("nst_stat:1: not the expected heading")
        verdicts: dict[str, list[int]] = {}
        values: dict[str, int] = {}
        for number, line in enumerate(lines[1:], start=2):
            name, *fields = line.split() or [""]
            try:
                if name in _PLACES:
                    counts = verdicts[name] = [int(field) for field in fields]
                    if len(counts) != len(_COLUMNS):
                        raise ValueError
                else:
                    (field,) = fields
                    values[name] = int(field)
            except ValueError:
                raise CountersError(f"nst_stat:{number}: cannot read {line!r}") from None
        if missing := _PLACES.keys() - verdicts:
            raise CountersError(f"nst_stat: no line {min(missing)!r}")
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
        difference: Counter[Place] = Counter()
        for name, counts in self.verdicts.items():
            before = earlier.verdicts[name]
            if counts != before:
                for place, now, was in zip(_PLACES[name], counts, before, strict=True):
                    if now != was:
                        difference[place] = now - was
        return difference
