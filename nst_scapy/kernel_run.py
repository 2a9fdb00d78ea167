# SPDX-License-Identifier: GPL-2.0-or-later
"""Running a program with AF_NST sockets in place of its TCP and UDP sockets.

The program's socket(2) calls are handed to us by the kernel (seccomp_unotify(2)): we make
an AF_NST socket, and the kernel puts it into the program in place of the call. So it
matters neither how the program is linked nor what it executes in turn, and nothing is
done where the program could not be made to use NST: then socket(2) fails. A preloaded
library would let static programs, and such as make the system call themselves, talk in
clear.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import fcntl
import os
import select
import signal
import socket
import struct
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .kernel import NST_PROTO_INET, NST_PROTO_INET6, family_number

# linux/seccomp.h, asm/unistd_64.h, linux/audit.h: x86-64
_SYS_SOCKET, _SYS_SECCOMP, _SYS_IO_URING_SETUP = 41, 317, 425
_SYS_I386_SOCKETCALL, _SYS_I386_SOCKET = 102, 359
_X32_BIT = 0x40000000
_AUDIT_ARCH_X86_64 = 0xC000003E
_SET_MODE_FILTER, _FLAG_NEW_LISTENER = 1, 1 << 3
_RET_ALLOW, _RET_USER_NOTIF, _RET_ERRNO = 0x7FFF0000, 0x7FC00000, 0x00050000
_NOTIF_RECV, _NOTIF_SEND, _NOTIF_ADDFD = 0xC0502100, 0xC0182101, 0x40182103
_NOTIF_CONTINUE, _ADDFD_SEND = 1, 1 << 1
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWNET = 0x40000000

# struct seccomp_notif: id, pid, flags, then seccomp_data: nr, arch, ip, args[6]
_NOTIF = struct.Struct("=QIIiIQ6Q")
_RESPONSE = struct.Struct("=QqiI")
_ADDFD = struct.Struct("=QIIII")

# Offsets into struct seccomp_data, low halves of arguments.
_NR, _ARCH, _DOMAIN, _TYPE = 0, 4, 16, 24
_TYPE_MASK = 0xF

_LOAD, _AND, _RETURN = 0x20, 0x54, 0x06  # BPF_LD|W|ABS, BPF_ALU|AND|K, BPF_RET|K
_EQUAL, _AT_LEAST = 0x15, 0x35  # BPF_JMP|JEQ|K, BPF_JMP|JGE|K

_libc = ctypes.CDLL(None, use_errno=True)


class RunError(OSError):
    """The program could not be started under supervision."""


@dataclass(frozen=True)
class _Instruction:
    """One of a BPF program; *then* and *other* name the labels that a comparison goes to."""

    code: int
    k: int
    then: str = ""
    other: str = ""
    label: str = ""


def _filter() -> bytes:
    """The seccomp filter: asks us about TCP and UDP sockets, forbids ways around that."""
    program = [
        _Instruction(_LOAD, _ARCH),
        _Instruction(_EQUAL, _AUDIT_ARCH_X86_64, "native", "foreign"),
        # 32-bit programs are not supported: they get no sockets.
        _Instruction(_LOAD, _NR, label="foreign"),
        _Instruction(_EQUAL, _SYS_I386_SOCKETCALL, "refuse"),
        _Instruction(_EQUAL, _SYS_I386_SOCKET, "refuse"),
        _Instruction(_EQUAL, _SYS_IO_URING_SETUP, "refuse", "allow"),
        _Instruction(_LOAD, _NR, label="native"),
        _Instruction(_AT_LEAST, _X32_BIT, "refuse"),
        # io_uring makes sockets without a system call that we would see.
        _Instruction(_EQUAL, _SYS_IO_URING_SETUP, "refuse"),
        _Instruction(_EQUAL, _SYS_SOCKET, "", "allow"),
        _Instruction(_LOAD, _DOMAIN),
        _Instruction(_EQUAL, socket.AF_INET, "type"),
        _Instruction(_EQUAL, socket.AF_INET6, "type", "allow"),
        _Instruction(_LOAD, _TYPE, label="type"),
        _Instruction(_AND, _TYPE_MASK),
        _Instruction(_EQUAL, socket.SOCK_STREAM, "ask"),
        _Instruction(_EQUAL, socket.SOCK_DGRAM, "ask", "allow"),
        _Instruction(_RETURN, _RET_ALLOW, label="allow"),
        _Instruction(_RETURN, _RET_ERRNO | errno.ENOSYS, label="refuse"),
        _Instruction(_RETURN, _RET_USER_NOTIF, label="ask"),
    ]
    places = {step.label: place for place, step in enumerate(program) if step.label}

    def distance(here: int, label: str) -> int:
        return places[label] - here - 1 if label else 0

    return b"".join(
        struct.pack(
            "=HBBI", step.code, distance(here, step.then), distance(here, step.other), step.k
        )
        for here, step in enumerate(program)
    )


def _check(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise RunError(number, f"{what}: {os.strerror(number)}")
    return result


def _supervise_me() -> int:
    """Install the filter on this process and all it will start; return the listener."""
    # Else only root might: a setuid program could be fooled by what we do to it.
    _check(_libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), "prctl")
    program = ctypes.create_string_buffer(_filter())
    length = (len(program) - 1) // 8
    sock_fprog = struct.pack("=H6xQ", length, ctypes.addressof(program))
    return _check(
        _libc.syscall(_SYS_SECCOMP, _SET_MODE_FILTER, _FLAG_NEW_LISTENER, sock_fprog), "seccomp"
    )


def run(argv: Sequence[str]) -> int:
    """Run a program; return its exit status as a shell tells it.

    While processes that it left behind live, another process of ours goes on to serve them.

    Raises:
        RunError: the kernel cannot do it, or ``argv[0]`` cannot be executed.
    """
    if os.uname().machine != "x86_64":
        raise RunError(errno.ENOSYS, "nst run is made for x86-64")
    ours, theirs = socket.socketpair()
    child = os.fork()
    if child == 0:
        ours.close()
        _start(argv, theirs)
    theirs.close()
    with ours:
        message, descriptors, _, _ = socket.recv_fds(ours, 4096, 1)
        if descriptors:
            # End of file says that the program runs.
            message = ours.recv(4096)
    if message:
        os.waitpid(child, 0)
        number, _, what = message.decode().partition(" ")
        raise RunError(int(number), what)
    return _serve(descriptors[0], child)


def _start(argv: Sequence[str], parent: socket.socket) -> None:
    """In the child: become the program, or tell the parent why not."""
    try:
        listener = _supervise_me()
        # The copy in the parent is the only one that may live on.
        socket.send_fds(parent, [b"\0"], [listener])
        os.close(listener)
        # Python had ideas of its own about them.
        for number in (signal.SIGPIPE, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        os.execvp(argv[0], list(argv))
    except OSError as error:
        what = error.strerror or ""
        if not isinstance(error, RunError):
            what = f"{argv[0]}: {what}"
        parent.send(f"{error.errno} {what}".encode())
    finally:
        os._exit(127)


def _serve(listener: int, child: int) -> int:
    """Answer socket(2) calls until the program has ended; return its status."""
    # The terminal sends its signals to the program, too: that is who decides.
    for number in (signal.SIGINT, signal.SIGQUIT):
        signal.signal(number, signal.SIG_IGN)
    pidfd = os.pidfd_open(child)
    for number in (signal.SIGTERM, signal.SIGHUP):
        # Sent to us alone, it is meant for the program.
        signal.signal(number, lambda got, _: signal.pidfd_send_signal(pidfd, got))
    poller = select.poll()
    poller.register(listener, select.POLLIN)
    poller.register(pidfd, select.POLLIN)
    while True:
        ready = dict(poller.poll())
        if listener in ready:
            if ready[listener] & select.POLLIN:
                _answer(listener)
            else:
                poller.unregister(listener)  # nobody is left to ask
        elif pidfd in ready:
            break
    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if os.fork() == 0:
        _serve_the_rest(listener)
    return status if status >= 0 else 128 - status


def _serve_the_rest(listener: int) -> None:
    """Serve what the program left behind, daemons say, in the background."""
    with contextlib.suppress(BaseException):
        os.setsid()
        null = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(null, stream)
        poller = select.poll()
        poller.register(listener, select.POLLIN)
        while poller.poll()[0][1] & select.POLLIN:
            _answer(listener)
    os._exit(0)


def _answer(listener: int) -> None:
    """Take one socket(2) call and answer it."""
    asked = bytearray(_NOTIF.size)
    try:
        fcntl.ioctl(listener, _NOTIF_RECV, asked)
    except OSError:
        return  # who asked is no more
    ident, pid, _, _, _, _, domain, kind, protocol, *_ = _NOTIF.unpack(asked)
    with contextlib.suppress(OSError):  # the same
        try:
            made = _make(pid, domain & 0xFFFFFFFF, kind & 0xFFFFFFFF, protocol & 0xFFFFFFFF)
        except OSError as error:
            number = error.errno or errno.EACCES
            fcntl.ioctl(listener, _NOTIF_SEND, _RESPONSE.pack(ident, 0, -number, 0))
            return
        if made is None:
            fcntl.ioctl(listener, _NOTIF_SEND, _RESPONSE.pack(ident, 0, 0, _NOTIF_CONTINUE))
            return
        with made:
            on_exec = os.O_CLOEXEC if kind & socket.SOCK_CLOEXEC else 0
            fcntl.ioctl(
                listener, _NOTIF_ADDFD,
                _ADDFD.pack(ident, _ADDFD_SEND, made.fileno(), 0, on_exec),
            )  # fmt: skip


def _make(pid: int, domain: int, kind: int, protocol: int) -> socket.socket | None:
    """The AF_NST socket for a call; ``None`` if the call is to go on as it is.

    Raises:
        OSError: what the call is to fail with.
    """
    stream = kind & _TYPE_MASK == socket.SOCK_STREAM
    if not stream and protocol in (socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6):
        return None
    if protocol not in (0, socket.IPPROTO_TCP if stream else socket.IPPROTO_UDP):
        # SCTP, MPTCP, UDP-Lite: programs that can do without fall back.
        raise OSError(errno.EPROTONOSUPPORT, os.strerror(errno.EPROTONOSUPPORT))
    over = NST_PROTO_INET6 if domain == socket.AF_INET6 else NST_PROTO_INET
    with _network_of(pid):
        return socket.socket(family_number(), kind, over)


@contextlib.contextmanager
def _network_of(pid: int) -> Iterator[None]:
    """Be in the network namespace of that process."""
    theirs = os.open(f"/proc/{pid}/ns/net", os.O_RDONLY)
    try:
        ours = os.open("/proc/self/ns/net", os.O_RDONLY)
        try:
            if os.path.sameopenfile(ours, theirs):
                yield
                return
            _check(_libc.setns(theirs, _CLONE_NEWNET), "setns")
            try:
                yield
            finally:
                _check(_libc.setns(ours, _CLONE_NEWNET), "setns")
        finally:
            os.close(ours)
    finally:
        os.close(theirs)
