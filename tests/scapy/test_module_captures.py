# SPDX-License-Identifier: GPL-2.0-or-later
"""Captures of the kernel module's traffic (tests/module_captures), byte for byte."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.packet import Packet
from scapy.sendrecv import sniff
from scapy.utils import rdpcap

from nst_scapy.association import NSTAssociation
from nst_scapy.capture import read_frames
from nst_scapy.header import DEFAULT_PORT, HEADER_LEN, Flags, Role
from nst_scapy.keybox import KeyBox
from nst_scapy.layer import NST, NSTPlain
from nst_scapy.observer import Observer, observe_frames
from nst_scapy.session import NSTSession
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

HERE = Path(__file__).parent.parent / "module_captures"
sys.path.append(str(HERE))
import make  # noqa: E402

BOX = KeyBox.load(HERE / "keybox.txt")
CAPTURES = sorted(HERE.glob("*.pcap"))

pytestmark = pytest.mark.parametrize("path", CAPTURES, ids=lambda path: path.stem)


def sent(packets: list[Packet], network: type[Packet], carrier: type[Packet], role: Role):
    """The payloads of one side, one by one."""
    to_server = role is Role.INITIATOR
    return [
        bytes(p[NSTPlain].payload)
        for p in packets
        if network in p and carrier in p and (p[carrier].dport == DEFAULT_PORT) is to_server
    ]


def test_decrypts_to_what_was_sent(path: Path) -> None:
    opened = NSTAssociation(BOX).decrypt(rdpcap(str(path)), verify=False)
    assert {p[NSTPlain].verdict for p in opened} == {Verdict.OK}
    assert {p[NSTPlain].cipher_id for p in opened} == {SuiteId[path.stem]}
    for network in IP, IPv6:
        for role in Role:
            text = make.messages(role)
            assert sent(list(opened), network, UDP, role) == text
            *data, closing = sent(list(opened), network, TCP, role)
            assert (b"".join(data), closing) == (b"".join(text), b"")


def test_dissects_to_the_same_bytes(path: Path) -> None:
    frames = list(read_frames(path.open("rb"), path.name))
    packets = rdpcap(str(path))
    assert [bytes(p) for p in packets] == [frame.data for frame in frames]
    assert [bytes(p.copy()) for p in packets] == [frame.data for frame in frames]


def test_one_packet_for_each_record(path: Path) -> None:
    records = [p[NST] for p in sniff(offline=str(path), session=NSTSession, quiet=True) if NST in p]
    with path.open("rb") as file:
        seen = list(observe_frames(read_frames(file, path.name), Observer(BOX)))
    assert [r.counter for r in records] == [o.header.counter for o in seen if o.header]
    assert all(len(r) == HEADER_LEN + len(r.body) for r in records)
    opened = sniff(offline=str(path), session=NSTSession(BOX), quiet=True)
    assert [bytes(p[NSTPlain].payload) for p in opened] == [o.plaintext for o in seen]


def test_sealed_again_to_the_same_bytes(path: Path) -> None:
    """What the module has sealed, Python seals to the same record, keys and time given."""
    packets = rdpcap(str(path))
    opened = NSTAssociation(BOX).decrypt(packets, verify=False)
    sealed = {bytes(p[NST])[24:40]: bytes(p[NST]) for p in packets if UDP in p}
    for plain in opened:
        if UDP in plain:
            again = NSTAssociation(BOX).encrypt(plain)
            assert bytes(again[NST]) == sealed[again[NST].token]
    # Replies of an acceptor that has heard the initiator are bound to its first record.
    bound = [p for p in opened if int(p[NSTPlain].flags) & Flags.BOUND]
    assert len(bound) == 2
