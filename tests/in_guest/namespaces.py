# SPDX-License-Identifier: GPL-2.0-or-later
"""Networks of namespaces: ``left`` and ``right``, with a router ``middle`` between them.

As in WireGuard's netns.sh, what is measured is the kernel's own network stack; here there is
one more hop, so that a path can have a smaller MTU than its ends, and lose packets.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pyroute2 import IPRoute, netns
from pyroute2.netlink.rtnl import TC_H_ROOT

from nst_scapy.kernel import load_keybox

LEFT, MIDDLE, RIGHT = "nst-left", "nst-middle", "nst-right"
LEFT4, RIGHT4 = "10.9.1.1", "10.9.2.1"
LEFT6, RIGHT6 = "fd09:1::1", "fd09:2::1"
_NETS = {LEFT: ("10.9.1", "fd09:1:"), RIGHT: ("10.9.2", "fd09:2:")}
_NO_DAD = 0x02


@contextmanager
def inside(name: str) -> Iterator[None]:
    """Be in a namespace, with this thread and what it starts."""
    netns.pushns(name)
    try:
        yield
    finally:
        netns.popns()


class Network:
    """The three namespaces. ``left`` and ``right`` are also the router's devices to them."""

    def __init__(self, keybox_text: bytes) -> None:
        self._routes: dict[str, Any] = {}
        try:
            for name in (LEFT, MIDDLE, RIGHT):
                # pyroute2 does both in children that it gives seconds, too few when busy.
                subprocess.run(["ip", "netns", "add", name], check=True)
                with inside(name):
                    self._routes[name] = IPRoute()
                self._routes[name].link("set", index=1, state="up")
            with inside(MIDDLE):
                for switch in ("ipv4/ip_forward", "ipv6/conf/all/forwarding"):
                    Path("/proc/sys/net", switch).write_text("1\n")
            for name in (LEFT, RIGHT):
                self._join(name)
                with inside(name):
                    load_keybox(keybox_text)
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        for name, route in self._routes.items():
            route.close()
            subprocess.run(["ip", "netns", "del", name], check=True)

    def _join(self, name: str) -> None:
        """Put a cable between the router and an end: device ``name`` there, ``eth`` here."""
        router, end = self._routes[MIDDLE], self._routes[name]
        router.link("add", ifname=name, kind="veth", peer={"ifname": "eth", "net_ns_fd": name})
        net4, net6 = _NETS[name]
        for route, device, host in ((router, name, 254), (end, "eth", 1)):
            index = route.link_lookup(ifname=device)[0]
            route.addr("add", index=index, address=f"{net4}.{host}", prefixlen=24)
            route.addr("add", index=index, address=f"{net6}:{host:x}", prefixlen=64, flags=_NO_DAD)
            route.link("set", index=index, state="up")
        end.route("add", dst="default", gateway=f"{net4}.254")
        end.route("add", dst="default", gateway=f"{net6}:fe")

    def mtu(self, octets: int, name: str = RIGHT) -> None:
        """Set the MTU of the cable between the router and an end."""
        for route, device in ((self._routes[MIDDLE], name), (self._routes[name], "eth")):
            index = route.link_lookup(ifname=device)[0]
            route.link("set", index=index, mtu=octets)

    def impair(self, **netem: Any) -> None:
        """Have the router treat all packets so, both ways (tc-netem(8); pyroute2's words)."""
        router = self._routes[MIDDLE]
        for name in (LEFT, RIGHT):
            router.tc("replace", "netem", router.link_lookup(ifname=name)[0], "1:", **netem)

    def repair(self) -> None:
        """Have the router behave again."""
        router = self._routes[MIDDLE]
        for name in (LEFT, RIGHT):
            index = router.link_lookup(ifname=name)[0]
            router.tc("del", index=index, handle="1:", parent=TC_H_ROOT)

    def flush_routes(self) -> None:
        """Forget path MTUs."""
        for name in (LEFT, RIGHT):
            with inside(name):
                for version in ("ipv4", "ipv6"):
                    Path(f"/proc/sys/net/{version}/route/flush").write_text("1\n")
