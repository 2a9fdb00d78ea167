# SPDX-License-Identifier: GPL-2.0-or-later
"""The page of a run, opened in a browser."""

from __future__ import annotations

import shutil
import sqlite3
import struct
import subprocess
import zlib
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path

import pytest

from fuzz.campaigns.catalogue import CAMPAIGNS
from fuzz.campaigns.runner import run_keybox
from fuzz.finding import Finding, FindingKind
from fuzz.html.charts import HEIGHT, WIDTH, Series, chart
from fuzz.html.page import render
from fuzz.script import Action, Step
from fuzz.store import Store
from fuzz.stored import DATABASE, reading
from nst_scapy.header import Transport
from nst_scapy.sender import DgramSender
from nst_scapy.verdict import Verdict

BROWSER = (
    "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
)  # fmt: skip
STARTED = 1_800_000_000.0
TITLE = 'BUG: <script>document.title = "gone"</script> & more'


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run with two campaigns, findings and coverage, spread over ten minutes."""
    path = tmp_path / "the-run"
    box = run_keybox("html")
    record = DgramSender(box).seal(b"plaintext", now=int(STARTED) * 10**9)
    counts = [(verdict, number) for number, verdict in enumerate(Verdict, start=1)]
    with Store.create(
        path, seed="html", kernel="debian-6.12 (6.12.1)", kernel_name="debian-6.12", module="m"
    ) as store:
        for name in list(CAMPAIGNS)[:2]:
            campaign = store.begin_campaign(name)
            for number in range(600):
                case = store.begin_case(
                    campaign, boot=1, name=f"one:[one.record.kpos:{number}]", earliest=1,
                    script=Step(Action.DATAGRAM, 4, record).pack(), creation=0,
                )  # fmt: skip
                verdict, _ = counts[number % len(counts)]
                seen = Counter({(Transport.DGRAM, verdict): 1})
                store.end_case(case, "agree", expected=seen, counted=seen, authenticated=True)
                if number in (150, 400):
                    store.add_finding(
                        campaign, case,
                        Finding(FindingKind.CRASH, TITLE, "it is", "BUG: it\n" * 80)
                        if number == 150
                        else Finding(FindingKind.DISAGREEMENT, "dgram KID was missed", "so"),
                    )  # fmt: skip
                if number % 100 == 0:
                    store.add_coverage(campaign, edges=5000 + number)
            store.time_campaign(campaign, 10.0)
        store.note(ended="finished", started=str(STARTED))
    with sqlite3.connect(path / DATABASE) as database:
        database.execute("UPDATE cases SET sent = ? + (id % 600) * (id % 600) / 600.0", (STARTED,))
        database.execute("UPDATE coverage SET sent = ? + (id % 7) * 90", (STARTED,))
    return path


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def test_the_page_needs_no_other_file(run: Path) -> None:
    with reading(run) as store:
        page = render(store)
    parsed = _Page()
    parsed.feed(page)
    assert not [tag for tag, attributes in parsed.tags if {"src", "href"} & attributes.keys()]
    assert not {"script", "link", "img"} & {tag for tag, _ in parsed.tags}
    assert "url(" not in page
    assert "@import" not in page
    assert f"nst-fuzz replay {run} 151" in page
    assert "AES_GCM, transport_len 9" in page
    box = (run_keybox("html")[kid] for kid in run_keybox("html"))
    assert not any(key.hex() in page for key in box)


def test_lines_end_where_the_numbers_say() -> None:
    laid = chart("t", [Series("a", [(0, 0), (50, 40), (100, 100)]), Series("b", [(0, 0)])])
    first, second = laid.lines
    assert first.end == (laid.right, laid.top)
    assert first.path == "M56.0,192.0L296.0,120.0L536.0,12.0"
    assert second.end == (laid.left, laid.bottom)
    assert [tick.text for tick in laid.y_ticks] == ["0", "20", "40", "60", "80", "100"]
    assert [tick.text for tick in laid.x_ticks] == ["0 s", "20 s", "40 s", "60 s", "80 s", "100 s"]
    empty = chart("t", [])
    assert empty.lines == []
    assert 0 < empty.bottom < HEIGHT < WIDTH


def test_a_browser_shows_it(run: Path, tmp_path: Path) -> None:
    if shutil.which("chromium") is None:
        pytest.fail("chromium is missing; run: make setup")
    page = tmp_path / "run.html"
    with reading(run) as store:
        page.write_text(render(store), encoding="utf-8")

    def browse(*options: str) -> str:
        profile = tmp_path / "profile"
        shutil.rmtree(profile, ignore_errors=True)
        done = subprocess.run(
            [*BROWSER, f"--user-data-dir={profile}", *options, page.as_uri()],
            capture_output=True, text=True, check=True, timeout=100,
        )  # fmt: skip
        return done.stdout

    shown = browse("--dump-dom")
    assert "<title>nst-fuzz: the-run</title>" in shown  # no title of a finding was run
    assert shown.count("<svg") == 3
    assert shown.count('class="card finding"') == 4

    picture = tmp_path / "run.png"
    browse(f"--screenshot={picture}", "--window-size=1200,1600", "--hide-scrollbars")
    colours = _colours(picture.read_bytes())
    assert len(colours) > 20  # a page that stayed blank has one


def _colours(png: bytes) -> set[bytes]:
    """The bytes of a picture's rows at some of its pixels: enough to tell a blank one."""
    data, at = b"", 8
    while at < len(png):
        (length,) = struct.unpack_from(">I", png, at)
        if png[at + 4 : at + 8] == b"IDAT":
            data += png[at + 8 : at + 8 + length]
        at += 12 + length
    rows = zlib.decompress(data)
    return {rows[at : at + 3] for at in range(0, len(rows) - 3, 97)}
