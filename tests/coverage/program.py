# SPDX-License-Identifier: GPL-2.0-or-later
"""A run's directory with gcov's real data, of a small program in place of the module."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from fuzz.coverage import kept

CHECK_H = """\
static int __attribute__((noinline)) is_large(int value)
{
	return value > 9 ? 1 : 0;
}
"""
CHECK_C = """\
#include <stdlib.h>
#include "check.h"

int refused(int value)
{
	if (value == 77)
		abort();
	return -value;
}

int main(int argc, char **argv)
{
	int sum = 0;

	for (int i = 1; i < argc; i++) {
		int value = atoi(argv[i]);

		if (value < 0)
			sum += refused(value);
		else if (is_large(value))
			sum += 1;
	}
	return sum > 100;
}
"""


def made_run(run: Path, boots: Sequence[tuple[str, Sequence[str]]], source: str = CHECK_C) -> Path:
    """Compile `source` as `check.c` and run it once for each boot: campaign, and arguments."""
    build = run / kept.FOLDER / "build"
    build.mkdir(parents=True)
    (build / "check.h").write_text(CHECK_H)
    (build / "check.c").write_text(source)
    (build / "compiler").write_text("gcc\n")
    subprocess.run(["gcc", "-O1", "--coverage", "-c", "check.c"], cwd=build, check=True)
    subprocess.run(["gcc", "--coverage", "-o", "check", "check.o"], cwd=build, check=True)
    for campaign, arguments in boots:
        subprocess.run(["./check", *arguments], cwd=build, check=True)
        data = build / "check.gcda"
        folder = kept.folder_of(run, campaign)
        assert folder is not None
        kept.keep_boot({f"/sys/kernel/debug/gcov{build}/check.gcda": data.read_bytes()}, folder)
        data.unlink()
    return run
