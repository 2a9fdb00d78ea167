# SPDX-License-Identifier: GPL-2.0-or-later
"""The guest's clock, as far as it can be known from outside."""

from __future__ import annotations

from dataclasses import dataclass

# One part in so many by which the guest's clock may be slower than ours: translated
# guests calibrate theirs badly on a busy host.
_DRIFT = 20


@dataclass(frozen=True)
class Interval:
    """A span of the guest's real-time clock, ns; both ends belong to it."""

    earliest: int
    latest: int

    def holds(self, time: int) -> bool:
        """Whether the time lies in it."""
        return self.earliest <= time <= self.latest


class GuestClock:
    """Bounds on the guest's clock, from its replies.

    A reply carries two readings of the guest's real-time clock, one before and one
    after the age of the replay tables was read. They bound the moment at which a
    case was judged, and `creation`: the real time at which the tables were made, which
    does not change as long as nobody sets the clock.
    """

    def __init__(self) -> None:
        self.creation = Interval(-(1 << 63), 1 << 63)
        self._guest = 0
        self._host = 0

    def observe(self, *, drained: int, done: int, age: int, host: int) -> None:
        """Note a reply: its two readings, the age, and our monotonic clock when it came, ns."""
        self.creation = Interval(
            max(self.creation.earliest, drained - age), min(self.creation.latest, done - age)
        )
        self._guest = done
        self._host = host

    def at_least(self, host: int) -> int:
        """A time that the guest's clock has reached when our monotonic clock reads `host`.

        It is also the best guess: what it lags behind is the time of one reply's way.
        """
        passed = host - self._host
        return self._guest + passed - passed // _DRIFT
