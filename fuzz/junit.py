# SPDX-License-Identifier: GPL-2.0-or-later
"""A run as JUnit's XML, which continuous integration shows.

Each campaign is a suite: one test that it ran, which passes, and a test that fails for
each finding.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from fuzz.report import CampaignSummary, Summary

# XML 1.0 has no other control characters, not even escaped.
_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def clean(text: str) -> str:
    """Text without what XML cannot hold."""
    return _FORBIDDEN.sub("\ufffd", text)


def document(root: Element) -> str:
    """The whole file."""
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, "unicode") + "\n"


def failing(suite: Element, classname: str, name: str, kind: str, text: str) -> Element:
    """Add a test that fails to a suite; return the test."""
    test = SubElement(suite, "testcase", classname=classname, name=clean(name))
    failure = SubElement(test, "failure", type=kind, message=clean(name))
    failure.text = clean(text)
    return test


def junit(summary: Summary) -> str:
    """A run's campaigns and findings."""
    suites = [_suite(summary, campaign) for campaign in summary.campaigns]
    total = {name: str(sum(int(s.attrib[name]) for s in suites)) for name in ("tests", "failures")}
    root = Element("testsuites", {"name": "nst-fuzz run", **total})
    root.extend(suites)
    return document(root)


def _suite(summary: Summary, campaign: CampaignSummary) -> Element:
    findings = [found for found in summary.findings if found.campaign == campaign.name]
    suite = Element(
        "testsuite", name=campaign.name, tests=str(1 + len(findings)),
        failures=str(len(findings)), time=f"{campaign.seconds:.3f}",
    )  # fmt: skip
    ran = SubElement(
        suite, "testcase", classname=campaign.name, name="runs", time=f"{campaign.seconds:.3f}"
    )
    SubElement(ran, "system-out").text = clean(
        f"{campaign.cases} cases, {campaign.share:.0%} authenticated, {campaign.lost} lost;"
        f" kernel {summary.meta.get('kernel')}, seed {summary.meta.get('seed')}"
    )
    for found in findings:
        finding = found.finding
        lines = (finding.detail, f"first: {found.name}", summary.replay(found), "", finding.log)
        failing(suite, campaign.name, finding.title, finding.kind, "\n".join(lines).rstrip())
    return suite
