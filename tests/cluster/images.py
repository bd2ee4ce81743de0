"""The images, built by buildah: the cluster's own, stand-ins for public ones, and the product's from its Dockerfile.

No registry is asked. A stand-in has the name of the public image and what the Dockerfile or the manifests use of it;
its content is Debian's (by debootstrap) and what this machine has: the Python that runs us, the uv that started us.

Traps: a layer's RUN sees the machine's network and needs its certificates, where it has its own; runc must be named.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from pathlib import Path

from tests.cluster.home import IMAGES
from tests.cluster.machine import mounts_below, run
from tests.cluster.node import PAUSE_IMAGE
from tests.cluster.programs import Programs
from tests.stack.commits import LAST_RELEASE, check_out
from tests.stack.eureka_nodes import STOCK_IMAGE_SETTINGS
from tests.stack.prerequisites import ReportProgress, uv
from tests.stack.processes import ProcessError

ROOT = Path(__file__).parents[2]
DEBIAN = "trixie"
COREDNS_IMAGE = "cluster.test/coredns:1"
SERVICE_IMAGE = "cluster.test/service:1"
CALLER_IMAGE = "cluster.test/caller:1"
PRODUCT_IMAGE = "registry.example/eureka-drain:0.1.0"
"""As the overlays name it."""
OLDER_PRODUCT_IMAGE = "registry.example/eureka-drain:older"
"""The product as it was at the last release, of which a cluster is upgraded, and to which it is put back."""
RABBITMQ_IMAGE = "docker.io/library/rabbitmq:4.0.5"
EUREKA_IMAGE = "docker.io/steeltoeoss/eureka-server:4.1.1"
_BASE = "cluster.test/base:1"
_JRE = "cluster.test/jre:2"
"""With curl, as whoever copies the hook needs it in every image."""
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
_RUNTIME_PACKAGES = (
    "libssl3t64 libsqlite3-0 libffi8 libreadline8t64 libbz2-1.0 liblzma5 zlib1g libncursesw6 libuuid1 libexpat1"
    " netbase tzdata"
)
_APT = "apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends"


class Images:
    """buildah's store."""

    def __init__(self, report_progress: ReportProgress) -> None:
        self._report = report_progress
        self._context = IMAGES / "context"
        for folder in (IMAGES / "tmp", self._context):
            folder.mkdir(parents=True, exist_ok=True)
        (IMAGES / "registries.conf").write_text('unqualified-search-registries = ["docker.io"]\n')

    def build_own(self, programs: Programs) -> list[Path]:
        """Return the archives of what the cluster itself needs."""
        made = []
        for image, program in ((PAUSE_IMAGE, programs.pause / "pause"), (COREDNS_IMAGE, programs.coredns / "coredns")):
            shutil.copy(program, self._context / program.name)
            text = f'FROM scratch\nCOPY {program.name} /{program.name}\nENTRYPOINT ["/{program.name}"]\n'
            made.append(self._build(image, text))
        return made

    def build_product(self) -> Path:
        """Return the archive of the image that the Dockerfile makes."""
        self._build_product(PRODUCT_IMAGE, ROOT)
        return self._archive(PRODUCT_IMAGE)

    def build_older_product(self) -> Path:
        """Return the archive of the image of the last release."""
        mark, archive = _file(OLDER_PRODUCT_IMAGE, "text"), _file(OLDER_PRODUCT_IMAGE, "tar")
        if not (mark.exists() and archive.exists() and mark.read_text() == LAST_RELEASE):
            folder = IMAGES / "older"
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            check_out(LAST_RELEASE, folder)
            self._build_product(OLDER_PRODUCT_IMAGE, folder)
            shutil.rmtree(folder)
            self._archive(OLDER_PRODUCT_IMAGE)
            mark.write_text(LAST_RELEASE)
        return archive

    def _build_product(self, image: str, source: Path) -> None:
        """Make an image by a Dockerfile, on the stand-ins of its two bases."""
        bases = dict(re.findall(r"^ARG (\w+)=(\S+)$", (source / "Dockerfile").read_text(), re.MULTILINE))
        self._build_python(_with_registry(bases["PYTHON_IMAGE"]))
        shutil.copy(uv(), self._context / "uv")
        self._build(bases["UV_IMAGE"], 'FROM scratch\nCOPY uv /uv\nENTRYPOINT ["/uv"]\n', archive=False)
        self._report(f"image {image}")
        self._buildah("bud", *_BUILD, "--tag", image, str(source))

    def build_servers(self, jars: Path) -> list[Path]:
        """Return the archives of RabbitMQ, a Eureka node, a sample service and its caller."""
        self._build_base()
        (self._context / "defaults.conf").write_text("loopback_users.guest = false\nlog.console = true\n")
        (self._context / "application.properties").write_text(STOCK_IMAGE_SETTINGS)
        made = [self._build(RABBITMQ_IMAGE, _RABBITMQ)]
        self._build(_JRE, f"FROM {_BASE}\nRUN {_APT} openjdk-21-jre-headless curl >/dev/null\n", archive=False)
        shutil.copytree(jars / "lib", self._context / "lib", dirs_exist_ok=True)
        for image, jar in ((EUREKA_IMAGE, "server-1"), (SERVICE_IMAGE, "service-1"), (CALLER_IMAGE, "caller-1")):
            shutil.copy(jars / f"{jar}.jar", self._context)
            settings = "COPY application.properties /config/\n" if image == EUREKA_IMAGE else ""
            files = f"COPY lib /lib\nCOPY {jar}.jar /\n{settings}"
            java, program = "java -XX:+UseSerialGC -XX:TieredStopAtLevel=1", f"-jar /{jar}.jar"
            if image == SERVICE_IMAGE:  # its pods are restarted all the time: a third of a start is reading classes
                files += f"RUN {java} -XX:ArchiveClassesAtExit=/classes -Dspring.context.exit=onRefresh {program}\n"
                java += " -XX:SharedArchiveFile=/classes"
            begun = json.dumps(f"{java} {program}".split())
            text = f"FROM {_JRE}\n{files}USER 1002:1000\nENTRYPOINT {begun}\n"
            made.append(self._build(image, text))
        return made

    def put_away(self) -> None:
        """Remove what buildah keeps mounted of a build: the containers of stages that another one copies from."""
        self._buildah("rm", "--all")
        for mount in mounts_below(IMAGES):
            run("umount", mount)

    def _build_base(self) -> None:
        root = IMAGES / "base.tar"
        if not root.exists():
            self._report(f"debootstrap {DEBIAN}")
            folder = IMAGES / "base"
            shutil.rmtree(folder, ignore_errors=True)
            run("debootstrap", "--variant=minbase", DEBIAN, str(folder), _mirror(), timeout=900)
            left_out = [f"--exclude=./{what}" for what in ("var/cache/apt/archives/*.deb", "dev/*", "proc/*", "sys/*")]
            run("tar", "-C", str(folder), *left_out, "-cf", str(root), ".")
            shutil.rmtree(folder)
        in_context = self._context / "base.tar"
        in_context.unlink(missing_ok=True)
        os.link(root, in_context)
        shutil.copy(_CERTIFICATES, self._context / "ca.crt")
        self._build(
            _BASE, "FROM scratch\nADD base.tar /\nCOPY ca.crt /etc/ssl/certs/ca-certificates.crt\n", archive=False
        )

    def _build_python(self, image: str) -> None:
        self._build_base()
        python = self._context / "python"
        if not python.exists():
            _copy_python(python)
        version = f"{sys.version_info.major}.{sys.version_info.minor}"
        text = (
            f"FROM {_BASE}\nRUN {_APT} {_RUNTIME_PACKAGES} >/dev/null\nCOPY python /usr/local\n"
            "ENV PATH=/usr/local/bin:/usr/local/sbin:/usr/sbin:/usr/bin:/sbin:/bin"
            " SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt\n"
            f"RUN ldconfig && ln -sf python{version} /usr/local/bin/python3 && mkdir -p"
            f" /usr/local/lib/python{version}/site-packages && python3 -m ensurepip >/dev/null"
            " && python3 -m pip install -q --root-user-action=ignore --cert $SSL_CERT_FILE wheel setuptools\n"
        )
        self._build(image, text, archive=False)

    def _build(self, image: str, text: str, *, archive: bool = True) -> Path:
        """Build an image, unless it was built from the same text."""
        mark = _file(image, "text")
        file = _file(image, "tar")
        if not mark.exists() or mark.read_text() != text or (archive and not file.exists()):
            self._report(f"image {image}")
            recipe = IMAGES / "Containerfile"
            recipe.write_text(text)
            self._buildah("bud", *_BUILD, "--tag", image, "--file", str(recipe), str(self._context))
            if archive:
                self._archive(image)
            mark.write_text(text)
        return file

    def _archive(self, image: str) -> Path:
        file = _file(image, "tar")
        file.unlink(missing_ok=True)
        self._buildah("push", image, f"docker-archive:{file}:{image}")
        return file

    def _buildah(self, *words: str) -> None:
        store = ("--root", str(IMAGES / "store"), "--runroot", str(IMAGES / "run"), "--storage-driver", "overlay")
        env = {
            **os.environ,
            "CONTAINERS_REGISTRIES_CONF": str(IMAGES / "registries.conf"),
            "TMPDIR": str(IMAGES / "tmp"),
            "BUILDAH_RUNTIME": "runc",
        }
        run("buildah", *store, *words, env=env, timeout=900)


_BUILD = ("--layers", "--pull=never", "--network=host")
_RABBITMQ = f"""\
FROM {_BASE}
RUN printf '#!/bin/sh\\nexit 101\\n' >/usr/sbin/policy-rc.d && chmod +x /usr/sbin/policy-rc.d \\
    && {_APT} rabbitmq-server >/dev/null \\
    && rm -rf /var/lib/rabbitmq/.erlang.cookie /var/lib/rabbitmq/mnesia /etc/rabbitmq/rabbitmq-env.conf \\
    && ln -s /usr/lib/rabbitmq/lib/rabbitmq_server-* /opt/rabbitmq && mkdir -p /etc/rabbitmq/conf.d \\
    && echo '[rabbitmq_prometheus].' >/etc/rabbitmq/enabled_plugins \\
    && chmod 1777 /var/lib/rabbitmq /var/log/rabbitmq && chmod -R a+rX /etc/rabbitmq
COPY defaults.conf /etc/rabbitmq/conf.d/10-defaults.conf
ENV PATH=/opt/rabbitmq/sbin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \\
    HOME=/var/lib/rabbitmq RABBITMQ_LOGS=- LANG=C.UTF-8
CMD ["rabbitmq-server"]
"""


def _with_registry(image: str) -> str:
    """Return an image's name as buildah looks it up."""
    return image if "/" in image else f"docker.io/library/{image}"


def _file(image: str, kind: str) -> Path:
    return IMAGES / f"{re.sub(r'[^a-z0-9.]+', '-', image)}.{kind}"


def _mirror() -> str:
    """Return where this machine gets its packages."""
    return run("apt-get", "indextargets", "--format", "$(REPO_URI)").split()[0]


def _copy_python(target: Path) -> None:
    """Copy an interpreter that works wherever it lies: the distribution's own does not."""
    source = Path(sys.base_prefix)
    if source == Path("/usr"):
        raise ProcessError("the product's image needs a Python that is not Debian's: start with one of pyenv's or uv's")

    def left_out(folder: str, names: list[str]) -> set[str]:
        top = Path(folder)
        unwanted = (
            {"__pycache__", "test", "idlelib", "tkinter", "site-packages"}
            if top.parent == source / "lib"
            else {"__pycache__"}
        )
        if top == source:
            return set(names) - {"bin", "lib", "include"}
        if top == source / "bin":
            return {name for name in names if not name.startswith("python")}
        return unwanted | {name for name in names if name.startswith("_tkinter")}

    shutil.copytree(source, target, symlinks=True, ignore=left_out)
