# SPDX-License-Identifier: GPL-2.0-or-later
"""The planted bugs follow the module's source."""

from __future__ import annotations

import pytest

from fuzz import planted
from fuzz.campaigns.catalogue import CAMPAIGNS


@pytest.mark.parametrize("bug", planted.load().values(), ids=planted.load())
def test_each_bug_has_its_place(bug: planted.PlantedBug) -> None:
    assert planted.changed(bug) != (planted.SOURCE / bug.file).read_text()
    assert bug.campaign in CAMPAIGNS
