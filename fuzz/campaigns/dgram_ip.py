# SPDX-License-Identifier: GPL-2.0-or-later
"""The campaign `dgram-ip`: datagrams in IP packets of every form."""

from __future__ import annotations

import random
from collections.abc import Collection, Sequence
from typing import Any

from boofuzz import Fuzzable, FuzzableBlock

from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.layouts import LAYOUTS, Bare, Layout
from fuzz.campaigns.primitives import Choice
from fuzz.campaigns.record import SealedRecord
from fuzz.campaigns.steps import CaseRequest
from fuzz.campaigns.values import values_of
from fuzz.net import udp
from fuzz.script import Action, Step
from fuzz.stations import GUEST, HOST
from nst_scapy.header import DEFAULT_PORT, Flags
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

_LONGEST = 1100
"""Bytes of payload: with any options and headers it fits one frame, if it is not cut."""
_MUTATED = ("payload", "magic", "transport_len")


class Packets(FuzzableBlock):  # type: ignore[misc]
    """Children become one UDP payload, in packets of some layout."""

    def __init__(self, name: str, family: int, children: Sequence[Fuzzable]) -> None:
        """`family` is the IP version."""
        self._family = family
        self._layout = Choice("layout", LAYOUTS[family])
        super().__init__(name=name, children=[*children, self._layout])

    def encode(self, value: Any, mutation_context: Any) -> bytes:
        """boofuzz's hook: the steps' bytes."""
        payload = self.get_child_data(mutation_context)
        draw = random.Random(values_of(mutation_context)[f"{self.name}.cuts"])
        destination = GUEST.ip(self._family)
        source = _neighbour(draw) if self._family == 4 else HOST.ipv6
        ports = (draw.randint(1024, 65535), DEFAULT_PORT)
        segment = udp.segment(source, destination, *ports, payload)
        bare = Bare(source, destination, draw.getrandbits(16 if self._family == 4 else 32), segment)
        layout = self._layout.get_value(mutation_context)
        packets = layout.make(bare, draw) if isinstance(layout, Layout) else [bare.packet(segment)]
        return b"".join(Step(Action.PACKET, self._family, one).pack() for one in packets)


def _neighbour(draw: random.Random) -> bytes:
    """An address on the link: 16 bits do not tell the fragments of one host apart for long."""
    return HOST.ipv4[:3] + bytes((draw.randint(3, 254),))


def _requests(keybox: KeyBox, provided: Collection[SuiteId]) -> list[CaseRequest]:
    requests = []
    for suite in sorted(provided):
        for family in (4, 6):
            record = SealedRecord(
                "record", keybox=keybox, suite=suite, epoch="e", flags=Flags.DGRAM,
                counter="e.counter", only=_MUTATED, longest=_LONGEST,
            )  # fmt: skip
            name = f"ipv{family}-{suite.name}"
            requests.append(CaseRequest(name, children=[Packets("packets", family, [record])]))
    return requests


DGRAM_IP = Campaign(
    "dgram-ip",
    "datagrams in fragments, with IP options and extension headers, wrong checksums and"
    " lengths at every layer: what the LOCAL_IN check has to find its way through",
    (Verdict.OK, Verdict.SHORT, Verdict.MAGIC, Verdict.LENGTH),
    _requests,
)
