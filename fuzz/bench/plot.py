# SPDX-License-Identifier: GPL-2.0-or-later
"""Pictures of what `nst-fuzz bench kmod` measured: SVG files, and one page with them all."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import quantiles
from typing import Any

from fuzz.bench import cpus, flame, kmod, profile, scale
from fuzz.bench.figures import Figure
from fuzz.bench.loadguest import LoadGuest
from fuzz.errors import UserError

try:
    import matplotlib as mpl
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure as Canvas
except ImportError:
    raise UserError("--plot needs matplotlib: pip install 'nst-scapy[plot]'") from None

_COLOURS = {
    "tcp": "#7f7f7f", "udp": "#7f7f7f",
    "ktls-128": "#f4a261", "ktls-256": "#e76f51",
    "tls": "#9b5de5", "dtls": "#9b5de5",
    "nst-aes-gcm": "#1d6fb8", "nst-dgram-aes-gcm": "#1d6fb8",
}  # fmt: skip
_BULK = ("bulk 16 KiB", "bulk 1 MiB", "sendfile")
_EXCHANGES = ("ping-pong 64 B", "datagrams 64 B", "datagrams 1400 B")
_LATENCIES = ("tcp", kmod.KTLS, "tls", kmod.NST)
_ROUND_TRIPS = 2000
_PROFILED = "bulk {} 16384 8388608 2"
_STYLE: dict[Any, Any] = {
    "font.size": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#e4e4e4",
    "axes.axisbelow": True,
    "svg.fonttype": "none",
    # The same input, the same file.
    "svg.hashsalt": "nst",
}


def write(directory: Path, guest: LoadGuest, figures: Sequence[Figure]) -> None:
    """Draw all pictures that *figures* are enough for, and profiles taken in *guest*.

    Raises:
        UserError: *directory* cannot be written to.
    """
    latencies = {
        name: guest.run(f"latency {name} 64 {_ROUND_TRIPS} 1").instructions for name in _LATENCIES
    }
    profiles = {
        name: profile.profile(guest, name, _PROFILED.format(name)) for name in (kmod.NST, kmod.KTLS)
    }
    pictures: list[tuple[str, str, str]] = []
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with mpl.rc_context(_STYLE):
            for stem, title, canvas in (
                ("bytes", "Instructions a byte (less is better)", _bars(figures, _BULK, "byte")),
                (
                    "exchanges",
                    "Instructions a round trip",
                    _bars(figures, _EXCHANGES, "round trip"),
                ),
                ("throughput", "Throughput at 3 instructions a nanosecond", _throughput(figures)),
                ("latency", "Round trip of 64 bytes: distribution", _latency(latencies)),
                ("scale", "Cost as things grow", _scale(figures)),
                ("cpus", "Wall time on CPUs that are emulated unless KVM works", _cpus(figures)),
            ):
                if canvas is not None:
                    path = directory / f"{stem}.svg"
                    canvas.savefig(path, metadata={"Date": None}, bbox_inches="tight")
                    pictures.append((stem, title, path.read_text()))
        for name, root in profiles.items():
            drawn = flame.draw(root)
            (directory / f"flame-{name}.svg").write_text(drawn)
            pictures.append((f"flame-{name}", f"Where the instructions go: {name}", drawn))
        (directory / "index.html").write_text(_page(pictures))
    except OSError as error:
        raise UserError(f"{error.filename}: {error.strerror}") from None


def _colour(subject: str) -> str:
    return _COLOURS.get(subject, "#8ecae6")


def _values(figures: Iterable[Figure], name: str) -> dict[str, float]:
    return {item.subject: item.value for item in figures if item.name == name}


def _bars(figures: Sequence[Figure], names: Sequence[str], unit: str) -> Canvas | None:
    """A panel for each of *names*, suites without acceleration left to the table."""
    shown = [
        (name, {who: value for who, value in _values(figures, name).items() if who in _COLOURS})
        for name in names
    ]
    shown = [(name, values) for name, values in shown if values]
    if not shown:
        return None
    canvas = Canvas(figsize=(4.0 * len(shown), 2.8), layout="constrained")
    for axes, (name, values) in zip(_panels(canvas, len(shown)), shown, strict=True):
        subjects = list(reversed(values))
        bars = axes.barh(subjects, [values[who] for who in subjects], height=0.7)
        for bar, who in zip(bars, subjects, strict=True):
            bar.set_color(_colour(who))
        axes.bar_label(bars, [_number(values[who]) for who in subjects], padding=3, fontsize=9)
        axes.set_xlim(0, 1.4 * max(values.values()))
        axes.locator_params(axis="x", nbins=4)
        axes.xaxis.set_major_formatter(lambda value, _: _number(value))
        axes.set_title(name, loc="left", fontsize=11)
        axes.set_xlabel(f"instructions a {unit}")
        axes.grid(visible=False, axis="y")
    return canvas


def _throughput(figures: Sequence[Figure]) -> Canvas | None:
    """Bytes a second of one CPU that does both ends, if it did three instructions a ns."""
    names = [name for name in _BULK if _values(figures, name)]
    if not names:
        return None
    canvas = Canvas(figsize=(7.2, 3.2), layout="constrained")
    axes = _panels(canvas, 1)[0]
    subjects = [who for who in _values(figures, names[0]) if who in _COLOURS]
    width = 0.8 / len(subjects)
    for index, who in enumerate(subjects):
        rates = [8 * 3 / _values(figures, name).get(who, float("inf")) for name in names]
        places = [place + index * width for place in range(len(names))]
        axes.bar(places, rates, width * 0.92, label=who, color=_colour(who))
    axes.set_xticks([place + 0.4 - width / 2 for place in range(len(names))], names)
    axes.set_ylabel("Gbit/s")
    axes.grid(visible=False, axis="x")
    axes.legend(frameon=False, ncols=len(subjects), loc="lower left", bbox_to_anchor=(0, 1))
    return canvas


def _latency(latencies: dict[str, tuple[int, ...]]) -> Canvas:
    canvas = Canvas(figsize=(7.2, 3.4), layout="constrained")
    axes = _panels(canvas, 1)[0]
    shares = [share / 1000 for share in range(1, 1000)]
    for who, taken in latencies.items():
        axes.plot(
            [value / 1000 for value in quantiles(taken, n=1000)], shares, label=who,
            color=_colour(who), linewidth=1.8,
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel("thousand instructions, there and back")
    axes.set_ylabel("share of round trips")
    axes.xaxis.set_major_formatter(lambda value, _: _number(value))
    axes.xaxis.set_minor_formatter(lambda value, _: _number(value))
    axes.tick_params(axis="x", which="both", labelsize=9)
    axes.legend(frameon=False, loc="lower right")
    return canvas


def _scale(figures: Sequence[Figure]) -> Canvas | None:
    panels = {curve.name: curve for curve in scale.CURVES if scale.curve_of(curve, figures)}
    if not panels:
        return None
    rows = 1 + (len(panels) - 1) // 2
    canvas = Canvas(figsize=(9.0, 3.4 * rows), layout="constrained")
    for axes, (name, shown) in zip(_panels(canvas, 2 * rows, rows), panels.items(), strict=False):
        for curve in scale.CURVES:
            if curve.name == name:
                _line(axes, curve.subject, scale.curve_of(curve, figures))
        if 0 in shown.points:
            axes.set_xscale("symlog", linthresh=1)
            axes.set_xlim(-0.2, 1.4 * max(shown.points))
            axes.set_xticks(shown.points, [str(point) for point in shown.points])
        else:
            axes.set_xscale("log")
        axes.set_xlabel(name)
        axes.set_ylabel(f"instructions a {shown.unit}")
        axes.set_title(f"should: {shown.should}", loc="left", fontsize=10)
        axes.yaxis.set_major_formatter(lambda value, _: _number(value))
    return canvas


def _cpus(figures: Sequence[Figure]) -> Canvas | None:
    """By the clock on the wall, and said so."""
    measured = {who: cpus.curve_of(who, figures) for who in cpus.SUBJECTS}
    if not all(measured.values()):
        return None
    canvas = Canvas(figsize=(4.5, 3.4), layout="constrained")
    axes = _panels(canvas, 1)[0]
    for who, points in measured.items():
        _line(axes, who, points)
    axes.set_xticks([count for count, _ in measured[kmod.NST]])
    axes.set_xlabel("CPUs of the guest")
    axes.set_ylabel(cpus.UNIT)
    axes.set_title(
        f"{cpus.CONNECTIONS} connections at once; should: O(1/CPUs)", loc="left", fontsize=10
    )
    return canvas


def _line(axes: Axes, who: str, points: Sequence[tuple[int, float]]) -> None:
    """Draw a curve, its growth in the legend; there is room for that above all of them."""
    if not points:
        return
    grown = 100 * points[-1][1] / points[0][1] - 100
    axes.plot(
        *zip(*points, strict=True), marker="o", markersize=4, color=_colour(who), linewidth=1.8,
        label=f"{who} {grown:+.1f} %",
    )  # fmt: skip
    axes.set_ylim(0, 1.5 * axes.dataLim.y1)
    axes.legend(frameon=False, loc="upper left", fontsize=9)


def _panels(canvas: Canvas, count: int, rows: int = 1) -> list[Axes]:
    return list(canvas.subplots(rows, count // rows, squeeze=False).flat)


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"


def _page(pictures: Iterable[tuple[str, str, str]]) -> str:
    """Everything in one file: the pictures are in it, not beside it."""
    parts = [
        "<!doctype html><html lang='en'><meta charset='utf-8'><title>nst-fuzz bench kmod</title>",
        "<style>body{font:15px sans-serif;max-width:1100px;margin:2em auto;padding:0 1em}"
        "svg{max-width:100%;height:auto}h2{font-size:1.1em;margin-top:2em}</style>",
        "<h1>nst-fuzz bench kmod</h1><p>Instructions of one CPU that does both ends, the "
        "kernel's network stack between them, and crypto. They are not cycles.</p>",
    ]
    for stem, title, drawn in pictures:
        body = drawn[drawn.index("<svg") :]
        parts.append(f"<h2 id='{stem}'>{html.escape(title)}</h2>{body}")
    return "\n".join(parts) + "\n"
