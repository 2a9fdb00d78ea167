# SPDX-License-Identifier: GPL-2.0-or-later
"""The verdicts of a receiver (specification, section 8)."""

from enum import StrEnum


class Verdict(StrEnum):
    """What a receiver says of a record.

    The members are in the order of the checks; the first that fails is the
    record's verdict. :attr:`number` is the check's number, 0 for ``OK``.
    """

    SHORT = "SHORT"
    MAGIC = "MAGIC"
    VERSION = "VERSION"
    CIPHER = "CIPHER"
    FLAGS = "FLAGS"
    LENGTH = "LENGTH"
    PERTURB = "PERTURB"
    KID = "KID"
    TIMESTAMP = "TIMESTAMP"
    REFLECT = "REFLECT"
    SEQUENCE = "SEQUENCE"
    REPLAY = "REPLAY"
    AUTH = "AUTH"
    PADDING = "PADDING"
    TRUNCATED = "TRUNCATED"
    OK = "OK"

    @property
    def number(self) -> int:
        """The check's number in section 8 (1..15); 0 for ``OK``."""
        return 0 if self is Verdict.OK else _NUMBERS[self]


_NUMBERS = {verdict: n for n, verdict in enumerate(Verdict, start=1)}

NO_RECORD = (Verdict.MAGIC, Verdict.VERSION)
"""What has these is no record of ours: the bytes have neither suite nor kid."""

UNVERIFIED = "unverified"
"""What an observer reports where it cannot reach a verdict (section 8, Observers)."""
