"""kubectl against the real API server, and what it says beside its answer."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path
from typing import Any

from tests.manifests.rendering import Object


async def kubectl(kubeconfig: Path, *words: str, reads: Object | None = None) -> tuple[int, str, str]:
    """Run it to its end: its status, and what it wrote to stdout and to stderr."""
    child = await asyncio.create_subprocess_exec(
        "kubectl",
        *words,
        env=os.environ | {"KUBECONFIG": str(kubeconfig)},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await child.communicate(json.dumps(reads).encode() if reads else b"")
    return child.returncode or 0, out.decode(), err.decode()


async def answer(kubeconfig: Path, thing: Object) -> Any:
    """What the API server makes of an object that is created. Unchecked: to check it, kubectl asks for more rights."""
    status, out, err = await kubectl(kubeconfig, "create", "--validate=false", "-f", "-", "-o", "json", reads=thing)
    assert status == 0, err
    return json.loads(out)
