# SPDX-License-Identifier: GPL-2.0-or-later
"""A bug as a report for people: Markdown as kernel lists take it, and HTML."""

from __future__ import annotations

import re

from fuzz.triage.export.dossier import Dossier
from fuzz.triage.export.render import rendered
from fuzz.triage.show import frame_text


def markdown(dossier: Dossier, script: str) -> str:
    """A mail to a list: plain text, indented where it is code."""
    text, fence, code = _filled("report.md.j2", dossier, script).partition("```python\n")
    return re.sub(r"\n{3,}", "\n\n", text) + fence + code


def html(dossier: Dossier, script: str) -> str:
    """A page that stands alone."""
    return _filled("report.html", dossier, script)


def _filled(template: str, dossier: Dossier, script: str) -> str:
    return rendered(
        template,
        dossier=dossier,
        analysis=dossier.analysis,
        frame_text=frame_text,
        runs=len({member.run for member in dossier.bucket.members}),
        script=script,
    )
