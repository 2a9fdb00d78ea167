# SPDX-License-Identifier: GPL-2.0-or-later
"""``conf.nst``: the key box, and what associations are made with unless told otherwise."""

from __future__ import annotations

import os
from collections.abc import Sequence

from scapy.config import ConfClass, conf

from .keybox import KeyBox
from .layer import bind_nst, bound_ports
from .replay import DEFAULT_WINDOW_NS
from .suite import SuiteId


def suite_id(suite: SuiteId | int | str) -> SuiteId:
    """The suite of that name or ``cipher_id``.

    Raises:
        ValueError: there is none.
    """
    try:
        return SuiteId[suite] if isinstance(suite, str) else SuiteId(suite)
    except KeyError:
        raise ValueError(f"{suite!r} is not a suite") from None


class NSTConf(ConfClass):
    """Defaults of an interactive session.

    Attributes:
        kids: draw ``kid`` from these; ``None`` for the whole key box.
        perturbation: ``(kpos, kval)`` for every epoch; ``None`` to draw it for each.
        window_ns: timestamp window, nanoseconds.
    """

    kids: Sequence[int] | None = None
    perturbation: tuple[int, int] | None = None
    window_ns: int = DEFAULT_WINDOW_NS
    _keybox: KeyBox | None = None
    _suite: SuiteId = SuiteId.AES_GCM

    @property
    def keybox(self) -> KeyBox | None:
        """The key box; set it to one, or to the name of a file, which is read at once.

        Raises:
            KeyBoxError: the file's contents break the format.
            OSError: it cannot be read.
        """
        return self._keybox

    @keybox.setter
    def keybox(self, box: KeyBox | str | os.PathLike[str] | None) -> None:
        self._keybox = KeyBox.load(box) if isinstance(box, str | os.PathLike) else box

    @property
    def suite(self) -> SuiteId:
        """The suite to seal with; set it by name or ``cipher_id``."""
        return self._suite

    @suite.setter
    def suite(self, suite: SuiteId | int | str) -> None:
        self._suite = suite_id(suite)

    @property
    def ports(self) -> tuple[int, ...]:
        """The TCP and UDP ports that are taken for NST, the default one first."""
        return bound_ports()

    @ports.setter
    def ports(self, ports: Sequence[int]) -> None:
        bind_nst(*ports)


settings = NSTConf()
conf.nst = settings  # type: ignore[attr-defined]
