"""The shutdown verdicts of eureka-drain on the pods that it drained: `drains -o json`, read once at the end."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.headline.trial import Trial
from tests.headline.variants import REPLICAS
from tests.headline.verdict import Figures

_ROOT = Path(__file__).parents[2]

Judged = Mapping[str, Counter[str]]
"""By namespace, which is a variant's key: how many pods were `graceful`, `not_graceful`, `pending`, `not_judged`."""


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
        found.setdefault(drain["namespace"], Counter())[drain["shutdown"]] += 1
    return found


def misjudged(columns: Sequence[Figures], judged: Judged) -> list[str]:
    """Where nothing was lost, every pod that went must be called graceful."""
    return [
        f"{figures.variant.key}: eureka-drain says {dict(judged.get(figures.variant.key, {}))} of its pods"
        for figures in columns
        if figures.variant.drained
        and not figures.all_lost
        and judged.get(figures.variant.key) != Counter(graceful=figures.rollouts * REPLICAS)
    ]
