# SPDX-License-Identifier: GPL-2.0-or-later
"""The control plane: key box and settings of a namespace, and the options of a socket.

What is well-formed has one right answer (nst(7), `kmod/include/uapi/linux/nst_netlink.h`),
and changes all that it names or nothing. What is not may be refused with any of the
documented errors; if the module takes it all the same, what it then holds has to be what
can be read out of it. Either way the state has to read back.
"""

from __future__ import annotations

import errno
import struct
import zlib
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from fuzz import netlink
from fuzz.api import Api, Call
from fuzz.netlink import Attribute, Message
from fuzz.target.wire import Item, Kind
from nst_scapy.checks import Policy
from nst_scapy.header import MAX_KPOS
from nst_scapy.kernel_messages import SETTINGS, Command
from nst_scapy.keybox import KEY_LEN, KeyBox, KeyBoxError
from nst_scapy.suite import SuiteId

SYSCTL = "/proc/sys/net/nst/"
KEYBOX_FILE = "/proc/net/nst_keybox"


class Range(NamedTuple):
    """What a setting may be, and what it is when nobody has set it."""

    low: int
    high: int
    initial: int


RANGES = dict(
    zip(
        SETTINGS,
        (
            Range(0, 1, 1), Range(0, 1, 1), Range(0, 1, 1), Range(0, 1, 0),
            Range(1, 24 * 60 * 60 * 1000, 30000), Range(1, 1 << 20, 65536), Range(1, 1 << 20, 4096),
            Range(1, 65536, 65536), Range(min(SuiteId), max(SuiteId), min(SuiteId)),
        ),
        strict=True,
    )
)  # fmt: skip
"""As nst(7) has them."""
REFUSALS = frozenset(
    {errno.EINVAL, errno.EOPNOTSUPP, errno.ERANGE, errno.EEXIST, errno.ENOENT, errno.EAGAIN}
)
"""What may come of garbage; EAGAIN stands for no answer, for what is no message at all."""
_READING = frozenset({Command.KEY_GET, Command.SETTING_GET, Command.STAT_GET})


@dataclass
class Control:
    """What a namespace holds.

    Attributes:
        kids: of the keys in the box.
        settings: by name; `None` where only the module knows.
        box: the keys that are there again after `restore`.
        suites: that the kernel provides.
        initial: settings that are then otherwise than in `RANGES`.
    """

    box: KeyBox
    suites: Collection[int]
    initial: Mapping[str, int] = field(default_factory=dict)
    kids: set[int] = field(default_factory=set)
    settings: dict[str, int | None] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.restore()

    def restore(self) -> None:
        """Make everything as it was when the guest came up."""
        self.kids = set(self.box)
        self.settings = {name: limits.initial for name, limits in RANGES.items()}
        self.settings.update(self.initial)

    def call(self, api: Api, told: Item | None) -> Item:
        """What a call of the control plane returns; `told` is what the module says."""
        if api.call is Call.NETLINK:
            return self._netlink(api.rest, told)
        path, _, contents = api.rest.partition(b"\0")
        if api.call is Call.READ_FILE:
            return self._read(path.decode(errors="replace"), told)
        return Item(Kind.API, api.call, self._write(path.decode(errors="replace"), contents, told),
                    0, 0)  # fmt: skip

    # Netlink.

    def _netlink(self, data: bytes, told: Item | None) -> Item:
        message = Message.unpack(data)
        exact = _exact(message)
        if message is not None and exact:
            error, reply = self._obey(message, list(netlink.attributes(message.body)))
            if reply is None and told is not None and told.error == error:
                return told
            reply = reply or b""
            return Item(Kind.API, Call.NETLINK, error, len(reply), zlib.crc32(reply))
        if told is None or told.error in REFUSALS:
            error = errno.EINVAL if told is None else told.error
            return Item(Kind.API, Call.NETLINK, error, 0, 0)
        if told.error or message is None:
            return Item(Kind.API, Call.NETLINK, errno.EINVAL, 0, 0)
        if message.type != netlink.ANY_FAMILY or message.command in _READING:
            return told
        # It was taken: then it has to be right, as far as it says that it goes.
        body = message.body[: len(message.body) + min(message.longer, 0)]
        error, _ = self._obey(message, list(netlink.attributes(body)))
        return Item(Kind.API, Call.NETLINK, error, told.length, told.crc)

    def _obey(self, message: Message, found: list[Attribute]) -> tuple[int, bytes | None]:
        """Carry a message out; the error, and the reply's attributes if they can be known."""
        match message.command:
            case Command.KEY_ADD:
                return self._add(found), b""
            case Command.KEY_DEL:
                return self._delete(found), b""
            case Command.KEY_FLUSH:
                self.kids.clear()
                return 0, b""
            case Command.KEY_GET:
                kids = netlink.kids(sorted(self.kids)).pack() if self.kids else b""
                return 0, kids
            case Command.SETTING_SET:
                return self._set(found), b""
            case Command.SETTING_GET:
                values = [self.settings[name] for name in SETTINGS]
                if None in values:
                    return 0, None
                return 0, netlink.packed(
                    netlink.setting(number, value or 0)
                    for number, value in enumerate(values, start=1)
                )
            case Command.STAT_GET:
                return 0, None
        return errno.EOPNOTSUPP, b""

    def _add(self, found: list[Attribute]) -> int:
        keys = [_key_of(one) for one in found if one.type & netlink.TYPE_MASK == netlink.KEYS_KEY]
        replace = any(one.type & netlink.TYPE_MASK == netlink.KEYS_REPLACE for one in found)
        kids = [kid for kid in keys if kid is not None]
        if not keys or len(kids) < len(keys) or len(set(kids)) < len(kids):
            return errno.EINVAL
        if not replace and self.kids.intersection(kids):
            return errno.EEXIST
        self.kids.update(kids)
        return 0

    def _delete(self, found: list[Attribute]) -> int:
        lists = [one for one in found if one.type & netlink.TYPE_MASK == netlink.KEYS_KIDS]
        if not lists or not lists[-1].payload or len(lists[-1].payload) % 2:
            return errno.EINVAL
        kids = {kid for (kid,) in struct.iter_unpack("<H", lists[-1].payload)}
        if not kids <= self.kids:
            return errno.ENOENT
        self.kids -= kids
        return 0

    def _set(self, found: list[Attribute]) -> int:
        wanted: dict[str, int] = {}
        for attribute in found:
            number = attribute.type & netlink.TYPE_MASK
            if 1 <= number <= len(SETTINGS):
                if len(attribute.payload) < 4:
                    return errno.EINVAL
                wanted[SETTINGS[number - 1]] = int.from_bytes(attribute.payload[:4], "little")
        for name in SETTINGS:
            if name in wanted and (error := self._wrong(name, wanted[name])):
                return error
        self.settings.update(wanted)
        return 0

    def _wrong(self, name: str, value: int) -> int:
        """Why a setting cannot have a value: an error, or 0."""
        limits = RANGES[name]
        if not limits.low <= value <= limits.high:
            return errno.ERANGE
        return errno.EOPNOTSUPP if name == "default_cipher" and value not in self.suites else 0

    # Files.

    def _write(self, path: str, contents: bytes, told: Item | None) -> int:
        if path == KEYBOX_FILE:
            return self._replace(contents)
        name = path.removeprefix(SYSCTL)
        if not path.startswith(SYSCTL) or name not in RANGES:
            return errno.ENOENT if told is None else told.error
        text = contents.removesuffix(b"\n")
        if text.isdigit() and text == str(int(text)).encode() and int(text) < 1 << 32:
            error = self._wrong(name, int(text))
            if not error:
                self.settings[name] = int(text)
            # Linux has changed its mind about which of the two it is.
            either = error == errno.ERANGE and told is not None and told.error == errno.EINVAL
            return errno.EINVAL if either else error
        if told is not None and told.error in REFUSALS:
            return told.error
        # What else may be a number is the kernel's business; it has to be a right one.
        self.settings[name] = None
        return 0

    def _replace(self, contents: bytes) -> int:
        try:
            box = KeyBox.parse(contents)
        except KeyBoxError:
            return errno.EINVAL
        self.kids = set(box)
        return 0

    def _read(self, path: str, told: Item | None) -> Item:
        value = self.settings.get(path.removeprefix(SYSCTL))
        if told is not None and (not path.startswith(SYSCTL) or value is None):
            return told
        text = f"{value}\n".encode()
        return Item(Kind.API, Call.READ_FILE, 0, len(text), zlib.crc32(text))


def _exact(message: Message | None) -> bool:
    """Whether a message is as nst_netlink.h asks for, so that one answer is right."""
    if message is None or message.longer or message.reserved or message.version != 1:
        return False
    dump = netlink.REQUEST | netlink.DUMP
    flags = dump if message.command == Command.KEY_GET else netlink.REQUEST | netlink.ACK
    found = list(netlink.attributes(message.body))
    if message.flags != flags or message.type != netlink.ANY_FAMILY:
        return False
    # Several keys are several attributes of one type.
    repeats = len({one.type for one in found}) < len(found) and message.command != Command.KEY_ADD
    if netlink.packed(found) != message.body or repeats:
        return False
    return all(_known(message.command, attribute) for attribute in found)


def _known(command: int, attribute: Attribute) -> bool:
    size = len(attribute.payload)
    match command:
        case Command.KEY_ADD:
            if attribute.type == netlink.KEYS_REPLACE:
                return size == 0
            return attribute.type == netlink.KEYS_KEY | netlink.NESTED and _key_known(attribute)
        case Command.KEY_DEL:
            return attribute.type == netlink.KEYS_KIDS
        case Command.SETTING_SET:
            return 1 <= attribute.type <= len(SETTINGS) and size == 4
    return False


def _key_known(attribute: Attribute) -> bool:
    parts = list(netlink.attributes(attribute.payload))
    sizes = {part.type: len(part.payload) for part in parts}
    return (
        netlink.packed(parts) == attribute.payload
        and len(sizes) == len(parts)
        and sizes == {netlink.KEY_KID: 2, netlink.KEY_MATERIAL: KEY_LEN}
    )


def _key_of(attribute: Attribute) -> int | None:
    """The kid of a key to add; `None` if it is none."""
    parts = {
        part.type & netlink.TYPE_MASK: part.payload
        for part in netlink.attributes(attribute.payload)
    }
    kid, material = parts.get(netlink.KEY_KID), parts.get(netlink.KEY_MATERIAL)
    if kid is None or len(kid) < 2 or material is None or len(material) != KEY_LEN:
        return None
    return int.from_bytes(kid[:2], "little")


SOL_NST = 1337
TX_SUITE, TX_KEY, INFO, TX_KIDS, RX_KIDS, RX_SUITES = 1, 2, 3, 4, 5, 6
_PIN_KID, _PIN_PERTURB = 1, 2
_KIDS_MAX = 65536
_REFUSED = frozenset(
    {(6, name) for name in (14, 19, 23, 30, 31, 35)}
    | {(17, 1), (17, 100), (17, 103), (17, 104), (41, 1)}
)  # fmt: skip
"""Options with which data would pass NST by: TCP's MD5, repair, fast open, ULPs and zero-copy
receive, all of UDP's, IPV6_ADDRFORM."""


class Options:
    """The options of one connection."""

    def __init__(self, suites: Collection[int]) -> None:
        """`suites` are what the kernel provides."""
        self._suites = sum(1 << suite for suite in suites)
        self._held = {
            TX_SUITE: struct.pack("<i", min(SuiteId)), TX_KEY: bytes(8), TX_KIDS: b"",
            RX_KIDS: b"", RX_SUITES: struct.pack("<I", self._suites),
        }  # fmt: skip

    @property
    def policy(self) -> Policy:
        """What the connection lets through."""
        (suites,) = struct.unpack("<I", self._held[RX_SUITES])
        kids = frozenset(kid for (kid,) in struct.iter_unpack("<H", self._held[RX_KIDS]))
        return Policy(frozenset(s for s in SuiteId if suites >> s & 1), kids or None)

    def set(self, level: int, name: int, value: bytes, claimed: int = 0) -> int | None:
        """Set an option; the error, 0, or `None` if it is not NST's business.

        A length that is `claimed` beyond the value's reaches where there is no memory.
        """
        if (level, name) in _REFUSED:
            return errno.EOPNOTSUPP
        if level != SOL_NST:
            return None
        if claimed > len(value):
            return self._wrong(name, value + bytes(claimed - len(value))) or errno.EFAULT
        error = self._wrong(name, value)
        if not error:
            self._held[name] = self._kept(name, value)
        return error

    def get(self, level: int, name: int, room: int) -> bytes | int | None:
        """An option's value, an error, or `None` if it cannot be known."""
        if level != SOL_NST or name == INFO:
            return None
        return self._held[name][:room] if name in self._held else errno.ENOPROTOOPT

    def _kept(self, name: int, value: bytes) -> bytes:
        if name in (TX_KIDS, RX_KIDS):
            kids = sorted({kid for (kid,) in struct.iter_unpack("<H", value)})
            return b"".join(struct.pack("<H", kid) for kid in kids)
        return value

    def _wrong(self, name: int, value: bytes) -> int:
        if name in (TX_KIDS, RX_KIDS):
            return errno.EINVAL if len(value) % 2 or len(value) > 2 * _KIDS_MAX else 0
        if name not in (TX_SUITE, TX_KEY, RX_SUITES):
            return errno.ENOPROTOOPT
        if len(value) != len(self._held[name]):
            return errno.EINVAL
        if name == TX_KEY:
            _, kpos, kval, pin = struct.unpack("<HBBI", value)
            right = kpos <= MAX_KPOS and (not kpos) == (not kval)
            known = not pin & ~(_PIN_KID | _PIN_PERTURB)
            return 0 if known and (right or not pin & _PIN_PERTURB) else errno.EINVAL
        number = int.from_bytes(value, "little")
        if name == TX_SUITE:
            if not min(SuiteId) <= number <= max(SuiteId):
                return errno.EINVAL
            number = 1 << number
        elif number & ~sum(1 << suite for suite in SuiteId):
            return errno.EINVAL
        return errno.EOPNOTSUPP if number & ~self._suites else 0
