# SPDX-License-Identifier: GPL-2.0-or-later
"""Runs exported scripts one after another in a guest, and tells what the module counted for each.

The arguments are the scripts; a line of JSON follows for each.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from fuzz.oracles.counters import Counters


def counted() -> Counter[str]:
    """How often each verdict, by transport, in the LOCAL_IN check or after it."""
    reading = Counters.parse(Path("/proc/net/nst_stat").read_text())
    found: Counter[str] = Counter()
    for verdict, (stream, dgram, stream_local_in, dgram_local_in) in reading.verdicts.items():
        found[f"stream {verdict}"] = stream + stream_local_in
        found[f"dgram {verdict}"] = dgram + dgram_local_in
    return found


def main() -> None:
    """Run them."""
    for name in sys.argv[1:]:
        names: dict[str, object] = {"__name__": "reproducer"}
        before = counted()
        exec(compile(Path(name).read_text(), name, "exec"), names)
        names["load_keys"]()  # type: ignore[operator]
        names["attempt"]()  # type: ignore[operator]
        time.sleep(0.1)
        print(json.dumps({"script": name, "verdicts": counted() - before}), flush=True)
        if "LINK" in names:
            # The next script makes one of that name.
            os.close(names["LINK"]._tun)  # type: ignore[attr-defined]
            subprocess.run(["ip", "link", "delete", "nst0"], check=False, capture_output=True)


if __name__ == "__main__":
    main()
