# SPDX-License-Identifier: GPL-2.0-or-later
"""A corpus that campaigns fill and the mutants of its cases, in real guests."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fuzz.corpus.entry import Corpus
from fuzz.html import timeline
from fuzz.stored import reading

pytestmark = pytest.mark.timeout(600)


def _run(nst_fuzz: str, *arguments: str | Path) -> dict[str, Any]:
    command = [nst_fuzz, "run", "--json", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    summary: dict[str, Any] = json.loads(done.stdout)
    return summary


def test_cases_are_kept_and_their_mutants_take_new_edges(nst_fuzz: str, tmp_path: Path) -> None:
    corpus = Corpus(tmp_path / "corpus")
    common = ("--corpus", corpus.path, "--seed", "test")
    _run(nst_fuzz, "dgram-record", "--cases", "60", "--output", tmp_path / "first", *common)
    kept = corpus.cases()
    assert 10 < len(kept) < 60
    (edges_file,) = corpus.path.glob("edges-*")
    build = edges_file.name.removeprefix("edges-")
    edges = corpus.edges(build)

    mutated = _run(nst_fuzz, "mutants", "--cases", "200", "--output", tmp_path / "second", *common)
    assert mutated["findings"] == []
    with reading(tmp_path / "second") as store:
        course = [edges for _, _, edges in timeline.edges(store)]
    assert course == sorted(course)
    assert course[-1] == len(corpus.edges(build))
    assert mutated["campaigns"][0]["authenticated"] > 60
    assert kept.keys() < corpus.cases().keys()
    assert edges < corpus.edges(build)
    # Which the mutants were made of stays with the run.
    assert Corpus(tmp_path / "second" / "corpus" / "start").cases() == kept
