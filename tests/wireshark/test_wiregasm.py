# SPDX-License-Identifier: GPL-2.0-or-later
"""Wireshark 4.4 with Lua 5.4 (wiregasm, in Node) shows what tshark 4.0 with Lua 5.2 shows."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

import pytest
from captures import KEYBOX
from dissection import PURE, ROOT, need, pdml, tshark
from scenarios import merged, write

HERE = Path(__file__).parent
WIREGASM = HERE / "node_modules/@goodtools/wiregasm"
VECTORS = ROOT / "tests/vectors/nst-v1.json"


def wiregasm(*arguments: Path) -> dict:
    """What wiregasm.js says."""
    node = need("node", "nodejs npm")
    if not WIREGASM.is_dir():
        pytest.fail(f"wiregasm is not installed: npm ci --prefix {HERE}")
    command = [node, HERE / "wiregasm.js", ROOT / "wireshark", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, timeout=170)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout)


def labels(element, depth: int = 0) -> list[str]:
    """The labels of a PDML item's children, indented as wiregasm.js does it."""
    lines = []
    for child in element:
        if child.get("hide") == "yes":
            continue
        lines.append("  " * depth + (child.get("showname") or child.get("show") or ""))
        lines += labels(child, depth + 1)
    return lines


def normal(lines: list[str]) -> list[str]:
    """Without what the two print differently: brackets, expert items, cut values, crypto."""
    out = []
    for line in lines:
        text = line.strip().strip("[]")
        if re.match(r"(Expert Info|Severity level|Group|Crypto|Data|Length)\b", text):
            continue
        out.append(re.sub(r"([0-9a-f]{24}).*", r"\1", text.replace(" […]:", ":")))
    return out


def records_44(frame: dict) -> list[str]:
    """The labels of a frame's NST items."""
    lines, inside = [], False
    for line in frame["tree"]:
        if not line.startswith(" "):
            inside = line.startswith("NST Record Protocol")
        if inside:
            lines.append(line)
    return lines


def records_40(packet) -> list[str]:
    lines = []
    for proto in packet.element.iterfind("proto[@name='nst']"):
        lines.append(proto.get("showname") or "")
        lines += labels(proto, 1)
    return lines


@pytest.mark.parametrize("name", ["attacks", "datagrams", "streams", "scenarios"])
def test_trees_are_identical(tmp_path, name):
    if name == "scenarios":
        capture, keybox = write(merged(12, 7), tmp_path / "scenarios.pcap"), tmp_path / "keybox"
        KEYBOX.save(keybox)
    else:
        samples = ROOT / "wireshark/samples"
        capture, keybox = samples / f"{name}.pcap", samples / "samples.keybox"
    by_44 = wiregasm(capture, keybox)
    assert by_44["printed"] == []
    frames = {frame["number"]: frame for frame in by_44["frames"]}
    assert not any("Lua Error" in line for f in by_44["frames"] for line in f["tree"])
    packets = pdml(capture, keybox=keybox, crypto=PURE)
    assert packets
    for packet in packets:
        number = int(packet.fields.get("frame.number") or packet.fields["num"])
        shown, expected = normal(records_44(frames[number])), normal(records_40(packet))
        assert shown == expected, f"frame {number}"
    info = tshark(capture, "-T", "fields", "-e", "frame.number", "-e", "_ws.col.Info",
                  "-Y", "nst", keybox=keybox)  # fmt: skip
    for line in info.splitlines():
        number, text = line.split("\t")
        assert frames[int(number)]["info"] == text


def test_the_decrypted_tab():
    samples = ROOT / "wireshark/samples"
    frames = wiregasm(samples / "streams.pcap", samples / "samples.keybox")["frames"]
    assert any(tab.startswith("Decrypted NST (") for f in frames for tab in f["tabs"])


def test_every_vector(tmp_path):
    path = tmp_path / "records.txt"
    records = json.loads(VECTORS.read_bytes())["records"]
    fields = ("key", "chain", "plaintext", "record")
    path.write_text("".join(" ".join(r[f] or "-" for f in fields) + "\n" for r in records))
    samples = ROOT / "wireshark/samples"
    said = wiregasm(samples / "datagrams.pcap", samples / "samples.keybox", path)
    assert said["printed"] == [f"pure Lua: {len(records)} records, 0 wrong"]
