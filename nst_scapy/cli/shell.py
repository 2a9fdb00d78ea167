# SPDX-License-Identifier: GPL-2.0-or-later
"""`nst shell`: Scapy with NST loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..header import Role
from ..keybox import KeyBox
from ._input import load_keybox

_FRESH_KEYS = 4

GUIDE = """\
NST is loaded. box is {box}.

  a = NSTAssociation(box)                          a datagram socket's seals and verdicts
  p = a.encrypt(IP(dst="192.0.2.1")/UDP()/b"hi")   seal; ls(NST), p.show(), send(p)
  NSTAssociation(box).decrypt(p)[NSTPlain].show()  open it at another end
  forged = NSTPlain(kid=3, flags=0)/b"hi"          a.encrypt(forged): any field can be forced

  s = NSTStreamSocket(box); s.connect(("192.0.2.1", 48879)); s.sendall(b"hi"); s.recv(100)
  NSTSuperSocket(s, Raw).sr1(Raw(b"hi"))           packets over it; sniff(opened_socket=...)
  NSTEcho(keybox=box, port=5000).bg()              an echo server
  c = NSTClient("127.0.0.1", 5000, keybox=box); c.runbg(); c.io.app.send(b"hi")
  NSTClient.graph()                                its states
  NSTForwardMachine(box, "192.0.2.1", 5000).bg()   a man in the middle; derive from it
  decode("x.pcap")                                 observations on a capture

guide() prints this again, help(NSTAssociation) more, Ctrl-D leaves.
"""


@click.command(short_help="Open Scapy with NST loaded.")
@click.option(
    "--keybox",
    type=click.Path(),
    envvar="NST_KEYBOX",
    show_envvar=True,
    help="Key-box file.  [default: a fresh box of this session]",
)
def command(keybox: str | None) -> None:
    """Open Scapy's shell with the NST layers, sockets and machines and a key box loaded, and
    a short guide to them.

    It is IPython's, if that is installed (pip install ipython).

    \b
    Examples:
      nst shell --keybox test.keybox
      echo 'NSTAssociation(box).encrypt(b"hello").show()' | nst shell
    """
    if keybox is None:
        box, told = KeyBox.generate(_FRESH_KEYS), "fresh, for this session: box.save(path) keeps it"
    else:
        box = load_keybox(keybox)
        told = f"{keybox}, {len(box)} key{'' if len(box) == 1 else 's'}"
    from scapy.config import conf
    from scapy.main import interact

    guide = GUIDE.format(box=told)
    # Scapy shows a banner of ours in IPython only.
    click.echo(guide, err=True)
    conf.fancy_banner = False
    interact(mydict=_names(box, guide), argv=["nst"])


def _names(box: KeyBox, guide: str) -> dict[str, Any]:
    """What the shell has by name."""
    from .. import (
        association,
        client,
        dgram_socket,
        echo,
        host,
        layer,
        mitm,
        observation,
        observer,
        stream_socket,
        suite,
        supersocket,
        verdict,
    )
    from ..capture import read_frames

    def decode(path: str) -> list[observation.Observation]:
        """What an observer says of a pcap or pcapng file, under the key box."""
        with Path(path).open("rb") as file:
            frames = read_frames(file, path)
            return list(observer.observe_frames(frames, observer.Observer(box)))

    return {
        "box": box,
        "decode": decode,
        "guide": lambda: print(guide),
        "Host": host.Host,
        "KeyBox": KeyBox,
        "NST": layer.NST,
        "NSTAssociation": association.NSTAssociation,
        "NSTClient": client.NSTClient,
        "NSTDgramSocket": dgram_socket.NSTDgramSocket,
        "NSTEcho": echo.NSTEcho,
        "NSTForwardMachine": mitm.NSTForwardMachine,
        "NSTPlain": layer.NSTPlain,
        "NSTRejected": association.NSTRejected,
        "NSTStreamSocket": stream_socket.NSTStreamSocket,
        "NSTSuperSocket": supersocket.NSTSuperSocket,
        "Role": Role,
        "SuiteId": suite.SuiteId,
        "Verdict": verdict.Verdict,
        "bind_nst": layer.bind_nst,
        "connect_stream": stream_socket.connect_stream,
        "listen_stream": stream_socket.listen_stream,
    }
