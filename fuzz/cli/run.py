# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz run`: run campaigns against the module in a guest."""

from __future__ import annotations

import itertools
import json
import secrets
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import click

from fuzz.campaigns.catalogue import MUTANTS, campaign, check_kernel, fitting
from fuzz.campaigns.progress import Limits
from fuzz.cli._duration import Duration
from fuzz.cli._running import conclude, go
from fuzz.corpus.entry import Corpus
from fuzz.corpus.run import begin
from fuzz.coverage import kept
from fuzz.errors import UserError
from fuzz.guest import kernel
from fuzz.guest.kernel import Kernel
from fuzz.guest.kmemleak import check_kernel as check_kmemleak
from fuzz.guest.module import EDGES, GCOV, SOURCE, build_module
from fuzz.store import KMEMLEAK, Store

_DEFAULT_CASES = 1000


@click.command(
    epilog="Examples: nst-fuzz run --cases 1000 stream-record dgram-record | "
    "nst-fuzz run --time 10m --seed 7 dgram-record | nst-fuzz run --all --jobs 4 --time 10m | "
    "nst-fuzz run --module ~/patched-kmod --cases 500"
)
@click.argument("names", nargs=-1, metavar="[CAMPAIGN]...")
@click.option("--all", "all_", is_flag=True, help="Run all campaigns.")
@click.option("--kernel", "kernel_name", default=kernel.DEFAULT, show_default=True, metavar="NAME")
@click.option(
    "--cases",
    type=click.IntRange(1),
    metavar="N",
    help=f"Cases of each campaign. [default: {_DEFAULT_CASES}, without --time]",
)
@click.option(
    "--time",
    "seconds",
    type=Duration(),
    help="For all campaigns together, not counting the boot of guests: 90s, 10m, 1h.",
)
@click.option(
    "--jobs",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    metavar="N",
    help="Guests at a time. With more of them than campaigns, these are run in several shards.",
)
@click.option(
    "--max-findings",
    type=click.IntRange(1),
    default=10,
    show_default=True,
    metavar="N",
    help="Stop after N different findings.",
)
@click.option(
    "--scheduler",
    metavar="ADDRESS",
    help="Run in the guests of a Dask cluster's workers instead: tcp://HOST:PORT.",
)
@click.option("--seed", metavar="TEXT", help="Run the same cases again. [default: random]")
@click.option(
    "--output",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="New directory to write to. [default: nst-runs/TIME]",
)
@click.option(
    "--module",
    "module_path",
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH",
    help="An nst.ko, or the directory of its source. [default: kmod/]",
)
@click.option(
    "--coverage", is_flag=True,
    help="Measure which lines of the module run, for `nst-fuzz coverage`.",
)  # fmt: skip
@click.option(
    "--corpus", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
    help="Keep cases that take new edges in DIR, and have the campaign mutants change those"
    " that are there already.",
)  # fmt: skip
@click.option(
    "--kmemleak", is_flag=True,
    help="Have the kernel look at the end of each shard for memory that the module lost, be it one"
    " object. Needs --kernel sanitizer-6.12, half a minute for each shard, and up to twice as long"
    " for cases.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON.")  # fmt: skip
def command(
    names: tuple[str, ...],
    all_: bool,
    jobs: int,
    scheduler: str | None,
    kernel_name: str,
    cases: int | None,
    seconds: float | None,
    max_findings: int,
    seed: str | None,
    output: Path | None,
    module_path: Path | None,
    coverage: bool,
    corpus: Path | None,
    kmemleak: bool,
    as_json: bool,
) -> None:
    """Run campaigns (all, if none is named) and print a summary.

    Every case is kept in the output directory, which `nst-fuzz report` and
    `nst-fuzz replay` read. Exits with 0 if there is no finding, with 1 if there is one,
    with 130 after Ctrl-C; what ran until then is summarized all the same, and
    `nst-fuzz resume` goes on with it.
    """
    if all_ and names:
        raise click.UsageError("--all runs every campaign: name none")
    path = output or _fresh_path()
    chosen = kernel.find(kernel_name)
    campaigns = [campaign(name, path) for name in dict.fromkeys(names)]
    for one in campaigns:
        check_kernel(one, chosen)
    if not names:
        campaigns, unfit = fitting(chosen)
        for one in unfit:
            click.echo(f"{one.name} is left out: it needs --kernel sanitizer-6.12", err=True)
    if corpus is not None and not names and Corpus(corpus).cases():
        campaigns.append(campaign(MUTANTS, path))
    if cases is None and seconds is None:
        cases = _DEFAULT_CASES
    seed = secrets.token_hex(4) if seed is None else seed
    if coverage:
        kept.check_kernel(chosen)
    if kmemleak:
        check_kmemleak(chosen)
    switches = [*([GCOV] if coverage else []), *([EDGES] if corpus is not None else [])]
    module = _module(chosen, module_path, switches)
    limits = Limits(cases, seconds, max_findings)
    with Store.create(
        path, seed=seed, kernel=f"{chosen.name} ({chosen.release})", kernel_name=chosen.name,
        module=str(module.resolve()), campaigns=" ".join(c.name for c in campaigns),
        limits=json.dumps(asdict(limits)), jobs=str(jobs), **({KMEMLEAK: "1"} if kmemleak else {}),
    ) as store:  # fmt: skip
        if coverage:
            kept.keep_build(module, chosen, path)
        if corpus is not None:
            begin(path, corpus)
        interrupted = go(
            store,
            campaigns,
            chosen,
            module,
            limits,
            jobs=jobs,
            scheduler=scheduler,
            as_json=as_json,
        )
    conclude(path, interrupted=interrupted, as_json=as_json)


def _module(chosen: Kernel, path: Path | None, switches: Sequence[str]) -> Path:
    """The nst.ko to test."""
    if path is None or path.is_dir():
        return build_module(chosen, path or SOURCE, switches=switches)
    if switches:
        raise UserError(f"{path}: is built already; what measures it is built in: give its source")
    return path


def _fresh_path() -> Path:
    """A run directory named after the time, and numbered if that is taken."""
    name = time.strftime("%Y%m%d-%H%M%S")
    candidates = (Path("nst-runs", name + suffix) for suffix in _suffixes())
    return next(path for path in candidates if not path.exists())


def _suffixes() -> Iterator[str]:
    yield ""
    yield from (f"-{number}" for number in itertools.count(2))
