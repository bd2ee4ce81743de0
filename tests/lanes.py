"""Runs the tests in lanes beside each other: `python -m tests.lanes`. Each lane has its own servers, and mostly waits.

The first lane's output is shown as it comes; the others' when they have ended. The status is 1 when one of them failed.
"""

import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

Run = tuple[str, ...]
"""What one pytest is told."""
INSTALLING = ("tests/install", "tests/tls", "tests/image")
"""Not beside the manifests' own tests: an installation has names that a cluster has once."""
WITHOUT_SERVERS = ("tests/unit", "tests/flows")
"""They fill up a short lane."""
MOVED = (
    *("tests/e2e/test_matrix.py", "tests/e2e/test_evening.py", "tests/e2e/test_trouble.py"),
    *("tests/contract/test_dead_letter_queue.py", "tests/contract/test_permissions.py"),
)
"""The slowest files of the two longest lanes: they fill up the shortest one."""
ELSEWHERE = ("tests/stack", "tests/cluster", "tests/e2e", "tests/faults", "tests/page", *WITHOUT_SERVERS, *INSTALLING)
LANES: tuple[tuple[Run, ...], ...] = (
    (tuple(f"--ignore={path}" for path in (*ELSEWHERE, *MOVED)),),
    (("tests/e2e", *(f"--ignore={path}" for path in MOVED)),),
    (("tests/faults",),),
    (("tests/page",), MOVED),  # the page's alone: they count what the event log tells
    ((*INSTALLING, *WITHOUT_SERVERS),),
)


def main() -> int:
    """Start every lane, wait for all of them, and report what came of each run."""
    with tempfile.TemporaryDirectory(prefix="eureka-drain-lanes-") as folder:

        def run(number: int) -> list[tuple[str, int]]:
            ended = []
            for place, words in enumerate(LANES[number]):
                options = ["--durations=9", f"-ocache_dir={folder}/cache-{number}-{place}"]
                command = [sys.executable, "-m", "pytest", *options, *words]
                if number == 0:
                    status = subprocess.run(command, check=False).returncode
                else:
                    with (Path(folder) / f"{number}.txt").open("a") as output:
                        status = subprocess.run(command, stdout=output, stderr=output, check=False).returncode
                ended.append((" ".join(words), status))
            return ended

        with ThreadPoolExecutor(len(LANES)) as pool:
            results = list(pool.map(run, range(len(LANES))))
        for number in range(1, len(LANES)):
            print((Path(folder) / f"{number}.txt").read_text(), flush=True)
    statuses = list(chain.from_iterable(results))
    for words, status in statuses:
        print(f"{'passed' if status == 0 else f'FAILED ({status})'}: pytest {words}", flush=True)
    return 0 if not any(status for _, status in statuses) else 1


if __name__ == "__main__":
    sys.exit(main())
