# SPDX-License-Identifier: GPL-2.0-or-later
"""Bugs as JUnit's XML, which continuous integration shows: each is a test that fails."""

from __future__ import annotations

from collections.abc import Sequence
from xml.etree.ElementTree import Element, SubElement

from fuzz.junit import clean, document, failing
from fuzz.triage.export.dossier import Dossier


def junit(dossiers: Sequence[Dossier]) -> str:
    """One suite with a failing test for each bug."""
    count = str(len(dossiers))
    suite = Element("testsuite", name="nst-fuzz triage", tests=count, failures=count)
    for dossier in dossiers:
        kind = dossier.analysis.report.type if dossier.analysis else ""
        text = "\n".join([*dossier.described(), "", *dossier.log])
        test = failing(suite, "kernel", dossier.title, kind or "finding", text)
        SubElement(test, "system-out").text = clean(f"reproduces: {dossier.rate}")
    return document(suite)
