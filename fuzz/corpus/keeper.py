# SPDX-License-Identifier: GPL-2.0-or-later
"""Keeping the cases that take new edges."""

from __future__ import annotations

from fuzz.corpus.entry import Corpus
from fuzz.corpus.judgeable import judgeable
from fuzz.corpus.lift import lift
from fuzz.coverage.guest import Edges, Taken
from fuzz.script import unpack
from nst_scapy.keybox import KeyBox


class Keeper:
    """Looks at what edges cases have taken, and keeps those that took new ones.

    Attributes:
        known: all edges taken so far, by anybody's cases.
        kept: how many cases were kept.
    """

    def __init__(self, corpus: Corpus, build: str, box: KeyBox) -> None:
        """`build` is the module's, `box` the key box of the cases."""
        self._corpus = corpus
        self._build = build
        self._box = box
        self.known: Edges = corpus.edges(build)
        self.kept = 0

    def look(self, taken: Taken, script: bytes, now: int) -> bool:
        """Look at a case that was made for a time (ns since 1970); whether it was kept."""
        if taken.edges is None or not taken.edges - self.known:
            return False
        before = self._corpus.edges(self._build)
        self.known = self._corpus.note(self._build, taken.edges)
        if not script or not taken.edges - before or not judgeable(unpack(script)):
            return False
        digest = self._corpus.add(lift(script, earliest=now, box=self._box))
        self.kept += digest is not None
        return digest is not None
