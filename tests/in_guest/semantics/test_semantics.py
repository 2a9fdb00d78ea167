# SPDX-License-Identifier: GPL-2.0-or-later
"""A program that changes only its socket() call notices nothing.

Every function of the modules here that takes a `World` is a property: it is asked of
AF_INET and of AF_NST, over IPv4 and over IPv6, and the answers have to be the same.
What has to differ stands in differences.py. Meanwhile nothing that AF_NST sends may be
seen on the wire.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from types import ModuleType

import pytest

from tests.in_guest.semantics import (
    connecting,
    datagrams,
    moving,
    receiving,
    sending,
    telling,
)
from tests.in_guest.semantics.differences import DIFFERENCES, Difference
from tests.in_guest.semantics.wire import Wire
from tests.in_guest.semantics.world import World, attempt
from tests.in_guest.sockets import INET, INET6, Over

Property = Callable[[World], object]


def properties(module: ModuleType) -> list[Property]:
    """The module's properties, in its order."""
    return [
        function
        for name, function in vars(module).items()
        if inspect.isfunction(function)
        and function.__module__ == module.__name__
        and not name.startswith("_")
        and list(inspect.signature(function).parameters) == ["world"]
    ]


PROPERTIES = [
    pytest.param(ask, id=f"{module.__name__.rpartition('.')[2]}-{ask.__name__}")
    for module in (receiving, telling, sending, connecting, moving, datagrams)
    for ask in properties(module)
]


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    """Loopback, watched."""
    with Wire() as watched:
        yield watched


@pytest.fixture(params=[INET, INET6], ids=["ipv4", "ipv6"])
def over(request: pytest.FixtureRequest) -> Over:
    """The IP below."""
    chosen: Over = request.param
    return chosen


def ask_both(ask: Property, over: Over, wire: Wire) -> tuple[object, object]:
    """AF_INET's answer and AF_NST's; nothing of the latter is in clear on the wire."""
    inet = attempt(ask, World(nst=False, over=over))
    wire.frames_in_clear()
    nst = attempt(ask, World(nst=True, over=over))
    assert not wire.frames_in_clear()
    return inet, nst


# What a failure looks like is found out from sources on a slow file system: not in this time.
@pytest.mark.timeout(60, func_only=True)
@pytest.mark.parametrize("ask", PROPERTIES)
def test_same_answer(ask: Property, over: Over, wire: Wire) -> None:
    inet, nst = ask_both(ask, over, wire)
    assert nst == inet


@pytest.mark.parametrize("difference", DIFFERENCES, ids=str)
def test_known_difference(difference: Difference, over: Over, wire: Wire) -> None:
    assert ask_both(difference.ask, over, wire) == (difference.inet, difference.nst)


def test_the_wire_would_show_it(over: Over, wire: Wire) -> None:
    wire.frames_in_clear()
    sending.half_close(World(nst=False, over=over))
    assert wire.frames_in_clear()
