# SPDX-License-Identifier: GPL-2.0-or-later
"""What ``conf.exts.load("nst-scapy")`` gives Scapy: a layer module and bash completion."""

from __future__ import annotations

from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent


def register(ext: Any, version: str) -> None:
    """Fill in a ``scapy.config.ScapyExt``; binds the layers at once.

    ``load_layer("nst")`` then brings the names of :mod:`.nst` into an interactive session,
    and ``explore("nst")`` lists the layers.
    """
    from .. import association  # noqa: F401  # binds the ports and sets conf.nst

    ext.config("NST", version)
    ext.register(name="nst", mode=ext.MODE.LAYERS, path=_HERE / "nst.py")
    ext.register_bashcompletion(_HERE / "completion" / "nst")


def register_fuzz(ext: Any) -> None:
    """The same for the command ``nst-fuzz``, which has no layers."""
    ext.register_bashcompletion(_HERE / "completion" / "nst-fuzz")
