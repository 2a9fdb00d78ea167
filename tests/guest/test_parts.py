# SPDX-License-Identifier: GPL-2.0-or-later
"""What guests are made of: stock modules, initramfs archives, module builds."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from fuzz.guest import initramfs, module, stockmodules
from fuzz.guest import kernel as kernels
from fuzz.guest.errors import BuildError, SetupError
from fuzz.guest.kernel import Kernel


def test_modules_are_loaded_after_what_they_need(kernel: Kernel) -> None:
    files = stockmodules.load_order(kernel, ["virtio_net", "gcm"])
    names = [file.name.split(".")[0] for file in files]
    assert len(set(names)) == len(names)
    assert names.index("failover") < names.index("net_failover") < names.index("virtio_net")
    assert stockmodules.read(files[-1])[:4] == b"\x7fELF"


def test_built_in_modules_need_no_file(kernel: Kernel) -> None:
    assert stockmodules.load_order(kernel, ["virtio_console", "sha256-generic"]) == []


def test_an_unknown_module_is_an_error(kernel: Kernel) -> None:
    with pytest.raises(SetupError, match="has no module frobnicate"):
        stockmodules.load_order(kernel, ["frobnicate"])


def test_archives_belong_to_root() -> None:
    made = initramfs.archive({"init": b"#!", "etc/secret": b"key"}, executable=frozenset({"init"}))
    listed = subprocess.run(
        ["cpio", "--list", "--verbose", "--numeric-uid-gid", "--quiet"],
        input=made, capture_output=True, check=True,
    ).stdout.decode()  # fmt: skip
    fields = [line.split() for line in listed.splitlines()]
    assert [(line[0], line[2], line[-1]) for line in fields] == [
        ("drwxr-xr-x", "0", "etc"),
        ("-rw-------", "0", "etc/secret"),
        ("-rwx------", "0", "init"),
    ]


@pytest.mark.usefixtures("private_cache")
def test_an_unknown_kernel_is_an_error() -> None:
    with pytest.raises(SetupError, match=r"no kernel 'linux-0\.01'; known: debian-6\.12"):
        kernels.find("linux-0.01")


@pytest.mark.usefixtures("private_cache")
def test_a_kernel_that_is_not_fetched_says_how() -> None:
    with pytest.raises(SetupError, match=r"nst-fuzz kernel fetch debian-6\.12"):
        kernels.find("debian-6.12")


@pytest.fixture
def hello(tmp_path: Path) -> Path:
    """The source of a module that does nothing."""
    source = tmp_path / "hello"
    source.mkdir()
    (source / "Makefile").write_text(
        "obj-m := nst.o\nall:\n\t$(MAKE) -C $(KDIR) M=$(CURDIR) modules\n"
    )
    (source / "nst.c").write_text(
        '#include <linux/module.h>\nMODULE_DESCRIPTION("none");\nMODULE_LICENSE("GPL");\n'
    )
    return source


def test_a_module_is_built_once_and_again_when_it_changes(
    hello: Path, private_cache: Path, kernel: Kernel
) -> None:
    before = sorted(hello.iterdir())
    built = module.build_module(kernel, hello)
    assert built.is_relative_to(private_cache)
    assert sorted(hello.iterdir()) == before
    made = built.stat().st_mtime_ns
    assert module.build_module(kernel, hello) == built
    assert built.stat().st_mtime_ns == made
    (hello / "nst.c").write_text((hello / "nst.c").read_text() + "int nst_more;\n")
    assert module.build_module(kernel, hello) != built


def test_a_failed_build_shows_the_compiler_and_leaves_nothing(
    hello: Path, private_cache: Path, kernel: Kernel
) -> None:
    (hello / "nst.c").write_text("int main(void) { return missing; }\n")
    with pytest.raises(BuildError, match=rf"{hello}/nst\.c:1:\d+: error: .missing. undeclared"):
        module.build_module(kernel, hello)
    assert list((private_cache / "modules" / kernel.name).iterdir()) == []
