# SPDX-License-Identifier: GPL-2.0-or-later
"""NSTAssociation: encrypting and decrypting packets."""

from __future__ import annotations

import copy
import itertools
import pickle
import random

import pytest
from captures import KEYBOX, T0
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.config import conf
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import Ether
from scapy.packet import Padding, Raw, fuzz

from nst_scapy.association import NSTAssociation, NSTRejected
from nst_scapy.checks import Policy
from nst_scapy.header import Flags
from nst_scapy.layer import NST, NSTPlain
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

V4 = IP(src="192.0.2.1", dst="192.0.2.2")
V6 = IPv6(src="2001:db8::1", dst="2001:db8::2")


def association(suite=SuiteId.AES_GCM, *, seed: int = 1, **kwargs) -> NSTAssociation:
    return NSTAssociation(KEYBOX, suite, rng=random.Random(seed), clock=lambda: T0, **kwargs)


def rejected(verdict: str):
    """Expect this verdict."""
    return pytest.raises(NSTRejected, match=rf"^{verdict}$")


def both_ends(suite=SuiteId.AES_GCM):
    """Initiator and acceptor of one stream."""
    return tuple(
        association(suite, seed=seed, transport="stream", role=role)
        for seed, role in enumerate(["initiator", "acceptor"])
    )


@pytest.mark.parametrize("network", [V4, V6], ids=["IPv4", "IPv6"])
@pytest.mark.parametrize("suite", SuiteId)
def test_datagrams(suite, network):
    sender, receiver = association(suite), association(seed=2)
    for text in b"hello", b"", b"x" * 1000:
        packet = network / UDP(sport=5, dport=6) / Raw(text)
        before = bytes(packet)
        sealed = sender.encrypt(packet)
        assert bytes(packet) == before
        assert sealed[NST].cipher_id == suite
        assert sealed[NST].flags == Flags.DGRAM
        wire = bytes(sealed)
        received = type(network)(wire)
        received[UDP].remove_payload()
        received[UDP].add_payload(NST(bytes(sealed[NST])))
        opened = receiver.decrypt(received)
        assert bytes(received) == wire
        assert bytes(opened[NSTPlain].payload) == text
        assert (opened[UDP].sport, opened[UDP].dport) == (5, 6)


def test_lengths_and_checksums_are_right_again():
    sealed = association().encrypt(IP(bytes(V4 / UDP(sport=5) / Raw(b"hello"))))
    again = IP(bytes(sealed))
    assert again.len == len(again) == 20 + 8 + 48 + 5
    assert again[UDP].len == 8 + 48 + 5
    wire = bytes(again)
    del again.chksum, again[UDP].chksum
    assert bytes(again) == wire


def test_link_layer_padding_is_not_sealed():
    frame = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / V4 / UDP(sport=5) / b"x"
    padded = Ether(bytes(frame) + bytes(20))
    assert Padding in padded
    sealed = association().encrypt(padded)
    assert sealed[NST].transport_len == 1
    opened = association(seed=2).decrypt(Ether(bytes(sealed) + bytes(20)))
    assert opened[Raw].load == b"x"


def test_bare_records():
    sealed = association().encrypt(b"hello")
    assert isinstance(sealed, NST)
    assert association(seed=2).decrypt(sealed).load == b"hello"
    assert association(seed=2).decrypt(NST(bytes(sealed))).load == b"hello"
    sealed = association().encrypt(NSTPlain() / b"hello")
    assert association(seed=2).decrypt(sealed).load == b"hello"


@pytest.mark.parametrize("suite", SuiteId)
def test_a_stream_both_ways(suite):
    initiator, acceptor = both_ends(suite)
    to_server, to_client = V4 / TCP(dport=48879), IP() / TCP(sport=48879)
    text = b"q" * 40000
    sealed = initiator.encrypt(to_server / Raw(text))
    opened = acceptor.decrypt(IP(bytes(sealed)))
    assert b"".join(layer.load for layer in opened.iterpayloads() if isinstance(layer, Raw)) == text
    reply = acceptor.encrypt(to_client / Raw(b"answer"))
    assert reply[NST].flags == Flags.REPLY | Flags.BOUND
    assert initiator.decrypt(reply)[Raw].load == b"answer"
    assert acceptor.encrypt(to_client / Raw(b"more"))[NST].flags == Flags.REPLY
    initiator.new_epoch()
    assert acceptor.decrypt(initiator.encrypt(b"new epoch")).load == b"new epoch"
    closing = acceptor.decrypt(to_server / initiator.close())
    assert closing[NSTPlain].flags == Flags.CLOSE
    assert Raw not in closing
    with pytest.raises(ValueError, match="closed"):
        initiator.encrypt(b"late")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 400), max_size=6, unique=True))
def test_records_over_several_segments(cuts):
    initiator, acceptor = both_ends()
    wire = b"".join(bytes(initiator.encrypt(bytes([n]) * 50)) for n in range(4))
    edges = [0, *sorted(c for c in cuts if c < len(wire)), len(wire)]
    texts = []
    for start, end in itertools.pairwise(edges):
        opened = acceptor.decrypt(V4 / TCP(dport=48879) / Raw(wire[start:end]))
        texts += [layer.load for layer in opened.iterpayloads() if isinstance(layer, Raw)]
    assert texts == [bytes([n]) * 50 for n in range(4)]


def test_a_pure_ack_stays_one():
    initiator, acceptor = both_ends()
    ack = V4 / TCP(dport=48879, flags="A")
    assert bytes(initiator.encrypt(ack)) == bytes(ack)
    assert bytes(acceptor.decrypt(ack)) == bytes(ack)


class TestVerdicts:
    """What is not OK raises, with the specification's name."""

    def test_datagrams(self):
        sender, receiver = association(), association(seed=2)
        sealed = V4 / UDP(sport=1) / sender.encrypt(b"x")
        with rejected("REFLECT"):
            sender.decrypt(sealed)
        receiver.decrypt(sealed)
        with rejected("REPLAY") as caught:
            receiver.decrypt(sealed)
        assert caught.value.verdict is Verdict.REPLAY
        assert caught.value.header is not None
        assert caught.value.header.transport_len == 1
        again = pickle.loads(pickle.dumps(caught.value))
        assert again.verdict is Verdict.REPLAY
        with rejected("SHORT"):
            receiver.decrypt(V4 / UDP(sport=1) / Raw(b"abc"))
        with rejected("TIMESTAMP"):
            receiver.decrypt(sender.encrypt(b"x"), now=T0 + 10**11)
        damaged = sender.encrypt(b"x")
        damaged.body = b"y"
        with rejected("AUTH"):
            receiver.decrypt(damaged)

    def test_a_stream_stops(self):
        initiator, acceptor = both_ends()
        initiator.encrypt(b"lost")
        later = initiator.encrypt(b"later")
        for _ in range(2):
            with rejected("SEQUENCE"):
                acceptor.decrypt(later)

    def test_accept(self):
        picky = association(accept=Policy(suites=frozenset({2}), kids={9}))
        with rejected("CIPHER"):
            picky.decrypt(association(seed=5).encrypt(b"x"))
        with rejected("KID"):
            picky.decrypt(association(2, seed=5).encrypt(b"x"))


class TestForcedFields:
    """Fields of NSTPlain that are set go out so, and verify wherever keys exist."""

    @pytest.mark.parametrize(
        ("field", "value", "verdict"),
        [("timestamp", 0, "TIMESTAMP"), ("version", 2, "VERSION"), ("magic", 0, "MAGIC"),
         ("flags", 16, "FLAGS"), ("flags", 0, "FLAGS"), ("transport_len", 9, "LENGTH"),
         ("kpos", 33, "PERTURB"), ("kval", 0, "PERTURB"), ("kid", 99, "KID"),
         ("cipher_id", 0, "CIPHER"), ("session_id", 0, "SEQUENCE"), ("token", b"\0" * 16, "AUTH")],
    )  # fmt: skip
    def test_what_a_receiver_says(self, field, value, verdict):
        sealed = association().encrypt(V4 / UDP() / NSTPlain(**{field: value}) / b"hello")
        assert sealed[NST].getfieldval(field) == value
        with rejected(verdict):
            association(seed=2).decrypt(sealed)

    @pytest.mark.parametrize("suite", SuiteId)
    def test_they_verify(self, suite):
        plain = NSTPlain(cipher_id=suite, kid=2, kpos=7, kval=9, nonce=0xABC0004, timestamp=T0 + 5)
        sealed = association().encrypt(plain / b"hello")
        opened = association(seed=2).decrypt(sealed)
        for field, value in plain.fields.items():
            assert opened.getfieldval(field) == value

    def test_decrypted_changed_and_encrypted_again(self):
        sealed = V4 / UDP(sport=1, dport=2) / association().encrypt(b"hello")
        opened = association(seed=2).decrypt(sealed)
        assert bytes(association(seed=3).encrypt(opened)[NST]) == bytes(sealed[NST])
        opened[Raw].load = b"goodbye"
        changed = association(seed=3).encrypt(opened)
        assert association(seed=2).decrypt(changed)[Raw].load == b"goodbye"

    def test_chain(self):
        initiator, acceptor = both_ends()
        first = initiator.encrypt(b"a")
        acceptor.decrypt(first)
        initiator.new_epoch()
        forged = copy.deepcopy(initiator).encrypt(b"b", chain=b"")
        with rejected("AUTH"):
            copy.deepcopy(acceptor).decrypt(forged)
        right = initiator.encrypt(b"b", chain=first.token)
        assert acceptor.decrypt(right).load == b"b"


class TestWithoutVerifying:
    """decrypt(verify=False) shows what it can."""

    @pytest.mark.parametrize("suite", SuiteId)
    def test_damage_is_shown(self, suite):
        sealed = association(suite).encrypt(V4 / UDP() / b"hello")
        sealed[NST].token = bytes(16)
        receiver = association(seed=2)
        for _ in range(2):
            assert receiver.decrypt(sealed, verify=False)[Raw].load == b"hello"

    def test_several_records(self):
        initiator, acceptor = both_ends()
        wire = bytes(initiator.encrypt(b"a")) + bytes(initiator.encrypt(b"b"))
        opened = acceptor.decrypt(V4 / TCP() / Raw(wire), verify=False)
        assert [x.load for x in opened.iterpayloads() if isinstance(x, Raw)] == [b"a", b"b"]

    @pytest.mark.parametrize(
        ("damage", "verdict"),
        [({"cipher_id": 7}, "CIPHER"), ({"kid": 77}, "KID"), ({"kpos": 33}, "PERTURB"),
         ({"transport_len": 99}, "LENGTH")],
    )  # fmt: skip
    def test_what_cannot_be_decrypted(self, damage, verdict):
        sealed = association().encrypt(b"hello")
        for field, value in damage.items():
            sealed.setfieldval(field, value)
        with rejected(verdict):
            association().decrypt(sealed, verify=False)
        with rejected("SHORT"):
            association().decrypt(Raw(b"x"), verify=False)

    @pytest.mark.parametrize(
        ("damage", "verdict"),
        [({}, "OK"), ({"magic": 1}, "MAGIC"), ({"version": 0}, "VERSION"), ({"flags": 9}, "FLAGS"),
         ({"kid": 3}, "AUTH"), ({"kpos": 0}, "PERTURB"), ({"timestamp": 7}, "TIMESTAMP"),
         ({"session_id": 0}, "SEQUENCE"), ({"token": bytes(16)}, "AUTH")],
    )  # fmt: skip
    def test_the_verdict(self, damage, verdict):
        sealed = V4 / UDP(sport=1) / association(kids=[2]).encrypt(b"hello")
        for field, value in damage.items():
            sealed[NST].setfieldval(field, value)
        receiver = association(seed=2)
        for _ in range(2):
            opened = receiver.decrypt(sealed, verify=False)[NSTPlain]
            assert opened.verdict == verdict
        keyed = damage.keys() & {"kid", "session_id", "timestamp", "kpos"}
        assert (opened[Raw].load == b"hello") is (not keyed)
        if verdict == "OK":
            assert receiver.decrypt(sealed)[NSTPlain].verdict == "OK"
            assert receiver.decrypt(sealed, verify=False)[NSTPlain].verdict == "REPLAY"

    def test_too_long_a_datagram(self):
        sealed = association().encrypt(b"hello") / Raw(b"more")
        opened = association(seed=2).decrypt(V4 / UDP() / sealed, verify=False)
        assert (opened[NSTPlain].verdict, opened[Raw].load) == ("LENGTH", b"hello")

    def test_verdicts_on_a_stream(self):
        initiator, acceptor = both_ends()
        wire = [bytes(initiator.encrypt(bytes([n]))) for n in range(4)]
        damaged = wire[1][:30] + bytes(2) + wire[1][32:]

        def verdicts(*records):
            pkt = V4 / TCP() / Raw(b"".join(records))
            opened = acceptor.decrypt(pkt, verify=False)
            return [p.verdict for p in opened.iterpayloads() if isinstance(p, NSTPlain)]

        assert verdicts(wire[0], damaged, wire[2]) == ["OK", "AUTH", "unverified"]
        assert verdicts(wire[1]) == ["SEQUENCE"]
        assert acceptor.decrypt(NST(wire[0])).load == b"\0"
        assert verdicts(*wire[1:]) == ["OK"] * 3
        acceptor.decrypt(V4 / TCP() / Raw(wire[1][:20]))
        assert verdicts(wire[1]) == ["unverified"]
        with rejected("AUTH"):
            acceptor.decrypt(V4 / TCP() / Raw(bytes(100)))
        assert verdicts(wire[2]) == ["unverified"]


class TestFuzz:
    """What fuzz draws goes out in records that verify."""

    @pytest.mark.parametrize("suite", SuiteId)
    def test_a_record_that_is_right_but_for_what_was_drawn(self, suite):
        right = NST(magic=0xBEEF1337, version=1, cipher_id=suite, kid=2, kpos=3, body=b"text")
        for _ in range(20):
            sealed = association().encrypt(V4 / UDP() / fuzz(right))
            assert (sealed[NST].kid, sealed[NST].kpos) == (2, 3)
            opened = association(seed=2).decrypt(V4 / UDP() / NST(bytes(sealed[NST])), verify=False)
            # A kval of 0 and a session of 0 can be drawn, too.
            assert opened[NSTPlain].verdict in {"OK", "PERTURB", "SEQUENCE"}
            assert opened[Raw].load == b"text"

    def test_anything_drawn_is_sealed(self):
        sender = association()
        for _ in range(50):
            assert len(bytes(sender.encrypt(fuzz(NST())))) >= 48
            assert len(bytes(sender.encrypt(V4 / UDP() / fuzz(NSTPlain()) / b"text"))) >= 48 + 28

    def test_a_token_that_was_set_stays(self):
        sealed = association().encrypt(fuzz(NST(token=b"T" * 16)))
        assert sealed.token == b"T" * 16


def test_defaults_are_those_of_conf(monkeypatch):
    with pytest.raises(ValueError, match="no key box"):
        NSTAssociation()
    monkeypatch.setattr(conf.nst, "_keybox", KEYBOX)
    monkeypatch.setattr(conf.nst, "kids", [3])
    monkeypatch.setattr(conf.nst, "_suite", conf.nst.suite)
    conf.nst.suite = "AES_CBC"
    sealed = NSTAssociation().encrypt(b"x")
    assert (sealed.cipher_id, sealed.kid) == (SuiteId.AES_CBC, 3)
    assert NSTAssociation(suite=1, kids=[1]).encrypt(b"x").kid == 1


def test_pickled_associations_go_on_with_new_epochs():
    initiator, acceptor = both_ends()
    acceptor.decrypt(initiator.encrypt(b"a"))
    initiator.decrypt(acceptor.encrypt(b"b"))
    restored = pickle.loads(pickle.dumps((initiator._sender, acceptor._receiver)))
    assert restored[0].epoch is None
    twin = copy.deepcopy(initiator)
    again = copy.deepcopy(acceptor).decrypt(twin.encrypt(b"c"))
    assert again.load == b"c"
    assert again.session_id != acceptor.decrypt(initiator.encrypt(b"c")).session_id
    assert pickle.loads(pickle.dumps(NSTAssociation(KEYBOX))).encrypt(b"x").transport_len == 1


def test_no_key_is_shown():
    keys = [key.hex() for key in KEYBOX.values()]
    sender = association()
    sealed = sender.encrypt(b"x")
    for text in repr(sender), repr(sealed), str(vars(sender)), sealed.show(dump=True):
        assert not any(key in text for key in keys)


def test_pins():
    sender = association(kids=[3], perturbation=(0, 0))
    sealed = sender.encrypt(b"x")
    assert (sealed.kid, sealed.kpos, sealed.kval) == (3, 0, 0)


@pytest.mark.parametrize(
    "wrong",
    [{"suite": "DES"}, {"suite": 0}, {"transport": "carrier pigeon"}, {"role": "initiator"},
     {"transport": "stream", "role": "observer"}],
)  # fmt: skip
def test_arguments(wrong):
    with pytest.raises(ValueError, match=r"not a|roles|valid"):
        NSTAssociation(KEYBOX, **wrong)


def test_the_other_transport():
    with pytest.raises(ValueError, match="TCP cannot carry dgram"):
        association().encrypt(V4 / TCP() / b"x")
    with pytest.raises(ValueError, match="UDP cannot carry stream"):
        association(transport="stream").decrypt(V4 / UDP() / b"x")
    with pytest.raises(ValueError, match="no end"):
        association().close()
