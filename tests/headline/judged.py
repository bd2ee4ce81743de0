"""What eureka-drain itself says of the pods that it drained: `drains -o json`, asked once at the end."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.headline.trial import Trial

_ROOT = Path(__file__).parents[2]

Judged = Mapping[str, Counter[str]]
"""By namespace, which is a variant's key: how many pods were `graceful`, `not graceful`, `to come`, `not judged`."""


async def verdicts(trial: Trial) -> Judged:
    """Empty when the command fails: it says why on stderr."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("EUREKA_DRAIN_", "KUBE"))}
    command = [sys.executable, "-m", "controller", "--set", f"broker.url={trial.stack.broker.url}"]
    process = await asyncio.create_subprocess_exec(
        *command, "drains", "-o", "json", cwd=_ROOT, env=environ, stdout=PIPE
    )
    said, _ = await process.communicate()
    return counted(said.decode())


def counted(said: str) -> Judged:
    """One JSON object a line."""
    found: dict[str, Counter[str]] = {}
    for drain in map(json.loads, said.splitlines()):
        found.setdefault(drain["namespace"], Counter())[drain["grace"]] += 1
    return found
