# SPDX-License-Identifier: GPL-2.0-or-later
"""Shards on other machines: a Dask cluster, whose workers boot guests of their own.

A worker keeps what it runs in a store of its own and returns it whole, and the run's store
takes it in one transaction. If the worker is lost on the way, Dask gives the shard to
another, which begins it anew: what the lost one did counts for nothing.
"""

from __future__ import annotations

import pickle
import queue
import socket
import tempfile
import time
import zlib
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from distributed import Client, Future, get_worker, wait

from fuzz.campaigns.progress import Progress, Shard, Watcher
from fuzz.campaigns.schedule import Schedule, Task
from fuzz.campaigns.shard import run_shard
from fuzz.corpus import away
from fuzz.coverage import kept
from fuzz.errors import UserError
from fuzz.finding import Finding
from fuzz.guest import kernel
from fuzz.harvest import Harvest, merge, reap
from fuzz.store import KEYBOX, KMEMLEAK, MODULE, Store
from nst_scapy.keybox import KeyBox

_CONNECT_SECONDS = 20
_LOOK_SECONDS = 0.25
_TELL_SECONDS = 1.0
"""How often a worker tells of its progress."""


@dataclass(frozen=True)
class _Job:
    """What a worker needs to run a shard."""

    task: Task
    kernel: str
    module: bytes
    """Its file, compressed."""
    keybox: KeyBox
    corpus: bytes | None
    """What it takes along of the run's corpus (`fuzz/corpus/away.py`), compressed."""
    coverage: bool
    kmemleak: bool
    seed: str
    topic: str


class Cluster:
    """A connection to a cluster's scheduler.

    Attributes:
        slices: shards for each of the cluster's threads; so much less is lost with a worker.
        jobs: how many shards its workers run at a time: one for each of their threads.
    """

    slices = 2

    def __init__(self, address: str) -> None:
        """`address` is the scheduler's, such as ``tcp://HOST:8786``.

        Raises:
            UserError: it cannot be reached, or has no workers.
        """
        _knock(address)
        try:
            self._client = Client(address, timeout=_CONNECT_SECONDS)
        except (OSError, ValueError) as error:
            raise UserError(f"--scheduler {address}: {error}".splitlines()[0]) from None
        self.jobs = sum(self._client.nthreads().values())
        if not self.jobs:
            self._client.close()
            raise UserError(f"--scheduler {address}: it has no workers")

    def close(self) -> None:
        """Leave it; what its workers still run for this run is given up."""
        self._client.close()

    def run(
        self, store: Store, schedule: Schedule, *, kernel_name: str, seed: str, watcher: Watcher
    ) -> None:
        """Run all shards, and take what comes of them into the store.

        Raises:
            GuestError: a guest does not come up.
            UserError: a worker cannot do it, or is lost again and again.
        """
        told: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        topic = f"nst-fuzz {store.path.resolve()} {store.meta()['started']}"
        self._client.subscribe_topic(topic, lambda event: told.put(event[1]))
        # With every job: what Dask scatters may be lost with a worker.
        module = zlib.compress((store.path / MODULE).read_bytes())
        keybox = KeyBox.load(store.path / KEYBOX)
        kmemleak = KMEMLEAK in store.meta()
        running: dict[Future, Task] = {}
        try:
            while True:
                while len(running) < self.jobs and (task := schedule.next()) is not None:
                    job = _Job(
                        task, kernel_name, module, keybox, _corpus(store.path),
                        kept.folder_of(store.path, task.shard.campaign) is not None, kmemleak,
                        seed, topic,
                    )  # fmt: skip
                    running[self._client.submit(_work, job, pure=False)] = task
                if not running:
                    return
                for future in self._done(list(running)):
                    task = running.pop(future)
                    self._take(store, schedule, task, future, watcher)
                while not told.empty():
                    news = told.get()
                    shard = Shard(*news["shard"])
                    if "again" in news:
                        watcher.booting(shard, news["again"])
                    else:
                        cases, seconds, authenticated = news["counts"]
                        verdicts = Counter(news["verdicts"])
                        progress = Progress(
                            cases, seconds, authenticated, verdicts, edges=news["edges"]
                        )
                        watcher.progress(shard, progress)
                if schedule.enough:
                    return
        finally:
            self._client.cancel(list(running), force=True)
            self._client.unsubscribe_topic(topic)

    def _done(self, futures: list[Future]) -> set[Future]:
        try:
            done: set[Future] = wait(
                futures, timeout=_LOOK_SECONDS, return_when="FIRST_COMPLETED"
            ).done
        except TimeoutError:
            return set()
        return done

    def _take(
        self, store: Store, schedule: Schedule, task: Task, future: Future, watcher: Watcher
    ) -> None:
        try:
            harvest: Harvest = future.result()
        except UserError:
            raise
        except Exception as error:
            raise UserError(f"{task.shard}: {type(error).__name__}: {error}") from None
        for finding, case in merge(store, harvest):
            schedule.found()
            watcher.found(task.shard, finding, case)
        schedule.done(task, harvest.seconds)
        watcher.ended(task.shard)


def _knock(address: str) -> None:
    """Raise UserError if nobody listens: Dask's client would print how it failed, and go on."""
    parts = urlsplit(address)
    try:
        if parts.scheme not in ("tcp", "tls") or not parts.hostname or not parts.port:
            raise ValueError("not of the form tcp://HOST:PORT")
        socket.create_connection((parts.hostname, parts.port), _CONNECT_SECONDS).close()
    except (OSError, ValueError) as error:
        raise UserError(f"--scheduler {address}: {error}") from None


class _GivenUp(Exception):
    """Nobody waits for the shard any more."""


class _Teller:
    """A watcher that tells the run's, by way of the scheduler."""

    def __init__(self, topic: str) -> None:
        self._worker = get_worker()
        self._key = self._worker.get_current_task()
        self._topic = topic
        self._told = 0.0

    def _tell(self, shard: Shard, **news: object) -> None:
        name = (shard.campaign, shard.number, shard.count)
        self._worker.log_event(self._topic, {"shard": name, **news})

    def booting(self, shard: Shard, again: bool) -> None:
        """A guest is being booted."""
        self._tell(shard, again=again)

    def progress(self, shard: Shard, progress: Progress) -> None:
        """The shard got further."""
        state = self._worker.state.tasks.get(self._key)
        if state is None or state.state == "cancelled":
            raise _GivenUp
        if time.monotonic() - self._told >= _TELL_SECONDS:
            self._told = time.monotonic()
            counts = (progress.cases, progress.seconds, progress.authenticated)
            # Messages hold plain strings, no verdicts.
            verdicts = {str(verdict): count for verdict, count in progress.verdicts.items()}
            self._tell(shard, counts=counts, verdicts=verdicts, edges=progress.edges)

    def found(self, shard: Shard, finding: Finding, case: int) -> None:
        """Told when the shard is through: the run's store says whether it is new."""

    def ended(self, shard: Shard) -> None:
        """As much."""


def _corpus(run: Path) -> bytes | None:
    parcel = away.outward(run, run / MODULE)
    return None if parcel is None else zlib.compress(pickle.dumps(parcel))


def _work(job: _Job) -> Harvest:
    """A worker's part: run the shard in a store of its own."""
    task, shard = job.task, job.task.shard
    with tempfile.TemporaryDirectory(prefix="nst-shard-") as folder:
        module = Path(folder, MODULE)
        module.write_bytes(zlib.decompress(job.module))
        asked = {KMEMLEAK: "1"} if job.kmemleak else {}
        with Store.create(Path(folder, "run"), seed=job.seed, **asked) as store:
            job.keybox.save(store.path / KEYBOX)
            if job.corpus is not None:
                away.settle(store.path, pickle.loads(zlib.decompress(job.corpus)))
            if job.coverage:
                kept.begin(store.path)
            progress = run_shard(
                store, task, kernel=kernel.find(job.kernel), module=module, seed=job.seed,
                watcher=_Teller(job.topic),
            )  # fmt: skip
            store.commit()
            return reap(
                store, module, shard.campaign, shard.number, len(task.past.outcomes),
                progress.seconds,
            )  # fmt: skip
