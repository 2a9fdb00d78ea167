# SPDX-License-Identifier: GPL-2.0-or-later
"""What the model says of netlink messages, files and socket options."""

from __future__ import annotations

import errno
import struct
import zlib

import pytest

from fuzz import netlink
from fuzz.api import Api, Call, file_read, file_write
from fuzz.netlink import ACK, DUMP, REQUEST, Attribute, Message
from fuzz.oracles.control import KEYBOX_FILE, SOL_NST, SYSCTL, Control, Options
from fuzz.target.wire import Item, Kind
from nst_scapy.kernel_messages import Command
from nst_scapy.keybox import KeyBox
from nst_scapy.suite import SuiteId

BOX = KeyBox({1: bytes(32), 7: bytes(32)})
SUITES = (SuiteId.AES_GCM, SuiteId.AES_CBC)
MATERIAL = bytes(range(32))
REPLACE = Attribute(netlink.KEYS_REPLACE, b"")


def control() -> Control:
    return Control(BOX, SUITES)


def message(command: Command, *found: Attribute, flags: int = REQUEST | ACK) -> Message:
    return Message(command, netlink.packed(found), flags)


def answer(held: Control, asked: Message, told: int = 0) -> int:
    """The error that the model expects, if the module answers with `told`."""
    api = Api(Call.NETLINK, rest=asked.pack())
    return held.call(api, Item(Kind.API, Call.NETLINK, told, 0, 0)).error


def kids(held: Control) -> list[int]:
    """What a dump of the keys has to say."""
    dump = message(Command.KEY_GET, flags=REQUEST | DUMP)
    item = held.call(Api(Call.NETLINK, rest=dump.pack()), None)
    found = sorted(held.kids)
    reply = netlink.kids(found).pack() if found else b""
    assert item == Item(Kind.API, Call.NETLINK, 0, len(reply), zlib.crc32(reply))
    return found


def test_keys_are_added_all_or_none() -> None:
    held = control()
    new, old = netlink.key(9, MATERIAL), netlink.key(7, MATERIAL)
    assert answer(held, message(Command.KEY_ADD, new, old)) == errno.EEXIST
    assert kids(held) == [1, 7]
    assert answer(held, message(Command.KEY_ADD, new, new, REPLACE)) == errno.EINVAL
    assert answer(held, message(Command.KEY_ADD)) == errno.EINVAL
    assert answer(held, message(Command.KEY_ADD, new, old, REPLACE)) == 0
    assert kids(held) == [1, 7, 9]


def test_keys_are_deleted_all_or_none() -> None:
    held = control()
    assert answer(held, message(Command.KEY_DEL, netlink.kids((1, 9)))) == errno.ENOENT
    assert answer(held, message(Command.KEY_DEL, netlink.kids(()))) == errno.EINVAL
    assert kids(held) == [1, 7]
    assert answer(held, message(Command.KEY_DEL, netlink.kids((7, 7)))) == 0
    assert kids(held) == [1]
    assert answer(held, message(Command.KEY_FLUSH)) == 0
    assert kids(held) == []
    held.restore()
    assert kids(held) == [1, 7]


def test_settings_are_changed_all_or_none() -> None:
    held = control()
    wrong = message(Command.SETTING_SET, netlink.setting(8, 5), netlink.setting(9, 77))
    assert answer(held, wrong) == errno.ERANGE
    lacks = message(Command.SETTING_SET, netlink.setting(8, 5), netlink.setting(9, 3))
    assert answer(held, lacks) == errno.EOPNOTSUPP
    assert held.settings["rekey_records"] == 65536
    assert answer(held, message(Command.SETTING_SET, netlink.setting(8, 5))) == 0
    text = b"5\n"
    assert held.call(file_read(SYSCTL + "rekey_records"), None) == Item(
        Kind.API, Call.READ_FILE, 0, len(text), zlib.crc32(text)
    )


@pytest.mark.parametrize("told", [errno.EINVAL, errno.EOPNOTSUPP, errno.ERANGE, errno.EAGAIN])
def test_garbage_may_be_refused_as_documented(told: int) -> None:
    held = control()
    garbage = message(Command.SETTING_SET, Attribute(8, b"\5"))
    assert answer(held, garbage, told) == told
    assert answer(held, garbage, errno.EIO) == errno.EINVAL


def test_garbage_that_is_taken_has_to_be_right() -> None:
    held = control()
    longer = Attribute(8, struct.pack("<Q", 9))
    assert answer(held, message(Command.SETTING_SET, longer)) == 0
    assert held.settings["rekey_records"] == 9
    wrong = Attribute(8, bytes(8))
    assert answer(held, message(Command.SETTING_SET, wrong)) == errno.ERANGE
    cut = message(Command.SETTING_SET, netlink.setting(8, 4))._replace(longer=-8)
    assert answer(held, cut) == 0
    assert held.settings["rekey_records"] == 9
    assert answer(held, Message(77)) == errno.EOPNOTSUPP


@pytest.mark.parametrize(
    ("text", "error"),
    [(b"7", 0), (b"7\n", 0), (b"0", errno.ERANGE), (b"65537", errno.ERANGE)],
)
def test_sysctls_have_ranges(text: bytes, error: int) -> None:
    held = control()
    told = Item(Kind.API, Call.WRITE_FILE, error, 0, 0)
    assert held.call(file_write(SYSCTL + "rekey_records", text), told).error == error
    assert held.settings["rekey_records"] == (65536 if error else 7)


def test_what_only_the_kernel_can_read_is_left_to_it() -> None:
    held = control()
    told = Item(Kind.API, Call.WRITE_FILE, 0, 0, 0)
    assert held.call(file_write(SYSCTL + "rekey_records", b"0x10"), told).error == 0
    read = Item(Kind.API, Call.READ_FILE, 0, 3, 12345)
    assert held.call(file_read(SYSCTL + "rekey_records"), read) == read


def test_the_key_box_is_replaced_whole_or_not() -> None:
    held = control()
    line = f"9 {MATERIAL.hex()}\n".encode()
    assert held.call(file_write(KEYBOX_FILE, line * 2), None).error == errno.EINVAL
    assert kids(held) == [1, 7]
    assert held.call(file_write(KEYBOX_FILE, line), None).error == 0
    assert kids(held) == [9]


def test_messages_survive_being_packed() -> None:
    for one in (message(Command.KEY_ADD, netlink.key(9, MATERIAL), REPLACE), Message(3, longer=-4)):
        assert Message.unpack(one.pack()) == one
    assert Message.unpack(bytes(19)) is None


@pytest.mark.parametrize(
    ("name", "value", "error"),
    [
        (1, struct.pack("<i", 2), 0), (1, struct.pack("<i", 3), errno.EOPNOTSUPP),
        (1, struct.pack("<i", 5), errno.EINVAL), (1, b"\1", errno.EINVAL),
        (2, struct.pack("<HBBI", 1, 32, 9, 3), 0), (2, struct.pack("<HBBI", 1, 0, 9, 1), 0),
        (2, struct.pack("<HBBI", 1, 33, 9, 2), errno.EINVAL),
        (2, struct.pack("<HBBI", 1, 0, 9, 2), errno.EINVAL),
        (2, struct.pack("<HBBI", 1, 1, 1, 4), errno.EINVAL), (3, bytes(40), errno.ENOPROTOOPT),
        (4, b"\2\0\1\0\2\0", 0), (5, b"\2", errno.EINVAL), (6, struct.pack("<I", 6), 0),
        (6, struct.pack("<I", 1), errno.EINVAL), (6, struct.pack("<I", 8), errno.EOPNOTSUPP),
        (99, b"", errno.ENOPROTOOPT),
    ],
)  # fmt: skip
def test_socket_options(name: int, value: bytes, error: int) -> None:
    options = Options(SUITES)
    before = options.get(SOL_NST, name, 99)
    assert options.set(SOL_NST, name, value) == error
    after = options.get(SOL_NST, name, 99)
    if error:
        assert after == before
    else:
        assert after == (b"\1\0\2\0" if name == 4 else value)
        assert options.get(SOL_NST, name, 1) == value[:0] + after[:1]


def test_what_would_let_data_pass_is_refused() -> None:
    options = Options(SUITES)
    assert options.set(6, 31, b"tls\0") == errno.EOPNOTSUPP
    assert options.set(17, 103, bytes(4)) == errno.EOPNOTSUPP
    assert options.set(6, 3, bytes(4)) is None
