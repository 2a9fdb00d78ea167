# SPDX-License-Identifier: GPL-2.0-or-later
"""A course as lines of a script: what is sent on connections, and what the application does.

Where sockets can send it, sockets do, over the loopback interface. Loose segments and IP
packets take a link of their own, on which the script is the other host.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fuzz.api import CONTROL, SIZED, Api, Call
from fuzz.net.tcp import TcpFlag
from fuzz.script import CALLS_ON_KEPT, OPENS, Action, Loose, api_of, described, keys_in
from fuzz.triage.course import Act, Course, Part, Span, Sum
from fuzz.triage.export.literal import literal
from fuzz.triage.pieces import length_of

_DATA = {TcpFlag.ACK, TcpFlag.ACK | TcpFlag.PSH}
_NOT_MADE = CONTROL | {Call.GET_OPTION, Call.CONNECT, Call.WAITER}
"""Calls that no script makes."""
NOT_DONE = frozenset({Action.API, Action.RESTORE, Action.SHORTAGE, Action.DROUGHT, Action.REDIAL})
"""Steps that no script does; of calls, those above."""
_ENDS = {TcpFlag.FIN | TcpFlag.ACK: "fin", TcpFlag.RST: "reset"}


@dataclass(frozen=True)
class Placed:
    """An act, and the number of its connection's bytes before it; -1 without a connection."""

    act: Act
    sent: int


def placed(course: Course) -> Iterator[Placed]:
    """The acts with how far their connection has come, if all of it is in order."""
    sent = -1
    for act in course.acts:
        if act.step.action in OPENS:
            sent = 0
        yield Placed(act, sent)
        if act.step.action in (Action.SEGMENT, Action.BIND) or way_of(act, sent) == "send":
            sent += size_of(act.parts)


def size_of(parts: Sequence[Part]) -> int:
    """How many bytes parts are."""
    return sum(
        len(part)
        if isinstance(part, bytes)
        else 2
        if isinstance(part, Sum)
        else part.end - part.start
        for part in parts
    )


def way_of(act: Act, sent: int) -> str:
    """How a socket does what a TCP step does: send, fin or reset; empty if none can."""
    if act.step.action is not Action.TCP or sent < 0:
        return ""
    loose = Loose.of(act.step)
    plain = loose.intact and not loose.urgent and loose.offset == sent
    if plain and loose.flags in _DATA and act.parts and loose.window == Loose(0, 0).window:
        return "send"
    return _ENDS.get(TcpFlag(loose.flags), "") if plain and not act.parts else ""


def on_sockets(course: Course) -> bool:
    """Whether sockets can send all of it."""
    for one in placed(course):
        action = one.act.step.action
        if action is Action.PACKET or (action is Action.TCP and not way_of(one.act, one.sent)):
            return False
    return True


def flow_name(number: int) -> str:
    """What a flow is called in scripts."""
    return f"flow{number + 1}"


def calls(course: Course) -> list[str]:
    """The lines of Python that do it, in order."""
    lines = []
    for one in placed(course):
        lines.append(_call(course, one))
    return lines


def _call(course: Course, one: Placed) -> str:
    act, step = one.act, one.act.step
    data = _expression(course, act.parts)
    if step.action in CALLS_ON_KEPT or step.action is Action.ACCEPT:
        return _application(act)
    if step.action is Action.API and _is_made(api_of(step)):
        return _made(api_of(step))
    if step.action in NOT_DONE or (step.action is Action.DIAL and not on_sockets(course)):
        told = f"{described(step)}: no script does this, nst-fuzz replay does"
        return f"raise SystemExit({told!r})"
    if step.action is Action.KEYS:
        return f"app.collect(), load_keys({dict(keys_in(step))})"
    if step.action is Action.CONNECT:
        return f"peers.append(Peer({step.argument}))"
    if step.action is Action.DIAL:
        return f"peers.append(Peer({step.argument}, app))"
    if step.action is Action.DATAGRAM:
        return f"send_to({step.argument}, {data})"
    if step.action is Action.REFLECT:
        return f"app.reflect({step.argument}, {step.data!r})"
    if step.action is Action.PACKET:
        return f"LINK.send({step.argument}, {data})"
    if one.sent < 0:
        return f"pass  # no connection yet: {described(step)}"
    if step.action is Action.SEGMENT:
        return f"peers[-1].send({data})"
    if step.action is Action.BIND:
        return f"peers[-1].bind({data})"
    if step.action is Action.FIN:
        return "peers[-1].fin()"
    way = way_of(act, one.sent)
    if way and on_sockets(course):
        return f"peers[-1].{way}({data if way == 'send' else ''})"
    loose = Loose.of(step)
    more = f", window={loose.window}" if loose.window != Loose(0, 0).window else ""
    more += f", urgent={loose.urgent}" if loose.urgent else ""
    more += "" if loose.intact else ", intact=False"
    return f"peers[-1].loose({loose.offset}, {loose.flags:#04x}, {data}{more})"


def _is_made(api: Api) -> bool:
    """Whether a script can make a call: it has no address where no memory is."""
    beyond = api.call is Call.SET_OPTION and api.flags
    return api.call not in _NOT_MADE and not (api.gone or beyond)


def _made(api: Api) -> str:
    """A call with all that is chosen about it."""
    sizes = api.sizes if api.call in SIZED else []
    words = [str(api.socket), repr(api.call.name.lower()), str(sizes)]
    words += [f"flags={api.flags:#x}"] * bool(api.flags)
    words += [f"value={api.value:#x}"] * bool(api.value)
    words += [f"wait={api.wait}"] * bool(api.wait)
    if api.call is Call.SET_OPTION:
        words.append(f"option={literal(api.rest)}")
    return f"app.call({', '.join(words)})"


def _application(act: Act) -> str:
    step = act.step
    name = step.action.name.lower()
    if step.action is Action.ACCEPT or step.action is Action.SHUTDOWN:
        return f"app.{name}({step.argument})"
    return f"app.{name}({literal(step.data) if step.action is Action.SEND else ''})"


def _expression(course: Course, parts: Sequence[Part]) -> str:
    return " + ".join(_part(course, part) for part in parts) or 'b""'


def _part(course: Course, part: Part) -> str:
    if isinstance(part, bytes):
        return literal(part)
    name = flow_name(part.flow)
    length = sum(map(length_of, course.flows[part.flow]))
    if isinstance(part, Span):
        if (part.start, part.end) == (0, length):
            return name
        return f"{name}[{part.start}:{part.end}]"
    payload = f"{name}[:{length - part.missing}]" if part.missing else name
    return f"udp_sum({literal(part.head[:-6])}, {literal(part.head[-6:])}, {payload})"


def lines_of(course: Course) -> Iterator[str]:
    """A course in words, a line for each act."""
    for act in course.acts:
        words = described(act.step)
        parts = [_words(part) for part in act.parts]
        yield f"{words}: {', '.join(parts)}" if parts else words


def _words(part: Part) -> str:
    if isinstance(part, bytes):
        return f"{len(part)} bytes of its own"
    if isinstance(part, Sum):
        return "the checksum"
    return f"{flow_name(part.flow)} from {part.start} to {part.end}"
