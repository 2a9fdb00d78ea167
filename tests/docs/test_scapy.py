# SPDX-License-Identifier: GPL-2.0-or-later
"""docs/scapy.md: every block runs, and prints what the page says."""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sysconfig
from pathlib import Path

import pytest
from scapy.config import conf

PAGE = Path(__file__).parent.parent.parent / "docs" / "scapy.md"
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_OPTIONS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def _blocks() -> list[tuple[str, str, int]]:
    """Language, text and line of every block."""
    text = PAGE.read_text()
    return [(m[1], m[2], text.count("\n", 0, m.start()) + 2) for m in _FENCE.finditer(text)]


@pytest.fixture
def _as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The page writes files here, and its key box into conf.nst."""
    import nst_scapy.association  # noqa: F401

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(conf.nst, "_keybox", conf.nst.keybox)


@pytest.mark.usefixtures("_as_it_was")
def test_every_block() -> None:
    scripts = sysconfig.get_path("scripts")
    environment = {**os.environ, "PATH": f"{scripts}:{os.environ['PATH']}"}
    parser = doctest.DocTestParser()
    runner = doctest.DocTestRunner(optionflags=_OPTIONS)
    names: dict[str, object] = {}
    blocks = _blocks()
    assert {language for language, _, _ in blocks} == {"python", "sh"}
    for language, text, line in blocks:
        if language == "sh":
            command = ["bash", "-eu", "-o", "pipefail", "-c", text]
            done = subprocess.run(command, env=environment, capture_output=True, text=True)
            assert done.returncode == 0, f"{PAGE.name}:{line}: {done.stdout}{done.stderr}"
            continue
        assert text.startswith(">>> "), f"{PAGE.name}:{line}"
        test = parser.get_doctest(text, names, PAGE.name, str(PAGE), line - 1)
        said: list[str] = []
        result = runner.run(test, out=said.append, clear_globs=False)
        names.update(test.globs)
        assert result.failed == 0, "".join(said)
