"""A folder that changes as a mounted Secret does."""

from contextlib import suppress
from pathlib import Path


class Mounted:
    """A folder as the kubelet mounts a Secret: names lead through ``..data`` to a folder that is swapped as a whole."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._version = 0
        self._files: dict[str, bytes] = {}

    def put(self, **files: str | bytes | None) -> None:
        """Change these; None: no longer there."""
        for name, content in files.items():
            self._files.pop(name, None)
            if content is not None:
                self._files[name] = content.encode() if isinstance(content, str) else content
        self._version += 1
        version = self.folder / f"..version-{self._version}"
        version.mkdir(parents=True)
        for name, content in self._files.items():
            (version / name).write_bytes(content)
        (self.folder / "..new").symlink_to(version.name)
        (self.folder / "..new").rename(self.folder / "..data")
        for name in self._files:
            with suppress(FileExistsError):
                (self.folder / name).symlink_to(Path("..data") / name)
        for path in self.folder.iterdir():
            if not path.exists():
                path.unlink()
