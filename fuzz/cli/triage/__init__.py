# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz triage`: from console logs and findings to bug reports."""

from __future__ import annotations

from fuzz.cli import ModuleGroup


class _Triage(ModuleGroup):
    package = __name__
    path = __path__


command = _Triage(
    "triage",
    help="Read kernel reports, group what campaigns found, reproduce, minimise and export it.",
    epilog="Examples: nst-fuzz triage read console.log | nst-fuzz triage list nst-runs/RUN",
)
