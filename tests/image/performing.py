"""Performs the Dockerfile's instructions without a container engine, each stage in a root of its own.

RUN is done by ``chroot`` in a mount namespace, so it needs root; its cache mounts are this machine's uv cache. What is
not done here is an error: a Dockerfile that has learnt something new must teach these tests, too.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from tests.image.context import sent
from tests.image.dockerfile import Instruction, Stage
from tests.image.stand_in import NotUnderstoodError, lay_down
from tests.stack.prerequisites import uv

FROM_THE_HOST = re.compile(r"(?i)UV_(DEFAULT_)?INDEX.*|UV_OFFLINE|SSL_CERT_(FILE|DIR)|(https?|no|all)_proxy")
"""Variables that say how this machine reaches a package index."""
HOSTS_FILES = ("etc/resolv.conf", "etc/hosts", "etc/nsswitch.conf", "etc/ssl/certs/ca-certificates.crt")
"""What an engine, or the base image, puts there while a step runs."""
IN_A_ROOM = """\
set -e
root=$1 command=$2
shift 2
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
while [ $# -gt 0 ]; do mount --bind "$1" "$root/$2"; shift 2; done
exec /usr/sbin/chroot "$root" /bin/sh -ec "$command"
"""


@dataclass(slots=True)
class Image:
    """What a stage has come to: its files, and how it is to be run."""

    root: Path
    environment: dict[str, str] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)
    folder: str = "/"
    user: str = "0:0"
    entrypoint: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    stop_signal: str = "SIGTERM"
    ports: list[int] = field(default_factory=list)


def perform(stages: Iterable[Stage], *, context: Path, into: Path) -> dict[str, Image]:
    """Perform all of them in order; each stage's image by its name."""
    images: dict[str, Image] = {}
    for stage in stages:
        image = Image(into / stage.name)
        image.root.mkdir()
        lay_down(stage.base, image.root)
        for one in stage.instructions:
            _perform(one, image, images, context)
        images[stage.name] = image
    return images


def _perform(one: Instruction, image: Image, images: dict[str, Image], context: Path) -> None:
    match one.word:
        case "COPY":
            _copy(one, image, images, context)
        case "RUN":
            _run(one, image)
        case "ENV":
            image.environment |= one.pairs
        case "LABEL":
            image.labels |= one.pairs
        case "WORKDIR":
            image.folder = one.rest
            (image.root / one.rest.lstrip("/")).mkdir(parents=True, exist_ok=True)
        case "USER":
            image.user = one.rest
        case "ENTRYPOINT":
            image.entrypoint, image.arguments = one.exec, []
        case "CMD":
            image.arguments = one.exec
        case "STOPSIGNAL":
            image.stop_signal = one.rest
        case "EXPOSE":
            image.ports.append(int(one.rest))
        case _:
            raise NotUnderstoodError(f"{one.word} {one.rest}")


def _copy(one: Instruction, image: Image, images: dict[str, Image], context: Path) -> None:
    *sources, destination = one.words
    target = image.root / destination.lstrip("/") if destination[0] == "/" else _below(image) / destination
    given = one.flag("from")
    for source in sources:
        if given is not None:
            place = images[given].root / source.lstrip("/")
            files = [path.relative_to(place) for path in place.rglob("*")] if place.is_dir() else [Path()]
        else:
            place = context / source
            files = [file.relative_to(source) for file in sent(context) if file.is_relative_to(source)]
        if not files:
            raise FileNotFoundError(f"COPY {source}: not in what the build is sent; see .dockerignore")
        # A folder's contents are copied, a file is copied under its name into what ends with a slash.
        into = target / place.name if destination.endswith("/") and not place.is_dir() else target
        for file in files:
            into_file = into / file if file.parts else into
            into_file.parent.mkdir(parents=True, exist_ok=True)
            if (place / file).is_dir() and not (place / file).is_symlink():
                into_file.mkdir(exist_ok=True)
            else:
                shutil.copy2(place / file, into_file, follow_symlinks=False)


def _below(image: Image) -> Path:
    return image.root / image.folder.lstrip("/")


def _run(one: Instruction, image: Image) -> None:
    if image.user != "0:0":
        raise NotUnderstoodError(f"RUN as {image.user}")
    mounts: list[str] = []
    for flag, value in one.flags:
        mount = dict(part.split("=", 1) for part in value.split(","))
        if flag != "mount" or mount.keys() != {"type", "target"} or mount["type"] != "cache":
            raise NotUnderstoodError(f"RUN --{flag}={value}")
        cache = subprocess.run([uv(), "cache", "dir"], capture_output=True, text=True, check=True).stdout.strip()
        mounts += [cache, mount["target"].lstrip("/")]
    lent = [name for name in HOSTS_FILES if Path("/", name).exists() and not (image.root / name).exists()]
    for name in lent:
        (image.root / name).parent.mkdir(parents=True, exist_ok=True)
        (image.root / name).touch()
        mounts += [f"/{name}", name]
    for name in ("proc", "dev", "tmp", *mounts[1::2]):
        if not (image.root / name).exists():
            (image.root / name).mkdir(parents=True)
    environment = {name: value for name, value in os.environ.items() if FROM_THE_HOST.fullmatch(name)}
    # As an engine sets them for a shell; a stage's own ENV goes before.
    environment |= {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/root"} | image.environment
    command = f"cd {image.folder}\n{one.rest}"
    words = ["unshare", "--mount", "sh", "-c", IN_A_ROOM, "sh", str(image.root), command, *mounts]
    ended = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        raise RuntimeError(f"RUN {one.rest}\nended with {ended.returncode}:\n{ended.stdout}{ended.stderr}")
    for name in lent:
        (image.root / name).unlink()
