# SPDX-License-Identifier: GPL-2.0-or-later
"""What both ends of one connection do, one thing after another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from boofuzz import Fuzzable, FuzzableBlock

from fuzz.api import Api
from fuzz.binding import is_bound
from fuzz.campaigns.primitives import Choice
from fuzz.campaigns.values import FAMILY, CaseValues, values_of
from fuzz.net.tcp import TcpFlag
from fuzz.script import DIALS, OPENS, Action, Loose, Step, api_step


@dataclass(frozen=True)
class Act:
    """Something that one end does.

    Attributes:
        name: of it.
        steps: from the case's values and the offset of our next byte.
    """

    name: str
    steps: Callable[[CaseValues, int], list[Step]]


def call(name: str, *steps: Step) -> Act:
    """Calls of the application in the guest."""
    return Act(name, lambda values, offset: list(steps))


def api(made: Api, *, dgram: bool = False) -> Act:
    """A call on the connection, or on the socket for the case's datagrams."""
    return Act(
        made.described(),
        lambda values, offset: [
            api_step(made._replace(socket=values[FAMILY]) if dgram else made),
        ],
    )


def _ending(name: str, flags: int) -> Act:
    """An end of our direction, after the application has looked.

    Otherwise it would be up to a work queue's timing whether what came just before it
    has been opened.
    """
    return Act(name, lambda values, offset: [Step(Action.LOOK), Loose(offset, flags).step()])


NOTHING = call("nothing")
ACCEPT = Act("accept", lambda values, offset: [Step(Action.ACCEPT, values[FAMILY])])
REDIAL = Act("dial again", lambda values, offset: [Step(Action.REDIAL, values[FAMILY])])
RECEIVE = call("receive", Step(Action.RECEIVE))
SEND = call("send", Step(Action.SEND, 0, b"a reply"))
LOOK = call("look", Step(Action.LOOK))
SHUT_READING = call("shut reading", Step(Action.SHUTDOWN, 0))
SHUT_WRITING = call("shut writing", Step(Action.SHUTDOWN, 1))
SHUT_BOTH = call("shut both", Step(Action.SHUTDOWN, 2))
CLOSE = call("close", Step(Action.CLOSE))
FIN = _ending("FIN", TcpFlag.FIN | TcpFlag.ACK)
RST = _ending("RST", TcpFlag.RST)
CALLS = (RECEIVE, SEND, SHUT_READING, SHUT_WRITING, SHUT_BOTH, CLOSE)
ENDS = (FIN, RST)


def then(first: Act, second: Act) -> Act:
    """One act, and another."""
    return Act(
        f"{first.name}, {second.name}",
        lambda values, offset: [*first.steps(values, offset), *second.steps(values, offset)],
    )


def short(nth: int, act: Act) -> Act:
    """A call, in which one allocation fails: the `nth`, from 1."""
    return Act(
        f"{act.name} without memory {nth}",
        lambda values, offset: [Step(Action.SHORTAGE, nth), *act.steps(values, offset)],
    )


def drought(units: int) -> Act:
    """No memory for what comes until the next call, after so many units of 64 bytes."""
    return call(f"drought after {units}", Step(Action.DROUGHT, units))


class Play(Choice):
    """An act in a scene: what it is unless mutated, and what it may be."""

    def __init__(self, name: str, default: Act, others: Sequence[Act]) -> None:
        """`default` is the act; `others` are tried in its place."""
        super().__init__(name, [other for other in others if other is not default])
        self._act = default

    def act(self, context: Any) -> Act:
        """What it is in a case."""
        value = self.get_value(context)
        return value if isinstance(value, Act) else self._act


class Scene(FuzzableBlock):  # type: ignore[misc]
    """Children in order: acts, and records that are sent as a segment or a datagram each."""

    def __init__(
        self,
        name: str,
        children: Sequence[Fuzzable],
        *,
        dgram: bool = False,
        opens: Action = Action.CONNECT,
    ) -> None:
        """A connection, which one end or the other `opens` first, or datagrams."""
        self._dgram = dgram
        self._opens = opens
        super().__init__(name=name, children=list(children))

    def encode(self, value: Any, mutation_context: Any) -> bytes:
        """boofuzz's hook: the steps' bytes."""
        values = values_of(mutation_context)
        family = values[FAMILY]
        steps, offset = [] if self._dgram else [Step(self._opens, family)], 0
        for child in self.stack:
            if isinstance(child, Play):
                done = child.act(mutation_context).steps(values, offset)
                steps += done
                if any(step.action in OPENS for step in done):
                    offset = 0
            elif self._dgram:
                steps.append(Step(Action.DATAGRAM, family, child.render(mutation_context)))
            else:
                data = child.render(mutation_context)
                binds = self._opens in DIALS and is_bound(data)
                steps.append(Step(Action.BIND if binds else Action.SEGMENT, 0, data))
                offset += len(data)
        return b"".join(step.pack() for step in steps)
