# SPDX-License-Identifier: GPL-2.0-or-later
"""The kernel's checkers have nothing to say about the module, and would if there were."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from fuzz.guest import modcheck
from fuzz.guest.kernel import Kernel
from fuzz.guest.module import SOURCE

pytestmark = pytest.mark.timeout(600)


def test_style(kernel: Kernel) -> None:
    assert modcheck.checkpatch(kernel) == []


def test_warnings(kernel: Kernel) -> None:
    assert modcheck.warnings(kernel) == []


def test_bad_code_is_named(kernel: Kernel, tmp_path: Path) -> None:
    source = tmp_path / "kmod"
    source.mkdir()
    shutil.copy(SOURCE / ".checkpatch.conf", source)
    (source / "Kbuild").write_text("obj-m := nst.o\n")
    shutil.copy(SOURCE / "Makefile", source)
    (source / "nst.c").write_text(
        "// SPDX-License-Identifier: GPL-2.0\n#include <linux/module.h>\n"
        "int nst_shared;\n"
        'MODULE_DESCRIPTION("none");\nMODULE_LICENSE( "GPL" );\n'
    )
    assert any("space" in line for line in modcheck.checkpatch(kernel, source))
    assert any("nst_shared" in line for line in modcheck.warnings(kernel, source))
