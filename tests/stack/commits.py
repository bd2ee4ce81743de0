"""Other states of this repository: what an upgrade begins with, and what costs are compared with."""

import subprocess
import zipfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAST_RELEASE = "8f24d9dfa9f782694c4582076a403438f15d7365"
"""To be the last release's; there is none yet, so an earlier state, which reads what this one writes."""


def check_out(commit: str, folder: Path) -> None:
    """Put the files of a commit into an existing folder; of ours none but those that were committed."""
    command = ["git", "-C", str(ROOT), "archive", "--format=zip", commit]
    packed = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    with zipfile.ZipFile(BytesIO(packed.stdout)) as files:
        files.extractall(folder)
