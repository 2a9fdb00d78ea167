# SPDX-License-Identifier: GPL-2.0-or-later
"""NST and NSTPlain as Scapy layers."""

from __future__ import annotations

import copy
import itertools
import json
import pickle
import subprocess
import sys

import pytest
from captures import T0, Capture, Connection, dgram_sender, stream_sender
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy import volatile
from scapy.config import conf
from scapy.layers.inet import IP, TCP, UDP
from scapy.packet import Packet, Padding, Raw, explore, fuzz, ls
from scapy.sendrecv import sniff
from scapy.sessions import TCPSession
from scapy.utils import rdpcap

from nst_scapy.blank import blank_of
from nst_scapy.header import DEFAULT_PORT, HEADER_LEN, Flags, Header, Role
from nst_scapy.layer import NST, NSTPlain, bind_nst
from nst_scapy.suite import SuiteId

RECORD = dgram_sender().seal(b"hello", now=T0)
WIRE = b"".join(
    stream_sender(Role.INITIATOR, seed=n, suite=suite).seal(b"%d" % n * n * 10, now=T0)
    for n, suite in enumerate([*SuiteId, *SuiteId], start=1)
)


def records(packet: Packet) -> list[bytes]:
    """The records stacked in a packet, without what follows each."""
    found = []
    layer = packet.getlayer(NST)
    while isinstance(layer, NST):
        found.append(bytes(layer)[: HEADER_LEN + len(layer.body)])
        layer = layer.payload
    return found


def test_the_fields_are_the_headers():
    # The nonce is two fields, so that each half can be set, shown and fuzzed.
    names = " ".join(Header._fields).replace("nonce", "session_id counter").split()
    assert [f.name for f in NST.fields_desc] == [*names, "body"]
    assert [f.name for f in NSTPlain.fields_desc] == names
    packet = NST(RECORD)
    header = Header.unpack(RECORD)
    for name, value in header._asdict().items():
        assert getattr(packet, name) == value
    assert (packet.session_id, packet.counter) == (header.session_id, header.counter)
    assert packet.body == RECORD[HEADER_LEN:]
    assert packet.sprintf("%NST.cipher_id% %NST.flags%") == "AES_GCM DGRAM"


def test_the_nonce_and_its_halves():
    packet = NST(session_id=5, counter=7)
    assert packet.nonce == 0x50007
    assert Header.unpack(bytes(packet)).nonce == 0x50007
    packet.counter = 0xFFFF
    packet.session_id = (1 << 48) - 1
    assert packet.nonce == (1 << 64) - 1
    packet.nonce = 0x10002
    assert (packet.session_id, packet.counter) == (1, 2)
    assert packet == NST(nonce=0x10002)
    assert NST(nonce=0x10002, counter=9).nonce == 0x10009
    assert (IP() / UDP() / packet).counter == 2
    assert NSTPlain().counter is None
    assert packet.sprintf("%NST.session_id%") == "0x000000000001"


def test_times_are_shown_with_their_date():
    assert NST(RECORD).sprintf("%NST.timestamp%") == f"{T0} (2023-11-14 22:13:20.123456789)"
    assert "18446744073709551615 (2554-07-21" in NST(timestamp=(1 << 64) - 1).show(dump=True)
    assert NST().sprintf("%NST.timestamp%") == "None"


def test_summary():
    packet = IP() / UDP() / NST(RECORD)
    kid = Header.unpack(RECORD).kid
    assert packet.summary() == f"IP / UDP / NST AES_GCM kid {kid} seq 0 len 5 DGRAM"
    assert NST(cipher_id=9, body=b"abc").summary() == "NST cipher 9 kid 0 seq 0 len 3"
    assert (NSTPlain() / b"abc").summary() == "NST plain cipher None kid None seq None len 3 / Raw"


class TestComputedFields:
    """What is None is computed; what is set is sent, 0 too."""

    def test_defaults(self):
        header = Header.unpack(bytes(NST(body=b"abc")))
        assert (header.magic, header.version, header.cipher_id) == (0xBEEF1337, 1, 1)
        assert (header.transport_len, header.flags) == (3, 0)
        assert header.timestamp > T0
        carried = Header.unpack(bytes((IP() / UDP() / NST())[NST]))
        assert carried.flags == Flags.DGRAM

    def test_zeros(self):
        packet = NST(magic=0, version=0, cipher_id=0, transport_len=0, timestamp=0, flags=0)
        assert bytes(packet / b"x") == bytes(HEADER_LEN) + b"x"

    @pytest.mark.parametrize(("body", "length"), [(0, 0), (16, 15), (32, 31)])
    def test_cbc_length(self, body, length):
        packet = NST(cipher_id="AES_CBC", body=bytes(body))
        assert Header.unpack(bytes(packet)).transport_len == length

    def test_plain(self):
        wire = bytes(NSTPlain(kid=7, flags="CLOSE+REPLY") / b"abc")
        header = Header.unpack(wire)
        assert (header.transport_len, header.kid, header.flags) == (3, 7, 6)
        assert wire[HEADER_LEN:] == b"abc"


@given(st.binary(max_size=400), st.integers(1, 5))
@settings(deadline=None)
def test_bytes_are_the_wire(junk, cipher):
    data = RECORD[:5] + bytes([cipher]) + RECORD[6:40] + junk
    for below in TCP, UDP:
        wire = bytes(IP() / below(sport=1, dport=DEFAULT_PORT) / Raw(data))
        packet = IP(wire)
        assert bytes(packet) == wire
        assert bytes(packet.copy()) == wire
        del packet.chksum
        assert bytes(packet) == wire


def test_copies():
    packet = IP(bytes(IP(src="192.0.2.1", dst="192.0.2.2") / UDP() / NST(RECORD)))
    assert pickle.loads(pickle.dumps(packet)) == packet
    assert bytes(packet.copy()) == bytes(packet)
    assert eval(packet[NST].command()) == packet[NST]
    assert "body" in packet[NST].json()


@given(st.sampled_from([NST, NSTPlain]), st.data())
@settings(deadline=None)
def test_commands_and_json_give_the_packet_back(layer, data):
    bits = {"magic": 32, "transport_len": 16, "timestamp": 64, "session_id": 48, "counter": 16}
    bits |= {"version": 8, "cipher_id": 8, "kpos": 8, "kval": 8, "kid": 16, "flags": 32}
    drawn = {name: st.integers(0, (1 << n) - 1) for name, n in bits.items()}
    drawn["token"] = st.binary(min_size=16, max_size=16)
    drawn |= {"body": st.binary(max_size=40)} if layer is NST else {}
    packet = layer(**data.draw(st.fixed_dictionaries({}, optional=drawn)))
    if rest := data.draw(st.binary(max_size=20)):
        packet /= Raw(rest)
    assert eval(packet.command()) == packet
    again = layer.from_json(packet.json())
    assert again.json() == packet.json()
    # What was not set is set now, to the default that it had.
    timed = [p if p.timestamp is not None else p / b"" for p in (packet, again)]
    for one in timed:
        one.timestamp = one.timestamp or 0
    assert bytes(timed[0]) == bytes(timed[1])


def test_json_of_several_records_and_of_a_whole_packet():
    packet = IP(bytes(IP() / TCP(dport=DEFAULT_PORT) / Raw(WIRE + b"rest")))
    shown = packet[NST].json()
    assert bytes(NST.from_json(shown)) == WIRE + b"rest"
    assert json.loads(packet.json())["payload"]["payload"] == json.loads(shown)


@pytest.mark.parametrize("layer", [NST, NSTPlain])
@pytest.mark.parametrize("text", ["", "[]", "5", '{"colour": 1}', '{"token": "0g"}'])
def test_json_of_something_else(layer, text):
    with pytest.raises(ValueError, match=r"Expecting|object|no field 'colour'|hex"):
        layer.from_json(text)


def test_plain_packets_are_pickled_with_their_verdict():
    plain = NSTPlain(kid=3, flags="CLOSE") / Raw(b"text")
    plain.verdict, plain.note = "unverified", "because"
    for again in pickle.loads(pickle.dumps(plain)), plain.copy(), copy.deepcopy(plain):
        assert again == plain
        assert (again.verdict, again.note, again.time) == ("unverified", "because", plain.time)
        assert again.token is None
        assert json.loads(again.json())["verdict"] == "unverified"
    assert NSTPlain().verdict is None
    assert plain.summary().startswith("NST plain cipher None kid 3 seq None len 4 CLOSE [unverif")


def test_fuzz_draws_every_field():
    names = {f.name for f in NST.fields_desc} - {"transport_len", "timestamp", "flags"}
    fuzzed = fuzz(NST(kid=3))
    seen = {name: set() for name in names}
    for _ in range(20):
        record = NST(bytes(fuzzed))
        for name in names:
            seen[name].add(record.getfieldval(name))
        assert eval(fuzzed.command(), {"NST": NST, **vars(volatile)}).kid == 3
    assert seen.pop("kid") == {3}
    assert all(len(values) > 1 for values in seen.values())


def test_explore(capsys):
    explore("scapy.layers.nst")
    assert {"NST", "NSTPlain"} <= set(capsys.readouterr().out.replace("|", " ").split())
    assert conf.layers.layers()
    ls(NST)
    assert "session_id" in capsys.readouterr().out


@pytest.mark.parametrize("layer", [TCP, UDP])
@pytest.mark.parametrize("side", ["sport", "dport"])
def test_bound_on_either_side(layer, side):
    wire = bytes(IP() / layer(**{"sport": 1, "dport": 2, side: DEFAULT_PORT}) / Raw(RECORD))
    assert NST in IP(wire)
    built = IP() / layer() / NST()
    assert (built.sport, built.dport) == (DEFAULT_PORT, DEFAULT_PORT)


def test_bound_elsewhere():
    wire = bytes(IP() / UDP(sport=1, dport=7001) / Raw(RECORD))
    default = bytes(IP() / UDP(sport=1, dport=DEFAULT_PORT) / Raw(RECORD))
    assert NST not in IP(wire)
    bind_nst(7000, 7001)
    try:
        assert NST in IP(wire)
        assert NST not in IP(default)
        assert (IP() / UDP() / NST()).dport == 7000
        assert (IP() / TCP() / NSTPlain()).dport == 7000
    finally:
        bind_nst(DEFAULT_PORT)
    assert NST not in IP(wire)
    assert NST in IP(default)


def test_several_records_in_a_segment():
    packet = IP(bytes(IP() / TCP(dport=DEFAULT_PORT) / Raw(WIRE)))
    assert b"".join(records(packet)) == WIRE
    assert len(records(packet)) == 8
    # A datagram has one record, whatever follows it.
    packet = IP(bytes(IP() / UDP(dport=DEFAULT_PORT) / Raw(WIRE)))
    assert len(records(packet)) == 1
    assert bytes(packet[UDP].payload) == WIRE


def test_more_records_in_a_segment_than_layers_can_be_stacked():
    sender = stream_sender(Role.INITIATOR)
    wire = b"".join(sender.seal(b"x", now=T0) for _ in range(1300))
    packet = IP(bytes(IP() / TCP(dport=DEFAULT_PORT) / Raw(wire)))
    assert bytes(packet[TCP].payload) == wire
    assert len(records(packet)) == conf.max_list_count


def test_answers():
    ask, reply = NST(flags=0), NST(flags="REPLY")
    assert reply.answers(ask)
    assert ask.answers(reply)
    assert not ask.answers(NST(flags=0))
    assert not ask.answers(NST(flags="DGRAM"))
    assert NST(flags="DGRAM").answers(NST(flags="DGRAM"))
    assert not ask.answers(Raw())
    question = IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=5, dport=6) / NST(flags=1)
    answer = IP(src="192.0.2.2", dst="192.0.2.1") / UDP(sport=6, dport=5) / NST(flags=1)
    assert answer.hashret() == question.hashret()
    assert answer.answers(question)


def sniffed(capture: Capture, path) -> list[Packet]:
    return list(sniff(offline=str(capture.write(path)), session=TCPSession, quiet=True))


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(1, len(WIRE) - 1), max_size=20, unique=True))
def test_tcp_session_whatever_the_segments(tmp_path_factory, cuts):
    capture = Capture()
    connection = Connection(capture).open()
    edges = [0, *sorted(cuts), len(WIRE)]
    for start, end in itertools.pairwise(edges):
        connection.send(True, WIRE[start:end], size=1 << 16)
    packets = sniffed(capture, tmp_path_factory.getbasetemp() / "tcp.pcap")
    found = [record for packet in packets for record in records(packet)]
    assert b"".join(found) == WIRE
    assert len(found) == 8


def test_tcp_session_finds_the_next_record(tmp_path):
    capture = Capture()
    connection = Connection(capture).open()
    half = len(WIRE) // 2
    sent = [b"junk\xbe\xef", b"\x00junk" + WIRE[:half], WIRE[half:] + WIRE[:50]]
    for piece in sent:
        connection.send(True, piece, size=1 << 16)
    connection.fin(True)
    carrying = [p[TCP].payload for p in sniffed(capture, tmp_path / "x.pcap") if p[TCP].payload]
    assert b"".join(map(bytes, carrying)) == b"".join(sent)[:-50]
    assert carrying[0].load == b"junk"
    assert carrying[1].load == b"\xbe\xef\x00junk"
    assert b"".join(record for p in carrying for record in records(p)) == WIRE


def test_tcp_reassemble_tells_how_much_it_wants():
    metadata: dict[str, int] = {}
    assert NST.tcp_reassemble(RECORD[:10], metadata, {}) is None
    assert metadata == {"tcp_min_len": HEADER_LEN}
    assert NST.tcp_reassemble(RECORD[:-1], metadata, {}) is None
    assert metadata == {"tcp_min_len": len(RECORD)}
    packet = NST.tcp_reassemble(RECORD + RECORD[:7], metadata, {})
    assert packet is not None
    assert packet[Padding].load == RECORD[:7]
    assert NST.tcp_reassemble(b"", metadata, {}) is None


def test_captures_read_and_written(tmp_path):
    capture = Capture()
    capture.udp(RECORD)
    (packet,) = rdpcap(str(capture.write(tmp_path / "x.pcap")))
    assert bytes(packet) == bytes(capture.packets[0])
    assert packet[NST].counter == 0


def test_the_package_does_not_import_scapy():
    code = (
        "import sys, nst_scapy, nst_scapy.observer, nst_scapy.cli; sys.exit('scapy' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@given(st.binary(min_size=HEADER_LEN, max_size=120), st.sampled_from([NST, NSTPlain]))
def test_dissected_in_one_step_as_field_by_field(wire, layer):
    quick, slow = layer(), layer()
    assert quick.do_dissect(wire) == Packet.do_dissect(slow, wire)
    assert quick.fields == slow.fields
    assert quick.raw_packet_cache == slow.raw_packet_cache
    assert quick.raw_packet_cache_fields == slow.raw_packet_cache_fields


def test_a_flag_changed_in_place_is_sent():
    packet = NST(RECORD)
    packet.flags.CLOSE = True
    assert Header.unpack(bytes(packet)).flags == Flags.DGRAM | Flags.CLOSE


@pytest.mark.parametrize("cls", [NST, NSTPlain, Raw])
def test_a_blank_is_what_the_constructor_makes(cls):
    made, blank = cls(), blank_of(cls).make()
    for name in made.__all_slots__ - {"time"}:
        missing = object()
        mine, theirs = getattr(blank, name, missing), getattr(made, name, missing)
        assert mine == theirs, name
        own = getattr(cls(), name, missing) is not theirs
        assert (mine is not theirs) == own, name
    assert blank_of(cls).make().time >= made.time


def test_what_has_no_blank():
    with pytest.raises(ValueError, match="each IP begins with a 'fields' of its own"):
        blank_of(IP)


def test_blanks_know_of_ports_bound_since():
    NST(RECORD)
    try:
        bind_nst(4000)
        assert (UDP() / NST(RECORD)).dport == 4000
    finally:
        bind_nst(DEFAULT_PORT)
