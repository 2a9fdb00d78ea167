# SPDX-License-Identifier: GPL-2.0-or-later
"""What TCP and UDP hand on: the model of the guest's own stack."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fuzz.campaigns.layouts import LAYOUTS, Bare
from fuzz.net import udp
from fuzz.net.arrival import Arrival, Arrived
from fuzz.net.inflow import WINDOW, Inflow
from fuzz.net.tcp import TcpFlag
from fuzz.stations import GUEST, HOST

ACK, FIN, RST, SYN = TcpFlag.ACK, TcpFlag.FIN, TcpFlag.RST, TcpFlag.SYN
PAYLOAD = bytes(range(100))


@given(st.binary(min_size=1, max_size=60), st.data())
def test_any_order_and_overlap_gives_the_same_stream(stream: bytes, data: st.DataObject) -> None:
    ends = st.integers(0, len(stream))
    cuts = data.draw(st.lists(st.tuples(ends, ends).map(sorted), max_size=12))
    whole = [(at, at + 1) for at in range(len(stream))]
    segments = data.draw(st.permutations([*cuts, *whole]))
    inflow = Inflow()
    taken = b"".join(inflow.segment(a, ACK, stream[a:b]) for a, b in segments)
    assert taken == stream
    assert not inflow.ended
    assert inflow.segment(len(stream), ACK | FIN) == b""
    assert inflow.ended


def test_the_first_bytes_stand() -> None:
    inflow = Inflow()
    assert inflow.segment(0, ACK, b"abc") == b"abc"
    assert inflow.segment(1, ACK, b"XYde") == b"de"
    assert inflow.segment(-2, ACK, b"XXXXXXXf") == b"f"


@pytest.mark.parametrize(
    ("offset", "flags", "payload"),
    [
        (3, TcpFlag.PSH, b"no ACK"),
        (3, SYN | ACK, b"SYN"),
        (3 + WINDOW + 1, ACK, b"beyond"),
        (4, RST, b""),
        (2, RST, b""),
        (0, ACK, b"abc"),
        (2, ACK | FIN, b""),
    ],
)
def test_what_changes_nothing(offset: int, flags: int, payload: bytes) -> None:
    inflow = Inflow()
    inflow.segment(0, ACK, b"abc")
    assert inflow.segment(offset, flags, payload) == b""
    assert (inflow.next, inflow.ended, inflow.reset) == (3, False, False)


def test_rst_has_to_be_exact_and_fin_counts() -> None:
    for before, offset in (([], 0), ([(0, ACK, b"ab")], 2), ([(0, ACK | FIN, b"ab")], 3)):
        inflow = Inflow()
        for segment in before:
            inflow.segment(*segment)
        inflow.segment(offset, RST)
        assert inflow.reset
    inflow = Inflow()
    inflow.segment(0, ACK | FIN, b"ab")
    assert inflow.segment(2, ACK, b"where FIN was") == b""
    assert inflow.reset


def laid_out(family: int, name: str) -> list[Arrived]:
    (layout,) = (one for one in LAYOUTS[family] if one.name == name)
    source, destination = HOST.ip(family), GUEST.ip(family)
    segment = udp.segment(source, destination, 1, 2, PAYLOAD)
    packets = layout.make(Bare(source, destination, 7, segment), random.Random(1))
    arrival = Arrival()
    return [one for packet in packets for one in arrival.packet(family, packet)]


PORTS = (1, 2)
WHOLE = [Arrived(PAYLOAD, True, PORTS)]
CUT = [Arrived(PAYLOAD[:-8], True, PORTS)]
HOOK_ONLY = [Arrived(PAYLOAD, False, PORTS)]
GROUPED = [Arrived(PAYLOAD, True, PORTS, True)]


@pytest.mark.parametrize(
    ("family", "name", "arrives"),
    [
        *((family, name, arrives) for family in (4, 6) for name, arrives in (
            ("fragments of 8", WHOLE), ("fragments, shuffled", WHOLE),
            ("fragments, each twice", WHOLE), ("fragments, one missing", []),
            ("fragments that overlap", []), ("no last fragment", []),
            ("one fragment is all", WHOLE), ("UDP length -8", CUT), ("UDP length +1", []),
            ("wrong checksum", []), ("half a UDP header", []),
            ("no payload", [Arrived(b"", True, PORTS)]), ("bytes after the packet", WHOLE),
        )),
        (4, "no checksum", WHOLE), (6, "no checksum", []),
        (4, "UDP length 0, checksum right", []), (6, "UDP length 0, checksum right", WHOLE),
        (4, "option: record route", WHOLE), (4, "option: record route, wrong pointer", []),
        (4, "option: unknown", WHOLE), (4, "option: loose source route", []),
        (4, "option: an option past the end", []), (4, "header checksum wrong", []),
        (4, "total length too long", []), (4, "TTL 1", WHOLE),
        (6, "header: all in order", WHOLE), (6, "header: hop by hop second", HOOK_ONLY),
        (6, "header: destination, an option to refuse", HOOK_ONLY),
        (6, "header: hop by hop, an option past the end", []),
        (6, "header: routing, one left", HOOK_ONLY), (6, "header: an unknown header", []),
        (6, "payload length -8", []), (6, "payload length +8", []),
        (4, "to all hosts", GROUPED), (4, "to broadcast", GROUPED), (6, "to all nodes", GROUPED),
        (4, "to a port that nobody listens on", [Arrived(PAYLOAD, True, (1, 9))]),
    ],
)  # fmt: skip
def test_layouts(family: int, name: str, arrives: list[Arrived]) -> None:
    """The same as Debian's kernels make of them, which the campaign dgram-ip sees."""
    assert laid_out(family, name) == arrives


@pytest.mark.parametrize("layout", ["UDP length 0, checksum right", "whole"])
def test_a_datagram_that_does_not_say_how_long_it_is_is_told(layout: str) -> None:
    source, destination = HOST.ip(6), GUEST.ip(6)
    bare = Bare(source, destination, 7, udp.segment(source, destination, 1, 2, PAYLOAD))
    made = {one.name: one for one in LAYOUTS[6]}
    packets = (
        made[layout].make(bare, random.Random(1)) if layout in made else [bare.packet(bare.segment)]
    )
    arrival = Arrival()
    for packet in packets:
        assert arrival.packet(6, packet) == WHOLE
    assert arrival.unmeasured == (layout in made)
