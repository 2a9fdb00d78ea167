# SPDX-License-Identifier: GPL-2.0-or-later
"""What guests are made of: stock modules, initramfs archives, module builds."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path

import pytest

from fuzz.guest import custom, initramfs, kunit, module, stockcrypto, stockmodules
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
    with pytest.raises(
        SetupError, match=r"no kernel 'linux-0\.01'; known: debian-6\.1, debian-6\.12, "
    ):
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


def test_stock_kernels_get_the_sm_algorithms(kernel: Kernel) -> None:
    files = stockmodules.load_order(kernel, ["sm4_generic", "sm3_generic"])
    names = [file.name.split(".")[0] for file in files]
    assert names.index("sm4") < names.index("sm4_generic")
    assert set(stockcrypto.MODULES) <= set(names)


def test_a_built_kernel_belongs_to_its_configuration(private_cache: Path) -> None:
    """One built with another configuration is not taken for it."""
    spec = kernels.spec("sanitizer-6.12")
    assert spec.config is not None
    made = private_cache / "kernels" / "sanitizer-6.12-0123456789abcdef"
    made.mkdir(parents=True)
    (made / "version").write_text("6.12.1-1\n")
    (made / "release").write_text("6.12.1\n")
    with pytest.raises(SetupError, match=r"nst-fuzz kernel fetch sanitizer-6\.12"):
        kernels.find("sanitizer-6.12")
    digest = hashlib.sha256(b"6.12.1-1\0" + spec.config.read_bytes()).hexdigest()
    right = made.rename(made.with_name(f"sanitizer-6.12-{digest[:16]}"))
    assert kernels.find("sanitizer-6.12").root == right


def test_options_that_a_kernel_does_not_take_are_named(tmp_path: Path) -> None:
    config, made = tmp_path / "some.config", tmp_path / ".config"
    config.write_text("# comment\nCONFIG_A=y\nCONFIG_B=n\nCONFIG_GONE=y\nCONFIG_STAYS=n\n")
    made.write_text("CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_STAYS=y\n")
    with pytest.raises(SetupError, match=r"does not take CONFIG_GONE=y, CONFIG_STAYS=n$"):
        custom.check_config(made, config)
    made.write_text("CONFIG_A=y\nCONFIG_GONE=y\n")
    custom.check_config(made, config)


KTAP = """\
KTAP version 1
1..2
    KTAP version 1
    # Subtest: nst_one
    1..3
    ok 1 plain
        KTAP version 1
        # Subtest: params
        ok 1 first
        not ok 2 second, a bad one
        ok 3 third # SKIP no suite 3
    # params: pass:1 fail:1 skip:1 total:3
    not ok 2 params
not ok 1 nst_one
ok 2 nst_two
"""


def test_results_of_unit_tests_are_read() -> None:
    results = kunit.parse(KTAP)
    assert (results.passed, results.skipped) == (3, 1)
    assert results.failed == ["second, a bad one"]
    assert results.suites == ["nst_one", "nst_two"]
