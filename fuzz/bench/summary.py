# SPDX-License-Identifier: GPL-2.0-or-later
"""What the single benchmarks measured, as figures and as lines of one table."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from statistics import median

from fuzz.bench import cpus, decode, fuzzing, kmod, measure, scale, triage
from fuzz.bench.figures import Figure

_TIMED_NOISE = 0.05
"""Of ratios of CPU times, taken by turns."""
_RATE_NOISE = 0.15
"""Of rates, which depend on what else the machine does."""

_WALL_NOISE = 0.25
"""Of ratios of times by the clock on the wall."""


@dataclass(frozen=True)
class Line:
    """A number, what it is of, and the limit or target that it was held to, if any."""

    what: str
    against: str
    value: str
    limit: str
    met: bool


def ratio_figures(results: Iterable[measure.Result]) -> Iterator[Figure]:
    """Ratios of rates to a peer's."""
    for result in results:
        low, high = result.spread
        yield Figure(
            f"{result.name}, {result.size} bytes", result.peer_name, "times the peer's rate",
            result.ratio, low, high, False, _TIMED_NOISE,
        )  # fmt: skip


def decode_figures(runs: Iterable[decode.DecodeResult]) -> Iterator[Figure]:
    """Rates of `nst decode`, for each transport and form of output."""
    for name, rates in _decode_rates(runs):
        yield Figure(
            name, "nst", "records a second",
            median(rates), min(rates), max(rates), False, _RATE_NOISE,
        )  # fmt: skip


def fuzz_figures(speeds: Iterable[fuzzing.Speed]) -> Iterator[Figure]:
    """Cases a second beside boofuzz's."""
    for speed in speeds:
        yield Figure(
            speed.name, "boofuzz", "times the peer's rate",
            speed.ratio, min(speed.ratios), max(speed.ratios), False, _WALL_NOISE,
        )  # fmt: skip


def triage_figures(results: Iterable[triage.TriageResult]) -> Iterator[Figure]:
    """Reading console logs: the least CPU time of the rounds."""
    for result in results:
        yield Figure(
            f"reading {result.name}", "nst-fuzz triage", "seconds",
            result.seconds, result.seconds, result.seconds, True, _RATE_NOISE,
        )  # fmt: skip


def fuzz_lines(speeds: Iterable[fuzzing.Speed]) -> Iterator[Line]:
    """The campaigns'."""
    for speed in speeds:
        yield Line(
            f"cases a second, {speed.name}", "boofuzz", f"{speed.ratio:.1f}",
            f"at least {speed.target:g}", speed.met,
        )  # fmt: skip


def triage_lines(results: Iterable[triage.TriageResult]) -> Iterator[Line]:
    """The triage's: growth with ten times the reports, or seconds."""
    for result in results:
        against, value, unit = (
            ("a tenth of it", result.ratio, "") if result.growth else ("", result.seconds, " s")
        )
        yield Line(
            f"reading logs, {result.name}", against, f"{value:.1f}{unit}",
            f"at most {result.target:g}{unit}", result.met,
        )  # fmt: skip


def python_lines(
    results: Iterable[measure.Result], runs: Iterable[decode.DecodeResult]
) -> Iterator[Line]:
    """The Python side's."""
    for result in results:
        yield Line(
            f"{result.name}, {result.size} bytes", result.peer_name, f"{result.ratio:.2f}",
            f"at least {result.target:g}", result.met,
        )  # fmt: skip
    for name, rates in _decode_rates(runs):
        rate = median(rates)
        yield Line(
            name, "", f"{rate:,.0f} a second", f"at least {decode.TARGET:,}", rate >= decode.TARGET
        )


def kmod_lines(figures: Iterable[Figure]) -> Iterator[Line]:
    """The module's."""
    figures = list(figures)
    for ratio in (*kmod.ratios(figures), *cpus.ratios(figures)):
        limit = "" if ratio.limit is None else f"at most {ratio.limit:g}"
        yield Line(
            f"{ratio.name}, {ratio.ours}", ratio.peer, f"{ratio.value:.3f}", limit, ratio.met
        )
    for curve in scale.flatness(figures):
        yield Line(
            f"{curve.name}, {curve.subject}: dearest point", "cheapest point",
            f"{curve.value:.3f}", f"at most {scale.FLAT:g}", curve.met,
        )  # fmt: skip


def _decode_rates(runs: Iterable[decode.DecodeResult]) -> Iterator[tuple[str, list[float]]]:
    by_kind = sorted(runs, key=lambda run: (run.transport, run.output))
    for (transport, output), group in itertools.groupby(
        by_kind, lambda run: (run.transport, run.output)
    ):
        yield f"nst decode, {transport}, {output}", [run.rate for run in group]
