"""Tries eureka-drain with other versions of what it talks to, and makes docs/versions.md.

Each row is a run of the same tests, with the servers of another version: contract tests of what we read and write
there, our manifests applied where they concern it, and drains from end to end. It takes minutes to build a version,
once, and minutes to try it.

    python -m tests.versions             all of them
    python -m tests.versions 1.33 2021   those whose versions begin so; the other rows stay as they are
    python -m tests.versions cluster     those of the real cluster, which needs what `make cluster` needs
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from xml.etree import ElementTree as ET

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "versions.md"
KUBERNETES_TESTS = (
    "tests/contract/test_event_recorder.py",
    "tests/contract/test_kube_checks.py",
    "tests/contract/test_pod_details.py",
    "tests/contract/test_feed.py",
    "tests/manifests/test_applied.py",
    "tests/manifests/test_sufficient.py",
    "tests/e2e/test_causes.py",
    "tests/contract/test_reviews.py",
    "tests/contract/test_node_feed.py",
    "tests/contract/test_feed_outages.py",
    "tests/contract/test_feed_stale_server.py",
)
"""Those last that stop the API server: until a minute afterwards the older controllers make no pods."""
EUREKA_TESTS = (
    "tests/contract/test_registry.py",
    "tests/contract/test_registry_absence.py",
    "tests/contract/test_registry_ids.py",
    "tests/contract/test_registry_outages.py",
    "tests/contract/test_region_caches.py",
    "tests/contract/test_region_checks.py",
    "tests/stack/test_stack.py",
    "tests/e2e/test_rollout.py",
)
CLUSTER_TESTS = (
    "tests/cluster/test_lost_nodes.py",
    "tests/cluster/test_other_ways.py",
    "tests/cluster/test_ways_to_end.py",
)
NETFLIX_TESTS = tuple(file for file in EUREKA_TESTS if file != "tests/contract/test_region_caches.py")
"""What that one asks for, a node's settings, only Spring's has."""
OPENED = " ".join(f"--add-opens=java.base/java.{package}=ALL-UNNAMED" for package in ("lang", "util"))
"""What servers from before Java 17 need of it."""


@dataclass(frozen=True)
class Row:
    """One version of one thing."""

    what: str
    version: str
    tests: tuple[str, ...]
    environment: dict[str, str]
    lacks: tuple[str, ...] = ()
    """Names of tests of what this version does not have; the page says so."""
    remark: str = ""
    in_cluster: bool = False
    """The tests are those of the real cluster, whose kubelets have the version, too."""

    @property
    def title(self) -> str:
        return f"{self.what} {self.version}"

    def is_meant_by(self, word: str) -> bool:
        """Whether a word of the command line chooses it."""
        return self.in_cluster if word == "cluster" else self.version.startswith(word)


def kubernetes(version: str, *lacks: str, remark: str = "") -> Row:
    return Row("Kubernetes", version, KUBERNETES_TESTS, {"KUBERNETES_VERSION": f"v{version}"}, lacks, remark)


def cluster(version: str) -> Row:
    remark = "API server, kubelets, scheduler, kube-proxy and kubectl, in the [real cluster](cluster.md)"
    environment = {"KUBERNETES_VERSION": f"v{version}"}
    return Row("A cluster of Kubernetes", version, CLUSTER_TESTS, environment, remark=remark, in_cluster=True)


def spring(cloud: str, boot: str, *lacks: str, remark: str = "", **more: str) -> Row:
    environment = {"SPRING_VERSIONS": f"{boot} {cloud}", **more}
    return Row("Spring Cloud", cloud, EUREKA_TESTS, environment, lacks, f"Spring Boot {boot}{remark}")


NO_WINDOW = ("window", "every_component")
WINDOW = "no `drain-window`: no MutatingAdmissionPolicy of version v1"
NO_AGE = "; the age of its cache cannot be asked for: `window.server_cache` counts"
NETFLIX = {"EUREKA_SERVER": "netflix", "EUREKA_API_PATH": "/eureka/v2", "JAVA_TOOL_OPTIONS": OPENED}
ROWS = (
    kubernetes("1.33.13", *NO_WINDOW, remark=WINDOW),
    kubernetes("1.34.4", *NO_WINDOW, remark=WINDOW),
    kubernetes("1.35.4", *NO_WINDOW, remark=WINDOW),
    cluster("1.33.13"),
    cluster("1.34.4"),
    cluster("1.35.4"),
    spring("Hoxton.SR12", "2.3.12.RELEASE", "real_servers_cache_age", remark=NO_AGE, JAVA_TOOL_OPTIONS=OPENED),
    # What Boot 2.7 hides by itself is other than what that test takes for hidden.
    spring("2021.0.9", "2.7.18", "real_servers_cache_age", JAVA_TOOL_OPTIONS=OPENED),
    spring("2023.0.6", "3.3.13"),
    spring("2025.1.0", "4.0.0"),
    Row(
        "Netflix's Eureka",
        "1.10.18",
        NETFLIX_TESTS,
        NETFLIX,
        # Beside its context a servlet container answers as it likes.
        lacks=("named_without_its_path",),
        remark="Netflix's own server, put together as its WAR is",
    ),
)
HEAD = """\
# Versions

The everyday tests (`make test`) run Kubernetes 1.36.3, Spring Cloud 2025.0.0 and RabbitMQ 3.10.8; the
[real cluster](cluster.md) runs the same with RabbitMQ 4.0.5. `make versions` runs the tests that concern them with the
servers of other versions, and writes this page. Netflix's WAR is in no repository of packages; its server is, and
stands for it, with the same filters in the same order under `/eureka/v2`.

| with | passed | failed | left out | on | remark |
|---|---|---|---|---|---|
"""
TAIL = """
**Policy.** Kubernetes: the minor versions that its project supports. RabbitMQ: 3.10 and newer, where streams survive a
node (not Amazon MQ for RabbitMQ). Eureka: every server that answers as Netflix's does; Spring Cloud from Hoxton on.
What is neither above nor in the table has not been tried to its end.
"""


def main(wanted: list[str]) -> int:
    """Return the exit status: whether anything failed."""
    lines = _lines_of(PAGE.read_text()) if PAGE.exists() else {}
    failed = 0
    for row in ROWS:
        if wanted and not any(row.is_meant_by(one) for one in wanted):
            continue
        print(f"{row.title}: {len(row.tests)} files of tests", flush=True)
        passed, bad, skipped = _run(row)
        failed += bad
        today = f"{datetime.now(UTC):%Y-%m-%d}"
        lines[row.title] = f"| {row.title} | {passed} | {bad} | {skipped} | {today} | {row.remark} |"
        print(lines[row.title], flush=True)
        known = [lines[one.title] for one in ROWS if one.title in lines]
        PAGE.write_text(HEAD + "\n".join(known) + "\n" + TAIL)
    return 1 if failed else 0


def _lines_of(page: str) -> dict[str, str]:
    found = re.findall(r"^(\| (\S.*?) \| \d.*)$", page, re.MULTILINE)
    return {title: line for line, title in found}


def _run(row: Row) -> tuple[int, int, int]:
    """Return how many tests passed, failed, and were left out."""
    chosen = ["-k", " and ".join(f"not {name}" for name in row.lacks)] if row.lacks else []
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.xml"
        words = ["-q", "-p", "no:cacheprovider", *chosen, f"--junitxml={report}"]
        log = Path(tempfile.gettempdir()) / f"versions-{row.what}-{row.version}.log".replace(" ", "-")
        with log.open("wb") as output:
            environment = {**os.environ, **row.environment}
            if row.in_cluster:
                environment |= {"CLUSTER_TESTS": shlex.join(row.tests), "CLUSTER_ARGS": shlex.join(words)}
                command = [sys.executable, "-m", "tests.cluster"]
            else:
                command = [sys.executable, "-m", "pytest", *words, *row.tests]
            subprocess.run(command, cwd=ROOT, env=environment, stdout=output, stderr=output, check=False)
        print(f"  its output: {log}", flush=True)
        [suite] = ET.parse(report).getroot().iter("testsuite")
    total, skipped = int(suite.attrib["tests"]), int(suite.attrib["skipped"])
    bad = int(suite.attrib["failures"]) + int(suite.attrib["errors"])
    deselected = re.findall(rb"(\d+) deselected", log.read_bytes())
    return total - bad - skipped, bad, skipped + (int(deselected[-1]) if deselected else 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
