# SPDX-License-Identifier: GPL-2.0-or-later
"""What a benchmark measured, as it is kept in JSON, and two of them side by side."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fuzz.errors import UserError

_FORMAT = "nst-bench"
_VERSION = 1


@dataclass(frozen=True)
class Figure:
    """One number, with the range that its repetitions had.

    Attributes:
        name: what was done: "bulk 16 KiB".
        subject: by whom: "nst-aes-gcm", or what a ratio is to.
        unit: "instructions a byte", say.
        value, low, high: the median, and the range.
        less_is_better: which way is worse.
        noise: the relative change between two runs of the same that means nothing.
    """

    name: str
    subject: str
    unit: str
    value: float
    low: float
    high: float
    less_is_better: bool
    noise: float


@dataclass(frozen=True)
class Change:
    """A figure before and after; ``verdict`` is "same", "better" or "worse"."""

    before: Figure
    after: Figure

    @property
    def relative(self) -> float:
        """How much it changed: 0.1 for ten percent more."""
        return self.after.value / self.before.value - 1

    @property
    def verdict(self) -> str:
        """Worse or better only if the ranges do not meet and the change is above noise."""
        before, after = self.before, self.after
        apart = before.high < after.low or after.high < before.low
        if not apart or abs(self.relative) <= max(before.noise, after.noise):
            return "same"
        return "better" if (self.relative < 0) == after.less_is_better else "worse"


def document(figures: Iterable[Figure], **more: Any) -> dict[str, Any]:
    """Figures as a JSON object, with further members for those who want them."""
    listed = [dataclasses.asdict(figure) for figure in figures]
    return {_FORMAT: _VERSION, "figures": listed, **more}


def load(path: Path) -> list[Figure]:
    """Read figures back.

    Raises:
        UserError: the file is no output of ``nst-fuzz bench ... --json``.
    """
    try:
        content = json.loads(path.read_text())
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}, line {error.lineno}: {error.msg}") from None
    except UnicodeDecodeError:
        raise UserError(f"{path}: not text") from None
    if not isinstance(content, dict) or content.get(_FORMAT) != _VERSION:
        raise UserError(f"{path}: not the output of nst-fuzz bench with --json")
    figures = content.get("figures")
    if not isinstance(figures, list):
        raise UserError(f"{path}: figures: a list expected")
    return [_figure(path, index, item) for index, item in enumerate(figures)]


def _figure(path: Path, index: int, item: Any) -> Figure:
    where = f"{path}: figures[{index}]"
    if not isinstance(item, dict):
        raise UserError(f"{where}: an object expected")
    values: dict[str, Any] = {}
    for field in dataclasses.fields(Figure):
        value = item.get(field.name)
        wanted: tuple[type, ...] = {"str": (str,), "bool": (bool,)}.get(
            str(field.type), (int, float)
        )
        if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
            raise UserError(f"{where}: {field.name}: {field.type} expected")
        values[field.name] = value
    figure = Figure(**values)
    if figure.value <= 0:
        raise UserError(f"{where}: value: more than 0 expected")
    return figure


def compare(before: Sequence[Figure], after: Sequence[Figure]) -> list[Change]:
    """The figures that both have, in the order of the first."""
    found = {(figure.name, figure.subject, figure.unit): figure for figure in after}
    return [
        Change(figure, found[key])
        for figure in before
        if (key := (figure.name, figure.subject, figure.unit)) in found
    ]
