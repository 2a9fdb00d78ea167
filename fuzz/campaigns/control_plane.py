# SPDX-License-Identifier: GPL-2.0-or-later
"""The campaign `control-plane`: netlink, sysctls, the key box's file and socket options."""

from __future__ import annotations

import random
import struct
from collections.abc import Collection, Iterator, Sequence

from fuzz import netlink
from fuzz.api import Api, Call, file_read, file_write, option, reading
from fuzz.campaigns import acts
from fuzz.campaigns.acts import Act, Play, Scene
from fuzz.campaigns.campaign import Campaign
from fuzz.campaigns.steps import CaseRequest
from fuzz.campaigns.stream import stream
from fuzz.campaigns.values import FAMILY
from fuzz.netlink import ACK, DUMP, NESTED, REQUEST, Attribute, Message
from fuzz.oracles.control import INFO, KEYBOX_FILE, RANGES, SOL_NST, SYSCTL
from fuzz.script import Action, Step
from nst_scapy.kernel_messages import SETTINGS, Command
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

_GARBAGE = 160
"""How many messages are damaged at random."""
_NEW_KID = 4711
_VALUES = (0, 1, 2, 5, 255, 4096, 65535, 65536, 65537, 1 << 20, (1 << 20) + 1, 86_400_000,
           86_400_001, (1 << 31) - 1, 1 << 31, (1 << 32) - 1)  # fmt: skip


def _material(kid: int) -> bytes:
    """A test key of a kid's own."""
    return random.Random(f"control-plane|{kid}").randbytes(32)


def _message(command: int, *found: Attribute, flags: int = REQUEST | ACK) -> Message:
    return Message(command, netlink.packed(found), flags)


def _well_formed(kids: Sequence[int]) -> Iterator[Message]:
    add, delete = Command.KEY_ADD, Command.KEY_DEL
    replace = Attribute(netlink.KEYS_REPLACE, b"")
    one, new, other = kids[0], _NEW_KID, _NEW_KID + 1
    for several in (
        (new,),
        (one,),
        (new, other),
        (other, new, other),
        (new, one),
        tuple(range(300)),
    ):
        keys = [netlink.key(kid, _material(kid)) for kid in several]
        yield _message(add, *keys)
        yield _message(add, *keys, replace)
    yield _message(add)
    yield _message(add, replace)
    for several in ((one,), (new,), tuple(kids), (kids[-1], one, one), (one, new), ()):
        yield _message(delete, netlink.kids(several))
    yield _message(delete)
    yield _message(delete, Attribute(netlink.KEYS_KIDS, b"\1"))
    yield _message(delete, Attribute(netlink.KEYS_KIDS, b"\1\0\2"))
    yield _message(Command.KEY_FLUSH)
    yield _message(Command.KEY_GET, flags=REQUEST | DUMP)
    yield _message(Command.SETTING_GET)
    yield _message(Command.STAT_GET)
    yield _message(Command.SETTING_SET)
    for number in range(1, len(SETTINGS) + 1):
        yield from (_message(Command.SETTING_SET, netlink.setting(number, v)) for v in _VALUES)
    # All or nothing: the last of them is wrong.
    yield _message(
        Command.SETTING_SET, netlink.setting(5, 1000), netlink.setting(8, 9), netlink.setting(9, 77)
    )
    yield _message(Command.SETTING_SET, *(netlink.setting(n, 1) for n in range(1, 10)))


def _malformed(kids: Sequence[int]) -> Iterator[Message]:
    key = netlink.key(_NEW_KID, _material(_NEW_KID))
    parts = list(netlink.attributes(key.payload))
    add = Command.KEY_ADD
    for nest in (
        b"", parts[0].pack(), parts[1].pack(), key.payload * 2, key.payload[:-1],
        netlink.packed(parts[::-1]), netlink.packed([parts[0], parts[0], parts[1]]),
        netlink.packed([*parts, Attribute(3, b"more")]), b"\xff" * 40,
        netlink.packed([Attribute(1, b"\1"), parts[1]]),
        netlink.packed([Attribute(1, b"\1\2\3\4"), parts[1]]),
        *(netlink.packed([parts[0], Attribute(2, bytes(size))]) for size in (0, 1, 31, 33, 64)),
    ):  # fmt: skip
        yield _message(add, Attribute(netlink.KEYS_KEY | NESTED, nest))
    yield _message(add, Attribute(netlink.KEYS_KEY, key.payload))
    yield _message(add, key, Attribute(netlink.KEYS_REPLACE, b"\0\0\0\0"))
    yield _message(add, key, netlink.kids(kids))
    yield from (_message(command, Attribute(99, b"what")) for command in Command)
    yield from (_message(command, *([Attribute(1, b"")] * 200)) for command in Command)
    for command in (0, 8, 9, 10, 127, 255):
        yield _message(command)
        yield _message(command, flags=REQUEST | DUMP)
    for flags in (REQUEST | DUMP, REQUEST | ACK | DUMP, REQUEST | ACK | 0xF00, 0xFFFF):
        yield from (_message(command, flags=flags) for command in Command)
    for size in (0, 1, 2, 3, 5, 8, 100):
        yield _message(Command.SETTING_SET, Attribute(5, bytes(size)))
    yield _message(Command.SETTING_SET, netlink.setting(5, 7), netlink.setting(5, 8))
    yield _message(Command.SETTING_SET, netlink.setting(5 | NESTED, 7))
    yield _message(Command.SETTING_SET, netlink.setting(0, 1), netlink.setting(10, 1))
    good = _message(Command.SETTING_SET, netlink.setting(5, 1234))
    for longer in (-28, -27, -20, -12, -9, -8, -4, -1, 1, 4, 100, 1 << 16, (1 << 31) - 64):
        yield good._replace(longer=longer)
    for version in (0, 2, 255):
        yield good._replace(version=version)
    yield good._replace(reserved=1)
    yield good._replace(body=good.body + b"\0\0\0\0")
    yield good._replace(body=good.body + b"\3\0\1\0")
    yield good._replace(body=good.body[:-2])
    for kind in (0, 1, 2, 3, 16):
        yield good._replace(type=kind)


def _damaged(messages: Sequence[Message]) -> Iterator[bytes]:
    """Bytes changed anywhere behind the header, which names the family and asks for an answer."""
    draw = random.Random("control-plane")
    for _ in range(_GARBAGE):
        data = bytearray(draw.choice(messages).pack())
        for _ in range(draw.choice((1, 1, 2, 4))):
            at = draw.randrange(16, len(data))
            data[at] = draw.choice((0, 1, 0x7F, 0x80, 0xFF, data[at] ^ 1 << draw.randrange(8)))
        yield bytes(data)


def _texts() -> Iterator[Api]:
    for name, limits in RANGES.items():
        path = SYSCTL + name
        numbers = {limits.low - 1, limits.low, limits.high, limits.high + 1, 0, 1, 1 << 31, 1 << 32}
        yield from (file_write(path, str(number).encode()) for number in sorted(numbers))
        yield file_write(path, str(limits.high).encode() + b"\n")
        yield file_read(path)
    path = SYSCTL + "rekey_records"
    for text in (
        b"", b"\n", b" 7", b"7 8", b"7,8", b"0x10", b"010", b"-1", b"+5", b"seven", b"7seven",
        b"\0", b"7\0", b"9" * 40, b" " * 3000 + b"7", b"\xff" * 9, b"7" * 900,
    ):  # fmt: skip
        yield file_write(path, text)


def _keybox_texts(kids: Sequence[int]) -> Iterator[Api]:
    line = f"{_NEW_KID} {_material(_NEW_KID).hex()}\n".encode()
    for text in (
        b"", b"\n", b"# nothing\n", line, line[:-1], line * 2, line + b"x", b"65536 " + line[5:],
        b"-1 " + line[5:], line[:-2] + b"\n", line[:-1] + b"00\n", b"\0" * 10, line + b"\0",
        b"\xff" * 99, line.upper(), b"\t" + line, line.replace(b" ", b"\t"), b"1 2 3\n",
        line + b"# and a remark\n",
        b"".join(f"{kid} {_material(kid).hex()}\n".encode() for kid in range(200)),
        b"".join(f"{kid} {_material(kid).hex()}\n".encode() for kid in (*kids, kids[0])),
    ):  # fmt: skip
        yield file_write(KEYBOX_FILE, text)
    yield file_read(KEYBOX_FILE)


def _options(kids: Sequence[int]) -> Iterator[Api]:
    for number in (-1, 0, 1, 2, 3, 4, 5, 1 << 30, (1 << 31) - 1):
        yield option(SOL_NST, 1, number)
        yield option(SOL_NST, 6, number)
    for kid, kpos, kval, pin in (
        (kids[0], 0, 0, 1), (kids[0], 1, 1, 2), (9, 32, 255, 3), (9, 33, 1, 2), (9, 0, 1, 2),
        (9, 1, 0, 2), (9, 255, 255, 1), (9, 1, 1, 4), (9, 1, 1, 0xFFFFFFFF), (0, 0, 0, 0),
    ):  # fmt: skip
        yield option(SOL_NST, 2, struct.pack("<HBBI", kid, kpos, kval, pin))
    for several in ((), (kids[0],), tuple(kids), (kids[0],) * 9, (9, 8, 7), tuple(range(500))):
        for name in (4, 5):
            yield option(SOL_NST, name, b"".join(struct.pack("<H", kid) for kid in several))
    for name in (0, 1, 2, INFO, 4, 5, 6, 7, 255):
        yield from (option(SOL_NST, name, bytes(size)) for size in (0, 1, 2, 3, 5, 7, 9, 64, 999))
        yield from (reading(SOL_NST, name, room) for room in (0, 1, 3, 4, 8, 40, 1000))
    for level, names in ((6, (14, 19, 23, 30, 31, 35)), (17, (1, 100, 103, 104)), (41, (1,))):
        for name in names:
            yield option(level, name, 1)
            yield option(level, name, b"espintcp")


def _asked(message: Message) -> Api:
    return Api(Call.NETLINK, rest=message.pack())


_READ_BACK = Act(
    "read back",
    lambda values, offset: [
        step
        for made in (
            _asked(_message(Command.KEY_GET, flags=REQUEST | DUMP)),
            _asked(_message(Command.SETTING_GET)),
            *(file_read(SYSCTL + name) for name in ("rekey_records", "timestamp_window_ms")),
            *(reading(SOL_NST, name, 64) for name in (1, 2, 4, 5, 6)),
        )
        for step in acts.api(made).steps(values, offset)
    ],
)
_AFRESH = Act(
    "afresh",
    lambda values, offset: [
        Step(Action.RESTORE), Step(Action.CLOSE), Step(Action.CONNECT, values[FAMILY]),
    ],
)  # fmt: skip


def _requests(keybox: KeyBox, provided: Collection[SuiteId]) -> list[CaseRequest]:
    kids = sorted(keybox)
    right, wrong = list(_well_formed(kids)), list(_malformed(kids))
    damaged = [Api(Call.NETLINK, rest=data) for data in _damaged(right)]
    pools = {
        "messages": [_asked(message) for message in right],
        "garbage": [*map(_asked, wrong), *damaged],
        "files": [*_texts(), *_keybox_texts(kids)],
        "options": list(_options(kids)),
    }
    everything = [acts.api(made) for pool in pools.values() for made in pool]
    suites = sorted(provided)
    requests = []
    for at, (name, pool) in enumerate(pools.items()):
        own = [acts.api(made) for made in pool]
        plays = [
            Play("accept", acts.ACCEPT, ()),
            Play("first", own[0], own),
            Play("second", own[1], own),
            Play("third", acts.NOTHING, everything),
            Play("read", _READ_BACK, ()),
            Play("afresh", _AFRESH, ()),
        ]
        records = stream(keybox, suites[at % len(suites)], [("a", 0), ("a", 1)], only=())
        end = Play("end", acts.FIN, ())
        requests.append(CaseRequest(name, children=[Scene("tcp", [*plays, *records, end])]))
    return requests


CONTROL_PLANE = Campaign(
    "control-plane",
    "netlink messages, sysctls, the key box's file and socket options, well-formed and garbage;"
    " what they changed is read back, and then the module has to work as before",
    (Verdict.OK,),
    _requests,
)
