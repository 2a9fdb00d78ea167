# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst-fuzz replay`: send a stored case again."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from fuzz.campaigns.catalogue import campaign
from fuzz.guest import kernel
from fuzz.guest.kmemleak import check_kernel as check_kmemleak
from fuzz.guest.module import SOURCE, build_module
from fuzz.replay import Replay, replay
from fuzz.stored import reading


@click.command(
    epilog="Examples: nst-fuzz replay nst-runs/20260101-120000 17 | "
    "nst-fuzz replay RUN 512 --history 300 | nst-fuzz replay RUN 17 --module kmod"
)
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("case", type=click.IntRange(1))
@click.option(
    "--history",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    metavar="N",
    help="Send the N cases before it first, for what depends on the replay tables.",
)
@click.option("--kernel", "kernel_name", metavar="NAME", help="[default: the run's]")
@click.option(
    "--module",
    "module_path",
    type=click.Path(exists=True, path_type=Path),
    metavar="PATH",
    help="An nst.ko, or the directory of its source. [default: the run's, if it is still there]",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")  # fmt: skip
def command(
    run: Path,
    case: int,
    history: int,
    kernel_name: str | None,
    module_path: Path | None,
    as_json: bool,
) -> None:
    """Send the exact bytes of CASE of RUN to a fresh guest, and say what happens.

    The guest's clock is set to the time of the case, so that its time stamps are as
    old as they were. Exits with 1 if it is a finding, else with 0.
    """
    with reading(run) as store:
        wanted = store.case(case)
        before = store.before(case, history)
        meta = store.meta()
        kmemleak = any(
            found.first == case and found.finding.by_kmemleak for found in store.findings()
        )
    chosen = kernel.find(kernel_name or meta["kernel_name"])
    if kmemleak:
        check_kmemleak(chosen)
    recorded = Path(meta["module"])
    if module_path is not None and module_path.is_file():
        module = module_path
    elif module_path is None and recorded.is_file():
        module = recorded
    else:
        module = build_module(chosen, module_path or SOURCE)
    console = Console(stderr=as_json)
    console.print(f"booting {chosen.name} with {module}", highlight=False, soft_wrap=True)
    with tempfile.TemporaryDirectory(prefix="nst-replay-") as workdir:
        replayed = replay(
            wanted, before, run=run, kernel=chosen, module=module, workdir=Path(workdir),
            tables=campaign(wanted.campaign).tables, kmemleak=kmemleak,
        )  # fmt: skip
    if as_json:
        click.echo(json.dumps(_as_json(replayed), indent=2))
    else:
        _show(replayed, console)
    sys.exit(1 if replayed.finding else 0)


def _as_json(replayed: Replay) -> dict[str, Any]:
    finding = replayed.finding
    return {
        "case": replayed.case.id,
        "campaign": replayed.case.campaign,
        "name": replayed.case.name,
        "steps": replayed.steps,
        "recorded": {
            "model": replayed.case.expected,
            "module": replayed.case.counted,
            "outcome": replayed.case.outcome,
        },
        "replayed": {"model": replayed.expected, "module": replayed.counted},
        "finding": finding
        and {
            "kind": finding.kind.value,
            "title": finding.title,
            "detail": finding.detail,
            "log": finding.log,
        },
        "console": replayed.console,
    }


def _show(replayed: Replay, console: Console) -> None:
    case, finding = replayed.case, replayed.finding
    lines = [
        f"[bold]case {case.id}[/] of {case.campaign}: {escape(case.name)}",
        *(f"  {escape(step)}" for step in replayed.steps),
        f"recorded: model {case.expected}; module {case.counted}; {case.outcome}",
        f"replayed: model {replayed.expected}; module {replayed.counted}",
        *(f"  console: {escape(line)}" for line in replayed.console),
    ]
    if finding:
        lines.append(
            f"[bold red]{finding.kind}[/]: {escape(finding.title)}: {escape(finding.detail)}"
        )
    else:
        lines.append("[green]model and module agree[/]")
    for line in lines:
        console.print(line, highlight=False, soft_wrap=True)
