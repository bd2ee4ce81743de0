"""Runs the tests in lanes beside each other: `python -m tests.lanes`. Each lane has its own servers, and mostly waits.

The first lane's output is shown as it comes; the others' when they have ended. The status is 1 when one of them failed.
"""

import subprocess
import sys
import tempfile

INSTALLING = ("install", "tls", "image")
"""Not beside the manifests' own tests: an installation has names that a cluster has once."""
WITHOUT_SERVERS = ("unit", "flows")
"""They fill up the shortest lane."""
LANES = (
    tuple(
        f"--ignore=tests/{folder}"
        for folder in ("stack", "cluster", "e2e", "faults", "page", *WITHOUT_SERVERS, *INSTALLING)
    ),
    ("tests/e2e",),
    ("tests/faults",),
    ("tests/page",),  # alone: it counts what the event log tells
    tuple(f"tests/{folder}" for folder in (*INSTALLING, *WITHOUT_SERVERS)),
)


def main() -> int:
    """Start every lane, wait for all of them, and report what came of each."""
    with tempfile.TemporaryDirectory(prefix="eureka-drain-lanes-") as folder:
        running = []
        for number, words in enumerate(LANES):
            command = [sys.executable, "-m", "pytest", "--durations=9", f"-ocache_dir={folder}/cache-{number}", *words]
            output = None if number == 0 else open(f"{folder}/{number}.txt", "w+")  # noqa: SIM115, PTH123 - closed below
            running.append((subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT), output))
        statuses = []
        for process, output in running:
            statuses.append(process.wait())
            if output is not None:
                output.seek(0)
                print(output.read(), flush=True)
                output.close()
    for words, status in zip(LANES, statuses, strict=True):
        print(f"{'passed' if status == 0 else f'FAILED ({status})'}: pytest {' '.join(words)}", flush=True)
    return 0 if not any(statuses) else 1


if __name__ == "__main__":
    sys.exit(main())
