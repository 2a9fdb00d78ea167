# SPDX-License-Identifier: GPL-2.0-or-later
"""The map of the edges that a case takes through the module, on a kernel as it comes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from fuzz.campaigns.runner import run_keybox
from fuzz.coverage.guest import pack_edges, unpack_edges
from fuzz.guest.kernel import Kernel
from fuzz.guest.module import EDGES, build_module
from fuzz.lab import Lab
from fuzz.rig import Rig
from fuzz.script import Action, Step
from nst_scapy.epoch import Epoch, seal_under
from nst_scapy.header import Flags, Header, KeyParams
from nst_scapy.suite import SuiteId

pytestmark = pytest.mark.timeout(300)


def test_edges_are_packed_in_order() -> None:
    edges = frozenset({0xFFFF80, 0x000101, 0x000102})
    assert pack_edges(edges) == bytes.fromhex("000101 000102 ffff80")
    assert unpack_edges(pack_edges(edges)) == edges
    with pytest.raises(ValueError, match="4 bytes are not edges"):
        unpack_edges(bytes(4))


@pytest.fixture(scope="module")
def lab(kernel: Kernel, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    folder = tmp_path_factory.mktemp("edges")
    run_keybox("edges").save(folder / "keybox")
    module = build_module(kernel, switches=[EDGES])
    with Rig(kernel, module=module, keybox=folder / "keybox", workdir=folder) as rig:
        yield Lab(rig)


def _datagram(lab: Lab, session: int, *, version: int = 1) -> bytes:
    """The script that sends one sealed datagram."""
    params = KeyParams(SuiteId.AES_GCM, 1, 5, 7)
    epoch = Epoch(lab.keybox[params.kid], params, session)
    header = Header.unpack(epoch.seal(b"plain", lab.now(), 3, Flags.DGRAM))
    record = seal_under(epoch, header._replace(version=version).pack(), b"plain")
    return Step(Action.DATAGRAM, 4, record).pack()


def _settled(lab: Lab, session: int) -> set[int]:
    """Send sealed datagrams until three in a row take no new edge; all that were taken."""
    taken: set[int] = set()
    old = 0
    for number in range(session, session + 100):
        assert lab.execute(_datagram(lab, number)).difference is None
        edges = lab.rig.probe.edges().edges
        old = 0 if edges else old + 1
        taken |= edges or set()
        if old == 3:
            return taken
    raise AssertionError("the same kind of case takes new edges again and again")


def test_the_same_takes_the_same_edges_and_another_case_others(lab: Lab) -> None:
    boot = lab.rig.probe.edges()
    assert boot.edges is not None
    assert boot.total == len(boot.edges), "sockets and key box were made"
    settled = _settled(lab, 1000)
    # Refused in softirq, by the LOCAL_IN check, before any socket is asked.
    assert lab.execute(_datagram(lab, 1, version=2)).difference is None
    refused = lab.rig.probe.edges()
    assert refused.edges is not None
    assert refused.edges - settled
    assert refused.total < len(settled)

    lab.restart()
    lab.rig.probe.see(boot.edges | settled)
    lab.rig.probe.edges()
    lab.execute(_datagram(lab, 1000))
    # What the kernel does besides may take an edge more or less.
    assert lab.rig.probe.edges().fresh < 20, "new, though another guest has taken them"
