# SPDX-License-Identifier: GPL-2.0-or-later
"""A corpus for a shard that is run elsewhere: what it takes along, and what it brings home."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from fuzz.corpus.entry import Corpus, build_of
from fuzz.corpus.run import corpus_of, point, start_of
from fuzz.coverage.guest import pack_edges, unpack_edges

_FOLDER = "found"


@dataclass(frozen=True)
class Parcel:
    """Cases and edges on their way.

    Attributes:
        build: of the module, whose edges they are.
        cases: their files by digest: to a shard those that its run started from, and back those
            that it found.
        edges: packed; all that are known where it comes from.
    """

    build: str
    cases: dict[str, bytes]
    edges: bytes


def outward(run: Path, module: Path) -> Parcel | None:
    """What a shard of a run needs; `None` if that has no corpus."""
    return _parcel(run, module, start_of(run))


def homeward(run: Path, module: Path) -> Parcel | None:
    """What was found since `settle`, in the run of a shard alone."""
    corpus = corpus_of(run)
    return None if corpus is None else _parcel(run, module, corpus.path)


def _parcel(run: Path, module: Path, cases: Path) -> Parcel | None:
    corpus = corpus_of(run)
    if corpus is None:
        return None
    build = build_of(module)
    return Parcel(build, Corpus(cases).files(), pack_edges(corpus.edges(build)))


def settle(run: Path, parcel: Parcel) -> None:
    """Have the run of a shard alone begin with what came along, and keep what it finds."""
    found = Corpus(run / _FOLDER)
    found.note(parcel.build, unpack_edges(parcel.edges))
    point(run, found, parcel.cases)


def take_in(run: Path, parcel: Parcel) -> int:
    """Add what a shard found to its run's corpus; how many edges are known then."""
    corpus = corpus_of(run)
    assert corpus is not None, "its shards have a corpus because it has"
    # Edges without their cases would keep others from finding these again.
    for digest, file in parcel.cases.items():
        corpus.put(digest, file)
    return len(corpus.note(parcel.build, unpack_edges(parcel.edges)))
