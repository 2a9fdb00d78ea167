# SPDX-License-Identifier: GPL-2.0-or-later
"""What an observer keeps of long captures is bounded, and letting go changes no verdict."""

from __future__ import annotations

import json

import pytest
from captures import KEYBOX, Capture, Connection, dgram_sender, stream_sender, verdicts

from nst_scapy import observer, replay
from nst_scapy.cli._json_lines import json_line
from nst_scapy.header import Role
from nst_scapy.observer import Observer, observe_frames


def conversations(count: int, capture: Capture) -> None:
    """So many whole connections, one after the other."""
    for number in range(count):
        client = stream_sender(Role.INITIATOR, seed=number)
        connection = Connection(capture, client_port=40000 + number).open()
        connection.send(True, client.seal(b"once", now=capture.now))
        connection.send(True, client.close(now=capture.now))
        connection.fin(True)
        connection.fin(False)


def test_connections_that_are_over_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer, "MAX_CONNECTIONS", 4)
    capture = Capture()
    conversations(12, capture)
    judge = Observer(KEYBOX)
    seen = []
    most = 0
    for observation in observe_frames(capture.frames(), judge):
        seen.append(observation)
        most = max(most, len(set(judge._connections.values())))
    assert most <= 4
    whole = capture.observe()
    monkeypatch.undo()
    assert sorted(seen) == sorted(whole) == sorted(capture.observe())


def test_keys_of_old_sessions_are_derived_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replay, "MAX_DERIVED", 2)
    capture = Capture()
    senders = [dgram_sender(seed) for seed in range(5)]
    for _ in range(3):
        for sender in senders:
            record = sender.seal(b"again", now=capture.now)
            capture.udp(record)
    capture.udp(record)
    judge = Observer(KEYBOX)
    seen = list(observe_frames(capture.frames(), judge))
    assert verdicts(seen) == ["OK"] * 15 + ["REPLAY"]
    (table,) = (r.dgram_table for r in judge._receivers.values() if r.dgram_table.entries)
    assert sum(entry.epoch is not None for entry in table.entries.values()) <= 2


def test_flows_that_cannot_reflect_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer, "MAX_SOCKETS", 8)
    capture = Capture()
    sender = dgram_sender()
    for number in range(60):
        capture.udp(sender.seal(b"", now=capture.now), client_port=1000 + number)
        capture.udp(b"x" * 48, client_port=2000 + number)
    judge = Observer(KEYBOX)
    assert verdicts(list(observe_frames(capture.frames(), judge))) == ["OK", "MAGIC"] * 60
    # Two a second, a window of 30 s, both orders of the endpoints.
    assert len(judge._sockets) <= 2 * 2 * 60


def test_lines_of_json_are_what_json_would_write() -> None:
    capture = Capture()
    sender = dgram_sender()
    record = sender.seal(b"\x00\xff text", now=capture.now)
    capture.udp(record)
    capture.udp(record)
    capture.udp(b"short")
    capture.udp(sender.seal(b"", now=capture.now))
    conversations(2, capture)
    for keybox in (KEYBOX, None):
        observations = capture.observe(keybox)
        assert len(observations) >= 8
        for observation in observations:
            assert json_line(observation) == json.dumps(observation.as_dict()) + "\n"
