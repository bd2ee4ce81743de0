"""Builds what no package brings (Kubernetes' servers, Eureka jars, promtool …), once a version of its recipe.

Order of events: the hash of what makes a part names its folder in the user's cache. Is it there, it is complete,
since it is built beside and then renamed. Otherwise a file lock lets one run build while others wait and then find it.

Trap: the build's own output is long and of no interest unless it fails; so it goes to a log, and a line a few seconds
apart says what is being built and since when.
"""

import asyncio
import fcntl
import hashlib
import json
import os
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.stack.prerequisites import GO, JAVA, JAVAC, MAVEN, ReportProgress, require
from tests.stack.processes import Process, ProcessError, output_of

_HERE = Path(__file__).parent
KUBERNETES_MODULE = _HERE / "kubernetes"
_EUREKA = _HERE / "eureka"
_TOXIPROXY = _HERE / "toxiproxy_server"
_PROMTOOL = _HERE / "promtool"
_KUBE_SCORE = _HERE / "kube_score"
EVERYDAY_KUBERNETES = "v1.36.3"
KUBERNETES_VERSION = os.environ.get("KUBERNETES_VERSION", EVERYDAY_KUBERNETES)
"""Of the API server and the controllers; another one is built by `python -m tests.versions` only."""
SPRING_BOOT, SPRING_CLOUD = os.environ.get("SPRING_VERSIONS", "3.5.3 2025.0.0").split()
"""Of the Eureka nodes and the sample service; others likewise."""
EVERYDAY_SPRING = ("3.5.3", "2025.0.0")
_PROMETHEUS_OPERATOR = "github.com/prometheus-operator/prometheus-operator@v0.85.0"
_PROMETHEUS_OPERATOR_SUM = "h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s="
"""As a go.sum has it; without one, since a module of ours that required it would need all that it requires."""
_CRDS = ("podmonitors", "prometheusrules")

_MAJOR, _MINOR = KUBERNETES_VERSION.removeprefix("v").split(".")[:2]
VERSION_FLAGS = " ".join(
    ["-s", "-w"]
    + [
        f"-X k8s.io/component-base/version.{name}={value}"
        for name, value in {"gitVersion": KUBERNETES_VERSION, "gitMajor": _MAJOR, "gitMinor": _MINOR}.items()
    ]
)
_PROGRESS_SECONDS = 5


def cache_folder() -> Path:
    """Where built parts stay between runs; safe to delete at any time nothing runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eureka-drain"


async def kubernetes_servers(report_progress: ReportProgress) -> Path:
    """The folder with kube-apiserver and kube-controller-manager."""
    names = ["kube-apiserver", "kube-controller-manager"]
    what = f"kube-apiserver and kube-controller-manager {KUBERNETES_VERSION}"
    recipe = [VERSION_FLAGS.encode(), " ".join(names).encode()]
    flags = ["-ldflags", VERSION_FLAGS]
    programs = [f"k8s.io/kubernetes/cmd/{name}" for name in names]
    estimate = "about 5 minutes"
    if KUBERNETES_VERSION != EVERYDAY_KUBERNETES:
        return await _other_kubernetes(what, flags, programs, report_progress, recipe=recipe, estimate=estimate)
    return await go_programs(
        what, KUBERNETES_MODULE, flags, programs, report_progress, recipe=recipe, estimate=estimate
    )


async def _other_kubernetes(
    what: str,
    flags: Sequence[str],
    programs: Sequence[str],
    report_progress: ReportProgress,
    *,
    recipe: Sequence[bytes],
    estimate: str,
) -> Path:
    """Build a version whose modules are not pinned here, from what it says itself that it requires."""

    async def build(folder: Path, log: Path) -> None:
        await require(GO, report_progress=report_progress)
        download = ("go", "mod", "download", "-json", f"k8s.io/kubernetes@{KUBERNETES_VERSION}")
        stated = json.loads(await output_of(*download))["GoMod"]
        with tempfile.TemporaryDirectory(dir=folder.parent) as module:
            _write_kubernetes_module(Path(module), Path(stated))
            await run_logged(
                "go", ["go", "build", "-mod=mod", "-o", f"{folder}/", *flags, *programs], Path(module), log
            )

    return await cached(what, [*recipe, KUBERNETES_VERSION.encode()], build, report_progress, estimate)


async def toxiproxy_server(report_progress: ReportProgress) -> Path:
    """The folder with `server`, a TCP proxy that delays, swallows and resets."""
    programs = ["github.com/Shopify/toxiproxy/v2/cmd/server"]
    return await go_programs("Toxiproxy", _TOXIPROXY, [], programs, report_progress, estimate="about 20 seconds")


async def promtool(report_progress: ReportProgress) -> Path:
    """The folder with `promtool`, which checks Prometheus rules and plays them through.

    Without service discovery: its clients of two dozen clouds would be most of the build, and no rule asks them.
    """
    flags = ["-tags", "remove_all_sd", "-ldflags", "-s -w"]
    programs = ["github.com/prometheus/prometheus/cmd/promtool"]
    recipe = [flag.encode() for flag in flags]
    return await go_programs(
        "promtool", _PROMTOOL, flags, programs, report_progress, recipe=recipe, estimate="about 4 minutes"
    )


async def kube_score(report_progress: ReportProgress) -> Path:
    """The folder with `kube-score`, which looks for what a reviewer of manifests would ask for."""
    programs = ["github.com/zegl/kube-score/cmd/kube-score"]
    return await go_programs(
        "kube-score", _KUBE_SCORE, ["-ldflags", "-s -w"], programs, report_progress, estimate="half a minute"
    )


async def prometheus_operator_crds(report_progress: ReportProgress) -> Path:
    """The folder with the definitions of PodMonitor and PrometheusRule, from the operator's source."""

    async def build(folder: Path, log: Path) -> None:
        await require(GO, report_progress=report_progress)
        download = ["go", "mod", "download", "-json", _PROMETHEUS_OPERATOR]
        await run_logged("go", download, folder, log)
        # Again, now that nothing is told of the download itself.
        module = json.loads(await output_of(*download))
        if module["Sum"] != _PROMETHEUS_OPERATOR_SUM:
            raise ProcessError(f"{_PROMETHEUS_OPERATOR} has the sum {module['Sum']}, not {_PROMETHEUS_OPERATOR_SUM}")
        for name in _CRDS:
            file = f"monitoring.coreos.com_{name}.yaml"
            shutil.copyfile(Path(module["Dir"]) / "example" / "prometheus-operator-crd" / file, folder / file)

    recipe = [one.encode() for one in (_PROMETHEUS_OPERATOR, _PROMETHEUS_OPERATOR_SUM, *_CRDS)]
    return await cached("the Prometheus operator's resources", recipe, build, report_progress, "a few seconds")


async def eureka_jars(report_progress: ReportProgress) -> Path:
    """The folder with server-1.jar (a Eureka node), service-1.jar (a service with the stock client), caller-1.jar."""
    sources = sorted(
        file.relative_to(_EUREKA)
        for file in _EUREKA.rglob("*")
        if file.is_file() and "target" not in file.relative_to(_EUREKA).parts
    )

    async def build(folder: Path, log: Path) -> None:
        await require(JAVA, JAVAC, MAVEN, report_progress=report_progress)
        with tempfile.TemporaryDirectory(dir=folder.parent) as copy:
            # Of a copy, so that no target/ appears in the repository, whoever builds at the same time.
            shutil.copytree(_EUREKA, copy, ignore=shutil.ignore_patterns("target"), dirs_exist_ok=True)
            modules = _of_other_versions(Path(copy) / "pom.xml") if is_other else ("server", "service", "caller")
            await run_logged("mvn", ["mvn", "-q", "-B", "package"], Path(copy), log)
            for module in modules:
                shutil.move(Path(copy) / module / "target" / f"{module}-1.jar", folder)

    is_other = (SPRING_BOOT, SPRING_CLOUD) != EVERYDAY_SPRING
    recipe = [str(file).encode() + b"\0" + (_EUREKA / file).read_bytes() for file in sources]
    recipe += [f"{SPRING_BOOT} {SPRING_CLOUD}".encode()] if is_other else []
    return await cached(
        "the Eureka node, the sample service and its caller", recipe, build, report_progress, "about 1 minute"
    )


def _write_kubernetes_module(folder: Path, stated: Path) -> None:
    """Require Kubernetes, and its own modules in the same version: it says v0.0.0 of what stands in its repository."""
    text = stated.read_text()
    own = re.findall(r"^\s+(k8s\.io/\S+) v0\.0\.0$", text, re.MULTILINE)
    [go] = re.findall(r"^go .+$", text, re.MULTILINE)
    version = KUBERNETES_VERSION.replace("v1.", "v0.", 1)
    replaced = [f"replace {name} => {name} {version}" for name in dict.fromkeys(own)]
    lines = ["module stack/kubernetes", go, f"require k8s.io/kubernetes {KUBERNETES_VERSION}", *replaced]
    (folder / "go.mod").write_text("\n".join(lines))


def _of_other_versions(pom: Path) -> tuple[str, ...]:
    """Put other versions into the module, for the oldest Java that they take; returns what is built of it."""
    boot, cloud = EVERYDAY_SPRING
    java = "17" if SPRING_BOOT >= "3" else "8"
    changes = {boot: SPRING_BOOT, cloud: SPRING_CLOUD, "<java.version>17": f"<java.version>{java}"}
    # The caller asks Spring for what older versions do not have.
    changes["<module>caller</module>"] = ""
    text = pom.read_text()
    for before, after in changes.items():
        assert before in text, before
        text = text.replace(before, after)
    pom.write_text(text)
    return ("server", "service")


async def go_programs(
    what: str,
    module: Path,
    flags: Sequence[str],
    programs: Sequence[str],
    report_progress: ReportProgress,
    *,
    recipe: Sequence[bytes] = (),
    estimate: str,
) -> Path:
    async def build(folder: Path, log: Path) -> None:
        await require(GO, report_progress=report_progress)
        await run_logged("go", ["go", "build", "-o", f"{folder}/", *flags, *programs], module, log)

    pinned = [(module / file).read_bytes() for file in ("go.mod", "go.sum")]
    return await cached(what, [*pinned, *recipe], build, report_progress, estimate)


async def run_logged(name: str, command: list[str], cwd: Path, log: Path) -> None:
    process = Process(name, command, log=log, cwd=cwd)
    process.spawn()
    try:
        if code := await process.wait():
            raise ProcessError(f"{' '.join(command[:3])} ... ended with {code}{process.tail()}")
    finally:
        await process.kill()


async def cached(
    what: str,
    recipe: Sequence[bytes],
    build: Callable[[Path, Path], Awaitable[None]],
    report_progress: ReportProgress,
    estimate: str,
) -> Path:
    """The finished folder: found, or built by us, or by another run meanwhile."""
    digest = hashlib.sha256()
    for part in recipe:
        digest.update(len(part).to_bytes(8, "big") + part)
    finished = cache_folder() / digest.hexdigest()
    if finished.exists():
        report_progress(f"{what}: built before")
        return finished
    finished.parent.mkdir(parents=True, exist_ok=True)
    async with _locked(finished.with_suffix(".lock"), what, report_progress):
        if not finished.exists():
            begun = asyncio.get_running_loop().time()
            progress = asyncio.create_task(_report(what, report_progress, estimate))
            unfinished = Path(tempfile.mkdtemp(prefix="building-", dir=finished.parent))
            try:
                log = finished.with_suffix(".log")
                log.unlink(missing_ok=True)
                await build(unfinished, log)
                # mkdtemp's folder is the owner's only.
                os.chmod(unfinished, 0o755)  # noqa: PTH101
                os.rename(unfinished, finished)  # noqa: PTH104
                log.unlink(missing_ok=True)
            finally:
                progress.cancel()
                shutil.rmtree(unfinished, ignore_errors=True)
            report_progress(f"{what}: built in {asyncio.get_running_loop().time() - begun:.0f} s")
    return finished


async def _report(what: str, report_progress: ReportProgress, estimate: str) -> None:
    seconds = 0
    report_progress(f"building {what}: {estimate} the first time, never again")
    while True:
        await asyncio.sleep(_PROGRESS_SECONDS)
        seconds += _PROGRESS_SECONDS
        report_progress(f"building {what}: {seconds} s")


@asynccontextmanager
async def _locked(file: Path, what: str, report_progress: ReportProgress) -> AsyncIterator[None]:
    """One builder at a time on this machine; the kernel drops the lock with its holder, so none is ever stale."""
    with file.open("w") as lock:
        reported = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not reported:
                    report_progress(f"{what}: another run is building it, waiting")
                reported = True
                await asyncio.sleep(0.5)
        yield
