# SPDX-License-Identifier: GPL-2.0-or-later
"""What kmemleak reports, as the target program sifts it, and what a finding makes of that."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

import fuzz.target
from fuzz.finding import Finding, FindingKind
from fuzz.oracles.kmemleak import Losses
from fuzz.oracles.monitors import Current, KmemleakOracle

MAX_TEXT = 1000
HEAD = """\
unreferenced object 0xffff888000cb0540 (size 32):
  comm "target", pid 62, jiffies 4294938537
"""
DUMP = """\
  hex dump (first 32 bytes):
    4b 45 59 4b 45 59 4b 45 59 4b 45 59 4b 45 59 4b  KEYKEYKEYKEYKEYK
    00 00 00 00 00 00 00 00 20 5b 6e 73 74 5d 00 00  ........ [nst]..
"""
OUR_TRACE = """\
  backtrace (crc c04b2573):
    __kmalloc_noprof+0x277/0x440
    nst_plain_alloc+0x21/0x40 [nst]
    nst_dgram_judge+0x693/0x6f0 [nst]
    __sys_recvfrom+0x166/0x230
"""
ALIEN_TRACE = """\
  backtrace (crc 1c3a90e4):
    kmem_cache_alloc_noprof+0x1e2/0x3b0
    virtio_probe+0x41/0x100 [virtio]
    driver_nst+0x10/0x20
"""
OURS, ALIEN = HEAD + DUMP + OUR_TRACE, HEAD + DUMP + ALIEN_TRACE
PROGRAM = """\
#include <stdio.h>
#include <string.h>
#include "target.h"

int main(int argc, char **argv)
{
	char text[MAX_TEXT];
	size_t length;
	int error = argc == 2 ? lost_memory(argv[1], text, &length) : 1;

	if (error)
		puts(strerror(error));
	else
		fwrite(text, length, 1, stdout);
	return !!error;
}
"""


@pytest.fixture(scope="module")
def sift(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A program of what the target program does with a file of reports."""
    folder, target = tmp_path_factory.mktemp("sift"), Path(fuzz.target.__file__).parent
    (folder / "main.c").write_text(PROGRAM)
    subprocess.run(
        ["gcc", "-O1", "-fsanitize=address,undefined", "-Wall", "-Wextra", "-Werror",
         f"-I{target}", "-o", folder / "sift", folder / "main.c", target / "kmemleak.c"],
        check=True,
    )  # fmt: skip
    return folder / "sift"


@pytest.mark.parametrize(
    ("reports", "told"),
    [
        ("", "0\n"),
        (ALIEN * 3, "0\n"),
        (OURS, "1\n" + HEAD + OUR_TRACE),
        (ALIEN + OURS + ALIEN + OURS.replace("32", "64"), "2\n" + HEAD + OUR_TRACE),
        (OURS * 5000, "5000\n" + HEAD + OUR_TRACE),
    ],
)  # fmt: skip
def test_only_what_the_module_allocated_counts(
    sift: Path, tmp_path: Path, reports: str, told: str
) -> None:
    (tmp_path / "kmemleak").write_text(reports)
    done = subprocess.run([sift, tmp_path / "kmemleak"], capture_output=True, text=True, check=True)
    assert done.stdout == told


def test_a_deep_stack_is_cut(sift: Path, tmp_path: Path) -> None:
    (tmp_path / "kmemleak").write_text(OURS + "    deep+0x1/0x2\n" * 99)
    done = subprocess.run([sift, tmp_path / "kmemleak"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("1\n" + HEAD + OUR_TRACE + "    deep+0x1/0x2\n")
    assert MAX_TEXT - 12 < len(done.stdout) <= MAX_TEXT


def test_without_the_file_there_is_an_error(sift: Path, tmp_path: Path) -> None:
    done = subprocess.run([sift, tmp_path / "missing"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, os.strerror(2) + "\n")


def test_the_title_names_who_asked_for_the_memory() -> None:
    report = HEAD + OUR_TRACE
    assert Losses.parse(f"7\n{report}") == Losses(7, "memory leak in nst_dgram_judge", report)


def test_nothing_lost_is_no_report() -> None:
    assert Losses.parse("0\n") == Losses(0)


@pytest.mark.parametrize("text", ["", "many\n", "3\n", "3\nno report\n"])
def test_what_is_no_answer_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no report of kmemleak|invalid literal"):
        Losses.parse(text)


class Guest:
    """A guest in which kmemleak finds something, or nothing."""

    def __init__(self, losses: Losses) -> None:
        self.searches = 0
        self._losses = losses

    def losses(self) -> Losses:
        self.searches += 1
        return self._losses


LOST = Losses(2, "memory leak in nst_dgram_judge", HEAD + OUR_TRACE)
GROWS = Finding(FindingKind.LEAK, "kmalloc-32 grows", "more")


@pytest.mark.parametrize(
    ("finding", "losses", "title", "searches"),
    [
        (None, LOST, None, 0),
        (Finding(FindingKind.CRASH, "BUG", ""), LOST, "BUG", 0),
        (GROWS, LOST, LOST.title, 1),
        (GROWS, Losses(0), GROWS.title, 1),
    ],
)
def test_after_a_case_only_what_grows_is_looked_for(
    finding: Finding | None, losses: Losses, title: str | None, searches: int
) -> None:
    guest, current = Guest(losses), Current("", 1, finding=finding)
    KmemleakOracle(lambda: current, guest).post_send()  # type: ignore[arg-type]
    assert (current.finding.title if current.finding else None) == title
    assert guest.searches == searches


@pytest.mark.parametrize(
    ("cases", "losses", "title"), [(9, LOST, LOST.title), (9, Losses(0), None), (0, LOST, None)]
)
@pytest.mark.parametrize("finding", [None, GROWS])
def test_in_the_end_all_is_looked_for(
    cases: int, losses: Losses, title: str | None, finding: Finding | None
) -> None:
    current = Current("", cases, finding=finding)
    found = KmemleakOracle(lambda: current, Guest(losses)).conclude()  # type: ignore[arg-type]
    assert (found.title if found else None) == title
    if found is not None:
        assert (found.kind, found.log) == (FindingKind.LEAK, LOST.report)
        assert found.detail.startswith("more; objects" if finding else "objects")
