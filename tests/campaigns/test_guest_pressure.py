# SPDX-License-Identifier: GPL-2.0-or-later
"""Memory that runs out in a guest, on the kernel that can have it: part of `make test-kernels`."""

from __future__ import annotations

import errno
import random
from collections import Counter
from collections.abc import Iterator

import pytest

from fuzz.api import Call, sized
from fuzz.guest import kernel as kernels
from fuzz.guest.module import build_module
from fuzz.lab import Lab
from fuzz.oracles.counters import Place
from fuzz.rig import Rig
from fuzz.script import Action, Step, api_step
from fuzz.target.wire import Item
from nst_scapy.header import Role
from nst_scapy.keybox import KeyBox
from nst_scapy.sender import StreamSender
from nst_scapy.verdict import Verdict

pytestmark = pytest.mark.timeout(900)
CONNECT, ACCEPT, RECEIVE = Step(Action.CONNECT, 4), Step(Action.ACCEPT, 4), Step(Action.RECEIVE)


@pytest.fixture(scope="module")
def lab(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    if "sanitizer-6.12" not in request.config.getoption("--kernels"):
        pytest.skip("stock kernels have no fault injection")
    kernel, folder = kernels.find("sanitizer-6.12"), tmp_path_factory.mktemp("pressure")
    (folder / "keybox").write_text(KeyBox({1: bytes(range(32))}).dumps())
    rig = Rig(kernel, module=build_module(kernel), keybox=folder / "keybox", workdir=folder)
    with rig:
        yield Lab(rig)


def records(lab: Lab, *sizes: int) -> list[Step]:
    """Records of a new connection, of so many bytes of plaintext."""
    sender = StreamSender(Role.INITIATOR, lab.keybox, rng=random.Random())
    sealed = [sender.seal(random.randbytes(size), now=lab.now()) for size in sizes]
    return [Step(Action.SEGMENT, 0, record) for record in sealed]


def agreed(lab: Lab, *steps: Step) -> tuple[list[Item], Counter[Place]]:
    """What the application was told and what was counted, if model and module agree."""
    executed = lab.execute(b"".join(step.pack() for step in steps))
    assert executed.difference is None, executed.difference
    return list(executed.seen.items), executed.seen.places


def test_in_a_drought_local_in_leaves_what_it_would_refuse(lab: Lab) -> None:
    wrong = Step(Action.SEGMENT, 0, bytes(60))
    for steps, local_in in (((wrong,), True), ((Step(Action.DROUGHT), wrong), False)):
        items, places = agreed(lab, CONNECT, ACCEPT, *steps, RECEIVE)
        assert [(place.verdict, place.local_in) for place in places] == [(Verdict.MAGIC, local_in)]
        assert items[-1].error == errno.EBADMSG


def test_a_drought_reaches_each_allocation_of_opening_a_first_record(lab: Lab) -> None:
    """The work item leaves the record to the reader, or breaks the connection, until all fits."""
    errors = []
    for units in range(256):
        (record,) = records(lab, 4480)
        items, _ = agreed(lab, CONNECT, ACCEPT, Step(Action.DROUGHT, units), record, RECEIVE)
        errors.append(items[-1].error)
    assert set(errors) == {errno.EAGAIN, errno.ENOMEM}
    assert errors[0] == errors[-1] == errno.EAGAIN


def test_each_allocation_of_reading_fails_with_a_forged_record_behind(lab: Lab) -> None:
    """Cleared, judged or not: none of that record is in the buffers."""
    met, errors = 1, set[int]()
    nth = 0
    while met:
        nth += 1
        good, bad = records(lab, 48, 4480)
        bad = bad._replace(data=bad.data[:-1] + bytes((bad.data[-1] ^ 1,)))
        read = api_step(sized(Call.READV, (4096,) * 4))
        items, _ = agreed(
            lab, CONNECT, ACCEPT, good, bad, Step(Action.SHORTAGE, nth), read, RECEIVE
        )
        met = items[1].length
        errors.add(items[-1].error)
    assert errors == {errno.EBADMSG, errno.ENOMEM}
    assert nth > 3
