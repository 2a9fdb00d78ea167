# SPDX-License-Identifier: GPL-2.0-or-later
"""One guest under test: its life from boot to boot, and what it tells between cases."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from fuzz.corpus.keeper import Keeper
from fuzz.coverage import kept
from fuzz.coverage.guest import Probe
from fuzz.guest.errors import GuestError
from fuzz.guest.kernel import Kernel
from fuzz.guest.kmemleak import SCAN_SECONDS, SWITCH
from fuzz.guest.target import READY_SECONDS, TargetGuest
from fuzz.net.connection import Refused
from fuzz.net.host import Host
from fuzz.oracles.clock import GuestClock
from fuzz.oracles.console import ReportWatch, impossible
from fuzz.oracles.counters import Counters, CountersError
from fuzz.oracles.kmemleak import Losses, search
from fuzz.oracles.leaks import Holdings
from fuzz.oracles.shadow import suites_of
from fuzz.player import ANSWER_SECONDS, Player
from fuzz.stations import GUEST, HOST
from fuzz.tables import AS_SHIPPED, TableSizes
from fuzz.target.build import build_target
from fuzz.target.client import CONTROL_PORT, ECHO_PORT, TargetRefused, TargetSilent
from fuzz.target.wire import Reply
from nst_scapy.header import DEFAULT_PORT
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId

AF_NST = 18
LOSSES = (TargetSilent, TargetRefused, Refused, CountersError, ConnectionError)
"""What it shows by, when the guest is asked something, that it is lost. The link breaks when QEMU
ends."""
_INTERFACE = "eth0"


class Lost(Exception):
    """The guest or its target no longer answers."""


class Rig:
    """A target guest, and the user-space host at the other end of its link.

    Attributes:
        keybox: what the guest comes up with.
        kmemleak: its kernel keeps track of what is allocated, and can be asked for `losses`.
        hoards: its kernel keeps for later what is freed, as `fuzz.oracles.leaks.leak_in` has it.
        keeper: knows the edges that were taken before, if it is to be known which a case took.
        guest: the machine.
        player: does in it what cases want.
        reports: what its kernel has to complain of.
        boots: how often it came up.
        suites: that its kernel provides.
        counters: the module's, when the guest had come up, or had its clock set since.
        clock: what is known of the guest's, since then.
    """

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
        self.keeper = keeper
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
        self.player = Player(self._host, self.keybox)
        self._client = self.player.client
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
        """Have a fresh guest."""
        self._keep_gcov()
        self.guest.restart()
        try:
            self._begin()
        except GuestError:
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
        try:
            self._come_up()
            self.boots += 1
            self._take_over()
        except LOSSES as error:
            raise GuestError(f"the guest came up, but: {error}", self.guest.console.log) from None
        self.reports.skip()

    def _take_over(self) -> None:
        """Learn what a guest that has come up provides, and set what is asked of it."""
        self.suites = suites_of(self._client.read("/proc/net/nst_suites", ANSWER_SECONDS))
        for table in ("dgram", "stream"):
            size = getattr(self._tables, table)
            if size is not None:
                path = f"/proc/sys/net/nst/{table}_sessions_max"
                self._client.write(path, str(size).encode(), ANSWER_SECONDS)

        self.player.begin()
        self._take_stock()
        self._taint = self.player.taint
        if self.keeper is not None:
            self.probe.see(self.keeper.known)
            self.probe.edges()

    def _take_stock(self) -> None:
        """Ask for counters and clock of a guest whose clock was set."""
        self.clock = GuestClock()
        self.counters = self.note(self.player.ask(()))

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
        return self.clock.creation.latest

    def now(self) -> int:
        """The guest's real-time clock, ns: a little less than it reads."""
        return self.clock.at_least(time.monotonic_ns())

    def grow_old(self, age: int) -> None:
        """Wait until the replay tables are at least so old, ns."""
        left = age - (self.now() - self.creation)
        time.sleep(max(0, left) / 1e9)

    def set_clock(self, ns: int) -> None:
        """Set the guest's real-time clock, ns since 1970.

        Raises:
            Lost: the guest or the target does not answer.
        """
        try:
            self._client.set_clock(ns, ANSWER_SECONDS)
            self._take_stock()
        except LOSSES as error:
            raise Lost(str(error)) from None

    def note(self, reply: Reply) -> Counters:
        """The counters in a reply; it also tells of the clock.

        Raises:
            CountersError: the reply does not have them.
        """
        counters = Counters.parse(reply.text)
        self.clock.observe(
            drained=reply.drained,
            done=reply.done,
            age=counters.value("age_ns"),
            host=time.monotonic_ns(),
        )
        return counters

    @property
    def tainted(self) -> bool:
        """Whether the kernel has tainted itself since the guest came up."""
        return self.player.taint != self._taint

    @property
    def killed(self) -> bool:
        """Whether somebody killed the guest's QEMU, or QEMU itself went wrong."""
        guest = self.guest
        return guest.killed or impossible(guest.console.since(guest.boot_line))

    def holdings(self, *, at_once: bool = False) -> Holdings:
        """What the guest's kernel holds between cases; `at_once` what is about to be freed, too.

        Raises:
            Lost: the guest or the target does not answer.
        """
        try:
            text = self._client.holdings(ANSWER_SECONDS, at_once=at_once)
            return Holdings.parse(text, self.note(self.player.ask(())))
        except LOSSES as error:
            raise Lost(str(error)) from None

    def losses(self) -> Losses:
        """What of the module's memory is lost, by kmemleak, of a rig that has it.

        Raises:
            Lost: the guest or the target does not answer.
            GuestError: kmemleak has given up.
        """
        try:
            return search(self._client, SCAN_SECONDS * self.guest.qemu.slowdown)
        except TargetRefused as error:
            raise GuestError(f"kmemleak does not work: {error}", self.guest.console.log) from None
        except LOSSES as error:
            raise Lost(str(error)) from None
