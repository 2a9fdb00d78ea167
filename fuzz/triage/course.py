# SPDX-License-Identifier: GPL-2.0-or-later
"""A case that is more than datagrams and streams in order: acts on what flows.

Segments overlap, packets are fragments, an application calls in between. What all of
that carries are bytes of records that verify, or others. So a case is taken apart into
flows, which are records one after another, and acts, which send parts of them: then
records can be sealed anew, made shorter or left out, and the acts follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from fuzz.net.ip import UDP, pseudo_checksum
from fuzz.net.tcp import TcpFlag
from fuzz.script import OPENS, Action, Loose, Step
from fuzz.triage.packets import Carried, carried, resized
from fuzz.triage.pieces import Piece, Raw, Sealed, length_of, piece_of, pieces_of
from nst_scapy.keybox import KeyBox

_FURTHEST = 1 << 16
"""Bytes further on in a stream than this are beyond any window."""
_LEAST_RUN = 4
"""Fewer bytes than these that agree with the flow do so by chance."""


@dataclass(frozen=True)
class Span:
    """Bytes of a flow."""

    flow: int
    start: int
    end: int


@dataclass(frozen=True)
class Sum:
    """The checksum of a datagram whose payload is a flow.

    Attributes:
        flow: the payload.
        head: source and destination address, then the UDP header up to its checksum.
        missing: how many of the payload's last bytes are beyond the UDP header's length.
    """

    flow: int
    head: bytes
    missing: int = 0

    def bytes_of(self, stream: bytes) -> bytes:
        """The two bytes, for what the flow is now."""
        addresses, udp = self.head[:-6], self.head[-6:]
        half = len(addresses) // 2
        segment = udp + bytes(2) + stream[: len(stream) - self.missing]
        right = pseudo_checksum(addresses[:half], addresses[half:], UDP, segment)
        return (right or 0xFFFF).to_bytes(2)


Part = bytes | Span | Sum


@dataclass(frozen=True)
class Act:
    """A step whose data are parts; those of a TCP step follow what `Loose` packs.

    Attributes:
        step: without the parts.
        parts: what it sends.
        stream: the flow of the connection that it is on, whose offsets it counts in; -1 if
            it is on none.
    """

    step: Step
    parts: tuple[Part, ...] = ()
    stream: int = -1

    @property
    def carries(self) -> bool:
        """Whether it is there to carry data."""
        return self.step.action in _CARRIERS or (
            self.step.action is Action.TCP and not Loose.of(self.step).flags & _MARKS
        )

    def flows(self) -> set[int]:
        """What it carries bytes of."""
        return {part.flow for part in self.parts if isinstance(part, Span)}


_IN_ORDER = frozenset({Action.SEGMENT, Action.BIND})
_CARRIERS = _IN_ORDER | {Action.DATAGRAM, Action.PACKET}
_MARKS = TcpFlag.FIN | TcpFlag.SYN | TcpFlag.RST


@dataclass(frozen=True)
class Course:
    """Acts in order, and the flows that they send parts of."""

    flows: tuple[tuple[Piece, ...], ...] = ()
    acts: tuple[Act, ...] = ()

    @property
    def pieces(self) -> tuple[Piece, ...]:
        """The records of all flows."""
        return tuple(piece for flow in self.flows for piece in flow)

    def streams(self, keybox: KeyBox) -> list[bytes]:
        """The bytes of each flow."""
        return [stream_of(flow, keybox) for flow in self.flows]

    def steps(self, keybox: KeyBox) -> list[Step]:
        """What is done."""
        streams = self.streams(keybox)
        return [
            act.step._replace(
                data=act.step.data + b"".join(_bytes(part, streams) for part in act.parts)
            )
            for act in self.acts
        ]

    def without_acts(self, start: int, end: int) -> Course:
        """Less is done; of flows that nothing sends any more nothing stays."""
        kept = self.acts[:start] + self.acts[end:]
        used = set().union(*(act.flows() for act in kept))
        flows = tuple(flow if at in used else () for at, flow in enumerate(self.flows))
        return replace(self, flows=flows, acts=kept)

    def with_piece(self, at: int, piece: Piece | None) -> Course:
        """Another record in the place of one, or none; what is sent follows."""
        for number, flow in enumerate(self.flows):
            if at >= len(flow):
                at -= len(flow)
                continue
            start = sum(map(length_of, flow[:at]))
            before, after = length_of(flow[at]), length_of(piece) if piece else 0
            pieces = (*flow[:at], *((piece,) if piece else ()), *flow[at + 1 :])
            flows = (*self.flows[:number], pieces, *self.flows[number + 1 :])
            acts = _moved(self.acts, number, _mapping(start, before, after), after - before)
            return replace(self, flows=flows, acts=acts)
        raise IndexError(at)

    def simpler(self) -> Iterator[Course]:
        """The same flows by plainer means: one segment, a datagram by itself, FIN as it is."""
        for number, flow in enumerate(self.flows):
            mine = [at for at, act in enumerate(self.acts) if act.carries and number in act.flows()]
            if not flow or not mine:
                continue
            first = self.acts[mine[0]].step
            whole = Span(number, 0, sum(map(length_of, flow)))
            if first.action is Action.PACKET:
                instead = Act(Step(Action.DATAGRAM, first.argument), (whole,))
            else:
                instead = Act(Step(Action.SEGMENT), (whole,), number)
            rest = [act for at, act in enumerate(self.acts) if at not in mine]
            yield replace(self, acts=(*rest[: mine[0]], instead, *rest[mine[0] :]))
        for at, act in enumerate(self.acts):
            if act.step.action is Action.TCP and Loose.of(act.step).flags & TcpFlag.FIN:
                fin = Act(Step(Action.FIN))
                yield replace(self, acts=(*self.acts[:at], fin, *self.acts[at + 1 :]))


def stream_of(flow: Sequence[Piece], keybox: KeyBox) -> bytes:
    """The bytes of records one after another."""
    stream = before = b""
    for piece in flow:
        before = piece.render(keybox, before)
        stream += before
    return stream


def _bytes(part: Part, streams: Sequence[bytes]) -> bytes:
    if isinstance(part, bytes):
        return part
    if isinstance(part, Span):
        return streams[part.flow][part.start : part.end]
    return part.bytes_of(streams[part.flow])


def _mapping(start: int, before: int, after: int) -> Callable[[int], int]:
    """Where an offset in a flow is when some bytes of it have become more, fewer or none."""

    def moved(offset: int) -> int:
        if offset >= start + before:
            return offset + after - before
        return offset if offset <= start else min(offset, start + after)

    return moved


def _moved(
    acts: Sequence[Act], flow: int, moved: Callable[[int], int], grown: int
) -> tuple[Act, ...]:
    found = []
    for act in acts:
        if flow not in {*act.flows(), act.stream}:
            found.append(act)
            continue
        parts: list[Part] = []
        for part in act.parts:
            if isinstance(part, Span) and part.flow == flow:
                part = replace(part, start=moved(part.start), end=moved(part.end))
                if part.start == part.end:
                    continue
            parts.append(part)
        if act.flows() and act.carries and not any(isinstance(part, Span) for part in parts):
            continue
        step = act.step
        if step.action is Action.TCP:
            loose = Loose.of(step)
            step = loose._replace(offset=moved(loose.offset)).step()
        elif step.action is Action.PACKET:
            parts = _resized(parts, grown)
        found.append(replace(act, step=step, parts=tuple(parts)))
    return tuple(found)


def _resized(parts: Sequence[Part], grown: int) -> list[Part]:
    """A packet's parts with its lengths as they are for another size of payload."""
    before, *rest = parts
    if not isinstance(before, bytes):
        return list(parts)
    if rest and isinstance(rest[0], Sum):
        before = resized(before, grown)
        return [before, replace(rest[0], head=rest[0].head[:-2] + before[-2:]), *rest[1:]]
    return [resized(before[:-2], grown) + before[-2:], *rest]


def course_of(steps: Sequence[Step], keybox: KeyBox) -> Course:
    """Take a case apart, whatever it does.

    Raises:
        ScriptError: a step's data are damaged.
    """
    return _Taking(steps, keybox).course()


class _Taking:
    """What is known of a case while it is taken apart."""

    def __init__(self, steps: Sequence[Step], keybox: KeyBox) -> None:
        self._steps = steps
        self._keybox = keybox
        self._flows: list[tuple[Piece, ...]] = []
        self._streams: list[bytes] = []

    def course(self) -> Course:
        """The case."""
        placed = _placed(self._steps)
        flows = {
            number: self._flow(pieces_of(stream, self._keybox), stream)
            for number, stream in _reassembled(placed).items()
        }
        packets = carried([step for step in self._steps if step.action is Action.PACKET])
        datagrams: dict[int, int] = {}
        acts = []
        for step, sent in zip(self._steps, placed, strict=True):
            if sent.connection in flows:
                head = step.data[: len(step.data) - len(sent.data)]
                flow = flows[sent.connection]
                parts = self._parts(sent.data, sent.offset, flow)
                acts.append(Act(step._replace(data=head), parts, flow))
            elif step.action is Action.DATAGRAM:
                flow = self._flow([piece_of(step.data, self._keybox)], step.data)
                span = Span(flow, 0, len(step.data))
                acts.append(Act(step._replace(data=b""), (span,) if step.data else ()))
            elif step.action is Action.PACKET:
                one = next(packets)
                if one is None:
                    acts.append(Act(step._replace(data=b""), (step.data,)))
                    continue
                if one.number not in datagrams:
                    datagrams[one.number] = self._datagram(one.payload)
                acts.append(Act(step._replace(data=b""), self._packet(one, datagrams[one.number])))
            else:
                acts.append(Act(step))
        return Course(tuple(self._flows), tuple(acts))

    def _flow(self, pieces: Sequence[Piece] | Iterator[Piece], stream: bytes) -> int:
        flow = tuple(pieces)
        if stream_of(flow, self._keybox) != stream:
            flow = (Raw(stream),)
        self._flows.append(flow)
        self._streams.append(stream)
        return len(self._flows) - 1

    def _datagram(self, payload: bytes) -> int:
        """A flow of a payload: one record, whatever it says its length is, or with more after."""
        piece = piece_of(payload, self._keybox)
        if isinstance(piece, Sealed):
            return self._flow([piece], payload)
        return self._flow(pieces_of(payload, self._keybox), payload)

    def _packet(self, one: Carried, flow: int) -> tuple[Part, ...]:
        parts: list[Part] = [one.before]
        if one.udp:
            stream = self._streams[flow]
            missing = len(stream) + len(one.udp) - int.from_bytes(one.udp[4:6])
            missing = missing if 0 <= missing <= len(stream) else 0
            candidate = Sum(flow, one.addresses + one.udp[:6], missing)
            if candidate.bytes_of(stream) == one.udp[6:]:
                parts = [one.before[:-2], candidate]
        return (*parts, *self._parts(one.data, one.offset, flow))

    def _parts(self, data: bytes, offset: int, flow: int) -> tuple[Part, ...]:
        """Data as what of them is the flow's, in its place, and what is not."""
        stream = self._streams[flow]
        parts: list[Part] = []
        at = 0
        while at < len(data):
            end = at
            same = _agrees(data, at, stream, offset)
            while end < len(data) and _agrees(data, end, stream, offset) == same:
                end += 1
            if same and (end - at >= _LEAST_RUN or end - at == len(data)):
                parts.append(Span(flow, offset + at, offset + end))
            elif parts and isinstance(parts[-1], bytes):
                parts[-1] += data[at:end]
            else:
                parts.append(data[at:end])
            at = end
        return tuple(parts)


def _agrees(data: bytes, at: int, stream: bytes, offset: int) -> bool:
    return 0 <= offset + at < len(stream) and data[at] == stream[offset + at]


class _Placed(NamedTuple):
    """Where a step sends bytes.

    Attributes:
        connection: the number of it, -1 if it is none.
        offset: of its first byte in the stream.
        data: the bytes.
        taken: TCP takes them, if they come in time.
    """

    connection: int = -1
    offset: int = 0
    data: bytes = b""
    taken: bool = False


def _placed(steps: Sequence[Step]) -> list[_Placed]:
    found = []
    connection, following = -1, 0
    for step in steps:
        if step.action in OPENS:
            connection, following = connection + 1, 0
        if step.action in _IN_ORDER and connection >= 0:
            found.append(_Placed(connection, following, step.data, taken=True))
            following += len(step.data)
        elif step.action is Action.TCP and connection >= 0:
            loose = Loose.of(step)
            taken = loose.intact and loose.flags & (TcpFlag.ACK | TcpFlag.SYN) == TcpFlag.ACK
            found.append(_Placed(connection, loose.offset, loose.payload, taken=taken))
        else:
            found.append(_Placed())
    return found


def _reassembled(placed: Sequence[_Placed]) -> dict[int, bytes]:
    """The bytes of each connection that carries any: what came first stands."""
    streams: dict[int, dict[int, int]] = {}
    for one in placed:
        if one.taken and one.data and 0 <= one.offset < _FURTHEST:
            known = streams.setdefault(one.connection, {})
            for at, byte in enumerate(one.data, one.offset):
                known.setdefault(at, byte)
    return {
        connection: bytes(known.get(at, 0) for at in range(max(known) + 1))
        for connection, known in streams.items()
    }
