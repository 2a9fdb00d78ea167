# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run has to do with a corpus.

RUN/corpus/start/     the cases that `mutants` changes: the corpus as the run began
RUN/corpus/path       where the corpus is, to which new cases are added as they are found
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from fuzz.corpus.entry import Corpus, build_of
from fuzz.corpus.keeper import Keeper
from nst_scapy.keybox import KeyBox

_FOLDER = "corpus"


def begin(run: Path, corpus: Path) -> None:
    """Have a run start from a corpus and add to it.

    Raises:
        CorpusError: it is no directory, or one of its files is damaged.
    """
    whole = Corpus(corpus)
    whole.cases()
    point(run, whole, whole.files())


def point(run: Path, corpus: Corpus, start: Mapping[str, bytes]) -> None:
    """Have a run start from cases, whose files are given by their digests, and add to a corpus."""
    begun = Corpus(start_of(run))
    for digest, file in start.items():
        begun.put(digest, file)
    (run / _FOLDER / "path").write_text(f"{corpus.path.resolve()}\n")


def start_of(run: Path) -> Path:
    """The cases that a run started from."""
    return run / _FOLDER / "start"


def corpus_of(run: Path) -> Corpus | None:
    """The corpus that a run adds to; `None` if it has none."""
    where = run / _FOLDER / "path"
    return Corpus(Path(where.read_text().rstrip("\n"))) if where.exists() else None


def keeper_of(run: Path, module: Path, box: KeyBox) -> Keeper | None:
    """What adds a run's cases to its corpus; `None` if it has none."""
    corpus = corpus_of(run)
    return None if corpus is None else Keeper(corpus, build_of(module), box)
