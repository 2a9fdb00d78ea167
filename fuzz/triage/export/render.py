# SPDX-License-Identifier: GPL-2.0-or-later
"""The templates of the exports."""

from __future__ import annotations

from functools import cache
from typing import Any

import jinja2


@cache
def _environment(html: bool) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("fuzz.triage.export"),
        autoescape=html,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def rendered(template: str, **values: Any) -> str:
    """A template filled in; what goes into HTML is escaped."""
    return _environment(template.endswith(".html")).get_template(template).render(**values)
