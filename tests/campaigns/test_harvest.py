# SPDX-License-Identifier: GPL-2.0-or-later
"""What was run of a shard elsewhere, in the run that it belongs to."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from fuzz.corpus.away import outward, settle
from fuzz.corpus.entry import Corpus, build_of
from fuzz.corpus.run import corpus_of, point
from fuzz.coverage import kept
from fuzz.finding import Finding, FindingKind
from fuzz.harvest import Harvest, merge, reap
from fuzz.html import timeline
from fuzz.store import Store
from fuzz.stored import StoreError
from nst_scapy.header import Transport
from nst_scapy.verdict import Verdict

OK = Counter({(Transport.DGRAM, Verdict.OK): 1})
META = {"seed": "1", "kernel": "debian-6.12", "kernel_name": "debian-6.12", "module": "nst.ko"}


def begin(store: Store, campaign: int, name: str) -> int:
    return store.begin_case(campaign, boot=1, name=name, script=b"", earliest=0, creation=0)


def test_a_harvest_counts_once(tmp_path: Path) -> None:
    """What a worker ran elsewhere is merged whole, with its findings, and never twice."""
    with Store.create(tmp_path / "elsewhere", seed="1") as worker:
        campaign = worker.begin_campaign("replay", 2)
        numbers = [begin(worker, campaign, name) for name in ("a", "b", "c")]
        worker.end_case(numbers[0], "agree", expected=OK, counted=OK, authenticated=True)
        worker.end_case(numbers[1], "crash")
        finding = Finding(FindingKind.CRASH, "BUG", "b", "log")
        worker.add_finding(campaign, numbers[1], finding)
        harvest = reap(worker, tmp_path, "replay", 1, 0, 3.5)
    with Store.create(tmp_path / "run", **META) as store:
        other = store.begin_campaign("keys")
        begin(store, other, "first")
        campaign = store.begin_campaign("replay", 2)
        ((found, first),) = merge(store, harvest)
        assert found == finding
        assert store.case(first).name == "b"
        assert store.case(first).outcome == "crash"
        assert store.past(campaign, 1) == ["agree", "crash"]  # "c" had no outcome
        assert store.past(campaign, 0) == []
        assert store.shards(campaign) == [(0, 2, 0.0), (1, 2, 3.5)]
        with pytest.raises(StoreError, match="2 cases are there, these come after 0"):
            merge(store, harvest)
        assert store.past(campaign, 1) == ["agree", "crash"]
        assert [f.count for f in store.findings()] == [1]
        again = replace(harvest, shard=0)
        assert merge(store, again) == []
        assert [f.count for f in store.findings()] == [2]


def run_elsewhere(home: Store, path: Path, module: Path, shard: int, edge: int) -> Harvest:
    """What comes of a shard whose one case takes one edge, and is kept for it."""
    parcel = outward(home.path, module)
    assert parcel is not None
    with Store.create(path, seed="1") as store:
        settle(store.path, parcel)
        kept.begin(store.path)
        campaign = store.begin_campaign("replay", 2)
        store.end_case(begin(store, campaign, f"{edge}"), "agree")
        corpus = corpus_of(store.path)
        assert corpus is not None
        assert corpus.files() == {}, "what it starts from is not what it found"
        corpus.put(f"{edge}", b"a case")
        known = corpus.note(parcel.build, frozenset({edge}))
        store.add_coverage(campaign, len(known))
        folder = kept.folder_of(store.path, "replay")
        assert folder is not None
        kept.keep_boot({f"/sys/kernel/debug/gcov/kmod/{edge}.gcda": b"counts"}, folder)
        store.commit()
        return reap(store, module, "replay", shard, 0, 1.0)


def test_what_shards_found_for_the_corpus_is_joined(tmp_path: Path) -> None:
    module = tmp_path / "nst.ko"
    module.write_bytes(b"a module")
    corpus = Corpus(tmp_path / "corpus")
    corpus.put("before", b"an older case")
    corpus.note(build_of(module), frozenset({1}))
    with Store.create(tmp_path / "run", **META) as store:
        point(store.path, corpus, corpus.files())
        store.begin_campaign("replay", 2)
        # Neither knows what the other takes.
        harvests = [
            run_elsewhere(store, tmp_path / f"{shard}", module, shard, edge)
            for shard, edge in enumerate((2, 3))
        ]
        for harvest in harvests:
            merge(store, harvest)
        with pytest.raises(StoreError):
            merge(store, harvests[0])
        assert [count for _, _, count in timeline.edges(store)] == [2, 2, 2, 3]
    assert corpus.files() == {"before": b"an older case", "2": b"a case", "3": b"a case"}
    assert corpus.edges(build_of(module)) == {1, 2, 3}


def test_coverage_of_a_shard_is_there_once(tmp_path: Path) -> None:
    """Also if the runner was killed before it could write down that it has it."""
    module = tmp_path / "nst.ko"
    module.write_bytes(b"a module")
    with Store.create(tmp_path / "run", **META) as store:
        point(store.path, Corpus(tmp_path / "corpus"), {})
        harvest = run_elsewhere(store, tmp_path / "0", module, 0, 2)
        merge(store, harvest)  # coverage is measured elsewhere, and not wanted here
        assert not (store.path / kept.FOLDER).exists()
    with Store.create(tmp_path / "again", **META) as store:
        point(store.path, Corpus(tmp_path / "corpus"), {})
        kept.begin(store.path)
        kept.take_in(
            {"2.gcda": b"of a runner that was killed"}, store.path / kept.FOLDER / "replay", "0-0-0"
        )
        merge(store, harvest)
        assert kept.boots_of(store.path, "replay") == [{"2.gcda": b"counts", "root": b"/kmod\n"}]
