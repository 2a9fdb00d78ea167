# SPDX-License-Identifier: GPL-2.0-or-later
"""Scapy's machines over NST: super sockets, the echo server, the client automaton."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from scapy.config import conf
from scapy.fields import ByteField, FieldLenField, StrLenField
from scapy.packet import Packet, Raw
from scapy.sendrecv import AsyncSniffer, sniff

from nst_scapy.client import NSTClient
from nst_scapy.dgram_socket import NSTDgramSocket
from nst_scapy.echo import NSTEcho
from nst_scapy.header import Flags, Role
from nst_scapy.keybox import KeyBox
from nst_scapy.sender import StreamSender
from nst_scapy.stream_socket import NSTStreamSocket, connect_stream, listen_stream
from nst_scapy.supersocket import NSTSuperSocket
from nst_scapy.verdict import Verdict

BOX = KeyBox.generate(4)


class Message(Packet):
    """A question or its answer, with its length first."""

    fields_desc = [  # noqa: RUF012
        FieldLenField("length", None, length_of="text"),
        ByteField("kind", 0),
        StrLenField("text", b"", length_from=lambda pkt: pkt.length),
    ]

    def answers(self, other: Packet) -> bool:
        return isinstance(other, Message) and self.kind == other.kind + 1

    def hashret(self) -> bytes:
        return b"message"

    @classmethod
    def tcp_reassemble(cls, data, *_):
        if len(data) < 2 or len(data) < 3 + int.from_bytes(data[:2]):
            return None
        return cls(data)

    def extract_padding(self, s):
        return b"", s


# explore() imports the module of every layer, and this one is no module of a package.
conf.layers.remove(Message)
conf.layers.ldict.pop(Message.__module__, None)


@contextmanager
def stream_pair() -> Iterator[tuple[NSTStreamSocket, NSTStreamSocket]]:
    with (
        listen_stream(("127.0.0.1", 0), BOX) as server,
        connect_stream(server.getsockname()[:2], BOX, timeout=10) as initiator,
    ):
        acceptor, _ = server.accept()
        with acceptor:
            yield initiator, acceptor


@contextmanager
def echoing(**options: object) -> Iterator[NSTEcho]:
    machine = NSTEcho(keybox=BOX, port=0, address="127.0.0.1", verbose=False, **options)
    machine.bg()
    try:
        yield machine
    finally:
        machine.stop()


class TestSuperSocket:
    def test_packets_across_records(self):
        with stream_pair() as (initiator, acceptor):
            scapy = NSTSuperSocket(acceptor, Message)
            data = bytes(Message(text=b"one")) + bytes(Message(text=b"two"))
            initiator.sendall(data[:4])
            initiator.sendall(data[4:])
            assert [scapy.recv().text for _ in range(2)] == [b"one", b"two"]
            initiator.close()
            with pytest.raises(EOFError):
                scapy.recv()

    def test_sr1(self):
        with stream_pair() as (initiator, acceptor):
            server = NSTSuperSocket(acceptor, Message)
            answering = AsyncSniffer(
                opened_socket=server,
                count=1,
                prn=lambda pkt: server.send(Message(kind=pkt.kind + 1, text=pkt.text[::-1])),
            )
            answering.start()
            answer = NSTSuperSocket(initiator, Message).sr1(
                Message(text=b"abc"), timeout=10, verbose=0
            )
            assert answer.text == b"cba"
            answering.join(10)

    @pytest.mark.timeout(60)  # it would never end
    def test_sniff_ends_in_the_middle_of_a_record(self):
        with stream_pair() as (initiator, acceptor):
            record = StreamSender(Role.INITIATOR, BOX).seal(b"x", now=time.time_ns())
            initiator._carrier.sendall(record[:20])
            assert not sniff(opened_socket=NSTSuperSocket(acceptor), timeout=0.3)

    def test_several_packets_in_one_read(self):
        with stream_pair() as (initiator, acceptor):
            initiator.sendall(b"".join(bytes(Message(text=b"x" * n)) for n in range(5)))
            found = sniff(opened_socket=NSTSuperSocket(acceptor, Message), count=5, timeout=10)
            assert [len(pkt.text) for pkt in found] == [0, 1, 2, 3, 4]

    def test_datagrams(self):
        with NSTDgramSocket(BOX) as one, NSTDgramSocket(BOX) as other:
            other.bind(("127.0.0.1", 0))
            one.connect(other.getsockname())
            sent = Message(text=b"dgram")
            assert NSTSuperSocket(one).send(sent) == len(sent)
            (found,) = sniff(opened_socket=NSTSuperSocket(other, Message), count=1, timeout=10)
            assert found.text == b"dgram"


class TestEcho:
    def test_streams(self):
        with echoing() as machine:
            address = machine.address[:2]
            for word in (b"one", b"two"):
                with connect_stream(address, BOX, timeout=10) as sock:
                    sock.sendall(word)
                    assert sock.recv(3, socket.MSG_WAITALL) == word
                    sock.shutdown(socket.SHUT_WR)
                    assert sock.recv(1) == b""

    def test_datagrams(self):
        with echoing(transport="dgram") as machine, NSTDgramSocket(BOX) as sock:
            sock.settimeout(10)
            sock.connect(machine.address)
            sock.send(b"ping")
            assert sock.recv(100) == b"ping"

    def test_another_answer(self):
        class Shout(NSTEcho):
            def make_reply(self, req, address=None):
                return Raw(req.load.upper())

        machine = Shout(keybox=BOX, port=0, address="127.0.0.1", verbose=False)
        machine.bg()
        with connect_stream(machine.address[:2], BOX, timeout=10) as sock:
            sock.sendall(b"quiet")
            assert sock.recv(5, socket.MSG_WAITALL) == b"QUIET"
            machine.stop()
            assert sock.recv(1) == b""

    def test_a_bad_record(self, capsys):
        with echoing() as machine:
            machine.verbose = True
            with socket.create_connection(machine.address[:2], 10) as tcp:
                tcp.sendall(b"junk, not a record")
                with pytest.raises(ConnectionResetError):
                    tcp.recv(1)
        assert "MAGIC" in capsys.readouterr().out

    def test_no_key_box(self):
        with pytest.raises(ValueError, match="needs a keybox"):
            NSTEcho(port=0).bg()


class TestClient:
    def test_graph(self):
        graph = NSTClient.build_graph()
        for state in ("ESTABLISHED", "ENDED", "PEER_ENDED", "CLOSED", "FAILED", "TRUNCATED"):
            assert f'"{state}"' in graph
        assert '"ESTABLISHED" -> "PEER_ENDED"' in graph
        assert '"ENDED" -> "TRUNCATED"' in graph

    def test_talking_to_the_echo_server(self):
        with echoing() as machine:
            client = NSTClient(*machine.address[:2], keybox=BOX)
            client.runbg()
            client.io.app.send(b"hello")
            assert client.io.app.recv() == b"hello"
            client.io.app.send(b"again")
            assert client.io.app.recv() == b"again"
            client.io.app.send(None)
            assert client.io.app.recv() is None
            assert client.run() is Verdict.OK
            assert int(client.records[0].flags) == Flags.REPLY | Flags.BOUND
            client.destroy(force=True)

    def test_the_peer_ends_first(self):
        with listen_stream(("127.0.0.1", 0), BOX) as server:
            client = NSTClient(*server.getsockname()[:2], keybox=BOX)
            client.runbg()
            acceptor, _ = server.accept()
            with acceptor:
                acceptor.settimeout(10)
                acceptor.sendall(b"bye")
                acceptor.shutdown(socket.SHUT_WR)
                assert [client.io.app.recv() for _ in range(2)] == [b"bye", None]
                client.io.app.send(b"last words")
                client.io.app.send(None)
                assert acceptor.recv(100, socket.MSG_WAITALL) == b"last words"
            assert client.run() is Verdict.OK
            client.destroy(force=True)

    @pytest.mark.parametrize(
        ("data", "verdict"), [(b"x" * 60, Verdict.MAGIC), (b"", Verdict.TRUNCATED)]
    )
    def test_failures(self, data, verdict):
        with socket.create_server(("127.0.0.1", 0)) as server:
            client = NSTClient(*server.getsockname(), keybox=BOX)
            client.runbg()
            with server.accept()[0] as tcp:
                tcp.sendall(data)
            with pytest.raises(NSTClient.ErrorState, match=verdict):
                client.run()
            assert client.verdict is verdict
            client.destroy(force=True)
