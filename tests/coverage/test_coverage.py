# SPDX-License-Identifier: GPL-2.0-or-later
"""Lines and branches out of gcov's data, added up over boots, campaigns and runs."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest
from rich.console import Console

from fuzz.coverage import html, kept, unreached
from fuzz.coverage.lines import CoverageError, FileLines, Line, Share, merged, parse, shares
from fuzz.coverage.report import Report, Wanted, show_untaken
from fuzz.guest import kernel as kernels
from fuzz.guest.errors import SetupError
from tests.coverage.program import CHECK_C, made_run

_IF_NEGATIVE, _ABORT, _LARGE = 18, 7, 21
_ENTRY = unreached.Entry("check.c", "refused", ("abort();",), "no value is 77")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    boots = [("small", ["1", "2"]), ("small", ["3"]), ("mixed", ["-4", "50"])]
    return made_run(tmp_path_factory.mktemp("run"), boots)


def test_counts_are_those_of_what_ran(run: Path) -> None:
    measured = kept.read([run])
    small, mixed = (measured.campaigns[name]["check.c"] for name in ("small", "mixed"))
    assert small.lines[_IF_NEGATIVE].count == 3
    assert sorted(small.lines[_IF_NEGATIVE].branches) == [0, 3]
    assert small.functions == {"main": 2, "refused": 0}
    assert sorted(mixed.lines[_IF_NEGATIVE].branches) == [1, 1]
    assert mixed.lines[_LARGE].count == 1
    total = measured.total
    assert total["check.c"].lines[_IF_NEGATIVE].count == 5
    assert sorted(total["check.c"].lines[_IF_NEGATIVE].branches) == [1, 4]
    assert total["check.c"].lines[_ABORT].count == 0
    assert measured.campaigns["small"]["check.c"].lines[_IF_NEGATIVE].count == 3, "merged in place"


def test_only_files_of_the_module_count(run: Path) -> None:
    assert set(kept.read([run]).total) == {"check.c", "check.h"}


def test_runs_add_up_if_they_are_of_one_version(run: Path, tmp_path: Path) -> None:
    again = made_run(tmp_path / "again", [("small", ["1"])])
    assert kept.read([run, again]).total["check.c"].lines[_IF_NEGATIVE].count == 6
    other = made_run(tmp_path / "other", [("small", ["1"])], CHECK_C.replace("100", "99"))
    with pytest.raises(CoverageError, match=r"other: another version of check\.c than in"):
        kept.read([run, other])


def test_what_is_missing_is_said(tmp_path: Path) -> None:
    with pytest.raises(CoverageError, match="no coverage; run: nst-fuzz run --coverage"):
        kept.read([tmp_path])
    with pytest.raises(CoverageError, match="no guest has told its coverage"):
        kept.read([made_run(tmp_path / "none", [])])
    broken = made_run(tmp_path / "broken", [("small", ["1"])])
    for notes in broken.rglob("*.gcno"):
        notes.write_bytes(b"no notes")
    with pytest.raises(CoverageError, match="not a gcov notes file"):
        kept.read([broken])
    with pytest.raises(CoverageError, match="no 'files'"):
        parse([{}], "/")


def test_a_header_is_the_sum_of_its_objects() -> None:
    one = {"a.h": FileLines({1: Line(2, [1, 1], "f")}, {"f": 2})}
    two = {"a.h": FileLines({1: Line(3, [0, 3, 0], "g"), 2: Line(0, [])}, {"g": 1})}
    total = merged([one, two])["a.h"]
    assert total.lines == {1: Line(5, [1, 4, 0], ""), 2: Line(0, [])}
    assert total.functions == {"f": 2, "g": 1}
    assert shares([total]) == (Share(1, 2), Share(2, 3), Share(2, 2))
    assert Share(0, 0).percent == 100


def _report(run: Path, *entries: unreached.Entry, lines: float = 0, branches: float = 0) -> Report:
    measured = kept.read([run])
    explained = unreached.explain(entries, measured.total, measured.source)
    return Report(measured, explained, Wanted(lines, branches))


def test_a_line_is_reached_or_explained(run: Path) -> None:
    bare = _report(run)
    assert bare.shortcomings() == ["check.c:7: not reached and not explained: abort();"]
    assert bare.fails(check=True)
    assert not bare.fails(check=False)
    explained = _report(run, _ENTRY)
    assert not explained.fails(check=True)
    assert explained.reasons() == [("check.c", 7, "abort();", "no value is 77")]


@pytest.mark.parametrize(
    ("changed", "text"),
    [
        ({"lines": ("return -value;",)}, "it is reached"),
        ({"lines": ("abort(1);",)}, "there is no such line"),
        ({"function": "main"}, "there is no such line"),
        ({"file": "replay.c"}, "there is no such line"),
    ],
)
def test_a_stale_explanation_fails(run: Path, changed: dict[str, object], text: str) -> None:
    entry = unreached.Entry(**{**vars(_ENTRY), **changed})  # type: ignore[arg-type]
    report = _report(run, _ENTRY, entry)
    assert report.fails(check=True)
    assert len(report.shortcomings()) == 1
    assert text in report.shortcomings()[0]


def test_what_chance_may_reach_is_not_stale(run: Path) -> None:
    by_chance = {**vars(_ENTRY), "lines": ("return -value;",), "rare": True}
    assert not _report(run, _ENTRY, unreached.Entry(**by_chance)).fails(check=True)


def test_branches_never_taken_are_told_with_all_ways_of_their_line(run: Path) -> None:
    (never,) = _report(run).untaken()
    assert (never.file, never.function) == ("check.c", "refused")
    text = CHECK_C.splitlines()[never.number - 1]
    assert never.text == text.strip()
    assert "77" in text
    assert sorted(never.taken) == [0, 1]
    console = Console(record=True, width=60)
    show_untaken(_report(run), console)
    said = console.export_text()
    assert "1 branches" in said
    assert f"    {never.number}: {list(never.taken)} {never.text}".replace(",", "") in said


def test_too_little_fails(run: Path) -> None:
    share = shares(_report(run).total.values()).lines
    assert share.reached == share.total - 1
    # Of the receive files, without the header.
    enough = shares([_report(run).total["check.c"]])
    assert not _report(run, lines=enough.lines.percent, branches=0).fails(check=False)
    assert _report(run, lines=enough.lines.percent + 0.1).fails(check=False)
    assert _report(run, branches=enough.branches.percent + 0.1).fails(check=False)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("[[unreached", "at the end of"),
        ('[[unreached]]\nfile = "a.c"', "entry 1: wants file, function, lines, reason"),
        ('[[unreached]]\nfile="a"\nfunction="f"\nlines=[]\nreason="r"', "lines is no list"),
        ('[[unreached]]\nfile="a"\nfunction="f"\nlines=["x"]\nreason=""', "not empty"),
    ],
)
def test_a_broken_file_of_explanations_is_named(tmp_path: Path, text: str, error: str) -> None:
    path = tmp_path / "why.toml"
    path.write_text(text)
    with pytest.raises(CoverageError, match=f"why.toml: .*{error}"):
        unreached.load(path)


def test_the_projects_own_explanations_are_of_lines_that_are_there() -> None:
    from fuzz.guest.module import SOURCE

    for entry in unreached.load():
        text = (SOURCE / entry.file).read_text()
        assert f"{entry.function}(" in text, entry
        assert all(line in text for line in entry.lines), entry


def test_pages_show_what_ran(run: Path, tmp_path: Path) -> None:
    index = html.write(_report(run, _ENTRY), tmp_path / "pages")
    assert '<a href="check.c.html">' in index.read_text()
    page = (tmp_path / "pages" / "check.c.html").read_text()
    assert '<tr id="L7" class="why" title="no value is 77">' in page
    assert '<tr id="L18" class="run" title="2 of 2 branches: ' in page
    assert "&lt;stdlib.h&gt;" in page


def test_the_command_prints_json_and_exits_with_one_on_too_little(run: Path, nst_fuzz: str) -> None:
    command = [nst_fuzz, "coverage", "--json", "--min-lines", "100", str(run)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1, done.stderr
    said = json.loads(done.stdout)
    assert said["files"]["check.c"]["unreached"] == [_ABORT]
    assert said["campaigns"]["small"]["all"]["functions"] == {
        "reached": 2, "total": 3, "percent": 66.67
    }  # fmt: skip
    done = subprocess.run([nst_fuzz, "coverage", str(run)], capture_output=True, text=True)
    assert done.returncode == 0
    assert "receive and LOCAL_IN" in done.stdout
    done = subprocess.run([nst_fuzz, "coverage", "/none"], capture_output=True, text=True)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_a_kernel_without_gcov_is_refused() -> None:
    with pytest.raises(SetupError, match="has no CONFIG_GCOV_KERNEL"):
        kept.check_kernel(kernels.find("debian-6.12"))
