# SPDX-License-Identifier: GPL-2.0-or-later
"""What bugs are handed on as."""

from __future__ import annotations

import dataclasses
import itertools
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from fuzz.api import Call, option, sized
from fuzz.campaigns.catalogue import CAMPAIGNS
from fuzz.campaigns.runner import run_keybox
from fuzz.finding import Finding, FindingKind
from fuzz.script import Action, Loose, Step, api_step, keys_step, unpack
from fuzz.store import KEYBOX, Store
from fuzz.triage import outside
from fuzz.triage.buckets import buckets
from fuzz.triage.decisions import Decisions
from fuzz.triage.export import prove as proving
from fuzz.triage.export import verify as verifying
from fuzz.triage.export.c import c_program
from fuzz.triage.export.dossier import Dossier, Earlier
from fuzz.triage.export.junit import junit
from fuzz.triage.export.prove import filled
from fuzz.triage.export.python import python_script
from fuzz.triage.export.sarif import sarif
from fuzz.triage.export.text import html, markdown
from fuzz.triage.pieces import Raw, Sealed, length_of
from fuzz.triage.read import read
from fuzz.triage.records import (
    Connection,
    Datagram,
    Exchange,
    Reflection,
    exchanges_of,
    numbered_pieces,
)
from fuzz.triage.understand import understand
from nst_scapy.header import HEADER_LEN, MAGIC, Header, KeyParams, make_nonce
from tests.triage.cases import scripts

LOGS = Path(__file__).parent / "corpus" / "logs"
LOG = LOGS / "r0470.log"
NOW = 1_800_000_000_000_000_000
BOX = run_keybox("export")


def header(**fields: int) -> Header:
    plain = Header(
        magic=MAGIC, version=1, cipher_id=1, transport_len=5, timestamp=NOW, token=bytes(16),
        nonce=make_nonce(7, 0), kpos=65, kval=3, kid=2, flags=1,
    )  # fmt: skip
    return plain._replace(**fields)  # type: ignore[arg-type]


SEALED: list[Exchange] = [
    Datagram(6, Sealed(header(), b"hello", KeyParams(1, 2, 0, 3))),
    Reflection(4, b"\0\1\2\0"),
    Connection(
        4,
        (
            Sealed(header(flags=0), b"first", KeyParams(1, 2, 0, 3)),
            Sealed(header(flags=4, nonce=make_nonce(8, 0)), b"", KeyParams(1, 2, 0, 3), True),
        ),
        (1, 60),
        True,
    ),
]
RAW: list[Exchange] = [
    Datagram(4, Raw(header().pack() + bytes(5))),
    Connection(6, (Raw(b"junk" * 20),), (3,), False),
]


@pytest.fixture
def dossiers(tmp_path: Path) -> list[Dossier]:
    with Store.create(
        tmp_path / "run", seed="s", kernel="k <&>", kernel_name="n", module="m"
    ) as store:
        campaign = store.begin_campaign("dgram-record")
        case = store.begin_case(campaign, boot=1, name="c", script=b"", earliest=NOW, creation=0)
        log = LOG.read_text(errors="replace")
        store.add_finding(campaign, case, Finding(FindingKind.CRASH, "t", "d", log))
        store.add_finding(campaign, case, Finding(FindingKind.HANG, "no <answer>\1", "d"))
    BOX.save(tmp_path / "run" / KEYBOX)
    crash, hang = buckets([tmp_path / "run"], Decisions.load(tmp_path))
    report = crash.representative.report
    assert report is not None
    analysis = understand(report, remote=True)
    return [
        Dossier(crash, analysis, SEALED, NOW, 100, hits=3, tries=4, kids=(0, 2)),
        Dossier(hang, None, RAW, NOW, 100),
    ]


def test_scripts_are_python_and_hold_no_key(dossiers: list[Dossier], tmp_path: Path) -> None:
    for dossier in dossiers:
        script = python_script(dossier)
        compile(script, "reproducer", "exec")
        imports = re.findall(r"^(?:from|import) (\w+)", script, flags=re.MULTILINE)
        assert set(imports) - set(sys.stdlib_module_names) == {"scapy", "nst_scapy"}
        for text in (script, markdown(dossier, script), html(dossier, script)):
            assert not any(key.hex() in text for key in BOX.values())
    assert "came again in 3 of 4 tries" in python_script(dossiers[0])


def test_a_scripts_records_verify(dossiers: list[Dossier], tmp_path: Path) -> None:
    """The functions of the script itself, without a kernel to send to."""
    script = tmp_path / "reproducer.py"
    script.write_text(python_script(dossiers[0]))
    check = (
        "import reproducer as r\n"
        "from nst_scapy.epoch import Epoch\n"
        "sent = []\n"
        "r.load_keys = lambda: None\n"
        "r.reflect = lambda *a: None\n"
        "r.send_datagram = lambda version, record: sent.append(record)\n"
        "r.send_stream = lambda version, stream, cuts, fin: sent.append(stream)\n"
        "r.time.sleep = lambda s: None\n"
        "r.main()\n"
        "params = r.KeyParams(1, 2, 0, 3)\n"
        f"assert len(sent) == 2 * {dossiers[0].rounds} > 2\n"
        "datagram, stream, again, _ = sent[:4]\n"
        "assert Epoch(r.KEYS[2], params, 7).open(datagram) == b'hello'\n"
        "assert Epoch(r.KEYS[2], params, 7).open(stream[:53]) == b'first'\n"
        "assert Epoch(r.KEYS[2], params, 8).open(stream[53:], stream[24:40]) == b''\n"
        "assert Epoch(r.KEYS[2], params, 8).open(again) == b'hello'\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", check], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def compiled(program: str | None, tmp_path: Path) -> str:
    """A program in C, once a compiler has taken it without a warning."""
    assert program is not None
    (tmp_path / "r.c").write_text(program)
    compiler = shutil.which("cc") or shutil.which("gcc")
    assert compiler
    subprocess.run(
        [compiler, "-Wall", "-Wextra", "-Werror", "-o", tmp_path / "r", tmp_path / "r.c"],
        check=True,
    )
    return program


def test_c_where_no_key_is_needed(dossiers: list[Dossier], tmp_path: Path) -> None:
    sealed, raw = dossiers
    assert c_program(sealed) is None
    assert f"{HEADER_LEN + 5} }}" in compiled(c_program(raw), tmp_path)


def test_c_repeats_what_does_not_come_every_time(dossiers: list[Dossier], tmp_path: Path) -> None:
    _, raw = dossiers
    assert "round" not in compiled(c_program(raw), tmp_path)
    sometimes = dataclasses.replace(raw, hits=1, tries=4)
    assert sometimes.rounds > 1
    assert f"round < {sometimes.rounds};" in compiled(c_program(sometimes), tmp_path)


def test_reproducers_hold_the_cases_before(dossiers: list[Dossier], tmp_path: Path) -> None:
    first: list[Exchange] = [Datagram(4, Raw(header(kid=0).pack() + b"first"))]
    dossier = dataclasses.replace(dossiers[1], before=(Earlier(3, first, NOW),))
    script, program = python_script(dossier), compiled(c_program(dossier), tmp_path)
    for text in (script, program, markdown(dossier, script)):
        assert "case 3, which has to come before:" in text
    sent = [line.strip() for line in script.splitlines() if line.startswith("    send_")]
    assert sent[0] == "send_datagram(4, record)"
    assert len(sent) == 3
    assert program.count("deliver(SOCK_") == 3
    sealed = dataclasses.replace(dossier, before=(Earlier(3, SEALED, NOW),))
    assert c_program(sealed) is None


def test_bodies_are_filled_up_until_the_reproducers_show_the_bug(
    dossiers: list[Dossier], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sealed = dataclasses.replace(dossiers[0], hits=0, tries=0)
    shorter: Exchange = Datagram(4, Raw(header(transport_len=4).pack() + bytes(5)))
    exchanges = filled([*sealed.exchanges, *RAW, shorter], 700)
    lengths = [length_of(piece) for _, _, piece in numbered_pieces(exchanges)]
    full, unfinished = HEADER_LEN + 700, HEADER_LEN
    assert lengths == [full, full, unfinished, full, 80, HEADER_LEN + 5]
    announced = [p.header.transport_len for _, _, p in numbered_pieces(exchanges) if p.header]
    assert announced[:4] == [700] * 4
    assert announced[-1] == 4

    reports = read(LOG.read_bytes())
    crash = Finding(FindingKind.CRASH, reports[0].title, "")
    shown, quiet = verifying.Verification(reports, ""), verifying.Verification([], "")
    for answers, bodies, runs in (
        ([shown], 0, 1), ([quiet, shown], 700, 2), ([quiet, quiet, shown], 6000, 3),
        ([quiet, quiet, quiet], 0, 3),
    ):  # fmt: skip
        left = list(answers)
        monkeypatch.setattr(proving, "verify", lambda *_, left=left: left.pop(0))
        stem = tmp_path / "r"
        found, seen = proving.prove(sealed, stem, crash, None, tmp_path)  # type: ignore[arg-type]
        assert found.bodies == bodies
        assert len(answers) - len(left) == runs
        assert [path.name for path, _ in seen] == ["r.py"]
        assert (tmp_path / "r.py").read_text() == python_script(found)


def test_sarif(dossiers: list[Dossier]) -> None:
    log = json.loads(sarif(dossiers))
    (run,) = log["runs"]
    assert log["version"] == "2.1.0"
    crash, hang = run["results"]
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["message"]["text"]
    assert crash["ruleId"] == "KASAN-USE-AFTER-FREE-READ"
    assert crash["fingerprints"]["bucket/v1"] == dossiers[0].bucket.id
    assert crash["stacks"][0]["frames"]
    assert hang["ruleId"] == "HANG"


def test_junit(dossiers: list[Dossier]) -> None:
    suite = ElementTree.fromstring(junit(dossiers))
    assert suite.get("failures") == "2"
    names = [test.get("name") for test in suite.iter("testcase")]
    assert names == ["KASAN: use-after-free Read in bcsp_close", "no <answer>�"]


def test_reports_for_people(dossiers: list[Dossier]) -> None:
    script = python_script(dossiers[0])
    text = markdown(dossiers[0], script)
    assert text.startswith("# KASAN: use-after-free Read in bcsp_close\n")
    assert "* access: read of 4 bytes" in text
    assert "Freed by:" in text
    assert script in text
    page = html(dossiers[0], script)
    assert "k &lt;&amp;&gt;" in page
    assert "k <&>" not in page


def course(*records: bytes) -> list[Exchange]:
    """Two records with calls between them, and the key box changed."""
    steps = [
        Step(Action.CONNECT, 4), Step(Action.SEGMENT, 0, records[0]), Step(Action.ACCEPT, 4),
        Step(Action.RECEIVE), keys_step({0: 0, 2: 0}), Step(Action.SEGMENT, 0, records[1]),
        Step(Action.LOOK), Step(Action.SEND, 0, b"a reply"), Step(Action.SHUTDOWN, 1),
        Loose(sum(map(len, records)), 0x11).step(), Step(Action.CLOSE),
        Step(Action.DATAGRAM, 6, records[0]),
    ]  # fmt: skip
    return exchanges_of(steps, BOX)


@pytest.mark.parametrize("records", [(b"junk" * 20, b"more"), (header().pack(), b"\0" * 9)])
def test_calls_are_calls_in_c(
    dossiers: list[Dossier], tmp_path: Path, records: tuple[bytes, bytes]
) -> None:
    dossier = dataclasses.replace(dossiers[0], exchanges=course(*records))
    program = compiled(c_program(dossier), tmp_path)
    body = program[program.index("static void attempt") : program.index("int main")]
    calls = re.findall(r"^\t\t(\w+)\(", body, flags=re.MULTILINE)
    assert [name for name in calls if name != "stamp"] == [
        "open_receivers", "open_peer", "send_peer", "accept_kept", "receive_kept", "collect",
        "load_keys", "send_peer", "look_kept", "send_kept", "shutdown_kept", "fin_peer",
        "close_kept", "send_datagram", "finish",
    ]  # fmt: skip


@pytest.mark.parametrize("name", list(CAMPAIGNS))
def test_every_kind_of_case_has_a_script(
    dossiers: list[Dossier], tmp_path: Path, name: str
) -> None:
    for number, script in enumerate(itertools.islice(scripts(CAMPAIGNS[name], BOX), 0, 200, 4)):
        exchanges = exchanges_of(unpack(script), BOX)
        dossier = dataclasses.replace(dossiers[0], exchanges=exchanges, kids=tuple(sorted(BOX)))
        text = python_script(dossier)
        assert not any(key.hex() in text for key in BOX.values())
        (tmp_path / f"script{number}.py").write_text(text)
    # Each name is there, and nothing that is not needed.
    command = [sys.executable, "-m", "ruff", "check", "--isolated", "--select", "F", tmp_path]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


def test_scripts_tell_what_sockets_can_send_from_what_they_cannot(dossiers: list[Dossier]) -> None:
    steps = [Step(Action.CONNECT, 4), Loose(0, 0x18, payload=b"data").step()]
    for last, alone in ((Loose(4, 0x11), True), (Loose(4, 0x11, urgent=1), False)):
        exchanges = exchanges_of([*steps, last.step()], BOX)
        text = python_script(dataclasses.replace(dossiers[0], exchanges=exchanges))
        assert ("class Link" in text) != alone
        assert ("create_connection" in text) == alone


def test_calls_are_made_with_all_that_is_chosen(dossiers: list[Dossier]) -> None:
    calls = [sized(Call.READV, (5, 7)), option(6, 1, 1), sized(Call.WRITERS, (9,), 0x4, wait=20)]
    steps = [Step(Action.CONNECT, 4), Step(Action.ACCEPT, 4), *map(api_step, calls)]
    dossier = dataclasses.replace(dossiers[0], exchanges=exchanges_of(steps, BOX))
    script = python_script(dossier)
    assert "app.call(0, 'readv', [5, 7])" in script
    assert "app.call(0, 'set_option', [], value=0x600000001, option=b'\\x01\\x00" in script
    assert "app.call(0, 'writers', [9], flags=0x4, wait=20)" in script
    assert c_program(dossier) is None


def test_a_guest_that_says_nothing_is_tried_once_more(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    reports = read(LOG.read_bytes())
    died, shown = verifying.Verification([], ""), verifying.Verification(reports, "")
    quiet = verifying.Verification([], "still running")
    for runs, last, count in (
        ([(died, False), (shown, False)], shown, 2),
        ([(shown, False)], shown, 1),
        ([(quiet, True)], quiet, 1),
        ([(died, False), (died, False)], died, 2),
    ):
        left = list(runs)
        monkeypatch.setattr(verifying, "_run", lambda *_, left=left: left.pop(0))
        assert verifying.verify(tmp_path, None, tmp_path) is last  # type: ignore[arg-type]
        assert len(runs) - len(left) == count
    crash = Finding(FindingKind.CRASH, reports[0].title, "")
    assert shown.shows(crash)
    assert not quiet.shows(crash)


def test_a_hang_is_shown_by_a_task_that_hangs_in_the_module() -> None:
    silence = Finding(FindingKind.HANG, outside.LOST_CONNECTION, "")
    log = (LOGS / "r1001.log").read_text()
    theirs = verifying.Verification(read(log.encode()), "")
    frame = re.search(r"\w+\+0x[0-9a-f]+/0x[0-9a-f]+(?=\n(?:.*\n)*?.*p9_fd_close)", log)
    assert frame
    log = log.replace(frame[0], f"{frame[0]} [nst]")
    ours = verifying.Verification(read(log.encode()), "")
    assert theirs.reports[0].type == ours.reports[0].type == "HANG"
    assert ours.shows(silence)
    assert not theirs.shows(silence)
