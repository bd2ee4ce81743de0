"""What no package brings (Kubernetes' servers, Eureka jars, promtool …), and how it is built."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.stack.built_once import cached, go_programs, run_logged
from tests.stack.prerequisites import GO, JAVA, JAVAC, MAVEN, ReportProgress, require
from tests.stack.processes import output_of

_HERE = Path(__file__).parent
KUBERNETES_MODULE = _HERE / "kubernetes"
_EUREKA = _HERE / "eureka"
_NETFLIX = _HERE / "netflix_eureka"
_TOXIPROXY = _HERE / "toxiproxy_server"
_PROMTOOL = _HERE / "promtool"
_KUBE_SCORE = _HERE / "kube_score"
_HELM = _HERE / "helm"
_KYVERNO = _HERE / "kyverno_engine"
EVERYDAY_KUBERNETES = "v1.36.3"
KUBERNETES_VERSION = os.environ.get("KUBERNETES_VERSION", EVERYDAY_KUBERNETES)
"""Another one is built by `python -m tests.versions` only, and by `make cluster` where it is asked for one."""
SPRING_BOOT, SPRING_CLOUD = os.environ.get("SPRING_VERSIONS", "3.5.3 2025.0.0").split()
"""Of the Eureka nodes and the sample service; others likewise."""
EUREKA_SERVER = os.environ.get("EUREKA_SERVER", "spring")
"""`netflix`: the nodes are Netflix's own; likewise."""
EVERYDAY_SPRING = ("3.5.3", "2025.0.0")

_MAJOR, _MINOR = KUBERNETES_VERSION.removeprefix("v").split(".")[:2]
VERSION_FLAGS = " ".join(
    ["-s", "-w"]
    + [
        f"-X k8s.io/component-base/version.{name}={value}"
        for name, value in {"gitVersion": KUBERNETES_VERSION, "gitMajor": _MAJOR, "gitMinor": _MINOR}.items()
    ]
)


async def kubernetes_servers(report_progress: ReportProgress) -> Path:
    """The folder with kube-apiserver and kube-controller-manager."""
    names = ("kube-apiserver", "kube-controller-manager")
    what, estimate = f"{' and '.join(names)} {KUBERNETES_VERSION}", "about 5 minutes"
    if KUBERNETES_VERSION != EVERYDAY_KUBERNETES:
        return await other_kubernetes(what, names, report_progress, estimate)
    flags, recipe = ["-ldflags", VERSION_FLAGS], kubernetes_recipe(names)
    programs = kubernetes_packages(names)
    return await go_programs(
        what, KUBERNETES_MODULE, flags, programs, report_progress, recipe=recipe, estimate=estimate
    )


def kubernetes_packages(names: Sequence[str]) -> list[str]:
    """Where Kubernetes' programs of these names are."""
    return [f"k8s.io/kubernetes/cmd/{name}" for name in names]


def kubernetes_recipe(names: Sequence[str]) -> list[bytes]:
    """What makes them, beside the modules."""
    return [VERSION_FLAGS.encode(), " ".join(names).encode()]


async def other_kubernetes(what: str, names: Sequence[str], report_progress: ReportProgress, estimate: str) -> Path:
    """Build a version whose modules are not pinned here, from what it says itself that it requires."""

    async def build(folder: Path, log: Path) -> None:
        await require(GO, report_progress=report_progress)
        download = ("go", "mod", "download", "-json", f"k8s.io/kubernetes@{KUBERNETES_VERSION}")
        stated = json.loads(await output_of(*download))["GoMod"]
        command = ["go", "build", "-mod=mod", "-o", f"{folder}/", "-ldflags", VERSION_FLAGS]
        with tempfile.TemporaryDirectory(dir=folder.parent) as module:
            _write_kubernetes_module(Path(module), Path(stated))
            await run_logged("go", [*command, *kubernetes_packages(names)], Path(module), log)

    return await cached(
        what, [*kubernetes_recipe(names), KUBERNETES_VERSION.encode()], build, report_progress, estimate
    )


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


async def helm(report_progress: ReportProgress) -> Path:
    """The folder with `helm`, which renders, checks and installs the chart.

    Without a cluster it takes its templates for this Kubernetes: its releases are built likewise.
    """
    version = "helm.sh/helm/v3/pkg/chartutil.k8sVersion"
    flags = ["-ldflags", f"-s -w -X {version}Major={_MAJOR} -X {version}Minor={_MINOR}"]
    recipe = [flag.encode() for flag in flags]
    programs = ["helm.sh/helm/v3/cmd/helm"]
    return await go_programs("Helm", _HELM, flags, programs, report_progress, recipe=recipe, estimate="about 3 minutes")


async def kyverno_engine(report_progress: ReportProgress) -> Path:
    """The folder with `kyverno_engine`, Kyverno's own engine for MutatingPolicies behind a webhook."""
    recipe = [(_KYVERNO / "main.go").read_bytes()]
    flags = ["-ldflags", "-s -w"]
    return await go_programs(
        "Kyverno's engine", _KYVERNO, flags, ["."], report_progress, recipe=recipe, estimate="about 5 minutes"
    )


async def eureka_jars(report_progress: ReportProgress) -> Path:
    """The folder with server-1.jar (a Eureka node), service-1.jar (a service with the stock client), caller-1.jar.

    What they need is in `lib` beside them.
    """

    async def build(folder: Path, log: Path) -> None:
        await require(JAVA, JAVAC, MAVEN, report_progress=report_progress)
        with tempfile.TemporaryDirectory(dir=folder.parent) as copy:
            # Of a copy, so that no target/ appears in the repository, whoever builds at the same time.
            shutil.copytree(_EUREKA, copy, ignore=shutil.ignore_patterns("target"), dirs_exist_ok=True)
            modules = _of_other_versions(Path(copy) / "pom.xml") if is_other else ("server", "service", "caller")
            await run_logged("mvn", ["mvn", "-q", "-B", "package"], Path(copy), log)
            for module in modules:
                made = Path(copy) / module / "target"
                shutil.move(made / f"{module}-1.jar", folder)
                shutil.copytree(made / "lib", folder / "lib", dirs_exist_ok=True)
        if EUREKA_SERVER == "netflix":
            shutil.copyfile(await _netflix_jar(report_progress), folder / "server-1.jar")

    is_other = _is_other_spring()
    recipe = _contents(_EUREKA)
    recipe += [f"{SPRING_BOOT} {SPRING_CLOUD}".encode()] if is_other else []
    recipe += [] if EUREKA_SERVER == "spring" else _contents(_NETFLIX)
    return await cached(
        "the Eureka node, the sample service and its caller", recipe, build, report_progress, "about 1 minute"
    )


async def eureka_node(report_progress: ReportProgress) -> tuple[str, ...]:
    """What `java` is started with for a Eureka node."""
    if EUREKA_SERVER != "spring":
        return "-jar", str(await eureka_jars(report_progress) / "server-1.jar")
    return await _java_program("server", "the Eureka node's classes", report_progress)


async def sample_service(report_progress: ReportProgress) -> tuple[str, ...]:
    """What `java` is started with for the sample service."""
    return await _java_program("service", "the sample service's classes", report_progress)


async def _java_program(module: str, what: str, report_progress: ReportProgress) -> tuple[str, ...]:
    """Its jar, and its classes as the JVM has them in memory.

    Reading and checking them is a third of what a start costs. A JVM that the archive is not of goes without.
    """
    jar = await eureka_jars(report_progress) / f"{module}-1.jar"
    program = ("-jar", str(jar))
    if _is_other_spring():
        return program

    async def build(folder: Path, log: Path) -> None:
        # Of the jar where it stays: an archive is of these paths.
        begun_and_ended = ["-Dspring.context.exit=onRefresh", *program, "--server.port=0"]
        await run_logged(
            "java", ["java", f"-XX:ArchiveClassesAtExit={folder}/{module}.jsa", *begun_and_ended], folder, log
        )

    made = await cached(what, [b"CDS", str(jar).encode()], build, report_progress, "half a minute")
    return (f"-XX:SharedArchiveFile={made}/{module}.jsa", *program)


def _is_other_spring() -> bool:
    return (SPRING_BOOT, SPRING_CLOUD) != EVERYDAY_SPRING


async def _netflix_jar(report_progress: ReportProgress) -> Path:
    async def build(folder: Path, log: Path) -> None:
        with tempfile.TemporaryDirectory(dir=folder.parent) as copy:
            shutil.copytree(_NETFLIX, copy, dirs_exist_ok=True)
            await run_logged("mvn", ["mvn", "-q", "-B", "package"], Path(copy), log)
            shutil.move(Path(copy) / "target" / "netflix-1.jar", folder)

    made = await cached("Netflix's own Eureka node", _contents(_NETFLIX), build, report_progress, "about 1 minute")
    return made / "netflix-1.jar"


def _contents(module: Path) -> list[bytes]:
    """Return what a Maven module is made of, each file with its name."""
    files = [file.relative_to(module) for file in sorted(module.rglob("*")) if file.is_file()]
    return [str(file).encode() + b"\0" + (module / file).read_bytes() for file in files if "target" not in file.parts]


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
