# SPDX-License-Identifier: GPL-2.0-or-later
"""The messages of the generic-netlink family `nst`, for pyroute2.

They are `kmod/include/uapi/linux/nst_netlink.h`, name by name.
"""

from __future__ import annotations

from enum import IntEnum

from pyroute2.netlink import NLA_F_NESTED, genlmsg, nla

FAMILY = "nst"
VERSION = 1
GROUP = "rejects"


class Command(IntEnum):
    """``enum nst_cmd``."""

    KEY_ADD = 1
    KEY_DEL = 2
    KEY_GET = 3
    KEY_FLUSH = 4
    SETTING_GET = 5
    SETTING_SET = 6
    STAT_GET = 7
    REJECT = 8


SETTINGS = (
    "enabled",
    "local_in_check",
    "drop_invalid",
    "log_rejects",
    "timestamp_window_ms",
    "stream_sessions_max",
    "dgram_sessions_max",
    "rekey_records",
    "default_cipher",
)
"""The settings ``net.nst.*``, in order of ``enum nst_setting_attr``."""


class KeysMessage(genlmsg):  # type: ignore[misc]
    """``enum nst_keys_attr``."""

    nla_map = (
        ("NST_KEYS_A_UNSPEC", "none"),
        ("NST_KEYS_A_KEY", "key"),
        ("NST_KEYS_A_REPLACE", "flag"),
        ("NST_KEYS_A_KIDS", "cdata"),
    )

    class key(nla):  # type: ignore[misc]
        """``enum nst_key_attr``."""

        nla_flags = NLA_F_NESTED
        nla_map = (
            ("NST_KEY_A_UNSPEC", "none"),
            ("NST_KEY_A_KID", "uint16"),
            ("NST_KEY_A_MATERIAL", "cdata"),
        )


class SettingMessage(genlmsg):  # type: ignore[misc]
    """``enum nst_setting_attr``."""

    nla_map = (
        ("NST_SETTING_A_UNSPEC", "none"),
        *((f"NST_SETTING_A_{name.upper()}", "uint32") for name in SETTINGS),
    )


class StatMessage(genlmsg):  # type: ignore[misc]
    """``enum nst_stat_attr``."""

    nla_map = (
        ("NST_STAT_A_UNSPEC", "none"),
        ("NST_STAT_A_PAD", "none"),
        ("NST_STAT_A_VERDICT", "verdict"),
        ("NST_STAT_A_MULTICAST", "uint64"),
        ("NST_STAT_A_AGE_NS", "uint64"),
        ("NST_STAT_A_STREAM_SESSIONS", "uint32"),
        ("NST_STAT_A_STREAM_FLOOR", "uint64"),
        ("NST_STAT_A_DGRAM_SESSIONS", "uint32"),
        ("NST_STAT_A_DGRAM_FLOOR", "uint64"),
        ("NST_STAT_A_KEYS", "uint32"),
        ("NST_STAT_A_SUITES", "uint32"),
    )

    class verdict(nla):  # type: ignore[misc]
        """``enum nst_verdict_attr``."""

        nla_map = (
            ("NST_VERDICT_A_UNSPEC", "none"),
            ("NST_VERDICT_A_PAD", "none"),
            ("NST_VERDICT_A_NUMBER", "uint8"),
            ("NST_VERDICT_A_STREAM", "uint64"),
            ("NST_VERDICT_A_DGRAM", "uint64"),
            ("NST_VERDICT_A_STREAM_LOCAL_IN", "uint64"),
            ("NST_VERDICT_A_DGRAM_LOCAL_IN", "uint64"),
        )


class RejectMessage(genlmsg):  # type: ignore[misc]
    """``enum nst_reject_attr``."""

    nla_map = (
        ("NST_REJECT_A_UNSPEC", "none"),
        ("NST_REJECT_A_VERDICT", "uint8"),
        ("NST_REJECT_A_DGRAM", "flag"),
        ("NST_REJECT_A_LOCAL_IN", "flag"),
        ("NST_REJECT_A_PASSED", "flag"),
        ("NST_REJECT_A_SRC", "cdata"),
        ("NST_REJECT_A_DST", "cdata"),
        ("NST_REJECT_A_HEADER", "cdata"),
        ("NST_REJECT_A_LOST", "uint32"),
    )


_CLASSES: dict[Command, type[genlmsg]] = {
    Command.KEY_ADD: KeysMessage,
    Command.KEY_DEL: KeysMessage,
    Command.KEY_GET: KeysMessage,
    Command.KEY_FLUSH: KeysMessage,
    Command.SETTING_GET: SettingMessage,
    Command.SETTING_SET: SettingMessage,
    Command.STAT_GET: StatMessage,
    Command.REJECT: RejectMessage,
}
_HEADER_LEN = 16
"""Of struct nlmsghdr, which the command follows."""


def empty(command: Command, version: int = VERSION) -> genlmsg:
    """A request without attributes."""
    message = _CLASSES[command]()
    message["cmd"] = int(command)
    message["version"] = version
    return message


def read(data: bytes, offset: int = 0) -> genlmsg:
    """The message at *offset*, not decoded yet: which class it has, its command says."""
    command = Command(data[offset + _HEADER_LEN])
    return _CLASSES[command](data, offset=offset)
