# SPDX-License-Identifier: GPL-2.0-or-later
"""A run over a Dask cluster, one of whose workers is killed."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from fuzz.corpus.entry import Corpus
from fuzz.html import timeline
from fuzz.stored import reading

pytestmark = pytest.mark.timeout(600)
CASES = 240


def dask(*arguments: str | Path) -> subprocess.Popen[bytes]:
    """Start a part of a cluster."""
    return subprocess.Popen(
        [sys.executable, "-m", "dask", *map(str, arguments)],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[tuple[str, list[subprocess.Popen[bytes]]]]:
    """A scheduler's address, and two worker processes with a thread each."""
    file = tmp_path / "scheduler.json"
    started = [
        dask("scheduler", "--scheduler-file", file, "--host", "127.0.0.1", "--port", "0",
             "--no-dashboard", "--no-show")
    ]  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not file.exists() or not file.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        workers = [
            dask("worker", "--scheduler-file", file, "--host", "127.0.0.1", "--nthreads", "1",
                 "--no-nanny", "--no-dashboard", "--local-directory", tmp_path)
            for _ in range(2)
        ]  # fmt: skip
        started += workers
        yield json.loads(file.read_text())["address"], workers
    finally:
        # A worker of Dask's that is asked to end while its scheduler does may wait for good.
        for process in started:
            process.kill()
        for process in started:
            process.wait()


def test_a_lost_workers_shard_is_run_again(
    nst_fuzz: str, tmp_path: Path, cluster: tuple[str, list[subprocess.Popen[bytes]]]
) -> None:
    """All that shards bring is in one store and one corpus, once."""
    address, workers = cluster
    wait_for_workers(address, 2)
    path, corpus = tmp_path / "run", Corpus(tmp_path / "corpus")
    common = ("--seed", "cluster", "--corpus", corpus.path, "--scheduler", address, "--json")
    runner = subprocess.Popen(
        [nst_fuzz, "run", "dgram-record", "--cases", str(CASES), "--output", path, *common],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    deadline = time.monotonic() + 200
    while not guests_of(workers[0]):
        assert time.monotonic() < deadline
        assert runner.poll() is None, runner.communicate()
        time.sleep(0.02)
    os.kill(workers[0].pid, signal.SIGKILL)  # with a shard under way, if only its guest's boot
    printed, said = runner.communicate(timeout=400)
    assert runner.returncode == 0, said
    (campaign,) = json.loads(printed)["campaigns"]
    assert (campaign["cases"], campaign["lost"], campaign["shards"]) == (CASES, 0, 4)
    with contextlib.closing(sqlite3.connect(path / "run.db")) as database:
        shards = dict(database.execute("SELECT shard, count(*) FROM cases GROUP BY shard"))
        ((names,),) = database.execute("SELECT count(DISTINCT name) FROM cases")
    assert shards == dict.fromkeys(range(4), CASES // 4)
    assert names == CASES
    kept = corpus.cases()
    assert len(kept) > 10
    assert edges_told(path)[-1] == edges_in(corpus)

    mutated = tmp_path / "mutated"
    done = subprocess.run(
        [nst_fuzz, "run", "mutants", "--cases", str(CASES // 2), "--output", mutated, *common],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert kept.keys() < corpus.cases().keys()
    told = edges_told(mutated)
    assert told == sorted(told)
    assert told[0] > edges_told(path)[0], "a shard begins with the edges that are known"
    assert told[-1] == edges_in(corpus) > edges_told(path)[-1]


def edges_told(run: Path) -> list[int]:
    """How many edges a run says were taken, over time."""
    with reading(run) as store:
        return [count for _, _, count in timeline.edges(store)]


def edges_in(corpus: Corpus) -> int:
    """How many edges of its one build a corpus knows."""
    (file,) = corpus.path.glob("edges-*")
    return len(corpus.edges(file.name.removeprefix("edges-")))


def wait_for_workers(address: str, count: int) -> None:
    """Until a cluster has so many."""
    from distributed import Client

    with Client(address, timeout=60, set_as_default=False) as client:
        client.wait_for_workers(count, timeout=100)


def guests_of(process: subprocess.Popen[bytes]) -> list[str]:
    """The processes of a worker's guests."""
    found: list[str] = []
    for task in Path(f"/proc/{process.pid}/task").iterdir():
        with contextlib.suppress(OSError):
            found += (task / "children").read_text().split()
    return found


@pytest.mark.parametrize("address", ["nonsense://there", "tcp://127.0.0.1:1", "tcp://127.0.0.1"])
def test_no_scheduler_is_one_line(
    nst_fuzz: str, nst_ko: Path, tmp_path: Path, address: str
) -> None:
    done = subprocess.run(
        [nst_fuzz, "run", "dgram-record", "--module", str(nst_ko), "--output", tmp_path / "run",
         "--scheduler", address],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert done.stderr.startswith(f"nst-fuzz: error: --scheduler {address}: ")
    assert len(done.stderr.splitlines()) == 1
