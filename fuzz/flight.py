# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases on their way, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass

from fuzz.coverage.guest import Taken
from fuzz.oracles.compare import Difference, Observation
from fuzz.oracles.expectation import Expectation
from fuzz.oracles.shadow import Moment
from fuzz.player import Played
from fuzz.script import Step
from fuzz.target.wire import Reply


@dataclass(frozen=True)
class Execution:
    """A case, or several together, that were carried out, and what became of them.

    Attributes:
        moment: bounds on when it was judged.
        expected: the model's outcomes, the one that is followed first.
        seen: what the module made of it.
        difference: `None` if they agree.
        strict: only one outcome was right.
        taken: the edges of the module's code that it took, if anybody wants to know.
    """

    moment: Moment
    expected: Expectation
    seen: Observation
    difference: Difference | None
    strict: bool
    taken: Taken | None = None


@dataclass
class Flight:
    """Cases on their way.

    Attributes:
        cases: the steps of each, complete.
        begun: the guest's clock had reached this before anything was sent, ns.
        played: what was done of them before the last frames are sent.
        request: the one that ends it, when those were sent.
        reply: what it was answered, if that has been waited for.
    """

    cases: list[list[Step]]
    begun: int
    played: Played
    request: int = 0
    reply: Reply | None = None
