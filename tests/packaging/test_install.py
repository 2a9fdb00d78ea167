# SPDX-License-Identifier: GPL-2.0-or-later
"""Installing the module with make and with DKMS, its headers, man page and C example."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from fuzz.guest.kernel import Kernel

KMOD = Path(__file__).parents[2] / "kmod"
HEADERS = KMOD / "include" / "uapi"


def run(*command: str, cwd: Path) -> str:
    """Run a command, outside the make that may have started us; return what it said."""
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))
    }
    done = subprocess.run(
        command, cwd=cwd, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        check=False, env=environment,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture
def source(tmp_path: Path, nst_ko: Path) -> Path:
    """A copy of the module's source, built."""
    copy = tmp_path / "source"
    shutil.copytree(nst_ko.parent, copy, symlinks=True)
    return copy


def test_make_install(source: Path, tmp_path: Path, kernel: Kernel) -> None:
    root = tmp_path / "root"
    run(
        "make", "install", f"KDIR={kernel.build}", f"DESTDIR={root}", "prefix=/usr",
        "DEPMOD=/bin/true", cwd=source,
    )  # fmt: skip
    installed = {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}
    modules = f"lib/modules/{kernel.release}"
    places = ("updates/nst.ko", "updates/nst.ko.xz", "extra/nst.ko", "extra/nst.ko.xz")
    assert len(installed & {f"{modules}/{place}" for place in places}) == 1
    assert {
        "usr/include/linux/nst.h",
        "usr/include/linux/nst_netlink.h",
        "usr/share/man/man7/nst.7",
    } <= installed


@pytest.mark.parametrize(
    "compiler", [["gcc", "-std=c99"], ["gcc", "-std=gnu17"], ["gcc", "-x", "c++"]]
)
@pytest.mark.parametrize("header", ["nst.h", "nst_netlink.h"])
def test_headers_stand_alone(compiler: list[str], header: str, tmp_path: Path) -> None:
    if "c++" in compiler and shutil.which("g++") is None:
        pytest.skip("no C++ compiler")
    program = tmp_path / "program"
    program.write_text(
        f"#include <sys/socket.h>\n#include <linux/{header}>\nint main(void) {{ return 0; }}\n"
    )
    run(
        *compiler, "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-I", str(HEADERS),
        *([] if "-x" in compiler else ["-x", "c"]), "-fsyntax-only", str(program),
        cwd=tmp_path,
    )  # fmt: skip


def test_example_builds(tmp_path: Path) -> None:
    shutil.copytree(KMOD / "examples", tmp_path / "kmod" / "examples")
    shutil.copytree(KMOD / "include", tmp_path / "kmod" / "include")
    run("make", "-C", "kmod/examples", "CFLAGS=-O2 -Wall -Wextra -Werror", cwd=tmp_path)
    assert os.access(tmp_path / "kmod" / "examples" / "nst-echo", os.X_OK)


def test_dkms_builds_and_cleans(source: Path, kernel: Kernel) -> None:
    """Run what dkms.conf says, as dkms(8) does: sourced, with variables of its own."""
    script = f"""
        kernel_source_dir={kernel.build}
        . ./dkms.conf
        test "$PACKAGE_NAME" = nst
        test "${{DEST_MODULE_LOCATION[0]}}" = /updates/net
        eval "${{MAKE[0]}}"
        test -e "${{BUILT_MODULE_NAME[0]}}.ko"
        eval "$CLEAN"
        test ! -e "${{BUILT_MODULE_NAME[0]}}.ko"
    """
    run("bash", "-e", "-c", script, cwd=source)


def test_versions_agree() -> None:
    pyproject = (KMOD.parent / "pyproject.toml").read_text()
    assert 'version = "0.1.0"' in pyproject
    assert 'PACKAGE_VERSION="0.1.0"' in (KMOD / "dkms.conf").read_text()
    assert '"nst 0.1.0"' in (KMOD / "nst.7").read_text()


def test_man_page() -> None:
    if shutil.which("mandoc") is None:
        pytest.fail("mandoc is missing: make setup")
    assert run("mandoc", "-Tlint", "-Wwarning", "nst.7", cwd=KMOD) == ""


def test_messages_are_the_header() -> None:
    """Python's netlink messages have the header's names, in its order."""
    from nst_scapy import kernel_messages as messages

    text = (HEADERS / "linux" / "nst_netlink.h").read_text()

    def names(enum: str) -> list[str]:
        body = text.partition(f"enum {enum} {{")[2].partition("}")[0]
        without_comments = "".join(
            part.partition("*/")[2] if place else part
            for place, part in enumerate(body.split("/*"))
        )
        found = [name.strip() for name in without_comments.split(",")]
        return [name for name in found if name and not name.startswith("__")]

    assert names("nst_cmd") == [
        "NST_CMD_UNSPEC", *(f"NST_CMD_{command.name}" for command in messages.Command),
    ]  # fmt: skip
    for enum, nla_map in (
        ("nst_keys_attr", messages.KeysMessage.nla_map),
        ("nst_key_attr", messages.KeysMessage.key.nla_map),
        ("nst_setting_attr", messages.SettingMessage.nla_map),
        ("nst_stat_attr", messages.StatMessage.nla_map),
        ("nst_verdict_attr", messages.StatMessage.verdict.nla_map),
        ("nst_reject_attr", messages.RejectMessage.nla_map),
    ):
        assert names(enum) == [name for name, _ in nla_map]
