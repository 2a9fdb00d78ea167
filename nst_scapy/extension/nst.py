# SPDX-License-Identifier: GPL-2.0-or-later
"""NST (static-key transport-layer security), as ``scapy.layers.nst``."""

from nst_scapy.association import NSTAssociation, NSTRejected
from nst_scapy.keybox import KeyBox
from nst_scapy.layer import NST, NSTPlain, bind_nst
from nst_scapy.session import NSTSession
from nst_scapy.suite import SuiteId
from nst_scapy.verdict import Verdict

__all__ = [
    "NST",
    "KeyBox",
    "NSTAssociation",
    "NSTPlain",
    "NSTRejected",
    "NSTSession",
    "SuiteId",
    "Verdict",
    "bind_nst",
]
