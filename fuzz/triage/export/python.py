# SPDX-License-Identifier: GPL-2.0-or-later
"""A bug as a Python script that needs Scapy and nst_scapy and nothing else.

It runs as root on the machine that is to crash: there it makes a key box of its own,
a receiver, and the records, sealed at the time that it runs.
"""

from __future__ import annotations

from typing import Any

from fuzz.guest.target import TargetGuest
from fuzz.script import CALLS_ON_KEPT, OPENS, Action
from fuzz.triage.course import Course, Sum
from fuzz.triage.export.course import calls, flow_name, on_sockets
from fuzz.triage.export.dossier import Dossier, describe
from fuzz.triage.export.literal import literal
from fuzz.triage.export.render import rendered
from fuzz.triage.pieces import Piece, Sealed
from fuzz.triage.records import Connection, Datagram, Exchange, Reflection
from nst_scapy.header import HEADER_LEN

_SECOND = 1_000_000_000
_NEAR = 3600 * _SECOND
"""A time stamp so near the case's own time is told from it."""
LINK = {
    4: (str(TargetGuest.ipv4), str(TargetGuest.host_ipv4.ip)),
    6: (str(TargetGuest.ipv6), str(TargetGuest.host_ipv6.ip)),
}
"""The link that a campaign's packets are made for: the guest's address and the other host's."""


def python_script(dossier: Dossier) -> str:
    """The script's text."""
    dated = dossier.dated()
    exchanges = [one for one, _ in dated]
    courses = [one for one in exchanges if isinstance(one, Course)]
    actions = {act.step.action for one in courses for act in one.acts}
    return rendered(
        "reproducer.py.j2",
        dossier=dossier,
        exchanges=[_exchange(one, earliest) for one, earliest in dated],
        datagrams=any(isinstance(one, Datagram | Reflection) for one in exchanges),
        streams=any(isinstance(one, Connection) for one in exchanges),
        reflections=any(isinstance(one, Reflection) for one in exchanges),
        courses=bool(courses),
        link=LINK if any(not on_sockets(one) for one in courses) else None,
        actions={action.name for action in actions},
        connected=bool(actions & OPENS),
        kept=bool(actions & (CALLS_ON_KEPT | {Action.ACCEPT, Action.DIAL, Action.API})),
        sums=any(isinstance(p, Sum) for one in courses for act in one.acts for p in act.parts),
    )


def _exchange(one: Exchange, earliest: int) -> dict[str, Any]:
    if isinstance(one, Datagram):
        return {"kind": "datagram", "family": one.family, "piece": _piece(one.piece, earliest)}
    if isinstance(one, Connection):
        return {
            "kind": "stream",
            "family": one.family,
            "pieces": [_piece(piece, earliest) for piece in one.pieces],
            "cuts": list(one.cuts),
            "fin": one.fin,
        }
    if isinstance(one, Reflection):
        return {"kind": "reflect", "family": one.family, "patches": one.patches}
    return {
        "kind": "course",
        "flows": [
            {"name": flow_name(number), "pieces": [_piece(piece, earliest) for piece in flow]}
            for number, flow in enumerate(one.flows)
            if flow
        ],
        "calls": calls(one),
    }


def _piece(piece: Piece, earliest: int) -> dict[str, Any]:
    header = piece.header
    if header is None or header.timestamp == 0:
        return {"words": describe(piece), "data": literal(_bytes_of(piece)), "header": None}
    values: dict[str, Any] = {
        "words": describe(piece),
        "header": header._replace(token=bytes(16)),
        "timestamp": _timestamp(header.timestamp, earliest),
        "sealed": isinstance(piece, Sealed),
    }
    if isinstance(piece, Sealed):
        return {
            **values,
            "params": piece.params,
            "data": literal(piece.plaintext),
            "chained": piece.chained,
        }
    return {**values, "data": literal(piece.data[HEADER_LEN:]), "token": header.token}


def _bytes_of(piece: Piece) -> bytes:
    return b"" if isinstance(piece, Sealed) else piece.data


def _timestamp(stamp: int, earliest: int) -> str:
    """A time stamp as an expression: as far from now as it was from the case's time."""
    apart = stamp - earliest
    if abs(apart) >= _NEAR:
        return str(stamp)
    return (
        f"time.time_ns() {'+' if apart >= 0 else '-'} {abs(apart)}" if apart else "time.time_ns()"
    )
