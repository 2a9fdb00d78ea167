# SPDX-License-Identifier: GPL-2.0-or-later
"""What a run keeps of its coverage, and reading that.

    RUN/coverage/build/           the compiler's notes (.gcno) and the module's source
    RUN/coverage/CAMPAIGN/BOOT/   gcov's data files (.gcda) of one boot of a guest

The data say nothing without the notes of the very build that they come from, so these
are kept with them; a run can be read after the module has changed.
"""

from __future__ import annotations

import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from fuzz.coverage.lines import CoverageError, Lines, merged, parse, run_gcov
from fuzz.coverage.statements import unconditional
from fuzz.guest import debian
from fuzz.guest.errors import SetupError
from fuzz.guest.kernel import Kernel

FOLDER = "coverage"
_BUILD = "build"
_BOOT = "boot-"
_COMPILER = "compiler"
_GUESTS = PurePosixPath("/sys/kernel/debug/gcov")
_OPTION = "CONFIG_GCOV_KERNEL"


@dataclass(frozen=True)
class Measured:
    """The coverage of some runs of one version of the module.

    Attributes:
        campaigns: of each, by name.
        source: the text of the module's files by name.
    """

    campaigns: dict[str, Lines]
    source: dict[str, str]

    @property
    def total(self) -> Lines:
        """Of all campaigns together."""
        return merged(self.campaigns.values())


def check_kernel(kernel: Kernel) -> None:
    """Raise SetupError if a kernel cannot tell what of a module has run."""
    if kernel.lacks([_OPTION]):
        raise SetupError(
            f"kernel {kernel.name} has no {_OPTION}, which coverage needs;"
            " use --kernel sanitizer-6.12"
        )


def folder_of(run: Path, campaign: str) -> Path | None:
    """Where a run keeps the data files of a campaign; `None` if it measures no coverage."""
    return run / FOLDER / campaign if (run / FOLDER).is_dir() else None


def begin(run: Path) -> None:
    """Have a run measure coverage; what is needed to read it (`keep_build`) is kept elsewhere."""
    (run / FOLDER).mkdir()


def keep_build(module: Path, kernel: Kernel, run: Path) -> None:
    """Keep what is needed to read data files of a built nst.ko: the run measures coverage."""
    into = run / FOLDER / _BUILD
    into.mkdir(parents=True)
    for path in module.parent.rglob("*"):
        if path.suffix in (".gcno", ".c", ".h") and not path.name.endswith(".mod.c"):
            kept = into / path.relative_to(module.parent)
            kept.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, kept)
    (into / _COMPILER).write_text(debian.compiler(kernel.build) + "\n")


def keep_boot(files: Mapping[str, bytes], campaign: Path) -> None:
    """Keep the data files of one boot, given by their paths in the guest."""
    campaign.mkdir(parents=True, exist_ok=True)
    boot = Path(tempfile.mkdtemp(prefix=_BOOT, dir=campaign))
    for name, contents in files.items():
        # Below gcov's directory it is the path at which the object was compiled.
        object_ = PurePosixPath("/", PurePosixPath(name).relative_to(_GUESTS))
        (boot / object_.name).write_bytes(contents)
        (boot / "root").write_text(f"{object_.parent}\n")


def boots_of(run: Path, campaign: str) -> list[dict[str, bytes]]:
    """The files kept of each boot of a campaign's guests, to be taken into another run."""
    folder = run / FOLDER / campaign
    return [
        {path.name: path.read_bytes() for path in boot.iterdir()}
        for boot in sorted(folder.glob(f"{_BOOT}*"))
    ]


def take_in(files: Mapping[str, bytes], campaign: Path, name: str) -> None:
    """Keep what another run kept of a boot; by the same name it takes the former's place."""
    campaign.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix="new-", dir=campaign))
    for file, contents in files.items():
        (fresh / file).write_bytes(contents)
    boot = campaign / f"{_BOOT}{name}"
    shutil.rmtree(boot, ignore_errors=True)
    fresh.rename(boot)


def read(runs: Sequence[Path]) -> Measured:
    """Read and add up the coverage of runs.

    Raises:
        CoverageError: there is none, it is of different versions of the module, or gcov
            cannot read it.
    """
    campaigns: dict[str, list[Lines]] = {}
    source: dict[str, str] = {}
    for run in runs:
        build = run / FOLDER / _BUILD
        if not build.is_dir():
            raise CoverageError(f"{run}: no coverage; run: nst-fuzz run --coverage")
        texts = {
            str(path.relative_to(build)): path.read_text() for path in sorted(build.rglob("*.[ch]"))
        }
        if source and texts != source:
            name = next(n for n in sorted({*texts, *source}) if texts.get(n) != source.get(n))
            raise CoverageError(f"{run}: another version of {name} than in {runs[0]}")
        source = texts
        for campaign, lines in _boots(run / FOLDER, build):
            campaigns.setdefault(campaign, []).append(lines)
    if not campaigns:
        raise CoverageError(f"{', '.join(map(str, runs))}: no guest has told its coverage")
    found = {name: merged(parts) for name, parts in campaigns.items()}
    unasked = {name: unconditional(text) for name, text in source.items()}
    for lines in found.values():
        for name, one in lines.items():
            for number in one.lines.keys() & unasked.get(name, frozenset()):
                one.lines[number].asks_nothing()
    return Measured(found, source)


def _boots(folder: Path, build: Path) -> Iterator[tuple[str, Lines]]:
    command = _gcov((build / _COMPILER).read_text().strip())
    for boot in sorted(folder.glob(f"*/{_BOOT}*")):
        with tempfile.TemporaryDirectory(prefix="nst-gcov-") as work:
            for path in (*build.glob("*.gcno"), *boot.glob("*.gcda")):
                (Path(work) / path.name).symlink_to(path.resolve())
            root = boot / "root"
            if root.exists():
                yield boot.parent.name, parse(run_gcov(command, Path(work)), root.read_text()[:-1])


def _gcov(compiler: str) -> str:
    """The gcov that belongs to a compiler, which has to be of its version."""
    if re.search(r"gcc-\d+$", compiler):
        return compiler.replace("gcc-", "gcov-")
    return "gcov"
