# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases a second: the campaign runner beside boofuzz as it comes, in the same run.

Both go through a loopback echo service with the same grammar; then both drive one and the
same booted guest: boofuzz a service that answers at once, through QEMU's own network, the
runner whole campaigns against the module, with model and oracles. There boofuzz waits for
the answers, which it does not by default: it is the guest's speed that is to be told. And a
case of its does what one of the campaign does: it sends as often on its connection. Where the
campaign sends datagrams that is once, for which it waits as often as for two datagrams. The
runner goes on for as long as boofuzz took.

Both record everything: boofuzz in its database, the runner in its own, in the same folder.
Rates are by the clock on the wall, since waiting is what counts; rounds are interleaved, and
a ratio is that of one round.
"""

from __future__ import annotations

import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from fuzz.bench.echo import ECHO, EchoSubject, service
from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.catalogue import campaign
from fuzz.campaigns.progress import Limits, Past, Progress, Shard
from fuzz.campaigns.runner import run_keybox
from fuzz.campaigns.shard import ShardRun, Subject
from fuzz.errors import UserError
from fuzz.finding import Finding
from fuzz.guest.kernel import Kernel
from fuzz.lab import Lab
from fuzz.oracles.monitors import Current, Oracle, oracles_of
from fuzz.rig import Rig
from fuzz.store import KEYBOX, Store
from fuzz.tables import TableSizes

LOOPBACK_TARGET = 10.0
GUEST_TARGET = 5.0
CAMPAIGNS = {"dgram-record": 1, "stream-record": 4}
"""What is run in the guest, and how often a case of boofuzz's sends there."""
_SEED = "bench"
# Both campaigns share the guest: the tables that dgram-record asks for.
_TABLES = TableSizes(dgram=256)


@dataclass(frozen=True)
class Speed:
    """What was measured of one target.

    Attributes:
        name: what was run.
        target: the least ratio.
        rates: ours, cases a second, of each round.
        peer_rates: boofuzz's.
    """

    name: str
    target: float
    rates: tuple[float, ...]
    peer_rates: tuple[float, ...]

    @property
    def ratios(self) -> tuple[float, ...]:
        """Of the rounds."""
        return tuple(ours / peer for ours, peer in zip(self.rates, self.peer_rates, strict=True))

    @property
    def ratio(self) -> float:
        """Their median."""
        return median(self.ratios)

    @property
    def met(self) -> bool:
        """Whether it reaches the target."""
        return self.ratio >= self.target


class _Nobody:
    """A watcher that a finding is an error to: it would not be speed that was measured."""

    def booting(self, shard: Shard, again: bool) -> None:
        """A guest is being booted."""

    def progress(self, shard: Shard, progress: Progress) -> None:
        """A shard got further."""

    def found(self, shard: Shard, finding: Finding, case: int) -> None:
        """A case showed something."""
        raise UserError(f"{shard}: case {case}: {finding.kind}: {finding.title} {finding.detail}")

    def ended(self, shard: Shard) -> None:
        """A shard is through."""


def loopback(rounds: int, cases: int, done: Callable[[], object]) -> Speed:
    """Measure on a loopback echo service; *done* is called after every round.

    Raises:
        UserError: something was found, or boofuzz failed.
    """
    ours, peers = [], []
    with tempfile.TemporaryDirectory(prefix="nst-bench-") as folder, service() as port:
        subject = EchoSubject(port, run_keybox(_SEED))
        for number in range(rounds):
            path = Path(folder, str(number))
            taken = _stock(port, cases)
            peers.append(cases / taken)
            ours.append(_ours(path, ECHO, subject, subject.oracles, Limits(cases), number))
            done()
    return Speed("loopback echo", LOOPBACK_TARGET, tuple(ours), tuple(peers))


def guest(
    kernel: Kernel, module: Path, rounds: int, cases: int, done: Callable[[], object]
) -> Iterator[Speed]:
    """Measure in a guest, once for each of `CAMPAIGNS`.

    Raises:
        GuestError: the guest does not come up.
        UserError: something was found, or boofuzz failed.
    """
    with tempfile.TemporaryDirectory(prefix="nst-bench-") as name:
        folder = Path(name)
        run_keybox(_SEED).save(folder / KEYBOX)
        with socket.socket() as spare:
            spare.bind(("127.0.0.1", 0))
            port = spare.getsockname()[1]
        rig = Rig(
            kernel,
            module=module,
            keybox=folder / KEYBOX,
            workdir=folder / "guest",
            tables=_TABLES,
            echo=port,
        )
        with rig:
            lab, oracles = Lab(rig), partial(oracles_of, rig)
            rates: dict[str, list[tuple[float, float]]] = {one: [] for one in CAMPAIGNS}
            for number in range(rounds):
                for one, records in CAMPAIGNS.items():
                    path = folder / f"{one}-{number}"
                    taken = _stock(port, cases, records)
                    limits = Limits(seconds=taken)
                    ours = _ours(path, campaign(one), lab, oracles, limits, number)
                    rates[one].append((ours, cases / taken))
                done()
        for one, pairs in rates.items():
            yield Speed(f"guest, {one}", GUEST_TARGET, *zip(*pairs, strict=True))


def _ours(
    path: Path,
    one: Campaign,
    subject: Subject,
    oracles: Callable[[Callable[[], Current]], Sequence[Oracle]],
    limits: Limits,
    number: int,
) -> float:
    """Run cases, all of them stored; return how many there were a second."""
    with Store.create(path, seed=_SEED) as store:
        run = ShardRun(
            store, one, Shard(one.name), subject, oracles=oracles, seed=f"{_SEED} {number}",
            limits=limits, watcher=_Nobody(), past=Past(),
        )  # fmt: skip
        began = time.perf_counter()
        run.run()
        return run.progress.cases / (time.perf_counter() - began)


def _stock(port: int, cases: int, *records: int) -> float:
    """Have boofuzz run cases; return the seconds that it took."""
    with tempfile.TemporaryDirectory(prefix="nst-bench-") as folder:
        done = subprocess.run(
            [sys.executable, "-m", "fuzz.bench.stock", *map(str, (port, cases, *records))],
            cwd=folder, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode or not done.stdout:
        raise UserError(f"boofuzz failed: {done.stderr.strip().splitlines()[-1:]}")
    return float(done.stdout)
