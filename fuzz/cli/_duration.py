# SPDX-License-Identifier: GPL-2.0-or-later
"""A command-line type for times."""

from __future__ import annotations

import re

import click

_UNITS = {"": 1, "s": 1, "m": 60, "h": 3600}


class Duration(click.ParamType[float]):
    """Seconds, or a number with a unit: 90, 90s, 10m, 1h."""

    name = "time"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """click's hook."""
        found = re.fullmatch(r"(\d+(?:\.\d+)?)([smh]?)", str(value))
        if found is None or not float(found[1]):
            self.fail(f"{value!r} is not a time such as 90s or 10m", param, ctx)
        return float(found[1]) * _UNITS[found[2]]
