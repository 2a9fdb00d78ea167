# SPDX-License-Identifier: GPL-2.0-or-later
"""The benchmark measures what it says it does: not how fast that is."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from fuzz.bench import codec, decode, measure, packets, triage
from fuzz.cli import group
from fuzz.errors import UserError

LOG = Path(__file__).parents[1] / "triage/corpus/logs/r0105.log"


def test_ratios_are_of_rates() -> None:
    def spin(count: int) -> measure.Work:
        return lambda: sum(range(count))

    contest = measure.Contest("ours", "peer", 0, 5.0, ours=spin(1000), peer=spin(20000))
    rounds: list[None] = []
    (result,) = measure.run([contest], 5, 0.002, lambda: rounds.append(None))
    assert len(rounds) == len(result.ratios) == 5
    assert result.met
    assert result.spread[0] <= result.ratio <= result.spread[1]


def test_every_contender_works() -> None:
    for contest in itertools.chain(codec.contests(), packets.contests()):
        assert contest.ours()
        assert contest.peer()


def test_captures_are_decoded() -> None:
    runs = list(itertools.islice(decode.run(200, 10, 1), 2))
    assert [run.output for run in runs] == ["text", "json"]
    assert all(run.rate > 0 and run.peak_kib > 0 for run in runs)


def test_the_command() -> None:
    result = CliRunner().invoke(group, ["bench", "python", "packets", "--rounds", "2", "--json"])
    assert result.exit_code in (0, 1)
    assert json.loads(result.stdout)["ratios"]


def test_reading_is_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triage, "CLEAN_SIZE", 100_000)
    result = CliRunner().invoke(group, ["bench", "triage", str(LOG), "--rounds", "1", "--json"])
    assert result.exit_code in (0, 1)
    grown, clean = json.loads(result.stdout)
    assert grown["seconds"] > grown["against"] > 0
    assert clean["seconds"] > 0


def test_a_log_without_reports_measures_nothing(tmp_path: Path) -> None:
    log = tmp_path / "clean.log"
    log.write_text("all is well\n")
    with pytest.raises(UserError, match="holds 0 reports"):
        list(triage.run([log], 1))


def test_cases_are_counted_beside_boofuzz() -> None:
    command = ["bench", "fuzz", "loopback", "--rounds", "2", "--cases", "30", "--json"]
    result = CliRunner().invoke(group, command)
    assert result.exit_code in (0, 1), result.exception
    (speed,) = json.loads(result.stdout)
    assert (speed["name"], speed["target"]) == ("loopback echo", 10)
    assert len(speed["rates"]) == len(speed["peer_rates"]) == 2
    assert min(speed["rates"] + speed["peer_rates"]) > 0
