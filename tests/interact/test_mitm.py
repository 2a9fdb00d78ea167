# SPDX-License-Identifier: GPL-2.0-or-later
"""The man in the middle: transparent until it alters something, consistent afterwards."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from scapy.packet import Raw

from nst_scapy.header import CLOSE, Role
from nst_scapy.keybox import KeyBox
from nst_scapy.layer import NST, NSTPlain
from nst_scapy.mitm import NSTForwardMachine
from nst_scapy.receiver import Receiver
from nst_scapy.replay import StreamTable
from nst_scapy.sender import StreamSender
from nst_scapy.stream import StreamReceiver
from nst_scapy.stream_socket import NSTStreamSocket, connect_stream, listen_stream
from nst_scapy.suite import SuiteId
from nst_scapy.tampering import Tampering
from nst_scapy.verdict import Verdict

BOX = KeyBox.generate(4)
NOW = 10**18


def sealed(rng: random.Random, count: int) -> tuple[StreamSender, list[bytes]]:
    """A sender and *count* of its records, over several epochs and suites."""
    sender = StreamSender(Role.INITIATOR, BOX, rng=rng, rekey_records=rng.randint(1, 5))
    records = []
    for n in range(count):
        sender.suite = rng.choice(list(SuiteId))
        records.append(sender.seal(b"record %d" % n, now=NOW))
    return sender, records


def received(data: bytes, role: Role = Role.ACCEPTOR) -> list[tuple[Verdict | None, bytes | None]]:
    receiver = StreamReceiver(Receiver(BOX, stream_table=StreamTable(None)), role)
    return [(o.verdict, o.plaintext) for o in receiver.receive(data, now=NOW, age=NOW)]


class TestTampering:
    def test_untouched_bytes_stay_as_they_were(self):
        rng = random.Random(1)
        for _ in range(20):
            _, records = sealed(rng, 10)
            wire, out = b"".join(records), b""
            tampering = Tampering(BOX, NOW)
            while wire:
                size = rng.randint(1, 200)
                for seen in tampering.see(Role.INITIATOR, wire[:size]):
                    header = seen.outcome.header
                    out += tampering.forward(Role.INITIATOR, header, seen.outcome.plaintext)
                wire = wire[size:]
            assert out == b"".join(records)

    def test_altered_dropped_and_injected_records_fit(self):
        rng = random.Random(2)
        for _ in range(40):
            _, records = sealed(rng, 12)
            tampering = Tampering(BOX, NOW)
            out, expected = b"", []
            for record in records:
                if rng.random() < 0.2:
                    out += tampering.inject(Role.INITIATOR, b"injected", NOW)
                    expected.append(b"injected")
                (seen,) = tampering.see(Role.INITIATOR, record)
                text = seen.outcome.plaintext
                if rng.random() < 0.3:
                    continue
                if rng.random() < 0.3:
                    text = text.upper() * rng.randint(1, 5)
                out += tampering.forward(Role.INITIATOR, seen.outcome.header, text)
                expected.append(text)
            assert received(out) == [(Verdict.OK, text) for text in expected]

    def test_an_epoch_that_injection_made_too_long(self):
        tampering = Tampering(BOX, NOW)
        out = b"".join(tampering.inject(Role.INITIATOR, b"x", NOW) for _ in range(65540))
        assert {verdict for verdict, _ in received(out)} == {Verdict.OK}

    def test_after_a_failure_bytes_pass_unopened(self):
        tampering = Tampering(BOX, NOW)
        (seen,) = tampering.see(Role.INITIATOR, b"junk, not a record")
        assert seen.wire == b"junk, not a record"
        assert seen.outcome.verdict is Verdict.MAGIC
        assert tampering.see(Role.INITIATOR, b"more") == [(b"more", None)]


@contextmanager
def in_the_middle(
    machine: type[NSTForwardMachine],
) -> Iterator[tuple[NSTStreamSocket, NSTStreamSocket]]:
    """Initiator and acceptor, with a machine between."""
    with listen_stream(("127.0.0.1", 0), BOX) as server:
        port = server.getsockname()[1]
        relay = machine(BOX, "127.0.0.1", 0, port, bind_address="127.0.0.1")
        relay.bg()
        try:
            with connect_stream(("127.0.0.1", relay.port), BOX, timeout=10) as initiator:
                acceptor, _ = server.accept()
                acceptor.settimeout(10)
                with acceptor:
                    yield initiator, acceptor
        finally:
            relay.stop()


def exactly(sock: NSTStreamSocket, length: int) -> bytes:
    return sock.recv(length, socket.MSG_WAITALL)


class TestForwardMachine:
    def test_forwards_and_shows(self, capsys):
        with in_the_middle(NSTForwardMachine) as (initiator, acceptor):
            initiator.sendall(b"question")
            assert exactly(acceptor, 8) == b"question"
            acceptor.sendall(b"answer")
            assert exactly(initiator, 6) == b"answer"
            initiator.shutdown(socket.SHUT_WR)
            assert acceptor.recv(1) == b""
            acceptor.close()
            assert initiator.recv(1) == b""
        assert "C ==> S: NST plain AES_GCM" in capsys.readouterr().out

    def test_alters_both_directions(self):
        class Altering(NSTForwardMachine):
            def xfrmcs(self, pkt, ctx):
                if b"drop" in bytes(pkt.payload):
                    raise self.DROP()
                if b"who" in bytes(pkt.payload):
                    raise self.ANSWER(Raw(b"me"))
                pkt.load = pkt.load.upper()
                raise self.FORWARD_REPLACE(pkt)

            def xfrmsc(self, pkt, ctx):
                if pkt.flags & CLOSE:
                    raise self.FORWARD()
                raise self.FORWARD_REPLACE(Raw(b"<" + pkt.load + b">"))

        with in_the_middle(Altering) as (initiator, acceptor):
            for data in (b"one", b"drop this", b"two"):
                initiator.sendall(data)
            assert exactly(acceptor, 6) == b"ONETWO"
            acceptor.sendall(b"bound")
            assert exactly(initiator, 7) == b"<bound>"
            initiator.sendall(b"who are you")
            assert exactly(initiator, 2) == b"me"
            acceptor.sendall(b"on")
            assert exactly(initiator, 4) == b"<on>"
            acceptor.close()
            assert initiator.recv(1) == b""

    @pytest.mark.parametrize(
        ("field", "value", "verdict"),
        [
            ("kval", 0, Verdict.PERTURB),
            ("flags", 2, Verdict.FLAGS),
            ("nonce", 5 << 16 | 7, Verdict.SEQUENCE),
            ("token", b"x" * 16, Verdict.AUTH),
            ("timestamp", 0, Verdict.TIMESTAMP),
            ("transport_len", 20000, Verdict.LENGTH),
        ],
    )
    def test_forged_fields(self, field, value, verdict):
        class Forging(NSTForwardMachine):
            def xfrmcs(self, pkt, ctx):
                setattr(pkt, field, value)
                raise self.FORWARD_REPLACE(pkt)

        with in_the_middle(Forging) as (initiator, acceptor):
            initiator.sendall(b"data")
            with pytest.raises(OSError, match="Bad message"):
                acceptor.recv(1)
            assert acceptor.verdict is verdict
            with pytest.raises(ConnectionResetError):
                initiator.recv(1)

    def test_wire_bytes_go_out_as_they_are(self):
        class Replaying(NSTForwardMachine):
            def xfrmcs(self, pkt, ctx):
                raise self.FORWARD_REPLACE(NST(b"\0" * 60))

        with in_the_middle(Replaying) as (initiator, acceptor):
            initiator.sendall(b"data")
            with pytest.raises(OSError, match="Bad message"):
                acceptor.recv(1)
            assert acceptor.verdict is Verdict.MAGIC

    def test_a_mistake_in_a_handler_breaks_nothing(self, capsys):
        class Mistaken(NSTForwardMachine):
            def xfrmcs(self, pkt, ctx):
                return pkt.no_such_field

        with in_the_middle(Mistaken) as (initiator, acceptor):
            initiator.sendall(b"data")
            assert exactly(acceptor, 4) == b"data"
        assert "no_such_field" in capsys.readouterr().err

    def test_a_stream_cut_off(self):
        with in_the_middle(NSTForwardMachine) as (initiator, acceptor):
            record = StreamSender(Role.INITIATOR, BOX).seal(b"whole", now=time.time_ns())
            initiator._carrier.sendall(record[:30])
            initiator._carrier.shutdown(socket.SHUT_WR)
            with pytest.raises(ConnectionAbortedError):
                acceptor.recv(1)

    def test_no_server(self, capsys):
        with socket.create_server(("127.0.0.1", 0)) as closed:
            port = closed.getsockname()[1]
        relay = NSTForwardMachine(BOX, "127.0.0.1", 0, port, bind_address="127.0.0.1")
        relay.bg()
        sock = connect_stream(("127.0.0.1", relay.port), BOX, timeout=10)
        with sock, pytest.raises(ConnectionError):
            sock.recv(1)
        relay.stop()
        assert "no connection to" in capsys.readouterr().out


def test_the_packet_that_a_handler_sees():
    seen = []

    class Watching(NSTForwardMachine):
        def xfrmcs(self, pkt, ctx):
            seen.append((pkt, ctx.verdict))
            raise self.FORWARD()

    with in_the_middle(Watching) as (initiator, acceptor):
        initiator.sendall(b"data")
        assert exactly(acceptor, 4) == b"data"
    pkt, verdict = seen[0]
    assert isinstance(pkt, NSTPlain)
    assert verdict is Verdict.OK
    assert pkt.load == b"data"
    assert (pkt.token, pkt.transport_len) == (None, None)
    assert (pkt.kid in BOX, pkt.counter, int(pkt.flags)) == (True, 0, 0)
    assert pkt.session_id
