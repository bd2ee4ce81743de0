"""The real cluster: `make cluster` brings it up, runs its tests inside its network, and takes it down.

python -m tests.cluster            the same
python -m tests.cluster up         only up; what is up already stays
python -m tests.cluster in WORD…   run a command in its network, with its kubectl
python -m tests.cluster down       end it

`make cluster KEEP=1` leaves it for looking around; CLUSTER_TESTS names files of tests, CLUSTER_ARGS is for pytest.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence

from tests.cluster.ability import why_not
from tests.cluster.home import TABLE
from tests.cluster.images import Images
from tests.cluster.keys import ADMIN_KUBECONFIG
from tests.cluster.programs import programs
from tests.cluster.real_cluster import RealCluster, leftovers
from tests.stack.parts import eureka_jars, helm

_PYTEST = (sys.executable, "-m", "pytest", "-p", "no:cacheprovider")


def main(words: Sequence[str]) -> int:
    """Return the exit status."""
    if lack := why_not():
        print(f"The real cluster cannot run here: {lack}.\nThe everyday tests (`make test`) need none of this.")
        return 2
    match words:
        case []:
            return _test()
        case ["up"]:
            _up()
            return 0
        case ["in", *command] if command:
            return _inside(RealCluster(asyncio.run(programs(_report))), command)
        case ["down"]:
            return _down(RealCluster(asyncio.run(programs(_report))))
        case _:
            print(__doc__)
            return 2


def _test() -> int:
    cluster = _up()
    TABLE.unlink(missing_ok=True)
    try:
        tests, more = os.environ.get("CLUSTER_TESTS", "tests/cluster"), os.environ.get("CLUSTER_ARGS", "")
        return _inside(cluster, [*_PYTEST, *shlex.split(tests), *shlex.split(more)])
    finally:
        if TABLE.exists():
            _report(f"\n{TABLE.read_text()}\n(also in {TABLE})")
        if os.environ.get("KEEP") == "1":
            _report("left up: look with `python -m tests.cluster in kubectl get pods -A`, end it with `… down`")
        elif _down(cluster):
            sys.exit(1)


def _up() -> RealCluster:
    begun = time.monotonic()
    built = asyncio.run(programs(_report))
    images = Images(_report)
    own = images.build_own(built)
    product = [images.build_older_product(), images.build_product()]
    asyncio.run(helm(_report))
    others = [*images.build_servers(asyncio.run(eureka_jars(_report))), *product]
    images.put_away()
    _report(f"everything is built after {time.monotonic() - begun:.0f} s")
    cluster = RealCluster(built)
    cluster.up(own)
    cluster.load(*others)
    _report(f"the cluster is up after {time.monotonic() - begun:.0f} s")
    return cluster


def _down(cluster: RealCluster) -> int:
    cluster.down()
    found = leftovers()
    _report(
        "\n".join(["it has left something behind:", *found]) if found else "it is down, and has left nothing behind"
    )
    return 1 if found else 0


def _inside(cluster: RealCluster, command: Sequence[str]) -> int:
    path = f"{cluster.path}:{os.environ['PATH']}"
    env = {**os.environ, "KUBECONFIG": str(ADMIN_KUBECONFIG), "PATH": path, "REAL_CLUSTER": "1"}
    return subprocess.run(cluster.hub.in_network(*command), env=env, check=False).returncode


def _report(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
