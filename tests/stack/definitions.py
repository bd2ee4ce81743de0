"""Other projects' resource definitions, from their Go modules: what they would refuse, the API server refuses here."""

from __future__ import annotations

import json
import shutil
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tests.stack.built_once import cached, run_logged
from tests.stack.prerequisites import GO, ReportProgress, require
from tests.stack.processes import ProcessError, output_of


@dataclass(frozen=True, kw_only=True)
class Definitions:
    """``checksum`` is as a go.sum has it; without one, since a module of ours that required it would need its needs."""

    what: str
    module: str
    checksum: str
    files: tuple[str, ...]

    async def folder(self, report_progress: ReportProgress) -> Path:
        """Where the files are, and nothing else."""
        recipe = [one.encode() for one in (self.module, self.checksum, *self.files)]
        return await cached(self.what, recipe, partial(self._copy, report_progress), report_progress, "a few seconds")

    async def _copy(self, report_progress: ReportProgress, folder: Path, log: Path) -> None:
        await require(GO, report_progress=report_progress)
        download = ["go", "mod", "download", "-json", self.module]
        await run_logged("go", download, folder, log)
        # Again, now that nothing is told of the download itself.
        module = json.loads(await output_of(*download))
        if module["Sum"] != self.checksum:
            raise ProcessError(f"{self.module} has the sum {module['Sum']}, not {self.checksum}")
        for file in self.files:
            shutil.copyfile(Path(module["Dir"]) / file, folder / Path(file).name)


PROMETHEUS_OPERATOR = Definitions(
    what="the Prometheus operator's resources",
    module="github.com/prometheus-operator/prometheus-operator@v0.85.0",
    checksum="h1:M5xLCLEoaW2IJfnuCwFzzpL+jSVQu3KGT84Pye+fW8s=",
    files=tuple(
        f"example/prometheus-operator-crd/monitoring.coreos.com_{name}.yaml"
        for name in ("podmonitors", "prometheusrules")
    ),
)
KYVERNO = Definitions(
    what="Kyverno's resources",
    module="github.com/kyverno/api@v0.0.1-alpha.3.0.20260723090831-fb2785727f98",
    checksum="h1:wGbyqQNc5wnHXq73aclvBje80lQvYDnqZCF967m+zEU=",
    files=("config/crds/policies.kyverno.io_mutatingpolicies.yaml",),
)
