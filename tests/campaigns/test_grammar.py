# SPDX-License-Identifier: GPL-2.0-or-later
"""The grammar: what it seals verifies, what it damages does not, and nothing repeats."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterator

import pytest
from boofuzz.mutation import Mutation

from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.catalogue import CAMPAIGNS
from fuzz.campaigns.damage import WRONG_PADDINGS
from fuzz.campaigns.dgram import DGRAM_RECORD
from fuzz.campaigns.plan import Plan, Planned
from fuzz.campaigns.primitives import Stretched
from fuzz.campaigns.runner import run_keybox
from fuzz.campaigns.session import context_of
from fuzz.campaigns.steps import CaseRequest
from fuzz.campaigns.stream import STREAM_RECORD
from fuzz.campaigns.stream_segments import STREAM_SEGMENTS
from fuzz.campaigns.values import Canonical, CaseValues, canonical
from fuzz.net.tcp import TcpFlag
from fuzz.net.udp import MAX_PAYLOAD
from fuzz.oracles.clock import Interval
from fuzz.oracles.shadow import Moment, Shadow
from fuzz.script import Action, Loose, Step, unpack
from nst_scapy.epoch import Epoch
from nst_scapy.header import (
    HEADER_LEN,
    MAX_KPOS,
    Header,
    KeyParams,
    Transport,
)
from nst_scapy.suite import SUITES, AuthError, PaddingError, SuiteId
from nst_scapy.verdict import Verdict
from tests.triage.cases import told

BOX = run_keybox("test")
ALL = tuple(SuiteId)
SECOND = 1_000_000_000
NOW = 1_800_000_000 * SECOND
CREATION = NOW - 60 * SECOND
MOMENT = Moment(Interval(NOW, NOW), Interval(CREATION, CREATION))
FIELDS = frozenset(Header._fields) - {"token", "nonce"} | {"session_id", "counter"}


def values(seed: str) -> CaseValues:
    return CaseValues(seed, sorted(BOX), NOW, CREATION)


def render(planned: Planned, seed: str = "1") -> bytes:
    return bytes(planned.request.render(context_of(planned, values(seed))))


def render_canonical(planned: Planned) -> bytes:
    fixed = canonical(sorted(BOX))
    return bytes(planned.request.name.encode() + planned.request.render(context_of(planned, fixed)))


def plan_of(campaign: Campaign, seed: str = "1") -> Plan:
    return Plan(campaign.requests(BOX, ALL), seed, render_canonical)


def datagrams(planned: Planned) -> list[bytes]:
    return [step.data for step in unpack(render(planned)) if step.action is Action.DATAGRAM]


def opens(record: bytes, suite: SuiteId) -> bool:
    """Whether the token verifies under the key that the header names, as far as it does."""
    header = Header.unpack(record)
    cipher = header.cipher_id if header.cipher_id in SUITES else suite
    kid = header.kid if header.kid in BOX else min(BOX)
    kpos = header.kpos if header.kpos <= MAX_KPOS else 0
    epoch = Epoch(BOX[kid], KeyParams(cipher, kid, kpos, header.kval), header.session_id)
    try:
        epoch.open(record)
    except AuthError:
        return False
    except PaddingError:
        return True
    return True


def request_of(campaign: Campaign, name: str) -> CaseRequest:
    (request,) = (r for r in campaign.requests(BOX, ALL) if r.name == name)
    return request


def singles(request: CaseRequest, *leaves: str) -> Iterator[Planned]:
    """The single mutations of some elements of a request."""
    for name, element in request.names.items():
        if name.rpartition(".")[2] in leaves:
            for (mutation,) in element.get_mutations():
                yield Planned(request, (mutation,))


@pytest.mark.parametrize("suite", SuiteId)
def test_mutated_headers_and_payloads_still_authenticate(suite: SuiteId) -> None:
    seen: Counter[str] = Counter()
    for planned in singles(request_of(DGRAM_RECORD, f"one-{suite.name}"), *FIELDS, "payload"):
        (record,) = datagrams(planned)
        assert opens(record, suite), planned
        seen.update(planned.leaves)
    assert set(seen) == FIELDS | {"payload"}


@pytest.mark.parametrize("suite", SuiteId)
def test_damage_and_faults_do_not(suite: SuiteId) -> None:
    request = request_of(DGRAM_RECORD, f"one-{suite.name}")
    for planned in singles(request, "damage", "token", "fault"):
        (record,) = datagrams(planned)
        if record != datagrams(Planned(request, ()))[0] and len(record) >= HEADER_LEN:
            padding = planned.mutations[0].value in WRONG_PADDINGS
            assert opens(record, suite) == padding, planned


@pytest.mark.parametrize("suite", [SuiteId.AES_CBC, SuiteId.SM4_CBC])
def test_wrong_padding_verifies_and_is_refused(suite: SuiteId) -> None:
    request = request_of(DGRAM_RECORD, f"one-{suite.name}")
    fault = request.names[f"{request.name}.datagram.record.fault"]
    paddings = 0
    for (mutation,) in fault.get_mutations():
        if mutation.value not in WRONG_PADDINGS:
            continue
        for seed in range(40):  # payloads of many lengths
            planned = Planned(request, (mutation,))
            (step,) = unpack(render(planned, str(seed)))
            header = Header.unpack(step.data)
            epoch = Epoch(BOX[header.kid], header.params, header.session_id)
            with pytest.raises(PaddingError):
                epoch.open(step.data)
        paddings += 1
    assert paddings == len(WRONG_PADDINGS)


@pytest.mark.parametrize("campaign", CAMPAIGNS.values(), ids=CAMPAIGNS)
def test_rendering_is_pure(campaign: Campaign) -> None:
    for planned in itertools.islice(plan_of(campaign), 100):
        assert render(planned) == render(planned)
        assert planned.mutations or render(planned), "a request that does nothing"


@pytest.mark.parametrize("campaign", CAMPAIGNS.values(), ids=CAMPAIGNS)
def test_plans_repeat_with_the_seed_and_hold_no_case_twice(campaign: Campaign) -> None:
    first = list(itertools.islice(plan_of(campaign, "a"), 200))
    again = list(itertools.islice(plan_of(campaign, "a"), 200))
    other = list(itertools.islice(plan_of(campaign, "b"), 200))

    def names(plan: list[Planned]) -> list[object]:
        return [(p.request.name, [(m.qualified_name, m.index) for m in p.mutations]) for p in plan]

    assert names(first) == names(again)
    assert names(first) != names(other)
    canonical_bytes = {(p.request.name, render_canonical(p)) for p in first}
    assert len(canonical_bytes) == len(first)


@pytest.mark.parametrize("campaign", CAMPAIGNS.values(), ids=CAMPAIGNS)
def test_what_stands_for_records_is_the_same_just_where_records_are(campaign: Campaign) -> None:
    class Sealed(Canonical):
        """The same values, but everything is sealed, and nothing remembered."""

        compared = False

    plan = Plan(campaign.requests(BOX, ALL), "a", lambda planned: planned.name.encode())
    stand_in = canonical(sorted(BOX))
    seen: dict[tuple[str, bytes], tuple[str, bytes]] = {}
    for planned in itertools.islice(plan, 1500):
        name, sealing = planned.request.name, Sealed(sorted(BOX))
        likeness = bytes(planned.request.render(context_of(planned, stand_in.fresh())))
        record = bytes(planned.request.render(context_of(planned, sealing)))
        assert len(likeness) == len(record)
        assert seen.setdefault((name, likeness), (name, record)) == (name, record)
    assert len(set(seen.values())) == len(seen)


@pytest.mark.parametrize("campaign", CAMPAIGNS.values(), ids=CAMPAIGNS)
def test_a_thousand_cases_reach_every_verdict(campaign: Campaign) -> None:
    suites = [SuiteId.AES_GCM, SuiteId.AES_CBC]  # what Debian's kernels provide
    requests = campaign.requests(BOX, suites)
    plan = Plan(requests, "1", render)
    shadow = Shadow(
        BOX, suites, window_ns=30 * SECOND, stream_sessions=campaign.tables.stream or 65536,
        dgram_sessions=campaign.tables.dgram or 4096,
    )  # fmt: skip
    reached: set[Verdict] = set()
    for number, planned in enumerate(itertools.islice(plan, 1000)):
        steps = unpack(render(planned, str(number)))
        if any(step.action is Action.REFLECT for step in steps):
            reached.add(Verdict.REFLECT)  # needs a module that sends
            continue
        outcome = shadow.judge(told(steps, BOX), MOMENT)[0]
        reached.update(verdict for _, verdict in outcome.verdicts)
    assert reached >= set(campaign.reaches)


def test_parts_share_the_cases_whatever_is_dropped() -> None:
    def part(number: int) -> Plan:
        return Plan(DGRAM_RECORD.requests(BOX, ALL), "1", render_canonical, (number, 3))

    whole = [planned.name for planned in itertools.islice(plan_of(DGRAM_RECORD), 600)]
    parts = [[planned.name for planned in itertools.islice(part(n), 500)] for n in range(3)]
    for names in parts:
        ours = [name for name in whole if name in set(names)]
        assert len(ours) > 100
        assert ours == names[: len(ours)]
    assert sum(name in set(names) for names in parts for name in whole) == len(whole)

    halved = part(1)
    halved.drop(["kpos"])
    kept = {planned.name for planned in itertools.islice(halved, 400)}
    assert kept.isdisjoint([*parts[0], *parts[2]])


def test_what_is_dropped_late_leaves_the_plan_as_what_is_known_from_the_beginning() -> None:
    live, resumed = plan_of(DGRAM_RECORD), plan_of(DGRAM_RECORD)
    resumed.drop(["kpos"], after=300)
    cases = iter(live)
    names = [planned.name for planned in itertools.islice(cases, 200)]
    live.drop(["kpos"], after=300)
    names += [planned.name for planned in itertools.islice(cases, 400)]
    assert names == [planned.name for planned in itertools.islice(resumed, 600)]
    assert any(".kpos:" in name for name in names[200:300])
    assert not any(".kpos:" in name for name in names[300:])


def test_dropped_elements_are_planned_no_more() -> None:
    plan = plan_of(DGRAM_RECORD)
    plan.drop(["one-AES_GCM.datagram.record.kpos"])
    names = [name for planned in itertools.islice(plan, 2000) for name in planned.elements]
    assert "one-AES_GCM.datagram.record.kpos" not in names
    assert "one-AES_GCM.datagram.record.kval" in names


def test_streams_chain_their_epochs() -> None:
    steps = unpack(render(Planned(request_of(STREAM_RECORD, "epochs-AES_GCM"), ())))
    assert [step.action for step in steps] == [
        Action.CONNECT, *[Action.SEGMENT] * 4, Action.FIN,
    ]  # fmt: skip
    shadow = Shadow(BOX, ALL, window_ns=30 * SECOND, stream_sessions=9, dgram_sessions=9)
    (outcome,) = shadow.judge(steps, MOMENT)
    assert outcome.verdicts == {(Transport.STREAM, Verdict.OK): 4}
    assert [item.error for item in outcome.items] == [0]


def test_steps_survive_being_stored() -> None:
    steps = [Step(Action.CONNECT, 6), Step(Action.SEGMENT, 0, b"abc"), Step(Action.FIN)]
    assert unpack(b"".join(step.pack() for step in steps)) == steps


def test_of_bytes_that_wait_and_come_again_none_is_beyond_a_fin() -> None:
    """Whether the stream ends there depends on which segments Linux has joined."""
    (request, *_) = STREAM_SEGMENTS.requests(BOX, ALL)
    pools: dict[str, list[Mutation]] = {}
    for (mutation,) in request.get_mutations():
        pools.setdefault(mutation.qualified_name.rpartition(".")[2], []).append(mutation)
    strays = [one for one in pools["stray"] if "FIN" in one.value.name]
    assert len(strays) == 12
    for chosen in itertools.product(pools["order"], pools["repeat"], strays):
        steps = unpack(render(Planned(request, chosen)))
        loose = [Loose.of(step) for step in steps if step.action is Action.TCP]
        (end,) = {one.offset + len(one.payload) for one in loose if one.flags & TcpFlag.FIN}
        assert end == max(one.offset + len(one.payload) for one in loose)


def test_no_datagram_is_longer_than_udp_s() -> None:
    requests = DGRAM_RECORD.requests(BOX, ALL)
    request = next(one for one in requests if one.name.startswith("one-"))
    pools: dict[str, list[Mutation]] = {}
    for (mutation,) in request.get_mutations():
        pools.setdefault(mutation.qualified_name.rpartition(".")[2], []).append(mutation)
    (longest,) = (one for one in pools["payload"] if one.value == Stretched(65455))
    lengths = {
        (step.argument, len(step.data))
        for damage in pools["damage"]
        for seed in "ab"
        for step in unpack(render(Planned(request, (longest, damage)), seed))
    }
    assert max(length for family, length in lengths if family == 4) == MAX_PAYLOAD[4]
    assert all(length <= MAX_PAYLOAD[family] for family, length in lengths)
