# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run has to do with a corpus.

RUN/corpus/start/     the cases that `mutants` changes: the corpus as the run began
RUN/corpus/path       where the corpus is, to which new cases are added as they are found
"""

from __future__ import annotations

import shutil
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
    cases = Corpus(corpus).cases()
    start = start_of(run)
    start.mkdir(parents=True)
    for digest in cases:
        shutil.copyfile(corpus / f"{digest}.json", start / f"{digest}.json")
    (run / _FOLDER / "path").write_text(f"{corpus.resolve()}\n")


def start_of(run: Path) -> Path:
    """The cases that a run started from."""
    return run / _FOLDER / "start"


def keeper_of(run: Path, module: Path, box: KeyBox) -> Keeper | None:
    """What adds a run's cases to its corpus; `None` if it has none."""
    where = run / _FOLDER / "path"
    if not where.exists():
        return None
    return Keeper(Corpus(Path(where.read_text().rstrip("\n"))), build_of(module), box)
