# SPDX-License-Identifier: GPL-2.0-or-later
"""Flame graphs: a tree of functions as boxes, each as wide as its share of the samples."""

from __future__ import annotations

import html
import zlib
from collections.abc import Iterator

from fuzz.bench.profile import Frame

_WIDTH = 1100.0
_ROW = 17
_CHARACTER = 6.3
_LEAST = 0.6
"""Pixels below which a box is left out."""
_OURS, _CRYPTO, _USER, _OTHER = (29, 111, 184), (231, 111, 81), (155, 93, 229), (233, 196, 106)


def draw(root: Frame) -> str:
    """An SVG document. Names and shares show when the pointer rests on a box."""
    least = root.samples * _LEAST / _WIDTH
    depth = root.depth(least)
    boxes = "\n".join(_boxes(root, root.samples, 0.0, depth - 1))
    height = depth * _ROW
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH:g} {height}" '
        f'width="{_WIDTH:g}" height="{height}" font-family="monospace" font-size="10.5">\n'
        f"{boxes}\n</svg>\n"
    )


def _boxes(frame: Frame, total: int, left: float, row: int) -> Iterator[str]:
    """The frame's own box, and above it those that it calls."""
    width = _WIDTH * frame.samples / max(total, 1)
    if width < _LEAST:
        return
    name, share = html.escape(frame.name), frame.samples / max(total, 1)
    room = int((width - 4) / _CHARACTER)
    text = frame.name if len(frame.name) <= room else f"{frame.name[: room - 1]}…"
    label = (
        f'<text x="{left + 3:.1f}" y="{row * _ROW + 12}">{html.escape(text)}</text>'
        if room >= 3
        else ""
    )
    yield (
        f"<g><title>{name}: {share:.1%}</title>"
        f'<rect x="{left:.1f}" y="{row * _ROW}" width="{max(width - 0.5, 0.3):.1f}" '
        f'height="{_ROW - 1}" rx="1" fill="{_colour(frame.name)}"/>{label}</g>'
    )
    for call in sorted(frame.calls.values(), key=lambda call: call.name):
        yield from _boxes(call, total, left, row - 1)
        left += _WIDTH * call.samples / max(total, 1)


def _colour(name: str) -> str:
    """By whose function it is, a shade for each name."""
    if name.startswith(("nst_", "tls_", "nst-", "ktls-")):
        base = _OURS
    elif "aes" in name or "gcm" in name or "skcipher" in name or "crypto" in name:
        base = _CRYPTO
    elif name == "user space":
        base = _USER
    else:
        base = _OTHER
    lighter = 0.35 + zlib.crc32(name.encode()) % 100 / 400
    return "#" + "".join(f"{int(part + (255 - part) * lighter):02x}" for part in base)
