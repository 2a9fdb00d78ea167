# SPDX-License-Identifier: GPL-2.0-or-later
"""The receiver vectors as captures: the dissector says what the observer says.

A capture cannot say everything that a vector does: an observer's replay tables are
unbounded and never age, and it sees what a receiver sends only as a record. So a
``sent`` becomes a datagram that the socket seals, and a ``sent_first`` a record with that
token. The dissector is held against the Python observer on each case, and the observer
against the vector's own verdicts on those that a capture says whole.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from captures import Connection
from dissection import ROOT, Way, differences, dissected, observed, pdml
from scapy.layers.inet import UDP
from scapy.packet import Raw
from scenarios import Hosts, write

from nst_scapy.capture import Frame
from nst_scapy.epoch import Epoch, KeyParams, seal_under
from nst_scapy.header import DEFAULT_PORT, DGRAM, MAGIC, REPLY, VERSION, Header
from nst_scapy.keybox import KeyBox
from nst_scapy.observer import Observer, observe_frames
from nst_scapy.suite import SuiteId

CASES = json.loads((ROOT / "tests/vectors/nst-v1.json").read_bytes())["receivers"]
OTHERWISE = {"dgram: the floor never falls", "dgram: after a restart"}
"""These need a Floor, and the random ones tables that are small and age."""
CLIENT_PORT = 40000


def record(box: KeyBox, nonce: int, now: int, flags: int, token: bytes | None = None) -> bytes:
    """A record of one byte, authentic unless it is given its *token*."""
    kid = min(box)
    header = Header(MAGIC, VERSION, SuiteId.AES_GCM, 1, now, nonce, bytes(16), 0, 0, kid, flags)
    if token is not None:
        return header._replace(token=token).pack() + b"?"
    epoch = Epoch(box[kid], KeyParams(SuiteId.AES_GCM, kid, 0, 0), header.session_id)
    return seal_under(epoch, header.pack(), b"?")


class Conversations:
    """The packets of a case; each comes when its event says."""

    def __init__(self, case: dict[str, Any], box: KeyBox) -> None:
        self.box = box
        self.capture = Hosts(number=1)
        self.times: list[int] = []
        self.connections: dict[int, Connection] = {}
        self.sent: dict[int, int] = {}
        self.to_server = case["role"] == "acceptor" if case["transport"] == "stream" else True
        self.now = next(event["now"] for event in case["events"] if "now" in event)
        for event in case["events"]:
            self.now = event.get("now", self.now)
            getattr(self, f"{case['transport']}_{event['op']}")(event)
            self.stamp()
        for connection in self.connections.values():
            connection.segment(True, flags="RA")  # nothing is pending after that
        self.stamp()

    def stamp(self) -> None:
        """Give the time of the event to what it added."""
        self.times += [self.now] * (len(self.capture.packets) - len(self.times))

    def datagram(self, socket: int, data: bytes, *, to_socket: bool) -> None:
        ends = CLIENT_PORT, DEFAULT_PORT + socket
        sport, dport = ends if to_socket else ends[::-1]
        self.capture.add(self.capture.ip(to_socket) / UDP(sport=sport, dport=dport) / Raw(data))

    def dgram_receive(self, event: dict[str, Any]) -> None:
        self.datagram(event["socket"], bytes.fromhex(event["bytes"]), to_socket=True)

    def dgram_sent(self, event: dict[str, Any]) -> None:
        session = event["session_id"]
        counter = self.sent[session] = self.sent.get(session, -1) + 1
        data = record(self.box, session << 16 | counter, self.now, DGRAM)
        self.datagram(event["socket"], data, to_socket=False)

    def connection(self, socket: int) -> Connection:
        if socket not in self.connections:
            made = Connection(self.capture, client_port=CLIENT_PORT + socket)
            self.connections[socket] = made.open()
        return self.connections[socket]

    def stream_receive(self, event: dict[str, Any]) -> None:
        connection = self.connection(event["socket"])
        connection.send(self.to_server, bytes.fromhex(event["bytes"]))
        if event["eof"]:
            connection.fin(self.to_server)

    def stream_sent_first(self, event: dict[str, Any]) -> None:
        flags = REPLY if self.to_server else 0
        first = record(self.box, 1 << 16, self.now, flags, bytes.fromhex(event["token"]))
        self.connection(event["socket"]).send(not self.to_server, first)

    def frames(self) -> list[Frame]:
        return [
            frame._replace(time=time)
            for frame, time in zip(self.capture.frames(), self.times, strict=True)
        ]


def of_the_vector(case: dict[str, Any]) -> dict[tuple[str, int], list[str]]:
    """The verdicts that a case lists, by transport and socket."""
    listed: dict[tuple[str, int], list[str]] = {}
    transport = "udp" if case["transport"] == "dgram" else "tcp"
    for event in case["events"]:
        verdicts = [v["verdict"] for v in event.get("verdicts", [])]
        listed.setdefault((transport, event["socket"]), []).extend(verdicts)
    return listed


def socket_of(way: Way) -> int:
    """The socket of a direction."""
    transport, _, sport, _, dport = way
    if transport == "udp":
        return max(sport, dport) - DEFAULT_PORT
    return min(sport, dport) - CLIENT_PORT


def goes_to_socket(way: Way, case: dict[str, Any]) -> bool:
    """Whether a direction is the one that the case is about."""
    to_server = way[4] >= DEFAULT_PORT
    return to_server is (case.get("role") != "initiator")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_a_receiver_vector_as_a_capture(tmp_path: Path, case: dict[str, Any]):
    box = KeyBox({int(kid): bytes.fromhex(key) for kid, key in case["keybox"].items()})
    box.save(tmp_path / "keybox")
    frames = Conversations(case, box).frames()
    observer = Observer(box, window_ns=case["window_ns"])
    expected = observed(observe_frames(frames, observer, range(DEFAULT_PORT, DEFAULT_PORT + 10)))
    capture = write(frames, tmp_path / "case.pcap")
    prefs = {"window": case["window_ns"] // 10**6, "ports": f"{DEFAULT_PORT}-{DEFAULT_PORT + 9}"}
    got = dissected(pdml(capture, keybox=tmp_path / "keybox", **prefs))
    assert differences(expected, got) == []
    assert expected
    if case["name"] in OTHERWISE or case["name"].startswith("random"):
        return
    listed = of_the_vector(case)
    by_socket = {
        (way[0], socket_of(way)): [r.verdict for r in records]
        for way, records in expected.items()
        if goes_to_socket(way, case)
    }
    for receiver, verdicts in listed.items():
        # What follows a refused record is for observers only.
        assert by_socket.get(receiver, [])[: len(verdicts)] == verdicts, receiver
