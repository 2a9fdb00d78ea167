# SPDX-License-Identifier: GPL-2.0-or-later
"""Bugs as SARIF 2.1.0 (OASIS), which code-scanning services read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from fuzz.triage.export.dossier import Dossier
from fuzz.triage.frames import Frame
from fuzz.triage.severity import Level

_SCHEMA = (
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
)
_LEVELS = {Level.LOW: "note", Level.MEDIUM: "warning"}
# What code-scanning services sort by: CVSS-like, 0 to 10.
_SCORES = {Level.LOW: "3.0", Level.MEDIUM: "5.5", Level.HIGH: "7.8", Level.CRITICAL: "9.5"}


def sarif(dossiers: Sequence[Dossier]) -> str:
    """All bugs as one run of a tool."""
    rules: dict[str, dict[str, Any]] = {}
    for dossier in dossiers:
        name = _rule(dossier)
        text = {"text": f"kernel report of type {name}"}
        rules.setdefault(name, {"id": name, "shortDescription": text})
    run = {
        "tool": {"driver": {"name": "nst-fuzz triage", "rules": list(rules.values())}},
        "originalUriBaseIds": {"SRCROOT": {"description": {"text": "the source tree"}}},
        "results": [_result(dossier, list(rules)) for dossier in dossiers],
    }
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(log, indent=1) + "\n"


def _rule(dossier: Dossier) -> str:
    if dossier.analysis is not None and dossier.analysis.report.type:
        return dossier.analysis.report.type
    return dossier.bucket.representative.stored.finding.kind.value.upper()


def _result(dossier: Dossier, rules: list[str]) -> dict[str, Any]:
    analysis = dossier.analysis
    level = analysis.severity.level if analysis else Level.MEDIUM
    name = _rule(dossier)
    result: dict[str, Any] = {
        "ruleId": name,
        "ruleIndex": rules.index(name),
        "level": _LEVELS.get(level, "error"),
        "message": {"text": dossier.title},
        "fingerprints": {"bucket/v1": dossier.bucket.id},
        "occurrenceCount": max(1, dossier.bucket.cases),
        "properties": {
            "security-severity": _SCORES[level],
            "reasons": analysis.severity.reasons if analysis else [],
            "reproduces": dossier.rate,
            "alsoSeenAs": dossier.bucket.titles[1:],
            "kernel": dossier.kernel,
        },
    }
    if analysis is None:
        return result
    place = analysis.guilty_file
    if place:
        line = analysis.guilty.line if analysis.guilty and analysis.guilty.file == place else 0
        result["locations"] = [{"physicalLocation": _physical(place, line)}]
    if analysis.stack:
        frames = [{"location": _location(frame)} for frame in analysis.stack]
        result["stacks"] = [{"message": {"text": "stack"}, "frames": frames}]
    return result


def _location(frame: Frame) -> dict[str, Any]:
    location: dict[str, Any] = {"logicalLocations": [{"name": frame.function, "kind": "function"}]}
    if frame.file:
        location["physicalLocation"] = _physical(frame.file, frame.line)
    return location


def _physical(file: str, line: int) -> dict[str, Any]:
    physical: dict[str, Any] = {"artifactLocation": {"uri": file, "uriBaseId": "SRCROOT"}}
    if line:
        physical["region"] = {"startLine": line}
    return physical
