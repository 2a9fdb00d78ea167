# SPDX-License-Identifier: GPL-2.0-or-later
"""Bugs as JUnit's XML, which continuous integration shows: each is a test that fails."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree

from fuzz.triage.export.dossier import Dossier

# XML 1.0 has no other control characters, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def junit(dossiers: Sequence[Dossier]) -> str:
    """One suite with a failing test for each bug."""
    count = str(len(dossiers))
    suite = ElementTree.Element("testsuite", name="nst-fuzz triage", tests=count, failures=count)
    for dossier in dossiers:
        kind = dossier.analysis.report.type if dossier.analysis else ""
        test = ElementTree.SubElement(
            suite, "testcase", classname="kernel", name=_clean(dossier.title)
        )
        failure = ElementTree.SubElement(
            test, "failure", type=kind or "finding", message=_clean(dossier.title)
        )
        failure.text = _clean("\n".join([*dossier.described(), "", *dossier.log]))
        ElementTree.SubElement(test, "system-out").text = _clean(f"reproduces: {dossier.rate}")
    ElementTree.indent(suite)
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(suite, "unicode") + "\n"
    )


def _clean(text: str) -> str:
    return _FORBIDDEN.sub("�", text)
