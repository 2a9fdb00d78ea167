# SPDX-License-Identifier: GPL-2.0-or-later
# mypy: disallow-untyped-calls=False
"""The Packet path against Scapy's own ESP and TLS record layers, AES-GCM all of them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

from scapy.layers.inet import IP, UDP
from scapy.layers.ipsec import ESP, SecurityAssociation
from scapy.layers.tls.crypto.suites import TLS_RSA_WITH_AES_256_GCM_SHA384
from scapy.layers.tls.record import TLS, TLSApplicationData
from scapy.layers.tls.session import readConnState, tlsSession, writeConnState
from scapy.packet import Packet, Raw

from fuzz.bench.measure import Contest, Work
from nst_scapy.association import NSTAssociation
from nst_scapy.header import DEFAULT_PORT, HEADER_LEN
from nst_scapy.keybox import KeyBox
from nst_scapy.layer import NST
from nst_scapy.sender import DgramSender

SIZES = (64, 1400)

_BOX = KeyBox({0: bytes(32)})
_ESP_TARGET = 8.0
_TLS_TARGET = 3.0
_IP_TARGET = 1.0
_TLS_1_2 = 0x0303
_SUITE = TLS_RSA_WITH_AES_256_GCM_SHA384


def contests() -> Iterator[Contest]:
    """From packet to wire and back at each size.

    Bare records are what the targets are for; over IP (which Scapy's ESP needs) it is
    Scapy's work on the IP packet that takes the time, so there it is enough to win.
    """
    for size in SIZES:
        payload = bytes(size)
        bare, over_ip = _nst_bare(payload), _nst_over_ip(payload)
        esp, tls = _esp(payload), _tls(payload)
        for index, name in enumerate(("encrypt", "decrypt")):
            for form, peer, target, ours, theirs in (
                ("bare", "ESP", _ESP_TARGET, bare, esp),
                ("bare", "TLS", _TLS_TARGET, bare, tls),
                ("IP", "ESP", _IP_TARGET, over_ip, esp),
            ):
                yield Contest(
                    f"Packet {name}, {form}",
                    f"Scapy {peer} {name}",
                    size,
                    target,
                    ours[index],
                    theirs[index],
                )


def _plain(payload: bytes) -> Packet:
    return IP() / UDP(sport=DEFAULT_PORT, dport=DEFAULT_PORT) / Raw(payload)


def _nst_over_ip(payload: bytes) -> tuple[Work, Work]:
    association, plain, sender = NSTAssociation(_BOX), _plain(payload), DgramSender(_BOX)
    wire = bytes(association.encrypt(plain))
    below = wire[: len(wire) - HEADER_LEN - len(payload)]

    def decrypt() -> Packet:
        # A record of its own each time, or it would be a replay; making it takes next to nothing.
        return association.decrypt(IP(below + sender.seal(payload, now=time.time_ns())))

    return lambda: bytes(association.encrypt(plain)), decrypt


def _nst_bare(payload: bytes) -> tuple[Work, Work]:
    association, sender = NSTAssociation(_BOX), DgramSender(_BOX)
    return (
        lambda: bytes(association.encrypt(payload)),
        lambda: association.decrypt(NST(sender.seal(payload, now=time.time_ns()))),
    )


def _esp(payload: bytes) -> tuple[Work, Work]:
    association = SecurityAssociation(ESP, spi=1, crypt_algo="AES-GCM", crypt_key=bytes(36))
    plain = _plain(payload)
    wire = bytes(association.encrypt(plain))
    return (
        lambda: bytes(association.encrypt(plain)),
        lambda: association.decrypt(IP(wire)),
    )


def _tls(payload: bytes) -> tuple[Work, Work]:
    sender, receiver = _tls_session(), _tls_session()

    def encrypt() -> bytes:
        data = TLSApplicationData(data=payload)
        return bytes(TLS(type=23, version=_TLS_1_2, msg=[data], tls_session=sender))

    record = encrypt()

    def decrypt() -> TLS:
        receiver.rcs.seq_num = 0
        return TLS(record, tls_session=receiver)

    return encrypt, decrypt


def _tls_session() -> tlsSession:
    """A session whose two sides have the keys of one."""
    session = tlsSession()
    session.tls_version = _TLS_1_2
    session.connection_end = "client"
    ends: tuple[tuple[str, Any, str], ...] = (
        ("wcs", writeConnState, "client"),
        ("rcs", readConnState, "server"),
    )
    for name, state, end in ends:
        keys = state(ciphersuite=_SUITE, connection_end=end, tls_version=_TLS_1_2)
        keys.derive_keys(bytes(32), bytes(32), bytes(48))
        setattr(session, name, keys)
    return session
