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
import tempfile
from pathlib import Path

from tests.stack.prerequisites import uv

NOT_IN_THE_IMAGE = (
    "site-packages",
    "dist-packages",
    "EXTERNALLY-MANAGED",
    "test",
    "idlelib",
    "turtledemo",
    "__pycache__",
)
"""What this machine's Python may have, and the official image's has not, or has otherwise."""
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
        shutil.copy(uv(), root / "uv")
    elif name == "python":
        _lay_down_python(root)
    else:
        raise NotUnderstoodError(f"no stand-in for {image}")


def _lay_down_python(root: Path) -> None:
    ours, theirs = Path(sys.base_prefix), root / "usr" / "local"
    lib = Path("lib") / f"python{sys.version_info.major}.{sys.version_info.minor}"
    python = ours / "bin" / lib.name

    def left_out(folder: str, names: list[str]) -> list[str]:
        if Path(folder) == ours / lib:
            return [name for name in names if name in NOT_IN_THE_IMAGE]
        return [name for name in names if name == "__pycache__" or name.endswith(".a")]

    shutil.copytree(ours / lib, theirs / lib, ignore=left_out, symlinks=True)
    _install_pip(python, theirs / lib)
    (theirs / "bin").mkdir()
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


def _install_pip(python: Path, lib: Path) -> None:
    """As venv brings them: what this machine's Python has beside itself may be more, or nothing, as Debian's."""
    ask = [str(python), "-Ic", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    # Debian's Python looks for them in dist-packages.
    folder = Path(subprocess.run(ask, capture_output=True, text=True, check=True).stdout.strip()).name
    with tempfile.TemporaryDirectory() as made:
        subprocess.run([python, "-Im", "venv", made], capture_output=True, check=True)
        shutil.copytree(Path(made) / "lib" / lib.name / "site-packages", lib / folder)


def _libraries(binaries: list[Path]) -> set[Path]:
    output = subprocess.run(["ldd", *map(str, binaries)], capture_output=True, text=True, check=True).stdout
    found = {Path(path) for path in re.findall(r"(?:=> |^\s+)(/\S+) \(0x", output, re.MULTILINE)}
    folder = Path("/usr/lib") / (sysconfig.get_config_var("MULTIARCH") or "")
    return found | {folder / name for name in LIBRARIES_OF_DEBIAN if (folder / name).exists()}
