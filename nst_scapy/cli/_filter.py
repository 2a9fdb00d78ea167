# SPDX-License-Identifier: GPL-2.0-or-later
"""What `nst decode --filter` understands: conditions on observations."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable
from typing import Any

import click

from ..header import Header
from ..observation import Observation
from ..suite import SUITES
from ..verdict import UNVERIFIED, Verdict

Condition = Callable[[Observation], bool]

_CONDITION = re.compile(r"\s*([a-z_]+)\s*(==|!=|<=|>=|<|>|~)\s*(.*?)\s*")
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_NUMBERS = (
    "frame", "time", "magic", "version", "cipher_id", "transport_len", "timestamp", "nonce",
    "session_id", "counter", "kpos", "kval", "kid", "flags", "port",
)  # fmt: skip
_TEXTS = ("transport", "src", "dst", "host", "verdict", "note", "suite", "plaintext")
FIELDS = _NUMBERS + _TEXTS


def condition(text: str) -> Condition:
    """The condition that *text* spells: ``FIELD OP VALUE``.

    ``==`` and ``!=`` take several values, separated by commas.

    Raises:
        click.BadParameter: it spells none; the message tells why.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise click.BadParameter(f"{text!r} is not FIELD OP VALUE, as in verdict!=OK")
    name, op, value = match.groups()
    if name not in FIELDS:
        raise click.BadParameter(f"{name!r} is none of {', '.join(FIELDS)}")
    if op == "~":
        return lambda seen: any(value in str(found) for found in _values(seen, name))
    if op in _ORDER:
        if name not in _NUMBERS:
            raise click.BadParameter(f"{name} has no order: use ==, != or ~")
        compare, limit = _ORDER[op], _number(name, value)
        return lambda seen: any(compare(found, limit) for found in _values(seen, name))
    parts = [part.strip() for part in value.split(",")]
    if name == "verdict" and (unknown := set(parts) - {*Verdict, UNVERIFIED}):
        raise click.BadParameter(f"{min(unknown)!r} is not a verdict")
    wanted = {_number(name, part) for part in parts} if name in _NUMBERS else set(parts)
    if op == "==":
        return lambda seen: any(found in wanted for found in _values(seen, name))
    return lambda seen: not any(found in wanted for found in _values(seen, name))


def _number(name: str, value: str) -> int:
    try:
        return int(value, 0)
    except ValueError:
        raise click.BadParameter(f"{name}: {value!r} is not a number") from None


def _values(seen: Observation, name: str) -> tuple[Any, ...]:
    """What the observation has of that name; nothing where it has no header."""
    header = seen.header
    match name:
        case "port":
            return seen.src.port, seen.dst.port
        case "host":
            return tuple(str(end).rpartition(":")[0].strip("[]") for end in (seen.src, seen.dst))
        case "verdict":
            return (UNVERIFIED if seen.verdict is None else str(seen.verdict),)
        case "transport":
            return (seen.transport.value,)
        case "src" | "dst":
            return (str(getattr(seen, name)),)
        case "plaintext":
            return () if seen.plaintext is None else (seen.plaintext.decode("latin-1"),)
        case "suite":
            known = None if header is None else SUITES.get(header.cipher_id)
            return () if known is None else (known.name,)
        case "frame" | "time" | "note":
            return (getattr(seen, name),)
    return _of_header(header, name)


def _of_header(header: Header | None, name: str) -> tuple[Any, ...]:
    return () if header is None else (getattr(header, name),)
