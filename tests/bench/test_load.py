# SPDX-License-Identifier: GPL-2.0-or-later
"""The load generator does what it is told, in every transport, and counts the same twice."""

from __future__ import annotations

import pytest

from fuzz.bench import kmod, loadguest, profile
from fuzz.guest import kernel, module
from fuzz.guest.errors import GuestError


@pytest.mark.timeout(600)
def test_every_transport_carries_every_load() -> None:
    chosen = kernel.find(kernel.DEFAULT)
    with loadguest.booted(chosen, module.build_module(chosen)) as guest:
        for cases in kmod.CASES.values():
            for case in cases:
                # As little of it as there can be.
                amount = 1 << 20 if case.unit == "byte" else 2
                for transport in case.transports:
                    if case.unit == "byte" and case.amount_for(transport) != case.amount:
                        continue
                    counted = guest.run(f"{case.command.format(transport, amount)} 3").instructions
                    assert len(counted) == 3
                    assert min(counted) > amount
        warm, once, again = guest.run("pingpong nst-aes-gcm 64 200 3").instructions
        assert abs(once - again) < 0.03 * once <= 0.06 * warm
        assert guest.run("many nst-aes-gcm 3 6 1").instructions
        assert guest.run("sessions nst-dgram-aes-gcm 3 6 1").instructions
        assert len(guest.run("latency tcp 64 5 1").instructions) == 5
        assert not guest.run("keys 100").instructions

        root = profile.profile(guest, "all of it", "bulk nst-aes-gcm 16384 1048576 2")
        assert root.samples > 50
        assert "nst_stream_sendmsg" in _names(root)
        with pytest.raises(GuestError, match="no transport pigeon"):
            guest.run("bulk pigeon 16384 16384 1")


def _names(frame: profile.Frame) -> set[str]:
    return {frame.name}.union(*(_names(call) for call in frame.calls.values()))
