# SPDX-License-Identifier: GPL-2.0-or-later
"""One guest under test: carrying out cases, and judging them beside the model."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from types import TracebackType
from typing import Self

from fuzz.api import CONTROL
from fuzz.binding import heard
from fuzz.corpus.keeper import Keeper
from fuzz.coverage import kept
from fuzz.coverage.guest import Probe
from fuzz.flight import Execution, Flight
from fuzz.guest.errors import GuestError
from fuzz.guest.kernel import Kernel
from fuzz.guest.kmemleak import SCAN_SECONDS, SWITCH
from fuzz.guest.target import READY_SECONDS, TargetGuest
from fuzz.net.connection import Refused
from fuzz.net.ethernet import MTU
from fuzz.net.host import Host
from fuzz.oracles.clock import GuestClock, Interval
from fuzz.oracles.compare import Observation, compare
from fuzz.oracles.console import ReportWatch, impossible
from fuzz.oracles.counters import Counters, CountersError
from fuzz.oracles.expectation import Expectation
from fuzz.oracles.kmemleak import Losses, search
from fuzz.oracles.leaks import Holdings
from fuzz.oracles.served import Sent
from fuzz.oracles.shadow import Moment, Shadow, passes_the_hook, suites_of
from fuzz.player import ANSWER_SECONDS, Player
from fuzz.script import Action, Step, api_of, patched, unpack
from fuzz.stations import GUEST, HOST
from fuzz.tables import AS_SHIPPED, TableSizes
from fuzz.target.build import build_target
from fuzz.target.client import CONTROL_PORT, ECHO_PORT, TargetRefused, TargetSilent
from fuzz.target.wire import TOLD, Item, Op, Reply
from fuzz.together import ALONE, MOST_CASES, share_of
from nst_scapy.header import DEFAULT_PORT
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

AF_NST = 18
_INTERFACE = "eth0"
_SETTLE_SECONDS = (0.01, 0.05, 0.25)
_UDP_HEADER = 8
_SOON_NS = 1_000_000_000
"""A record that meets a limit of time within this is sent alone."""
# The link breaks when QEMU ends.
_LOSSES = (TargetSilent, Refused, CountersError, ConnectionError)


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


class Lost(Exception):
    """The guest or its target no longer answers."""


class Lab:
    """A target guest, the user-space host at its other end, and the model beside it.

    Attributes:
        overlaps: cases that share the guest may be sent before the ones before were judged.
        kmemleak: its kernel keeps track of what is allocated, and can be asked for `losses`.
    """

    overlaps = True

    def __init__(
        self,
        kernel: Kernel,
        *,
        module: Path,
        keybox: Path,
        workdir: Path,
        tables: TableSizes = AS_SHIPPED,
        gcov: Path | None = None,
        keeper: Keeper | None = None,
        echo: int | None = None,
        kmemleak: bool = False,
    ) -> None:
        """Describe it; `with` boots the guest.

        `gcov` is where to keep which lines ran, of a module built with `GCOV`. With a
        `keeper`, whose module is built with `EDGES`, it is known which edges each case took.
        `echo` is a port of the host's loopback, which leads to a service in the guest that
        returns what it gets.
        """
        self.kmemleak = kmemleak
        self._keeper = keeper
        self._gcov = gcov
        self.hoards = not kernel.lacks(["CONFIG_REF_TRACKER"])
        self.keybox = KeyBox.load(keybox)
        self.guest = TargetGuest(
            kernel,
            module=module,
            keybox=keybox,
            program=build_target(),
            workdir=workdir,
            args=(
                str(AF_NST),
                str(DEFAULT_PORT),
                str(CONTROL_PORT),
                _INTERFACE,
                str(TargetGuest.host_ipv4.ip),
                str(TargetGuest.host_ipv6.ip),
                str(ECHO_PORT),
            ),
            cmdline=SWITCH if kmemleak else "",
            forwards={} if echo is None else {echo: ECHO_PORT},
            kept=True,
        )
        self._host = Host(self.guest.frames, HOST, GUEST, self.guest.alive)
        self._player = Player(self._host, self.keybox)
        self._client = self._player.client
        self._tables = tables
        self.reports = ReportWatch(self.guest.console)
        self.boots = 0
        self.suites: frozenset[SuiteId] = frozenset()

    def __enter__(self) -> Self:
        self.guest.__enter__()
        try:
            self._begin()
        except BaseException as error:
            self.guest.__exit__(type(error), error, error.__traceback__)
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self._keep_gcov()
        finally:
            self.guest.__exit__(kind, error, trace)

    def restart(self) -> None:
        """Have a fresh guest, with a fresh model."""
        self._keep_gcov()
        self.guest.restart()
        try:
            self._begin()
        except (TargetSilent, GuestError):
            if not self.guest.saved:
                raise
            # What was saved is of no use; boot, as the first time.
            self.guest.saved = False
            self.guest.restart()
            self._begin()

    def _come_up(self) -> None:
        """Wait for the guest to boot, and save it; or for the one that was saved."""
        if self.guest.saved:
            # Its clock has stood still since.
            self._client.set_clock(time.time_ns(), ANSWER_SECONDS)
            return
        self.guest.wait_ready(READY_SECONDS)
        self.guest.console.wait_for(
            r"nst-target: ready",
            READY_SECONDS * self.guest.qemu.slowdown,
            since=self.guest.boot_line,
        )
        self.guest.save()

    def _begin(self) -> None:
        """Wait for the guest and take stock of it."""
        self._host.datagrams.clear()
        self._come_up()
        self.boots += 1
        self.suites = suites_of(self._client.read("/proc/net/nst_suites", ANSWER_SECONDS))
        for table in ("dgram", "stream"):
            size = getattr(self._tables, table)
            if size is not None:
                path = f"/proc/sys/net/nst/{table}_sessions_max"
                self._client.write(path, str(size).encode(), ANSWER_SECONDS)

        self._player.begin()
        settings = self._player.settings
        self._shadow = Shadow(
            self.keybox,
            self.suites,
            window_ns=settings["timestamp_window_ms"] * 1_000_000,
            stream_sessions=settings["stream_sessions_max"],
            dgram_sessions=settings["dgram_sessions_max"],
        )
        self._model_states = (0, 0, 0, 0)
        self._clock = GuestClock()
        reply = self._player.ask(())
        self._counters = self._note(reply)
        self._module_states = Observation.between(self._counters, self._counters, ()).states
        self._taint = reply.taint
        if self._keeper is not None:
            self.probe.see(self._keeper.known)
            self.probe.edges()
        self.reports.skip()

    @property
    def probe(self) -> Probe:
        """What asks this boot of the guest which of the module's code has run."""
        return Probe(self._client, self.guest.control, ANSWER_SECONDS)

    def _keep_gcov(self) -> None:
        """Keep what ran in this boot, if its guest still tells."""
        if self._gcov is not None and self.guest.alive():
            with contextlib.suppress(TargetSilent):
                kept.keep_boot(self.probe.gcov(), self._gcov)

    @property
    def creation(self) -> int:
        """When this boot's replay tables were made, by the guest's clock, ns."""
        return self._clock.creation.latest

    def now(self) -> int:
        """The guest's real-time clock, ns: a little less than it reads."""
        return self._clock.at_least(time.monotonic_ns())

    def grow_old(self, age: int) -> None:
        """Wait until the replay tables are at least so old, ns."""
        left = age - (self.now() - self.creation)
        time.sleep(max(0, left) / 1e9)

    def set_clock(self, ns: int) -> None:
        """Set the guest's real-time clock, ns since 1970."""
        self._client.set_clock(ns, ANSWER_SECONDS)
        self._clock = GuestClock()
        self._counters = self._note(self._player.ask(()))

    @property
    def tainted(self) -> bool:
        """Whether the kernel has tainted itself since the guest came up."""
        return self._player.taint != self._taint

    @property
    def killed(self) -> bool:
        """Whether somebody killed the guest's QEMU, or QEMU itself went wrong."""
        guest = self.guest
        return guest.killed or impossible(guest.console.since(guest.boot_line))

    @property
    def crowded(self) -> bool:
        """Whether an old disagreement is about to make the replay tables drift apart."""
        tables = (self._shadow.receiver.stream_table, self._shadow.receiver.dgram_table)
        full = any(t.size is not None and len(t.entries) + 64 > t.size for t in tables)
        return full and self._model_states != self._module_states

    def holdings(self, *, at_once: bool = False) -> Holdings:
        """What the guest's kernel holds between cases; `at_once` what is about to be freed, too.

        Raises:
            Lost: the guest or the target does not answer.
        """
        try:
            text = self._client.holdings(ANSWER_SECONDS, at_once=at_once)
            return Holdings.parse(text, self._note(self._player.ask(())))
        except (TargetRefused, *_LOSSES) as error:
            raise Lost(str(error)) from None

    def losses(self) -> Losses:
        """What of the module's memory is lost, by kmemleak, of a lab that has it.

        Raises:
            Lost: the guest or the target does not answer.
            GuestError: kmemleak has given up.
        """
        try:
            return search(self._client, SCAN_SECONDS * self.guest.qemu.slowdown)
        except TargetRefused as error:
            raise GuestError(f"kmemleak does not work: {error}", self.guest.console.log) from None
        except _LOSSES as error:
            raise Lost(str(error)) from None

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
        if self._keeper is not None:
            return ALONE  # which edges it takes has to be known
        steps = _steps_of(script)
        share = share_of(steps)
        now = self.now()
        moment = Moment(Interval(now, now + _SOON_NS), self._clock.creation)
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
            return Flight(cases, self.now(), self._player.play(cases))
        except _LOSSES as error:
            raise Lost(str(error)) from None

    def take_off(self, flight: Flight) -> None:
        """Send what is left of cases.

        `land` has to follow before the next, or `touch_down` if all of them share the guest.

        Raises:
            Lost: the guest does not take it.
        """
        if not flight.played.asked:
            flight.begun = self.now()
        kept = any(step.action in _KEEPS for steps in flight.cases for step in steps)
        try:
            flight.request = self._player.collect(flight.played.frames, kept=kept)
        except _LOSSES as error:
            raise Lost(str(error)) from None

    def touch_down(self, flight: Flight) -> None:
        """Wait for what the cases do. Others may be sent before `land` judges these.

        Raises:
            Lost: the guest or the target does not answer.
        """
        try:
            flight.reply = self._player.answer(flight.request)
        except _LOSSES as error:
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
            moment = Moment(Interval(flight.begun, reply.drained), self._clock.creation)
            sent = self._player.end(opened, steps, reply.drained)
            told = [item for item in items if item.kind in TOLD]
            streams = [connection.received for connection in opened]
            cases = heard(flight.cases, flight.played.bound, streams)
            expected = self._shadow.judge_all(cases, moment, told)
            counters = self._note(reply)
            execution = self._judged(expected, steps, moment, before, counters, items, sent)
            for pause in () if followed else _SETTLE_SECONDS:
                if execution.difference is None:
                    break
                # What the module does outside of the receive call may still be under way.
                time.sleep(pause)
                reply = self._player.ask(())
                items += reply.items
                counters = self._note(reply)
                execution = self._judged(expected, steps, moment, before, counters, items, sent)
            if any(step.action is Action.KEYS for step in steps):
                self._player.load(self.keybox)
            if _changed(steps):
                self._player.restore()
            if opened:
                self._player.prepare()
            if self._keeper is not None:
                execution = replace(execution, taken=self.probe.edges())
        except _LOSSES as error:
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
        begun = self._clock.at_least(time.monotonic_ns())
        data = self._host.own.ipv6 if family == 6 else b""
        reply = self._player.ask((), Op.SEND, data + b"reflected", family=family, port=DEFAULT_PORT)
        if reply.error:
            raise Lost(f"the module does not send: errno {reply.error}")
        datagram = self._host.wait_for(
            lambda: self._host.take_datagram(destination_port=DEFAULT_PORT), ANSWER_SECONDS
        )
        if datagram is None:
            raise Lost("the module sent no datagram")
        self._shadow.sealed(family, datagram.payload, Interval(begun, reply.drained))
        return datagram.payload

    def _note(self, reply: Reply) -> Counters:
        """The counters in a reply; it also tells of the clock."""
        counters = Counters.parse(reply.text)
        self._clock.observe(
            drained=reply.drained,
            done=reply.done,
            age=counters.value("age_ns"),
            host=time.monotonic_ns(),
        )
        return counters
