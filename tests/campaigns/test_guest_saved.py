# SPDX-License-Identifier: GPL-2.0-or-later
"""A guest that was used up comes back as it was when it had just booted."""

from __future__ import annotations

import time
from pathlib import Path

from fuzz.campaigns.runner import run_keybox
from fuzz.guest.kernel import Kernel
from fuzz.lab import Lab
from fuzz.rig import Rig
from fuzz.script import Action, Step
from nst_scapy.header import Transport
from nst_scapy.sender import DgramSender
from nst_scapy.verdict import Verdict

OK, REPLAY = ((Transport.DGRAM, verdict) for verdict in (Verdict.OK, Verdict.REPLAY))


def test_a_restart_brings_back_an_unused_guest(
    kernel: Kernel, nst_ko: Path, tmp_path: Path
) -> None:
    box = run_keybox("saved")
    box.save(tmp_path / "keybox")
    rig = Rig(kernel, module=nst_ko, keybox=tmp_path / "keybox", workdir=tmp_path / "guest")

    def verdicts(lab: Lab, script: bytes) -> list[tuple[Transport, Verdict]]:
        execution = lab.execute(script)
        assert execution.difference is None
        return list(execution.seen.verdicts)

    with rig:
        lab = Lab(rig)
        booted = len(rig.guest.console)
        step = Step(Action.DATAGRAM, 4, DgramSender(box).seal(b"once", now=lab.now()))
        assert verdicts(lab, step.pack()) == [OK]
        assert verdicts(lab, step.pack()) == [REPLAY]
        first = lab.creation
        lab.restart()
        assert lab.boots == 2
        assert len(rig.guest.console) == booted  # no kernel booted
        assert abs(lab.now() - time.time_ns()) < 5e9
        assert first < lab.creation <= lab.now()
        # Its tables are those of now: they know nothing, and refuse what is older than they.
        assert verdicts(lab, step.pack()) == [REPLAY]
        again = Step(Action.DATAGRAM, 4, DgramSender(box).seal(b"again", now=lab.now()))
        assert verdicts(lab, again.pack()) == [OK]

        # If what was saved is lost, it boots.
        rig.guest.saved = False
        lab.restart()
        assert len(rig.guest.console) > booted
        assert rig.guest.saved
