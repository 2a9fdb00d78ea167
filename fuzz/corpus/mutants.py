# SPDX-License-Identifier: GPL-2.0-or-later
"""The campaign `mutants`: cases made by changing those of a corpus.

The corpus is taken as it is when the campaign begins, so that a run can be repeated from
its seed; what the mutants themselves add to it is changed in the next run. A case is
known by the file that it was made of and by the number of each change.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

from boofuzz import FuzzableBlock

from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.primitives import Choice
from fuzz.campaigns.steps import CaseRequest
from fuzz.campaigns.values import NOW, CaseValues, values_of
from fuzz.corpus.entry import Corpus, CorpusError
from fuzz.corpus.judgeable import judgeable
from fuzz.corpus.lifted import Case, render
from fuzz.corpus.mutate import MUTATIONS, Means
from fuzz.script import unpack
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId

NAME = "mutants"
_EACH = 64
"""Changes of each kind of each case, before they are combined."""
_TRIES = 4
"""Changes that are drawn for one that can be judged; then the case stays as it was."""


class Mutant(FuzzableBlock):  # type: ignore[misc]
    """A case of the corpus, changed as its children's numbers say."""

    def __init__(
        self,
        digest: str,
        case: Case,
        others: Sequence[Case],
        box: KeyBox,
        numbers: Sequence[int],
    ) -> None:
        """`numbers` are those of the changes of each kind."""
        self._case = case
        self._others = others
        self._box = box
        self._digest = digest
        # A finding is held against the changes of one case, which is in their names.
        self._kinds = {kind: Choice(f"{kind}-{digest[:8]}", numbers) for kind in MUTATIONS}
        super().__init__(name="case", children=[*self._kinds.values()])

    def encode(self, value: Any, mutation_context: Any) -> bytes:
        """boofuzz's hook: the steps' bytes."""
        values = values_of(mutation_context)
        numbers = {
            kind: number
            for kind, choice in self._kinds.items()
            if (number := choice.get_value(mutation_context)) is not None
        }
        for attempt in range(_TRIES if numbers else 0):
            script = rendered(self._changed(numbers, attempt), values, self._box)
            if judgeable(unpack(script)):
                return script
        return rendered(self._case, values, self._box)

    def _changed(self, numbers: dict[str, Any], attempt: int) -> Case:
        case = self._case
        for kind, mutation in MUTATIONS.items():
            if kind in numbers:
                draw = random.Random(f"{self._digest}|{kind}|{numbers[kind]}|{attempt}")
                case = mutation(case, Means(draw, self._others, self._box))
        return case


def rendered(case: Case, values: CaseValues, box: KeyBox) -> bytes:
    """A case's bytes, for the time and with the sessions of the values."""
    return render(
        case, now=values[NOW], session=lambda number: int(values[f"{number}.session"]), box=box
    )


def _digest(box: KeyBox) -> bytes:
    return hashlib.sha256(box.dumps().encode()).digest()


def mutants(path: Path | None) -> Campaign:
    """The campaign that starts from a corpus; `None` if there is none, to know it by.

    Raises:
        CorpusError: later, from its requests: a file is damaged, or there is none.
    """

    def requests(box: KeyBox, _: Collection[SuiteId]) -> list[CaseRequest]:
        cases = Corpus(path).cases() if path is not None and path.is_dir() else {}
        if not cases:
            raise CorpusError(f"{NAME}: no case to start from; run others with --corpus DIR first")
        others = list(cases.values())
        # The test keys follow from the run's seed, and other seeds shall make other changes.
        numbers = random.Random(_digest(box)).sample(range(1 << 31), _EACH)
        return [
            CaseRequest(digest, children=[Mutant(digest, case, others, box, numbers)])
            for digest, case in cases.items()
        ]

    return Campaign(NAME, "cases of a corpus, changed beyond their grammars", (), requests)
