# SPDX-License-Identifier: GPL-2.0-or-later
"""tshark with the dissector, run on a capture; what it says, record by record."""

from __future__ import annotations

import ipaddress
import shutil
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nst_scapy.observation import Observation

ROOT = Path(__file__).parents[2]
NST_LUA = ROOT / "wireshark" / "nst.lua"
PURE, LUAOSSL = "Pure Lua", "luaossl"

Way = tuple[str, str, int, str, int]
"""Transport, source and destination: one direction of a conversation."""


class Record(NamedTuple):
    """What an observer says of a record, Python's or Wireshark's."""

    verdict: str
    session_id: int | None
    counter: int | None
    plaintext: str | None
    unverified_plaintext: str | None
    note: str | None


def need(tool: str, package: str) -> str:
    """The path of *tool*; the test fails if it is not there."""
    path = shutil.which(tool)
    if path is None:
        pytest.fail(f"{tool} is not installed: apt-get install {package}")
    return path


def tshark(
    capture: Path | str, *args: str, keybox: Path | None = None, script: bool = True, **prefs: Any
) -> str:
    """Standard output of tshark on *capture*; *prefs* are the dissector's preferences."""
    command = [need("tshark", "tshark"), "-r", str(capture)]
    if script:
        command += ["-X", f"lua_script:{NST_LUA}"]
    if keybox is not None:
        prefs["keybox"] = keybox
    for name, value in prefs.items():
        command += ["-o", f"nst.{name}:{value}"]
    done = subprocess.run([*command, *args], capture_output=True, text=True, timeout=170)
    complaints = [line for line in done.stderr.splitlines() if not line.startswith("Running as")]
    assert done.returncode == 0, complaints
    assert not complaints, complaints
    return done.stdout


@dataclass
class Packet:
    """A packet of tshark's PDML."""

    element: ET.Element
    fields: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for item in self.element.iter("field"):
            self.fields.setdefault(item.get("name", ""), item.get("show", ""))

    @property
    def records(self) -> Iterator[ET.Element]:
        """The dissector's protocol items that hold a verdict."""
        for proto in self.element.iterfind("proto[@name='nst']"):
            if proto.find(".//field[@name='nst.verdict']") is not None:
                yield proto

    @property
    def way(self) -> Way:
        """Its direction."""
        f = self.fields
        transport = "tcp" if "tcp.srcport" in f else "udp"
        ip = "ip" if "ip.src" in f else "ipv6"
        return (
            transport,
            f[f"{ip}.src"],
            int(f[f"{transport}.srcport"]),
            f[f"{ip}.dst"],
            int(f[f"{transport}.dstport"]),
        )


def pdml(capture: Path | str, *args: str, **kwargs: Any) -> list[Packet]:
    """Every packet of a capture that holds a record, dissected."""
    wanted = ("-Y", "nst.verdict || _ws.lua.error", "-J", "ip ipv6 tcp udp nst _ws.lua.error")
    root = ET.fromstring(tshark(capture, "-T", "pdml", *wanted, *args, **kwargs))
    packets = [Packet(element) for element in root]
    errors = [p.element for p in packets if "_ws.lua.error" in p.fields]
    assert not errors, [ET.tostring(error)[:500] for error in errors[:3]]
    return packets


def _values(proto: ET.Element) -> dict[str, str]:
    raw = ("nst.payload", "nst.unverified_payload")
    return {
        name: item.get("value" if name in raw else "show", "")
        for item in proto.iter("field")
        if (name := item.get("name", "")).startswith("nst.")
    }


def dissected(packets: Iterable[Packet]) -> dict[Way, list[Record]]:
    """The records of each direction, in order."""
    found: dict[Way, list[Record]] = {}
    for packet in packets:
        for proto in packet.records:
            values = _values(proto)
            way = packet.way
            if "nst.sender" in values:  # it turned up in a packet of the other direction
                way = (way[0], way[3], way[4], way[1], way[2])
            header = "nst.nonce" in values
            authentic = values["nst.verdict"] == "OK"
            record = Record(
                values["nst.verdict"],
                int(values["nst.session_id"], 16) if header else None,
                int(values["nst.counter"]) if header else None,
                values.get("nst.payload", "") if authentic else None,
                values.get("nst.unverified_payload"),
                values.get("nst.note"),
            )
            found.setdefault(way, []).append(record)
    return found


def observed(observations: Iterable[Observation]) -> dict[Way, list[Record]]:
    """The same of the observer's answers."""
    found: dict[Way, list[Record]] = {}
    for o in observations:
        said = o.as_dict()
        way = (
            "tcp" if o.transport.value == "stream" else "udp",
            str(ipaddress.ip_address(o.src.address)),
            o.src.port,
            str(ipaddress.ip_address(o.dst.address)),
            o.dst.port,
        )
        record = Record(
            said["verdict"],
            said["session_id"],
            said["counter"],
            said["plaintext"],
            said["unverified_plaintext"] or None,  # an empty one is no field of a tree
            said["note"] or None,
        )
        found.setdefault(way, []).append(record)
    return found


def differences(expected: dict[Way, list[Record]], got: dict[Way, list[Record]]) -> list[str]:
    """Where the two differ: a line for the first difference of each direction."""
    lines = []
    for way in sorted(expected.keys() | got.keys()):
        left, right = expected.get(way, []), got.get(way, [])
        for n in range(max(len(left), len(right))):
            one, other = (side[n] if n < len(side) else None for side in (left, right))
            if one != other:
                lines.append(f"{way}: record {n} of {len(left)}: {one} but {other}"[:400])
                break
    return lines
