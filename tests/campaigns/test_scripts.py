# SPDX-License-Identifier: GPL-2.0-or-later
"""Exported scripts do what their cases do: the module's verdicts are the model's."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from fuzz.campaigns.catalogue import CAMPAIGNS
from fuzz.campaigns.runner import run_keybox
from fuzz.finding import Finding, FindingKind
from fuzz.oracles.clock import Interval
from fuzz.oracles.shadow import Moment, Shadow
from fuzz.script import unpack
from fuzz.store import KEYBOX, Store
from fuzz.triage.buckets import buckets
from fuzz.triage.decisions import Decisions
from fuzz.triage.export.dossier import Dossier
from fuzz.triage.export.python import python_script
from fuzz.triage.records import exchanges_of
from nst_scapy.replay import DEFAULT_WINDOW_NS
from nst_scapy.suite import SuiteId
from tests.triage.cases import NOW, scripts, told

pytestmark = pytest.mark.timeout(900)
BOX = run_keybox("scripts")
KINDS = (
    "stream-segments", "stream-lifecycle", "stream-initiator", "dgram-ip", "keys", "receive-api",
    "send-api",
)  # fmt: skip
EACH, APART = 2, 99
"""Cases of each, and how far they are apart in the campaign."""
_OLD = 10**10
_ROOM = 1 << 16


def expected(script: bytes) -> Counter[str]:
    """What the model makes of a case."""
    model = Shadow(
        BOX, list(SuiteId), window_ns=DEFAULT_WINDOW_NS, stream_sessions=_ROOM, dgram_sessions=_ROOM
    )
    moment = Moment(Interval(NOW, NOW), Interval(NOW - _OLD, NOW - _OLD))
    verdicts = model.judge(told(unpack(script), BOX), moment)[0].verdicts
    return Counter({f"{where.value} {what.value}": n for (where, what), n in verdicts.items()})


def test_scripts_have_the_verdicts_of_their_cases(nst_fuzz: str, tmp_path: Path) -> None:
    run = tmp_path / "run"
    with Store.create(run, seed="s", kernel="k", kernel_name="n", module="m") as store:
        campaign = store.begin_campaign("keys")
        case = store.begin_case(campaign, boot=1, name="c", script=b"", earliest=NOW, creation=0)
        store.add_finding(campaign, case, Finding(FindingKind.HANG, "none", "none"))
    BOX.save(run / KEYBOX)
    (bucket,) = buckets([run], Decisions.load(tmp_path))
    wanted = {}
    for kind in KINDS:
        found = 0
        for script in itertools.islice(scripts(CAMPAIGNS[kind], BOX), 0, None, APART):
            exchanges = exchanges_of(unpack(script), BOX)
            dossier = Dossier(bucket, None, exchanges, NOW, len(script), kids=tuple(sorted(BOX)))
            text = python_script(dossier)
            if "no script does this" in text:
                continue  # it has a buffer where no memory is
            path = tmp_path / f"{kind}-{found}.py"
            path.write_text(text)
            wanted[str(path)] = expected(script)
            found += 1
            if found == EACH:
                break
    program = Path(__file__).with_name("scripts_in_guest.py")
    done = subprocess.run(
        [nst_fuzz, "guest", "run", "--", sys.executable, str(program), *wanted],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert {line["script"]: line["verdicts"] for line in lines} == wanted, done.stderr
    assert any(sum(verdicts.values()) > 1 for verdicts in wanted.values())
