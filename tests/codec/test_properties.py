# SPDX-License-Identifier: GPL-2.0-or-later
"""Properties that hold for every record, stream and session."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nst_scapy.epoch import Epoch, derive, seal_under
from nst_scapy.header import (
    HEADER_LEN,
    MAX_SESSION_ID,
    Flags,
    Header,
    KeyParams,
    Role,
    zero_token,
)
from nst_scapy.keybox import KeyBox
from nst_scapy.receiver import DgramReceiver, Outcome, Receiver
from nst_scapy.replay import WINDOW_COUNTERS, DgramTable, StreamTable
from nst_scapy.sender import DgramSender, Pins, StreamSender
from nst_scapy.stream import StreamReceiver
from nst_scapy.suite import AuthError, CbcHmac, PaddingError, Suite, SuiteId
from nst_scapy.verdict import Verdict

NOW = 1_790_000_000_000_000_000
AGE = 10**15
BOX = KeyBox({kid: random.Random(kid).randbytes(32) for kid in (0, 1, 9)})

suites = st.sampled_from(SuiteId)
keys = st.binary(min_size=32, max_size=32)
perturbations = st.just((0, 0)) | st.tuples(st.integers(1, 32), st.integers(1, 255))
chains = st.just(b"") | st.binary(min_size=16, max_size=16)
# Seeded, not st.randoms(): that one shrinks to equal session_ids, which 48 bits rule out.
randoms = st.integers(0, 2**32).map(random.Random)
payloads = st.binary(max_size=200) | st.integers(0, 0xFFFF).map(bytes)


@st.composite
def epochs(draw: st.DrawFn) -> Epoch:
    kpos, kval = draw(perturbations)
    params = KeyParams(draw(suites), draw(st.integers(0, 65535)), kpos, kval)
    return Epoch(draw(keys), params, draw(st.integers(0, MAX_SESSION_ID)))


@given(
    epochs(),
    payloads,
    st.integers(0, 2**64 - 1),
    st.integers(0, 65535),
    st.integers(0, 2**32 - 1),
    chains,
)
def test_open_inverts_seal(
    epoch: Epoch, payload: bytes, timestamp: int, counter: int, flags: int, chain: bytes
) -> None:
    record = epoch.seal(payload, timestamp=timestamp, counter=counter, flags=flags, chain=chain)
    header = Header.unpack(record)
    assert header.pack() == record[:HEADER_LEN]
    assert len(record) == HEADER_LEN + epoch.suite.body_len(len(payload))
    assert (header.session_id, header.counter) == (epoch.session_id, counter)
    assert header.params == epoch.params
    assert epoch.open(record, chain) == payload
    assert epoch.sealer.decrypt(record) == payload


@given(epochs(), st.binary(max_size=40), chains, st.data())
def test_any_flipped_bit_is_rejected(
    epoch: Epoch, payload: bytes, chain: bytes, data: st.DataObject
) -> None:
    record = bytearray(epoch.seal(payload, timestamp=NOW, counter=1, flags=1, chain=chain))
    bit = data.draw(st.integers(0, 8 * len(record) - 1))
    record[bit // 8] ^= 1 << bit % 8
    with pytest.raises(AuthError):
        epoch.open(bytes(record), chain)


@pytest.mark.parametrize("suite", SuiteId)
def test_every_flipped_bit_of_a_datagram_is_rejected(suite: SuiteId) -> None:
    """The whole receiver, one bit at a time: no flip is OK and none spoils what follows."""
    shared = Receiver(BOX)
    socket = DgramReceiver(shared)
    record = DgramSender(BOX, suite, rng=random.Random(1)).seal(b"seventeen bytes..", now=NOW)
    for bit in range(8 * len(record)):
        damaged = bytearray(record)
        damaged[bit // 8] ^= 1 << bit % 8
        outcome = socket.receive(bytes(damaged), now=NOW, age=AGE)
        assert outcome.verdict is not Verdict.OK, bit
        assert outcome.plaintext is None
    assert socket.receive(record, now=NOW, age=AGE).verdict is Verdict.OK


@given(epochs(), st.binary(max_size=40), st.integers(0, 255), st.integers(1, 16))
def test_cbc_padding_is_checked_after_the_token(
    epoch: Epoch, payload: bytes, byte: int, which: int
) -> None:
    if not isinstance(epoch.sealer, CbcHmac):
        return
    length = len(payload)
    pad = 16 - length % 16
    padding = bytearray((pad,)) * pad
    padding[which % pad] = byte
    header0 = (
        Header.unpack(epoch.seal(payload, timestamp=NOW, counter=0, flags=1))
        ._replace(token=bytes(16))
        .pack()
    )
    record = epoch.sealer.seal_padded(header0, payload + padding)
    if byte == pad:
        assert epoch.open(record) == payload
    else:
        with pytest.raises(PaddingError):
            epoch.open(record)
    with pytest.raises(AuthError):
        epoch.open(zero_token(record) + record[HEADER_LEN:])


def conversation(rng: random.Random, role: Role) -> tuple[bytes, list[bytes]]:
    """One direction of a stream over several epochs, as sent, and its payloads."""
    sender = StreamSender(role, BOX, rng.choice(list(SuiteId)), rng=rng, rekey_records=3)
    chunks = [rng.randbytes(rng.choice([1, 15, 16, 300, 20_000])) for _ in range(rng.randint(0, 7))]
    wire = b""
    for chunk in chunks:
        if rng.random() < 0.3:
            sender.suite = rng.choice(list(SuiteId))
        wire += sender.seal(chunk, now=NOW)
    return wire + sender.close(now=NOW), chunks


def play(data: bytes, cuts: list[int], role: Role) -> list[Outcome]:
    receiver = StreamReceiver(Receiver(BOX), role)
    outcomes: list[Outcome] = []
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(edges):
        outcomes += receiver.receive(data[start:end], now=NOW, age=AGE)
    return outcomes + receiver.end()


@settings(max_examples=50)
@given(randoms, st.lists(st.integers(0, 2**20), max_size=30))
def test_reassembly_does_not_depend_on_segmentation(rng: random.Random, cuts: list[int]) -> None:
    role = rng.choice(list(Role))
    wire, chunks = conversation(rng, role.peer)
    outcomes = play(wire, cuts, role)
    assert {outcome.verdict for outcome in outcomes} == {Verdict.OK}
    assert b"".join(outcome.plaintext or b"" for outcome in outcomes) == b"".join(chunks)
    assert outcomes == play(wire, [], role)


@settings(max_examples=50)
@given(randoms, st.lists(st.integers(0, 2**20), max_size=8))
def test_damaged_streams_do_not_depend_on_segmentation(rng: random.Random, cuts: list[int]) -> None:
    wire, chunks = conversation(rng, Role.INITIATOR)
    damaged = bytearray(wire)
    at = rng.randrange(len(wire))
    damaged[at] ^= 1 << rng.randrange(8)
    outcomes = play(bytes(damaged), cuts, Role.ACCEPTOR)
    assert outcomes == play(bytes(damaged), [], Role.ACCEPTOR)
    *good, last = outcomes
    assert {outcome.verdict for outcome in good} <= {Verdict.OK}
    assert last.verdict is not Verdict.OK
    delivered = b"".join(outcome.plaintext or b"" for outcome in good)
    assert b"".join(chunks).startswith(delivered)


def test_every_byte_a_segment() -> None:
    wire, _ = conversation(random.Random(5), Role.INITIATOR)
    assert play(wire, list(range(len(wire))), Role.ACCEPTOR) == play(wire, [], Role.ACCEPTOR)


@given(st.binary(max_size=200), st.integers(0, 2**20))
def test_cut_streams_are_truncated(junk: bytes, cut: int) -> None:
    wire, _ = conversation(random.Random(len(junk)), Role.INITIATOR)
    wire = wire[: cut % len(wire)]
    verdicts = [outcome.verdict for outcome in play(wire, [], Role.ACCEPTOR)]
    assert verdicts[-1] is Verdict.TRUNCATED
    assert set(verdicts[:-1]) <= {Verdict.OK}
    # Whatever came: nothing but OK records before one last verdict, and never a crash.
    *before, _last = play(wire + junk, [], Role.ACCEPTOR)
    assert {outcome.verdict for outcome in before} <= {Verdict.OK}


def header(session: int, counter: int, timestamp: int) -> Header:
    return Header(0, 1, 1, 0, timestamp, session << 16 | counter, b"", 0, 0, 0, 1)


steps = st.lists(
    st.tuples(
        st.integers(1, 12),  # session
        st.integers(0, 3 * WINDOW_COUNTERS),  # counter
        st.integers(-8, 8),  # timestamp, seconds from now
        st.integers(-3, 6),  # the clock moves by, seconds
    ),
    max_size=120,
)


@settings(max_examples=200)
@given(st.integers(1, 6), steps)
@example(1, [(1, 0, 0, 0), (2, 0, 1, 0), (1, 0, 0, 0)])
def test_the_datagram_table_never_accepts_twice(size: int, moves: list[tuple[int, ...]]) -> None:
    table = DgramTable(size, window_ns=5_000_000_000)
    epoch = Epoch(bytes(32), KeyParams(1, 0, 0, 0), 1)
    accepted: set[tuple[int, int]] = set()
    sealed_at: dict[tuple[int, int], int] = {}
    now, floor = NOW, 0
    for session, counter, skew, move in moves:
        now += move * 1_000_000_000
        # A counter is sealed once, so a record that comes again has its old timestamp.
        timestamp = sealed_at.setdefault((session, counter), now + skew * 1_000_000_000)
        record = header(session, counter, timestamp)
        if not table.replayed(record, now, AGE):
            assert (session, counter) not in accepted
            accepted.add((session, counter))
            table.accept(record, now, AGE, epoch, BOX)
        assert len(table.entries) <= size
        assert table.floor >= floor
        floor = table.floor


@settings(max_examples=200)
@given(st.integers(1, 6), steps)
def test_the_stream_table_never_accepts_twice(size: int, moves: list[tuple[int, ...]]) -> None:
    table = StreamTable(size, window_ns=5_000_000_000)
    accepted: set[int] = set()
    sealed_at: dict[int, int] = {}
    now = NOW
    for session, _, skew, move in moves:
        now += move * 1_000_000_000
        record = header(session, 0, sealed_at.setdefault(session, now + skew * 1_000_000_000))
        if not table.replayed(record, now, AGE):
            assert session not in accepted
            accepted.add(session)
            table.accept(record, now)
        assert len(table.entries) <= size


def test_eviction_takes_every_expired_entry_then_the_oldest() -> None:
    second = 1_000_000_000
    table = StreamTable(4, window_ns=5 * second)
    for session, at in ((1, 0), (2, 1), (3, 7), (4, 8)):
        table.accept(header(session, 0, NOW + at * second), NOW + at * second)
    table.accept(header(5, 0, NOW + 9 * second), NOW + 9 * second)
    assert sorted(table.entries) == [3, 4, 5]
    assert table.floor == NOW + second
    table.accept(header(6, 0, NOW + 9 * second), NOW + 9 * second)
    table.accept(header(7, 0, NOW + 9 * second), NOW + 9 * second)
    assert sorted(table.entries) == [4, 5, 6, 7]
    assert table.floor == NOW + 7 * second


def test_equals_go_by_the_smallest_session() -> None:
    table = StreamTable(3)
    for session in (30, 10, 20, 40):
        table.accept(header(session, 0, NOW), NOW)
    assert sorted(table.entries) == [20, 30, 40]


def test_the_window_is_exactly_1024_counters() -> None:
    table = DgramTable(None)
    epoch = Epoch(bytes(32), KeyParams(1, 0, 0, 0), 1)
    table.accept(header(1, 5000, NOW), NOW, AGE, epoch, BOX)
    assert not table.replayed(header(1, 5000 - 1023, NOW), NOW, AGE)
    assert table.replayed(header(1, 5000 - 1024, NOW), NOW, AGE)


@pytest.mark.parametrize("suite", SuiteId)
def test_a_session_is_derived_once(suite: SuiteId, monkeypatch: pytest.MonkeyPatch) -> None:
    derived: list[int] = []

    def counting(suite: Suite, key: bytes, session_id: int) -> bytes:
        derived.append(1)
        return derive(suite, key, session_id)

    monkeypatch.setattr("nst_scapy.epoch.derive", counting)
    sender = DgramSender(BOX, suite)
    socket = DgramReceiver(Receiver(BOX))
    for n in range(20):
        record = sender.seal(b"x", now=NOW + n)
        assert socket.receive(record, now=NOW + n, age=AGE).verdict is Verdict.OK
    # One by the sender; by the receiver one for the first datagram, kept from then on.
    assert len(derived) == 2


def test_a_forged_header_verifies() -> None:
    """What crafting and fuzzing stand on: any 48 bytes can be sealed."""
    epoch = Epoch(bytes(32), KeyParams(1, 0, 0, 0), 1)
    forged = bytes(range(48))
    record = seal_under(epoch, forged, b"payload")
    assert record[:24] == forged[:24]
    assert record[40:48] == forged[40:]
    assert epoch.open(record) == b"payload"


def test_a_replaced_key_box_takes_effect_at_the_next_datagram() -> None:
    shared = Receiver(BOX)
    socket = DgramReceiver(shared)
    sender = DgramSender(BOX, pins=Pins(kids=[9]))
    assert socket.receive(sender.seal(b"1", now=NOW), now=NOW, age=AGE).verdict is Verdict.OK
    shared.keybox = KeyBox({9: bytes(32)})
    assert socket.receive(sender.seal(b"2", now=NOW), now=NOW, age=AGE).verdict is Verdict.AUTH
    shared.keybox = KeyBox({8: bytes(32)})
    assert socket.receive(sender.seal(b"3", now=NOW), now=NOW, age=AGE).verdict is Verdict.KID


def test_a_replaced_key_box_takes_effect_at_the_next_epoch_of_a_stream() -> None:
    shared = Receiver(BOX)
    receiver = StreamReceiver(shared, Role.ACCEPTOR)
    sender = StreamSender(Role.INITIATOR, BOX, pins=Pins(kids=[9]), rekey_records=2)
    verdicts: list[Verdict | None] = []
    for n in range(3):
        record = sender.seal(b"x", now=NOW)
        verdicts += [o.verdict for o in receiver.receive(record, now=NOW, age=AGE)]
        if n == 0:
            shared.keybox = KeyBox({8: bytes(32)})
    assert verdicts == [Verdict.OK, Verdict.OK, Verdict.KID]


@pytest.mark.parametrize(
    ("changed", "verdict"),
    [
        ({"kid": 0}, Verdict.KID),
        ({"kpos": 0, "kval": 0}, Verdict.KID),
        ({"kid": 8}, Verdict.SEQUENCE),
    ],
)
def test_what_is_not_of_the_epoch_is_judged_by_the_new_box(
    changed: dict[str, int], verdict: Verdict
) -> None:
    """Its session_id alone does not make a record one of the running epoch (section 6)."""
    shared = Receiver(BOX)
    receiver = StreamReceiver(shared, Role.ACCEPTOR)
    sender = StreamSender(Role.INITIATOR, BOX, pins=Pins(kids=[9], perturbation=(3, 3)))
    receiver.receive(sender.seal(b"x", now=NOW), now=NOW, age=AGE)
    shared.keybox = KeyBox({8: bytes(32)})
    record = Header.unpack(sender.seal(b"x", now=NOW))._replace(**changed).pack()
    (outcome,) = receiver.receive(record, now=NOW, age=AGE)
    assert outcome.verdict is verdict


def test_bound_replies_belong_to_their_connection() -> None:
    initiator = StreamSender(Role.INITIATOR, BOX)
    initiator.seal(b"question", now=NOW)
    assert initiator.first_token is not None
    acceptor = StreamSender(Role.ACCEPTOR, BOX)
    acceptor.bind(initiator.first_token)
    reply = acceptor.seal(b"answer", now=NOW) + acceptor.close(now=NOW)
    assert Header.unpack(reply).flags == Flags.REPLY | Flags.BOUND
    receiver = StreamReceiver(Receiver(BOX), Role.INITIATOR)
    receiver.sent_first(initiator.first_token)
    outcomes = receiver.receive(reply, now=NOW, age=AGE) + receiver.end()
    assert [o.plaintext for o in outcomes] == [b"answer", b""]
    other = StreamReceiver(Receiver(BOX), Role.INITIATOR)
    other.sent_first(bytes(16))
    assert [o.verdict for o in other.receive(reply, now=NOW, age=AGE)] == [Verdict.AUTH]


def test_counters_start_again_before_they_pass_65535() -> None:
    sender = DgramSender(BOX)
    first = Header.unpack(sender.seal(b"", now=NOW))
    for _ in range(65534):
        sender.seal(b"", now=NOW)
    last = Header.unpack(sender.seal(b"", now=NOW))
    assert (last.session_id, last.counter) == (first.session_id, 65535)
    wrapped = Header.unpack(sender.seal(b"", now=NOW))
    assert wrapped.counter == 0
    assert wrapped.session_id != first.session_id


def test_what_a_closed_direction_refuses() -> None:
    sender = StreamSender(Role.INITIATOR, BOX)
    assert sender.seal(b"", now=NOW) == b""
    sender.close(now=NOW)
    with pytest.raises(ValueError, match="closed"):
        sender.seal(b"x", now=NOW)
    with pytest.raises(ValueError, match="closed"):
        sender.close(now=NOW)
    with pytest.raises(ValueError, match="acceptor"):
        sender.bind(bytes(16))
