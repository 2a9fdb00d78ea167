# SPDX-License-Identifier: GPL-2.0-or-later
"""Observations as lines of JSON.

What ``json.dumps(observation.as_dict())`` gives, from a template: making the dict and
encoding it takes longer than all that comes before.
"""

from __future__ import annotations

import json
from functools import lru_cache

from ..header import COUNTER_BITS, MAX_COUNTER, Header, Transport
from ..inet import Endpoint
from ..observation import Observation
from ..verdict import UNVERIFIED, Verdict

_OK = Verdict.OK
_STREAM = Transport.STREAM
_NO_HEADER = "".join(f'"{name}": null, ' for name in (*Header._fields, "session_id", "counter"))


def json_line(observation: Observation) -> str:
    """One line, with its end."""
    frame, time, transport, src, dst, header, verdict, plaintext, note = observation
    text = "null" if plaintext is None else f'"{plaintext.hex()}"'
    if verdict is _OK:
        outcome = f'"verdict": "OK", "plaintext": {text}, "unverified_plaintext": null'
    else:
        outcome = (
            f'"verdict": "{verdict or UNVERIFIED}", '
            f'"plaintext": null, "unverified_plaintext": {text}'
        )
    return (
        f'{{"frame": {frame}, "time": {time}, '
        f'"transport": "{"stream" if transport is _STREAM else "dgram"}", '
        f"{_ends(src, dst)}{_NO_HEADER if header is None else _fields(header)}{outcome}, "
        f'"note": {json.dumps(note) if note else _EMPTY}}}\n'
    )


_EMPTY = '""'


@lru_cache(maxsize=4096)
def _ends(src: Endpoint, dst: Endpoint) -> str:
    return f'"src": "{src}", "dst": "{dst}", '


def _fields(header: Header) -> str:
    magic, version, cipher_id, length, timestamp, nonce, token, kpos, kval, kid, flags = header
    return (
        f'"magic": {magic}, "version": {version}, "cipher_id": {cipher_id}, '
        f'"transport_len": {length}, "timestamp": {timestamp}, "nonce": {nonce}, '
        f'"token": "{token.hex()}", "kpos": {kpos}, "kval": {kval}, "kid": {kid}, '
        f'"flags": {flags}, "session_id": {nonce >> COUNTER_BITS}, '
        f'"counter": {nonce & MAX_COUNTER}, '
    )
