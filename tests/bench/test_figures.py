# SPDX-License-Identifier: GPL-2.0-or-later
"""Figures go to JSON and back, and two of them are told apart from noise."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from fuzz.bench import cpus, decode, figures, fuzzing, kmod, measure, scale, summary, triage
from fuzz.bench.figures import Figure
from fuzz.cli import group
from fuzz.errors import UserError

COST = Figure("bulk", "nst", "instructions a byte", 8.0, 7.9, 8.1, True, 0.03)


def at(value: float, spread: float = 0.1, *, less_is_better: bool = True) -> Figure:
    return dataclasses.replace(
        COST,
        value=value,
        low=value - spread,
        high=value + spread,
        less_is_better=less_is_better,
    )


@pytest.mark.parametrize(
    ("after", "verdict"),
    [
        (at(8.0), "same"),
        (at(8.2, 0.01), "same"),  # apart, but by less than noise
        (at(9.0, 1.5), "same"),  # more than noise, but the ranges meet
        (at(9.0), "worse"),
        (at(7.0), "better"),
    ],
)
def test_a_change_is_told_from_noise(after: Figure, verdict: str) -> None:
    (change,) = figures.compare([COST], [after])
    assert change.verdict == verdict


def test_more_may_be_better() -> None:
    before = at(8.0, less_is_better=False)
    (change,) = figures.compare([before], [at(9.0, less_is_better=False)])
    assert change.verdict == "better"


def test_only_what_both_have_is_compared() -> None:
    other = dataclasses.replace(COST, subject="tcp")
    assert figures.compare([COST, other], [COST]) == [figures.Change(COST, COST)]


def test_figures_come_back_from_json(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text(json.dumps(figures.document([COST], more=1)))
    assert figures.load(path) == [COST]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "line 1"),
        ("[]", "not the output"),
        ('{"nst-bench": 1}', "figures: a list"),
        ('{"nst-bench": 1, "figures": [3]}', "figures[0]: an object"),
        ('{"nst-bench": 1, "figures": [{"name": 3}]}', "figures[0]: name: str"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, text: str, complaint: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(UserError) as refused:
        figures.load(path)
    assert str(path) in str(refused.value)
    assert complaint in str(refused.value)


def test_compare_fails_if_something_is_worse(tmp_path: Path) -> None:
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    before.write_text(json.dumps(figures.document([COST])))
    after.write_text(json.dumps(figures.document([at(9.0)])))
    run = CliRunner().invoke
    worse = run(group, ["bench", "compare", str(before), str(after)])
    assert worse.exit_code == 1
    assert "worse" in worse.stdout
    assert run(group, ["bench", "compare", str(after), str(before), "--json"]).exit_code == 0


def test_ratios_are_ours_to_the_peers() -> None:
    ours, peer = (
        dataclasses.replace(COST, name="bulk 16 KiB", subject=subject, value=value)
        for subject, value in ((kmod.NST, 9.0), (kmod.KTLS, 8.0))
    )
    (ratio,) = kmod.ratios([ours, peer])
    assert ratio.value == 9 / 8
    assert not ratio.met


def test_wall_time_has_ratios_without_a_limit() -> None:
    ours, ktls, tcp = (
        dataclasses.replace(COST, name="CPUs: 2", subject=subject, value=value, unit=cpus.UNIT)
        for subject, value in ((kmod.NST, 9.0), (kmod.KTLS, 8.0), ("tcp", 3.0))
    )
    ratios = cpus.ratios([ours, ktls, tcp])
    assert [(ratio.peer, ratio.value) for ratio in ratios] == [(kmod.KTLS, 9 / 8), ("tcp", 3.0)]
    assert all(ratio.met for ratio in ratios)


def test_growth_is_of_the_last_point_to_the_first() -> None:
    curve = next(curve for curve in scale.CURVES if curve.name == "packets lost of 1,000")
    points = [
        dataclasses.replace(COST, name=f"{curve.name}: {lost}", subject=curve.subject, value=value)
        for lost, value in ((0, 10.0), (1, 50.0), (50, 12.0))
    ]
    growth = scale.growth(curve, points)
    assert growth is not None
    assert (growth.first, growth.last, growth.value) == (0, 50, 1.2)
    assert scale.growth(curve, []) is None
    # Only what should not grow at all is held to a limit.
    assert not scale.flatness(points)


@pytest.mark.parametrize("subject", ["tcp", kmod.KTLS, kmod.NST])
def test_a_peers_curve_is_held_to_nothing(subject: str) -> None:
    points = [
        dataclasses.replace(COST, name=f"connections: {count}", subject=subject, value=value)
        for count, value in ((1, 10.0), (10_000, 11.0))
    ]
    assert [curve.met for curve in scale.flatness(points)] == [False] * (subject == kmod.NST)


def test_one_table_has_every_benchmark() -> None:
    ratio = measure.Result("seal", "AESGCM", 64, 0.6, 1.0, 2.0, (0.5, 0.4, 0.6))
    run = decode.DecodeResult("dgram", "text", 10, 2e5, 1e6, 1000)
    speed = fuzzing.Speed("loopback echo", 10.0, (30.0, 20.0), (1.0, 1.0))
    read = triage.TriageResult("r.log", 2.0, 0.5, growth=True)
    cost = dataclasses.replace(COST, name="connections: 10", subject=kmod.NST)
    lines = [
        *summary.python_lines([ratio], [run]),
        *summary.triage_lines([read]),
        *summary.fuzz_lines([speed]),
        *summary.kmod_lines([cost]),
    ]
    assert [(line.value, line.met) for line in lines] == [
        ("0.50", False),
        ("200,000 a second", True),
        ("4.0", True),
        ("25.0", True),
        ("1.000", True),
    ]
    (kept,) = summary.ratio_figures([ratio])
    assert (kept.value, kept.less_is_better) == (0.5, False)
