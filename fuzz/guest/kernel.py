# SPDX-License-Identifier: GPL-2.0-or-later
"""Named kernels: what can be booted, and where its image, modules and headers are."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from fuzz.guest import cache, custom, debian, source, stockcrypto
from fuzz.guest.errors import SetupError

DEFAULT = "debian-6.12"


@dataclass(frozen=True)
class KernelSpec:
    """How a named kernel is obtained.

    `series` names the source package. `image` matches the names of Debian's packages of
    a stock kernel; a kernel of our own has a `config` file in its place. `slowdown` is how
    much longer it takes than a stock one, for time limits.
    """

    name: str
    series: str
    description: str
    slowdown: float = 1.0
    image: str | None = None
    config: Path | None = None


KERNELS = {
    spec.name: spec
    for spec in (
        KernelSpec(
            "debian-6.1",
            "6.1",
            "Debian 12's own kernel (bookworm)",
            image=r"linux-image-(6\.1\.0-\d+-amd64)",
        ),
        KernelSpec(
            "debian-6.12",
            "6.12",
            "Debian 12's backport of the 6.12 long-term kernel (bookworm-security)",
            image=r"linux-image-(6\.12\.\d+\+deb12-amd64)",
        ),
        KernelSpec(
            "sanitizer-6.12",
            "6.12",
            "built from linux-source: KASAN, UBSAN, lockdep, kmemleak, fault injection, KUnit",
            slowdown=5.0,
            config=Path(__file__).with_name("sanitizer-6.12.config"),
        ),
    )
}
STOCK = tuple(spec.name for spec in KERNELS.values() if spec.image)
"""The kernels that Debian ships."""


@dataclass(frozen=True)
class Kernel:
    """A kernel in the cache.

    `root` holds `vmlinuz`, `lib/modules/RELEASE`, `build` (prepared headers, to be
    used as KDIR), `source` (the parts of the source that are needed beside them, of a
    stock kernel) and the file `release`.
    """

    name: str
    root: Path
    release: str

    @property
    def vmlinuz(self) -> Path:
        """The bootable image."""
        return self.root / "vmlinuz"

    @property
    def build(self) -> Path:
        """The headers to build modules against (KDIR)."""
        return self.root / "build"

    @property
    def modules(self) -> Path:
        """The kernel's modules, with `modules.dep`."""
        return self.root / "lib" / "modules" / self.release

    def lacks(self, options: Iterable[str]) -> list[str]:
        """Those of some options, named as in its configuration, that are not built in."""
        config = set((self.build / ".config").read_text().splitlines())
        return [option for option in options if f"{option}=y" not in config]

    @property
    def slowdown(self) -> float:
        """How much longer it takes than a stock kernel, for time limits."""
        return spec(self.name).slowdown

    @property
    def checkpatch(self) -> Path:
        """The style checker that came with the source."""
        stock = self.root / "source" / source.CHECKPATCH[0]
        return stock if stock.exists() else self.build / source.CHECKPATCH[0]


def spec(name: str) -> KernelSpec:
    """Return the named kernel's specification; SetupError if there is none."""
    try:
        return KERNELS[name]
    except KeyError:
        raise SetupError(f"no kernel {name!r}; known: {', '.join(KERNELS)}") from None


def find(name: str = DEFAULT) -> Kernel:
    """Return a kernel that is in the cache; SetupError says how to get it there."""
    wanted = spec(name)
    for root in _roots(wanted):
        if (release := root / "release").exists():
            return Kernel(name, root, release.read_text().strip())
    raise SetupError(
        f"kernel {name} is not in the cache; get it with: nst-fuzz kernel fetch {name}"
    )


def fetch(
    name: str = DEFAULT, *, again: bool = False, progress: Callable[[str], None] = lambda _: None
) -> Kernel:
    """Put a kernel's image, modules and headers into the cache; need not be root.

    A stock kernel is downloaded, and gets the algorithms of the SM suites, which Debian
    leaves out, as further modules. A kernel of our own is built. Nothing is done if it is
    there already, unless `again` asks for the newest version. `progress` is called with a
    line of text before each long step. Raises SetupError if apt does not offer it or if
    tools are missing, and BuildError if something does not compile.
    """
    wanted = spec(name)
    if wanted.image is not None:
        _fetch_stock(wanted, wanted.image, again, progress)
    elif wanted.config is not None:
        _fetch_built(wanted, wanted.config, again, progress)
    found = find(name)
    compiler = debian.compiler(found.build)
    if shutil.which(compiler) is None:
        raise SetupError(
            f"kernel {name} needs the compiler {compiler}: apt-get install "
            + compiler.removeprefix("x86_64-linux-gnu-")
        )
    return found


def _fetch_stock(
    wanted: KernelSpec, image: str, again: bool, progress: Callable[[str], None]
) -> None:
    root = cache.cache_path("kernels", wanted.name)
    with cache.locked(root):
        if again or not (root / "release").exists():
            with cache.publishing(root) as fresh:
                debian.fetch_kernel(image, fresh, progress)
        kept = root / "source"
        if not kept.exists():
            version = source.newest(wanted.series)
            progress(f"downloading linux-source-{wanted.series} {version} for SM3 and SM4")
            with cache.publishing(kept) as fresh:
                source.unpack(
                    wanted.series, version, fresh, [*source.CHECKPATCH, *stockcrypto.MEMBERS]
                )
        kernel = find(wanted.name)
        if not stockcrypto.installed(kernel.modules):
            progress("building SM3 and SM4")
            stockcrypto.install(kept, kernel.build, root, kernel.release)


def _fetch_built(
    wanted: KernelSpec, config: Path, again: bool, progress: Callable[[str], None]
) -> None:
    if not again and _roots(wanted):
        return
    if again:
        debian.refresh()
    version = source.newest(wanted.series)
    root = cache.cache_path("kernels", _built_name(wanted, version))
    with cache.locked(root):
        if root.exists():
            return
        work = root.with_name(f".{root.name}.work")
        work.mkdir(exist_ok=True)
        with cache.publishing(root) as fresh:
            custom.build_kernel(
                wanted.series, version, config, work=work, into=fresh, progress=progress
            )
            (fresh / "version").write_text(f"{version}\n")
        shutil.rmtree(work)


def _roots(wanted: KernelSpec) -> list[Path]:
    """Return where a kernel may be in the cache, newest first.

    A built one's name tells what it was made of, so that one made with another
    configuration is not taken for it.
    """
    kernels = cache.cache_path("kernels")
    if wanted.config is None:
        return [kernels / wanted.name]
    made = {
        root: (root / "version").read_text().strip()
        for root in kernels.glob(f"{wanted.name}-*")
        if (root / "version").exists()
    }
    return sorted(
        (root for root, version in made.items() if root.name == _built_name(wanted, version)),
        key=lambda root: root.stat().st_mtime,
        reverse=True,
    )


def _built_name(wanted: KernelSpec, version: str) -> str:
    """Return the name in the cache of a version built with the configuration as it is."""
    assert wanted.config is not None
    digest = hashlib.sha256(f"{version}\0".encode() + wanted.config.read_bytes())
    return f"{wanted.name}-{digest.hexdigest()[:16]}"
