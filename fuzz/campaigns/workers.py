# SPDX-License-Identifier: GPL-2.0-or-later
"""Several guests at once: every shard is run by a process of its own."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import threading
import time
from collections import Counter
from dataclasses import dataclass
from multiprocessing import connection, reduction
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from fuzz.campaigns.progress import Past, Progress, Shard, Watcher
from fuzz.campaigns.schedule import Schedule, Task
from fuzz.campaigns.shard import run_shard
from fuzz.errors import UserError
from fuzz.finding import Finding
from fuzz.guest.errors import GuestError
from fuzz.guest.kernel import Kernel
from fuzz.store import Store

_END_SECONDS = 20.0
"""How long a worker may take to end its guest."""
_TELL_SECONDS = 0.2
"""How often a worker tells of its progress."""
_ATTEMPTS = 3
"""How often a shard is begun, if its worker is killed."""
_spawn = multiprocessing.get_context("spawn")


@dataclass
class _Worker:
    task: Task
    process: SpawnProcess
    pipe: Connection
    seconds: float | None = None
    """That its cases took; known when it is through."""


class Workers:
    """The processes that run a run's shards."""

    def __init__(
        self, store: Store, kernel: Kernel, module: Path, seed: str, watcher: Watcher, jobs: int
    ) -> None:
        """At most `jobs` shards are run at a time."""
        self._store = store
        self._kernel = kernel
        self._module = module
        self._seed = seed
        self._watcher = watcher
        self._jobs = jobs
        self._running: dict[Connection, _Worker] = {}
        self._lost: Counter[Shard] = Counter()

    def run(self, schedule: Schedule) -> None:
        """Run all shards.

        Raises:
            GuestError: a guest does not come up.
            UserError: a worker was killed again and again.
        """
        try:
            while True:
                while len(self._running) < self._jobs and (task := schedule.next()) is not None:
                    self._start(task)
                if not self._running:
                    return
                for pipe in connection.wait(list(self._running)):
                    assert isinstance(pipe, Connection)
                    self._hear(self._running[pipe], schedule)
                if schedule.enough:
                    return
        finally:
            self._stop()

    def _start(self, task: Task) -> None:
        ours, theirs = _spawn.Pipe(duplex=False)
        process = _spawn.Process(
            target=_work,
            args=(task, self._store.path, self._kernel, self._module, self._seed, theirs,
                  _Held(self._store.lock)),
            name=str(task.shard),
        )  # fmt: skip
        with theirs:
            process.start()
        self._running[ours] = _Worker(task, process, ours)

    def _hear(self, worker: _Worker, schedule: Schedule) -> None:
        shard = worker.task.shard
        try:
            what, *about = worker.pipe.recv()
        except (EOFError, ConnectionError):
            self._ended(worker, schedule)
            return
        match what:
            case "booting":
                self._watcher.booting(shard, *about)
            case "progress":
                self._watcher.progress(shard, *about)
            case "found":
                schedule.found()
                self._watcher.found(shard, *about)
            case "done":
                (worker.seconds,) = about
            case "failed":
                raise GuestError(f"{shard}: {about[0]}")

    def _ended(self, worker: _Worker, schedule: Schedule) -> None:
        """A worker is gone: it is through, or somebody killed it."""
        del self._running[worker.pipe]
        worker.pipe.close()
        worker.process.join()
        task = worker.task
        if worker.seconds is not None:
            schedule.done(task, worker.seconds)
            self._watcher.ended(task.shard)
            return
        self._lost[task.shard] += 1
        if self._lost[task.shard] == _ATTEMPTS:
            raise UserError(f"{task.shard}: its process ended with {worker.process.exitcode}")
        self._start(Task(task.shard, task.limits, self._past(task.shard)))

    def _past(self, shard: Shard) -> Past:
        self._store.forget_unfinished(self._store.begin_campaign(shard.campaign), shard.number)
        return Past.of(self._store, shard)

    def _stop(self) -> None:
        """End those that still run: in order, or by force."""
        for worker in self._running.values():
            worker.process.terminate()
        deadline = time.monotonic() + _END_SECONDS
        for pipe, worker in self._running.items():
            worker.process.join(max(0.0, deadline - time.monotonic()))
            worker.process.kill()
            worker.process.join()
            pipe.close()
        self._running.clear()


class _Held:
    """The run's lock: as long as one process holds it, the run goes on."""

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def __reduce__(self) -> tuple[Any, ...]:
        return _held, (reduction.DupFd(self._fd),)


def _held(copy: Any) -> _Held:
    return _Held(copy.detach())


class _Teller:
    """A watcher that tells the runner."""

    def __init__(self, pipe: Connection) -> None:
        self._pipe = pipe
        self._told = 0.0

    def tell(self, *message: object) -> None:
        """Send a message."""
        self._pipe.send(message)

    def booting(self, shard: Shard, again: bool) -> None:
        """A guest is being booted."""
        self.tell("booting", again)

    def progress(self, shard: Shard, progress: Progress) -> None:
        """The shard got further."""
        if time.monotonic() - self._told >= _TELL_SECONDS:
            self._told = time.monotonic()
            self.tell("progress", progress)

    def found(self, shard: Shard, finding: Finding, case: int) -> None:
        """A case showed something new."""
        self.tell("found", finding, case)

    def ended(self, shard: Shard) -> None:
        """The runner says so itself."""


def _work(
    task: Task, path: Path, kernel: Kernel, module: Path, seed: str, pipe: Connection, _lock: _Held
) -> None:
    """A worker's life."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the terminal sends it to all; the runner decides
    signal.signal(signal.SIGTERM, _interrupt)
    threading.Thread(target=_die_with_the_runner, daemon=True).start()
    teller = _Teller(pipe)
    with contextlib.suppress(KeyboardInterrupt):
        try:
            with Store.open(path) as store:
                progress = run_shard(
                    store, task, kernel=kernel, module=module, seed=seed, watcher=teller
                )
        except UserError as error:
            teller.tell("failed", str(error))
        else:
            teller.tell("progress", progress)
            teller.tell("done", progress.seconds)


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


def _die_with_the_runner() -> None:
    runner = multiprocessing.parent_process()
    assert runner is not None
    runner.join()
    os._exit(1)
