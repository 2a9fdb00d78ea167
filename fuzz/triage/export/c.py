# SPDX-License-Identifier: GPL-2.0-or-later
"""A bug as a C program, where no key is needed: what is sent need not verify.

Then a kernel developer needs nothing but a compiler.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fuzz.script import CALLS_ON_KEPT, Action, keys_in
from fuzz.triage.course import Act, Course, Part, Span
from fuzz.triage.export.course import NOT_DONE, flow_name, on_sockets, placed, way_of
from fuzz.triage.export.dossier import Dossier, describe
from fuzz.triage.export.render import rendered
from fuzz.triage.pieces import Piece, Raw
from fuzz.triage.records import Connection, Exchange, Reflection, pieces_in
from nst_scapy.header import MAGIC

_NEAR_NS = 3600 * 10**9


def c_program(dossier: Dossier) -> str | None:
    """The program's text; `None` if it would need keys, the module's own records or packets."""
    dated = dossier.dated()
    exchanges = [one for one, _ in dated]
    if not exchanges or not all(_keyless(one) for one in exchanges):
        return None
    sends = [_send(one, earliest) for one, earliest in dated]
    return rendered(
        "reproducer.c.j2",
        dossier=dossier,
        sends=sends,
        courses=any(isinstance(one, Course) for one in exchanges),
        stamps=any(flow["stamps"] for send in sends for flow in send.get("flows", [send])),
        used={call.partition("(")[0] for send in sends for call in send.get("calls", ())},
        plain=any(not isinstance(one, Course) for one in exchanges),
    )


def _keyless(one: Exchange) -> bool:
    if isinstance(one, Reflection):
        return False
    if isinstance(one, Course) and not (on_sockets(one) and _in_c(one)):
        return False
    return all(isinstance(piece, Raw) for piece in pieces_in(one))


def _in_c(course: Course) -> bool:
    unknown = NOT_DONE | {Action.REFLECT, Action.DIAL, Action.BIND}
    return all(act.step.action not in unknown for act in course.acts)


def _send(one: Exchange, earliest: int) -> dict[str, Any]:
    if isinstance(one, Course):
        return _course(one, earliest)
    data, stamps, words = _data(pieces_in(one), earliest)
    connection = one if isinstance(one, Connection) else None
    assert not isinstance(one, Reflection)
    return {
        "stream": connection is not None,
        "family": one.family,
        "bytes": _rows(data),
        "stamps": stamps,
        "words": words,
        "cuts": [cut for cut in connection.cuts if 0 < cut < len(data)] if connection else [],
        "fin": connection is not None and connection.fin,
        "length": len(data),
    }


def _data(pieces: Sequence[Piece], earliest: int) -> tuple[bytes, list[tuple[int, int]], list[str]]:
    """What is sent, where time stamps are in it and how far from now, and the same in words."""
    data, stamps, words = b"", [], []
    for piece in pieces:
        assert isinstance(piece, Raw)
        header = piece.header
        words.append(describe(piece))
        # A header's time stamp is told from the present, as it was from the case's.
        if header is not None and header.magic == MAGIC:
            apart = header.timestamp - earliest
            if abs(apart) < _NEAR_NS:
                stamps.append((len(data) + 8, apart))
        data += piece.data
    return data, stamps, words


def _rows(data: bytes) -> list[bytes]:
    return [data[at : at + 12] for at in range(0, len(data), 12)]


def _course(course: Course, earliest: int) -> dict[str, Any]:
    flows, words = [], []
    for number, flow in enumerate(course.flows):
        data, stamps, told = _data(flow, earliest)
        words += told
        if data:
            flows.append({"name": flow_name(number), "bytes": _rows(data), "stamps": stamps})
    lines = [line for one in placed(course) for line in _calls(one.act, one.sent)]
    return {"words": words, "flows": flows, "calls": lines}


def _calls(act: Act, sent: int) -> list[str]:
    """The lines of C that do it."""
    step = act.step
    action = step.action
    if action in (Action.ACCEPT, Action.SHUTDOWN):
        return [f"{action.name.lower()}_kept({step.argument});"]
    if action is Action.SEND:
        text = "".join(f"\\x{byte:02x}" for byte in step.data)
        return [f'send_kept("{text}", {len(step.data)});']
    if action in CALLS_ON_KEPT:
        return [f"{action.name.lower()}_kept();"]
    if action is Action.KEYS:
        pairs = ", ".join(f"{{ {kid}, {origin} }}" for kid, origin in keys_in(step))
        count = len(step.data) // 4
        return ["collect();", f"load_keys((const int[][2]){{ {pairs} }}, {count});"]
    if action is Action.CONNECT:
        return [f"open_peer({step.argument});"]
    if action is Action.DATAGRAM:
        return [f"send_datagram({step.argument}, {_one(part)});" for part in act.parts]
    if sent < 0:
        return []
    way = "fin" if action is Action.FIN else way_of(act, sent)
    if way in ("fin", "reset"):
        return [f"{way}_peer();"]
    return [f"send_peer({_one(part)});" for part in act.parts]


def _one(part: Part) -> str:
    """A part of what is sent, and its length, as arguments of a call."""
    if isinstance(part, Span):
        return f"{flow_name(part.flow)} + {part.start}, {part.end - part.start}"
    assert isinstance(part, bytes)
    text = "".join(f"\\x{byte:02x}" for byte in part)
    return f'(const unsigned char *)"{text}", {len(part)}'
