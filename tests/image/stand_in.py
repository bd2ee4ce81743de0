"""Stand-ins for the images that the Dockerfile starts from, since nothing is pulled here.

For Python: the interpreter of this test run under ``/usr/local`` with pip and setuptools, as the official image has
it, with the shared libraries that it needs, ``sh`` and ``rm``. What is not there cannot be used by accident: no
compiler, no package, no home. For uv: its binary, as its image has nothing else.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

BUILD_TOOLS = ("pip", "setuptools", "pkg_resources", "_distutils_hack", "wheel")
"""What the official image has beside Python, by the beginnings of their names in site-packages."""
COMMANDS = ("sh", "rm")
"""What RUN may use; teach it here when it needs more."""
LIBRARIES_OF_DEBIAN = (
    *("libdl.so.2", "libm.so.6", "libpthread.so.0", "libresolv.so.2", "librt.so.1", "libutil.so.1"),
    *("libgcc_s.so.1", "libstdc++.so.6"),
)
"""In every image of Debian's; what was compiled elsewhere (wheels, uv) counts on them."""


class NotUnderstoodError(RuntimeError):
    """The Dockerfile does something that these tests do not know how to do."""


def lay_down(image: str, root: Path) -> None:
    """Make the stand-in of an image in an empty folder."""
    name = image.partition("@")[0].rpartition(":")[0].rpartition("/")[2]
    if name == "uv":
        uv = shutil.which("uv")
        assert uv, "these tests need uv on the PATH"
        shutil.copy(uv, root / "uv")
    elif name == "python":
        _lay_down_python(root)
    else:
        raise NotUnderstoodError(f"no stand-in for {image}")


def _lay_down_python(root: Path) -> None:
    ours, theirs = Path(sys.base_prefix), root / "usr" / "local"
    lib = Path("lib") / f"python{sys.version_info.major}.{sys.version_info.minor}"

    def left_out(folder: str, names: list[str]) -> list[str]:
        if Path(folder) == ours / lib:
            return [name for name in names if name in ("test", "idlelib", "turtledemo", "__pycache__")]
        if Path(folder) == ours / lib / "site-packages":
            return [name for name in names if not re.match("|".join(BUILD_TOOLS), name)]
        return [name for name in names if name == "__pycache__" or name.endswith(".a")]

    shutil.copytree(ours / lib, theirs / lib, ignore=left_out, symlinks=True)
    (theirs / "bin").mkdir()
    python = Path(sys.base_prefix, "bin", lib.name)
    shutil.copy(python, theirs / "bin" / lib.name)
    for name in ("python3", "python"):
        (theirs / "bin" / name).symlink_to(lib.name)
    binaries = [python, *(ours / lib / "lib-dynload").glob("*.so")]
    for name in COMMANDS:
        found = shutil.which(name)
        assert found
        (root / "bin").mkdir(exist_ok=True)
        shutil.copy(found, root / "bin" / name)
        binaries.append(Path(found))
    for library in _libraries(binaries):
        # Python's own may lie in the home of whoever runs this; /lib is looked into in any case.
        place = Path("lib", library.name) if library.is_relative_to(ours) else library.relative_to("/")
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(library, root / place)
    (root / "etc").mkdir()
    # As in the official image: nobody has the program's number.
    (root / "etc" / "passwd").write_text("root:x:0:0:root:/root:/bin/sh\n")
    (root / "root").mkdir(mode=0o700)


def _libraries(binaries: list[Path]) -> set[Path]:
    told = subprocess.run(["ldd", *map(str, binaries)], capture_output=True, text=True, check=True).stdout
    found = {Path(path) for path in re.findall(r"(?:=> |^\s+)(/\S+) \(0x", told, re.MULTILINE)}
    folder = Path("/usr/lib") / (sysconfig.get_config_var("MULTIARCH") or "")
    return found | {folder / name for name in LIBRARIES_OF_DEBIAN if (folder / name).exists()}
