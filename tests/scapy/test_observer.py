# SPDX-License-Identifier: GPL-2.0-or-later
"""The observer's verdicts on captures, whole and broken."""

from __future__ import annotations

import functools
import itertools
import random

import pytest
from captures import (
    KEYBOX,
    STEP,
    T0,
    Capture,
    Connection,
    dgram_sender,
    snapped,
    stream_sender,
    verdicts,
)
from cryptography.exceptions import UnsupportedAlgorithm
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP, fragment
from scapy.packet import Raw

from nst_scapy import epoch
from nst_scapy.epoch import Epoch, seal_under
from nst_scapy.header import Flags, KeyParams, Role, Transport
from nst_scapy.keybox import KeyBox
from nst_scapy.observer import MAX_WAIT, Observer, observe_frames
from nst_scapy.receiver import Receiver
from nst_scapy.replay import StreamTable
from nst_scapy.stream import StreamReceiver
from nst_scapy.suite import SuiteId
from nst_scapy.tcp import PATIENCE
from nst_scapy.verdict import Verdict

INITIATOR, ACCEPTOR = Role.INITIATOR, Role.ACCEPTOR


def plaintexts(observations):
    return [observation.plaintext for observation in observations]


@pytest.mark.parametrize("v6", [False, True], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("suite", SuiteId)
def test_a_whole_conversation(suite, v6):
    capture = Capture(v6=v6)
    connection = Connection(capture, isns=(0xFFFFFFF0, 5)).open()
    client = stream_sender(INITIATOR, suite=suite, rekey_records=2)
    server = stream_sender(ACCEPTOR, suite=suite)
    texts = [b"a", b"b" * 3000, b"c" * 16384, b"d"]
    for text in texts:
        connection.send(True, client.seal(text, now=capture.now))
    assert client.first_token is not None
    server.bind(client.first_token)
    connection.send(False, server.seal(b"reply", now=capture.now))
    connection.send(True, client.close(now=capture.now))
    connection.fin(True)
    connection.send(False, server.close(now=capture.now))
    connection.fin(False)
    sender = dgram_sender(suite=suite)
    capture.udp(sender.seal(b"datagram", now=capture.now))
    seen = capture.observe()
    assert verdicts(seen) == ["OK"] * 8
    assert plaintexts(seen) == [*texts, b"reply", b"", b"", b"datagram"]
    assert [o.transport for o in seen] == [Transport.STREAM] * 7 + [Transport.DGRAM]
    assert seen[4].header is not None
    assert seen[4].header.flags == Flags.REPLY | Flags.BOUND
    assert str(seen[0].src) == ("[2001:db8::1]:40000" if v6 else "192.0.2.1:40000")
    # Each record stands at the frame with its last byte; three frames of handshake.
    assert [o.frame for o in seen] == [4, 7, 19, 20, 21, 22, 24, 26]


def test_sessions_begin_anywhere_and_wrap():
    capture = Capture()
    connection = Connection(capture, isns=(0xFFFFFF00, 0xFFFFFFFF)).open()
    client = stream_sender(INITIATOR)
    for n in range(40):
        connection.send(True, client.seal(bytes([n]) * 50, now=capture.now))
    assert verdicts(capture.observe()) == ["OK"] * 40


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_order_and_repetition_of_segments_do_not_matter(data):
    client = stream_sender(INITIATOR, rekey_records=3)
    capture = Capture()
    connection = Connection(capture).open()
    texts = [bytes([n]) * (n * 37 % 200 + 1) for n in range(8)]
    wire = b"".join(client.seal(t, now=capture.now) for t in texts) + client.close(now=capture.now)
    cuts = data.draw(st.lists(st.integers(1, len(wire) - 1), max_size=12, unique=True))
    edges = [0, *sorted(cuts), len(wire)]
    pieces = [(a, wire[a:b]) for a, b in itertools.pairwise(edges)]
    pieces += data.draw(st.lists(st.sampled_from(pieces), max_size=4))
    connection.advance(True, len(wire))
    for start, piece in data.draw(st.permutations(pieces)):
        connection.segment(True, piece, back=len(wire) - start)
    connection.fin(True)
    seen = capture.observe()
    assert verdicts(seen) == ["OK"] * 9
    assert plaintexts(seen) == [*texts, b""]


@settings(max_examples=150, deadline=None)
@given(st.randoms(use_true_random=False), st.booleans(), st.booleans())
def test_a_whole_capture_gets_the_receivers_verdicts(rng, damaged, closed):
    """Any damage, any segments: the same as a socket says, up to its one failure."""
    client = stream_sender(INITIATOR, suite=rng.choice(list(SuiteId)), rekey_records=2)
    capture = Capture()
    connection = Connection(capture).open()
    wire = bytearray()
    for n in range(rng.randrange(6)):
        wire += client.seal(bytes(rng.randrange(1, 200)), now=capture.now + n)
    if closed:
        wire += client.close(now=capture.now)
    if damaged and wire:
        wire[rng.randrange(len(wire))] ^= 1 << rng.randrange(8)
        cut = rng.randrange(len(wire))
        del wire[cut : cut + rng.choice((0, 0, 1, 50))]
    connection.send(True, bytes(wire), size=rng.choice((40, 100, 5000)))
    connection.fin(True)
    window = 10**15  # however long the capture is
    shared = Receiver(KEYBOX, window, stream_table=StreamTable(None))
    receiver = StreamReceiver(shared, ACCEPTOR)
    expected = receiver.receive(bytes(wire), now=T0, age=T0) + receiver.end()
    seen = capture.observe(window_ns=window)
    assert verdicts(seen)[: len(expected)] == [outcome.verdict for outcome in expected]
    assert plaintexts(seen)[: len(expected)] == [outcome.plaintext for outcome in expected]
    assert {observation.verdict for observation in seen[len(expected) :]} <= {None}


def test_datagrams_replayed_reflected_and_short():
    capture = Capture()
    sender = dgram_sender()
    record = sender.seal(b"x", now=capture.now)
    capture.udp(record)
    capture.udp(record)
    capture.udp(record, client_port=40001)
    capture.udp(record, to_server=False)
    capture.udp(record[:47])
    capture.udp(b"")
    capture.udp(b"\0" * 60)
    capture.udp(record + b"\0")
    seen = capture.observe()
    expected = ["OK", "REPLAY", "REPLAY", "REFLECT", "SHORT", "SHORT", "MAGIC", "LENGTH"]
    assert verdicts(seen) == expected
    assert seen[4].header is None


def test_a_forged_datagram_does_not_make_the_real_ones_reflections():
    capture = Capture()
    sender = dgram_sender()
    forged = bytearray(sender.seal(b"x", now=capture.now))
    forged[24] ^= 1
    capture.udp(bytes(forged), to_server=False)
    capture.udp(sender.seal(b"y", now=capture.now))
    assert verdicts(capture.observe()) == ["AUTH", "OK"]


def test_the_clock_is_the_captures():
    capture = Capture()
    sender = dgram_sender()
    capture.udp(sender.seal(b"x", now=capture.now - 30_000_000_000))
    capture.udp(sender.seal(b"x", now=capture.now - 30_000_000_001))
    capture.udp(sender.seal(b"x", now=capture.now + 30_000_000_001))
    assert verdicts(capture.observe()) == ["OK", "TIMESTAMP", "TIMESTAMP"]
    assert verdicts(capture.observe(window_ns=10**12)) == ["OK"] * 3


def test_multicast_gets_no_verdict():
    capture = Capture()
    record = dgram_sender().seal(b"x", now=capture.now)
    capture.add(IP(dst="224.0.0.1") / UDP(dport=48879) / Raw(record))
    capture.add(IP(dst="255.255.255.255") / UDP(dport=48879) / Raw(record))
    observer = Observer(KEYBOX)
    assert list(observe_frames(capture.frames(), observer)) == []
    assert observer.skipped == {"multicast datagrams": 2}


def test_without_a_key_box_only_checks_1_to_7():
    capture = Capture()
    connection = Connection(capture).open()
    client = stream_sender(INITIATOR)
    connection.send(True, client.seal(b"a", now=0))
    connection.send(True, client.seal(b"a", now=0))
    connection.fin(True)
    record = dgram_sender().seal(b"x", now=0)
    capture.udp(record)
    capture.udp(record)
    capture.udp(record[:40] + b"\x21" + record[41:])
    seen = capture.observe(None)
    assert verdicts(seen) == ["unverified"] * 4 + ["PERTURB"]
    assert plaintexts(seen) == [None] * 5


def test_an_unknown_kid():
    capture = Capture()
    capture.udp(dgram_sender().seal(b"x", now=capture.now))
    connection = Connection(capture).open()
    connection.send(True, stream_sender(INITIATOR).seal(b"a", now=capture.now))
    assert verdicts(capture.observe(KeyBox({9: bytes(32)}))) == ["KID", "KID"]


def test_no_crypto_for_a_suite(monkeypatch):
    capture = Capture()
    sender = dgram_sender(suite=SuiteId.SM4_GCM)
    record = sender.seal(b"x", now=capture.now)
    capture.udp(record)
    connection = Connection(capture).open()
    client = stream_sender(INITIATOR, suite=SuiteId.SM4_CBC)
    connection.send(True, client.seal(b"a", now=capture.now))
    connection.send(True, client.seal(b"b", now=capture.now)[:-1] + b"\0")
    client.suite = SuiteId.AES_GCM
    connection.send(True, client.seal(b"c", now=capture.now))

    def derive(suite, key, session_id, real=epoch.derive):
        if not suite.name.startswith("AES"):
            raise UnsupportedAlgorithm("no SM3")
        return real(suite, key, session_id)

    monkeypatch.setattr(epoch, "derive", derive)
    seen = capture.observe()
    assert verdicts(seen) == ["unverified"] * 3 + ["OK"]
    assert plaintexts(seen) == [None] * 3 + [b"c"]


class TestStreamEnds:
    """FIN, RST, and what follows CLOSE."""

    @staticmethod
    def connection():
        capture = Capture()
        return capture, Connection(capture).open(), stream_sender(INITIATOR)

    def test_before_any_record(self):
        capture, connection, _ = self.connection()
        connection.fin(True)
        seen = capture.observe()
        assert verdicts(seen) == ["TRUNCATED"]
        assert seen[0].header is None

    def test_after_a_record(self):
        capture, connection, client = self.connection()
        connection.send(True, client.seal(b"a", now=capture.now))
        connection.fin(True)
        assert verdicts(capture.observe()) == ["OK", "TRUNCATED"]

    def test_inside_a_record(self):
        capture, connection, client = self.connection()
        connection.send(True, client.seal(b"abc", now=capture.now)[:-1])
        connection.fin(True)
        seen = capture.observe()
        assert verdicts(seen) == ["TRUNCATED"]
        assert seen[0].header is not None
        assert seen[0].header.transport_len == 3

    def test_fin_with_the_last_bytes_before_the_others(self):
        capture, connection, client = self.connection()
        wire = client.seal(b"a", now=capture.now) + client.close(now=capture.now)
        connection.advance(True, len(wire))
        connection.segment(True, wire[50:], "FA", back=len(wire) - 50)
        connection.segment(True, wire[:50], "A", back=len(wire))
        assert verdicts(capture.observe()) == ["OK", "OK"]

    def test_a_reset_is_no_verdict(self):
        capture, connection, client = self.connection()
        connection.send(True, client.seal(b"a", now=capture.now))
        connection.segment(True, b"why", flags="R")
        assert verdicts(capture.observe()) == ["OK"]

    def test_bytes_after_close(self):
        capture, connection, client = self.connection()
        connection.send(True, client.close(now=capture.now) + b"xyz")
        connection.send(True, b"more")
        connection.fin(True)
        assert verdicts(capture.observe()) == ["OK", "SEQUENCE"]


class TestFailedRecords:
    """One verdict other than OK; what follows is unverified."""

    def test_junk_between_records(self):
        capture = Capture()
        connection = Connection(capture).open()
        client = stream_sender(INITIATOR)
        connection.send(True, client.seal(b"a", now=capture.now))
        connection.send(True, b"some junk\xbe\xef")
        connection.send(True, client.seal(b"b", now=capture.now) * 2)
        connection.send(True, client.close(now=capture.now))
        connection.fin(True)
        seen = capture.observe()
        assert verdicts(seen) == ["OK", "MAGIC", "unverified", "unverified", "unverified"]
        assert plaintexts(seen) == [b"a", None, b"b", b"b", b""]

    @pytest.mark.parametrize(
        ("offset", "verdict"),
        [(4, "VERSION"), (5, "CIPHER"), (47, "FLAGS"), (6, "LENGTH"), (40, "PERTURB"),
         (42, "KID"), (8, "TIMESTAMP"), (23, "SEQUENCE"), (24, "AUTH"), (48, "AUTH")],
    )  # fmt: skip
    def test_each_check(self, offset, verdict):
        capture = Capture()
        connection = Connection(capture).open()
        client = stream_sender(INITIATOR)
        record = bytearray(client.seal(b"a", now=capture.now))
        record[offset] ^= 0x70
        connection.send(True, bytes(record))
        connection.send(True, client.seal(b"later", now=capture.now))
        seen = capture.observe()
        assert verdicts(seen) == [verdict, "unverified"]
        assert seen[1].plaintext == b"later"

    def test_a_gap_in_what_follows(self):
        capture = Capture()
        connection = Connection(capture).open()
        client = stream_sender(INITIATOR)
        connection.send(True, b"junk!" + client.seal(b"a" * 3000, now=capture.now), size=1000)
        connection.send(True, b"junk!" + client.seal(b"b", now=capture.now))
        del capture.packets[4]
        assert verdicts(capture.observe()) == ["MAGIC", "unverified"]

    def test_a_stream_played_back(self):
        capture = Capture()
        wire = stream_sender(INITIATOR).seal(b"a", now=capture.now)
        for port in (1, 2):
            Connection(capture, client_port=port).open().send(True, wire)
        assert verdicts(capture.observe()) == ["OK", "REPLAY"]

    def test_a_stream_played_back_whose_handshake_was_not_captured(self):
        capture = Capture()
        sender = stream_sender(INITIATOR)
        wire = sender.seal(b"one", now=capture.now) + sender.seal(b"two", now=capture.now)
        for connection in (Connection(capture).open(), Connection(capture, client_port=2)):
            connection.send(True, wire)
        assert verdicts(capture.observe()) == ["OK", "OK", "REPLAY", "unverified"]

    def test_an_epoch_cut_out(self):
        capture = Capture()
        connection = Connection(capture).open()
        client = stream_sender(INITIATOR, rekey_records=1)
        records = [client.seal(b"x", now=capture.now) for _ in range(3)]
        connection.send(True, records[0] + records[2])
        assert verdicts(capture.observe()) == ["OK", "AUTH"]


class TestBoundReplies:
    """The token of the initiator's first record, wherever it is in the capture."""

    @staticmethod
    def parts(capture):
        client, server = stream_sender(INITIATOR), stream_sender(ACCEPTOR)
        question = client.seal(b"question", now=capture.now)
        assert client.first_token is not None
        server.bind(client.first_token)
        return question, server.seal(b"answer", now=capture.now)

    def test_captured_the_wrong_way_round(self):
        capture = Capture()
        question, answer = self.parts(capture)
        connection = Connection(capture).open()
        other = dgram_sender(5)
        connection.send(False, answer)
        capture.udp(other.seal(b"in between", now=capture.now))
        connection.send(True, question)
        seen = capture.observe()
        assert verdicts(seen) == ["OK"] * 3
        assert [o.frame for o in seen] == [4, 5, 6]

    def test_captured_the_wrong_way_round_and_nothing_between(self):
        capture = Capture()
        question, answer = self.parts(capture)
        connection = Connection(capture).open()
        connection.send(False, answer)
        connection.send(True, question)
        seen = capture.observe()
        assert verdicts(seen) == ["OK"] * 2
        assert [o.frame for o in seen] == [4, 5]

    def test_nothing_was_sent(self):
        capture = Capture()
        _, answer = self.parts(capture)
        Connection(capture).open().send(False, answer)
        sender = dgram_sender()
        for _ in range(MAX_WAIT + 2):
            capture.udp(sender.seal(b"x", now=capture.now))
        assert verdicts(capture.observe()) == ["SEQUENCE"] + ["OK"] * (MAX_WAIT + 2)
        del capture.packets[-1]
        assert verdicts(capture.observe()) == ["SEQUENCE"] + ["OK"] * (MAX_WAIT + 1)

    def test_bound_to_another_connection(self):
        capture = Capture()
        _, answer = self.parts(capture)
        connection = Connection(capture).open()
        connection.send(True, stream_sender(INITIATOR, 7).seal(b"q", now=capture.now))
        connection.send(False, answer)
        assert verdicts(capture.observe()) == ["OK", "AUTH"]

    def test_the_question_was_not_captured(self):
        capture = Capture()
        question, answer = self.parts(capture)
        connection = Connection(capture).open()
        connection.advance(True, len(question))
        connection.send(False, answer)
        connection.segment(True, b"\0" * 10)
        connection.send(False, b"")
        seen = capture.observe()
        assert verdicts(seen)[:1] == ["unverified"]
        assert seen[0].plaintext == b"answer"

    def test_only_a_fin_was_sent(self):
        capture = Capture()
        _, answer = self.parts(capture)
        connection = Connection(capture).open()
        connection.fin(True)
        connection.send(False, answer)
        assert verdicts(capture.observe()) == ["TRUNCATED", "SEQUENCE"]

    def test_the_question_is_of_an_unknown_kid(self):
        capture = Capture()
        question, answer = self.parts(capture)
        connection = Connection(capture)  # no handshake
        connection.send(True, question[:43] + b"\x77" + question[44:])
        connection.send(False, answer)
        seen = capture.observe()
        assert verdicts(seen) == ["KID", "unverified"]
        assert seen[1].plaintext == b"answer"

    def test_the_question_was_cut_off(self):
        capture = Capture()
        question, answer = self.parts(capture)
        connection = Connection(capture).open()
        connection.send(True, question)
        connection.send(False, answer)
        frames = [snapped(f, 80) if f.number == 4 else f for f in capture.frames()]
        assert verdicts(list(observe_frames(frames, Observer(KEYBOX)))) == ["unverified"]


class TestPartialCaptures:
    """What was not captured makes records unverified, never wrong."""

    def test_without_the_handshake(self):
        capture = Capture()
        connection = Connection(capture)
        client, server = stream_sender(INITIATOR), stream_sender(ACCEPTOR)
        connection.send(False, server.seal(b"early", now=capture.now))
        connection.send(True, client.seal(b"a", now=capture.now))
        connection.send(True, client.seal(b"b", now=capture.now))
        assert verdicts(capture.observe()) == ["OK"] * 3

    def test_from_the_middle(self):
        capture = Capture()
        connection = Connection(capture)
        client = stream_sender(INITIATOR, rekey_records=2)
        wire = [client.seal(b"%d" % n, now=capture.now) for n in range(5)]
        connection.send(True, wire[1][20:] + wire[2] + wire[3] + wire[4])
        seen = capture.observe()
        assert verdicts(seen) == ["unverified", "OK", "OK"]
        assert plaintexts(seen) == [b"2", b"3", b"4"]

    def test_from_a_later_epoch(self):
        capture = Capture()
        connection = Connection(capture)
        client = stream_sender(INITIATOR, rekey_records=1)
        client.seal(b"not captured", now=capture.now)
        for _ in range(2):
            connection.send(True, client.seal(b"x", now=capture.now))
        assert verdicts(capture.observe()) == ["unverified", "OK"]

    @pytest.mark.parametrize("rekey", [1, 65536])
    def test_a_lost_segment(self, rekey):
        capture = Capture()
        connection = Connection(capture).open()
        client = stream_sender(INITIATOR, rekey_records=rekey)
        wire = b"".join(client.seal(b"%02d" % n * 20, now=capture.now) for n in range(30))
        wire += client.close(now=capture.now)
        connection.send(True, wire, size=100)
        connection.fin(True)
        del capture.packets[8]
        seen = capture.observe()
        # Bytes 500 to 599 are gone: the end of record 5 and the header of record 6.
        assert verdicts(seen) == ["OK"] * 5 + ["unverified"] * 2 + ["OK"] * 23
        assert plaintexts(seen)[5:8] == [None, b"07" * 20, b"08" * 20]

    def test_a_lost_segment_is_given_up_once_acknowledged(self):
        capture = Capture()
        connection = Connection(capture).open()
        client = stream_sender(INITIATOR)
        wire = [client.seal(b"%d" % n, now=capture.now) for n in range(PATIENCE + 2)]
        for record in wire:
            connection.send(True, record)
            connection.segment(False)
        del capture.packets[3]
        seen = capture.observe()
        assert verdicts(seen) == ["unverified"] + ["OK"] * PATIENCE
        assert seen[0].frame < len(capture.packets)

    def test_truncation_behind_a_gap_is_not_claimed(self):
        capture = Capture()
        connection = Connection(capture).open()
        connection.send(True, stream_sender(INITIATOR).seal(b"a", now=capture.now))
        connection.advance(True, 100)
        connection.segment(True, b"zz", "FA")
        assert verdicts(capture.observe()) == ["OK"]

    @pytest.mark.parametrize("length", range(14, 180, 3))
    def test_a_snapshot_length(self, length):
        capture = Capture()
        connection = Connection(capture).open()
        client = stream_sender(INITIATOR)
        connection.send(True, client.seal(b"a" * 60, now=capture.now))
        connection.send(True, client.seal(b"b", now=capture.now))
        connection.send(True, client.close(now=capture.now))
        connection.fin(True)
        capture.udp(dgram_sender().seal(b"x" * 60, now=capture.now))
        frames = [snapped(frame, length) for frame in capture.frames()]
        seen = verdicts(list(observe_frames(frames, Observer(KEYBOX))))
        assert set(seen) <= {"OK", "unverified"}
        if length >= 14 + 20 + 20 + 48:
            assert len(seen) >= 3

    def test_a_cut_off_datagram_still_fails_what_can_be_seen(self):
        capture = Capture()
        record = dgram_sender().seal(b"x" * 60, now=capture.now)
        capture.udp(record)
        capture.udp(b"\0" + record)
        capture.udp(record[:-1])
        capture.udp(record[:40])
        frames = [snapped(frame, 42 + 50) for frame in capture.frames()]
        seen = list(observe_frames(frames, Observer(KEYBOX)))
        assert verdicts(seen) == ["unverified", "MAGIC", "LENGTH", "SHORT"]

    def test_nothing_of_the_question_was_captured(self):
        capture = Capture()
        question, answer = TestBoundReplies.parts(capture)
        connection = Connection(capture).open()
        connection.advance(True, len(question))
        connection.send(False, answer)  # which acknowledges it
        assert verdicts(capture.observe()) == ["unverified"]

    @settings(max_examples=200, deadline=None)
    @given(st.randoms(use_true_random=False), st.floats(0, 0.4), st.floats(0, 0.3))
    def test_loss_cuts_and_reordering_give_no_wrong_verdict(self, rng, loss, cuts):
        frames = [frame for frame in whole_conversation() if rng.random() >= loss]
        if rng.random() < 0.5:
            frames.sort(key=lambda frame: frame.number + rng.uniform(0, 6))
        seen = []
        for number, frame in enumerate(frames, start=1):
            length = len(frame.data)
            if rng.random() < cuts:
                length = rng.randrange(length)
            seen.append(snapped(frame, length)._replace(number=number))
        for observation in observe_frames(seen, Observer(KEYBOX)):
            assert observation.verdict in {None, Verdict.OK}
            if observation.verdict is Verdict.OK:
                assert len(set(observation.plaintext)) <= 1  # not cut and not mixed up


@functools.cache
def whole_conversation():
    """Frames of a stream both ways, closed on both sides, and datagrams."""
    capture = Capture()
    connection = Connection(capture).open()
    client = stream_sender(INITIATOR, rekey_records=3)
    server = stream_sender(ACCEPTOR, rekey_records=2, suite=SuiteId.AES_CBC)
    connection.send(True, client.seal(b"q" * 100, now=capture.now))
    assert client.first_token is not None
    server.bind(client.first_token)
    sender = dgram_sender()
    for n in range(6):
        connection.send(False, server.seal(b"a" * (n * 50 + 1), now=capture.now), size=90)
        connection.send(True, client.seal(b"q" * (n * 77 + 1), now=capture.now), size=120)
        capture.udp(sender.seal(b"d" * n, now=capture.now))
    for side, end in (True, client), (False, server):
        connection.send(side, end.close(now=capture.now))
        connection.fin(side)
    return capture.frames()


def test_roles_come_from_the_syn():
    capture = Capture()
    connection = Connection(capture).open()
    # A reply from the side that connected.
    connection.send(True, stream_sender(ACCEPTOR).seal(b"a", now=capture.now))
    assert verdicts(capture.observe()) == ["FLAGS"]


def test_simultaneous_open_makes_two_initiators():
    capture = Capture()
    connection = Connection(capture)
    for side in (True, False):
        connection.segment(side, flags="S")
    for side in (True, False):
        connection.segment(side, flags="SA")
        connection.advance(side, 1)
    connection.send(True, stream_sender(INITIATOR).seal(b"a", now=capture.now))
    connection.send(False, stream_sender(ACCEPTOR).seal(b"a", now=capture.now))
    # Each receiver is an initiator: it takes replies only.
    assert verdicts(capture.observe()) == ["FLAGS", "OK"]


def test_ports_used_again():
    capture = Capture()
    for n, ending in enumerate(["fin", "rst", "none"]):
        connection = Connection(capture, isns=(1000 * n, 77 * n)).open()
        client = stream_sender(INITIATOR, seed=n)
        connection.send(True, client.seal(b"%d" % n, now=capture.now))
        if ending == "fin":
            connection.send(True, client.close(now=capture.now))
            connection.fin(True)
        elif ending == "rst":
            connection.segment(True, flags="R")
    Connection(capture, isns=(99, 98)).open().send(
        True, stream_sender(INITIATOR, seed=9).seal(b"9", now=capture.now)
    )
    seen = capture.observe()
    assert verdicts(seen) == ["OK"] * 5
    assert plaintexts(seen) == [b"0", b"", b"1", b"2", b"9"]


def test_an_injected_syn_changes_nothing():
    capture = Capture()
    connection = Connection(capture).open()
    client = stream_sender(INITIATOR)
    connection.send(True, client.seal(b"a", now=capture.now))
    connection.segment(True, flags="S", back=5000)
    connection.send(True, client.seal(b"b", now=capture.now))
    assert verdicts(capture.observe()) == ["OK", "OK"]


@pytest.mark.parametrize("v6", [False, True])
def test_fragmented_datagrams(v6):
    capture = Capture(v6=v6)
    record = dgram_sender().seal(b"x" * 5000, now=capture.now)
    packet = capture.ip(True) / UDP(sport=1, dport=48879) / Raw(record)
    if v6:
        from scapy.layers.inet6 import IPv6ExtHdrFragment, fragment6

        whole = capture.ip(True) / IPv6ExtHdrFragment(id=5) / packet.payload
        pieces = fragment6(whole, 1280)
    else:
        pieces = fragment(packet, 1000)
    random.Random(3).shuffle(pieces)
    for piece in pieces:
        capture.add(piece)
    capture.add(pieces[0])
    seen = capture.observe()
    assert verdicts(seen) == ["OK"]
    assert seen[0].frame == len(pieces)


def test_padding_under_authentic_tokens():
    capture = Capture()
    sender = dgram_sender(suite=SuiteId.AES_CBC)
    draft = sender.draft(3, now=capture.now)
    header0 = draft.header.pack()
    capture.udp(draft.epoch.sealer.seal_padded(header0, bytes(16)))
    assert verdicts(capture.observe()) == ["PADDING"]


def test_a_forged_header_that_verifies():
    capture = Capture()
    connection = Connection(capture).open()
    client = stream_sender(INITIATOR)
    draft = client.draft(1, now=capture.now)
    header = draft.header._replace(nonce=5)  # session 0
    forged = Epoch(KEYBOX[0], KeyParams(1, 0, 0, 0), 0)
    connection.send(True, seal_under(forged, header.pack(), b"x"))
    assert verdicts(capture.observe()) == ["SEQUENCE"]


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=400), st.integers(0, 2**32 - 1), st.data())
def test_hostile_frames_raise_nothing(junk, seq, data):
    capture = Capture()
    connection = Connection(capture, isns=(seq, seq)).open()
    client = stream_sender(INITIATOR)
    connection.send(True, client.seal(b"a" * 30, now=capture.now), size=40)
    capture.udp(dgram_sender().seal(b"x", now=capture.now))
    frames = []
    for frame in capture.frames():
        raw = bytearray(frame.data)
        for _ in range(data.draw(st.integers(0, 3))):
            raw[data.draw(st.integers(12, len(raw) - 1))] = data.draw(st.integers(0, 255))
        frames.append(frame._replace(data=bytes(raw)))
    frames.append(frames[-1]._replace(data=junk, wire_len=len(junk)))
    linktype = data.draw(st.sampled_from([0, 1, 101, 108, 113, 276, 77]))
    frames.append(frames[-1]._replace(linktype=linktype))
    for observation in observe_frames(frames, Observer(KEYBOX)):
        assert observation.verdict in {None, *Verdict}
        assert observation.as_dict()["frame"] == observation.frame


def test_many_magics_take_linear_time():
    capture = Capture()
    connection = Connection(capture).open()
    connection.send(True, b"junk" + (b"\xbe\xef\x13\x37\x01") * 100_000, size=60_000)
    assert verdicts(capture.observe()) == ["MAGIC"]


def test_observations_are_in_order_of_frames():
    capture = Capture()
    rng = random.Random(1)
    connections = [Connection(capture, client_port=p).open() for p in range(1, 6)]
    clients = [stream_sender(INITIATOR, seed=p) for p in range(1, 6)]
    for _ in range(300):
        n = rng.randrange(5)
        connections[n].send(True, clients[n].seal(b"x" * rng.randrange(1, 3000), now=capture.now))
    frames = [o.frame for o in capture.observe()]
    assert len(frames) == 300
    assert frames == sorted(frames)


def test_time_is_exact():
    capture = Capture()
    capture.udp(dgram_sender().seal(b"x", now=capture.now))
    capture.udp(dgram_sender(2).seal(b"x", now=capture.now))
    seen = capture.observe()
    assert seen[1].time - seen[0].time == STEP
