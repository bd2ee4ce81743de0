"""Runs the tests a few at a time: `python -m tests.lanes`. Each run has its own servers, and waits a good part of it.

As many at once as use the processors up, and no more: beyond that each only slows down the others, and what a test
waits for comes late. The longest begin first. A run's output is shown when it has ended; the status is 1 when one of
them failed.
"""

import os
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

Run = tuple[str, ...]
"""What one pytest is given."""
AT_ONCE = (os.cpu_count() or 1) + 1
INSTALLING = ("tests/install", "tests/tls", "tests/image")
"""Not beside the manifests' own tests: an installation has names that a cluster has once."""
WITHOUT_SERVERS = ("tests/unit", "tests/flows")
EVENINGS = ("tests/e2e/test_matrix.py", "tests/e2e/test_evening.py", "tests/e2e/test_trouble.py")
"""The slowest of e2e."""
QUEUES = ("tests/contract/test_dead_letter_queue.py", "tests/contract/test_permissions.py")
"""The slowest of contract."""
ELSEWHERE = ("tests/stack", "tests/cluster", "tests/e2e", "tests/faults", "tests/page", *WITHOUT_SERVERS, *INSTALLING)
"""`tests/page` alone: its tests count what the event log has."""
RUNS: tuple[Run, ...] = (
    ("tests/contract", *(f"--ignore={path}" for path in QUEUES)),
    ("tests/faults",),
    (*EVENINGS, *QUEUES),
    WITHOUT_SERVERS,
    ("tests/e2e", *(f"--ignore={path}" for path in EVENINGS)),
    INSTALLING,
    tuple(f"--ignore={path}" for path in ("tests/contract", *ELSEWHERE)),
    ("tests/page",),
)


def main() -> int:
    """Start the runs, wait for all of them, and report what came of each."""
    with tempfile.TemporaryDirectory(prefix="eureka-drain-lanes-") as folder:

        def run(words: Run) -> tuple[str, int]:
            place, begun = Path(folder) / str(RUNS.index(words)), time.monotonic()
            command = [sys.executable, "-m", "pytest", "--durations=9", f"-ocache_dir={place}-cache", *words]
            with place.open("w") as output:
                status = subprocess.run(command, stdout=output, stderr=output, check=False).returncode
            print(place.read_text(), flush=True)
            verdict = "passed" if status == 0 else f"FAILED ({status})"
            return f"{verdict}, {time.monotonic() - begun:.0f} s: pytest {' '.join(words)}", status

        ended = []
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for future in as_completed([pool.submit(run, words) for words in RUNS]):
                ended.append(future.result())
                print(ended[-1][0], flush=True)
    print("", *(text for text, _ in ended), sep="\n", flush=True)
    return 0 if not any(status for _, status in ended) else 1


if __name__ == "__main__":
    sys.exit(main())
