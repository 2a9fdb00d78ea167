# SPDX-License-Identifier: GPL-2.0-or-later
"""The campaign `stream-initiator`: connections that the guest opens, and what they are answered."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from fuzz.campaigns import acts
from fuzz.campaigns.acts import Act, Play, Scene, then
from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.steps import CaseRequest
from fuzz.campaigns.stream import stream
from fuzz.script import Action
from nst_scapy.header import Flags
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

_ALL = (*acts.CALLS, acts.REDIAL, *acts.ENDS)
_OTHERS = (acts.NOTHING, *_ALL, *(then(one, two) for one in _ALL for two in _ALL))
_SOME = ("flags", "damage", "transport_len")
_ONE_EPOCH = (("a", 0), ("a", 1), ("a", 2))
_UNBOUND = Flags(0)


class _Replies:
    """A grammar's scenes: replies and CLOSE, with an act before, between and after them."""

    def __init__(self, keybox: KeyBox, suite: SuiteId) -> None:
        self._keybox = keybox
        self._suite = suite

    def scene(
        self,
        *plays: Act,
        first: Flags = Flags.BOUND,
        flags: Flags = Flags.REPLY,
        layout: Sequence[tuple[str, int]] = _ONE_EPOCH,
        only: Collection[str] | None = _SOME,
        name: str = "tcp",
        opens: Action = Action.DIAL,
    ) -> Scene:
        """All replies have `flags`, and the one that comes first has `first` besides."""
        records = stream(self._keybox, self._suite, [*layout], only=only, flags=flags, first=first)
        begin, *rest = (Play(f"act{at}", act, _OTHERS) for at, act in enumerate(plays))
        between = [part for pair in zip(records, rest, strict=False) for part in pair]
        return Scene(name, [begin, *between, *rest[len(records) :]], opens=opens)


def _requests(keybox: KeyBox, provided: Collection[SuiteId]) -> list[CaseRequest]:
    nothing, receive, send, fin = acts.NOTHING, acts.RECEIVE, acts.SEND, acts.FIN
    suites = sorted(provided)
    requests = []
    for suite in suites:
        scene = _Replies(keybox, suite).scene
        fields = {
            "answers": scene(send, nothing, receive, receive, only=None),
            "unbound": scene(nothing, receive, send, receive, fin, first=_UNBOUND, only=None),
        }
        requests += [CaseRequest(f"{n}-{suite.name}", children=[s]) for n, s in fields.items()]
    scene = _Replies(keybox, suites[0]).scene
    lives = {
        "reads": [scene(send, receive, receive, fin, receive, acts.CLOSE)],
        "epochs": [scene(send, send, receive, nothing, layout=(*_ONE_EPOCH[:2], ("b", 0)))],
        "bound-twice": [scene(send, receive, receive, flags=Flags.REPLY | Flags.BOUND)],
        "unasked": [scene(nothing, receive, send, receive, fin)],
        "half-closes": [scene(send, acts.SHUT_WRITING, receive, fin, receive, acts.CLOSE)],
        "says-nothing": [scene(acts.SHUT_WRITING, receive, nothing, fin, receive)],
        "unread": [scene(send, nothing, nothing, acts.CLOSE)],
        "gone": [scene(then(send, acts.CLOSE), nothing, nothing, fin)],
        "dials-again": [
            scene(send, nothing, nothing, nothing),
            scene(send, receive, nothing, receive, name="again", opens=Action.REDIAL),
        ],
        "dials-away": [
            scene(send, receive, nothing, layout=_ONE_EPOCH[:2]),
            scene(
                receive,
                nothing,
                send,
                receive,
                first=_UNBOUND,
                layout=(("b", 0), ("b", 1)),
                name="again",
                opens=Action.REDIAL,
            ),
        ],
        # What belongs to no connection can be answered to two.
        "again": [
            scene(nothing, receive, nothing, acts.CLOSE, first=_UNBOUND),
            scene(nothing, receive, nothing, receive, first=_UNBOUND, name="again"),
        ],
    }
    return requests + [CaseRequest(name, children=scenes) for name, scenes in lives.items()]


STREAM_INITIATOR = Campaign(
    "stream-initiator",
    "connections that the guest opens: every field of every reply sealed as mutated, bound to what"
    " the guest sent first, to nothing, or to something else; and all that both ends may do,"
    " connecting again among it",
    tuple(v for v in Verdict if v not in (Verdict.SHORT, Verdict.REFLECT)),
    _requests,
)
