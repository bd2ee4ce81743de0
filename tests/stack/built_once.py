"""What is built once: found in the user's cache, or built by us, or by another run meanwhile.

Order of events: the hash of what makes a part names its folder. Is it there, it is complete, since it is built beside
and then renamed. Otherwise a file lock lets one run build while others wait and then find it.

Trap: the build's own output is long and of no interest unless it fails; so it goes to a log, and a line a few seconds
apart says what is being built and since when.
"""

import asyncio
import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from tests.stack.prerequisites import GO, ReportProgress, require
from tests.stack.processes import Process, ProcessError

_PROGRESS_SECONDS = 5


def cache_folder() -> Path:
    """Where built parts stay between runs; safe to delete at any time nothing runs."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "eureka-drain"


async def go_programs(
    what: str,
    module: Path,
    flags: Sequence[str],
    programs: Sequence[str],
    report_progress: ReportProgress,
    *,
    recipe: Sequence[bytes] = (),
    estimate: str,
) -> Path:
    async def build(folder: Path, log: Path) -> None:
        await require(GO, report_progress=report_progress)
        await run_logged("go", ["go", "build", "-o", f"{folder}/", *flags, *programs], module, log)

    pinned = [(module / file).read_bytes() for file in ("go.mod", "go.sum")]
    return await cached(what, [*pinned, *recipe], build, report_progress, estimate)


async def run_logged(name: str, command: list[str], cwd: Path, log: Path) -> None:
    process = Process(name, command, log=log, cwd=cwd)
    process.spawn()
    try:
        if code := await process.wait():
            raise ProcessError(f"{' '.join(command[:3])} ... ended with {code}{process.tail()}")
    finally:
        await process.kill()


async def cached(
    what: str,
    recipe: Sequence[bytes],
    build: Callable[[Path, Path], Awaitable[None]],
    report_progress: ReportProgress,
    estimate: str,
) -> Path:
    """The finished folder: found, or built by us, or by another run meanwhile."""
    digest = hashlib.sha256()
    for part in recipe:
        digest.update(len(part).to_bytes(8, "big") + part)
    finished = cache_folder() / digest.hexdigest()
    if finished.exists():
        report_progress(f"{what}: built before")
        return finished
    finished.parent.mkdir(parents=True, exist_ok=True)
    async with _locked(finished.with_suffix(".lock"), what, report_progress):
        if not finished.exists():
            begun = asyncio.get_running_loop().time()
            progress = asyncio.create_task(_report(what, report_progress, estimate))
            unfinished = Path(tempfile.mkdtemp(prefix="building-", dir=finished.parent))
            try:
                log = finished.with_suffix(".log")
                log.unlink(missing_ok=True)
                await build(unfinished, log)
                # mkdtemp's folder is the owner's only.
                os.chmod(unfinished, 0o755)  # noqa: PTH101
                os.rename(unfinished, finished)  # noqa: PTH104
                log.unlink(missing_ok=True)
            finally:
                progress.cancel()
                shutil.rmtree(unfinished, ignore_errors=True)
            report_progress(f"{what}: built in {asyncio.get_running_loop().time() - begun:.0f} s")
    return finished


async def _report(what: str, report_progress: ReportProgress, estimate: str) -> None:
    seconds = 0
    report_progress(f"building {what}: {estimate} the first time, never again")
    while True:
        await asyncio.sleep(_PROGRESS_SECONDS)
        seconds += _PROGRESS_SECONDS
        report_progress(f"building {what}: {seconds} s")


@asynccontextmanager
async def _locked(file: Path, what: str, report_progress: ReportProgress) -> AsyncIterator[None]:
    """One builder at a time on this machine; the kernel drops the lock with its holder, so none is ever stale."""
    with file.open("w") as lock:
        reported = False
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if not reported:
                    report_progress(f"{what}: another run is building it, waiting")
                reported = True
                await asyncio.sleep(0.5)
        yield
