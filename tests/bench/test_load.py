# SPDX-License-Identifier: GPL-2.0-or-later
"""The load generator does what it is told, in every transport, and counts the same twice."""

from __future__ import annotations

import pytest

from fuzz.bench import cpus, kmod, loadguest, profile, scale
from fuzz.guest import kernel, module
from fuzz.guest.errors import GuestError


@pytest.mark.timeout(600)
def test_every_transport_carries_every_load() -> None:
    chosen = kernel.find(kernel.DEFAULT)
    with loadguest.booted(chosen, module.build_module(chosen)) as guest:
        for cases in kmod.CASES.values():
            for case in cases:
                # As little of it as there can be.
                amount = 2
                if case.unit == "byte":
                    amount = int(case.command.split()[2])  # one write
                for transport in case.transports:
                    if case.unit == "byte" and case.amount_for(transport) != case.amount:
                        continue
                    counted = guest.run(f"{case.command.format(transport, amount)} 2").instructions
                    assert len(counted) == 2
                    assert min(counted) > amount
        warm, once, again = guest.run("pingpong nst-aes-gcm 64 200 3").instructions
        assert abs(once - again) < 0.03 * once <= 0.06 * warm
        assert guest.run("many nst-aes-gcm 3 6 1").instructions
        assert guest.run("sessions nst-dgram-aes-gcm 3 6 1").instructions
        assert len(guest.run("latency tcp 64 5 1").instructions) == 5
        assert not guest.run("keys 100").instructions
        assert [item.subject for item, _ in cpus.measure(guest, 1, 65536, 1)] == [*cpus.SUBJECTS]

        # Packets are lost, all bytes come nevertheless, and then loopback is what it was.
        before = _sent_again(guest)
        assert len(guest.run("lossy nst-aes-gcm 50 524288 2").instructions) == 2
        assert _sent_again(guest) > before
        assert guest.read_file("/sys/class/net/lo/mtu") == "65536"

        # Points of curves are as full as they say.
        for name, subject, table in (
            ("stream sessions", kmod.NST, "stream_sessions"),
            ("datagram sessions", "nst-dgram-aes-gcm", "dgram_sessions"),
        ):
            curve = next(it for it in scale.CURVES if (it.name, it.subject) == (name, subject))
            scale.measure(guest, curve, curve.points[1])
            lines = guest.read_file("/proc/net/nst_stat").splitlines()
            assert f"{table} {curve.points[1]}" in lines

        root = profile.profile(guest, "all of it", "bulk nst-aes-gcm 16384 1048576 2")
        assert root.samples > 50
        assert "nst_stream_sendmsg" in _names(root)
        with pytest.raises(GuestError, match="no transport pigeon"):
            guest.run("bulk pigeon 16384 16384 1")


def _sent_again(guest: loadguest.LoadGuest) -> int:
    """How many TCP segments."""
    names, values = (
        line.split()
        for line in guest.read_file("/proc/net/snmp").splitlines()
        if line.startswith("Tcp:")
    )
    return int(dict(zip(names, values, strict=True))["RetransSegs"])


def _names(frame: profile.Frame) -> set[str]:
    return {frame.name}.union(*(_names(call) for call in frame.calls.values()))
