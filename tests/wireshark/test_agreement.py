# SPDX-License-Identifier: GPL-2.0-or-later
"""The dissector's verdicts are the observer's, record by record."""

from __future__ import annotations

import random
from functools import cache
from pathlib import Path
from xml.etree.ElementTree import tostring

import pytest
from captures import KEYBOX, T0, Connection
from dissection import PURE, Record, Way, differences, dissected, observed, pdml
from scenarios import Hosts, merged, write

from nst_scapy.capture import Frame
from nst_scapy.header import Role
from nst_scapy.observer import Observer, observe_frames
from nst_scapy.sender import StreamSender
from nst_scapy.suite import SuiteId

SCENARIOS = 40


@cache
def frames(seed: int) -> list[Frame]:
    return merged(SCENARIOS, seed)


@cache
def model(seed: int, *, with_keys: bool = True) -> dict[Way, list[Record]]:
    observer = Observer(KEYBOX if with_keys else None)
    return observed(observe_frames(frames(seed), observer))


@pytest.fixture
def capture(tmp_path):
    def make(seed: int) -> Path:
        return write(frames(seed), tmp_path / "scenarios.pcap")

    return make


@pytest.fixture
def keybox(tmp_path):
    KEYBOX.save(tmp_path / "keybox")
    return tmp_path / "keybox"


@pytest.mark.parametrize("seed", [1, 2])
def test_the_verdicts_are_the_observers(capture, keybox, seed):
    assert differences(model(seed), dissected(pdml(capture(seed), keybox=keybox))) == []


def test_the_scenarios_reach_most_verdicts():
    seen = {r.verdict for seed in (1, 2) for way in model(seed).values() for r in way}
    assert seen >= {
        "OK", "unverified", "SHORT", "MAGIC", "LENGTH", "TIMESTAMP", "REFLECT", "SEQUENCE",
        "REPLAY", "AUTH", "TRUNCATED",
    }  # fmt: skip


def test_in_plain_lua(capture, keybox):
    got = dissected(pdml(capture(1), keybox=keybox, crypto=PURE))
    assert differences(model(1), got) == []


def test_without_a_key_box(capture):
    assert differences(model(1, with_keys=False), dissected(pdml(capture(1)))) == []


def test_two_passes_say_the_same(capture, keybox):
    path = capture(1)
    once, twice = (
        [packet.element for packet in pdml(path, *args, keybox=keybox)] for args in ((), ("-2",))
    )

    def trees(packets):
        return [[tostring(proto) for proto in p.iterfind("proto[@name='nst']")] for p in packets]

    assert trees(once) == trees(twice)


@pytest.mark.parametrize("acknowledged", ["record by record", "not at all", "by nobody"])
def test_both_wait_as_long_for_what_is_missing(tmp_path, keybox, acknowledged):
    """A segment comes late, by more and more segments, until it is no longer waited for."""
    frames = []
    for late in (1, 2, 3, 4, 5, 6, 8, 15, 16, 17, 18):
        capture = Hosts(number=late)
        connection = Connection(capture)
        if acknowledged != "by nobody":
            connection.open()
        client = StreamSender(Role.INITIATOR, KEYBOX, SuiteId.AES_GCM, rng=random.Random(late))
        start = len(capture.packets) + 1
        for n in range(24):
            connection.send(True, client.seal(b"%d" % n, now=capture.now))
            if acknowledged == "record by record" and n:
                connection.segment(False)
        one = capture.frames()
        one.insert(start + late, one.pop(start))
        frames += one
    frames = [f._replace(number=n, time=T0 + n) for n, f in enumerate(frames, start=1)]
    expected = observed(observe_frames(frames, Observer(KEYBOX)))
    got = dissected(pdml(write(frames, tmp_path / "late.pcap"), keybox=keybox))
    assert differences(expected, got) == []
    seconds = {records[1].verdict for records in expected.values()}
    assert seconds == {"OK", "unverified"}, "some are late, and some are too late"


@pytest.mark.parametrize("preference", ["tcp.reassemble_out_of_order:TRUE",
                                        "tcp.desegment_tcp_streams:FALSE",
                                        "tcp.analyze_sequence_numbers:FALSE"])  # fmt: skip
def test_whatever_tcp_is_set_to(capture, keybox, preference):
    got = dissected(pdml(capture(1), "-o", preference, keybox=keybox))
    assert differences(model(1), got) == []
