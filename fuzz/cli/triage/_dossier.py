# SPDX-License-Identifier: GPL-2.0-or-later
"""Gathering what is known of a bucket."""

from __future__ import annotations

from collections import Counter

from fuzz.cli.triage._runs import Work
from fuzz.guest.module import SOURCE
from fuzz.script import unpack
from fuzz.store import KEYBOX
from fuzz.triage.export.dossier import Dossier
from fuzz.triage.records import exchanges_of
from fuzz.triage.symbols import Symbols
from fuzz.triage.understand import understand
from nst_scapy.keybox import KeyBox


def dossier_of(work: Work) -> Dossier:
    """All that is known of a bucket."""
    report = work.member.report
    analysis = None
    if report is not None:
        symbols = [Symbols(work.module, "nst")]
        trees = [work.module.parent.parent, SOURCE.parent]
        analysis = understand(report, symbols, sources=trees, remote=True)
    result = work.result
    return Dossier(
        work.bucket,
        analysis,
        exchanges_of(unpack(work.case.script), KeyBox.load(work.member.run / KEYBOX)),
        work.case.earliest,
        len(work.case.script),
        hits=result.hits if result else 0,
        tries=result.tries if result else 0,
        others=result.others if result else Counter(),
        history=len(result.before) if result else 0,
    )
