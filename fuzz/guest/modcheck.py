# SPDX-License-Identifier: GPL-2.0-or-later
"""What the kernel's own checkers say about the module: checkpatch, extra warnings, sparse."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from fuzz.guest import kbuild, module
from fuzz.guest.errors import SetupError
from fuzz.guest.kernel import Kernel

_COMPLAINT = re.compile(r"(?::| )(?:warning|error|ERROR|WARNING|CHECK): ")
# A kernel without KUnit compiles the unit tests; linking them is not for it.
_LINKING = re.compile(r"modpost|Error \d+$")
# Its KUnit has kunit_add_action_or_reset(), which undoes what a test did.
_UNIT_TESTS_SINCE = (6, 5)


def checkpatch(kernel: Kernel, source: Path = module.SOURCE) -> list[str]:
    """Return the complaints of the kernel's `checkpatch.pl --strict`, one line each."""
    if shutil.which("perl") is None:
        raise SetupError("perl is missing: apt-get install perl")
    files = sorted(str(path.relative_to(source)) for path in source.rglob("*.[ch]"))
    done = subprocess.run(
        ["perl", str(kernel.checkpatch), "--no-tree", "--strict", "--terse", "--file", *files],
        cwd=source, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return _complaints(done.stdout)


def warnings(kernel: Kernel, source: Path = module.SOURCE) -> list[str]:
    """Return what the compiler says at W=1, and sparse, about the module.

    About its unit tests, too, if the kernel is not too old to run them.
    """
    if shutil.which("sparse") is None:
        raise SetupError("sparse is missing: apt-get install sparse")
    with tempfile.TemporaryDirectory(prefix="nst-check-") as folder:
        shutil.copytree(source, folder, ignore=module.PRODUCTS, dirs_exist_ok=True)
        variables = [f"KDIR={kernel.build}", "W=1", "C=2"]
        status, output = kbuild.make(Path(folder), *variables)
        found = _complaints(output.replace(folder, str(source)))
        if status != 0 and not found:
            found = output.splitlines()[-20:]
        variables.append(module.EDGES)
        if tuple(map(int, kernel.release.split(".")[:2])) >= _UNIT_TESTS_SINCE:
            variables.append(f"NST_KUNIT={module.VECTORS}")
        _, output = kbuild.make(Path(folder), *variables)
        tests = _complaints(output.replace(folder, str(source)))
    return found + [line for line in tests if not _LINKING.search(line) and line not in found]


def _complaints(output: str) -> list[str]:
    return [line for line in output.splitlines() if _COMPLAINT.search(line)]
