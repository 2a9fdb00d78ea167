# SPDX-License-Identifier: GPL-2.0-or-later
"""Cases as what they seal: taken apart, stored, put together again, and changed."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from fuzz.campaigns.catalogue import CAMPAIGNS, MUTANTS, campaign
from fuzz.campaigns.plan import Plan, Planned
from fuzz.campaigns.runner import run_keybox
from fuzz.campaigns.session import context_of
from fuzz.campaigns.values import CaseValues, canonical
from fuzz.corpus.entry import Corpus, CorpusError, from_json, read, to_json
from fuzz.corpus.judgeable import ACTIONS, judgeable
from fuzz.corpus.keeper import Keeper
from fuzz.corpus.lift import Lifter, lift
from fuzz.corpus.lifted import Case, render
from fuzz.corpus.minimise import Measured, chosen
from fuzz.corpus.mutants import mutants, rendered
from fuzz.corpus.mutate import MUTATIONS, Means
from fuzz.coverage.guest import Taken
from fuzz.errors import UserError
from fuzz.net.ip import ipv4_packet
from fuzz.net.tcp import TcpFlag
from fuzz.script import Action, Loose, Step, unpack
from fuzz.stations import GUEST, HOST
from fuzz.target.wire import MAX_ITEMS
from nst_scapy.epoch import Epoch
from nst_scapy.header import HEADER_LEN, Flags, Header, KeyParams
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import AuthError, PaddingError, SuiteId

NOW = 1 << 60
BOX = run_keybox("corpus")
KIDS = sorted(BOX)
_MORE_FRAGMENTS = 0x2000
OURS = [
    name for name in CAMPAIGNS if {"stream", "dgram", "replay", "keys"} & {name.partition("-")[0]}
]


def _scripts(name: str, count: int, *, seed: str = "s", now: int = NOW) -> Iterator[bytes]:
    """The first cases of a campaign."""

    def canonically(planned: Planned) -> bytes:
        script: bytes = planned.request.render(context_of(planned, canonical(KIDS)))
        return planned.request.name.encode() + script

    plan = Plan(CAMPAIGNS[name].requests(BOX, list(SuiteId)), "plan", canonically)
    for number, planned in zip(range(count), plan, strict=False):
        values = CaseValues(f"{seed}|{number}", KIDS, now, now - 10**9)
        yield planned.request.render(context_of(planned, values))


@pytest.mark.parametrize("name", OURS)
def test_a_case_taken_apart_and_put_together_is_the_same_to_the_byte(name: str) -> None:
    for script in _scripts(name, 60):
        lifter = Lifter(unpack(script), NOW, BOX)
        case = lifter.case()
        ids = {number: session for session, number in lifter.sessions.items()}
        assert render(case, now=NOW, session=ids.__getitem__, box=BOX) == script
        assert not case.moves or from_json(json.loads(json.dumps(to_json(case)))) == case


def _datagram(session: int, now: int, box: KeyBox, plaintext: bytes = b"plain") -> bytes:
    epoch = Epoch(box[1], KeyParams(SuiteId.AES_CBC, 1, 5, 7), session)
    return Step(Action.DATAGRAM, 4, epoch.seal(plaintext, now - 7, 3, Flags.DGRAM)).pack()


def _record(script: bytes) -> bytes:
    return unpack(script)[0].data


def test_another_time_session_and_key_box_make_no_other_case() -> None:
    case = lift(_datagram(1000, NOW, BOX), earliest=NOW, box=BOX)
    other = run_keybox("other")
    later = NOW + 10**12
    assert lift(_datagram(77, later, other), earliest=later, box=other) == case
    record = _record(render(case, now=later, session=lambda _: 99, box=other))
    header = Header.unpack(record)
    assert (header.session_id, header.timestamp) == (99, later - 7)
    assert Epoch(other[1], KeyParams(SuiteId.AES_CBC, 1, 5, 7), 99).open(record) == b"plain"


def test_a_damaged_file_is_named_with_what_is_wrong(tmp_path: Path) -> None:
    raw = to_json(lift(_datagram(1, NOW, BOX), earliest=NOW, box=BOX))
    path = tmp_path / "case.json"
    move = raw["steps"][0]
    for broken, error in (
        ("{", "Expecting property name"),
        (json.dumps({**raw, "version": 2}), "version 2, this reads 1"),
        (json.dumps({**raw, "steps": []}), "without steps"),
        (json.dumps({**raw, "steps": [{**move, "do": "JUMP"}]}), "no 'JUMP'"),
        (json.dumps({**raw, "steps": [{**move, "data": [[1, 0, None]]}]}), "no record 1"),
        (json.dumps({"version": 1}), "no 'records'"),
    ):
        path.write_text(broken)
        with pytest.raises(CorpusError, match=rf"case\.json: .*{error}"):
            read(path)


def test_what_takes_new_edges_is_kept_once(tmp_path: Path) -> None:
    corpus = Corpus(tmp_path / "corpus")
    keeper = Keeper(corpus, "build", BOX)
    script = _datagram(1, NOW, BOX)
    assert keeper.look(Taken(2, 2, frozenset({1, 2})), script, NOW)
    assert not keeper.look(Taken(2, 0, None), script, NOW), "nothing fresh"
    # Fresh to this guest, but not to another one's keeper.
    late = Keeper(corpus, "build", BOX)
    assert not late.look(Taken(1, 1, frozenset({2})), _datagram(2, NOW, BOX, b"other"), NOW)
    assert late.look(Taken(1, 1, frozenset({3})), _datagram(2, NOW, BOX, b"other"), NOW)
    # The same case again, for an edge that depends on something else.
    assert not keeper.look(Taken(1, 1, frozenset({4})), script, NOW)
    assert len(corpus.cases()) == 2
    assert corpus.edges("build") == frozenset({1, 2, 3, 4})
    assert corpus.edges("another") == frozenset()


def _corpus(path: Path) -> Corpus:
    corpus = Corpus(path)
    for name in OURS:
        for script in _scripts(name, 6):
            corpus.add(lift(script, earliest=NOW, box=BOX))
    return corpus


def test_every_change_can_be_drawn_again_and_makes_a_case(tmp_path: Path) -> None:
    cases = list(_corpus(tmp_path / "c").cases().values())
    changed = dict.fromkeys(MUTATIONS, 0)
    for number, case in enumerate(cases):
        for kind, mutation in MUTATIONS.items():
            made = [mutation(case, Means(random.Random(number), cases, BOX)) for _ in range(2)]
            assert made[0] == made[1]
            values = CaseValues("v", KIDS, NOW, NOW - 10**9)
            unpack(rendered(made[0], values, BOX))
            assert not made[0].moves or from_json(to_json(made[0])) == made[0]
            changed[kind] += made[0] != case
    assert all(count > len(cases) / 2 for count in changed.values()), changed


def test_a_changed_field_is_authenticated_as_it_stands() -> None:
    case = lift(_datagram(1, NOW, BOX), earliest=NOW, box=BOX)
    seen: set[str] = set()
    for number in range(400):
        means = Means(random.Random(number), [case], BOX)
        record = _record(rendered(MUTATIONS["record"](case, means), _values(), BOX))
        header = Header.unpack(record)
        for name in ("kpos", "kval", "kid", "cipher_id", "flags", "version"):
            if getattr(header, name) != getattr(case.records[0].header, name):
                seen.add(name)
        if header.kpos <= 32 and header.kid in BOX and header.cipher_id in (1, 2, 3, 4):
            keys = [BOX[header.kid], *BOX.values()]
            params = KeyParams(header.cipher_id, header.kid, header.kpos, header.kval)
            assert any(_opens(Epoch(key, params, header.session_id), record) for key in keys)
    assert seen == {"kpos", "kval", "kid", "cipher_id", "flags", "version"}


def _opens(epoch: Epoch, record: bytes) -> bool:
    try:
        epoch.open(record)
    except PaddingError:
        return True  # the token was right
    except (AuthError, ValueError):
        return False
    return True


def _values() -> CaseValues:
    return CaseValues("v", KIDS, NOW, NOW - 10**9)


def test_only_what_has_one_right_outcome_is_judged() -> None:
    def stream(*segments: Loose) -> bool:
        return judgeable([Step(Action.CONNECT, 4), *(one.step() for one in segments)])

    ack = int(TcpFlag.ACK)
    assert stream(Loose(5, ack, payload=b"fgh"), Loose(0, ack, payload=b"abcde"))
    assert stream(Loose(0, ack, payload=b"abc"), Loose(0, ack, payload=b"xyz")), "the first stand"
    assert not stream(Loose(5, ack, payload=b"fgh"), Loose(4, ack, payload=b"eXX"), Loose(6, ack))
    assert not stream(Loose(2, ack | TcpFlag.FIN), Loose(1, ack, payload=b"beyond"))
    many = [Step(Action.DATAGRAM, 4, b"x")] * (MAX_ITEMS + 1)
    assert not judgeable(many)
    assert judgeable(many[:56])
    assert not judgeable([Step(Action.DATAGRAM, 4, b"x"), Step(Action.DATAGRAM, 6, b"y")])
    others = set(Action) - ACTIONS
    assert not any(judgeable([Step(action)]) for action in others)
    ends = HOST.ip(4), GUEST.ip(4)
    fragment = ipv4_packet(*ends, 17, bytes(16), ident=7, fragment=_MORE_FRAGMENTS)
    assert not judgeable([Step(Action.PACKET, 4, fragment)]), "it would meet the next case's"


def test_the_campaign_makes_the_same_mutants_of_the_same_corpus(tmp_path: Path) -> None:
    _corpus(tmp_path / "c")

    def names_and_bytes(box: KeyBox) -> list[tuple[tuple[str, ...], bytes]]:
        requests = mutants(tmp_path / "c").requests(box, list(SuiteId))

        def render_(planned: Planned) -> bytes:
            script: bytes = planned.request.render(context_of(planned, _values()))
            return script

        plan = Plan(requests, "seed", render_)
        found = []
        for _, planned in zip(range(300), plan, strict=False):
            script = render_(planned)
            assert judgeable(unpack(script)) or not planned.mutations
            numbers = tuple(f"{m.qualified_name}={m.value}" for m in planned.mutations)
            found.append((numbers, script))
        return found

    once = names_and_bytes(BOX)
    assert once == names_and_bytes(BOX)
    assert len({script for _, script in once}) == len(once)
    assert {numbers for numbers, _ in once} != {n for n, _ in names_and_bytes(run_keybox("b"))}


def test_without_a_corpus_there_are_no_mutants(tmp_path: Path) -> None:
    with pytest.raises(CorpusError, match="no case to start from"):
        campaign(MUTANTS, tmp_path).requests(BOX, list(SuiteId))
    with pytest.raises(CorpusError, match=r"file: (Not a directory|File exists)"):
        (tmp_path / "file").write_text("")
        Corpus(tmp_path / "file")
    with pytest.raises(UserError, match=r"known: .*, mutants"):
        campaign("none")


def test_the_least_of_a_corpus_takes_all_edges() -> None:
    def one(size: int, *edges: int) -> Measured:
        return Measured(frozenset(edges), size)

    ran = {"a": one(9, 1, 2, 3), "b": one(5, 1, 2, 3), "c": one(1, 3, 4), "d": one(1, 2)}
    least = chosen(ran)
    assert {name for name, case in least.items() if case.chosen} == {"b", "c"}
    assert least["c"].own == 1


def test_parts_of_a_stream_follow_their_records() -> None:
    """A segment that begins 5 bytes into the second record does so wherever that is."""
    records = [replace_header(_record(_datagram(s, NOW, BOX))) for s in (1, 2)]
    script = b"".join(
        step.pack()
        for step in (
            Step(Action.CONNECT, 4),
            Step(Action.SEGMENT, 0, records[0] + records[1][:5]),
            Loose(len(records[0]) + 5, int(TcpFlag.ACK), payload=records[1][5:]).step(),
        )
    )
    case = lift(script, earliest=NOW, box=BOX)
    first = case.records[0]
    longer = replace(first, body=first.body + bytes(32))
    grown = Case((longer, *case.records[1:]), case.moves)
    steps = unpack(rendered(grown, _values(), BOX))
    assert Loose.of(steps[2]).offset == len(steps[1].data)
    assert steps[1].data[-5:] == records[1][:5]
    assert len(Loose.of(steps[2]).payload) == len(records[1]) - 5
    assert len(steps[1].data) == len(records[0]) + 32 + 5


def replace_header(record: bytes) -> bytes:
    """The same record as one of a stream; its token no longer verifies."""
    header = Header.unpack(record)
    return header._replace(flags=0).pack() + record[HEADER_LEN:]
