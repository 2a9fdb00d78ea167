# SPDX-License-Identifier: GPL-2.0-or-later
"""Carrying out cases in a guest under test, and judging them beside the model."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache

from fuzz.api import CONTROL
from fuzz.binding import heard
from fuzz.flight import Execution, Flight
from fuzz.net.ethernet import MTU
from fuzz.oracles.clock import Interval
from fuzz.oracles.compare import Observation, compare
from fuzz.oracles.counters import Counters
from fuzz.oracles.expectation import Expectation
from fuzz.oracles.served import Sent
from fuzz.oracles.shadow import Moment, Shadow, passes_the_hook
from fuzz.rig import LOSSES, Lost, Rig
from fuzz.script import Action, Step, api_of, patched, unpack
from fuzz.target.wire import TOLD, Item
from fuzz.together import ALONE, MOST_CASES, share_of
from nst_scapy.verdict import Verdict

_SETTLE_SECONDS = (0.01, 0.05, 0.25)
_UDP_HEADER = 8
_SOON_NS = 1_000_000_000
"""A record that meets a limit of time within this is sent alone."""

_KEEPS = frozenset({Action.ACCEPT, Action.DIAL})
"""After which a connection may be kept."""
_steps_of = lru_cache(2 * MOST_CASES)(unpack)
"""A case's steps: they are looked at when it is planned, and again when it is sent."""


def _changed(steps: Sequence[Step]) -> bool:
    """Whether a case may have left other keys or settings behind."""
    changed = False
    for step in steps:
        if step.action is Action.API and api_of(step).call in CONTROL:
            changed = True
        elif step.action is Action.RESTORE:
            changed = False
    return changed


class Lab:
    """A rig, and the model beside it.

    Attributes:
        overlaps: cases that share the guest may be sent before the ones before were judged.
        rig: the guest, which may be asked for more than cases tell.
        keybox: what the guest comes up with.
        boots: how often the guest came up.
        suites: that its kernel provides.
    """

    overlaps = True

    def __init__(self, rig: Rig) -> None:
        """`rig` is up, and has carried out no cases yet."""
        self.rig = rig
        self.keybox = rig.keybox
        self._player = rig.player
        self._begin()

    def restart(self) -> None:
        """Have a fresh guest, with a fresh model.

        Raises:
            GuestError: it does not come up.
        """
        self.rig.restart()
        self._begin()

    def _begin(self) -> None:
        """Have a model that knows as little as the guest."""
        self.boots, self.suites = self.rig.boots, self.rig.suites
        settings = self._player.settings
        self._shadow = Shadow(
            self.keybox,
            self.suites,
            window_ns=settings["timestamp_window_ms"] * 1_000_000,
            stream_sessions=settings["stream_sessions_max"],
            dgram_sessions=settings["dgram_sessions_max"],
        )
        self._counters = self.rig.counters
        self._model_states = (0, 0, 0, 0)
        self._module_states = Observation.between(self._counters, self._counters, ()).states

    @property
    def creation(self) -> int:
        """When this boot's replay tables were made, by the guest's clock, ns."""
        return self.rig.creation

    def now(self) -> int:
        """The guest's real-time clock, ns: a little less than it reads."""
        return self.rig.now()

    def set_clock(self, ns: int) -> None:
        """Set the guest's real-time clock, ns since 1970.

        Raises:
            Lost: the guest or the target does not answer.
        """
        self.rig.set_clock(ns)
        self._counters = self.rig.counters

    @property
    def killed(self) -> bool:
        """Whether somebody killed the guest's QEMU, or QEMU itself went wrong."""
        return self.rig.killed

    @property
    def crowded(self) -> bool:
        """Whether an old disagreement is about to make the replay tables drift apart."""
        tables = (self._shadow.receiver.stream_table, self._shadow.receiver.dgram_table)
        full = any(t.size is not None and len(t.entries) + 64 > t.size for t in tables)
        return full and self._model_states != self._module_states

    def execute(self, script: bytes) -> Execution:
        """Carry out a case.

        Raises:
            Lost: the guest or the target does not answer.
            ScriptError: `script` is no case.
        """
        flight = self.prepare(script)
        self.take_off(flight)
        return self.land(flight)

    def share(self, script: bytes) -> float:
        """As `fuzz.together.share_of`, as things are now.

        Raises:
            ScriptError: `script` is no case.
        """
        if self.rig.keeper is not None:
            return ALONE  # which edges it takes has to be known
        steps = _steps_of(script)
        share = share_of(steps)
        now = self.rig.now()
        moment = Moment(Interval(now, now + _SOON_NS), self.rig.clock.creation)
        return ALONE if share < ALONE and self._shadow.near_limit(steps, moment) else share

    def prepare(self, *scripts: bytes) -> Flight:
        """Make cases ready to be sent, several only if their shares allow.

        Of one that is alone this sends all but the end; of those that share the guest nothing,
        so that it may still be busy with others.

        Raises:
            Lost: the guest or the target does not answer.
            ScriptError: `script` is no case.
        """
        try:
            cases = [self._concrete(_steps_of(script)) for script in scripts]
            return Flight(cases, self.rig.now(), self._player.play(cases))
        except LOSSES as error:
            raise Lost(str(error)) from None

    def take_off(self, flight: Flight) -> None:
        """Send what is left of cases.

        `land` has to follow before the next, or `touch_down` if all of them share the guest.

        Raises:
            Lost: the guest does not take it.
        """
        if not flight.played.asked:
            flight.begun = self.rig.now()
        kept = any(step.action in _KEEPS for steps in flight.cases for step in steps)
        try:
            flight.request = self._player.collect(flight.played.frames, kept=kept)
        except LOSSES as error:
            raise Lost(str(error)) from None

    def touch_down(self, flight: Flight) -> None:
        """Wait for what the cases do. Others may be sent before `land` judges these.

        Raises:
            Lost: the guest or the target does not answer.
        """
        try:
            flight.reply = self._player.answer(flight.request)
        except LOSSES as error:
            raise Lost(str(error)) from None

    def land(self, flight: Flight, *, followed: bool = False) -> Execution:
        """Wait for what the cases do, if that is to be done, and judge them.

        If they are `followed` by others, which are under way, nothing can be asked any more: a
        difference that would be gone a moment later stays.

        Raises:
            Lost: the guest or the target does not answer.
        """
        items, opened = flight.played.items, flight.played.opened
        steps = [step for steps in flight.cases for step in steps]
        try:
            before = self._counters
            reply = flight.reply or self._player.answer(flight.request)
            items += reply.items
            moment = Moment(Interval(flight.begun, reply.drained), self.rig.clock.creation)
            sent = self._player.end(opened, steps, reply.drained)
            told = [item for item in items if item.kind in TOLD]
            streams = [connection.received for connection in opened]
            cases = heard(flight.cases, flight.played.bound, streams)
            expected = self._shadow.judge_all(cases, moment, told)
            counters = self.rig.note(reply)
            execution = self._judged(expected, steps, moment, before, counters, items, sent)
            for pause in () if followed else _SETTLE_SECONDS:
                if execution.difference is None:
                    break
                # What the module does outside of the receive call may still be under way.
                time.sleep(pause)
                reply = self._player.ask(())
                items += reply.items
                counters = self.rig.note(reply)
                execution = self._judged(expected, steps, moment, before, counters, items, sent)
            if any(step.action is Action.KEYS for step in steps):
                self._player.load(self.keybox)
            if _changed(steps):
                self._player.restore()
            if opened:
                self._player.prepare()
            if self.rig.keeper is not None:
                execution = replace(execution, taken=self.rig.probe.edges())
        except LOSSES as error:
            raise Lost(str(error)) from None
        self._counters = counters
        self._model_states = execution.expected.states
        self._module_states = execution.seen.states
        return execution

    def _judged(
        self,
        expected: list[Expectation],
        steps: Sequence[Step],
        moment: Moment,
        before: Counters,
        after: Counters,
        items: Sequence[Item],
        sent: Sequence[Sent | Verdict],
    ) -> Execution:
        seen = Observation.between(before, after, items, sent)
        fragmented = any(
            step.action is Action.DATAGRAM and len(step.data) + _UDP_HEADER > MTU - 40
            for step in steps
        ) or passes_the_hook(steps)
        states = (self._model_states, self._module_states)
        differences = [
            compare(outcome, seen, fragmented=fragmented, before=states) for outcome in expected
        ]
        choice = differences.index(None) if None in differences else 0
        self._shadow.follow(choice)
        return Execution(
            moment, expected[choice], seen, differences[choice], strict=len(expected) == 1
        )

    def _concrete(self, steps: Sequence[Step]) -> list[Step]:
        """The steps with what the module has to send first filled in."""
        return [
            Step(Action.DATAGRAM, step.argument, patched(self._sealed(step.argument), step.data))
            if step.action is Action.REFLECT
            else step
            for step in steps
        ]

    def _sealed(self, family: int) -> bytes:
        """A datagram sealed by the module's own socket."""
        begun = self.rig.now()
        datagram, drained = self._player.sealed_by_guest(family)
        self._shadow.sealed(family, datagram, Interval(begun, drained))
        return datagram
