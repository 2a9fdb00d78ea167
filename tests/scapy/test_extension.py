# SPDX-License-Identifier: GPL-2.0-or-later
"""The Scapy extension, and conf.nst."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
from captures import KEYBOX
from scapy.config import conf

import nst_scapy.association  # noqa: F401  # sets conf.nst
from nst_scapy.keybox import KeyBoxError
from nst_scapy.suite import SuiteId

UTS = Path(__file__).parent.parent / "uts"


def run(*command: str, home: Path) -> str:
    """Run with a home of its own, where Scapy keeps settings and completions.

    Scapy installs completions for users of bash only, and asks SHELL who that is.
    """
    environment = {**os.environ, "HOME": str(home), "XDG_DATA_HOME": str(home / "data")}
    environment |= {"XDG_CONFIG_HOME": str(home), "XDG_CACHE_HOME": str(home)}
    environment["SHELL"] = "/bin/bash"
    environment.pop("BASH_COMPLETION_USER_DIR", None)
    done = subprocess.run(
        command, env=environment, cwd=UTS, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_loading(tmp_path) -> None:
    said = run(
        sys.executable, "-c",
        "from scapy.all import *\n"
        "assert UDP not in IP() and not hasattr(conf, 'nst')\n"
        "conf.exts.load('nst-scapy')\n"
        "assert conf.nst.ports == (48879,)\n"
        "wire = bytes(IP()/UDP(dport=48879)/(bytes.fromhex('beef1337') + bytes(60)))\n"
        "assert IP(wire).lastlayer().name == 'NST'\n"
        "from scapy.layers.nst import NST, NSTAssociation\n"
        "load_layer('nst')\n"
        "explore('nst')\n"
        "print(conf.exts)\n",
        home=tmp_path,
    )  # fmt: skip
    assert "scapy.layers.nst" in said
    assert "NSTPlain" in said
    assert "arning" not in said
    completions = tmp_path / "data" / "bash-completion" / "completions"
    for name in "nst", "nst-fuzz":
        path = f"{sysconfig.get_path('scripts')}:{os.environ['PATH']}"
        script = f"PATH='{path}'; . '{completions / name}' && complete -p {name}"
        shown = run("bash", "-c", script, home=tmp_path)
        assert shown.startswith("complete")


def test_campaigns_of_utscapy(tmp_path) -> None:
    said = run(
        sys.executable, "-m", "scapy.tools.UTscapy", "-c", "nst.utsc", "-N", "-f", "text",
        "-o", str(tmp_path / "report.txt"), home=tmp_path,
    )  # fmt: skip
    assert "FAILED=0" in said, said
    assert "PASSED=0" not in said


class TestConf:
    """conf.nst"""

    @pytest.fixture(autouse=True)
    def _restore(self, monkeypatch):
        for name in "_keybox", "_suite":
            monkeypatch.setattr(conf.nst, name, getattr(conf.nst, name))

    def test_keybox(self, tmp_path):
        KEYBOX.save(tmp_path / "x")
        conf.nst.keybox = str(tmp_path / "x")
        assert dict(conf.nst.keybox) == dict(KEYBOX)
        assert "<KeyBox of 4 keys>" in repr(conf.nst)
        assert KEYBOX[0].hex() not in repr(conf.nst)
        (tmp_path / "x").write_text("0 xyz\n")
        with pytest.raises(KeyBoxError, match="x:1"):
            conf.nst.keybox = tmp_path / "x"
        assert dict(conf.nst.keybox) == dict(KEYBOX)
        conf.nst.keybox = None
        assert conf.nst.keybox is None

    def test_suite(self):
        conf.nst.suite = "SM4_GCM"
        assert conf.nst.suite is SuiteId.SM4_GCM
        with pytest.raises(ValueError, match="'DES' is not a suite"):
            conf.nst.suite = "DES"

    def test_ports(self):
        try:
            conf.nst.ports = [7000, 7001]
            assert conf.nst.ports == (7000, 7001)
        finally:
            conf.nst.ports = [48879]
