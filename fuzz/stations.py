# SPDX-License-Identifier: GPL-2.0-or-later
"""The two ends of a target guest's link."""

from __future__ import annotations

from fuzz.guest.target import TargetGuest
from fuzz.net.ethernet import Station

HOST = Station.of(TargetGuest.host_mac, TargetGuest.host_ipv4.ip, TargetGuest.host_ipv6.ip)
"""The campaign's end."""
GUEST = Station.of(TargetGuest.mac, TargetGuest.ipv4.ip, TargetGuest.ipv6.ip)
"""The guest's."""
