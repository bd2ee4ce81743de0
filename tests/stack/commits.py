"""Other states of this repository: what an upgrade begins with, and what costs are compared with."""

import subprocess
import zipfile
from io import BytesIO
from pathlib import Path

ROOT = Path(__file__).parents[2]
LAST_RELEASE = "d90d305e917810da201619aaa25a89a7fb4344f1"
"""To be the last release's; there is none yet, so a state of some days before."""


def check_out(commit: str, folder: Path) -> None:
    """Put the files of a commit into an existing folder; of ours none but those that were committed."""
    command = ["git", "-C", str(ROOT), "archive", "--format=zip", commit]
    packed = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    with zipfile.ZipFile(BytesIO(packed.stdout)) as files:
        files.extractall(folder)
