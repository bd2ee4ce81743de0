"""`python -m tests.install.kubectl REAL ARGUMENTS`: the real kubectl, but for `exec`, which is played here."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any


def main(real: str, *arguments: str) -> None:
    """Become the command."""
    if "exec" not in arguments or "--" not in arguments:
        os.execv(real, [real, *arguments])
    at = arguments.index("--")
    before, command = [word for word in arguments[:at] if word != "exec"], list(arguments[at + 1 :])
    target = before.pop()
    process, env = _process_of(_pod_of(real, before, target))
    assert command[0] == "eureka-drain", "the only program of the image"
    words = ["nsenter", "--target", str(process), "--mount", sys.executable, "-m", "controller", *command[1:]]
    os.execvpe(words[0], words, env)


def _pod_of(real: str, options: list[str], target: str) -> str:
    """The name of a running pod of this Deployment."""
    found = _json(real, *options, "get", target)
    labels = ",".join(f"{key}={value}" for key, value in found["spec"]["selector"]["matchLabels"].items())
    pods = _json(real, *options, "get", "pods", "--selector", labels)["items"]
    return str(
        next(
            pod["metadata"]["name"]
            for pod in pods
            if pod["status"].get("phase") == "Running" and "deletionTimestamp" not in pod["metadata"]
        )
    )


def _json(*command: str) -> Any:
    return json.loads(subprocess.run([*command, "-o", "json"], check=True, capture_output=True).stdout)


def _process_of(pod: str) -> tuple[int, dict[str, str]]:
    """The process of this pod on the node stand-in, and its environment."""
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                pairs = (folder / "environ").read_text().split("\0")
            except OSError:
                continue
            env = dict(pair.partition("=")[::2] for pair in pairs if "=" in pair)
            if env.get("HOSTNAME") == pod:
                return int(folder.name), env
    raise SystemExit(f"no process of pod {pod}")


if __name__ == "__main__":
    main(*sys.argv[1:])
